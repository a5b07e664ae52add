//! An embeddable broker that speaks the Kafka protocol and keeps a Kafka log.
//!
//! ```
//! use ottla_broker::{ApiKey, Cluster, ErrorCode, Fault};
//!
//! let cluster = Cluster::builder().topic("user-events", 3).start()?;
//! // Any Kafka client may connect to cluster.bootstrap_servers() now.
//! cluster.inject(Fault::on(ApiKey::PRODUCE).times(2).error(ErrorCode::NOT_LEADER_OR_FOLLOWER));
//! cluster.stop();
//! # Ok::<(), ottla_broker::StartError>(())
//! ```
//!
//! # What it promises
//!
//! - Every record that was acknowledged is in its file, and is there after a kill of the process
//!   and a restart. Power cuts are another matter: like Kafka, it does not flush on every write.
//! - Batches are stored as they came, in Kafka's file formats; Kafka's own tools read them.
//! - A batch of an idempotent producer is stored once, however often it is sent, also across
//!   restarts.
//! - Offsets have no gaps but those that compaction leaves. What fails its checksum is never
//!   served.
//! - Several nodes replicate as Kafka's do: a record that was acknowledged to acks=all outlives its
//!   leader; one that was acknowledged to acks=1 need not.
//! - Transactions, of versions 1 and 2 (KIP-890): all partitions and the offsets of groups see the
//!   end of one, or none does. An end that was acknowledged is finished after a kill.
//! - Consumer groups of both protocols (classic and KIP-848), members and offsets on disk, so that
//!   foreign consumers work.
//! - Nothing that comes over the network makes it panic or take memory that was only announced.
//!
//! # What it leaves out, so far
//!
//! Quotas of requests and addresses, GSSAPI, share groups, tiered storage. What is
//! asked of these is refused with an error, not ignored; the page of each API under `handler` says
//! the details.
//!
//! # Layout
//!
//! [`log`] is the log of one partition. A node (crate-private) has replicas in a folder of its own.
//! `nodes` holds all of them with what they share, topics and groups, and turns a request into an
//! answer without I/O of its own but for the logs' files; `controller` decides who leads,
//! `replication` lets followers follow, `transactions` is the transaction coordinator. `server` is
//! the TCP door in front of it.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod as_text;
mod assignment;
mod broker_settings;
mod builder;
mod catalog;
mod client_metrics;
mod cluster;
mod cluster_network;
mod cluster_nodes;
mod compaction;
mod config;
mod connection;
mod controller;
mod data_dir;
mod disk;
mod dynamic_settings;
mod error;
mod fault;
mod features;
mod fetch_sessions;
mod group_settings;
mod groups;
mod handler;
mod idle_settings;
mod journal;
mod life;
mod link;
mod listen;
pub mod log;
mod lookup;
mod lost_ends;
mod mutant;
mod nearest_replica;
mod node;
mod node_act;
mod nodes;
mod outage;
mod outages;
mod outgoing;
mod parked;
mod partitions;
mod pattern;
mod peers;
mod placement;
mod power_cut;
mod quotas;
mod reassignment;
mod replica;
mod replication;
mod request_log;
mod resource_settings;
mod rng;
mod security;
mod server;
mod spare_buffers;
mod status;
mod time;
mod topic_config;
mod topics;
mod transactions;
mod unheard;
mod wire;

pub use builder::ClusterBuilder;
pub use cluster::Cluster;
pub use cluster_nodes::PartitionState;
pub use error::{NodeError, StartError};
pub use fault::{Fault, NotAFault, RandomFaults};
pub use link::Link;
pub use node_act::NodeAct;
pub use ottla_protocol::{ApiKey, ErrorCode};
pub use outages::Outages;
pub use request_log::{SeenBatch, SeenProduce, SeenRequest};
pub use security::{
    Acl, Listener, Mechanism, NotARule, Operation, Sasl, SecurityProtocol, Tls, Tokens,
    UnknownMechanism,
};
pub use status::{NodeState, NodeStatus};

#[cfg(test)]
mod tests;
