//! TLS with brokers. `Tls` is made from the settings and opens it on fresh connections; everything
//! else here is one concern of that each.

mod alert;
mod certificate;
mod error;
mod files;
mod identity;
mod key;
mod name;
mod pem;
mod reload;
mod roots;
#[cfg(feature = "oidc")]
mod signing;
mod store;
mod suites;
#[cfg(test)]
mod tests;
mod untrusted;
mod verify;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use ottla_core::config::{ConfigError, TlsConfig};
use parking_lot::Mutex;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::{Connect, TlsStream};

pub use certificate::{Certificate, TlsSession};
use error::Scene;
pub(crate) use error::{TlsError, TlsErrorKind};
use reload::{Current, Fixed, Seen};
#[cfg(feature = "oidc")]
pub(crate) use signing::signing_key;

/// How long a connection waits for its files to be read. Then it is made with what is in use: a
/// file server that hangs must not keep a producer from its brokers.
const READING_MAX: Duration = Duration::from_secs(5);

/// TLS as the settings want it, for all connections of a producer.
#[derive(Clone)]
pub(crate) struct Tls(Arc<Inner>);

struct Inner {
    fixed: Fixed,
    current: Mutex<Arc<Current>>,
    /// Kept while the files are read, so that one thread reads at a time.
    seen: Arc<tokio::sync::Mutex<Seen>>,
    has_files: bool,
}

impl Tls {
    /// Reads everything that the settings name.
    ///
    /// # Errors
    /// Something is missing, damaged or contradicts something else. The error names the setting,
    /// the file and what to do.
    pub(crate) fn new(config: &TlsConfig) -> Result<Self, ConfigError> {
        let fixed = Fixed::new(config)?;
        let (current, seen) = fixed.first()?;
        if !config.verify_certificate {
            tracing::warn!(
                "enable.ssl.certificate.verification=false: whoever is on the way to the brokers \
                 can read and change everything"
            );
        } else if !config.verify_host_name {
            tracing::warn!(
                "ssl.endpoint.identification.algorithm is off: whoever has any certificate of a \
                 trusted authority can pose as a broker"
            );
        }
        current.warn_of_its_end(SystemTime::now());
        Ok(Self(Arc::new(Inner {
            fixed,
            current: Mutex::new(Arc::new(current)),
            has_files: seen.has_files(),
            seen: Arc::new(tokio::sync::Mutex::new(seen)),
        })))
    }

    /// Opens TLS on a fresh connection to `server`, which is `host:port` or `[v6]:port`. It has no
    /// deadline of its own.
    ///
    /// What is written to the stream may stay in it until it is flushed.
    ///
    /// # Errors
    /// The server is not believed, does not take us, or does not speak TLS.
    pub(crate) async fn connect(
        &self,
        server: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, TlsError> {
        let name = name::server_name(server).map_err(|why| {
            TlsError::new(TlsErrorKind::Name, format!("cannot use TLS with {server}: {why}"))
        })?;
        let current = self.refreshed().await;
        current.warn_of_its_end(SystemTime::now());
        let mut handshake = Handshake::new(&current, name, stream);
        let result = std::future::poll_fn(|context| handshake.poll(context)).await;
        result.map_err(|error| self.scene(server, &current, Some(&handshake)).explain(&error))
    }

    /// What an error means that came while reading from a connection or writing to it. With TLS 1.3
    /// a server refuses our certificate only after the handshake.
    pub(crate) fn explain(&self, server: &str, error: &io::Error) -> TlsError {
        let current = self.0.current.lock().clone();
        self.scene(server, &current, None).explain(error)
    }

    /// What was agreed on, and whose certificates the server showed.
    pub(crate) fn describe(stream: &TlsStream<TcpStream>) -> TlsSession {
        TlsSession::of(stream)
    }

    /// What our own certificate says, if we have one.
    pub(crate) fn own(&self) -> Option<Certificate> {
        self.0.current.lock().own.clone()
    }

    fn scene<'a>(
        &'a self,
        server: &'a str,
        current: &'a Current,
        handshake: Option<&'a Handshake>,
    ) -> Scene<'a> {
        Scene {
            server,
            first: handshake.map_or(&[], Handshake::first),
            refused: handshake.map_or(&[], |handshake| &handshake.refused),
            is_handshaking: handshake.is_some(),
            versions: &self.0.fixed.config.versions,
            current,
        }
    }

    /// What is to be used, after a look at the files.
    async fn refreshed(&self) -> Arc<Current> {
        if self.0.has_files {
            let reading = tokio::time::timeout(READING_MAX, self.read_again()).await;
            if reading.is_err() {
                tracing::warn!(
                    "reading keys and certificates takes long; those from before are used"
                );
            }
        }
        self.0.current.lock().clone()
    }

    /// Reads the files, on a thread that may block. It goes on when nobody waits for it any more.
    async fn read_again(&self) {
        let mut seen = self.0.seen.clone().lock_owned().await;
        let inner = self.0.clone();
        let reading = tokio::task::spawn_blocking(move || {
            if let Some(changed) = inner.fixed.again(&mut seen) {
                *inner.current.lock() = Arc::new(changed);
            }
        });
        if reading.await.is_err() {
            tracing::error!("reading keys and certificates panicked; those from before are used");
        }
    }
}

/// A handshake under way, and the first bytes of the server's answer: they tell what it speaks if
/// it is not TLS.
struct Handshake {
    connecting: Connect<TcpStream>,
    first: [u8; 8],
    seen: usize,
    /// The certificates that were not believed.
    refused: Vec<CertificateDer<'static>>,
}

impl Handshake {
    fn new(current: &Current, name: ServerName<'static>, stream: TcpStream) -> Self {
        let connector = TlsConnector::from(current.tls.clone());
        let connecting = connector.connect(name, stream);
        Self { connecting, first: [0; 8], seen: 0, refused: Vec::new() }
    }

    fn first(&self) -> &[u8] {
        &self.first[..self.seen]
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<TlsStream<TcpStream>>> {
        if self.seen == 0
            && let Some(stream) = self.connecting.get_ref()
        {
            let mut peeked = ReadBuf::new(&mut self.first);
            if let Poll::Ready(Ok(seen)) = stream.poll_peek(context, &mut peeked) {
                self.seen = seen;
            }
        }
        // What was refused before on this thread is not of this connection.
        drop(verify::take_refused());
        let polled = Pin::new(&mut self.connecting).poll(context);
        // The error may come some polls later, when the server has been told.
        if let Some(refused) = verify::take_refused() {
            self.refused = refused;
        }
        polled
    }
}
