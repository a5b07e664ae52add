//! Latencies of single records.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use hdrhistogram::Histogram;

use crate::Percentiles;

/// Up to two minutes, in microseconds, with three digits.
const LARGEST_US: u64 = 120_000_000;
const DIGITS: u8 = 3;

/// Collects latencies from any thread.
#[derive(Clone)]
pub struct Latencies(Arc<Mutex<Histogram<u64>>>);

impl Latencies {
    /// None so far.
    ///
    /// # Errors
    /// Never with the bounds above.
    pub fn new() -> Result<Self, String> {
        let histogram = Histogram::new_with_bounds(1, LARGEST_US, DIGITS)
            .map_err(|error| format!("no histogram: {error}"))?;
        Ok(Self(Arc::new(Mutex::new(histogram))))
    }

    /// A record that was due at `due` was acknowledged now.
    pub fn record(&self, due: Instant) {
        let us = u64::try_from(due.elapsed().as_micros()).unwrap_or(LARGEST_US);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(us);
    }

    /// The percentiles, `None` when nothing was recorded.
    #[must_use]
    pub fn percentiles(&self) -> Option<Percentiles> {
        let histogram = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (!histogram.is_empty()).then(|| Percentiles {
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            p99_9: histogram.value_at_quantile(0.999),
            max: histogram.max(),
        })
    }
}
