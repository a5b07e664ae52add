//! The embedded broker with the listeners that real Kafka has in the tests.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use ottla_broker::{Cluster, Listener, Mechanism, Sasl, StartError, Tls, Tokens};
use tempfile::TempDir;

use super::{Door, Secured};
use crate::Engine;
use crate::cast::{self, AUDIENCE, ISSUER, USERS};

const SESSION: Duration = Duration::from_secs(2);

/// Name, protocol, host that clients are sent to, certificate, and whether clients must show one.
const DOORS: [(&str, &str, &str, &str, bool); 14] = [
    ("ssl", "SSL", "localhost", "server-rsa", false),
    ("mutual", "SSL", "127.0.0.1", "server", true),
    ("sasl_plaintext", "SASL_PLAINTEXT", "127.0.0.1", "", false),
    ("sasl_ssl", "SASL_SSL", "127.0.0.1", "server-below", false),
    ("short", "SASL_SSL", "127.0.0.1", "server", false),
    ("short_plaintext", "SASL_PLAINTEXT", "127.0.0.1", "", false),
    ("far", "SASL_SSL", "127.0.0.2", "server-far", false),
    ("far_plaintext", "SASL_PLAINTEXT", "127.0.0.2", "", false),
    ("rotated", "SSL", "127.0.0.2", "server-rotated", true),
    ("expired", "SSL", "localhost", "server-expired", false),
    ("early", "SSL", "localhost", "server-early", false),
    ("elsewhere", "SSL", "localhost", "server-elsewhere", false),
    ("stranger", "SSL", "localhost", "server-stranger", false),
    ("named", "SSL", "localhost", "server-named", false),
];

/// Between the choice of a port and its use somebody else may take it.
const TRIES: usize = 5;

impl Secured {
    /// The embedded broker, one for each test.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn embedded() -> Self {
        let folder = TempDir::new().expect("a folder");
        let files = folder.path().to_owned();
        cast::write_files(&files).expect("certificates");
        let (cluster, doors) = (0..TRIES)
            .find_map(|_| start(&files).ok())
            .expect("the embedded broker starts, and finds its ports free");
        let servers = cluster.bootstrap_servers();
        let engine = Engine::Embedded { cluster, servers };
        Self { engine, doors, files, _folder: Some(folder), kerberos: None, session: SESSION }
    }
}

/// The broker with all its listeners.
fn start(files: &Path) -> Result<(Cluster, BTreeMap<String, Door>), StartError> {
    let mut builder = Cluster::builder().auto_create_topics(false);
    for (name, password) in USERS {
        builder = builder.user(name, password);
    }
    let mut doors = BTreeMap::new();
    for (name, protocol, host, certificate, must) in DOORS {
        let port = free_port();
        let mut listener =
            Listener::new(name).listen(format!("127.0.0.1:{port}")).advertise(host, port);
        if protocol.ends_with("SSL") {
            listener = listener.tls(tls(files, certificate, must));
        }
        if protocol.starts_with("SASL") {
            let sasl = sasl(files);
            listener = listener.sasl(if name.starts_with("short") || name.starts_with("far") {
                sasl.connections_max_reauth(SESSION)
            } else {
                sasl
            });
        }
        builder = builder.listener(listener);
        let door = Door {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            servers: format!("{host}:{port}"),
            protocol: protocol.to_owned(),
        };
        doors.insert(name.to_owned(), door);
    }
    Ok((builder.start()?, doors))
}

/// A port that is free now. Clients are told it before the listener is there.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

fn tls(files: &Path, certificate: &str, must: bool) -> Tls {
    let read = |name: &str| std::fs::read(files.join(name)).expect("a file");
    let pem = read(&format!("{certificate}.pem"));
    Tls::new(pem.clone(), pem).client_ca(read("ca.pem")).require_client_certificate(must)
}

fn sasl(files: &Path) -> Sasl {
    let keys = std::fs::read_to_string(files.join("jwks.json")).expect("a file");
    let tokens = Tokens::signed_by(&keys).expect("a key set").issuer(ISSUER).audience(AUDIENCE);
    Sasl::new([
        Mechanism::Plain,
        Mechanism::ScramSha256,
        Mechanism::ScramSha512,
        Mechanism::OAuthBearer,
    ])
    .tokens(tokens)
}
