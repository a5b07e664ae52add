//! A producer and a scripted cluster, with time between them under the test's thumb.
//!
//! The cluster answers ApiVersions, Metadata and InitProducerId by itself from a small model;
//! Produce requests are kept for the story to answer.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;

use bytes::Bytes;
use ottla_protocol::messages::api_versions::{ApiVersion, ApiVersionsResponse};
use ottla_protocol::messages::init_producer_id::InitProducerIdResponse;
use ottla_protocol::messages::metadata::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_protocol::messages::produce::{
    PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceResponse,
};
use ottla_protocol::record::BatchHeader;
use ottla_protocol::{ApiKey, ErrorCode, Message, Reader, RequestHeader, Uuid, encode_response};

use super::host::{Door, TestHost, TestQueues, parts};
use super::sasl::Sasl;
use super::story_settings::Settings;
use crate::accumulator::{Note, Payload, Payloads, Queues};
use crate::config::ConfigBuilder;
use crate::error::Failure;
use crate::output::{Acknowledged, Connect, ConnectionId, Event, Purge, Trouble};
use crate::time::Instant;
use crate::{PartitionKey, Producer};

/// A Produce request that the story has not answered.
#[derive(Clone, Debug)]
pub(super) struct Produced {
    pub(super) connection: ConnectionId,
    pub(super) node: i32,
    pub(super) version: i16,
    pub(super) correlation_id: i32,
    pub(super) written_token: Option<u64>,
    /// Partition, batch header and all bytes of the batch.
    pub(super) batches: Vec<(i32, BatchHeader, Bytes)>,
    pub(super) topic: (String, Uuid),
}

impl Produced {
    /// (partition, epoch, base sequence, records) of each batch.
    pub(super) fn stamps(&self) -> Vec<(i32, i16, i32, i32)> {
        let stamp = |h: &BatchHeader| (h.producer_epoch, h.base_sequence, h.record_count);
        self.batches.iter().map(|(p, h, _)| (*p, stamp(h).0, stamp(h).1, stamp(h).2)).collect()
    }
}

/// The outcome of records of a batch.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Told {
    pub(super) batch: usize,
    pub(super) records: Range<u32>,
    pub(super) result: Result<Acknowledged, Arc<Failure>>,
}

pub(super) struct Pair {
    pub(super) producer: Producer<TestHost>,
    pub(super) now: Instant,
    pub(super) queues: TestQueues,
    /// Connections that the core wants and that nobody accepted: when the cluster is down.
    pub(super) connects: VecDeque<Connect>,
    pub(super) connections: BTreeMap<ConnectionId, String>,
    pub(super) closed: Vec<ConnectionId>,
    pub(super) produced: VecDeque<Produced>,
    pub(super) told: Vec<Told>,
    pub(super) unreachable: Vec<String>,
    pub(super) troubles: Vec<Trouble>,
    pub(super) topic_failures: Vec<Arc<Failure>>,
    pub(super) partitions: Vec<PartitionKey>,
    // The cluster's model.
    pub(super) up: bool,
    pub(super) leaders: Vec<i32>,
    pub(super) leader_epoch: i32,
    pub(super) topic_id: Uuid,
    pub(super) topic_error: ErrorCode,
    /// The error of a whole metadata answer.
    pub(super) metadata_error: ErrorCode,
    pub(super) identity_error: ErrorCode,
    pub(super) next_producer_id: i64,
    pub(super) metadata_requests: usize,
    /// The epoch of producer ids that the cluster gives out.
    pub(super) identity_epoch: i16,
    /// The newest version of Produce that brokers offer.
    pub(super) produce_max: i16,
    /// A node that takes requests and answers none.
    pub(super) silent: Option<i32>,
    /// How the names of hosts begin.
    pub(super) hosts: &'static str,
    /// An API that the cluster does not offer.
    pub(super) without: Option<ApiKey>,
    /// How the cluster authenticates.
    pub(super) sasl: Sasl,
    pub(super) settings: Settings,
    /// Requests behind a Produce request on the same connection: a broker answers in turn.
    held: Vec<(ConnectionId, Bytes)>,
    /// Connections that the cluster is about to close.
    pub(super) cuts: Vec<ConnectionId>,
    unanswered: Vec<(ConnectionId, i32)>,
    batches: usize,
}

pub(super) const TOPIC: &str = "events";

impl Pair {
    /// A producer with these settings and a topic with three partitions led by nodes 1, 1 and 2.
    pub(super) fn new(settings: &[(&str, &str)]) -> Self {
        let mut builder = ConfigBuilder::default();
        builder.set("bootstrap.servers", "boot:9092").unwrap();
        builder.set("compression.type", "none").unwrap();
        // Most stories are told without time passing.
        builder.set("linger.adaptive.gap.ms", "0").unwrap();
        for (key, value) in settings {
            builder.set(key, value).unwrap();
        }
        let config = builder.build().unwrap();
        let queues = TestQueues { batch_size_bytes: config.batch_size_bytes, ..Default::default() };
        Self {
            producer: Producer::new(config, 1),
            now: Instant::from_millis(1000),
            queues,
            connects: VecDeque::new(),
            connections: BTreeMap::new(),
            closed: Vec::new(),
            produced: VecDeque::new(),
            told: Vec::new(),
            unreachable: Vec::new(),
            troubles: Vec::new(),
            topic_failures: Vec::new(),
            partitions: Vec::new(),
            up: true,
            leaders: alloc::vec![1, 1, 2],
            leader_epoch: 1,
            topic_id: Uuid([1; 16]),
            topic_error: ErrorCode::NONE,
            metadata_error: ErrorCode::NONE,
            identity_error: ErrorCode::NONE,
            next_producer_id: 1000,
            metadata_requests: 0,
            identity_epoch: 0,
            produce_max: i16::MAX,
            silent: None,
            hosts: "node",
            without: None,
            sasl: Sasl::default(),
            settings: Settings::default(),
            held: Vec::new(),
            cuts: Vec::new(),
            unanswered: Vec::new(),
            batches: 0,
        }
    }

    /// A producer that wants the topic and has one connection, on which nothing was said yet.
    pub(super) fn connecting() -> (Self, ConnectionId) {
        let mut pair = Self::new(&[]);
        pair.up = false;
        pair.producer.want_topic(TOPIC);
        pair.drive();
        let connect = pair.connects.pop_front().expect("a connection should be wanted");
        pair.producer.handle_connected(connect.connection, pair.now);
        (pair, connect.connection)
    }

    /// As [`Pair::new`], with the topic known already.
    pub(super) fn ready(settings: &[(&str, &str)]) -> Self {
        let mut pair = Self::new(settings);
        pair.producer.want_topic(TOPIC);
        pair.drive();
        assert_eq!(pair.partitions.len(), 3);
        pair
    }

    /// As [`Pair::ready`], with a record delivered to each partition, so that the brokers have
    /// heard of the producer: sequences go on from 1, and nothing of it is in the books.
    pub(super) fn introduced(settings: &[(&str, &str)]) -> Self {
        let mut pair = Self::ready(settings);
        for partition in 0..3 {
            pair.append(partition, b"first");
        }
        pair.producer.flush(&mut pair.queues, pair.now);
        pair.drive();
        while let Some(request) = pair.produced.pop_front() {
            pair.accept(&request, 0);
        }
        assert_eq!(core::mem::take(&mut pair.told).len(), 3);
        pair
    }

    /// Appends a record and lets everything happen that can; gives the number of its batch.
    pub(super) fn send(&mut self, partition: usize, value: &[u8]) -> usize {
        let batch = self.append(partition, value);
        self.drive();
        batch
    }

    /// Appends a record; nothing else happens yet.
    pub(super) fn append(&mut self, partition: usize, value: &[u8]) -> usize {
        let key = self.partitions[partition];
        let record =
            Payloads { key: None, value: Some(value), headers: &[], timestamp_ms: Some(5) };
        let mut door = Door { now: self.now, batches: &mut self.batches };
        let appended = self.queues.with(key, |queue| queue.append(&record, &mut door)).unwrap();
        if appended.note == Note::Tell {
            self.producer.note(key, &mut self.queues, self.now);
        }
        appended.completion
    }

    /// Gives up what waits, what is in flight, or both.
    pub(super) fn purge(&mut self, queued: bool, in_flight: bool) {
        let purge = Purge { queued, in_flight, partitions: None };
        self.producer.purge(&purge, &mut self.queues, self.now);
        self.drive();
    }

    /// Lets `millis` pass, stopping at every timeout on the way.
    pub(super) fn pass(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while let Some(at) = self.producer.poll_timeout(self.now).filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.producer.handle_timeout(&mut self.queues, self.now);
            self.drive();
            if self.producer.poll_timeout(self.now).is_some_and(|at| at <= self.now) {
                // Something is due that nothing can be done about: it must not spin.
                panic!("the core asks to be woken at once again and again");
            }
        }
        self.now = end;
    }

    /// Does what the core wants until it wants nothing more.
    pub(super) fn drive(&mut self) {
        loop {
            let mut busy = false;
            while let Some(id) = self.producer.poll_disconnect() {
                self.connections.remove(&id);
                self.closed.push(id);
            }
            while let Some(event) = self.producer.poll_event() {
                self.take(event);
            }
            while let Some(transmit) = self.producer.poll_transmit(&mut self.queues, self.now) {
                let bytes: Vec<u8> = transmit.frame.slices().flatten().copied().collect();
                self.receive(
                    transmit.connection,
                    Bytes::from(bytes).slice(4..),
                    transmit.written_token,
                );
                busy = true;
            }
            while let Some(connect) = self.producer.poll_connect() {
                busy = true;
                if self.up {
                    self.connections.insert(connect.connection, connect.server);
                    self.producer.handle_connected(connect.connection, self.now);
                } else {
                    self.connects.push_back(connect);
                }
            }
            while let Some(step) = self.producer.poll_authenticate() {
                busy = true;
                self.authenticate(step);
            }
            while let Some(job) = self.producer.poll_compress() {
                busy = true;
                let chunk: Vec<u8> = job.payload.chunks().flatten().copied().collect();
                let size_bytes = chunk.len();
                // Every other batch is said not to have become smaller.
                let smaller = size_bytes.is_multiple_of(2);
                let payload = smaller.then(|| Payload::new(alloc::vec![chunk], size_bytes));
                self.producer.handle_compressed(job.token, payload, &mut self.queues, self.now);
            }
            while let Some(job) = self.producer.poll_split() {
                busy = true;
                let parts = parts(&job);
                self.producer.handle_split(job.token, parts, &mut self.queues, self.now);
            }
            for connection in core::mem::take(&mut self.cuts) {
                self.cut(connection);
                busy = true;
            }
            if !busy {
                return;
            }
        }
    }

    fn take(&mut self, event: Event<TestHost>) {
        match event {
            Event::Settled { completion, records, result, .. } => {
                self.told.push(Told { batch: completion, records, result });
            }
            Event::TopicReady(view) => {
                self.partitions = view.partitions.iter().map(|partition| partition.key).collect();
            }
            Event::TopicFailed { failure, .. } => self.topic_failures.push(failure),
            Event::ServerUnreachable { why, trouble, .. } => {
                self.unreachable.push(why);
                self.troubles.push(trouble);
            }
            Event::TopicSettings { replicas, min_in_sync_replicas, .. } => {
                self.settings.told.push((replicas, min_in_sync_replicas));
            }
            Event::ServerReachable { .. } | Event::Throttled { .. } => {}
        }
    }

    fn receive(&mut self, connection: ConnectionId, frame: Bytes, written_token: Option<u64>) {
        let mut reader = Reader::new(&frame);
        let header = RequestHeader::decode(&mut reader).unwrap();
        let is_produce = header.api_key == ApiKey::PRODUCE;
        if !is_produce && self.silent == Some(self.node(connection)) {
            return;
        }
        if !is_produce && self.owes(connection) {
            self.held.push((connection, frame));
            return;
        }
        if !self.may_speak(connection, header.api_key) {
            self.cuts.push(connection);
            return;
        }
        match header.api_key {
            ApiKey::SASL_HANDSHAKE | ApiKey::SASL_AUTHENTICATE => {
                self.receive_sasl(connection, &header, &mut reader);
            }
            ApiKey::API_VERSIONS => {
                let mut body = api_versions();
                body.api_keys.retain(|api| Some(ApiKey(api.api_key)) != self.without);
                body.api_keys[0].max_version = body.api_keys[0].max_version.min(self.produce_max);
                self.reply(connection, &header, &body);
            }
            ApiKey::METADATA => {
                self.metadata_requests += 1;
                let body = self.metadata();
                self.reply(connection, &header, &body);
            }
            ApiKey::INIT_PRODUCER_ID => {
                let body = InitProducerIdResponse {
                    error_code: self.identity_error.0,
                    producer_id: self.next_producer_id,
                    producer_epoch: self.identity_epoch,
                    ..Default::default()
                };
                self.next_producer_id += 1;
                self.reply(connection, &header, &body);
            }
            ApiKey::PRODUCE => {
                let request = ProduceRequest::decode(&mut reader, header.api_version).unwrap();
                self.keep(connection, &header, &request, written_token);
            }
            ApiKey::DESCRIBE_CONFIGS => self.receive_settings(connection, &header, &mut reader),
            other => panic!("unexpected request {other}"),
        }
    }

    fn keep(
        &mut self,
        connection: ConnectionId,
        header: &RequestHeader,
        request: &ProduceRequest,
        written_token: Option<u64>,
    ) {
        let topic = &request.topic_data[0];
        let batch = |records: &Bytes| {
            (ottla_protocol::record::validate_batch(records).unwrap(), records.clone())
        };
        let batches = topic
            .partition_data
            .iter()
            .map(|p| {
                let (header, bytes) = batch(p.records.as_ref().unwrap());
                (p.index, header, bytes)
            })
            .collect();
        if written_token.is_none() {
            self.unanswered.push((connection, header.correlation_id));
        }
        self.produced.push_back(Produced {
            connection,
            node: self.node(connection),
            version: header.api_version,
            correlation_id: header.correlation_id,
            written_token,
            batches,
            topic: (topic.name.clone(), topic.topic_id),
        });
    }

    /// The node that a connection leads to; 0 is a bootstrap server.
    fn node(&self, connection: ConnectionId) -> i32 {
        let server = self.connections.get(&connection).map_or("", String::as_str);
        let host = server.split(':').next().unwrap_or_default();
        host.trim_start_matches(char::is_alphabetic).parse().unwrap_or(0)
    }

    /// Answers a request: `answer` fills in each partition's part.
    pub(super) fn answer(
        &mut self,
        produced: &Produced,
        answer: impl Fn(&(i32, BatchHeader, Bytes), &mut PartitionProduceResponse),
    ) {
        let partition_responses = produced.batches.iter().map(|batch| {
            let mut part = PartitionProduceResponse { index: batch.0, ..Default::default() };
            part.log_append_time_ms = -1;
            answer(batch, &mut part);
            part
        });
        let partition_responses = partition_responses.collect();
        let (name, topic_id) = produced.topic.clone();
        let topic = TopicProduceResponse { name, topic_id, partition_responses };
        self.answer_with(
            produced,
            &ProduceResponse { responses: alloc::vec![topic], ..Default::default() },
        );
    }

    /// Answers a request with a whole response.
    pub(super) fn answer_with(&mut self, produced: &Produced, body: &ProduceResponse) {
        let header = RequestHeader {
            api_key: ApiKey::PRODUCE,
            api_version: produced.version,
            correlation_id: produced.correlation_id,
            client_id: None,
        };
        self.reply(produced.connection, &header, body);
        let answered = (produced.connection, produced.correlation_id);
        self.unanswered.retain(|request| *request != answered);
        for (connection, frame) in core::mem::take(&mut self.held) {
            self.receive(connection, frame, None);
        }
        self.drive();
    }

    /// Whether a Produce request on this connection waits for its answer.
    fn owes(&self, connection: ConnectionId) -> bool {
        self.unanswered.iter().any(|(id, _)| *id == connection)
    }

    /// Answers a request with success at this offset.
    pub(super) fn accept(&mut self, produced: &Produced, base_offset: i64) {
        self.answer(produced, |_, part| part.base_offset = base_offset);
    }

    /// Answers a request with this error for every partition.
    pub(super) fn refuse(&mut self, produced: &Produced, code: ErrorCode) {
        self.answer(produced, |_, part| {
            part.error_code = code.0;
            part.base_offset = -1;
        });
    }

    /// The next request to answer.
    pub(super) fn next(&mut self) -> Produced {
        self.produced.pop_front().expect("a Produce request should have been sent")
    }

    /// The connection breaks.
    pub(super) fn cut(&mut self, connection: ConnectionId) {
        self.connections.remove(&connection);
        let why = "the server closed the connection";
        self.producer.handle_disconnected(connection, why, &mut self.queues, self.now);
        self.produced.retain(|produced| produced.connection != connection);
        self.unanswered.retain(|request| request.0 != connection);
        self.held.retain(|request| request.0 != connection);
        self.drive();
    }

    pub(super) fn reply<M: Message>(
        &mut self,
        connection: ConnectionId,
        header: &RequestHeader,
        body: &M,
    ) {
        let mut out = Vec::new();
        encode_response(header.api_key, header.api_version, header.correlation_id, body, &mut out)
            .unwrap();
        self.producer.handle_bytes(connection, &out, &mut self.queues, self.now);
    }

    fn metadata(&self) -> MetadataResponse {
        let broker = |id: i32| MetadataResponseBroker {
            node_id: id,
            host: alloc::format!("{}{id}", self.hosts),
            port: 9092,
            ..Default::default()
        };
        let partition = |(index, leader): (usize, &i32)| MetadataResponsePartition {
            partition_index: index as i32,
            leader_id: *leader,
            leader_epoch: self.leader_epoch,
            replica_nodes: (1..=self.settings.replicas).collect(),
            ..Default::default()
        };
        let ok = self.topic_error.is_ok();
        let topic = MetadataResponseTopic {
            error_code: self.topic_error.0,
            name: Some(TOPIC.to_string()),
            topic_id: if ok { self.topic_id } else { Uuid::ZERO },
            partitions: if ok {
                self.leaders.iter().enumerate().map(partition).collect()
            } else {
                Vec::new()
            },
            ..Default::default()
        };
        MetadataResponse {
            error_code: self.metadata_error.0,
            brokers: [1, 2, 3].map(broker).to_vec(),
            topics: alloc::vec![topic],
            ..Default::default()
        }
    }
}

/// All versions that we generate.
fn api_versions() -> ApiVersionsResponse {
    let keys = [
        ApiKey::PRODUCE,
        ApiKey::METADATA,
        ApiKey::INIT_PRODUCER_ID,
        ApiKey::API_VERSIONS,
        ApiKey::DESCRIBE_CONFIGS,
        ApiKey::SASL_HANDSHAKE,
        ApiKey::SASL_AUTHENTICATE,
    ];
    let offer = |api: ApiKey| {
        let range = api.versions().unwrap();
        ApiVersion { api_key: api.0, min_version: range.min, max_version: range.max }
    };
    ApiVersionsResponse { api_keys: keys.map(offer).to_vec(), ..Default::default() }
}
