//! Produce: key 0, versions 3-13 (0-2 are advertised and refused, see ApiVersions).
//!
//! Behaviour: one batch for each partition, validated as a whole and record by record, discarded
//! when the producer has sent it before, written with one call. acks=0 gets no answer, and a closed
//! connection on any error; acks=1 is answered once the batch is in the leader's file, acks=all
//! once it is in those of all in-sync replicas (see `produce_wait`), of which there must be
//! `min.insync.replicas`, or as many as there are replicas if that is less.
//! Version notes: 5 log start offset, 7 zstd (KIP-110), 8 record errors (KIP-467), 10 the leader
//! along with an error (KIP-951), 11 TRANSACTION_ABORTABLE, 12 partitions become part of the
//! transaction by it (KIP-890; see `produce_transaction`), 13 topic ids (KIP-516).
//! Rights: Write on each topic, and on the transactional id when there are batches of a
//! transaction.

use std::time::Duration;

use ottla_protocol::messages::produce::{
    BatchIndexAndErrorMessage, PartitionProduceData, PartitionProduceResponse, ProduceRequest,
    ProduceResponse, TopicProduceData, TopicProduceResponse,
};
use ottla_protocol::record::{BatchHeader, CompressionType};
use ottla_protocol::{ErrorCode, Uuid};

use super::produce_transaction::{self, Added};
use super::produce_wait::{self, Wait};
use super::{Api, Reply, throttle};
use crate::catalog::{Catalog, Topic};
use crate::fault::Fault;
use crate::log::Rejection;
use crate::mutant::{self, Mutant};
use crate::nodes::Nodes;
use crate::peers::Call;
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

    fn handle(self, nodes: &mut Nodes, call: &Call, now: Now) -> Reply<ProduceResponse> {
        let mut waits = Vec::new();
        let mut response = if !matches!(self.acks, ACKS_ALL | 0 | 1) {
            self.refuse(call.version, ErrorCode::INVALID_REQUIRED_ACKS)
        } else if let Err(code) = produce_transaction::check_request(&self, nodes, call) {
            self.refuse(call.version, code)
        } else {
            append_all(&self, nodes, call, now, &mut waits)
        };
        if !waits.is_empty() {
            let timeout = Duration::from_millis(u64::try_from(self.timeout_ms).unwrap_or_default());
            produce_wait::park(nodes, call, response, waits, now.monotonic + timeout);
            return Reply::Wait;
        }
        throttle::charge_produce(nodes, call, now);
        if self.acks != 0 {
            produce_wait::name_leaders(nodes, call, &mut response);
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

fn append_all(
    request: &ProduceRequest,
    nodes: &mut Nodes,
    call: &Call,
    now: Now,
    waits: &mut Vec<Wait>,
) -> ProduceResponse {
    let added = produce_transaction::add(request, nodes, call, now);
    let mut responses = Vec::with_capacity(request.topic_data.len());
    for topic in &request.topic_data {
        let mut partition_responses = Vec::with_capacity(topic.partition_data.len());
        let known = match call.version {
            13.. => nodes.catalog.by_id(topic.topic_id).map(Known::of),
            _ => nodes.catalog.by_name(&topic.name).map(Known::of),
        };
        let name = known.as_ref().map_or(topic.name.as_str(), |known| &known.name);
        let may_write = nodes.allows(call, Operation::Write, On::Topic(name));
        for partition in &topic.partition_data {
            let response = match &known {
                None if call.version >= 13 => refused(partition.index, ErrorCode::UNKNOWN_TOPIC_ID),
                _ if !may_write => refused(partition.index, ErrorCode::TOPIC_AUTHORIZATION_FAILED),
                Some(known) => {
                    let appended =
                        append_one(request.acks, known, partition, &added, nodes, call, now);
                    appended.map_or_else(
                        |refused| refused,
                        |(response, wait)| {
                            let place = (responses.len(), partition_responses.len());
                            waits.extend(wait.map(|wait| Wait { place, ..wait }));
                            response
                        },
                    )
                }
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
}

impl Known {
    fn of(topic: &Topic) -> Self {
        Self { name: topic.name.clone(), id: topic.id }
    }
}

/// Appends a batch. Gives the answer, and what it must wait for; an error is an answer too.
fn append_one(
    acks: i16,
    topic: &Known,
    data: &PartitionProduceData,
    added: &Added<'_>,
    nodes: &mut Nodes,
    call: &Call,
    now: Now,
) -> Result<(PartitionProduceResponse, Option<Wait>), PartitionProduceResponse> {
    let (id, index) = (topic.id, data.index);
    let refuse = |code| refused(index, code);
    let fault = call.fault.as_ref().filter(|fault| fault.covers(&topic.name, index));
    if let Some(code) = fault.and_then(|fault| fault.action.error_instead()) {
        return Err(refuse(code));
    }
    let bytes = data.records.as_deref().unwrap_or_default();
    // One that cannot be read is refused by the log.
    if let Ok(header) = BatchHeader::read(bytes) {
        check_for_version(&header, call.version).map_err(|refused| rejected(index, refused))?;
        produce_transaction::check_batch(nodes, call, added, (id, index), &header)
            .map_err(refuse)?;
    }
    let min_insync_replicas = nodes.min_insync_replicas(id);
    let Nodes { nodes: all, validator, next_lag_check, .. } = &mut *nodes;
    let node = all.iter_mut().find(|node| node.id == call.node);
    let replica = node.and_then(|node| node.partitions.get_mut(id, index));
    let Some(replica) = replica.filter(|replica| replica.leading.is_some()) else {
        return Err(refuse(nodes.not_leader(id, index)));
    };
    let ignores = mutant::is_on(Mutant::IgnoresMinInsync);
    if acks == ACKS_ALL && !replica.has_enough(min_insync_replicas) && !ignores {
        return Err(refuse(ErrorCode::NOT_ENOUGH_REPLICAS));
    }
    let leader_epoch = replica.leader_epoch;
    let appended = replica.log.append(validator, bytes, leader_epoch, now.unix_ms);
    if replica.log.failure().is_some() {
        // Another has to lead.
        *next_lag_check = now.monotonic;
    }
    let appended = appended.map_err(|rejection| {
        tracing::debug!(
            topic = %topic.name, partition = index, code = %rejection.code,
            reason = %rejection.message, "batch refused"
        );
        rejected(index, rejection)
    })?;
    let log_start_offset = replica.log.log_start_offset();
    if !appended.is_duplicate {
        replica.note_appended(bytes.len());
        nodes.queue_syncs(call.node, id, index);
        nodes.stir_followers(call.node, id, index, now);
        nodes.raise_high_watermark(call.node, id, index, now);
    }
    if let Some(code) = fault.and_then(|fault: &Fault| fault.action.error_after()) {
        return Err(refuse(code));
    }
    let response = PartitionProduceResponse {
        index,
        base_offset: appended.base_offset,
        log_append_time_ms: appended.log_append_time_ms.unwrap_or(-1),
        log_start_offset,
        ..PartitionProduceResponse::default()
    };
    let until_offset = appended.last_offset + 1;
    let replica = nodes.replica(call.node, id, index);
    let is_open = replica.is_some_and(|replica| replica.high_watermark() < until_offset)
        && !mutant::is_on(Mutant::AcknowledgesAlone);
    let wait = Wait { topic: id, partition: index, leader_epoch, until_offset, place: (0, 0) };
    Ok((response, (acks == ACKS_ALL && is_open).then_some(wait)))
}

/// What the version of the request forbids, before the log looks at the batch.
fn check_for_version(header: &BatchHeader, version: i16) -> Result<(), Rejection> {
    if header.compression() == Ok(CompressionType::Zstd) && version < ZSTD_VERSION {
        let message = format!("zstd needs Produce version {ZSTD_VERSION}, this is {version}");
        return Err(Rejection::new(ErrorCode::UNSUPPORTED_COMPRESSION_TYPE, message));
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
