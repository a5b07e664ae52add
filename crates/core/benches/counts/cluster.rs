//! A producer beside a scripted cluster of one broker, which answers at once and never fails.

use bytes::Bytes;
use ottla_core::accumulator::{Payloads, Queues};
use ottla_core::config::ConfigBuilder;
use ottla_core::output::{ConnectionId, Event, Transmit};
use ottla_core::time::Instant;
use ottla_core::{PartitionKey, Producer};
use ottla_protocol::messages::api_versions::{ApiVersion, ApiVersionsResponse};
use ottla_protocol::messages::init_producer_id::InitProducerIdResponse;
use ottla_protocol::messages::metadata::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_protocol::messages::produce::{
    PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceResponse,
};
use ottla_protocol::{ApiKey, ErrorCode, Message, Reader, RequestHeader, Uuid, encode_response};

use crate::BATCH_SIZE_BYTES;
use crate::memory::{Bench, Door, Memory, QueueTable};

const TOPIC: &str = "events";
const NODE: i32 = 1;

/// A producer that knows a topic, its broker and its own producer id.
pub(crate) struct Lab {
    pub(crate) producer: Producer<Bench>,
    pub(crate) queues: QueueTable,
    pub(crate) now: Instant,
    /// The partitions of the topic.
    pub(crate) keys: Vec<PartitionKey>,
    memory: Memory,
    partitions: usize,
    /// Room for frames, kept from round to round.
    transmits: Vec<Transmit<Bench>>,
}

/// A Produce request that waits for its answer.
pub(crate) struct Request {
    pub(crate) connection: ConnectionId,
    header: RequestHeader,
    body: ProduceRequest,
}

impl Lab {
    /// Every partition has had a record already, so that the broker has heard of the producer.
    pub(crate) fn new(partitions: usize) -> Self {
        let mut builder = ConfigBuilder::default();
        let settings =
            [("bootstrap.servers", "boot:9092"), ("compression.type", "none"), ("linger.ms", "5")];
        for (name, value) in settings {
            builder.set(name, value).expect("a setting that there is");
        }
        let config = builder.build().expect("settings that agree");
        assert_eq!(config.batch_size_bytes, BATCH_SIZE_BYTES);
        let mut lab = Self {
            producer: Producer::new(config, 1),
            queues: QueueTable::new(partitions, BATCH_SIZE_BYTES),
            now: Instant::from_millis(1000),
            keys: Vec::new(),
            memory: Memory::default(),
            partitions,
            transmits: Vec::new(),
        };
        lab.producer.want_topic(TOPIC);
        assert!(lab.drive().is_empty());
        assert_eq!(lab.keys.len(), partitions);
        lab.fill(&crate::SMALL);
        let requests = lab.drive();
        lab.settle(requests);
        lab
    }

    /// Gives every partition an open batch with one record. The core is not told.
    pub(crate) fn append(&mut self, record: &Payloads<'_>) {
        let mut door = Door::at(&self.memory, self.now);
        for key in &self.keys {
            self.queues
                .with(*key, |queue| queue.append(record, &mut door))
                .expect("memory has no end");
        }
    }

    /// Tells the core of every partition.
    pub(crate) fn note(&mut self) {
        for key in &self.keys {
            self.producer.note(*key, &mut self.queues, self.now);
        }
    }

    /// Gives every partition a closed batch with one record, and tells the core.
    pub(crate) fn fill(&mut self, record: &Payloads<'_>) {
        self.append(record);
        self.queues.iter_mut().for_each(|queue| queue.close());
        self.note();
    }

    /// An empty list with room, to be given back by [`Lab::receive`].
    pub(crate) fn take_transmits(&mut self) -> Vec<Transmit<Bench>> {
        let mut transmits = std::mem::take(&mut self.transmits);
        transmits.reserve(8);
        transmits
    }

    /// What the broker makes of these frames. All but Produce requests are answered here.
    pub(crate) fn receive(&mut self, mut transmits: Vec<Transmit<Bench>>) -> Vec<Request> {
        let mut requests = Vec::new();
        for transmit in transmits.drain(..) {
            let bytes: Vec<u8> = transmit.frame.slices().flatten().copied().collect();
            let frame = Bytes::from(bytes).slice(4..);
            let mut reader = Reader::new(&frame);
            let header = RequestHeader::decode(&mut reader).expect("a request");
            let connection = transmit.connection;
            match header.api_key {
                ApiKey::PRODUCE => {
                    let body = ProduceRequest::decode(&mut reader, header.api_version);
                    let body = body.expect("a Produce request");
                    requests.push(Request { connection, header, body });
                }
                ApiKey::API_VERSIONS => self.reply(connection, &header, &api_versions()),
                ApiKey::METADATA => {
                    let body = metadata(self.partitions);
                    self.reply(connection, &header, &body);
                }
                ApiKey::INIT_PRODUCER_ID => {
                    let body = InitProducerIdResponse { producer_id: 1000, ..Default::default() };
                    self.reply(connection, &header, &body);
                }
                other => panic!("unexpected request {other}"),
            }
        }
        self.transmits = transmits;
        requests
    }

    /// Answers these requests with success and takes what comes of it.
    pub(crate) fn settle(&mut self, requests: Vec<Request>) {
        for request in requests {
            let bytes = request.answer(ErrorCode::NONE);
            self.producer.handle_bytes(request.connection, &bytes, &mut self.queues, self.now);
        }
        self.rest();
    }

    /// Lets the core come to rest, and a little time pass. All that was sent was answered.
    pub(crate) fn rest(&mut self) {
        assert!(self.drive().is_empty(), "nothing more is to be sent");
        assert_eq!(self.producer.requests_in_flight(), 0);
        let later_ms = self.now.as_nanos() / 1_000_000 + 20;
        self.now = Instant::from_millis(later_ms);
        self.producer.handle_timeout(&mut self.queues, self.now);
    }

    /// Does what the core wants until it wants nothing more; gives the Produce requests.
    fn drive(&mut self) -> Vec<Request> {
        let mut requests = Vec::new();
        loop {
            let mut busy = false;
            while let Some(event) = self.producer.poll_event() {
                self.take(event);
            }
            let mut transmits = self.take_transmits();
            while let Some(transmit) = self.producer.poll_transmit(&mut self.queues, self.now) {
                busy = true;
                transmits.push(transmit);
            }
            requests.extend(self.receive(transmits));
            while let Some(connect) = self.producer.poll_connect() {
                busy = true;
                self.producer.handle_connected(connect.connection, self.now);
            }
            // The first connection ends when the broker is known by its number.
            while self.producer.poll_disconnect().is_some() {}
            if !busy {
                return requests;
            }
        }
    }

    fn take(&mut self, event: Event<Bench>) {
        match event {
            Event::TopicReady(view) => {
                self.keys = view.partitions.iter().map(|partition| partition.key).collect();
            }
            Event::Settled { result, .. } => assert!(result.is_ok(), "{result:?}"),
            Event::TopicFailed { failure, .. } => panic!("{failure:?}"),
            Event::ServerUnreachable { server, why, .. } => panic!("{server}: {why}"),
            Event::TopicSettings { .. }
            | Event::ServerReachable { .. }
            | Event::Throttled { .. } => {}
        }
    }

    fn reply<M: Message>(&mut self, connection: ConnectionId, header: &RequestHeader, body: &M) {
        let bytes = encode(header, body);
        self.producer.handle_bytes(connection, &bytes, &mut self.queues, self.now);
    }
}

impl Request {
    /// How many batches are in it.
    pub(crate) fn batches(&self) -> usize {
        self.body.topic_data.iter().map(|topic| topic.partition_data.len()).sum()
    }

    /// The bytes of a response that says this of every batch.
    pub(crate) fn answer(&self, code: ErrorCode) -> Vec<u8> {
        let responses = self.body.topic_data.iter().map(|topic| TopicProduceResponse {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partition_responses: topic
                .partition_data
                .iter()
                .map(|partition| PartitionProduceResponse {
                    index: partition.index,
                    error_code: code.0,
                    base_offset: 7,
                    log_append_time_ms: -1,
                    ..Default::default()
                })
                .collect(),
        });
        let body = ProduceResponse { responses: responses.collect(), ..Default::default() };
        encode(&self.header, &body)
    }
}

fn encode<M: Message>(header: &RequestHeader, body: &M) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_response(header.api_key, header.api_version, header.correlation_id, body, &mut bytes)
        .expect("a response that can be written");
    bytes
}

fn api_versions() -> ApiVersionsResponse {
    let keys = [ApiKey::PRODUCE, ApiKey::METADATA, ApiKey::INIT_PRODUCER_ID, ApiKey::API_VERSIONS];
    let offer = |api: ApiKey| {
        let range = api.versions().expect("an API that is generated");
        ApiVersion { api_key: api.0, min_version: range.min, max_version: range.max }
    };
    ApiVersionsResponse { api_keys: keys.map(offer).to_vec(), ..Default::default() }
}

fn metadata(partitions: usize) -> MetadataResponse {
    let broker = MetadataResponseBroker {
        node_id: NODE,
        host: "node1".to_owned(),
        port: 9092,
        ..Default::default()
    };
    let partition = |index| MetadataResponsePartition {
        partition_index: index,
        leader_id: NODE,
        leader_epoch: 1,
        ..Default::default()
    };
    let topic = MetadataResponseTopic {
        name: Some(TOPIC.to_owned()),
        topic_id: Uuid([1; 16]),
        partitions: (0..partitions as i32).map(partition).collect(),
        ..Default::default()
    };
    MetadataResponse { brokers: vec![broker], topics: vec![topic], ..Default::default() }
}
