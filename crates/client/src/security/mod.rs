//! How brokers are met: in the clear or by TLS, and with which credentials.
//!
//! A [`Security`] is made of settings once and shared by all connections. It reads files again
//! when they change, and hands out one [`Login`] for each authentication.

mod aws;
mod login;
mod logins;
mod stream;
mod token;

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use ottla_core::config::{
    ConfigBuilder, ConfigError, SaslConfig, SaslMechanism, Secret, SecurityConfig, SecurityProtocol,
};

use tokio::net::TcpStream;

#[cfg(feature = "tls")]
use crate::net::NoTls;
use crate::net::{self, ConnectError};
use crate::sync::Mutex;
#[cfg(feature = "tls")]
use crate::tls::{Certificate, Tls, TlsError, TlsErrorKind};

pub(crate) use login::Login;
pub(crate) use logins::Logins;
pub(crate) use stream::Stream;
pub use token::OauthToken;
use token::Tokens;
pub(crate) use token::{TokenFunction, token_function};

/// How brokers are met, for [`Admin`](crate::admin::Admin) and [`Reader`](crate::reader::Reader).
/// Clones are the same.
///
/// ```no_run
/// use ottla::Security;
///
/// # fn main() -> Result<(), ottla::ConfigError> {
/// let security = Security::builder()
///     .set("security.protocol", "SASL_SSL")
///     .set("sasl.mechanism", "SCRAM-SHA-512")
///     .set("sasl.username", "alice")
///     .set("sasl.password", &std::env::var("PASSWORD").unwrap_or_default())
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Security(Arc<Inner>);

struct Inner {
    protocol: SecurityProtocol,
    sasl: SaslConfig,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
    /// User and password, which can be replaced.
    credentials: Mutex<Option<Credentials>>,
    /// Where tokens come from, for OAUTHBEARER.
    tokens: Option<Tokens>,
}

#[derive(Clone)]
struct Credentials {
    user: String,
    password: Secret,
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Security")
            .field("protocol", &self.0.protocol.name())
            .field("mechanism", &self.0.sasl.mechanism.map(|mechanism| mechanism.name()))
            .finish_non_exhaustive()
    }
}

impl PartialEq for Security {
    /// Whether both are clones of one.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Security {}

impl Default for Security {
    /// Plain text and no credentials.
    fn default() -> Self {
        let inner = Inner {
            protocol: SecurityProtocol::Plaintext,
            sasl: SaslConfig::default(),
            #[cfg(feature = "tls")]
            tls: None,
            credentials: Mutex::new(None),
            tokens: None,
        };
        Self(Arc::new(inner))
    }
}

impl Security {
    /// Collects settings.
    pub fn builder() -> SecurityBuilder {
        SecurityBuilder { config: ConfigBuilder::default(), refused: None, token_function: None }
    }

    pub(crate) fn new(
        config: &SecurityConfig,
        token_function: Option<TokenFunction>,
    ) -> Result<Self, ConfigError> {
        #[cfg(not(feature = "tls"))]
        if config.protocol.uses_tls() {
            let why = "this program was built without TLS: enable the feature aws-lc-rs, or ring, \
                       of the crate ottla";
            return Err(ConfigError { key: "security.protocol".into(), reason: why.into() });
        }
        let credentials = match (&config.sasl.username, &config.sasl.password) {
            (Some(user), Some(password)) => {
                Some(Credentials { user: user.clone(), password: password.clone() })
            }
            _ => None,
        };
        let has_tokens = config.protocol.uses_sasl()
            && config.sasl.mechanism == Some(SaslMechanism::OauthBearer);
        let tokens = match has_tokens {
            true => Some(Tokens::new(&config.sasl, token_function)?),
            false => None,
        };
        let inner = Inner {
            protocol: config.protocol,
            sasl: config.sasl.clone(),
            #[cfg(feature = "tls")]
            tls: if config.protocol.uses_tls() { Some(Tls::new(&config.tls)?) } else { None },
            credentials: Mutex::new(credentials),
            tokens,
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Whether the client says who it is by SASL.
    pub(crate) fn uses_sasl(&self) -> bool {
        self.0.protocol.uses_sasl()
    }

    /// Whether connections are encrypted, and whether the client says who it is.
    #[must_use]
    pub fn protocol(&self) -> SecurityProtocol {
        self.0.protocol
    }

    pub(crate) fn sasl(&self) -> &SaslConfig {
        &self.0.sasl
    }

    /// Uses another user and password from the next authentication on: that of the next
    /// connection, or of the next renewal of a session. Connections that are open stay open.
    pub fn set_sasl_credentials(&self, user: &str, password: &str) {
        let credentials = Credentials { user: user.to_owned(), password: Secret::new(password) };
        *self.0.credentials.lock() = Some(credentials);
    }

    /// Connects to `server`, which is `host:port`, trying each address of the name in turn, each
    /// for up to `timeout`.
    pub(crate) async fn open(
        &self,
        server: &str,
        timeout: Duration,
    ) -> Result<Stream, ConnectError> {
        let stream = net::connect(server, timeout).await?;
        self.secure(server, stream, timeout).await
    }

    /// Goes on with a fresh connection to `server` as the settings want it: in the clear, or by TLS
    /// within `timeout`.
    pub(crate) async fn secure(
        &self,
        server: &str,
        stream: TcpStream,
        timeout: Duration,
    ) -> Result<Stream, ConnectError> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.0.tls {
            let opened = tokio::time::timeout(timeout, tls.connect(server, stream)).await;
            return match opened {
                Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(stream))),
                Ok(Err(error)) => Err(no_tls(server, &error)),
                Err(_) => {
                    let ms = timeout.as_millis();
                    let why =
                        format!("{server} did not answer within {ms} ms in the TLS handshake");
                    Err(ConnectError::tls(server, why, NoTls::Lost))
                }
            };
        }
        let _ = (server, timeout);
        Ok(Stream::Plain(stream))
    }

    /// What our own certificate says, if we have one.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn own_certificate(&self) -> Option<Certificate> {
        self.0.tls.as_ref().and_then(Tls::own)
    }

    /// What an error on a connection means, where there is more to say than it does itself.
    pub(crate) fn explain(&self, server: &str, error: &io::Error) -> Option<ConnectError> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.0.tls {
            return Some(no_tls(server, &tls.explain(server, error)));
        }
        let _ = (server, error);
        None
    }

    /// Where tokens come from, for OAUTHBEARER.
    fn tokens(&self) -> Option<&Tokens> {
        self.0.tokens.as_ref()
    }

    /// Begins to say who we are to `server`.
    pub(crate) async fn login(&self, server: &str) -> Result<Login, String> {
        Login::begin(self, server).await
    }
}

#[cfg(feature = "tls")]
fn no_tls(server: &str, error: &TlsError) -> ConnectError {
    let what = match error.kind() {
        TlsErrorKind::Untrusted
        | TlsErrorKind::Refused
        | TlsErrorKind::Incompatible
        | TlsErrorKind::Name => NoTls::Refused,
        TlsErrorKind::WrongService => NoTls::WrongService,
        TlsErrorKind::Broken | TlsErrorKind::Lost => NoTls::Lost,
    };
    ConnectError::tls(server, error.to_string(), what)
}

/// Collects settings for a [`Security`].
#[must_use]
pub struct SecurityBuilder {
    config: ConfigBuilder,
    /// The first setting that was refused: told by `build`, so that calls can be chained.
    refused: Option<ConfigError>,
    token_function: Option<TokenFunction>,
}

impl SecurityBuilder {
    /// Sets one key, by its Java or its librdkafka name. Keys that are not about security have no
    /// effect here. A value that is refused makes [`build`](Self::build) fail.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        if let Err(error) = self.config.set(key, value) {
            self.refused.get_or_insert(error);
        }
        self
    }

    /// Has `function` make the tokens for OAUTHBEARER, as
    /// [`ProducerBuilder::oauth_token`](crate::ProducerBuilder::oauth_token).
    pub fn oauth_token<E: Into<Box<dyn Error + Send + Sync>>>(
        mut self,
        function: impl Fn() -> Result<OauthToken, E> + Send + Sync + 'static,
    ) -> Self {
        self.token_function = Some(token_function(function));
        self
    }

    /// Checks the settings and reads the files that they name.
    ///
    /// # Errors
    /// A setting is unknown, out of range or in contradiction to another, or a file cannot be
    /// used.
    pub fn build(self) -> Result<Security, ConfigError> {
        let (settings, token_function) = self.checked()?;
        Security::new(&settings.build_security()?, token_function)
    }

    /// What was collected, if no setting was refused. Dangerous ones are warned of.
    pub(crate) fn checked(self) -> Result<(ConfigBuilder, Option<TokenFunction>), ConfigError> {
        if let Some(error) = self.refused {
            return Err(error);
        }
        for (key, why) in self.config.warnings() {
            tracing::warn!(key, why, "a setting is dangerous");
        }
        Ok((self.config, self.token_function))
    }
}
