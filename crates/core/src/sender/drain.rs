//! From lanes to a request.

use alloc::vec::Vec;

use ottla_protocol::{ApiKey, Uuid};

use super::frame::{Entry, produce_frame};
use super::lane::{Flying, Listed, Step};
use super::{Context, Sender, SentBatches, Slot};
use crate::PartitionKey;
use crate::accumulator::Queues;
use crate::config::Acks;
use crate::connection::{Link, Sent};
use crate::error::ErrorKind;
use crate::host::Host;
use crate::mutant::Mutant;
use crate::output::{Compress, CompressToken, Transmit};
use crate::time::Instant;
use ottla_protocol::record::CompressionType;

/// What draining an outbox came to.
pub(crate) enum Drained<H: Host> {
    /// A request to write.
    Transmit(Transmit<H>),
    /// Nothing can leave now.
    Nothing,
}

impl<H: Host> Sender<H> {
    /// Builds the next request for `node`, which `link` leads to.
    pub(crate) fn drain<Q: Queues<H>>(
        &mut self,
        node: i32,
        link: &mut Link,
        cx: &mut Context<'_, Q>,
    ) -> Drained<H> {
        let wider = if Mutant::WindowTooWide.is_on() { 4 } else { 0 };
        let max_in_flight = self.rules.max_in_flight + wider;
        let Some(outbox) = self.outboxes.get(&node) else { return Drained::Nothing };
        if outbox.requests_in_flight >= max_in_flight
            || outbox.throttled_until > cx.now
            || !self.sequencer.is_able()
        {
            return Drained::Nothing;
        }
        let chosen = self.choose(node, cx);
        if chosen.is_empty() {
            return Drained::Nothing;
        }
        self.send(node, chosen, link, cx)
    }

    /// When the broker of a throttled outbox may be written to again.
    pub(crate) fn throttled_until(&self, now: Instant) -> Option<Instant> {
        let waiting = self.outboxes.values().filter(|outbox| outbox.wants_link());
        waiting.map(|outbox| outbox.throttled_until).filter(|until| *until > now).min()
    }

    /// When a broker with nothing to do may be sent what has gathered for it.
    pub(crate) fn gap_until(&self, now: Instant) -> Option<Instant> {
        if !self.rules.linger_adaptive {
            return None;
        }
        let waiting = self.outboxes.values().filter(|outbox| outbox.waits_for_gap());
        waiting.map(|outbox| outbox.gap.until()).filter(|until| *until > now).min()
    }

    /// Lanes for one request: those that are ready, in turn, or else, for a broker with nothing
    /// to do, those that merely have something.
    fn choose<Q: Queues<H>>(&mut self, node: i32, cx: &mut Context<'_, Q>) -> Vec<PartitionKey> {
        let mut chosen = Vec::new();
        let mut size_bytes = 0;
        let turns = self.outboxes.get(&node).map_or(0, |outbox| outbox.ready.len());
        for _ in 0..turns {
            let Some(outbox) = self.outboxes.get_mut(&node) else { break };
            let Some(key) = outbox.ready.pop_front() else { break };
            let lane = &mut self.lanes[key.0 as usize];
            if lane.listed != Some(Listed::Ready(node)) {
                continue;
            }
            lane.listed = None;
            let here = cx.cluster.partition(key).leader == Some(node);
            if !here || self.next_step(key, node, cx) != Step::Ready {
                self.judge(key, cx);
                continue;
            }
            if !self.try_choose(key, &mut size_bytes, &mut chosen, cx) {
                self.lanes[key.0 as usize].listed = Some(Listed::Ready(node));
                if let Some(outbox) = self.outboxes.get_mut(&node) {
                    outbox.ready.push_front(key);
                }
                break;
            }
        }
        if chosen.is_empty() && self.rules.linger_adaptive {
            self.choose_partial(node, &mut size_bytes, &mut chosen, cx);
        }
        chosen
    }

    fn choose_partial<Q: Queues<H>>(
        &mut self,
        node: i32,
        size_bytes: &mut usize,
        chosen: &mut Vec<PartitionKey>,
        cx: &mut Context<'_, Q>,
    ) {
        loop {
            let Some(outbox) = self.outboxes.get_mut(&node) else { return };
            if outbox.requests_in_flight > 0 || outbox.partial.is_empty() {
                return;
            }
            if outbox.gap.holds_back(cx.now) {
                return;
            }
            let Some(key) = outbox.partial.pop_first() else { return };
            self.lanes[key.0 as usize].listed = None;
            let here = cx.cluster.partition(key).leader == Some(node);
            let step = self.next_step(key, node, cx);
            if !here || !matches!(step, Step::Ready | Step::Partial { .. }) {
                self.judge(key, cx);
                continue;
            }
            if !self.try_choose(key, size_bytes, chosen, cx) {
                self.judge(key, cx);
                return;
            }
        }
    }

    /// Stages the lane's next batch and takes it into the request; false when the request is full.
    fn try_choose<Q: Queues<H>>(
        &mut self,
        key: PartitionKey,
        size_bytes: &mut usize,
        chosen: &mut Vec<PartitionKey>,
        cx: &mut Context<'_, Q>,
    ) -> bool {
        let Some(batch_bytes) = self.stage(key, cx) else { return true };
        if !chosen.is_empty() && *size_bytes + batch_bytes > self.rules.max_request_size_bytes {
            return false;
        }
        *size_bytes += batch_bytes;
        chosen.push(key);
        true
    }

    /// Sees to it that a batch stands at the front of the lane; its size when it can be sent now.
    fn stage<Q: Queues<H>>(&mut self, key: PartitionKey, cx: &mut Context<'_, Q>) -> Option<usize> {
        if self.lanes[key.0 as usize].wants_new_epoch {
            self.give_up_behind_parts(key);
        }
        if self.lanes[key.0 as usize].waiting.is_empty() {
            let batch = cx.queues.with(key, |queue| queue.take(true))?;
            let mut slot = Slot::ready(batch);
            if self.rules.compression != CompressionType::None {
                let serial = self.serial();
                slot.job = Some(serial);
                self.jobs.push_back(Compress {
                    token: CompressToken { partition: key, serial },
                    payload: slot.batch.payload().clone(),
                    compression: self.rules.compression,
                    level: self.rules.compression_level,
                });
            }
            self.lanes[key.0 as usize].waiting.push_back(slot);
        }
        let slot = self.lanes[key.0 as usize].waiting.front()?;
        slot.job.is_none().then(|| slot.batch.wire_size_bytes())
    }

    /// Gives up what may be written and stands behind what is left of a batch that was refused in
    /// part: its answer would have to come before that is sent, and it would come first in the log.
    #[cold]
    fn give_up_behind_parts(&mut self, key: PartitionKey) {
        let lane = &mut self.lanes[key.0 as usize];
        if !lane.is_stuck() || Mutant::OldEpochForParts.is_on() {
            return;
        }
        for doubtful in lane.take_doubtful() {
            let why = "a batch before it was refused in part, and it may be written or not";
            self.give_up(doubtful, false, ErrorKind::Refused, why);
        }
    }

    fn send<Q: Queues<H>>(
        &mut self,
        node: i32,
        chosen: Vec<PartitionKey>,
        link: &mut Link,
        cx: &mut Context<'_, Q>,
    ) -> Drained<H> {
        let serial = self.serial();
        let mut entries: Vec<Entry<'_, H::Chunk>> = Vec::with_capacity(chosen.len());
        let mut partitions = Vec::with_capacity(chosen.len());
        let mut record_count = 0;
        for key in chosen {
            let lane = &mut self.lanes[key.0 as usize];
            if !lane.stamp_front(&mut self.sequencer) {
                // The identity changed with this lane or one before it in this request.
                self.judge(key, cx);
                continue;
            }
            let Some(mut batch) = lane.waiting.pop_front().map(|slot| slot.batch) else { continue };
            if batch.attempts == 0 {
                batch.order = (serial, 0);
            } else {
                self.stats.retries += 1;
            }
            batch.attempts += 1;
            record_count += batch.record_count();
            self.stats.batches_sent += 1;
            self.stats.batch_bytes_sent += batch.wire_size_bytes() as u64;
            let partition = cx.cluster.partition(key);
            entries.push(Entry {
                topic: partition.topic,
                name: &cx.cluster.topic(partition.topic).name,
                id: cx.cluster.topic(partition.topic).id,
                partition: partition.index,
                header: *batch.header(),
                payload: batch.payload().clone(),
            });
            partitions.push(key);
            lane.in_flight.push_back(Flying { batch, serial, node });
        }
        if entries.is_empty() {
            return Drained::Nothing;
        }
        entries.sort_by_key(|entry| entry.topic);
        let highest = if entries.iter().any(|e| e.id == Uuid::ZERO) { 12 } else { i16::MAX };
        let version = link.version(ApiKey::PRODUCE, highest).unwrap_or(3);
        let acks = self.rules.acks;
        let correlation_id = if acks == Acks::None {
            link.last_used = cx.now;
            link.next_correlation_id()
        } else {
            let deadline = cx.now + self.rules.request_timeout;
            link.book(version, Sent::Produce(serial), cx.now, deadline)
        };
        let timeout_ms = self.rules.request_timeout.as_millis() as i32;
        let head = (version, correlation_id, self.rules.client_id.as_str());
        let frame = produce_frame(head, acks, timeout_ms, entries);
        self.stats.requests_sent += 1;
        let outbox = self.outboxes.entry(node).or_default();
        outbox.requests_in_flight += 1;
        outbox.gap.sent(record_count, self.rules.linger_adaptive_gap, cx.now);
        for key in &partitions {
            self.judge(*key, cx);
        }
        let sent = SentBatches { node, connection: link.id, partitions };
        self.requests.insert(serial, sent);
        let written_token = (acks == Acks::None).then_some(serial);
        Drained::Transmit(Transmit { connection: link.id, frame, written_token })
    }
}
