//! The log of a follower: fetched batches as they are, cuts, and a new beginning.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use common::dying::Dying;
use common::{Batch, NOW_MS};
use ottla_broker::log::{
    DiskStorage, LogConfig, LogError, OpenState, PartitionLog, Storage, Validator,
};
use ottla_protocol::record::validate_batch;

const DISK: DiskStorage = DiskStorage { is_durable: false };
const RECORDS: i64 = 3;
const BATCHES: i64 = 40;

fn config() -> LogConfig {
    LogConfig { segment_bytes: 1_500, index_interval_bytes: 200, ..LogConfig::default() }
}

fn open_on(storage: Arc<dyn Storage>, dir: &Path, is_clean: bool) -> PartitionLog {
    let state = OpenState { is_clean, recovery_point: 0, log_start_offset: 0, now_ms: NOW_MS };
    PartitionLog::open(storage, dir.to_owned(), config(), state).expect("the log opens").0
}

fn open(dir: &Path, is_clean: bool) -> PartitionLog {
    open_on(Arc::new(DISK), dir, is_clean)
}

/// The batch with this index; two producers take turns, and the epoch rises every tenth batch.
fn batch(index: i64) -> Batch {
    Batch::numbered(RECORDS as usize)
        .idempotent(index % 2, 0, (index / 2 * RECORDS) as i32)
        .at(NOW_MS + index * 10)
}

fn append(log: &mut PartitionLog, index: i64) {
    let epoch = (index / 10) as i32;
    let appended = log.append(&mut Validator::default(), &batch(index).encode(), epoch, NOW_MS);
    assert!(!appended.expect("appends").is_duplicate);
}

/// A log of the first `count` batches.
fn leader(dir: &Path, count: i64) -> PartitionLog {
    let mut log = open(dir, true);
    (0..count).for_each(|index| append(&mut log, index));
    log
}

/// What a fetch from the leader brings, as much as there is in one segment.
fn fetch(log: &mut PartitionLog, offset: i64) -> Vec<u8> {
    let end = log.log_end_offset();
    log.read(offset, end, usize::MAX, true).expect("readable").to_vec()
}

fn replicate(from: &mut PartitionLog, to: &mut PartitionLog) {
    while to.log_end_offset() < from.log_end_offset() {
        let bytes = fetch(from, to.log_end_offset());
        to.append_replicated(&bytes, NOW_MS).expect("goes on");
    }
}

/// The files of a log by name, without a checkpoint of no epochs.
fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let files = entries.map(|entry| {
        let name = entry.file_name().into_string().unwrap();
        (name, fs::read(entry.path()).unwrap())
    });
    files.filter(|(_, bytes)| bytes != b"0\n0\n").collect()
}

#[track_caller]
fn assert_same_files(left: &Path, right: &Path) {
    let (left, right) = (contents(left), contents(right));
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&left), names(&right));
    for (name, bytes) in left {
        assert!(right[&name] == bytes, "{name} differs");
    }
}

#[track_caller]
fn assert_same_state(left: &PartitionLog, right: &PartitionLog) {
    assert_eq!(left.log_end_offset(), right.log_end_offset());
    assert_eq!(left.producers(), right.producers());
    assert_eq!(left.latest_epoch(), right.latest_epoch());
    for epoch in 0..=BATCHES as i32 / 10 {
        assert_eq!(left.end_of_leader_epoch(epoch), right.end_of_leader_epoch(epoch));
    }
}

fn count_batches(log: &mut PartitionLog) -> i64 {
    let end = log.log_end_offset();
    let mut offset = log.log_start_offset();
    let mut count = 0;
    while offset < end {
        let header = validate_batch(&log.read(offset, end, 1, true).unwrap()).unwrap();
        assert_eq!(header.base_offset, offset);
        offset = header.last_offset() + 1;
        count += 1;
    }
    count
}

#[test]
fn a_replicated_log_has_the_very_files_of_its_leader() {
    let (leader_dir, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut leader = leader(leader_dir.path(), BATCHES);
    let mut log = open(dir.path(), true);
    replicate(&mut leader, &mut log);
    assert_same_state(&log, &leader);
    assert_same_files(dir.path(), leader_dir.path());
    assert!(log.segment_count() >= 3);
    // As a leader it knows what was sent to the one before it.
    let sent = batch(BATCHES - 3).encode();
    let again = log.append(&mut Validator::default(), &sent, 9, NOW_MS).unwrap();
    assert!(again.is_duplicate);
    assert_eq!(again.base_offset, (BATCHES - 3) * RECORDS);
}

#[test]
fn what_does_not_continue_the_log_or_is_damaged_is_not_appended() {
    let (leader_dir, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut leader = leader(leader_dir.path(), 8);
    let mut log = open(dir.path(), true);
    let whole = fetch(&mut leader, 0);
    log.append_replicated(&whole[..whole.len() / 8], NOW_MS).unwrap();
    let end = log.log_end_offset();
    assert_eq!(end, RECORDS);
    let behind = fetch(&mut leader, end + RECORDS);
    let next = fetch(&mut leader, end);
    let size = next.len() / 7;
    let mut bad = vec![whole, behind, next[..next.len() - 1].to_vec(), vec![0; 100]];
    for at in [0, 7, 8, 16, 17, 24, 60, 70] {
        // The damage is in the second of the batches, and takes the first along.
        let mut damaged = next.clone();
        damaged[size + at] ^= 1;
        bad.push(damaged);
    }
    for (index, bytes) in bad.iter().enumerate() {
        let error = log.append_replicated(bytes, NOW_MS).unwrap_err();
        assert!(matches!(error, LogError::Mismatch { .. }), "{index}: {error}");
        assert_eq!(log.log_end_offset(), end, "{index}");
    }
    log.append_replicated(&next, NOW_MS).unwrap();
    assert_same_files(dir.path(), leader_dir.path());
}

#[test]
fn a_batch_whose_offsets_go_backwards_or_too_far_is_not_appended() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), true);
    for delta in [-1, i32::MIN] {
        let mut header = batch(0).header();
        header.last_offset_delta = delta;
        let bytes = common::seal(header, &batch(0).plain_records());
        assert!(log.append_replicated(&bytes, NOW_MS).is_err(), "{delta}");
    }
    log.reset_to(i64::MAX - 1, NOW_MS).unwrap();
    let mut header = batch(0).header();
    header.base_offset = i64::MAX - 1;
    let bytes = common::seal(header, &batch(0).plain_records());
    assert!(log.append_replicated(&bytes, NOW_MS).is_err());
    assert_eq!(log.log_end_offset(), i64::MAX - 1);
}

#[test]
fn a_log_cut_at_any_batch_is_the_log_that_never_had_the_rest() {
    for count in 0..=BATCHES {
        for inside in [0, 1] {
            let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let mut log = leader(dir.path(), BATCHES);
            let offset = count * RECORDS + inside;
            log.truncate_to(offset, NOW_MS).unwrap();
            let shorter = leader(other.path(), count);
            assert_same_state(&log, &shorter);
            assert_same_files(dir.path(), other.path());
            drop((log, shorter));

            let mut log = open(dir.path(), false);
            let mut shorter = open(other.path(), false);
            assert_same_state(&log, &shorter);
            for log in [&mut log, &mut shorter] {
                assert_eq!(count_batches(log), count);
                (count..BATCHES).for_each(|index| append(log, index));
                log.close(true).unwrap();
            }
            assert_same_state(&log, &shorter);
            assert_same_files(dir.path(), other.path());
        }
    }
}

#[test]
fn a_cut_behind_the_end_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = leader(dir.path(), BATCHES);
    let before = contents(dir.path());
    for offset in [BATCHES * RECORDS, BATCHES * RECORDS + 1, i64::MAX] {
        log.truncate_to(offset, NOW_MS).unwrap();
    }
    assert_eq!(contents(dir.path()), before);
}

#[test]
fn duplicates_are_known_right_after_a_cut_and_what_was_cut_is_none() {
    for count in [7, 8, 20, BATCHES - 1] {
        let dir = tempfile::tempdir().unwrap();
        let mut log = leader(dir.path(), BATCHES);
        log.truncate_to(count * RECORDS, NOW_MS).unwrap();
        for index in count - 6..count {
            let sent = batch(index).encode();
            let again = log.append(&mut Validator::default(), &sent, 9, NOW_MS).unwrap();
            assert!(again.is_duplicate, "{index} of {count}");
            assert_eq!(again.base_offset, index * RECORDS);
        }
        append(&mut log, count);
        assert_eq!(log.log_end_offset(), (count + 1) * RECORDS);
    }
}

#[test]
fn a_cut_before_the_first_offset_leaves_an_empty_log_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = leader(dir.path(), BATCHES);
    log.delete_records(20 * RECORDS + 1).unwrap();
    log.truncate_to(20 * RECORDS, NOW_MS).unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (60, 60));
    log.truncate_to(5, NOW_MS).unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (5, 5));
    assert!(log.producers().is_empty());
    assert_eq!((log.segment_count(), log.latest_epoch()), (1, None));
}

#[test]
fn a_log_that_begins_anew_has_nothing_of_the_old_one() {
    for offset in [0, 4, BATCHES * RECORDS, 1_000_000] {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut log = leader(dir.path(), BATCHES);
        log.reset_to(offset, NOW_MS).unwrap();
        assert_eq!((log.log_start_offset(), log.log_end_offset()), (offset, offset));
        assert!(log.producers().is_empty());
        assert_eq!((log.latest_epoch(), log.size_bytes()), (None, 0));
        let mut header = batch(0).header();
        header.base_offset = offset;
        header.partition_leader_epoch = 7;
        let bytes = common::seal(header, &batch(0).plain_records());
        log.append_replicated(&bytes, NOW_MS).unwrap();
        assert_eq!(log.latest_epoch(), Some(7));
        drop(log);

        let mut log = open(dir.path(), false);
        assert_eq!(log.log_end_offset(), offset + RECORDS);
        assert_eq!(log.end_of_leader_epoch(9), Some((7, offset + RECORDS)));
        assert_eq!(fetch(&mut log, offset), bytes);
        let mut fresh = open(other.path(), true);
        fresh.reset_to(offset, NOW_MS).unwrap();
        fresh.append_replicated(&bytes, NOW_MS).unwrap();
        assert_same_state(&log, &fresh);
    }
}

#[test]
fn a_log_that_keeps_nothing_counts_what_it_is_given() {
    let dir = tempfile::tempdir().unwrap();
    let mut leader = leader(dir.path(), 8);
    let mut log = PartitionLog::discarding(Arc::new(DISK), dir.path().join("none"), config());
    log.append_replicated(&fetch(&mut leader, 0), NOW_MS).unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (24, 24));
    log.truncate_to(12, NOW_MS).unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (12, 12));
    log.reset_to(30, NOW_MS).unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (30, 30));
}

/// Does `change` to a log of all batches with a process that is killed after each possible number
/// of steps, and gives what is found afterwards to `look`.
fn kill_everywhere(
    change: impl Fn(&mut PartitionLog) -> Result<(), LogError>,
    look: impl Fn(&mut PartitionLog),
) {
    let mut steps = 0;
    loop {
        let dir = tempfile::tempdir().unwrap();
        leader(dir.path(), BATCHES).close(true).unwrap();
        let disk = Dying::default();
        let mut log = open_on(Arc::new(disk.clone()), dir.path(), true);
        disk.die_after(steps);
        let changed = change(&mut log);
        if let Err(error) = &changed {
            assert!(matches!(error, LogError::Io { .. }), "{error}");
            assert!(log.failure().is_some());
            assert!(log.append_replicated(&[], NOW_MS).is_err());
        }
        drop(log);
        look(&mut open(dir.path(), false));
        if changed.is_ok() {
            break;
        }
        steps += 1;
    }
    assert!(steps > 3, "{steps}");
}

#[test]
fn a_process_killed_while_it_cuts_its_log_leaves_a_whole_one() {
    for target in [0, 1, 17, 30, BATCHES - 1] {
        let offset = target * RECORDS;
        kill_everywhere(
            |log| log.truncate_to(offset, NOW_MS),
            |log| {
                let other = tempfile::tempdir().unwrap();
                let count = count_batches(log);
                assert!((target..=BATCHES).contains(&count), "{count}");
                let shorter = leader(other.path(), count);
                assert_same_state(log, &shorter);
                log.truncate_to(offset, NOW_MS).unwrap();
                assert_eq!(count_batches(log), target);
                (target..BATCHES).for_each(|index| append(log, index));
            },
        );
    }
}

#[test]
fn a_process_killed_while_its_log_begins_anew_leaves_a_whole_one() {
    for offset in [0, 7, 1_000_000] {
        kill_everywhere(
            |log| log.reset_to(offset, NOW_MS),
            |log| {
                let other = tempfile::tempdir().unwrap();
                if log.log_start_offset() == offset && log.log_end_offset() == offset {
                    assert!(log.producers().is_empty());
                    assert_eq!(log.latest_epoch(), None);
                } else {
                    let shorter = leader(other.path(), count_batches(log));
                    assert_same_state(log, &shorter);
                }
                log.reset_to(offset, NOW_MS).unwrap();
                assert_eq!((log.log_start_offset(), log.log_end_offset()), (offset, offset));
            },
        );
    }
}
