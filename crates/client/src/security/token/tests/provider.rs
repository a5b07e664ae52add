//! An identity provider in a test: a server with TLS that answers by a script and notes what it is
//! asked.

use std::collections::VecDeque;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use parking_lot::Mutex;

/// What is done with a request.
#[derive(Clone)]
pub(super) enum Answer {
    /// Status and headers, then the body.
    Says(&'static str, String),
    /// These bytes, and the end of the connection.
    Bytes(Vec<u8>),
    /// These bytes, and a connection that breaks without the end that TLS has.
    Cut(Vec<u8>),
    /// Nothing, for ever.
    Silent,
}

pub(super) fn json(body: &str) -> Answer {
    Answer::Says("200 OK", body.to_owned())
}

/// A server, until it is dropped.
pub(super) struct Provider {
    pub(super) port: u16,
    /// Who vouches for it, as PEM.
    pub(super) authority: String,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Provider {
    /// One for `localhost`. The last answer is that to all further requests.
    pub(super) async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self::start_as("localhost", answers).await
    }

    pub(super) async fn start_as(name: &str, answers: impl IntoIterator<Item = Answer>) -> Self {
        let (config, authority) = certified(name);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(Mutex::new(answers.into_iter().collect::<VecDeque<_>>()));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let noted = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, script) = (acceptor.clone(), Arc::clone(&script));
                let noted = Arc::clone(&noted);
                tokio::spawn(async move { serve(stream, acceptor, &script, &noted).await });
            }
        });
        Self { port, authority, requests, task }
    }

    pub(super) fn url(&self) -> String {
        format!("https://localhost:{}/token", self.port)
    }

    /// What was asked: heads and bodies.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().clone()
    }
}

fn certified(name: &str) -> (ServerConfig, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    // Each authority has a name of its own.
    let id: u64 =
        key.serialize_der().iter().fold(0, |id, byte| id.rotate_left(7) ^ u64::from(*byte));
    params.distinguished_name.push(DnType::CommonName, format!("authority {id:x}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).expect("an authority").pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, &issuer).expect("a certificate");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    #[cfg(feature = "aws-lc-rs")]
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    #[cfg(not(feature = "aws-lc-rs"))]
    let provider = rustls::crypto::ring::default_provider();
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a certificate with its key");
    (config, authority)
}

async fn serve(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    script: &Mutex<VecDeque<Answer>>,
    noted: &Mutex<Vec<String>>,
) {
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    let mut request = Vec::new();
    while !is_whole(&request) {
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes).await {
            Ok(count) if count > 0 => request.extend_from_slice(&bytes[..count]),
            _ => return,
        }
    }
    let answer = {
        let mut script = script.lock();
        noted.lock().push(String::from_utf8_lossy(&request).into_owned());
        if script.len() > 1 { script.pop_front() } else { script.front().cloned() }
    };
    match answer {
        Some(Answer::Says(status, body)) => {
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            let _ = stream.shutdown().await;
        }
        Some(Answer::Bytes(bytes)) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Some(Answer::Cut(bytes)) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.flush().await;
            let _ = stream.get_mut().0.shutdown().await;
        }
        Some(Answer::Silent) | None => std::future::pending().await,
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    length.and_then(|length| length.parse().ok()).is_some_and(|length: usize| body.len() >= length)
}
