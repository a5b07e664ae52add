//! `ottla check` and the other commands where TLS and SASL stand before the cluster.

mod support;

use std::io::Write;
use std::time::{Duration, SystemTime};

use ottla_broker::{Cluster, Mechanism, Sasl, Tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::{Value, json};
use support::{Said, run};
use tempfile::NamedTempFile;

const SECRET: &str = "alice-secret";
const DAY: Duration = Duration::from_secs(86_400);

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    file
}

fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().expect("a path")
}

#[track_caller]
fn step(said: &Said, name: &str) -> Value {
    let report = said.json().remove(0);
    let steps = report["steps"].as_array().expect("steps");
    let found = steps.iter().find(|step| step["step"] == name);
    found.unwrap_or_else(|| panic!("no step {name}: {report}")).clone()
}

/// An authority, and a certificate of its for this machine.
struct Made {
    authority: CertifiedIssuer<'static, KeyPair>,
    certificate: String,
    key: String,
}

/// A certificate that is valid from one time to another, both as days from now.
fn made(from_days: i64, to_days: i64) -> Made {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "an authority");
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(params, key).expect("signed");
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
    params.distinguished_name.push(DnType::CommonName, "broker-1");
    params.not_before = day(from_days).into();
    params.not_after = day(to_days).into();
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, &authority).expect("signed").pem();
    Made { authority, certificate, key: key.serialize_pem() }
}

/// Half a day after so many days from now: whole days are the same whenever the test looks.
fn day(days: i64) -> SystemTime {
    let distance = DAY * u32::try_from(days.unsigned_abs()).expect("few days");
    let noon = SystemTime::now() + DAY / 2;
    if days < 0 { noon - distance } else { noon + distance }
}

/// A broker with this certificate, and the settings to reach it.
fn secure(made: &Made) -> (Cluster, NamedTempFile, NamedTempFile) {
    let tls = Tls::new(made.certificate.clone(), made.key.clone());
    let cluster = Cluster::builder().topic("t", 1).tls(tls).start().expect("a broker");
    let authority = file(&made.authority.pem());
    let settings = file(&format!("security.protocol=SSL\nssl.ca.location={}\n", path(&authority)));
    (cluster, settings, authority)
}

fn check(cluster: &Cluster, settings: &NamedTempFile, more: &[&str]) -> Said {
    let servers = cluster.bootstrap_servers();
    let words = ["check", "-b", &servers, "-F", path(settings), "--json"];
    run(words.iter().chain(more))
}

#[test]
fn the_days_that_a_certificate_has_left_are_told_and_few_of_them_warned_of() {
    let (cluster, settings, _authority) = secure(&made(-1, 400));
    let said = check(&cluster, &settings, &["-t", "t"]).exits(0);
    let tls = step(&said, "tls");
    assert_eq!(tls["status"], json!("ok"), "{tls}");
    assert_eq!(tls["data"]["version"], json!("TLSv1.3"));
    let leaf = &tls["data"]["certificates"][0];
    assert!(leaf["subject"].as_str().expect("a name").contains("broker-1"), "{leaf}");
    assert_eq!(leaf["names"], json!(["127.0.0.1"]));
    assert_eq!(leaf["days_left"], json!(400));
    assert_eq!(step(&said, "durability")["status"], json!("warning"));

    let (cluster, settings, _authority) = secure(&made(-100, 20));
    let tls = step(&check(&cluster, &settings, &[]).exits(0), "tls");
    assert_eq!(tls["status"], json!("warning"), "{tls}");
    assert!(tls["seen"].as_str().expect("words").contains("20 days left"), "{tls}");
    check(&cluster, &settings, &["--strict"]).exits(1);
}

/// Laws: none. Scenarios: S9.
#[test]
fn a_certificate_that_has_run_out_is_refused_for_good() {
    let (cluster, settings, _authority) = secure(&made(-100, -1));
    let said = check(&cluster, &settings, &[]).exits(2);
    assert_eq!(step(&said, "tls")["status"], json!("failed"));
    assert_eq!(step(&said, "versions")["status"], json!("skipped"));
    // Where nobody looks at certificates, it is still told.
    let off = ["-X", "enable.ssl.certificate.verification=false"];
    let tls = step(&check(&cluster, &settings, &off).exits(2), "tls");
    assert!(tls["seen"].as_str().expect("words").contains("run out on"), "{tls}");
}

#[test]
fn a_plain_client_on_a_listener_with_tls_is_told_so() {
    let (cluster, ..) = secure(&made(-1, 400));
    let said = run(["check", "-b", &cluster.bootstrap_servers(), "--json"]).exits(3);
    let seen = step(&said, "versions");
    assert!(seen["seen"].as_str().expect("words").contains("security.protocol"), "{seen}");
}

fn settings(password: &str) -> NamedTempFile {
    file(&format!(
        "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-256\nsasl.username=alice\n\
         sasl.password={password}\n"
    ))
}

fn guarded() -> Cluster {
    let sasl = Sasl::new([Mechanism::ScramSha256]).failed_authentication_delay(Duration::ZERO);
    let cluster = Cluster::builder().topic("t", 1).sasl(sasl).user("alice", SECRET);
    cluster.start().expect("a broker")
}

#[test]
fn whoever_has_the_password_is_told_how_it_was_accepted() {
    let cluster = guarded();
    let sasl = step(&check(&cluster, &settings(SECRET), &["-t", "t"]).exits(0), "sasl");
    assert_eq!(sasl["data"]["mechanism"], json!("SCRAM-SHA-256"));
}

/// Laws: none. Scenarios: S13.
#[test]
fn a_wrong_password_ends_every_command_with_2_and_is_not_shown() {
    let cluster = guarded();
    let servers = cluster.bootstrap_servers();
    let wrong = "wrong-secret";
    let settings = settings(wrong);
    let sasl = step(&check(&cluster, &settings, &[]).exits(2), "sasl");
    assert_eq!(sasl["status"], json!("failed"));
    let seen = sasl["seen"].as_str().expect("words");
    assert!(seen.contains("sasl.password") && !seen.contains(wrong), "{seen}");
    for line in ["topic list", "read -t t -e", "produce -t t", "bench -t t --num-records 1"] {
        let words = line.split(' ').chain(["-b", &servers, "-F", path(&settings), "-vv"]);
        let said = run(words).exits(2).says("sasl.password").does_not_say(wrong);
        assert!(!said.text().contains(wrong));
    }
}

#[test]
fn every_command_gets_in_with_the_right_password() {
    let cluster = guarded();
    let servers = cluster.bootstrap_servers();
    let settings = settings(SECRET);
    for line in [
        "topic list",
        "produce -t t",
        "bench -t t --num-records 10",
        "verifiable-producer -t t --max-messages 1",
        "read -t t -e",
    ] {
        let words = line.split(' ').chain(["-b", &servers, "-F", path(&settings), "-vv"]);
        run(words).exits(0).does_not_say(SECRET);
    }
}

#[test]
fn a_client_without_sasl_on_a_listener_that_asks_for_it_is_told_so() {
    let cluster = guarded();
    let said = run(["check", "-b", &cluster.bootstrap_servers(), "--json"]).exits(3);
    let seen = step(&said, "cluster");
    assert!(seen["seen"].as_str().expect("words").contains("SASL"), "{seen}");
}
