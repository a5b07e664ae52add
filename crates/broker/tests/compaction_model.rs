//! A log that is compacted beside a list of what was written to it: whatever comes, and whenever
//! the process is killed, its readers see the last committed value of each key, at its old offset.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use common::compacted::{Seen, read_committed};
use common::dying::Dying;
use common::{Batch, Chance, NOW_MS};
use ottla_broker::log::{LogConfig, OpenState, PartitionLog, TransactionMarker, Validator};
use ottla_protocol::record::{BatchHeader, CompressionType};

const PRODUCERS: i64 = 4;
const KEYS: u64 = 6;
const STEPS: u64 = 120;
const DELETE_RETENTION_MS: i64 = 1000;

const CODECS: [CompressionType; 3] =
    [CompressionType::None, CompressionType::Lz4, CompressionType::Zstd];

/// A batch that was written.
#[derive(Clone, Debug)]
struct Written {
    base_offset: i64,
    producer_id: i64,
    epoch: i16,
    sequence: i32,
    is_transactional: bool,
    /// Whether it commits, if it is a marker; it has no records then.
    marker: Option<bool>,
    base_timestamp: i64,
    records: Vec<(String, Option<String>)>,
}

impl Written {
    fn count(&self) -> i64 {
        if self.marker.is_some() { 1 } else { self.records.len() as i64 }
    }

    fn end(&self) -> i64 {
        self.base_offset + self.count()
    }
}

/// What follows for a producer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    epoch: i16,
    next_sequence: i32,
    opened_at: Option<i64>,
}

#[derive(Default)]
struct Model {
    batches: Vec<Written>,
    start: i64,
}

impl Model {
    fn end(&self) -> i64 {
        self.batches.last().map_or(0, Written::end)
    }

    fn producers(&self) -> BTreeMap<i64, Known> {
        let mut all: BTreeMap<i64, Known> = BTreeMap::new();
        for batch in self.batches.iter().filter(|batch| batch.producer_id >= 0) {
            let known = all.entry(batch.producer_id).or_default();
            if known.epoch != batch.epoch {
                *known = Known { epoch: batch.epoch, ..known.clone() };
                known.next_sequence = 0;
            }
            match batch.marker {
                Some(_) => known.opened_at = None,
                None => {
                    known.next_sequence = batch.sequence + batch.records.len() as i32;
                    if batch.is_transactional {
                        known.opened_at.get_or_insert(batch.base_offset);
                    }
                }
            }
        }
        all
    }

    /// Up to where it is known what counts, given what the others have.
    fn stable(&self, high_watermark: i64) -> i64 {
        let mut open: BTreeMap<i64, i64> = BTreeMap::new();
        let replicated = self.batches.iter().filter(|batch| match batch.marker {
            Some(_) => batch.base_offset < high_watermark,
            None => batch.is_transactional,
        });
        for batch in replicated {
            match batch.marker {
                Some(_) => open.remove(&batch.producer_id),
                None => Some(*open.entry(batch.producer_id).or_insert(batch.base_offset)),
            };
        }
        let opened = open.into_values().min();
        opened.map_or(high_watermark, |first| first.max(self.start).min(high_watermark))
    }

    /// Every record before `end` that counts.
    fn committed(&self, end: i64) -> Vec<Seen> {
        let mut open: BTreeMap<i64, Vec<Seen>> = BTreeMap::new();
        let mut seen = Vec::new();
        for batch in &self.batches {
            if let Some(is_commit) = batch.marker {
                let of_transaction = open.remove(&batch.producer_id).unwrap_or_default();
                seen.extend(of_transaction.into_iter().filter(|_| is_commit));
                continue;
            }
            let records = (0..).zip(&batch.records).map(|(place, (key, value))| Seen {
                offset: batch.base_offset + place,
                timestamp_ms: batch.base_timestamp + place,
                key: key.clone(),
                value: value.clone(),
            });
            match batch.is_transactional {
                true => open.entry(batch.producer_id).or_default().extend(records),
                false => seen.extend(records),
            }
        }
        seen.retain(|record| record.offset < end);
        seen.sort_by_key(|record| record.offset);
        seen
    }
}

/// The last value of each key, without those that were deleted.
fn values(seen: &[Seen]) -> BTreeMap<String, Seen> {
    let last: BTreeMap<String, Seen> =
        seen.iter().map(|record| (record.key.clone(), record.clone())).collect();
    last.into_iter().filter(|(_, record)| record.value.is_some()).collect()
}

fn open(disk: &Dying, dir: &Path, state: (bool, i64, i64), dirty: i64, now: i64) -> PartitionLog {
    disk.die_after(i64::MAX);
    let config = LogConfig {
        segment_bytes: 900,
        index_interval_bytes: 150,
        is_compacted: true,
        min_cleanable_dirty_ratio: 0.0,
        delete_retention_ms: DELETE_RETENTION_MS,
        ..LogConfig::default()
    };
    let (is_clean, recovery_point, log_start_offset) = state;
    let state = OpenState { is_clean, recovery_point, log_start_offset, now_ms: now };
    let opened = PartitionLog::open(Arc::new(disk.clone()), dir.to_owned(), config, state);
    let (mut log, _) = opened.expect("the log opens");
    log.set_first_dirty_offset(dirty);
    log
}

/// The log, a follower, the list, and what happens to them.
struct Trio {
    dirs: [tempfile::TempDir; 2],
    disk: Dying,
    log: Option<PartitionLog>,
    follower: PartitionLog,
    model: Model,
    high_watermark: i64,
    /// Behind this offset nothing was ever cleaned.
    cleaned_to: i64,
    now_ms: i64,
    /// When the follower last had what was replicated.
    followed_at: i64,
    chance: Chance,
    cleanings: u32,
    kills_in_cleanings: u32,
}

impl Trio {
    fn new(seed: u64) -> Self {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let disk = Dying::default();
        let log = open(&disk, dirs[0].path(), (true, 0, 0), 0, NOW_MS);
        let follower = open(&Dying::default(), dirs[1].path(), (true, 0, 0), 0, NOW_MS);
        Self {
            dirs,
            disk,
            log: Some(log),
            follower,
            model: Model::default(),
            high_watermark: 0,
            cleaned_to: 0,
            now_ms: NOW_MS,
            followed_at: NOW_MS,
            chance: Chance(seed),
            cleanings: 0,
            kills_in_cleanings: 0,
        }
    }

    fn log(&mut self) -> &mut PartitionLog {
        self.log.as_mut().expect("an open log")
    }

    fn step(&mut self) {
        self.now_ms += self.chance.between(0, 60);
        match self.chance.below(40) {
            0..20 => self.append(),
            20..26 => self.end_transaction(),
            26..33 => self.clean(),
            33..35 => {
                self.follow(8);
                self.compare_follower();
            }
            35 => self.delete(),
            36 => self.truncate(),
            37 => self.restart(),
            38 => self.kill(),
            _ => self.now_ms += DELETE_RETENTION_MS,
        }
    }

    fn append(&mut self) {
        let chance = &mut self.chance;
        let producer_id = chance.between(-1, PRODUCERS - 1);
        let known = self.model.producers().get(&producer_id).cloned().unwrap_or_default();
        let count = chance.between(1, 4);
        let number = self.model.batches.len();
        let records = (0..count).map(|index| {
            let value = (!chance.one_in(4)).then(|| format!("value {number}.{index}"));
            (format!("key {}", chance.below(KEYS)), value)
        });
        let records: Vec<_> = records.collect();
        let has_producer = producer_id >= 0;
        let written = Written {
            base_offset: self.model.end(),
            producer_id,
            epoch: if has_producer { known.epoch } else { -1 },
            sequence: if has_producer { known.next_sequence } else { -1 },
            is_transactional: has_producer && (known.opened_at.is_some() || chance.one_in(2)),
            marker: None,
            base_timestamp: self.now_ms,
            records,
        };
        let batch = Batch {
            transactional: written.is_transactional,
            compression: CODECS[chance.below(3) as usize],
            records: written
                .records
                .iter()
                .map(|(key, value)| {
                    (Some(key.as_bytes().to_vec()), value.as_ref().map(|it| it.as_bytes().to_vec()))
                })
                .collect(),
            ..Batch::numbered(0)
        };
        let batch = batch
            .idempotent(producer_id, written.epoch, written.sequence)
            .at(written.base_timestamp)
            .encode();
        let now_ms = self.now_ms;
        let appended = self.log().append(&mut Validator::default(), &batch, 0, now_ms).unwrap();
        assert_eq!(appended.base_offset, written.base_offset);
        assert!(!appended.is_duplicate);
        self.model.batches.push(written);
    }

    fn end_transaction(&mut self) {
        let open = self.model.producers().into_iter();
        let open: Vec<_> = open.filter(|(_, known)| known.opened_at.is_some()).collect();
        if open.is_empty() {
            return;
        }
        let (producer_id, known) = &open[self.chance.below(open.len() as u64) as usize];
        let bumps = self.chance.one_in(2);
        let marker = TransactionMarker {
            producer_id: *producer_id,
            producer_epoch: known.epoch + i16::from(bumps),
            coordinator_epoch: 3,
            is_commit: self.chance.one_in(2),
            transaction_version: if bumps { 2 } else { 0 },
        };
        let now_ms = self.now_ms;
        let appended = self.log().append_marker(&marker, 0, now_ms).unwrap();
        self.model.batches.push(Written {
            base_offset: appended.base_offset,
            producer_id: *producer_id,
            epoch: marker.producer_epoch,
            sequence: -1,
            is_transactional: true,
            marker: Some(marker.is_commit),
            base_timestamp: now_ms,
            records: Vec::new(),
        });
    }

    fn raise_high_watermark(&mut self) {
        let boundaries: Vec<i64> = self.model.batches.iter().map(Written::end).collect();
        let above: Vec<i64> =
            boundaries.into_iter().filter(|end| *end > self.high_watermark).collect();
        if !above.is_empty() {
            self.high_watermark = above[self.chance.below(above.len() as u64) as usize];
        }
    }

    fn clean(&mut self) {
        if self.now_ms >= self.followed_at + DELETE_RETENTION_MS {
            // What is left for so long has to be copied within it.
            self.follow(u64::MAX);
        }
        self.raise_high_watermark();
        let (high_watermark, now_ms) = (self.high_watermark, self.now_ms);
        if self.chance.one_in(3) {
            self.disk.die_after(self.chance.between(0, 30));
        }
        match self.log().clean(high_watermark, now_ms) {
            Ok(was_due) => {
                self.disk.die_after(i64::MAX);
                self.cleanings += u32::from(was_due);
                if was_due {
                    self.cleaned_to = self.cleaned_to.max(self.log().first_dirty_offset());
                    self.check_clean();
                }
            }
            Err(_) => {
                self.kills_in_cleanings += 1;
                self.cleaned_to = self.cleaned_to.max(self.high_watermark);
                self.kill();
            }
        }
    }

    /// No key is there twice in what is clean.
    fn check_clean(&mut self) {
        let end = self.log().first_dirty_offset();
        let mut keys = BTreeSet::new();
        for record in read_committed(self.log.as_mut().unwrap(), end) {
            assert!(keys.insert(record.key.clone()), "{record:?} has a later one");
        }
    }

    /// The follower copies what is replicated, as it stands in the leader's log, or a part of it.
    fn follow(&mut self, stops_one_in: u64) {
        self.raise_high_watermark();
        let (high_watermark, now_ms) = (self.high_watermark, self.now_ms);
        let log = self.log.as_mut().unwrap();
        if self.follower.log_end_offset() < log.log_start_offset() {
            self.follower.reset_to(log.log_start_offset(), now_ms).unwrap();
        }
        loop {
            let end = self.follower.log_end_offset();
            let bytes = log.read(end, high_watermark, 700, true).unwrap();
            if bytes.is_empty() {
                self.followed_at = now_ms;
                break;
            }
            if self.chance.one_in(stops_one_in) {
                break;
            }
            let base = BatchHeader::read(&bytes).unwrap().base_offset;
            if self.follower.log_start_offset() == end && base < end {
                self.follower.reset_to(base, now_ms).unwrap();
            }
            self.follower.append_replicated(&bytes, now_ms).unwrap();
        }
        if self.chance.one_in(2) {
            let end = self.follower.log_end_offset();
            self.follower.clean(end, now_ms).unwrap();
        }
    }

    fn delete(&mut self) {
        let start = self.model.start;
        let offset = self.chance.between(start, start + (self.high_watermark - start).max(0) / 3);
        self.log().delete_records(offset).unwrap();
        self.model.start = offset.max(start);
    }

    fn truncate(&mut self) {
        let ends: Vec<i64> = self.model.batches.iter().map(Written::end).collect();
        let least = self.high_watermark.max(self.follower.log_end_offset());
        let ends: Vec<i64> = ends.into_iter().filter(|end| *end >= least).collect();
        if ends.is_empty() {
            return;
        }
        let end = ends[self.chance.below(ends.len() as u64) as usize];
        let now_ms = self.now_ms;
        self.log().truncate_to(end, now_ms).unwrap();
        self.model.batches.retain(|batch| batch.end() <= end);
        self.forget_what_is_not_replicated();
    }

    fn restart(&mut self) {
        let mut log = self.log.take().expect("an open log");
        log.close(false).unwrap();
        let (end, dirty) = (log.log_end_offset(), log.first_dirty_offset());
        drop(log);
        let state = (true, end, self.model.start);
        self.log = Some(open(&self.disk, self.dirs[0].path(), state, dirty, self.now_ms));
        self.forget_what_is_not_replicated();
    }

    /// A log that was opened or cut does not know any more which markers the others may lack.
    fn forget_what_is_not_replicated(&mut self) {
        self.high_watermark = self.model.end();
    }

    fn kill(&mut self) {
        let log = self.log.take().expect("an open log");
        let recovery_point = self.chance.between(0, log.log_end_offset());
        // What is written down of it is late, or lost.
        let dirty = if self.chance.one_in(2) { 0 } else { log.first_dirty_offset() };
        drop(log);
        let state = (false, recovery_point, self.model.start);
        self.log = Some(open(&self.disk, self.dirs[0].path(), state, dirty, self.now_ms));
        let names = std::fs::read_dir(self.dirs[0].path()).unwrap();
        for name in names.map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
            assert!(!name.ends_with(".cleaned") && !name.ends_with(".swap"), "{name} is left");
        }
        self.forget_what_is_not_replicated();
    }

    fn compare(&mut self) {
        let end = self.model.end();
        assert_eq!(self.log().log_end_offset(), end);
        let high_watermark = self.high_watermark;
        let stable = self.model.stable(high_watermark);
        assert_eq!(self.log().last_stable_offset(high_watermark), stable);
        let expected = self.model.committed(stable);
        let start = self.log().log_start_offset();
        let found = read_committed(self.log.as_mut().unwrap(), stable);
        compare_seen(&found, &expected, start);
        let dirty = self.cleaned_to.max(start);
        let is_dirty = |record: &&Seen| record.offset >= dirty;
        assert!(found.iter().filter(is_dirty).eq(expected.iter().filter(is_dirty)));
        for (id, known) in self.model.producers() {
            let entry = self.log().producers().get(id).expect("a producer").clone();
            assert_eq!(
                (entry.epoch, entry.transaction_first_offset),
                (known.epoch, known.opened_at)
            );
            let next = entry.batches.back().map_or(0, |last| last.last_sequence + 1);
            assert_eq!(next, known.next_sequence, "producer {id}");
        }
    }

    fn compare_follower(&mut self) {
        let end = self.follower.log_end_offset();
        let stable = self.follower.last_stable_offset(end);
        let found = read_committed(&mut self.follower, stable);
        if stable < self.cleaned_to {
            // What is on its way to it is what replaces what it does not have.
            return;
        }
        let expected = self.model.committed(stable);
        let start = self.follower.log_start_offset().max(self.model.start);
        compare_seen(&found, &expected, start);
    }
}

/// Everything that is there was written like that, and of each key the last is there.
fn compare_seen(found: &[Seen], expected: &[Seen], start: i64) {
    for record in found {
        let written = expected.iter().find(|written| written.offset == record.offset);
        assert_eq!(Some(record), written);
    }
    let after = |record: &&Seen| record.offset >= start;
    let expected: BTreeMap<_, _> =
        values(expected).into_iter().filter(|(_, record)| after(&record)).collect();
    let found: Vec<Seen> = found.iter().filter(after).cloned().collect();
    assert_eq!(values(&found), expected);
}

/// The seeds that are tried: `OTTLA_SEEDS` of them from `OTTLA_SEED` on.
fn seeds() -> std::ops::Range<u64> {
    let given = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let first = given("OTTLA_SEED").unwrap_or(0);
    first..first + given("OTTLA_SEEDS").unwrap_or(30)
}

#[test]
fn readers_of_a_compacted_log_see_the_last_value_of_each_key_whatever_happens_to_it() {
    let (mut cleanings, mut kills) = (0, 0);
    for seed in seeds() {
        let mut trio = Trio::new(seed);
        for step in 0..STEPS {
            // The last line that is printed says where it went wrong.
            println!("seed {seed}, step {step}");
            trio.step();
            trio.compare();
        }
        trio.follow(u64::MAX);
        trio.compare_follower();
        cleanings += trio.cleanings;
        kills += trio.kills_in_cleanings;
    }
    // A single seed may be without.
    let count = seeds().count() as u32 / 10;
    assert!(cleanings >= count * 30 && kills >= count * 10, "{cleanings}, {kills} kills in them");
}
