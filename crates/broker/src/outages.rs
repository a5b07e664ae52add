//! Outages of nodes by chance, from one seed.

use crate::cluster::Cluster;
use crate::error::NodeError;
use crate::rng::Rng;

/// What goes wrong with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Killed,
    Stopped,
    Paused,
    Isolated,
    Held,
    DiskFull,
}

const ALL: [Trouble; 6] = [
    Trouble::Killed,
    Trouble::Stopped,
    Trouble::Paused,
    Trouble::Isolated,
    Trouble::Held,
    Trouble::DiskFull,
];

/// Outages of nodes by chance, one node at a time, so that the others can go on. When they come is
/// for the caller to say; what comes is the seed's.
///
/// # Examples
/// ```
/// use ottla_broker::{Cluster, Outages};
///
/// let cluster = Cluster::builder().nodes(3).topic_replicated("t", 1, 3).start()?;
/// let mut outages = Outages::new(7);
/// for _ in 0..10 {
///     println!("{}", outages.next(&cluster)?); // "node 2 is killed", say
///     // … produce, consume …
/// }
/// println!("{}", outages.end(&cluster)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Outages {
    rng: Rng,
    present: Option<(i32, Trouble)>,
}

impl Outages {
    /// Outages from a seed.
    pub fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed), present: None }
    }

    /// Ends the present outage and begins another. Says what happened.
    ///
    /// # Errors
    /// When a node does not start again.
    pub fn next(&mut self, cluster: &Cluster) -> Result<String, NodeError> {
        let ended = self.end(cluster)?;
        let ids = cluster.node_ids();
        let node = ids[(self.rng.next_u64() % ids.len() as u64) as usize];
        let trouble = ALL[(self.rng.next_u64() % ALL.len() as u64) as usize];
        trouble.begin(cluster, node)?;
        self.present = Some((node, trouble));
        let joint = if ended.is_empty() { "" } else { "; " };
        Ok(format!("{ended}{joint}node {node} {}", trouble.words()))
    }

    /// Ends the present outage, if there is one. Says what happened.
    ///
    /// # Errors
    /// When a node does not start again.
    pub fn end(&mut self, cluster: &Cluster) -> Result<String, NodeError> {
        let Some((node, trouble)) = self.present.take() else {
            return Ok(String::new());
        };
        match trouble.end(cluster, node) {
            // Somebody else was quicker.
            Ok(()) | Err(NodeError::Runs(_) | NodeError::IsDown(_)) => {
                Ok(format!("node {node} is well again"))
            }
            Err(error) => {
                self.present = Some((node, trouble));
                Err(error)
            }
        }
    }
}

impl Trouble {
    fn words(self) -> &'static str {
        match self {
            Self::Killed => "is killed",
            Self::Stopped => "is shut down",
            Self::Paused => "stands still",
            Self::Isolated => "hears no other node",
            Self::Held => "copies nothing",
            Self::DiskFull => "has a full disk",
        }
    }

    fn begin(self, cluster: &Cluster, node: i32) -> Result<(), NodeError> {
        match self {
            Self::Killed => cluster.kill_node(node),
            Self::Stopped => cluster.stop_node(node),
            Self::Paused => cluster.pause_node(node),
            Self::Isolated => cluster.isolate_node(node),
            Self::Held => cluster.hold_replication(node, true),
            Self::DiskFull => cluster.fill_disk(node, true),
        }
    }

    fn end(self, cluster: &Cluster, node: i32) -> Result<(), NodeError> {
        match self {
            Self::Killed | Self::Stopped => cluster.start_node(node),
            Self::Paused => cluster.resume_node(node),
            Self::Isolated => {
                cluster.heal();
                Ok(())
            }
            Self::Held => cluster.hold_replication(node, false),
            Self::DiskFull => cluster.fill_disk(node, false),
        }
    }
}
