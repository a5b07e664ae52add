//! What tools ask of a cluster: ends of leader epochs.

mod common;

use std::time::Duration;

use common::Batch;
use common::client::{Client, produce_request};
use ottla_broker::{Acl, Cluster, ErrorCode, Operation};
use ottla_protocol::messages::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};

const TOPIC: &str = "t";

/// Three nodes, and a topic of one partition with a replica on each.
fn three() -> Cluster {
    Cluster::builder()
        .nodes(3)
        .topic_replicated(TOPIC, 1, 3)
        .node_session_timeout(Duration::from_millis(50))
        .start()
        .expect("starts")
}

fn leader(cluster: &Cluster) -> i32 {
    cluster.partition(TOPIC, 0).and_then(|state| state.leader).expect("a leader")
}

fn client_of(cluster: &Cluster, node: i32) -> Client {
    Client::connect_to(&cluster.addresses()[node as usize - 1].to_string())
}

fn produce(cluster: &Cluster, acks: i16, records: usize) {
    let mut client = client_of(cluster, leader(cluster));
    let request = produce_request(acks, TOPIC, 0, Batch::numbered(records).encode());
    let answer = client.call(12, &request);
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
}

/// Where an epoch ended, as a leader tells it: the code, and the greatest epoch not later than that
/// with its end.
fn end_of_epoch(client: &mut Client, present: i32, epoch: i32) -> (ErrorCode, i32, i64) {
    end_of_epoch_in(client, TOPIC, 0, present, epoch)
}

fn end_of_epoch_in(
    client: &mut Client,
    topic: &str,
    partition: i32,
    current_leader_epoch: i32,
    leader_epoch: i32,
) -> (ErrorCode, i32, i64) {
    let request = OffsetForLeaderEpochRequest {
        replica_id: -1,
        topics: vec![OffsetForLeaderTopic {
            topic: topic.to_owned(),
            partitions: vec![OffsetForLeaderPartition {
                partition,
                current_leader_epoch,
                leader_epoch,
            }],
        }],
    };
    let answers = [2, 3, 4].map(|version| client.call(version, &request));
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    let topic = &answers[0].topics[0];
    assert_eq!(topic.topic, request.topics[0].topic);
    let found = &topic.partitions[0];
    assert_eq!(found.partition, partition);
    (ErrorCode(found.error_code), found.leader_epoch, found.end_offset)
}

#[test]
fn the_end_of_each_leader_epoch_is_told_also_of_one_without_records() {
    let cluster = three();
    let first = cluster.partition(TOPIC, 0).unwrap().leader_epoch;
    produce(&cluster, -1, 3);
    let other = cluster.node_ids().into_iter().find(|id| *id != leader(&cluster)).unwrap();
    cluster.move_leader(TOPIC, 0, other).unwrap();
    let mut client = client_of(&cluster, other);
    let told = |client: &mut Client, epoch| end_of_epoch(client, -1, epoch);
    let ok = ErrorCode::NONE;
    assert_eq!(told(&mut client, first), (ok, first, 3));
    assert_eq!(told(&mut client, first + 1), (ok, first + 1, 3));
    produce(&cluster, -1, 2);
    assert_eq!(told(&mut client, first), (ok, first, 3));
    assert_eq!(told(&mut client, first + 1), (ok, first + 1, 5));
    // One that has not come yet, and none.
    assert_eq!(told(&mut client, first + 2), (ok, -1, -1));
    assert_eq!(told(&mut client, -1), (ok, -1, -1));
}

#[test]
fn the_end_of_an_epoch_is_told_by_the_present_leader_to_those_who_know_it() {
    let cluster = three();
    produce(&cluster, -1, 1);
    let epoch = cluster.partition(TOPIC, 0).unwrap().leader_epoch;
    let old = leader(&cluster);
    let other = cluster.node_ids().into_iter().find(|id| *id != old).unwrap();
    cluster.move_leader(TOPIC, 0, other).unwrap();
    let mut client = client_of(&cluster, other);
    let code = |client: &mut Client, present| end_of_epoch(client, present, epoch).0;
    assert_eq!(code(&mut client, epoch), ErrorCode::FENCED_LEADER_EPOCH);
    assert_eq!(code(&mut client, epoch + 1), ErrorCode::NONE);
    assert_eq!(code(&mut client, epoch + 2), ErrorCode::UNKNOWN_LEADER_EPOCH);
    let mut follower = client_of(&cluster, old);
    assert_eq!(code(&mut follower, -1), ErrorCode::NOT_LEADER_OR_FOLLOWER);
    let unknown = (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, -1, -1);
    assert_eq!(end_of_epoch_in(&mut client, "nobody's", 0, -1, 0), unknown);
    assert_eq!(end_of_epoch_in(&mut client, TOPIC, 9, -1, 0), unknown);
}

#[test]
fn the_end_of_an_epoch_is_for_those_who_may_describe_the_topic_or_act_for_the_cluster() {
    let cluster = three();
    let mut client = client_of(&cluster, leader(&cluster));
    cluster.deny(Acl::topic(TOPIC).operation(Operation::Describe));
    assert_eq!(end_of_epoch(&mut client, -1, 0).0, ErrorCode::NONE);
    cluster.deny(Acl::cluster().operation(Operation::ClusterAction));
    let denied = (ErrorCode::TOPIC_AUTHORIZATION_FAILED, -1, -1);
    assert_eq!(end_of_epoch(&mut client, -1, 0), denied);
}
