//! What a connection has said of itself by SASL, and until when it is believed.
//!
//! ```text
//!            SaslHandshake            SaslAuthenticate, once or more
//! Greeting ───────────────► Exchange ───────────────► Known ◄──┐
//!                               ▲                       │      │ the same user by
//!                               └───────────────────────┴──────┘ the same mechanism
//!                                 SaslHandshake, when what is known will expire
//! ```
//!
//! Whatever else comes, or fails, ends the connection. As in Kafka, one that never says it anew
//! is not closed when its time is over, but when the next request shows that it is still there.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::{ApiKey, VersionRange};

use super::sasl::{Mechanism, Sasl};
use super::scram::ScramHash;
use super::users::Users;
use super::{oauth, plain, scram};
use crate::time::Now;

/// Nobody may say anew who it is more often than this.
const MIN_REAUTHENTICATION_INTERVAL: Duration = Duration::from_secs(1);

/// What a mechanism makes of a message.
#[derive(Debug)]
pub(super) enum Step {
    /// More has to come, in answer to this.
    Challenge(Vec<u8>),
    /// The client is who it says, with a last message for it.
    Proven { name: String, answer: Vec<u8>, expires_unix_ms: Option<i64> },
    /// It is not, in these words.
    Refused(Cow<'static, str>),
    /// It is not, and the client is not told why: that could help somebody who guesses.
    Invalid(&'static str),
}

impl Step {
    pub(super) fn refused(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Refused(reason.into())
    }
}

/// Authentication of one connection.
#[derive(Debug)]
pub(crate) struct Session {
    sasl: Arc<Sasl>,
    stage: Stage,
    known: Option<Known>,
    /// When it was last begun to be said anew, on the monotonic clock.
    last_reauthentication: Option<Duration>,
}

#[derive(Debug)]
enum Stage {
    /// Nothing has come, or the versions have been asked for.
    Greeting { has_asked_versions: bool },
    /// A mechanism has been agreed on.
    Exchange { mechanism: Mechanism, exchange: Exchange },
    /// A mechanism was agreed on that is not the one from before.
    OtherMechanism(Mechanism),
    /// The client is known.
    Known,
}

#[derive(Debug)]
enum Exchange {
    Plain,
    Scram(scram::Exchange),
    OAuth(oauth::Exchange),
}

/// Who a client is.
#[derive(Debug)]
struct Known {
    name: String,
    mechanism: Mechanism,
    /// On the monotonic clock.
    expires: Option<Duration>,
}

/// What comes of a SaslHandshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handshake {
    Agreed,
    /// The listener does not have this mechanism.
    UnknownMechanism,
    /// This is not the time for it.
    OutOfTurn,
}

/// What comes of a SaslAuthenticate.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Authentication {
    /// More has to come.
    Challenge(Vec<u8>),
    /// The client is known by this name now, and for so long, 0 meaning for ever.
    Known { name: String, answer: Vec<u8>, lifetime_ms: i64 },
    /// It is not believed, in words that it may hear.
    Failed(String),
    /// This is not the time for it.
    OutOfTurn,
}

impl Session {
    pub(crate) fn new(sasl: Arc<Sasl>) -> Self {
        Self {
            sasl,
            stage: Stage::Greeting { has_asked_versions: false },
            known: None,
            last_reauthentication: None,
        }
    }

    pub(crate) fn sasl(&self) -> &Sasl {
        &self.sasl
    }

    /// Whether the client has ever been believed.
    pub(crate) fn is_known(&self) -> bool {
        self.known.is_some()
    }

    /// Says why a request may not come now.
    pub(crate) fn admit(
        &mut self,
        api: ApiKey,
        version: i16,
        versions_api: VersionRange,
        now: Now,
    ) -> Result<(), String> {
        match &mut self.stage {
            Stage::Greeting { has_asked_versions } => match api {
                ApiKey::SASL_HANDSHAKE => Ok(()),
                ApiKey::API_VERSIONS if !*has_asked_versions => {
                    // One whose version is not spoken may be asked again.
                    *has_asked_versions = versions_api.contains(version);
                    Ok(())
                }
                _ => Err(format!("{api} before SASL authentication")),
            },
            Stage::Exchange { .. } | Stage::OtherMechanism(_) => match api {
                ApiKey::SASL_AUTHENTICATE => Ok(()),
                _ => Err(format!("{api} in the middle of SASL authentication")),
            },
            Stage::Known => {
                let may_renew = api == ApiKey::SASL_HANDSHAKE && self.may_renew(now);
                match &self.known {
                    Some(Known { name, expires: Some(expires), .. })
                        if now.monotonic > *expires && !may_renew =>
                    {
                        Err(format!("{api} after the session of {name} was over"))
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    /// Whether the client may say anew who it is.
    fn may_renew(&self, now: Now) -> bool {
        let can_expire = self.known.as_ref().is_some_and(|known| known.expires.is_some());
        let is_soon = self
            .last_reauthentication
            .is_some_and(|last| now.monotonic.saturating_sub(last) < MIN_REAUTHENTICATION_INTERVAL);
        can_expire && !is_soon
    }

    /// Agrees on a mechanism.
    pub(crate) fn handshake(&mut self, name: &str, now: Now) -> Handshake {
        match self.stage {
            Stage::Greeting { .. } => {}
            Stage::Known if self.may_renew(now) => {
                self.last_reauthentication = Some(now.monotonic);
            }
            _ => return Handshake::OutOfTurn,
        }
        let Some(mechanism) = self.sasl.find(name) else {
            return Handshake::UnknownMechanism;
        };
        self.stage = match &self.known {
            Some(known) if known.mechanism != mechanism => Stage::OtherMechanism(mechanism),
            _ => Stage::Exchange { mechanism, exchange: Exchange::new(mechanism) },
        };
        Handshake::Agreed
    }

    /// Takes the next message of the mechanism.
    pub(crate) fn authenticate(
        &mut self,
        message: &[u8],
        users: &Users,
        now: Now,
    ) -> Authentication {
        let (mechanism, step) = match &mut self.stage {
            Stage::Exchange { mechanism, exchange } => {
                (*mechanism, exchange.step(message, users, &self.sasl, now))
            }
            Stage::OtherMechanism(other) => {
                let known = self.known.as_ref().map_or("", |known| known.mechanism.name());
                return Authentication::Failed(format!(
                    "SASL mechanism '{other}' requested by client is not supported for \
                     re-authentication of mechanism '{known}'"
                ));
            }
            Stage::Greeting { .. } | Stage::Known => return Authentication::OutOfTurn,
        };
        match step {
            Step::Challenge(bytes) => Authentication::Challenge(bytes),
            Step::Proven { name, answer, expires_unix_ms } => {
                self.believe(name, mechanism, answer, expires_unix_ms, now)
            }
            Step::Refused(reason) => Authentication::Failed(reason.into_owned()),
            Step::Invalid(reason) => {
                tracing::debug!(%mechanism, reason, "authentication failed");
                let what = match self.known {
                    Some(_) => "re-authentication",
                    None => "authentication",
                };
                Authentication::Failed(format!(
                    "Authentication failed during {what} due to invalid credentials with SASL \
                     mechanism {mechanism}"
                ))
            }
        }
    }

    fn believe(
        &mut self,
        name: String,
        mechanism: Mechanism,
        answer: Vec<u8>,
        expires_unix_ms: Option<i64>,
        now: Now,
    ) -> Authentication {
        if let Some(known) = self.known.as_ref().filter(|known| known.name != name) {
            return Authentication::Failed(format!(
                "Cannot change principals during re-authentication from User.{}: User.{name}",
                known.name
            ));
        }
        let by_credential = expires_unix_ms.map(|expires| {
            let left_ms = expires.saturating_sub(now.unix_ms);
            Duration::from_millis(u64::try_from(left_ms).unwrap_or_default())
        });
        let by_listener = self.sasl.max_reauth.filter(|lifetime| !lifetime.is_zero());
        let lifetime = [by_credential, by_listener].into_iter().flatten().min();
        let lifetime_ms =
            lifetime.map_or(0, |lifetime| i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX));
        let expires = lifetime.and_then(|lifetime| now.monotonic.checked_add(lifetime));
        self.known = Some(Known { name: name.clone(), mechanism, expires });
        self.stage = Stage::Known;
        Authentication::Known { name, answer, lifetime_ms }
    }
}

impl Exchange {
    fn new(mechanism: Mechanism) -> Self {
        match mechanism {
            Mechanism::Plain => Self::Plain,
            Mechanism::ScramSha256 => Self::Scram(scram::Exchange::new(ScramHash::Sha256)),
            Mechanism::ScramSha512 => Self::Scram(scram::Exchange::new(ScramHash::Sha512)),
            Mechanism::OAuthBearer => Self::OAuth(oauth::Exchange::default()),
        }
    }

    fn step(&mut self, message: &[u8], users: &Users, sasl: &Sasl, now: Now) -> Step {
        match self {
            Self::Plain => plain::step(message, users),
            Self::Scram(exchange) => exchange.step(message, users),
            Self::OAuth(exchange) => exchange.step(message, &sasl.tokens, now),
        }
    }
}
