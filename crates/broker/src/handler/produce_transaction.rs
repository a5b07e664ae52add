//! Whether batches of a transaction may be written (KIP-890).
//!
//! A leader asks the coordinator whether the transaction knows of the partition, unless it has
//! records of the transaction already. From Produce 12 on that is how a transaction hears of its
//! partitions in the first place.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::produce::ProduceRequest;
use ottla_protocol::record::BatchHeader;

use super::abortable_code;
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;
use crate::transactions::{EPOCH_BUMP_VERSION, Partition, Who};

/// The first version that knows TRANSACTION_ABORTABLE.
const ABORTABLE_VERSION: i16 = 11;
/// The first version whose partitions are part of the transaction without more ado.
const ADDING_VERSION: i16 = 12;

/// What came of adding a request's partitions to its transaction.
pub(super) struct Added<'a> {
    id: Option<&'a str>,
    result: Result<(), ErrorCode>,
}

/// The header of what may be a batch of a transaction.
fn transactional(bytes: &[u8]) -> Option<BatchHeader> {
    BatchHeader::read(bytes).ok().filter(is_transactional)
}

fn is_transactional(header: &BatchHeader) -> bool {
    header.magic == BatchHeader::MAGIC && header.is_transactional()
}

/// Says why nothing of a request may be written.
pub(super) fn check_request(
    request: &ProduceRequest,
    nodes: &Nodes,
    call: &Call,
) -> Result<(), ErrorCode> {
    let data = request.topic_data.iter().flat_map(|topic| &topic.partition_data);
    let mut batches = data.map(|partition| partition.records.as_deref().unwrap_or_default());
    if !batches.any(|bytes| transactional(bytes).is_some()) {
        return Ok(());
    }
    let may_write = |id: &str| nodes.allows(call, Operation::Write, On::TransactionalId(id));
    match &request.transactional_id {
        Some(id) if may_write(id) => Ok(()),
        _ => Err(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED),
    }
}

/// Adds what a request brings to its transaction, if the version asks for that.
pub(super) fn add<'a>(
    request: &'a ProduceRequest,
    nodes: &mut Nodes,
    call: &Call,
    now: Now,
) -> Added<'a> {
    let result = try_add(request, nodes, call, now);
    Added { id: request.transactional_id.as_deref(), result }
}

fn try_add(
    request: &ProduceRequest,
    nodes: &mut Nodes,
    call: &Call,
    now: Now,
) -> Result<(), ErrorCode> {
    let Some(id) = request.transactional_id.as_deref().filter(|_| call.version >= ADDING_VERSION)
    else {
        return Ok(());
    };
    let mut producer = None;
    let mut partitions: Vec<Partition> = Vec::new();
    for topic in &request.topic_data {
        let known = match topic.name.as_str() {
            "" => nodes.catalog.by_id(topic.topic_id),
            name => nodes.catalog.by_name(name),
        };
        let may_write = |name: &str| nodes.allows(call, Operation::Write, On::Topic(name));
        let Some(known) = known.filter(|known| may_write(&known.name)) else {
            continue;
        };
        for data in &topic.partition_data {
            let partition = (known.id, data.index);
            let Some(header) = transactional(data.records.as_deref().unwrap_or_default()) else {
                continue;
            };
            if must_ask(nodes, call, partition, &header) {
                producer.get_or_insert((header.producer_id, header.producer_epoch));
                partitions.push(partition);
            }
        }
    }
    let Some((producer_id, epoch)) = producer else {
        return Ok(());
    };
    check_reach(nodes, call, id)?;
    let who = Who { id, producer_id, epoch };
    nodes
        .transactions
        .add(who, EPOCH_BUMP_VERSION, &partitions, now)
        .map_err(|code| code_for(code, call))
}

/// Says why a batch may not be written.
pub(super) fn check_batch(
    nodes: &Nodes,
    call: &Call,
    added: &Added<'_>,
    partition: Partition,
    header: &BatchHeader,
) -> Result<(), ErrorCode> {
    if !is_transactional(header) {
        return Ok(());
    }
    if !must_ask(nodes, call, partition, header) {
        return Ok(());
    }
    added.result?;
    let id = added.id.unwrap_or_default();
    check_reach(nodes, call, id)?;
    let who = Who { id, producer_id: header.producer_id, epoch: header.producer_epoch };
    nodes.transactions.verify(who, partition).map_err(|code| code_for(code, call))
}

/// Whether this node leads the partition and has no records of the transaction yet.
fn must_ask(nodes: &Nodes, call: &Call, (topic, index): Partition, header: &BatchHeader) -> bool {
    let replica = nodes.replica(call.node, topic, index);
    let Some(replica) = replica.filter(|replica| replica.leading.is_some()) else {
        return false;
    };
    let known = replica.log.producers().get(header.producer_id);
    !known.is_some_and(|known| {
        known.transaction_first_offset.is_some() && known.epoch == header.producer_epoch
    })
}

fn check_reach(nodes: &Nodes, call: &Call, id: &str) -> Result<(), ErrorCode> {
    let coordinator = nodes.coordinator_of(id);
    let is_reached = coordinator.is_some_and(|node| nodes.can_reach(call.node, node));
    // Kafka's word for: try again.
    is_reached.then_some(()).ok_or(ErrorCode::NOT_ENOUGH_REPLICAS)
}

/// What a producer of this version is told.
fn code_for(code: ErrorCode, call: &Call) -> ErrorCode {
    match code {
        ErrorCode::PRODUCER_FENCED => ErrorCode::INVALID_PRODUCER_EPOCH,
        ErrorCode::COORDINATOR_NOT_AVAILABLE => ErrorCode::NOT_ENOUGH_REPLICAS,
        ErrorCode::CONCURRENT_TRANSACTIONS if call.version < ADDING_VERSION => {
            ErrorCode::NOT_ENOUGH_REPLICAS
        }
        code => abortable_code(code, call, ABORTABLE_VERSION),
    }
}
