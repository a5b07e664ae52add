//! Saying who we are on a connection that takes one request at a time (KIP-43, KIP-152).

use std::time::Duration;

use bytes::Bytes;
use ottla_core::output::AuthReply;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::sasl_authenticate::SaslAuthenticateRequest;
use ottla_protocol::messages::sasl_handshake::{SaslHandshakeRequest, SaslHandshakeResponse};

use super::error::{RequestError, RequestErrorKind};
use super::link::Link;
use crate::security::Security;

/// The SaslHandshake that has SaslAuthenticate follow it, and not bare tokens.
const HANDSHAKE_VERSION: i16 = 1;
/// Mechanisms that are named in an error.
const OFFERED_MAX: usize = 16;

impl Link {
    /// Goes through the mechanism that is configured. Gives the session's lifetime, if it has one.
    ///
    /// # Errors
    /// When one side does not accept the other.
    pub(super) async fn authenticate(
        &mut self,
        security: &Security,
    ) -> Result<Option<Duration>, RequestError> {
        let server = self.server().to_owned();
        let failed = |why: String| {
            RequestError::new(RequestErrorKind::Authentication, format!("{server}: {why}"))
        };
        let mechanism = security.sasl().mechanism.map_or("", |it| it.name()).to_owned();
        // First what may take a while: brokers do not wait long for the rest.
        let mut login = security.login(&server).await.map_err(&failed)?;
        let request = SaslHandshakeRequest { mechanism: mechanism.clone() };
        let sent = self.send(&request, HANDSHAKE_VERSION).await?;
        let answer = self.receive(sent).await?;
        check(&answer, &mechanism, security).map_err(&failed)?;
        let mut challenge = Bytes::new();
        let mut lifetime = Duration::ZERO;
        loop {
            let message = match login.step(&challenge).await {
                AuthReply::Respond(message) => message,
                AuthReply::Complete => break,
                AuthReply::Failed(why) => return Err(failed(why)),
            };
            let request = SaslAuthenticateRequest { auth_bytes: Bytes::from_owner(message) };
            let answer = self.call(&request).await?;
            if let Err(code) = ErrorCode(answer.error_code).ok() {
                let what = format!(
                    "{server}: authentication by {mechanism} failed; {}",
                    security.sasl().mechanism.map_or("", |it| it.cure())
                );
                let words = answer.error_message.as_deref().map(one_line);
                return Err(RequestError::refused(&what, code, words.as_deref()));
            }
            lifetime = Duration::from_millis(answer.session_lifetime_ms.try_into().unwrap_or(0));
            challenge = answer.auth_bytes;
        }
        let lifetime = Some(lifetime).filter(|lifetime| !lifetime.is_zero());
        if let Some(lifetime) = lifetime {
            self.set_session(lifetime);
        }
        Ok(lifetime)
    }
}

fn check(
    answer: &SaslHandshakeResponse,
    mechanism: &str,
    security: &Security,
) -> Result<(), String> {
    match ErrorCode(answer.error_code) {
        ErrorCode::NONE => Ok(()),
        ErrorCode::UNSUPPORTED_SASL_MECHANISM => {
            let offered = answer.mechanisms.iter().take(OFFERED_MAX);
            let offered: Vec<String> = offered.map(|name| one_line(name)).collect();
            Err(format!(
                "the broker does not offer sasl.mechanism={mechanism} on this listener, but {}",
                if offered.is_empty() { "none at all".to_owned() } else { offered.join(", ") },
            ))
        }
        ErrorCode::ILLEGAL_SASL_STATE => Err(format!(
            "this listener does not ask for SASL: set security.protocol={}, or use the port of a \
             listener that does",
            if security.protocol().uses_tls() { "SSL" } else { "PLAINTEXT" },
        )),
        code => Err(format!("SaslHandshake: {} [{}]", code.message(), code.name())),
    }
}

/// Somebody else's words, fit to be shown.
fn one_line(words: &str) -> String {
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    words.trim().chars().take(500).map(shown).collect()
}
