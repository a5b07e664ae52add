//! Where tokens come from.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ottla_core::config::{ConfigError, OauthMethod, SaslConfig};

use super::{OauthToken, TokenError, TokenFunction, words};

const METHOD: &str = "sasl.oauthbearer.method";
const UNSECURED: &str = "sasl.oauthbearer.config";

/// What is shown of a message of the program's own function, in characters.
const MESSAGE_MAX: usize = 500;

/// A source of tokens.
pub(super) enum Source {
    /// The program.
    Function(TokenFunction),
    /// Made here, without a signature: what `sasl.oauthbearer.config` says.
    Unsecured(String),
    /// An identity provider.
    #[cfg(feature = "oidc")]
    Oidc(Box<super::oidc::Oidc>),
}

/// Why a source gave no token.
pub(super) struct Failure {
    pub(super) error: TokenError,
    /// Asking again may help.
    pub(super) is_retriable: bool,
    /// But not sooner.
    pub(super) wait_at_least: Duration,
}

impl Failure {
    /// Asking again would not help.
    pub(super) fn lasting(why: impl AsRef<str>) -> Self {
        let error = TokenError::new(why);
        Self { error, is_retriable: false, wait_at_least: Duration::ZERO }
    }

    /// Asking again may help.
    #[cfg(feature = "oidc")]
    pub(super) fn passing(why: impl AsRef<str>) -> Self {
        Self { is_retriable: true, ..Self::lasting(why) }
    }
}

impl Source {
    pub(super) fn new(
        config: &SaslConfig,
        function: Option<TokenFunction>,
        now: SystemTime,
    ) -> Result<Self, ConfigError> {
        let oauth = &config.oauth;
        let is_oidc = oauth.method == OauthMethod::Oidc;
        match function {
            Some(_) if is_oidc || oauth.unsecured => {
                let why = "a function that makes tokens is given as well: leave one of the two out";
                let unsecured = "enable.sasl.oauthbearer.unsecure.jwt";
                Err(refuse(if is_oidc { METHOD } else { unsecured }, why))
            }
            Some(function) => Ok(Self::Function(function)),
            None if is_oidc => Self::oidc(config, now),
            None if oauth.unsecured => {
                let source = Self::Unsecured(oauth.unsecured_config.clone().unwrap_or_default());
                source.unsecured(now).map_err(|why| refuse(UNSECURED, why))?;
                tracing::warn!(
                    "enable.sasl.oauthbearer.unsecure.jwt=true: brokers that take a token without \
                     a signature let anybody be anybody"
                );
                Ok(source)
            }
            None => Err(refuse(
                METHOD,
                "OAUTHBEARER needs tokens: set it to oidc, with \
                 sasl.oauthbearer.token.endpoint.url, or give a function in code that makes them",
            )),
        }
    }

    #[cfg(feature = "oidc")]
    fn oidc(config: &SaslConfig, now: SystemTime) -> Result<Self, ConfigError> {
        Ok(Self::Oidc(Box::new(super::oidc::Oidc::new(config, now)?)))
    }

    #[cfg(not(feature = "oidc"))]
    fn oidc(_: &SaslConfig, _: SystemTime) -> Result<Self, ConfigError> {
        let why =
            "oidc needs the feature `oidc` of the crate ottla, which this build does not have";
        Err(refuse(METHOD, why))
    }

    /// Asks for a token, once.
    pub(super) async fn fetch(&self, now: SystemTime) -> Result<OauthToken, Failure> {
        match self {
            Self::Function(function) => call(function).await,
            Self::Unsecured(_) => self.unsecured(now).map_err(Failure::lasting),
            #[cfg(feature = "oidc")]
            Self::Oidc(oidc) => oidc.fetch(now).await,
        }
    }

    fn unsecured(&self, now: SystemTime) -> Result<OauthToken, String> {
        let Self::Unsecured(config) = self else { return Err("it is not that".to_owned()) };
        let (value, extensions, expires) =
            ottla_sasl::unsecured_from_config(config, unix_seconds(now))
                .map_err(|error| error.to_string())?;
        let expires_at = UNIX_EPOCH + Duration::from_secs(expires.try_into().unwrap_or(0));
        let mut token = OauthToken::new(value, expires_at);
        token.extensions = extensions;
        Ok(token)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Function(_) => f.write_str("the program's own function"),
            Self::Unsecured(_) => f.write_str(UNSECURED),
            #[cfg(feature = "oidc")]
            Self::Oidc(oidc) => oidc.fmt(f),
        }
    }
}

/// The function may block, and may panic. It is not called again at once: what its errors mean is
/// not known here.
async fn call(function: &TokenFunction) -> Result<OauthToken, Failure> {
    let function = Arc::clone(function);
    let called = tokio::task::spawn_blocking(move || {
        function().map_err(|error| words::shown(&error.to_string(), MESSAGE_MAX))
    });
    match called.await {
        Ok(Ok(token)) => Ok(token),
        Ok(Err(why)) => {
            Err(Failure::lasting(format!("the program's own function gave no token: {why}")))
        }
        Err(error) if error.is_panic() => {
            Err(Failure::lasting("the program's own function for tokens panicked"))
        }
        Err(_) => Err(Failure::lasting("the client ended while a token was fetched")),
    }
}

/// Seconds since 1970.
pub(super) fn unix_seconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs().try_into().unwrap_or(i64::MAX))
}

pub(super) fn refuse(key: &str, reason: impl Into<String>) -> ConfigError {
    ConfigError { key: key.to_owned(), reason: reason.into() }
}
