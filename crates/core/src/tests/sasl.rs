//! The brokers' side of SASL, and the host's: who may speak, and for how long.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bytes::Bytes;
use ottla_protocol::messages::sasl_authenticate::{
    SaslAuthenticateRequest, SaslAuthenticateResponse,
};
use ottla_protocol::messages::sasl_handshake::SaslHandshakeResponse;
use ottla_protocol::{ApiKey, ErrorCode, Message, Reader, RequestHeader};
use zeroize::Zeroizing;

use super::pair::Pair;
use crate::output::{AuthReply, Authenticate, ConnectionId};
use crate::time::Instant;

/// How the cluster authenticates.
#[derive(Default)]
pub(super) struct Sasl {
    /// The life of a session; 0 is for ever.
    pub(super) lifetime_ms: i64,
    /// What SaslHandshake says.
    pub(super) handshake_error: ErrorCode,
    /// What SaslAuthenticate says.
    pub(super) error: ErrorCode,
    /// What the host says instead of a first message.
    pub(super) host_error: Option<String>,
    /// The host does not answer.
    pub(super) host_waits: bool,
    /// Steps that wait for the host.
    pub(super) waiting: Vec<Authenticate>,
    /// How often somebody was let in.
    pub(super) admitted: usize,
    /// Connections between SaslHandshake and their admission: nothing else may come on them.
    settling: BTreeSet<ConnectionId>,
    /// Until when connections may be used.
    sessions: BTreeMap<ConnectionId, Instant>,
}

pub(super) const SASL: [(&str, &str); 4] = [
    ("security.protocol", "SASL_PLAINTEXT"),
    ("sasl.mechanism", "PLAIN"),
    ("sasl.username", "u"),
    ("sasl.password", "p"),
];

impl Pair {
    /// Does the host's part of an authentication.
    pub(super) fn authenticate(&mut self, step: Authenticate) {
        if self.sasl.host_waits {
            self.sasl.waiting.push(step);
            return;
        }
        let reply = match (&step.challenge, &self.sasl.host_error) {
            (None, Some(why)) => AuthReply::Failed(why.clone()),
            (None, None) => AuthReply::Respond(Zeroizing::new(b"first".to_vec())),
            (Some(challenge), _) if challenge == "go on" => {
                AuthReply::Respond(Zeroizing::new(b"second".to_vec()))
            }
            (Some(_), _) => AuthReply::Complete,
        };
        self.producer.handle_authenticated(step.connection, reply, &mut self.queues, self.now);
    }

    /// A broker takes nothing else on a connection that is being settled, and nothing on one
    /// whose session is over.
    pub(super) fn may_speak(&self, connection: ConnectionId, api: ApiKey) -> bool {
        let about_it = [ApiKey::API_VERSIONS, ApiKey::SASL_HANDSHAKE, ApiKey::SASL_AUTHENTICATE];
        if about_it.contains(&api) {
            return true;
        }
        assert!(!self.sasl.settling.contains(&connection), "{api} during authentication");
        self.sasl.sessions.get(&connection).is_none_or(|end| *end > self.now)
    }

    pub(super) fn receive_sasl(
        &mut self,
        connection: ConnectionId,
        header: &RequestHeader,
        reader: &mut Reader<'_>,
    ) {
        if header.api_key == ApiKey::SASL_HANDSHAKE {
            self.sasl.settling.insert(connection);
            let body = SaslHandshakeResponse {
                error_code: self.sasl.handshake_error.0,
                mechanisms: ["SCRAM-SHA-512".to_string(), "EVIL\n\u{7}".to_string()].to_vec(),
            };
            self.reply(connection, header, &body);
            return;
        }
        let request = SaslAuthenticateRequest::decode(reader, header.api_version).unwrap();
        let is_last = request.auth_bytes == "second";
        let mut body =
            SaslAuthenticateResponse { error_code: self.sasl.error.0, ..Default::default() };
        if !self.sasl.error.is_ok() {
            body.error_message = Some("Invalid credentials\n\u{1b}[31m".to_string());
        } else if is_last {
            self.sasl.admitted += 1;
            self.sasl.settling.remove(&connection);
            body.session_lifetime_ms = self.sasl.lifetime_ms;
            if self.sasl.lifetime_ms > 0 {
                let end =
                    self.now + core::time::Duration::from_millis(self.sasl.lifetime_ms as u64);
                self.sasl.sessions.insert(connection, end);
            }
        } else {
            body.auth_bytes = Bytes::from_static(b"go on");
        }
        self.reply(connection, header, &body);
    }
}
