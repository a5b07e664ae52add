//! What an identity provider's answer means.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::super::source::Failure;
use super::super::{OauthToken, words};
use super::endpoint::Endpoint;
use super::http::Response;

/// What is shown of the provider's words, in characters.
const CODE_MAX: usize = 80;
const DESCRIPTION_MAX: usize = 400;

/// The longest life of a token that is believed. Nobody means more, and times beyond overflow.
const LIFE_MAX: Duration = Duration::from_secs(10 * 366 * 86_400);

pub(super) struct Answer<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) response: &'a Response,
    pub(super) now: SystemTime,
}

impl Answer<'_> {
    /// The token in it. `hide` takes our own secrets out of the provider's words.
    pub(super) fn token(&self, hide: impl Fn(String) -> String) -> Result<OauthToken, Failure> {
        match self.response.status {
            200 => self.good(),
            300..400 => Err(self.redirect()),
            _ => Err(self.error(hide)),
        }
    }

    fn json(&self) -> Option<Map<String, Value>> {
        match serde_json::from_slice(&self.response.body) {
            Ok(Value::Object(json)) => Some(json),
            _ => None,
        }
    }

    fn good(&self) -> Result<OauthToken, Failure> {
        let endpoint = self.endpoint;
        let wrong = |what: &str| {
            Failure::lasting(format!(
                "{endpoint} answered without a token ({what}): is it the token endpoint?"
            ))
        };
        let mut json = self.json().ok_or_else(|| wrong("it is no JSON object"))?;
        let mut take = |name: &str| match json.remove(name) {
            Some(Value::String(token)) if !token.is_empty() => Some(Zeroizing::new(token)),
            _ => None,
        };
        let value = take("access_token").or_else(|| take("id_token"));
        let value = value.ok_or_else(|| wrong("there is no access_token in it"))?;
        let claims = claims(&value);
        let expires_in = json.get("expires_in").and_then(seconds);
        let life = self.life(expires_in, claims.as_ref()).ok_or_else(|| {
            Failure::lasting(format!(
                "the token from {endpoint} does not say how long it is good for: neither \
                 expires_in beside it nor a claim exp in it"
            ))
        })?;
        let life = life.min(LIFE_MAX.as_secs_f64());
        let Ok(life) = Duration::try_from_secs_f64(life) else {
            return Err(Failure::lasting(format!(
                "the token from {endpoint} has expired already: are the clocks right, that of this \
                 machine and the identity provider's?"
            )));
        };
        let mut token = OauthToken::new(String::new(), self.now + life);
        token.value = value;
        let subject = claims.as_ref().and_then(|claims| claims.get("sub")).and_then(Value::as_str);
        token.principal = subject.map(|subject| words::shown(subject, CODE_MAX));
        Ok(token)
    }

    /// Seconds that are left of a token's life. `expires_in` and `exp - iat` do not depend on how
    /// this machine's clock is set, so they come first.
    fn life(&self, expires_in: Option<f64>, claims: Option<&Map<String, Value>>) -> Option<f64> {
        let claim = |name: &str| claims.and_then(|claims| claims.get(name)).and_then(seconds);
        let now = self.now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let span = claim("exp").zip(claim("iat")).map(|(exp, iat)| exp - iat);
        match (expires_in, claim("exp")) {
            (Some(life), _) => Some(span.map_or(life, |span| span.min(life))),
            (None, Some(exp)) => Some(exp - now),
            (None, None) => None,
        }
        .filter(|life| life.is_finite())
    }

    /// Redirects are not followed: they could lead anywhere, with our secret (CVE-2025-27817).
    fn redirect(&self) -> Failure {
        let (endpoint, status) = (self.endpoint, self.response.status);
        let location = self.response.header("location").unwrap_or_default();
        let to = match location.split_once("://") {
            Some((scheme, rest)) => {
                let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
                let host = authority.rsplit('@').next().unwrap_or_default();
                let host = if host.is_empty() { "no host" } else { host };
                format!("to {} by {}", words::shown(host, CODE_MAX), words::shown(scheme, 20))
            }
            None => "elsewhere".to_owned(),
        };
        Failure::lasting(format!(
            "{endpoint} sends us {to} (status {status}), and redirects are not followed: set \
             sasl.oauthbearer.token.endpoint.url to the token endpoint itself"
        ))
    }

    fn error(&self, hide: impl Fn(String) -> String) -> Failure {
        let (endpoint, status) = (self.endpoint, self.response.status);
        let json = self.json();
        let said = |name: &str, max| {
            let words = json.as_ref()?.get(name)?.as_str()?;
            Some(words::shown(&hide(words.to_owned()), max)).filter(|words| !words.is_empty())
        };
        let told = match (said("error", CODE_MAX), said("error_description", DESCRIPTION_MAX)) {
            (Some(code), Some(description)) => format!(" and says {code}: {description}"),
            (Some(words), None) | (None, Some(words)) => format!(" and says {words}"),
            (None, None) => String::new(),
        };
        let code = json.as_ref().and_then(|json| json.get("error")).and_then(Value::as_str);
        let why = format!("{endpoint} gave no token (status {status}){told}{}", cure(status, code));
        if matches!(status, 408 | 429 | 500..) {
            let wait_at_least = self.retry_after();
            Failure { wait_at_least, ..Failure::passing(why) }
        } else {
            Failure::lasting(why)
        }
    }

    /// The provider's own wish, in seconds; a date is not read.
    fn retry_after(&self) -> Duration {
        let wish = self.response.header("retry-after").and_then(|value| value.parse::<u32>().ok());
        Duration::from_secs(wish.unwrap_or(0).into())
    }
}

/// What to change (the codes are those of RFC 6749 §5.2).
fn cure(status: u16, code: Option<&str>) -> &'static str {
    match (status, code) {
        (_, Some("invalid_client")) | (401, _) => {
            ": check sasl.oauthbearer.client.credentials.client.id and …client.secret, or the key \
             of the assertion; sasl.oauthbearer.header.urlencode, if they have special characters"
        }
        (_, Some("invalid_scope")) => ": check sasl.oauthbearer.scope",
        (_, Some("invalid_grant")) => {
            ": check sasl.oauthbearer.assertion.claim.iss, …sub and …aud, the key, and this \
             machine's clock"
        }
        (_, Some("unauthorized_client" | "unsupported_grant_type")) => {
            ": the client is not allowed sasl.oauthbearer.grant.type there"
        }
        (404 | 405, _) => ": check the path in sasl.oauthbearer.token.endpoint.url",
        (429, _) => ": it asks for patience",
        _ => "",
    }
}

/// A number of seconds; some providers put it into quotes.
fn seconds(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse::<u64>().ok().map(|number| number as f64),
        _ => None,
    }
}

/// What a JSON Web Token says. Its signature is for brokers to check. Not every token is one.
fn claims(token: &str) -> Option<Map<String, Value>> {
    let mut parts = token.split('.');
    let (Some(_), Some(claims), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let claims = Zeroizing::new(URL_SAFE_NO_PAD.decode(claims).ok()?);
    serde_json::from_slice(&claims).ok()
}
