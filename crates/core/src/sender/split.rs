//! Batches that are refused for their size, or for some of their records: what is good of them is
//! sent in others (KIP-126, KIP-467).

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use ottla_protocol::messages::produce::PartitionProduceResponse;

use super::{Context, Sender};
use crate::PartitionKey;
use crate::accumulator::{Batch, Queues};
use crate::error::{ErrorKind, Failure};
use crate::host::Host;
use crate::mutant::Mutant;
use crate::output::{Cut, Part, Split, SplitToken};
use crate::time::Instant;
use crate::words::{SHOWN_MAX_CHARS, shown};

/// Why a batch was refused, and the records that the broker minds, with what it says of each.
pub(super) struct Refusal {
    failure: Failure,
    minded: Vec<(u32, Option<String>)>,
}

/// A part, and which records of the batch that was split it has.
type Assigned<H> = (Part<<H as Host>::Chunk>, Vec<Range<u32>>);

impl<H: Host> Sender<H> {
    /// The broker will not take the batch.
    pub(super) fn refused(
        &mut self,
        key: PartitionKey,
        batch: Batch<H>,
        answer: &PartitionProduceResponse,
        failure: Failure,
    ) {
        let count = batch.record_count();
        let refusal = Refusal { minded: minded(answer, count), failure };
        let lane = &mut self.lanes[key.0 as usize];
        if Mutant::RefusedIsDelivered.is_on() {
            return self.delivered(Instant::ZERO, key, batch, None, None);
        }
        if batch.ambiguous && !Mutant::SplitInDoubt.is_on() {
            // The no is about this attempt; an earlier one may be in the log, or come to be.
            lane.unresolved |= self.rules.idempotent;
            return self.fail(&batch, &refusal);
        }
        let too_large = refusal.failure.kind == ErrorKind::TooLarge;
        if too_large && refusal.minded.is_empty() && count > 1 {
            return self.split(key, batch, refusal);
        }
        lane.sequence_refused(batch.order, batch.stamp());
        if refusal.minded.is_empty() || refusal.minded.len() == count as usize {
            return self.fail(&batch, &refusal);
        }
        self.split(key, batch, refusal);
    }

    /// Has others made of the batch, which will wait where it does.
    fn split(&mut self, key: PartitionKey, mut batch: Batch<H>, refusal: Refusal) {
        let serial = self.serial();
        let cut = if refusal.minded.is_empty() {
            Cut::InTwo
        } else {
            // Those behind them cannot keep their sequence numbers.
            batch.clear_stamp();
            Cut::Without(refusal.minded.iter().map(|(index, _)| *index).collect())
        };
        self.stats.splits += 1;
        self.splits.push_back(Split {
            token: SplitToken { partition: key, serial },
            payload: batch.payload().clone(),
            compression: batch.compression(),
            level: self.rules.compression_level,
            base_timestamp_ms: batch.base_timestamp_ms(),
            cut,
        });
        batch.last_failure = Some(Arc::new(refusal.failure.clone()));
        self.refusals.insert(serial, refusal);
        self.lanes[key.0 as usize].put_back(batch, Some(serial));
    }

    /// A split is done. Without parts, which says that the records could not be read, they fail as
    /// the broker said.
    pub(crate) fn handle_split<Q: Queues<H>>(
        &mut self,
        token: SplitToken,
        parts: Option<Vec<Part<H::Chunk>>>,
        cx: &mut Context<'_, Q>,
    ) {
        let key = token.partition;
        let Some(refusal) = self.refusals.remove(&token.serial) else { return };
        let lane = &mut self.lanes[key.0 as usize];
        // It may have been given up meanwhile.
        let place = lane.waiting.iter().position(|slot| slot.job == Some(token.serial));
        let Some(slot) = place.and_then(|place| lane.waiting.remove(place)) else { return };
        let batch = slot.batch;
        let Some(parts) = parts.and_then(|parts| assign(&batch, &refusal, parts)) else {
            lane.sequence_refused(batch.order, batch.stamp());
            self.fail(&batch, &refusal);
            return self.landed(key, cx);
        };
        if let Some(limit_bytes) = smaller_batches(&batch, &parts) {
            cx.queues.with(key, |queue| queue.shrink_batches(limit_bytes));
        }
        for (part, records) in parts {
            let mut part = batch.part(part, &records);
            if Mutant::SplitBackwards.is_on() {
                part.order.1 = u32::MAX - part.order.1;
            }
            lane.put_back(part, None);
            if Mutant::SplitForgetsHalf.is_on() {
                break;
            }
        }
        if Mutant::SplitLeaks.is_on() {
            core::mem::forget(batch.payload().clone());
        }
        for (index, own) in &refusal.minded {
            self.fail_record(&batch, *index, own.clone(), &refusal.failure);
        }
        self.landed(key, cx);
    }

    /// The whole batch fails. With KIP-467 the broker may name the records that it minds; the
    /// others are told that it is for those.
    fn fail(&mut self, batch: &Batch<H>, refusal: &Refusal) {
        let Refusal { failure, minded } = refusal;
        let mut others = failure.clone();
        if !minded.is_empty() {
            let why = &failure.message;
            others.message = format!("another record of the same batch was refused: {why}");
        }
        let others = Err(Arc::new(others));
        let mut from = 0;
        for (index, own) in minded {
            self.stats.records_failed += u64::from(index - from);
            self.tell(batch, from..*index, &others);
            self.fail_record(batch, *index, own.clone(), failure);
            from = index + 1;
        }
        self.stats.records_failed += u64::from(batch.record_count() - from);
        self.tell(batch, from..batch.record_count(), &others);
    }

    fn fail_record(
        &mut self,
        batch: &Batch<H>,
        index: u32,
        own: Option<String>,
        failure: &Failure,
    ) {
        let message = own.unwrap_or_else(|| failure.message.clone());
        let failure = Arc::new(Failure { message, ..failure.clone() });
        self.stats.records_failed += 1;
        self.tell(batch, index..index + 1, &Err(failure));
    }
}

/// The records that the answer names, by their number in the batch; nonsense is left out.
fn minded(answer: &PartitionProduceResponse, count: u32) -> Vec<(u32, Option<String>)> {
    let mut minded: Vec<(u32, Option<String>)> = answer
        .record_errors
        .iter()
        .filter_map(|error| Some((u32::try_from(error.batch_index).ok()?, error)))
        .filter(|(index, _)| *index < count)
        .map(|(index, error)| {
            let words = error.batch_index_error_message.as_deref();
            (index, words.map(|words| shown(words, SHOWN_MAX_CHARS)))
        })
        .collect();
    minded.sort_unstable_by_key(|(index, _)| *index);
    minded.dedup_by_key(|(index, _)| *index);
    minded
}

/// Which of the batch's records each part has; nothing if they are not the parts of this batch.
fn assign<H: Host>(
    batch: &Batch<H>,
    refusal: &Refusal,
    parts: Vec<Part<H::Chunk>>,
) -> Option<Vec<Assigned<H>>> {
    let mut left: Vec<Range<u32>> = Vec::new();
    let mut from = 0;
    for (bad, _) in &refusal.minded {
        left.push(from..*bad);
        from = bad + 1;
    }
    left.push(from..batch.record_count());
    left.retain(|range| !range.is_empty());
    if refusal.minded.is_empty() {
        // In two.
        let [first, second] = parts.try_into().ok()?;
        let middle = first.measure.record_count;
        let fits = middle > 0
            && second.measure.record_count > 0
            && middle + second.measure.record_count == batch.record_count();
        return fits.then(|| {
            alloc::vec![
                (first, alloc::vec![0..middle]),
                (second, alloc::vec![middle..batch.record_count()])
            ]
        });
    }
    let [rest] = parts.try_into().ok()?;
    let count: u32 = left.iter().map(|range| range.end - range.start).sum();
    (rest.measure.record_count == count).then(|| alloc::vec![(rest, left)])
}

/// The size that batches of this partition should have from now on, when one was too large that
/// came straight from the accumulator. Not where one record alone takes more than half of it: that
/// says nothing of the others, and batches never become smaller than a record.
fn smaller_batches<H: Host>(batch: &Batch<H>, parts: &[Assigned<H>]) -> Option<usize> {
    if !batch.is_whole() || parts.len() < 2 {
        return None;
    }
    let size_bytes: usize = parts.iter().map(|(part, _)| part.measure.size_bytes).sum();
    let largest_bytes = parts.iter().map(|(part, _)| part.measure.largest_bytes).max()?;
    (largest_bytes <= size_bytes / 2).then_some(size_bytes / 2)
}
