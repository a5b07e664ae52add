//! Time passing: lingers, back-offs and the end of records' lives.

use alloc::format;
use alloc::string::String;

use super::timers::TimerKind;
use super::{Context, Sender};
use crate::PartitionKey;
use crate::accumulator::Queues;
use crate::error::ErrorKind;
use crate::host::Host;
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
        let idempotent = self.rules.idempotent;
        let over = |opened_at: Instant| opened_at + lifetime <= cx.now;
        let why = self.expiry_message(key, cx);
        let lane = &mut self.lanes[key.0 as usize];
        let mut expired = alloc::vec::Vec::new();
        while lane.in_flight.front().is_some_and(|flying| over(flying.batch.opened_at())) {
            expired.extend(lane.in_flight.pop_front().map(|flying| (flying.batch, true)));
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
            expired.extend(cx.queues.with(key, |queue| queue.take(true)).map(|b| (b, false)));
        }
        for (batch, in_flight) in expired {
            let lane = &mut self.lanes[key.0 as usize];
            if in_flight || batch.ambiguous {
                lane.unresolved |= idempotent;
            } else {
                lane.sequence_refused(batch.order, batch.stamp());
            }
            self.give_up(batch, in_flight, ErrorKind::Timeout, &why);
        }
        self.judge(key, cx);
        if let Some(oldest) = self.oldest(key, cx) {
            self.arm_expiry(key, oldest);
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
