//! What was measured, and the lines in which `kafka-producer-perf-test` would say it.

use std::time::Duration;

use hdrhistogram::Histogram;
use ottla::ProduceError;
use serde_json::{Value, json};

/// Latencies are kept in microseconds, up to an hour, to three digits.
const LONGEST_US: u64 = 3_600_000_000;
const DIGITS: u8 = 3;
const MIB: f64 = 1024.0 * 1024.0;

/// Latencies of some records, and how many bytes they had.
#[derive(Debug)]
pub(crate) struct Latencies {
    histogram: Histogram<u32>,
    sum_us: u64,
    bytes: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

impl Latencies {
    pub(crate) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_US, DIGITS);
        Self { histogram: histogram.expect("the bounds are constant"), sum_us: 0, bytes: 0 }
    }

    pub(crate) fn record(&mut self, latency_us: u64, bytes: u64) {
        self.histogram.saturating_record(latency_us);
        self.sum_us += latency_us;
        self.bytes += bytes;
    }

    pub(crate) fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The latency that this share of the records did not exceed, in milliseconds.
    pub(crate) fn quantile_ms(&self, quantile: f64) -> f64 {
        self.histogram.value_at_quantile(quantile) as f64 / 1000.0
    }

    pub(crate) fn max_ms(&self) -> f64 {
        self.histogram.max() as f64 / 1000.0
    }

    pub(crate) fn average_ms(&self) -> f64 {
        self.sum_us as f64 / 1000.0 / self.count().max(1) as f64
    }

    /// Shares of the records and the latencies that they did not exceed, in milliseconds, for a
    /// curve.
    pub(crate) fn curve(&self) -> Vec<(f64, f64)> {
        let steps = self.histogram.iter_quantiles(5);
        steps
            .map(|step| (step.quantile_iterated_to(), step.value_iterated_to() as f64 / 1000.0))
            .collect()
    }

    /// The closing line.
    pub(crate) fn closing_line(&self, elapsed: Duration, what: &str) -> String {
        let seconds = elapsed.as_secs_f64().max(1e-9);
        let whole_ms = |quantile| self.quantile_ms(quantile).round() as u64;
        format!(
            "{} {what}records sent, {:.6} records/sec ({:.2} MB/sec), {:.2} ms avg latency, \
             {:.2} ms max latency, {} ms 50th, {} ms 95th, {} ms 99th, {} ms 99.9th.",
            self.count(),
            self.count() as f64 / seconds,
            self.bytes as f64 / seconds / MIB,
            self.average_ms(),
            self.max_ms(),
            whole_ms(0.5),
            whole_ms(0.95),
            whole_ms(0.99),
            whole_ms(0.999),
        )
    }

    /// A line in between.
    pub(crate) fn interim_line(&self, elapsed: Duration) -> String {
        let seconds = elapsed.as_secs_f64().max(1e-9);
        format!(
            "{} records sent, {:.1} records/sec ({:.2} MB/sec), {:.1} ms avg latency, \
             {:.1} ms max latency.",
            self.count(),
            self.count() as f64 / seconds,
            self.bytes as f64 / seconds / MIB,
            self.average_ms(),
            self.max_ms(),
        )
    }

    pub(crate) fn json(&self, elapsed: Duration) -> Value {
        let seconds = elapsed.as_secs_f64().max(1e-9);
        json!({
            "records": self.count(),
            "bytes": self.bytes,
            "seconds": seconds,
            "records_per_second": self.count() as f64 / seconds,
            "mb_per_second": self.bytes as f64 / seconds / MIB,
            "latency_ms": {
                "avg": self.average_ms(),
                "p50": self.quantile_ms(0.5),
                "p90": self.quantile_ms(0.9),
                "p95": self.quantile_ms(0.95),
                "p99": self.quantile_ms(0.99),
                "p99_9": self.quantile_ms(0.999),
                "p99_99": self.quantile_ms(0.9999),
                "max": self.max_ms(),
            },
        })
    }
}

/// Everything that is measured.
pub(crate) struct Stats {
    /// All records that were delivered.
    pub(crate) all: Latencies,
    /// Those after the warm-up.
    pub(crate) steady: Latencies,
    /// Those since the last look.
    pub(crate) window: Latencies,
    /// Records that were delivered in each second.
    pub(crate) per_second: Vec<u64>,
    /// Records that were not delivered, those that were not even taken among them.
    pub(crate) failed: u64,
    refused: u64,
    pub(crate) first_error: Option<String>,
    warmup_records: u64,
}

impl Stats {
    pub(crate) fn new(warmup_records: u64) -> Self {
        Self {
            all: Latencies::new(),
            steady: Latencies::new(),
            window: Latencies::new(),
            per_second: Vec::new(),
            failed: 0,
            refused: 0,
            first_error: None,
            warmup_records,
        }
    }

    /// Record `number` was delivered, so long after the beginning.
    pub(crate) fn delivered(&mut self, number: u64, at: Duration, latency: Duration, bytes: u64) {
        let latency_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.all.record(latency_us, bytes);
        self.window.record(latency_us, bytes);
        if number >= self.warmup_records {
            self.steady.record(latency_us, bytes);
        }
        let second = at.as_secs() as usize;
        if self.per_second.len() <= second {
            self.per_second.resize(second + 1, 0);
        }
        self.per_second[second] += 1;
    }

    /// A record was taken, and not delivered.
    pub(crate) fn failed(&mut self, error: &ProduceError) {
        self.failed += 1;
        self.first_error.get_or_insert_with(|| error.to_string());
    }

    /// A record was not taken.
    pub(crate) fn refused(&mut self, error: String) {
        self.failed += 1;
        self.refused += 1;
        self.first_error.get_or_insert(error);
    }

    /// How many of the records that were taken have an outcome.
    pub(crate) fn outcomes(&self) -> u64 {
        self.all.count() + self.failed - self.refused
    }

    /// What there was since the last call.
    pub(crate) fn take_window(&mut self) -> Latencies {
        std::mem::take(&mut self.window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_closing_line_is_the_one_that_other_programs_read() {
        let mut stats = Stats::new(1);
        for number in 0..4 {
            stats.delivered(number, ms(number * 400), ms(10 * (number + 1)), MIB as u64);
        }
        assert_eq!(
            stats.all.closing_line(ms(2000), ""),
            "4 records sent, 2.000000 records/sec (2.00 MB/sec), 25.00 ms avg latency, \
             40.03 ms max latency, 20 ms 50th, 40 ms 95th, 40 ms 99th, 40 ms 99.9th."
        );
        assert!(
            stats.steady.closing_line(ms(1000), "steady state ").starts_with("3 steady state rec")
        );
        assert_eq!(stats.per_second, [3, 1]);
        assert_eq!(stats.take_window().count(), 4);
        assert_eq!(stats.take_window().count(), 0);
    }

    #[test]
    fn a_latency_beyond_an_hour_is_kept_as_an_hour() {
        let mut stats = Stats::new(0);
        stats.delivered(0, ms(0), Duration::from_secs(100_000), 1);
        assert!((3_590_000.0..3_610_000.0).contains(&stats.all.max_ms()));
    }
}
