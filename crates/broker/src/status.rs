//! What there is in a running cluster, and how it is.

use std::net::SocketAddr;

use crate::cluster::Cluster;
use crate::node::State;

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// It serves.
    Running,
    /// It stands still; see [`Cluster::pause_node`].
    Paused,
    /// Its process is gone, its folder is not.
    Down,
}

/// A node and how it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeStatus {
    /// Its id.
    pub id: i32,
    /// Where its main listener is, or was while it is down.
    pub address: SocketAddr,
    /// What it does.
    pub state: NodeState,
    /// Whether the controller has given it up: it leads nothing and is in sync with nothing.
    pub is_fenced: bool,
    /// Whether it was told to copy nothing; see [`Cluster::hold_replication`].
    pub holds_replication: bool,
    /// Whether nothing fits on its disk; see [`Cluster::fill_disk`].
    pub has_full_disk: bool,
}

impl Cluster {
    /// All nodes, in order of their ids.
    pub fn nodes(&self) -> Vec<NodeStatus> {
        let addresses = self.addresses().iter();
        self.running.door.with_nodes(|nodes, _| {
            let status = |(node, address): (&crate::node::Node, &SocketAddr)| NodeStatus {
                id: node.id,
                address: *address,
                state: match node.state {
                    State::Running => NodeState::Running,
                    State::Paused => NodeState::Paused,
                    State::Down => NodeState::Down,
                },
                is_fenced: node.is_fenced,
                holds_replication: node.holds_replication,
                has_full_disk: node.disk.is_full(),
            };
            nodes.nodes.iter().zip(addresses).map(status).collect()
        })
    }

    /// The topics with the numbers of their partitions, in order of their names.
    pub fn topics(&self) -> Vec<(String, i32)> {
        self.running.door.with_nodes(|nodes, _| {
            let all = nodes.catalog.sorted().into_iter();
            let mut topics: Vec<(String, i32)> =
                all.map(|topic| (topic.name.to_string(), topic.partitions.len() as i32)).collect();
            topics.sort();
            topics
        })
    }
}
