//! An identity provider: hands out signed tokens over HTTPS (RFC 6749, RFC 7523), or what a test
//! wants it to say instead.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::cast::{AUDIENCE, ISSUER, SUBJECT};

/// Who may have tokens.
pub const CLIENT: &str = "client-of-the-provider";
/// What it is known by.
pub const SECRET: &str = "canary-1Rf5-of-a-client";
/// No request that makes sense is longer.
const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// How long a client may take over a request.
const PATIENCE: Duration = Duration::from_secs(30);

/// Signs tokens.
#[derive(Clone)]
pub struct Signer {
    key: EncodingKey,
    algorithm: Algorithm,
    id: String,
}

/// What is said instead of a token.
#[derive(Clone, Debug)]
pub enum Say {
    /// This status with this body.
    Status(u16, String),
    /// To ask somewhere else.
    GoTo(String),
    /// A body of so many bytes.
    Much(usize),
    /// A token as always, which lives for so long.
    Token(Duration),
    /// Nothing; the connection stays open until the client ends it.
    Nothing,
    /// Something else than HTTP.
    Garbage,
}

/// A request for a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Method and path.
    pub line: String,
    /// Fields of the header, by their names in small letters.
    pub fields: HashMap<String, String>,
    /// Parameters of the form.
    pub form: HashMap<String, String>,
}

/// The provider. It listens until the process ends.
pub struct TokenEndpoint {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    tls: Arc<ServerConfig>,
    signer: Signer,
    /// Keys by which assertions are checked.
    keys: JwkSet,
    lifetime: Mutex<Duration>,
    script: Mutex<VecDeque<Say>>,
    asked: Mutex<Vec<Asked>>,
}

impl Signer {
    /// By a key in PEM, RSA or EC as the id says: `rsa`, `ec` or another for RSA.
    ///
    /// # Panics
    /// When it is no such key.
    #[must_use]
    pub fn new(id: &str, pem: &str) -> Self {
        let (key, algorithm) = match id {
            "ec" => (EncodingKey::from_ec_pem(pem.as_bytes()), Algorithm::ES256),
            _ => (EncodingKey::from_rsa_pem(pem.as_bytes()), Algorithm::RS256),
        };
        Self { key: key.expect("a key"), algorithm, id: id.to_owned() }
    }

    /// A token for `subject` that is good for so long from now.
    ///
    /// # Panics
    /// When it cannot be signed.
    #[must_use]
    pub fn token(&self, subject: &str, lifetime: Duration) -> String {
        let now = now();
        self.sign(&json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": subject, "scope": "kafka",
            "iat": now, "exp": now + lifetime.as_secs(),
        }))
    }

    /// A token with these claims.
    ///
    /// # Panics
    /// When it cannot be signed.
    #[must_use]
    pub fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.id.clone());
        jsonwebtoken::encode(&header, claims, &self.key).expect("a token")
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl TokenEndpoint {
    /// Starts one that shows the certificate in `pem`, which has the key as well, and believes
    /// assertions that are signed by a key of the set `keys`.
    ///
    /// # Panics
    /// When these are of no use, or no port is to be had.
    #[must_use]
    pub fn start(pem: &str, signer: Signer, keys: &str) -> Self {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_no_client_auth()
            .with_single_cert(chain.expect("certificates"), key)
            .expect("a certificate");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State {
            tls: Arc::new(tls),
            signer,
            keys: serde_json::from_str(keys).expect("a key set"),
            lifetime: Mutex::new(Duration::from_secs(600)),
            script: Mutex::default(),
            asked: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || state.serve(client));
            }
        });
        Self { address, state }
    }

    /// Where tokens are to be had.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://localhost:{}/token", self.address.port())
    }

    /// Has the next requests answered with these, one each; then with tokens again.
    pub fn say(&self, script: impl IntoIterator<Item = Say>) {
        lock(&self.state.script).extend(script);
    }

    /// Has everybody get tokens again, whatever was left to say.
    pub fn say_no_more(&self) {
        lock(&self.state.script).clear();
    }

    /// How long tokens live from now on. Default ten minutes.
    pub fn give_tokens_of(&self, lifetime: Duration) {
        *lock(&self.state.lifetime) = lifetime;
    }

    /// What it was asked so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.state.asked).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Tls = StreamOwned<ServerConnection, TcpStream>;

impl State {
    /// Answers one request. Whatever goes wrong is for the client to tell.
    fn serve(&self, client: TcpStream) -> Option<()> {
        client.set_read_timeout(Some(PATIENCE)).ok()?;
        client.set_write_timeout(Some(PATIENCE)).ok()?;
        let connection = ServerConnection::new(Arc::clone(&self.tls)).ok()?;
        let mut reader = BufReader::new(StreamOwned::new(connection, client));
        let asked = read_request(&mut reader)?;
        lock(&self.asked).push(asked.clone());
        let said = lock(&self.script).pop_front();
        let mut stream = reader.into_inner();
        match said {
            None => self.give(&mut stream, &asked, *lock(&self.lifetime))?,
            Some(Say::Token(lifetime)) => self.give(&mut stream, &asked, lifetime)?,
            Some(Say::Status(status, body)) => respond(&mut stream, status, "", &body)?,
            Some(Say::GoTo(place)) => {
                respond(&mut stream, 302, &format!("location: {place}\r\n"), "")?;
            }
            Some(Say::Much(bytes)) => respond(&mut stream, 200, "", &"x".repeat(bytes))?,
            Some(Say::Garbage) => stream.write_all(&[0xFF; 100]).ok()?,
            Some(Say::Nothing) => {
                let _ = stream.read(&mut [0]);
            }
        }
        stream.conn.send_close_notify();
        stream.flush().ok()
    }

    fn give(&self, stream: &mut Tls, asked: &Asked, lifetime: Duration) -> Option<()> {
        let refuse = |stream: &mut Tls, status, error: &str| {
            respond(stream, status, "", &json!({ "error": error }).to_string())
        };
        let grant = asked.form.get("grant_type").map_or("", String::as_str);
        let subject = match grant {
            "client_credentials" if is_client(asked) => SUBJECT.to_owned(),
            "client_credentials" => return refuse(stream, 401, "invalid_client"),
            "urn:ietf:params:oauth:grant-type:jwt-bearer" => {
                let assertion = asked.form.get("assertion");
                match assertion.and_then(|it| self.subject_of(it)) {
                    Some(subject) => subject,
                    None => return refuse(stream, 400, "invalid_grant"),
                }
            }
            _ => return refuse(stream, 400, "unsupported_grant_type"),
        };
        let token = self.signer.token(&subject, lifetime);
        let body = json!({
            "access_token": token, "token_type": "Bearer", "expires_in": lifetime.as_secs(),
        });
        respond(stream, 200, "", &body.to_string())
    }

    /// Whom an assertion is about, if one of the keys has signed it.
    fn subject_of(&self, assertion: &str) -> Option<String> {
        self.keys.keys.iter().find_map(|key| {
            let algorithm = match key.common.key_id.as_deref() {
                Some("ec") => Algorithm::ES256,
                _ => Algorithm::RS256,
            };
            let mut validation = Validation::new(algorithm);
            validation.validate_aud = false;
            validation.validate_nbf = true;
            let key = DecodingKey::from_jwk(key).ok()?;
            let read = jsonwebtoken::decode::<Value>(assertion, &key, &validation).ok()?;
            Some(read.claims["sub"].as_str()?.to_owned())
        })
    }
}

/// Whether id and secret are right (RFC 6749, section 2.3.1).
fn is_client(asked: &Asked) -> bool {
    let expected = format!("Basic {}", BASE64_STANDARD.encode(format!("{CLIENT}:{SECRET}")));
    asked.fields.get("authorization") == Some(&expected)
}

fn read_request(reader: &mut BufReader<Tls>) -> Option<Asked> {
    let mut asked = Asked::default();
    let mut budget = REQUEST_BYTES_MAX;
    loop {
        let mut line = String::new();
        let read = reader.take(budget as u64).read_line(&mut line).ok()?;
        budget = budget.checked_sub(read).filter(|_| line.ends_with('\n'))?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        match line.split_once(": ") {
            Some((name, value)) if !asked.line.is_empty() => {
                asked.fields.insert(name.to_ascii_lowercase(), value.to_owned());
            }
            _ => line.trim_end_matches(" HTTP/1.1").clone_into(&mut asked.line),
        }
    }
    let len: usize = asked.fields.get("content-length")?.parse().ok()?;
    let mut body = vec![0; Some(len).filter(|len| *len <= budget)?];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).ok()?;
    let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
    asked.form = pairs.map(|(name, value)| (decode(name), decode(value))).collect();
    Some(asked)
}

/// What a form's encoding stands for.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|it| char::from(it).to_digit(16));
                (digit().unwrap_or(0) * 16 + digit().unwrap_or(0)) as u8
            }
            other => other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn respond(stream: &mut Tls, status: u16, fields: &str, body: &str) -> Option<()> {
    let head = format!(
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n{fields}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body.as_bytes()).ok()
}
