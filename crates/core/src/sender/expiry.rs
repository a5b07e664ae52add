//! Time passing: lingers, back-offs and the end of records' lives.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::timers::TimerKind;
use super::{Context, Sender};
use crate::PartitionKey;
use crate::accumulator::{Batch, Queues};
use crate::error::ErrorKind;
use crate::host::Host;
use crate::mutant::Mutant;
use crate::output::Purge;
use crate::time::Instant;

impl<H: Host> Sender<H> {
    /// When the sender next wants [`Sender::handle_timeout`] called.
    #[must_use]
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Looks at every partition whose time has come.
    pub(crate) fn handle_timeout<Q: Queues<H>>(&mut self, cx: &mut Context<'_, Q>) {
        while let Some((key, kind)) = self.timers.pop_due(cx.now) {
            match kind {
                TimerKind::Wake => {
                    self.lanes[key.0 as usize].wake_armed = None;
                    self.judge(key, cx);
                }
                TimerKind::Expiry => {
                    self.lanes[key.0 as usize].expiry_armed = false;
                    self.expire(key, cx);
                }
            }
        }
    }

    pub(super) fn arm_expiry(&mut self, key: PartitionKey, oldest: Instant) {
        let lane = &mut self.lanes[key.0 as usize];
        if !lane.expiry_armed {
            lane.expiry_armed = true;
            self.timers.arm(oldest + self.rules.delivery_timeout, key, TimerKind::Expiry);
        }
    }

    /// Fails what is over its deadline: not persisted if it was never sent (or definitely refused
    /// every time), maybe persisted otherwise.
    fn expire<Q: Queues<H>>(&mut self, key: PartitionKey, cx: &mut Context<'_, Q>) {
        let lifetime = self.rules.delivery_timeout;
        let over = |opened_at: Instant| opened_at + lifetime <= cx.now;
        let why = self.expiry_message(key, cx);
        let lane = &mut self.lanes[key.0 as usize];
        let mut expired = Vec::new();
        // Nothing here leans on the order of what is in flight: one that is overdue and not found
        // would be looked for again at once, for ever.
        let mut index = 0;
        while let Some(flying) = lane.in_flight.get(index) {
            if over(flying.batch.opened_at()) {
                let in_flight = !Mutant::ExpiryIsNo.is_on();
                expired.extend(lane.in_flight.remove(index).map(|it| (it.batch, in_flight)));
            } else {
                index += 1;
            }
        }
        let mut index = 0;
        while let Some(slot) = lane.waiting.get(index) {
            if over(slot.batch.opened_at()) {
                expired.extend(lane.waiting.remove(index).map(|slot| (slot.batch, false)));
            } else {
                index += 1;
            }
        }
        while cx.queues.with(key, |queue| queue.oldest()).is_some_and(over) {
            let batch = cx.queues.with(key, |queue| queue.take(true));
            if !Mutant::ExpiresInSilence.is_on() {
                expired.extend(batch.map(|batch| (batch, false)));
            }
        }
        self.give_up_some(key, expired, (ErrorKind::Timeout, &why));
        self.landed(key, cx);
        if let Some(oldest) = self.oldest(key, cx) {
            self.arm_expiry(key, oldest);
        }
    }

    /// Gives up batches of a partition that goes on with others. Each comes with whether it was in
    /// flight; those that may be in the log leave a question behind for the sequence numbers.
    fn give_up_some(
        &mut self,
        key: PartitionKey,
        batches: Vec<(Batch<H>, bool)>,
        (kind, why): (ErrorKind, &str),
    ) {
        let idempotent = self.rules.idempotent;
        for (batch, in_flight) in batches {
            let lane = &mut self.lanes[key.0 as usize];
            if in_flight || batch.ambiguous {
                lane.unresolved |= idempotent;
                if let Some(stamp) = batch.stamp().filter(|_| Mutant::SequenceReused.is_on()) {
                    lane.unresolved = false;
                    lane.next_sequence = stamp.base_sequence;
                }
            } else {
                lane.sequence_refused(batch.order, batch.stamp());
            }
            self.give_up(batch, in_flight, kind, why);
        }
    }

    /// Gives up what waits, what was sent and has no answer, or both. The partitions go on with
    /// what comes after.
    pub(crate) fn purge<Q: Queues<H>>(&mut self, purge: &Purge<'_>, cx: &mut Context<'_, Q>) {
        match purge.partitions {
            Some(keys) => keys.iter().for_each(|key| self.purge_lane(*key, purge, cx)),
            None => {
                for number in 0..self.lanes.len() {
                    self.purge_lane(PartitionKey(number as u32), purge, cx);
                }
            }
        }
    }

    fn purge_lane<Q: Queues<H>>(
        &mut self,
        key: PartitionKey,
        purge: &Purge<'_>,
        cx: &mut Context<'_, Q>,
    ) {
        let Some(lane) = self.lanes.get_mut(key.0 as usize) else { return };
        let mut purged = Vec::new();
        if purge.in_flight {
            let in_flight = !Mutant::PurgeIsNo.is_on();
            purged.extend(lane.in_flight.drain(..).map(|flying| (flying.batch, in_flight)));
        }
        if purge.queued {
            purged.extend(lane.waiting.drain(..).map(|slot| (slot.batch, false)));
            while let Some(batch) = cx.queues.with(key, |queue| queue.take(true)) {
                purged.push((batch, false));
            }
        }
        if !purged.is_empty() {
            let why = "the program gave the record up (purge)";
            self.give_up_some(key, purged, (ErrorKind::Purged, why));
            self.landed(key, cx);
        }
    }

    fn expiry_message<Q>(&self, key: PartitionKey, cx: &Context<'_, Q>) -> String {
        let partition = cx.cluster.partition(key);
        let topic = &cx.cluster.topic(partition.topic).name;
        let outbox = partition.leader.and_then(|node| self.outboxes.get(&node));
        let trouble = outbox.and_then(|outbox| outbox.trouble.as_deref());
        let trouble = match partition.leader {
            None => Some("the partition has no leader"),
            Some(_) => trouble.or(self.identity_trouble.as_deref()),
        };
        let waiting_for = trouble.map_or_else(String::new, |why| format!(": {why}"));
        format!(
            "delivery.timeout.ms={} passed for {topic}-{}{waiting_for}",
            self.rules.delivery_timeout.as_millis(),
            partition.index
        )
    }
}
