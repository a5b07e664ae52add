//! The log on disk: what is appended is read back, found by time, rolled, retired.

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{Batch, NOW_MS};
use ottla_broker::log::{
    Appended, DiskStorage, LogConfig, OpenState, PartitionLog, ReadError, Rejection, Validator,
};
use ottla_protocol::ErrorCode;
use ottla_protocol::record::{BatchHeader, CompressionType, TimestampType, validate_batch};

fn open(dir: &Path, config: LogConfig) -> PartitionLog {
    let storage = Arc::new(DiskStorage { is_durable: false });
    let state =
        OpenState { is_clean: true, recovery_point: 0, log_start_offset: 0, now_ms: NOW_MS };
    PartitionLog::open(storage, dir.to_owned(), config, state).expect("the log opens").0
}

fn append(log: &mut PartitionLog, batch: &Batch) -> Result<Appended, Rejection> {
    log.append(&mut Validator::default(), &batch.encode(), 3, NOW_MS)
}

fn read_all(log: &mut PartitionLog, mut offset: i64) -> Vec<BatchHeader> {
    let mut headers = Vec::new();
    while offset < log.log_end_offset() {
        let end = log.log_end_offset();
        let bytes = log.read(offset, end, 1000, true).expect("readable");
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let header = validate_batch(rest).expect("a whole batch");
            rest = &rest[header.size_bytes().unwrap()..];
            offset = header.last_offset() + 1;
            headers.push(header);
        }
    }
    headers
}

#[test]
fn a_batch_is_stored_verbatim_but_for_offset_and_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), LogConfig::default());
    append(&mut log, &Batch::numbered(3)).unwrap();
    let second = Batch::numbered(2).compressed(CompressionType::Lz4);
    let appended = append(&mut log, &second).unwrap();
    assert_eq!((appended.base_offset, appended.last_offset), (3, 4));

    let sent = second.encode();
    let stored = log.read(3, 5, usize::MAX, false).unwrap();
    assert_eq!(stored[16..], sent[16..]);
    let header = BatchHeader::read(&stored).unwrap();
    assert_eq!((header.base_offset, header.partition_leader_epoch), (3, 3));
}

#[test]
fn a_read_from_the_middle_of_a_batch_gives_the_whole_batch() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), LogConfig::default());
    for _ in 0..3 {
        append(&mut log, &Batch::numbered(10)).unwrap();
    }
    for offset in 10..20 {
        let bytes = log.read(offset, 30, 1, true).unwrap();
        assert_eq!(validate_batch(&bytes).unwrap().base_offset, 10, "{offset}");
    }
}

#[test]
fn a_read_keeps_to_its_limits() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), LogConfig::default());
    let size = Batch::numbered(10).encode().len();
    for _ in 0..5 {
        append(&mut log, &Batch::numbered(10)).unwrap();
    }
    assert_eq!(log.read(0, 50, size * 2 + 5, false).unwrap().len(), size * 2);
    assert_eq!(log.read(0, 50, size - 1, false).unwrap().len(), 0);
    assert_eq!(log.read(0, 50, size - 1, true).unwrap().len(), size);
    assert_eq!(log.read(0, 20, usize::MAX, true).unwrap().len(), size * 2);
    assert_eq!(log.read(50, 50, usize::MAX, true).unwrap().len(), 0);
    for offset in [-1, 51, i64::MAX] {
        let error = log.read(offset, 50, 1, true).unwrap_err();
        assert!(matches!(error, ReadError::OutOfRange { start: 0, end: 50, .. }), "{error}");
    }
}

#[test]
fn segments_roll_at_their_size_and_every_offset_stays_readable() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig { segment_bytes: 20_000, ..LogConfig::default() };
    let mut log = open(dir.path(), config.clone());
    for _ in 0..200 {
        append(&mut log, &Batch::numbered(25)).unwrap();
    }
    assert!(log.segment_count() >= 4, "{}", log.segment_count());
    assert_eq!(read_all(&mut log, 0).len(), 200);
    for offset in (0..5000).step_by(7) {
        let bytes = log.read(offset, 5000, 1, true).unwrap();
        assert_eq!(validate_batch(&bytes).unwrap().base_offset, offset / 25 * 25);
    }
    log.close(true).unwrap();
    let mut log = open(dir.path(), config);
    assert_eq!(log.log_end_offset(), 5000);
    assert_eq!(read_all(&mut log, 0).len(), 200);
}

#[test]
fn records_are_found_by_time() {
    for compression in CompressionType::ALL {
        let dir = tempfile::tempdir().unwrap();
        let config = LogConfig { segment_bytes: 4_000, ..LogConfig::default() };
        let mut log = open(dir.path(), config);
        for index in 0..100 {
            let batch = Batch::numbered(10).at(NOW_MS + index * 10).compressed(compression);
            append(&mut log, &batch).unwrap();
        }
        for millis in [0, 1, 9, 10, 457, 999] {
            let found = log.offset_at_time(NOW_MS + millis).unwrap().unwrap();
            assert_eq!((found.offset, found.timestamp_ms), (millis, NOW_MS + millis));
            assert_eq!(found.leader_epoch, 3);
        }
        assert_eq!(log.offset_at_time(0).unwrap().unwrap().offset, 0);
        assert_eq!(log.offset_at_time(NOW_MS + 1000).unwrap(), None);
        assert_eq!(log.offset_of_max_timestamp().unwrap().unwrap().offset, 999);
    }
}

#[test]
fn a_topic_with_log_append_time_gets_the_brokers_time_and_a_new_checksum() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig { timestamp_type: TimestampType::LogAppendTime, ..LogConfig::default() };
    let mut log = open(dir.path(), config);
    let appended = append(&mut log, &Batch::numbered(3).at(17)).unwrap();
    assert_eq!(appended.log_append_time_ms, Some(NOW_MS));
    let header = validate_batch(&log.read(0, 3, 1, true).unwrap()).unwrap();
    assert_eq!(header.timestamp_type(), TimestampType::LogAppendTime);
    assert_eq!(header.max_timestamp, NOW_MS);
    assert_eq!(log.offset_at_time(NOW_MS).unwrap().unwrap().offset, 0);
}

#[test]
fn a_topic_with_a_codec_of_its_own_stores_every_batch_with_it() {
    for (sent, stored) in CompressionType::ALL.into_iter().zip([3, 4, 0, 1, 2]) {
        let stored = CompressionType::ALL[stored];
        let dir = tempfile::tempdir().unwrap();
        let mut log =
            open(dir.path(), LogConfig { compression: Some(stored), ..LogConfig::default() });
        let batch = Batch::numbered(100).compressed(sent).idempotent(7, 0, 0);
        assert_eq!(append(&mut log, &batch).unwrap().base_offset, 0);
        assert!(append(&mut log, &batch).unwrap().is_duplicate);

        let bytes = log.read(0, 100, 1, true).unwrap();
        let header = validate_batch(&bytes).unwrap();
        assert_eq!(header.compression(), Ok(stored));
        let expected = batch.header();
        assert_eq!((header.producer_id, header.record_count), (7, expected.record_count));
        assert_eq!(header.max_timestamp, expected.max_timestamp);
        let mut plain = Vec::new();
        ottla_codecs::decompress(stored, &bytes[BatchHeader::SIZE..], 1 << 20, &mut plain).unwrap();
        assert_eq!(plain, batch.plain_records(), "{sent} to {stored}");
    }
}

#[test]
fn a_batch_that_its_topics_codec_makes_too_large_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(
        dir.path(),
        LogConfig {
            compression: Some(CompressionType::None),
            max_message_bytes: 500,
            ..LogConfig::default()
        },
    );
    let batch = Batch::of(["x".repeat(2000)]).compressed(CompressionType::Gzip);
    assert!(batch.encode().len() < 500);
    assert_eq!(append(&mut log, &batch).unwrap_err().code, ErrorCode::MESSAGE_TOO_LARGE);
    assert_eq!(log.log_end_offset(), 0);
}

#[test]
fn a_wrong_max_timestamp_is_put_right() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), LogConfig::default());
    let batch = Batch::numbered(3);
    let mut header = batch.header();
    header.max_timestamp = 5;
    let bytes = common::seal(header, &batch.plain_records());
    log.append(&mut Validator::default(), &bytes, 0, NOW_MS).unwrap();
    let header = validate_batch(&log.read(0, 3, 1, true).unwrap()).unwrap();
    assert_eq!(header.max_timestamp, NOW_MS + 2);
}

#[test]
fn retention_by_time_and_size_removes_whole_segments_from_the_front() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig { segment_bytes: 1_000, ..LogConfig::default() };
    let mut log = open(dir.path(), config.clone());
    for index in 0..50 {
        append(&mut log, &Batch::numbered(10).at(NOW_MS + index * 10)).unwrap();
    }
    let before = log.segment_count();
    log.set_config(LogConfig { retention_ms: Some(1000), ..config.clone() });
    assert!(log.apply_retention(NOW_MS + 1250).unwrap() > 0);
    assert!(log.segment_count() < before);
    let start = log.log_start_offset();
    assert!((1..=250).contains(&start), "{start}");
    assert!(matches!(log.read(start - 1, 500, 1, true), Err(ReadError::OutOfRange { .. })));

    log.set_config(LogConfig {
        retention_ms: None,
        retention_bytes: Some(2_000),
        ..config.clone()
    });
    log.apply_retention(NOW_MS).unwrap();
    assert!((2_000..3_500).contains(&log.size_bytes()), "{}", log.size_bytes());

    log.set_config(LogConfig { retention_ms: Some(1000), ..config.clone() });
    log.apply_retention(NOW_MS + 100_000).unwrap();
    assert_eq!((log.log_start_offset(), log.size_bytes()), (500, 0));
    assert_eq!(append(&mut log, &Batch::numbered(1)).unwrap().base_offset, 500);
    log.close(true).unwrap();
    let log = open(dir.path(), config);
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (500, 501));
}

#[test]
fn deleted_records_are_not_served() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig { segment_bytes: 1_000, ..LogConfig::default() };
    let mut log = open(dir.path(), config);
    for _ in 0..50 {
        append(&mut log, &Batch::numbered(10)).unwrap();
    }
    assert_eq!(log.delete_records(333).unwrap(), 333);
    assert!(matches!(log.read(332, 500, 1, true), Err(ReadError::OutOfRange { .. })));
    let bytes = log.read(333, 500, 1, true).unwrap();
    assert_eq!(validate_batch(&bytes).unwrap().base_offset, 330);
    assert_eq!(log.offset_at_time(0).unwrap().unwrap().offset, 333);
    assert_eq!(log.delete_records(5).unwrap(), 333);
    assert!(log.delete_records(501).is_err());
}

#[test]
fn damage_in_a_stored_batch_is_never_passed_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), LogConfig::default());
    let size = Batch::numbered(10).encode().len();
    for _ in 0..3 {
        append(&mut log, &Batch::numbered(10)).unwrap();
    }
    let path = dir.path().join("00000000000000000000.log");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[size + 80] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(log.read(0, 30, usize::MAX, true).unwrap().len(), size);
    let error = log.read(10, 30, usize::MAX, true).unwrap_err();
    assert!(error.to_string().contains("checksum"), "{error}");
    assert_eq!(log.read(20, 30, usize::MAX, true).unwrap().len(), size);
}

#[test]
fn a_duplicate_gets_its_first_offset_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig { segment_bytes: 1_000, ..LogConfig::default() };
    let mut log = open(dir.path(), config.clone());
    for index in 0..20 {
        append(&mut log, &Batch::numbered(10).idempotent(7, 0, index * 10)).unwrap();
    }
    for _ in 0..2 {
        for index in 15..20 {
            let again = append(&mut log, &Batch::numbered(10).idempotent(7, 0, index * 10));
            let again = again.unwrap();
            assert!(again.is_duplicate);
            assert_eq!(again.base_offset, i64::from(index) * 10);
        }
        let old = append(&mut log, &Batch::numbered(10).idempotent(7, 0, 140)).unwrap_err();
        assert_eq!(old.code, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
        assert_eq!(log.log_end_offset(), 200);
        log.close(true).unwrap();
        log = open(dir.path(), config.clone());
    }
}
