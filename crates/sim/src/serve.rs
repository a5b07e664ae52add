//! What nodes do with requests: each by what it knows at the time.

use std::time::Duration;

use bytes::Bytes;
use ottla_core::output::ConnectionId;
use ottla_core::time::Instant;
use ottla_protocol::messages::api_versions::{ApiVersion, ApiVersionsResponse};
use ottla_protocol::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use ottla_protocol::messages::metadata::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_protocol::messages::produce::{
    BatchIndexAndErrorMessage, PartitionProduceData, PartitionProduceResponse, ProduceRequest,
    ProduceResponse, TopicProduceResponse,
};
use ottla_protocol::record::{BatchHeader, RecordReader, validate_batch};
use ottla_protocol::{ApiKey, ErrorCode, Message, Reader, RequestHeader, Uuid, encode_response};

use crate::cluster::{NODES, topic_id};
use crate::log::{Appended, Entry, RecordId};
use crate::seen::Seen;
use crate::world::{Event, World};

pub(crate) const TOPIC: &str = "events";

/// A produce request that waits for its records to be replicated.
pub(crate) struct Pending {
    pub(crate) connection: ConnectionId,
    header: RequestHeader,
    topic: Uuid,
    deadline: Instant,
    acks: i16,
    parts: Vec<Part>,
    throttle_ms: i32,
}

/// One partition's batch of such a request.
pub(crate) struct Part {
    index: i32,
    /// Where it was appended, and what has to be replicated.
    pub(crate) place: Option<Place>,
    /// The answer, once it is known.
    pub(crate) answer: Option<(ErrorCode, i64)>,
    /// The records of the batch that the broker minds.
    minded: Vec<i32>,
    pub(crate) left_out: bool,
}

#[derive(Clone, Copy)]
pub(crate) struct Place {
    incarnation: u32,
    epoch: i32,
    base: u64,
    end: u64,
}

impl World {
    /// A node takes the connection's next request.
    pub(crate) fn serve(&mut self, id: ConnectionId) -> Result<(), String> {
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        let node = connection.node;
        if !self.cluster.works(node, self.now) {
            let until = self.cluster.nodes[node].paused_until;
            if self.cluster.nodes[node].is_up {
                self.at(until - self.now + Duration::from_micros(1), Event::Serve(id));
            }
            return Ok(());
        }
        let Some(frame) = connection.inbox.pop_front() else {
            connection.is_busy = false;
            return Ok(());
        };
        let frame = Bytes::from(frame).slice(4..);
        let mut reader = Reader::new(&frame);
        let header = RequestHeader::decode(&mut reader).map_err(|why| format!("a frame: {why}"))?;
        if !self.may_speak(id, header.api_key)? {
            return Ok(());
        }
        match header.api_key {
            ApiKey::SASL_HANDSHAKE => self.shake_hands(id, &header),
            ApiKey::SASL_AUTHENTICATE => self.judge_credentials(id, &header, &mut reader)?,
            ApiKey::API_VERSIONS => {
                let body = self.api_versions();
                self.reply(id, &header, &body);
            }
            ApiKey::METADATA => {
                let body = self.metadata(node);
                self.reply(id, &header, &body);
            }
            ApiKey::INIT_PRODUCER_ID => {
                InitProducerIdRequest::decode(&mut reader, header.api_version)
                    .map_err(|why| format!("InitProducerId: {why}"))?;
                let body = self.identity();
                self.reply(id, &header, &body);
            }
            ApiKey::PRODUCE => {
                let request = ProduceRequest::decode(&mut reader, header.api_version)
                    .map_err(|why| format!("Produce: {why}"))?;
                self.produce(id, node, header, &request)?;
            }
            other => return Err(format!("an unexpected request: {other}")),
        }
        Ok(())
    }

    fn api_versions(&self) -> ApiVersionsResponse {
        let keys = [
            ApiKey::PRODUCE,
            ApiKey::METADATA,
            ApiKey::INIT_PRODUCER_ID,
            ApiKey::API_VERSIONS,
            ApiKey::SASL_HANDSHAKE,
            ApiKey::SASL_AUTHENTICATE,
        ];
        let offer = |api: ApiKey| {
            let range = api.versions().expect("it is generated");
            let newest = if api == ApiKey::PRODUCE { self.plan.produce_version } else { range.max };
            ApiVersion { api_key: api.0, min_version: range.min, max_version: newest }
        };
        ApiVersionsResponse { api_keys: keys.map(offer).to_vec(), ..Default::default() }
    }

    fn metadata(&mut self, node: usize) -> MetadataResponse {
        let view = &self.cluster.nodes[node].view;
        let is_stale = *view != self.cluster.truth;
        let broker = |number: usize| MetadataResponseBroker {
            node_id: number as i32 + 1,
            host: format!("node{}", number + 1),
            port: 9092,
            ..Default::default()
        };
        let partition = |(index, part): (usize, &crate::cluster::PartitionView)| {
            let leader = part.leader.filter(|leader| view.alive[*leader]);
            let code =
                if leader.is_some() { ErrorCode::NONE } else { ErrorCode::LEADER_NOT_AVAILABLE };
            MetadataResponsePartition {
                error_code: code.0,
                partition_index: index as i32,
                leader_id: leader.map_or(-1, |leader| leader as i32 + 1),
                leader_epoch: part.epoch,
                ..Default::default()
            }
        };
        let topic = MetadataResponseTopic {
            name: Some(TOPIC.to_owned()),
            topic_id: view.topic.map_or(Uuid::ZERO, topic_id),
            partitions: view.partitions.iter().enumerate().map(partition).collect(),
            ..Default::default()
        };
        let brokers = (0..NODES).filter(|number| view.alive[*number]).map(broker).collect();
        let body = MetadataResponse { brokers, topics: vec![topic], ..Default::default() };
        if is_stale {
            self.see(Seen::StaleMetadata);
        }
        body
    }

    fn identity(&mut self) -> InitProducerIdResponse {
        if !self.calm && self.brokers.permille(self.plan.faults.refuse_identity) {
            self.see(Seen::ProducerIdRefused);
            let code = self.brokers.pick(&[
                ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
                ErrorCode::COORDINATOR_NOT_AVAILABLE,
                ErrorCode::NOT_CONTROLLER,
            ]);
            return InitProducerIdResponse { error_code: code.0, ..Default::default() };
        }
        self.see(Seen::ProducerIdGranted);
        self.next_producer_id += 1;
        InitProducerIdResponse {
            producer_id: self.next_producer_id,
            producer_epoch: 0,
            ..Default::default()
        }
    }

    fn produce(
        &mut self,
        id: ConnectionId,
        node: usize,
        header: RequestHeader,
        request: &ProduceRequest,
    ) -> Result<(), String> {
        let Some(topic) = request.topic_data.first() else {
            return Err("a Produce request without a topic".to_owned());
        };
        let mut parts = Vec::new();
        for data in &topic.partition_data {
            let part =
                self.produce_part((id, node), &header, topic.topic_id, data, request.acks)?;
            parts.push(part);
        }
        let throttled = !self.calm && self.brokers.permille(self.plan.faults.throttle);
        let throttle_ms = if throttled { 1 + self.brokers.below(400) as i32 } else { 0 };
        if request.acks == 0 {
            let failed = parts
                .iter()
                .any(|part| part.answer.is_some_and(|(code, _)| code != ErrorCode::NONE));
            if failed {
                self.close(id, Duration::from_millis(1));
            } else {
                self.next_request(id);
            }
            return Ok(());
        }
        let deadline = self.now + Duration::from_millis(request.timeout_ms.max(0) as u64);
        let topic = topic.topic_id;
        let pending = Pending {
            connection: id,
            header,
            topic,
            deadline,
            acks: request.acks,
            parts,
            throttle_ms,
        };
        self.pending[node].push(pending);
        self.at(deadline - self.now, Event::Overdue(node));
        self.look_after(node);
        for follower in 0..NODES {
            self.fetch_soon(follower);
        }
        Ok(())
    }

    /// A request that gets no answer is done.
    fn next_request(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.is_busy = !connection.inbox.is_empty();
        if connection.is_busy {
            self.at(Duration::from_micros(50), Event::Serve(id));
        }
    }

    fn produce_part(
        &mut self,
        (id, node): (ConnectionId, usize),
        header: &RequestHeader,
        topic: Uuid,
        data: &PartitionProduceData,
        acks: i16,
    ) -> Result<Part, String> {
        let empty = Bytes::new();
        let bytes = data.records.as_ref().unwrap_or(&empty);
        let batch = validate_batch(bytes).map_err(|why| format!("a batch: {why} (L6)"))?;
        let records = read(bytes)?;
        if !self.is_left(id) {
            self.history.sent(topic, data.index, &batch, &records)?;
        }
        if batch.producer_epoch > 0 {
            self.see(Seen::EpochBumped);
        }
        let mut part = Part {
            index: data.index,
            place: None,
            answer: None,
            minded: Vec::new(),
            left_out: false,
        };
        self.tell(|| {
            let BatchHeader { producer_id, producer_epoch, base_sequence, .. } = batch;
            format!(
                "node {node} gets {records:?} for {}-{topic:?}, {producer_id}/{producer_epoch}/{base_sequence}",
                data.index
            )
        });
        let by_id = header.api_version >= 13;
        if let Err(code) = self.may_produce(node, by_id.then_some(topic), data.index, acks) {
            part.answer = Some((code, -1));
            return Ok(part);
        }
        let entry = Entry {
            leader_epoch: 0,
            producer_id: batch.producer_id,
            producer_epoch: batch.producer_epoch,
            base_sequence: batch.base_sequence,
            records,
        };
        if let Some(code) = self.over_limits(bytes.len(), &entry.records, &mut part.minded) {
            self.history.refused(topic, data.index, &batch);
            part.answer = Some((code, -1));
            return Ok(part);
        }
        if let Some(code) = self.injected_refusal() {
            if code == ErrorCode::MESSAGE_TOO_LARGE {
                self.history.refused(topic, data.index, &batch);
            }
            part.answer = Some((code, -1));
            return Ok(part);
        }
        self.append(node, &mut part, entry, acks);
        self.mislead(&mut part);
        Ok(part)
    }

    fn append(&mut self, node: usize, part: &mut Part, mut entry: Entry, acks: i16) {
        let view = &self.cluster.nodes[node].view;
        let Some(incarnation) = view.topic else { return };
        let number = part.index as usize;
        let epoch = view.partitions[number].epoch;
        let Some(replicas) = self.cluster.logs.get_mut(&(incarnation, number)) else { return };
        entry.leader_epoch = epoch;
        let count = entry.records.len() as u64;
        let appended = replicas.logs[node].append(entry);
        match appended {
            Ok(Appended::New(base)) => {
                part.place = Some(Place { incarnation, epoch, base, end: base + count });
                if acks == 1 {
                    part.answer = Some((ErrorCode::NONE, base as i64));
                }
            }
            Ok(Appended::Duplicate(base)) => {
                self.see(Seen::DuplicateRecognized);
                // Its replication is waited for as well.
                part.place = Some(Place { incarnation, epoch, base, end: base + count });
                if acks == 1 {
                    part.answer = Some((ErrorCode::NONE, base as i64));
                }
            }
            Err(code) => {
                self.see(match code {
                    ErrorCode::INVALID_PRODUCER_EPOCH => Seen::StaleEpoch,
                    _ => Seen::OutOfOrderSequence,
                });
                part.answer = Some((code, -1));
            }
        }
    }

    /// Answers what can be answered by now.
    pub(crate) fn look_after(&mut self, node: usize) {
        if !self.cluster.works(node, self.now) {
            return;
        }
        for number in 0..self.cluster.nodes[node].view.partitions.len() {
            if self.cluster.nodes[node].view.partitions[number].leader == Some(node) {
                self.cluster.advance(node, number, self.now);
            }
        }
        let mut at = 0;
        while at < self.pending[node].len() {
            for part in 0..self.pending[node][at].parts.len() {
                self.settle_part(node, at, part);
            }
            if self.pending[node][at].parts.iter().all(|part| part.answer.is_some()) {
                let done = self.pending[node].remove(at);
                self.respond(node, done);
            } else {
                at += 1;
            }
        }
    }

    fn settle_part(&mut self, node: usize, at: usize, part: usize) {
        let pending = &self.pending[node][at];
        let own = &pending.parts[part];
        let (None, Some(place)) = (own.answer, own.place) else { return };
        let number = own.index as usize;
        let view = &self.cluster.nodes[node].view;
        let is_leader = view.topic == Some(place.incarnation)
            && view.partitions.get(number).is_some_and(|partition| {
                partition.leader == Some(node) && partition.epoch == place.epoch
            });
        let answer = if !is_leader {
            // As Kafka: the records were appended, and the next leader may have them.
            self.seen.see(Seen::LeaderMovedInFlight);
            (ErrorCode::NOT_LEADER_OR_FOLLOWER, -1)
        } else {
            let replicas = &self.cluster.logs[&(place.incarnation, number)];
            let in_sync = view.partitions[number].in_sync.iter().filter(|is| **is).count();
            if replicas.high_watermark[node] >= place.end {
                if pending.acks == -1 && in_sync < self.plan.min_insync {
                    self.seen.see(Seen::NotEnoughReplicasAfterAppend);
                    (ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND, -1)
                } else {
                    (ErrorCode::NONE, place.base as i64)
                }
            } else if pending.deadline <= self.now {
                self.seen.see(Seen::RequestTimedOut);
                (ErrorCode::REQUEST_TIMED_OUT, -1)
            } else {
                return;
            }
        };
        self.pending[node][at].parts[part].answer = Some(answer);
    }

    fn respond(&mut self, node: usize, pending: Pending) {
        let faults = &self.plan.faults;
        if !self.calm && self.network.permille(faults.lose_answer) {
            self.see(Seen::AnswerLost);
            let after = self.network.millis(0, 5);
            return self.close(pending.connection, after);
        }
        let view = &self.cluster.nodes[node].view;
        let partition = |part: &Part| {
            let (code, base) = part.answer.unwrap_or((ErrorCode::UNKNOWN_SERVER_ERROR, -1));
            let mut response = PartitionProduceResponse {
                index: part.index,
                error_code: code.0,
                base_offset: base,
                log_append_time_ms: -1,
                ..Default::default()
            };
            let minded = |index: &i32| BatchIndexAndErrorMessage {
                batch_index: *index,
                batch_index_error_message: None,
            };
            response.record_errors = part.minded.iter().map(minded).collect();
            // KIP-951 came with version 10.
            if pending.header.api_version >= 10
                && code == ErrorCode::NOT_LEADER_OR_FOLLOWER
                && let Some(known) = view.partitions.get(part.index as usize)
                && let Some(leader) = known.leader
            {
                response.current_leader.leader_id = leader as i32 + 1;
                response.current_leader.leader_epoch = known.epoch;
            }
            response
        };
        self.tell(|| {
            let answers = pending.parts.iter().map(|part| (part.index, part.answer));
            format!("node {node} answers {:?} {}", answers.collect::<Vec<_>>(), pending.topic)
        });
        let parts = pending.parts.iter().filter(|part| !part.left_out);
        let topic = TopicProduceResponse {
            name: if pending.header.api_version >= 13 { String::new() } else { TOPIC.to_owned() },
            topic_id: pending.topic,
            partition_responses: parts.map(partition).collect(),
        };
        let body = ProduceResponse {
            responses: vec![topic],
            throttle_time_ms: pending.throttle_ms,
            ..Default::default()
        };
        if pending.throttle_ms > 0 {
            self.see(Seen::Throttled);
        }
        self.reply(pending.connection, &pending.header, &body);
    }

    pub(crate) fn reply<M: Message>(&mut self, id: ConnectionId, header: &RequestHeader, body: &M) {
        let mut out = Vec::new();
        encode_response(header.api_key, header.api_version, header.correlation_id, body, &mut out)
            .expect("an answer of the simulator's own");
        let torn = !self.calm && self.network.permille(self.plan.faults.tear_answer);
        if torn {
            self.see(Seen::AnswerTorn);
        }
        self.answer(id, out, torn);
    }

    pub(crate) fn overdue(&mut self, node: usize) {
        self.look_after(node);
    }
}

/// The numbers of the batch's records: the first four bytes of each value.
fn read(bytes: &Bytes) -> Result<Vec<RecordId>, String> {
    RecordReader::new(&bytes[BatchHeader::SIZE..])
        .map(|record| {
            let record = record.map_err(|why| format!("a record: {why} (L6)"))?;
            let value = record.value.and_then(|value| value.first_chunk::<4>());
            value.map(|id| u32::from_be_bytes(*id)).ok_or_else(|| "a foreign record".to_owned())
        })
        .collect()
}
