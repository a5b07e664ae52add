//! Why there is no TLS with a server, and what can be done about it.

use std::fmt;
use std::io;

use ottla_core::config::TlsVersion;
use rustls::pki_types::CertificateDer;
use rustls::{Error, PeerIncompatible};

use super::reload::Current;
use super::{alert, untrusted};

/// What went wrong, to decide by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TlsErrorKind {
    /// The server's name is none that TLS could check.
    Name,
    /// The server does not speak TLS on this port.
    WrongService,
    /// We do not believe the server.
    Untrusted,
    /// The server does not take us: it does not know our certificate, or wants one.
    Refused,
    /// The two have no version, cipher suite or the like in common.
    Incompatible,
    /// The server broke the rules of TLS, or somebody on the way did.
    Broken,
    /// The connection ended, or ended without the word that TLS has for it.
    Lost,
}

/// Why there is no TLS with a server, or not any more. Its text names the server, what was seen
/// and the setting to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsError {
    kind: TlsErrorKind,
    message: String,
}

impl TlsError {
    pub(super) fn new(kind: TlsErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// What went wrong.
    pub(crate) fn kind(&self) -> TlsErrorKind {
        self.kind
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TlsError {}

/// All that an error is explained by.
pub(super) struct Scene<'a> {
    pub(super) server: &'a str,
    /// The first bytes that the server sent, when the handshake has just begun.
    pub(super) first: &'a [u8],
    /// The certificates that were not believed, the server's own first.
    pub(super) refused: &'a [CertificateDer<'static>],
    /// The handshake is not over.
    pub(super) is_handshaking: bool,
    pub(super) versions: &'a [TlsVersion],
    pub(super) current: &'a Current,
}

/// What to do where something else than TLS is spoken.
const USE_PLAIN_TEXT: &str = "set security.protocol to PLAINTEXT or SASL_PLAINTEXT, or take the \
                              port of a listener with TLS";

impl Scene<'_> {
    /// What an error of the connection means.
    pub(super) fn explain(&self, error: &io::Error) -> TlsError {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        match inner {
            Some(inner) => self.explain_tls(inner),
            None => self.explain_end(error),
        }
    }

    fn explain_tls(&self, error: &Error) -> TlsError {
        let server = self.server;
        match error {
            Error::AlertReceived(alert) => alert::explain(self, *alert),
            Error::InvalidCertificate(error) => untrusted::explain(self, error),
            Error::InvalidCertRevocationList(error) => TlsError::new(
                TlsErrorKind::Untrusted,
                format!(
                    "the list of revoked certificates cannot be used for {server} ({error:?}): \
                     correct ssl.crl.location"
                ),
            ),
            Error::InvalidMessage(_) | Error::InappropriateMessage { .. }
                if self.is_handshaking && !is_tls(self.first) =>
            {
                self.wrong_service()
            }
            Error::PeerIncompatible(what) => self.incompatible(what),
            Error::NoCertificatesPresented => TlsError::new(
                TlsErrorKind::Untrusted,
                format!("{server} shows no certificate, so nobody knows who it is"),
            ),
            other => TlsError::new(
                TlsErrorKind::Broken,
                format!(
                    "{server} or somebody on the way to it does not keep to the rules of TLS: \
                     {other}"
                ),
            ),
        }
    }

    fn incompatible(&self, what: &PeerIncompatible) -> TlsError {
        let server = self.server;
        let message = match what {
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled => self.no_version(),
            PeerIncompatible::NoCipherSuitesInCommon => format!(
                "{server} and this client have no cipher suite in common: allow others in \
                 ssl.cipher.suites"
            ),
            other => format!("{server} lacks something of TLS that this client needs: {other:?}"),
        };
        TlsError::new(TlsErrorKind::Incompatible, message)
    }

    /// No version of TLS is spoken by both.
    pub(super) fn no_version(&self) -> String {
        let ours: Vec<_> = self.versions.iter().map(|version| name(*version)).collect();
        format!(
            "{} speaks none of the versions of TLS that are allowed here ({}): see \
             ssl.enabled.protocols, here and at the broker",
            self.server,
            ours.join(", ")
        )
    }

    fn wrong_service(&self) -> TlsError {
        let server = self.server;
        let what = match self.first {
            [b'H', b'T', b'T', b'P', ..] | [b'<', ..] => "it speaks HTTP",
            [b'S', b'S', b'H', b'-', ..] => "it speaks SSH",
            first if is_text(first) => "it answers with text",
            _ => "what it answers is something else",
        };
        let message = format!("{server} does not speak TLS here, {what}: {USE_PLAIN_TEXT}");
        TlsError::new(TlsErrorKind::WrongService, message)
    }

    /// Errors of the connection itself.
    fn explain_end(&self, error: &io::Error) -> TlsError {
        let server = self.server;
        let is_end = matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::ConnectionAborted
        );
        if self.is_handshaking && is_end {
            return match self.first {
                // What a broker does that takes our greeting for the length of a request.
                [] => TlsError::new(
                    TlsErrorKind::WrongService,
                    format!(
                        "{server} closed the connection instead of speaking TLS; does it speak \
                         plain text? If so, {USE_PLAIN_TEXT}"
                    ),
                ),
                first if !is_tls(first) => self.wrong_service(),
                _ => TlsError::new(
                    TlsErrorKind::Lost,
                    format!("{server} closed the connection in the middle of the TLS handshake"),
                ),
            };
        }
        let message = match error.kind() {
            // Somebody on the way may have cut it off: what came before may not be everything.
            io::ErrorKind::UnexpectedEof => format!(
                "the connection to {server} was cut off without the close_notify that ends TLS"
            ),
            _ => format!("the connection to {server} broke: {error}"),
        };
        TlsError::new(TlsErrorKind::Lost, message)
    }
}

/// Whether bytes are the beginning of a TLS record.
fn is_tls(first: &[u8]) -> bool {
    matches!(first, [0x14..=0x17] | [0x14..=0x17, 3, ..])
}

fn is_text(first: &[u8]) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    !first.is_empty() && first.iter().all(is_letter)
}

/// A version's name, as settings have it.
pub(super) fn name(version: TlsVersion) -> &'static str {
    match version {
        TlsVersion::V1_2 => "TLSv1.2",
        TlsVersion::V1_3 => "TLSv1.3",
    }
}
