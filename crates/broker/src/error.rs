//! Why a cluster does not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::log::LogError;

/// Why a cluster does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address to listen on is not one, or not to be had.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address as it was given.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The folder for the data cannot be used.
    #[error("cannot use {path}: {source}", path = .path.display())]
    DataDir {
        /// The folder, or a file in it.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has the folder open.
    #[error(
        "{path} is in use by another broker{holder}; give each broker a folder of its own",
        path = .path.display(),
        holder = .process_id.map(|id| format!(", process {id}")).unwrap_or_default()
    )]
    DataDirInUse {
        /// The folder.
        path: PathBuf,
        /// The process that has it, as far as it left word.
        process_id: Option<u32>,
    },
    /// The folder holds something else than this broker's data.
    #[error("{path} is not a data folder of this broker: {reason}", path = .path.display())]
    ForeignDataDir {
        /// The folder.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// A file in the folder is damaged.
    #[error("{path} is damaged: {reason}", path = .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The log of a partition cannot be opened.
    #[error("the log of {topic}-{partition} cannot be opened: {source}")]
    Log {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Why not.
        source: LogError,
    },
    /// A topic that was asked for cannot be created.
    #[error("topic {name:?} cannot be created: {reason}")]
    Topic {
        /// Its name.
        name: String,
        /// Why not.
        reason: String,
    },
    /// Certificates or keys that are of no use.
    #[error("TLS: {reason}")]
    Tls {
        /// What is wrong with them.
        reason: String,
    },
    /// A setting that this broker cannot have.
    #[error("{0}")]
    Config(String),
    /// The broker's thread could not be started.
    #[error("the broker's thread cannot be started: {0}")]
    Thread(io::Error),
    /// The listener was bound, but the runtime refused it.
    #[error("cannot serve {address}: {source}")]
    Serve {
        /// The address that was bound.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// Why something cannot be done with a node.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The cluster has no node of this id.
    #[error("there is no node {0}")]
    Unknown(i32),
    /// The node is down.
    #[error("node {0} is down")]
    IsDown(i32),
    /// The node runs.
    #[error("node {0} runs already")]
    Runs(i32),
    /// It was to be cut off from itself.
    #[error("node {0} cannot be cut off from itself")]
    Alone(i32),
    /// Nobody could go there.
    #[error("no address: a host has 1 to 255 characters without blanks, and a port is not 0")]
    NoAddress,
    /// The node does not start again.
    #[error(transparent)]
    Start(StartError),
}
