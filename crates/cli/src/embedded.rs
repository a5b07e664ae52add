//! Where a command finds its cluster: somebody's servers, or a broker started in this process.

use std::path::PathBuf;

use ottla_broker::{Cluster, StartError};

use crate::args::target::Target;
use crate::exit::Failure;
use crate::talk::Talk;

/// Partitions of a topic that comes into being because records are sent to it.
pub(crate) const DEFAULT_PARTITIONS: i32 = 3;

/// A cluster to talk to; an embedded broker lives as long as this value.
pub(crate) struct Servers {
    /// As `host:port[,…]`.
    pub(crate) bootstrap: String,
    cluster: Option<Cluster>,
}

impl Servers {
    /// Starts the embedded broker, if it is wanted.
    pub(crate) fn open(target: &Target, talk: &Talk) -> Result<Self, Failure> {
        let data = match target {
            Target::Servers(servers) => {
                return Ok(Self { bootstrap: servers.clone(), cluster: None });
            }
            Target::Embedded(Some(data)) => data.clone(),
            Target::Embedded(None) => default_data_dir()?,
        };
        talk.note(format_args!("embedded broker, data in {}", data.display()));
        let builder = Cluster::builder()
            .listen("127.0.0.1:0")
            .data_dir(&data)
            .auto_create_topics(true)
            .default_partitions(DEFAULT_PARTITIONS);
        let cluster = builder.start().map_err(|error| cannot_start(&error))?;
        Ok(Self { bootstrap: cluster.bootstrap_servers(), cluster: Some(cluster) })
    }

    /// As [`Servers::open`]; an embedded broker without a folder keeps its data for as long as it
    /// runs.
    pub(crate) fn open_for_a_while(target: &Target, talk: &Talk) -> Result<Self, Failure> {
        if *target != Target::Embedded(None) {
            return Self::open(target, talk);
        }
        talk.note("embedded broker, whose data goes when it ends");
        let builder = Cluster::builder().request_log(0).default_partitions(DEFAULT_PARTITIONS);
        let cluster = builder.start().map_err(|error| cannot_start(&error))?;
        Ok(Self { bootstrap: cluster.bootstrap_servers(), cluster: Some(cluster) })
    }

    /// Whether the broker is in this process.
    pub(crate) fn is_embedded(&self) -> bool {
        self.cluster.is_some()
    }

    /// Stops the embedded broker; its log is then on disk.
    pub(crate) fn stop(self) {
        if let Some(cluster) = self.cluster {
            cluster.stop();
        }
    }
}

/// Why a broker does not start.
pub(crate) fn cannot_start(error: &StartError) -> Failure {
    let failure = Failure::usage(format!("the broker does not start: {error}"));
    match error {
        StartError::DataDirInUse { .. } => failure
            .cure("name another folder with --data DIR, or go to that broker with -b HOST:PORT"),
        StartError::Listen { .. } => failure.cure("--listen HOST:PORT names another address"),
        StartError::Tls { .. } => failure.cure(
            "--tls-certificate, --tls-key and --tls-client-ca name files in PEM; the key has no password",
        ),
        _ => failure,
    }
}

/// The folder for the embedded broker's data in the user's state directory.
pub(crate) fn default_data_dir() -> Result<PathBuf, Failure> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let state = if cfg!(windows) {
        absolute("LOCALAPPDATA")
    } else {
        absolute("XDG_STATE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".local").join("state")))
    };
    match state {
        Some(state) => Ok(state.join("ottla")),
        None => Err(Failure::usage("there is no home folder to keep the broker's data in")
            .cure("name a folder with --data DIR")),
    }
}
