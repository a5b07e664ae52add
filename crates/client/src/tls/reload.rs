//! What is in use of keys and certificates. It follows the files: each connection is made with what
//! they hold now, as long as that makes sense.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use ottla_core::config::{ConfigError, TlsConfig};
use rustls::ClientConfig;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::sign::SingleCertAndKey;

use super::certificate::{Certificate, date};
use super::files::{Files, refuse};
use super::verify::Judge;
use super::{identity, roots, suites};

/// How long before its end our certificate is worth a warning, unless it is short-lived itself.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

/// How errors call the authorities that nobody named.
const SYSTEM: &str = "the system's authorities";

/// What does not change with the files.
pub(super) struct Fixed {
    pub(super) config: TlsConfig,
    provider: Arc<CryptoProvider>,
    /// The system's judge, read once, when no authorities are named.
    system: Option<Arc<dyn ServerCertVerifier>>,
}

/// What new connections are made with.
pub(super) struct Current {
    /// With it come the sessions that may be resumed: they end with it.
    pub(super) tls: Arc<ClientConfig>,
    /// Our certificate, if we have one.
    pub(super) own: Option<Certificate>,
    /// Where the authorities are from, as errors say it.
    pub(super) authorities: String,
    is_end_told: AtomicBool,
}

/// The files as they were when they were last looked at.
pub(super) struct Seen {
    /// As they are in use.
    in_use: Files,
    /// As they were when they made no sense, not to say so again.
    refused: Option<Files>,
}

impl Fixed {
    /// Looks at what the settings say by themselves.
    ///
    /// # Errors
    /// A setting cannot be met.
    pub(super) fn new(config: &TlsConfig) -> Result<Self, ConfigError> {
        let provider = Arc::new(suites::provider(config)?);
        let has_authorities =
            config.truststore_location.is_some() || config.truststore_certificates.is_some();
        let system = if has_authorities || !config.verify_certificate {
            None
        } else {
            Some(roots::system(config, &provider)?)
        };
        Ok(Self { config: config.clone(), provider, system })
    }

    /// Reads the files for the first time.
    ///
    /// # Errors
    /// One of them cannot be used.
    pub(super) fn first(&self) -> Result<(Current, Seen), ConfigError> {
        let files = Files::read(&self.config);
        let current = self.build(&files)?;
        Ok((current, Seen { in_use: files, refused: None }))
    }

    /// Reads the files again. Gives what is to be used from now on, if that has changed. What makes
    /// no sense, because it is half written or because one file of a pair is still missing, is told
    /// once and changes nothing.
    pub(super) fn again(&self, seen: &mut Seen) -> Option<Current> {
        let files = Files::read(&self.config);
        if files == seen.in_use {
            seen.refused = None;
            return None;
        }
        if seen.refused.as_ref() == Some(&files) {
            return None;
        }
        match self.build(&files) {
            Ok(current) => {
                *seen = Seen { in_use: files, refused: None };
                match &current.own {
                    Some(own) => tracing::info!(
                        certificate = %own,
                        not_after = date(own.not_after),
                        "files of keys and certificates have changed and are used from now on"
                    ),
                    None => tracing::info!(
                        authorities = current.authorities,
                        "files of certificates have changed and are used from now on"
                    ),
                }
                Some(current)
            }
            Err(error) => {
                tracing::warn!(
                    %error,
                    "files of keys and certificates have changed and cannot be used; those from \
                     before stay in use"
                );
                seen.refused = Some(files);
                None
            }
        }
    }

    fn build(&self, files: &Files) -> Result<Current, ConfigError> {
        let Self { config, provider, system } = self;
        let given = roots::load(config, files)?;
        let library = match (&given, system) {
            _ if !config.verify_certificate => None,
            (Some(given), _) => Some(roots::verifier(config, files, given, provider)?),
            (None, system) => system.clone(),
        };
        let authorities = given.as_ref().map_or_else(|| SYSTEM.to_owned(), |it| it.place.clone());
        let judge = Judge {
            library,
            pinned: given.map(|given| given.certificates).unwrap_or_default(),
            checks_host_name: config.verify_host_name,
            algorithms: provider.signature_verification_algorithms,
        };
        let identity = identity::load(config, files)?;
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&suites::versions(config)?)
            .map_err(|error| refuse("ssl.enabled.protocols", error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(judge));
        let (tls, own) = match identity {
            Some(identity) => {
                let key = SingleCertAndKey::from(identity.key);
                (builder.with_client_cert_resolver(Arc::new(key)), Some(identity.certificate))
            }
            None => (builder.with_no_client_auth(), None),
        };
        Ok(Current { tls: Arc::new(tls), own, authorities, is_end_told: AtomicBool::new(false) })
    }
}

impl Seen {
    /// Whether there is anything to be read again.
    pub(super) fn has_files(&self) -> bool {
        !self.in_use.is_empty()
    }
}

impl Current {
    /// Warns once when our certificate has run out or soon will.
    pub(super) fn warn_of_its_end(&self, now: SystemTime) {
        let Some(own) = &self.own else { return };
        let life = own.not_after.duration_since(own.not_before).unwrap_or_default();
        let left = own.not_after.duration_since(now).unwrap_or_default();
        // Certificates that live for hours are renewed late in their life, as a matter of course.
        if left > SOON.min(life / 4) || self.is_end_told.swap(true, Ordering::Relaxed) {
            return;
        }
        let not_after = date(own.not_after);
        if left.is_zero() {
            tracing::warn!(certificate = %own, not_after, "the client certificate has run out");
        } else {
            tracing::warn!(certificate = %own, not_after, "the client certificate runs out soon");
        }
    }
}
