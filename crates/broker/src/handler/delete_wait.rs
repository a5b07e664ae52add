//! DeleteRecords requests that wait until the in-sync followers begin where their leader does.

use std::time::Duration;

use ottla_protocol::messages::delete_records::{DeleteRecordsRequest, DeleteRecordsResponse};
use ottla_protocol::{ErrorCode, Uuid};

use super::finish_late;
use crate::nodes::Nodes;
use crate::peers::{Call, ConnectionId};
use crate::time::Now;

/// A DeleteRecords that waits.
#[derive(Debug)]
pub(crate) struct ParkedDeletion {
    pub(crate) call: Call,
    /// As it will be if all goes well.
    response: DeleteRecordsResponse,
    waits: Vec<DeletionWait>,
    /// On the monotonic clock.
    pub(crate) deadline: Duration,
}

/// A partition whose followers have not heard yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct DeletionWait {
    pub(super) topic: Uuid,
    pub(super) partition: i32,
    /// The leader epoch in which it was deleted.
    pub(super) leader_epoch: i32,
    /// Where all of them have to begin.
    pub(super) until_offset: i64,
    /// Where its answer is: the index of the topic and of the partition in the response.
    pub(super) place: (usize, usize),
}

impl DeletionWait {
    /// What has become of it; `None` while that is open.
    pub(super) fn outcome(&self, nodes: &Nodes, node: i32) -> Option<ErrorCode> {
        let Some(replica) = nodes.replica(node, self.topic, self.partition) else {
            return Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        };
        match &replica.leading {
            Some(leading) if replica.leader_epoch == self.leader_epoch => {
                let low_watermark = leading.low_watermark(replica.log.log_start_offset());
                (low_watermark >= self.until_offset).then_some(ErrorCode::NONE)
            }
            _ => Some(ErrorCode::NOT_LEADER_OR_FOLLOWER),
        }
    }
}

pub(super) fn park(
    nodes: &mut Nodes,
    call: &Call,
    response: DeleteRecordsResponse,
    waits: Vec<DeletionWait>,
    deadline: Duration,
) {
    let parked = ParkedDeletion { call: call.clone(), response, waits, deadline };
    nodes.parked_deletions.insert(call.connection, parked);
}

/// Answers those of whom nothing is left to wait for, or whose time is over. They are few.
pub(crate) fn settle_deletions(nodes: &mut Nodes, now: Now) {
    let waiting: Vec<ConnectionId> = nodes.parked_deletions.keys().copied().collect();
    for connection in waiting {
        let Some(mut parked) = nodes.parked_deletions.remove(&connection) else {
            continue;
        };
        let is_late = parked.deadline <= now.monotonic;
        let (node, response) = (parked.call.node, &mut parked.response);
        parked.waits.retain(|wait| match wait.outcome(nodes, node) {
            None if !is_late => true,
            outcome => {
                put(response, wait, outcome.unwrap_or(ErrorCode::REQUEST_TIMED_OUT));
                false
            }
        });
        if parked.waits.is_empty() {
            finish_late::<DeleteRecordsRequest>(nodes, &parked.call, parked.response, now);
        } else {
            nodes.parked_deletions.insert(connection, parked);
        }
    }
}

fn put(response: &mut DeleteRecordsResponse, wait: &DeletionWait, code: ErrorCode) {
    let (topic, partition) = wait.place;
    let topic = response.topics.get_mut(topic);
    let answer = topic.and_then(|topic| topic.partitions.get_mut(partition));
    if let Some(answer) = answer.filter(|_| code != ErrorCode::NONE) {
        answer.error_code = code.0;
        answer.low_watermark = -1;
    }
}
