//! AddPartitionsToTxn: key 24, versions 0-5.
//!
//! Behaviour: a producer says where its transaction is going to write; all partitions are taken or
//! none. Clients with transactions of version 2 need not: their Produce says it (KIP-890).
//! Version notes: 2 PRODUCER_FENCED, 4 several transactions at once and the question whether
//! partitions were added, both for brokers (KIP-890), 5 TRANSACTION_ABORTABLE as an answer to that.
//! Rights: Write on the transactional id and on each topic; from version 4 on ClusterAction on the
//! cluster.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::add_partitions_to_txn::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    AddPartitionsToTxnResult, AddPartitionsToTxnTopic, AddPartitionsToTxnTopicResult,
    AddPartitionsToTxnTransaction,
};

use super::{Api, Reply, abortable_code, fenced_code};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;
use crate::transactions::{EPOCH_BUMP_VERSION, Partition, Who};

/// The first version for brokers.
const BROKER_VERSION: i16 = 4;
/// The first version that knows TRANSACTION_ABORTABLE.
const ABORTABLE_VERSION: i16 = 5;
const FENCED_VERSION: i16 = 2;

impl Api for AddPartitionsToTxnRequest {
    fn coordinated_id(&self) -> Option<&str> {
        match self.transactions.first() {
            Some(first) => Some(&first.transactional_id),
            None => Some(&self.v3_and_below_transactional_id),
        }
    }

    fn refuse(&self, version: i16, code: ErrorCode) -> AddPartitionsToTxnResponse {
        if version >= BROKER_VERSION {
            return AddPartitionsToTxnResponse {
                error_code: code.0,
                ..AddPartitionsToTxnResponse::default()
            };
        }
        AddPartitionsToTxnResponse {
            results_by_topic_v3_and_below: answer(&self.v3_and_below_topics, |_, _| code),
            ..AddPartitionsToTxnResponse::default()
        }
    }

    fn set_throttle(response: &mut AddPartitionsToTxnResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(self, nodes: &mut Nodes, call: &Call, now: Now) -> Reply<AddPartitionsToTxnResponse> {
        if call.version < BROKER_VERSION {
            let one = AddPartitionsToTxnTransaction {
                transactional_id: self.v3_and_below_transactional_id,
                producer_id: self.v3_and_below_producer_id,
                producer_epoch: self.v3_and_below_producer_epoch,
                verify_only: false,
                topics: self.v3_and_below_topics,
            };
            return Reply::Now(AddPartitionsToTxnResponse {
                results_by_topic_v3_and_below: add(&one, nodes, call, now),
                ..AddPartitionsToTxnResponse::default()
            });
        }
        if !nodes.allows(call, Operation::ClusterAction, On::Cluster) {
            return Reply::Now(self.refuse(call.version, ErrorCode::CLUSTER_AUTHORIZATION_FAILED));
        }
        let results = self.transactions.iter().map(|one| AddPartitionsToTxnResult {
            transactional_id: one.transactional_id.clone(),
            topic_results: match nodes.coordinates(call, &one.transactional_id) {
                false => answer(&one.topics, |_, _| ErrorCode::NOT_COORDINATOR),
                true if one.verify_only => verify(one, nodes, call),
                true => add(one, nodes, call, now),
            },
        });
        Reply::Now(AddPartitionsToTxnResponse {
            results_by_transaction: results.collect(),
            ..AddPartitionsToTxnResponse::default()
        })
    }
}

fn who(one: &AddPartitionsToTxnTransaction) -> Who<'_> {
    Who { id: &one.transactional_id, producer_id: one.producer_id, epoch: one.producer_epoch }
}

fn verify(
    one: &AddPartitionsToTxnTransaction,
    nodes: &Nodes,
    call: &Call,
) -> Vec<AddPartitionsToTxnTopicResult> {
    answer(&one.topics, |topic, index| {
        let found = find(nodes, topic, index);
        match found.and_then(|partition| nodes.transactions.verify(who(one), partition)) {
            Ok(()) => ErrorCode::NONE,
            Err(code) => abortable_code(code, call, ABORTABLE_VERSION),
        }
    })
}

fn add(
    one: &AddPartitionsToTxnTransaction,
    nodes: &mut Nodes,
    call: &Call,
    now: Now,
) -> Vec<AddPartitionsToTxnTopicResult> {
    if one.transactional_id.is_empty() {
        return answer(&one.topics, |_, _| ErrorCode::INVALID_REQUEST);
    }
    let id = On::TransactionalId(&one.transactional_id);
    let is_client = call.version < BROKER_VERSION;
    if is_client && !nodes.allows(call, Operation::Write, id) {
        let code = ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
        return answer(&one.topics, |_, _| code);
    }
    let mut partitions = Vec::new();
    let mut is_whole = true;
    let mut checked = answer(&one.topics, |topic, index| {
        let found = match is_client && !nodes.allows(call, Operation::Write, On::Topic(topic)) {
            true => Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED),
            false => find(nodes, topic, index),
        };
        is_whole &= found.is_ok();
        partitions.extend(found);
        found.err().unwrap_or(ErrorCode::OPERATION_NOT_ATTEMPTED)
    });
    if is_whole {
        let version = if is_client { 0 } else { EPOCH_BUMP_VERSION };
        let added = nodes.transactions.add(who(one), version, &partitions, now);
        let code =
            added.map_or_else(|code| fenced_code(code, call, FENCED_VERSION), |()| ErrorCode::NONE);
        for partition in checked.iter_mut().flat_map(|topic| &mut topic.results_by_partition) {
            partition.partition_error_code = code.0;
        }
    }
    checked
}

fn find(nodes: &Nodes, topic: &str, index: i32) -> Result<Partition, ErrorCode> {
    let found = nodes.catalog.by_name(topic);
    let found = found.filter(|found| found.has_partition(index));
    found.map(|found| (found.id, index)).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
}

fn answer(
    topics: &[AddPartitionsToTxnTopic],
    mut code: impl FnMut(&str, i32) -> ErrorCode,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let topics = topics.iter().map(|topic| AddPartitionsToTxnTopicResult {
        name: topic.name.clone(),
        results_by_partition: topic
            .partitions
            .iter()
            .map(|&partition_index| AddPartitionsToTxnPartitionResult {
                partition_index,
                partition_error_code: code(&topic.name, partition_index).0,
            })
            .collect(),
    });
    topics.collect()
}
