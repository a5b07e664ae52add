use alloc::string::ToString;
use alloc::vec;
use core::time::Duration;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::metadata::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};

use super::apply::LeaderHint;
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

/// Laws: L8. Scenarios: #67, bug-16, B-8.
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

/// Laws: L8, L11. Scenarios: B-8.
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

/// Laws: L8, L11. Scenarios: B-9.
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

/// Laws: L8. Scenarios: #66.
#[test]
fn a_topic_whose_leaders_are_being_elected_is_known_but_not_complete() {
    let mut cluster = Cluster::default();
    let topic = cluster.want("t");
    let mut answer = answer(vec![broker(1, "a", 1)], vec![partition(0, -1), partition(1, 1)]);
    answer.topics[0].error_code = ErrorCode::LEADER_NOT_AVAILABLE.0;
    let (changes, complete) = apply(&mut cluster, &answer);
    assert!(changes.contains(&Change::TopicReady(topic)) && !complete);
}

fn hinted(leader: i32, leader_epoch: i32) -> LeaderHint {
    LeaderHint { leader, leader_epoch, endpoint: None }
}

fn three_nodes(leader: i32) -> MetadataResponse {
    let brokers = (1..=3).map(|id| broker(id, "a", id)).collect();
    answer(brokers, vec![partition(0, leader)])
}

/// Laws: L8. Scenarios: #62, #64, F6.
#[test]
fn a_leader_that_is_hinted_at_outlasts_metadata_that_is_older() {
    let mut cluster = Cluster::default();
    let topic = cluster.want("t");
    apply(&mut cluster, &three_nodes(1));
    let key = cluster.topic(topic).partitions[0];
    assert!(cluster.apply_hint(key, &hinted(2, 1)).is_empty(), "no later epoch is no news");
    assert!(cluster.apply_hint(key, &hinted(9, 5)).is_empty(), "a node that nobody knows");
    assert_eq!(cluster.apply_hint(key, &hinted(2, 5)), [Change::LeaderChanged(key)]);
    apply(&mut cluster, &three_nodes(1));
    assert_eq!(cluster.partition(key).leader, Some(2));
}

/// A broker that lagged hinted at a leader of the former topic, whose epoch the new topic never
/// reached: its metadata was taken for old for ever, and the partition's records went to the wrong
/// node until they expired.
/// Laws: L8, L9. Scenarios: #63, #71, bug-22.
#[test]
fn a_hint_that_metadata_contradicts_again_and_again_is_given_up() {
    let mut cluster = Cluster::default();
    let topic = cluster.want("t");
    apply(&mut cluster, &three_nodes(1));
    let key = cluster.topic(topic).partitions[0];
    cluster.apply_hint(key, &hinted(2, 5));
    for _ in 0..4 {
        apply(&mut cluster, &three_nodes(1));
    }
    assert_eq!(cluster.partition(key).leader, Some(1));
    assert_eq!(cluster.partition(key).leader_epoch, 1);
}

/// Laws: L8. Scenarios: #64, #65, bug-24, F6.
#[test]
fn what_metadata_said_is_not_taken_back_by_older_metadata_however_often() {
    let mut cluster = Cluster::default();
    let topic = cluster.want("t");
    let mut newer = three_nodes(2);
    newer.topics[0].partitions[0].leader_epoch = 5;
    apply(&mut cluster, &newer);
    let key = cluster.topic(topic).partitions[0];
    for _ in 0..10 {
        apply(&mut cluster, &three_nodes(1));
    }
    assert_eq!((cluster.partition(key).leader, cluster.partition(key).leader_epoch), (Some(2), 5));
}

/// Laws: L8. Scenarios: #82, F17.
#[test]
fn brokers_that_share_an_address_are_two_and_each_can_move_alone() {
    let mut cluster = Cluster::default();
    cluster.want("t");
    let partitions = || vec![partition(0, 1), partition(1, 2)];
    apply(&mut cluster, &answer(vec![broker(1, "a", 1), broker(2, "a", 1)], partitions()));
    assert_eq!(cluster.nodes().map(|(id, _)| id).collect::<Vec<_>>(), [1, 2]);
    let (changes, _) =
        apply(&mut cluster, &answer(vec![broker(1, "a", 1), broker(2, "b", 1)], partitions()));
    let moved: Vec<_> =
        changes.iter().filter(|change| matches!(change, Change::NodeMoved(_))).collect();
    assert_eq!(moved, [&Change::NodeMoved(2)]);
}

/// A broker once numbered the partitions of its answer so that none could be one. The topic was
/// taken for known and for complete, so nobody asked again: records waited until their time was up.
///
/// Laws: L8, L9. Scenarios: B-8.
#[test]
fn partitions_that_are_not_told_are_asked_for_again() {
    for numbers in [[-1, -1], [7, 8], [0, 0]] {
        let mut cluster = Cluster::default();
        cluster.want("t");
        let partitions = numbers.map(|number| partition(number, 1)).to_vec();
        let (_, complete) = apply(&mut cluster, &answer(vec![broker(1, "a", 1)], partitions));
        assert!(!complete, "{numbers:?}");
    }
}

/// Records of one topic would be written to the other: versions 13 and later know topics by id.
///
/// Laws: L2, L8. Scenarios: B-9.
#[test]
fn the_id_of_another_topic_is_not_believed() {
    let mut cluster = Cluster::default();
    let (first, second) = (cluster.want("t"), cluster.want("u"));
    let mut answer = answer(vec![broker(1, "a", 1)], vec![partition(0, 1)]);
    answer
        .topics
        .push(MetadataResponseTopic { name: Some("u".to_string()), ..answer.topics[0].clone() });
    let (_, complete) = apply(&mut cluster, &answer);
    assert!(!complete, "asked for again");
    assert_eq!(cluster.topic(first).id, Uuid([9; 16]));
    assert_eq!(cluster.topic(second).id, Uuid::ZERO, "and known by its name meanwhile");
    answer.topics[1].topic_id = Uuid([8; 16]);
    assert!(apply(&mut cluster, &answer).1);
    assert_eq!(cluster.topic(second).id, Uuid([8; 16]));
}

/// Laws: L8. Scenarios: B-9.
#[test]
fn a_topic_that_is_told_twice_is_believed_once() {
    let mut cluster = Cluster::default();
    let topic = cluster.want("t");
    let mut answer = answer(vec![broker(1, "a", 1)], vec![partition(0, 1)]);
    let again = MetadataResponseTopic { topic_id: Uuid([8; 16]), ..answer.topics[0].clone() };
    answer.topics.push(again);
    for _ in 0..3 {
        let (changes, complete) = apply(&mut cluster, &answer);
        assert!(!complete && !changes.contains(&Change::TopicRecreated(topic)));
    }
}

/// Laws: L8. Scenarios: B-8.
#[test]
fn of_two_addresses_of_a_broker_the_known_one_stays() {
    let mut cluster = Cluster::default();
    apply(&mut cluster, &answer(vec![broker(1, "a", 1)], vec![]));
    for brokers in [[broker(1, "b", 2), broker(1, "a", 1)], [broker(1, "a", 1), broker(1, "b", 2)]]
    {
        let (changes, _) = apply(&mut cluster, &answer(brokers.to_vec(), vec![]));
        assert_eq!((changes, cluster.node(1).unwrap().server.as_str()), (vec![], "a:1"));
    }
}

/// Laws: L8. Scenarios: B-8.
#[test]
fn brokers_that_cannot_be_take_nothing_from_those_that_are_known() {
    let mut cluster = Cluster::default();
    apply(&mut cluster, &answer(vec![broker(1, "a", 1)], vec![]));
    apply(&mut cluster, &answer(vec![broker(1, "a", 70_000), broker(-1, "a", 1)], vec![]));
    assert_eq!(cluster.node(1).unwrap().server, "a:1");
}

fn leader(cluster: &Cluster) -> Option<i32> {
    cluster.partition(PartitionKey(0)).leader
}

/// A hint to a broker that is none, under the greatest of epochs, was believed for ever: all later
/// answers were older news.
///
/// Laws: L8. Scenarios: B-15, F6.
#[test]
fn a_leader_that_is_no_broker_is_given_up_whatever_its_epoch() {
    let mut cluster = Cluster::default();
    cluster.want("t");
    let honest = answer(vec![broker(1, "a", 1)], vec![partition(0, 1)]);
    apply(&mut cluster, &honest);
    let endpoint = Some(("127.0.0.1".into(), 22));
    let hint = LeaderHint { leader: 99, leader_epoch: i32::MAX, endpoint };
    cluster.apply_hint(PartitionKey(0), &hint);
    assert_eq!(leader(&cluster), Some(99));
    apply(&mut cluster, &honest);
    assert_eq!(leader(&cluster), Some(1));
    assert_eq!(cluster.partition(PartitionKey(0)).leader_epoch, 1);
}
