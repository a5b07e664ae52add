//! Servers with TLS on this machine, and some without.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use ottla_core::config::TlsConfig;
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::client::TlsStream;

use super::super::certificate::Certificate;
use super::super::{Tls, TlsError, suites};
use super::pki::{Authority, Pair};

pub(super) const BOTH: &[&SupportedProtocolVersion] = &[&TLS12, &TLS13];
pub(super) const ONLY_1_2: &[&SupportedProtocolVersion] = &[&TLS12];
pub(super) const ONLY_1_3: &[&SupportedProtocolVersion] = &[&TLS13];

/// What a server saw of a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Visit {
    pub(super) sni: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) is_resumed: bool,
}

/// A server that sends back what it is sent.
pub(super) struct Server {
    address: SocketAddr,
    visits: mpsc::UnboundedReceiver<Visit>,
}

/// What servers are made of: which versions, and whose clients they want.
pub(super) fn config(
    pair: &Pair,
    versions: &[&'static SupportedProtocolVersion],
    clients: Option<&Authority>,
) -> ServerConfig {
    let provider = Arc::new(suites::provider(&TlsConfig::default()).expect("cryptography"));
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .expect("versions");
    let builder = match clients {
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der().clone()).expect("an authority");
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        }
        None => builder.with_no_client_auth(),
    };
    builder.with_single_cert(pair.chain.clone(), pair.key_der()).expect("a pair")
}

impl Server {
    pub(super) async fn start(config: ServerConfig) -> Self {
        let (listener, address) = listen().await;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (saw, visits) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(echo(acceptor.clone(), stream, saw.clone()));
            }
        });
        Self { address, visits }
    }

    /// Connects to it as if it were `host`.
    pub(super) async fn connect(
        &self,
        tls: &Tls,
        host: &str,
    ) -> Result<TlsStream<TcpStream>, TlsError> {
        let server = format!("{host}:{}", self.address.port());
        tls.connect(&server, dial(self.address).await).await
    }

    /// Connects, and has something sent back: then each side has heard all that the other says in
    /// a handshake.
    pub(super) async fn visit(&mut self, tls: &Tls, host: &str) -> Result<Visit, TlsError> {
        let mut stream = self.connect(tls, host).await?;
        let explained = |error: io::Error| tls.explain("the-server:9093", &error);
        ping(&mut stream).await.map_err(explained)?;
        Ok(self.visits.recv().await.expect("a visit"))
    }
}

pub(super) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("bound");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

pub(super) async fn dial(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.expect("connected")
}

/// Sends something and reads it back.
pub(super) async fn ping(stream: &mut TlsStream<TcpStream>) -> io::Result<()> {
    stream.write_all(b"ping").await?;
    stream.flush().await?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await?;
    assert_eq!(&answer, b"ping");
    Ok(())
}

async fn echo(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    saw: mpsc::UnboundedSender<Visit>,
) -> io::Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    let (_, session) = stream.get_ref();
    let subject = session.peer_certificates().and_then(|chain| Certificate::read(&chain[0]));
    let visit = Visit {
        sni: session.server_name().map(str::to_owned),
        subject: subject.map(|certificate| certificate.subject),
        is_resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
    };
    let _ = saw.send(visit);
    let mut buffer = [0; 1024];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return stream.shutdown().await,
            n => {
                stream.write_all(&buffer[..n]).await?;
                stream.flush().await?;
            }
        }
    }
}

/// Something that takes connections, reads the beginning of what comes, and sends these bytes
/// back before it hangs up.
pub(super) async fn answering(answer: &'static [u8]) -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut greeting = [0; 1024];
            let _ = stream.read(&mut greeting).await;
            let _ = stream.write_all(answer).await;
            let _ = stream.shutdown().await;
            // Closing with bytes unread would reset the connection.
            while stream.read(&mut greeting).await.is_ok_and(|n| n > 0) {}
        }
    });
    address
}
