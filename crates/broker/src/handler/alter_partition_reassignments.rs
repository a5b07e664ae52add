//! AlterPartitionReassignments: key 45, versions 0-1.
//!
//! Behaviour: begins to move partitions to the given brokers, or (null) takes a move back
//! (KIP-455). The answer does not wait for the move; see ListPartitionReassignments.
//! Version notes: 1 refuses to change the number of replicas, if it is told to (KIP-860).
//! Rights: Alter on the cluster.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartition,
    ReassignablePartitionResponse, ReassignableTopicResponse,
};

use super::{Api, Reply};
use crate::catalog::Catalog;
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;
use crate::topics::TopicError;

impl Api for AlterPartitionReassignmentsRequest {
    fn touches(&self, _catalog: &Catalog, covers: &dyn Fn(&str, i32) -> bool) -> bool {
        self.topics.iter().any(|topic| {
            topic.partitions.iter().any(|partition| covers(&topic.name, partition.partition_index))
        })
    }

    fn refuse(&self, _version: i16, code: ErrorCode) -> AlterPartitionReassignmentsResponse {
        AlterPartitionReassignmentsResponse {
            error_code: code.0,
            error_message: Some(code.message().to_owned()),
            allow_replication_factor_change: self.allow_replication_factor_change,
            ..AlterPartitionReassignmentsResponse::default()
        }
    }

    fn set_throttle(response: &mut AlterPartitionReassignmentsResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(
        self,
        nodes: &mut Nodes,
        call: &Call,
        now: Now,
    ) -> Reply<AlterPartitionReassignmentsResponse> {
        if !nodes.allows(call, Operation::Alter, On::Cluster) {
            let code = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
            return Reply::Now(self.refuse(call.version, code));
        }
        let mut responses = Vec::with_capacity(self.topics.len());
        for topic in &self.topics {
            let partitions = topic.partitions.iter().map(|wanted| {
                let may_change = self.allow_replication_factor_change;
                let outcome = check_count(may_change, &topic.name, wanted, nodes)
                    .and_then(|()| reassign(&topic.name, wanted, nodes, now));
                answer(wanted, outcome)
            });
            let (name, partitions) = (topic.name.clone(), partitions.collect());
            responses.push(ReassignableTopicResponse { name, partitions });
        }
        Reply::Now(AlterPartitionReassignmentsResponse {
            allow_replication_factor_change: self.allow_replication_factor_change,
            responses,
            // Empty where nothing was asked, as in Kafka.
            error_message: self.topics.is_empty().then(String::new),
            ..AlterPartitionReassignmentsResponse::default()
        })
    }
}

/// Says whether a partition may have so many replicas.
fn check_count(
    may_change: bool,
    name: &str,
    wanted: &ReassignablePartition,
    nodes: &Nodes,
) -> Result<(), TopicError> {
    let topic = nodes.catalog.by_name(name).map(|topic| topic.id);
    let place = topic.and_then(|id| nodes.catalog.placement(id, wanted.partition_index));
    let (Some(place), Some(replicas)) = (place, &wanted.replicas) else {
        return Ok(());
    };
    let present = place.replicas.len() - place.adding.len();
    if may_change || replicas.len() == present {
        return Ok(());
    }
    let message = format!("it has {present} replicas, and that is not to change");
    Err(TopicError::new(ErrorCode::INVALID_REPLICATION_FACTOR, message))
}

fn reassign(
    name: &str,
    wanted: &ReassignablePartition,
    nodes: &mut Nodes,
    now: Now,
) -> Result<(), TopicError> {
    let Some(topic) = nodes.catalog.by_name(name).map(|topic| topic.id) else {
        let message = format!("there is no topic {name}");
        return Err(TopicError::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, message));
    };
    nodes.reassign(topic, wanted.partition_index, wanted.replicas.as_deref(), now)
}

fn answer(
    wanted: &ReassignablePartition,
    outcome: Result<(), TopicError>,
) -> ReassignablePartitionResponse {
    let error = outcome.err();
    ReassignablePartitionResponse {
        partition_index: wanted.partition_index,
        error_code: error.as_ref().map_or(0, |error| error.code.0),
        error_message: error.map(|error| error.message),
    }
}
