//! Requests of administrators that wait until the followers have done the same: begin where their
//! leader does (DeleteRecords), or have a marker, too (WriteTxnMarkers).

use std::time::Duration;

use ottla_protocol::messages::delete_records::{DeleteRecordsRequest, DeleteRecordsResponse};
use ottla_protocol::messages::write_txn_markers::{
    WriteTxnMarkersRequest, WriteTxnMarkersResponse,
};
use ottla_protocol::{ErrorCode, Uuid};

use super::finish_late;
use crate::nodes::Nodes;
use crate::peers::{Call, ConnectionId};
use crate::time::Now;

/// A request that waits.
#[derive(Debug)]
pub(crate) struct ParkedAdmin {
    pub(crate) call: Call,
    /// As it will be if all goes well.
    response: Waiting,
    waits: Vec<FollowerWait>,
    /// On the monotonic clock.
    pub(crate) deadline: Duration,
}

/// The answer that waits.
#[derive(Debug)]
pub(super) enum Waiting {
    Deletion(DeleteRecordsResponse),
    Markers(WriteTxnMarkersResponse),
}

/// A partition whose followers have not heard yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct FollowerWait {
    pub(super) topic: Uuid,
    pub(super) partition: i32,
    /// The leader epoch in which it was done.
    pub(super) leader_epoch: i32,
    pub(super) until: Until,
    /// Where its answer is: the index of the marker, of the topic and of the partition in the
    /// response.
    pub(super) place: (usize, usize, usize),
}

/// What the in-sync followers have to come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// Their logs begin there, or later.
    BeginsAt(i64),
    /// They have everything before that offset.
    Has(i64),
}

impl FollowerWait {
    /// What has become of it; `None` while that is open.
    pub(super) fn outcome(&self, nodes: &Nodes, node: i32) -> Option<ErrorCode> {
        let Some(replica) = nodes.replica(node, self.topic, self.partition) else {
            // Deleted, or moved to another node.
            return Some(nodes.not_leader(self.topic, self.partition));
        };
        let leading = replica.leading.as_ref();
        let Some(leading) = leading.filter(|_| replica.leader_epoch == self.leader_epoch) else {
            return Some(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        };
        let is_done = match self.until {
            Until::BeginsAt(offset) => {
                leading.low_watermark(replica.log.log_start_offset()) >= offset
            }
            Until::Has(offset) => replica.high_watermark() >= offset,
        };
        is_done.then_some(ErrorCode::NONE)
    }
}

/// Has the answer wait.
pub(super) fn park(
    nodes: &mut Nodes,
    call: &Call,
    response: Waiting,
    waits: Vec<FollowerWait>,
    deadline: Duration,
) {
    let parked = ParkedAdmin { call: call.clone(), response, waits, deadline };
    nodes.parked_admins.insert(call.connection, parked);
}

/// Answers those of whom nothing is left to wait for, or whose time is over. They are few.
pub(crate) fn settle_admins(nodes: &mut Nodes, now: Now) {
    let waiting: Vec<ConnectionId> = nodes.parked_admins.keys().copied().collect();
    for connection in waiting {
        let Some(mut parked) = nodes.parked_admins.remove(&connection) else {
            continue;
        };
        let is_late = parked.deadline <= now.monotonic;
        let (node, response) = (parked.call.node, &mut parked.response);
        parked.waits.retain(|wait| match wait.outcome(nodes, node) {
            None if !is_late => true,
            outcome => {
                let code = outcome.unwrap_or(ErrorCode::REQUEST_TIMED_OUT);
                if code != ErrorCode::NONE {
                    response.put(wait.place, code);
                }
                false
            }
        });
        if !parked.waits.is_empty() {
            nodes.parked_admins.insert(connection, parked);
            continue;
        }
        let call = &parked.call;
        match parked.response {
            Waiting::Deletion(it) => finish_late::<DeleteRecordsRequest>(nodes, call, it, now),
            Waiting::Markers(it) => finish_late::<WriteTxnMarkersRequest>(nodes, call, it, now),
        }
    }
}

impl Waiting {
    fn put(&mut self, (marker, topic, partition): (usize, usize, usize), code: ErrorCode) {
        match self {
            Self::Deletion(response) => {
                let topic = response.topics.get_mut(topic);
                if let Some(answer) = topic.and_then(|topic| topic.partitions.get_mut(partition)) {
                    answer.error_code = code.0;
                    answer.low_watermark = -1;
                }
            }
            Self::Markers(response) => {
                let marker = response.markers.get_mut(marker);
                let topic = marker.and_then(|marker| marker.topics.get_mut(topic));
                if let Some(answer) = topic.and_then(|topic| topic.partitions.get_mut(partition)) {
                    answer.error_code = code.0;
                }
            }
        }
    }
}
