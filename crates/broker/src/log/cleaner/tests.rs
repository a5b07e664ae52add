//! A cleaning from within: in steps, and with too little memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ottla_protocol::record::{BatchHeader, RecordParts, RecordReader};

use super::*;
use crate::log::{DiskStorage, LogConfig, OpenState, Validator};

const NOW_MS: i64 = 1_700_000_000_000;
const KEYS: i64 = 40;

fn log_in(dir: &Path) -> PartitionLog {
    let config = LogConfig {
        segment_bytes: 800,
        is_compacted: true,
        min_cleanable_dirty_ratio: 0.0,
        ..LogConfig::default()
    };
    let state =
        OpenState { is_clean: true, recovery_point: 0, log_start_offset: 0, now_ms: NOW_MS };
    let storage = Arc::new(DiskStorage { is_durable: false });
    PartitionLog::open(storage, dir.to_owned(), config, state).unwrap().0
}

/// Writes one record with the next of the keys.
fn append(log: &mut PartitionLog) {
    let number = log.log_end_offset();
    let (key, value) = ((number % KEYS).to_be_bytes(), number.to_be_bytes());
    let record = RecordParts {
        timestamp_delta: 0,
        offset_delta: 0,
        key: Some(&key),
        value: Some(&value),
        headers: &[],
    };
    let mut records = Vec::new();
    record.encode_into(record.body_len(), &mut records);
    let mut header = BatchHeader {
        base_offset: 0,
        batch_length: 0,
        partition_leader_epoch: -1,
        magic: BatchHeader::MAGIC,
        crc: 0,
        attributes: 0,
        last_offset_delta: 0,
        base_timestamp: NOW_MS,
        max_timestamp: NOW_MS,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        record_count: 1,
    };
    let head = header.seal([records.as_slice()]).unwrap();
    let batch = [&head[..], &records].concat();
    log.append(&mut Validator::default(), &batch, 0, NOW_MS).unwrap();
}

/// Every record, by its offset: its key.
fn keys(log: &mut PartitionLog) -> BTreeMap<i64, i64> {
    let mut all = BTreeMap::new();
    let mut offset = 0;
    while offset < log.log_end_offset() {
        let bytes = log.read(offset, i64::MAX, 1, true).unwrap();
        let header = BatchHeader::read(&bytes).unwrap();
        if let Some(record) = RecordReader::new(&bytes[BatchHeader::SIZE..]).next() {
            let key = record.unwrap().key.unwrap().try_into().unwrap();
            all.insert(header.base_offset, i64::from_be_bytes(key));
        }
        offset = header.last_offset() + 1;
    }
    all
}

fn begin(log: &mut PartitionLog, room_bytes: usize) -> i64 {
    let dirt = log.dirt(log.log_end_offset(), NOW_MS).unwrap().expect("something to clean");
    let first_dirty = log.first_dirty_offset();
    let job = Job::new(log, first_dirty, dirt.end, KeyMap::with_room(room_bytes));
    log.cleaner.job = Some(Box::new(job));
    dirt.end
}

#[test]
fn what_does_not_fit_into_the_memory_for_keys_is_left_for_the_next_cleaning() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log_in(dir.path());
    (0..400).for_each(|_| append(&mut log));
    let mut rounds = 0;
    while log.dirt(400, NOW_MS).unwrap().is_some() {
        let before = log.first_dirty_offset();
        // Room for a few keys.
        begin(&mut log, 500);
        while log.clean_step(200, false, NOW_MS).unwrap() {}
        let after = log.first_dirty_offset();
        assert!(after > before, "it comes no further than {before}");
        let left = keys(&mut log);
        assert_eq!(left.range(after..).count() as i64, 400 - after);
        for key in 0..KEYS {
            let last = (0..10).map(|round| round * KEYS + key).next_back();
            assert_eq!(left.get(&last.unwrap()), Some(&key));
        }
        rounds += 1;
    }
    assert!(rounds > 5, "{rounds}");
    let clean = log.first_dirty_offset();
    let left = keys(&mut log);
    // With so few keys at a time a key is there once for each cleaning at most.
    assert!(left.range(..clean).count() < 200, "{left:?}");
}

#[test]
fn a_log_is_written_to_and_read_between_the_steps_of_a_cleaning() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log_in(dir.path());
    (0..200).for_each(|_| append(&mut log));
    begin(&mut log, usize::MAX);
    let mut steps = 0;
    while log.clean_step(200, false, NOW_MS).unwrap() {
        append(&mut log);
        let last = log.log_end_offset() - KEYS;
        let left = keys(&mut log);
        assert_eq!(left.range(last..).count() as i64, KEYS);
        steps += 1;
    }
    assert!(steps > 50, "{steps}");
}

#[test]
fn a_cleaning_is_given_up_when_the_log_is_cut_or_loses_its_front() {
    for cut in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log_in(dir.path());
        (0..200).for_each(|_| append(&mut log));
        begin(&mut log, usize::MAX);
        for _ in 0..60 {
            assert!(log.clean_step(200, false, NOW_MS).unwrap());
        }
        match cut {
            true => log.truncate_to(100, NOW_MS).unwrap(),
            false => assert_eq!(log.delete_records(100).unwrap(), 100),
        }
        assert!(!log.clean_step(200, false, NOW_MS).unwrap());
        let names = std::fs::read_dir(dir.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(names.filter(|name| name.ends_with(CLEANED_MARK)).count(), 0);
        (0..100).for_each(|_| append(&mut log));
        let end = log.log_end_offset();
        assert!(log.clean(end, NOW_MS).unwrap());
    }
}
