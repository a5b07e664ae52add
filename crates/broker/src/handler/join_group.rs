//! JoinGroup: key 11, versions 0-9.
//!
//! Behaviour: the answer comes when all members of the group have joined or the rebalance timeout
//! is over. Version notes: 1 rebalance timeout, 4 a new member is given an id first (KIP-394), 5
//! static members (KIP-345), 7 protocol type, 9 a leader that need not assign (KIP-814).
//! Rights: Read on the group.

use std::time::Duration;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::join_group::{
    JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember,
};

use super::{Api, Reply};
use crate::groups::{JoinRequest, Joined};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;

impl Api for JoinGroupRequest {
    fn coordinated_id(&self) -> Option<&str> {
        Some(&self.group_id)
    }

    fn refuse(&self, version: i16, code: ErrorCode) -> JoinGroupResponse {
        encode(version, Joined::refused(code, &*self.member_id))
    }

    fn set_throttle(response: &mut JoinGroupResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(self, nodes: &mut Nodes, call: &Call, now: Now) -> Reply<JoinGroupResponse> {
        if !nodes.allows(call, Operation::Read, On::Group(&self.group_id)) {
            return Reply::Now(self.refuse(call.version, ErrorCode::GROUP_AUTHORIZATION_FAILED));
        }
        let ms = |ms: i32| Duration::from_millis(u64::try_from(ms).unwrap_or_default());
        let session_timeout = ms(self.session_timeout_ms);
        let rebalance_timeout = match call.version {
            0 => session_timeout,
            _ => ms(self.rebalance_timeout_ms),
        };
        let client_id = call.client_id.clone().unwrap_or_default();
        let id_prefix = self.group_instance_id.clone().unwrap_or_else(|| client_id.clone());
        let request = JoinRequest {
            member_id: self.member_id,
            instance_id: self.group_instance_id,
            client_id,
            client_host: nodes.client_host(call),
            session_timeout,
            rebalance_timeout,
            protocol_type: self.protocol_type,
            protocols: self
                .protocols
                .into_iter()
                .map(|p| (p.name, detached(&p.metadata)))
                .collect(),
            asks_member_id: call.version >= 4,
            can_skip_assignment: call.version >= 9,
        };
        let new_id = || format!("{id_prefix}-{}", nodes.rng.next_uuid());
        match nodes.groups.join(&self.group_id, request, new_id, call, now) {
            Some(joined) => Reply::Now(encode(call.version, joined)),
            None => Reply::Wait,
        }
    }
}

/// A copy of what a member keeps for long, so that it does not hold the whole request in memory.
pub(super) fn detached(bytes: &bytes::Bytes) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(bytes)
}

/// The answer to a member that has waited.
pub(super) fn response(call: &Call, joined: Joined) -> JoinGroupResponse {
    encode(call.version, joined)
}

fn encode(version: i16, joined: Joined) -> JoinGroupResponse {
    let members = joined.members.into_iter().map(|member| JoinGroupResponseMember {
        member_id: member.member_id,
        group_instance_id: member.instance_id.filter(|_| version >= 5),
        metadata: member.metadata,
    });
    JoinGroupResponse {
        throttle_time_ms: 0,
        error_code: joined.error.0,
        generation_id: joined.generation,
        protocol_type: joined.protocol_type.filter(|_| version >= 7),
        // Only later versions can say that there is none.
        protocol_name: joined.protocol.or_else(|| (version < 7).then(String::new)),
        leader: joined.leader,
        skip_assignment: joined.skip_assignment,
        member_id: joined.member_id,
        members: members.collect(),
    }
}
