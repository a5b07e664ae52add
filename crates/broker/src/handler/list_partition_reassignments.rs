//! ListPartitionReassignments: key 46, version 0.
//!
//! Behaviour: partitions that are on their way to other brokers, all or those that are named, with
//! the replicas that come and those that go (KIP-455). Those that are not on their way, and those
//! that are not there, are left out.
//! Rights: Describe on the cluster.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
    OngoingPartitionReassignment, OngoingTopicReassignment,
};

use super::{Api, Reply};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;

impl Api for ListPartitionReassignmentsRequest {
    fn refuse(&self, _version: i16, code: ErrorCode) -> ListPartitionReassignmentsResponse {
        ListPartitionReassignmentsResponse {
            error_code: code.0,
            error_message: Some(code.message().to_owned()),
            ..ListPartitionReassignmentsResponse::default()
        }
    }

    fn set_throttle(response: &mut ListPartitionReassignmentsResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(
        self,
        nodes: &mut Nodes,
        call: &Call,
        _now: Now,
    ) -> Reply<ListPartitionReassignmentsResponse> {
        if !nodes.allows(call, Operation::Describe, On::Cluster) {
            let code = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
            return Reply::Now(self.refuse(call.version, code));
        }
        let topics = nodes.catalog.sorted().into_iter().filter_map(|topic| {
            let partitions: Vec<_> = (0..)
                .zip(&topic.partitions)
                .filter(|(index, place)| place.is_moving() && asks_for(&self, &topic.name, *index))
                .map(|(partition_index, place)| OngoingPartitionReassignment {
                    partition_index,
                    replicas: place.replicas.clone(),
                    adding_replicas: place.adding.clone(),
                    removing_replicas: place.removing.clone(),
                })
                .collect();
            let name = topic.name.to_string();
            (!partitions.is_empty()).then_some(OngoingTopicReassignment { name, partitions })
        });
        Reply::Now(ListPartitionReassignmentsResponse {
            topics: topics.collect(),
            error_message: None,
            ..ListPartitionReassignmentsResponse::default()
        })
    }
}

fn asks_for(request: &ListPartitionReassignmentsRequest, name: &str, index: i32) -> bool {
    request.topics.as_ref().is_none_or(|topics| {
        topics.iter().any(|topic| topic.name == name && topic.partition_indexes.contains(&index))
    })
}
