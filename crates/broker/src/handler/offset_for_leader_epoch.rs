//! OffsetForLeaderEpoch: key 23, versions 2-4.
//!
//! Behaviour: where an epoch of a partition's leaders ended, so that a consumer can tell that its
//! leader has lost what it has read (KIP-320): the greatest epoch not later than the one asked for,
//! and where the next began, or the log's end. An epoch older than all that the log holds ended
//! where the log begins; one that has not come yet is unknown (-1).
//! Version notes: 3 who asks, which makes no difference; 4 flexible. Left out: questions of
//! followers, which go another way (see `replication`).
//! Rights: Describe on each topic, or ClusterAction on the cluster.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition, OffsetForLeaderTopicResult,
};

use super::fetch::check_leader_epoch;
use super::{Api, Reply};
use crate::catalog::Catalog;
use crate::fault::Action;
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::replica::Replica;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;

/// An epoch and an offset that nobody knows.
const UNKNOWN: (i32, i64) = (-1, -1);

impl Api for OffsetForLeaderEpochRequest {
    const FAULTS_BY_PARTITION: bool = true;

    fn touches(&self, _catalog: &Catalog, covers: &dyn Fn(&str, i32) -> bool) -> bool {
        self.topics.iter().any(|topic| {
            topic.partitions.iter().any(|partition| covers(&topic.topic, partition.partition))
        })
    }

    fn refuse(&self, _version: i16, code: ErrorCode) -> OffsetForLeaderEpochResponse {
        map_partitions(self, |_, _| Err(code))
    }

    fn set_throttle(response: &mut OffsetForLeaderEpochResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(
        self,
        nodes: &mut Nodes,
        call: &Call,
        _now: Now,
    ) -> Reply<OffsetForLeaderEpochResponse> {
        let may_ask_all = nodes.allows(call, Operation::ClusterAction, On::Cluster);
        Reply::Now(map_partitions(&self, |name, wanted| {
            let fault = call.fault.as_ref().filter(|fault| fault.covers(name, wanted.partition));
            if let Some(code) = fault.map(|fault| fault.action).and_then(Action::error) {
                return Err(code);
            }
            if !may_ask_all && !nodes.allows(call, Operation::Describe, On::Topic(name)) {
                return Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
            }
            let topic = nodes.catalog.by_name(name).map(|topic| topic.id);
            let topic = topic.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
            let replica = nodes.leader_mut(call.node, topic, wanted.partition)?;
            check_leader_epoch(wanted.current_leader_epoch, replica.leader_epoch)?;
            Ok(end_of(replica, wanted.leader_epoch))
        }))
    }
}

fn map_partitions(
    request: &OffsetForLeaderEpochRequest,
    mut answer: impl FnMut(&str, &OffsetForLeaderPartition) -> Result<(i32, i64), ErrorCode>,
) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|wanted| {
            let found = answer(&topic.topic, wanted);
            let (leader_epoch, end_offset) = found.unwrap_or(UNKNOWN);
            EpochEndOffset {
                error_code: found.err().map_or(0, |code| code.0),
                partition: wanted.partition,
                leader_epoch,
                end_offset,
            }
        });
        OffsetForLeaderTopicResult { topic: topic.topic.clone(), partitions: partitions.collect() }
    });
    OffsetForLeaderEpochResponse {
        topics: topics.collect(),
        ..OffsetForLeaderEpochResponse::default()
    }
}

/// The greatest epoch not later than the one asked for, and where it ended.
fn end_of(replica: &Replica, epoch: i32) -> (i32, i64) {
    if epoch < 0 || epoch > replica.leader_epoch {
        UNKNOWN
    } else if epoch == replica.leader_epoch {
        // Also when nothing was written in it yet.
        (epoch, replica.log.log_end_offset())
    } else {
        let found = replica.log.end_of_leader_epoch(epoch);
        found.unwrap_or_else(|| (epoch, replica.log.log_start_offset()))
    }
}
