//! Partitions that move to other nodes while they are written and read.

mod common;

use common::Batch;
use common::client::{Client, PATIENCE, fetch_request, produce_request};
use common::three::{TOPIC, client_of, code, leader, produce, three, values};
use ottla_broker::{Acl, Cluster, ErrorCode, Operation};
use ottla_protocol::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartition,
    ReassignableTopic,
};
use ottla_protocol::messages::fetch::FetchRequest;
use ottla_protocol::messages::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsTopics,
};
use ottla_protocol::messages::produce::ProduceRequest;

/// Three nodes, and a topic of one partition with one replica.
fn cluster() -> Cluster {
    Cluster::builder().nodes(3).topic_replicated(TOPIC, 1, 1).start().unwrap()
}

fn request(partition_index: i32, replicas: Option<&[i32]>) -> AlterPartitionReassignmentsRequest {
    let replicas = replicas.map(<[i32]>::to_vec);
    let partitions = vec![ReassignablePartition { partition_index, replicas }];
    AlterPartitionReassignmentsRequest {
        timeout_ms: 1000,
        allow_replication_factor_change: true,
        topics: vec![ReassignableTopic { name: TOPIC.to_owned(), partitions }],
    }
}

fn code_of(answer: &AlterPartitionReassignmentsResponse) -> ErrorCode {
    assert_eq!(answer.error_code, 0, "{:?}", answer.error_message);
    ErrorCode(answer.responses[0].partitions[0].error_code)
}

fn reassign(client: &mut Client, replicas: Option<&[i32]>) -> ErrorCode {
    code_of(&client.call(1, &request(0, replicas)))
}

/// Replicas of the partition that is on its way, those that come and those that go.
fn moving(client: &mut Client) -> Option<(Vec<i32>, Vec<i32>, Vec<i32>)> {
    let answer = client.call(0, &ListPartitionReassignmentsRequest::default());
    assert_eq!(answer.error_code, 0);
    let mut topics = answer.topics;
    let it = topics.pop()?.partitions.remove(0);
    Some((it.replicas, it.adding_replicas, it.removing_replicas))
}

fn wait_for(cluster: &Cluster, replicas: &[i32]) {
    let is_there = |state: &ottla_broker::PartitionState| {
        state.replicas == replicas && state.in_sync.len() == replicas.len()
    };
    assert!(cluster.wait_for_partition(TOPIC, 0, PATIENCE, is_there), "{replicas:?}");
}

fn others(cluster: &Cluster) -> [i32; 2] {
    let leader = leader(cluster);
    let others = cluster.node_ids().into_iter().filter(|id| *id != leader).collect::<Vec<_>>();
    others.try_into().unwrap()
}

#[test]
fn a_partition_moves_to_another_node_with_all_its_records_and_leaves_the_old_one() {
    let cluster = cluster();
    let (old, [new, third]) = (leader(&cluster), others(&cluster));
    let mut client = client_of(&cluster, old);
    produce(&mut client, -1, &Batch::numbered(3));
    let mut other = client_of(&cluster, third);
    assert_eq!(reassign(&mut other, Some(&[new])), ErrorCode::NONE);
    wait_for(&cluster, &[new]);
    assert_eq!(leader(&cluster), new);
    assert_eq!(values(&cluster, new), [0, 1, 2]);
    assert_eq!(code(&produce(&mut client, -1, &Batch::numbered(1))), {
        ErrorCode::NOT_LEADER_OR_FOLLOWER
    });
    assert_eq!(cluster.log_end_offset_on(old, TOPIC, 0), None);
    assert_eq!(moving(&mut other), None);
    let mut client = client_of(&cluster, new);
    assert_eq!(produce(&mut client, -1, &Batch::numbered(1)).base_offset, 3);
}

#[test]
fn more_and_fewer_replicas_are_had_by_the_same_way() {
    let cluster = cluster();
    let (first, [second, third]) = (leader(&cluster), others(&cluster));
    let mut client = client_of(&cluster, first);
    produce(&mut client, -1, &Batch::numbered(2));
    assert_eq!(reassign(&mut client, Some(&[first, second, third])), ErrorCode::NONE);
    wait_for(&cluster, &[first, second, third]);
    assert_eq!(cluster.log_end_offset_on(third, TOPIC, 0), Some(2));
    assert_eq!(reassign(&mut client, Some(&[second])), ErrorCode::NONE);
    wait_for(&cluster, &[second]);
    assert_eq!((leader(&cluster), values(&cluster, second)), (second, vec![0, 1]));
    let answer = client.call(
        1,
        &AlterPartitionReassignmentsRequest {
            allow_replication_factor_change: false,
            ..request(0, Some(&[first, second]))
        },
    );
    assert_eq!(code_of(&answer), ErrorCode::INVALID_REPLICATION_FACTOR);
}

#[test]
fn a_move_is_listed_while_it_lasts_and_can_be_taken_back() {
    let cluster = cluster();
    let (old, [new, third]) = (leader(&cluster), others(&cluster));
    cluster.hold_replication(new, true).unwrap();
    let mut client = client_of(&cluster, old);
    produce(&mut client, -1, &Batch::numbered(2));
    assert_eq!(reassign(&mut client, None), ErrorCode::NO_REASSIGNMENT_IN_PROGRESS);
    assert_eq!(reassign(&mut client, Some(&[new])), ErrorCode::NONE);
    assert_eq!(moving(&mut client), Some((vec![new, old], vec![new], vec![old])));
    let named = |partition: i32| ListPartitionReassignmentsRequest {
        topics: Some(vec![ListPartitionReassignmentsTopics {
            name: TOPIC.to_owned(),
            partition_indexes: vec![partition],
        }]),
        ..ListPartitionReassignmentsRequest::default()
    };
    assert_eq!(client.call(0, &named(0)).topics.len(), 1);
    assert_eq!(client.call(0, &named(1)).topics.len(), 0);
    // It is written and read all the while.
    assert_eq!(produce(&mut client, -1, &Batch::numbered(1)).base_offset, 2);
    assert_eq!(reassign(&mut client, None), ErrorCode::NONE);
    wait_for(&cluster, &[old]);
    assert_eq!((moving(&mut client), cluster.log_end_offset_on(new, TOPIC, 0)), (None, None));

    // One that goes elsewhere instead.
    assert_eq!(reassign(&mut client, Some(&[new])), ErrorCode::NONE);
    assert_eq!(reassign(&mut client, Some(&[third])), ErrorCode::NONE);
    wait_for(&cluster, &[third]);
    assert_eq!(cluster.log_end_offset_on(new, TOPIC, 0), None);
    assert_eq!(values(&cluster, third), [0, 1, 2]);
}

#[test]
fn who_waits_at_a_replica_that_goes_is_sent_to_the_new_leader() {
    let cluster = three().start().unwrap();
    let (old, [new, slow]) = (leader(&cluster), others(&cluster));
    let mut writer = client_of(&cluster, old);
    produce(&mut writer, -1, &Batch::numbered(1));
    cluster.hold_replication(slow, true).unwrap();
    let waiting = writer.send(12, &produce_request(-1, TOPIC, 0, Batch::numbered(1).encode()));
    let mut reader = client_of(&cluster, old);
    let reading = reader.send(11, &fetch_request(TOPIC, 0, 1, 20_000));
    let mut admin = client_of(&cluster, new);
    let in_time = |state: &ottla_broker::PartitionState| state.log_end == 2;
    assert!(cluster.wait_for_partition(TOPIC, 0, PATIENCE, in_time));
    assert_eq!(reassign(&mut admin, Some(&[new])), ErrorCode::NONE);
    let answer = writer.receive::<ProduceRequest>(12, waiting);
    let answer = answer.responses[0].partition_responses[0].clone();
    assert_eq!(code(&answer), ErrorCode::NOT_LEADER_OR_FOLLOWER);
    assert_eq!(answer.current_leader.leader_id, new);
    let fetched = reader.receive::<FetchRequest>(11, reading);
    let told = fetched.responses[0].partitions[0].error_code;
    assert_eq!(ErrorCode(told), ErrorCode::NOT_LEADER_OR_FOLLOWER);
}

#[test]
fn a_move_goes_on_when_its_node_is_back_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let start = || {
        let builder = Cluster::builder().nodes(3).data_dir(dir.path());
        builder.topic_replicated(TOPIC, 1, 1).start().unwrap()
    };
    let cluster = start();
    let (old, [new, _]) = (leader(&cluster), others(&cluster));
    let mut client = client_of(&cluster, old);
    produce(&mut client, -1, &Batch::numbered(2));
    cluster.kill_node(new).unwrap();
    assert_eq!(reassign(&mut client, Some(&[new])), ErrorCode::NONE);
    assert_eq!(moving(&mut client), Some((vec![new, old], vec![new], vec![old])));
    cluster.stop();
    let cluster = start();
    wait_for(&cluster, &[new]);
    assert_eq!(values(&cluster, new), [0, 1]);

    // What goes while its node is down is gone when that is back.
    let mut client = client_of(&cluster, new);
    assert_eq!(reassign(&mut client, Some(&[new, old])), ErrorCode::NONE);
    wait_for(&cluster, &[new, old]);
    cluster.kill_node(old).unwrap();
    assert_eq!(reassign(&mut client, Some(&[new])), ErrorCode::NONE);
    wait_for(&cluster, &[new]);
    cluster.start_node(old).unwrap();
    assert_eq!(cluster.log_end_offset_on(old, TOPIC, 0), None);
}

#[test]
fn what_cannot_be_a_move_is_refused_with_the_reason() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    for replicas in [&[][..], &[1, 1], &[1, 9], &[-1]] {
        let answer = client.call(1, &request(0, Some(replicas)));
        assert_eq!(code_of(&answer), ErrorCode::INVALID_REPLICA_ASSIGNMENT, "{replicas:?}");
        assert!(answer.responses[0].partitions[0].error_message.is_some());
    }
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    assert_eq!(code_of(&client.call(0, &request(7, Some(&[1])))), unknown);
    let mut of_nothing = request(0, Some(&[1]));
    of_nothing.topics[0].name = "nothing".to_owned();
    assert_eq!(code_of(&client.call(1, &of_nothing)), unknown);
    // Where it is already.
    let at_home = [leader(&cluster)];
    assert_eq!(reassign(&mut client, Some(&at_home)), ErrorCode::NONE);
    assert_eq!(moving(&mut client), None);

    cluster.deny(Acl::cluster().operation(Operation::Alter));
    cluster.deny(Acl::cluster().operation(Operation::Describe));
    let denied = ErrorCode::CLUSTER_AUTHORIZATION_FAILED.0;
    assert_eq!(client.call(1, &request(0, Some(&[1]))).error_code, denied);
    let listed = client.call(0, &ListPartitionReassignmentsRequest::default());
    assert_eq!(listed.error_code, denied);
}
