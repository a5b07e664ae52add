//! OAUTHBEARER: a token that somebody else has given us, sent as it is.

mod unsecured;

use alloc::string::String;
use alloc::vec::Vec;
use core::{fmt, mem};

use zeroize::Zeroizing;

pub use self::unsecured::{
    UnsecuredClaims, UnsecuredToken, unsecured_from_config, unsecured_token,
};
use crate::error::SaslError;
use crate::mechanism::{MAX_RESPONSE_BYTES, Mechanism, Step, check_length};
use crate::response::Response;
use crate::words::{self, MAX_WORDS};

const NAME: &str = "OAUTHBEARER";
const TOKEN: &str = "the OAUTHBEARER token";
pub(crate) const EXTENSIONS: &str = "sasl.oauthbearer.extensions";

/// The OAUTHBEARER mechanism (RFC 7628), with extensions (KIP-342).
pub struct OauthBearer {
    state: State,
    /// To be cut out of what the broker says, should it repeat it.
    token: Zeroizing<String>,
    words: Option<String>,
}

/// ```text
///   First ──► Sent ──► Over
///               └────► Refused ──► Over
/// ```
enum State {
    First(Response),
    Sent,
    /// The broker has said why not, and was told that we know.
    Refused,
    Over,
}

impl OauthBearer {
    /// Takes a token, what the broker is to be told beside it, and the user to act as if that is
    /// another one. Kafka lets nobody act as somebody else.
    ///
    /// # Errors
    /// When the token holds characters that no bearer token has (RFC 6750), an extension's name
    /// is not of letters, its value is empty or not of printable ASCII, or all is too long.
    pub fn new(
        token: &str,
        extensions: &[(String, String)],
        authzid: Option<&str>,
    ) -> Result<Self, SaslError> {
        check_token(token)?;
        check_extensions(extensions)?;
        let mut header = String::from("n,");
        if let Some(authzid) = authzid.filter(|authzid| !authzid.is_empty()) {
            if authzid.contains(['\0', '\u{1}']) {
                let problem = "holds control characters";
                return Err(SaslError::Setting { setting: "the authorization id", problem });
            }
            header += "a=";
            header += &authzid.replace('=', "=3D").replace(',', "=2C");
        }
        let mut parts: Vec<&[u8]> = Vec::with_capacity(6 + 4 * extensions.len());
        parts.extend([header.as_bytes(), b",\x01auth=Bearer ", token.as_bytes(), b"\x01"]);
        for (key, value) in extensions {
            parts.extend([key.as_bytes(), b"=", value.as_bytes(), b"\x01"]);
        }
        parts.push(b"\x01");
        let response = Response::join(&parts);
        if response.len() > MAX_RESPONSE_BYTES {
            return Err(SaslError::Setting { setting: TOKEN, problem: "is too long" });
        }
        let token = Zeroizing::new(String::from(token));
        Ok(Self { state: State::First(response), token, words: None })
    }

    /// Keeps what the broker says of why it does not take the token.
    fn keep_words(&mut self, challenge: &[u8]) -> String {
        let told = String::from_utf8_lossy(challenge).replace(&self.token[..], "[token]");
        let words = words::fit(told.as_bytes(), MAX_WORDS);
        self.words = Some(words.clone());
        words
    }
}

/// Checks that a token is one by RFC 6750, section 2.1: `1*(letters, digits, -._~+/) *"="`.
fn check_token(token: &str) -> Result<(), SaslError> {
    let body = token.trim_end_matches('=');
    let is_of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    let problem = if body.is_empty() {
        "is empty"
    } else if !body.bytes().all(is_of_token) {
        "holds characters that no bearer token has"
    } else {
        return Ok(());
    };
    Err(SaslError::Setting { setting: TOKEN, problem })
}

/// Checks extensions by RFC 7628, section 3.1, and as Kafka does, which takes no empty values.
pub(crate) fn check_extensions(extensions: &[(String, String)]) -> Result<(), SaslError> {
    let is_of_value = |byte: u8| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n');
    for (index, (key, value)) in extensions.iter().enumerate() {
        let problem = if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            "have a name that is not of the letters a to z"
        } else if key == "auth" {
            "have the name `auth`, which is the token's"
        } else if value.is_empty() || !value.bytes().all(is_of_value) {
            "have a value that is empty or not of printable ASCII characters"
        } else if extensions[..index].iter().any(|(other, _)| other == key) {
            "have a name twice"
        } else {
            continue;
        };
        return Err(SaslError::Setting { setting: EXTENSIONS, problem });
    }
    Ok(())
}

impl Mechanism for OauthBearer {
    fn name(&self) -> &'static str {
        NAME
    }

    fn step(&mut self, challenge: &[u8]) -> Result<Step, SaslError> {
        let state = mem::replace(&mut self.state, State::Over);
        check_length(NAME, challenge)?;
        match state {
            State::First(response) if challenge.is_empty() => {
                self.state = State::Sent;
                Ok(Step::Respond(response))
            }
            State::Sent if challenge.is_empty() => Ok(Step::Complete),
            State::Sent => {
                self.keep_words(challenge);
                self.state = State::Refused;
                // RFC 7628, section 3.2.3: the broker ends the exchange after this byte.
                Ok(Step::Respond(Response::join(&[b"\x01"])))
            }
            State::Refused => {
                let words = self.words.clone().unwrap_or_default();
                Err(SaslError::Refused { mechanism: NAME, words })
            }
            State::First(_) | State::Over => Err(SaslError::Unexpected { mechanism: NAME }),
        }
    }

    fn server_words(&self) -> Option<&str> {
        self.words.as_deref()
    }
}

impl fmt::Debug for OauthBearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OauthBearer").field("words", &self.words).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString, vec};

    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect()
    }

    fn sent(mechanism: &mut OauthBearer, challenge: &[u8]) -> String {
        let Ok(Step::Respond(response)) = mechanism.step(challenge) else { panic!("no answer") };
        String::from_utf8(response.to_vec()).expect("text")
    }

    /// The token is that of RFC 7628, section 4.1.
    #[test]
    fn the_token_goes_with_its_extensions_in_order() {
        let token = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==";
        let mut alone = OauthBearer::new(token, &[], None).expect("fine");
        assert_eq!(sent(&mut alone, b""), format!("n,,\x01auth=Bearer {token}\x01\x01"));
        let extensions = pairs(&[("host", "server.example.com"), ("port", "143")]);
        let mut more = OauthBearer::new(token, &extensions, Some("us=e,r")).expect("fine");
        let expected = format!(
            "n,a=us=3De=2Cr,\x01auth=Bearer {token}\x01host=server.example.com\x01port=143\x01\x01"
        );
        assert_eq!(sent(&mut more, b""), expected);
        assert_eq!((more.step(b""), more.server_words()), (Ok(Step::Complete), None));
        assert!(more.step(b"").is_err());
    }

    #[test]
    fn a_refused_token_is_acknowledged_and_the_words_are_kept() {
        let mut mechanism = OauthBearer::new("abc", &[], None).expect("fine");
        sent(&mut mechanism, b"");
        let reason = br#"{"status":"invalid_token","scope":"kafka"}"#;
        assert_eq!(sent(&mut mechanism, reason), "\x01");
        assert_eq!(mechanism.server_words(), Some(r#"{"status":"invalid_token","scope":"kafka"}"#));
        let error = mechanism.step(b"").expect_err("refused");
        assert!(error.to_string().contains("invalid_token"), "{error}");
        assert_eq!(mechanism.step(b""), Err(SaslError::Unexpected { mechanism: NAME }));
    }

    #[test]
    fn the_token_is_in_no_text_even_if_the_broker_repeats_it() {
        let mut mechanism = OauthBearer::new("sesame-token", &[], None).expect("fine");
        sent(&mut mechanism, b"");
        assert!(!format!("{mechanism:?}").contains("sesame"));
        sent(&mut mechanism, b"what is \x1b[1msesame-token?");
        assert_eq!(mechanism.server_words(), Some("what is \u{fffd}[1m[token]?"));
        let error = mechanism.step(b"").expect_err("refused");
        assert!(!format!("{error:?} {error} {mechanism:?}").contains("sesame"));
    }

    #[test]
    fn what_is_no_token_is_not_sent() {
        for token in ["", "==", "a b", "a\x01b", "a,b", "tök", "a=b", "a\n"] {
            let error = OauthBearer::new(token, &[], None).expect_err(token).to_string();
            assert!(error.starts_with(TOKEN), "{error}");
        }
        assert!(OauthBearer::new(&"a".repeat(1 << 20), &[], None).is_err());
        assert!(OauthBearer::new("a", &[], Some("a\x01b")).is_err());
    }

    #[test]
    fn extensions_that_would_break_the_message_are_refused() {
        for extensions in [
            vec![("auth", "Bearer other")],
            vec![("trace_id", "1")],
            vec![("", "1")],
            vec![("ä", "1")],
            vec![("a", "")],
            vec![("a", "1\x01auth=Bearer other")],
            vec![("a", "ö")],
            vec![("a", "1"), ("a", "2")],
        ] {
            let refused = OauthBearer::new("abc", &pairs(&extensions), None);
            let error = refused.expect_err(&format!("{extensions:?}")).to_string();
            assert!(error.starts_with("sasl.oauthbearer.extensions have "), "{error}");
        }
        assert!(OauthBearer::new("abc", &pairs(&[("Auth", " a\tb~")]), None).is_ok());
    }
}
