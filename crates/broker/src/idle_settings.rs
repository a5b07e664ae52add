//! Settings that brokers of Kafka take while they run, and that this broker could only ignore.

/// What such names begin with.
const FAMILIES: [&str; 5] = ["listener.name.", "log.cleaner.", "remote.", "sasl.", "ssl."];

/// In order.
const NAMES: [&str; 34] = [
    "background.threads",
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.zstd.level",
    "config.providers",
    "cordoned.log.dirs",
    "follower.fetch.last.tiered.offset.enable",
    "follower.replication.throttled.rate",
    "group.consumer.assignment.interval.ms",
    "group.coordinator.cached.buffer.max.bytes",
    "group.share.assignment.interval.ms",
    "group.streams.assignment.interval.ms",
    "leader.replication.throttled.rate",
    "listener.security.protocol.map",
    "listeners",
    "log.flush.interval.ms",
    "log.index.size.max.bytes",
    "log.local.retention.bytes",
    "log.local.retention.ms",
    "log.preallocate",
    "log.roll.jitter.ms",
    "log.segment.delete.delay.ms",
    "max.connection.creation.rate",
    "max.connections.per.ip",
    "max.connections.per.ip.overrides",
    "metric.reporters",
    "num.io.threads",
    "num.network.threads",
    "num.recovery.threads.per.data.dir",
    "num.replica.fetchers",
    "principal.builder.class",
    "replica.alter.log.dirs.io.max.bytes.per.second",
    "share.coordinator.cached.buffer.max.bytes",
    "transaction.partition.verification.enable",
];

/// Whether a setting is one of these.
pub(crate) fn is_idle(name: &str) -> bool {
    FAMILIES.iter().any(|start| name.starts_with(start)) || NAMES.contains(&name)
}
