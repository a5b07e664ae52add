//! Times at which a partition wants to be looked at.

use alloc::collections::BinaryHeap;
use core::cmp::Reverse;

use crate::PartitionKey;
use crate::time::Instant;

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TimerKind {
    /// A linger or a back-off is over.
    Wake,
    /// The oldest record's life is over.
    Expiry,
}

/// A heap of them. A timer is never taken back: one that has lost its reason does nothing.
#[derive(Default)]
pub(super) struct Timers(BinaryHeap<Reverse<(Instant, PartitionKey, TimerKind)>>);

impl Timers {
    pub(super) fn arm(&mut self, at: Instant, key: PartitionKey, kind: TimerKind) {
        self.0.push(Reverse((at, key, kind)));
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse((at, _, _))| *at)
    }

    pub(super) fn pop_due(&mut self, now: Instant) -> Option<(PartitionKey, TimerKind)> {
        if self.next()? > now {
            return None;
        }
        self.0.pop().map(|Reverse((_, key, kind))| (key, kind))
    }
}
