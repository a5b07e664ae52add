//! SaslHandshake: key 17, versions 0-1.
//!
//! Behaviour: agrees on a mechanism of the listener. Another one is refused with those that there
//! are, and the connection closes. Out of turn, or where nobody asks for SASL, the answer is
//! ILLEGAL_SASL_STATE. Version notes: 1 tokens travel in SaslAuthenticate (KIP-152).
//! Left out: version 0, whose tokens are no requests. It is advertised, because librdkafka takes a
//! broker for one without SASL otherwise, and refused.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::sasl_handshake::{SaslHandshakeRequest, SaslHandshakeResponse};

use super::{Api, Reply};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::session::Handshake;
use crate::time::Now;

const TOKENS_IN_REQUESTS_VERSION: i16 = 1;

impl Api for SaslHandshakeRequest {
    fn refuse(&self, _version: i16, code: ErrorCode) -> SaslHandshakeResponse {
        SaslHandshakeResponse { error_code: code.0, ..SaslHandshakeResponse::default() }
    }

    fn set_throttle(_response: &mut SaslHandshakeResponse, _throttle_ms: i32) {}

    fn handle(self, nodes: &mut Nodes, call: &Call, now: Now) -> Reply<SaslHandshakeResponse> {
        let session = nodes.peers.get_mut(&call.connection).and_then(|peer| peer.session.as_mut());
        let Some(session) = session else {
            return Reply::Now(self.refuse(call.version, ErrorCode::ILLEGAL_SASL_STATE));
        };
        let names = session.sasl().mechanisms.iter().map(|mechanism| mechanism.name().to_owned());
        let answer = |code: ErrorCode, mechanisms: Vec<String>| SaslHandshakeResponse {
            error_code: code.0,
            mechanisms,
        };
        let (names, after) = (names.collect(), session.sasl().failed_authentication_delay);
        if call.version < TOKENS_IN_REQUESTS_VERSION {
            let response = answer(ErrorCode::UNSUPPORTED_VERSION, names);
            return Reply::Final { response, after };
        }
        match session.handshake(&self.mechanism, now) {
            Handshake::Agreed => Reply::Now(answer(ErrorCode::NONE, names)),
            Handshake::UnknownMechanism => {
                let response = answer(ErrorCode::UNSUPPORTED_SASL_MECHANISM, names);
                Reply::Final { response, after }
            }
            Handshake::OutOfTurn => {
                Reply::Now(self.refuse(call.version, ErrorCode::ILLEGAL_SASL_STATE))
            }
        }
    }
}
