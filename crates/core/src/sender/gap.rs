//! The gap between two requests to one broker: what gathers in it leaves together.

use core::time::Duration;

use crate::time::Instant;

/// So many times in a row nothing may come of waiting before it is given up.
const PATIENCE: u32 = 3;
/// After so many requests without waiting, it is tried once more.
const PROBE_AFTER: u32 = 32;

/// Whether an open batch for an idle broker should wait a moment for company.
///
/// Waiting costs a program nothing that sends without looking back. One that sends a record only
/// when the last one is delivered would be slowed down for nothing: nobody else comes. So waits
/// that gathered nothing are counted, and after a few of them the gap is left out.
#[derive(Default)]
pub(super) struct Gap {
    until: Instant,
    /// Batches were held back for it since the last request.
    held_back: bool,
    /// Requests in a row that carried a single record although they had waited, and after
    /// [`PATIENCE`] of those, all that carry a single record.
    lonely: u32,
}

impl Gap {
    /// When what has gathered may leave; in the past if it need not wait.
    pub(super) fn until(&self) -> Instant {
        if self.lonely >= PATIENCE { Instant::ZERO } else { self.until }
    }

    /// Whether to wait; noted, so that it is seen what comes of it.
    pub(super) fn holds_back(&mut self, now: Instant) -> bool {
        let waits = self.until() > now;
        self.held_back |= waits;
        waits
    }

    /// A request has left with so many records.
    pub(super) fn sent(&mut self, record_count: u32, length: Duration, now: Instant) {
        self.until = now + length;
        let held_back = core::mem::take(&mut self.held_back);
        if record_count > 1 {
            self.lonely = 0;
        } else if held_back || self.lonely >= PATIENCE {
            self.lonely += 1;
        }
        if self.lonely >= PATIENCE + PROBE_AFTER {
            self.lonely = PATIENCE - 1;
        }
    }
}
