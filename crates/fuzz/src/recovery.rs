//! The log's files after a kill, or on a bad disk: opened or refused, and whatever is opened takes
//! a batch more.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use ottla_broker::log::{
    DiskStorage, LogConfig, LogError, OpenState, PartitionLog, TransactionMarker, Validator,
};
use ottla_protocol::record::{BatchHeader, crc32c};

use crate::batch;
use crate::source::Source;

const NOW_MS: i64 = 1_700_000_000_000;

fn open(dir: &Path, is_clean: bool) -> Result<PartitionLog, LogError> {
    let config =
        LogConfig { segment_bytes: 1_500, index_interval_bytes: 200, ..LogConfig::default() };
    let storage = Arc::new(DiskStorage { is_durable: false });
    let state = OpenState { is_clean, recovery_point: 0, log_start_offset: 0, now_ms: NOW_MS };
    PartitionLog::open(storage, dir.to_owned(), config, state).map(|(log, _)| log)
}

fn append(log: &mut PartitionLog, producer_id: i64, sequence: i32) -> Result<(), ()> {
    let bytes = batch::batch(3, producer_id, sequence);
    let appended = log.append(&mut Validator::default(), &bytes, 0, NOW_MS);
    appended.map(|_| ()).map_err(|_| ())
}

/// A transaction that is aborted.
fn abort(log: &mut PartitionLog, producer_id: i64, sequence: i32) -> Result<(), ()> {
    const TRANSACTIONAL_BIT: u8 = 1 << 4;
    let mut bytes = batch::batch(2, producer_id, sequence);
    bytes[BatchHeader::ATTRIBUTES_OFFSET + 1] |= TRANSACTIONAL_BIT;
    let crc = crc32c(&bytes[BatchHeader::ATTRIBUTES_OFFSET..]);
    bytes[BatchHeader::CRC_OFFSET..BatchHeader::ATTRIBUTES_OFFSET]
        .copy_from_slice(&crc.to_be_bytes());
    log.append(&mut Validator::default(), &bytes, 0, NOW_MS).map_err(|_| ())?;
    let marker = TransactionMarker {
        producer_id,
        producer_epoch: 0,
        coordinator_epoch: 1,
        is_commit: false,
        transaction_version: 0,
    };
    log.append_marker(&marker, 0, NOW_MS).map(|_| ()).map_err(|_| ())
}

fn folder() -> tempfile::TempDir {
    // Where it is memory, it is so much faster.
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a folder")
}

pub(crate) fn run(data: &[u8]) {
    let mut source = Source::new(data);
    let count = i32::from(source.byte() % 12);
    let is_clean = source.flag();
    let dir = folder();
    let mut log = open(dir.path(), true).expect("a new folder");
    for index in 0..count {
        append(&mut log, 7, index * 3).expect("in order");
        if index % 3 == 2 {
            abort(&mut log, 9, index / 3 * 2).expect("a transaction");
        }
    }
    drop(log);
    spoil(dir.path(), &mut source);
    let Ok(mut log) = open(dir.path(), is_clean) else { return };
    append(&mut log, 8, 0).expect("what was opened takes a batch");
    let end = log.log_end_offset();
    let _ = log.aborted_transactions(log.log_start_offset(), end);
    drop(log);
    let mut log = open(dir.path(), false).expect("what took a batch opens again");
    append(&mut log, 8, 3).expect("and the producer is known");
    log.truncate_to(end - 4, NOW_MS).expect("and it can be cut");
}

/// Changes, cuts, lengthens or removes files.
fn spoil(dir: &Path, source: &mut Source<'_>) {
    let mut names: Vec<_> = fs::read_dir(dir)
        .expect("listed")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    names.sort();
    while !source.is_spent() && !names.is_empty() {
        let name = &names[source.below(names.len())];
        let Ok(mut content) = fs::read(name) else { continue };
        let how = source.byte() % 5;
        let place =
            if content.is_empty() { 0 } else { usize::from(source.short()) % content.len() };
        let len = source.below(24);
        let bytes = source.bytes(len);
        match how {
            0 => content.truncate(place),
            1 => content.extend_from_slice(bytes),
            2 => content.iter_mut().skip(place).zip(bytes).for_each(|(old, new)| *old ^= new),
            3 => content.iter_mut().skip(place).zip(bytes).for_each(|(old, new)| *old = *new),
            _ => {
                let _ = fs::remove_file(name);
                continue;
            }
        }
        let _ = fs::write(name, content);
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    vec![
        vec![6, 0],
        vec![6, 1],
        vec![11, 0, 0, 0, 1, 7],
        vec![11, 0, 1, 2, 0, 40, 4, 1, 2, 3, 4],
        vec![9, 0, 2, 4, 0, 0, 0],
        vec![5, 0, 3, 3, 0, 12, 4, 0xff, 0xff, 0xff, 0xff],
    ]
}
