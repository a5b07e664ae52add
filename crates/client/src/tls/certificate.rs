//! What is told of certificates and of a connection's TLS.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ottla_core::config::TlsVersion;
use ottla_core::words::is_obeyed;
use rustls::ProtocolVersion;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use x509_parser::extensions::GeneralName;
use x509_parser::time::ASN1Time;

/// The most letters of a name in a certificate that are shown. Whoever made the certificate chose
/// them.
const NAME_CHARS_MAX: usize = 200;

/// The most host names of a certificate that are kept.
const NAMES_MAX: usize = 256;

/// What TLS agreed on for a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsSession {
    /// The version of TLS.
    pub version: TlsVersion,
    /// The cipher suite's standard name, such as `TLS_AES_128_GCM_SHA256`.
    pub cipher_suite: String,
    /// The server's certificate, and after it those that vouch for it, as the server sent them.
    pub certificates: Vec<Certificate>,
}

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Certificate {
    /// Whose it is, such as `CN=broker-1, O=Example`.
    pub subject: String,
    /// Who vouches for it.
    pub issuer: String,
    /// From when on it is valid.
    pub not_before: SystemTime,
    /// Until when it is valid.
    pub not_after: SystemTime,
    /// The host names and addresses that it is for.
    pub names: Vec<String>,
}

impl TlsSession {
    /// Of a connection whose handshake is over.
    pub(super) fn of(stream: &TlsStream<TcpStream>) -> Self {
        let (_, session) = stream.get_ref();
        let version = match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => TlsVersion::V1_2,
            _ => TlsVersion::V1_3,
        };
        let suite = session.negotiated_cipher_suite();
        let cipher_suite = suite.map_or_else(String::new, |it| super::suites::name(it.suite()));
        let chain = session.peer_certificates().unwrap_or_default();
        let certificates = chain.iter().filter_map(|der| Certificate::read(der)).collect();
        Self { version, cipher_suite, certificates }
    }
}

impl Certificate {
    /// Reads what is told of a certificate, if it can be read.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let (_, read) = x509_parser::parse_x509_certificate(der).ok()?;
        let names = read.subject_alternative_name().ok().flatten();
        let names = names.map_or_else(Vec::new, |extension| {
            extension.value.general_names.iter().filter_map(host).take(NAMES_MAX).collect()
        });
        Some(Self {
            subject: shown(&read.subject().to_string()),
            issuer: shown(&read.issuer().to_string()),
            not_before: at(read.validity().not_before.timestamp()),
            not_after: at(read.validity().not_after.timestamp()),
            names,
        })
    }

    /// Whether it vouches for itself.
    pub(super) fn is_self_signed(&self) -> bool {
        self.subject == self.issuer
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (issued by {})", self.subject, self.issuer)
    }
}

fn host(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(shown(name)),
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(v4) => Some(IpAddr::from(v4).to_string()),
            Err(_) => <[u8; 16]>::try_from(*bytes).ok().map(|v6| IpAddr::from(v6).to_string()),
        },
        _ => None,
    }
}

/// A text from outside as it may be shown: nothing that moves a terminal's cursor, nothing endless.
fn shown(text: &str) -> String {
    let text = if text.is_empty() { "(no name)" } else { text };
    let clean = |c: char| if is_obeyed(c) { '?' } else { c };
    text.chars().take(NAME_CHARS_MAX).map(clean).collect()
}

fn at(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 {
        UNIX_EPOCH.checked_sub(distance)
    } else {
        UNIX_EPOCH.checked_add(distance)
    };
    time.unwrap_or(UNIX_EPOCH)
}

/// A moment as errors have it, in UTC: `2026-11-26 09:30:00 UTC`.
pub(super) fn date(time: SystemTime) -> String {
    let seconds = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |it| -it),
    };
    let Ok(time) = ASN1Time::from_timestamp(seconds) else {
        return format!("{seconds} s after 1970");
    };
    let time = time.to_datetime();
    let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}
