//! What the clients send to.

use std::path::Path;

use crate::broker::Broker;
use crate::kafka::cluster::Cluster;
use crate::kafka::runs::Storage;
use crate::process::{self, Interrupt};

/// A kind of broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// The embedded broker, keeping nothing: what is timed is the client.
    Discard,
    /// The embedded broker, with so many nodes.
    Embedded(usize),
    /// Real Kafka, with so many nodes.
    Kafka(usize),
}

impl Engine {
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        match name {
            "discard" => Ok(Self::Discard),
            "embedded" => Ok(Self::Embedded(1)),
            "embedded3" => Ok(Self::Embedded(3)),
            "kafka" => Ok(Self::Kafka(1)),
            "kafka3" => Ok(Self::Kafka(3)),
            _ => Err(format!("no engine {name}: discard, embedded, embedded3, kafka, kafka3")),
        }
    }

    /// As the page calls it.
    pub(crate) fn title(self) -> String {
        match self {
            Self::Discard => "a broker that discards".to_owned(),
            Self::Embedded(1) => "the embedded broker".to_owned(),
            Self::Embedded(nodes) => format!("the embedded broker, {nodes} nodes"),
            Self::Kafka(1) => "Kafka 4.3.1, one node".to_owned(),
            Self::Kafka(nodes) => format!("Kafka 4.3.1, {nodes} nodes"),
        }
    }

    /// How many brokers keep each partition.
    pub(crate) fn replicas(self) -> usize {
        match self {
            Self::Discard => 1,
            Self::Embedded(nodes) | Self::Kafka(nodes) => nodes.min(3),
        }
    }

    pub(crate) fn start(self, ottla: &Path, interrupt: &Interrupt) -> Result<Started, String> {
        let (servers, holds) = match self {
            Self::Kafka(nodes) => {
                // In memory, or the disk would be what is measured.
                let cluster = Cluster::start_on(Storage::Memory, nodes, interrupt)?;
                (cluster.bootstrap_servers(), Holds::Kafka(cluster))
            }
            Self::Discard => embedded(Broker::start_discarding(ottla, &[])?),
            Self::Embedded(nodes) => {
                let nodes = nodes.to_string();
                embedded(Broker::start_in_memory(ottla, "bench", &["--nodes", &nodes])?)
            }
        };
        Ok(Started { engine: self, servers, holds })
    }
}

/// Brokers that end with this value.
pub(crate) struct Started {
    pub(crate) engine: Engine,
    pub(crate) servers: String,
    holds: Holds,
}

impl Started {
    /// Processor time that the brokers have taken so far, in seconds.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let pids = match &self.holds {
            Holds::Kafka(cluster) => cluster.pids(),
            Holds::Broker(broker) => vec![broker.pid()],
        };
        pids.into_iter().filter_map(process::cpu_seconds).sum()
    }
}

enum Holds {
    Kafka(Cluster),
    Broker(Broker),
}

fn embedded(broker: Broker) -> (String, Holds) {
    (broker.servers().to_owned(), Holds::Broker(broker))
}
