//! Nodes in virtual time with one client each, and what the client was told.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use ottla_protocol::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData,
};
use ottla_protocol::record::{BatchHeader, RecordParts, validate_batch};
use ottla_protocol::{Request, Uuid, decode_response, encode_request};

use crate::config::BrokerConfig;
use crate::log::DiskStorage;
use crate::node::State;
use crate::nodes::Nodes;
use crate::outgoing::Outgoing;
use crate::peers::{Arrival, ConnectionId, Flow};
use crate::time::Now;
use crate::topic_config::Overrides;

pub(super) const TOPIC: &str = "t";
pub(super) const PARTITIONS: i32 = 2;
const VERSION: i16 = 12;
const FETCH_VERSION: i16 = 11;
const UNIX_MS: i64 = 1_700_000_000_000;

/// What has become of a Produce request.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Is(PartitionProduceResponse),
    /// The connection ended first.
    Lost,
}

pub(super) struct World {
    pub(super) nodes: Nodes,
    pub(super) topic: Uuid,
    clock: Duration,
    next_connection: ConnectionId,
    /// Requests that are not answered yet, with the partitions whose acks=all they wait for.
    open: Vec<(ConnectionId, i32)>,
    /// Answers that nobody has taken yet.
    answers: BTreeMap<ConnectionId, Answer>,
    /// The partition epochs when answers were taken up last.
    epochs: Vec<i32>,
    _dir: tempfile::TempDir,
}

impl World {
    pub(super) fn new(seed: u64, config: BrokerConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let storage = Arc::new(DiskStorage { is_durable: false });
        let now = Now { monotonic: Duration::ZERO, unix_ms: UNIX_MS };
        let mut nodes = Nodes::open(3, config, dir.path(), storage, seed, now).unwrap();
        nodes.ensure_topic(TOPIC, PARTITIONS, Some(3), Overrides::new(), now).unwrap();
        let topic = nodes.catalog.by_name(TOPIC).unwrap().id;
        Self {
            nodes,
            topic,
            clock: Duration::ZERO,
            next_connection: 0,
            open: Vec::new(),
            answers: BTreeMap::new(),
            epochs: Vec::new(),
            _dir: dir,
        }
    }

    pub(super) fn now(&self) -> Now {
        Now { monotonic: self.clock, unix_ms: UNIX_MS + self.clock.as_millis() as i64 }
    }

    /// Lets time pass, as the ticker does.
    pub(super) fn pass(&mut self, duration: Duration) {
        let end = self.clock + duration;
        let mut calls = 0;
        loop {
            let next = self.nodes.poll_timeout();
            if next > end {
                break;
            }
            calls += 1;
            assert!(calls < 1000, "the nodes do not come to rest");
            self.clock = self.clock.max(next);
            let now = self.now();
            self.nodes.handle_timeout(now);
            self.gather();
        }
        self.clock = end;
    }

    /// Takes up what the nodes have sent.
    fn gather(&mut self) {
        while let Some(transmit) = self.nodes.poll_transmit() {
            let connection = transmit.connection;
            if let Some(place) = self.open.iter().position(|(open, _)| *open == connection) {
                let (_, partition) = self.open.swap_remove(place);
                let answer = decode(&transmit.out.bytes);
                self.check_in_sync(connection, partition, &answer);
                self.answers.insert(connection, Answer::Is(answer));
            }
        }
        self.epochs = self.partition_epochs();
    }

    fn partition_epochs(&self) -> Vec<i32> {
        let places = &self.nodes.catalog.by_name(TOPIC).unwrap().partitions;
        places.iter().map(|place| place.partition_epoch).collect()
    }

    /// What is acknowledged to acks=all is so by enough replicas, as far as the leader knows.
    fn check_in_sync(&self, id: ConnectionId, partition: i32, answer: &PartitionProduceResponse) {
        // Who leads and who is in sync may have changed since it was answered.
        if self.epochs != self.partition_epochs() {
            return;
        }
        // One that was answered just before its node went does not hear it.
        let Some(peer) = self.nodes.peers.get(&id).filter(|_| answer.error_code == 0) else {
            return;
        };
        let replica = self.nodes.replica(peer.node, self.topic, partition).unwrap();
        let in_sync = replica.leading.as_ref().map_or(0, |leading| leading.isr.len()) as i32;
        let all = replica.leading.as_ref().map_or(1, |leading| leading.followers.len() + 1);
        let wanted = self.nodes.config.min_insync_replicas.min(all as i32);
        assert!(in_sync >= wanted, "acknowledged with {in_sync} in sync");
    }

    /// Sends a batch to a node over a connection of its own. `None` when nobody is there.
    pub(super) fn produce(
        &mut self,
        node: i32,
        acks: i16,
        partition: i32,
        batch: &[u8],
    ) -> Option<ConnectionId> {
        if self.nodes.node(node)?.state != State::Running {
            return None;
        }
        let connection = self.connect(node);
        let request = ProduceRequest {
            transactional_id: None,
            acks,
            timeout_ms: 1000,
            topic_data: vec![TopicProduceData {
                name: TOPIC.to_owned(),
                partition_data: vec![PartitionProduceData {
                    index: partition,
                    records: Some(Bytes::copy_from_slice(batch)),
                }],
                ..TopicProduceData::default()
            }],
        };
        let mut bytes = Vec::new();
        encode_request(&request, VERSION, 1, Some("test"), &mut bytes).unwrap();
        let frame = Bytes::from(bytes).slice(4..);
        let mut out = Outgoing::default();
        let now = self.now();
        match self.nodes.handle_request(connection, &frame, now, &mut out) {
            Flow::Wait => self.open.push((connection, partition)),
            Flow::Continue => {
                let answer = decode(&out.bytes);
                if acks == -1 {
                    self.check_in_sync(connection, partition, &answer);
                }
                self.answers.insert(connection, Answer::Is(answer));
            }
            other => panic!("{other:?}"),
        }
        self.gather();
        Some(connection)
    }

    /// What has become of a request, once that is known.
    pub(super) fn take_answer(&mut self, connection: ConnectionId) -> Option<Answer> {
        let is_gone = !self.nodes.peers.contains_key(&connection);
        if let Some(answer) = self.answers.remove(&connection) {
            self.nodes.handle_disconnected(connection);
            return Some(answer);
        }
        is_gone.then(|| {
            self.open.retain(|(open, _)| *open != connection);
            Answer::Lost
        })
    }

    /// Ends everything as the kill of the process does, and starts it again.
    pub(super) fn restart(&mut self) {
        let (dir, storage) = (self.nodes.dir.clone(), self.nodes.storage.clone());
        self.nodes.nodes.iter_mut().for_each(|node| node.kill(&storage));
        let (config, now) = (self.nodes.config.clone(), self.now());
        let seed = self.nodes.rng.next_u64();
        self.nodes = Nodes::open(3, config, &dir, storage, seed, now).unwrap();
        self.open.clear();
    }

    /// What a consumer can read of a partition at a node, whole batches from the first on.
    pub(super) fn read(&mut self, node: i32, partition: i32) -> Option<Vec<u8>> {
        if self.nodes.node(node)?.state != State::Running {
            return None;
        }
        let mut all = Vec::new();
        let mut offset = 0;
        loop {
            let request = FetchRequest {
                max_bytes: 1 << 20,
                topics: vec![FetchTopic {
                    topic: TOPIC.to_owned(),
                    partitions: vec![FetchPartition {
                        partition,
                        current_leader_epoch: -1,
                        fetch_offset: offset,
                        partition_max_bytes: 1 << 20,
                        ..FetchPartition::default()
                    }],
                    ..FetchTopic::default()
                }],
                ..FetchRequest::default()
            };
            let out = self.ask(node, FETCH_VERSION, &request);
            let (_, response) = decode_response::<FetchRequest>(out, FETCH_VERSION).unwrap();
            let data = &response.responses[0].partitions[0];
            let mut rest = data.records.clone().filter(|_| data.error_code == 0)?;
            if rest.is_empty() {
                return Some(all);
            }
            all.extend_from_slice(&rest);
            while !rest.is_empty() {
                let header = validate_batch(&rest).unwrap();
                offset = header.last_offset() + 1;
                rest = rest.slice(header.size_bytes().unwrap()..);
            }
        }
    }

    /// The answer to a request that is answered at once.
    fn ask<R: Request>(&mut self, node: i32, version: i16, request: &R) -> Bytes {
        let connection = self.connect(node);
        let mut bytes = Vec::new();
        encode_request(request, version, 1, Some("test"), &mut bytes).unwrap();
        let frame = Bytes::from(bytes).slice(4..);
        let mut out = Outgoing::default();
        let now = self.now();
        assert_eq!(self.nodes.handle_request(connection, &frame, now, &mut out), Flow::Continue);
        self.nodes.handle_disconnected(connection);
        out.gather(0).unwrap();
        Bytes::from(out.bytes).slice(4..)
    }

    fn connect(&mut self, node: i32) -> ConnectionId {
        self.next_connection += 1;
        let address: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let arrival =
            Arrival { node, listener: 0, local: address, remote: address, certificate_name: None };
        self.nodes.handle_connected(self.next_connection, arrival);
        self.next_connection
    }

    /// The node that the controller takes for a partition's leader, -1 for none.
    pub(super) fn leader(&self, partition: i32) -> i32 {
        self.nodes.catalog.placement(self.topic, partition).unwrap().leader
    }

    /// Whether a node leads and is the one that the controller means.
    pub(super) fn leads(&self, node: i32, partition: i32) -> bool {
        let place = self.nodes.catalog.placement(self.topic, partition).unwrap();
        self.nodes.replica(node, self.topic, partition).is_some_and(|replica| {
            replica.leading.is_some() && replica.leader_epoch == place.leader_epoch
        })
    }

    /// All batches of a replica.
    pub(super) fn log_of(&mut self, node: i32, partition: i32) -> Vec<u8> {
        let replica = self.nodes.replica_mut(node, self.topic, partition).unwrap();
        let mut all = Vec::new();
        let mut offset = replica.log.log_start_offset();
        while offset < replica.log.log_end_offset() {
            let bytes = replica.log.read(offset, i64::MAX, 1 << 20, true).unwrap();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let header = validate_batch(rest).unwrap();
                offset = header.last_offset() + 1;
                rest = &rest[header.size_bytes().unwrap()..];
            }
            all.extend_from_slice(&bytes);
        }
        all
    }
}

fn decode(bytes: &[u8]) -> PartitionProduceResponse {
    let frame = Bytes::copy_from_slice(&bytes[4..]);
    let (_, response) = decode_response::<ProduceRequest>(frame, VERSION).unwrap();
    response.responses[0].partition_responses[0].clone()
}

/// A batch of records with these values.
pub(super) fn batch(producer: Option<(i64, i32)>, values: &[u64]) -> Vec<u8> {
    let mut records = Vec::new();
    for (index, value) in values.iter().enumerate() {
        let value = value.to_be_bytes();
        let parts = RecordParts {
            timestamp_delta: 0,
            offset_delta: index as i32,
            key: None,
            value: Some(&value),
            headers: &[],
        };
        parts.encode_into(parts.body_len(), &mut records);
    }
    let (producer_id, base_sequence) = producer.unwrap_or((-1, -1));
    let mut header = BatchHeader {
        base_offset: 0,
        batch_length: 0,
        partition_leader_epoch: -1,
        magic: 2,
        crc: 0,
        attributes: 0,
        last_offset_delta: values.len() as i32 - 1,
        base_timestamp: UNIX_MS,
        max_timestamp: UNIX_MS,
        producer_id,
        producer_epoch: if producer.is_some() { 0 } else { -1 },
        base_sequence,
        record_count: values.len() as i32,
    };
    let mut batch = header.seal([records.as_slice()]).unwrap().to_vec();
    batch.extend_from_slice(&records);
    batch
}
