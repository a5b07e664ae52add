//! The listeners of a node that is met by TLS and SASL, and what a test has to know of them.
//!
//! Whoever comes to the usual listener is `User:ANONYMOUS` and may do everything, as may most of
//! the others. `User:limited` may do what a test allows it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::cast::{self, AUDIENCE, ISSUER, ROOT, SUBJECT, USERS};
use super::cluster::Port;
use super::kdc::Kdc;
use crate::workspace;

/// The file that tells tests what there is.
pub(super) const DESCRIPTION: &str = "secure.json";
/// How long a session lives on the listeners for that.
const SESSION_MS: u32 = 2000;
/// What delegation tokens are made of.
const SECRET_OF_TOKENS: &str = "delegation-6Pc0-tokens";

/// How a listener is met.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

impl Protocol {
    const fn name(self) -> &'static str {
        match self {
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }
}

/// A kind of listener.
struct Door {
    name: &'static str,
    protocol: Protocol,
    /// The host that clients are sent to.
    host: &'static str,
    /// The file with key and certificates.
    keystore: &'static str,
    /// Further settings of the listener.
    more: &'static [(&'static str, &'static str)],
}

const fn door(
    name: &'static str,
    protocol: Protocol,
    host: &'static str,
    keystore: &'static str,
) -> Door {
    Door { name, protocol, host, keystore, more: &[] }
}

const DOORS: [Door; 14] = [
    Door {
        more: &[("ssl.client.auth", "requested")],
        ..door("SSL", Protocol::Ssl, "localhost", "server-rsa")
    },
    Door {
        more: &[("ssl.client.auth", "required")],
        ..door("MUTUAL", Protocol::Ssl, "127.0.0.1", "server")
    },
    door("SASL_PLAINTEXT", Protocol::SaslPlaintext, "127.0.0.1", ""),
    door("SASL_SSL", Protocol::SaslSsl, "127.0.0.1", "server-below"),
    Door {
        more: &[("connections.max.reauth.ms", "2000")],
        ..door("SHORT", Protocol::SaslSsl, "127.0.0.1", "server")
    },
    Door {
        more: &[("connections.max.reauth.ms", "2000")],
        ..door("SHORT_PLAINTEXT", Protocol::SaslPlaintext, "127.0.0.1", "")
    },
    // The next ones send clients to another address of loopback, with the same port: there a test
    // puts a proxy, so that the way is long.
    Door {
        more: &[("connections.max.reauth.ms", "2000")],
        ..door("FAR", Protocol::SaslSsl, "127.0.0.2", "server-far")
    },
    Door {
        more: &[("connections.max.reauth.ms", "2000")],
        ..door("FAR_PLAINTEXT", Protocol::SaslPlaintext, "127.0.0.2", "")
    },
    // Its certificate is replaced while records flow, and so are those of clients. The proxy has
    // connections end when a test likes.
    Door {
        more: &[("ssl.client.auth", "required")],
        ..door("ROTATED", Protocol::Ssl, "127.0.0.2", "server-rotated")
    },
    door("EXPIRED", Protocol::Ssl, "localhost", "server-expired"),
    door("EARLY", Protocol::Ssl, "localhost", "server-early"),
    door("ELSEWHERE", Protocol::Ssl, "localhost", "server-elsewhere"),
    door("STRANGER", Protocol::Ssl, "localhost", "server-stranger"),
    door("NAMED", Protocol::Ssl, "localhost", "server-named"),
];

/// The one for Kerberos, where there is a KDC.
const KERBEROS: Door = door("KERBEROS", Protocol::SaslPlaintext, "localhost", "");

/// The ports of those listeners, kept until the node is about to start.
pub(super) struct Doors(Vec<(&'static Door, Port)>);

impl Doors {
    pub(super) fn reserve(has_kerberos: bool) -> Result<Self, String> {
        let reserve = |door| Ok((door, Port::reserve()?));
        let doors = DOORS.iter().chain(has_kerberos.then_some(&KERBEROS));
        doors.map(reserve).collect::<Result<_, String>>().map(Self)
    }

    /// Makes certificates and keys in `folder`; gives the settings that take the place of the
    /// usual ones (a later line counts) and writes the description.
    pub(super) fn lay_out(
        &self,
        folder: &Path,
        (client, controller): (SocketAddr, SocketAddr),
        kdc: Option<&Kdc>,
    ) -> Result<String, String> {
        let files = folder.join("tls");
        workspace::create_folder(&files)?;
        cast::write_files(&files)?;
        let mut addresses = Vec::new();
        for (door, port) in &self.0 {
            addresses.push((*door, port.address()?));
        }
        let mut description = describe(&addresses, client, &files);
        description["kerberos"] = kdc.map_or(Value::Null, Kdc::json);
        workspace::write(&folder.join(DESCRIPTION), format!("{description:#}\n"))?;
        Ok(settings(&addresses, (client, controller), &files, kdc))
    }
}

/// What the broker's Java has to be told.
pub(super) fn java_options(folder: &Path, kdc: Option<&Kdc>) -> Vec<String> {
    let keys = key_set_url(&folder.join("tls"));
    let path = folder.join("tls/jwks.json").display().to_string();
    let mut options = vec![
        format!("-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={keys}"),
        format!("-Dorg.apache.kafka.sasl.oauthbearer.allowed.files={path}"),
    ];
    options.extend(kdc.map(Kdc::java_option));
    options
}

/// What the storage is formatted with: users of SCRAM.
pub(super) fn format_options() -> Vec<String> {
    let mut options = Vec::new();
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        for (name, password) in USERS {
            options.push("--add-scram".to_owned());
            options.push(format!("{mechanism}=[name={name},iterations=8192,password={password}]"));
        }
    }
    options
}

fn key_set_url(files: &Path) -> String {
    format!("file://{}", files.join("jwks.json").display())
}

fn settings(
    doors: &[(&Door, SocketAddr)],
    (client, controller): (SocketAddr, SocketAddr),
    files: &Path,
    kdc: Option<&Kdc>,
) -> String {
    let mut listeners = format!("PLAINTEXT://{client},CONTROLLER://{controller}");
    let mut advertised = format!("PLAINTEXT://{client}");
    let mut protocols = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned();
    let mut rows = Vec::new();
    for (door, address) in doors {
        let name = door.name;
        listeners += &format!(",{name}://{address}");
        advertised += &format!(",{name}://{}:{}", door.host, address.port());
        protocols += &format!(",{name}:{}", door.protocol.name());
        rows.extend(door.settings(files, kdc));
    }
    rows.extend([
        ("listeners".to_owned(), listeners),
        ("advertised.listeners".to_owned(), advertised),
        ("listener.security.protocol.map".to_owned(), protocols),
    ]);
    let common = [
        ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
        ("super.users", cast::MAY_DO_EVERYTHING),
        ("delegation.token.secret.key", SECRET_OF_TOKENS),
        // A thread for each of a dozen listeners is enough.
        ("num.network.threads", "1"),
    ];
    rows.extend(common.map(|(key, value)| (key.to_owned(), value.to_owned())));
    rows.iter().map(|(key, value)| format!("{key}={value}\n")).collect()
}

impl Door {
    fn settings(&self, files: &Path, kdc: Option<&Kdc>) -> Vec<(String, String)> {
        let mut rows: Vec<(String, String)> = Vec::new();
        if self.protocol != Protocol::SaslPlaintext {
            let path = |name: &str| files.join(name).display().to_string();
            rows.extend([
                ("ssl.keystore.type".to_owned(), "PEM".to_owned()),
                ("ssl.keystore.location".to_owned(), path(&format!("{}.pem", self.keystore))),
                ("ssl.truststore.type".to_owned(), "PEM".to_owned()),
                ("ssl.truststore.location".to_owned(), path("ca.pem")),
            ]);
        }
        match kdc {
            Some(kdc) if self.name == KERBEROS.name => rows.extend(kdc.settings()),
            _ if self.protocol != Protocol::Ssl => rows.extend(sasl(files)),
            _ => {}
        }
        let more = self.more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        rows.extend(more);
        let prefix = format!("listener.name.{}", self.name.to_lowercase());
        rows.into_iter().map(|(key, value)| (format!("{prefix}.{key}"), value)).collect()
    }
}

fn sasl(files: &Path) -> Vec<(String, String)> {
    const MODULES: &str = "org.apache.kafka.common.security";
    let users: String =
        USERS.iter().map(|(name, password)| format!(" user_{name}=\"{password}\"")).collect();
    let rows = [
        ("sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER".to_owned()),
        ("plain.sasl.jaas.config", format!("{MODULES}.plain.PlainLoginModule required{users};")),
        ("scram-sha-256.sasl.jaas.config", format!("{MODULES}.scram.ScramLoginModule required;")),
        ("scram-sha-512.sasl.jaas.config", format!("{MODULES}.scram.ScramLoginModule required;")),
        (
            "oauthbearer.sasl.jaas.config",
            format!("{MODULES}.oauthbearer.OAuthBearerLoginModule required;"),
        ),
        (
            "oauthbearer.sasl.server.callback.handler.class",
            format!("{MODULES}.oauthbearer.OAuthBearerValidatorCallbackHandler"),
        ),
        ("sasl.oauthbearer.jwks.endpoint.url", key_set_url(files)),
        ("sasl.oauthbearer.expected.audience", AUDIENCE.to_owned()),
        ("sasl.oauthbearer.expected.issuer", ISSUER.to_owned()),
        // Both clocks are one.
        ("sasl.oauthbearer.clock.skew.seconds", "0".to_owned()),
    ];
    rows.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn describe(doors: &[(&Door, SocketAddr)], client: SocketAddr, files: &Path) -> Value {
    let listeners: serde_json::Map<String, Value> = doors
        .iter()
        .map(|(door, address)| {
            let server = format!("{}:{}", door.host, address.port());
            let keystore = files.join(format!("{}.pem", door.keystore));
            let of_tls = door.protocol != Protocol::SaslPlaintext;
            let told = json!({
                "address": address.to_string(),
                "servers": server,
                "protocol": door.protocol.name(),
                "keystore": of_tls.then_some(keystore),
            });
            (door.name.to_lowercase(), told)
        })
        .collect();
    let users: Value =
        USERS.iter().map(|(name, password)| ((*name).to_owned(), json!(password))).collect();
    json!({
        "servers": client.to_string(),
        "listeners": listeners,
        "files": files,
        "authority": ROOT,
        "users": users,
        "session_ms": SESSION_MS,
        "tokens": { "audience": AUDIENCE, "issuer": ISSUER, "subject": SUBJECT },
    })
}

/// Where the description of a cluster in this folder is.
pub(super) fn description(folder: &Path) -> PathBuf {
    folder.join(DESCRIPTION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_listener_has_a_name_an_address_and_what_it_takes() {
        let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let doors: Vec<_> = DOORS.iter().zip(10..).map(|(door, at)| (door, address(at))).collect();
        let text = settings(&doors, (address(1), address(2)), Path::new("/x"), None);
        let line = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("{key}=")));
            line.unwrap_or_else(|| panic!("no {key} in {text}")).to_owned()
        };
        let listeners = line("listeners");
        assert!(listeners.starts_with("PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2,SSL://"));
        assert!(line("advertised.listeners").contains(",SSL://localhost:10,"));
        assert!(!line("advertised.listeners").contains("CONTROLLER"));
        assert_eq!(line("listener.name.mutual.ssl.client.auth"), "required");
        assert_eq!(line("listener.name.ssl.ssl.keystore.location"), "/x/server-rsa.pem");
        assert_eq!(line("listener.name.short.connections.max.reauth.ms"), SESSION_MS.to_string());
        let plain = line("listener.name.sasl_plaintext.plain.sasl.jaas.config");
        assert!(plain.contains("user_alice=\""), "{plain}");
        assert!(!text.contains("listener.name.sasl_plaintext.ssl."));
    }
}
