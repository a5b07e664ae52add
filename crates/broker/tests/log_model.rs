//! A partition's log beside a list of what was written to it: whatever comes, in whatever order,
//! they say the same.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use common::dying::Dying;
use common::{Batch, Chance, NOW_MS};
use ottla_broker::ErrorCode;
use ottla_broker::log::{
    Appended, LogConfig, OpenState, PartitionLog, Rejection, TransactionMarker, Validator,
    WINDOW_BATCHES,
};
use ottla_protocol::record::validate_batch;

const PRODUCERS: i64 = 4;
const SEEDS: u64 = 60;
const STEPS: u64 = 120;

/// A batch that is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Written {
    base_offset: i64,
    count: i64,
    leader_epoch: i32,
    producer_id: i64,
    epoch: i16,
    sequence: i32,
    is_transactional: bool,
    /// Whether it commits, and by whom, if it is a marker.
    marker: Option<(bool, i32)>,
}

impl Written {
    fn end(&self) -> i64 {
        self.base_offset + self.count
    }
}

/// What follows for one producer from the batches in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    epoch: i16,
    /// First sequence, number of records and base offset of its last batches.
    window: Vec<(i32, i64, i64)>,
    opened_at: Option<i64>,
    coordinator_epoch: i32,
}

/// A transaction without effect: whose, where it began, where its marker is.
type Aborted = (i64, i64, i64);

#[derive(Default)]
struct Model {
    batches: Vec<Written>,
    start: i64,
}

impl Model {
    fn end(&self) -> i64 {
        self.batches.last().map_or(0, Written::end)
    }

    fn replay(&self) -> (BTreeMap<i64, Known>, Vec<Aborted>) {
        let mut producers: BTreeMap<i64, Known> = BTreeMap::new();
        let mut aborted = Vec::new();
        for batch in self.batches.iter().filter(|batch| batch.producer_id >= 0) {
            let known = producers.entry(batch.producer_id).or_insert_with(|| Known {
                epoch: batch.epoch,
                coordinator_epoch: -1,
                ..Known::default()
            });
            if known.epoch != batch.epoch {
                known.epoch = batch.epoch;
                known.window.clear();
            }
            if let Some((is_commit, coordinator_epoch)) = batch.marker {
                known.coordinator_epoch = coordinator_epoch;
                let opened_at = known.opened_at.take();
                if let Some(opened_at) = opened_at.filter(|_| !is_commit) {
                    aborted.push((batch.producer_id, opened_at, batch.base_offset));
                }
                continue;
            }
            if batch.is_transactional {
                known.opened_at.get_or_insert(batch.base_offset);
            }
            known.window.push((batch.sequence, batch.count, batch.base_offset));
            if known.window.len() > WINDOW_BATCHES {
                known.window.remove(0);
            }
        }
        (producers, aborted)
    }

    /// Where the batch is, or goes.
    fn judge(&self, batch: &Written) -> Result<i64, ErrorCode> {
        let (producers, _) = self.replay();
        let Some(known) = producers.get(&batch.producer_id) else {
            return Ok(self.end());
        };
        if batch.epoch < known.epoch {
            return Err(ErrorCode::INVALID_PRODUCER_EPOCH);
        }
        let window: &[(i32, i64, i64)] =
            if batch.epoch == known.epoch { &known.window } else { &[] };
        let sent = (batch.sequence, batch.count);
        if let Some((_, _, offset)) = window.iter().find(|(at, count, _)| (*at, *count) == sent) {
            return Ok(*offset);
        }
        let next = window.last().map_or(0, |(sequence, count, _)| sequence + *count as i32);
        if batch.sequence != next {
            return Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
        }
        match known.opened_at {
            Some(_) if !batch.is_transactional => Err(ErrorCode::INVALID_TXN_STATE),
            _ => Ok(self.end()),
        }
    }

    fn judge_marker(&self, marker: &TransactionMarker) -> Result<i64, ErrorCode> {
        let (producers, _) = self.replay();
        if let Some(known) = producers.get(&marker.producer_id) {
            let is_next = marker.producer_epoch > known.epoch;
            let is_same = marker.producer_epoch == known.epoch;
            let may_be_same = marker.transaction_version < 2 || known.opened_at.is_none();
            if !(is_next || is_same && may_be_same) {
                return Err(ErrorCode::INVALID_PRODUCER_EPOCH);
            }
            if marker.coordinator_epoch < known.coordinator_epoch {
                return Err(ErrorCode::TRANSACTION_COORDINATOR_FENCED);
            }
        }
        Ok(self.end())
    }

    fn end_of_epoch(&self, epoch: i32) -> Option<(i32, i64)> {
        let found = self.batches.iter().rev().find(|batch| batch.leader_epoch <= epoch)?;
        let start = self.batches.iter().find(|batch| batch.leader_epoch > found.leader_epoch);
        Some((found.leader_epoch, start.map_or_else(|| self.end(), |batch| batch.base_offset)))
    }
}

fn open(disk: &Dying, dir: &Path, is_clean: bool, recovery: i64, start: i64) -> PartitionLog {
    disk.die_after(i64::MAX);
    let config =
        LogConfig { segment_bytes: 1_000, index_interval_bytes: 150, ..LogConfig::default() };
    let state =
        OpenState { is_clean, recovery_point: recovery, log_start_offset: start, now_ms: NOW_MS };
    PartitionLog::open(Arc::new(disk.clone()), dir.to_owned(), config, state)
        .expect("the log opens")
        .0
}

/// The log and the list, and what happens to both.
struct Pair {
    dir: tempfile::TempDir,
    disk: Dying,
    log: Option<PartitionLog>,
    model: Model,
    leader_epoch: i32,
    chance: Chance,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let disk = Dying::default();
        let log = Some(open(&disk, dir.path(), true, 0, 0));
        Self { dir, disk, log, model: Model::default(), leader_epoch: 0, chance: Chance(seed) }
    }

    fn log(&mut self) -> &mut PartitionLog {
        self.log.as_mut().expect("an open log")
    }

    fn step(&mut self) {
        match self.chance.below(40) {
            0..20 => self.append(),
            20..29 => self.end_transaction(),
            29..31 => self.leader_epoch += 1,
            31..33 => self.delete(),
            33..36 => self.truncate(),
            36..38 => self.restart(),
            _ => self.kill(),
        }
    }

    /// Sometimes the process is killed in the middle of what follows.
    fn may_die(&mut self) {
        if self.chance.one_in(6) {
            self.disk.die_after(self.chance.between(0, 9));
        }
    }

    /// What became of an append. One that the disk did not take has left nothing, and the process
    /// is gone.
    fn told(&mut self, appended: Result<Appended, Rejection>) -> Option<Result<i64, ErrorCode>> {
        let told = appended.map(|appended| appended.base_offset).map_err(|refused| refused.code);
        if told == Err(ErrorCode::KAFKA_STORAGE_ERROR) {
            self.kill();
            return None;
        }
        self.disk.die_after(i64::MAX);
        Some(told)
    }

    fn append(&mut self) {
        let chance = &mut self.chance;
        let producer_id = chance.between(-1, PRODUCERS - 1);
        let (producers, _) = self.model.replay();
        let known = producers.get(&producer_id).cloned().unwrap_or_default();
        let last = known.window.last().copied();
        let mut written = Written {
            base_offset: self.model.end(),
            count: chance.between(1, 4),
            leader_epoch: self.leader_epoch,
            producer_id,
            epoch: known.epoch,
            sequence: last.map_or(0, |(sequence, count, _)| sequence + count as i32),
            is_transactional: known.opened_at.is_some() || chance.one_in(2),
            marker: None,
        };
        if producer_id < 0 {
            (written.epoch, written.sequence, written.is_transactional) = (-1, -1, false);
        } else {
            match chance.below(12) {
                0 => written.epoch = (written.epoch - 1).max(0),
                1 => (written.epoch, written.sequence) = (written.epoch + 1, 0),
                2 => written.sequence += 1,
                3 => written.is_transactional = false,
                4 if !known.window.is_empty() => {
                    let index = chance.below(known.window.len() as u64) as usize;
                    (written.sequence, written.count) =
                        (known.window[index].0, known.window[index].1);
                }
                _ => {}
            }
        }
        let expected = self.model.judge(&written);
        let batch = Batch {
            transactional: written.is_transactional,
            ..Batch::numbered(written.count as usize)
        };
        let batch = batch.idempotent(producer_id, written.epoch, written.sequence).encode();
        let epoch = self.leader_epoch;
        self.may_die();
        let appended = self.log().append(&mut Validator::default(), &batch, epoch, NOW_MS);
        let Some(told) = self.told(appended) else {
            return;
        };
        assert_eq!(told, expected, "{written:?}");
        if expected == Ok(self.model.end()) {
            self.model.batches.push(written);
        }
    }

    fn end_transaction(&mut self) {
        let chance = &mut self.chance;
        let producer_id = chance.between(0, PRODUCERS - 1);
        let (producers, _) = self.model.replay();
        let known = producers.get(&producer_id).cloned().unwrap_or_default();
        let marker = TransactionMarker {
            producer_id,
            producer_epoch: (known.epoch + chance.between(-1, 1) as i16).max(0),
            coordinator_epoch: (known.coordinator_epoch + chance.between(-1, 2) as i32).max(0),
            is_commit: chance.one_in(2),
            transaction_version: chance.between(0, 2) as i16,
        };
        let expected = self.model.judge_marker(&marker);
        let epoch = self.leader_epoch;
        self.may_die();
        let appended = self.log().append_marker(&marker, epoch, NOW_MS);
        let Some(told) = self.told(appended) else {
            return;
        };
        assert_eq!(told, expected, "{marker:?}");
        if let Ok(base_offset) = expected {
            self.model.batches.push(Written {
                base_offset,
                count: 1,
                leader_epoch: self.leader_epoch,
                producer_id,
                epoch: marker.producer_epoch,
                sequence: -1,
                is_transactional: true,
                marker: Some((marker.is_commit, marker.coordinator_epoch)),
            });
        }
    }

    fn delete(&mut self) {
        let (start, end) = (self.model.start, self.model.end());
        let offset = self.chance.between(start, start + (end - start) / 2);
        assert_eq!(self.log().delete_records(offset).unwrap(), offset);
        self.model.start = offset;
    }

    fn truncate(&mut self) {
        let (start, end) = (self.model.start, self.model.end());
        let least = (end - 30).max(start);
        let offset = self.chance.between(least, end);
        self.may_die();
        let mut end = offset;
        if self.log().truncate_to(offset, NOW_MS).is_err() {
            self.kill();
            // It may have got anywhere.
            end = self.log().log_end_offset().max(offset);
        }
        self.disk.die_after(i64::MAX);
        self.model.batches.retain(|batch| batch.end() <= end);
        self.model.start = start.min(self.model.end());
    }

    fn restart(&mut self) {
        let mut log = self.log.take().expect("an open log");
        log.close(true).unwrap();
        drop(log);
        let (start, end) = (self.model.start, self.model.end());
        self.log = Some(open(&self.disk, self.dir.path(), true, end, start));
    }

    fn kill(&mut self) {
        let log = self.log.take().expect("an open log");
        let mut recovery_point = self.chance.between(0, log.log_end_offset());
        drop(log);
        // What is made from the log may be lost, as long as the log goes back to the beginning.
        if self.model.start == 0 && self.chance.one_in(2) {
            recovery_point = 0;
            for entry in fs::read_dir(self.dir.path()).unwrap() {
                let path = entry.unwrap().path();
                let is_log = path.extension().is_some_and(|kind| kind == "log");
                if !is_log && self.chance.one_in(2) {
                    fs::remove_file(path).unwrap();
                }
            }
        }
        let start = self.model.start;
        self.log = Some(open(&self.disk, self.dir.path(), false, recovery_point, start));
    }

    fn compare(&mut self) {
        let log = self.log.as_mut().expect("an open log");
        let (start, end) = (self.model.start, self.model.end());
        assert_eq!((log.log_start_offset(), log.log_end_offset()), (start, end));
        let (producers, aborted) = self.model.replay();
        let found: BTreeMap<i64, Known> = log
            .producers()
            .iter()
            .map(|(id, entry)| {
                let batches = entry.batches.iter().map(|batch| {
                    let count = i64::from(batch.offset_delta) + 1;
                    (batch.first_sequence, count, batch.first_offset())
                });
                let known = Known {
                    epoch: entry.epoch,
                    window: batches.collect(),
                    opened_at: entry.transaction_first_offset,
                    coordinator_epoch: entry.coordinator_epoch,
                };
                (id, known)
            })
            .collect();
        assert_eq!(found, producers);
        let opened = producers.values().filter_map(|known| known.opened_at).min();
        let stable = opened.map_or(end, |first| first.max(start));
        assert_eq!(log.last_stable_offset(end), stable);
        for _ in 0..4 {
            let from = self.chance.between(start, end);
            let up_to = self.chance.between(from, end);
            let found = log.aborted_transactions(from, up_to).unwrap();
            let found: Vec<_> = found.iter().map(|it| (it.producer_id, it.first_offset)).collect();
            let has_records = |it: &&Aborted| it.2 >= from && it.1 < up_to;
            let expected = aborted.iter().filter(has_records).map(|it| (it.0, it.1));
            assert_eq!(found, expected.collect::<Vec<_>>(), "{from}..{up_to}");
        }
        for epoch in 0..=self.leader_epoch {
            if start == 0 {
                assert_eq!(log.end_of_leader_epoch(epoch), self.model.end_of_epoch(epoch));
            }
        }
    }

    fn read_through(&mut self) {
        let start = self.model.start;
        let expected: Vec<Written> =
            self.model.batches.iter().copied().filter(|batch| batch.end() > start).collect();
        let log = self.log();
        for batch in expected {
            let from = batch.base_offset.max(start);
            let bytes = log.read(from, log.log_end_offset(), 1, true).unwrap();
            let header = validate_batch(&bytes).unwrap();
            assert_eq!(header.base_offset, batch.base_offset);
            assert_eq!(header.last_offset() + 1, batch.end());
            assert_eq!(header.partition_leader_epoch, batch.leader_epoch);
            assert_eq!(header.producer_id, batch.producer_id);
            assert_eq!(header.is_control(), batch.marker.is_some());
        }
    }
}

#[test]
fn a_log_agrees_with_the_list_of_its_batches_whatever_happens_to_it() {
    for seed in 0..SEEDS {
        let mut pair = Pair::new(seed);
        for step in 0..STEPS {
            // The last line that is printed says where it went wrong.
            println!("seed {seed}, step {step}");
            pair.step();
            pair.compare();
        }
        pair.read_through();
    }
}
