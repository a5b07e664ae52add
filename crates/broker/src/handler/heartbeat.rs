//! Heartbeat: key 12, versions 0-4.
//!
//! Behaviour: keeps a member's session alive, and is how it hears of a rebalance.
//! Rights: Read on the group.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};

use super::{Api, Reply, one_error_code};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;

impl Api for HeartbeatRequest {
    fn coordinated_id(&self) -> Option<&str> {
        Some(&self.group_id)
    }

    one_error_code!(HeartbeatResponse);

    fn handle(self, nodes: &mut Nodes, call: &Call, now: Now) -> Reply<HeartbeatResponse> {
        if !nodes.allows(call, Operation::Read, On::Group(&self.group_id)) {
            return Reply::Now(self.refuse(call.version, ErrorCode::GROUP_AUTHORIZATION_FAILED));
        }
        if self.group_id.is_empty() {
            return Reply::Now(self.refuse(call.version, ErrorCode::INVALID_GROUP_ID));
        }
        let instance_id = self.group_instance_id.as_deref();
        let generation = self.generation_id;
        let code =
            nodes.groups.heartbeat(&self.group_id, &self.member_id, instance_id, generation, now);
        Reply::Now(self.refuse(call.version, code))
    }
}
