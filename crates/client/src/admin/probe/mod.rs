//! Looking at one server the way a connection is made to it, step by step.

#[cfg(test)]
mod tests;
mod versions;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

pub use versions::BrokerVersions;

use super::RequestError;
use crate::security::{Security, Stream};
#[cfg(feature = "tls")]
use crate::tls::TlsSession;
use crate::wire::{Link, seconds};

/// A step on the way to a connection that can be used, in the order in which they are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ProbeStep {
    /// Finding the addresses of the server's name.
    Resolve,
    /// Connecting to them by TCP.
    Connect,
    /// The handshake of TLS, where the settings ask for it.
    Tls,
    /// Asking which requests the broker understands (KIP-35).
    Versions,
    /// Saying who we are, where the settings ask for it (KIP-43, KIP-152).
    Sasl,
}

/// What was seen at a server. What comes after the step that failed is empty.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerReport {
    /// The server as it was named: `host:port`.
    pub server: String,
    /// How long it took to find its addresses.
    pub resolved_in: Duration,
    /// Its addresses as the system orders them, and what came of connecting to each.
    pub addresses: Vec<AddressReport>,
    /// What TLS agreed on and the certificates that the server showed.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsSession>,
    /// What the broker understands.
    pub versions: Option<BrokerVersions>,
    /// Who we are to the broker; `None` without SASL too.
    pub session: Option<SessionReport>,
    /// The step that failed, and why. The error's kind says what sort of failure it is.
    pub failure: Option<(ProbeStep, RequestError)>,
}

/// What came of connecting to one address.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AddressReport {
    /// The address.
    pub address: SocketAddr,
    /// How long it took until it answered, or until that was given up.
    pub time: Duration,
    /// Why there is no connection to it.
    pub error: Option<String>,
}

/// A session that SASL has opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionReport {
    /// How the client proved who it is, by its name on the wire.
    pub mechanism: &'static str,
    /// After which time the broker wants another proof (KIP-368); `None` for never.
    pub lifetime: Option<Duration>,
}

/// Connects to `server`, which is `host:port`, and tells what each step came to. All addresses of
/// the name are connected to; the first that answers is gone on with. It needs a tokio runtime with
/// I/O and time.
///
/// Each step takes `timeout` at most. A name whose resolution is given up may keep one of the
/// runtime's blocking threads for as long as the system looks for it.
///
/// ```no_run
/// use std::time::Duration;
/// use ottla::Security;
/// use ottla::admin::probe;
///
/// # async fn run() {
/// let report = probe("localhost:9092", &Security::default(), Duration::from_secs(5)).await;
/// match report.failure {
///     None => println!("{} is a Kafka broker", report.server),
///     Some((step, error)) => println!("{step:?}: {error}"),
/// }
/// # }
/// ```
pub async fn probe(server: &str, security: &Security, timeout: Duration) -> ServerReport {
    let mut report = ServerReport {
        server: server.to_owned(),
        resolved_in: Duration::ZERO,
        addresses: Vec::new(),
        #[cfg(feature = "tls")]
        tls: None,
        versions: None,
        session: None,
        failure: None,
    };
    if let Err(failure) = report.look(security, timeout).await {
        report.failure = Some(failure);
    }
    report
}

impl ServerReport {
    /// Takes the steps in turn and notes what they come to.
    async fn look(
        &mut self,
        security: &Security,
        limit: Duration,
    ) -> Result<(), (ProbeStep, RequestError)> {
        let server = self.server.clone();
        let addresses = self.resolve(limit).await.map_err(|error| (ProbeStep::Resolve, error))?;
        let stream = self.connect(addresses, limit).await;
        let stream = stream.map_err(|error| (ProbeStep::Connect, error))?;
        let stream: Stream = security
            .secure(&server, stream, limit)
            .await
            .map_err(|error| (ProbeStep::Tls, error.into()))?;
        #[cfg(feature = "tls")]
        {
            self.tls = stream.tls_session();
        }
        let mut link = Link::over(&server, stream, security);
        let answer = link.negotiate(limit).await.map_err(|error| {
            // With TLS 1.3 a server refuses our certificate only now.
            let is_refusal = error.kind() == super::RequestErrorKind::Authentication;
            (if is_refusal { ProbeStep::Tls } else { ProbeStep::Versions }, error)
        })?;
        self.versions = Some(BrokerVersions::of(&answer));
        link.set_timeout(limit);
        let session = timeout(limit, link.log_in()).await.unwrap_or_else(|_| {
            let spent = seconds(limit);
            Err(RequestError::unreachable(format!("{server}: no end within {spent}")))
        });
        let lifetime = session.map_err(|error| (ProbeStep::Sasl, error))?;
        self.session = security
            .sasl()
            .mechanism
            .filter(|_| security.uses_sasl())
            .map(|mechanism| SessionReport { mechanism: mechanism.name(), lifetime });
        Ok(())
    }

    async fn resolve(&mut self, limit: Duration) -> Result<Vec<SocketAddr>, RequestError> {
        let start = Instant::now();
        let resolved = timeout(limit, tokio::net::lookup_host(self.server.as_str())).await;
        self.resolved_in = start.elapsed();
        let cannot = |why: String| {
            RequestError::unreachable(format!("cannot resolve {}: {why}", self.server))
        };
        let mut addresses: Vec<SocketAddr> = match resolved {
            Ok(Ok(addresses)) => addresses.collect(),
            Ok(Err(error)) => return Err(cannot(error.to_string())),
            Err(_) => return Err(cannot(format!("no answer within {}", seconds(limit)))),
        };
        let mut seen = std::collections::HashSet::new();
        addresses.retain(|address| seen.insert(*address));
        if addresses.is_empty() {
            return Err(cannot("the name has no address".to_owned()));
        }
        Ok(addresses)
    }

    /// Connects to all addresses at once; gives the connection to the first one that has one.
    async fn connect(
        &mut self,
        addresses: Vec<SocketAddr>,
        limit: Duration,
    ) -> Result<TcpStream, RequestError> {
        let mut attempts = JoinSet::new();
        for (place, address) in addresses.iter().copied().enumerate() {
            attempts.spawn(async move {
                let start = Instant::now();
                let connected = match timeout(limit, TcpStream::connect(address)).await {
                    Ok(connected) => connected.map_err(|error| error.to_string()),
                    Err(_) => Err(format!("no answer within {}", seconds(limit))),
                };
                (place, start.elapsed(), connected)
            });
        }
        let mut done = Vec::new();
        while let Some(attempt) = attempts.join_next().await {
            // An attempt that was cut short is missing, as if the address were not there.
            done.extend(attempt);
        }
        done.sort_by_key(|(place, ..)| *place);
        let mut first = None;
        for (place, time, connected) in done {
            let error = match connected {
                Ok(stream) => {
                    let _ = stream.set_nodelay(true);
                    first.get_or_insert(stream);
                    None
                }
                Err(why) => Some(why),
            };
            self.addresses.push(AddressReport { address: addresses[place], time, error });
        }
        first.ok_or_else(|| {
            let why = self
                .addresses
                .iter()
                .filter_map(|seen| Some(format!("{}: {}", seen.address, seen.error.as_deref()?)));
            let why = why.collect::<Vec<_>>().join("; ");
            RequestError::unreachable(format!("cannot connect to {}: {why}", self.server))
        })
    }
}
