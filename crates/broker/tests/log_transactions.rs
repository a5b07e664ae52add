//! Transactions in the log: markers and who may write them, the last stable offset, the index of
//! what was aborted.

mod common;

use std::path::Path;
use std::sync::Arc;

use common::dying::Dying;
use common::{Batch, NOW_MS};
use ottla_broker::ErrorCode;
use ottla_broker::log::{
    AbortedTransaction, Appended, DiskStorage, LogConfig, OpenState, PartitionLog, Rejection,
    Storage, TransactionMarker, Validator,
};
use ottla_protocol::record::{BatchHeader, RecordReader, validate_batch};

fn config() -> LogConfig {
    LogConfig { segment_bytes: 600, index_interval_bytes: 100, ..LogConfig::default() }
}

fn open(dir: &Path, is_clean: bool) -> PartitionLog {
    open_on(Arc::new(DiskStorage { is_durable: false }), dir, is_clean)
}

fn open_on(storage: Arc<dyn Storage>, dir: &Path, is_clean: bool) -> PartitionLog {
    let state = OpenState { is_clean, recovery_point: 0, log_start_offset: 0, now_ms: NOW_MS };
    PartitionLog::open(storage, dir.to_owned(), config(), state).expect("the log opens").0
}

/// Two records of a producer, in a transaction.
fn write(
    log: &mut PartitionLog,
    producer_id: i64,
    epoch: i16,
    sequence: i32,
) -> Result<i64, ErrorCode> {
    let batch = Batch::numbered(2).idempotent(producer_id, epoch, sequence);
    append(log, &Batch { transactional: true, ..batch }).map(|appended| appended.base_offset)
}

fn append(log: &mut PartitionLog, batch: &Batch) -> Result<Appended, ErrorCode> {
    let appended = log.append(&mut Validator::default(), &batch.encode(), 4, NOW_MS);
    appended.map_err(|rejection| rejection.code)
}

fn marker(producer_id: i64, producer_epoch: i16, is_commit: bool) -> TransactionMarker {
    TransactionMarker {
        producer_id,
        producer_epoch,
        coordinator_epoch: 5,
        is_commit,
        transaction_version: 0,
    }
}

fn end(log: &mut PartitionLog, marker: TransactionMarker) -> Result<i64, ErrorCode> {
    let appended: Result<Appended, Rejection> = log.append_marker(&marker, 4, NOW_MS);
    appended.map(|appended| appended.base_offset).map_err(|rejection| rejection.code)
}

fn commit(log: &mut PartitionLog, producer_id: i64) -> i64 {
    end(log, marker(producer_id, 0, true)).expect("a marker is written")
}

fn abort(log: &mut PartitionLog, producer_id: i64) -> i64 {
    end(log, marker(producer_id, 0, false)).expect("a marker is written")
}

fn aborted(log: &PartitionLog, from: i64, up_to: i64) -> Vec<(i64, i64)> {
    let found = log.aborted_transactions(from, up_to).unwrap();
    let pair = |it: AbortedTransaction| (it.producer_id, it.first_offset);
    found.into_iter().map(pair).collect()
}

fn stable(log: &mut PartitionLog) -> i64 {
    let end = log.log_end_offset();
    log.last_stable_offset(end)
}

#[test]
fn a_marker_is_a_control_batch_with_the_kind_and_the_coordinators_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), true);
    write(&mut log, 7, 0, 0).unwrap();
    let offset = end(&mut log, marker(7, 0, false)).unwrap();
    let bytes = log.read(offset, offset + 1, usize::MAX, true).unwrap();
    let header = validate_batch(&bytes).unwrap();
    assert!(header.is_control() && header.is_transactional());
    assert_eq!((header.base_offset, header.last_offset_delta, header.record_count), (2, 0, 1));
    assert_eq!((header.producer_id, header.producer_epoch), (7, 0));
    assert_eq!((header.base_sequence, header.partition_leader_epoch), (-1, 4));
    assert_eq!(header.max_timestamp, NOW_MS);
    let record = RecordReader::new(&bytes[BatchHeader::SIZE..]).next().unwrap().unwrap();
    assert_eq!(record.key, Some(&[0, 0, 0, 0][..]));
    assert_eq!(record.value, Some(&[0, 0, 0, 0, 0, 5][..]));
    let commit = end(&mut log, marker(7, 0, true)).unwrap();
    let bytes = log.read(commit, commit + 1, usize::MAX, true).unwrap();
    let record = RecordReader::new(&bytes[BatchHeader::SIZE..]).next().unwrap().unwrap();
    assert_eq!(record.key, Some(&[0, 0, 0, 1][..]));
}

#[test]
fn readers_of_committed_records_wait_for_the_oldest_open_transaction() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), true);
    append(&mut log, &Batch::numbered(3)).unwrap();
    assert_eq!((stable(&mut log), log.first_unstable_offset()), (3, None));
    assert_eq!(write(&mut log, 1, 0, 0), Ok(3));
    assert_eq!(write(&mut log, 2, 0, 0), Ok(5));
    assert_eq!(write(&mut log, 1, 0, 2), Ok(7));
    assert_eq!((stable(&mut log), log.first_unstable_offset()), (3, Some(3)));
    commit(&mut log, 1);
    assert_eq!(stable(&mut log), 5);
    write(&mut log, 1, 0, 4).unwrap();
    abort(&mut log, 2);
    assert_eq!(stable(&mut log), 10);
    commit(&mut log, 1);
    assert_eq!((stable(&mut log), log.first_unstable_offset()), (14, None));
}

#[test]
fn a_transaction_is_stable_once_its_marker_is_below_the_high_watermark() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), true);
    write(&mut log, 1, 0, 0).unwrap();
    write(&mut log, 2, 0, 0).unwrap();
    let first = commit(&mut log, 1);
    let second = commit(&mut log, 2);
    assert_eq!((first, second), (4, 5));
    assert_eq!(log.last_stable_offset(0), 0);
    assert_eq!(log.last_stable_offset(4), 0);
    assert_eq!(log.last_stable_offset(5), 2);
    assert_eq!(log.last_stable_offset(6), 6);
}

#[test]
fn records_deleted_from_the_front_do_not_hold_readers_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), true);
    write(&mut log, 1, 0, 0).unwrap();
    append(&mut log, &Batch::numbered(3)).unwrap();
    log.delete_records(3).unwrap();
    assert_eq!((stable(&mut log), log.first_unstable_offset()), (3, Some(3)));
}

#[test]
fn only_aborted_transactions_with_records_in_the_range_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), true);
    write(&mut log, 1, 0, 0).unwrap();
    abort(&mut log, 1);
    write(&mut log, 2, 0, 0).unwrap();
    write(&mut log, 1, 0, 2).unwrap();
    commit(&mut log, 2);
    write(&mut log, 3, 0, 0).unwrap();
    abort(&mut log, 3);
    abort(&mut log, 1);
    assert_eq!(log.log_end_offset(), 12);
    assert!(log.segment_count() > 1);
    assert_eq!(aborted(&log, 0, 12), [(1, 0), (3, 8), (1, 5)]);
    assert_eq!(aborted(&log, 2, 12), [(1, 0), (3, 8), (1, 5)]);
    assert_eq!(aborted(&log, 3, 12), [(3, 8), (1, 5)]);
    assert_eq!(aborted(&log, 3, 8), [(1, 5)]);
    assert_eq!(aborted(&log, 0, 5), [(1, 0)]);
    assert_eq!(aborted(&log, 11, 12), [(1, 5)]);
    assert_eq!(aborted(&log, 12, 12), []);
}

#[test]
fn a_marker_of_an_older_producer_epoch_or_coordinator_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), true);
    write(&mut log, 1, 3, 0).unwrap();
    assert_eq!(end(&mut log, marker(1, 2, true)), Err(ErrorCode::INVALID_PRODUCER_EPOCH));
    assert_eq!(end(&mut log, marker(1, 3, true)), Ok(2));
    let zombie = TransactionMarker { coordinator_epoch: 4, ..marker(1, 3, true) };
    assert_eq!(end(&mut log, zombie), Err(ErrorCode::TRANSACTION_COORDINATOR_FENCED));
    assert_eq!(end(&mut log, marker(1, 3, true)), Ok(3));
    for nobody in [marker(-1, 0, true), marker(1, -1, true)] {
        assert_eq!(end(&mut log, nobody), Err(ErrorCode::INVALID_RECORD));
    }
    assert_eq!(log.log_end_offset(), 4);
}

#[test]
fn a_marker_with_a_newer_epoch_fences_the_producer() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), true);
    write(&mut log, 1, 0, 0).unwrap();
    end(&mut log, marker(1, 1, false)).unwrap();
    assert_eq!(write(&mut log, 1, 0, 2), Err(ErrorCode::INVALID_PRODUCER_EPOCH));
    assert_eq!(write(&mut log, 1, 1, 2), Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER));
    assert_eq!(write(&mut log, 1, 1, 0), Ok(3));
    assert_eq!(aborted(&log, 0, 5), [(1, 0)]);
}

/// With KIP-890 every transaction ends with the next epoch. A marker that comes late carries the
/// epoch in which the next transaction already runs.
#[test]
fn a_late_marker_does_not_end_the_next_transaction() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), true);
    let bumped = TransactionMarker { transaction_version: 2, ..marker(1, 1, true) };
    write(&mut log, 1, 0, 0).unwrap();
    assert_eq!(end(&mut log, bumped), Ok(2));
    assert_eq!(end(&mut log, bumped), Ok(3), "asked for again before the next transaction");
    write(&mut log, 1, 1, 0).unwrap();
    assert_eq!(end(&mut log, bumped), Err(ErrorCode::INVALID_PRODUCER_EPOCH));
    assert_eq!(log.producers().first_open_transaction(), Some(4));
    let next = TransactionMarker { producer_epoch: 2, ..bumped };
    assert_eq!(end(&mut log, next), Ok(6));
    assert_eq!(stable(&mut log), 7);

    let last = TransactionMarker { producer_id: 2, producer_epoch: i16::MAX, ..bumped };
    write(&mut log, 2, i16::MAX, 0).unwrap();
    assert_eq!(end(&mut log, last), Ok(9), "there is no next epoch");
}

#[test]
fn a_batch_outside_of_the_open_transaction_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), true);
    write(&mut log, 1, 0, 0).unwrap();
    let plain = Batch::numbered(2).idempotent(1, 0, 2);
    assert_eq!(append(&mut log, &plain), Err(ErrorCode::INVALID_TXN_STATE));
    let newer = Batch::numbered(2).idempotent(1, 1, 0);
    assert_eq!(append(&mut log, &newer), Err(ErrorCode::INVALID_TXN_STATE));
    commit(&mut log, 1);
    assert_eq!(append(&mut log, &plain).map(|appended| appended.base_offset), Ok(3));
}

#[test]
fn a_batch_sent_again_after_its_transaction_ended_is_a_duplicate() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), true);
    write(&mut log, 1, 0, 0).unwrap();
    commit(&mut log, 1);
    assert_eq!(write(&mut log, 1, 0, 0), Ok(0));
    assert_eq!((log.log_end_offset(), log.first_unstable_offset()), (3, Some(0)));
    assert_eq!(stable(&mut log), 3);
}

#[test]
fn a_producer_with_an_open_transaction_is_never_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), true);
    write(&mut log, 1, 0, 0).unwrap();
    log.expire_producers(NOW_MS + 1);
    assert_eq!(log.producers().len(), 1);
    commit(&mut log, 1);
    log.expire_producers(NOW_MS + 1);
    assert!(log.producers().is_empty());
}

#[test]
fn a_log_that_keeps_nothing_counts_markers() {
    let storage = Arc::new(DiskStorage { is_durable: false });
    let mut log = PartitionLog::discarding(storage, "nowhere".into(), config());
    assert_eq!(end(&mut log, marker(1, 0, true)), Ok(0));
    assert_eq!(log.log_end_offset(), 1);
    assert_eq!(log.last_stable_offset(1), 1);
    assert_eq!(aborted(&log, 0, 1), []);
}

/// A log of many transactions, with some left open.
fn many(dir: &Path) -> PartitionLog {
    let mut log = open(dir, true);
    for round in 0..20 {
        for producer in 0..4 {
            write(&mut log, producer, 0, round * 2).unwrap();
        }
        commit(&mut log, 0);
        abort(&mut log, 1);
        if round % 5 == 0 {
            abort(&mut log, 2);
        }
    }
    assert!(log.segment_count() > 5);
    log
}

fn all_aborted(log: &PartitionLog) -> Vec<(i64, i64)> {
    aborted(log, 0, log.log_end_offset())
}

#[test]
fn transactions_survive_a_restart_and_a_kill() {
    for is_clean in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let mut log = many(dir.path());
        let before = (log.producers().clone(), all_aborted(&log), stable(&mut log));
        assert_eq!(before.1.len(), 24);
        if is_clean {
            log.close(true).unwrap();
        }
        drop(log);
        let mut log = open(dir.path(), is_clean);
        let after = (log.producers().clone(), all_aborted(&log), stable(&mut log));
        assert_eq!(after, before, "{is_clean}");
        abort(&mut log, 3);
        assert_eq!(all_aborted(&log).len(), 25);
        // Its transaction began before the segment that it ends in.
        assert_eq!(all_aborted(&log).last(), Some(&(3, 6)));
    }
}

#[test]
fn the_index_of_aborted_transactions_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = many(dir.path());
    let before = all_aborted(&log);
    log.close(true).unwrap();
    drop(log);
    let indexes = || {
        let entries = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|it| it == "txnindex"))
    };
    assert!(indexes().count() > 5);
    // A clean start looks at what is there; after a kill all of it is read.
    indexes().for_each(|path| std::fs::write(path, [7; 40]).unwrap());
    let log = open(dir.path(), true);
    assert_eq!(all_aborted(&log), before);
    drop(log);
    indexes().for_each(|path| std::fs::remove_file(path).unwrap());
    let log = open(dir.path(), false);
    assert_eq!(all_aborted(&log), before);
}

#[test]
fn an_index_that_the_disk_refused_is_written_when_there_is_room() {
    for steps in 0..4 {
        let dir = tempfile::tempdir().unwrap();
        let disk = Dying::default();
        let mut log = open_on(Arc::new(disk.clone()), dir.path(), true);
        write(&mut log, 1, 0, 0).unwrap();
        abort(&mut log, 1);
        write(&mut log, 1, 0, 2).unwrap();
        disk.die_after(steps);
        let told = end(&mut log, marker(1, 0, false));
        disk.die_after(i64::MAX);
        let expected = match told {
            Ok(_) => vec![(1, 0), (1, 3)],
            Err(_) => vec![(1, 0)],
        };
        assert_eq!(told.is_ok(), steps > 0, "{steps}");
        assert_eq!(all_aborted(&log), expected);
        if told.is_ok() {
            log.close(true).unwrap();
        }
        drop(log);
        let log = open(dir.path(), told.is_ok());
        assert_eq!(all_aborted(&log), expected);
    }
}

#[test]
fn a_follower_knows_the_transactions_of_its_leader() {
    let (leader_dir, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut leader = many(leader_dir.path());
    let mut log = open(dir.path(), true);
    while log.log_end_offset() < leader.log_end_offset() {
        let end = leader.log_end_offset();
        let bytes = leader.read(log.log_end_offset(), end, usize::MAX, true).unwrap();
        log.append_replicated(&bytes, NOW_MS).unwrap();
    }
    assert_eq!(log.producers(), leader.producers());
    assert_eq!(all_aborted(&log), all_aborted(&leader));
    assert_eq!(stable(&mut log), stable(&mut leader));
}
