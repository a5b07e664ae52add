//! Produce: key 0, versions 3-13 (0-2 are advertised and refused, see ApiVersions).
//!
//! Behaviour: one batch for each partition, validated as a whole and record by record, discarded
//! when the producer has sent it before, written with one call. acks=0 gets no answer, and a closed
//! connection on any error; acks=1 and acks=all are answered once the batch is in the file.
//! Version notes: 5 log start offset, 7 zstd (KIP-110), 8 record errors (KIP-467), 13 topic ids
//! (KIP-516). Left out: transactions (a transactional batch is refused); the new leader along with
//! an error (KIP-951), since there is only one node.
//! Rights: Write on each topic.

use ottla_protocol::messages::produce::{
    BatchIndexAndErrorMessage, PartitionProduceData, PartitionProduceResponse, ProduceRequest,
    ProduceResponse, TopicProduceData, TopicProduceResponse,
};
use ottla_protocol::record::{BatchHeader, CompressionType};
use ottla_protocol::{ErrorCode, Uuid};

use super::{Api, Reply};
use crate::catalog::{Catalog, Topic};
use crate::fault::Fault;
use crate::log::Rejection;
use crate::node::{Call, Node};
use crate::request_log::{SeenBatch, SeenProduce};
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;

const ACKS_ALL: i16 = -1;

/// The first version that may carry zstd.
const ZSTD_VERSION: i16 = 7;

impl Api for ProduceRequest {
    const ADVERTISED_MIN: i16 = 0;
    const FAULTS_BY_PARTITION: bool = true;

    fn touches(&self, catalog: &Catalog, covers: &dyn Fn(&str, i32) -> bool) -> bool {
        self.topic_data.iter().any(|topic| {
            let name = topic_name(catalog, topic);
            topic.partition_data.iter().any(|partition| covers(name, partition.index))
        })
    }

    fn describe(&self, catalog: &Catalog) -> Option<SeenProduce> {
        let batches = self.topic_data.iter().flat_map(|topic| {
            let name = topic_name(catalog, topic);
            topic.partition_data.iter().map(move |partition| describe_batch(name, partition))
        });
        Some(SeenProduce {
            acks: self.acks,
            timeout_ms: self.timeout_ms,
            transactional_id: self.transactional_id.clone(),
            batches: batches.collect(),
        })
    }

    fn refuse(&self, _version: i16, code: ErrorCode) -> ProduceResponse {
        let refuse = |partition: &PartitionProduceData| refused(partition.index, code);
        let responses = self.topic_data.iter().map(|topic| TopicProduceResponse {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partition_responses: topic.partition_data.iter().map(refuse).collect(),
        });
        ProduceResponse { responses: responses.collect(), ..ProduceResponse::default() }
    }

    fn set_throttle(response: &mut ProduceResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(self, node: &mut Node, call: &Call, now: Now) -> Reply<ProduceResponse> {
        let response = if !matches!(self.acks, ACKS_ALL | 0 | 1) {
            self.refuse(call.version, ErrorCode::INVALID_REQUIRED_ACKS)
        } else if self.transactional_id.is_some() {
            self.refuse(call.version, ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
        } else {
            append_all(&self, node, call, now)
        };
        if self.acks != 0 {
            return Reply::Now(response);
        }
        let mut partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
        match partitions.find(|partition| partition.error_code != 0) {
            // The client hears no error codes; that the connection ends is all it can notice.
            Some(partition) => Reply::Close(format!(
                "a batch with acks=0 was refused: {}",
                ErrorCode(partition.error_code)
            )),
            None => Reply::Silent,
        }
    }
}

fn append_all(request: &ProduceRequest, node: &mut Node, call: &Call, now: Now) -> ProduceResponse {
    let mut responses = Vec::with_capacity(request.topic_data.len());
    for topic in &request.topic_data {
        let mut partition_responses = Vec::with_capacity(topic.partition_data.len());
        let known = match call.version {
            13.. => node.catalog.by_id(topic.topic_id).map(Known::of),
            _ => node.catalog.by_name(&topic.name).map(Known::of),
        };
        let name = known.as_ref().map_or(topic.name.as_str(), |known| &known.name);
        let may_write = node.allows(call, Operation::Write, On::Topic(name));
        for partition in &topic.partition_data {
            let response = match &known {
                None if call.version >= 13 => refused(partition.index, ErrorCode::UNKNOWN_TOPIC_ID),
                _ if !may_write => refused(partition.index, ErrorCode::TOPIC_AUTHORIZATION_FAILED),
                Some(known) => append_one(request.acks, known, partition, node, call, now),
                None => refused(partition.index, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
            };
            partition_responses.push(response);
        }
        responses.push(TopicProduceResponse {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partition_responses,
        });
    }
    ProduceResponse { responses, ..ProduceResponse::default() }
}

/// What an append needs of the topic, so that the catalogue is looked up once.
struct Known {
    name: std::sync::Arc<str>,
    id: Uuid,
    min_insync_replicas: i32,
}

impl Known {
    fn of(topic: &Topic) -> Self {
        Self {
            name: topic.name.clone(),
            id: topic.id,
            min_insync_replicas: topic.config.min_insync_replicas,
        }
    }
}

fn append_one(
    acks: i16,
    topic: &Known,
    data: &PartitionProduceData,
    node: &mut Node,
    call: &Call,
    now: Now,
) -> PartitionProduceResponse {
    let index = data.index;
    let fault = call.fault.as_ref().filter(|fault| fault.covers(&topic.name, index));
    if let Some(code) = fault.and_then(|fault| fault.action.error_instead()) {
        return refused(index, code);
    }
    let in_sync_replicas = 1;
    if acks == ACKS_ALL && in_sync_replicas < topic.min_insync_replicas {
        return refused(index, ErrorCode::NOT_ENOUGH_REPLICAS);
    }
    let bytes = data.records.as_deref().unwrap_or_default();
    if let Err(rejection) = check_for_version(bytes, call.version) {
        return rejected(index, rejection);
    }
    let Some(partition) = node.partitions.get_mut(topic.id, index) else {
        return refused(index, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    };
    let epoch = partition.leader_epoch;
    let appended = partition.log.append(&mut node.validator, bytes, epoch, now.unix_ms);
    let log_start_offset = partition.log.log_start_offset();
    match appended {
        Ok(appended) => {
            if !appended.is_duplicate {
                node.queue_syncs(topic.id, index);
                super::fetch::wake(node, topic.id, index, bytes.len(), now);
            }
            if let Some(code) = fault.and_then(|fault: &Fault| fault.action.error_after()) {
                return refused(index, code);
            }
            PartitionProduceResponse {
                index,
                base_offset: appended.base_offset,
                log_append_time_ms: appended.log_append_time_ms.unwrap_or(-1),
                log_start_offset,
                ..PartitionProduceResponse::default()
            }
        }
        Err(rejection) => {
            tracing::debug!(
                topic = %topic.name, partition = index, code = %rejection.code,
                reason = %rejection.message, "batch refused"
            );
            rejected(index, rejection)
        }
    }
}

/// What the version of the request forbids, before the log looks at the batch.
fn check_for_version(bytes: &[u8], version: i16) -> Result<(), Rejection> {
    let Ok(header) = BatchHeader::read(bytes) else {
        return Ok(());
    };
    if header.compression() == Ok(CompressionType::Zstd) && version < ZSTD_VERSION {
        let message = format!("zstd needs Produce version {ZSTD_VERSION}, this is {version}");
        return Err(Rejection::new(ErrorCode::UNSUPPORTED_COMPRESSION_TYPE, message));
    }
    if header.magic == BatchHeader::MAGIC && header.is_transactional() {
        let message = "this broker does not do transactions";
        return Err(Rejection::new(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED, message));
    }
    Ok(())
}

fn refused(index: i32, code: ErrorCode) -> PartitionProduceResponse {
    PartitionProduceResponse {
        index,
        error_code: code.0,
        base_offset: -1,
        ..PartitionProduceResponse::default()
    }
}

fn rejected(index: i32, rejection: Rejection) -> PartitionProduceResponse {
    let errors = rejection.record_errors.into_iter().map(|error| BatchIndexAndErrorMessage {
        batch_index: error.index,
        batch_index_error_message: Some(error.message),
    });
    PartitionProduceResponse {
        record_errors: errors.collect(),
        error_message: Some(rejection.message),
        ..refused(index, rejection.code)
    }
}

fn topic_name<'a>(catalog: &'a Catalog, topic: &'a TopicProduceData) -> &'a str {
    if topic.name.is_empty() {
        catalog.by_id(topic.topic_id).map_or("", |topic| &topic.name)
    } else {
        &topic.name
    }
}

fn describe_batch(topic: &str, data: &PartitionProduceData) -> SeenBatch {
    let bytes = data.records.as_deref().unwrap_or_default();
    let header = BatchHeader::read(bytes).ok();
    SeenBatch {
        topic: topic.to_owned(),
        partition: data.index,
        size_bytes: bytes.len(),
        record_count: header.map_or(0, |header| header.record_count),
        compression: header.and_then(|header| header.compression().ok()),
        producer_id: header.map_or(-1, |header| header.producer_id),
        producer_epoch: header.map_or(-1, |header| header.producer_epoch),
        base_sequence: header.map_or(-1, |header| header.base_sequence),
    }
}
