//! The settings of a broker as tools see them: those that it has, under Kafka's names.

use std::time::Duration;

use crate::config::BrokerConfig;
use crate::topic_config::Kind;

/// A setting that is fixed when the cluster starts.
pub(crate) struct BrokerSetting {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) value: fn(&BrokerConfig) -> String,
    pub(crate) documentation: &'static str,
}

const fn setting(
    name: &'static str,
    kind: Kind,
    value: fn(&BrokerConfig) -> String,
    documentation: &'static str,
) -> BrokerSetting {
    BrokerSetting { name, kind, value, documentation }
}

fn ms(duration: Duration) -> String {
    duration.as_millis().to_string()
}

/// In order of name.
pub(crate) const BROKER_SETTINGS: &[BrokerSetting] = &[
    setting(
        "auto.create.topics.enable",
        Kind::Boolean,
        |config| config.auto_create_topics.to_string(),
        "Whether a topic that a client asks for is created.",
    ),
    setting(
        "broker.session.timeout.ms",
        Kind::Int,
        |config| ms(config.node_session_timeout),
        "How long the controller counts on a silent node.",
    ),
    setting(
        "connections.max.idle.ms",
        Kind::Long,
        |config| ms(config.max_idle),
        "A connection that is silent for so long is closed.",
    ),
    setting(
        "default.replication.factor",
        Kind::Int,
        |config| config.default_replication_factor.to_string(),
        "Replicas of a topic that is created without a number.",
    ),
    setting(
        "fetch.max.bytes",
        Kind::Int,
        |config| config.fetch_max_bytes.to_string(),
        "The most that one Fetch answer carries.",
    ),
    setting(
        "group.consumer.heartbeat.interval.ms",
        Kind::Int,
        |config| ms(config.group_consumer_heartbeat_interval),
        "How often a member of a group of KIP-848 says something.",
    ),
    setting(
        "group.consumer.max.size",
        Kind::Int,
        |config| config.group_consumer_max_size.to_string(),
        "How many members a group of KIP-848 may have.",
    ),
    setting(
        "group.consumer.session.timeout.ms",
        Kind::Int,
        |config| ms(config.group_consumer_session_timeout),
        "After so much silence a member of such a group is out.",
    ),
    setting(
        "group.initial.rebalance.delay.ms",
        Kind::Int,
        |config| ms(config.group_initial_rebalance_delay),
        "How long a new group waits for more members.",
    ),
    setting(
        "group.max.session.timeout.ms",
        Kind::Int,
        |config| ms(config.group_max_session_timeout),
        "The longest session that a member may wish for.",
    ),
    setting(
        "group.max.size",
        Kind::Int,
        |config| config.group_max_size.to_string(),
        "How many members a classic group may have.",
    ),
    setting(
        "group.min.session.timeout.ms",
        Kind::Int,
        |config| ms(config.group_min_session_timeout),
        "The shortest session that a member may wish for.",
    ),
    setting(
        "log.retention.check.interval.ms",
        Kind::Long,
        |config| ms(config.retention_check_interval),
        "How often old segments are looked for.",
    ),
    setting(
        "max.connections",
        Kind::Int,
        |config| config.max_connections.to_string(),
        "Connections over this number are closed at once.",
    ),
    setting(
        "min.insync.replicas",
        Kind::Int,
        |config| config.min_insync_replicas.to_string(),
        "In-sync replicas that acks=all needs, in topics that do not say.",
    ),
    setting(
        "num.partitions",
        Kind::Int,
        |config| config.default_partitions.to_string(),
        "Partitions of a topic that is created without a number.",
    ),
    setting(
        "producer.id.expiration.ms",
        Kind::Int,
        |config| ms(config.producer_id_expiration),
        "An idempotent producer that is idle for so long is forgotten.",
    ),
    setting(
        "replica.fetch.max.bytes",
        Kind::Int,
        |config| config.replica_fetch_bytes.to_string(),
        "What a follower gets at once.",
    ),
    setting(
        "replica.lag.time.max.ms",
        Kind::Long,
        |config| ms(config.replica_lag_time_max),
        "A follower that lags for so long is out of sync.",
    ),
    setting(
        "socket.request.max.bytes",
        Kind::Int,
        |config| config.max_request_bytes.to_string(),
        "The largest request.",
    ),
    setting(
        "transaction.max.timeout.ms",
        Kind::Int,
        |config| ms(config.transaction_max_timeout),
        "The longest that a transaction may be open.",
    ),
    setting(
        "transactional.id.expiration.ms",
        Kind::Int,
        |config| ms(config.transactional_id_expiration),
        "A transactional id that is idle for so long is forgotten.",
    ),
    setting(
        "unclean.leader.election.enable",
        Kind::Boolean,
        |config| config.unclean_leader_election.to_string(),
        "Whether a replica that is out of sync may lead.",
    ),
];
