//! Our key and certificate, in each form in which settings may have them.

use ottla_core::config::{StoreType, TlsConfig};
use p12_keystore::EncryptionAlgorithm::{
    PbeWithHmacSha256AndAes256, PbeWithShaAnd3KeyTripleDesCbc, PbeWithShaAnd40BitRc4Cbc,
};
use rcgen::{KeyPair, RsaKeySize};

use super::pki::{self, Authority, Pair, Wanted, client};
use super::server::{BOTH, Server, config};
use super::{CANARY, file, folder, known_as, refused, secret, shown, tls, trusting};

/// A server that wants a client's certificate, the authority of both, and a client.
pub(super) async fn cast() -> (Server, Authority, Pair) {
    let authority = Authority::new("authority");
    let broker = authority.issue(&Wanted::default());
    let server = Server::start(config(&broker, BOTH, Some(&authority))).await;
    let pair = authority.issue(&client("amara"));
    (server, authority, pair)
}

#[tokio::test]
async fn pem_files_are_taken_apart_or_together_and_in_any_order() {
    let (mut server, authority, pair) = cast().await;
    let folder = folder();
    let mut settings = trusting(&authority);
    settings.certificate_location = Some(file(&folder, "chain.pem", pair.pem()));
    settings.key_location = Some(file(&folder, "key.pem", pair.key_pem()));
    shown(server.visit(&tls(&settings), "broker.test").await);
    let (chain, key) = (pair.pem(), pair.key_pem());
    let notes = "Bag Attributes\n    friendlyName: \u{e9}\nsubject=CN = amara\n";
    let whole = [format!("{chain}{key}"), format!("{key}{chain}"), format!("{notes}{key}{chain}")];
    for (at, whole) in whole.into_iter().enumerate() {
        let path = file(&folder, &format!("{at}.pem"), whole.replace('\n', "\r\n"));
        // As Java has it (KIP-651), and as others do.
        let mut settings = trusting(&authority);
        settings.keystore_location = Some(path.clone());
        settings.keystore_type = Some(StoreType::Pem);
        shown(server.visit(&tls(&settings), "broker.test").await);
        let mut settings = trusting(&authority);
        settings.certificate_location = Some(path);
        shown(server.visit(&tls(&settings), "broker.test").await);
    }
}

/// A chain that begins with the authority is put right: the server wants our own first.
#[tokio::test]
async fn our_own_certificate_is_the_one_that_the_key_belongs_to() {
    let (mut server, authority, pair) = cast().await;
    let mut settings = trusting(&authority);
    settings.certificate_chain = Some(authority.pem() + &pair.pem());
    settings.key = secret(pair.key_pem());
    shown(server.visit(&tls(&settings), "broker.test").await);
}

#[tokio::test]
async fn values_may_be_one_line_as_files_of_properties_have_them() {
    let (mut server, authority, pair) = cast().await;
    for line_end in [" ", "\\n", "\\r\\n", "\n ", ""] {
        let squeezed = |pem: String| pem.replace('\n', line_end);
        let mut settings = TlsConfig::default();
        settings.truststore_certificates = Some(squeezed(authority.pem()));
        settings.certificate_chain = Some(squeezed(pair.pem()));
        settings.key = secret(squeezed(pair.key_pem()));
        shown(server.visit(&tls(&settings), "broker.test").await);
        settings.key = secret(squeezed(pair.key_pem_under(CANARY)));
        settings.key_password = secret(CANARY);
        shown(server.visit(&tls(&settings), "broker.test").await);
    }
}

#[tokio::test]
async fn key_stores_are_opened_with_new_ciphers_and_old_ones() {
    let (mut server, authority, mut pair) = cast().await;
    pair.chain.push(authority.der().clone());
    let folder = folder();
    let ciphers =
        [PbeWithHmacSha256AndAes256, PbeWithShaAnd3KeyTripleDesCbc, PbeWithShaAnd40BitRc4Cbc];
    for (at, cipher) in ciphers.into_iter().enumerate() {
        let mut settings = trusting(&authority);
        let path = file(&folder, &format!("{at}.p12"), pair.pkcs12(CANARY, cipher));
        settings.keystore_location = Some(path);
        // Java gives PKCS#12 files the name of its old format, too.
        settings.keystore_type = [None, Some(StoreType::Pkcs12), Some(StoreType::Jks)][at];
        settings.keystore_password = secret(CANARY);
        shown(server.visit(&tls(&settings), "broker.test").await);
        settings.key_password = settings.keystore_password.take();
        shown(server.visit(&tls(&settings), "broker.test").await);
    }
}

#[tokio::test]
async fn truststores_are_pem_pkcs12_or_a_folder() {
    let (mut server, authority, pair) = cast().await;
    let other = Authority::new("other");
    let folder = folder();
    let both = other.pem() + &authority.pem();
    let hashed = folder.path().join("certs");
    std::fs::create_dir_all(hashed.join("deeper")).expect("made");
    std::fs::write(hashed.join("0a1b2c3d.0"), authority.pem()).expect("written");
    std::fs::write(hashed.join("other.pem"), other.pem()).expect("written");
    std::fs::write(hashed.join("README"), "nothing").expect("written");
    for (path, password) in [
        (file(&folder, "both.pem", both), None),
        (file(&folder, "p12", pki::pkcs12_of(&[&other, &authority], CANARY)), secret(CANARY)),
        (hashed.to_str().expect("letters").to_owned(), None),
    ] {
        let mut settings = known_as(&authority, &pair);
        settings.truststore_certificates = None;
        settings.truststore_location = Some(path);
        settings.truststore_password = password;
        shown(server.visit(&tls(&settings), "broker.test").await);
    }
}

#[tokio::test]
async fn keys_of_all_kinds_and_wrappings_are_read() {
    let (mut server, authority, pair) = cast().await;
    let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048);
    let rsa = authority.issue_for(&client("amara"), rsa.expect("a key"));
    let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("a key");
    let p384 = authority.issue_for(&client("amara"), p384);
    let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
    let ed25519 = authority.issue_for(&client("amara"), ed25519);
    for (pair, key) in [
        (&rsa, rsa.key_pem()),
        (&rsa, rsa.bare_key_pem("RSA PRIVATE KEY")),
        (&rsa, rsa.key_pem_under(CANARY)),
        (&p384, p384.key_pem()),
        (&ed25519, ed25519.key_pem()),
        (&pair, pair.key_pem_under(CANARY)),
    ] {
        let mut settings = trusting(&authority);
        settings.certificate_chain = Some(pair.pem());
        settings.key = secret(key);
        settings.key_password = secret(CANARY);
        shown(server.visit(&tls(&settings), "broker.test").await);
    }
}

/// A pipe cannot be read again, and a device may have no end.
#[cfg(unix)]
#[test]
fn only_files_are_read() {
    let mut settings = TlsConfig::default();
    settings.truststore_location = Some("/dev/zero".into());
    assert!(refused(&settings).contains("not a regular file"));
}
