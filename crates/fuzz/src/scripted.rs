//! Answers of an honest cluster, with an error code where one is wanted.

use bytes::Bytes;
use ottla_protocol::messages::api_versions::{ApiVersion, ApiVersionsResponse};
use ottla_protocol::messages::init_producer_id::InitProducerIdResponse;
use ottla_protocol::messages::metadata::{
    MetadataRequest, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic,
};
use ottla_protocol::messages::produce::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, PartitionProduceResponse, ProduceRequest,
    ProduceResponse, TopicProduceResponse,
};
use ottla_protocol::{ApiKey, Message, Reader, RequestHeader, Uuid, encode_response};

/// With these the broker says which records it minds (KIP-467).
const INVALID_RECORD: i16 = 87;
const INVALID_TIMESTAMP: i16 = 32;

pub(crate) const TOPICS: [&str; 2] = ["t", "u"];

/// What the cluster looks like now.
#[derive(Clone)]
pub(crate) struct Layout {
    pub(crate) leaders: Vec<i32>,
    pub(crate) leader_epoch: i32,
    pub(crate) incarnation: u8,
    pub(crate) newest_produce: i16,
    next_producer_id: i64,
    next_offset: i64,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            leaders: vec![1, 1, 2],
            leader_epoch: 1,
            incarnation: 1,
            newest_produce: 13,
            next_producer_id: 1000,
            next_offset: 0,
        }
    }
}

/// A request with a code for the answer: 0 where it is to succeed.
pub(crate) struct Asked<'a> {
    pub(crate) frame: &'a Bytes,
    pub(crate) code: i16,
}

impl Layout {
    /// The answer, as a frame.
    pub(crate) fn answer(&mut self, asked: &Asked<'_>) -> Vec<u8> {
        let mut reader = Reader::new(asked.frame);
        let header = RequestHeader::decode(&mut reader).expect("a header of ours");
        let version = header.api_version;
        match header.api_key {
            ApiKey::API_VERSIONS => frame(&header, &self.versions(asked.code)),
            ApiKey::METADATA => {
                let request = MetadataRequest::decode(&mut reader, version).expect("ours");
                frame(&header, &self.metadata(&request, asked.code))
            }
            ApiKey::INIT_PRODUCER_ID => {
                self.next_producer_id += 1;
                let body = InitProducerIdResponse {
                    error_code: asked.code,
                    producer_id: self.next_producer_id,
                    ..Default::default()
                };
                frame(&header, &body)
            }
            _ => {
                let request = ProduceRequest::decode(&mut reader, version).expect("ours");
                frame(&header, &self.produce(&request, asked.code))
            }
        }
    }

    fn versions(&self, error_code: i16) -> ApiVersionsResponse {
        let keys = [ApiKey::PRODUCE, ApiKey::METADATA, ApiKey::INIT_PRODUCER_ID];
        let offer = |api: ApiKey| {
            let range = api.versions().expect("one of ours");
            let newest = if api == ApiKey::PRODUCE { self.newest_produce } else { range.max };
            ApiVersion { api_key: api.0, min_version: range.min, max_version: newest }
        };
        ApiVersionsResponse { error_code, api_keys: keys.map(offer).to_vec(), ..Default::default() }
    }

    fn metadata(&self, request: &MetadataRequest, error_code: i16) -> MetadataResponse {
        let broker = |node_id: i32| MetadataResponseBroker {
            node_id,
            host: format!("node{node_id}"),
            port: 9092,
            ..Default::default()
        };
        let partition = |(index, leader): (usize, &i32)| MetadataResponsePartition {
            partition_index: index as i32,
            leader_id: *leader,
            leader_epoch: self.leader_epoch,
            ..Default::default()
        };
        let names = request.topics.iter().flatten().filter_map(|topic| topic.name.clone());
        let topic = |name: String| MetadataResponseTopic {
            error_code,
            topic_id: Uuid([self.incarnation.wrapping_mul(7) ^ name.as_bytes()[0]; 16]),
            name: Some(name),
            partitions: self.leaders.iter().enumerate().map(partition).collect(),
            ..Default::default()
        };
        MetadataResponse {
            brokers: [1, 2, 3].map(broker).to_vec(),
            topics: names.map(topic).collect(),
            ..Default::default()
        }
    }

    fn produce(&mut self, request: &ProduceRequest, error_code: i16) -> ProduceResponse {
        let mut responses = Vec::new();
        for topic in &request.topic_data {
            let mut partition_responses = Vec::new();
            for partition in &topic.partition_data {
                let records = partition.records.as_ref().expect("records");
                ottla_protocol::record::validate_batch(records).expect("whole batches are sent");
                self.next_offset += 10;
                let minded =
                    |batch_index| BatchIndexAndErrorMessage { batch_index, ..Default::default() };
                let named = [INVALID_RECORD, INVALID_TIMESTAMP].contains(&error_code);
                let record_errors = if named { vec![minded(0)] } else { Vec::new() };
                let base_offset = if error_code == 0 { self.next_offset } else { -1 };
                partition_responses.push(PartitionProduceResponse {
                    index: partition.index,
                    error_code,
                    base_offset,
                    log_append_time_ms: -1,
                    record_errors,
                    current_leader: LeaderIdAndEpoch { leader_id: -1, leader_epoch: -1 },
                    ..Default::default()
                });
            }
            let (name, topic_id) = (topic.name.clone(), topic.topic_id);
            responses.push(TopicProduceResponse { name, topic_id, partition_responses });
        }
        ProduceResponse { responses, ..Default::default() }
    }
}

fn frame<M: Message>(header: &RequestHeader, body: &M) -> Vec<u8> {
    let mut out = Vec::new();
    let (version, number) = (header.api_version, header.correlation_id);
    encode_response(header.api_key, version, number, body, &mut out).expect("an answer");
    out
}
