//! The settings of a broker as tools see them: those that it has, under Kafka's names.

use std::time::Duration;

use crate::config::BrokerConfig;
use crate::topic_config::{self, Kind};

/// A setting, with the value that the cluster was started with.
pub(crate) struct BrokerSetting {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) value: fn(&BrokerConfig) -> String,
    pub(crate) change: Change,
    pub(crate) documentation: &'static str,
}

/// Whether a setting can change while the cluster runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is fixed when the cluster starts.
    Never,
    /// To a number of this at least.
    Number { min: i64 },
    /// It is what topics have without a setting of this name.
    OfTopics(&'static str),
    /// The same, and all brokers have it together: the controller goes by it.
    OfTopicsOfAll(&'static str),
}

impl Change {
    /// The setting of topics that it stands in for.
    pub(crate) fn of_topics(self) -> Option<&'static str> {
        match self {
            Self::OfTopics(topic) | Self::OfTopicsOfAll(topic) => Some(topic),
            Self::Never | Self::Number { .. } => None,
        }
    }
}

impl BrokerSetting {
    const fn changing(self, change: Change) -> Self {
        Self { change, ..self }
    }

    /// Says why a value is not one of this setting.
    ///
    /// # Errors
    /// The reason in words.
    pub(crate) fn check(&self, value: &str) -> Result<(), String> {
        let topic = self.change.of_topics().and_then(topic_config::find);
        match (self.change, topic) {
            (_, Some(topic)) => topic.named(self.name).check(value),
            (Change::Number { min }, _) => {
                topic_config::setting(self.name, self.kind, "", min, &[], "").check(value)
            }
            _ => Ok(()),
        }
    }
}

/// What each node has for itself, and is told with the rest.
pub(crate) const OF_EACH_NODE: [&str; 5] =
    ["broker.id", "broker.rack", "log.dir", "log.dirs", "node.id"];

/// The setting of a name.
pub(crate) fn find(name: &str) -> Option<&'static BrokerSetting> {
    BROKER_SETTINGS.iter().find(|setting| setting.name == name)
}

/// The setting that holds for topics without one of this name.
pub(crate) fn for_topics(topic: &str) -> Option<&'static BrokerSetting> {
    BROKER_SETTINGS.iter().find(|setting| setting.change.of_topics() == Some(topic))
}

const fn setting(
    name: &'static str,
    kind: Kind,
    value: fn(&BrokerConfig) -> String,
    documentation: &'static str,
) -> BrokerSetting {
    BrokerSetting { name, kind, value, change: Change::Never, documentation }
}

/// One that no broker is started with: topics have a default of their own.
macro_rules! of_topics {
    ($name:literal, $kind:expr, $topic:literal, $documentation:expr) => {
        setting($name, $kind, |_| default_of($topic), $documentation)
            .changing(Change::OfTopics($topic))
    };
}

fn default_of(topic: &str) -> String {
    topic_config::find(topic).map_or_else(String::new, |setting| setting.default.to_owned())
}

/// A number that may be any, as far as the type goes that it is told with.
fn int(number: usize) -> String {
    number.min(i32::MAX as usize).to_string()
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
    of_topics!(
        "compression.type",
        Kind::String,
        "compression.type",
        "What batches are stored with, in topics that do not say."
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
        "group.consumer.max.heartbeat.interval.ms",
        Kind::Int,
        |config| ms(*config.group_consumer_heartbeat_intervals().end()),
        "The greatest interval that such a group may have of its own.",
    ),
    setting(
        "group.consumer.max.session.timeout.ms",
        Kind::Int,
        |config| ms(*config.group_consumer_session_timeouts().end()),
        "The longest session that such a group may have of its own.",
    ),
    setting(
        "group.consumer.max.size",
        Kind::Int,
        |config| int(config.group_consumer_max_size),
        "How many members a group of KIP-848 may have.",
    ),
    setting(
        "group.consumer.min.heartbeat.interval.ms",
        Kind::Int,
        |config| ms(*config.group_consumer_heartbeat_intervals().start()),
        "The least interval that such a group may have of its own.",
    ),
    setting(
        "group.consumer.min.session.timeout.ms",
        Kind::Int,
        |config| ms(*config.group_consumer_session_timeouts().start()),
        "The shortest session that such a group may have of its own.",
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
        |config| int(config.group_max_size),
        "How many members a classic group may have.",
    ),
    setting(
        "group.min.session.timeout.ms",
        Kind::Int,
        |config| ms(config.group_min_session_timeout),
        "The shortest session that a member may wish for.",
    ),
    setting(
        "log.cleaner.backoff.ms",
        Kind::Long,
        |config| ms(config.cleaner_backoff),
        "How often a log to compact is looked for.",
    )
    .changing(Change::Number { min: 0 }),
    of_topics!(
        "log.cleaner.delete.retention.ms",
        Kind::Long,
        "delete.retention.ms",
        "How long compaction leaves a tombstone, in topics that do not say."
    ),
    of_topics!(
        "log.cleaner.max.compaction.lag.ms",
        Kind::Long,
        "max.compaction.lag.ms",
        "After how long a record is compacted in any case, in topics that do not say."
    ),
    of_topics!(
        "log.cleaner.min.cleanable.ratio",
        Kind::Double,
        "min.cleanable.dirty.ratio",
        "The part of a log that has to be dirty, in topics that do not say."
    ),
    of_topics!(
        "log.cleaner.min.compaction.lag.ms",
        Kind::Long,
        "min.compaction.lag.ms",
        "How long a record is left alone by compaction, in topics that do not say."
    ),
    of_topics!(
        "log.cleanup.policy",
        Kind::List,
        "cleanup.policy",
        "What happens to old records, in topics that do not say."
    ),
    of_topics!(
        "log.flush.interval.messages",
        Kind::Long,
        "flush.messages",
        topic_config::NO_EFFECT
    ),
    of_topics!(
        "log.index.interval.bytes",
        Kind::Int,
        "index.interval.bytes",
        "About one index entry for so many bytes, in topics that do not say."
    ),
    of_topics!(
        "log.message.timestamp.after.max.ms",
        Kind::Long,
        "message.timestamp.after.max.ms",
        "How far in the future a timestamp may lie, in topics that do not say."
    ),
    of_topics!(
        "log.message.timestamp.before.max.ms",
        Kind::Long,
        "message.timestamp.before.max.ms",
        "How far in the past a timestamp may lie, in topics that do not say."
    ),
    of_topics!(
        "log.message.timestamp.type",
        Kind::String,
        "message.timestamp.type",
        "Whose timestamp a record has, in topics that do not say."
    ),
    of_topics!(
        "log.retention.bytes",
        Kind::Long,
        "retention.bytes",
        "How large a partition may be, in topics that do not say; -1 for any size."
    ),
    setting(
        "log.retention.check.interval.ms",
        Kind::Long,
        |config| ms(config.retention_check_interval),
        "How often old segments are looked for.",
    ),
    of_topics!(
        "log.retention.ms",
        Kind::Long,
        "retention.ms",
        "How old records may be, in topics that do not say; -1 for any age."
    ),
    of_topics!(
        "log.roll.ms",
        Kind::Long,
        "segment.ms",
        "How long a segment is added to, in topics that do not say."
    ),
    of_topics!(
        "log.segment.bytes",
        Kind::Int,
        "segment.bytes",
        "How large a segment may be, in topics that do not say."
    ),
    setting(
        "max.connections",
        Kind::Int,
        |config| int(config.max_connections),
        "Connections over this number are closed at once.",
    )
    .changing(Change::Number { min: 1 }),
    of_topics!(
        "message.max.bytes",
        Kind::Int,
        "max.message.bytes",
        "The largest record batch, in topics that do not say."
    ),
    setting(
        "min.insync.replicas",
        Kind::Int,
        |config| config.min_insync_replicas.to_string(),
        "In-sync replicas that acks=all needs, in topics that do not say.",
    )
    .changing(Change::OfTopicsOfAll("min.insync.replicas")),
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
    )
    .changing(Change::Number { min: 1 }),
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
    )
    .changing(Change::OfTopicsOfAll("unclean.leader.election.enable")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_sorted_and_what_topics_have_from_the_broker_is_of_their_kind() {
        assert!(BROKER_SETTINGS.windows(2).all(|pair| pair[0].name < pair[1].name));
        let config = BrokerConfig::default();
        for setting in BROKER_SETTINGS {
            if let Some(topic) = setting.change.of_topics() {
                let topic = topic_config::find(topic).expect("a setting of topics");
                assert_eq!(setting.kind, topic.kind, "{}", setting.name);
                assert_eq!((setting.value)(&config), topic.default, "{}", setting.name);
            }
            assert_eq!(setting.check(&(setting.value)(&config)), Ok(()), "{}", setting.name);
        }
    }
}
