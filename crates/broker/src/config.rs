//! What a broker is told when it starts, beside its topics.

use std::ops::RangeInclusive;
use std::time::Duration;

use ottla_protocol::ApiKey;

use crate::nodes::FIRST_NODE_ID;

/// The settings of a broker. Where Kafka has the setting it bears Kafka's name in the text.
#[derive(Clone, Debug)]
pub(crate) struct BrokerConfig {
    /// `auto.create.topics.enable`: a Metadata request that names an unknown topic creates it.
    pub(crate) auto_create_topics: bool,
    /// `num.partitions`: partitions of a topic that is created without a number.
    pub(crate) default_partitions: i32,
    /// `socket.request.max.bytes`: the largest request.
    pub(crate) max_request_bytes: usize,
    /// `max.connections`: connections over this number are closed at once.
    pub(crate) max_connections: usize,
    /// `connections.max.idle.ms`: a connection that is silent for so long is closed.
    pub(crate) max_idle: Duration,
    /// `fetch.max.bytes`: the most that one Fetch answer carries, beyond a first batch that is
    /// larger.
    pub(crate) fetch_max_bytes: usize,
    /// `group.initial.rebalance.delay.ms`: how long a new group waits for more members.
    pub(crate) group_initial_rebalance_delay: Duration,
    /// `group.min.session.timeout.ms`.
    pub(crate) group_min_session_timeout: Duration,
    /// `group.max.session.timeout.ms`.
    pub(crate) group_max_session_timeout: Duration,
    /// `group.max.size`: how many members a group of the classic protocol may have.
    pub(crate) group_max_size: usize,
    /// `group.consumer.session.timeout.ms`: after so much silence a member of the consumer protocol
    /// is out (KIP-848).
    pub(crate) group_consumer_session_timeout: Duration,
    /// `group.consumer.heartbeat.interval.ms`: how often such a member is asked to say something.
    pub(crate) group_consumer_heartbeat_interval: Duration,
    /// `group.consumer.max.size`: how many members such a group may have.
    pub(crate) group_consumer_max_size: usize,
    /// `producer.id.expiration.ms`: an idempotent producer that is idle for so long is forgotten.
    pub(crate) producer_id_expiration: Duration,
    /// `transaction.max.timeout.ms`: the longest that a producer may let a transaction be open.
    pub(crate) transaction_max_timeout: Duration,
    /// `transactional.id.expiration.ms`: an id without transaction is forgotten after so long.
    pub(crate) transactional_id_expiration: Duration,
    /// `log.retention.check.interval.ms`: how often old segments are looked for.
    pub(crate) retention_check_interval: Duration,
    /// `log.cleaner.backoff.ms`: how often a log to compact is looked for.
    pub(crate) cleaner_backoff: Duration,
    /// `default.replication.factor`: replicas of a topic that is created without a number.
    pub(crate) default_replication_factor: i32,
    /// `min.insync.replicas` of topics that do not say otherwise.
    pub(crate) min_insync_replicas: i32,
    /// `unclean.leader.election.enable` of topics that do not say otherwise.
    pub(crate) unclean_leader_election: bool,
    /// `broker.rack` of the nodes in order of their ids; they go round when there are fewer.
    pub(crate) racks: Vec<String>,
    /// Whether consumers are sent to replicas in their own rack (KIP-392), as by
    /// `replica.selector.class` with Kafka's `RackAwareReplicaSelector`.
    pub(crate) selects_by_rack: bool,
    /// `replica.lag.time.max.ms`: a follower that has not caught up for so long is out of sync.
    pub(crate) replica_lag_time_max: Duration,
    /// `replica.fetch.max.bytes`: what a follower gets at once, but for a first batch of more.
    pub(crate) replica_fetch_bytes: usize,
    /// `broker.session.timeout.ms`: how long the controller counts on a node that is silent.
    pub(crate) node_session_timeout: Duration,
    /// How long a message between two nodes is under way.
    pub(crate) replication_delay: Duration,
    /// The newest version that is spoken of an API, where that is not the newest there is; `None`
    /// for an API that is not spoken.
    pub(crate) max_versions: Vec<(ApiKey, Option<i16>)>,
    /// How many requests are remembered for `Cluster::requests`; the oldest go first.
    pub(crate) request_log_capacity: usize,
    /// Whether logs keep nothing of what is appended.
    pub(crate) discards: bool,
    /// Whether files are flushed to the medium where Kafka does so. Off for temporary data.
    pub(crate) is_durable: bool,
}

/// What Kafka lets a single group have; a broker that was told something beyond it, this as well.
const CONSUMER_SESSION_TIMEOUTS: (Duration, Duration) =
    (Duration::from_secs(45), Duration::from_secs(60));
const CONSUMER_HEARTBEAT_INTERVALS: (Duration, Duration) =
    (Duration::from_secs(5), Duration::from_secs(15));

impl BrokerConfig {
    /// `group.consumer.min.session.timeout.ms` to `group.consumer.max.session.timeout.ms`.
    pub(crate) fn group_consumer_session_timeouts(&self) -> RangeInclusive<Duration> {
        let (least, most) = CONSUMER_SESSION_TIMEOUTS;
        let own = self.group_consumer_session_timeout;
        least.min(own)..=most.max(own)
    }

    /// `group.consumer.min.heartbeat.interval.ms` to `group.consumer.max.heartbeat.interval.ms`.
    pub(crate) fn group_consumer_heartbeat_intervals(&self) -> RangeInclusive<Duration> {
        let (least, most) = CONSUMER_HEARTBEAT_INTERVALS;
        let own = self.group_consumer_heartbeat_interval;
        least.min(own)..=most.max(own)
    }
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            auto_create_topics: true,
            default_partitions: 1,
            max_request_bytes: 100 * 1024 * 1024,
            max_connections: 10_000,
            max_idle: Duration::from_secs(600),
            fetch_max_bytes: 55 * 1024 * 1024,
            group_initial_rebalance_delay: Duration::ZERO,
            group_min_session_timeout: Duration::from_secs(6),
            group_max_session_timeout: Duration::from_secs(1800),
            group_max_size: usize::MAX,
            group_consumer_session_timeout: Duration::from_secs(45),
            group_consumer_heartbeat_interval: Duration::from_secs(5),
            group_consumer_max_size: usize::MAX,
            producer_id_expiration: Duration::from_secs(24 * 60 * 60),
            transaction_max_timeout: Duration::from_secs(15 * 60),
            transactional_id_expiration: Duration::from_secs(7 * 24 * 60 * 60),
            retention_check_interval: Duration::from_secs(300),
            cleaner_backoff: Duration::from_secs(1),
            default_replication_factor: 1,
            min_insync_replicas: 1,
            unclean_leader_election: false,
            racks: Vec::new(),
            selects_by_rack: false,
            replica_lag_time_max: Duration::from_secs(30),
            replica_fetch_bytes: 1024 * 1024,
            node_session_timeout: Duration::from_millis(200),
            replication_delay: Duration::ZERO,
            max_versions: Vec::new(),
            request_log_capacity: 10_000,
            discards: false,
            is_durable: true,
        }
    }
}

impl BrokerConfig {
    /// Where a node is, if that was said.
    pub(crate) fn rack_of(&self, node: i32) -> Option<&str> {
        let nth = usize::try_from(node.checked_sub(FIRST_NODE_ID)?).ok()?;
        self.racks.get(nth.checked_rem(self.racks.len())?).map(String::as_str)
    }

    /// The newest version that is spoken of an API, given the newest there is; `None` when it is
    /// not spoken at all.
    pub(crate) fn max_version(&self, api: ApiKey, newest: i16) -> Option<i16> {
        match self.max_versions.iter().rev().find(|(limited, _)| *limited == api) {
            Some((_, limit)) => limit.map(|limit| limit.min(newest)),
            None => Some(newest),
        }
    }
}
