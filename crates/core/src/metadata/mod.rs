//! The cluster as last heard: brokers, topics, leaders. Metadata is advice (law L8): an error, a
//! gap or an old answer may delay records but never loses what was known.

mod apply;
mod refresh;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use ottla_protocol::Uuid;

use crate::PartitionKey;
use crate::output::{PartitionView, TopicView};
use crate::time::Instant;

pub(crate) use apply::{Change, LeaderHint};
pub(crate) use refresh::Refresh;

/// A topic's number in the core's books.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TopicIndex(pub u32);

/// A broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// `host:port`.
    pub server: String,
    /// How errors name it: `1 at host:port`.
    pub label: Arc<str>,
}

impl Node {
    fn new(id: i32, host: &str, port: i32) -> Self {
        let host = if host.contains(':') { format!("[{host}]") } else { host.into() };
        let server = format!("{host}:{port}");
        let label = format!("{id} at {server}").into();
        Self { server, label }
    }
}

/// A topic that somebody asked for.
#[derive(Clone, Debug)]
pub(crate) struct Topic {
    /// Its name.
    pub name: Arc<str>,
    /// Its id; zero where unknown.
    pub id: Uuid,
    /// Its partitions by number, known once, kept for ever.
    pub partitions: Vec<PartitionKey>,
    /// How many of them the cluster has now.
    pub partition_count: usize,
    /// Since when the cluster has said that it does not know the topic.
    pub(super) unknown_since: Option<Instant>,
    /// Asked for and neither known nor refused yet.
    pub wanted: bool,
}

/// A partition of such a topic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Partition {
    /// Its topic.
    pub topic: TopicIndex,
    /// Its number in the topic.
    pub index: i32,
    /// Node id of its leader.
    pub leader: Option<i32>,
    /// The leader's epoch, -1 where unknown.
    pub leader_epoch: i32,
}

/// The cluster.
#[derive(Default)]
pub(crate) struct Cluster {
    nodes: BTreeMap<i32, Node>,
    topics: Vec<Topic>,
    by_name: BTreeMap<Arc<str>, TopicIndex>,
    partitions: Vec<Partition>,
}

impl Cluster {
    /// The brokers.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (i32, &Node)> {
        self.nodes.iter().map(|(id, node)| (*id, node))
    }

    /// A broker.
    #[must_use]
    pub(crate) fn node(&self, id: i32) -> Option<&Node> {
        self.nodes.get(&id)
    }

    /// A topic.
    #[must_use]
    pub(crate) fn topic(&self, index: TopicIndex) -> &Topic {
        &self.topics[index.0 as usize]
    }

    /// All topics that were asked for.
    pub(crate) fn topics(&self) -> impl Iterator<Item = (TopicIndex, &Topic)> {
        (0..).map(TopicIndex).zip(&self.topics)
    }

    /// A partition.
    #[must_use]
    pub(crate) fn partition(&self, key: PartitionKey) -> &Partition {
        &self.partitions[key.0 as usize]
    }

    /// How many partitions are known: their keys are the numbers below it.
    #[must_use]
    pub(crate) fn partition_count(&self) -> usize {
        self.partitions.len()
    }

    /// A topic by its name.
    #[must_use]
    pub(crate) fn find(&self, name: &str) -> Option<TopicIndex> {
        self.by_name.get(name).copied()
    }

    /// Adds a topic to those that are asked for.
    pub(crate) fn want(&mut self, name: &str) -> TopicIndex {
        let index = self.find(name).unwrap_or_else(|| {
            let index = TopicIndex(self.topics.len() as u32);
            let name: Arc<str> = name.into();
            self.by_name.insert(name.clone(), index);
            self.topics.push(Topic {
                name,
                id: Uuid::ZERO,
                partitions: Vec::new(),
                partition_count: 0,
                unknown_since: None,
                wanted: true,
            });
            index
        });
        let topic = &mut self.topics[index.0 as usize];
        topic.wanted = topic.partition_count == 0;
        index
    }

    /// The topic as the application sees it.
    #[must_use]
    pub(crate) fn view(&self, index: TopicIndex) -> TopicView {
        let topic = self.topic(index);
        let partitions = topic.partitions[..topic.partition_count]
            .iter()
            .map(|key| PartitionView { key: *key, leader: self.partition(*key).leader })
            .collect();
        TopicView { name: topic.name.clone(), id: topic.id, partitions }
    }
}

#[cfg(test)]
mod tests;
