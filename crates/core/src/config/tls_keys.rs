//! The rows of the table that are about TLS.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::ProducerConfig;
use super::keys::ValueKind::{Boolean, Choice, Text};
use super::keys::{Effect, KeySpec, other, sets};
use super::security::{Secret, TlsConfig};
use super::values::boolean;

pub(super) const FILE: &str = "a path";
pub(super) const PEM: &str = "PEM";
pub(super) const NONE: &str = "";

fn tls(config: &mut ProducerConfig) -> &mut TlsConfig {
    &mut config.security.tls
}

/// A text, or nothing where it is empty: an empty value in a file means what its absence does.
pub(super) fn text(value: &str) -> Option<String> {
    Some(value.to_string()).filter(|text| !text.is_empty())
}

pub(super) fn secret(value: &str) -> Option<Secret> {
    Some(value).filter(|text| !text.is_empty()).map(Secret::new)
}

fn list(value: &str) -> Vec<String> {
    value.split([',', ':']).map(str::trim).filter(|it| !it.is_empty()).map(Into::into).collect()
}

/// A row whose value is kept as it is.
macro_rules! row {
    ($name:literal, $aliases:expr, $range:expr, $doc:literal,
     $part:ident . $field:ident $(. $more:ident)? = $read:ident) => {
        sets(($name, $aliases), (Text, $range, NONE), $doc, |c, v| {
            $part(c).$field $(. $more)? = $read(v);
            Ok(())
        })
    };
}
pub(super) use row;

/// How brokers are met.
pub(super) const TLS_KEYS: &[KeySpec] = &[
    sets(
        ("security.protocol", &[]),
        (Choice, "PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL", "PLAINTEXT"),
        "How brokers are met: in the clear or by TLS (SSL), with or without SASL.",
        |c, v| v.parse().map(|p| c.security.protocol = p),
    ),
    row!(
        "ssl.truststore.location",
        &["ssl.ca.location"],
        FILE,
        "A file with the authorities to trust, PEM or PKCS#12; the system's own when absent. Read again for each connection.",
        tls.truststore_location = text
    ),
    sets(
        ("ssl.truststore.type", &[]),
        (Choice, "PEM, PKCS12, JKS", NONE),
        "How that file is written; told from its content when absent. JKS must be converted.",
        |c, v| v.parse().map(|t| tls(c).truststore_type = Some(t)),
    ),
    row!(
        "ssl.truststore.password",
        &[],
        "any text",
        "The password of that file, if it has one.",
        tls.truststore_password = secret
    ),
    row!(
        "ssl.truststore.certificates",
        &["ssl.ca.pem"],
        PEM,
        "The authorities to trust, in the setting itself.",
        tls.truststore_certificates = text
    ),
    row!(
        "ssl.keystore.location",
        &[],
        FILE,
        "A file with our key and certificates, PKCS#12 or PEM. Read again for each connection.",
        tls.keystore_location = text
    ),
    sets(
        ("ssl.keystore.type", &[]),
        (Choice, "PEM, PKCS12, JKS", NONE),
        "How that file is written; told from its content when absent. JKS must be converted.",
        |c, v| v.parse().map(|t| tls(c).keystore_type = Some(t)),
    ),
    row!(
        "ssl.keystore.password",
        &[],
        "any text",
        "The password of that file, if it has one.",
        tls.keystore_password = secret
    ),
    row!(
        "ssl.certificate.location",
        &[],
        FILE,
        "A PEM file with our certificate and those that vouch for it. Read again for each connection.",
        tls.certificate_location = text
    ),
    row!(
        "ssl.key.location",
        &[],
        FILE,
        "A PEM file with our key. Read again for each connection.",
        tls.key_location = text
    ),
    row!(
        "ssl.keystore.certificate.chain",
        &["ssl.certificate.pem"],
        PEM,
        "Our certificate and those that vouch for it, in the setting itself.",
        tls.certificate_chain = text
    ),
    row!(
        "ssl.keystore.key",
        &["ssl.key.pem"],
        PEM,
        "Our key, in the setting itself.",
        tls.key = secret
    ),
    row!(
        "ssl.key.password",
        &[],
        "any text",
        "The password of our key, if it has one.",
        tls.key_password = secret
    ),
    sets(
        ("enable.ssl.certificate.verification", &[]),
        (Boolean, "true, false", "true"),
        "Believe only brokers whose certificate is good. With false anybody on the way can read and change everything.",
        |c, v| boolean(v).map(|b| tls(c).verify_certificate = b),
    ),
    sets(
        ("ssl.endpoint.identification.algorithm", &[]),
        (Choice, "https, none", "https"),
        "Believe a certificate only for the host that it names. With none, whoever has any certificate of a trusted authority is believed.",
        |c, v| host_check(v).map(|b| tls(c).verify_host_name = b),
    ),
    sets(
        ("ssl.enabled.protocols", &[]),
        (Text, "TLSv1.2, TLSv1.3", "TLSv1.2,TLSv1.3"),
        "Versions of TLS that are spoken.",
        |c, v| {
            let versions: Result<Vec<_>, _> = v.split(',').map(|it| it.trim().parse()).collect();
            versions.map(|versions| tls(c).versions = versions)
        },
    ),
    sets(
        ("ssl.cipher.suites", &[]),
        (Text, "names, separated by commas or colons", NONE),
        "Cipher suites that are offered, by their names of the standard; those of the library when absent.",
        |c, v| {
            tls(c).cipher_suites = list(v);
            Ok(())
        },
    ),
    row!(
        "ssl.crl.location",
        &[],
        FILE,
        "A PEM file with the certificates that were taken back.",
        tls.crl_location = text
    ),
    other("ssl.protocol", Effect::Nothing("ssl.enabled.protocols says which versions are spoken")),
    other("ssl.provider", Effect::Nothing(RUSTLS)),
    other("ssl.secure.random.implementation", Effect::Nothing(RUSTLS)),
    other("ssl.keymanager.algorithm", Effect::Nothing(RUSTLS)),
    other("ssl.trustmanager.algorithm", Effect::Nothing(RUSTLS)),
    other("ssl.curves.list", Effect::Nothing(RUSTLS)),
    other("ssl.sigalgs.list", Effect::Nothing(RUSTLS)),
    other("ssl.ca.certificate.stores", Effect::Nothing("the system's own authorities are used")),
    other("ssl.engine.factory.class", Effect::Only(&["", "null"], "TLS is rustls")),
    other("ssl.engine.location", Effect::Refused("TLS is rustls, not OpenSSL: it has no engines")),
    other("ssl.providers", Effect::Refused("TLS is rustls, not OpenSSL: it has no providers")),
    other("security.providers", Effect::Only(&["", "null"], "TLS is rustls")),
    other("config.providers", Effect::Only(&[""], "nothing that a setting names is opened")),
    other("plugin.library.paths", Effect::Only(&[""], "no code that a setting names is loaded")),
];

const RUSTLS: &str = "TLS is rustls, which knows by itself";

/// Java's `https`, and what turns it off there and in librdkafka.
fn host_check(value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "https" => Ok(true),
        "none" | "" => Ok(false),
        _ => Err(alloc::format!("expected https or none, not {value:?}")),
    }
}
