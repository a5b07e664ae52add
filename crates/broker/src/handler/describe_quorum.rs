//! DescribeQuorum: key 55, versions 0-2.
//!
//! Behaviour: the quorum of `__cluster_metadata`, which is the controller alone: it leads, in one
//! epoch for ever, and is no node, so that it has no listener either. The nodes that it counts on
//! watch it, and know all that it has written down: its log is the file of the catalogue, and each
//! write of that is an offset. Any other partition is unknown.
//! Version notes: 1 times of the replicas (KIP-836), 2 messages, folders and listeners (KIP-853).
//! Rights: Describe on the cluster.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_quorum::{
    DescribeQuorumRequest, DescribeQuorumResponse,
    DescribeQuorumResponsePartitionData as PartitionData,
    DescribeQuorumResponseTopicData as TopicData, Node, ReplicaState,
};

use super::{Api, Reply};
use crate::controller::CONTROLLER;
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;

const TOPIC: &str = "__cluster_metadata";
/// The controller has been elected once.
const EPOCH: i32 = 1;
/// The first version that says where the quorum is.
const NODES_VERSION: i16 = 2;

impl Api for DescribeQuorumRequest {
    fn refuse(&self, _version: i16, code: ErrorCode) -> DescribeQuorumResponse {
        DescribeQuorumResponse {
            error_code: code.0,
            error_message: Some(code.message().to_owned()),
            ..DescribeQuorumResponse::default()
        }
    }

    /// The answer has no place for it.
    fn set_throttle(_response: &mut DescribeQuorumResponse, _throttle_ms: i32) {}

    fn handle(self, nodes: &mut Nodes, call: &Call, now: Now) -> Reply<DescribeQuorumResponse> {
        if !nodes.allows(call, Operation::Describe, On::Cluster) {
            let code = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
            return Reply::Now(self.refuse(call.version, code));
        }
        if !is_about_the_quorum(&self) {
            return Reply::Now(unknown(self));
        }
        let quorum = Node { node_id: CONTROLLER, ..Node::default() };
        let nodes_of_quorum = if call.version < NODES_VERSION { vec![] } else { vec![quorum] };
        Reply::Now(DescribeQuorumResponse {
            topics: vec![TopicData {
                topic_name: TOPIC.to_owned(),
                partitions: vec![partition(nodes, now)],
            }],
            nodes: nodes_of_quorum,
            ..DescribeQuorumResponse::default()
        })
    }
}

/// Whether the partition of the quorum is asked for, and nothing else.
fn is_about_the_quorum(request: &DescribeQuorumRequest) -> bool {
    let [topic] = &request.topics[..] else {
        return false;
    };
    let [partition] = &topic.partitions[..] else {
        return false;
    };
    topic.topic_name == TOPIC && partition.partition_index == 0
}

/// The answer to any other request.
fn unknown(request: DescribeQuorumRequest) -> DescribeQuorumResponse {
    let code = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    let unknown = |index: i32| PartitionData {
        partition_index: index,
        error_code: code.0,
        error_message: Some(code.message().to_owned()),
        ..PartitionData::default()
    };
    let topics = request.topics.into_iter().map(|topic| TopicData {
        topic_name: topic.topic_name,
        partitions: topic.partitions.iter().map(|it| unknown(it.partition_index)).collect(),
    });
    DescribeQuorumResponse { topics: topics.collect(), ..DescribeQuorumResponse::default() }
}

fn partition(nodes: &Nodes, now: Now) -> PartitionData {
    let log_end_offset = nodes.catalog.revision();
    let caught_up = |replica_id| ReplicaState {
        replica_id,
        log_end_offset,
        last_fetch_timestamp: now.unix_ms,
        last_caught_up_timestamp: now.unix_ms,
        ..ReplicaState::default()
    };
    PartitionData {
        leader_id: CONTROLLER,
        leader_epoch: EPOCH,
        high_watermark: log_end_offset,
        current_voters: vec![caught_up(CONTROLLER)],
        observers: nodes.live_nodes().map(caught_up).collect(),
        ..PartitionData::default()
    }
}
