//! Settings and files that cannot be used: each mistake, and the words that lead out of it.

use ottla_core::config::{StoreType, TlsConfig, TlsVersion};
use p12_keystore::EncryptionAlgorithm::PbeWithHmacSha256AndAes256;
use tempfile::TempDir;

use super::pki::{Authority, Pair, client, pem};
use super::{CANARY, file, folder, refused, secret, trusting};

/// What mistakes are made with. The paths are of files in the folder.
struct Things {
    authority: Authority,
    pair: Pair,
    folder: TempDir,
    chain: Option<String>,
    key: Option<String>,
    store: Option<String>,
}

type Change<'a> = &'a dyn Fn(&Things, &mut TlsConfig);

impl Things {
    fn new() -> Self {
        let (authority, folder) = (Authority::new("authority"), folder());
        let pair = authority.issue(&client("amara"));
        let chain = Some(file(&folder, "chain.pem", pair.pem()));
        let key = Some(file(&folder, "key.pem", pair.key_pem()));
        let store = pair.pkcs12(CANARY, PbeWithHmacSha256AndAes256);
        let store = Some(file(&folder, "store.p12", store));
        Self { authority, pair, folder, chain, key, store }
    }

    fn put(&self, content: impl AsRef<[u8]>) -> Option<String> {
        Some(file(&self.folder, "other", content))
    }

    /// Settings that were right before a change are refused with these words after it, and without
    /// any part of the key.
    #[track_caller]
    fn refuse(&self, cases: &[(&str, Change<'_>)]) {
        for (words, change) in cases {
            let mut settings = trusting(&self.authority);
            change(self, &mut settings);
            let text = refused(&settings);
            assert!(text.contains(words), "{words:?} is not in: {text}");
            let key = self.pair.key_pem();
            for line in key.lines().filter(|line| !line.starts_with('-')) {
                assert!(!text.contains(line), "a part of the key is in: {text}");
            }
        }
    }
}

#[test]
fn pem_that_cannot_be_used_is_refused_with_the_setting_and_the_cure() {
    let things = Things::new();
    let pair = |c: &mut TlsConfig, chain: &Option<String>, key: Option<String>| {
        (c.certificate_location, c.key_location) = (chain.clone(), key);
    };
    things.refuse(&[
        ("ssl.certificate.location: cannot read /no/such: there is no such file", &|_, c| {
            c.certificate_location = Some("/no/such".into());
        }),
        ("ssl.key.location: a key needs its certificate: set ssl.certificate.location", &|t, c| {
            c.key_location = t.key.clone();
        }),
        ("there is no private key in it", &|t, c| c.certificate_location = t.chain.clone()),
        ("there is no certificate in it", &|t, c| c.certificate_location = t.key.clone()),
        ("must come as a pair", &|t, c| {
            let other = t.put(t.authority.issue(&client("other")).pem());
            pair(c, &other, t.key.clone());
        }),
        ("(CN=other)", &|t, c| {
            let other = t.put(t.authority.issue(&client("other")).pem());
            pair(c, &other, t.key.clone());
        }),
        ("is it cut short?", &|t, c| {
            pair(c, &t.chain, t.put(&t.pair.key_pem().as_bytes()[..100]));
        }),
        ("its PRIVATE KEY is not base64", &|t, c| {
            let broken = t.pair.key_pem().replacen("\nM", "\n%", 1);
            pair(c, &t.chain, t.put(broken));
        }),
        ("RSA, ECDSA and Ed25519 are", &|t, c| {
            pair(c, &t.chain, t.put(pem("PRIVATE KEY", CANARY.as_bytes())));
        }),
        ("ssl.key.password: the key in", &|t, c| {
            pair(c, &t.chain, t.put(t.pair.key_pem_under(CANARY)));
        }),
        ("ssl.key.password: it does not open", &|t, c| {
            pair(c, &t.chain, t.put(t.pair.key_pem_under(CANARY)));
            c.key_password = secret("wrong");
        }),
        ("is a folder", &|t, c| {
            c.certificate_location = t.folder.path().to_str().map(str::to_owned);
        }),
    ]);
}

#[test]
fn stores_that_cannot_be_used_are_refused_with_the_setting_and_the_cure() {
    Things::new().refuse(&[
        ("set ssl.keystore.password", &|t, c| c.keystore_location = t.store.clone()),
        ("ssl.keystore.password: it does not open", &|t, c| {
            c.keystore_location = t.store.clone();
            c.keystore_password = secret("wrong");
        }),
        ("ssl.keystore.type: ", &|t, c| {
            c.keystore_location = t.store.clone();
            c.keystore_type = Some(StoreType::Pem);
        }),
        ("ssl.keystore.type: ", &|t, c| {
            c.keystore_location = t.chain.clone();
            c.keystore_type = Some(StoreType::Jks);
        }),
        ("keytool -importkeystore", &|t, c| {
            c.keystore_location = t.put([0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2]);
        }),
        ("is empty", &|t, c| c.keystore_location = t.put("")),
        ("neither PEM nor PKCS#12", &|t, c| c.keystore_location = t.put("hello")),
        ("ssl.truststore.location: there is no certificate in", &|t, c| {
            c.truststore_certificates = None;
            c.truststore_location = t.key.clone();
        }),
        ("openssl x509 -inform der", &|t, c| {
            c.truststore_certificates = None;
            c.truststore_location = t.put(t.authority.der());
        }),
        ("ssl.truststore.password: ", &|t, c| {
            c.truststore_certificates = None;
            c.truststore_location = t.store.clone();
            c.truststore_password = secret("wrong");
        }),
    ]);
}

#[test]
fn settings_that_contradict_each_other_are_refused_with_both_names() {
    Things::new().refuse(&[
        ("ssl.keystore.certificate.chain: ssl.certificate.location gives the same", &|t, c| {
            c.certificate_location = t.chain.clone();
            c.certificate_chain = Some(t.pair.pem());
        }),
        ("ssl.key.location: ssl.keystore.location gives the same", &|t, c| {
            c.keystore_location = t.store.clone();
            c.key_location = t.key.clone();
        }),
        ("ssl.truststore.certificates: ssl.truststore.location gives the same", &|t, c| {
            c.truststore_location = t.chain.clone();
        }),
        ("ssl.crl.location: ", &|t, c| c.crl_location = t.chain.clone()),
        ("set ssl.truststore.location too", &|t, c| {
            c.truststore_certificates = None;
            c.crl_location = t.chain.clone();
        }),
        ("ssl.cipher.suites: \"RC4-MD5\" is not known; known are TLS_AES_256", &|_, c| {
            c.cipher_suites = vec!["TLS_AES_128_GCM_SHA256:RC4-MD5".into()];
        }),
        ("ssl.cipher.suites: none of them belongs to a version", &|_, c| {
            c.cipher_suites = vec!["TLS_AES_128_GCM_SHA256".into()];
            c.versions = vec![TlsVersion::V1_2];
        }),
        ("ssl.enabled.protocols: ", &|_, c| c.versions.clear()),
    ]);
}
