//! The log after the process was killed, or the disk spoilt something.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{Batch, NOW_MS};
use ottla_broker::log::{
    DiskStorage, LogConfig, LogError, OpenState, PartitionLog, Recovery, Validator,
};
use ottla_protocol::record::{BatchHeader, validate_batch};

const RECORDS: i64 = 3;

fn config() -> LogConfig {
    LogConfig { segment_bytes: 1_500, index_interval_bytes: 200, ..LogConfig::default() }
}

fn open(dir: &Path, is_clean: bool) -> Result<(PartitionLog, Recovery), LogError> {
    let storage = Arc::new(DiskStorage { is_durable: false });
    let state = OpenState { is_clean, recovery_point: 0, log_start_offset: 0, now_ms: NOW_MS };
    PartitionLog::open(storage, dir.to_owned(), config(), state)
}

fn append(log: &mut PartitionLog, index: i64) {
    let batch = Batch::numbered(RECORDS as usize)
        .idempotent(index % 2, 0, (index / 2 * RECORDS) as i32)
        .at(NOW_MS + index * 10);
    let appended = log.append(&mut Validator::default(), &batch.encode(), 0, NOW_MS);
    assert!(!appended.expect("appends").is_duplicate);
}

/// A log of `count` batches that nobody closed.
fn killed_log(dir: &Path, count: i64) -> PartitionLog {
    let (mut log, _) = open(dir, true).unwrap();
    for index in 0..count {
        append(&mut log, index);
    }
    log
}

fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}

fn files(dir: &Path, suffix: &str) -> Vec<PathBuf> {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.to_str().unwrap().ends_with(suffix)).collect();
    paths.sort();
    paths
}

fn cut(path: &Path, size: u64) {
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(size).unwrap();
}

fn read_headers(log: &mut PartitionLog) -> Vec<BatchHeader> {
    let end = log.log_end_offset();
    let mut headers = Vec::new();
    let mut offset = 0;
    while offset < end {
        let bytes = log.read(offset, end, 1, true).unwrap();
        let header = validate_batch(&bytes).unwrap();
        assert_eq!(header.base_offset, offset);
        offset = header.last_offset() + 1;
        headers.push(header);
    }
    headers
}

/// The log holds exactly the first `count` batches, its producers match them, and it goes on.
fn assert_holds(log: &mut PartitionLog, count: i64) {
    assert_eq!(log.log_end_offset(), count * RECORDS);
    assert_eq!(read_headers(log).len() as i64, count);
    for producer in 0..2 {
        let last = (0..count).rev().find(|index| index % 2 == producer);
        let known = log.producers().get(producer);
        let batches = known.map(|entry| entry.batches.clone()).unwrap_or_default();
        let expected = last.map_or(0, |last| (last / 2 + 1).min(5));
        assert_eq!(batches.len() as i64, expected);
        let offset = batches.back().map(|batch| batch.first_offset());
        assert_eq!(offset, last.map(|last| last * RECORDS));
    }
    if count > 0 {
        let found = log.offset_at_time(NOW_MS + (count - 1) * 10).unwrap().unwrap();
        assert_eq!(found.offset, (count - 1) * RECORDS);
    }
    append(log, count);
    assert_eq!(log.log_end_offset(), (count + 1) * RECORDS);
}

#[test]
fn a_killed_process_loses_nothing_that_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let before = killed_log(dir.path(), 60).producers().clone();
    let copy = copy(dir.path());
    let (mut log, recovery) = open(copy.path(), false).unwrap();
    assert_eq!(recovery.truncation, None);
    assert_eq!(*log.producers(), before);
    assert_holds(&mut log, 60);
}

#[test]
fn a_log_cut_anywhere_in_its_last_two_segments_keeps_every_whole_batch_before() {
    let dir = tempfile::tempdir().unwrap();
    let count = 40;
    killed_log(dir.path(), count);
    let logs = files(dir.path(), ".log");
    assert!(logs.len() >= 3, "{}", logs.len());
    let size = Batch::numbered(RECORDS as usize).encode().len() as u64;
    for which in [logs.len() - 2, logs.len() - 1] {
        let base: i64 = logs[which].file_stem().unwrap().to_str().unwrap().parse().unwrap();
        let end = fs::metadata(&logs[which]).unwrap().len();
        // Every byte of the last two batches, and samples before.
        let tail = end.saturating_sub(size * 2);
        for cut_at in (0..tail).step_by(37).chain(tail..end) {
            let copy = copy(dir.path());
            cut(&copy.path().join(logs[which].file_name().unwrap()), cut_at);
            let (mut log, recovery) = open(copy.path(), false).unwrap();
            let whole = (cut_at / size) as i64;
            assert_eq!(recovery.truncation.is_some(), cut_at % size != 0 || which < logs.len() - 1);
            assert_holds(&mut log, base / RECORDS + whole);
        }
    }
}

#[test]
fn any_flipped_byte_in_the_last_segment_cuts_the_log_before_its_batch() {
    let dir = tempfile::tempdir().unwrap();
    killed_log(dir.path(), 40);
    let last = files(dir.path(), ".log").pop().unwrap();
    let base: i64 = last.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let size = Batch::numbered(RECORDS as usize).encode().len();
    let bytes = fs::read(&last).unwrap();
    // Not the first batch: damage at the very start of a file may mean that it is no log at all.
    for at in size..bytes.len() {
        // The leader epoch is outside the checksum, and a higher base offset is not impossible.
        if (12..16).contains(&(at % size)) || at % size < 8 {
            continue;
        }
        let copy = copy(dir.path());
        let mut spoilt = bytes.clone();
        spoilt[at] ^= 0x10;
        fs::write(copy.path().join(last.file_name().unwrap()), spoilt).unwrap();
        let (mut log, recovery) = open(copy.path(), false).unwrap();
        assert!(recovery.truncation.is_some(), "byte {at}");
        assert_holds(&mut log, base / RECORDS + (at / size) as i64);
    }
}

#[test]
fn a_bad_batch_in_the_middle_cuts_the_segments_behind_it_too() {
    let dir = tempfile::tempdir().unwrap();
    killed_log(dir.path(), 40);
    let first = files(dir.path(), ".log").remove(0);
    let size = Batch::numbered(RECORDS as usize).encode().len();
    let mut bytes = fs::read(&first).unwrap();
    bytes[size * 2 + 70] ^= 1;
    fs::write(&first, bytes).unwrap();
    let (mut log, recovery) = open(dir.path(), false).unwrap();
    let truncation = recovery.truncation.unwrap();
    assert_eq!(truncation.position, size as u64 * 2);
    assert_eq!(truncation.lost_bytes, size as u64 * 38);
    assert_eq!(log.segment_count(), 1);
    assert_holds(&mut log, 2);
}

#[test]
fn a_tail_of_zeros_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    killed_log(dir.path(), 10);
    let last = files(dir.path(), ".log").pop().unwrap();
    let mut bytes = fs::read(&last).unwrap();
    bytes.resize(bytes.len() + 4096, 0);
    fs::write(&last, bytes).unwrap();
    let (mut log, recovery) = open(dir.path(), false).unwrap();
    assert_eq!(recovery.truncation.unwrap().lost_bytes, 4096);
    assert_holds(&mut log, 10);
}

#[test]
fn indexes_and_snapshots_that_are_lost_or_spoilt_are_made_again() {
    let dir = tempfile::tempdir().unwrap();
    killed_log(dir.path(), 40).close(true).unwrap();
    for suffix in [".index", ".timeindex", ".snapshot", ".window"] {
        for action in ["remove", "empty", "cut", "foreign"] {
            for is_clean in [true, false] {
                let copy = copy(dir.path());
                let paths = files(copy.path(), suffix);
                assert!(!paths.is_empty(), "{suffix}");
                for path in paths {
                    match action {
                        "remove" => fs::remove_file(path).unwrap(),
                        "empty" => cut(&path, 0),
                        "cut" => cut(&path, 7),
                        _ => fs::write(path, [0x7f; 24]).unwrap(),
                    }
                }
                let (mut log, recovery) = open(copy.path(), is_clean).unwrap();
                assert_eq!(recovery.truncation, None);
                if suffix == ".window" && is_clean {
                    // As much as Kafka keeps: the last batch of each producer.
                    assert_eq!(log.producers().get(0).unwrap().batches.len(), 1);
                } else {
                    assert_holds(&mut log, 40);
                }
            }
        }
    }
}

#[test]
fn a_snapshot_ahead_of_a_cut_log_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    killed_log(dir.path(), 40).close(true).unwrap();
    let last = files(dir.path(), ".log").pop().unwrap();
    let size = fs::metadata(&last).unwrap().len();
    cut(&last, size - 1);
    let (mut log, _) = open(dir.path(), false).unwrap();
    assert_holds(&mut log, 39);
}

#[test]
fn damage_after_a_clean_shutdown_is_an_error_and_nothing_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    killed_log(dir.path(), 40).close(true).unwrap();
    let logs = files(dir.path(), ".log");
    for path in [&logs[1], logs.last().unwrap()] {
        let copy = copy(dir.path());
        let path = copy.path().join(path.file_name().unwrap());
        let size = fs::metadata(&path).unwrap().len();
        cut(&path, size - 5);
        let error = open(copy.path(), true).unwrap_err();
        assert!(matches!(error, LogError::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        assert_eq!(fs::metadata(&path).unwrap().len(), size - 5);
    }
    let copy = copy(dir.path());
    fs::remove_file(copy.path().join(logs[1].file_name().unwrap())).unwrap();
    let error = open(copy.path(), true).unwrap_err();
    assert!(error.to_string().contains("ends at"), "{error}");
}

#[test]
fn a_foreign_file_in_the_place_of_a_segment_is_refused_and_kept() {
    for is_clean in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("00000000000000000000.log");
        let text = "not a log at all, but somebody's notes\n".repeat(20);
        fs::write(&path, &text).unwrap();
        let error = open(dir.path(), is_clean).unwrap_err();
        assert!(matches!(error, LogError::Corrupt { .. }), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn a_segment_under_the_name_of_another_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    killed_log(dir.path(), 5);
    let path = dir.path().join("00000000000000000000.log");
    fs::rename(&path, dir.path().join("00000000000000000500.log")).unwrap();
    assert!(matches!(open(dir.path(), false), Err(LogError::Corrupt { .. })));
}

#[test]
fn what_lies_before_the_recovery_point_is_not_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let log = killed_log(dir.path(), 40);
    let segments = log.segment_count();
    drop(log);
    let storage = Arc::new(DiskStorage { is_durable: false });
    let state =
        OpenState { is_clean: false, recovery_point: 110, log_start_offset: 0, now_ms: NOW_MS };
    let (mut log, recovery) =
        PartitionLog::open(storage, dir.path().to_owned(), config(), state).unwrap();
    assert!(recovery.scanned_segments < segments);
    assert!(recovery.scanned_from.unwrap() <= 110);
    assert_holds(&mut log, 40);
}

/// A log that was closed in order is not looked through when it is opened. A reader must not take
/// damage in it for the end of the log.
#[test]
fn a_flipped_bit_is_an_error_for_its_reader_or_shown_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = killed_log(dir.path(), 4);
    log.close(true).unwrap();
    let end = log.log_end_offset();
    drop(log);
    let path = files(dir.path(), ".log").pop().unwrap();
    let size = fs::metadata(&path).unwrap().len() as usize / 4;
    let mut read_through = 0;
    for bit in 0..4 * size * 8 {
        let damaged = copy(dir.path());
        let path = damaged.path().join(path.file_name().unwrap());
        let mut bytes = fs::read(&path).unwrap();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &bytes).unwrap();
        let Ok((mut log, _)) = open(damaged.path(), true) else {
            continue;
        };
        if log.log_end_offset() != end {
            // The broker knows where the log ended, and does not start.
            continue;
        }
        for offset in 0..end {
            let read = log.read(offset, end, usize::MAX, true);
            assert!(read.is_err() || !read.unwrap().is_empty(), "bit {bit}, offset {offset}");
        }
        read_through += 1;
    }
    assert!(read_through > size * 8, "{read_through} bits were looked at");
}

/// A broker that somebody restarted daily had two files more in each partition after each time.
#[test]
fn snapshots_of_earlier_stops_do_not_pile_up() {
    let dir = tempfile::tempdir().unwrap();
    for index in 0..30 {
        let (mut log, recovery) = open(dir.path(), true).unwrap();
        assert_eq!(recovery.scanned_segments, 0);
        append(&mut log, index);
        log.close(true).unwrap();
        drop(log);
        let (segments, snapshots) = (files(dir.path(), ".log"), files(dir.path(), ".snapshot"));
        assert!(snapshots.len() <= segments.len() + 1, "{snapshots:?}");
        assert_eq!(snapshots.len(), files(dir.path(), ".window").len());
    }
    assert!(files(dir.path(), ".log").len() > 2);
}
