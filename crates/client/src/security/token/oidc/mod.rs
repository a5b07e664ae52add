//! Tokens from an identity provider: OpenID Connect's client credentials (RFC 6749 §4.4, KIP-768)
//! and assertions (RFC 7521, RFC 7523, KIP-1139, KIP-1258).
//!
//! One POST over HTTPS to the URL that is set, and to no other: a redirect is an error. Proxies
//! that the environment names are not used. Nothing in an answer makes anything be opened or read.

mod answer;
mod assertion;
mod endpoint;
mod form;
mod http;
mod sign;

use std::fmt;
use std::time::SystemTime;

use ottla_core::config::{
    ConfigError, GrantType, OauthConfig, RefreshConfig, SaslConfig, Secret, TlsConfig,
};
use zeroize::Zeroizing;

use super::source::{Failure, refuse};
use super::{OauthToken, words};
use crate::tls::{Tls, TlsErrorKind};
use answer::Answer;
use assertion::Assertion;
use endpoint::Endpoint;
use form::Form;

/// RFC 7523 §2.1.
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// RFC 7523 §2.2.
const CLIENT_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Settings of TLS with brokers, and what they are called for an identity provider.
const CA_NAMES: [(&str, &str); 4] = [
    ("ssl.truststore.location", "https.ca.location"),
    ("ssl.ca.location", "https.ca.location"),
    ("ssl.truststore.certificates", "https.ca.pem"),
    ("ssl.ca.pem", "https.ca.pem"),
];

/// An identity provider.
pub(super) struct Oidc {
    endpoint: Endpoint,
    tls: Tls,
    grant_type: GrantType,
    client_id: Option<String>,
    client_secret: Option<Secret>,
    scope: Option<String>,
    header_urlencode: bool,
    assertion: Option<Assertion>,
    limits: RefreshConfig,
}

impl Oidc {
    /// Reads what the settings name once, so that what is wrong is told at once.
    pub(super) fn new(config: &SaslConfig, now: SystemTime) -> Result<Self, ConfigError> {
        let oauth = &config.oauth;
        let endpoint = Endpoint::new(oauth)?;
        let assertion = Assertion::new(oauth, endpoint.url())?;
        if let Some(assertion) = &assertion {
            assertion.make(now)?;
        }
        Ok(Self {
            tls: tls(oauth)?,
            endpoint,
            grant_type: oauth.grant_type,
            client_id: oauth.client_id.clone(),
            client_secret: oauth.client_secret.clone(),
            scope: oauth.scope.clone(),
            header_urlencode: oauth.header_urlencode,
            assertion,
            limits: config.refresh.clone(),
        })
    }

    /// Asks once.
    pub(super) async fn fetch(&self, now: SystemTime) -> Result<OauthToken, Failure> {
        let assertion = match &self.assertion {
            None => None,
            Some(assertion) => {
                let assertion = assertion.clone();
                // It reads files, and its signature takes a moment.
                let made = tokio::task::spawn_blocking(move || assertion.make(now)).await;
                let made = made.map_err(|_| Failure::lasting("the assertion was cut short"))?;
                // A file may be half written at this moment.
                Some(made.map_err(|error| Failure::passing(error.to_string()))?)
            }
        };
        let request = self.request(assertion.as_ref().map(|it| it.as_str()));
        let response = http::exchange(&self.tls, &self.endpoint, &request, &self.limits).await?;
        let answer = Answer { endpoint: &self.endpoint, response: &response, now };
        answer.token(|words| {
            let secret = self.client_secret.as_ref().map(Secret::expose);
            words::without(
                words,
                secret.into_iter().chain(assertion.as_ref().map(|it| it.as_str())),
            )
        })
    }

    /// The whole request.
    fn request(&self, assertion: Option<&str>) -> Zeroizing<Vec<u8>> {
        let mut form = Form::new();
        match (self.grant_type, assertion) {
            (GrantType::JwtBearer, assertion) => {
                form.add("grant_type", JWT_BEARER);
                form.add("assertion", assertion.unwrap_or_default());
            }
            (GrantType::ClientCredentials, assertion) => {
                form.add("grant_type", "client_credentials");
                if let Some(assertion) = assertion {
                    form.add("client_assertion_type", CLIENT_ASSERTION);
                    form.add("client_assertion", assertion);
                    if let Some(id) = &self.client_id {
                        form.add("client_id", id);
                    }
                }
            }
        }
        if let Some(scope) = &self.scope {
            form.add("scope", scope);
        }
        let credentials = match (&self.client_id, &self.client_secret) {
            (Some(id), Some(secret)) => {
                Some(form::basic(id, secret.expose(), self.header_urlencode))
            }
            _ => None,
        };
        http::request(&self.endpoint, credentials.as_ref().map(|it| it.as_str()), form.as_str())
    }
}

impl fmt::Display for Oidc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.fmt(f)
    }
}

/// TLS with identity providers: the same as with brokers, with authorities of its own.
fn tls(oauth: &OauthConfig) -> Result<Tls, ConfigError> {
    let (location, inline) = ("https.ca.location", "https.ca.pem");
    if oauth.ca_location.is_some() && oauth.ca_pem.is_some() {
        return Err(refuse(inline, format!("{location} is set as well: leave one of the two out")));
    }
    let mut config = TlsConfig::default();
    config.truststore_location.clone_from(&oauth.ca_location);
    config.truststore_certificates.clone_from(&oauth.ca_pem);
    Tls::new(&config).map_err(|error| refuse(&renamed(&error.key), renamed(&error.reason)))
}

/// Words about TLS with brokers, with the names that settings have for an identity provider.
fn renamed(words: &str) -> String {
    let renamed = CA_NAMES.iter().fold(words.to_owned(), |words, (of, to)| words.replace(of, to));
    renamed.replace("https.ca.location (or https.ca.location)", "https.ca.location")
}

/// Why TLS with an identity provider failed.
fn explain_tls(endpoint: &Endpoint, kind: TlsErrorKind, words: &str) -> Failure {
    match kind {
        TlsErrorKind::Untrusted => {
            Failure::lasting(format!("the identity provider is not believed: {}", renamed(words)))
        }
        TlsErrorKind::WrongService => Failure::lasting(format!(
            "{endpoint} does not speak TLS there: sasl.oauthbearer.token.endpoint.url needs the \
             host and port at which the identity provider speaks https"
        )),
        TlsErrorKind::Refused => Failure::lasting(format!(
            "{endpoint} refused this client while TLS was opened; certificates of clients are not \
             shown to identity providers"
        )),
        TlsErrorKind::Name | TlsErrorKind::Incompatible => Failure::lasting(renamed(words)),
        TlsErrorKind::Broken | TlsErrorKind::Lost => Failure::passing(renamed(words)),
    }
}
