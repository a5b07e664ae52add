//! What a raw member of the group `g` of the consumer protocol (KIP-848) says.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::consumer_group_describe::{
    ConsumerGroupDescribeRequest, DescribedGroup,
};
use ottla_protocol::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
};
use ottla_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};

use super::client::Client;

pub fn joins(member_id: &str) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group_id: "g".to_owned(),
        member_id: member_id.to_owned(),
        rebalance_timeout_ms: 30_000,
        subscribed_topic_names: Some(vec!["t".to_owned()]),
        topic_partitions: Some(Vec::new()),
        ..ConsumerGroupHeartbeatRequest::default()
    }
}

pub fn beats(member: &ConsumerGroupHeartbeatResponse) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group_id: "g".to_owned(),
        member_id: member.member_id.clone().unwrap_or_default(),
        member_epoch: member.member_epoch,
        ..ConsumerGroupHeartbeatRequest::default()
    }
}

/// The partitions of the one topic in an assignment.
pub fn partitions(member: &ConsumerGroupHeartbeatResponse) -> Vec<i32> {
    let assignment = member.assignment.as_ref().expect("an assignment");
    assignment.topic_partitions.iter().flat_map(|topic| topic.partitions.clone()).collect()
}

pub fn join(client: &mut Client, member_id: &str) -> ConsumerGroupHeartbeatResponse {
    let joined = client.call(1, &joins(member_id));
    assert_eq!((joined.error_code, joined.error_message.as_deref()), (0, None));
    joined
}

pub fn code(response: &ConsumerGroupHeartbeatResponse) -> ErrorCode {
    ErrorCode(response.error_code)
}

pub fn commit(client: &mut Client, version: i16, member_id: &str, epoch: i32) -> ErrorCode {
    let request = OffsetCommitRequest {
        group_id: "g".to_owned(),
        generation_id_or_member_epoch: epoch,
        member_id: member_id.to_owned(),
        topics: vec![OffsetCommitRequestTopic {
            name: "t".to_owned(),
            partitions: vec![OffsetCommitRequestPartition {
                partition_index: 1,
                committed_offset: 7,
                ..OffsetCommitRequestPartition::default()
            }],
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    };
    ErrorCode(client.call(version, &request).topics[0].partitions[0].error_code)
}

/// What a member with this epoch is told of partition 1.
pub fn describe(client: &mut Client) -> DescribedGroup {
    let request = ConsumerGroupDescribeRequest {
        group_ids: vec!["g".to_owned()],
        include_authorized_operations: true,
    };
    client.call(1, &request).groups.remove(0)
}
