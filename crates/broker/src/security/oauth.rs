//! OAUTHBEARER (RFC 7628): a bearer token, and what is said of one that is not believed.

use super::session::Step;
use super::token::{Disbelieved, Tokens};
use crate::time::Now;

/// What stands between the parts of a message.
const SEPARATOR: char = '\u{1}';

/// One authentication.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    /// What the client was told of its token; it has to say that it has heard.
    told: Option<String>,
}

impl Exchange {
    /// Takes the client's next message.
    pub(super) fn step(&mut self, message: &[u8], tokens: &Tokens, now: Now) -> Step {
        let told = self.told.take();
        if let (Some(told), [0x01]) = (told, message) {
            return Step::refused(told);
        }
        let message = std::str::from_utf8(message).ok().and_then(Message::parse);
        let Some(Message { authorization_id, token }) = message else {
            return Step::Invalid("no first message of OAUTHBEARER");
        };
        match tokens.check(token, now.unix_ms) {
            Ok(believed) if authorization_id.is_some_and(|id| id != believed.principal) => {
                Step::refused(
                    "Authentication failed: Client requested an authorization id that is \
                     different from the token's principal name",
                )
            }
            Ok(believed) => Step::Proven {
                name: believed.principal,
                answer: Vec::new(),
                expires_unix_ms: Some(believed.expires_unix_ms),
            },
            Err(Disbelieved { reason, missing_scope }) => {
                tracing::debug!(reason, "token not believed");
                let told = match missing_scope {
                    Some(scope) => {
                        serde_json::json!({"status": "insufficient_scope", "scope": scope})
                    }
                    None => serde_json::json!({"status": "invalid_token"}),
                };
                let told = self.told.insert(told.to_string());
                Step::Challenge(told.clone().into_bytes())
            }
        }
    }
}

/// `n,[a=id],^Aauth=Bearer token^A[key=value^A]^A`
struct Message<'a> {
    authorization_id: Option<&'a str>,
    token: &'a str,
}

impl<'a> Message<'a> {
    fn parse(message: &'a str) -> Option<Self> {
        let rest = message.strip_prefix("n,")?;
        let (authorization_id, rest) = rest.split_once(',')?;
        let authorization_id = match authorization_id {
            "" => None,
            id => Some(id.strip_prefix("a=").filter(|id| !id.is_empty())?),
        };
        let pairs = rest.strip_prefix(SEPARATOR)?.strip_suffix(SEPARATOR)?;
        let mut token = None;
        // Each pair has its own separator behind it.
        for pair in pairs.strip_suffix(SEPARATOR)?.split(SEPARATOR) {
            let (key, value) = pair.split_once('=')?;
            let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphabetic());
            let is_value = |byte: u8| matches!(byte, 0x20..=0x7e | b'\t' | b'\r' | b'\n');
            if !is_key || value.is_empty() || !value.bytes().all(is_value) {
                return None;
            }
            // Any other is an extension (KIP-342), and this broker minds none.
            if key == "auth" && token.replace(bearer(value)?).is_some() {
                return None;
            }
        }
        Some(Self { authorization_id, token: token? })
    }
}

/// The token of `Bearer token`.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_~+/.=".contains(&byte);
    let is_token = !token.is_empty() && token.bytes().all(is_letter);
    (scheme.eq_ignore_ascii_case("bearer") && is_token).then_some(token)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Now = Now { monotonic: Duration::ZERO, unix_ms: 1_700_000_000_000 };
    /// `{"alg":"none"}` and `{"sub":"alice","exp":1700000060}`.
    const TOKEN: &str = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSIsImV4cCI6MTcwMDAwMDA2MH0.";

    fn step(exchange: &mut Exchange, message: &str) -> Step {
        exchange.step(message.as_bytes(), &Tokens::unsecured(), NOW)
    }

    #[test]
    fn a_token_that_is_believed_gives_a_name_and_an_end() {
        for message in [
            format!("n,,\u{1}auth=Bearer {TOKEN}\u{1}\u{1}"),
            format!("n,a=alice,\u{1}auth=bearer   {TOKEN}\u{1}\u{1}"),
            format!("n,,\u{1}traceId=1 2\u{1}auth=Bearer {TOKEN}\u{1}\u{1}"),
        ] {
            match step(&mut Exchange::default(), &message) {
                Step::Proven { name, answer, expires_unix_ms } => {
                    assert_eq!((name.as_str(), answer.len()), ("alice", 0));
                    assert_eq!(expires_unix_ms, Some(1_700_000_060_000));
                }
                other => panic!("{message:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_token_that_is_not_believed_is_answered_and_then_refused_with_the_same_words() {
        let mut exchange = Exchange::default();
        let message = "n,,\u{1}auth=Bearer e30.e30.\u{1}\u{1}";
        let told = r#"{"status":"invalid_token"}"#;
        match step(&mut exchange, message) {
            Step::Challenge(bytes) => assert_eq!(bytes, told.as_bytes()),
            other => panic!("{other:?}"),
        }
        match step(&mut exchange, "\u{1}") {
            Step::Refused(reason) => assert_eq!(reason, told),
            other => panic!("{other:?}"),
        }
        assert!(matches!(step(&mut exchange, "\u{1}"), Step::Invalid(_)));
    }

    #[test]
    fn messages_are_read_strictly() {
        for message in [
            "",
            "n,,",
            "n,,\u{1}\u{1}",
            "n,,\u{1}auth=Bearer \u{1}\u{1}",
            "n,,\u{1}auth=Basic abc\u{1}\u{1}",
            "n,,\u{1}auth=Bearer a b\u{1}\u{1}",
            "n,,\u{1}auth=Bearer abc\u{1}",
            "n,,auth=Bearer abc\u{1}\u{1}",
            "y,,\u{1}auth=Bearer abc\u{1}\u{1}",
            "n,x,\u{1}auth=Bearer abc\u{1}\u{1}",
            "n,,\u{1}auth=Bearer abc\u{1}auth=Bearer abc\u{1}\u{1}",
            "n,,\u{1}a1=b\u{1}auth=Bearer abc\u{1}\u{1}",
            "n,,\u{1}a=\u{1}auth=Bearer abc\u{1}\u{1}",
        ] {
            assert!(Message::parse(message).is_none(), "{message:?}");
        }
        let other = format!("n,a=bob,\u{1}auth=Bearer {TOKEN}\u{1}\u{1}");
        assert!(matches!(step(&mut Exchange::default(), &other), Step::Refused(_)));
    }
}
