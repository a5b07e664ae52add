//! TxnOffsetCommit: key 28, versions 0-5.
//!
//! Behaviour: offsets that a group gets when the transaction is committed. Until its end, who asks
//! for stable offsets is told to wait (KIP-447). What is answered without error is in the file.
//! Version notes: 2 leader epochs, 3 members and generations (KIP-447), 4 TRANSACTION_ABORTABLE, 5
//! the group need not have been added before (KIP-890).
//! Rights: Write on the transactional id, Read on the group and on each topic.

use ottla_protocol::messages::offset_commit::OffsetCommitRequest;
use ottla_protocol::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitResponse, TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
};
use ottla_protocol::{ErrorCode, Message};

use super::{Api, Reply, abortable_code};
use crate::groups::Committed;
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;
use crate::transactions::{EPOCH_BUMP_VERSION, PendingOffsets, Who};

/// The first version that knows TRANSACTION_ABORTABLE.
const ABORTABLE_VERSION: i16 = 4;
/// The first version that adds the group to the transaction.
const ADDING_VERSION: i16 = 5;

impl Api for TxnOffsetCommitRequest {
    fn coordinated_id(&self) -> Option<&str> {
        Some(&self.group_id)
    }

    fn refuse(&self, _version: i16, code: ErrorCode) -> TxnOffsetCommitResponse {
        answer(self, |_, _| code)
    }

    fn set_throttle(response: &mut TxnOffsetCommitResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(self, nodes: &mut Nodes, call: &Call, now: Now) -> Reply<TxnOffsetCommitResponse> {
        if let Err(code) = check(&self, nodes, call, now) {
            return Reply::Now(self.refuse(call.version, code));
        }
        let mut offsets = PendingOffsets::new();
        let mut response = answer(&self, |topic, index| {
            let partition = &self.topics[topic].partitions[index];
            let name = &self.topics[topic].name;
            let known = nodes.catalog.by_name(name);
            if !nodes.allows(call, Operation::Read, On::Topic(name)) {
                return ErrorCode::TOPIC_AUTHORIZATION_FAILED;
            }
            let index = partition.partition_index;
            if !known.is_some_and(|known| known.has_partition(index)) {
                return ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
            }
            let (offset, epoch) = (partition.committed_offset, partition.committed_leader_epoch);
            match Committed::new(offset, epoch, partition.committed_metadata.as_deref()) {
                Ok(committed) => offsets.push((name.clone(), index, committed)),
                Err(code) => return code,
            }
            ErrorCode::NONE
        });
        if let Err(code) = put(&self, nodes, call, offsets, now) {
            response = self.refuse(call.version, code);
        }
        Reply::Now(response)
    }
}

/// Whether the one who asks may commit anything in the group.
fn check(
    request: &TxnOffsetCommitRequest,
    nodes: &mut Nodes,
    call: &Call,
    now: Now,
) -> Result<(), ErrorCode> {
    let (group, member) = (&request.group_id, &request.member_id);
    if !nodes.allows(call, Operation::Write, On::TransactionalId(&request.transactional_id)) {
        return Err(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    }
    if !nodes.allows(call, Operation::Read, On::Group(group)) {
        return Err(ErrorCode::GROUP_AUTHORIZATION_FAILED);
    }
    if group.is_empty() {
        return Err(ErrorCode::INVALID_GROUP_ID);
    }
    let instance_id = request.group_instance_id.as_deref();
    if request.generation_id < 0 && member.is_empty() && instance_id.is_none() {
        // Producers from before KIP-447 do not say whose offsets they have.
        return Ok(());
    }
    let generation = request.generation_id;
    let version = OffsetCommitRequest::VERSIONS.max;
    let checked = nodes.groups.check_commit(group, member, instance_id, generation, version, now);
    checked.map_err(|code| match code {
        // Kafka's word for all of these, in a transaction.
        ErrorCode::STALE_MEMBER_EPOCH | ErrorCode::GROUP_ID_NOT_FOUND => {
            ErrorCode::ILLEGAL_GENERATION
        }
        code => code,
    })
}

/// Leaves the offsets with the transaction.
fn put(
    request: &TxnOffsetCommitRequest,
    nodes: &mut Nodes,
    call: &Call,
    offsets: PendingOffsets,
    now: Now,
) -> Result<(), ErrorCode> {
    let (id, group) = (&request.transactional_id, &request.group_id);
    let coordinator = nodes.coordinator_of(id);
    if !coordinator.is_some_and(|coordinator| nodes.can_reach(call.node, coordinator)) {
        return Err(ErrorCode::COORDINATOR_NOT_AVAILABLE);
    }
    let who = Who { id, producer_id: request.producer_id, epoch: request.producer_epoch };
    let added = match call.version {
        ADDING_VERSION.. => nodes.transactions.add_group(who, EPOCH_BUMP_VERSION, group, now),
        _ => Ok(()),
    };
    let put = added.and_then(|()| nodes.transactions.add_offsets(who, group, offsets, now));
    put.map_err(|code| match code {
        ErrorCode::PRODUCER_FENCED => ErrorCode::INVALID_PRODUCER_EPOCH,
        code => abortable_code(code, call, ABORTABLE_VERSION),
    })
}

/// An answer with a code for each partition, which is given by its topic's place and its own.
fn answer(
    request: &TxnOffsetCommitRequest,
    mut code: impl FnMut(usize, usize) -> ErrorCode,
) -> TxnOffsetCommitResponse {
    let topics = request.topics.iter().enumerate().map(|(topic, wanted)| {
        let partitions = wanted.partitions.iter().enumerate();
        let partitions = partitions.map(|(index, partition)| TxnOffsetCommitResponsePartition {
            partition_index: partition.partition_index,
            error_code: code(topic, index).0,
        });
        TxnOffsetCommitResponseTopic { name: wanted.name.clone(), partitions: partitions.collect() }
    });
    TxnOffsetCommitResponse { topics: topics.collect(), ..TxnOffsetCommitResponse::default() }
}
