//! Building a producer.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use ottla_core::config::ConfigError;
use ottla_core::output::Trouble;
use ottla_core::rng::Rng;

use crate::driver::Driver;
use crate::durability;
use crate::producer::Producer;
use crate::security::{OauthToken, Security, SecurityBuilder};
use crate::shared::Shared;
use crate::topic::Partitioner;

/// Collects settings, then starts a producer.
///
/// ```no_run
/// # fn main() -> Result<(), ottla::ConfigError> {
/// let producer = ottla::Producer::builder()
///     .set("bootstrap.servers", "localhost:9092")
///     .set("linger.ms", "10")
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct ProducerBuilder {
    /// All settings are collected there.
    security: SecurityBuilder,
    partitioner: Option<Box<dyn Partitioner>>,
    listener: Option<ServerListener>,
}

/// What a server does, or what became of the connection to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerEvent<'a> {
    /// It could not be reached, or the connection to it broke. It is tried again.
    Unreachable {
        /// `host:port`.
        server: &'a str,
        /// What happened.
        why: &'a str,
        /// Of what kind it is.
        trouble: Trouble,
    },
    /// A broker asked for silence, because a quota is used up; it gets it (KIP-219).
    Throttled {
        /// Its node id.
        node: i32,
        /// Id and address: `1 at host:port`.
        broker: &'a str,
        /// For how long.
        time: Duration,
    },
    /// A connection to it is ready.
    Reachable {
        /// `host:port`.
        server: &'a str,
    },
}

pub(crate) type ServerListener = Arc<dyn Fn(&ServerEvent<'_>) + Send + Sync>;

impl ProducerBuilder {
    pub(crate) fn new() -> Self {
        Self { security: Security::builder(), partitioner: None, listener: None }
    }

    /// Sets one key, by its Java or its librdkafka name; [`crate::config::KEYS`] has them all. A
    /// value that is refused makes [`build`](Self::build) fail.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.security = self.security.set(key, value);
        self
    }

    /// Uses `partitioner` for records that do not name their partition.
    pub fn partitioner(mut self, partitioner: impl Partitioner) -> Self {
        self.partitioner = Some(Box::new(partitioner));
        self
    }

    /// Has `function` make the tokens for OAUTHBEARER. It is called on a thread that it may block,
    /// once for all connections: before the first of them, and ahead of the end of each token, as
    /// `sasl.login.refresh.*` say. Its error is told to whoever waits; a token that is still good
    /// is used meanwhile.
    ///
    /// ```no_run
    /// use std::time::{Duration, SystemTime};
    /// use ottla::OauthToken;
    ///
    /// # fn main() -> Result<(), ottla::ConfigError> {
    /// let producer = ottla::Producer::builder()
    ///     .set("bootstrap.servers", "localhost:9093")
    ///     .set("security.protocol", "SASL_SSL")
    ///     .set("sasl.mechanism", "OAUTHBEARER")
    ///     .oauth_token(|| {
    ///         let value = std::fs::read_to_string("/run/secrets/token")?;
    ///         let expires_at = SystemTime::now() + Duration::from_secs(300);
    ///         Ok::<_, std::io::Error>(OauthToken::new(value.trim(), expires_at))
    ///     })
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn oauth_token<E: Into<Box<dyn Error + Send + Sync>>>(
        mut self,
        function: impl Fn() -> Result<OauthToken, E> + Send + Sync + 'static,
    ) -> Self {
        self.security = self.security.oauth_token(function);
        self
    }

    /// Has `listener` told when a server cannot be reached, when it can, and when it throttles. It
    /// is called where delivery callbacks are, after those that were due before, and waited for as
    /// they are by a flush and a close: it may call anything, and a slow one delays only them.
    pub fn on_server_event(
        mut self,
        listener: impl Fn(&ServerEvent<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.listener = Some(Arc::new(listener));
        self
    }

    /// Checks the settings and starts the producer's I/O thread. Connections are made when the
    /// first record needs one.
    ///
    /// # Errors
    /// A setting is unknown, out of range or in contradiction to another; or the system has no
    /// thread or no file descriptor left.
    pub fn build(self) -> Result<Producer, ConfigError> {
        let (settings, token_function) = self.security.checked()?;
        for (key, why) in settings.ignored() {
            tracing::warn!(key, why, "a setting has no effect");
        }
        if let Some(key) = settings.gives_up_idempotence_for() {
            tracing::warn!(key, "idempotence is off because of this setting");
        }
        let config = settings.build()?;
        durability::warn_of_config(&config);
        let security = Security::new(&config.security, token_function)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| system("cannot start the I/O runtime", &error))?;
        let shared = Arc::new(Shared::new(
            (config, security),
            (self.partitioner, self.listener),
            runtime.handle().clone(),
        ));
        let driver = {
            let _registers_its_alarm = runtime.enter();
            Driver::new(Arc::clone(&shared), seed())
        };
        std::thread::Builder::new()
            .name("ottla-io".into())
            .spawn(move || runtime.block_on(driver.run()))
            .map_err(|error| system("cannot start the I/O thread", &error))?;
        Ok(Producer::new(shared))
    }
}

fn system(what: &str, error: &std::io::Error) -> ConfigError {
    ConfigError { key: "system".into(), reason: format!("{what}: {error}") }
}

/// Randomness from the system; where it has none, the time will do for jitter.
fn seed() -> u64 {
    getrandom::u64().unwrap_or_else(|_| Rng::new(crate::clock::wall_ms() as u64).next_u64())
}
