//! ListOffsets: key 2, versions 1-11.
//!
//! Behaviour: the first offset (-2), the one after the last (-1), the one of the greatest timestamp
//! (-3), or the first with a timestamp at or after the one asked for; -1 when there is none.
//! Readers of what is committed hear of nothing behind the last stable offset. A leader that does
//! not yet know all that was acknowledged before its time says so, rather than an end that lies
//! before one it has told (KIP-207).
//! Version notes: 4 leader epochs (KIP-320), 5 OFFSET_NOT_AVAILABLE, 7 greatest timestamp
//! (KIP-734), 8 earliest local (-4, KIP-405), 9 latest tiered (-5), 11 earliest pending upload
//! (-6).
//! Left out: tiered storage: -4 is the first offset, -5 and -6 are unknown.
//! Rights: Describe on each topic.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};

use super::counted::counted;
use super::fetch::{check_leader_epoch, log_error_code};
use super::{Api, Reply};
use crate::catalog::Catalog;
use crate::fault::Action;
use crate::log::LogError;
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::replica::Replica;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;

const LEADER_EPOCH_VERSION: i16 = 4;

/// The first version that knows OFFSET_NOT_AVAILABLE.
const NOT_AVAILABLE_VERSION: i16 = 5;

const READ_COMMITTED: i8 = 1;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

impl Api for ListOffsetsRequest {
    const FAULTS_BY_PARTITION: bool = true;

    fn touches(&self, _catalog: &Catalog, covers: &dyn Fn(&str, i32) -> bool) -> bool {
        self.topics.iter().any(|topic| {
            topic.partitions.iter().any(|partition| covers(&topic.name, partition.partition_index))
        })
    }

    fn refuse(&self, _version: i16, code: ErrorCode) -> ListOffsetsResponse {
        map_partitions(self, |_, partition| failed(partition, code))
    }

    fn set_throttle(response: &mut ListOffsetsResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(self, nodes: &mut Nodes, call: &Call, _now: Now) -> Reply<ListOffsetsResponse> {
        let counts = counted(self.topics.iter().flat_map(|topic| {
            let name = topic.name.as_str();
            topic.partitions.iter().map(move |partition| (name, partition.partition_index))
        }));
        Reply::Now(map_partitions(&self, |name, wanted| {
            let index = wanted.partition_index;
            if counts.get(&(name, index)).is_some_and(|count| *count > 1) {
                return failed(wanted, ErrorCode::INVALID_REQUEST);
            }
            if !is_spoken(wanted.timestamp, call.version) {
                return failed(wanted, ErrorCode::UNSUPPORTED_VERSION);
            }
            let fault = call.fault.as_ref().filter(|fault| fault.covers(name, index));
            let action = fault.map(|fault| fault.action);
            let code = action.and_then(Action::error);
            if let Some(code) = code {
                return failed(wanted, code);
            }
            if !nodes.allows(call, Operation::Describe, On::Topic(name)) {
                return failed(wanted, ErrorCode::TOPIC_AUTHORIZATION_FAILED);
            }
            let id = nodes.catalog.by_name(name).map(|topic| topic.id);
            let leader = id.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
            let leader = leader.and_then(|id| nodes.leader_mut(call.node, id, index));
            let mut answer = match leader {
                Ok(replica) => find(replica, wanted, self.isolation_level),
                Err(code) => failed(wanted, code),
            };
            let is_not_available = answer.error_code == ErrorCode::OFFSET_NOT_AVAILABLE.0;
            if is_not_available && call.version < NOT_AVAILABLE_VERSION {
                answer.error_code = ErrorCode::LEADER_NOT_AVAILABLE.0;
            }
            if call.version < LEADER_EPOCH_VERSION {
                answer.leader_epoch = -1;
            }
            answer
        }))
    }
}

/// Whether a version knows what a timestamp below 0 stands for.
fn is_spoken(timestamp: i64, version: i16) -> bool {
    match timestamp {
        EARLIEST.. => true,
        MAX_TIMESTAMP => version >= 7,
        EARLIEST_LOCAL => version >= 8,
        LATEST_TIERED => version >= 9,
        EARLIEST_PENDING_UPLOAD => version >= 11,
        _ => false,
    }
}

fn map_partitions(
    request: &ListOffsetsRequest,
    mut answer: impl FnMut(&str, &ListOffsetsPartition) -> ListOffsetsPartitionResponse,
) -> ListOffsetsResponse {
    let topics = request.topics.iter().map(|topic| ListOffsetsTopicResponse {
        name: topic.name.clone(),
        partitions: topic.partitions.iter().map(|wanted| answer(&topic.name, wanted)).collect(),
    });
    ListOffsetsResponse { topics: topics.collect(), ..ListOffsetsResponse::default() }
}

fn find(
    partition: &mut Replica,
    wanted: &ListOffsetsPartition,
    isolation_level: i8,
) -> ListOffsetsPartitionResponse {
    if let Err(code) = check_leader_epoch(wanted.current_leader_epoch, partition.leader_epoch) {
        return failed(wanted, code);
    }
    let high_watermark = partition.high_watermark();
    let end = match isolation_level {
        READ_COMMITTED => partition.log.last_stable_offset(high_watermark),
        _ => high_watermark,
    };
    let is_behind = partition.leading.as_ref().is_some_and(|now| now.epoch_start > high_watermark);
    let visible = |found: (i64, i64, i32)| if found.0 < end { found } else { (-1, -1, -1) };
    let found = match wanted.timestamp {
        LATEST if is_behind => return failed(wanted, ErrorCode::OFFSET_NOT_AVAILABLE),
        LATEST => Ok((end, -1, partition.leader_epoch)),
        EARLIEST | EARLIEST_LOCAL => {
            let start = partition.log.log_start_offset();
            let epoch = partition.log.leader_epoch_of(start).unwrap_or(partition.leader_epoch);
            Ok((start, -1, epoch))
        }
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => Ok((-1, -1, -1)),
        MAX_TIMESTAMP => at_time(partition, None).map(visible),
        timestamp @ 0.. => at_time(partition, Some(timestamp)).map(visible),
        _ => return failed(wanted, ErrorCode::INVALID_REQUEST),
    };
    let is_by_time = matches!(wanted.timestamp, MAX_TIMESTAMP | 0..);
    match found {
        Ok((-1, ..)) if is_by_time && is_behind => failed(wanted, ErrorCode::OFFSET_NOT_AVAILABLE),
        Ok((offset, timestamp, leader_epoch)) => ListOffsetsPartitionResponse {
            partition_index: wanted.partition_index,
            error_code: 0,
            timestamp,
            offset,
            leader_epoch,
        },
        Err(error) => {
            tracing::error!(partition = wanted.partition_index, %error, "log cannot be searched");
            failed(wanted, log_error_code(&error))
        }
    }
}

/// Offset, timestamp and leader epoch of the record with a timestamp, or with the greatest one.
fn at_time(
    partition: &mut Replica,
    timestamp_ms: Option<i64>,
) -> Result<(i64, i64, i32), LogError> {
    let found = match timestamp_ms {
        Some(timestamp_ms) => partition.log.offset_at_time(timestamp_ms)?,
        None => partition.log.offset_of_max_timestamp()?,
    };
    Ok(found.map_or((-1, -1, -1), |found| (found.offset, found.timestamp_ms, found.leader_epoch)))
}

fn failed(wanted: &ListOffsetsPartition, code: ErrorCode) -> ListOffsetsPartitionResponse {
    ListOffsetsPartitionResponse {
        partition_index: wanted.partition_index,
        error_code: code.0,
        timestamp: -1,
        offset: -1,
        leader_epoch: -1,
    }
}
