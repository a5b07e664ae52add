//! Three nodes, and a topic of one partition with a replica on each.

use std::time::Duration;

use ottla_broker::{Cluster, ClusterBuilder};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::produce::PartitionProduceResponse;
use ottla_protocol::record::validate_batch;

use super::Batch;
use super::client::{Client, PATIENCE, produce_request};

pub const TOPIC: &str = "t";

/// Three nodes, and a topic of one partition with a replica on each.
pub fn three() -> ClusterBuilder {
    Cluster::builder()
        .nodes(3)
        .topic_replicated(TOPIC, 1, 3)
        .node_session_timeout(Duration::from_millis(50))
}

pub fn leader(cluster: &Cluster) -> i32 {
    cluster.partition(TOPIC, 0).and_then(|state| state.leader).expect("a leader")
}

pub fn follower(cluster: &Cluster) -> i32 {
    let leader = leader(cluster);
    cluster.node_ids().into_iter().find(|node| *node != leader).expect("a follower")
}

pub fn client_of(cluster: &Cluster, node: i32) -> Client {
    Client::connect_to(&cluster.addresses()[node as usize - 1].to_string())
}

pub fn produce(client: &mut Client, acks: i16, batch: &Batch) -> PartitionProduceResponse {
    let response = client.call(12, &produce_request(acks, TOPIC, 0, batch.encode()));
    response.responses[0].partition_responses[0].clone()
}

pub fn code(answer: &PartitionProduceResponse) -> ErrorCode {
    ErrorCode(answer.error_code)
}

pub fn wait_for_other_leader(cluster: &Cluster, old: i32) -> i32 {
    let moved = |state: &ottla_broker::PartitionState| state.leader.is_some_and(|now| now != old);
    assert!(cluster.wait_for_partition(TOPIC, 0, PATIENCE, moved));
    leader(cluster)
}

pub fn values(cluster: &Cluster, node: i32) -> Vec<i64> {
    let mut client = client_of(cluster, node);
    let mut offsets = Vec::new();
    let mut offset = 0;
    loop {
        let fetched = client.fetch(TOPIC, 0, offset, 0);
        let partition = &fetched.responses[0].partitions[0];
        assert_eq!(partition.error_code, 0);
        let mut rest = partition.records.clone().unwrap();
        if rest.is_empty() {
            return offsets;
        }
        while !rest.is_empty() {
            let header = validate_batch(&rest).unwrap();
            offsets.extend(header.base_offset..=header.last_offset());
            offset = header.last_offset() + 1;
            rest = rest.slice(header.size_bytes().unwrap()..);
        }
    }
}
