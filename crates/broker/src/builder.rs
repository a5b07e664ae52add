//! How a cluster is described and started.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cluster::{Cluster, Running, RunningListener};
use crate::config::BrokerConfig;
use crate::error::StartError;
use crate::log::DiskStorage;
use crate::node::{Node, NodeListener};
use crate::security::control::Described;
use crate::security::tls::RunningTls;
use crate::security::{Listener, Sasl};
use crate::server::{self, Door, Entrance};
use crate::topic_config::Overrides;

/// The id of the only node.
const NODE_ID: i32 = 1;

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
    topics: Vec<(String, i32, Overrides)>,
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
            seed: None,
            config: BrokerConfig::default(),
        }
    }
}

impl ClusterBuilder {
    /// How many brokers there are. Default 1, and for the time being no other number is possible.
    pub fn nodes(self, nodes: usize) -> Self {
        Self { nodes, ..self }
    }

    /// The address to listen on, `host:port`. Port 0 lets the system choose. Default `127.0.0.1:0`.
    pub fn listen(self, address: impl Into<String>) -> Self {
        Self { main: self.main.listen(address), ..self }
    }

    /// The address that clients are told. Default: the one that they connected to.
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
        self.topics.push((name.into(), partitions, overrides.collect()));
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

    /// Whether records are counted and then forgotten. Default false.
    ///
    /// For measuring producers: the protocol is the real one, batches get offsets, and nothing
    /// of them is looked at but the header, nor checked for duplicates, nor kept. Every log
    /// begins where it ends.
    pub fn discard(mut self, discard: bool) -> Self {
        self.config.discards = discard;
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
        let mut node = Node::open(NODE_ID, config, &dir, storage, seed, now)?;
        node.users = self.security.users()?;
        node.rules = self.security.rules();
        for (name, partitions, overrides) in self.topics {
            node.ensure_topic(&name, partitions, overrides, now)
                .map_err(|error| StartError::Topic { name, reason: error.message })?;
        }
        let mut entrances = Vec::new();
        let mut listeners = Vec::new();
        for listener in std::iter::once(self.main).chain(self.others) {
            let (entrance, running) = open(listener, &mut node)?;
            let RunningListener { name, address, .. } = &running;
            tracing::info!(listener = name, %address, dir = %dir.display(), "broker started");
            entrances.push(entrance);
            listeners.push(running);
        }
        let running = Running::start(entrances, Arc::new(Door::new(node, started)))?;
        Ok(Cluster::new(running, listeners, temporary))
    }

    fn check(&self) -> Result<(), StartError> {
        let invalid = |message: String| Err(StartError::Config(message));
        if self.nodes != 1 {
            return invalid(format!("a cluster of {} nodes: only 1 is possible yet", self.nodes));
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

/// Binds a listener and tells the node of it.
fn open(listener: Listener, node: &mut Node) -> Result<(Entrance, RunningListener), StartError> {
    let name = listener.name().to_owned();
    let tls = listener.tls.map(RunningTls::start).transpose()?.map(Arc::new);
    let bound = bind(&listener.address)?;
    let address = local_address(&bound, &listener.address)?;
    node.listeners.push(NodeListener {
        advertised: listener.advertised.clone(),
        sasl: listener.sasl.map(Arc::new),
    });
    let entrance = Entrance { bound, tls: tls.clone() };
    Ok((entrance, RunningListener { name, address, advertised: listener.advertised, tls }))
}

fn bind(listen: &str) -> Result<TcpListener, StartError> {
    let fault = |source| StartError::Listen { address: listen.to_owned(), source };
    let listener = TcpListener::bind(listen).map_err(fault)?;
    listener.set_nonblocking(true).map_err(fault)?;
    Ok(listener)
}

fn local_address(listener: &TcpListener, listen: &str) -> Result<SocketAddr, StartError> {
    let fault = |source| StartError::Listen { address: listen.to_owned(), source };
    listener.local_addr().map_err(fault)
}
