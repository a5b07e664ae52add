//! The program closes its producer in the middle of a run, as the client does it: nothing more is
//! accepted, what is there is flushed, and what is left at the deadline is given up.

use std::time::Duration;

use crate::world::{START, World};

/// When a run is broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    /// After so many steps.
    pub at_step: u64,
    /// How long the close may take.
    pub within: Duration,
}

/// How long the cluster gets to end what it has begun.
const SETTLES: Duration = Duration::from_secs(40);

impl World {
    /// A run that is closed at its step, or at its end if that comes first.
    pub(crate) fn run_and_close(&mut self, close: Close) -> Result<(), String> {
        let load_until = START + Duration::from_millis(self.plan.load_ms);
        self.stop_at = Some(close.at_step);
        self.run_until(load_until, false)?;
        if !self.is_stopped() {
            self.heal();
            self.run_until(load_until + self.plan.delivery_timeout, true)?;
        }
        self.stop_at = None;

        self.load.stop();
        let begun = self.now;
        let pending = self.producer.flush(&mut self.queues, self.now);
        self.history.check_flush(&pending)?;
        self.run_until(begun + close.within, true)?;
        let deadline = self.plan.delivery_timeout + Duration::from_secs(1);
        if close.within >= deadline {
            self.history.all_told().map_err(|why| format!("flushed in vain: {why} (L9)"))?;
        }
        self.producer.abort("the program closes", &mut self.queues, self.now);
        self.pump()?;
        // Told at once: no time passes in giving up.
        self.history.all_told().map_err(|why| format!("closed, and {why} (L9)"))?;
        if self.now > begun + close.within {
            return Err(format!("a close within {:?} took longer (L9)", close.within));
        }

        self.heal();
        self.run_until(self.now + SETTLES, false)?;
        let live = self.memory.live_bytes.get();
        if live > 0 {
            return Err(format!("{live} bytes of batches outlive the close (L10)"));
        }
        self.history.check(&self.plan, &self.cluster, &self.seen)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop_at.is_some_and(|step| self.steps() >= step)
    }
}
