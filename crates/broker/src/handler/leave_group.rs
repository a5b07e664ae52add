//! LeaveGroup: key 13, versions 0-5.
//!
//! Behaviour: members go at once, and the rest rebalance.
//! Version notes: 3 several members at once, static ones by their instance id (KIP-345).
//! Rights: Read on the group.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::leave_group::{
    LeaveGroupRequest, LeaveGroupResponse, MemberResponse,
};

use super::{Api, Reply, one_error_code};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;

const SEVERAL_MEMBERS_VERSION: i16 = 3;

impl Api for LeaveGroupRequest {
    fn coordinated_id(&self) -> Option<&str> {
        Some(&self.group_id)
    }

    one_error_code!(LeaveGroupResponse);

    fn handle(self, nodes: &mut Nodes, call: &Call, now: Now) -> Reply<LeaveGroupResponse> {
        if !nodes.allows(call, Operation::Read, On::Group(&self.group_id)) {
            return Reply::Now(self.refuse(call.version, ErrorCode::GROUP_AUTHORIZATION_FAILED));
        }
        if self.group_id.is_empty() {
            return Reply::Now(self.refuse(call.version, ErrorCode::INVALID_GROUP_ID));
        }
        if call.version < SEVERAL_MEMBERS_VERSION {
            let left = nodes.groups.leave(&self.group_id, &self.member_id, None, now);
            return Reply::Now(self.refuse(call.version, left.err().unwrap_or(ErrorCode::NONE)));
        }
        let members = self.members.iter().map(|member| {
            let instance_id = member.group_instance_id.as_deref();
            let left = nodes.groups.leave(&self.group_id, &member.member_id, instance_id, now);
            MemberResponse {
                member_id: member.member_id.clone(),
                group_instance_id: member.group_instance_id.clone(),
                error_code: left.err().map_or(0, |code| code.0),
            }
        });
        Reply::Now(LeaveGroupResponse {
            members: members.collect(),
            ..LeaveGroupResponse::default()
        })
    }
}
