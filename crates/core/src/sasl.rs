//! What brokers' answers to SaslHandshake and SaslAuthenticate mean (KIP-43, KIP-152, KIP-368), for
//! the producer and for tools that take one request at a time.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::sasl_authenticate::SaslAuthenticateResponse;
use ottla_protocol::messages::sasl_handshake::SaslHandshakeResponse;

use crate::config::{SaslMechanism, SecurityProtocol};
use crate::words::{SHOWN_MAX_CHARS, shown};

/// The SaslHandshake that has SaslAuthenticate follow it, and not bare tokens (KIP-152).
pub const HANDSHAKE_VERSION: i16 = 1;
/// So many of the mechanisms that a broker offers are named, each with so many characters.
const OFFERED_MAX: usize = 16;
const MECHANISM_MAX_CHARS: usize = 40;

/// Whether the broker takes part in the mechanism.
///
/// # Errors
/// It does not; the sentence has the setting to change.
pub fn check_handshake(
    answer: &SaslHandshakeResponse,
    mechanism: Option<SaslMechanism>,
    protocol: SecurityProtocol,
) -> Result<(), String> {
    match ErrorCode(answer.error_code) {
        ErrorCode::NONE => Ok(()),
        ErrorCode::UNSUPPORTED_SASL_MECHANISM => {
            let offered = answer.mechanisms.iter().take(OFFERED_MAX);
            let offered: Vec<String> =
                offered.map(|name| shown(name, MECHANISM_MAX_CHARS)).collect();
            Err(format!(
                "the broker does not offer sasl.mechanism={} on this listener, but {}",
                mechanism.map_or("", SaslMechanism::name),
                if offered.is_empty() { "none at all".to_string() } else { offered.join(", ") },
            ))
        }
        ErrorCode::ILLEGAL_SASL_STATE => Err(format!(
            "this listener does not ask for SASL: set security.protocol={}, or use the port of a \
             listener that does",
            if protocol.uses_tls() { "SSL" } else { "PLAINTEXT" },
        )),
        code => Err(format!("SaslHandshake: {} [{}]", code.message(), code.name())),
    }
}

/// How long the session lasts if this answer is the last one; zero is for ever.
///
/// # Errors
/// The broker refuses; the sentence has its words and the settings to look at.
pub fn check_answer(
    answer: &SaslAuthenticateResponse,
    mechanism: Option<SaslMechanism>,
) -> Result<Duration, String> {
    let code = ErrorCode(answer.error_code);
    if code.is_ok() {
        let lifetime_ms = u64::try_from(answer.session_lifetime_ms).unwrap_or(0);
        return Ok(Duration::from_millis(lifetime_ms));
    }
    let words = shown(answer.error_message.as_deref().unwrap_or(""), SHOWN_MAX_CHARS);
    let words = if words.is_empty() { code.message() } else { &words };
    let words = words.trim_end_matches('.');
    let (name, cure) = mechanism.map_or(("", ""), |it| (it.name(), it.cure()));
    Err(format!("authentication failed: {words} [{}]; {name}: {cure}", code.name()))
}
