//! Transactions on several nodes: coordinators, markers, and nodes that are killed.

mod common;

use std::time::Duration;

use common::client::{Client, PATIENCE, fetch_request};
use common::three::{client_of, leader};
use common::transactional::{
    ID, MINUTE_MS, Producer, TOPIC, Two, code, committed_request, init, offsets, only,
};
use ottla_broker::{Cluster, ClusterBuilder, ErrorCode};
use ottla_protocol::messages::fetch::PartitionData;
use ottla_protocol::messages::find_coordinator::FindCoordinatorRequest;

fn three() -> ClusterBuilder {
    Cluster::builder()
        .nodes(3)
        .topic_replicated(TOPIC, 2, 3)
        .node_session_timeout(Duration::from_millis(50))
}

fn coordinator(cluster: &Cluster) -> i32 {
    let mut client = client_of(cluster, leader(cluster));
    let key = FindCoordinatorRequest { key: ID.to_owned(), key_type: 1, ..Default::default() };
    client.call(3, &key).node_id
}

/// Has the leader of partition 0 be another node than the coordinator, or the same.
fn lead_from(cluster: &Cluster, node: i32) {
    cluster.move_leader(TOPIC, 0, node).unwrap();
    assert!(cluster.wait_until_in_sync(PATIENCE));
}

/// What a client of three nodes does: Produce to the leader, everything else to the coordinator.
struct Spread {
    coordinated: Producer,
    leader: Client,
}

impl Spread {
    fn new(cluster: &Cluster) -> Self {
        let coordinated = Producer::begin(client_of(cluster, coordinator(cluster)), Two, MINUTE_MS);
        Self { coordinated, leader: client_of(cluster, leader(cluster)) }
    }

    fn write(&mut self) -> ErrorCode {
        std::mem::swap(&mut self.coordinated.client, &mut self.leader);
        let answer = self.coordinated.write(0, 1);
        std::mem::swap(&mut self.coordinated.client, &mut self.leader);
        answer
    }

    /// Writes, as often as it takes.
    fn send(&mut self) {
        loop {
            match self.write() {
                ErrorCode::NONE => return,
                ErrorCode::CONCURRENT_TRANSACTIONS | ErrorCode::NOT_ENOUGH_REPLICAS => {}
                other => panic!("{other}"),
            }
        }
    }
}

fn other_than(cluster: &Cluster, nodes: &[i32]) -> i32 {
    cluster.node_ids().into_iter().find(|node| !nodes.contains(node)).expect("another node")
}

/// Waits until everything in partition 0 is for readers of committed records.
fn wait_for_committed(cluster: &Cluster, offset: i64) -> PartitionData {
    let mut reader = client_of(cluster, leader(cluster));
    only(reader.call(11, &committed_request(0, offset, 20_000)))
}

#[test]
fn a_request_to_another_node_than_the_coordinator_is_sent_away() {
    let cluster = three().start().unwrap();
    let elsewhere = other_than(&cluster, &[coordinator(&cluster)]);
    let mut client = client_of(&cluster, elsewhere);
    let answer = init(&mut client, MINUTE_MS, (-1, -1));
    assert_eq!(code(answer.error_code), ErrorCode::NOT_COORDINATOR);
}

#[test]
fn a_marker_counts_once_it_is_replicated() {
    let cluster = three().start().unwrap();
    lead_from(&cluster, coordinator(&cluster));
    let mut producer = Spread::new(&cluster);
    producer.send();
    let follower = other_than(&cluster, &[leader(&cluster)]);
    cluster.hold_replication(follower, true).unwrap();
    producer.coordinated.commit();
    let held = only(producer.leader.call(11, &committed_request(0, 0, 0)));
    assert_eq!((offsets(&held), held.last_stable_offset), (vec![], 0));
    assert_eq!(producer.write(), ErrorCode::CONCURRENT_TRANSACTIONS);
    cluster.hold_replication(follower, false).unwrap();
    assert_eq!(offsets(&wait_for_committed(&cluster, 0)), [0]);
    producer.send();
    producer.coordinated.commit();
    assert_eq!(offsets(&wait_for_committed(&cluster, 2)), [2]);
}

#[test]
fn a_marker_that_is_lost_with_its_leader_is_written_again_by_the_next() {
    let cluster = three().start().unwrap();
    let coordinator = coordinator(&cluster);
    let old = other_than(&cluster, &[coordinator]);
    lead_from(&cluster, old);
    let mut producer = Spread::new(&cluster);
    producer.send();
    for node in cluster.node_ids() {
        cluster.hold_replication(node, true).unwrap();
    }
    producer.coordinated.commit();
    assert_eq!(cluster.log_end_offset_on(old, TOPIC, 0), Some(2));
    cluster.kill_node(old).unwrap();
    for node in cluster.node_ids() {
        cluster.hold_replication(node, false).unwrap();
    }
    let moved = |state: &ottla_broker::PartitionState| state.leader.is_some_and(|now| now != old);
    assert!(cluster.wait_for_partition(TOPIC, 0, PATIENCE, moved));
    assert_eq!(offsets(&wait_for_committed(&cluster, 0)), [0]);
    cluster.start_node(old).unwrap();
    assert!(cluster.wait_until_in_sync(PATIENCE));
    for node in cluster.node_ids() {
        assert_eq!(cluster.log_end_offset_on(node, TOPIC, 0), Some(2));
    }
    producer.leader = client_of(&cluster, leader(&cluster));
    producer.send();
    producer.coordinated.abort();
    let data = wait_for_committed(&cluster, 2);
    assert_eq!(data.aborted_transactions.unwrap().len(), 1);
}

#[test]
fn another_node_coordinates_when_one_is_killed() {
    let cluster = three().start().unwrap();
    let old = coordinator(&cluster);
    lead_from(&cluster, other_than(&cluster, &[old]));
    let mut producer = Spread::new(&cluster);
    producer.send();
    cluster.kill_node(old).unwrap();
    // Word of the new coordinator comes once the old one is fenced.
    let fenced = |state: &ottla_broker::PartitionState| !state.in_sync.contains(&old);
    assert!(cluster.wait_for_partition(TOPIC, 0, PATIENCE, fenced));
    let new = coordinator(&cluster);
    assert_ne!(new, old);
    producer.coordinated.client = client_of(&cluster, new);
    producer.coordinated.commit();
    assert_eq!(offsets(&wait_for_committed(&cluster, 0)), [0]);
}

#[test]
fn a_leader_that_does_not_hear_the_coordinator_takes_nothing_of_a_transaction() {
    let cluster = three().start().unwrap();
    let coordinator = coordinator(&cluster);
    let old = other_than(&cluster, &[coordinator]);
    lead_from(&cluster, old);
    let mut producer = Spread::new(&cluster);
    cluster.cut_nodes(old, coordinator).unwrap();
    assert_eq!(producer.write(), ErrorCode::NOT_ENOUGH_REPLICAS);
    cluster.heal();
    producer.send();
    cluster.cut_nodes(old, coordinator).unwrap();
    producer.coordinated.commit();
    let data = only(producer.leader.call(11, &fetch_request(TOPIC, 0, 0, 0)));
    assert_eq!(data.last_stable_offset, 0);
    cluster.heal();
    assert_eq!(offsets(&wait_for_committed(&cluster, 0)), [0]);
}

#[test]
fn a_decided_end_is_finished_after_a_kill_of_the_process() {
    for is_commit in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let cluster = three().data_dir(dir.path()).start().unwrap();
        lead_from(&cluster, coordinator(&cluster));
        let mut producer = Spread::new(&cluster);
        producer.send();
        for node in cluster.node_ids() {
            cluster.hold_replication(node, true).unwrap();
        }
        assert_eq!(producer.coordinated.end(is_commit), ErrorCode::NONE);
        assert_eq!(producer.write(), ErrorCode::CONCURRENT_TRANSACTIONS);
        cluster.kill();
        let cluster = three().data_dir(dir.path()).start().unwrap();
        let data = wait_for_committed(&cluster, 0);
        assert_eq!(offsets(&data), [0]);
        assert_eq!(data.aborted_transactions.unwrap().is_empty(), is_commit);
        producer.coordinated.client = client_of(&cluster, coordinator(&cluster));
        producer.leader = client_of(&cluster, leader(&cluster));
        producer.send();
        producer.coordinated.commit();
        assert!(cluster.wait_until_in_sync(PATIENCE));
    }
}
