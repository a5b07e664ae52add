//! What the clients send to.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::kafka::cluster::Cluster;
use crate::kafka::runs::Storage;
use crate::process::{self, Interrupt};

/// A kind of broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// The embedded broker, keeping nothing: what is timed is the client.
    Discard,
    /// The embedded broker.
    Embedded,
    /// Real Kafka, with so many nodes.
    Kafka(usize),
}

impl Engine {
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        match name {
            "discard" => Ok(Self::Discard),
            "embedded" => Ok(Self::Embedded),
            "kafka" => Ok(Self::Kafka(1)),
            "kafka3" => Ok(Self::Kafka(3)),
            _ => Err(format!("no engine {name}: discard, embedded, kafka, kafka3")),
        }
    }

    /// As the page calls it.
    pub(crate) fn title(self) -> String {
        match self {
            Self::Discard => "a broker that discards".to_owned(),
            Self::Embedded => "the embedded broker".to_owned(),
            Self::Kafka(1) => "Kafka 4.3.1, one node".to_owned(),
            Self::Kafka(nodes) => format!("Kafka 4.3.1, {nodes} nodes"),
        }
    }

    /// How many brokers keep each partition.
    pub(crate) fn replicas(self) -> usize {
        if let Self::Kafka(nodes) = self { nodes.min(3) } else { 1 }
    }

    pub(crate) fn start(self, ottla: &Path, interrupt: &Interrupt) -> Result<Started, String> {
        let (servers, holds) = match self {
            Self::Kafka(nodes) => {
                // In memory, or the disk would be what is measured.
                let cluster = Cluster::start_on(Storage::Memory, nodes, interrupt)?;
                (cluster.bootstrap_servers(), Holds::Kafka(cluster))
            }
            Self::Discard => broker(ottla, &["--discard"], None)?,
            Self::Embedded => {
                let folder = crate::workspace::scratch()?.join("bench-data");
                let _ = std::fs::remove_dir_all(&folder);
                let data = folder.display().to_string();
                broker(ottla, &["--data", &data], Some(folder))?
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
            Holds::Broker(child, _) => vec![child.id()],
        };
        pids.into_iter().filter_map(process::cpu_seconds).sum()
    }
}

enum Holds {
    Kafka(Cluster),
    Broker(Child, Option<std::path::PathBuf>),
}

impl Drop for Holds {
    fn drop(&mut self) {
        if let Self::Broker(child, folder) = self {
            let _ = child.kill();
            let _ = child.wait();
            if let Some(folder) = folder {
                let _ = std::fs::remove_dir_all(folder);
            }
        }
    }
}

fn broker(
    ottla: &Path,
    how: &[&str],
    folder: Option<std::path::PathBuf>,
) -> Result<(String, Holds), String> {
    let mut command = Command::new(ottla);
    command.args(["broker", "--listen", "127.0.0.1:0"]).args(how);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| format!("the broker: {error}"))?;
    let stdout = child.stdout.take().ok_or("the broker has no standard output")?;
    let holds = Holds::Broker(child, folder);
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).map_err(|error| format!("the broker: {error}"))?;
    let servers = line.trim().strip_prefix("ready ").ok_or("the broker did not start")?;
    Ok((servers.to_owned(), holds))
}
