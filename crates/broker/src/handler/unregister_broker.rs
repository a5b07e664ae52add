//! UnregisterBroker: key 64, version 0.
//!
//! Behaviour: a node is no longer known, whether it runs or not: it leads nothing, is in sync with
//! nothing and gets no replicas. Those that it has stay its own. It is registered again when it is
//! started, not before.
//! Rights: Alter on the cluster.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::unregister_broker::{
    UnregisterBrokerRequest, UnregisterBrokerResponse,
};

use super::{Api, Reply};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;

impl Api for UnregisterBrokerRequest {
    fn refuse(&self, _version: i16, code: ErrorCode) -> UnregisterBrokerResponse {
        UnregisterBrokerResponse {
            error_code: code.0,
            error_message: Some(code.message().to_owned()),
            ..UnregisterBrokerResponse::default()
        }
    }

    fn set_throttle(response: &mut UnregisterBrokerResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(self, nodes: &mut Nodes, call: &Call, now: Now) -> Reply<UnregisterBrokerResponse> {
        if !nodes.allows(call, Operation::Alter, On::Cluster) {
            let code = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
            return Reply::Now(self.refuse(call.version, code));
        }
        Reply::Now(match nodes.unregister(self.broker_id, now) {
            Ok(()) => UnregisterBrokerResponse::default(),
            Err(code) => self.refuse(call.version, code),
        })
    }
}
