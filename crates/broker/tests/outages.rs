//! What can be done to nodes, and to what they know: kills, stops, pauses, full disks, restarts.

mod common;

use std::time::Duration;

use common::Batch;
use common::client::{Client, PATIENCE, produce_request};
use common::three::{
    TOPIC, client_of, code, follower, leader, produce, three, values, wait_for_other_leader,
};
use ottla_broker::{Cluster, NodeError, Outages};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use ottla_protocol::messages::produce::ProduceRequest;

#[test]
fn a_node_with_a_full_disk_takes_nothing_and_neither_leads_nor_follows_until_there_is_room() {
    let cluster = three().replica_lag_time_max(Duration::from_millis(100)).start().unwrap();
    let full = leader(&cluster);
    cluster.fill_disk(full, true).unwrap();
    let mut client = client_of(&cluster, full);
    let answer = produce(&mut client, -1, &Batch::numbered(1));
    assert_eq!(code(&answer), ErrorCode::KAFKA_STORAGE_ERROR);
    let other = follower(&cluster);
    cluster.move_leader(TOPIC, 0, other).unwrap();
    let mut client = client_of(&cluster, other);
    let answer = produce(&mut client, -1, &Batch::numbered(2));
    assert_eq!((code(&answer), answer.base_offset), (ErrorCode::NONE, 0));
    let lags = |state: &ottla_broker::PartitionState| !state.in_sync.contains(&full);
    assert!(cluster.wait_for_partition(TOPIC, 0, PATIENCE, lags));
    assert_eq!(cluster.log_end_offset_on(full, TOPIC, 0), Some(0));
    cluster.fill_disk(full, false).unwrap();
    assert!(cluster.wait_until_in_sync(PATIENCE));
    assert_eq!(cluster.log_end_offset_on(full, TOPIC, 0), Some(2));
}

#[test]
fn outages_by_chance_end_with_everything_in_sync() {
    let cluster = three().replica_lag_time_max(Duration::from_millis(100)).start().unwrap();
    let mut outages = Outages::new(7);
    let mut told = Vec::new();
    for _ in 0..20 {
        told.push(outages.next(&cluster).unwrap());
    }
    outages.end(&cluster).unwrap();
    assert!(cluster.wait_until_in_sync(PATIENCE));
    let kinds = ["is killed", "is shut down", "stands still", "hears no", "copies", "full disk"];
    for kind in kinds {
        assert!(told.iter().any(|line| line.contains(kind)), "{kind}: {told:#?}");
    }
}

#[test]
fn hundreds_of_clusters_fit_into_one_process() {
    let start = |_| Cluster::builder().topic(TOPIC, 1).start().unwrap();
    let clusters: Vec<Cluster> = (0..300).map(start).collect();
    for cluster in &clusters {
        let answer = Client::connect(cluster).produce(TOPIC, 0, &Batch::numbered(1));
        assert_eq!((code(&answer), answer.base_offset), (ErrorCode::NONE, 0));
    }
}

#[test]
fn a_producer_that_was_forgotten_goes_on_with_any_sequence_number() {
    let cluster = three().start().unwrap();
    let mut client = client_of(&cluster, leader(&cluster));
    let batch = |sequence| Batch::numbered(1).idempotent(7, 0, sequence);
    assert_eq!(code(&produce(&mut client, -1, &batch(0))), ErrorCode::NONE);
    let gap = ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
    assert_eq!(code(&produce(&mut client, -1, &batch(5))), gap);
    cluster.forget_producers();
    let answer = produce(&mut client, -1, &batch(5));
    assert_eq!((code(&answer), answer.base_offset), (ErrorCode::NONE, 1));
}

#[test]
fn what_cannot_be_done_with_a_node_is_said() {
    let cluster = three().start().unwrap();
    assert!(matches!(cluster.kill_node(4), Err(NodeError::Unknown(4))));
    assert!(matches!(cluster.start_node(1), Err(NodeError::Runs(1))));
    cluster.kill_node(1).unwrap();
    assert!(matches!(cluster.kill_node(1), Err(NodeError::IsDown(1))));
    assert!(matches!(cluster.pause_node(1), Err(NodeError::IsDown(1))));
    assert!(Cluster::builder().nodes(0).start().is_err());
    assert!(Cluster::builder().nodes(2).default_replication_factor(3).start().is_err());
    assert!(Cluster::builder().nodes(2).topic_replicated("a", 1, 3).start().is_err());
}

#[test]
fn a_paused_node_answers_nothing_and_goes_on_later() {
    let cluster = three().start().unwrap();
    let old = leader(&cluster);
    let mut client = client_of(&cluster, old);
    produce(&mut client, -1, &Batch::numbered(1));
    cluster.pause_node(old).unwrap();
    let id = client.send(12, &produce_request(1, TOPIC, 0, Batch::numbered(1).encode()));
    assert!(client.hears_nothing());
    wait_for_other_leader(&cluster, old);
    cluster.resume_node(old).unwrap();
    let answer = client.receive::<ProduceRequest>(12, id);
    let answer = &answer.responses[0].partition_responses[0];
    assert_eq!(code(answer), ErrorCode::NOT_LEADER_OR_FOLLOWER);
    assert!(cluster.wait_until_in_sync(PATIENCE));
}

#[test]
fn a_node_that_was_just_killed_gets_no_replicas_and_starts_again() {
    let hour = Duration::from_secs(3600);
    let cluster = three().node_session_timeout(hour).start().unwrap();
    cluster.kill_node(2).unwrap();
    let mut client = client_of(&cluster, 1);
    let request = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: "new".to_owned(),
            num_partitions: 6,
            replication_factor: 1,
            ..Default::default()
        }],
        ..Default::default()
    };
    assert_eq!(client.call(7, &request).topics[0].error_code, 0);
    for partition in 0..6 {
        assert!(!cluster.partition("new", partition).unwrap().replicas.contains(&2));
    }
    cluster.start_node(2).unwrap();
    assert!(cluster.wait_until_in_sync(PATIENCE));
}

#[test]
fn a_cluster_that_comes_back_with_fewer_nodes_does_not_wait_for_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = three().data_dir(dir.path()).start().unwrap();
    let mut client = client_of(&cluster, leader(&cluster));
    assert_eq!(code(&produce(&mut client, -1, &Batch::numbered(3))), ErrorCode::NONE);
    cluster.stop();
    let cluster = Cluster::builder().nodes(2).data_dir(dir.path()).start().unwrap();
    assert_eq!(cluster.partition(TOPIC, 0).unwrap().in_sync.len(), 2);
    let mut client = client_of(&cluster, leader(&cluster));
    let answer = produce(&mut client, -1, &Batch::numbered(1));
    assert_eq!((code(&answer), answer.base_offset), (ErrorCode::NONE, 3));
    cluster.stop();
    let cluster = three().data_dir(dir.path()).start().unwrap();
    assert!(cluster.wait_until_in_sync(PATIENCE));
    assert_eq!(values(&cluster, leader(&cluster)), [0, 1, 2, 3]);
}

#[test]
fn a_node_that_stops_in_order_hands_its_partitions_over_first() {
    let cluster = three().node_session_timeout(Duration::from_secs(3600)).start().unwrap();
    let old = leader(&cluster);
    let mut client = client_of(&cluster, old);
    produce(&mut client, -1, &Batch::numbered(3));
    cluster.stop_node(old).unwrap();
    // At once, and not after the session timeout.
    let new = leader(&cluster);
    assert_ne!(new, old);
    assert_eq!(values(&cluster, new), [0, 1, 2]);
    cluster.start_node(old).unwrap();
    assert!(cluster.wait_until_in_sync(PATIENCE));
    cluster.elect_preferred(TOPIC, 0).unwrap();
    assert_eq!(leader(&cluster), cluster.partition(TOPIC, 0).unwrap().replicas[0]);
    let again = cluster.elect_preferred(TOPIC, 0);
    assert_eq!(again, Err(ErrorCode::ELECTION_NOT_NEEDED));
}

#[test]
fn a_topic_that_is_deleted_while_a_node_is_down_is_gone_from_that_node_too() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = three().data_dir(dir.path()).start().unwrap();
    let down = 3;
    cluster.kill_node(down).unwrap();
    let folder = dir.path().join("nodes/3/t-0");
    assert!(folder.exists());
    let mut client = client_of(&cluster, 1);
    let request = ottla_protocol::messages::delete_topics::DeleteTopicsRequest {
        topic_names: vec![TOPIC.to_owned()],
        ..Default::default()
    };
    assert_eq!(client.call(4, &request).responses[0].error_code, 0);
    cluster.start_node(down).unwrap();
    assert!(!folder.exists());
}
