//! Nodes in racks: where replicas are, and which of them consumers read (KIP-36, KIP-392).

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::Batch;
use common::client::{Client, PATIENCE, fetch_request, produce_request};
use common::three::{TOPIC, client_of, code, follower, leader, produce, three};
use ottla_broker::{Cluster, ClusterBuilder, ErrorCode, PartitionState};
use ottla_protocol::messages::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use ottla_protocol::messages::describe_cluster::DescribeClusterRequest;
use ottla_protocol::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use ottla_protocol::messages::fetch::{FetchRequest, FetchResponse, PartitionData};
use ottla_protocol::messages::metadata::MetadataRequest;

/// The first version that says where a consumer is.
const RACKS: i16 = 11;

/// Three nodes in racks of their own.
fn racks() -> ClusterBuilder {
    three().racks(["a", "b", "c"])
}

fn rack_of(node: i32) -> &'static str {
    ["a", "b", "c"][node as usize - 1]
}

/// Sends records that every in-sync replica is to have, or only the leader.
fn send(cluster: &Cluster, acks: i16, records: usize) {
    let mut client = client_of(cluster, leader(cluster));
    let answer = produce(&mut client, acks, &Batch::numbered(records));
    assert_eq!(code(&answer), ErrorCode::NONE);
}

/// What a consumer in a rack asks for.
fn from(rack: &str, offset: i64, max_wait_ms: i32) -> FetchRequest {
    let request = fetch_request(TOPIC, 0, offset, max_wait_ms);
    FetchRequest { rack_id: rack.to_owned(), min_bytes: 1, ..request }
}

fn partition(response: &FetchResponse) -> &PartitionData {
    &response.responses[0].partitions[0]
}

/// The replica that a consumer in a rack is sent to by the leader, if it is.
fn sent_to(cluster: &Cluster, rack: &str, offset: i64) -> Option<i32> {
    let response = client_of(cluster, leader(cluster)).call(RACKS, &from(rack, offset, 0));
    let found = partition(&response);
    assert_eq!(found.error_code, 0);
    let preferred = Some(found.preferred_read_replica).filter(|id| *id != -1);
    if preferred.is_some() {
        assert!(found.records.as_ref().is_none_or(|records| records.is_empty()));
    }
    preferred
}

/// The code and the number of bytes that a node gives of an offset.
fn read(cluster: &Cluster, node: i32, version: i16, request: &FetchRequest) -> (ErrorCode, usize) {
    let response = client_of(cluster, node).call(version, request);
    let found = partition(&response);
    (ErrorCode(found.error_code), found.records.as_ref().map_or(0, |records| records.len()))
}

#[test]
fn clients_are_told_the_racks_of_nodes() {
    let cluster = racks().start().unwrap();
    let mut client = client_of(&cluster, 1);
    let told = client.call(12, &MetadataRequest::default()).brokers;
    let told: Vec<_> = told.iter().map(|it| it.rack.as_deref()).collect();
    assert_eq!(told, [Some("a"), Some("b"), Some("c")]);
    let request = DescribeClusterRequest { endpoint_type: 1, ..Default::default() };
    let told = client.call(1, &request).brokers;
    assert_eq!(
        told.iter().map(|it| it.rack.as_deref()).collect::<Vec<_>>(),
        [Some("a"), Some("b"), Some("c")]
    );
    let request = produce_request(1, TOPIC, 0, Batch::numbered(1).encode());
    let refused = client_of(&cluster, follower(&cluster)).call(10, &request);
    let endpoint = &refused.node_endpoints[0];
    assert_eq!(endpoint.rack.as_deref(), Some(rack_of(leader(&cluster))));

    let resource = DescribeConfigsResource {
        resource_type: 4,
        resource_name: "2".to_owned(),
        configuration_keys: Some(vec!["broker.rack".to_owned()]),
    };
    let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
    let told = &client.call(4, &request).results[0];
    assert_eq!(told.configs[0].value.as_deref(), Some("b"));

    let nowhere = Cluster::builder().start().unwrap();
    let told = Client::connect(&nowhere).call(12, &MetadataRequest::default()).brokers;
    assert_eq!(told[0].rack, None);
    assert!(Cluster::builder().racks(["a", "b"]).start().is_err());
    assert!(Cluster::builder().racks([""]).start().is_err());
}

#[test]
fn replicas_are_in_different_racks_and_those_of_further_partitions_too() {
    // Nodes 1 and 3 are in one rack, 2 and 4 in the other.
    let builder = Cluster::builder().nodes(4).racks(["a", "b"]).topic_replicated(TOPIC, 8, 2);
    let cluster = builder.start().unwrap();
    let topic = CreatePartitionsTopic { name: TOPIC.to_owned(), count: 20, assignments: None };
    let request =
        CreatePartitionsRequest { topics: vec![topic], timeout_ms: 10_000, validate_only: false };
    assert_eq!(Client::connect(&cluster).call(3, &request).results[0].error_code, 0);
    for partition in 0..20 {
        let replicas = cluster.partition(TOPIC, partition).unwrap().replicas;
        let racks: BTreeSet<i32> = replicas.iter().map(|id| id % 2).collect();
        assert_eq!(racks.len(), 2, "partition {partition} on {replicas:?}");
    }
}

#[test]
fn a_consumer_is_sent_to_the_replica_in_its_rack_and_reads_there() {
    let cluster = racks().select_replicas_by_rack(true).start().unwrap();
    send(&cluster, -1, 5);
    let near = follower(&cluster);
    let is_there = |state: &PartitionState| state.high_watermark == 5;
    assert!(cluster.wait_for_partition(TOPIC, 0, PATIENCE, is_there));
    assert_eq!(sent_to(&cluster, rack_of(near), 0), Some(near));
    let near = read(&cluster, near, RACKS, &from(rack_of(near), 0, 1000));
    assert!(near.0 == ErrorCode::NONE && near.1 > 0, "{near:?}");

    // The leader reads itself for those in its own rack, in none, or where nobody is.
    for rack in [rack_of(leader(&cluster)), "", "nowhere"] {
        assert_eq!(sent_to(&cluster, rack, 0), None, "{rack}");
        assert!(read(&cluster, leader(&cluster), RACKS, &from(rack, 0, 0)).1 > 0);
    }
    // Who cannot hear of another replica is not sent away.
    let old = read(&cluster, leader(&cluster), RACKS - 1, &fetch_request(TOPIC, 0, 0, 0));
    assert!(old.0 == ErrorCode::NONE && old.1 > 0, "{old:?}");
}

#[test]
fn nobody_is_sent_away_unless_replicas_are_selected_by_rack() {
    let cluster = racks().start().unwrap();
    send(&cluster, -1, 1);
    assert_eq!(sent_to(&cluster, rack_of(follower(&cluster)), 0), None);
}

#[test]
fn a_consumer_is_sent_away_at_once_also_in_a_session_and_while_there_is_nothing_to_read() {
    let cluster = racks().select_replicas_by_rack(true).start().unwrap();
    let near = follower(&cluster);
    let mut client = client_of(&cluster, leader(&cluster));
    let begin = FetchRequest { session_epoch: 0, ..from(rack_of(near), 0, 3_600_000) };
    let first = client.call(RACKS, &begin);
    assert_eq!(partition(&first).preferred_read_replica, near);
    let again = FetchRequest {
        session_id: first.session_id,
        session_epoch: 1,
        topics: Vec::new(),
        ..begin.clone()
    };
    assert_eq!(partition(&client.call(RACKS, &again)).preferred_read_replica, near);
}

#[test]
fn a_replica_that_is_behind_or_out_of_sync_is_not_preferred() {
    let cluster = racks()
        .select_replicas_by_rack(true)
        .replica_lag_time_max(Duration::from_millis(100))
        .start()
        .unwrap();
    let near = follower(&cluster);
    assert!(cluster.wait_until_in_sync(PATIENCE));
    cluster.hold_replication(near, true).unwrap();
    send(&cluster, 1, 5);
    assert_eq!(sent_to(&cluster, rack_of(near), 3), None);
    let is_out = |state: &PartitionState| !state.in_sync.contains(&near);
    assert!(cluster.wait_for_partition(TOPIC, 0, PATIENCE, is_out));
    assert_eq!(sent_to(&cluster, rack_of(near), 0), None);
    cluster.hold_replication(near, false).unwrap();
    assert!(cluster.wait_until_in_sync(PATIENCE));
    assert_eq!(sent_to(&cluster, rack_of(near), 3), Some(near));
}

#[test]
fn who_waits_at_a_follower_is_answered_when_that_may_show_the_record() {
    let cluster = racks().start().unwrap();
    let near = follower(&cluster);
    let mut waiting = client_of(&cluster, near);
    let id = waiting.send(RACKS, &from(rack_of(near), 0, 3_600_000));
    // It waits: what comes on another connection is answered meanwhile.
    assert_eq!(read(&cluster, near, RACKS, &from("", 0, 0)), (ErrorCode::NONE, 0));
    send(&cluster, -1, 1);
    let told = waiting.receive::<FetchRequest>(RACKS, id);
    let found = partition(&told);
    assert_eq!((found.error_code, found.high_watermark), (0, 1));
    assert!(found.records.as_ref().is_some_and(|records| !records.is_empty()));
}

#[test]
fn a_follower_shows_no_record_that_an_in_sync_replica_lacks() {
    let cluster = racks().start().unwrap();
    let lead = leader(&cluster);
    let near = follower(&cluster);
    let far = cluster.node_ids().into_iter().find(|id| ![lead, near].contains(id)).unwrap();
    assert!(cluster.wait_until_in_sync(PATIENCE));
    cluster.hold_replication(far, true).unwrap();
    send(&cluster, 1, 1);
    let has_it = || cluster.log_end_offset_on(near, TOPIC, 0) == Some(1);
    while !has_it() {
        std::thread::yield_now();
    }
    assert_eq!(read(&cluster, near, RACKS, &from("", 0, 0)), (ErrorCode::NONE, 0));
    cluster.hold_replication(far, false).unwrap();
    assert!(read(&cluster, near, RACKS, &from("", 0, 10_000)).1 > 0);
}

#[test]
fn a_follower_is_read_by_those_who_know_how_and_mean_its_epoch() {
    let cluster = racks().start().unwrap();
    send(&cluster, -1, 1);
    let near = follower(&cluster);
    let old = read(&cluster, near, RACKS - 1, &fetch_request(TOPIC, 0, 0, 0));
    assert_eq!(old, (ErrorCode::NOT_LEADER_OR_FOLLOWER, 0));
    let epoch = cluster.partition(TOPIC, 0).unwrap().leader_epoch;
    for (asked, expected) in [
        (epoch, ErrorCode::NONE),
        (epoch + 1, ErrorCode::UNKNOWN_LEADER_EPOCH),
        (epoch - 1, if epoch == 0 { ErrorCode::NONE } else { ErrorCode::FENCED_LEADER_EPOCH }),
    ] {
        let mut request = from("", 0, 0);
        request.topics[0].partitions[0].current_leader_epoch = asked;
        assert_eq!(read(&cluster, near, RACKS, &request).0, expected, "{asked}");
    }
    let beyond = read(&cluster, near, RACKS, &from("", 7, 0));
    assert_eq!(beyond, (ErrorCode::OFFSET_OUT_OF_RANGE, 0));
}

#[test]
fn a_node_without_a_replica_is_not_read() {
    let builder = Cluster::builder().nodes(3).topic_replicated(TOPIC, 1, 1);
    let cluster = builder.start().unwrap();
    let told = read(&cluster, follower(&cluster), RACKS, &from("", 0, 0)).0;
    assert_eq!(told, ErrorCode::NOT_LEADER_OR_FOLLOWER);
}
