//! Produce requests with acks=all that wait until their batches are replicated.

use std::time::Duration;

use ottla_protocol::messages::produce::{
    LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, ProduceRequest, ProduceResponse,
};
use ottla_protocol::{ErrorCode, Uuid};

use super::{finish_late, throttle};
use crate::mutant::{self, Mutant};
use crate::nodes::Nodes;
use crate::peers::{Call, ConnectionId};
use crate::time::Now;

/// The first version whose answer names the leader along with an error (KIP-951).
const LEADER_HINT_VERSION: i16 = 10;

/// A Produce that waits.
#[derive(Debug)]
pub(crate) struct ParkedProduce {
    pub(crate) call: Call,
    /// As it will be if all goes well.
    response: ProduceResponse,
    pub(crate) waits: Vec<Wait>,
    /// On the monotonic clock.
    pub(crate) deadline: Duration,
}

/// A batch that is in its leader's log and not yet in those of all in-sync replicas.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub(crate) topic: Uuid,
    pub(crate) partition: i32,
    /// The leader epoch in which it was written.
    pub(super) leader_epoch: i32,
    /// The high watermark that says that it is replicated.
    pub(super) until_offset: i64,
    /// Where its answer is: the index of the topic and of the partition in the response.
    pub(super) place: (usize, usize),
}

pub(super) fn park(
    nodes: &mut Nodes,
    call: &Call,
    response: ProduceResponse,
    waits: Vec<Wait>,
    deadline: Duration,
) {
    let connection = call.connection;
    for wait in &waits {
        if let Some(replica) = nodes.replica_mut(call.node, wait.topic, wait.partition) {
            replica.produce_waiters.push(connection);
        }
    }
    nodes.produce_deadlines.insert((deadline, connection));
    let parked = ParkedProduce { call: call.clone(), response, waits, deadline };
    nodes.parked_produces.insert(connection, parked);
}

/// Answers those who wait for a partition and need not any more.
pub(crate) fn settle_produces(nodes: &mut Nodes, id: i32, topic: Uuid, partition: i32, now: Now) {
    let Some(replica) = nodes.replica(id, topic, partition) else {
        return;
    };
    for connection in replica.produce_waiters.clone() {
        settle_produce(nodes, connection, now, false);
    }
}

/// Answers a waiting Produce if nothing of it is left to wait for, or its time is over.
pub(crate) fn settle_produce(nodes: &mut Nodes, connection: ConnectionId, now: Now, is_late: bool) {
    let Some(mut parked) = nodes.unpark_produce(connection) else {
        return;
    };
    let waits = std::mem::take(&mut parked.waits);
    let node = parked.call.node;
    let mut left = Vec::new();
    for wait in waits {
        match outcome(nodes, node, &wait) {
            None if !is_late => left.push(wait),
            outcome => {
                let code = outcome.unwrap_or(ErrorCode::REQUEST_TIMED_OUT);
                if code != ErrorCode::NONE {
                    put_error(&mut parked.response, &wait, code);
                }
            }
        }
    }
    let ParkedProduce { call, mut response, deadline, .. } = parked;
    if left.is_empty() {
        throttle::charge_produce(nodes, &call, now);
        name_leaders(nodes, &call, &mut response);
        finish_late::<ProduceRequest>(nodes, &call, response, now);
    } else {
        park(nodes, &call, response, left, deadline);
    }
}

/// What has become of a batch; `None` while that is open.
fn outcome(nodes: &Nodes, node: i32, wait: &Wait) -> Option<ErrorCode> {
    let Some(replica) = nodes.replica(node, wait.topic, wait.partition) else {
        // Deleted, or moved to another node.
        return Some(nodes.not_leader(wait.topic, wait.partition));
    };
    let is_led = replica.leading.is_some() && replica.leader_epoch == wait.leader_epoch;
    if !is_led && mutant::is_on(Mutant::AnswersForOthers) {
        let is_there = replica.log.log_end_offset() >= wait.until_offset;
        return is_there.then_some(ErrorCode::NONE);
    }
    if !is_led {
        return Some(ErrorCode::NOT_LEADER_OR_FOLLOWER);
    }
    if replica.high_watermark() < wait.until_offset {
        return None;
    }
    Some(match replica.has_enough(nodes.min_insync_replicas(wait.topic)) {
        true => ErrorCode::NONE,
        false => ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    })
}

fn put_error(response: &mut ProduceResponse, wait: &Wait, code: ErrorCode) {
    let (topic, partition) = wait.place;
    let topic = response.responses.get_mut(topic);
    if let Some(answer) = topic.and_then(|topic| topic.partition_responses.get_mut(partition)) {
        *answer = PartitionProduceResponse {
            index: answer.index,
            error_code: code.0,
            base_offset: -1,
            ..PartitionProduceResponse::default()
        };
    }
}

/// Tells along with NOT_LEADER_OR_FOLLOWER who leads, where that is known (KIP-951).
pub(super) fn name_leaders(nodes: &Nodes, call: &Call, response: &mut ProduceResponse) {
    if call.version < LEADER_HINT_VERSION {
        return;
    }
    let mut leaders: Vec<i32> = Vec::new();
    for topic in &mut response.responses {
        let known = match topic.name.as_str() {
            "" => nodes.catalog.by_id(topic.topic_id),
            name => nodes.catalog.by_name(name),
        };
        let Some(id) = known.map(|topic| topic.id) else {
            continue;
        };
        for answer in &mut topic.partition_responses {
            if answer.error_code != ErrorCode::NOT_LEADER_OR_FOLLOWER.0 {
                continue;
            }
            let place = nodes.catalog.placement(id, answer.index);
            let Some(place) = place.filter(|place| place.leader != call.node) else {
                continue;
            };
            answer.current_leader =
                LeaderIdAndEpoch { leader_id: place.leader, leader_epoch: place.leader_epoch };
            if place.leader != -1 && !leaders.contains(&place.leader) {
                leaders.push(place.leader);
            }
        }
    }
    let endpoint = |node_id: i32| {
        let address = nodes.address_for(call.connection, node_id);
        let port = i32::from(address.port);
        let rack = nodes.config.rack_of(node_id).map(str::to_owned);
        NodeEndpoint { node_id, host: address.host, port, rack }
    };
    response.node_endpoints = leaders.into_iter().map(endpoint).collect();
}
