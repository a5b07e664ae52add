//! Why a server's certificate is not believed.

use std::time::{Duration, UNIX_EPOCH};

use rustls::CertificateError as Reason;
use rustls::pki_types::UnixTime;

use super::certificate::{Certificate, date};
use super::error::{Scene, TlsError, TlsErrorKind};

/// The most names of a certificate that an error lists.
const NAMES_MAX: usize = 8;

/// Explains it by the certificates that were refused.
pub(super) fn explain(scene: &Scene<'_>, reason: &Reason) -> TlsError {
    let chain = scene.refused.iter().map(|certificate| Certificate::read(certificate)).collect();
    let refused = Refused { scene, chain };
    TlsError::new(TlsErrorKind::Untrusted, refused.explain(reason))
}

struct Refused<'a> {
    scene: &'a Scene<'a>,
    /// The server's own first; `None` for what cannot be read.
    chain: Vec<Option<Certificate>>,
}

impl Refused<'_> {
    fn own(&self) -> String {
        let own = self.chain.first().and_then(Option::as_ref);
        own.map_or_else(|| "(unreadable)".to_owned(), ToString::to_string)
    }

    fn explain(&self, reason: &Reason) -> String {
        let server = self.scene.server;
        let own = self.own();
        match reason {
            Reason::ExpiredContext { time, not_after } => {
                let which = self.which(|it| it.not_after == at(*not_after));
                format!(
                    "{which} of {server} ran out at {}, and this machine's clock says {}: the \
                     broker needs a new one, or this machine the right time",
                    when(*not_after),
                    when(*time)
                )
            }
            Reason::NotValidYetContext { time, not_before } => {
                let which = self.which(|it| it.not_before == at(*not_before));
                format!(
                    "{which} of {server} is not valid before {}, and this machine's clock says \
                     {}: is one of the two clocks wrong?",
                    when(*not_before),
                    when(*time)
                )
            }
            Reason::UnknownIssuer => self.unknown_issuer(),
            Reason::BadSignature if !self.chain.is_empty() => format!(
                "the certificate of {server}, {own}, is not signed with the key that {} has for \
                 its issuer: was that authority replaced by another of the same name? Then put \
                 the new one's certificate into ssl.truststore.location (ssl.ca.location), too",
                self.scene.current.authorities
            ),
            Reason::NotValidForName | Reason::NotValidForNameContext { .. } => self.other_name(),
            Reason::Revoked => format!("the certificate of {server}, {own}, was taken back"),
            Reason::UnknownRevocationStatus => format!(
                "ssl.crl.location has no list of the issuer of the certificate of {server}, {own}"
            ),
            Reason::ExpiredRevocationListContext { next_update, .. } => format!(
                "the list in ssl.crl.location for the certificate of {server}, {own}, should have \
                 been renewed by {}",
                when(*next_update)
            ),
            Reason::InvalidPurposeContext { .. } | Reason::InvalidPurpose => format!(
                "the certificate of {server}, {own}, is not for servers (its extended key usage \
                 does not say serverAuth)"
            ),
            Reason::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => format!(
                "{server} shows the certificate of an authority, {own}, as its own: give the \
                 broker one that an authority issued, or put exactly this one into \
                 ssl.truststore.location"
            ),
            other => format!("the certificate of {server}, {own}, is not accepted: {other}"),
        }
    }

    /// The certificate of the chain that something is true of.
    fn which(&self, is_it: impl Fn(&Certificate) -> bool) -> String {
        let found = self.chain.iter().position(|it| it.as_ref().is_some_and(&is_it));
        match found.and_then(|at| Some((at, self.chain[at].as_ref()?))) {
            Some((0, own)) => format!("the certificate, {own},"),
            Some((_, other)) => format!("the certificate {other} in the chain"),
            None => "a certificate in the chain".to_owned(),
        }
    }

    fn unknown_issuer(&self) -> String {
        let server = self.scene.server;
        let authorities = &self.scene.current.authorities;
        let own = self.own();
        let last = self.chain.last().and_then(Option::as_ref);
        let cure = match last {
            Some(last) if last.is_self_signed() && self.chain.len() == 1 => {
                "put this certificate into".to_owned()
            }
            Some(last) => format!("put the certificate of {} into", last.issuer),
            None => "put its issuer's certificate into".to_owned(),
        };
        let sent = match self.chain.len() {
            1 => "the server sent no other certificate with it".to_owned(),
            n => format!("the server sent {} others with it", n.saturating_sub(1)),
        };
        format!(
            "nobody in {authorities} vouches for the certificate of {server}, {own} ({sent}): \
             {cure} ssl.truststore.location (ssl.ca.location), if the server is the right one"
        )
    }

    fn other_name(&self) -> String {
        let server = self.scene.server;
        let names = self.chain.first().and_then(Option::as_ref).map(|own| own.names.as_slice());
        let names = names.unwrap_or_default();
        let is_for = match names.len() {
            0 => "names no host at all (the common name of its subject does not count)".to_owned(),
            n if n > NAMES_MAX => {
                format!("is for {} and {} more", names[..NAMES_MAX].join(", "), n - NAMES_MAX)
            }
            _ => format!("is for {}", names.join(", ")),
        };
        format!(
            "the certificate of {server} {is_for}, not for this server: use such a name in \
             bootstrap.servers and in the broker's advertised.listeners, or give the broker a \
             certificate for this one; without ssl.endpoint.identification.algorithm=https \
             nobody would look"
        )
    }
}

fn at(time: UnixTime) -> std::time::SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs())).unwrap_or(UNIX_EPOCH)
}

fn when(time: UnixTime) -> String {
    date(at(time))
}
