//! Which bearer tokens are believed (RFC 7519), as Kafka's validators judge them.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use crate::error::StartError;

/// Which tokens a listener with OAUTHBEARER believes.
///
/// A token has to name its principal (`sub`) and its end (`exp`), must not be from the future
/// (`iat`, `nbf`), and gives the session no longer a life than its own.
///
/// # Examples
/// ```
/// use ottla_broker::{Mechanism, Sasl, Tokens};
///
/// let tokens = Tokens::unsecured().required_scope("produce");
/// let sasl = Sasl::new([Mechanism::OAuthBearer]).tokens(tokens);
/// # let _ = sasl;
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing until a listener has it"]
pub struct Tokens {
    /// `None`: they are not signed.
    keys: Option<Arc<Vec<Key>>>,
    issuer: Option<String>,
    audience: Option<String>,
    required_scope: Vec<String>,
    principal_claim: String,
    clock_skew: Duration,
}

/// A key that may have signed a token.
struct Key {
    id: Option<String>,
    /// The only ones that go with the key, whatever a token says.
    algorithms: &'static [Algorithm],
    key: DecodingKey,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A token that is believed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Believed {
    pub(super) principal: String,
    pub(super) expires_unix_ms: i64,
}

/// A token that is not believed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Disbelieved {
    /// For the broker's own log.
    pub(super) reason: &'static str,
    /// The scope that it lacks.
    pub(super) missing_scope: Option<String>,
}

impl From<&'static str> for Disbelieved {
    fn from(reason: &'static str) -> Self {
        Self { reason, missing_scope: None }
    }
}

impl Tokens {
    /// Tokens without signature, which anybody can make: for tests. Kafka takes such tokens unless
    /// told otherwise, and so does this broker.
    pub fn unsecured() -> Self {
        Self {
            keys: None,
            issuer: None,
            audience: None,
            required_scope: Vec::new(),
            principal_claim: "sub".to_owned(),
            clock_skew: Duration::ZERO,
        }
    }

    /// Tokens that are signed with one of these keys, a JSON Web Key Set (RFC 7517): RSA with
    /// RS256, RS384 or RS512, and P-256 or P-384 with ES256 or ES384.
    ///
    /// # Errors
    /// When it is no such set, or has no key of these kinds.
    pub fn signed_by(key_set: &str) -> Result<Self, StartError> {
        let unusable = |reason: String| StartError::Config(format!("key set: {reason}"));
        let set: JwkSet =
            serde_json::from_str(key_set).map_err(|error| unusable(error.to_string()))?;
        let mut keys = Vec::new();
        for jwk in &set.keys {
            let algorithms = algorithms_of(jwk);
            if algorithms.is_empty() {
                continue;
            }
            let key = DecodingKey::from_jwk(jwk).map_err(|error| unusable(error.to_string()))?;
            keys.push(Key { id: jwk.common.key_id.clone(), algorithms, key });
        }
        if keys.is_empty() {
            return Err(unusable("no key for RS256, RS384, RS512, ES256 or ES384".to_owned()));
        }
        Ok(Self { keys: Some(Arc::new(keys)), ..Self::unsecured() })
    }

    /// Only tokens of this issuer, `sasl.oauthbearer.expected.issuer`. Default: of any.
    pub fn issuer(self, issuer: impl Into<String>) -> Self {
        Self { issuer: Some(issuer.into()), ..self }
    }

    /// Only tokens for this audience, `sasl.oauthbearer.expected.audience`. Default: for any.
    pub fn audience(self, audience: impl Into<String>) -> Self {
        Self { audience: Some(audience.into()), ..self }
    }

    /// Only tokens with this scope, too. Default: none.
    pub fn required_scope(mut self, scope: impl Into<String>) -> Self {
        self.required_scope.push(scope.into());
        self
    }

    /// The claim that names the principal, `sasl.oauthbearer.sub.claim.name`. Default `sub`.
    pub fn principal_claim(self, name: impl Into<String>) -> Self {
        Self { principal_claim: name.into(), ..self }
    }

    /// How much clocks may differ, `sasl.oauthbearer.clock.skew.seconds`. Default 0.
    pub fn clock_skew(self, skew: Duration) -> Self {
        Self { clock_skew: skew, ..self }
    }

    pub(super) fn check(&self, token: &str, now_unix_ms: i64) -> Result<Believed, Disbelieved> {
        let mut parts = token.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("it has not three parts".into());
        };
        let signed = &token[..header.len() + 1 + claims.len()];
        self.check_signature(&object(header)?, signed, signature)?;
        self.check_claims(&object(claims)?, now_unix_ms)
    }

    fn check_signature(
        &self,
        header: &Map<String, Value>,
        signed: &str,
        signature: &str,
    ) -> Result<(), Disbelieved> {
        let algorithm = header.get("alg").and_then(Value::as_str);
        let Some(keys) = &self.keys else {
            return match (algorithm, signature) {
                (Some("none"), "") => Ok(()),
                _ => Err("it is signed, and no key is known".into()),
            };
        };
        let algorithm: Algorithm = algorithm
            .and_then(|name| name.parse().ok())
            .ok_or("its algorithm is none that is known")?;
        let id = header.get("kid").and_then(Value::as_str);
        let may_be = |key: &&Key| {
            (id.is_none() || key.id.as_deref() == id) && key.algorithms.contains(&algorithm)
        };
        let mut candidates = keys.iter().filter(may_be).peekable();
        if candidates.peek().is_none() {
            return Err("no key goes with it".into());
        }
        let is_by = |key: &Key| {
            jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &key.key, algorithm)
        };
        match candidates.any(|key| is_by(key).unwrap_or(false)) {
            true => Ok(()),
            false => Err("its signature is wrong".into()),
        }
    }

    fn check_claims(
        &self,
        claims: &Map<String, Value>,
        now_unix_ms: i64,
    ) -> Result<Believed, Disbelieved> {
        let skew_ms = i64::try_from(self.clock_skew.as_millis()).unwrap_or(i64::MAX);
        let (early, late) =
            (now_unix_ms.saturating_sub(skew_ms), now_unix_ms.saturating_add(skew_ms));
        let expires = time_ms(claims, "exp")?.ok_or("it has no end")?;
        if early >= expires {
            return Err("it has expired".into());
        }
        let issued = time_ms(claims, "iat")?;
        if issued.is_some_and(|issued| issued > late) {
            return Err("it was issued in the future".into());
        }
        if issued.is_some_and(|issued| issued >= expires) {
            return Err("it ends before it was issued".into());
        }
        if time_ms(claims, "nbf")?.is_some_and(|begins| begins > late) {
            return Err("it does not hold yet".into());
        }
        if let Some(issuer) = &self.issuer
            && claims.get("iss").and_then(Value::as_str) != Some(issuer)
        {
            return Err("it is of another issuer".into());
        }
        if let Some(audience) = &self.audience
            && !words(claims.get("aud")).contains(&audience.as_str())
        {
            return Err("it is for another audience".into());
        }
        let scope: Vec<&str> =
            words(claims.get("scope")).into_iter().flat_map(|word| word.split(' ')).collect();
        if self.required_scope.iter().any(|wanted| !scope.contains(&wanted.as_str())) {
            let missing_scope = Some(self.required_scope.join(" "));
            return Err(Disbelieved { reason: "it lacks a scope", missing_scope });
        }
        let principal = claims.get(&self.principal_claim).and_then(Value::as_str);
        match principal.filter(|principal| !principal.trim().is_empty()) {
            Some(principal) => {
                Ok(Believed { principal: principal.to_owned(), expires_unix_ms: expires })
            }
            None => Err("it names no principal".into()),
        }
    }
}

/// The algorithms that a key may be used with, none when it is for something else.
fn algorithms_of(key: &Jwk) -> &'static [Algorithm] {
    match &key.algorithm {
        AlgorithmParameters::RSA(_) => &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512],
        AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
            EllipticCurve::P256 => &[Algorithm::ES256],
            EllipticCurve::P384 => &[Algorithm::ES384],
            _ => &[],
        },
        // Not those whose key everybody has who can check with it.
        _ => &[],
    }
}

fn object(part: &str) -> Result<Map<String, Value>, &'static str> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| "a part is not base64")?;
    serde_json::from_slice(&bytes).map_err(|_| "a part is no JSON object")
}

/// A time in seconds, as milliseconds.
fn time_ms(claims: &Map<String, Value>, name: &str) -> Result<Option<i64>, &'static str> {
    match claims.get(name) {
        None => Ok(None),
        // Out of range is as far as it goes.
        Some(value) => match value.as_f64() {
            Some(seconds) => Ok(Some((seconds * 1000.0) as i64)),
            None => Err("a time is no number"),
        },
    }
}

/// One text, or a list of them.
fn words(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(word)) => vec![word],
        Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::jwk::Jwk;
    use jsonwebtoken::{EncodingKey, Header};
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    fn unsecured(claims: Value) -> String {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", part(json!({"alg": "none"})), part(claims))
    }

    fn claims() -> Value {
        json!({"sub": "alice", "exp": NOW / 1000 + 60, "iat": NOW / 1000 - 10, "scope": "a b"})
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = claims();
        claims[name] = value;
        claims
    }

    #[test]
    fn claims_are_judged_as_kafka_does() {
        let now = NOW / 1000;
        let judge = |claims: Value| Tokens::unsecured().check(&unsecured(claims), NOW);
        let believed = judge(claims()).unwrap();
        assert_eq!(believed.principal, "alice");
        assert_eq!(believed.expires_unix_ms, NOW + 60_000);
        for (name, value, reason) in [
            ("exp", json!(now), "expired"),
            ("exp", json!("tomorrow"), "no number"),
            ("exp", Value::Null, "no number"),
            ("iat", json!(now + 1), "in the future"),
            ("nbf", json!(now + 1), "not hold yet"),
            ("sub", json!(""), "no principal"),
            ("sub", json!(7), "no principal"),
        ] {
            let refused = judge(with(name, value.clone())).unwrap_err();
            assert!(refused.reason.contains(reason), "{name}={value}: {}", refused.reason);
        }
        let skewed = Tokens::unsecured().clock_skew(Duration::from_secs(2));
        assert!(skewed.check(&unsecured(with("exp", json!(now - 1))), NOW).is_ok());
        assert!(skewed.check(&unsecured(with("nbf", json!(now + 2))), NOW).is_ok());
    }

    #[test]
    fn scope_audience_and_issuer_are_those_that_are_asked_for() {
        let scoped = Tokens::unsecured().required_scope("b").required_scope("a");
        assert!(scoped.check(&unsecured(claims()), NOW).is_ok());
        assert!(scoped.check(&unsecured(with("scope", json!(["a", "b"]))), NOW).is_ok());
        let refused = scoped.check(&unsecured(with("scope", json!("ab"))), NOW).unwrap_err();
        assert_eq!(refused.missing_scope.as_deref(), Some("b a"));

        let strict = Tokens::unsecured().audience("kafka").issuer("me");
        let mut right = with("aud", json!(["other", "kafka"]));
        assert!(strict.check(&unsecured(right.clone()), NOW).is_err());
        right["iss"] = json!("me");
        assert!(strict.check(&unsecured(right.clone()), NOW).is_ok());
        right["aud"] = json!("other");
        assert!(strict.check(&unsecured(right), NOW).is_err());
    }

    #[test]
    fn only_what_a_known_key_has_signed_is_believed() {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let signing = EncodingKey::from_ec_der(&pair.serialize_der());
        let mut jwk = Jwk::from_encoding_key(&signing, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some("one".to_owned());
        let set = serde_json::to_string(&JwkSet { keys: vec![jwk] }).unwrap();
        let tokens = Tokens::signed_by(&set).unwrap();
        let sign = |id: Option<&str>| {
            let mut header = Header::new(Algorithm::ES256);
            header.kid = id.map(str::to_owned);
            jsonwebtoken::encode(&header, &claims(), &signing).unwrap()
        };
        assert_eq!(tokens.check(&sign(Some("one")), NOW).unwrap().principal, "alice");
        assert!(tokens.check(&sign(None), NOW).is_ok());
        assert!(tokens.check(&sign(Some("two")), NOW).is_err());

        // Other claims under the same signature, no signature, and the public key as a secret.
        let token = sign(Some("one"));
        let signature = token.rsplit('.').next().unwrap();
        let head = token.split('.').next().unwrap();
        let forged = URL_SAFE_NO_PAD.encode(with("sub", json!("bob")).to_string());
        assert!(tokens.check(&format!("{head}.{forged}.{signature}"), NOW).is_err());
        assert!(tokens.check(&unsecured(claims()), NOW).is_err());
        let secret = EncodingKey::from_secret(pair.public_key_raw());
        let confused =
            jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims(), &secret).unwrap();
        assert!(tokens.check(&confused, NOW).is_err());
        assert!(Tokens::unsecured().check(&token, NOW).is_err());
    }

    #[test]
    fn what_is_no_token_and_no_key_set_is_refused() {
        for token in ["", ".", "..", "a.b", "a.b.c", "a.b.c.d", "e30.e30.", "bnVsbA.e30."] {
            assert!(Tokens::unsecured().check(token, NOW).is_err(), "{token}");
        }
        let secret = r#"{"keys":[{"kty":"oct","k":"c2VjcmV0","alg":"HS256"}]}"#;
        for set in ["", "{}", r#"{"keys":[]}"#, secret] {
            assert!(Tokens::signed_by(set).is_err(), "{set}");
        }
    }
}
