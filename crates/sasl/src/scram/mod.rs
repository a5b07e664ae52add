//! SCRAM: the broker learns that we know the password, and we learn that the broker does, without
//! it being sent.

mod message;
mod proof;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::mem;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Sha256, Sha512};
use zeroize::Zeroizing;

use self::message::{ServerFinal, ServerFirst};
use self::proof::Verifier;
use crate::error::SaslError;
use crate::mechanism::{MAX_RESPONSE_BYTES, Mechanism, Step, check_length};
use crate::response::Response;

/// The fewest iterations that a broker may ask for (RFC 7677, and KIP-84 for Kafka): with fewer
/// a password is guessed too fast by who has listened.
pub const MIN_ITERATIONS: u32 = 4096;

/// The most iterations that a broker may ask for: some seconds of work on a slow processor. Kafka
/// gives 4096 unless it is told otherwise, and its tools take no more than 16384.
pub const MAX_ITERATIONS: u32 = 1_000_000;

/// The header that says that nothing of TLS is bound to the exchange, and its form in base64.
const GS2_HEADER: &str = "n,,";
const GS2_HEADER_BASE64: &str = "biws";

/// The hash that gives a SCRAM mechanism its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScramHash {
    /// `SCRAM-SHA-256`.
    Sha256,
    /// `SCRAM-SHA-512`.
    Sha512,
}

impl ScramHash {
    /// The mechanism's name.
    #[must_use]
    pub const fn mechanism(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }
}

/// The mechanisms SCRAM-SHA-256 and SCRAM-SHA-512 (RFC 5802, RFC 7677), as Kafka has them
/// (KIP-84): without channel binding, and without SASLprep. See [`saslprep`](crate::saslprep).
///
/// Kafka's broker takes user names in ASCII only. Others go as they are, and it says no.
pub struct Scram {
    hash: ScramHash,
    state: State,
}

/// ```text
///   Begin ──► Asked ──► Proven ──► Over
///     └─────────┴── an error ───────┘
/// ```
enum State {
    Begin(Opening),
    /// The first message was sent.
    Asked(Opening),
    /// The proof was sent; the broker owes its own.
    Proven(Box<Verifier>),
    Over,
}

/// What is kept until the broker has said salt and iterations.
struct Opening {
    password: Zeroizing<String>,
    nonce: String,
    /// The first message without the header.
    bare: String,
}

impl Scram {
    /// Takes a user and its password, and 24 bytes that nobody can foresee, for the nonce.
    ///
    /// With `delegation_token` the user is a token's id and the password its HMAC (KIP-48).
    ///
    /// # Errors
    /// When user or password is empty, holds the character NUL or is too long to be sent.
    pub fn new(
        hash: ScramHash,
        user: &str,
        password: &str,
        nonce: [u8; 24],
        delegation_token: bool,
    ) -> Result<Self, SaslError> {
        let nonce = STANDARD_NO_PAD.encode(nonce);
        Self::with_nonce(hash, user, password, nonce, delegation_token)
    }

    fn with_nonce(
        hash: ScramHash,
        user: &str,
        password: &str,
        nonce: String,
        delegation_token: bool,
    ) -> Result<Self, SaslError> {
        for (setting, value) in [("sasl.username", user), ("sasl.password", password)] {
            let problem = if value.is_empty() {
                "is empty"
            } else if value.contains('\0') {
                "holds the character NUL, which SCRAM does not allow"
            } else if value.len() > MAX_RESPONSE_BYTES / 4 {
                "is too long"
            } else {
                continue;
            };
            return Err(SaslError::Setting { setting, problem });
        }
        let extension = if delegation_token { ",tokenauth=true" } else { "" };
        let bare = alloc::format!("n={},r={nonce}{extension}", escape(user));
        let password = Zeroizing::new(String::from(password));
        Ok(Self { hash, state: State::Begin(Opening { password, nonce, bare }) })
    }

    /// Answers the broker's first message with the proof.
    fn prove(
        &self,
        opening: &Opening,
        challenge: &[u8],
    ) -> Result<(Response, Verifier), SaslError> {
        let first = ServerFirst::read(self.name(), &opening.nonce, challenge)?;
        let unproven = alloc::format!("c={GS2_HEADER_BASE64},r={}", first.nonce);
        let (bare, password) = (&opening.bare, opening.password.as_bytes());
        let signed = alloc::format!("{bare},{},{unproven}", first.text);
        let (proof, verifier) = match self.hash {
            ScramHash::Sha256 => proof::prove::<Sha256>(password, &first, signed.as_bytes()),
            ScramHash::Sha512 => proof::prove::<Sha512>(password, &first, signed.as_bytes()),
        };
        Ok((Response::join(&[unproven.as_bytes(), b",p=", proof.as_bytes()]), verifier))
    }
}

/// Writes the two characters that have a meaning in SCRAM messages as RFC 5802 wants them.
fn escape(user: &str) -> String {
    user.replace('=', "=3D").replace(',', "=2C")
}

impl Mechanism for Scram {
    fn name(&self) -> &'static str {
        self.hash.mechanism()
    }

    fn step(&mut self, challenge: &[u8]) -> Result<Step, SaslError> {
        let mechanism = self.name();
        let state = mem::replace(&mut self.state, State::Over);
        check_length(mechanism, challenge)?;
        match state {
            State::Begin(opening) if challenge.is_empty() => {
                let response = Response::join(&[GS2_HEADER.as_bytes(), opening.bare.as_bytes()]);
                self.state = State::Asked(opening);
                Ok(Step::Respond(response))
            }
            State::Asked(opening) => {
                let (response, verifier) = self.prove(&opening, challenge)?;
                self.state = State::Proven(Box::new(verifier));
                Ok(Step::Respond(response))
            }
            State::Proven(verifier) => {
                let last = ServerFinal::read(mechanism, challenge)?;
                if !verifier.accepts(&last.signature) {
                    return Err(SaslError::Signature { mechanism });
                }
                Ok(Step::Complete)
            }
            State::Begin(_) | State::Over => Err(SaslError::Unexpected { mechanism }),
        }
    }
}

impl fmt::Debug for Scram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Begin(_) => "Begin",
            State::Asked(_) => "Asked",
            State::Proven(_) => "Proven",
            State::Over => "Over",
        };
        f.debug_struct("Scram").field("hash", &self.hash).field("state", &state).finish()
    }
}
