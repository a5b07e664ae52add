//! A disk that is full, or breaks, under the log.

mod common;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use common::{Batch, NOW_MS};
use ottla_broker::ErrorCode;
use ottla_broker::log::{
    DiskStorage, LogConfig, OpenState, PartitionLog, Storage, StoredFile, StoredName, Survives,
    Validator,
};
use ottla_protocol::record::validate_batch;

/// Real files, of which only so many more bytes can be written.
#[derive(Clone, Debug)]
struct SmallDisk {
    free_bytes: Arc<AtomicI64>,
    truncates: Arc<AtomicBool>,
}

const DISK: DiskStorage = DiskStorage { is_durable: false };

impl SmallDisk {
    fn with(free_bytes: i64) -> Self {
        Self {
            free_bytes: Arc::new(AtomicI64::new(free_bytes)),
            truncates: Arc::new(AtomicBool::new(true)),
        }
    }

    /// How many of `wanted` bytes still fit; they are used up.
    fn take(&self, wanted: usize) -> usize {
        let free = self.free_bytes.load(Ordering::Relaxed).max(0);
        let taken = free.min(wanted as i64);
        self.free_bytes.store(free - taken, Ordering::Relaxed);
        taken as usize
    }
}

fn full() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

impl Storage for SmallDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn StoredFile>> {
        Ok(Arc::new(SmallFile { file: DISK.open(path)?, disk: self.clone() }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        DISK.read(path)
    }

    fn replace(&self, path: &Path, contents: &[u8], survives: Survives) -> io::Result<()> {
        match self.take(contents.len()) {
            taken if taken == contents.len() => DISK.replace(path, contents, survives),
            _ => Err(full()),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<StoredName>> {
        DISK.list(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        DISK.create_dir(dir)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        DISK.remove_file(path)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        DISK.remove_dir(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        DISK.rename(from, to)
    }
}

#[derive(Debug)]
struct SmallFile {
    file: Arc<dyn StoredFile>,
    disk: SmallDisk,
}

impl StoredFile for SmallFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buffer, position)
    }

    fn append(&self, parts: &[&[u8]]) -> io::Result<()> {
        let bytes = parts.concat();
        let taken = self.disk.take(bytes.len());
        self.file.append(&[&bytes[..taken]])?;
        if taken == bytes.len() { Ok(()) } else { Err(full()) }
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        if self.disk.truncates.load(Ordering::Relaxed) {
            return self.file.truncate(size);
        }
        Err(io::Error::other("the disk is gone"))
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn system_file(&self) -> Option<&File> {
        self.file.system_file()
    }
}

fn open(disk: &SmallDisk, dir: &Path, is_clean: bool) -> PartitionLog {
    let config =
        LogConfig { segment_bytes: 1_000, index_interval_bytes: 100, ..LogConfig::default() };
    let state = OpenState { is_clean, recovery_point: 0, log_start_offset: 0, now_ms: NOW_MS };
    PartitionLog::open(Arc::new(disk.clone()), dir.to_owned(), config, state).unwrap().0
}

fn append(log: &mut PartitionLog, sequence: i32) -> Result<i64, ErrorCode> {
    let batch = Batch::numbered(2).idempotent(1, 0, sequence * 2).encode();
    let appended = log.append(&mut Validator::default(), &batch, 0, NOW_MS);
    appended.map(|appended| appended.base_offset).map_err(|rejection| rejection.code)
}

fn count_batches(log: &mut PartitionLog) -> i64 {
    let end = log.log_end_offset();
    let mut offset = 0;
    while offset < end {
        let header = validate_batch(&log.read(offset, end, 1, true).unwrap()).unwrap();
        assert_eq!(header.base_offset, offset);
        offset = header.last_offset() + 1;
    }
    end / 2
}

/// Laws: L2. Scenarios: F1.
#[test]
fn a_batch_that_does_not_fit_leaves_no_trace_and_the_log_goes_on_when_there_is_room() {
    for free_bytes in (0..2_500).step_by(13) {
        let dir = tempfile::tempdir().unwrap();
        let disk = SmallDisk::with(free_bytes);
        let mut log = open(&disk, dir.path(), true);
        let mut sequence = 0;
        while append(&mut log, sequence) == Ok(i64::from(sequence) * 2) {
            sequence += 1;
        }
        assert_eq!(append(&mut log, sequence), Err(ErrorCode::KAFKA_STORAGE_ERROR));
        assert_eq!(count_batches(&mut log), i64::from(sequence));

        // Killed at this moment, or with room again: the same batches are there, and no others.
        disk.free_bytes.store(1 << 20, Ordering::Relaxed);
        let mut killed = open(&disk, dir.path(), false);
        assert_eq!(count_batches(&mut killed), i64::from(sequence), "{free_bytes} bytes");
        drop(killed);
        for sequence in sequence..sequence + 20 {
            assert_eq!(append(&mut log, sequence), Ok(i64::from(sequence) * 2));
        }
        log.close(false).unwrap();
        let mut log = open(&disk, dir.path(), true);
        assert_eq!(count_batches(&mut log), i64::from(sequence) + 20);
    }
}

#[test]
fn a_log_whose_end_is_in_doubt_takes_nothing_more() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SmallDisk::with(400);
    let mut log = open(&disk, dir.path(), true);
    let mut sequence = 0;
    disk.truncates.store(false, Ordering::Relaxed);
    while append(&mut log, sequence).is_ok() {
        sequence += 1;
    }
    assert!(log.failure().is_some());
    disk.free_bytes.store(1 << 20, Ordering::Relaxed);
    disk.truncates.store(true, Ordering::Relaxed);
    assert_eq!(append(&mut log, sequence), Err(ErrorCode::KAFKA_STORAGE_ERROR));
    assert_eq!(count_batches(&mut log), i64::from(sequence));
    assert!(log.close(true).is_err());
    let mut log = open(&disk, dir.path(), false);
    assert_eq!(append(&mut log, sequence), Ok(i64::from(sequence) * 2));
}
