//! InitProducerId: key 22, versions 0-5.
//!
//! Behaviour: an idempotent producer gets an id that nobody has had, with epoch 0, whatever id it
//! had before. Version notes: 3 the producer's present id and epoch (KIP-360), which only matter to
//! transactions. Left out: transactions; a transactional id is refused with
//! TRANSACTIONAL_ID_AUTHORIZATION_FAILED, which clients take as final.
//! Rights: IdempotentWrite on the cluster, or Write on some topic (KIP-679).

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

use super::{Api, Reply};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;

impl Api for InitProducerIdRequest {
    fn refuse(&self, _version: i16, code: ErrorCode) -> InitProducerIdResponse {
        InitProducerIdResponse {
            error_code: code.0,
            producer_id: -1,
            producer_epoch: -1,
            ..InitProducerIdResponse::default()
        }
    }

    fn set_throttle(response: &mut InitProducerIdResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(self, nodes: &mut Nodes, call: &Call, _now: Now) -> Reply<InitProducerIdResponse> {
        if let Some(transactional_id) = &self.transactional_id {
            let code = match transactional_id.as_str() {
                "" => ErrorCode::INVALID_REQUEST,
                _ => ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
            };
            return Reply::Now(self.refuse(call.version, code));
        }
        let may_write = nodes.allows(call, Operation::IdempotentWrite, On::Cluster)
            || nodes.rules.allows_some_topic(nodes.principal(call), Operation::Write);
        if !may_write {
            return Reply::Now(self.refuse(call.version, ErrorCode::CLUSTER_AUTHORIZATION_FAILED));
        }
        Reply::Now(match nodes.catalog.next_producer_id() {
            Ok(producer_id) => InitProducerIdResponse {
                producer_id,
                producer_epoch: 0,
                ..InitProducerIdResponse::default()
            },
            Err(error) => {
                tracing::error!(%error, "no producer id");
                // Retriable, unlike a storage error in this place.
                self.refuse(call.version, ErrorCode::COORDINATOR_NOT_AVAILABLE)
            }
        })
    }
}
