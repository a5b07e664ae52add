//! Where clients come in, and what they have to bring.

use crate::peers::Advertised;

use super::{Sasl, Tls};

/// How a listener is secured, `security.protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecurityProtocol {
    /// Neither encrypted nor authenticated.
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL without encryption.
    SaslPlaintext,
    /// SASL inside TLS.
    SaslSsl,
}

impl SecurityProtocol {
    /// Kafka's name for it, as in `security.protocol`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }
}

impl std::fmt::Display for SecurityProtocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// One more address to listen on, with a security of its own.
///
/// A client that comes in here is told this listener's address in Metadata, and not another's.
///
/// # Examples
/// ```
/// use ottla_broker::{Cluster, Listener, Mechanism, Sasl};
///
/// let cluster = Cluster::builder()
///     .listener(Listener::new("CLIENTS").sasl(Sasl::new([Mechanism::Plain])))
///     .user("alice", "alice-secret")
///     .start()?;
/// assert_ne!(cluster.servers_of("CLIENTS"), cluster.servers_of("PLAINTEXT"));
/// # Ok::<(), ottla_broker::StartError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a listener does nothing until a cluster has it"]
pub struct Listener {
    /// `None`: the name of its protocol, as Kafka does it.
    pub(crate) name: Option<String>,
    pub(crate) address: String,
    pub(crate) advertised: Option<Advertised>,
    pub(crate) tls: Option<Tls>,
    pub(crate) sasl: Option<Sasl>,
}

impl Listener {
    /// A listener on `127.0.0.1:0` without security.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..Self::main() }
    }

    /// The listener that every cluster has.
    pub(crate) fn main() -> Self {
        Self {
            name: None,
            address: "127.0.0.1:0".to_owned(),
            advertised: None,
            tls: None,
            sasl: None,
        }
    }

    /// The address to listen on, `host:port`. Port 0 lets the system choose. Default `127.0.0.1:0`.
    pub fn listen(self, address: impl Into<String>) -> Self {
        Self { address: address.into(), ..self }
    }

    /// The address that clients are told. Default: the one that they connected to.
    pub fn advertise(self, host: impl Into<String>, port: u16) -> Self {
        Self { advertised: Some(Advertised { host: host.into(), port }), ..self }
    }

    /// Everything on this listener goes through TLS.
    pub fn tls(self, tls: Tls) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// Clients on this listener must say who they are.
    pub fn sasl(self, sasl: Sasl) -> Self {
        Self { sasl: Some(sasl), ..self }
    }

    pub(crate) fn protocol(&self) -> SecurityProtocol {
        match (&self.tls, &self.sasl) {
            (None, None) => SecurityProtocol::Plaintext,
            (Some(_), None) => SecurityProtocol::Ssl,
            (None, Some(_)) => SecurityProtocol::SaslPlaintext,
            (Some(_), Some(_)) => SecurityProtocol::SaslSsl,
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_else(|| self.protocol().name())
    }
}
