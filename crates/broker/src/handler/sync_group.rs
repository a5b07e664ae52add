//! SyncGroup: key 14, versions 0-5.
//!
//! Behaviour: the leader brings the assignments; everybody's answer comes once they are there.
//! Version notes: 3 static members (KIP-345), 5 protocol type and name (KIP-559).
//! Rights: Read on the group.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupResponse};

use super::join_group::detached;
use super::{Api, Reply, one_error_code};
use crate::groups::{SyncRequest, Synced};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;

/// From here on a member says which protocol it follows.
const NAMED_PROTOCOL_VERSION: i16 = 5;

impl Api for SyncGroupRequest {
    fn coordinated_id(&self) -> Option<&str> {
        Some(&self.group_id)
    }

    one_error_code!(SyncGroupResponse);

    fn handle(self, nodes: &mut Nodes, call: &Call, now: Now) -> Reply<SyncGroupResponse> {
        if !nodes.allows(call, Operation::Read, On::Group(&self.group_id)) {
            return Reply::Now(self.refuse(call.version, ErrorCode::GROUP_AUTHORIZATION_FAILED));
        }
        let is_named = self.protocol_type.is_some() && self.protocol_name.is_some();
        if call.version >= NAMED_PROTOCOL_VERSION && !is_named {
            return Reply::Now(self.refuse(call.version, ErrorCode::INCONSISTENT_GROUP_PROTOCOL));
        }
        if self.group_id.is_empty() {
            return Reply::Now(self.refuse(call.version, ErrorCode::INVALID_GROUP_ID));
        }
        let assignments = self.assignments.into_iter();
        let request = SyncRequest {
            member_id: self.member_id,
            instance_id: self.group_instance_id,
            generation: self.generation_id,
            protocol_type: self.protocol_type,
            protocol: self.protocol_name,
            assignments: assignments.map(|a| (a.member_id, detached(&a.assignment))).collect(),
        };
        match nodes.groups.sync(&self.group_id, request, call, now) {
            Some(synced) => Reply::Now(response(synced)),
            None => Reply::Wait,
        }
    }
}

/// The answer to a member.
pub(super) fn response(synced: Synced) -> SyncGroupResponse {
    SyncGroupResponse {
        throttle_time_ms: 0,
        error_code: synced.error.0,
        protocol_type: synced.protocol_type,
        protocol_name: synced.protocol,
        assignment: synced.assignment,
    }
}
