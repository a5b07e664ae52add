//! Compaction of one log: what stays, what goes, and when.

mod common;

use std::path::Path;
use std::sync::Arc;

use common::compacted::{batches, read_committed, records};
use common::dying::Dying;
use common::{Batch, NOW_MS};
use ottla_broker::log::{
    DiskStorage, LogConfig, LogError, OpenState, PartitionLog, Storage, TransactionMarker,
    Validator,
};
use ottla_protocol::record::{BatchHeader, CompressionType, TimestampType};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 400,
        index_interval_bytes: 100,
        is_compacted: true,
        is_deleted: false,
        min_cleanable_dirty_ratio: 0.0,
        ..LogConfig::default()
    }
}

fn open_on(storage: Arc<dyn Storage>, dir: &Path, config: LogConfig, clean: bool) -> PartitionLog {
    let state =
        OpenState { is_clean: clean, recovery_point: 0, log_start_offset: 0, now_ms: NOW_MS };
    PartitionLog::open(storage, dir.to_owned(), config, state).unwrap().0
}

fn open(dir: &Path, config: LogConfig) -> PartitionLog {
    open_on(Arc::new(DiskStorage { is_durable: false }), dir, config, true)
}

/// A batch of records, a value of `-` for a tombstone.
fn pairs(list: &[(&str, &str)]) -> Batch {
    let text = |text: &str| Some(text.as_bytes().to_vec());
    let record =
        |(key, value): &(&str, &str)| (text(key), if *value == "-" { None } else { text(value) });
    Batch { records: list.iter().map(record).collect(), ..Batch::numbered(0) }
}

fn append(log: &mut PartitionLog, batch: &Batch) -> i64 {
    log.append(&mut Validator::default(), &batch.encode(), 0, NOW_MS).unwrap().base_offset
}

/// Closes the active segment by a record too large for it, and gives the offset of that.
fn roll(log: &mut PartitionLog) -> i64 {
    let filler = "x".repeat(250);
    append(log, &pairs(&[("filler", &filler)]));
    append(log, &pairs(&[("filler", &filler)]))
}

fn clean(log: &mut PartitionLog, now_ms: i64) -> bool {
    let end = log.log_end_offset();
    log.clean(end, now_ms).unwrap()
}

/// Offset, key and value of every record but the fillers.
fn found(log: &mut PartitionLog) -> Vec<(i64, String, String)> {
    let end = log.log_end_offset();
    let seen = read_committed(log, end).into_iter().filter(|record| record.key != "filler");
    seen.map(|it| (it.offset, it.key, it.value.unwrap_or_else(|| "-".to_owned()))).collect()
}

fn row(offset: i64, key: &str, value: &str) -> (i64, String, String) {
    (offset, key.to_owned(), value.to_owned())
}

fn headers(log: &mut PartitionLog) -> Vec<BatchHeader> {
    let mut offset = log.log_start_offset();
    let mut all = Vec::new();
    while offset < log.log_end_offset() {
        let bytes = log.read(offset, i64::MAX, 1000, true).unwrap();
        for (header, _) in batches(&bytes) {
            offset = header.last_offset() + 1;
            all.push(header);
        }
    }
    all
}

#[test]
fn of_each_key_the_last_record_stays_at_its_offset_and_reading_before_it_gives_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), config());
    append(&mut log, &pairs(&[("a", "1"), ("b", "1")]));
    append(&mut log, &pairs(&[("a", "2"), ("c", "1"), ("a", "3")]));
    let end = roll(&mut log);
    assert!(clean(&mut log, NOW_MS));
    let expected = [row(1, "b", "1"), row(3, "c", "1"), row(4, "a", "3")];
    assert_eq!(found(&mut log), expected);
    assert_eq!(log.first_dirty_offset(), end);
    assert!(!clean(&mut log, NOW_MS));

    append(&mut log, &pairs(&[("b", "2"), ("a", "4")]));
    roll(&mut log);
    assert!(clean(&mut log, NOW_MS));
    assert_eq!(found(&mut log), [row(3, "c", "1"), row(7, "b", "2"), row(8, "a", "4")]);
    // Batch 0 is gone.
    let bytes = log.read(0, i64::MAX, 1, true).unwrap();
    assert_eq!(BatchHeader::read(&bytes).unwrap().base_offset, 2);
    let end = log.log_end_offset();
    drop(log);
    let mut log = open(dir.path(), config());
    assert_eq!(log.log_end_offset(), end);
    assert_eq!(found(&mut log).len(), 3);
}

#[test]
fn a_batch_that_keeps_all_its_records_keeps_its_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), config());
    let compressed = pairs(&[("a", "1"), ("b", "1")]).compressed(CompressionType::Gzip);
    append(&mut log, &compressed.idempotent(7, 0, 0));
    append(&mut log, &pairs(&[("c", "1"), ("c", "2")]));
    roll(&mut log);
    let before = log.read(0, 1, 1000, true).unwrap();
    assert!(clean(&mut log, NOW_MS));
    assert_eq!(log.read(0, 1, 1000, true).unwrap(), before);
}

#[test]
fn a_changed_batch_keeps_its_codec_sequence_epoch_and_range() {
    for codec in [CompressionType::None, CompressionType::Snappy, CompressionType::Zstd] {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(dir.path(), config());
        let batch = pairs(&[("a", "1"), ("b", "1"), ("a", "2"), ("z", "-")]);
        append(&mut log, &batch.compressed(codec).idempotent(7, 3, 11));
        append(&mut log, &pairs(&[("z", "1")]));
        roll(&mut log);
        let before = headers(&mut log)[0];
        assert!(clean(&mut log, NOW_MS));
        let after = headers(&mut log)[0];
        let expected = BatchHeader {
            batch_length: after.batch_length,
            crc: after.crc,
            record_count: 2,
            max_timestamp: NOW_MS + 2,
            ..before
        };
        assert_eq!(after, expected);
    }
}

#[test]
fn a_time_that_the_broker_gave_stays_the_time_of_all_records() {
    let dir = tempfile::tempdir().unwrap();
    let stamped = LogConfig { timestamp_type: TimestampType::LogAppendTime, ..config() };
    let mut log = open(dir.path(), stamped);
    append(&mut log, &pairs(&[("a", "1"), ("b", "-"), ("a", "2")]).at(5));
    append(&mut log, &pairs(&[("a", "3")]).at(5));
    roll(&mut log);
    assert!(clean(&mut log, NOW_MS));
    let header = headers(&mut log)[0];
    assert_eq!((header.record_count, header.max_timestamp), (1, NOW_MS));
    assert_eq!(header.timestamp_type(), TimestampType::LogAppendTime);
}

/// KIP-534.
#[test]
fn a_tombstone_goes_once_it_was_left_for_delete_retention_ms() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), config());
    append(&mut log, &pairs(&[("a", "1"), ("b", "1")]));
    append(&mut log, &pairs(&[("a", "-"), ("c", "1")]));
    roll(&mut log);
    assert!(clean(&mut log, NOW_MS));
    let tombstone = [row(1, "b", "1"), row(2, "a", "-"), row(3, "c", "1")];
    assert_eq!(found(&mut log), tombstone);
    let of_tombstone = headers(&mut log)[1];
    assert_eq!(of_tombstone.delete_horizon_ms(), Some(NOW_MS + DAY_MS));
    // Timestamps are what they were.
    let bytes = log.read(2, 3, 1, true).unwrap();
    let (header, plain) = &batches(&bytes)[0];
    let times: Vec<i64> = records(header, plain).iter().map(|it| it.timestamp_ms).collect();
    assert_eq!(times, [NOW_MS, NOW_MS + 1]);
    assert_eq!(log.offset_at_time(NOW_MS + 1).unwrap().unwrap().offset, 1);

    roll(&mut log);
    assert!(clean(&mut log, NOW_MS + DAY_MS - 1));
    assert_eq!(found(&mut log), tombstone);
    assert_eq!(headers(&mut log)[1], of_tombstone);
    roll(&mut log);
    assert!(clean(&mut log, NOW_MS + DAY_MS));
    assert_eq!(found(&mut log), [row(1, "b", "1"), row(3, "c", "1")]);
}

#[test]
fn records_without_key_from_before_the_topic_was_compacted_go() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), LogConfig { is_compacted: false, ..config() });
    append(&mut log, &Batch::numbered(3));
    append(&mut log, &pairs(&[("a", "1")]));
    log.set_config(config());
    roll(&mut log);
    assert!(clean(&mut log, NOW_MS));
    assert_eq!(found(&mut log), [row(3, "a", "1")]);
}

#[test]
fn the_active_segment_what_is_young_and_what_is_not_stable_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let young = LogConfig { min_compaction_lag_ms: 1000, ..config() };
    let mut log = open(dir.path(), young);
    append(&mut log, &pairs(&[("a", "1"), ("a", "2")]));
    assert!(!clean(&mut log, NOW_MS + 5000), "there is but the active segment");
    roll(&mut log);
    assert!(!clean(&mut log, NOW_MS + 1000), "it is too young");
    assert!(!log.clean(1, NOW_MS + 5000).unwrap(), "it is not replicated");
    assert!(clean(&mut log, NOW_MS + 5000));
    assert_eq!(found(&mut log), [row(1, "a", "2")]);

    let transaction = Batch { transactional: true, ..pairs(&[("b", "1"), ("b", "2")]) };
    append(&mut log, &transaction.idempotent(7, 0, 0));
    roll(&mut log);
    let clean_to = log.first_dirty_offset();
    clean(&mut log, NOW_MS + 5000);
    assert!(log.first_dirty_offset() <= clean_to.max(4), "it is not decided");
    assert_eq!(log.aborted_transactions(0, i64::MAX).unwrap(), []);
}

#[test]
fn a_log_is_cleaned_when_enough_of_it_is_dirty_or_for_long_enough() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), config());
    for index in 0..40 {
        append(&mut log, &pairs(&[(&format!("key {index}"), "1")]));
    }
    assert!(clean(&mut log, NOW_MS));
    log.set_config(LogConfig { min_cleanable_dirty_ratio: 0.5, ..config() });
    roll(&mut log);
    assert!(!clean(&mut log, NOW_MS));
    let lag =
        LogConfig { min_cleanable_dirty_ratio: 0.5, max_compaction_lag_ms: 60_000, ..config() };
    log.set_config(lag);
    assert!(!clean(&mut log, NOW_MS + 60_000));
    assert!(clean(&mut log, NOW_MS + 60_002));
    log.set_config(LogConfig { min_cleanable_dirty_ratio: 0.5, ..config() });
    while !clean(&mut log, NOW_MS) {
        append(&mut log, &pairs(&[("a", "1")]));
    }
    let part = log.first_dirty_offset() as f64 / 2.0;
    assert!(part > 40.0, "only once the dirty part is as large as the clean one");
}

#[test]
fn segments_that_have_become_small_become_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), config());
    for index in 0..60 {
        append(&mut log, &pairs(&[("a", &index.to_string()), ("b", "1")]));
    }
    let before = log.segment_count();
    assert!(clean(&mut log, NOW_MS));
    roll(&mut log);
    assert!(clean(&mut log, NOW_MS));
    let after = log.segment_count();
    assert!(before > 10 && after < 6, "{before}, {after}");
    let names = std::fs::read_dir(dir.path()).unwrap();
    let names: Vec<_> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    for kind in [".log", ".index", ".timeindex"] {
        let count = names.iter().filter(|name| name.contains(kind)).count();
        assert_eq!(count, after, "{names:?}");
    }
}

/// What was sent again has to be recognized after a restart that makes the states from the log.
#[test]
fn the_last_batches_of_a_producer_leave_their_headers() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), config());
    let of_producer =
        |index: i32| pairs(&[("a", &index.to_string()), ("b", "1")]).idempotent(7, 2, index * 2);
    for index in 0..8 {
        append(&mut log, &of_producer(index));
    }
    append(&mut log, &pairs(&[("a", "-"), ("b", "-")]));
    roll(&mut log);
    assert!(clean(&mut log, NOW_MS));
    let kept = headers(&mut log).into_iter().filter(|header| header.producer_id == 7);
    let kept: Vec<_> = kept.map(|it| (it.base_sequence, it.record_count)).collect();
    assert_eq!(kept, [(6, 0), (8, 0), (10, 0), (12, 0), (14, 0)]);
    drop(log);
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|kind| kind == "snapshot" || kind == "window") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let disk = Arc::new(DiskStorage { is_durable: false });
    let mut log = open_on(disk, dir.path(), config(), false);
    let again = log.append(&mut Validator::default(), &of_producer(3).encode(), 0, NOW_MS).unwrap();
    assert_eq!((again.base_offset, again.is_duplicate), (6, true));
    let next = log.append(&mut Validator::default(), &of_producer(8).encode(), 0, NOW_MS).unwrap();
    assert!(!next.is_duplicate);
    log.expire_producers(i64::MAX);
    roll(&mut log);
    roll(&mut log);
    assert!(clean(&mut log, NOW_MS));
    let base = log.first_dirty_offset();
    let left = headers(&mut log).into_iter();
    let left = left.filter(|header| header.producer_id == 7 && header.record_count == 0);
    assert!(left.filter(|header| header.last_offset() + 1 < base).count() <= 1);
}

fn end(log: &mut PartitionLog, producer_id: i64, is_commit: bool) {
    let marker = TransactionMarker {
        producer_id,
        producer_epoch: 0,
        coordinator_epoch: 1,
        is_commit,
        transaction_version: 0,
    };
    log.append_marker(&marker, 0, NOW_MS).unwrap();
}

/// A reader that hears of an aborted transaction waits for its marker: it would skip all that comes
/// later if only that were gone.
#[test]
fn an_aborted_transaction_goes_first_its_records_then_its_place_in_the_index_then_its_marker() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), config());
    let of = |id: i64, sequence: i32, list: &[(&str, &str)]| {
        Batch { transactional: true, ..pairs(list) }.idempotent(id, 0, sequence)
    };
    append(&mut log, &pairs(&[("a", "1")]));
    append(&mut log, &of(7, 0, &[("a", "never"), ("b", "never")]));
    append(&mut log, &of(8, 0, &[("c", "1")]));
    end(&mut log, 7, false);
    end(&mut log, 8, true);
    append(&mut log, &of(7, 2, &[("b", "1")]));
    end(&mut log, 7, true);
    log.expire_producers(i64::MAX);
    let committed = [row(0, "a", "1"), row(3, "c", "1"), row(6, "b", "1")];
    let markers = |log: &mut PartitionLog| {
        let all = headers(log).into_iter().filter(BatchHeader::is_control);
        all.map(|header| header.base_offset).collect::<Vec<_>>()
    };
    let aborted = |log: &mut PartitionLog| log.aborted_transactions(0, 5).unwrap().len();
    assert_eq!((found(&mut log).as_slice(), aborted(&mut log)), (&committed[..], 1));

    let mut told = Vec::new();
    for now_ms in [NOW_MS, NOW_MS, NOW_MS + DAY_MS - 1, NOW_MS + DAY_MS] {
        roll(&mut log);
        assert!(clean(&mut log, now_ms));
        assert_eq!(found(&mut log), committed);
        assert!(!headers(&mut log).iter().any(|header| header.base_offset == 1));
        told.push((markers(&mut log), aborted(&mut log)));
    }
    let all = vec![4, 5, 7];
    let expected = [(all.clone(), 1), (all.clone(), 0), (all, 0), (vec![5, 7], 0)];
    assert_eq!(told, expected);
}

#[test]
fn records_without_timestamps_are_compacted_and_their_transactions_known() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), config());
    let stamp = |batch: Batch| batch.at(-1);
    let transaction = Batch { transactional: true, ..pairs(&[("a", "never")]) };
    append(&mut log, &stamp(pairs(&[("a", "1")])));
    append(&mut log, &stamp(pairs(&[("a", "2")])));
    append(&mut log, &stamp(transaction.idempotent(7, 0, 0)));
    let filler = "x".repeat(250);
    (0..2).for_each(|_| {
        append(&mut log, &stamp(pairs(&[("filler", &filler)])));
    });
    let marker = log.log_end_offset();
    end(&mut log, 7, false);
    assert!(clean(&mut log, NOW_MS));
    assert_eq!(found(&mut log), [row(1, "a", "2")]);
    assert_eq!(log.aborted_transactions(0, marker).unwrap().len(), 1);
    assert!(log.failure().is_none());
}

#[test]
fn a_batch_that_is_damaged_stops_the_cleaning_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), config());
    append(&mut log, &pairs(&[("a", "1"), ("a", "2")]));
    append(&mut log, &pairs(&[("b", "1")]));
    roll(&mut log);
    let path = dir.path().join("00000000000000000000.log");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[70] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let high_watermark = log.log_end_offset();
    let failed = log.clean(high_watermark, NOW_MS).unwrap_err();
    assert!(matches!(failed, LogError::Corrupt { .. }), "{failed}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    assert!(log.failure().is_none());
    assert!(!log.clean(high_watermark, NOW_MS).unwrap(), "it is not tried again");
    append(&mut log, &pairs(&[("c", "1")]));
}

#[test]
fn a_log_that_is_cut_where_an_offset_is_absent_ends_with_the_batch_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), config());
    append(&mut log, &pairs(&[("a", "1")]));
    append(&mut log, &pairs(&[("b", "1"), ("b", "2"), ("b", "3")]));
    append(&mut log, &pairs(&[("b", "4")]));
    roll(&mut log);
    assert!(clean(&mut log, NOW_MS));
    log.truncate_to(2, NOW_MS).unwrap();
    assert_eq!((log.log_end_offset(), log.first_dirty_offset()), (1, 0));
    assert_eq!(append(&mut log, &pairs(&[("b", "5")])), 1);
    assert_eq!(found(&mut log), [row(0, "a", "1"), row(1, "b", "5")]);
}

/// Each step of the disk may be the last of the process.
#[test]
fn a_process_killed_in_a_cleaning_leaves_each_key_with_its_last_value() {
    let filled = |storage: Arc<dyn Storage>, dir: &Path| {
        let mut log = open_on(storage, dir, config(), true);
        for index in 0..12 {
            let (key, value) = (format!("key {}", index % 3), index.to_string());
            append(&mut log, &pairs(&[(&key, &value), ("a", &value)]));
        }
        log
    };
    let last = [row(18, "key 0", "9"), row(20, "key 1", "10"), row(22, "key 2", "11")];
    let mut steps = 0;
    loop {
        let dir = tempfile::tempdir().unwrap();
        let disk = Dying::default();
        let mut log = filled(Arc::new(disk.clone()), dir.path());
        disk.die_after(steps);
        let high_watermark = log.log_end_offset();
        let cleaned = log.clean(high_watermark, NOW_MS);
        drop(log);
        let disk = Arc::new(DiskStorage { is_durable: false });
        let mut log = open_on(disk, dir.path(), config(), false);
        let mut seen: Vec<_> = found(&mut log).into_iter().filter(|it| it.1 != "a").collect();
        seen.drain(..seen.len().saturating_sub(3));
        assert_eq!(seen, last, "after {steps} steps");
        assert_eq!(log.log_end_offset(), high_watermark);
        clean(&mut log, NOW_MS);
        append(&mut log, &pairs(&[("a", "1")]));
        if cleaned.is_ok() {
            break;
        }
        steps += 1;
    }
    assert!(steps > 20, "{steps}");
}
