//! Who may speak on a connection: nodes that ask for SASL, with sessions that end (KIP-368).

use std::time::Duration;

use bytes::Bytes;
use ottla_core::output::{AuthReply, Authenticate, ConnectionId};
use ottla_core::time::Instant;
use ottla_protocol::messages::sasl_authenticate::{
    SaslAuthenticateRequest, SaslAuthenticateResponse,
};
use ottla_protocol::messages::sasl_handshake::SaslHandshakeResponse;
use ottla_protocol::{ApiKey, ErrorCode, Message, Reader, RequestHeader};

use crate::rng::Chance;
use crate::seen::Seen;
use crate::world::{Event, World};

/// How nodes let clients in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sasl {
    /// How long a session lasts; for ever at zero.
    pub(crate) session_ms: u64,
    /// Permille of authentications that nodes refuse.
    pub(crate) refuse: u32,
    /// Permille of first messages that do not come about.
    pub(crate) host_fails: u32,
    /// The longest time that a message takes to be made.
    pub(crate) host_ms: u64,
}

impl Sasl {
    /// A quarter of all runs has it.
    pub(crate) fn new(seed: u64, has_faults: bool) -> Option<Self> {
        let mut chance = Chance::stream(seed, "sasl");
        chance.permille(250).then(|| Self {
            session_ms: chance.pick(&[0, 1_100, 1_500, 4_000, 15_000]),
            refuse: if has_faults { chance.pick(&[0, 50, 400]) } else { 0 },
            host_fails: if has_faults { chance.pick(&[0, 50]) } else { 0 },
            host_ms: chance.pick(&[0, 20, 90]),
        })
    }

    pub(crate) const SETTINGS: [(&'static str, &'static str); 4] = [
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "u"),
        ("sasl.password", "p"),
    ];
}

/// What a node knows of who is on a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Session {
    /// Between SaslHandshake and the end of the authentication.
    is_settling: bool,
    /// Until when it is somebody.
    until: Option<Instant>,
}

impl World {
    /// The host begins to make a message.
    pub(crate) fn authenticate(&mut self, step: Authenticate) {
        let Some(sasl) = self.plan.sasl else { return };
        let after = self.logins.millis(0, sasl.host_ms);
        self.at(after, Event::Authenticated(step));
    }

    /// The host has made it.
    pub(crate) fn authenticated(&mut self, step: &Authenticate) {
        let fails = self.plan.sasl.map_or(0, |sasl| sasl.host_fails);
        let reply = match &step.challenge {
            None if !self.calm && self.logins.permille(fails) => {
                self.see(Seen::CredentialsMissing);
                AuthReply::Failed("the host has no credentials".to_owned())
            }
            None => AuthReply::Respond(b"first".to_vec().into()),
            Some(challenge) if challenge == "go on" => {
                AuthReply::Respond(b"second".to_vec().into())
            }
            Some(_) => AuthReply::Complete,
        };
        let (id, now) = (step.connection, self.now);
        self.producer.handle_authenticated(id, reply, &mut self.queues, now);
    }

    /// Whether the node takes this request; it hangs up on who is nobody.
    pub(crate) fn may_speak(&mut self, id: ConnectionId, api: ApiKey) -> Result<bool, String> {
        let about_it = [ApiKey::API_VERSIONS, ApiKey::SASL_HANDSHAKE, ApiKey::SASL_AUTHENTICATE];
        if self.plan.sasl.is_none() || about_it.contains(&api) {
            return Ok(true);
        }
        let Some(connection) = self.connections.get(&id) else { return Ok(true) };
        let session = connection.session;
        if session.is_settling {
            return Err(format!("a request came during authentication: {api} (KIP-368)"));
        }
        let Some(until) = session.until else {
            return Err(format!("a request came before authentication: {api} (KIP-43)"));
        };
        if until <= self.now {
            self.see(Seen::SessionExpired);
            self.close(id, Duration::from_millis(1));
            return Ok(false);
        }
        Ok(true)
    }

    pub(crate) fn shake_hands(&mut self, id: ConnectionId, header: &RequestHeader) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.session.is_settling = true;
        }
        let body = SaslHandshakeResponse { error_code: 0, mechanisms: vec!["PLAIN".to_owned()] };
        self.reply(id, header, &body);
    }

    pub(crate) fn judge_credentials(
        &mut self,
        id: ConnectionId,
        header: &RequestHeader,
        reader: &mut Reader<'_>,
    ) -> Result<(), String> {
        let request = SaslAuthenticateRequest::decode(reader, header.api_version)
            .map_err(|why| format!("SaslAuthenticate: {why}"))?;
        let sasl = self.plan.sasl.ok_or("SaslAuthenticate where nobody asks for it")?;
        let mut body = SaslAuthenticateResponse::default();
        let now = self.now;
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        if !connection.session.is_settling {
            return Err("SaslAuthenticate without SaslHandshake (KIP-43)".to_owned());
        }
        if request.auth_bytes != "second" {
            body.auth_bytes = Bytes::from_static(b"go on");
        } else if !self.calm && self.logins.permille(sasl.refuse) {
            self.see(Seen::LoginRefused);
            body.error_code = ErrorCode::SASL_AUTHENTICATION_FAILED.0;
        } else {
            let again = connection.session.until.is_some();
            let life = if sasl.session_ms > 0 { sasl.session_ms } else { 1 << 40 };
            connection.session =
                Session { is_settling: false, until: Some(now + Duration::from_millis(life)) };
            body.session_lifetime_ms = sasl.session_ms as i64;
            self.see(if again { Seen::SessionRenewed } else { Seen::LoggedIn });
        }
        self.reply(id, header, &body);
        Ok(())
    }
}
