//! AWS_MSK_IAM: a request to AWS that we sign and the broker has judged.

mod region;
mod sigv4;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::mem;

pub use self::region::region_of;
use self::sigv4::Presign;
use crate::error::SaslError;
use crate::json;
use crate::mechanism::{Mechanism, Step, check_length};
use crate::response::Response;
use crate::words;

const NAME: &str = "AWS_MSK_IAM";
/// The only version of the exchange that there is.
const VERSION: &str = "2020_10_22";
/// For how long the broker may take the request to AWS, as AWS's own client has it.
const EXPIRES_S: u32 = 900;
/// What a name or key may have at most, in bytes. Session tokens are the longest: 2 KiB or so.
const MAX_FIELD_BYTES: usize = 16 << 10;

/// What AWS knows an account's user or role by. The caller wipes it.
#[derive(Clone, Copy)]
pub struct AwsCredentials<'a> {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: &'a str,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: &'a str,
    /// `AWS_SESSION_TOKEN`, of credentials that are lent.
    pub session_token: Option<&'a str>,
}

impl fmt::Debug for AwsCredentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// The AWS_MSK_IAM mechanism: of Amazon's managed Kafka, with access managed by AWS.
#[derive(Debug)]
pub struct AwsMskIam {
    state: State,
    request_id: Option<String>,
}

/// `First` → `Sent` → `Over`.
#[derive(Debug)]
enum State {
    First(Response),
    Sent,
    Over,
}

impl AwsMskIam {
    /// Signs a request to connect to a broker, good for 15 minutes from `now_unix_s`, which is in
    /// seconds since 1970. The secret key is not kept.
    ///
    /// `host` is the broker's name without its port, as it was connected to; [`region_of`] knows
    /// the region by it. `user_agent` says which program asks; access rules may look at it.
    ///
    /// # Errors
    /// When something is empty, too long or has characters that do not belong there, or the time
    /// is before 1970 or after 9999.
    pub fn new(
        credentials: &AwsCredentials<'_>,
        host: &str,
        region: &str,
        now_unix_s: i64,
        user_agent: &str,
    ) -> Result<Self, SaslError> {
        check(credentials, host, region, user_agent)?;
        let time = sigv4::Time::from_unix(now_unix_s).ok_or(SaslError::Setting {
            setting: "the system's clock",
            problem: "is set to a time that AWS does not know",
        })?;
        let query = [("Action", "kafka-cluster:Connect")];
        let presign = Presign { credentials, region, service: "kafka-cluster", host, time };
        let signed = presign.sign(&query, EXPIRES_S);
        let names: Vec<String> = signed.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        let mut fields = Vec::with_capacity(signed.len() + 3);
        fields.extend([("version", VERSION), ("host", host), ("user-agent", user_agent)]);
        fields.extend(names.iter().zip(&signed).map(|(name, (_, value))| (&name[..], &value[..])));
        let response = Response::new(json::object(&fields));
        Ok(Self { state: State::First(response), request_id: None })
    }

    /// The broker's yes: a version, and the number under which AWS keeps this.
    fn take_answer(&mut self, challenge: &[u8]) -> Result<(), SaslError> {
        let malformed = |problem| SaslError::Malformed { mechanism: NAME, problem };
        let fields = json::fields(challenge).ok_or_else(|| malformed("it is no JSON object"))?;
        let field = |wanted| fields.iter().find(|(name, _)| name == wanted);
        match field("version") {
            Some((_, version)) if version == VERSION => {}
            Some(_) => return Err(malformed("its `version` is not 2020_10_22")),
            None => return Err(malformed("it has no `version`")),
        }
        let (_, id) = field("request-id").ok_or_else(|| malformed("it has no `request-id`"))?;
        self.request_id = Some(words::fit(id.as_bytes(), 100));
        Ok(())
    }
}

/// Checks what goes into the request.
fn check(
    credentials: &AwsCredentials<'_>,
    host: &str,
    region: &str,
    user_agent: &str,
) -> Result<(), SaslError> {
    let visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let named =
        |text: &str| text.bytes().all(|it| it.is_ascii_alphanumeric() || b".-:_".contains(&it));
    let token = credentials.session_token.unwrap_or("-");
    let id = credentials.access_key_id;
    let regional = region.bytes().all(|it| matches!(it, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    let spoken = !user_agent.chars().any(char::is_control);
    let secret = credentials.secret_access_key;
    for (setting, value, right) in [
        ("sasl.aws.access.key.id", id, visible(id) && !id.contains('/')),
        ("sasl.aws.secret.access.key", secret, visible(secret)),
        ("sasl.aws.session.token", token, visible(token)),
        ("the broker's host name", host, named(host)),
        ("sasl.aws.region", region, regional),
        ("the user agent", user_agent, spoken),
    ] {
        let problem = if value.is_empty() {
            "is empty"
        } else if value.len() > MAX_FIELD_BYTES {
            "is too long"
        } else if !right {
            "has characters that do not belong there"
        } else {
            continue;
        };
        return Err(SaslError::Setting { setting, problem });
    }
    Ok(())
}

impl Mechanism for AwsMskIam {
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
            State::Sent => {
                self.take_answer(challenge)?;
                Ok(Step::Complete)
            }
            State::First(_) | State::Over => Err(SaslError::Unexpected { mechanism: NAME }),
        }
    }

    fn server_words(&self) -> Option<&str> {
        self.request_id.as_deref()
    }
}

#[cfg(test)]
mod tests;
