//! What a raw member of the classic group `g` says.

use bytes::Bytes;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::heartbeat::HeartbeatRequest;
use ottla_protocol::messages::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
};
use ottla_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};

use super::client::Client;

pub const JOIN: i16 = 9;
pub const SYNC: i16 = 5;

pub fn join_request(member_id: &str) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: "g".to_owned(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 30_000,
        member_id: member_id.to_owned(),
        protocol_type: "consumer".to_owned(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "range".to_owned(),
            metadata: Bytes::from_static(b"subscription"),
        }],
        ..JoinGroupRequest::default()
    }
}

pub fn sync_request(joined: &JoinGroupResponse, assignments: &[(&str, &str)]) -> SyncGroupRequest {
    let assignments = assignments.iter().map(|(member, assignment)| SyncGroupRequestAssignment {
        member_id: (*member).to_owned(),
        assignment: Bytes::copy_from_slice(assignment.as_bytes()),
    });
    SyncGroupRequest {
        group_id: "g".to_owned(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        protocol_type: Some("consumer".to_owned()),
        protocol_name: Some("range".to_owned()),
        assignments: assignments.collect(),
        ..SyncGroupRequest::default()
    }
}

pub fn heartbeat(client: &mut Client, joined: &JoinGroupResponse) -> ErrorCode {
    let request = HeartbeatRequest {
        group_id: "g".to_owned(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        group_instance_id: None,
    };
    ErrorCode(client.call(4, &request).error_code)
}

/// A member's id, which it is given on its first try.
pub fn member_id(client: &mut Client) -> String {
    let refused = client.call(JOIN, &join_request(""));
    assert_eq!(refused.error_code, ErrorCode::MEMBER_ID_REQUIRED.0);
    assert!(refused.member_id.starts_with("raw-"), "{}", refused.member_id);
    refused.member_id
}

/// A group of one member that has its assignment.
pub fn join_alone(client: &mut Client) -> JoinGroupResponse {
    let id = member_id(client);
    let joined = client.call(JOIN, &join_request(&id));
    assert_eq!((joined.error_code, &joined.leader), (0, &joined.member_id));
    let synced = client.call(SYNC, &sync_request(&joined, &[(&joined.member_id, "all")]));
    assert_eq!((synced.error_code, &synced.assignment[..]), (0, &b"all"[..]));
    joined
}

pub fn commit_request(member: Option<&JoinGroupResponse>, offset: i64) -> OffsetCommitRequest {
    OffsetCommitRequest {
        group_id: "g".to_owned(),
        generation_id_or_member_epoch: member.map_or(-1, |member| member.generation_id),
        member_id: member.map(|member| member.member_id.clone()).unwrap_or_default(),
        topics: vec![OffsetCommitRequestTopic {
            name: "t".to_owned(),
            partitions: vec![OffsetCommitRequestPartition {
                partition_index: 1,
                committed_offset: offset,
                committed_leader_epoch: -1,
                committed_metadata: Some("note".to_owned()),
            }],
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    }
}

pub fn commit(client: &mut Client, version: i16, request: &OffsetCommitRequest) -> ErrorCode {
    ErrorCode(client.call(version, request).topics[0].partitions[0].error_code)
}
