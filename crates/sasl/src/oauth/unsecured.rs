//! Tokens without a signature (KIP-255). Anybody can make them: they are for trying things out.

use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::check_extensions;
use crate::error::SaslError;
use crate::json;

const CONFIG: &str = "sasl.oauthbearer.config";

/// What an unsecured token says.
///
/// ```
/// use ottla_sasl::{UnsecuredClaims, unsecured_token};
///
/// let claims = UnsecuredClaims { life_seconds: 600, ..UnsecuredClaims::new("alice") };
/// // {"alg":"none"} . {"sub":"alice","iat":1000,"exp":1600} .
/// assert_eq!(
///     unsecured_token(&claims, 1000),
///     "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSIsImlhdCI6MTAwMCwiZXhwIjoxNjAwfQ.",
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsecuredClaims {
    /// Who the bearer is.
    pub principal: String,
    /// The claim that says so. Default: `sub`.
    pub principal_claim_name: String,
    /// What the bearer may do. None by default.
    pub scope: Vec<String>,
    /// The claim that says so. Default: `scope`.
    pub scope_claim_name: String,
    /// How long the token is good for, in seconds. Default: 3600.
    pub life_seconds: u32,
}

impl UnsecuredClaims {
    /// Claims for a principal, the others as by default.
    #[must_use]
    pub fn new(principal: impl Into<String>) -> Self {
        Self {
            principal: principal.into(),
            principal_claim_name: "sub".into(),
            scope: Vec::new(),
            scope_claim_name: "scope".into(),
            life_seconds: 3600,
        }
    }
}

/// A token without a signature (RFC 7515, appendix A.5) that begins to be good at `now_unix_s`,
/// in seconds since 1970.
#[must_use]
pub fn unsecured_token(claims: &UnsecuredClaims, now_unix_s: i64) -> String {
    let mut json = Vec::new();
    json.push(b'{');
    json::push_text(&mut json, &claims.principal_claim_name);
    json.push(b':');
    json::push_text(&mut json, &claims.principal);
    let expires = now_unix_s.saturating_add(i64::from(claims.life_seconds));
    json.extend(alloc::format!(",\"iat\":{now_unix_s},\"exp\":{expires}").bytes());
    if !claims.scope.is_empty() {
        json.push(b',');
        json::push_text(&mut json, &claims.scope_claim_name);
        json.extend(b":[");
        for (index, scope) in claims.scope.iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            json::push_text(&mut json, scope);
        }
        json.push(b']');
    }
    json.push(b'}');
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    alloc::format!("{header}.{}.", URL_SAFE_NO_PAD.encode(json))
}

/// An unsecured token, its extensions, and when it expires, in seconds since 1970.
pub type UnsecuredToken = (String, Vec<(String, String)>, i64);

/// Makes an unsecured token as `sasl.oauthbearer.config` has it in librdkafka: pairs with spaces
/// between them, of `principal` (required), `principalClaimName`, `scope` (several with commas
/// between them), `scopeClaimName`, `lifeSeconds` and `extension_NAME`.
///
/// # Errors
/// When there is no principal, or something is empty, unknown, there twice or out of its range.
pub fn unsecured_from_config(config: &str, now_unix_s: i64) -> Result<UnsecuredToken, SaslError> {
    let refused = |problem| SaslError::Setting { setting: CONFIG, problem };
    let mut given: [Option<&str>; 5] = [None; 5];
    let mut extensions = Vec::new();
    for pair in config.split(' ').filter(|pair| !pair.is_empty()) {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(refused("has something without `=`; spaces stand between pairs only"));
        };
        if let Some(name) = key.strip_prefix("extension_") {
            extensions.push((name.into(), value.into()));
            continue;
        }
        let Some(index) = KEYS.iter().position(|known| *known == key) else {
            return Err(refused(
                "has an unknown key; known are principal, principalClaimName, scope, \
                 scopeClaimName, lifeSeconds and extension_NAME",
            ));
        };
        if value.is_empty() {
            return Err(refused("has a key without a value"));
        }
        if given[index].replace(value).is_some() {
            return Err(refused("has a key twice"));
        }
    }
    check_extensions(&extensions)?;
    let [principal, principal_claim, scope, scope_claim, life] = given;
    let mut claims = UnsecuredClaims::new(principal.ok_or_else(|| refused("has no principal"))?);
    if let Some(name) = principal_claim {
        claims.principal_claim_name = name.into();
    }
    if let Some(name) = scope_claim {
        claims.scope_claim_name = name.into();
    }
    for scope in scope.into_iter().flat_map(|scope| scope.split(',')) {
        if !scope.is_empty() && !claims.scope.iter().any(|known| known == scope) {
            claims.scope.push(scope.into());
        }
    }
    if let Some(life) = life {
        let life = life.parse().ok().filter(|life| (1..=i32::MAX as u32).contains(life));
        claims.life_seconds =
            life.ok_or_else(|| refused("has lifeSeconds below 1 or over 2^31-1"))?;
    }
    let expires = now_unix_s.saturating_add(i64::from(claims.life_seconds));
    Ok((unsecured_token(&claims, now_unix_s), extensions, expires))
}

/// librdkafka's keys, besides `extension_NAME`.
const KEYS: [&str; 5] =
    ["principal", "principalClaimName", "scope", "scopeClaimName", "lifeSeconds"];

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use super::*;

    fn claims_of(token: &str) -> String {
        let parts: Vec<&str> = token.split('.').collect();
        assert_eq!((parts.len(), parts[0], parts[2]), (3, "eyJhbGciOiJub25lIn0", ""));
        let json = URL_SAFE_NO_PAD.decode(parts[1]).expect("base64");
        String::from_utf8(json).expect("text")
    }

    #[test]
    fn a_token_is_made_as_librdkafka_makes_it() {
        let config = "principalClaimName=azp principal=admin scopeClaimName=roles \
                      scope=,role1,role2,,role1 lifeSeconds=600  extension_traceId=a=1";
        let (token, extensions, expires) = unsecured_from_config(config, 1000).expect("fine");
        let expected = r#"{"azp":"admin","iat":1000,"exp":1600,"roles":["role1","role2"]}"#;
        assert_eq!((&claims_of(&token)[..], expires), (expected, 1600));
        assert_eq!(extensions, vec![("traceId".to_string(), "a=1".to_string())]);
        let (token, extensions, expires) = unsecured_from_config("principal=a", 0).expect("fine");
        assert_eq!(
            (claims_of(&token).as_str(), expires),
            (r#"{"sub":"a","iat":0,"exp":3600}"#, 3600)
        );
        assert!(extensions.is_empty());
    }

    #[test]
    fn a_quote_in_a_name_stays_inside_it() {
        let (token, ..) = unsecured_from_config(r#"principal=a","sub":"b"#, 0).expect("fine");
        assert_eq!(claims_of(&token), r#"{"sub":"a\",\"sub\":\"b","iat":0,"exp":3600}"#);
    }

    #[test]
    fn what_librdkafka_refuses_is_refused() {
        for (config, told) in [
            ("", "no principal"),
            ("scope=a", "no principal"),
            ("principal=", "without a value"),
            ("principal=a principal=b", "twice"),
            ("principal=a b", "without `=`"),
            ("principal=a lifeseconds=1", "unknown key"),
            ("principal=a lifeSeconds=0", "lifeSeconds"),
            ("principal=a lifeSeconds=2147483648", "lifeSeconds"),
            ("principal=a lifeSeconds=1h", "lifeSeconds"),
            ("principal=a extension_auth=x", "extensions have the name"),
            ("principal=a extension_=x", "extensions have a name"),
        ] {
            let error = unsecured_from_config(config, 0).expect_err(config).to_string();
            assert!(error.contains(told), "{config}: {error}");
        }
    }
}
