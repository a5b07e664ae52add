//! One batch's outcome, shared by the deliveries of its records.
//!
//! A record costs no allocation here: it is a reference to the cell and a number. One answer from a
//! broker settles the cell and wakes whoever waits.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Waker;

use ottla_core::error::{ErrorKind, Failure};
use ottla_core::output::Acknowledged;

use crate::delivery::RecordMetadata;
use crate::error::ProduceError;
use crate::shared::FORKED;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Bug, Mutex};
use crate::topic::Slot;

pub(crate) type Callback = Box<dyn FnOnce(Result<RecordMetadata, ProduceError>) + Send>;
type Outcome = Result<Acknowledged, Arc<Failure>>;

/// A batch's outcome.
pub(crate) struct BatchCell {
    slot: Arc<Slot>,
    /// Every record has its outcome: set last, so that one look is enough to know.
    settled: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Outcomes by record; nearly always one range with all of them.
    outcomes: Vec<(Range<u32>, Outcome)>,
    /// Records that have one.
    told: u32,
    wakers: Vec<Option<Waker>>,
    callbacks: Vec<PendingCallback>,
}

struct PendingCallback {
    index: u32,
    timestamp_ms: i64,
    callback: Callback,
}

/// A callback whose time has come, and what to tell it.
pub(crate) struct DueCallback {
    pub(crate) callback: Callback,
    pub(crate) result: Result<RecordMetadata, ProduceError>,
}

impl BatchCell {
    pub(crate) fn new(slot: Arc<Slot>) -> Self {
        slot.batch_opened();
        Self { slot, settled: AtomicBool::new(false), inner: Mutex::new(Inner::default()) }
    }

    pub(crate) fn slot(&self) -> &Slot {
        &self.slot
    }

    /// The outcome of a record, once it has one.
    pub(crate) fn outcome(
        &self,
        index: u32,
        timestamp_ms: i64,
    ) -> Option<Result<RecordMetadata, ProduceError>> {
        if !self.is_at_home() {
            return Some(self.outcome_in_child(index, timestamp_ms));
        }
        if !self.settled.load(Ordering::Acquire) {
            return None;
        }
        self.inner.lock().find(index).map(|told| self.result(told, index, timestamp_ms))
    }

    /// Whether this is the process that has the producer's threads.
    fn is_at_home(&self) -> bool {
        self.slot.callbacks().home().is_here()
    }

    /// In a child no outcome comes any more, and somebody who does not exist may hold the lock.
    #[cold]
    fn outcome_in_child(
        &self,
        index: u32,
        timestamp_ms: i64,
    ) -> Result<RecordMetadata, ProduceError> {
        if let Some(inner) = self.inner.try_lock()
            && let Some(outcome) = inner.find(index)
        {
            return self.result(outcome, index, timestamp_ms);
        }
        Err(ProduceError::in_doubt(ErrorKind::Closed, FORKED))
    }

    /// The outcome of a record, or a place among those who are woken.
    pub(crate) fn outcome_or_wait(
        &self,
        index: u32,
        timestamp_ms: i64,
        waker: &Waker,
        place: &mut Option<usize>,
    ) -> Option<Result<RecordMetadata, ProduceError>> {
        let mut inner = self.inner.lock();
        if let Some(told) = inner.find(index) {
            return Some(self.result(told, index, timestamp_ms));
        }
        inner.wait(waker, place);
        None
    }

    /// Whether every record has its outcome; if not, takes a place among those who are woken.
    pub(crate) fn wait_settled(&self, waker: &Waker, place: &mut Option<usize>) -> bool {
        let too_soon = Bug::LooksTooSoon.is_on() && !self.settled.load(Ordering::Acquire);
        let mut inner = self.inner.lock();
        // Set under the lock that we hold: no wake-up can slip between this look and the place.
        let settled = self.settled.load(Ordering::Acquire) && !too_soon;
        if !settled {
            inner.wait(waker, place);
        }
        settled
    }

    /// Whoever waited does not any more.
    pub(crate) fn stop_waiting(&self, place: usize) {
        if !self.is_at_home() {
            return;
        }
        if let Some(waker) = self.inner.lock().wakers.get_mut(place) {
            *waker = None;
        }
    }

    /// Has `callback` called with the outcome; gives it back when there is one already.
    pub(crate) fn call_back(
        &self,
        index: u32,
        timestamp_ms: i64,
        callback: Callback,
    ) -> Option<DueCallback> {
        if !self.is_at_home() {
            let result = self.outcome_in_child(index, timestamp_ms);
            return Some(DueCallback { callback, result });
        }
        self.slot.callbacks().expect_one();
        let mut inner = self.inner.lock();
        if let Some(told) = inner.find(index) {
            let result = self.result(told, index, timestamp_ms);
            return Some(DueCallback { callback, result });
        }
        inner.callbacks.push(PendingCallback { index, timestamp_ms, callback });
        None
    }

    /// Takes the outcome of some of the batch's `record_count` records, wakes who waits and gives
    /// back the callbacks that are due.
    pub(crate) fn settle(
        &self,
        records: Range<u32>,
        record_count: u32,
        outcome: Outcome,
    ) -> Vec<DueCallback> {
        let (wakers, callbacks, last) = {
            let mut inner = self.inner.lock();
            inner.outcomes.push((records.clone(), outcome.clone()));
            inner.told += records.end - records.start;
            let last = inner.told == record_count;
            if last {
                self.settled.store(true, Ordering::Release);
            }
            let due = |pending: &mut PendingCallback| records.contains(&pending.index);
            let callbacks: Vec<PendingCallback> = inner.callbacks.extract_if(.., due).collect();
            // Places stay where they are: a record whose turn has not come may wait again.
            let wakers: Vec<Waker> = inner.wakers.iter_mut().filter_map(Option::take).collect();
            (wakers, callbacks, last)
        };
        if last {
            self.slot.batch_settled();
        }
        wakers.into_iter().for_each(wake);
        let told = (records, outcome);
        callbacks
            .into_iter()
            .map(|pending| DueCallback {
                result: self.result(&told, pending.index, pending.timestamp_ms),
                callback: pending.callback,
            })
            .collect()
    }

    /// Whether every record has its outcome, or none will come because this is a child process.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire) || !self.is_at_home()
    }

    fn result(
        &self,
        (records, outcome): &(Range<u32>, Outcome),
        index: u32,
        timestamp_ms: i64,
    ) -> Result<RecordMetadata, ProduceError> {
        let place = i64::from(index - records.start);
        match outcome {
            Ok(acknowledged) => Ok(RecordMetadata {
                topic: self.slot.topic().clone(),
                partition: self.slot.index(),
                // Past the greatest number there is no offset that one could name.
                offset: acknowledged.base_offset.and_then(|base| base.checked_add(place)),
                timestamp_ms: acknowledged.log_append_time_ms.unwrap_or(timestamp_ms),
            }),
            Err(failure) => Err(ProduceError::new(failure.clone())),
        }
    }
}

/// A waker is code of somebody else's: if it panics, the others are woken all the same.
fn wake(waker: Waker) {
    if catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err() {
        tracing::error!("a waker panicked");
    }
}

impl Inner {
    fn wait(&mut self, waker: &Waker, place: &mut Option<usize>) {
        match place.and_then(|place| self.wakers.get_mut(place)) {
            Some(Some(known)) => known.clone_from(waker),
            Some(empty) => *empty = Some(waker.clone()),
            None => {
                *place = Some(self.wakers.len());
                self.wakers.push(Some(waker.clone()));
            }
        }
    }

    fn find(&self, index: u32) -> Option<&(Range<u32>, Outcome)> {
        self.outcomes.iter().find(|(records, _)| records.contains(&index))
    }
}
