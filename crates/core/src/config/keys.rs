//! The table of keys: one row each, with its names, type, range, default and meaning.

use ottla_protocol::record::CompressionType;

use super::ProducerConfig;
use super::sasl_keys::SASL_KEYS;
use super::tls_keys::TLS_KEYS;
use super::values::{acks, boolean, compression, integer, millis, servers};

type Apply = fn(&mut ProducerConfig, &str) -> Result<(), alloc::string::String>;

/// What setting a key does.
#[derive(Clone, Copy, Debug)]
pub enum Effect {
    /// It sets something.
    Sets(Apply),
    /// It is accepted, so that an existing configuration can be used, and changes nothing.
    Nothing(&'static str),
    /// Only these values are possible, and they are what happens anyway.
    Only(&'static [&'static str], &'static str),
    /// It asks for something that this producer does not do.
    Refused(&'static str),
}

/// How a key's value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// `host:port,host:port`.
    Servers,
    /// Any text.
    Text,
    /// One of a few words.
    Choice,
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// Bytes.
    Bytes,
    /// Milliseconds, fractions allowed.
    Millis,
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    /// The name that Java uses, or librdkafka where Java has none.
    pub name: &'static str,
    /// Other names for the same thing.
    pub aliases: &'static [&'static str],
    /// How the value is written.
    pub kind: ValueKind,
    /// The range, in words.
    pub range: &'static str,
    /// The default, as one would write it.
    pub default: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// What setting it does here.
    pub effect: Effect,
}

impl KeySpec {
    /// The name and its aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        core::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// Whether it is about how brokers are met, which concerns those too who do not produce.
    #[must_use]
    pub fn is_about_security(&self) -> bool {
        TLS_KEYS.iter().chain(SASL_KEYS).any(|spec| spec.name == self.name)
    }
}

/// The row of `key`, which may be any of its names.
#[must_use]
pub fn find_key(key: &str) -> Option<&'static KeySpec> {
    KEYS.iter().find(|spec| spec.names().any(|name| name == key))
}

pub(super) const fn sets(
    names: (&'static str, &'static [&'static str]),
    (kind, range, default): (ValueKind, &'static str, &'static str),
    doc: &'static str,
    apply: Apply,
) -> KeySpec {
    let (name, aliases) = names;
    KeySpec { name, aliases, kind, range, default, doc, effect: Effect::Sets(apply) }
}

pub(super) const fn other(name: &'static str, effect: Effect) -> KeySpec {
    let kind = Text;
    KeySpec { name, aliases: &[], kind, range: "", default: "", doc: "", effect }
}

const JAVA_CLASS: &str = "serializers are given in code, not by class name";
const METRICS: &str = "metrics are read by a snapshot, not pushed to reporters";
const PACED: &str = "the producer paces itself";
const SOCKETS: &str = "the operating system sizes the socket's buffers";
const NO_TRANSACTIONS: &str = "transactions are not part of this version";

const DAY_MS: u64 = 86_400_000;
const GIB: usize = 1 << 30;
const I32_MAX: usize = i32::MAX as usize;

use ValueKind::{Boolean, Bytes, Choice, Integer, Millis, Servers, Text};

/// Every key that is understood.
pub const KEYS: &[KeySpec] =
    &joined::<{ PRODUCER_KEYS.len() + TLS_KEYS.len() + SASL_KEYS.len() }>();

const fn joined<const COUNT: usize>() -> [KeySpec; COUNT] {
    let tables = [PRODUCER_KEYS, TLS_KEYS, SASL_KEYS];
    let mut all = [PRODUCER_KEYS[0]; COUNT];
    let (mut table, mut row, mut at) = (0, 0, 0);
    while at < COUNT {
        if row == tables[table].len() {
            (table, row) = (table + 1, 0);
        } else {
            all[at] = tables[table][row];
            (row, at) = (row + 1, at + 1);
        }
    }
    all
}

/// All but those about security.
const PRODUCER_KEYS: &[KeySpec] = &[
    sets(
        ("bootstrap.servers", &["metadata.broker.list"]),
        (Servers, "host:port, separated by commas", "none: required"),
        "Brokers to ask for the cluster's layout. One that answers is enough; name several in case one is down.",
        |c, v| servers(v).map(|s| c.bootstrap_servers = s),
    ),
    sets(
        ("client.id", &[]),
        (Text, "any text", "ottla"),
        "A name for this program in the brokers' logs, metrics and quotas.",
        |c, v| {
            c.client_id = v.into();
            Ok(())
        },
    ),
    sets(
        ("acks", &["request.required.acks"]),
        (Choice, "0, 1, all (or -1)", "all"),
        "Whose word makes a record delivered: nobody's, the leader's, or that of all in-sync replicas.",
        |c, v| acks(v).map(|a| c.acks = a),
    ),
    sets(
        ("enable.idempotence", &[]),
        (Boolean, "true, false", "true"),
        "Let the broker discard what a retry sends a second time, and keep the order with 5 requests in flight.",
        |c, v| boolean(v).map(|b| c.idempotence = b),
    ),
    sets(
        ("durability.warnings", &[]),
        (Boolean, "true, false", "true"),
        "Warn once where delivered records may be lost: acks=0 or 1, or acks=all on a topic with one replica or min.insync.replicas=1.",
        |c, v| boolean(v).map(|b| c.durability_warnings = b),
    ),
    sets(
        ("batch.size", &[]),
        (Bytes, "1 to 1 GiB", "131072"),
        "Bytes of uncompressed records after which a partition's batch is closed and sent.",
        |c, v| integer(v, 1, GIB).map(|n| c.batch_size_bytes = n),
    ),
    sets(
        ("linger.ms", &["queue.buffering.max.ms"]),
        (Millis, "0 to 900000", "5"),
        "The longest an open batch waits for more records. An upper bound while linger.adaptive is on.",
        |c, v| millis(v, 0, 900_000).map(|d| c.linger = d),
    ),
    sets(
        ("linger.adaptive", &[]),
        (Boolean, "true, false", "true"),
        "Send an open batch at once while its broker has nothing of ours in flight.",
        |c, v| boolean(v).map(|b| c.linger_adaptive = b),
    ),
    sets(
        ("linger.adaptive.gap.ms", &[]),
        (Millis, "0 to 1000", "0.2"),
        "The least time between two requests to one broker, unless a batch is full or its linger over.",
        |c, v| millis(v, 0, 1000).map(|d| c.linger_adaptive_gap = d),
    ),
    sets(
        ("buffer.memory", &[]),
        (Bytes, "64 KiB to 1 TiB", "67108864"),
        "All memory that batches may hold, in every stage. When it is spent, send waits and try_send refuses.",
        |c, v| integer(v, 65_536, 1 << 40).map(|n| c.buffer_memory_bytes = n),
    ),
    sets(
        ("queue.buffering.max.kbytes", &[]),
        (Bytes, "64 to 1073741824 KiB", "65536"),
        "buffer.memory in KiB, librdkafka's way.",
        |c, v| integer(v, 64, 1 << 30).map(|n: usize| c.buffer_memory_bytes = n << 10),
    ),
    sets(
        ("max.block.ms", &[]),
        (Millis, "0 to 1 day", "60000"),
        "How long send may wait for a topic's metadata and for memory.",
        |c, v| millis(v, 0, DAY_MS).map(|d| c.max_block = d),
    ),
    sets(
        ("delivery.timeout.ms", &["message.timeout.ms"]),
        (Millis, "1 to 1 day", "120000"),
        "The longest from send to a record's outcome, retries included.",
        |c, v| millis(v, 1, DAY_MS).map(|d| c.delivery_timeout = d),
    ),
    sets(
        ("request.timeout.ms", &["socket.timeout.ms"]),
        (Millis, "1 to 900000", "30000"),
        "How long a request may go unanswered before its connection is given up.",
        |c, v| millis(v, 1, 900_000).map(|d| c.request_timeout = d),
    ),
    sets(
        ("retries", &["message.send.max.retries"]),
        (Integer, "0 to 2147483647", "2147483647"),
        "How often a batch is sent again; delivery.timeout.ms bounds it in time.",
        |c, v| integer(v, 0, i32::MAX as u32).map(|n| c.retries = n),
    ),
    sets(
        ("retry.backoff.ms", &[]),
        (Millis, "0 to 300000", "100"),
        "The wait before the first retry; it doubles with each further one, give or take a fifth (KIP-580).",
        |c, v| millis(v, 0, 300_000).map(|d| c.retry_backoff = d),
    ),
    sets(
        ("retry.backoff.max.ms", &[]),
        (Millis, "0 to 300000", "1000"),
        "The longest wait between retries.",
        |c, v| millis(v, 0, 300_000).map(|d| c.retry_backoff_max = d),
    ),
    sets(
        ("reconnect.backoff.ms", &[]),
        (Millis, "0 to 3600000", "50"),
        "The wait before a broker is connected to again; it doubles with each failure.",
        |c, v| millis(v, 0, 3_600_000).map(|d| c.reconnect_backoff = d),
    ),
    sets(
        ("reconnect.backoff.max.ms", &[]),
        (Millis, "0 to 3600000", "1000"),
        "The longest wait between two attempts to connect to a broker.",
        |c, v| millis(v, 0, 3_600_000).map(|d| c.reconnect_backoff_max = d),
    ),
    sets(
        ("socket.connection.setup.timeout.ms", &["socket.connection.setup.timeout.max.ms"]),
        (Millis, "1 to 900000", "10000"),
        "How long connecting to one address may take before the next is tried.",
        |c, v| millis(v, 1, 900_000).map(|d| c.connection_setup_timeout = d),
    ),
    sets(
        ("connections.max.idle.ms", &[]),
        (Millis, "0 (never) to 1 day", "540000"),
        "A connection without traffic for this long is closed quietly.",
        |c, v| millis(v, 0, DAY_MS).map(|d| c.connections_max_idle = d),
    ),
    sets(
        ("max.in.flight.requests.per.connection", &["max.in.flight"]),
        (Integer, "1 to 1000000", "5"),
        "Produce requests that one broker may owe an answer to. At most 5 with idempotence.",
        |c, v| integer(v, 1, 1_000_000).map(|n| c.max_in_flight = n),
    ),
    sets(
        ("max.request.size", &["message.max.bytes"]),
        (Bytes, "1000 to 1000000000", "1048576"),
        "The largest record, and the size at which a request takes no further batch.",
        |c, v| integer(v, 1000, 1_000_000_000).map(|n| c.max_request_size_bytes = n),
    ),
    sets(
        ("receive.message.max.bytes", &[]),
        (Bytes, "1000 to 2147483647", "100000000"),
        "The largest answer that is read from a broker; a larger one closes the connection.",
        |c, v| integer(v, 1000, I32_MAX).map(|n| c.max_response_size_bytes = n),
    ),
    sets(
        ("compression.type", &["compression.codec"]),
        (Choice, "none, gzip, snappy, lz4, zstd", "lz4"),
        "How batches are compressed. A batch that would grow is sent as it is.",
        |c, v| compression(v).map(|t| c.compression = t),
    ),
    sets(
        ("compression.level", &[]),
        (Integer, "gzip 1 to 9 or -1, lz4 1 to 17, zstd -131072 to 22", "the codec's own"),
        "The level of whichever codec compression.type names.",
        |c, v| integer(v, -131_072, 22).map(|n| c.compression_level = Some(n)),
    ),
    sets(
        ("compression.threads", &[]),
        (Integer, "0 to 64", "one for each core beyond two (with gzip, beyond one), 4 at most"),
        "How many threads of their own compress large batches; with 0 the I/O thread does it.",
        |c, v| integer(v, 0, 64).map(|n| c.compression_threads = Some(n)),
    ),
    other("compression.gzip.level", Effect::Sets(|c, v| level(c, v, CompressionType::Gzip))),
    other("compression.lz4.level", Effect::Sets(|c, v| level(c, v, CompressionType::Lz4))),
    other("compression.zstd.level", Effect::Sets(|c, v| level(c, v, CompressionType::Zstd))),
    sets(
        ("partitioner", &[]),
        (
            Choice,
            "murmur2, murmur2_random, consistent, consistent_random, fnv1a, fnv1a_random, random, uniform, sticky, round_robin",
            "murmur2",
        ),
        "How a record without a partition gets one. murmur2 is what the Java client does.",
        |c, v| v.parse().map(|p| c.partitioner = p),
    ),
    sets(
        ("partitioner.adaptive.partitioning.enable", &[]),
        (Boolean, "true, false", "true"),
        "Records without a key prefer partitions whose queues are shorter (KIP-794).",
        |c, v| boolean(v).map(|b| c.partitioner_adaptive = b),
    ),
    sets(
        ("partitioner.ignore.keys", &[]),
        (Boolean, "true, false", "false"),
        "Spread records with keys as if they had none.",
        |c, v| boolean(v).map(|b| c.partitioner_ignore_keys = b),
    ),
    sets(
        ("metadata.max.age.ms", &["topic.metadata.refresh.interval.ms"]),
        (Millis, "100 to 1 day", "300000"),
        "The cluster's layout is asked for again after this long.",
        |c, v| millis(v, 100, DAY_MS).map(|d| c.metadata_max_age = d),
    ),
    sets(
        ("topic.metadata.propagation.max.ms", &[]),
        (Millis, "0 to 3600000", "5000"),
        "How long the cluster may not know a topic before records for it are refused.",
        |c, v| millis(v, 0, 3_600_000).map(|d| c.metadata_propagation = d),
    ),
    sets(
        ("allow.auto.create.topics", &[]),
        (Boolean, "true, false", "true"),
        "Ask the cluster to create a topic that does not exist; the cluster may still decline.",
        |c, v| boolean(v).map(|b| c.allow_auto_create_topics = b),
    ),
    other(
        "client.dns.lookup",
        Effect::Only(&["use_all_dns_ips"], "all addresses of a name are always tried"),
    ),
    other(
        "partitioner.class",
        Effect::Refused("give partitioner=murmur2, uniform or round_robin instead of a Java class"),
    ),
    other("key.serializer", Effect::Nothing(JAVA_CLASS)),
    other("value.serializer", Effect::Nothing(JAVA_CLASS)),
    other("metric.reporters", Effect::Nothing(METRICS)),
    other("metrics.num.samples", Effect::Nothing(METRICS)),
    other("metrics.recording.level", Effect::Nothing(METRICS)),
    other("metrics.sample.window.ms", Effect::Nothing(METRICS)),
    other("enable.metrics.push", Effect::Nothing("telemetry (KIP-714) is not sent")),
    other("send.buffer.bytes", Effect::Nothing(SOCKETS)),
    other("receive.buffer.bytes", Effect::Nothing(SOCKETS)),
    other("socket.keepalive.enable", Effect::Nothing("request.timeout.ms finds dead connections")),
    other("socket.nagle.disable", Effect::Only(&["true", "1"], "requests are always sent at once")),
    other(
        "queue.buffering.max.messages",
        Effect::Nothing("the queue is bounded in bytes: buffer.memory"),
    ),
    other("batch.num.messages", Effect::Nothing("batches are bounded in bytes: batch.size")),
    other(
        "topic.metadata.refresh.fast.interval.ms",
        Effect::Nothing("retry.backoff.ms paces refreshes"),
    ),
    other("log_level", Effect::Nothing("logging is the program's own, through `tracing`")),
    other("debug", Effect::Nothing("logging is the program's own, through `tracing`")),
    other(
        "log.connection.close",
        Effect::Nothing("logging is the program's own, through `tracing`"),
    ),
    other("api.version.request", Effect::Only(&["true", "1"], "versions are always negotiated")),
    other("statistics.interval.ms", Effect::Nothing(METRICS)),
    other(
        "metadata.recovery.strategy",
        Effect::Only(&["rebootstrap"], "bootstrap servers are tried again when no broker answers"),
    ),
    other("broker.address.family", Effect::Nothing("all addresses of a name are tried in turn")),
    other("sticky.partitioning.linger.ms", Effect::Nothing("stickiness is by bytes (KIP-794)")),
    other("queue.buffering.backpressure.threshold", Effect::Nothing(PACED)),
    other("topic.metadata.refresh.sparse", Effect::Nothing("only topics in use are asked for")),
    other("metadata.max.idle.ms", Effect::Nothing("topics once used stay known")),
    other("message.copy.max.bytes", Effect::Nothing("a record is always copied once")),
    other("delivery.report.only.error", Effect::Nothing("outcomes are told to those who ask")),
    other("auto.include.jmx.reporter", Effect::Nothing(METRICS)),
    other("enable.random.seed", Effect::Nothing("seeds come from the operating system")),
    other("log.thread.name", Effect::Nothing("logging is the program's own, through `tracing`")),
    other("socket.send.buffer.bytes", Effect::Nothing(SOCKETS)),
    other("socket.receive.buffer.bytes", Effect::Nothing(SOCKETS)),
    other("api.version.request.timeout.ms", Effect::Nothing(PACED)),
    other("broker.version.fallback", Effect::Nothing("versions are always negotiated")),
    other("metadata.recovery.rebootstrap.trigger.ms", Effect::Nothing(PACED)),
    other("partitioner.availability.timeout.ms", Effect::Only(&["0"], "it is not there yet")),
    other("client.rack", Effect::Nothing("racks do not count in partitioning yet")),
    other("transactional.id", Effect::Refused(NO_TRANSACTIONS)),
    other("transaction.timeout.ms", Effect::Nothing(NO_TRANSACTIONS)),
    other(
        "interceptor.classes",
        Effect::Only(&[""], "interceptors are not supported: wrap the producer instead"),
    ),
    other(
        "enable.gapless.guarantee",
        Effect::Only(&["false", "0"], "a failed record is reported and leaves a gap"),
    ),
    other("session.timeout.ms", Effect::Nothing("this is a producer; it belongs to consumers")),
    other("group.id", Effect::Refused("this is a producer; group.id belongs to consumers")),
    other(
        "auto.offset.reset",
        Effect::Refused("this is a producer; auto.offset.reset belongs to consumers"),
    ),
];

/// A codec's own level key counts only for that codec, so that one file can hold all three.
fn level(
    config: &mut ProducerConfig,
    value: &str,
    codec: CompressionType,
) -> Result<(), alloc::string::String> {
    let level = integer(value, -131_072, 22)?;
    super::values::check_level(codec, level)?;
    config.codec_levels[codec as usize] = Some(level);
    Ok(())
}
