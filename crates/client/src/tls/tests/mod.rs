//! TLS with real servers on this machine and certificates made for each test.

mod foreign;
mod hostile;
mod identity;
mod judgement;
mod logs;
mod mistakes;
mod pki;
mod refusal;
mod reload;
mod server;
mod stream;

use ottla_core::config::{Secret, TlsConfig};
use tempfile::TempDir;

use super::{Tls, TlsError};
use pki::{Authority, Pair};
use server::Visit;

/// A password that no error, log or `Debug` may show.
const CANARY: &str = "canary-7d1f";

/// The settings of somebody who trusts this authority, and has no certificate.
fn trusting(authority: &Authority) -> TlsConfig {
    let mut config = TlsConfig::default();
    config.truststore_certificates = Some(authority.pem());
    config
}

/// The same with a certificate, inline.
fn known_as(authority: &Authority, pair: &Pair) -> TlsConfig {
    let mut config = trusting(authority);
    config.certificate_chain = Some(pair.pem());
    config.key = Some(Secret::new(pair.key_pem()));
    config
}

fn tls(config: &TlsConfig) -> Tls {
    Tls::new(config).expect("settings that make sense")
}

/// Why settings are not accepted. The text is without secrets, whatever it says.
fn refused(config: &TlsConfig) -> String {
    let Err(error) = Tls::new(config) else { panic!("accepted: {config:?}") };
    let text = format!("{error} {error:?}");
    assert!(!text.contains(CANARY), "{text}");
    assert!(!format!("{config:?}").contains(CANARY), "{config:?}");
    error.to_string()
}

fn secret(text: impl Into<String>) -> Option<Secret> {
    Some(Secret::new(text))
}

/// A server saw the client that it should.
#[track_caller]
fn shown(visit: Result<Visit, TlsError>) {
    let visit = visit.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(visit.subject.as_deref(), Some("CN=amara"));
}

/// A folder with a file in it; the path of the file.
fn file(folder: &TempDir, name: &str, content: impl AsRef<[u8]>) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, content).expect("written");
    path.to_str().expect("a path of letters").to_owned()
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// The error has all these words.
#[track_caller]
fn says(error: &TlsError, words: &[&str]) {
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}
