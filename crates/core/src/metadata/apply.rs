//! Taking in a metadata answer.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use ottla_protocol::messages::metadata::{
    MetadataResponse, MetadataResponsePartition, MetadataResponseTopic,
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
        for broker in &answer.brokers {
            self.set_node(broker.node_id, &broker.host, broker.port, &mut changes);
        }
        if !answer.brokers.is_empty() {
            let named = |id: &i32| answer.brokers.iter().any(|broker| broker.node_id == *id);
            self.nodes.retain(|id, _| named(id));
        }
        let mut complete = true;
        for topic in &answer.topics {
            let Some(index) = topic.name.as_deref().and_then(|name| self.find(name)) else {
                continue;
            };
            complete &= self.apply_topic(index, topic, propagation, now, &mut changes);
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
        if let Some((host, port)) = &hint.endpoint {
            self.set_node(hint.leader, host, *port, &mut changes);
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

    fn set_node(&mut self, id: i32, host: &str, port: i32, changes: &mut Vec<Change>) {
        if id < 0 || host.is_empty() || !(1..=65_535).contains(&port) {
            return;
        }
        let node = Node::new(id, host, port);
        let moved = self.nodes.get(&id).is_some_and(|old| *old != node);
        self.nodes.insert(id, node);
        if moved {
            changes.push(Change::NodeMoved(id));
        }
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
        self.note_id(index, answer.topic_id, changes);
        let topic = &mut self.topics[index.0 as usize];
        topic.unknown_since = None;
        topic.wanted = false;
        // Brokers list all partitions, numbered from 0: a number beyond their count is a mistake,
        // and must not cost memory.
        self.grow(index, answer.partitions.len());
        let mut complete = true;
        for partition in &answer.partitions {
            complete &= self.apply_partition(index, partition, changes);
        }
        changes.push(Change::TopicReady(index));
        complete
    }

    fn note_id(&mut self, index: TopicIndex, id: Uuid, changes: &mut Vec<Change>) {
        let topic = &mut self.topics[index.0 as usize];
        if topic.id == id || id == Uuid::ZERO {
            return;
        }
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

    /// Whether the partition has a leader.
    fn apply_partition(
        &mut self,
        index: TopicIndex,
        answer: &MetadataResponsePartition,
        changes: &mut Vec<Change>,
    ) -> bool {
        let topic = &self.topics[index.0 as usize];
        let number = usize::try_from(answer.partition_index).ok();
        let Some(key) = number.and_then(|number| topic.partitions.get(number)).copied() else {
            return true;
        };
        let known = self.nodes.contains_key(&answer.leader_id);
        let partition = &mut self.partitions[key.0 as usize];
        if answer.leader_epoch >= 0 && answer.leader_epoch < partition.leader_epoch {
            match &mut partition.hint_weight {
                // What the cluster itself said before is never taken back.
                None => return partition.leader.is_some(),
                _ if Mutant::HintForEver.is_on() => return partition.leader.is_some(),
                Some(0) => partition.leader_epoch = -1,
                Some(weight) => {
                    *weight -= 1;
                    return partition.leader.is_some();
                }
            }
        }
        partition.hint_weight = None;
        let leader = (answer.leader_id >= 0 && known).then_some(answer.leader_id);
        if partition.leader != leader {
            partition.leader = leader;
            changes.push(Change::LeaderChanged(key));
        }
        partition.leader_epoch = partition.leader_epoch.max(answer.leader_epoch);
        leader.is_some()
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
