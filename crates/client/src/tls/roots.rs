//! Whom we believe: the authorities that the settings name, or the system's.

use std::sync::Arc;

use ottla_core::config::{ConfigError, TlsConfig};
use p12_keystore::Pkcs12Archive;
use rustls::RootCertStore;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};

use super::files::{Content, Files, refuse};
use super::identity::{Text, is_certificate};
use super::store::{Kind, Store};

const LOCATION: &str = "ssl.truststore.location";
const INLINE: &str = "ssl.truststore.certificates";
const PASSWORD: &str = "ssl.truststore.password";
const CRL: &str = "ssl.crl.location";

/// The authorities that the settings name.
pub(super) struct Authorities {
    pub(super) certificates: Vec<CertificateDer<'static>>,
    /// Where they are from, as errors say it.
    pub(super) place: String,
}

/// Reads the authorities, if the settings name any.
///
/// # Errors
/// They cannot be read, there are none where they should be, or they are given twice.
pub(super) fn load(config: &TlsConfig, files: &Files) -> Result<Option<Authorities>, ConfigError> {
    let location = config.truststore_location.as_deref();
    let certificates = match (location, &config.truststore_certificates) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            let why = format!("{LOCATION} gives the same thing: set one of the two");
            return Err(refuse(INLINE, why));
        }
        (Some(path), None) => from_path(config, files, path)?,
        (None, Some(text)) => {
            from_pem(&Text { setting: INLINE, path: None, bytes: text.as_bytes() })?
        }
    };
    let place = location.map_or_else(|| INLINE.to_owned(), |path| format!("{LOCATION}={path}"));
    if certificates.is_empty() {
        let what = location.unwrap_or("the value");
        return Err(refuse(
            if location.is_some() { LOCATION } else { INLINE },
            format!("there is no certificate in {what}"),
        ));
    }
    Ok(Some(Authorities { certificates, place }))
}

fn from_path(
    config: &TlsConfig,
    files: &Files,
    path: &str,
) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    match files.content(LOCATION, path)? {
        Content::File(bytes) => {
            let store = Store {
                setting: LOCATION,
                path,
                declared: config.truststore_type,
                password_setting: PASSWORD,
                password: config.truststore_password.as_ref(),
            };
            match store.kind(bytes)? {
                Kind::Pem => from_pem(&Text { setting: LOCATION, path: Some(path), bytes }),
                Kind::Pkcs12 => Ok(from_archive(&store.open(bytes)?)),
            }
        }
        // As librdkafka and OpenSSL have it: each file with certificates in it counts.
        Content::Folder(files) => {
            let mut all = Vec::new();
            for (name, bytes) in files {
                let path = format!("{path}/{name}");
                let found = from_pem(&Text { setting: LOCATION, path: Some(&path), bytes });
                match found {
                    Ok(found) => all.extend(found),
                    Err(error) => tracing::warn!(%error, "a file of authorities is left out"),
                }
            }
            Ok(all)
        }
    }
}

fn from_pem(text: &Text<'_>) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let blocks = text.blocks()?;
    let certificates = blocks.iter().filter(|block| is_certificate(block.label));
    certificates
        .map(|block| block.decode().map(|der| CertificateDer::from(der.to_vec())))
        .collect::<Result<_, _>>()
        .map_err(|why| text.refuse(why))
}

/// keytool marks whom to trust. Where nothing is marked, as openssl leaves it, those are meant that
/// do not belong to a key.
fn from_archive(archive: &Pkcs12Archive) -> Vec<CertificateDer<'static>> {
    let any_marked = archive.certs.iter().any(|bag| bag.trusted);
    let is_meant = |bag: &&p12_keystore::CertificateBag| {
        if any_marked { bag.trusted } else { bag.local_key_id.is_none() }
    };
    let meant = archive.certs.iter().filter(is_meant);
    meant.map(|bag| CertificateDer::from(bag.cert.as_der().to_vec())).collect()
}

/// What judges by the authorities that are given and the lists of what was taken back.
///
/// # Errors
/// None of the authorities can be understood, or one of the lists cannot.
pub(super) fn verifier(
    config: &TlsConfig,
    files: &Files,
    authorities: &Authorities,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, ConfigError> {
    let mut roots = RootCertStore::empty();
    let (_, ignored) = roots.add_parsable_certificates(authorities.certificates.iter().cloned());
    if ignored > 0 {
        let place = &authorities.place;
        tracing::warn!(%place, ignored, "certificates of authorities cannot be read");
    }
    let lists = revoked(config, files)?;
    let mut builder = WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone());
    if !lists.is_empty() {
        // As OpenSSL does it for librdkafka: the server's own certificate is looked up, in a list
        // that must be there and not be old.
        builder = builder
            .with_crls(lists)
            .only_check_end_entity_revocation()
            .enforce_revocation_expiration();
    }
    match builder.build() {
        Ok(verifier) => Ok(verifier),
        Err(VerifierBuilderError::InvalidCrl(error)) => {
            Err(refuse(CRL, format!("a list in it cannot be read: {error:?}")))
        }
        Err(_) => {
            let why = format!("no certificate in {} can be read", authorities.place);
            Err(refuse(LOCATION, why))
        }
    }
}

fn revoked(
    config: &TlsConfig,
    files: &Files,
) -> Result<Vec<CertificateRevocationListDer<'static>>, ConfigError> {
    let Some(path) = &config.crl_location else { return Ok(Vec::new()) };
    let text = Text { setting: CRL, path: Some(path), bytes: files.file(CRL, path)? };
    let blocks = text.blocks()?;
    let lists: Vec<_> = blocks
        .iter()
        .filter(|block| block.label == "X509 CRL")
        .map(|block| block.decode().map(|der| CertificateRevocationListDer::from(der.to_vec())))
        .collect::<Result<_, _>>()
        .map_err(|why| text.refuse(why))?;
    if lists.is_empty() {
        return Err(text.refuse("there is no list of revoked certificates in it, in PEM form"));
    }
    Ok(lists)
}

/// What judges as the system does.
///
/// # Errors
/// The system has no authorities, as in small container images, or cannot do what is asked.
pub(super) fn system(
    config: &TlsConfig,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, ConfigError> {
    if config.crl_location.is_some() {
        let why = format!("is for authorities of your own only: set {LOCATION} too");
        return Err(refuse(CRL, why));
    }
    let by_the_system = cfg!(any(windows, target_vendor = "apple", target_os = "android"));
    if by_the_system && !config.verify_host_name {
        let why = format!("the system does not judge without the host name: set {LOCATION} too");
        return Err(refuse("ssl.endpoint.identification.algorithm", why));
    }
    match rustls_platform_verifier::Verifier::new(provider.clone()) {
        Ok(verifier) => Ok(Arc::new(verifier)),
        Err(error) => Err(refuse(
            LOCATION,
            format!(
                "the system has no authorities to trust ({error}): set it (or ssl.ca.location), or \
                 install the package ca-certificates"
            ),
        )),
    }
}
