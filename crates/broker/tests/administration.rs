//! What tools ask of a cluster: ends of leader epochs, partitions by the page, elections, folders.

mod common;

use std::time::Duration;

use common::Batch;
use common::client::{Client, PATIENCE, produce_request};
use ottla_broker::{Acl, ApiKey, Cluster, ErrorCode, Fault, Operation};
use ottla_protocol::Uuid;
use ottla_protocol::messages::describe_log_dirs::{
    DescribableLogDirTopic, DescribeLogDirsRequest, DescribeLogDirsResponse,
};
use ottla_protocol::messages::describe_topic_partitions::{
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsRequestCursor,
    DescribeTopicPartitionsResponse, TopicRequest,
};
use ottla_protocol::messages::elect_leaders::{
    ElectLeadersRequest, ElectLeadersResponse, TopicPartitions,
};
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

fn pages() -> Cluster {
    Cluster::builder().topic("c", 1).topic("a", 3).topic("b", 2).start().expect("starts")
}

fn describe(
    client: &mut Client,
    topics: &[&str],
    limit: i32,
    cursor: Option<(&str, i32)>,
) -> DescribeTopicPartitionsResponse {
    let topics = topics.iter().map(|name| TopicRequest { name: (*name).to_owned() });
    let cursor = cursor.map(|(name, partition_index)| DescribeTopicPartitionsRequestCursor {
        topic_name: name.to_owned(),
        partition_index,
    });
    let request = DescribeTopicPartitionsRequest {
        topics: topics.collect(),
        response_partition_limit: limit,
        cursor,
    };
    client.call(0, &request)
}

/// Topics with the partitions that an answer has of them, and where it says to go on.
type Page = (Vec<(String, Vec<i32>)>, Option<(String, i32)>);

fn page(answer: &DescribeTopicPartitionsResponse) -> Page {
    let topics = answer.topics.iter().map(|topic| {
        assert_eq!(topic.error_code, 0);
        let partitions = topic.partitions.iter().map(|partition| partition.partition_index);
        (topic.name.clone().unwrap_or_default(), partitions.collect())
    });
    let cursor = answer.next_cursor.as_ref();
    (topics.collect(), cursor.map(|next| (next.topic_name.clone(), next.partition_index)))
}

#[test]
fn partitions_come_page_by_page_in_order_of_name() {
    let cluster = pages();
    let mut client = Client::connect(&cluster);
    for (limit, pages) in [(2, 3), (3, 2), (5, 2), (6, 1), (2000, 1), (0, 6), (-1, 6)] {
        let (mut seen, mut cursor, mut count) = (Vec::new(), None::<(String, i32)>, 0);
        loop {
            let from = cursor.as_ref().map(|(name, index)| (name.as_str(), *index));
            let (topics, next) = page(&describe(&mut client, &[], limit, from));
            count += 1;
            for (name, partitions) in topics {
                seen.extend(partitions.into_iter().map(|index| format!("{name}{index}")));
            }
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!((seen.join(" "), count), ("a0 a1 a2 b0 b1 c0".to_owned(), pages), "{limit}");
    }
}

#[test]
fn a_cursor_stands_at_the_next_partition_of_a_topic_that_is_asked_for() {
    let cluster = pages();
    let mut client = Client::connect(&cluster);
    let answer = describe(&mut client, &["b", "a"], 3, None);
    assert_eq!(page(&answer), (vec![("a".to_owned(), vec![0, 1, 2])], Some(("b".to_owned(), 0))));
    let answer = describe(&mut client, &["b", "a"], 3, Some(("b", 1)));
    assert_eq!(page(&answer), (vec![("b".to_owned(), vec![1])], None));
    // A topic that is gone by now is no end.
    let answer = describe(&mut client, &[], 1, Some(("aa", 7)));
    assert_eq!(page(&answer).0, [("b".to_owned(), vec![0])]);
    let invalid = ErrorCode::INVALID_REQUEST.0;
    for cursor in [("c", 0), ("a", -1)] {
        let answer = describe(&mut client, &["a", "b"], 3, Some(cursor));
        assert!(answer.topics.iter().all(|topic| topic.error_code == invalid), "{cursor:?}");
        assert_eq!(answer.topics.len(), 2);
    }
}

#[test]
fn partitions_are_described_with_who_leads_them_and_who_is_gone() {
    let cluster = three();
    let gone = leader(&cluster);
    cluster.kill_node(gone).unwrap();
    let moved = |state: &ottla_broker::PartitionState| state.leader.is_some_and(|id| id != gone);
    assert!(cluster.wait_for_partition(TOPIC, 0, PATIENCE, moved));
    let state = cluster.partition(TOPIC, 0).unwrap();
    let mut client = client_of(&cluster, leader(&cluster));
    let answer = describe(&mut client, &[TOPIC, "nobody's", "no one"], 100, None);
    let codes: Vec<i16> = answer.topics.iter().map(|topic| topic.error_code).collect();
    let (invalid, unknown) =
        (ErrorCode::INVALID_TOPIC_EXCEPTION.0, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0);
    assert_eq!(codes, [invalid, invalid, 0]);
    let answer = describe(&mut client, &["nobodys"], 100, None);
    assert_eq!(answer.topics[0].error_code, unknown);

    let answer = describe(&mut client, &[TOPIC], 100, None);
    let topic = &answer.topics[0];
    assert_ne!(topic.topic_id, Uuid::ZERO);
    assert_ne!(topic.topic_authorized_operations & (1 << 8), 0);
    let partition = &topic.partitions[0];
    assert_eq!(Some(partition.leader_id), state.leader);
    assert_eq!(partition.leader_epoch, state.leader_epoch);
    assert_eq!((&partition.replica_nodes, &partition.isr_nodes), (&state.replicas, &state.in_sync));
    assert_eq!(partition.offline_replicas, [gone]);
}

#[test]
fn a_topic_that_may_not_be_described_is_refused_by_name_and_left_out_of_all() {
    let cluster = pages();
    cluster.deny(Acl::topic("b").operation(Operation::Describe));
    let mut client = Client::connect(&cluster);
    let (all, _) = page(&describe(&mut client, &[], 100, None));
    assert_eq!(all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "c"]);
    let answer = describe(&mut client, &["b", "a"], 100, None);
    let codes: Vec<i16> = answer.topics.iter().map(|topic| topic.error_code).collect();
    assert_eq!(codes, [0, ErrorCode::TOPIC_AUTHORIZATION_FAILED.0]);
    assert_eq!(answer.topics[1].topic_id, Uuid::ZERO);
}

const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

fn elect(
    client: &mut Client,
    version: i16,
    election_type: i8,
    topics: Option<&[(&str, &[i32])]>,
) -> ElectLeadersResponse {
    let topics = topics.map(|topics| {
        let topics = topics.iter().map(|(topic, partitions)| TopicPartitions {
            topic: (*topic).to_owned(),
            partitions: partitions.to_vec(),
        });
        topics.collect()
    });
    let request =
        ElectLeadersRequest { election_type, topic_partitions: topics, timeout_ms: 10_000 };
    client.call(version, &request)
}

/// The codes of the partitions in an answer.
fn elected(answer: &ElectLeadersResponse) -> Vec<(String, i32, ErrorCode)> {
    assert_eq!(answer.error_code, 0);
    let topics = answer.replica_election_results.iter();
    let results = topics.flat_map(|topic| {
        let partitions = topic.partition_result.iter();
        partitions.map(|it| (topic.topic.clone(), it.partition_id, ErrorCode(it.error_code)))
    });
    results.collect()
}

#[test]
fn partitions_go_back_to_their_preferred_leaders() {
    let cluster = three();
    let preferred = leader(&cluster);
    let other = cluster.node_ids().into_iter().find(|id| *id != preferred).unwrap();
    let mut client = client_of(&cluster, other);
    for version in 0..=2 {
        cluster.move_leader(TOPIC, 0, other).unwrap();
        let answer = elect(&mut client, version, PREFERRED, Some(&[(TOPIC, &[0, 5]), ("u", &[0])]));
        let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
        let expected = [(TOPIC, 0, ErrorCode::NONE), (TOPIC, 5, unknown), ("u", 0, unknown)];
        assert_eq!(elected(&answer), expected.map(|(name, id, code)| (name.to_owned(), id, code)));
        assert_eq!(leader(&cluster), preferred);
    }
    let again = elected(&elect(&mut client, 2, PREFERRED, Some(&[(TOPIC, &[0])])));
    assert_eq!(again, [(TOPIC.to_owned(), 0, ErrorCode::ELECTION_NOT_NEEDED)]);
}

#[test]
fn without_a_list_only_what_needed_an_election_is_told() {
    let cluster = three();
    let preferred = leader(&cluster);
    let other = cluster.node_ids().into_iter().find(|id| *id != preferred).unwrap();
    let mut client = client_of(&cluster, other);
    assert_eq!(elected(&elect(&mut client, 2, PREFERRED, None)), []);
    cluster.move_leader(TOPIC, 0, other).unwrap();
    let told = elected(&elect(&mut client, 2, PREFERRED, None));
    assert_eq!(told, [(TOPIC.to_owned(), 0, ErrorCode::NONE)]);
    assert_eq!(leader(&cluster), preferred);
}

#[test]
fn a_replica_that_is_not_in_sync_leads_by_an_unclean_election_only() {
    let cluster = three();
    let first = leader(&cluster);
    for node in cluster.node_ids().into_iter().filter(|id| *id != first) {
        cluster.kill_node(node).unwrap();
    }
    let alone = |state: &ottla_broker::PartitionState| state.in_sync == [first];
    assert!(cluster.wait_for_partition(TOPIC, 0, PATIENCE, alone));
    produce(&cluster, 1, 1);
    cluster.kill_node(first).unwrap();
    let headless = |state: &ottla_broker::PartitionState| state.leader.is_none();
    assert!(cluster.wait_for_partition(TOPIC, 0, PATIENCE, headless));
    let other = cluster.node_ids().into_iter().find(|id| *id != first).unwrap();
    cluster.start_node(other).unwrap();
    assert_eq!(cluster.partition(TOPIC, 0).unwrap().leader, None);

    let mut client = client_of(&cluster, other);
    let one: Option<&[(&str, &[i32])]> = Some(&[(TOPIC, &[0])]);
    let code = |answer: ElectLeadersResponse| elected(&answer)[0].2;
    let not_there = ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE;
    assert_eq!(code(elect(&mut client, 2, PREFERRED, one)), not_there);
    assert_eq!(code(elect(&mut client, 2, UNCLEAN, one)), ErrorCode::NONE);
    assert_eq!(leader(&cluster), other);
    assert_eq!(code(elect(&mut client, 2, UNCLEAN, one)), ErrorCode::ELECTION_NOT_NEEDED);
}

#[test]
fn elections_are_for_those_who_may_alter_the_cluster() {
    let cluster = three();
    let mut client = Client::connect(&cluster);
    let answer = elect(&mut client, 2, 7, Some(&[(TOPIC, &[0])]));
    assert_eq!(answer.error_code, ErrorCode::INVALID_REQUEST.0);
    cluster.deny(Acl::cluster().operation(Operation::Alter));
    let denied = ErrorCode::CLUSTER_AUTHORIZATION_FAILED.0;
    let answer = elect(&mut client, 2, PREFERRED, None);
    assert_eq!(answer.error_code, denied);
    let answer = elect(&mut client, 0, PREFERRED, Some(&[(TOPIC, &[0])]));
    let result = &answer.replica_election_results[0].partition_result[0];
    assert_eq!((answer.error_code, result.error_code), (0, denied));
}

fn log_dirs(
    client: &mut Client,
    version: i16,
    topics: Option<&[(&str, &[i32])]>,
) -> DescribeLogDirsResponse {
    let topics = topics.map(|topics| {
        let topics = topics.iter().map(|(topic, partitions)| DescribableLogDirTopic {
            topic: (*topic).to_owned(),
            partitions: partitions.to_vec(),
        });
        topics.collect()
    });
    client.call(version, &DescribeLogDirsRequest { topics })
}

#[test]
fn the_folder_is_described_with_the_sizes_of_its_replicas_and_of_its_medium() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::builder().topic("a", 2).topic("b", 1).data_dir(dir.path());
    let cluster = cluster.start().unwrap();
    let mut client = Client::connect(&cluster);
    let batch = Batch::numbered(4);
    assert_eq!(client.produce("a", 1, &batch).error_code, 0);
    let size = batch.encode().len() as i64;
    for version in 1..=5 {
        let answer = log_dirs(&mut client, version, None);
        let [folder] = answer.results.as_slice() else { panic!("{answer:?}") };
        assert_eq!(std::path::Path::new(&folder.log_dir), dir.path());
        let sizes = folder.topics.iter().flat_map(|topic| {
            let all = topic.partitions.iter();
            all.map(|it| (topic.name.as_str(), it.partition_index, it.partition_size))
        });
        assert_eq!(sizes.collect::<Vec<_>>(), [("a", 0, 0), ("a", 1, size), ("b", 0, 0)]);
        if version >= 4 {
            assert!(0 < folder.usable_bytes && folder.usable_bytes <= folder.total_bytes);
        }
    }
    let asked: &[(&str, &[i32])] = &[("a", &[1, 7]), ("nobody's", &[0])];
    let answer = log_dirs(&mut client, 5, Some(asked));
    let [topic] = answer.results[0].topics.as_slice() else { panic!("{answer:?}") };
    let [partition] = topic.partitions.as_slice() else { panic!("{answer:?}") };
    assert_eq!((topic.name.as_str(), partition.partition_index), ("a", 1));

    cluster.deny(Acl::cluster().operation(Operation::Describe));
    let answer = log_dirs(&mut client, 3, None);
    let denied = ErrorCode::CLUSTER_AUTHORIZATION_FAILED.0;
    assert_eq!((answer.error_code, answer.results.len()), (denied, 0));
    assert!(log_dirs(&mut client, 2, None).results.is_empty());
}

#[test]
fn each_node_describes_its_own_folder() {
    let cluster = Cluster::builder().nodes(2).topic_replicated(TOPIC, 1, 1).start().unwrap();
    let with = leader(&cluster);
    let mut folders = Vec::new();
    for node in cluster.node_ids() {
        let answer = log_dirs(&mut client_of(&cluster, node), 5, None);
        assert_eq!(answer.results[0].topics.len(), usize::from(node == with), "{node}");
        folders.push(answer.results[0].log_dir.clone());
    }
    assert_ne!(folders[0], folders[1]);
}

#[test]
fn faults_meet_these_requests_too() {
    let cluster = Cluster::builder().topic(TOPIC, 2).start().unwrap();
    let mut client = Client::connect(&cluster);
    let code = ErrorCode::NOT_LEADER_OR_FOLLOWER;
    cluster.inject(Fault::on(ApiKey::OFFSET_FOR_LEADER_EPOCH).partition(1).error(code));
    assert_eq!(end_of_epoch_in(&mut client, TOPIC, 0, -1, 0).0, ErrorCode::NONE);
    cluster.clear_faults();
    let whole = Fault::on(ApiKey::DESCRIBE_LOG_DIRS).times(1);
    cluster.inject(whole.error(ErrorCode::KAFKA_STORAGE_ERROR));
    let answer = log_dirs(&mut client, 5, None);
    assert_eq!(answer.error_code, ErrorCode::KAFKA_STORAGE_ERROR.0);
    assert_eq!(log_dirs(&mut client, 5, None).error_code, 0);
}
