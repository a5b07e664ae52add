//! What a listener asks of its clients by SASL.

use std::str::FromStr;
use std::time::Duration;

use super::Tokens;

/// `connection.failed.authentication.delay.ms`: Kafka's default.
const FAILED_AUTHENTICATION_DELAY: Duration = Duration::from_millis(100);

/// A way to say who one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mechanism {
    /// Name and password as they are (RFC 4616).
    Plain,
    /// A proof of the password by SHA-256 (RFC 5802, RFC 7677).
    ScramSha256,
    /// A proof of the password by SHA-512.
    ScramSha512,
    /// A bearer token (RFC 7628).
    OAuthBearer,
}

impl Mechanism {
    const ALL: [Self; 4] = [Self::Plain, Self::ScramSha256, Self::ScramSha512, Self::OAuthBearer];

    /// Its registered name, as in `sasl.mechanism`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::OAuthBearer => "OAUTHBEARER",
        }
    }
}

impl std::fmt::Display for Mechanism {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is none of a mechanism of this broker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no SASL mechanism {0:?}: expected PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER"
)]
pub struct UnknownMechanism(String);

impl FromStr for Mechanism {
    type Err = UnknownMechanism;

    fn from_str(name: &str) -> Result<Self, UnknownMechanism> {
        let found = Self::ALL.into_iter().find(|mechanism| mechanism.name() == name);
        found.ok_or_else(|| UnknownMechanism(name.to_owned()))
    }
}

/// How clients of a listener say who they are. The users themselves are the cluster's.
///
/// # Examples
/// ```
/// use ottla_broker::{Cluster, Mechanism, Sasl};
///
/// let cluster = Cluster::builder()
///     .sasl(Sasl::new([Mechanism::Plain, Mechanism::ScramSha512]))
///     .user("alice", "alice-secret")
///     .start()?;
/// # Ok::<(), ottla_broker::StartError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing until a listener has it"]
pub struct Sasl {
    pub(crate) mechanisms: Vec<Mechanism>,
    pub(crate) tokens: Tokens,
    pub(crate) max_reauth: Option<Duration>,
    pub(crate) failed_authentication_delay: Duration,
}

impl Sasl {
    /// These mechanisms, in the order in which clients are told of them,
    /// `sasl.enabled.mechanisms`.
    pub fn new(mechanisms: impl IntoIterator<Item = Mechanism>) -> Self {
        Self {
            mechanisms: mechanisms.into_iter().collect(),
            tokens: Tokens::unsecured(),
            max_reauth: None,
            failed_authentication_delay: FAILED_AUTHENTICATION_DELAY,
        }
    }

    /// Which tokens are believed. Default: [`Tokens::unsecured`], as in Kafka.
    pub fn tokens(self, tokens: Tokens) -> Self {
        Self { tokens, ..self }
    }

    /// How long a client is believed before it has to say anew who it is,
    /// `connections.max.reauth.ms` (KIP-368). Default: for as long as it is connected.
    pub fn connections_max_reauth(self, lifetime: Duration) -> Self {
        Self { max_reauth: Some(lifetime), ..self }
    }

    /// How long the answer to a client that was not believed is held back,
    /// `connection.failed.authentication.delay.ms`. Default 100 ms.
    pub fn failed_authentication_delay(self, delay: Duration) -> Self {
        Self { failed_authentication_delay: delay, ..self }
    }

    /// The mechanism of this name, if clients may use it here.
    pub(crate) fn find(&self, name: &str) -> Option<Mechanism> {
        self.mechanisms.iter().copied().find(|mechanism| mechanism.name() == name)
    }
}
