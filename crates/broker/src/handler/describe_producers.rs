//! DescribeProducers: key 61, version 0.
//!
//! Behaviour: the producers that a partition's replica on this node remembers, each with its epoch,
//! its last sequence and time, and where its open transaction began (KIP-664). The replica need not
//! lead.
//! Rights: Read on each topic.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState,
    TopicResponse,
};

use super::{Api, Reply};
use crate::catalog::{self, Catalog};
use crate::fault::Action;
use crate::log::ProducerStates;
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;

impl Api for DescribeProducersRequest {
    const FAULTS_BY_PARTITION: bool = true;

    fn touches(&self, _catalog: &Catalog, covers: &dyn Fn(&str, i32) -> bool) -> bool {
        self.topics.iter().any(|topic| {
            topic.partition_indexes.iter().any(|partition| covers(&topic.name, *partition))
        })
    }

    fn refuse(&self, _version: i16, code: ErrorCode) -> DescribeProducersResponse {
        map_partitions(self, |_, _| Err(code))
    }

    fn set_throttle(response: &mut DescribeProducersResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(self, nodes: &mut Nodes, call: &Call, _now: Now) -> Reply<DescribeProducersResponse> {
        Reply::Now(map_partitions(&self, |name, partition| {
            let fault = call.fault.as_ref().filter(|fault| fault.covers(name, partition));
            if let Some(code) = fault.map(|fault| fault.action).and_then(Action::error) {
                return Err(code);
            }
            if catalog::check_name(name).is_err() {
                return Err(ErrorCode::INVALID_TOPIC_EXCEPTION);
            }
            if !nodes.allows(call, Operation::Read, On::Topic(name)) {
                return Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
            }
            let topic = nodes.catalog.by_name(name).map(|topic| topic.id);
            let topic = topic.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
            let replica = nodes.replica(call.node, topic, partition);
            let replica = replica.ok_or_else(|| nodes.not_leader(topic, partition))?;
            Ok(describe(replica.log.producers()))
        }))
    }
}

fn map_partitions(
    request: &DescribeProducersRequest,
    answer: impl Fn(&str, i32) -> Result<Vec<ProducerState>, ErrorCode>,
) -> DescribeProducersResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partition_indexes.iter().map(|&partition_index| {
            let (code, active_producers) = match answer(&topic.name, partition_index) {
                Ok(producers) => (ErrorCode::NONE, producers),
                Err(code) => (code, Vec::new()),
            };
            PartitionResponse {
                partition_index,
                error_code: code.0,
                error_message: (code != ErrorCode::NONE).then(|| code.message().to_owned()),
                active_producers,
            }
        });
        TopicResponse { name: topic.name.clone(), partitions: partitions.collect() }
    });
    DescribeProducersResponse { topics: topics.collect(), ..DescribeProducersResponse::default() }
}

/// The producers in order of their ids.
fn describe(producers: &ProducerStates) -> Vec<ProducerState> {
    let mut described: Vec<ProducerState> = producers
        .iter()
        .map(|(producer_id, entry)| ProducerState {
            producer_id,
            producer_epoch: i32::from(entry.epoch),
            last_sequence: entry.batches.back().map_or(-1, |batch| batch.last_sequence),
            last_timestamp: entry.last_timestamp_ms,
            coordinator_epoch: entry.coordinator_epoch,
            current_txn_start_offset: entry.transaction_first_offset.unwrap_or(-1),
        })
        .collect();
    described.sort_unstable_by_key(|producer| producer.producer_id);
    described
}
