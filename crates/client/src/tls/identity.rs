//! Who we are: our key and the certificates that vouch for it, in each of the forms in which
//! settings may have them.

use std::sync::Arc;

use ottla_core::config::{ConfigError, Secret, TlsConfig};
use p12_keystore::Pkcs12Archive;
use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, SigningKey};

use super::certificate::Certificate;
use super::files::{Files, refuse};
use super::key;
use super::pem::{self, Block};
use super::store::{Kind, Store};
use super::suites;

pub(super) const KEYSTORE: &str = "ssl.keystore.location";
const CERTIFICATE_FILE: &str = "ssl.certificate.location";
const KEY_FILE: &str = "ssl.key.location";
const CHAIN: &str = "ssl.keystore.certificate.chain";
const KEY: &str = "ssl.keystore.key";

/// Our key with its certificates.
pub(super) struct Identity {
    pub(super) key: Arc<CertifiedKey>,
    /// What our own certificate says.
    pub(super) certificate: Certificate,
}

/// A PEM text, and where it is from.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) setting: &'static str,
    /// Its file, unless it is in the setting itself.
    pub(super) path: Option<&'a str>,
    pub(super) bytes: &'a [u8],
}

impl<'a> Text<'a> {
    pub(super) fn blocks(&self) -> Result<Vec<Block<'a>>, ConfigError> {
        pem::blocks(self.bytes).map_err(|why| self.refuse(why))
    }

    /// An error about it.
    pub(super) fn refuse(&self, why: impl AsRef<str>) -> ConfigError {
        let place = self.path.unwrap_or("the value");
        refuse(self.setting, format!("{place}: {}", why.as_ref()))
    }
}

/// Reads the key and the certificates that the settings name, if they name any.
///
/// # Errors
/// Something is missing, cannot be read, contradicts something else or does not fit together.
pub(super) fn load(config: &TlsConfig, files: &Files) -> Result<Option<Identity>, ConfigError> {
    check_for_contradictions(config)?;
    if let Some(path) = &config.keystore_location {
        return from_store(config, files, path).map(Some);
    }
    let chain = text(files, CERTIFICATE_FILE, &config.certificate_location)?;
    let chain = chain.or_else(|| inline(CHAIN, config.certificate_chain.as_deref()));
    let key = text(files, KEY_FILE, &config.key_location)?;
    let key = key.or_else(|| inline(KEY, config.key.as_ref().map(Secret::expose)));
    match (chain, key) {
        (None, None) => Ok(None),
        (Some(chain), key) => {
            let key = key.unwrap_or(chain);
            from_pem(&chain, &key, config.key_password.as_ref()).map(Some)
        }
        (None, Some(key)) => {
            let certificate = if key.path.is_some() { CERTIFICATE_FILE } else { CHAIN };
            Err(refuse(key.setting, format!("a key needs its certificate: set {certificate} too")))
        }
    }
}

/// Two settings for the same thing: it could not be told which one is meant.
fn check_for_contradictions(config: &TlsConfig) -> Result<(), ConfigError> {
    let given = [
        (KEYSTORE, config.keystore_location.is_some()),
        (CERTIFICATE_FILE, config.certificate_location.is_some()),
        (KEY_FILE, config.key_location.is_some()),
        (CHAIN, config.certificate_chain.is_some()),
        (KEY, config.key.is_some()),
    ];
    let is_given = |name: &str| given.contains(&(name, true));
    let pairs = [
        (KEYSTORE, CERTIFICATE_FILE),
        (KEYSTORE, KEY_FILE),
        (KEYSTORE, CHAIN),
        (KEYSTORE, KEY),
        (CERTIFICATE_FILE, CHAIN),
        (KEY_FILE, KEY),
    ];
    match pairs.into_iter().find(|(one, other)| is_given(one) && is_given(other)) {
        Some((one, other)) => {
            Err(refuse(other, format!("{one} gives the same thing: set one of the two")))
        }
        None => Ok(()),
    }
}

fn text<'a>(
    files: &'a Files,
    setting: &'static str,
    path: &'a Option<String>,
) -> Result<Option<Text<'a>>, ConfigError> {
    let Some(path) = path else { return Ok(None) };
    let bytes = files.file(setting, path)?;
    Ok(Some(Text { setting, path: Some(path), bytes }))
}

fn inline<'a>(setting: &'static str, text: Option<&'a str>) -> Option<Text<'a>> {
    text.map(|text| Text { setting, path: None, bytes: text.as_bytes() })
}

fn from_store(config: &TlsConfig, files: &Files, path: &str) -> Result<Identity, ConfigError> {
    let bytes = files.file(KEYSTORE, path)?;
    // Java has a password for the key besides that of its file, which for PKCS#12 are the same.
    let (password_setting, password) = match (&config.keystore_password, &config.key_password) {
        (None, Some(password)) => ("ssl.key.password", Some(password)),
        (password, _) => ("ssl.keystore.password", password.as_ref()),
    };
    let declared = config.keystore_type;
    let store = Store { setting: KEYSTORE, path, declared, password_setting, password };
    match store.kind(bytes)? {
        Kind::Pem => {
            let text = Text { setting: KEYSTORE, path: Some(path), bytes };
            from_pem(&text, &text, config.key_password.as_ref())
        }
        Kind::Pkcs12 => from_archive(&store.open(bytes)?, path),
    }
}

fn from_pem(
    chain: &Text<'_>,
    key: &Text<'_>,
    password: Option<&Secret>,
) -> Result<Identity, ConfigError> {
    let blocks = chain.blocks()?;
    let certificates = blocks.iter().filter(|block| is_certificate(block.label));
    let certificates: Vec<_> = certificates
        .map(|block| block.decode().map(|der| CertificateDer::from(der.to_vec())))
        .collect::<Result<_, _>>()
        .map_err(|why| chain.refuse(why))?;
    if certificates.is_empty() {
        return Err(chain.refuse("there is no certificate in it"));
    }
    let key_der = key::from_pem(key, password)?;
    let signer = load_key(&key_der).map_err(|why| key.refuse(why))?;
    let place = |text: &Text<'_>| text.path.unwrap_or(text.setting).to_owned();
    let (key_place, chain_place) = (place(key), place(chain));
    let Some(own) = find_own(&certificates, &signer) else {
        let subject = Certificate::read(&certificates[0]).map(|it| it.subject).unwrap_or_default();
        return Err(key.refuse(format!(
            "the key does not belong to the certificate in {chain_place} ({subject}): {key_place} \
             and {chain_place} must come as a pair"
        )));
    };
    let mut certificates = certificates;
    let own = certificates.remove(own);
    certificates.insert(0, own);
    finish(certificates, signer).map_err(|why| chain.refuse(why))
}

pub(super) fn is_certificate(label: &str) -> bool {
    matches!(label, "CERTIFICATE" | "X509 CERTIFICATE")
}

fn from_archive(archive: &Pkcs12Archive, path: &str) -> Result<Identity, ConfigError> {
    let fail = |why: String| refuse(KEYSTORE, format!("{path}: {why}"));
    let Some(first) = archive.keys.first() else {
        return Err(fail("there is no key in it; is it a truststore?".to_owned()));
    };
    if archive.keys.len() > 1 {
        let alias = first.friendly_name.as_deref().unwrap_or("(no name)");
        tracing::warn!(path, alias, "the key store has several keys; the first one is used");
    }
    let signer = load_key(&key::from_pkcs8(first.key.as_der())).map_err(fail)?;
    let ders = archive.certs.iter().map(|bag| CertificateDer::from(bag.cert.as_der().to_vec()));
    let mut rest: Vec<_> = ders.collect();
    let Some(own) = find_own(&rest, &signer) else {
        return Err(fail("none of the certificates in it belongs to its key".to_owned()));
    };
    let mut chain = vec![rest.swap_remove(own)];
    // The file has them in any order, and perhaps others.
    while let Some(next) = rest.iter().position(|next| vouches(next, &chain[chain.len() - 1])) {
        chain.push(rest.swap_remove(next));
    }
    finish(chain, signer).map_err(fail)
}

/// Whether a certificate is that of another's issuer, by name. The brokers judge signatures.
fn vouches(issuer: &[u8], certificate: &[u8]) -> bool {
    let issuer = x509_parser::parse_x509_certificate(issuer);
    let certificate = x509_parser::parse_x509_certificate(certificate);
    match (issuer, certificate) {
        (Ok((_, issuer)), Ok((_, certificate))) => {
            issuer.subject().as_raw() == certificate.issuer().as_raw()
                && certificate.subject().as_raw() != certificate.issuer().as_raw()
        }
        _ => false,
    }
}

fn load_key(key: &key::Key) -> Result<Arc<dyn SigningKey>, String> {
    suites::signing_key(&key.der()).map_err(|_| {
        "the key is damaged, or of a kind that is not known here; RSA, ECDSA and Ed25519 are"
            .to_owned()
    })
}

/// Which of the certificates is the key's own. It may be of X.509's first version, as openssl makes
/// them where no extension is asked for: brokers take those, and rustls does not read them.
fn find_own(certificates: &[CertificateDer<'static>], key: &Arc<dyn SigningKey>) -> Option<usize> {
    let own = key.public_key()?;
    certificates.iter().position(|certificate| {
        x509_parser::parse_x509_certificate(certificate)
            .is_ok_and(|(_, it)| it.tbs_certificate.subject_pki.raw == own.as_ref())
    })
}

fn finish(
    chain: Vec<CertificateDer<'static>>,
    key: Arc<dyn SigningKey>,
) -> Result<Identity, String> {
    let certificate = chain.first().and_then(|own| Certificate::read(own));
    let certificate = certificate.ok_or_else(|| "the certificate cannot be read".to_owned())?;
    Ok(Identity { key: Arc::new(CertifiedKey::new(chain, key)), certificate })
}
