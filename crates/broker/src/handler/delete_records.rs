//! DeleteRecords: key 21, versions 0-2.
//!
//! Behaviour: the partition begins at the given offset from now on; -1 means its end. The new start
//! is written to the checkpoint before the answer, and segments that lie before it as a whole are
//! removed. The answer comes once all in-sync replicas begin there, too (KIP-107), or after the
//! request's timeout, with REQUEST_TIMED_OUT.
//! Rights: Delete on each topic.

use std::time::Duration;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsRequest,
    DeleteRecordsResponse, DeleteRecordsTopicResult,
};

use super::fetch::log_error_code;
use super::follower_wait::{self, FollowerWait, Until, Waiting};
use super::{Api, Reply};
use crate::catalog::Catalog;
use crate::log::ReadError;
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;

const END_OF_LOG: i64 = -1;

impl Api for DeleteRecordsRequest {
    fn touches(&self, _catalog: &Catalog, covers: &dyn Fn(&str, i32) -> bool) -> bool {
        self.topics.iter().any(|topic| {
            topic.partitions.iter().any(|partition| covers(&topic.name, partition.partition_index))
        })
    }

    fn refuse(&self, _version: i16, code: ErrorCode) -> DeleteRecordsResponse {
        map_partitions(self, |_, _| Err(code))
    }

    fn set_throttle(response: &mut DeleteRecordsResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(self, nodes: &mut Nodes, call: &Call, now: Now) -> Reply<DeleteRecordsResponse> {
        let response = map_partitions(&self, |name, wanted| {
            match nodes.allows(call, Operation::Delete, On::Topic(name)) {
                true => delete(name, wanted, nodes, call, now),
                false => Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED),
            }
        });
        let node = nodes.node(call.node);
        if !node.is_none_or(|node| node.write_checkpoints(&nodes.catalog)) {
            return Reply::Now(map_partitions(&self, |_, _| Err(ErrorCode::KAFKA_STORAGE_ERROR)));
        }
        let waits: Vec<FollowerWait> = waits_of(&self, &response, nodes, call);
        if waits.is_empty() {
            return Reply::Now(response);
        }
        let timeout = Duration::from_millis(u64::try_from(self.timeout_ms).unwrap_or_default());
        let deadline = now.monotonic + timeout;
        follower_wait::park(nodes, call, Waiting::Deletion(response), waits, deadline);
        Reply::Wait
    }
}

/// What followers have to hear of before the answer may go.
fn waits_of(
    request: &DeleteRecordsRequest,
    response: &DeleteRecordsResponse,
    nodes: &Nodes,
    call: &Call,
) -> Vec<FollowerWait> {
    let mut waits = Vec::new();
    for (at, (asked, told)) in request.topics.iter().zip(&response.topics).enumerate() {
        let Some(topic) = nodes.catalog.by_name(&asked.name).map(|topic| topic.id) else {
            continue;
        };
        for (index, told) in told.partitions.iter().enumerate() {
            let partition = told.partition_index;
            let replica = nodes.replica(call.node, topic, partition);
            let Some(replica) = replica.filter(|_| told.error_code == 0) else {
                continue;
            };
            let leader_epoch = replica.leader_epoch;
            let until = Until::BeginsAt(told.low_watermark);
            let place = (0, at, index);
            let wait = FollowerWait { topic, partition, leader_epoch, until, place };
            if wait.outcome(nodes, call.node).is_none() {
                waits.push(wait);
            }
        }
    }
    waits
}

fn map_partitions(
    request: &DeleteRecordsRequest,
    mut delete: impl FnMut(&str, &DeleteRecordsPartition) -> Result<i64, ErrorCode>,
) -> DeleteRecordsResponse {
    let topics = request.topics.iter().map(|topic| DeleteRecordsTopicResult {
        name: topic.name.clone(),
        partitions: topic
            .partitions
            .iter()
            .map(|wanted| {
                let outcome = delete(&topic.name, wanted);
                DeleteRecordsPartitionResult {
                    partition_index: wanted.partition_index,
                    low_watermark: outcome.unwrap_or(-1),
                    error_code: outcome.err().map_or(0, |code| code.0),
                }
            })
            .collect(),
    });
    DeleteRecordsResponse { topics: topics.collect(), ..DeleteRecordsResponse::default() }
}

fn delete(
    name: &str,
    wanted: &DeleteRecordsPartition,
    nodes: &mut Nodes,
    call: &Call,
    now: Now,
) -> Result<i64, ErrorCode> {
    let topic = nodes.catalog.by_name(name).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
    if !nodes.settings.log_config(call.node, &topic.overrides).is_deleted {
        // Records of a topic that is only compacted are not to be cut off (KIP-107).
        return Err(ErrorCode::POLICY_VIOLATION);
    }
    let id = topic.id;
    let replica = nodes.leader_mut(call.node, id, wanted.partition_index)?;
    let high_watermark = replica.high_watermark();
    let offset = match wanted.offset {
        END_OF_LOG => high_watermark,
        offset if offset > high_watermark => return Err(ErrorCode::OFFSET_OUT_OF_RANGE),
        offset => offset,
    };
    let deleted = replica.log.delete_records(offset);
    // The followers hear of it with what they ask for next.
    nodes.stir_followers(call.node, id, wanted.partition_index, now);
    deleted.map_err(|error| match error {
        ReadError::OutOfRange { .. } => ErrorCode::OFFSET_OUT_OF_RANGE,
        ReadError::Log(error) => {
            tracing::error!(topic = name, %error, "records not deleted");
            log_error_code(&error)
        }
    })
}
