//! A partition's batches between its queue and their outcome.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::sequencer::{Identity, Sequencer};
use crate::accumulator::{Batch, Order, Stamp};
use crate::host::Host;
use crate::mutant::Mutant;
use crate::time::Instant;

/// A batch that was taken from the queue and is not under way.
pub(super) struct Slot<H: Host> {
    pub(super) batch: Batch<H>,
    /// The job that it waits for: compression, or a split.
    pub(super) job: Option<u64>,
}

/// A batch in a request that is not answered.
pub(super) struct Flying<H: Host> {
    pub(super) batch: Batch<H>,
    /// The request.
    pub(super) serial: u64,
    pub(super) node: i32,
}

/// Where a lane is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    /// Among the lanes of this broker that may be sent now.
    Ready(i32),
    /// Among those that would go if the broker had nothing else to do.
    Partial(i32),
}

/// What a lane can do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Send a batch.
    Ready,
    /// Send an open batch if the broker is idle, else at `due`.
    Partial { due: Instant },
    /// Nothing before this time.
    Later(Instant),
    /// Nothing until an answer, a compressed batch or a record comes.
    Wait,
}

/// A partition's batches between its queue and their outcome.
///
/// `waiting` is in the order of sending: batches that were sent before stand in front of those
/// that were not. A batch that has a stamp keeps it until a definite answer (law L4).
pub(super) struct Lane<H: Host> {
    pub(super) waiting: VecDeque<Slot<H>>,
    pub(super) in_flight: VecDeque<Flying<H>>,
    /// The identity that this partition's batches are stamped with.
    pub(super) identity: Option<Identity>,
    pub(super) next_sequence: i32,
    /// A batch under this identity was acknowledged not long before then. Only one is sent at
    /// other times: a broker that has never heard of a producer, or has forgotten it after
    /// `producer.id.expiration.ms`, takes any sequence number as its first, so the second batch
    /// could be accepted where the first was not.
    pub(super) introduced_until: Instant,
    /// The log lacks a sequence number that was given out: go on under a new epoch when idle.
    pub(super) wants_new_epoch: bool,
    /// A sent batch was given up without an answer: wait for those behind it before going on.
    pub(super) unresolved: bool,
    pub(super) listed: Option<Listed>,
    /// No sending before then.
    pub(super) retry_at: Instant,
    pub(super) wake_armed: Option<Instant>,
    pub(super) expiry_armed: bool,
}

impl<H: Host> Default for Lane<H> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            in_flight: VecDeque::new(),
            identity: None,
            next_sequence: 0,
            introduced_until: Instant::ZERO,
            wants_new_epoch: false,
            unresolved: false,
            listed: None,
            retry_at: Instant::ZERO,
            wake_armed: None,
            expiry_armed: false,
        }
    }
}

impl<H: Host> Lane<H> {
    pub(super) fn batches(&self) -> impl Iterator<Item = &Batch<H>> {
        let flying = self.in_flight.iter().map(|flying| &flying.batch);
        flying.chain(self.waiting.iter().map(|slot| &slot.batch))
    }

    pub(super) fn has_batches(&self) -> bool {
        !self.waiting.is_empty() || !self.in_flight.is_empty()
    }

    /// What the lane can do next, `None` when that depends on its queue alone.
    pub(super) fn step(
        &self,
        node: i32,
        window: usize,
        sequencer: &Sequencer,
        now: Instant,
    ) -> Option<Step> {
        let idle = self.in_flight.is_empty();
        if let Some(slot) = self.waiting.front() {
            if slot.job.is_some() {
                return Some(Step::Wait);
            }
            if slot.batch.attempts > 0 && !Mutant::RetryBesideOthers.is_on() {
                // A retry goes alone: what failed behind it must not overtake it (law L3).
                return Some(if idle { Step::Ready } else { Step::Wait });
            }
        }
        // Nothing follows a retry before its answer: the broker recognizes only its last five
        // batches, and every one that got in behind would push the retried one out of them.
        let retrying = self.in_flight.iter().any(|flying| flying.batch.attempts > 1)
            && !Mutant::RetryBesideOthers.is_on();
        let idempotent = sequencer.current().is_some();
        let must_be_idle = self.wants_new_epoch
            || (idempotent && self.introduced_until <= now && !Mutant::NotIntroduced.is_on())
            || retrying
            || self.unresolved
            || sequencer.current().is_some_and(|current| self.identity != Some(current));
        let elsewhere = self.in_flight.back().is_some_and(|flying| flying.node != node);
        if self.in_flight.len() >= window || (!idle && (must_be_idle || elsewhere)) {
            return Some(Step::Wait);
        }
        self.waiting.front().map(|_| Step::Ready)
    }

    /// Puts a batch that must be sent again where it belongs: in the order of first sending.
    pub(super) fn put_back(&mut self, batch: Batch<H>, job: Option<u64>) {
        let order = batch.order;
        let behind = |slot: &Slot<H>| slot.batch.attempts == 0 || slot.batch.order > order;
        let last = self.waiting.len();
        let place = self.waiting.iter().position(behind).unwrap_or(last);
        let place = if Mutant::RetryBehindOthers.is_on() { last } else { place };
        self.waiting.insert(place, Slot { batch, job });
    }

    /// Whether what is to be sent next must go under a new epoch, and something behind it may be in
    /// the log under the old one: what is left of a batch that was refused in part, with an answer
    /// for one behind it that leaves the write in doubt.
    pub(super) fn is_stuck(&self) -> bool {
        self.wants_new_epoch
            && self.in_flight.is_empty()
            && self.waiting.front().is_some_and(|slot| slot.batch.stamp().is_none())
            && self.waiting.iter().any(|slot| slot.batch.ambiguous)
    }

    /// Takes out the waiting batches that may be in the log.
    pub(super) fn take_doubtful(&mut self) -> Vec<Batch<H>> {
        let (doubtful, sure): (VecDeque<_>, VecDeque<_>) =
            core::mem::take(&mut self.waiting).into_iter().partition(|slot| slot.batch.ambiguous);
        self.waiting = sure;
        doubtful.into_iter().map(|slot| slot.batch).collect()
    }

    /// Whether a batch that was sent before `order` has no outcome yet.
    pub(super) fn has_earlier(&self, order: Order) -> bool {
        self.batches().any(|batch| batch.attempts > 0 && batch.order < order)
    }

    /// Whether a batch that was sent after `order` has no outcome yet.
    pub(super) fn has_later(&self, order: Order) -> bool {
        self.batches().any(|batch| batch.attempts > 0 && batch.order > order)
    }

    /// A batch that was sent got a definite no: its sequence numbers are not in the log.
    pub(super) fn sequence_refused(&mut self, order: Order, stamp: Option<Stamp>) {
        let Some(stamp) = stamp.filter(|stamp| *stamp != Stamp::NONE) else { return };
        if self.has_later(order) {
            self.wants_new_epoch = true;
        } else {
            // Nothing was sent behind it: the numbers can be used again.
            self.next_sequence = stamp.base_sequence;
        }
    }

    /// Gives the batch at the front its stamp, if it needs one; false while there is no identity to
    /// stamp with, or a new one that this lane may not take before it is idle (law L5).
    pub(super) fn stamp_front(&mut self, sequencer: &mut Sequencer) -> bool {
        let idle = self.in_flight.is_empty();
        if idle && self.unresolved && self.waiting.iter().all(|slot| slot.batch.attempts == 0) {
            self.unresolved = false;
            self.wants_new_epoch = true;
        }
        // Not before all that may be in the log has its answer: under another stamp the broker
        // would take it for something new (law L4).
        let in_doubt =
            self.waiting.iter().any(|slot| slot.batch.ambiguous) && !Mutant::RestampInDoubt.is_on();
        if idle && self.wants_new_epoch && !in_doubt {
            self.wants_new_epoch = false;
            sequencer.leave(self.identity.take());
            for slot in &mut self.waiting {
                slot.batch.clear_stamp();
            }
        }
        let Some(slot) = self.waiting.front_mut() else { return false };
        if slot.batch.stamp().is_some() {
            return true;
        }
        let Some(current) = sequencer.current() else {
            let off = sequencer.is_able();
            if off {
                slot.batch.set_stamp(Stamp::NONE);
            }
            return off;
        };
        if self.identity != Some(current) && !idle {
            // Another lane of the same request has just begun a new epoch.
            return false;
        }
        if self.identity != Some(current) {
            self.identity = Some(current);
            if !Mutant::SequenceGoesOn.is_on() {
                self.next_sequence = 0;
            }
            self.introduced_until = Instant::ZERO;
        }
        slot.batch.set_stamp(Stamp {
            producer_id: current.producer_id,
            producer_epoch: current.producer_epoch,
            base_sequence: self.next_sequence,
        });
        self.next_sequence =
            Batch::<H>::next_sequence(self.next_sequence, slot.batch.record_count());
        true
    }
}
