//! How a cluster is described and started.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_protocol::ApiKey;

use crate::cluster::{Cluster, Running, RunningListener};
use crate::config::BrokerConfig;
use crate::error::StartError;
use crate::listen::ReservedPort;
use crate::log::DiskStorage;
use crate::nodes::{FIRST_NODE_ID, Nodes};
use crate::peers::{Advertised, NodeListener};
use crate::security::control::Described;
use crate::security::tls::RunningTls;
use crate::security::{Listener, Sasl};
use crate::server::{self, Door, Entrance};
use crate::topic_config::Overrides;

/// More brokers than this in one process are a mistake.
const MAX_NODES: usize = 100;

/// How many replicas topics have that are created without a number, if there are so many nodes.
const DEFAULT_REPLICAS: usize = 3;

/// Describes a cluster; made by [`Cluster::builder`].
#[derive(Debug)]
#[must_use = "a cluster runs once it is started"]
pub struct ClusterBuilder {
    nodes: usize,
    /// The one that every cluster has.
    pub(crate) main: Listener,
    pub(crate) others: Vec<Listener>,
    pub(crate) security: Described,
    data_dir: Option<PathBuf>,
    topics: Vec<NewTopic>,
    replication_factor: Option<i32>,
    seed: Option<u64>,
    config: BrokerConfig,
}

impl Default for ClusterBuilder {
    fn default() -> Self {
        Self {
            nodes: 1,
            main: Listener::main(),
            others: Vec::new(),
            security: Described::default(),
            data_dir: None,
            topics: Vec::new(),
            replication_factor: None,
            seed: None,
            config: BrokerConfig::default(),
        }
    }
}

impl ClusterBuilder {
    /// How many brokers there are, 1 to 100. Default 1. Their ids count up from 1.
    ///
    /// A folder that had fewer gets more of them, empty ones. One that had more is short of those
    /// that are left out, as if they were down.
    pub fn nodes(self, nodes: usize) -> Self {
        Self { nodes, ..self }
    }

    /// The address to listen on, `host:port`, of the first node. The others take the ports after
    /// it. Port 0 lets the system choose for each. Default `127.0.0.1:0`.
    pub fn listen(self, address: impl Into<String>) -> Self {
        Self { main: self.main.listen(address), ..self }
    }

    /// The address that clients are told for the first node; for the others, the ports after it.
    /// Default: the name that the nodes listen on; if that is a number, the address that clients
    /// connected to, with each node's own port.
    pub fn advertise(self, host: impl Into<String>, port: u16) -> Self {
        Self { main: self.main.advertise(host, port), ..self }
    }

    /// The folder for the data, made when it is not there. Default: a temporary one that is removed
    /// with the cluster.
    pub fn data_dir(self, path: impl Into<PathBuf>) -> Self {
        Self { data_dir: Some(path.into()), ..self }
    }

    /// A topic that is there from the start. One that is there already gets more partitions if it
    /// has fewer.
    pub fn topic(self, name: impl Into<String>, partitions: i32) -> Self {
        self.topic_with(name, partitions, [] as [(&str, &str); 0])
    }

    /// A topic with settings, such as `("cleanup.policy", "compact")`.
    pub fn topic_with<K: Into<String>, V: Into<String>>(
        mut self,
        name: impl Into<String>,
        partitions: i32,
        configs: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let overrides = configs.into_iter().map(|(key, value)| (key.into(), value.into()));
        let overrides = overrides.collect();
        self.topics.push(NewTopic { name: name.into(), partitions, replicas: None, overrides });
        self
    }

    /// A topic with so many replicas of each partition.
    pub fn topic_replicated(
        mut self,
        name: impl Into<String>,
        partitions: i32,
        replicas: i32,
    ) -> Self {
        let (name, replicas) = (name.into(), Some(replicas));
        let overrides = Overrides::new();
        self.topics.push(NewTopic { name, partitions, replicas, overrides });
        self
    }

    /// Replicas of a topic that is created without a number, `default.replication.factor`. Default
    /// 3, or as many as there are nodes.
    pub fn default_replication_factor(self, replicas: i32) -> Self {
        Self { replication_factor: Some(replicas), ..self }
    }

    /// Where the nodes are, `broker.rack`, in order of their ids; fewer racks than nodes go round.
    /// Replicas of new partitions are spread over as many racks as there are (KIP-36), and clients
    /// are told. Default: nobody is told of racks.
    pub fn racks<R: Into<String>>(mut self, racks: impl IntoIterator<Item = R>) -> Self {
        self.config.racks = racks.into_iter().map(Into::into).collect();
        self
    }

    /// Whether leaders send consumers that say their rack to an in-sync replica there (KIP-392), as
    /// Kafka does with `RackAwareReplicaSelector` for `replica.selector.class`. Default false.
    pub fn select_replicas_by_rack(mut self, enabled: bool) -> Self {
        self.config.selects_by_rack = enabled;
        self
    }

    /// How many replicas must be in sync for acks=all, in topics that do not say otherwise,
    /// `min.insync.replicas`. Default 1.
    pub fn min_insync_replicas(mut self, replicas: i32) -> Self {
        self.config.min_insync_replicas = replicas;
        self
    }

    /// Whether a replica that is not in sync may lead when no other can, in topics that do not say
    /// otherwise, `unclean.leader.election.enable`. What it lacks is then lost. Default false.
    pub fn unclean_leader_election(mut self, enabled: bool) -> Self {
        self.config.unclean_leader_election = enabled;
        self
    }

    /// After how long a follower that has not caught up is out of sync, `replica.lag.time.max.ms`.
    /// Default 30 seconds.
    pub fn replica_lag_time_max(mut self, lag: Duration) -> Self {
        self.config.replica_lag_time_max = lag;
        self
    }

    /// How long the controller counts on a node that is silent, `broker.session.timeout.ms`.
    /// Default 200 milliseconds, so that a test need not wait for Kafka's 9 seconds.
    pub fn node_session_timeout(mut self, timeout: Duration) -> Self {
        self.config.node_session_timeout = timeout;
        self
    }

    /// How long what one node says to another is under way. Default 0.
    ///
    /// With some of it one can see what acks=1 risks: between the answer and the next follower's
    /// copy, the leader alone has the record.
    pub fn replication_delay(mut self, delay: Duration) -> Self {
        self.config.replication_delay = delay;
        self
    }

    /// Whether a topic comes into being when a client asks for it, `auto.create.topics.enable`.
    /// Default true.
    pub fn auto_create_topics(mut self, enabled: bool) -> Self {
        self.config.auto_create_topics = enabled;
        self
    }

    /// Partitions of a topic that is created without a number, `num.partitions`. Default 1.
    pub fn default_partitions(mut self, partitions: i32) -> Self {
        self.config.default_partitions = partitions;
        self
    }

    /// The largest request in bytes, `socket.request.max.bytes`. Default 100 MiB.
    pub fn max_request_bytes(mut self, bytes: usize) -> Self {
        self.config.max_request_bytes = bytes;
        self
    }

    /// How many connections there may be, `max.connections`. Default 10,000.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.config.max_connections = connections;
        self
    }

    /// After how much silence a connection is closed, `connections.max.idle.ms`. Default 10
    /// minutes.
    pub fn max_idle(mut self, idle: Duration) -> Self {
        self.config.max_idle = idle;
        self
    }

    /// How long a new consumer group waits for more members, `group.initial.rebalance.delay.ms`.
    /// Default 0.
    pub fn group_initial_rebalance_delay(mut self, delay: Duration) -> Self {
        self.config.group_initial_rebalance_delay = delay;
        self
    }

    /// The bounds for a group member's session timeout, `group.min.session.timeout.ms` and
    /// `group.max.session.timeout.ms`. Default 6 seconds and 30 minutes.
    pub fn group_session_timeouts(mut self, min: Duration, max: Duration) -> Self {
        self.config.group_min_session_timeout = min;
        self.config.group_max_session_timeout = max;
        self
    }

    /// How many members a consumer group may have: of the classic protocol, `group.max.size`, and
    /// of the consumer protocol, `group.consumer.max.size`. Default: any number.
    pub fn group_max_size(mut self, members: usize) -> Self {
        self.config.group_max_size = members;
        self.config.group_consumer_max_size = members;
        self
    }

    /// How often a member of a group of the consumer protocol (KIP-848) reports, and after how much
    /// silence it is out: `group.consumer.heartbeat.interval.ms` and
    /// `group.consumer.session.timeout.ms`. Default 5 and 45 seconds.
    pub fn group_consumer_timeouts(mut self, interval: Duration, session: Duration) -> Self {
        self.config.group_consumer_heartbeat_interval = interval;
        self.config.group_consumer_session_timeout = session;
        self
    }

    /// After how much idleness an idempotent producer is forgotten, `producer.id.expiration.ms`.
    /// Default a day.
    pub fn producer_id_expiration(mut self, expiration: Duration) -> Self {
        self.config.producer_id_expiration = expiration;
        self
    }

    /// How often old segments and idle producers are looked for. Default 5 minutes.
    pub fn retention_check_interval(mut self, interval: Duration) -> Self {
        self.config.retention_check_interval = interval;
        self
    }

    /// How often a log that has to be compacted is looked for, `log.cleaner.backoff.ms`. Default a
    /// second.
    pub fn cleaner_backoff(mut self, backoff: Duration) -> Self {
        self.config.cleaner_backoff = backoff;
        self
    }

    /// Whether records are counted and then forgotten. Default false.
    ///
    /// For measuring producers: the protocol is the real one, batches get offsets, and nothing
    /// of them is looked at but the header, nor checked for duplicates, nor kept. Every log
    /// begins where it ends.
    pub fn discard(mut self, discard: bool) -> Self {
        self.config.discards = discard;
        self
    }

    /// The newest version of an API that the cluster speaks, to stand in for an older Kafka; `None`
    /// for one that it does not speak at all. Default: the newest there is.
    pub fn max_version(mut self, api: ApiKey, version: Option<i16>) -> Self {
        self.config.max_versions.push((api, version));
        self
    }

    /// How many requests [`Cluster::requests`] remembers, 0 for none. Default 10,000.
    pub fn request_log(mut self, capacity: usize) -> Self {
        self.config.request_log_capacity = capacity;
        self
    }

    /// The seed of all ids that the broker makes up. Default: from the system's randomness.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed: Some(seed), ..self }
    }

    /// Starts the cluster, on a thread of its own. Clients may come when this returns.
    ///
    /// Works from any context, inside an async runtime too: it blocks for as long as opening the
    /// data takes.
    ///
    /// # Errors
    /// When the address or the folder is not to be had, when what is in the folder is damaged or
    /// not this broker's, or when the description makes no sense.
    pub fn start(self) -> Result<Cluster, StartError> {
        self.check()?;
        let mut config = self.config;
        let temporary = match &self.data_dir {
            Some(_) => None,
            None => {
                let made = tempfile::Builder::new().prefix("ottla-broker-").tempdir();
                let path = std::env::temp_dir();
                Some(made.map_err(|source| StartError::DataDir { path, source })?)
            }
        };
        config.is_durable = temporary.is_none();
        let dir = match (&self.data_dir, &temporary) {
            (Some(dir), _) => dir.clone(),
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => PathBuf::new(),
        };
        let seed = match self.seed {
            Some(seed) => seed,
            None => getrandom::u64()
                .map_err(|error| StartError::Config(format!("no randomness: {error}")))?,
        };
        let started = Instant::now();
        let storage = Arc::new(DiskStorage { is_durable: config.is_durable });
        let now = server::now_since(started);
        let default_replicas = self.nodes.min(DEFAULT_REPLICAS) as i32;
        config.default_replication_factor = self.replication_factor.unwrap_or(default_replicas);
        let mut nodes = Nodes::open(self.nodes as i32, config, &dir, storage, seed, now)?;
        nodes.users = self.security.users()?;
        nodes.scram.tell(&mut nodes.users);
        nodes.acls.super_users = self.security.super_users();
        nodes.rules = self.security.rules();
        for NewTopic { name, partitions, replicas, overrides } in self.topics {
            nodes
                .ensure_topic(&name, partitions, replicas, overrides, now)
                .map_err(|error| StartError::Topic { name, reason: error.message })?;
        }
        let mut entrances = Vec::new();
        let mut listeners = Vec::new();
        for (place, listener) in std::iter::once(self.main).chain(self.others).enumerate() {
            let running = open(place, listener, &mut nodes, &mut entrances)?;
            let RunningListener { name, addresses, .. } = &running;
            tracing::info!(listener = name, ?addresses, dir = %dir.display(), "broker started");
            listeners.push(running);
        }
        let running = Running::start(entrances, Arc::new(Door::new(nodes, started)))?;
        Ok(Cluster::new(running, listeners, temporary))
    }

    fn check(&self) -> Result<(), StartError> {
        let invalid = |message: String| Err(StartError::Config(message));
        if self.nodes == 0 || self.nodes > MAX_NODES {
            let nodes = self.nodes;
            return invalid(format!("a cluster has 1 to {MAX_NODES} nodes, not {nodes}"));
        }
        if self.config.discards && self.nodes > 1 {
            let message = "a broker that discards records has nothing to replicate: one node only";
            return invalid(message.to_owned());
        }
        if let Some(replicas) = self.replication_factor
            && !(1..=self.nodes as i32).contains(&replicas)
        {
            let nodes = self.nodes;
            return invalid(format!("{replicas} replicas cannot be had of {nodes} nodes"));
        }
        if self.config.racks.len() > self.nodes || self.config.racks.iter().any(String::is_empty) {
            let nodes = self.nodes;
            return invalid(format!("racks have names, and {nodes} nodes are in {nodes} at most"));
        }
        if self.config.min_insync_replicas < 1 {
            let replicas = self.config.min_insync_replicas;
            return invalid(format!("min.insync.replicas={replicas}: it must be 1 or more"));
        }
        if let (true, Some(dir)) = (self.config.discards, &self.data_dir) {
            let dir = dir.display();
            return invalid(format!(
                "a broker that discards records keeps nothing in a folder: {dir} is not needed"
            ));
        }
        for (index, listener) in self.others.iter().enumerate() {
            let mut before = self.others[..index].iter().chain([&self.main]);
            if before.any(|other| other.name() == listener.name()) {
                return invalid(format!("two listeners have the name {}", listener.name()));
            }
        }
        let mut all = self.others.iter().chain([&self.main]);
        let has_none = |sasl: &Sasl| sasl.mechanisms.is_empty();
        if let Some(listener) = all.find(|listener| listener.sasl.as_ref().is_some_and(has_none)) {
            return invalid(format!("listener {} has no SASL mechanism", listener.name()));
        }
        if self.config.default_partitions < 1 {
            let partitions = self.config.default_partitions;
            return invalid(format!("a topic cannot have {partitions} partitions"));
        }
        if self.config.max_connections == 0 || self.config.max_request_bytes < 1024 {
            return invalid("a broker that takes no connections or no requests".to_owned());
        }
        if self.config.group_min_session_timeout > self.config.group_max_session_timeout {
            return invalid("the least session timeout is above the greatest".to_owned());
        }
        Ok(())
    }
}

/// A topic that is to be there from the start.
#[derive(Debug)]
struct NewTopic {
    name: String,
    partitions: i32,
    replicas: Option<i32>,
    overrides: Overrides,
}

/// Binds a listener on each node, and tells the nodes of it.
fn open(
    place: usize,
    listener: Listener,
    nodes: &mut Nodes,
    entrances: &mut Vec<Entrance>,
) -> Result<RunningListener, StartError> {
    let name = listener.name().to_owned();
    let tls = listener.tls.map(RunningTls::start).transpose()?.map(Arc::new);
    let sasl = listener.sasl.map(Arc::new);
    let mut addresses = Vec::new();
    let mut reserved = Vec::new();
    let mut advertised = Vec::new();
    for (step, node) in (0..).zip(&mut nodes.nodes) {
        let port = ReservedPort::take(&nth_address(&listener.address, step)?)?;
        let shown = match &listener.advertised {
            None => name_in(&listener.address)
                .map(|host| Advertised { host, port: port.address().port() }),
            Some(Advertised { host, port }) => Some(Advertised {
                host: host.clone(),
                port: nth_port(*port, step)
                    .ok_or_else(|| StartError::Config(no_port_left(host, *port, step)))?,
            }),
        };
        advertised.extend(shown.clone());
        let (number, address) = (FIRST_NODE_ID + i32::from(step), port.address());
        node.listeners.push(NodeListener {
            advertised: shown,
            port: address.port(),
            sasl: sasl.clone(),
        });
        let bound = port.listen()?;
        entrances.push(Entrance { node: number, listener: place, bound, tls: tls.clone() });
        addresses.push(address);
        reserved.push(port);
    }
    let advertised = (!advertised.is_empty()).then_some(advertised);
    Ok(RunningListener { name, addresses, advertised, tls, reserved })
}

/// The host of an address, if it is a name and no number.
fn name_in(address: &str) -> Option<String> {
    let (host, _) = address.rsplit_once(':')?;
    let number = host.trim_start_matches('[').trim_end_matches(']');
    number.parse::<IpAddr>().is_err().then(|| host.to_owned())
}

/// The address of the node so many places after the first.
fn nth_address(first: &str, step: u16) -> Result<String, StartError> {
    let split = first.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    match split {
        None | Some((_, 0)) => Ok(first.to_owned()),
        Some((host, port)) => match nth_port(port, step) {
            Some(port) => Ok(format!("{host}:{port}")),
            None => Err(StartError::Config(no_port_left(host, port, step))),
        },
    }
}

fn nth_port(first: u16, step: u16) -> Option<u16> {
    if first == 0 { Some(0) } else { first.checked_add(step) }
}

fn no_port_left(host: &str, port: u16, step: u16) -> String {
    format!("there is no port {step} after that of {host}:{port}; begin with a lower one")
}
