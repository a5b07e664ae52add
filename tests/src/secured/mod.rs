//! A cluster that is met by TLS and SASL, as tests need it: real Kafka or the embedded broker.

mod embedded;
mod watched;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ottla::admin::{Admin, ConfigChange, ConfigResource};
use ottla::{Producer, ProducerBuilder};
use ottla_broker::Acl;
use serde_json::Value;
use tempfile::TempDir;

use crate::cast::USERS;
use crate::proxy::Proxy;
use crate::wait::run;
use crate::{Engine, foreign};

pub use watched::Watched;

/// The variable that names the file with all that `cargo xtask kafka start --secure` tells.
const SECURE_VARIABLE: &str = "OTTLA_TEST_KAFKA_SECURE";

/// A cluster with listeners of all kinds.
pub struct Secured {
    /// The same cluster by its plain listener, where everybody may do everything.
    pub engine: Engine,
    doors: BTreeMap<String, Door>,
    files: PathBuf,
    /// The folder with the files, where it ends with this value.
    _folder: Option<TempDir>,
    /// Where tickets of Kerberos are to be had, if anywhere.
    kerberos: Option<Kerberos>,
    /// How long a session lives on the listeners `short` and `short_plaintext`.
    pub session: Duration,
}

/// A listener.
#[derive(Clone, Debug)]
pub struct Door {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it says that it does.
    pub servers: String,
    /// `security.protocol`.
    pub protocol: String,
}

/// A realm of Kerberos, and somebody who is known there.
#[derive(Clone, Debug)]
pub struct Kerberos {
    /// `KRB5_CONFIG`.
    pub config: PathBuf,
    /// `sasl.kerberos.principal`.
    pub principal: String,
    /// `sasl.kerberos.keytab`.
    pub keytab: String,
}

/// Settings of a client, in order.
pub type Settings = Vec<(String, String)>;

impl Secured {
    /// The real Kafka that `OTTLA_TEST_KAFKA_SECURE` tells of.
    ///
    /// # Errors
    /// The variable is not set, or there is no such file.
    pub fn kafka() -> Result<Self, String> {
        let missing = "real Kafka with TLS and SASL is not here";
        let file = std::env::var(SECURE_VARIABLE)
            .map_err(|_| format!("{missing} (set {SECURE_VARIABLE})"))?;
        let told = std::fs::read_to_string(&file).map_err(|why| format!("{missing}: {why}"))?;
        let told: Value = serde_json::from_str(&told).map_err(|why| format!("{file}: {why}"))?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut doors = BTreeMap::new();
        for (name, door) in told["listeners"].as_object().into_iter().flatten() {
            let address = text(&door["address"]).parse();
            let door = Door {
                address: address.map_err(|why| format!("{file}: {why}"))?,
                servers: text(&door["servers"]),
                protocol: text(&door["protocol"]),
            };
            doors.insert(name.clone(), door);
        }
        Ok(Self {
            engine: Engine::Kafka { servers: text(&told["servers"]) },
            doors,
            files: text(&told["files"]).into(),
            _folder: None,
            kerberos: told["kerberos"]["config"].as_str().map(|config| Kerberos {
                config: config.into(),
                principal: text(&told["kerberos"]["principal"]),
                keytab: text(&told["kerberos"]["keytab"]),
            }),
            session: Duration::from_millis(told["session_ms"].as_u64().unwrap_or_default()),
        })
    }

    /// A listener.
    ///
    /// # Panics
    /// When there is none of that name.
    #[must_use]
    pub fn door(&self, name: &str) -> &Door {
        self.doors.get(name).unwrap_or_else(|| panic!("no listener {name}"))
    }

    /// Where tickets are to be had for the listener `kerberos`.
    ///
    /// # Errors
    /// There is no KDC, or this process was not told of it.
    pub fn kerberos(&self) -> Result<&Kerberos, String> {
        let missing = "there is no KDC (Debian: apt-get install krb5-kdc krb5-admin-server)";
        let kerberos = self.kerberos.as_ref().ok_or_else(|| missing.to_owned())?;
        // The library that makes the messages knows no other way to be told.
        if std::env::var_os("KRB5_CONFIG").is_none_or(|told| told != kerberos.config) {
            return Err(format!("set KRB5_CONFIG={}", kerberos.config.display()));
        }
        Ok(kerberos)
    }

    /// The folder with certificates and keys.
    #[must_use]
    pub fn files(&self) -> &Path {
        &self.files
    }

    /// The path of one of them.
    #[must_use]
    pub fn file(&self, name: &str) -> String {
        self.files.join(name).display().to_string()
    }

    /// The content of one of them.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.files.join(name)).expect("a file of the cluster's")
    }

    /// What a client has to set to come in by a listener, but for saying who it is.
    #[must_use]
    pub fn settings(&self, door: &str) -> Settings {
        let door = self.door(door);
        let mut settings = Settings::new();
        settings.push(("bootstrap.servers".to_owned(), door.servers.clone()));
        settings.push(("security.protocol".to_owned(), door.protocol.clone()));
        if door.protocol.ends_with("SSL") {
            settings.push(("ssl.ca.location".to_owned(), self.file("ca.pem")));
        }
        settings
    }

    /// The same with a mechanism and the user of that name.
    ///
    /// # Panics
    /// When there is no such user.
    #[must_use]
    pub fn settings_of(&self, door: &str, mechanism: &str, user: &str) -> Settings {
        let password = USERS.iter().find(|(name, _)| *name == user).expect("a user").1;
        with(
            self.settings(door),
            &[("sasl.mechanism", mechanism), ("sasl.username", user), ("sasl.password", password)],
        )
    }

    /// Says whether `principal`, who may do nothing by itself, may write to a topic.
    ///
    /// # Errors
    /// There is nobody here who could say so.
    pub fn set_may_write(&self, principal: &str, topic: &str, may: bool) -> Result<(), String> {
        match &self.engine {
            Engine::Embedded { cluster, .. } => {
                let rule = Acl::topic(topic).principal(principal);
                if may {
                    cluster.allow(&rule);
                } else {
                    cluster.deny(rule);
                }
                Ok(())
            }
            Engine::Kafka { servers } => {
                let rule = foreign::Rule { principal, operation: "WRITE", topic };
                foreign::rule(servers, &rule, may)
            }
        }
    }

    /// The proxy that stands where the clients of a listener are sent, `far`, `far_plaintext` or
    /// `rotated`. It stands there until the process ends, for all tests.
    ///
    /// # Errors
    /// It cannot stand there.
    pub fn proxy(&self, door: &str) -> Result<&'static Proxy, String> {
        static PROXIES: Mutex<BTreeMap<SocketAddr, &'static Proxy>> = Mutex::new(BTreeMap::new());
        let door = self.door(door);
        let told = format!("no proxy can stand at {}", door.servers);
        let place: SocketAddr = door.servers.parse().map_err(|why| format!("{told}: {why}"))?;
        let mut proxies = PROXIES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(proxy) = proxies.get(&place) {
            return Ok(proxy);
        }
        let proxy = Proxy::listen_at(place).map_err(|why| format!("{told}: {why}"))?;
        proxy.lead_to(door.address);
        let proxy: &'static Proxy = Box::leak(Box::new(proxy));
        proxies.insert(place, proxy);
        Ok(proxy)
    }

    /// Has the listener `rotated` show the certificate of this file, which has the key as well.
    ///
    /// # Panics
    /// When the broker does not take it.
    pub fn show_certificate(&self, file: &Path) {
        if let Engine::Embedded { cluster, .. } = &self.engine {
            let pem = std::fs::read(file).expect("a file");
            cluster.set_certificate(&pem, &pem).expect("the broker takes the certificate");
            return;
        }
        let key = "listener.name.rotated.ssl.keystore.location".to_owned();
        let change = ConfigChange::Set(file.display().to_string());
        run(async {
            let servers = self.engine.servers();
            let mut admin = Admin::connect(servers, Duration::from_secs(30)).await?;
            let broker = ConfigResource::Broker(1);
            admin.alter_configs(&broker, &[(key, change)], false).await
        })
        .expect("the broker takes the certificate");
    }
}

/// The same settings with others after them, which count where they are about the same.
#[must_use]
pub fn with(mut settings: Settings, more: &[(&str, &str)]) -> Settings {
    for (key, value) in more {
        settings.retain(|(known, _)| known != key);
        settings.push(((*key).to_owned(), (*value).to_owned()));
    }
    settings
}

/// A builder with these settings.
pub fn builder(settings: &Settings) -> ProducerBuilder {
    let builder = Producer::builder();
    settings.iter().fold(builder, |builder, (key, value)| builder.set(key, value))
}
