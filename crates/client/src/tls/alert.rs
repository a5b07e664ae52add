//! What servers mean when they refuse with an alert (RFC 8446, section 6.2).

use std::time::SystemTime;

use rustls::AlertDescription as Alert;

use super::certificate::date;
use super::error::{Scene, TlsError, TlsErrorKind};

/// What an alert of the server means.
pub(super) fn explain(scene: &Scene<'_>, alert: Alert) -> TlsError {
    let server = scene.server;
    let said = said(alert);
    let (kind, message) = match alert {
        Alert::ProtocolVersion => (TlsErrorKind::Incompatible, scene.no_version()),
        Alert::HandshakeFailure | Alert::InsufficientSecurity => {
            let mut message = format!(
                "{server} finds no way to speak TLS with this client: compare \
                 ssl.enabled.protocols and ssl.cipher.suites with the broker's"
            );
            if scene.current.own.is_none() {
                message.push_str(
                    "; a broker that wants a client certificate may say so, too: set \
                     ssl.keystore.location",
                );
            }
            (TlsErrorKind::Incompatible, message)
        }
        Alert::UnrecognisedName => (
            TlsErrorKind::Refused,
            format!("{server} does not know itself by that name; use the one that it advertises"),
        ),
        Alert::CertificateRequired
        | Alert::NoCertificate
        | Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::UnknownCA
        | Alert::AccessDenied => return about_ours(scene, alert),
        Alert::DecryptError if scene.current.own.is_some() => return about_ours(scene, alert),
        _ => (TlsErrorKind::Broken, format!("{server} broke off: it said {said}")),
    };
    TlsError::new(kind, format!("{message} [{said}]"))
}

/// Alerts that are about our certificate, or about its absence.
fn about_ours(scene: &Scene<'_>, alert: Alert) -> TlsError {
    let server = scene.server;
    let said = said(alert);
    let message = match &scene.current.own {
        None => format!(
            "{server} wants a client certificate: set ssl.keystore.location, or \
             ssl.certificate.location and ssl.key.location"
        ),
        Some(own) => {
            let (from, to) = (date(own.not_before), date(own.not_after));
            let is_valid = (own.not_before..=own.not_after).contains(&SystemTime::now());
            match alert {
                // Java's brokers say certificate_unknown of it.
                _ if !is_valid && alert != Alert::CertificateExpired => format!(
                    "{server} does not accept our certificate, {own}, which is not valid now: it \
                     is from {from} to {to}"
                ),
                Alert::UnknownCA | Alert::CertificateUnknown => format!(
                    "{server} does not believe our certificate, {own}, of {from} to {to}: show \
                     one of an authority in the broker's truststore, with all certificates between"
                ),
                Alert::CertificateExpired => format!(
                    "{server} finds that our certificate, {own}, is not valid now: it is from \
                     {from} to {to}"
                ),
                Alert::CertificateRevoked => {
                    format!("{server} knows that our certificate, {own}, was taken back")
                }
                _ => format!("{server} does not accept our certificate, {own}, of {from} to {to}"),
            }
        }
    };
    TlsError::new(TlsErrorKind::Refused, format!("{message} [{said}]"))
}

/// An alert's name, as the standard writes it.
fn said(alert: Alert) -> String {
    let name = format!("{alert:?}");
    let mut said = String::with_capacity(name.len() + 4);
    let mut before = '_';
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && before.is_ascii_lowercase() {
            said.push('_');
        }
        said.push(letter.to_ascii_lowercase());
        before = letter;
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_have_the_names_of_the_standard() {
        assert_eq!(said(Alert::HandshakeFailure), "handshake_failure");
        assert_eq!(said(Alert::UnknownCA), "unknown_ca");
        assert_eq!(said(Alert::CertificateRequired), "certificate_required");
    }
}
