//! Answers to produce requests, and their absence.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::produce::{PartitionProduceResponse, ProduceResponse};

use super::verdict::{Verdict, may_follow_append, verdict};
use super::{Context, Sender, SentBatches};
use crate::PartitionKey;
use crate::accumulator::{Batch, Queues};
use crate::config::Acks;
use crate::error::{ErrorKind, Failure, Outcome};
use crate::host::Host;
use crate::metadata::{LeaderHint, TopicIndex};
use crate::mutant::Mutant;
use crate::output::{Acknowledged, ConnectionId, Event};
use crate::rng::backoff;
use crate::time::Instant;
use crate::words::{SHOWN_MAX_CHARS, shown};

/// A broker's wish for silence is honoured up to this; what asks for more is a mistake.
const THROTTLE_MAX: Duration = Duration::from_secs(60);

/// A broker that acknowledged a batch so recently knows the producer still. The real limit is
/// `producer.id.expiration.ms`, a day by default, which no client is told.
const REMEMBERED: Duration = Duration::from_secs(60);

impl<H: Host> Sender<H> {
    /// Takes the answer to request `serial`; gives back leaders that it names.
    pub(crate) fn handle_answer<Q: Queues<H>>(
        &mut self,
        serial: u64,
        answer: &ProduceResponse,
        broker: &Arc<str>,
        cx: &mut Context<'_, Q>,
    ) -> Vec<(PartitionKey, LeaderHint)> {
        let Some(sent) = self.take_request(serial) else { return Vec::new() };
        if answer.throttle_time_ms > 0 {
            self.stats.throttles += 1;
            let silence = Duration::from_millis(answer.throttle_time_ms as u64).min(THROTTLE_MAX);
            let (node, broker) = (sent.node, broker.clone());
            self.events.push_back(Event::Throttled { node, broker, time: silence });
            self.outboxes.entry(sent.node).or_default().throttled_until = cx.now + silence;
        }
        let found = by_partition(answer, cx);
        let mut hints = Vec::new();
        for key in &sent.partitions {
            let partition = cx.cluster.partition(*key);
            let at =
                found.binary_search_by_key(&(partition.topic, partition.index), |entry| entry.0);
            let at = at.map(|at| if Mutant::AnsweredTogether.is_on() { 0 } else { at });
            match at.ok().map(|at| found[at]) {
                Some((_, entry, is_present)) => {
                    let hint = hint(entry, answer).filter(|_| is_present);
                    hints.extend(hint.map(|hint| (*key, hint)));
                    self.handle_partition(*key, serial, entry, broker, cx);
                }
                None if Mutant::LeftOutIsDelivered.is_on() => {
                    if let Some(batch) = self.land(*key, serial) {
                        self.delivered(cx.now, *key, batch, None, None);
                    }
                }
                None => {
                    let message = "the broker's answer leaves this partition out";
                    self.handle_silence(*key, serial, message, broker, cx);
                }
            }
        }
        for key in &sent.partitions {
            self.landed(*key, cx);
        }
        hints
    }

    /// `acks=0`: the request is with the operating system, which is all that was asked for.
    pub(crate) fn handle_written<Q: Queues<H>>(&mut self, serial: u64, cx: &mut Context<'_, Q>) {
        let Some(sent) = self.take_request(serial) else { return };
        for key in sent.partitions {
            if let Some(batch) = self.land(key, serial) {
                let nowhere = Acknowledged { base_offset: None, log_append_time_ms: None };
                self.settle(batch, Ok(nowhere));
            }
            self.landed(key, cx);
        }
    }

    /// The connection is gone: whatever it owed an answer to may or may not be written.
    pub(crate) fn handle_connection_lost<Q: Queues<H>>(
        &mut self,
        connection: ConnectionId,
        why: &str,
        broker: &Arc<str>,
        cx: &mut Context<'_, Q>,
    ) {
        let lost: Vec<u64> = self
            .requests
            .iter()
            .filter(|(_, sent)| sent.connection == connection)
            .map(|(serial, _)| *serial)
            .collect();
        for serial in lost {
            let Some(sent) = self.take_request(serial) else { continue };
            for key in &sent.partitions {
                if Mutant::LostInSilence.is_on() {
                    drop(self.land(*key, serial));
                }
                self.handle_silence(*key, serial, why, broker, cx);
            }
            for key in sent.partitions {
                self.landed(key, cx);
            }
        }
    }

    fn take_request(&mut self, serial: u64) -> Option<SentBatches> {
        let sent = self.requests.remove(&serial)?;
        if let Some(outbox) = self.outboxes.get_mut(&sent.node) {
            outbox.requests_in_flight -= 1;
        }
        Some(sent)
    }

    /// Takes a batch out of the air; `None` when it was given up meanwhile.
    fn land(&mut self, key: PartitionKey, serial: u64) -> Option<Batch<H>> {
        let in_flight = &mut self.lanes[key.0 as usize].in_flight;
        let place = in_flight.iter().position(|flying| flying.serial == serial)?;
        in_flight.remove(place).map(|flying| flying.batch)
    }

    fn handle_silence<Q: Queues<H>>(
        &mut self,
        key: PartitionKey,
        serial: u64,
        why: &str,
        broker: &Arc<str>,
        cx: &mut Context<'_, Q>,
    ) {
        let Some(mut batch) = self.land(key, serial) else { return };
        batch.ambiguous = !Mutant::SilenceIsNo.is_on();
        batch.unanswered = batch.ambiguous;
        let failure = failure(&batch, ErrorKind::Network, None, why.to_string(), broker);
        if self.rules.acks == Acks::None {
            // Nobody would say whether the first attempt arrived: trying again could duplicate.
            return self.settle(batch, Err(Arc::new(failure)));
        }
        self.retry(key, batch, failure, cx);
    }

    fn handle_partition<Q: Queues<H>>(
        &mut self,
        key: PartitionKey,
        serial: u64,
        answer: &PartitionProduceResponse,
        broker: &Arc<str>,
        cx: &mut Context<'_, Q>,
    ) {
        let Some(mut batch) = self.land(key, serial) else { return };
        let code = ErrorCode(answer.error_code);
        let identity = self.lanes[key.0 as usize].identity;
        let attempts = batch.attempts;
        match verdict(code) {
            Verdict::Delivered => {
                self.delivered(
                    cx.now,
                    key,
                    batch,
                    offset(answer.base_offset + Mutant::wrong_offset(attempts)),
                    offset(answer.log_append_time_ms),
                );
            }
            Verdict::DeliveredBefore => {
                self.delivered(cx.now, key, batch, offset(answer.base_offset), None)
            }
            Verdict::Retry { maybe_written, refresh } => {
                let late = self.rules.acks == Acks::All
                    && may_follow_append(code)
                    && !Mutant::LateLeaderIsNo.is_on();
                batch.ambiguous |= (maybe_written && !Mutant::is_taken_for_no(code)) || late;
                self.needs_metadata |= refresh;
                let failure =
                    failure(&batch, ErrorKind::Refused, Some(code), words(answer, code), broker);
                self.retry(key, batch, failure, cx);
            }
            Verdict::OutOfOrder | Verdict::NewEpoch => {
                let failure =
                    failure(&batch, ErrorKind::Refused, Some(code), words(answer, code), broker);
                self.out_of_order(key, batch, failure, cx);
            }
            Verdict::NewProducerId => {
                self.sequencer.discard(identity);
                let lane = &mut self.lanes[key.0 as usize];
                lane.wants_new_epoch = true;
                // Under another id the broker would not recognize what may be in its log already.
                let doubtful = lane.take_doubtful();
                for slot in doubtful {
                    self.give_up(slot, false, ErrorKind::Refused, code.message());
                }
                let failure =
                    failure(&batch, ErrorKind::Refused, Some(code), words(answer, code), broker);
                if batch.ambiguous {
                    return self.settle(batch, Err(Arc::new(failure)));
                }
                self.retry(key, batch, failure, cx);
            }
            Verdict::Fail(kind) => {
                let message = words(answer, code);
                let failure = failure(&batch, kind, Some(code), message, broker);
                self.refused(key, batch, answer, failure);
            }
        }
    }

    /// The broker lacks what came before the batch.
    fn out_of_order<Q: Queues<H>>(
        &mut self,
        key: PartitionKey,
        mut batch: Batch<H>,
        failure: Failure,
        cx: &mut Context<'_, Q>,
    ) {
        let lane = &mut self.lanes[key.0 as usize];
        // Behind a batch that is itself to be sent again this is no news. At the front it means
        // that the broker's memory of this producer and ours have parted (KIP-360).
        if lane.has_earlier(batch.order) {
            return self.retry(key, batch, failure, cx);
        }
        lane.unresolved = false;
        lane.wants_new_epoch = true;
        if Mutant::OthersRestamped.is_on() {
            let waiting = self.lanes.iter_mut().flat_map(|lane| &mut lane.waiting);
            waiting.for_each(|slot| slot.batch.clear_stamp());
        }
        let lane = &mut self.lanes[key.0 as usize];
        // Those behind it go under a new stamp, too. One that a broker took that had forgotten the
        // producer would be there twice.
        for doubtful in lane.take_doubtful() {
            self.give_up(doubtful, false, ErrorKind::Refused, &failure.message);
        }
        if batch.unanswered && !Mutant::RestampUnanswered.is_on() {
            // What fills the gap may be on its way, and an earlier copy of this one behind it:
            // under another stamp it could be there twice.
            return self.settle(batch, Err(Arc::new(failure)));
        }
        batch.ambiguous = false;
        self.retry(key, batch, failure, cx);
    }

    pub(super) fn delivered(
        &mut self,
        now: Instant,
        key: PartitionKey,
        batch: Batch<H>,
        base_offset: Option<i64>,
        log_append_time_ms: Option<i64>,
    ) {
        let lane = &mut self.lanes[key.0 as usize];
        lane.introduced_until = now + REMEMBERED;
        // A later batch is in the log, so the one that was given up before it is as well.
        lane.unresolved = false;
        self.settle(batch, Ok(Acknowledged { base_offset, log_append_time_ms }));
    }

    fn retry<Q: Queues<H>>(
        &mut self,
        key: PartitionKey,
        mut batch: Batch<H>,
        failure: Failure,
        cx: &mut Context<'_, Q>,
    ) {
        let attempts = batch.attempts;
        batch.last_failure = Some(Arc::new(failure));
        if attempts > self.rules.retries {
            let lane = &mut self.lanes[key.0 as usize];
            if batch.ambiguous {
                lane.unresolved |= self.rules.idempotent;
            } else {
                lane.sequence_refused(batch.order, batch.stamp());
            }
            let message = format!("retries={} are used up", self.rules.retries);
            return self.give_up(batch, false, ErrorKind::RetriesExhausted, &message);
        }
        if Mutant::RestampOnRetry.is_on() {
            batch.clear_stamp();
        }
        if Mutant::DeadlineAnew.is_on() {
            batch.begin_anew(cx.now);
        }
        let (base, max) = self.rules.retry_backoff;
        let lane = &mut self.lanes[key.0 as usize];
        lane.retry_at = cx.now + backoff(cx.rng, base, max, attempts);
        lane.put_back(batch, None);
    }
}

/// An offset or a time of the broker's, where -1 says that there is none.
fn offset(number: i64) -> Option<i64> {
    (number >= 0).then_some(number)
}

/// The broker's words, or ours for its code.
fn words(answer: &PartitionProduceResponse, code: ErrorCode) -> String {
    let words = answer.error_message.as_deref();
    words.map_or_else(|| code.message().to_string(), |words| shown(words, SHOWN_MAX_CHARS))
}

fn failure<H: Host>(
    batch: &Batch<H>,
    kind: ErrorKind,
    code: Option<ErrorCode>,
    message: String,
    broker: &Arc<str>,
) -> Failure {
    let outcome = if batch.ambiguous { Outcome::MaybePersisted } else { Outcome::NotPersisted };
    let broker = Some(broker.clone());
    Failure { kind, outcome, attempts: batch.attempts, broker, code, message, cause: None }
}

type ByPartition<'a> = Vec<((TopicIndex, i32), &'a PartitionProduceResponse, bool)>;

/// The answer's entries by topic and partition, and whether they are about the topic that has the
/// name now: an answer about a former one knows nothing of the present one's leaders. What was not
/// asked for is left out.
fn by_partition<'a, Q>(answer: &'a ProduceResponse, cx: &Context<'_, Q>) -> ByPartition<'a> {
    let mut found = Vec::new();
    for topic in &answer.responses {
        let by_name = !topic.name.is_empty();
        let index =
            if by_name { cx.cluster.find(&topic.name) } else { cx.cluster.find_id(topic.topic_id) };
        if let Some(index) = index {
            let is_present = by_name || cx.cluster.topic(index).id == topic.topic_id;
            let entries = topic.partition_responses.iter();
            found.extend(entries.map(|entry| ((index, entry.index), entry, is_present)));
        }
    }
    found.sort_by_key(|entry| entry.0);
    found
}

/// The leader that the answer names, if it names one (KIP-951).
fn hint(entry: &PartitionProduceResponse, answer: &ProduceResponse) -> Option<LeaderHint> {
    let leader = &entry.current_leader;
    if leader.leader_id < 0 || leader.leader_epoch < 0 {
        return None;
    }
    let endpoint = answer
        .node_endpoints
        .iter()
        .find(|node| node.node_id == leader.leader_id)
        .map(|node| (node.host.clone(), node.port));
    Some(LeaderHint { leader: leader.leader_id, leader_epoch: leader.leader_epoch, endpoint })
}
