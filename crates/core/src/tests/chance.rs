//! Chance: a broker model that keeps logs and forgets answers, and every law checked at the end.
//!
//! A small forerunner of a simulator: one seed decides what is sent, which answers are lost, which
//! requests are refused, which connections break and when time passes. The broker follows Kafka's
//! rules for sequences (a window of five batches, the next number or a duplicate, nothing else).

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::ops::Range;

use bytes::Bytes;
use ottla_protocol::ErrorCode;
use ottla_protocol::record::{BatchHeader, RecordReader};

use super::pair::{Pair, Produced};
use crate::error::Outcome;
use crate::rng::Rng;

/// One partition's log and its memory of the producer.
#[derive(Default)]
struct Log {
    records: Vec<u32>,
    epoch: i16,
    producer_id: i64,
    /// (base sequence, next sequence, base offset) of the last batches.
    window: VecDeque<(i32, i32, i64)>,
}

impl Log {
    fn append(&mut self, header: &BatchHeader, bytes: &Bytes) -> (ErrorCode, i64) {
        let base = self.records.len() as i64;
        let next = header.base_sequence + header.record_count;
        if header.producer_id >= 0 {
            if (header.producer_id, header.producer_epoch) != (self.producer_id, self.epoch) {
                if header.producer_id == self.producer_id && header.producer_epoch < self.epoch {
                    return (ErrorCode::INVALID_PRODUCER_EPOCH, -1);
                }
                if self.producer_id == header.producer_id && header.base_sequence != 0 {
                    return (ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, -1);
                }
                self.window.clear();
                (self.producer_id, self.epoch) = (header.producer_id, header.producer_epoch);
            }
            let same =
                |entry: &&(i32, i32, i64)| entry.0 == header.base_sequence && entry.1 == next;
            if let Some(before) = self.window.iter().find(same) {
                return (ErrorCode::NONE, before.2);
            }
            let expected = self.window.back().map_or(header.base_sequence, |entry| entry.1);
            if header.base_sequence != expected {
                return (ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, -1);
            }
            self.window.push_back((header.base_sequence, next, base));
            if self.window.len() > 5 {
                self.window.pop_front();
            }
        }
        for record in RecordReader::new(&bytes[BatchHeader::SIZE..]) {
            let value = record.unwrap().value.unwrap();
            self.records.push(u32::from_be_bytes(value[..4].try_into().unwrap()));
        }
        (ErrorCode::NONE, base)
    }
}

/// A record's place: its batch and its number in it.
type Place = (usize, u32);

struct Chance {
    rng: Rng,
    pair: Pair,
    logs: BTreeMap<i32, Log>,
    sent: Vec<(i32, Place)>,
    in_batch: BTreeMap<usize, u32>,
}

impl Chance {
    fn new(seed: u64, settings: &[(&str, &str)]) -> Self {
        Self {
            rng: Rng::new(seed),
            pair: Pair::ready(settings),
            logs: BTreeMap::new(),
            sent: Vec::new(),
            in_batch: BTreeMap::new(),
        }
    }

    fn send(&mut self) {
        let partition = self.rng.below(3) as usize;
        let mut value = (self.sent.len() as u32).to_be_bytes().to_vec();
        value.resize(4 + self.rng.below(60) as usize, 0);
        let batch = self.pair.append(partition, &value);
        let index = self.in_batch.entry(batch).or_insert(0);
        self.sent.push((partition as i32, (batch, *index)));
        *index += 1;
        self.pair.drive();
    }

    /// The oldest request of some connection gets its due, or not.
    fn answer(&mut self, faulty: bool) {
        let Some(request) = self.pair.produced.pop_front() else { return };
        let fate = if faulty { self.rng.below(10) } else { 9 };
        match fate {
            // Lost on the way there.
            0 => self.pair.cut(request.connection),
            // Written, and the answer lost.
            1 => {
                self.write(&request);
                self.pair.cut(request.connection);
            }
            2 => self.pair.refuse(&request, ErrorCode::NOT_LEADER_OR_FOLLOWER),
            // Written, with an answer that leaves it open.
            3 => {
                self.write(&request);
                self.pair.refuse(&request, ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND);
            }
            4 => self.pair.refuse(&request, ErrorCode::NOT_ENOUGH_REPLICAS),
            _ => {
                let answers = self.write(&request);
                self.pair.answer(&request, |(partition, _, _), part| {
                    let (code, offset) = answers[partition];
                    part.error_code = code.0;
                    part.base_offset = offset;
                });
            }
        }
    }

    fn write(&mut self, request: &Produced) -> BTreeMap<i32, (ErrorCode, i64)> {
        let mut answers = BTreeMap::new();
        for (partition, header, bytes) in &request.batches {
            let log = self.logs.entry(*partition).or_default();
            answers.insert(*partition, log.append(header, bytes));
        }
        answers
    }

    fn run(&mut self, steps: u32, faulty: bool) {
        for _ in 0..steps {
            match self.rng.below(4) {
                0 | 1 => self.send(),
                2 => self.answer(faulty),
                _ => {
                    let millis = self.rng.below(40);
                    self.pair.pass(millis);
                }
            }
        }
    }

    /// Everything heals: what is left must come to its end.
    fn finish(&mut self) {
        for _ in 0..2000 {
            if self.pair.produced.is_empty() {
                self.pair.pass(200);
            }
            self.answer(false);
        }
        self.pair.pass(200_000);
    }

    /// Holds every outcome against the logs. `once` says that nothing may be there twice.
    fn check(&self, seed: u64, once: bool) {
        let mut outcomes: BTreeMap<Place, &super::pair::Told> = BTreeMap::new();
        for told in &self.pair.told {
            for index in told.records.clone() {
                let twice = outcomes.insert((told.batch, index), told);
                assert!(twice.is_none(), "seed {seed}: a record was told twice (L1)");
            }
        }
        for (number, (partition, place)) in (0_u32..).zip(&self.sent) {
            let told = outcomes.get(place);
            let told = told.unwrap_or_else(|| panic!("seed {seed}: {number} was never told (L1)"));
            let records = self.logs.get(partition).map_or(&[][..], |log| &log.records);
            let times = records.iter().filter(|record| **record == number).count();
            match &told.result {
                Ok(ack) => {
                    let right = if once { times == 1 } else { times >= 1 };
                    assert!(
                        right,
                        "seed {seed}: {number} is delivered and there {times} times (L2)"
                    );
                    let offset = ack.base_offset.unwrap() + i64::from(place.1);
                    assert_eq!(records[offset as usize], number, "seed {seed}: the offset (L2)");
                }
                Err(failure) if failure.outcome == Outcome::NotPersisted => {
                    assert_eq!(times, 0, "seed {seed}: {number} is not persisted (L1)");
                }
                Err(_) => assert!(times <= 1 || !once, "seed {seed}: {number} is there twice"),
            }
        }
        for log in self.logs.values() {
            let mut seen = BTreeSet::new();
            let firsts: Vec<u32> =
                log.records.iter().copied().filter(|n| seen.insert(*n)).collect();
            assert!(firsts.is_sorted(), "seed {seed}: the order is kept (L3)");
        }
    }
}

/// So many seeds from `first` on, or as many as `OTTLA_SEEDS` said when this was compiled.
fn seeds(first: u64, count: u64) -> Range<u64> {
    let count = option_env!("OTTLA_SEEDS").and_then(|seeds| seeds.parse().ok()).unwrap_or(count);
    first..first + count
}

/// Laws: L1, L2, L3, L4. Scenarios: #27, #36, bug-14, E5.
#[test]
fn whatever_a_broker_loses_or_refuses_records_arrive_once_in_order_and_are_told_the_truth() {
    for seed in seeds(0, 400) {
        let mut chance = Chance::new(seed, &[("batch.size", "150"), ("linger.ms", "10")]);
        chance.run(400, true);
        chance.finish();
        chance.check(seed, true);
        let delivered = chance.pair.told.iter().filter(|told| told.result.is_ok()).count();
        assert_eq!(delivered, chance.pair.told.len(), "seed {seed}: the broker healed in time");
    }
}

#[test]
fn with_short_lives_some_records_fail_and_every_outcome_is_still_true() {
    let settings = [
        ("batch.size", "150"),
        ("linger.ms", "10"),
        ("delivery.timeout.ms", "400"),
        ("request.timeout.ms", "200"),
    ];
    let mut failures = 0;
    for seed in seeds(1_000_000, 400) {
        let mut chance = Chance::new(seed, &settings);
        chance.run(400, true);
        chance.finish();
        chance.check(seed, true);
        failures += chance.pair.told.iter().filter(|told| told.result.is_err()).count();
    }
    assert!(failures > 100, "the faults should bite: {failures}");
}

#[test]
fn compressed_batches_keep_their_order_and_their_count() {
    let settings = [
        ("batch.size", "150"),
        ("linger.ms", "10"),
        ("linger.adaptive.gap.ms", "2"),
        ("compression.type", "lz4"),
    ];
    for seed in seeds(2_000_000, 200) {
        let mut chance = Chance::new(seed, &settings);
        chance.run(400, true);
        chance.finish();
        chance.check(seed, true);
    }
}

#[test]
fn without_idempotence_records_may_be_there_twice_but_never_out_of_order() {
    let mut twice = 0;
    for seed in seeds(3_000_000, 200) {
        let settings = [("batch.size", "150"), ("linger.ms", "10"), ("acks", "1")];
        let mut chance = Chance::new(seed, &settings);
        chance.run(400, true);
        chance.finish();
        chance.check(seed, false);
        let written: usize = chance.logs.values().map(|log| log.records.len()).sum();
        twice += written - chance.sent.len();
    }
    assert!(twice > 100, "lost answers should have made duplicates: {twice}");
}
