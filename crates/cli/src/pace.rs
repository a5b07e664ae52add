//! Records at a pace: when each is due, and waiting for that.

use std::time::{Duration, Instant};

/// A wait that is shorter is spent turning: the system's timers oversleep by about so much.
const TOO_SHORT_TO_SLEEP: Duration = Duration::from_micros(150);

/// Longer waits come in pieces, so that Ctrl-C is noticed.
const PIECE: Duration = Duration::from_millis(100);

/// When each record is due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) start: Instant,
    /// `None` for as fast as they are taken.
    per_second: Option<f64>,
}

impl Pace {
    /// Begins now.
    pub(crate) fn begin(per_second: Option<f64>) -> Self {
        Self { start: Instant::now(), per_second }
    }

    /// Waits until it is the record's turn, or `is_over`. Gives the time from which its latency
    /// counts: its turn, however late it is sent.
    pub(crate) fn wait(&self, number: u64, is_over: impl Fn() -> bool) -> Instant {
        let Some(per_second) = self.per_second else { return Instant::now() };
        let due = self.start + Duration::from_secs_f64(number as f64 / per_second);
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() || is_over() {
                return due;
            }
            if left > TOO_SHORT_TO_SLEEP {
                std::thread::sleep((left - TOO_SHORT_TO_SLEEP).min(PIECE));
            } else {
                std::hint::spin_loop();
            }
        }
    }
}
