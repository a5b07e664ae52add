//! DescribeTransactions: key 65, version 0.
//!
//! Behaviour: producer, state, timeout, begin and partitions of each transactional id that is named
//! (KIP-664), of those that this node coordinates.
//! Left out: the partitions of `__consumer_offsets`, a topic that is not here.
//! Rights: Describe on each transactional id, and on each topic for its partitions to be told.

use std::collections::BTreeMap;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_transactions::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, TopicData, TransactionState,
};

use super::{Api, Reply};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;
use crate::transactions::Transaction;

impl Api for DescribeTransactionsRequest {
    fn refuse(&self, _version: i16, code: ErrorCode) -> DescribeTransactionsResponse {
        let states = self.transactional_ids.iter().map(|id| refused(id, code));
        DescribeTransactionsResponse {
            transaction_states: states.collect(),
            ..DescribeTransactionsResponse::default()
        }
    }

    fn set_throttle(response: &mut DescribeTransactionsResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(
        self,
        nodes: &mut Nodes,
        call: &Call,
        _now: Now,
    ) -> Reply<DescribeTransactionsResponse> {
        let states = self.transactional_ids.iter().map(|id| {
            if !nodes.allows(call, Operation::Describe, On::TransactionalId(id)) {
                return refused(id, ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
            }
            if id.is_empty() {
                return refused(id, ErrorCode::INVALID_REQUEST);
            }
            if !nodes.coordinates(call, id) {
                return refused(id, ErrorCode::NOT_COORDINATOR);
            }
            match nodes.transactions.get(id) {
                Some(transaction) => describe(id, transaction, nodes, call),
                None => refused(id, ErrorCode::TRANSACTIONAL_ID_NOT_FOUND),
            }
        });
        Reply::Now(DescribeTransactionsResponse {
            transaction_states: states.collect(),
            ..DescribeTransactionsResponse::default()
        })
    }
}

fn describe(id: &str, transaction: &Transaction, nodes: &Nodes, call: &Call) -> TransactionState {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in &transaction.partitions {
        // One that was deleted meanwhile has no name any more.
        if let Some(topic) = nodes.catalog.by_id(*topic) {
            topics.entry(&topic.name).or_default().push(*partition);
        }
    }
    topics.retain(|name, _| nodes.allows(call, Operation::Describe, On::Topic(name)));
    let topics = topics
        .into_iter()
        .map(|(topic, partitions)| TopicData { topic: topic.to_owned(), partitions });
    TransactionState {
        error_code: 0,
        transactional_id: id.to_owned(),
        transaction_state: transaction.state.name().to_owned(),
        transaction_timeout_ms: transaction.timeout_ms,
        transaction_start_time_ms: transaction.begun_ms().unwrap_or(-1),
        producer_id: transaction.producer_id,
        producer_epoch: transaction.epoch,
        topics: topics.collect(),
    }
}

fn refused(id: &str, code: ErrorCode) -> TransactionState {
    TransactionState {
        error_code: code.0,
        transactional_id: id.to_owned(),
        ..TransactionState::default()
    }
}
