//! The judge of servers' certificates: the library's, and what settings change about it. Nothing
//! else in this crate may let a certificate pass.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

thread_local! {
    /// The certificates that were refused last on this thread. The library's error does not have
    /// them, and its configuration is shared by all connections. A handshake is judged while it is
    /// polled, so whoever polls can look here right afterwards.
    static REFUSED: Cell<Option<Vec<CertificateDer<'static>>>> = const { Cell::new(None) };
}

/// The chain that was refused since this was last asked, on this thread.
pub(super) fn take_refused() -> Option<Vec<CertificateDer<'static>>> {
    REFUSED.take()
}

/// Judges as the settings say.
pub(super) struct Judge {
    /// The library's judge. Without it every certificate passes
    /// (`enable.ssl.certificate.verification=false`); that its owner has the key is still proven.
    pub(super) library: Option<Arc<dyn ServerCertVerifier>>,
    /// Certificates that are trusted as they are, and not only what they vouch for.
    pub(super) pinned: Vec<CertificateDer<'static>>,
    /// `ssl.endpoint.identification.algorithm`.
    pub(super) checks_host_name: bool,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judge")
            .field("checks_certificate", &self.library.is_some())
            .field("checks_host_name", &self.checks_host_name)
            .finish_non_exhaustive()
    }
}

impl Judge {
    /// A broker may show the very certificate that is in the truststore, as small set-ups have it.
    /// The library takes what is in there for authorities only, so this is decided here: it is
    /// trusted in its time and for its names.
    fn judge_pinned(
        &self,
        shown: &CertificateDer<'_>,
        name: &ServerName<'_>,
        now: UnixTime,
        error: Error,
    ) -> Result<ServerCertVerified, Error> {
        // It may be no authority, or have the name of one with another key.
        let Error::InvalidCertificate(
            CertificateError::UnknownIssuer
            | CertificateError::BadSignature
            | CertificateError::Other(_),
        ) = error
        else {
            return Err(error);
        };
        if !self.pinned.iter().any(|pinned| pinned == shown) {
            return Err(error);
        }
        let (_, read) = x509_parser::parse_x509_certificate(shown)
            .map_err(|_| CertificateError::BadEncoding)?;
        let validity = read.validity();
        let seconds = |time: i64| u64::try_from(time).unwrap_or(0);
        let (from, to) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        let (not_before, not_after) = (seconds(from), seconds(to));
        let moment = |seconds| UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        if now.as_secs() < not_before {
            let not_before = moment(not_before);
            return Err(CertificateError::NotValidYetContext { time: now, not_before }.into());
        }
        if now.as_secs() > not_after {
            let not_after = moment(not_after);
            return Err(CertificateError::ExpiredContext { time: now, not_after }.into());
        }
        verify_server_name(&ParsedCertificate::try_from(shown)?, name)?;
        Ok(ServerCertVerified::assertion())
    }
}

/// The library looks at the name after everything else was found good.
fn is_about_the_name(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
        )
    )
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(library) = &self.library else { return Ok(ServerCertVerified::assertion()) };
        let verdict = library
            .verify_server_cert(shown, others, name, ocsp_response, now)
            .or_else(|error| self.judge_pinned(shown, name, now, error));
        match verdict {
            Err(error) if !self.checks_host_name && is_about_the_name(&error) => {
                Ok(ServerCertVerified::assertion())
            }
            Err(error) => {
                let chain = std::iter::once(shown).chain(others);
                REFUSED.set(Some(chain.map(|it| it.clone().into_owned()).collect()));
                Err(error)
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
