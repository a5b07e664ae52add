//! PLAIN: user and password, as they are. Only TLS keeps them from whoever listens.

use crate::error::SaslError;
use crate::mechanism::{MAX_RESPONSE_BYTES, Mechanism, Step};
use crate::response::Response;

const NAME: &str = "PLAIN";

/// The PLAIN mechanism (RFC 4616).
#[derive(Debug)]
pub struct Plain(State);

/// `First` → `Sent` → `Over`.
#[derive(Debug)]
enum State {
    First(Response),
    Sent,
    Over,
}

impl Plain {
    /// Takes a user and its password, and the user to act as if that is another one. Kafka lets
    /// nobody act as somebody else.
    ///
    /// # Errors
    /// When user or password is empty, holds the character NUL or is too long to be sent.
    pub fn new(authzid: Option<&str>, user: &str, password: &str) -> Result<Self, SaslError> {
        let authzid = authzid.unwrap_or_default();
        let fields = [("sasl.username", user), ("sasl.password", password)];
        for (setting, value) in fields.into_iter().chain([("the authorization id", authzid)]) {
            let problem = if value.contains('\0') {
                "holds the character NUL, which PLAIN cannot send"
            } else if value.len() > MAX_RESPONSE_BYTES / 4 {
                "is too long"
            } else {
                continue;
            };
            return Err(SaslError::Setting { setting, problem });
        }
        if let Some((setting, _)) = fields.into_iter().find(|(_, value)| value.is_empty()) {
            return Err(SaslError::Setting { setting, problem: "is empty" });
        }
        let parts = [authzid.as_bytes(), b"\0", user.as_bytes(), b"\0", password.as_bytes()];
        Ok(Self(State::First(Response::join(&parts))))
    }
}

impl Mechanism for Plain {
    fn name(&self) -> &'static str {
        NAME
    }

    fn step(&mut self, challenge: &[u8]) -> Result<Step, SaslError> {
        match core::mem::replace(&mut self.0, State::Over) {
            State::First(response) if challenge.is_empty() => {
                self.0 = State::Sent;
                Ok(Step::Respond(response))
            }
            State::Sent if challenge.is_empty() => Ok(Step::Complete),
            _ => Err(SaslError::Unexpected { mechanism: NAME }),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString};

    use super::*;

    #[test]
    fn user_and_password_go_as_they_are() {
        let mut plain = Plain::new(Some("bob"), "al=i,ce", "pä ss").expect("fine");
        let expected = Response::join(&["bob\0al=i,ce\0pä ss".as_bytes()]);
        assert_eq!(plain.step(b""), Ok(Step::Respond(expected)));
        assert_eq!((plain.step(b""), plain.name()), (Ok(Step::Complete), "PLAIN"));
        assert_eq!(plain.step(b""), Err(SaslError::Unexpected { mechanism: "PLAIN" }));
    }

    /// Laws: none. Scenarios: S3.
    #[test]
    fn what_plain_cannot_send_is_refused_before_it_is_sent() {
        for (user, password, setting) in [
            ("", "secret", "sasl.username"),
            ("al\0ice", "secret", "sasl.username"),
            ("alice", "", "sasl.password"),
            ("alice", "sec\0ret", "sasl.password"),
        ] {
            let error = Plain::new(None, user, password).expect_err("refused");
            assert!(error.to_string().starts_with(setting), "{error}");
            assert!(!error.to_string().contains("sec"), "{error}");
        }
        assert!(Plain::new(Some("\0"), "alice", "secret").is_err());
        assert!(Plain::new(None, "alice", &"x".repeat(1 << 20)).is_err());
    }

    #[test]
    fn a_broker_that_asks_something_of_plain_is_not_answered() {
        let unexpected = Err(SaslError::Unexpected { mechanism: "PLAIN" });
        let mut plain = Plain::new(None, "alice", "secret").expect("fine");
        assert_eq!(plain.step(b"?"), unexpected);
        assert_eq!(plain.step(b""), unexpected, "nothing is sent after that");
        let mut plain = Plain::new(None, "alice", "secret").expect("fine");
        plain.step(b"").expect("the first message");
        assert_eq!(plain.step(b"welcome"), unexpected);
    }

    #[test]
    fn the_password_is_not_shown() {
        let plain = Plain::new(None, "alice", "opensesame").expect("fine");
        assert!(!format!("{plain:?}").contains("sesame"));
    }
}
