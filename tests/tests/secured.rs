//! Clients of others that come to the embedded broker by TLS and SASL, and are turned away.

use std::path::Path;
use std::process::{Command, Output};

use ottla_broker::{Cluster, ClusterBuilder, Mechanism, Sasl, Tls};
use ottla_tests::pki::{self, Issued, KeyKind, Validity, Wish};
use ottla_tests::{Made, foreign, java, kcat, needs, tools};

const ALL: [Mechanism; 4] =
    [Mechanism::Plain, Mechanism::ScramSha256, Mechanism::ScramSha512, Mechanism::OAuthBearer];
/// Nothing in it may mean anything to anybody.
const PASSWORD: &str = "p=a,s s;wörd\\\"";

type Settings = Vec<(&'static str, String)>;

/// An authority with a folder for what it signs.
struct Authority {
    issuer: pki::Authority,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let issuer = pki::Authority::create("authority").expect("an authority");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("ca.pem"), issuer.certificate()).expect("written");
        Self { issuer, folder }
    }

    fn signs(&self, name: &str, hosts: &[&str]) -> Issued {
        let wish = Wish { name, hosts, validity: Validity::Now, key: KeyKind::Ec };
        self.issuer.issue(&wish).expect("a certificate")
    }

    fn tls(&self) -> Tls {
        let broker = self.signs("broker", &["127.0.0.1"]);
        Tls::new(broker.chain, broker.key)
    }

    /// A path in the folder, written to when there is something to write.
    fn file(&self, name: &str, text: Option<&str>) -> String {
        let path = self.folder.path().join(name);
        if let Some(text) = text {
            std::fs::write(&path, text).expect("written");
        }
        path.to_str().expect("a path in UTF-8").to_owned()
    }

    fn trusted(&self) -> Settings {
        vec![("ssl.ca.location", self.file("ca.pem", None))]
    }
}

fn start(builder: ClusterBuilder) -> Cluster {
    builder.topic("t", 1).user("älice", PASSWORD).user("alice", PASSWORD).start().expect("starts")
}

fn by_password(protocol: &str, mechanism: Mechanism, name: &str, password: &str) -> Settings {
    vec![
        ("security.protocol", protocol.to_owned()),
        ("sasl.mechanism", mechanism.name().to_owned()),
        ("sasl.username", name.to_owned()),
        ("sasl.password", password.to_owned()),
    ]
}

/// Runs kcat as a producer of three records.
fn kcat(cluster: &Cluster, settings: &Settings) -> Result<Output, String> {
    let mut kcat = Command::new(kcat::find()?);
    kcat.args(["-P", "-b", &cluster.bootstrap_servers(), "-t", "t", "-p", "0"]);
    // Who is turned away tries again and again otherwise.
    kcat.args(["-X", "message.timeout.ms=10000", "-X", "enable.ssl.certificate.verification=true"]);
    for (name, value) in settings {
        kcat.args(["-X", &format!("{name}={value}")]);
    }
    Ok(tools::ended(&mut kcat, b"a\nb\nc\n"))
}

/// Runs confluent_kafka as a producer of three records.
fn confluent(cluster: &Cluster, settings: &Settings) -> Result<(), String> {
    let records: Vec<Made> = ["a", "b", "c"].map(|value| Made::value(value).partition(0)).into();
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    foreign::produce(&cluster.bootstrap_servers(), "t", &settings, &records).map(|_| ())
}

/// kcat is let in, its records are there, and the broker knows who it is.
fn lets_kcat_in(cluster: &Cluster, settings: &Settings, principal: &str) -> Result<(), String> {
    let before = cluster.log_end_offset("t", 0).expect("a partition");
    let output = kcat(cluster, settings)?;
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{settings:?}: {words}");
    has_three_more(cluster, before, principal);
    Ok(())
}

fn has_three_more(cluster: &Cluster, before: i64, principal: &str) {
    assert_eq!(cluster.log_end_offset("t", 0), Some(before + 3), "{principal}");
    let requests = cluster.requests();
    let produced = requests.iter().rev().find(|request| request.produce.is_some());
    assert_eq!(&*produced.expect("a request").principal, principal);
}

#[test]
fn kcat_is_let_in_by_tls_with_and_without_a_certificate_of_its_own() {
    let authority = Authority::new();
    let trusted = || [authority.trusted(), vec![("security.protocol", "SSL".to_owned())]].concat();
    for tls in [authority.tls(), authority.tls().only_tls_1_2()] {
        let cluster = start(Cluster::builder().tls(tls));
        needs!(lets_kcat_in(&cluster, &trusted(), "User:ANONYMOUS"));
    }
    let ca = std::fs::read(authority.file("ca.pem", None)).expect("read");
    let tls = authority.tls().client_ca(ca).require_client_certificate(true);
    let cluster = start(Cluster::builder().tls(tls));
    let alice = authority.signs("alice", &[]);
    let mut own = trusted();
    own.push(("ssl.certificate.location", authority.file("alice.pem", Some(&alice.chain))));
    own.push(("ssl.key.location", authority.file("alice.key", Some(&alice.key))));
    needs!(lets_kcat_in(&cluster, &own, "User:CN=alice"));
    let without = needs!(kcat(&cluster, &trusted()));
    assert!(!without.status.success());
}

/// kcat is let in by SCRAM only if it is newer than librdkafka 2.6: older ones send the client's
/// nonce twice, which Kafka has minded, too, since CVE-2024-56128. So SCRAM is another's part.
#[test]
fn kcat_and_confluent_kafka_are_let_in_by_every_mechanism() {
    let authority = Authority::new();
    for (cluster, protocol) in [
        (Cluster::builder().sasl(Sasl::new(ALL)), "SASL_PLAINTEXT"),
        (Cluster::builder().sasl(Sasl::new(ALL)).tls(authority.tls()), "SASL_SSL"),
    ] {
        let cluster = start(cluster);
        let by_password = |mechanism: Mechanism| {
            let settings = by_password(protocol, mechanism, "älice", PASSWORD);
            [settings, authority.trusted()].concat()
        };
        needs!(lets_kcat_in(&cluster, &by_password(Mechanism::Plain), "User:älice"));
        for mechanism in &ALL[..3] {
            let before = cluster.log_end_offset("t", 0).expect("a partition");
            needs!(confluent(&cluster, &by_password(*mechanism)));
            has_three_more(&cluster, before, "User:älice");
        }
        let mut settings = authority.trusted();
        settings.push(("security.protocol", protocol.to_owned()));
        settings.push(("sasl.mechanism", "OAUTHBEARER".to_owned()));
        settings.push(("enable.sasl.oauthbearer.unsecure.jwt", "true".to_owned()));
        settings.push(("sasl.oauthbearer.config", "principal=alice".to_owned()));
        needs!(lets_kcat_in(&cluster, &settings, "User:alice"));
    }
}

#[test]
fn kcat_is_turned_away_in_words_that_it_repeats() {
    let cluster = start(Cluster::builder().sasl(Sasl::new([Mechanism::Plain, ALL[1]])));
    for (mechanism, words) in [
        (ALL[0], "Authentication failed: Invalid username or password"),
        (ALL[1], "due to invalid credentials with SASL mechanism SCRAM-SHA-256"),
        (ALL[2], "PLAIN"),
    ] {
        let settings = by_password("SASL_PLAINTEXT", mechanism, "alice", "wrong");
        let output = needs!(kcat(&cluster, &settings));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(words), "{mechanism}: {said}");
    }
    assert_eq!(cluster.log_end_offset("t", 0), Some(0));
}

/// Runs Kafka's console producer with three records.
fn console_producer(cluster: &Cluster, settings: &Path) -> Result<Output, String> {
    let mut java = java::class("org.apache.kafka.tools.ConsoleProducer")?;
    java.args(["--bootstrap-server", &cluster.bootstrap_servers(), "--topic", "t"]);
    java.arg("--command-config").arg(settings);
    Ok(tools::ended(&mut java, b"a\nb\nc\n"))
}

#[test]
fn kafkas_own_producer_is_let_in_by_tls_and_scram_at_once() {
    let authority = Authority::new();
    let cluster = start(Cluster::builder().sasl(Sasl::new([ALL[2]])).tls(authority.tls()));
    let module = "org.apache.kafka.common.security.scram.ScramLoginModule";
    let password = PASSWORD.replace('\\', "\\\\").replace('"', "\\\"").replace('\\', "\\\\");
    let settings = format!(
        "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\n\
         ssl.truststore.type=PEM\nssl.truststore.location={}\n\
         sasl.jaas.config={module} required username=\"alice\" password=\"{password}\";\n",
        authority.file("ca.pem", None)
    );
    let path = authority.file("client.properties", Some(&latin_1(&settings)));
    let output = needs!(console_producer(&cluster, Path::new(&path)));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(cluster.log_end_offset("t", 0), Some(3), "{said}");
    assert!(cluster.requests().iter().any(|request| &*request.principal == "User:alice"));
}

/// The escapes of a file of properties for letters beyond ASCII.
fn latin_1(text: &str) -> String {
    let escaped = text.chars().map(|letter| match letter {
        '\0'..='\u{7f}' => letter.to_string(),
        letter => format!("\\u{:04x}", u32::from(letter)),
    });
    escaped.collect()
}
