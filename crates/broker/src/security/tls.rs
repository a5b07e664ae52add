//! TLS of a listener: what it shows, what it asks for, and how it changes while it runs.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{InconsistentKeys, RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use zeroize::Zeroizing;

use crate::error::StartError;

const TLS_1_2: &[&SupportedProtocolVersion] = &[&version::TLS12];
const TLS_1_3: &[&SupportedProtocolVersion] = &[&version::TLS13];

/// Certificate and key of a listener, and what it asks of its clients.
///
/// TLS 1.2 and 1.3 are spoken. A client that shows a certificate is known by the name in it, as in
/// `User:CN=alice,OU=test`.
///
/// # Examples
/// ```
/// use ottla_broker::{Cluster, Tls};
///
/// let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
/// let made = rcgen::generate_simple_self_signed(names)?;
/// let tls = Tls::new(made.cert.pem(), made.signing_key.serialize_pem());
/// let cluster = Cluster::builder().tls(tls).start()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "it does nothing until a listener has it"]
pub struct Tls {
    certificate_pem: Vec<u8>,
    key_pem: Zeroizing<Vec<u8>>,
    client_ca_pem: Option<Vec<u8>>,
    requires_client_certificate: bool,
    versions: &'static [&'static SupportedProtocolVersion],
}

impl Tls {
    /// A certificate with those that lead to its root, and its key: PEM, the key without password.
    pub fn new(certificate_pem: impl Into<Vec<u8>>, key_pem: impl Into<Vec<u8>>) -> Self {
        Self {
            certificate_pem: certificate_pem.into(),
            key_pem: Zeroizing::new(key_pem.into()),
            client_ca_pem: None,
            requires_client_certificate: false,
            versions: rustls::ALL_VERSIONS,
        }
    }

    /// As [`Tls::new`], from two files.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn from_files(
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, StartError> {
        Ok(Self::new(read(certificate.as_ref())?, read(key.as_ref())?))
    }

    /// Asks clients for a certificate, which has to be signed by one of these authorities, in PEM.
    /// One without is let in all the same, see [`Tls::require_client_certificate`].
    pub fn client_ca(self, pem: impl Into<Vec<u8>>) -> Self {
        Self { client_ca_pem: Some(pem.into()), ..self }
    }

    /// As [`Tls::client_ca`], from a file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn client_ca_file(self, path: impl AsRef<Path>) -> Result<Self, StartError> {
        Ok(self.client_ca(read(path.as_ref())?))
    }

    /// Lets no client in without a certificate, `ssl.client.auth=required`. Default false.
    pub fn require_client_certificate(self, required: bool) -> Self {
        Self { requires_client_certificate: required, ..self }
    }

    /// Speaks TLS 1.2 and nothing newer.
    pub fn only_tls_1_2(self) -> Self {
        Self { versions: TLS_1_2, ..self }
    }

    /// Speaks TLS 1.3 and nothing older.
    pub fn only_tls_1_3(self) -> Self {
        Self { versions: TLS_1_3, ..self }
    }

    fn config(&self) -> Result<Arc<ServerConfig>, StartError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let chain = certificates(&self.certificate_pem, "the certificate")?;
        let key = PrivateKeyDer::from_pem_slice(&self.key_pem).map_err(|error| {
            unusable(format!("no private key without password in PEM: {error}"))
        })?;
        let verifier = self.client_verifier(&provider)?;
        let shown = shown(chain, key, &provider)
            .map_err(|error| unusable(format!("certificate and key: {error}")))?;
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions)
            .map_err(|error| unusable(error.to_string()))?;
        let builder = builder.with_client_cert_verifier(verifier);
        Ok(Arc::new(builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)))))
    }

    fn client_verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, StartError> {
        let Some(pem) = &self.client_ca_pem else {
            if self.requires_client_certificate {
                let reason = "a client certificate is required, but no authority for it is given";
                return Err(unusable(reason.to_owned()));
            }
            return Ok(WebPkiClientVerifier::no_client_auth());
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(pem, "the client authority")? {
            let added = roots.add(certificate);
            added.map_err(|error| unusable(format!("the client authority: {error}")))?;
        }
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let verifier = match self.requires_client_certificate {
            true => verifier,
            false => verifier.allow_unauthenticated(),
        };
        verifier.build().map_err(|error| unusable(format!("the client authority: {error}")))
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("has_client_ca", &self.client_ca_pem.is_some())
            .field("requires_client_certificate", &self.requires_client_certificate)
            .finish_non_exhaustive()
    }
}

/// What is shown to clients. A certificate of X.509 version 1 is, too: they are easily made, Kafka
/// has them, and only some clients mind. Whether such a one belongs to the key nobody looks.
fn shown(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, rustls::Error> {
    let shown = CertifiedKey::new(chain, provider.key_provider.load_private_key(key)?);
    match shown.keys_match() {
        Err(error) if is_of_version_1(&error) => {
            tracing::warn!(
                "certificate is of X.509 version 1, which some clients refuse; whether it belongs \
                 to the key was not looked at"
            );
        }
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) | Ok(()) => {}
        Err(error) => return Err(error),
    }
    Ok(shown)
}

/// The library that reads certificates is not ours to name, so its words have to do.
fn is_of_version_1(error: &rustls::Error) -> bool {
    matches!(error, rustls::Error::InvalidCertificate(_))
        && error.to_string().contains("UnsupportedCertVersion")
}

fn read(path: &Path) -> Result<Vec<u8>, StartError> {
    std::fs::read(path).map_err(|error| unusable(format!("{}: {error}", path.display())))
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, StartError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(certificates) if certificates.is_empty() => {
            Err(unusable(format!("{what}: no certificate in PEM")))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(unusable(format!("{what}: {error}"))),
    }
}

fn unusable(reason: String) -> StartError {
    StartError::Tls { reason }
}

/// The TLS of a running listener.
#[derive(Debug)]
pub(crate) struct RunningTls {
    present: Mutex<(Tls, Arc<ServerConfig>)>,
}

impl RunningTls {
    pub(crate) fn start(tls: Tls) -> Result<Self, StartError> {
        let config = tls.config()?;
        Ok(Self { present: Mutex::new((tls, config)) })
    }

    /// What the next connection is met with.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.present.lock().1.clone()
    }

    /// Shows another certificate from the next connection on. If it is of no use, nothing changes.
    pub(crate) fn set_certificate(
        &self,
        certificate_pem: &[u8],
        key_pem: &[u8],
    ) -> Result<(), StartError> {
        self.change(|tls| Tls {
            certificate_pem: certificate_pem.to_vec(),
            key_pem: Zeroizing::new(key_pem.to_vec()),
            ..tls
        })
    }

    /// Asks for certificates of other authorities from the next connection on.
    pub(crate) fn set_client_ca(&self, pem: &[u8]) -> Result<(), StartError> {
        self.change(|tls| tls.client_ca(pem))
    }

    fn change(&self, change: impl FnOnce(Tls) -> Tls) -> Result<(), StartError> {
        let mut present = self.present.lock();
        let tls = change(present.0.clone());
        let config = tls.config()?;
        *present = (tls, config);
        Ok(())
    }
}
