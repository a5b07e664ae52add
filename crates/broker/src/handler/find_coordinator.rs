//! FindCoordinator: key 10, versions 0-6.
//!
//! Behaviour: each node coordinates a share of the groups and of the transactional ids.
//! Version notes: 1 key types, 4 several keys at once (KIP-699), 6 share groups.
//! Left out: share groups; their keys are refused.
//! Rights: Describe on the group or the transactional id.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};

use super::{Api, Reply};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SEVERAL_KEYS_VERSION: i16 = 4;

impl Api for FindCoordinatorRequest {
    fn refuse(&self, version: i16, code: ErrorCode) -> FindCoordinatorResponse {
        answer(self, version, |key| refused(key, code, None))
    }

    fn set_throttle(response: &mut FindCoordinatorResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(self, nodes: &mut Nodes, call: &Call, _now: Now) -> Reply<FindCoordinatorResponse> {
        Reply::Now(answer(&self, call.version, |key| match self.key_type {
            GROUP if key.is_empty() => refused(key, ErrorCode::INVALID_GROUP_ID, None),
            GROUP if !nodes.allows(call, Operation::Describe, On::Group(key)) => {
                refused(key, ErrorCode::GROUP_AUTHORIZATION_FAILED, None)
            }
            TRANSACTION if key.is_empty() => refused(key, ErrorCode::INVALID_REQUEST, None),
            TRANSACTION if !nodes.allows(call, Operation::Describe, On::TransactionalId(key)) => {
                refused(key, ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED, None)
            }
            GROUP | TRANSACTION => match nodes.coordinator_of(key) {
                Some(node_id) => {
                    let address = nodes.address_for(call.connection, node_id);
                    Coordinator {
                        key: key.to_owned(),
                        node_id,
                        host: address.host,
                        port: i32::from(address.port),
                        error_code: 0,
                        // As Kafka has it, and not null.
                        error_message: Some(String::new()),
                    }
                }
                None => refused(key, ErrorCode::COORDINATOR_NOT_AVAILABLE, None),
            },
            _ => refused(key, ErrorCode::INVALID_REQUEST, Some("unknown kind of coordinator")),
        }))
    }
}

fn answer(
    request: &FindCoordinatorRequest,
    version: i16,
    find: impl Fn(&str) -> Coordinator,
) -> FindCoordinatorResponse {
    if version >= SEVERAL_KEYS_VERSION {
        return FindCoordinatorResponse {
            coordinators: request.coordinator_keys.iter().map(|key| find(key)).collect(),
            ..FindCoordinatorResponse::default()
        };
    }
    let found = find(&request.key);
    FindCoordinatorResponse {
        error_code: found.error_code,
        // Until then it was null.
        error_message: found.error_message.filter(|message| !message.is_empty()),
        node_id: found.node_id,
        host: found.host,
        port: found.port,
        ..FindCoordinatorResponse::default()
    }
}

fn refused(key: &str, code: ErrorCode, message: Option<&str>) -> Coordinator {
    Coordinator {
        key: key.to_owned(),
        node_id: -1,
        host: String::new(),
        port: -1,
        error_code: code.0,
        error_message: Some(message.unwrap_or_else(|| code.message()).to_owned()),
    }
}
