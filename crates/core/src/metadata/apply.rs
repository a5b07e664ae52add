//! Taking in a metadata answer.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use ottla_protocol::messages::metadata::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_protocol::{ErrorCode, Uuid};

use super::{Cluster, FORMER_IDS_MAX, Node, Partition, TopicIndex};
use crate::PartitionKey;
use crate::error::{ErrorKind, Failure};
use crate::mutant::Mutant;
use crate::time::Instant;

/// A hint is later than metadata that is on its way; but one from a broker that has not heard yet
/// that the topic was deleted and created anew has an epoch of the former topic, which may never be
/// reached again.
const HINT_WEIGHT: u8 = 3;

/// What brokers say of a partition that nobody leads.
const NO_LEADER: i32 = -1;

/// What an answer changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The topic can be used, or its partitions or leaders are different now.
    TopicReady(TopicIndex),
    /// The topic cannot be used.
    TopicFailed(TopicIndex, Arc<Failure>),
    /// The name stands for another topic than before (a new id).
    TopicRecreated(TopicIndex),
    /// The partition has another leader, or has one again.
    LeaderChanged(PartitionKey),
    /// The broker has another address.
    NodeMoved(i32),
}

/// A leader that an answer to a produce request names (KIP-951).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeaderHint {
    /// Node id.
    pub leader: i32,
    /// Its epoch: only a later one than ours is news.
    pub leader_epoch: i32,
    /// Host and port, when the answer carried them.
    pub endpoint: Option<(String, i32)>,
}

impl Cluster {
    /// Takes in an answer: what changed, and whether all that is wanted is known now.
    pub(crate) fn apply(
        &mut self,
        answer: &MetadataResponse,
        propagation: Duration,
        now: Instant,
    ) -> (Vec<Change>, bool) {
        let mut changes = Vec::new();
        self.apply_nodes(&answer.brokers, &mut changes);
        let mut complete = true;
        let mut told = BTreeSet::new();
        for topic in &answer.topics {
            let Some(index) = topic.name.as_deref().and_then(|name| self.find(name)) else {
                continue;
            };
            // A topic that is named twice is believed once: two ids would begin it anew each time.
            if told.insert(index) {
                complete &= self.apply_topic(index, topic, propagation, now, &mut changes);
            } else {
                complete = false;
            }
        }
        let missing = self.topics.iter().any(|topic| topic.wanted);
        (changes, complete && !missing)
    }

    /// Takes a leader from a produce answer, when it is later than the one known.
    pub(crate) fn apply_hint(&mut self, key: PartitionKey, hint: &LeaderHint) -> Vec<Change> {
        let mut changes = Vec::new();
        if hint.leader < 0 || hint.leader_epoch <= self.partition(key).leader_epoch {
            return changes;
        }
        if let Some((host, port)) = &hint.endpoint
            && let Some(node) = believable(hint.leader, host, *port)
            && let Some(old) = self.nodes.insert(hint.leader, node.clone())
            && old != node
        {
            changes.push(Change::NodeMoved(hint.leader));
        }
        if self.nodes.contains_key(&hint.leader) {
            let partition = &mut self.partitions[key.0 as usize];
            partition.leader = Some(hint.leader);
            partition.leader_epoch = hint.leader_epoch;
            partition.hint_weight = Some(HINT_WEIGHT);
            changes.push(Change::LeaderChanged(key));
        }
        changes
    }

    /// Takes the brokers of an answer, unless there is none that could be one.
    fn apply_nodes(&mut self, answer: &[MetadataResponseBroker], changes: &mut Vec<Change>) {
        let mut told: BTreeMap<i32, Node> = BTreeMap::new();
        for broker in answer {
            let id = broker.node_id;
            let Some(node) = believable(id, &broker.host, broker.port) else { continue };
            // Of several addresses the known one stays, or the connection to it would be closed
            // with every answer.
            if !told.contains_key(&id) || self.nodes.get(&id) == Some(&node) {
                told.insert(id, node);
            }
        }
        if told.is_empty() {
            return;
        }
        let moved =
            told.iter().filter(|(id, node)| self.nodes.get(id).is_some_and(|old| old != *node));
        changes.extend(moved.map(|(id, _)| Change::NodeMoved(*id)));
        self.nodes = told;
    }

    /// Whether the topic is all there.
    fn apply_topic(
        &mut self,
        index: TopicIndex,
        answer: &MetadataResponseTopic,
        propagation: Duration,
        now: Instant,
        changes: &mut Vec<Change>,
    ) -> bool {
        let code = ErrorCode(answer.error_code);
        let has_partitions = !answer.partitions.is_empty();
        if !(code.is_ok() || code == ErrorCode::LEADER_NOT_AVAILABLE) || !has_partitions {
            return self.apply_topic_error(index, code, propagation, now, changes);
        }
        let mut complete = self.note_id(index, answer.topic_id, changes);
        let topic = &mut self.topics[index.0 as usize];
        topic.unknown_since = None;
        topic.wanted = false;
        let copies = answer.partitions.iter().map(|partition| partition.replica_nodes.len());
        topic.replicas = copies.min().unwrap_or(0);
        // Brokers list all partitions, numbered from 0: a number beyond their count is a mistake,
        // and must not cost memory.
        self.grow(index, answer.partitions.len());
        for partition in &answer.partitions {
            self.apply_partition(index, partition, changes);
        }
        changes.push(Change::TopicReady(index));
        // Not what was told but what is known now: a partition may be told twice, and another not
        // at all.
        let topic = &self.topics[index.0 as usize];
        let mut known = topic.partitions[..topic.partition_count].iter();
        complete &= known.all(|key| self.partitions[key.0 as usize].leader.is_some());
        complete
    }

    /// Takes the id of a topic; `false` when it is another's: under that id records would go
    /// there.
    fn note_id(&mut self, index: TopicIndex, id: Uuid, changes: &mut Vec<Change>) -> bool {
        if self.topics[index.0 as usize].id == id || id == Uuid::ZERO {
            return true;
        }
        if self.find_id(id).is_some_and(|owner| owner != index) {
            return false;
        }
        let topic = &mut self.topics[index.0 as usize];
        if topic.id != Uuid::ZERO {
            // Epochs of the old topic say nothing about the new one.
            for key in &topic.partitions {
                self.partitions[key.0 as usize].leader_epoch = -1;
            }
            self.former_ids.push_back((topic.id, index));
            if self.former_ids.len() > FORMER_IDS_MAX {
                self.former_ids.pop_front();
            }
            changes.push(Change::TopicRecreated(index));
        }
        self.topics[index.0 as usize].id = id;
        true
    }

    fn grow(&mut self, index: TopicIndex, count: usize) {
        let topic = &mut self.topics[index.0 as usize];
        for number in topic.partitions.len()..count {
            topic.partitions.push(PartitionKey(self.partitions.len() as u32));
            let (index, leader) = (number as i32, None);
            let topic = TopicIndex(self.by_name[&topic.name].0);
            self.partitions.push(Partition {
                topic,
                index,
                leader,
                leader_epoch: -1,
                hint_weight: None,
            });
        }
        topic.partition_count = count;
    }

    fn apply_partition(
        &mut self,
        index: TopicIndex,
        answer: &MetadataResponsePartition,
        changes: &mut Vec<Change>,
    ) {
        let topic = &self.topics[index.0 as usize];
        let number = usize::try_from(answer.partition_index).ok();
        let Some(key) = number.and_then(|number| topic.partitions.get(number)).copied() else {
            return;
        };
        let known = self.nodes.contains_key(&answer.leader_id);
        let partition = &mut self.partitions[key.0 as usize];
        let earlier = answer.leader_epoch >= 0 && answer.leader_epoch < partition.leader_epoch;
        let astray = partition.leader.is_some_and(|leader| !self.nodes.contains_key(&leader));
        if earlier && !astray {
            match &mut partition.hint_weight {
                // What the cluster itself said before is never taken back.
                None => return,
                _ if Mutant::HintForEver.is_on() => return,
                Some(0) => partition.leader_epoch = -1,
                Some(weight) => {
                    *weight -= 1;
                    return;
                }
            }
        } else if earlier {
            // Somebody leads under the later epoch who is no broker: it says nothing.
            partition.leader_epoch = -1;
        }
        partition.hint_weight = None;
        let leader = (answer.leader_id >= 0 && known).then_some(answer.leader_id);
        if partition.leader != leader {
            partition.leader = leader;
            changes.push(Change::LeaderChanged(key));
        }
        if leader.is_some() || answer.leader_id == NO_LEADER {
            partition.leader_epoch = partition.leader_epoch.max(answer.leader_epoch);
        }
    }

    /// A topic in error keeps what was known of it. Only one that was never known can fail.
    fn apply_topic_error(
        &mut self,
        index: TopicIndex,
        code: ErrorCode,
        propagation: Duration,
        now: Instant,
        changes: &mut Vec<Change>,
    ) -> bool {
        let topic = &mut self.topics[index.0 as usize];
        let refused = match code {
            ErrorCode::TOPIC_AUTHORIZATION_FAILED => Some(ErrorKind::Unauthorized),
            ErrorCode::INVALID_TOPIC_EXCEPTION => Some(ErrorKind::UnknownTopic),
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => {
                let since = *topic.unknown_since.get_or_insert(now);
                (now - since >= propagation).then_some(ErrorKind::UnknownTopic)
            }
            _ => None,
        };
        let Some(kind) = refused else { return false };
        topic.wanted = false;
        topic.unknown_since = None;
        let what = match code {
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => {
                "does not exist and was not created by the cluster; create it first"
            }
            ErrorCode::INVALID_TOPIC_EXCEPTION => {
                "is not a valid topic name (1 to 249 letters, digits, '.', '_' or '-')"
            }
            _ => "may not be described or written by this client",
        };
        let mut failure = Failure::unsent(kind, format!("topic {} {what}", topic.name));
        failure.code = Some(code);
        changes.push(Change::TopicFailed(index, Arc::new(failure)));
        true
    }
}

/// A broker that one could connect to.
fn believable(id: i32, host: &str, port: i32) -> Option<Node> {
    let fits = id >= 0 && !host.is_empty() && (1..=65_535).contains(&port);
    fits.then(|| Node::new(id, host, port))
}
