//! What a node takes of what it is sent, and what it says of what it took.

use std::time::Duration;

use ottla_protocol::{ErrorCode, Uuid};

use crate::cluster::topic_id;
use crate::log::RecordId;
use crate::seen::Seen;
use crate::serve::Part;
use crate::world::{START, World};

impl World {
    pub(crate) fn may_produce(
        &mut self,
        node: usize,
        topic: Option<Uuid>,
        index: i32,
        acks: i16,
    ) -> Result<(), ErrorCode> {
        let view = &self.cluster.nodes[node].view;
        let Some(incarnation) = view.topic else {
            return Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        };
        if topic.is_some_and(|topic| topic != topic_id(incarnation)) {
            self.see(Seen::UnknownTopicId);
            return Err(ErrorCode::UNKNOWN_TOPIC_ID);
        }
        let Some(partition) = view.partitions.get(index as usize) else {
            return Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        };
        if partition.leader != Some(node) {
            self.see(Seen::NotLeader);
            return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
        let in_sync = partition.in_sync.iter().filter(|in_sync| **in_sync).count();
        if acks == -1 && in_sync < self.plan.min_insync {
            self.see(Seen::NotEnoughReplicas);
            return Err(ErrorCode::NOT_ENOUGH_REPLICAS);
        }
        Ok(())
    }

    /// What the topic does not take.
    pub(crate) fn over_limits(
        &mut self,
        size_bytes: usize,
        records: &[RecordId],
        minded: &mut Vec<i32>,
    ) -> Option<ErrorCode> {
        let limits = self.plan.limits;
        let limit_bytes = limits
            .batch_bytes
            .filter(|_| self.now >= START + Duration::from_millis(limits.from_ms));
        if limit_bytes.is_some_and(|limit_bytes| size_bytes > limit_bytes) {
            self.see(Seen::BatchTooLarge);
            return Some(ErrorCode::MESSAGE_TOO_LARGE);
        }
        minded.extend((0..).zip(records).filter(|(_, id)| self.plan.is_minded(**id)).map(|r| r.0));
        if minded.is_empty() {
            return None;
        }
        self.see(Seen::RecordMinded);
        Some(ErrorCode::INVALID_RECORD)
    }

    pub(crate) fn injected_refusal(&mut self) -> Option<ErrorCode> {
        if self.calm {
            return None;
        }
        if self.brokers.permille(self.plan.faults.too_large) {
            self.see(Seen::BatchTooLarge);
            return Some(ErrorCode::MESSAGE_TOO_LARGE);
        }
        self.brokers.permille(self.plan.faults.refuse).then(|| {
            self.brokers.pick(&[
                ErrorCode::NOT_ENOUGH_REPLICAS,
                ErrorCode::KAFKA_STORAGE_ERROR,
                ErrorCode::THROTTLING_QUOTA_EXCEEDED,
                ErrorCode::NOT_LEADER_OR_FOLLOWER,
            ])
        })
    }

    /// Something was appended, and the answer does not say so.
    pub(crate) fn mislead(&mut self, part: &mut Part) {
        if self.calm || part.place.is_none() {
            return;
        }
        let faults = &self.plan.faults;
        if self.brokers.permille(faults.append_then_refuse) {
            let code = self.brokers.pick(&[
                ErrorCode::REQUEST_TIMED_OUT,
                ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND,
                ErrorCode::UNKNOWN_SERVER_ERROR,
            ]);
            self.see(match code {
                ErrorCode::REQUEST_TIMED_OUT => Seen::RequestTimedOut,
                _ => Seen::NotEnoughReplicasAfterAppend,
            });
            part.answer = Some((code, -1));
        } else if self.brokers.permille(self.plan.faults.leave_out) {
            self.see(Seen::PartitionLeftOut);
            part.left_out = true;
        }
    }
}
