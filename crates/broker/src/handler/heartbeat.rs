//! Heartbeat: key 12, versions 0-4.
//!
//! Behaviour: keeps a member's session alive, and is how it hears of a rebalance.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};

use super::{Api, Reply, one_error_code};
use crate::node::{Call, Node};
use crate::time::Now;

impl Api for HeartbeatRequest {
    one_error_code!(HeartbeatResponse);

    fn handle(self, node: &mut Node, call: &Call, now: Now) -> Reply<HeartbeatResponse> {
        let instance_id = self.group_instance_id.as_deref();
        let generation = self.generation_id;
        let code =
            node.groups.heartbeat(&self.group_id, &self.member_id, instance_id, generation, now);
        Reply::Now(self.refuse(call.version, code))
    }
}
