//! Who we are, by SASL: when a connection begins, and again before its session ends (KIP-368).

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use ottla_protocol::messages::sasl_authenticate::SaslAuthenticateRequest;
use ottla_protocol::messages::sasl_handshake::SaslHandshakeRequest;
use ottla_protocol::{ApiKey, DecodeError, decode_response, encode_request};
use zeroize::Zeroizing;

use super::Producer;
use crate::accumulator::Queues;
use crate::connection::{End, LinkState, Sent, SentRequest, Stage};
use crate::host::Host;
use crate::output::{AuthReply, Authenticate, ConnectionId, Event};
use crate::sasl::{HANDSHAKE_VERSION, check_answer, check_handshake};
use crate::time::Instant;

/// Why a frame ends its connection.
pub(super) struct Bad {
    pub(super) why: String,
    pub(super) end: End,
}

impl From<String> for Bad {
    fn from(why: String) -> Self {
        Self { why, end: End::Failed }
    }
}

impl Bad {
    fn refused(why: String) -> Self {
        Self { why, end: End::Refused }
    }
}

impl<H: Host> Producer<H> {
    /// The next authentication step to take.
    pub fn poll_authenticate(&mut self) -> Option<Authenticate> {
        self.authentications.pop_front()
    }

    /// An [`Authenticate`] was done.
    pub fn handle_authenticated<Q: Queues<H>>(
        &mut self,
        id: ConnectionId,
        reply: AuthReply,
        queues: &mut Q,
        now: Instant,
    ) {
        let Some(link) = self.links.get_mut(id) else { return };
        let stage = core::mem::take(&mut link.auth.stage);
        let result = match (stage, reply) {
            (Stage::Preparing { .. }, AuthReply::Respond(first)) => {
                self.shake_hands(id, first, now);
                Ok(())
            }
            (Stage::Challenged { .. }, AuthReply::Respond(message)) => {
                self.send_credentials(id, message, now)
            }
            (Stage::Challenged { lifetime, .. }, AuthReply::Complete) => {
                self.authenticated(id, lifetime, now);
                Ok(())
            }
            (Stage::Preparing { .. }, AuthReply::Failed(why)) if link.state == LinkState::Ready => {
                // The session lasts a while yet.
                link.auth.postpone(now);
                let server = link.server.clone();
                let why = format!("the session cannot be renewed: {why}");
                self.unreachable(&server, &why, End::Refused);
                Ok(())
            }
            (Stage::Preparing { .. } | Stage::Challenged { .. }, AuthReply::Failed(why)) => {
                Err(why)
            }
            (stage, _) => {
                // An answer to a question of a former authentication.
                link.auth.stage = stage;
                Ok(())
            }
        };
        if let Err(why) = result {
            self.disconnects.push_back(id);
            self.connection_gone(id, &why, End::Refused, queues, now);
        }
    }

    /// Begins an authentication: the first one of a connection, or one that renews its session.
    pub(super) fn begin_authentication(&mut self, id: ConnectionId, now: Instant) {
        let deadline = now + self.config.request_timeout;
        let Some(link) = self.links.get_mut(id) else { return };
        link.auth.prepare(deadline);
        let server = link.server.clone();
        self.authentications.push_back(Authenticate { connection: id, server, challenge: None });
    }

    /// Renews sessions that end soon. One that nothing was sent in is let go.
    pub(super) fn renew_sessions<Q: Queues<H>>(&mut self, queues: &mut Q, now: Instant) {
        while let Some((id, is_idle)) = self.links.session_to_renew(now) {
            if is_idle {
                self.disconnects.push_back(id);
                self.connection_gone(id, "its session was over", End::Quiet, queues, now);
            } else {
                self.begin_authentication(id, now);
            }
        }
    }

    fn shake_hands(&mut self, id: ConnectionId, first: Zeroizing<Vec<u8>>, now: Instant) {
        let deadline = now + self.config.request_timeout;
        let Some(link) = self.links.get_mut(id) else { return };
        // From here on nothing else may be sent until it is over. What is in flight is answered
        // before, as brokers answer in turn.
        link.state = LinkState::Authenticating;
        link.opened = now;
        link.auth.stage = Stage::Handshaking { first };
        let mechanism = self.config.security.sasl.mechanism.map_or("", |it| it.name()).to_string();
        let request = SaslHandshakeRequest { mechanism };
        let sent = (HANDSHAKE_VERSION, Sent::SaslHandshake);
        if let Ok(frame) = link.request(&request, sent, &self.config.client_id, (now, deadline)) {
            self.control_frame(id, frame);
        }
    }

    fn send_credentials(
        &mut self,
        id: ConnectionId,
        message: Zeroizing<Vec<u8>>,
        now: Instant,
    ) -> Result<(), String> {
        let deadline = now + self.config.request_timeout;
        let Some(link) = self.links.get_mut(id) else { return Ok(()) };
        let Some(version) = link.version(ApiKey::SASL_AUTHENTICATE, i16::MAX) else {
            return Err("the broker is too old for SaslAuthenticate (Kafka 1.0)".to_string());
        };
        link.auth.stage = Stage::Authenticating;
        let correlation_id = link.book(version, Sent::SaslAuthenticate, now, deadline);
        let client_id = &self.config.client_id;
        // It must not grow: what it leaves behind would not be wiped.
        let mut frame = Vec::with_capacity(message.len() + client_id.len() + 64);
        let request = SaslAuthenticateRequest { auth_bytes: Bytes::from_owner(message) };
        encode_request(&request, version, correlation_id, Some(client_id), &mut frame)
            .map_err(|error| error.to_string())?;
        self.secret_frame(id, frame);
        Ok(())
    }

    pub(super) fn handle_sasl_handshake(
        &mut self,
        id: ConnectionId,
        frame: Bytes,
        request: SentRequest,
        now: Instant,
    ) -> Result<(), Bad> {
        let (_, answer) =
            decode_response::<SaslHandshakeRequest>(frame, request.version).map_err(unreadable)?;
        let security = &self.config.security;
        check_handshake(&answer, security.sasl.mechanism, security.protocol)
            .map_err(Bad::refused)?;
        let Some(link) = self.links.get_mut(id) else { return Ok(()) };
        match core::mem::take(&mut link.auth.stage) {
            Stage::Handshaking { first } => {
                self.send_credentials(id, first, now).map_err(Bad::refused)
            }
            _ => Err("a SaslHandshake answer out of turn".to_string().into()),
        }
    }

    pub(super) fn handle_sasl_authenticate(
        &mut self,
        id: ConnectionId,
        frame: Bytes,
        request: SentRequest,
        now: Instant,
    ) -> Result<(), Bad> {
        let (_, answer) = decode_response::<SaslAuthenticateRequest>(frame, request.version)
            .map_err(unreadable)?;
        let mechanism = self.config.security.sasl.mechanism;
        let lifetime = check_answer(&answer, mechanism).map_err(Bad::refused)?;
        let deadline = now + self.config.request_timeout;
        let Some(link) = self.links.get_mut(id) else { return Ok(()) };
        if !matches!(link.auth.stage, Stage::Authenticating) {
            return Err("a SaslAuthenticate answer out of turn".to_string().into());
        }
        link.auth.stage = Stage::Challenged { deadline, lifetime };
        let (server, challenge) = (link.server.clone(), Some(answer.auth_bytes));
        self.authentications.push_back(Authenticate { connection: id, server, challenge });
        Ok(())
    }

    fn authenticated(&mut self, id: ConnectionId, lifetime: Duration, now: Instant) {
        let Some(link) = self.links.get_mut(id) else { return };
        let was_late = link.auth.complete(lifetime, &mut self.rng, now);
        if link.is_new {
            self.link_ready(id);
            return;
        }
        link.state = LinkState::Ready;
        if was_late {
            let server = link.server.clone();
            self.events.push_back(Event::ServerReachable { server });
        }
    }
}

fn unreadable(error: DecodeError) -> Bad {
    format!("an answer that cannot be read: {error}").into()
}
