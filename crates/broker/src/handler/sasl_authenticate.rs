//! SaslAuthenticate: key 36, versions 0-2.
//!
//! Behaviour: passes a message of the client to the mechanism that was agreed on. When the client
//! is not believed, the answer is SASL_AUTHENTICATION_FAILED, a moment later, and the connection
//! closes. Version notes: 1 how long the client is believed (KIP-368).

use bytes::Bytes;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::sasl_authenticate::{
    SaslAuthenticateRequest, SaslAuthenticateResponse,
};

use super::{Api, Reply};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::principal_of;
use crate::security::session::Authentication;
use crate::time::Now;

impl Api for SaslAuthenticateRequest {
    fn refuse(&self, _version: i16, code: ErrorCode) -> SaslAuthenticateResponse {
        failed(code, code.message().to_owned())
    }

    fn set_throttle(_response: &mut SaslAuthenticateResponse, _throttle_ms: i32) {}

    fn handle(self, nodes: &mut Nodes, call: &Call, now: Now) -> Reply<SaslAuthenticateResponse> {
        let Some(peer) = nodes.peers.get_mut(&call.connection) else {
            return Reply::Silent;
        };
        let Some(session) = &mut peer.session else {
            return Reply::Now(out_of_turn());
        };
        let after = session.sasl().failed_authentication_delay;
        let said = |message: Vec<u8>| {
            let rewrite = call.fault.as_ref().and_then(|fault| fault.rewrite.as_ref());
            Bytes::from(rewrite.map_or_else(|| message.clone(), |rewrite| rewrite.apply(&message)))
        };
        let told_ms = call.fault.as_ref().and_then(|fault| fault.session_lifetime_ms);
        match session.authenticate(&self.auth_bytes, &nodes.users, now) {
            Authentication::Challenge(bytes) => Reply::Now(SaslAuthenticateResponse {
                error_message: None,
                auth_bytes: said(bytes),
                ..SaslAuthenticateResponse::default()
            }),
            Authentication::Known { name, answer, lifetime_ms } => {
                peer.principal = principal_of(&name);
                tracing::debug!(
                    connection = call.connection, principal = %peer.principal, lifetime_ms,
                    "authenticated"
                );
                Reply::Now(SaslAuthenticateResponse {
                    error_message: None,
                    auth_bytes: said(answer),
                    session_lifetime_ms: told_ms.unwrap_or(lifetime_ms),
                    ..SaslAuthenticateResponse::default()
                })
            }
            Authentication::Failed(reason) => {
                let remote = peer.remote;
                tracing::info!(connection = call.connection, %remote, reason, "not authenticated");
                let response = failed(ErrorCode::SASL_AUTHENTICATION_FAILED, reason);
                Reply::Final { response, after }
            }
            Authentication::OutOfTurn => Reply::Now(out_of_turn()),
        }
    }
}

fn out_of_turn() -> SaslAuthenticateResponse {
    let reason = "SaslAuthenticate request received after successful authentication";
    failed(ErrorCode::ILLEGAL_SASL_STATE, reason.to_owned())
}

fn failed(code: ErrorCode, reason: String) -> SaslAuthenticateResponse {
    SaslAuthenticateResponse {
        error_code: code.0,
        error_message: Some(reason),
        auth_bytes: Bytes::new(),
        session_lifetime_ms: 0,
    }
}
