//! Saying who we are on a connection that takes one request at a time (KIP-43, KIP-152).

use std::time::Duration;

use bytes::Bytes;
use ottla_core::config::SaslMechanism;
use ottla_core::output::AuthReply;
use ottla_core::sasl::{HANDSHAKE_VERSION, check_answer, check_handshake};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::sasl_authenticate::SaslAuthenticateRequest;
use ottla_protocol::messages::sasl_handshake::SaslHandshakeRequest;

use super::error::{RequestError, RequestErrorKind};
use super::link::Link;
use crate::security::Security;

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
        let mechanism = security.sasl().mechanism;
        // First what may take a while: brokers do not wait long for the rest.
        let mut login = security.login(&server).await.map_err(&failed)?;
        let request = SaslHandshakeRequest {
            mechanism: mechanism.map_or("", SaslMechanism::name).to_owned(),
        };
        let sent = self.send(&request, HANDSHAKE_VERSION).await?;
        let answer = self.receive(sent).await?;
        check_handshake(&answer, mechanism, security.protocol()).map_err(&failed)?;
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
            lifetime = check_answer(&answer, mechanism)
                .map_err(|why| failed(why).by(ErrorCode(answer.error_code)))?;
            challenge = answer.auth_bytes;
        }
        let lifetime = Some(lifetime).filter(|lifetime| !lifetime.is_zero());
        if let Some(lifetime) = lifetime {
            self.set_session(lifetime);
        }
        Ok(lifetime)
    }
}
