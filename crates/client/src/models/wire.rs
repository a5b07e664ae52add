//! A connection to a broker of a few lines, which is sometimes lost before or after it has
//! appended.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use ottla_core::output::{ConnectionId, Transmit};
use ottla_protocol::messages::api_versions::{ApiVersion, ApiVersionsResponse};
use ottla_protocol::messages::init_producer_id::InitProducerIdResponse;
use ottla_protocol::messages::metadata::{
    MetadataRequest, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic,
};
use ottla_protocol::messages::produce::{
    PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceResponse,
};
use ottla_protocol::record::BatchHeader;
use ottla_protocol::{ApiKey, ErrorCode, Message, Reader, RequestHeader, encode_response};
use tokio::sync::mpsc;

use super::Incoming;
use crate::models::{self, PARTITIONS, SERVER, TOPIC};
use crate::security::Security;
use crate::shared::ClientHost;

/// One attempt in so many meets a connection that breaks.
const LOST: u32 = 24;
/// Topics go by their names up to here.
const NEWEST: i16 = 9;

pub(crate) struct Wire {
    id: ConnectionId,
    incoming: mpsc::UnboundedSender<Incoming>,
}

/// What the broker has appended: offset and number of records, by partition, epoch and sequence.
type Appended = HashMap<(i32, i16, i32), (i64, i64)>;

thread_local! {
    static LOG: RefCell<Appended> = RefCell::default();
}

/// Another broker, with nothing in its log.
pub(crate) fn forget() {
    LOG.with_borrow_mut(HashMap::clear);
}

/// How many records are in the log.
pub(crate) fn records_in_log() -> u64 {
    LOG.with_borrow(|log| log.values().map(|(_, count)| *count as u64).sum())
}

impl Wire {
    pub(crate) fn open(
        id: ConnectionId,
        _: String,
        _: Duration,
        _: Security,
        incoming: mpsc::UnboundedSender<Incoming>,
    ) -> Self {
        let _ = incoming.send(Incoming::Connected(id));
        Self { id, incoming }
    }

    pub(crate) fn send(&self, transmit: Transmit<ClientHost>) {
        let bytes: Vec<u8> = transmit.frame.slices().flatten().copied().collect();
        let written = transmit.written_token;
        drop(transmit);
        if models::perhaps(LOST) {
            let _ = self.incoming.send(Incoming::Gone(self.id, "lost before".into()));
            return;
        }
        if let Some(token) = written {
            let _ = self.incoming.send(Incoming::Written(token));
        }
        let answer = answer(&Bytes::from(bytes).slice(4..));
        let came = match models::perhaps(LOST) {
            true => Incoming::Gone(self.id, "lost after".into()),
            false => Incoming::Bytes(self.id, answer.into()),
        };
        let _ = self.incoming.send(came);
    }
}

fn answer(frame: &Bytes) -> Vec<u8> {
    let mut reader = Reader::new(frame);
    let header = RequestHeader::decode(&mut reader).unwrap();
    let body = frame.slice(reader.position()..);
    match header.api_key {
        ApiKey::API_VERSIONS => {
            let ours = (0..100).map(ApiKey).filter_map(|api| Some((api, api.versions()?)));
            let api_keys = ours.map(|(api, versions)| ApiVersion {
                api_key: api.0,
                min_version: versions.min,
                max_version: versions.max.min(NEWEST),
            });
            let response =
                ApiVersionsResponse { api_keys: api_keys.collect(), ..Default::default() };
            write(&header, &response)
        }
        ApiKey::METADATA => write(&header, &metadata(&read(&header, &body))),
        ApiKey::INIT_PRODUCER_ID => {
            let response =
                InitProducerIdResponse { producer_id: 7, producer_epoch: 0, ..Default::default() };
            write(&header, &response)
        }
        ApiKey::PRODUCE => write(&header, &produce(read(&header, &body))),
        api => unreachable!("a producer does not ask for {api}"),
    }
}

fn read<M: Message>(header: &RequestHeader, body: &Bytes) -> M {
    M::decode(&mut Reader::new(body), header.api_version).unwrap()
}

fn write<M: Message>(header: &RequestHeader, response: &M) -> Vec<u8> {
    let mut frame = Vec::new();
    let (api, version, id) = (header.api_key, header.api_version, header.correlation_id);
    encode_response(api, version, id, response, &mut frame).unwrap();
    frame
}

fn metadata(request: &MetadataRequest) -> MetadataResponse {
    let (host, port) = SERVER.split_once(':').unwrap();
    let broker = MetadataResponseBroker {
        node_id: 1,
        host: host.into(),
        port: port.parse().unwrap(),
        rack: None,
    };
    let partition = |index| MetadataResponsePartition {
        partition_index: index,
        leader_id: 1,
        leader_epoch: 1,
        replica_nodes: vec![1],
        isr_nodes: vec![1],
        ..Default::default()
    };
    let topic = |name: &str| MetadataResponseTopic {
        name: Some(name.to_owned()),
        error_code: match name == TOPIC {
            true => 0,
            false => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0,
        },
        partitions: (0..PARTITIONS).filter(|_| name == TOPIC).map(partition).collect(),
        ..Default::default()
    };
    let asked = request.topics.iter().flatten().filter_map(|topic| topic.name.as_deref());
    MetadataResponse {
        brokers: vec![broker],
        controller_id: 1,
        topics: asked.map(topic).collect(),
        ..Default::default()
    }
}

fn produce(request: ProduceRequest) -> ProduceResponse {
    let responses = request.topic_data.into_iter().map(|topic| TopicProduceResponse {
        partition_responses: topic
            .partition_data
            .into_iter()
            .map(|data| PartitionProduceResponse {
                index: data.index,
                base_offset: append(data.index, &data.records.unwrap()),
                ..Default::default()
            })
            .collect(),
        name: topic.name,
        ..Default::default()
    });
    ProduceResponse { responses: responses.collect(), ..Default::default() }
}

/// The offset at which the batch is in the log, now or since its first copy came.
fn append(partition: i32, records: &Bytes) -> i64 {
    let header = BatchHeader::read(records).unwrap();
    LOG.with_borrow_mut(|log| {
        let of_partition = log.iter().filter(|((p, ..), _)| *p == partition);
        let end: i64 = of_partition.map(|(_, (_, count))| count).sum();
        let key = (partition, header.producer_epoch, header.base_sequence);
        log.entry(key).or_insert((end, i64::from(header.record_count))).0
    })
}
