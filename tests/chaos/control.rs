//! The cluster as its administrator sees it, without a detour.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ottla::admin::{Admin, ClusterDescription, NewTopic, RequestError};
use ottla_protocol::Uuid;
use tokio::runtime::Runtime;

use crate::nodes::Nodes;

const ASK_WITHIN: Duration = Duration::from_secs(10);
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
/// The longest that a cluster of three may take to be well again, on a machine that is busy.
pub(crate) const WELL_WITHIN: Duration = Duration::from_secs(600);
/// The word for a run that somebody wanted to end.
pub(crate) const INTERRUPTED: &str = "interrupted";

/// Asks the nodes. One for each thread.
pub(crate) struct Control {
    nodes: Arc<Nodes>,
    runtime: Runtime,
    interrupted: Arc<AtomicBool>,
}

impl Control {
    pub(crate) fn new(nodes: &Arc<Nodes>, interrupted: &Arc<AtomicBool>) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
        Ok(Self { nodes: Arc::clone(nodes), runtime, interrupted: Arc::clone(interrupted) })
    }

    pub(crate) fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    pub(crate) fn nodes_shared(&self) -> Arc<Nodes> {
        Arc::clone(&self.nodes)
    }

    fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&mut Admin) -> Result<T, RequestError>,
    ) -> Result<T, RequestError> {
        self.runtime.block_on(async {
            let mut admin = Admin::connect(&self.nodes.servers(), ASK_WITHIN).await?;
            question(&mut admin).await
        })
    }

    /// What the cluster says of these topics.
    pub(crate) fn describe(&self, topics: &[&str]) -> Result<ClusterDescription, RequestError> {
        self.ask(async |admin| admin.describe_cluster(Some(topics)).await)
    }

    /// The leader of a partition, if there is one and somebody knows.
    pub(crate) fn leader(&self, topic: &str, partition: usize) -> Option<i32> {
        let described = self.describe(&[topic]).ok()?;
        described.topics.first()?.partitions.get(partition)?.leader
    }

    /// Creates a topic with a copy on each node; tries again for as long as nobody can.
    pub(crate) fn create(&self, name: &str, partitions: i32) -> Result<(), String> {
        let topic = NewTopic::new(name).partitions(partitions).replication(3);
        let topic = topic.config("min.insync.replicas", "2");
        self.until(&format!("topic {name} is created"), || {
            let created = self.ask(async |admin| admin.create_topic(&topic).await);
            Ok(match created {
                Ok(_) => true,
                // The answer to an earlier attempt was lost.
                Err(error) => error.to_string().contains("TOPIC_ALREADY_EXISTS"),
            })
        })
    }

    /// Deletes a topic; tries again for as long as nobody can.
    pub(crate) fn delete(&self, name: &str) -> Result<(), String> {
        self.until(&format!("topic {name} is deleted"), || {
            let deleted = self.ask(async |admin| admin.delete_topic(name).await);
            Ok(match deleted {
                Ok(()) => true,
                Err(error) => error.to_string().contains("UNKNOWN_TOPIC"),
            })
        })
    }

    /// Waits until each node says that each partition has a leader and three copies in sync.
    pub(crate) fn wait_until_well(&self, topics: &[&str]) -> Result<(), String> {
        let well = || {
            if let Some(node) = self.nodes.all.iter().find(|node| node.has_died()) {
                return Err(format!("node {} has ended:\n{}", node.id, node.last_words()));
            }
            Ok(self.nodes.all.iter().all(|node| self.is_well(&node.address(), topics)))
        };
        self.until("all copies are in sync", well)
    }

    /// The id of a topic, as a node knows it.
    pub(crate) fn id(&self, server: &str, topic: &str) -> Option<Uuid> {
        let described = self.runtime.block_on(async {
            let mut admin = Admin::connect(server, ASK_WITHIN).await?;
            admin.describe_topic(topic).await
        });
        described.ok().map(|topic| topic.id)
    }

    /// Waits until all nodes know a topic under one id, which is not `before`, and it is well.
    pub(crate) fn wait_until_anew(&self, topic: &str, before: Uuid) -> Result<Uuid, String> {
        let mut id = None;
        self.until("all nodes know of the new topic", || {
            let ids = self.nodes.all.iter().map(|node| self.id(&node.address(), topic));
            let ids: Vec<Option<Uuid>> = ids.collect();
            id = ids[0];
            Ok(id.is_some_and(|id| id != before) && ids.iter().all(|other| *other == id))
        })?;
        self.wait_until_well(&[topic])?;
        id.ok_or_else(|| format!("{topic} has no id"))
    }

    fn is_well(&self, server: &str, topics: &[&str]) -> bool {
        let described = self.runtime.block_on(async {
            let mut admin = Admin::connect(server, ASK_WITHIN).await?;
            admin.describe_cluster(Some(topics)).await
        });
        described.is_ok_and(|cluster: ClusterDescription| {
            cluster.brokers.len() == self.nodes.all.len()
                && cluster.topics.len() == topics.len()
                && cluster.topics.iter().all(|topic| {
                    topic.error.is_none()
                        && topic
                            .partitions
                            .iter()
                            .all(|partition| partition.leader.is_some() && partition.isr.len() == 3)
                })
        })
    }

    fn until(
        &self,
        what: &str,
        mut holds: impl FnMut() -> Result<bool, String>,
    ) -> Result<(), String> {
        let deadline = Instant::now() + WELL_WITHIN;
        while !holds()? {
            self.rest(BETWEEN_LOOKS)?;
            if Instant::now() > deadline {
                return Err(format!("gave up waiting until {what}"));
            }
        }
        Ok(())
    }

    /// Rests, and ends early when somebody wants an end.
    pub(crate) fn rest(&self, time: Duration) -> Result<(), String> {
        let deadline = Instant::now() + time;
        loop {
            if self.interrupted.load(Ordering::Relaxed) {
                return Err(INTERRUPTED.to_owned());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
    }
}
