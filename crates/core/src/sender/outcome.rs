//! What is told of batches, once for each of their records (law L1).

use alloc::sync::Arc;
use core::ops::Range;

use super::{Context, Sender};
use crate::PartitionKey;
use crate::accumulator::{Batch, Queues};
use crate::error::{ErrorKind, Failure, Outcome};
use crate::host::Host;
use crate::mutant::Mutant;
use crate::output::{Acknowledged, Event};

impl<H: Host> Sender<H> {
    /// Gives up everything that is not done: the producer is closed.
    pub(crate) fn abort<Q: Queues<H>>(&mut self, reason: &str, cx: &mut Context<'_, Q>) {
        for number in 0..self.lanes.len() {
            let key = PartitionKey(number as u32);
            while let Some(batch) = cx.queues.with(key, |queue| queue.take(true)) {
                self.give_up(batch, false, ErrorKind::Closed, reason);
            }
            while let Some(slot) = self.lanes[number].waiting.pop_front() {
                self.give_up(slot.batch, false, ErrorKind::Closed, reason);
            }
            while let Some(flying) = self.lanes[number].in_flight.pop_front() {
                self.give_up(flying.batch, true, ErrorKind::Closed, reason);
            }
        }
    }

    /// Settles a batch that will not be sent any more, for our own reasons.
    pub(super) fn give_up(
        &mut self,
        batch: Batch<H>,
        in_flight: bool,
        kind: ErrorKind,
        message: &str,
    ) {
        let outcome = if in_flight || batch.ambiguous {
            Outcome::MaybePersisted
        } else {
            Outcome::NotPersisted
        };
        let failure = Failure {
            kind,
            outcome,
            attempts: batch.attempts,
            broker: batch.last_failure.as_ref().and_then(|last| last.broker.clone()),
            code: None,
            message: message.into(),
            cause: batch.last_failure.clone(),
        };
        if in_flight && Mutant::ToldTwice.is_on() {
            self.tell(&batch, 0..batch.record_count(), &Err(Arc::new(failure.clone())));
        }
        self.settle(batch, Err(Arc::new(failure)));
    }

    /// Tells a batch's outcome. It takes the batch, so that it cannot be told twice (law L1).
    pub(super) fn settle(&mut self, batch: Batch<H>, result: Result<Acknowledged, Arc<Failure>>) {
        let count = u64::from(batch.record_count());
        match &result {
            Ok(_) => self.stats.records_delivered += count,
            Err(_) => self.stats.records_failed += count,
        }
        if result.is_err() && Mutant::LeaksFailed.is_on() {
            core::mem::forget(batch.payload().clone());
        }
        if batch.is_whole() {
            let record_count = batch.record_count();
            let completion = batch.completion().clone();
            let records = 0..record_count;
            self.events.push_back(Event::Settled { completion, records, record_count, result });
        } else {
            self.tell(&batch, 0..batch.record_count(), &result);
        }
    }

    /// Tells the outcome of some of a batch's records.
    pub(super) fn tell(
        &mut self,
        batch: &Batch<H>,
        records: Range<u32>,
        result: &Result<Acknowledged, Arc<Failure>>,
    ) {
        let record_count = batch.completion_count();
        for (mut first, mut records) in batch.places(records) {
            if Mutant::SplitOffsetOfWhole.is_on() && !batch.is_whole() {
                first = records.start;
            }
            if Mutant::SplitSettlesWhole.is_on() {
                records = 0..record_count;
            }
            let completion = batch.completion().clone();
            let at = |acknowledged: &Acknowledged| Acknowledged {
                base_offset: acknowledged.base_offset.map(|base| base + i64::from(first)),
                ..*acknowledged
            };
            let result = result.as_ref().map(at).map_err(Arc::clone);
            self.events.push_back(Event::Settled { completion, records, record_count, result });
        }
    }
}
