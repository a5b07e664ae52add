//! Versions and cipher suites, and where the cryptography comes from.

use std::sync::Arc;

use ottla_core::config::{ConfigError, TlsConfig, TlsVersion};
use rustls::CipherSuite::{
    self, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
};
use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::SigningKey;
use rustls::version::{TLS12, TLS13};

use super::files::refuse;

#[cfg(feature = "aws-lc-rs")]
use rustls::crypto::aws_lc_rs as library;
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
use rustls::crypto::ring as library;

#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
compile_error!("TLS needs one of the features aws-lc-rs and ring");

const SUITES: &str = "ssl.cipher.suites";

/// The suites' standard names, and OpenSSL's, which librdkafka takes.
const NAMES: [(CipherSuite, &str, &str); 9] = [
    (TLS13_AES_256_GCM_SHA384, "TLS_AES_256_GCM_SHA384", ""),
    (TLS13_AES_128_GCM_SHA256, "TLS_AES_128_GCM_SHA256", ""),
    (TLS13_CHACHA20_POLY1305_SHA256, "TLS_CHACHA20_POLY1305_SHA256", ""),
    (
        TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
    ),
    (
        TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
    ),
    (
        TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
    ),
    (
        TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
    ),
    (
        TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
    ),
    (
        TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        "ECDHE-RSA-CHACHA20-POLY1305",
    ),
];

/// The standard name of a suite.
pub(super) fn name(suite: CipherSuite) -> String {
    let known = NAMES.iter().find(|(known, ..)| *known == suite);
    known.map_or_else(|| format!("{suite:?}"), |(_, name, _)| (*name).to_owned())
}

/// The cryptography, with the suites that the settings allow. It is never the one that another
/// part of the process may have chosen.
///
/// # Errors
/// A suite is not known, or none is left for the versions that are allowed.
pub(super) fn provider(config: &TlsConfig) -> Result<CryptoProvider, ConfigError> {
    let mut provider = library::default_provider();
    if !config.cipher_suites.is_empty() {
        let names = config.cipher_suites.iter().flat_map(|entry| entry.split(':'));
        let names = names.map(str::trim).filter(|name| !name.is_empty());
        let wanted: Vec<CipherSuite> = names.map(suite).collect::<Result<_, _>>()?;
        provider.cipher_suites.retain(|suite| wanted.contains(&suite.suite()));
    }
    let versions = versions(config)?;
    let serves = |suite: &rustls::SupportedCipherSuite| {
        versions.iter().any(|version| version.version == suite.version().version)
    };
    if !provider.cipher_suites.iter().any(serves) {
        let why = "none of them belongs to a version that ssl.enabled.protocols allows";
        return Err(refuse(SUITES, why));
    }
    Ok(provider)
}

/// What signs with a key. The library copies what it needs of it.
///
/// # Errors
/// The key is damaged or of an unknown kind.
pub(super) fn signing_key(key: &PrivateKeyDer<'_>) -> Result<Arc<dyn SigningKey>, rustls::Error> {
    library::sign::any_supported_type(key)
}

/// The versions that the settings allow.
///
/// # Errors
/// There is none.
pub(super) fn versions(
    config: &TlsConfig,
) -> Result<Vec<&'static SupportedProtocolVersion>, ConfigError> {
    let versions: Vec<_> = config
        .versions
        .iter()
        .map(|version| match version {
            TlsVersion::V1_2 => &TLS12,
            TlsVersion::V1_3 => &TLS13,
        })
        .collect();
    if versions.is_empty() {
        return Err(refuse("ssl.enabled.protocols", "name TLSv1.2, TLSv1.3 or both"));
    }
    Ok(versions)
}

/// The suite of a name, in the standard's form or in OpenSSL's.
fn suite(name: &str) -> Result<CipherSuite, ConfigError> {
    let is_it = |known: &str| !known.is_empty() && known.eq_ignore_ascii_case(name);
    let known = NAMES.iter().find(|(_, standard, openssl)| is_it(standard) || is_it(openssl));
    known.map(|(suite, ..)| *suite).ok_or_else(|| {
        let known: Vec<&str> = NAMES.iter().map(|(_, standard, _)| *standard).collect();
        refuse(SUITES, format!("{name:?} is not known; known are {}", known.join(", ")))
    })
}
