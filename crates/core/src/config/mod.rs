//! The producer's settings, typed, and the rules that hold between them.

mod jaas;
mod jaas_text;
mod keys;
mod nearest;
mod sasl_keys;
mod security;
mod security_rules;
mod tls_keys;
mod values;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use ottla_protocol::record::CompressionType;

use crate::partitioner::PartitionerKind;

pub use keys::{Effect, KEYS, KeySpec, ValueKind, find_key};
pub use nearest::nearest;
pub use security::{
    AssertionAlgorithm, AssertionConfig, AwsConfig, GrantType, KerberosConfig, OauthConfig,
    OauthMethod, RefreshConfig, SaslConfig, SaslMechanism, Secret, SecurityConfig,
    SecurityProtocol, StoreType, TlsConfig, TlsVersion,
};
pub use values::https_host;

/// How many acknowledgments make a record delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// The broker does not answer: a record counts as delivered once it is written to the socket.
    None,
    /// The leader has appended the record.
    Leader,
    /// Every in-sync replica has it.
    All,
}

impl Acks {
    /// The number on the wire: 0, 1 or -1.
    #[must_use]
    pub const fn to_wire(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

/// Everything the producer can be told. [`ProducerConfig::default`] is Kafka's advice for records
/// that matter: `acks=all`, idempotent, lz4, a linger of at most 5 ms.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProducerConfig {
    /// `bootstrap.servers`: `host:port` of some brokers; the rest are learned from them.
    pub bootstrap_servers: Vec<String>,
    /// `client.id`, told to the brokers with every request.
    pub client_id: String,
    /// `acks`.
    pub acks: Acks,
    /// `enable.idempotence`: the broker discards what a retry sends twice (KIP-98, KIP-679).
    pub idempotence: bool,
    /// `durability.warnings`: whether settings under which records may be lost are warned of.
    pub durability_warnings: bool,
    /// `batch.size`: bytes of records, uncompressed, after which a batch is closed.
    pub batch_size_bytes: usize,
    /// `linger.ms`: the longest an open batch waits for company.
    pub linger: Duration,
    /// `linger.adaptive`: a batch leaves at once while its broker has nothing of ours in flight.
    pub linger_adaptive: bool,
    /// `linger.adaptive.gap.ms`: the least time from one request to the next, for batches that are
    /// neither full nor over their linger.
    pub linger_adaptive_gap: Duration,
    /// `buffer.memory`: all bytes that the producer's batches may hold.
    pub buffer_memory_bytes: usize,
    /// `max.block.ms`: how long `send` may wait for metadata and for memory.
    pub max_block: Duration,
    /// `delivery.timeout.ms`: a record's whole life, from `send` to its outcome.
    pub delivery_timeout: Duration,
    /// `request.timeout.ms`: how long a request may go unanswered before its connection is closed.
    pub request_timeout: Duration,
    /// `retries`: how often a batch is sent again, inside `delivery.timeout.ms`.
    pub retries: u32,
    /// `retry.backoff.ms`.
    pub retry_backoff: Duration,
    /// `retry.backoff.max.ms`.
    pub retry_backoff_max: Duration,
    /// `reconnect.backoff.ms`.
    pub reconnect_backoff: Duration,
    /// `reconnect.backoff.max.ms`.
    pub reconnect_backoff_max: Duration,
    /// `socket.connection.setup.timeout.ms`.
    pub connection_setup_timeout: Duration,
    /// `connections.max.idle.ms`.
    pub connections_max_idle: Duration,
    /// `max.in.flight.requests.per.connection`.
    pub max_in_flight: usize,
    /// `max.request.size`: the largest record, and the size after which a request takes no further
    /// batch.
    pub max_request_size_bytes: usize,
    /// `receive.message.max.bytes`: the largest answer that is read from a broker.
    pub max_response_size_bytes: usize,
    /// `compression.type`.
    pub compression: CompressionType,
    /// `compression.level`: the level of the chosen codec.
    pub compression_level: Option<i32>,
    /// `compression.threads`: how many threads of their own compress batches.
    pub compression_threads: Option<usize>,
    /// `compression.gzip.level` and its siblings (KIP-390), by codec number.
    pub codec_levels: [Option<i32>; 5],
    /// `partitioner`.
    pub partitioner: PartitionerKind,
    /// `partitioner.adaptive.partitioning.enable`: keyless records prefer partitions with shorter
    /// queues (KIP-794).
    pub partitioner_adaptive: bool,
    /// `partitioner.ignore.keys`: keyed records are spread like keyless ones.
    pub partitioner_ignore_keys: bool,
    /// `metadata.max.age.ms`.
    pub metadata_max_age: Duration,
    /// `topic.metadata.propagation.max.ms`: how long a topic may be unknown to the cluster before
    /// records for it are refused.
    pub metadata_propagation: Duration,
    /// `allow.auto.create.topics`: ask the broker to create a topic that does not exist.
    pub allow_auto_create_topics: bool,
    /// How brokers are met.
    pub security: SecurityConfig,
}

impl Default for ProducerConfig {
    fn default() -> Self {
        Self {
            bootstrap_servers: Vec::new(),
            client_id: "ottla".to_string(),
            acks: Acks::All,
            idempotence: true,
            durability_warnings: true,
            batch_size_bytes: 131_072,
            linger: Duration::from_millis(5),
            linger_adaptive: true,
            linger_adaptive_gap: Duration::from_micros(200),
            buffer_memory_bytes: 64 << 20,
            max_block: Duration::from_secs(60),
            delivery_timeout: Duration::from_secs(120),
            request_timeout: Duration::from_secs(30),
            retries: i32::MAX as u32,
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            reconnect_backoff: Duration::from_millis(50),
            reconnect_backoff_max: Duration::from_secs(1),
            connection_setup_timeout: Duration::from_secs(10),
            connections_max_idle: Duration::from_secs(540),
            max_in_flight: 5,
            max_request_size_bytes: 1_048_576,
            max_response_size_bytes: 100_000_000,
            compression: CompressionType::Lz4,
            compression_level: None,
            compression_threads: None,
            codec_levels: [None; 5],
            partitioner: PartitionerKind::Murmur2,
            partitioner_adaptive: true,
            partitioner_ignore_keys: false,
            metadata_max_age: Duration::from_secs(300),
            metadata_propagation: Duration::from_secs(5),
            allow_auto_create_topics: true,
            security: SecurityConfig::default(),
        }
    }
}

/// Why a configuration was refused: the key, and a sentence with the cure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct ConfigError {
    /// The key that the sentence is about.
    pub key: String,
    /// What is wrong with it and what would be right.
    pub reason: String,
}

impl ConfigError {
    pub(crate) fn new(key: &str, reason: impl Into<String>) -> Self {
        Self { key: key.to_string(), reason: reason.into() }
    }
}

/// Collects settings by name, then checks them against one another.
///
/// ```
/// use ottla_core::config::ConfigBuilder;
///
/// let mut builder = ConfigBuilder::default();
/// builder.set("bootstrap.servers", "localhost:9092")?;
/// builder.set("queue.buffering.max.ms", "10")?; // librdkafka's name for linger.ms
/// assert_eq!(builder.build()?.linger.as_millis(), 10);
/// # Ok::<(), ottla_core::config::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ConfigBuilder {
    config: ProducerConfig,
    explicit: Vec<&'static str>,
    ignored: Vec<(String, &'static str)>,
}

impl ConfigBuilder {
    /// Sets one key, by its Java or its librdkafka name.
    ///
    /// # Errors
    /// The key is unknown (the nearest name is given), belongs to something that this producer
    /// does not do, or its value cannot be read or is out of range.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), ConfigError> {
        let key = key.trim();
        let Some(spec) = find_key(key) else {
            let hint = nearest(key, KEYS.iter().flat_map(KeySpec::names))
                .map_or_else(String::new, |name| format!("; did you mean {name}?"));
            return Err(ConfigError::new(key, format!("unknown setting{hint}")));
        };
        match spec.effect {
            Effect::Sets(apply) => {
                apply(&mut self.config, value.trim()).map_err(|why| ConfigError::new(key, why))?;
                if !self.explicit.contains(&spec.name) {
                    self.explicit.push(spec.name);
                }
            }
            Effect::Nothing(why) => self.ignored.push((key.to_string(), why)),
            Effect::Only(accepted, why) => {
                if !accepted.iter().any(|v| v.eq_ignore_ascii_case(value.trim())) {
                    return Err(ConfigError::new(
                        key,
                        format!("{} is not possible: {why}", value.trim()),
                    ));
                }
            }
            Effect::Refused(why) => return Err(ConfigError::new(key, why)),
        }
        Ok(())
    }

    /// The setting for whose sake idempotence, which nobody turned off, is off: worth a word to
    /// whoever counts on it.
    #[must_use]
    pub fn gives_up_idempotence_for(&self) -> Option<&'static str> {
        let obstacle = if self.is_explicit("enable.idempotence") { None } else { self.obstacle() };
        obstacle.map(|(key, _)| key)
    }

    /// Keys that were accepted although they change nothing here, each with the reason.
    #[must_use]
    pub fn ignored(&self) -> &[(String, &'static str)] {
        &self.ignored
    }

    /// What is allowed and deserves a word all the same: the setting, and why.
    #[must_use]
    pub fn warnings(&self) -> Vec<(&'static str, &'static str)> {
        security_rules::warnings(&self.config)
    }

    /// Checks the settings against one another.
    ///
    /// # Errors
    /// Two settings contradict each other, or `bootstrap.servers` is missing.
    pub fn build(&self) -> Result<ProducerConfig, ConfigError> {
        let mut config = self.config.clone();
        self.settle_idempotence(&mut config)?;
        if config.bootstrap_servers.is_empty() {
            let why = "is required: host:port of one or more brokers, such as localhost:9092";
            return Err(ConfigError::new("bootstrap.servers", why));
        }
        self.settle_deadlines(&mut config)?;
        security_rules::settle(&mut config.security, |key| self.is_explicit(key))?;
        if config.batch_size_bytes > config.buffer_memory_bytes {
            let why = format!(
                "a batch of {} bytes does not fit into buffer.memory={}; lower batch.size or raise buffer.memory",
                config.batch_size_bytes, config.buffer_memory_bytes
            );
            return Err(ConfigError::new("batch.size", why));
        }
        let own_level = config.codec_levels[config.compression as usize];
        config.compression_level = config.compression_level.or(own_level);
        if let Some(level) = config.compression_level {
            values::check_level(config.compression, level)
                .map_err(|why| ConfigError::new("compression.level", why))?;
        }
        Ok(config)
    }

    /// Checks only how brokers are met, for those who do not produce.
    ///
    /// # Errors
    /// Two settings contradict each other.
    pub fn build_security(&self) -> Result<SecurityConfig, ConfigError> {
        let mut security = self.config.security.clone();
        security_rules::settle(&mut security, |key| self.is_explicit(key))?;
        Ok(security)
    }

    fn is_explicit(&self, key: &str) -> bool {
        self.explicit.contains(&key)
    }

    /// KIP-679: idempotence is on unless something that the user chose forbids it; asked for
    /// together with what forbids it, it is an error.
    fn settle_idempotence(&self, config: &mut ProducerConfig) -> Result<(), ConfigError> {
        match self.obstacle() {
            Some((key, why)) if config.idempotence && self.is_explicit("enable.idempotence") => {
                return Err(ConfigError::new(key, why));
            }
            Some(_) => config.idempotence = false,
            None => {}
        }
        Ok(())
    }

    /// What forbids idempotence, and what would have to change.
    fn obstacle(&self) -> Option<(&'static str, &'static str)> {
        let config = &self.config;
        if config.acks != Acks::All {
            let why = "idempotence needs acks=all: set acks=all, or enable.idempotence=false";
            Some(("acks", why))
        } else if config.retries == 0 {
            let why = "idempotence needs retries: set retries above 0, or enable.idempotence=false";
            Some(("retries", why))
        } else if config.max_in_flight > 5 {
            let why = "idempotence keeps at most 5 requests in flight (the broker remembers 5 \
                       batches): set it to 5 or less, or enable.idempotence=false";
            Some(("max.in.flight.requests.per.connection", why))
        } else {
            None
        }
    }

    fn settle_deadlines(&self, config: &mut ProducerConfig) -> Result<(), ConfigError> {
        let least = config.linger + config.request_timeout;
        if config.delivery_timeout >= least {
            return Ok(());
        }
        if !self.is_explicit("request.timeout.ms") && config.delivery_timeout > config.linger {
            // Only the default stands in the way: a shorter life gets shorter requests.
            config.request_timeout = config.delivery_timeout - config.linger;
            return Ok(());
        }
        let why = format!(
            "{} ms is less than linger.ms + request.timeout.ms = {} ms: a record would expire before its \
             first request could; raise it or lower request.timeout.ms",
            config.delivery_timeout.as_millis(),
            least.as_millis()
        );
        Err(ConfigError::new("delivery.timeout.ms", why))
    }
}

#[cfg(test)]
mod tests;
