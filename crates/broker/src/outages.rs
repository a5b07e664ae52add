//! Outages of nodes by chance, from one seed.

use crate::cluster::Cluster;
use crate::error::NodeError;
use crate::node_act::NodeAct;
use crate::rng::Rng;

/// What goes wrong with a node, and how that ends.
#[derive(Debug)]
struct Trouble {
    words: &'static str,
    begin: NodeAct,
    /// `None`: all nodes hear each other again.
    end: Option<NodeAct>,
}

static ALL: [Trouble; 6] = [
    Trouble { words: "is killed", begin: NodeAct::Kill, end: Some(NodeAct::Start) },
    Trouble { words: "is shut down", begin: NodeAct::Stop, end: Some(NodeAct::Start) },
    Trouble { words: "stands still", begin: NodeAct::Pause, end: Some(NodeAct::Resume) },
    Trouble { words: "hears no other node", begin: NodeAct::Isolate, end: None },
    Trouble { words: "copies nothing", begin: NodeAct::Hold, end: Some(NodeAct::Release) },
    Trouble { words: "has a full disk", begin: NodeAct::FillDisk, end: Some(NodeAct::FreeDisk) },
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
    present: Option<(i32, &'static Trouble)>,
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
        let trouble = &ALL[(self.rng.next_u64() % ALL.len() as u64) as usize];
        cluster.act(node, trouble.begin)?;
        self.present = Some((node, trouble));
        let joint = if ended.is_empty() { "" } else { "; " };
        Ok(format!("{ended}{joint}node {node} {}", trouble.words))
    }

    /// Ends the present outage, if there is one. Says what happened.
    ///
    /// # Errors
    /// When a node does not start again.
    pub fn end(&mut self, cluster: &Cluster) -> Result<String, NodeError> {
        let Some((node, trouble)) = self.present.take() else {
            return Ok(String::new());
        };
        let ended = match trouble.end {
            Some(act) => cluster.act(node, act),
            None => {
                cluster.heal();
                Ok(())
            }
        };
        match ended {
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
