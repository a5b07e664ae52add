//! What time it is.

use std::time::{Duration, Instant, SystemTime};

/// Two clocks: the one that tokens are dated by, and one that nobody can set back.
pub(super) trait Clock: Send + Sync {
    fn wall(&self) -> SystemTime;
    /// Since some moment in the past.
    fn elapsed(&self) -> Duration;
}

/// Those of the system.
pub(super) struct System(Instant);

impl System {
    pub(super) fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for System {
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
