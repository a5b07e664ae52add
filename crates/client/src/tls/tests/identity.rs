//! Our key and certificate, in each form in which settings may have them.

use ottla_core::config::{StoreType, TlsConfig};
use p12_keystore::EncryptionAlgorithm::{
    PbeWithHmacSha256AndAes256, PbeWithShaAnd3KeyTripleDesCbc, PbeWithShaAnd40BitRc4Cbc,
};
use rcgen::{KeyPair, RsaKeySize};

use super::pki::{self, Authority, Pair, Wanted, client, pem};
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

/// Each mistake, and the words that lead out of it.
#[test]
fn what_cannot_be_used_is_refused_with_the_setting_and_the_cure() {
    let authority = Authority::new("authority");
    let (pair, other) = (authority.issue(&client("amara")), authority.issue(&client("other")));
    let folder = folder();
    let put = |name: &str, content: &[u8]| Some(file(&folder, name, content));
    let chain = put("chain.pem", pair.pem().as_bytes());
    let key = put("key.pem", pair.key_pem().as_bytes());
    let locked = put("locked.pem", pair.key_pem_under(CANARY).as_bytes());
    let store = put("store.p12", &pair.pkcs12(CANARY, PbeWithHmacSha256AndAes256));
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\
               DEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    let old = put("old.pem", old.as_bytes());
    let cut = put("cut.pem", &pair.key_pem().as_bytes()[..100]);
    let noise = put("noise.pem", pem("PRIVATE KEY", CANARY.as_bytes()).as_bytes());
    let other = put("other.pem", other.pem().as_bytes());
    type Change<'a> = &'a dyn Fn(&mut TlsConfig);
    let cases: &[(&str, Change<'_>)] = &[
        ("ssl.certificate.location: cannot read /no/such", &|c| {
            c.certificate_location = Some("/no/such".into());
        }),
        ("ssl.key.location: a key needs its certificate: set ssl.certificate.location", &|c| {
            c.key_location = key.clone();
        }),
        ("ssl.certificate.location: ", &|c| c.certificate_location = chain.clone()),
        ("there is no private key in it", &|c| c.certificate_location = chain.clone()),
        ("there is no certificate in it", &|c| c.certificate_location = key.clone()),
        ("ssl.keystore.certificate.chain: ssl.certificate.location gives the same", &|c| {
            c.certificate_location = chain.clone();
            c.certificate_chain = Some(pair.pem());
        }),
        ("ssl.key.location: ssl.keystore.location gives the same", &|c| {
            c.keystore_location = store.clone();
            c.key_location = key.clone();
        }),
        ("must come as a pair", &|c| {
            (c.certificate_location, c.key_location) = (other.clone(), key.clone());
        }),
        ("(CN=other)", &|c| {
            (c.certificate_location, c.key_location) = (other.clone(), key.clone());
        }),
        ("ssl.key.password: the key in", &|c| {
            (c.certificate_location, c.key_location) = (chain.clone(), locked.clone());
        }),
        ("ssl.key.password: it does not open", &|c| {
            (c.certificate_location, c.key_location) = (chain.clone(), locked.clone());
            c.key_password = secret("wrong");
        }),
        ("openssl pkcs8 -topk8", &|c| {
            (c.certificate_location, c.key_location) = (chain.clone(), old.clone());
        }),
        ("is it cut short?", &|c| {
            (c.certificate_location, c.key_location) = (chain.clone(), cut.clone());
        }),
        ("RSA, ECDSA and Ed25519 are", &|c| {
            (c.certificate_location, c.key_location) = (chain.clone(), noise.clone());
        }),
        ("ssl.keystore.password: ", &|c| c.keystore_location = store.clone()),
        ("set ssl.keystore.password", &|c| c.keystore_location = store.clone()),
        ("ssl.keystore.password: it does not open", &|c| {
            c.keystore_location = store.clone();
            c.keystore_password = secret("wrong");
        }),
        ("ssl.keystore.type: ", &|c| {
            c.keystore_location = store.clone();
            c.keystore_type = Some(StoreType::Pem);
        }),
        ("ssl.keystore.type: ", &|c| {
            c.keystore_location = chain.clone();
            c.keystore_type = Some(StoreType::Jks);
        }),
        ("keytool -importkeystore", &|c| {
            c.keystore_location = put("old.jks", &[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2]);
        }),
        ("is empty", &|c| c.keystore_location = put("empty", b"")),
        ("neither PEM nor PKCS#12", &|c| c.keystore_location = put("text", b"hello")),
        ("is a folder", &|c| {
            c.keystore_location = Some(folder.path().to_str().expect("letters").into());
        }),
        ("ssl.truststore.location: there is no certificate in", &|c| {
            c.truststore_certificates = None;
            c.truststore_location = key.clone();
        }),
        ("openssl x509 -inform der", &|c| {
            c.truststore_certificates = None;
            c.truststore_location = put("ca.der", authority.der());
        }),
        ("ssl.truststore.certificates: ssl.truststore.location gives the same", &|c| {
            c.truststore_location = chain.clone();
        }),
        ("ssl.truststore.password: ", &|c| {
            c.truststore_certificates = None;
            c.truststore_location = store.clone();
            c.truststore_password = secret("wrong");
        }),
        ("ssl.crl.location: ", &|c| c.crl_location = chain.clone()),
        ("set ssl.truststore.location too", &|c| {
            c.truststore_certificates = None;
            c.crl_location = chain.clone();
        }),
        ("ssl.cipher.suites: \"RC4-MD5\" is not known; known are TLS_AES_256", &|c| {
            c.cipher_suites = vec!["TLS_AES_128_GCM_SHA256:RC4-MD5".into()];
        }),
        ("ssl.cipher.suites: none of them belongs to a version", &|c| {
            c.cipher_suites = vec!["TLS_AES_128_GCM_SHA256".into()];
            c.versions = vec![ottla_core::config::TlsVersion::V1_2];
        }),
        ("ssl.enabled.protocols: ", &|c| c.versions.clear()),
    ];
    for (words, change) in cases {
        let mut settings = trusting(&authority);
        change(&mut settings);
        let text = refused(&settings);
        assert!(text.contains(words), "{words:?} is not in: {text}");
        let key = pair.key_pem();
        for line in key.lines().filter(|line| !line.starts_with('-')) {
            assert!(!text.contains(line), "a part of the key is in: {text}");
        }
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
