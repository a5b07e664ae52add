//! Keeping a fixed rate.

use std::time::{Duration, Instant};

/// Says when each record of one thread is due.
pub struct Pace {
    start: Instant,
    /// Time between two records; `None` as fast as it goes.
    step_ns: Option<f64>,
}

impl Pace {
    /// `rate` records per second over `threads` threads, from now on; this is one of them.
    #[must_use]
    pub fn new(rate: u64, threads: u64) -> Self {
        let step_ns = (rate > 0).then(|| 1e9 * threads as f64 / rate as f64);
        Self { start: Instant::now(), step_ns }
    }

    /// Sleeps until the record with this number is due, and tells when that is: not the moment at
    /// which the thread woke up, so that a late sender makes late records (which is what a user
    /// would see) and not fewer of them.
    pub fn wait(&self, number: u64) -> Instant {
        let Some(step_ns) = self.step_ns else { return self.start };
        let due = self.start + Duration::from_nanos((step_ns * number as f64) as u64);
        let early = due.saturating_duration_since(Instant::now());
        if !early.is_zero() {
            std::thread::sleep(early);
        }
        due
    }
}
