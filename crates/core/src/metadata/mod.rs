//! The cluster as last heard: brokers, topics, leaders. Metadata is advice (law L8): an error, a
//! gap or an old answer may delay records but never loses what was known.

mod apply;
mod refresh;

use alloc::collections::{BTreeMap, VecDeque};
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
    /// Copies of the partition that has the fewest, as last heard.
    pub replicas: usize,
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
    /// Where leader and epoch are a hint's: how many answers that know an older epoch it outweighs.
    pub hint_weight: Option<u8>,
}

/// The cluster.
#[derive(Default)]
pub(crate) struct Cluster {
    nodes: BTreeMap<i32, Node>,
    topics: Vec<Topic>,
    by_name: BTreeMap<Arc<str>, TopicIndex>,
    partitions: Vec<Partition>,
    /// Ids of topics that were created anew since, the newest last.
    former_ids: VecDeque<(Uuid, TopicIndex)>,
}

/// So many former ids are remembered: a topic would have to be created anew this often while one
/// request waits for its answer.
const FORMER_IDS_MAX: usize = 64;

impl Cluster {
    /// No broker is known any more; what is known of topics stays.
    pub(crate) fn forget_nodes(&mut self) {
        self.nodes.clear();
    }

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

    /// A topic by its id, or by one that it had before it was created anew: answers to requests of
    /// that time name it.
    #[must_use]
    pub(crate) fn find_id(&self, id: Uuid) -> Option<TopicIndex> {
        let is_it = |topic: &Topic| topic.id == id && id != Uuid::ZERO;
        let now = self.topics().find(|(_, topic)| is_it(topic)).map(|(index, _)| index);
        now.or_else(|| {
            self.former_ids.iter().find(|(former, _)| *former == id).map(|found| found.1)
        })
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
                replicas: 0,
                unknown_since: None,
                wanted: true,
            });
            index
        });
        let topic = &mut self.topics[index.0 as usize];
        topic.wanted = topic.partition_count == 0;
        index
    }

    /// Asks for no topic that was not found yet; gives their names.
    pub(crate) fn give_up_wanted(&mut self) -> Vec<Arc<str>> {
        let wanted = self.topics.iter_mut().filter(|topic| topic.wanted);
        wanted
            .map(|topic| {
                topic.wanted = false;
                topic.name.clone()
            })
            .collect()
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
