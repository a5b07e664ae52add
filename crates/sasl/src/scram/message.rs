//! The broker's two messages, read by the letter of RFC 5802, section 7.

use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{MAX_ITERATIONS, MIN_ITERATIONS};
use crate::error::SaslError;
use crate::words::{self, MAX_WORDS};

/// How many characters of a wrong number are shown.
const MAX_SHOWN: usize = 20;

/// Salt, iterations and nonce: `r=…,s=…,i=…`.
pub(super) struct ServerFirst<'a> {
    /// The whole message, which both sides sign.
    pub(super) text: &'a str,
    /// Our nonce and the broker's part.
    pub(super) nonce: &'a str,
    pub(super) salt: Vec<u8>,
    /// Between [`MIN_ITERATIONS`] and [`MAX_ITERATIONS`].
    pub(super) iterations: u32,
}

/// The broker's proof: `v=…`.
pub(super) struct ServerFinal {
    pub(super) signature: Vec<u8>,
}

/// One message, attribute by attribute.
struct Attributes<'a> {
    mechanism: &'static str,
    rest: Option<&'a str>,
}

impl<'a> ServerFirst<'a> {
    pub(super) fn read(
        mechanism: &'static str,
        our_nonce: &str,
        message: &'a [u8],
    ) -> Result<Self, SaslError> {
        let malformed = |problem| SaslError::Malformed { mechanism, problem };
        let (text, mut attributes) = Attributes::of(mechanism, message)?;
        let nonce = attributes.take('r', "the nonce (r=) is not where it belongs")?;
        if !nonce.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(malformed("the nonce (r=) has characters that do not belong there"));
        }
        let salt = attributes.take('s', "the salt (s=) is not where it belongs")?;
        let asked = attributes.take('i', "the iterations (i=) are not where they belong")?;
        attributes.skip_extensions(&['r', 's', 'i'])?;
        match nonce.strip_prefix(our_nonce) {
            Some(added) if !added.is_empty() => {}
            _ => return Err(SaslError::Nonce { mechanism }),
        }
        let salt = STANDARD.decode(salt).map_err(|_| malformed("the salt (s=) is not base64"))?;
        let iterations = iterations(asked).ok_or_else(|| SaslError::Iterations {
            mechanism,
            asked: words::fit(asked.as_bytes(), MAX_SHOWN),
        })?;
        Ok(Self { text, nonce, salt, iterations })
    }
}

impl ServerFinal {
    pub(super) fn read(mechanism: &'static str, message: &[u8]) -> Result<Self, SaslError> {
        let (_, mut attributes) = Attributes::of(mechanism, message)?;
        let signature = attributes.take('v', "the signature (v=) is not where it belongs")?;
        attributes.skip_extensions(&['v', 'e'])?;
        let problem = "the signature (v=) is not base64";
        let signature = STANDARD.decode(signature);
        let signature = signature.map_err(|_| SaslError::Malformed { mechanism, problem })?;
        Ok(Self { signature })
    }
}

impl<'a> Attributes<'a> {
    /// The text of a message and its attributes, unless it is a refusal.
    fn of(mechanism: &'static str, message: &'a [u8]) -> Result<(&'a str, Self), SaslError> {
        let malformed = |problem| SaslError::Malformed { mechanism, problem };
        if let Some(error) = message.strip_prefix(b"e=") {
            return Err(SaslError::Refused { mechanism, words: words::fit(error, MAX_WORDS) });
        }
        let text = core::str::from_utf8(message).map_err(|_| malformed("it is not UTF-8"))?;
        if text.contains('\0') {
            return Err(malformed("it holds the character NUL"));
        }
        Ok((text, Self { mechanism, rest: Some(text) }))
    }

    /// The value of the next attribute, which has to have this name. It is not empty.
    fn take(&mut self, name: char, problem: &'static str) -> Result<&'a str, SaslError> {
        match self.next()? {
            Some((found, value)) if found == name => Ok(value),
            _ => Err(SaslError::Malformed { mechanism: self.mechanism, problem }),
        }
    }

    /// Passes over what is unknown, as the RFC wants it, and over nothing that is known.
    fn skip_extensions(&mut self, known: &[char]) -> Result<(), SaslError> {
        while let Some((name, _)) = self.next()? {
            if known.contains(&name) {
                let problem = "an attribute is there twice";
                return Err(SaslError::Malformed { mechanism: self.mechanism, problem });
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<(char, &'a str)>, SaslError> {
        let Some(text) = self.rest else { return Ok(None) };
        let (attribute, rest) = match text.split_once(',') {
            Some((attribute, rest)) => (attribute, Some(rest)),
            None => (text, None),
        };
        self.rest = rest;
        let mut chars = attribute.chars();
        let problem = match (chars.next(), chars.next(), chars.as_str()) {
            (Some('m'), Some('='), _) => "it demands an extension (m=) that nobody knows",
            (Some(name), Some('='), value) if name.is_ascii_alphabetic() && !value.is_empty() => {
                return Ok(Some((name, value)));
            }
            _ => "something in it is no attribute",
        };
        Err(SaslError::Malformed { mechanism: self.mechanism, problem })
    }
}

/// A number of iterations that is neither too small nor too large, and written as the RFC writes
/// numbers: digits, of which the first is not 0.
fn iterations(text: &str) -> Option<u32> {
    let plain = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| plain)?;
    (MIN_ITERATIONS..=MAX_ITERATIONS).contains(&number).then_some(number)
}
