use alloc::string::ToString;
use alloc::vec;
use core::time::Duration;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::metadata::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};

use super::*;

fn broker(node_id: i32, host: &str, port: i32) -> MetadataResponseBroker {
    MetadataResponseBroker { node_id, host: host.to_string(), port, ..Default::default() }
}

fn partition(partition_index: i32, leader_id: i32) -> MetadataResponsePartition {
    MetadataResponsePartition { partition_index, leader_id, leader_epoch: 1, ..Default::default() }
}

fn answer(
    brokers: Vec<MetadataResponseBroker>,
    partitions: Vec<MetadataResponsePartition>,
) -> MetadataResponse {
    let topic = MetadataResponseTopic {
        name: Some("t".to_string()),
        topic_id: Uuid([9; 16]),
        partitions,
        ..Default::default()
    };
    MetadataResponse { brokers, topics: vec![topic], ..Default::default() }
}

fn apply(cluster: &mut Cluster, answer: &MetadataResponse) -> (Vec<Change>, bool) {
    cluster.apply(answer, Duration::from_secs(5), Instant::from_millis(1))
}

#[test]
fn an_answer_without_brokers_or_partitions_leaves_what_was_known() {
    let mut cluster = Cluster::default();
    let topic = cluster.want("t");
    let (_, complete) =
        apply(&mut cluster, &answer(vec![broker(1, "a", 1)], vec![partition(0, 1)]));
    assert!(complete);
    let (changes, complete) = apply(&mut cluster, &answer(vec![], vec![]));
    assert_eq!((changes.len(), complete), (0, false));
    assert_eq!(cluster.partition(cluster.topic(topic).partitions[0]).leader, Some(1));
    assert_eq!(cluster.nodes().count(), 1);
}

#[test]
fn impossible_brokers_and_partitions_are_not_believed() {
    let mut cluster = Cluster::default();
    let topic = cluster.want("t");
    let brokers =
        vec![broker(-5, "a", 1), broker(1, "", 1), broker(2, "a", 0), broker(3, "a", 70_000)];
    let partitions = vec![partition(0, 77), partition(-3, 1), partition(i32::MAX, 1)];
    let (_, complete) = apply(&mut cluster, &answer(brokers, partitions));
    assert!(!complete);
    assert_eq!(cluster.nodes().count(), 0);
    assert_eq!(cluster.topic(topic).partitions.len(), 3);
    assert_eq!(cluster.partition(cluster.topic(topic).partitions[0]).leader, None);
}

#[test]
fn a_topic_that_nobody_asked_for_is_ignored() {
    let mut cluster = Cluster::default();
    apply(&mut cluster, &answer(vec![broker(1, "a", 1)], vec![partition(0, 1)]));
    assert_eq!(cluster.partition_count(), 0);
}

#[test]
fn a_broker_with_a_new_address_is_named() {
    let mut cluster = Cluster::default();
    cluster.want("t");
    apply(&mut cluster, &answer(vec![broker(1, "a", 1)], vec![partition(0, 1)]));
    let (changes, _) =
        apply(&mut cluster, &answer(vec![broker(1, "::1", 2)], vec![partition(0, 1)]));
    assert!(changes.contains(&Change::NodeMoved(1)));
    assert_eq!(cluster.node(1).unwrap().server, "[::1]:2");
}

#[test]
fn a_topic_whose_leaders_are_being_elected_is_known_but_not_complete() {
    let mut cluster = Cluster::default();
    let topic = cluster.want("t");
    let mut answer = answer(vec![broker(1, "a", 1)], vec![partition(0, -1), partition(1, 1)]);
    answer.topics[0].error_code = ErrorCode::LEADER_NOT_AVAILABLE.0;
    let (changes, complete) = apply(&mut cluster, &answer);
    assert!(changes.contains(&Change::TopicReady(topic)) && !complete);
}
