//! What tools ask of the cluster as a whole: its quorum, its features, which nodes it knows.

mod common;

use std::time::Duration;

use common::Batch;
use common::client::{Client, PATIENCE, named_api_versions, produce_request};
use ottla_broker::{Acl, Cluster, ErrorCode, Operation, PartitionState};
use ottla_protocol::messages::consumer_group_describe::ConsumerGroupDescribeRequest;
use ottla_protocol::messages::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;
use ottla_protocol::messages::describe_cluster::DescribeClusterRequest;
use ottla_protocol::messages::describe_quorum::{
    DescribeQuorumRequest, DescribeQuorumRequestPartitionData, DescribeQuorumRequestTopicData,
    DescribeQuorumResponse, DescribeQuorumResponsePartitionData, ReplicaState,
};
use ottla_protocol::messages::metadata::MetadataRequest;
use ottla_protocol::messages::unregister_broker::UnregisterBrokerRequest;
use ottla_protocol::messages::update_features::{
    FeatureUpdateKey, UpdateFeaturesRequest, UpdateFeaturesResponse,
};

const TOPIC: &str = "t";
const METADATA: &str = "__cluster_metadata";
const UP: i8 = 1;
const DOWN: i8 = 2;
const UNSAFE_DOWN: i8 = 3;

/// Three nodes, and a topic of one partition with a replica on each.
fn three() -> Cluster {
    Cluster::builder()
        .nodes(3)
        .topic_replicated(TOPIC, 1, 3)
        .node_session_timeout(Duration::from_millis(50))
        .start()
        .expect("starts")
}

fn client_of(cluster: &Cluster, node: i32) -> Client {
    Client::connect_to(&cluster.addresses()[node as usize - 1].to_string())
}

fn describe_quorum(client: &mut Client, of: &[(&str, &[i32])]) -> DescribeQuorumResponse {
    let topics = of.iter().map(|(name, partitions)| {
        let partitions = partitions
            .iter()
            .map(|index| DescribeQuorumRequestPartitionData { partition_index: *index });
        DescribeQuorumRequestTopicData {
            topic_name: (*name).to_owned(),
            partitions: partitions.collect(),
        }
    });
    let request = DescribeQuorumRequest { topics: topics.collect() };
    let answers = [0, 1, 2].map(|version| client.call(version, &request));
    for (older, newer) in answers.iter().zip(&answers[1..]) {
        assert_eq!(codes(older), codes(newer));
    }
    answers.into_iter().next_back().unwrap()
}

/// The codes of the whole and of the partitions.
fn codes(answer: &DescribeQuorumResponse) -> (i16, Vec<i16>) {
    let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    (answer.error_code, partitions.map(|partition| partition.error_code).collect())
}

fn quorum(client: &mut Client) -> DescribeQuorumResponsePartitionData {
    let mut answer = describe_quorum(client, &[(METADATA, &[0])]);
    assert_eq!((answer.error_code, answer.topics.len()), (0, 1));
    answer.topics.remove(0).partitions.remove(0)
}

#[test]
fn the_controller_is_the_quorum_and_the_nodes_that_it_counts_on_watch_it() {
    let cluster = three();
    let mut client = client_of(&cluster, 1);
    let seen = quorum(&mut client);
    let ids = |replicas: &[ReplicaState]| {
        replicas.iter().map(|replica| replica.replica_id).collect::<Vec<_>>()
    };
    assert_eq!((seen.leader_id, ids(&seen.current_voters)), (0, vec![0]));
    assert_eq!(ids(&seen.observers), [1, 2, 3]);
    let all = seen.observers.iter().chain(&seen.current_voters);
    assert!(all.clone().all(|replica| replica.log_end_offset == seen.high_watermark));
    assert!(all.clone().all(|replica| replica.last_caught_up_timestamp > 0));

    // Others lead in place of a node that is gone, and that is written down.
    cluster.kill_node(3).unwrap();
    let is_out = |state: &PartitionState| !state.in_sync.contains(&3);
    assert!(cluster.wait_for_partition(TOPIC, 0, PATIENCE, is_out));
    let later = quorum(&mut client);
    assert_eq!(ids(&later.observers), [1, 2]);
    assert!(later.high_watermark > seen.high_watermark);
    assert_eq!(later.leader_epoch, seen.leader_epoch);
}

#[test]
fn the_log_of_the_quorum_goes_on_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let start = || Cluster::builder().data_dir(dir.path()).topic(TOPIC, 1).start().unwrap();
    let cluster = start();
    let before = quorum(&mut Client::connect(&cluster)).high_watermark;
    cluster.kill();
    let after = quorum(&mut Client::connect(&start())).high_watermark;
    assert!(0 < before && before < after, "{before} {after}");
}

#[test]
fn only_the_quorum_of_the_metadata_can_be_described() {
    let cluster = Cluster::builder().topic(TOPIC, 1).start().unwrap();
    let mut client = Client::connect(&cluster);
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0;
    for (of, named) in [
        (&[(TOPIC, &[0][..])][..], 1),
        (&[(METADATA, &[1])], 1),
        (&[(METADATA, &[0, 1])], 2),
        (&[(METADATA, &[0]), (TOPIC, &[0])], 2),
        (&[], 0),
    ] {
        let answer = describe_quorum(&mut client, of);
        assert_eq!(codes(&answer), (0, vec![unknown; named]), "{of:?}");
    }
    cluster.deny(Acl::cluster().operation(Operation::Describe));
    let answer = describe_quorum(&mut client, &[(METADATA, &[0])]);
    assert_eq!(answer.error_code, ErrorCode::CLUSTER_AUTHORIZATION_FAILED.0);
    assert!(answer.topics.is_empty());
}

fn update(client: &mut Client, levels: &[(&str, i16, i8)], checks: bool) -> UpdateFeaturesResponse {
    let feature = |(feature, level, upgrade_type): &(&str, i16, i8)| FeatureUpdateKey {
        feature: (*feature).to_owned(),
        max_version_level: *level,
        upgrade_type: *upgrade_type,
        ..FeatureUpdateKey::default()
    };
    let feature_updates = levels.iter().map(feature).collect();
    client.call(
        1,
        &UpdateFeaturesRequest { timeout_ms: 10_000, feature_updates, validate_only: checks },
    )
}

/// The features that are on with their levels, and the epoch of all.
fn features(client: &mut Client) -> (Vec<(String, i16)>, i64) {
    let told = client.call(4, &named_api_versions());
    let of = told.finalized_features.into_iter().map(|it| (it.name, it.max_version_level));
    (of.collect(), told.finalized_features_epoch)
}

fn levels(of: &[(&str, i16)]) -> Vec<(String, i16)> {
    of.iter().map(|(name, level)| ((*name).to_owned(), *level)).collect()
}

const NEWEST: [(&str, i16); 2] = [("group.version", 1), ("transaction.version", 2)];

#[test]
fn levels_of_features_go_down_and_up_and_outlive_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let start = || Cluster::builder().data_dir(dir.path()).start().unwrap();
    let cluster = start();
    let mut client = Client::connect(&cluster);
    let newest = features(&mut client);
    assert_eq!(newest.0, levels(&NEWEST));

    let checked = update(&mut client, &[("transaction.version", 1, DOWN)], true);
    assert_eq!((checked.error_code, checked.results.len()), (0, 1));
    assert_eq!(features(&mut client), newest);
    let same = update(&mut client, &[("transaction.version", 2, UP)], false);
    assert_eq!(same.error_code, 0);
    assert_eq!(features(&mut client), newest);

    let both = [("transaction.version", 1, DOWN), ("group.version", 0, UNSAFE_DOWN)];
    let answer = update(&mut client, &both, false);
    assert_eq!((answer.error_code, answer.results.len()), (0, 2));
    let lower = features(&mut client);
    assert_eq!(lower.0, levels(&[("transaction.version", 1)]));
    assert!(lower.1 > newest.1, "who has heard both does not know which is newer");
    cluster.kill();
    let cluster = start();
    let mut client = Client::connect(&cluster);
    assert_eq!(features(&mut client).0, lower.0);

    let up = [("transaction.version", 2, UP), ("group.version", 1, UP)];
    assert_eq!(update(&mut client, &up, false).error_code, 0);
    assert_eq!(features(&mut client).0, newest.0);
}

#[test]
fn one_feature_that_cannot_be_updated_keeps_all_as_they_are() {
    let cluster = Cluster::builder().start().unwrap();
    let mut client = Client::connect(&cluster);
    for (name, level, way) in [
        ("nobody's", 1, UP),
        ("transaction.version", 3, UP),
        ("transaction.version", -1, DOWN),
        ("transaction.version", 1, UP),
        ("transaction.version", 2, 0),
        ("transaction.version", 2, 4),
    ] {
        let good = ("group.version", 0, DOWN);
        let answer = update(&mut client, &[good, (name, level, way)], false);
        let refused = ErrorCode::INVALID_UPDATE_VERSION.0;
        assert_eq!(answer.error_code, refused, "{name} {level} {way}");
        assert!(answer.error_message.is_some_and(|message| message.contains(name)));
        assert!(answer.results.is_empty());
        assert_eq!(features(&mut client).0, levels(&NEWEST));
    }
    assert_eq!(update(&mut client, &[("group.version", 0, DOWN)], false).error_code, 0);
    let answer = update(&mut client, &[("group.version", 1, DOWN)], false);
    assert_eq!(answer.error_code, ErrorCode::INVALID_UPDATE_VERSION.0);

    cluster.deny(Acl::cluster().operation(Operation::Alter));
    let answer = update(&mut client, &[("group.version", 1, UP)], false);
    assert_eq!(answer.error_code, ErrorCode::CLUSTER_AUTHORIZATION_FAILED.0);
}

#[test]
fn the_oldest_request_says_whether_a_level_may_go_down() {
    let cluster = Cluster::builder().start().unwrap();
    let mut client = Client::connect(&cluster);
    let mut ask = |level, allow_downgrade| {
        let feature = FeatureUpdateKey {
            feature: "transaction.version".to_owned(),
            max_version_level: level,
            allow_downgrade,
            ..FeatureUpdateKey::default()
        };
        let request =
            UpdateFeaturesRequest { feature_updates: vec![feature], ..Default::default() };
        client.call(0, &request).error_code
    };
    assert_eq!(ask(1, false), ErrorCode::INVALID_UPDATE_VERSION.0);
    assert_eq!(ask(1, true), 0);
    assert_eq!(ask(2, true), ErrorCode::INVALID_UPDATE_VERSION.0);
    assert_eq!(ask(2, false), 0);
}

#[test]
fn without_the_groups_feature_nobody_joins_a_group_of_the_consumer_protocol() {
    let cluster = Cluster::builder().topic(TOPIC, 1).start().unwrap();
    let mut client = Client::connect(&cluster);
    assert_eq!(update(&mut client, &[("group.version", 0, DOWN)], false).error_code, 0);
    let unsupported = ErrorCode::UNSUPPORTED_VERSION.0;
    let heartbeat = ConsumerGroupHeartbeatRequest {
        group_id: "g".to_owned(),
        member_id: "m".to_owned(),
        rebalance_timeout_ms: 1000,
        subscribed_topic_names: Some(vec![TOPIC.to_owned()]),
        topic_partitions: Some(Vec::new()),
        ..ConsumerGroupHeartbeatRequest::default()
    };
    assert_eq!(client.call(1, &heartbeat).error_code, unsupported);
    let describe =
        ConsumerGroupDescribeRequest { group_ids: vec!["g".to_owned()], ..Default::default() };
    assert_eq!(client.call(0, &describe).groups[0].error_code, unsupported);
    assert_eq!(update(&mut client, &[("group.version", 1, UP)], false).error_code, 0);
    assert_eq!(client.call(1, &heartbeat).error_code, 0);
}

fn unregister(client: &mut Client, broker_id: i32) -> ErrorCode {
    ErrorCode(client.call(0, &UnregisterBrokerRequest { broker_id }).error_code)
}

/// The nodes that DescribeCluster tells, each with whether it is fenced.
fn described(client: &mut Client, include_fenced_brokers: bool) -> Vec<(i32, bool)> {
    let request = DescribeClusterRequest {
        endpoint_type: 1,
        include_fenced_brokers,
        ..DescribeClusterRequest::default()
    };
    let told = client.call(2, &request);
    assert!(told.brokers.iter().all(|broker| broker.port > 0));
    told.brokers.iter().map(|broker| (broker.broker_id, broker.is_fenced)).collect()
}

#[test]
fn a_node_that_is_down_is_told_as_fenced_until_it_is_unregistered() {
    let cluster = three();
    cluster.stop_node(2).unwrap();
    let mut client = client_of(&cluster, 1);
    assert_eq!(described(&mut client, false), [(1, false), (3, false)]);
    assert_eq!(described(&mut client, true), [(1, false), (2, true), (3, false)]);
    assert_eq!(unregister(&mut client, 2), ErrorCode::NONE);
    assert_eq!(described(&mut client, true), [(1, false), (3, false)]);
    assert_eq!(unregister(&mut client, 2), ErrorCode::BROKER_ID_NOT_REGISTERED);
    assert_eq!(unregister(&mut client, 7), ErrorCode::BROKER_ID_NOT_REGISTERED);
    cluster.start_node(2).unwrap();
    assert!(cluster.wait_until_in_sync(PATIENCE));
    assert_eq!(described(&mut client, true), [(1, false), (2, false), (3, false)]);
}

#[test]
fn a_running_node_that_was_unregistered_is_known_again_once_it_is_started_again() {
    let cluster = three();
    let leader = cluster.partition(TOPIC, 0).and_then(|state| state.leader).unwrap();
    let others: Vec<i32> = cluster.node_ids().into_iter().filter(|id| *id != leader).collect();
    let mut client = client_of(&cluster, leader);
    assert_eq!(unregister(&mut client, leader), ErrorCode::NONE);
    let brokers = |client: &mut Client| {
        let told = client.call(12, &MetadataRequest::default());
        told.brokers.iter().map(|broker| broker.node_id).collect::<Vec<_>>()
    };
    assert_eq!(brokers(&mut client), others);
    let state = cluster.partition(TOPIC, 0).unwrap();
    assert!(state.in_sync.len() == 2 && !state.in_sync.contains(&leader), "{state:?}");
    assert!(state.leader.is_some_and(|now| now != leader));

    // That it is heard of in some other way does not bring it back.
    cluster.pause_node(leader).unwrap();
    cluster.resume_node(leader).unwrap();
    assert_eq!(brokers(&mut client), others);
    cluster.kill_node(leader).unwrap();
    cluster.start_node(leader).unwrap();
    assert!(cluster.wait_until_in_sync(PATIENCE));
    assert_eq!(brokers(&mut client_of(&cluster, leader)), [1, 2, 3]);
}

#[test]
fn a_leader_that_is_unregistered_while_it_stands_still_hears_that_others_lead() {
    let cluster = three();
    let leader = cluster.partition(TOPIC, 0).and_then(|state| state.leader).unwrap();
    let other = cluster.node_ids().into_iter().find(|id| *id != leader).unwrap();
    cluster.pause_node(leader).unwrap();
    assert_eq!(unregister(&mut client_of(&cluster, other), leader), ErrorCode::NONE);
    cluster.resume_node(leader).unwrap();
    let request = produce_request(1, TOPIC, 0, Batch::numbered(1).encode());
    let answer = client_of(&cluster, leader).call(12, &request);
    let code = answer.responses[0].partition_responses[0].error_code;
    assert_eq!(ErrorCode(code), ErrorCode::NOT_LEADER_OR_FOLLOWER);
}

#[test]
fn nodes_are_unregistered_by_those_who_may_alter_the_cluster() {
    let cluster = Cluster::builder().start().unwrap();
    cluster.deny(Acl::cluster().operation(Operation::Alter));
    let mut client = Client::connect(&cluster);
    assert_eq!(unregister(&mut client, 1), ErrorCode::CLUSTER_AUTHORIZATION_FAILED);
    assert_eq!(described(&mut client, true), [(1, false)]);
}
