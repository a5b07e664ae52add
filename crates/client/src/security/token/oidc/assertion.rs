//! Assertions: what the client says of itself, under its signature (RFC 7523 §3, KIP-1139).

use std::fs::File;
use std::io::Read;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ottla_core::config::{AssertionConfig, ConfigError, OauthConfig};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::super::source::{refuse, unix_seconds};
use super::sign;

const FILE: &str = "sasl.oauthbearer.assertion.file";
const TEMPLATE: &str = "sasl.oauthbearer.assertion.jwt.template.file";

/// The most that is read of a file.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// An object of JSON.
type Json = Map<String, Value>;

/// How assertions are made.
#[derive(Clone)]
pub(super) struct Assertion {
    config: AssertionConfig,
    client_id: Option<String>,
    endpoint: String,
}

impl Assertion {
    /// As the settings want it, if they want one.
    pub(super) fn new(oauth: &OauthConfig, endpoint: &str) -> Result<Option<Self>, ConfigError> {
        let config = oauth.assertion.clone();
        let has_key = config.private_key_file.is_some() || config.private_key_pem.is_some();
        if config.file.is_none() && !has_key {
            return Ok(None);
        }
        let (client_id, endpoint) = (oauth.client_id.clone(), endpoint.to_owned());
        Ok(Some(Self { config, client_id, endpoint }))
    }

    /// A fresh one. It reads files.
    ///
    /// # Errors
    /// A file cannot be read, or is not what it should be.
    pub(super) fn make(&self, now: SystemTime) -> Result<Zeroizing<String>, ConfigError> {
        if let Some(path) = &self.config.file {
            return finished(path);
        }
        let (mut header, mut claims) = match &self.config.template_file {
            None => (Json::new(), Json::new()),
            Some(path) => template(path)?,
        };
        header.insert("alg".into(), sign::name(self.config.algorithm).into());
        header.entry("typ").or_insert_with(|| "JWT".into());
        self.claim(&mut claims, now)?;
        let [header, claims] =
            [header, claims].map(|part| URL_SAFE_NO_PAD.encode(Value::Object(part).to_string()));
        let mut signed = Zeroizing::new(format!("{header}.{claims}"));
        let signature = sign::sign(&self.config, signed.as_bytes())?;
        signed = Zeroizing::new([&signed, ".", &URL_SAFE_NO_PAD.encode(signature)].concat());
        Ok(signed)
    }

    /// Settings come before the template, and the template before what is usual.
    fn claim(&self, claims: &mut Json, now: SystemTime) -> Result<(), ConfigError> {
        let AssertionConfig { issuer, subject, audience, valid_for, valid_since, .. } =
            &self.config;
        let id = self.client_id.as_ref();
        for (name, set, usual) in [
            ("iss", issuer.as_ref(), id),
            ("sub", subject.as_ref(), id),
            ("aud", audience.as_ref(), Some(&self.endpoint)),
        ] {
            if let Some(value) = set {
                claims.insert(name.into(), value.as_str().into());
            } else if !claims.contains_key(name) {
                let key = format!("sasl.oauthbearer.assertion.claim.{name}");
                let why = "is required: neither a template nor a client id says it";
                let value = usual.ok_or_else(|| refuse(&key, why))?;
                claims.insert(name.into(), value.as_str().into());
            }
        }
        let since = |time: SystemTime| json!(unix_seconds(time));
        let before = now.checked_sub(*valid_since).unwrap_or(SystemTime::UNIX_EPOCH);
        claims.insert("iat".into(), since(now));
        claims.insert("nbf".into(), since(before));
        claims.insert("exp".into(), since(now + (*valid_for).max(Duration::from_secs(1))));
        if self.config.has_id {
            claims.insert("jti".into(), unique()?.into());
        }
        Ok(())
    }
}

/// An id that no other assertion has: 128 bits of chance.
fn unique() -> Result<String, ConfigError> {
    let mut chance = [0; 16];
    getrandom::fill(&mut chance)
        .map_err(|error| refuse("system", format!("the system gives no chance: {error}")))?;
    Ok(URL_SAFE_NO_PAD.encode(chance))
}

/// An assertion that somebody else made.
fn finished(path: &str) -> Result<Zeroizing<String>, ConfigError> {
    let text = read(FILE, path)?;
    let belongs = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let token = str::from_utf8(&text).unwrap_or_default().trim_ascii();
    if token.split('.').count() != 3 || !token.bytes().all(belongs) {
        return Err(refuse(FILE, format!("{path} does not hold a signed JSON Web Token")));
    }
    Ok(Zeroizing::new(token.to_owned()))
}

/// Header and claims of a file such as `{"header": {"kid": "1"}, "payload": {"sub": "me"}}`.
fn template(path: &str) -> Result<(Json, Json), ConfigError> {
    let text = read(TEMPLATE, path)?;
    let wrong = || {
        let why =
            format!("{path} is not JSON of the form {{\"header\": {{…}}, \"payload\": {{…}}}}");
        refuse(TEMPLATE, why)
    };
    let Ok(Value::Object(mut parts)) = serde_json::from_slice(&text) else { return Err(wrong()) };
    let mut part = |name: &str| match parts.remove(name) {
        Some(Value::Object(part)) => Ok(part),
        None => Ok(Json::new()),
        Some(_) => Err(wrong()),
    };
    let found = (part("header")?, part("payload")?);
    if parts.is_empty() { Ok(found) } else { Err(wrong()) }
}

/// Reads a file of bounded size. Pipes and devices are left alone: they may never end.
pub(super) fn read(setting: &str, path: &str) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
    let wrong = |why: &dyn std::fmt::Display| refuse(setting, format!("cannot read {path}: {why}"));
    let metadata = std::fs::metadata(path).map_err(|error| wrong(&error))?;
    if !metadata.is_file() {
        return Err(wrong(&"it is no file"));
    }
    let too_large = format!("it is larger than {} KiB", FILE_BYTES_MAX >> 10);
    if metadata.len() > FILE_BYTES_MAX {
        return Err(wrong(&too_large));
    }
    let file = File::open(path).map_err(|error| wrong(&error))?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX as usize + 1));
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| wrong(&error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX { Err(wrong(&too_large)) } else { Ok(bytes) }
}
