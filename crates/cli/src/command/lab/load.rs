//! Records that know their number, and what the producer said became of them.

use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ottla::{ProduceError, Record, RecordMetadata};
use serde::Deserialize;

use super::context::{Ended, Lab, Rng, Sender, TOPIC, broken};
use crate::command::bench::stats::Latencies;
use crate::pace::Pace;

/// What the values of a run are like.
#[derive(Debug, Clone)]
pub(super) struct Contents {
    run: String,
    seed: u64,
}

/// What is looked for in a value.
#[derive(Deserialize)]
struct Numbered {
    number: u64,
}

impl Contents {
    /// Values of a run of this name.
    pub(super) fn of(run: impl Into<String>, lab: &Lab) -> Self {
        Self { run: run.into(), seed: lab.seed }
    }

    /// Puts the value of a record into `out`: JSON of about a hundred bytes.
    pub(super) fn value(&self, number: u64, out: &mut String) {
        let mut rng = Rng::of(self.seed ^ number);
        let (one, other) = (rng.next(), rng.next());
        out.clear();
        let run = &self.run;
        let _ = write!(
            out,
            "{{\"run\":\"{run}\",\"number\":{number},\"content\":\"{one:016x}{other:016x}\"}}"
        );
    }

    /// The number of the record that has this value, `None` if none has.
    pub(super) fn number(&self, value: &[u8]) -> Option<u64> {
        let Numbered { number } = serde_json::from_slice(value).ok()?;
        let mut expected = String::new();
        self.value(number, &mut expected);
        (expected.as_bytes() == value).then_some(number)
    }
}

/// What became of the records of a run.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    outcomes: Arc<Mutex<Outcomes>>,
}

#[derive(Debug, Default)]
struct Outcomes {
    /// By number.
    acknowledged: Vec<bool>,
    latencies: Latencies,
    newest_offset: Option<i64>,
    first_error: Option<String>,
}

impl Tally {
    /// For records with the numbers below this.
    pub(super) fn new(records: u64) -> Self {
        let acknowledged = (0..records).map(|_| false).collect();
        let outcomes = Outcomes { acknowledged, ..Outcomes::default() };
        Self { outcomes: Arc::new(Mutex::new(outcomes)) }
    }

    fn lock(&self) -> MutexGuard<'_, Outcomes> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, number: u64, due: Instant, outcome: Result<RecordMetadata, ProduceError>) {
        let latency_us = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mut outcomes = self.lock();
        match outcome {
            Ok(metadata) => {
                if let Some(told) = outcomes.acknowledged.get_mut(number as usize) {
                    *told = true;
                }
                outcomes.latencies.record(latency_us, 0);
                outcomes.newest_offset = outcomes.newest_offset.max(metadata.offset);
            }
            Err(error) => {
                outcomes.first_error.get_or_insert_with(|| error.to_string());
            }
        }
    }

    /// Whether this record was acknowledged.
    pub(super) fn is_acknowledged(&self, number: u64) -> bool {
        self.lock().acknowledged.get(number as usize).copied().unwrap_or(false)
    }

    /// The highest offset that was told.
    pub(super) fn newest_offset(&self) -> Option<i64> {
        self.lock().newest_offset
    }

    /// Why the first record failed that did.
    pub(super) fn first_error(&self) -> Option<String> {
        self.lock().first_error.clone()
    }

    /// Whether a record was acknowledged, by number.
    pub(super) fn acknowledged(&self) -> Vec<bool> {
        self.lock().acknowledged.clone()
    }

    /// The latencies that these shares of the acknowledged records did not exceed, in
    /// milliseconds; 0 when there are none.
    pub(super) fn quantiles_ms<const N: usize>(&self, shares: [f64; N]) -> [f64; N] {
        let outcomes = self.lock();
        shares.map(|share| outcomes.latencies.quantile_ms(share))
    }
}

#[cfg(test)]
impl Tally {
    /// Of records that were acknowledged, or not.
    pub(super) fn told(acknowledged: &[bool]) -> Self {
        let acknowledged = acknowledged.to_vec();
        let outcomes = Outcomes { acknowledged, ..Outcomes::default() };
        Self { outcomes: Arc::new(Mutex::new(outcomes)) }
    }
}

/// Sends all records of a run at a pace. `before` is called when a record is due, before it is
/// sent; latency counts from when it was due. Then waits for all outcomes.
pub(super) fn send_all(
    lab: &Lab,
    sender: &Sender,
    contents: &Contents,
    pace: &Pace,
    mut before: impl FnMut(u64, &Tally) -> Result<(), Ended>,
) -> Result<Tally, Ended> {
    let tally = Tally::new(lab.records);
    let producer = sender.producer.blocking();
    let mut value = String::new();
    for number in 0..lab.records {
        let due = pace.wait(number, || lab.go_on().is_err());
        lab.go_on()?;
        before(number, &tally)?;
        contents.value(number, &mut value);
        let noted = tally.clone();
        let record = Record::new(TOPIC).value(&value);
        let sent = producer.send_with(record, move |outcome| noted.note(number, due, outcome));
        sent.map_err(|error| broken(error.to_string()))?;
        lab.step();
    }
    sender.settle(lab)?;
    if let Some(error) = tally.first_error() {
        lab.talk.detail(format_args!("the first record that failed: {error}"));
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_known_by_its_whole_value() {
        let contents = Contents { run: "acks=1".to_owned(), seed: 3 };
        let mut value = String::new();
        contents.value(17, &mut value);
        assert_eq!(contents.number(value.as_bytes()), Some(17));
        assert_eq!(contents.number(value.replace("17", "18").as_bytes()), None);
        assert_eq!(contents.number(value.replace("acks=1", "acks=0").as_bytes()), None);
        assert_eq!(contents.number(b"17"), None);
    }

    #[test]
    fn a_quantile_is_a_latency_that_was_seen() {
        let quantile_us = |latencies_us: &[u64], share: f64| {
            let mut latencies = Latencies::new();
            latencies_us.iter().for_each(|latency_us| latencies.record(*latency_us, 0));
            (latencies.quantile_ms(share) * 1000.0).round() as u64
        };
        let latencies: Vec<u64> = (1..=100).collect();
        assert_eq!(quantile_us(&latencies, 0.5), 50);
        assert_eq!(quantile_us(&latencies, 0.99), 99);
        assert_eq!(quantile_us(&[7], 0.5), 7);
        assert_eq!(quantile_us(&[], 0.99), 0);
    }
}
