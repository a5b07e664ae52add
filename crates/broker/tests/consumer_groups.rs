//! Groups of the consumer protocol (KIP-848) by raw members, and what administrators see of them.

mod common;

use std::time::{Duration, Instant};

use bytes::Bytes;
use common::classic_member::join_request;
use common::client::{Client, PATIENCE};
use common::consumer_member::{beats, code, commit, describe, join, joins, partitions};
use ottla_broker::{Acl, Cluster, ErrorCode, Operation};
use ottla_protocol::messages::consumer_group_describe::ConsumerGroupDescribeRequest;
use ottla_protocol::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatRequestTopicPartitions,
};
use ottla_protocol::messages::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use ottla_protocol::messages::delete_groups::DeleteGroupsRequest;
use ottla_protocol::messages::describe_groups::DescribeGroupsRequest;
use ottla_protocol::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use ottla_protocol::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use ottla_protocol::messages::list_groups::ListGroupsRequest;
use ottla_protocol::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use ottla_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};

const UNKNOWN_MEMBER: ErrorCode = ErrorCode::UNKNOWN_MEMBER_ID;

fn cluster() -> Cluster {
    Cluster::builder().topic("t", 4).topic("u", 1).start().expect("starts")
}

fn fetch(client: &mut Client, member_id: Option<&str>, epoch: i32) -> Result<i64, ErrorCode> {
    let request = OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id: "g".to_owned(),
            member_id: member_id.map(str::to_owned),
            member_epoch: epoch,
            topics: Some(vec![OffsetFetchRequestTopics {
                name: "t".to_owned(),
                partition_indexes: vec![1],
                ..OffsetFetchRequestTopics::default()
            }]),
        }],
        ..OffsetFetchRequest::default()
    };
    let group = client.call(9, &request).groups.remove(0);
    match ErrorCode(group.error_code) {
        ErrorCode::NONE => Ok(group.topics[0].partitions[0].committed_offset),
        code => Err(code),
    }
}

fn classic_join(group_id: &str) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: group_id.to_owned(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 30_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "range".to_owned(),
            // Version 0, one topic, no user data.
            metadata: Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff"),
        }],
        ..JoinGroupRequest::default()
    }
}

#[test]
fn two_members_share_a_topic_and_one_takes_over_when_the_other_leaves() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let first = join(&mut client, "a");
    assert_eq!((first.member_epoch, first.heartbeat_interval_ms), (1, 5000));
    assert_eq!(partitions(&first), [0, 1, 2, 3]);
    let topic_id = first.assignment.as_ref().unwrap().topic_partitions[0].topic_id;
    let second = join(&mut client, "b");
    assert_eq!((second.member_epoch, partitions(&second)), (2, vec![]));

    let told = client.call(1, &beats(&first));
    let kept = partitions(&told);
    assert_eq!((told.member_epoch, kept.len()), (1, 2));
    let mut revoked = beats(&first);
    revoked.topic_partitions = Some(vec![ConsumerGroupHeartbeatRequestTopicPartitions {
        topic_id,
        partitions: kept.clone(),
    }]);
    let moved_on = client.call(1, &revoked);
    assert_eq!((moved_on.member_epoch, moved_on.assignment.is_none()), (2, true));
    let mut all = partitions(&client.call(1, &beats(&second)));
    all.extend(kept);
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3]);

    let leaving = ConsumerGroupHeartbeatRequest { member_epoch: -1, ..beats(&moved_on) };
    assert_eq!(client.call(1, &leaving).member_epoch, -1);
    let alone = client.call(1, &beats(&second));
    assert_eq!((alone.member_epoch, partitions(&alone)), (3, vec![0, 1, 2, 3]));
    assert_eq!(code(&client.call(1, &beats(&moved_on))), UNKNOWN_MEMBER);
}

#[test]
fn the_coordinator_makes_up_an_id_for_a_member_of_the_first_version_only() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    assert_eq!(code(&client.call(1, &joins(""))), ErrorCode::INVALID_REQUEST);
    let joined = client.call(0, &joins(""));
    assert_eq!(joined.error_code, 0);
    assert_eq!(joined.member_id.map(|id| id.len()), Some(22));
    let nameless = ConsumerGroupHeartbeatRequest { group_id: String::new(), ..joins("a") };
    assert_eq!(code(&client.call(1, &nameless)), ErrorCode::INVALID_REQUEST);
}

#[test]
fn a_silent_member_is_out_and_its_partitions_are_free() {
    let session = Duration::from_millis(50);
    let cluster = Cluster::builder()
        .topic("t", 4)
        .group_consumer_timeouts(Duration::from_millis(20), session)
        .start()
        .unwrap();
    let mut client = Client::connect(&cluster);
    join(&mut client, "a");
    let deadline = Instant::now() + PATIENCE;
    while describe(&mut client).group_state != "Empty" {
        assert!(Instant::now() < deadline, "the member is still there");
        std::thread::yield_now();
    }
    let second = join(&mut client, "b");
    assert_eq!((second.heartbeat_interval_ms, partitions(&second).len()), (20, 4));
}

#[test]
fn new_partitions_reach_the_members() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let joined = join(&mut client, "a");
    let growth = CreatePartitionsRequest {
        topics: vec![CreatePartitionsTopic { name: "t".to_owned(), count: 6, assignments: None }],
        timeout_ms: 1000,
        ..CreatePartitionsRequest::default()
    };
    assert_eq!(client.call(3, &growth).results[0].error_code, 0);
    let grown = client.call(1, &beats(&joined));
    assert_eq!((grown.member_epoch, partitions(&grown).len()), (2, 6));
}

#[test]
fn offsets_are_committed_and_fetched_under_the_members_epoch() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    assert_eq!(commit(&mut client, 9, "a", 1), ErrorCode::GROUP_ID_NOT_FOUND);
    assert_eq!(commit(&mut client, 8, "a", 1), ErrorCode::ILLEGAL_GENERATION);
    join(&mut client, "a");
    assert_eq!(commit(&mut client, 8, "a", 1), ErrorCode::UNSUPPORTED_VERSION);
    assert_eq!(commit(&mut client, 9, "a", 2), ErrorCode::STALE_MEMBER_EPOCH);
    assert_eq!(commit(&mut client, 9, "b", 1), UNKNOWN_MEMBER);
    assert_eq!(commit(&mut client, 9, "", -1), UNKNOWN_MEMBER);
    assert_eq!(fetch(&mut client, Some("a"), 1), Ok(-1));
    assert_eq!(commit(&mut client, 9, "a", 1), ErrorCode::NONE);
    assert_eq!(fetch(&mut client, Some("a"), 1), Ok(7));
    assert_eq!(fetch(&mut client, None, -1), Ok(7));
    assert_eq!(fetch(&mut client, Some("a"), 0), Err(ErrorCode::STALE_MEMBER_EPOCH));
    assert_eq!(fetch(&mut client, Some("b"), 1), Err(UNKNOWN_MEMBER));
}

#[test]
fn a_group_is_of_one_kind_until_it_is_empty() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    // An unknown group is not made by a member that thinks it is in it.
    let stranger = ConsumerGroupHeartbeatRequest { member_epoch: 1, ..joins("a") };
    assert_eq!(code(&client.call(1, &stranger)), ErrorCode::GROUP_ID_NOT_FOUND);
    let joined = join(&mut client, "a");
    let classic = client.call(3, &classic_join("g"));
    assert_eq!(classic.error_code, ErrorCode::INCONSISTENT_GROUP_PROTOCOL.0);
    assert_eq!(commit(&mut client, 9, "a", 1), ErrorCode::NONE);

    // Without members it becomes a classic one, and keeps its offsets.
    let leaving = ConsumerGroupHeartbeatRequest { member_epoch: -1, ..beats(&joined) };
    assert_eq!(client.call(1, &leaving).error_code, 0);
    let classic = client.call(3, &classic_join("g"));
    assert_eq!(classic.error_code, 0);
    let refused = client.call(1, &joins("a"));
    assert_eq!(code(&refused), ErrorCode::GROUP_ID_NOT_FOUND);
    assert!(refused.error_message.unwrap().contains("not of the consumer protocol"));
    assert_eq!(fetch(&mut client, None, -1), Ok(7));

    let leave = LeaveGroupRequest {
        group_id: "g".to_owned(),
        member_id: classic.member_id,
        ..LeaveGroupRequest::default()
    };
    assert_eq!(client.call(1, &leave).error_code, 0);
    assert_eq!(join(&mut client, "a").member_epoch, 1);
    assert_eq!(fetch(&mut client, None, -1), Ok(7));
}

#[test]
fn administrators_see_groups_of_both_kinds() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    join(&mut client, "a");
    assert_eq!(client.call(3, &classic_join("old")).error_code, 0);
    let listed = |client: &mut Client, types: &[&str], states: &[&str]| {
        let request = ListGroupsRequest {
            types_filter: types.iter().map(|name| (*name).to_owned()).collect(),
            states_filter: states.iter().map(|name| (*name).to_owned()).collect(),
        };
        let groups = client.call(5, &request).groups.into_iter();
        groups.map(|group| (group.group_id, group.group_type)).collect::<Vec<_>>()
    };
    let new = ("g".to_owned(), "consumer".to_owned());
    let old = ("old".to_owned(), "classic".to_owned());
    assert_eq!(listed(&mut client, &[], &[]), [new.clone(), old.clone()]);
    assert_eq!(listed(&mut client, &["Consumer"], &[]), std::slice::from_ref(&new));
    assert_eq!(listed(&mut client, &["classic"], &[]), [old]);
    assert_eq!(listed(&mut client, &[], &["Stable"]), [new]);

    let group = describe(&mut client);
    assert_eq!((group.group_state.as_str(), group.assignor_name.as_str()), ("Stable", "uniform"));
    assert_eq!((group.group_epoch, group.assignment_epoch), (1, 1));
    let operations = [3, 6, 8, 10, 11].map(|bit| 1 << bit);
    assert_eq!(group.authorized_operations, operations.iter().sum::<i32>());
    let member = &group.members[0];
    assert_eq!((member.member_id.as_str(), member.client_id.as_str()), ("a", "raw"));
    assert_eq!((member.client_host.as_str(), member.member_type), ("/127.0.0.1", 1));
    assert_eq!(member.subscribed_topic_names, ["t"]);
    assert_eq!(member.assignment, member.target_assignment);
    assert_eq!(member.assignment.topic_partitions[0].topic_name, "t");

    // Each kind has its own way to be described.
    let classic =
        DescribeGroupsRequest { groups: vec!["g".to_owned()], ..DescribeGroupsRequest::default() };
    assert_eq!(client.call(5, &classic).groups[0].group_state, "Dead");
    let unknown = ErrorCode::GROUP_ID_NOT_FOUND.0;
    assert_eq!(client.call(6, &classic).groups[0].error_code, unknown);
    let consumer = ConsumerGroupDescribeRequest {
        group_ids: vec!["old".to_owned(), "nobody".to_owned()],
        ..ConsumerGroupDescribeRequest::default()
    };
    let groups = client.call(0, &consumer).groups;
    assert!(groups.iter().all(|group| group.error_code == unknown));
}

#[test]
fn a_group_is_deleted_once_its_members_are_gone() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let joined = join(&mut client, "a");
    assert_eq!(commit(&mut client, 9, "a", 1), ErrorCode::NONE);
    let delete = DeleteGroupsRequest { groups_names: vec!["g".to_owned()] };
    let deleted = |client: &mut Client| ErrorCode(client.call(2, &delete).results[0].error_code);
    assert_eq!(deleted(&mut client), ErrorCode::NON_EMPTY_GROUP);
    let leaving = ConsumerGroupHeartbeatRequest { member_epoch: -1, ..beats(&joined) };
    client.call(1, &leaving);
    assert_eq!(describe(&mut client).group_state, "Empty");
    assert_eq!(deleted(&mut client), ErrorCode::NONE);
    assert_eq!(deleted(&mut client), ErrorCode::GROUP_ID_NOT_FOUND);
    assert_eq!(fetch(&mut client, None, -1), Ok(-1));
}

#[test]
fn an_administrator_removes_a_static_member() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let request =
        ConsumerGroupHeartbeatRequest { instance_id: Some("one".to_owned()), ..joins("a") };
    assert_eq!(client.call(1, &request).error_code, 0);
    let remove = |client: &mut Client, member_id: &str, instance_id: &str| {
        let request = LeaveGroupRequest {
            group_id: "g".to_owned(),
            members: vec![MemberIdentity {
                member_id: member_id.to_owned(),
                group_instance_id: Some(instance_id.to_owned()),
                ..MemberIdentity::default()
            }],
            ..LeaveGroupRequest::default()
        };
        ErrorCode(client.call(5, &request).members[0].error_code)
    };
    assert_eq!(remove(&mut client, "", "two"), UNKNOWN_MEMBER);
    assert_eq!(remove(&mut client, "a", "one"), UNKNOWN_MEMBER);
    assert_eq!(remove(&mut client, "", "one"), ErrorCode::NONE);
    assert_eq!(describe(&mut client).group_state, "Empty");
}

#[test]
fn offsets_of_a_topic_that_nobody_reads_are_deleted() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let delete = |client: &mut Client, group_id: &str, topic: &str, partition: i32| {
        let request = OffsetDeleteRequest {
            group_id: group_id.to_owned(),
            topics: vec![OffsetDeleteRequestTopic {
                name: topic.to_owned(),
                partitions: vec![OffsetDeleteRequestPartition { partition_index: partition }],
            }],
        };
        let response = client.call(0, &request);
        match ErrorCode(response.error_code) {
            ErrorCode::NONE => ErrorCode(response.topics[0].partitions[0].error_code),
            code => code,
        }
    };
    assert_eq!(delete(&mut client, "g", "t", 1), ErrorCode::GROUP_ID_NOT_FOUND);
    let joined = join(&mut client, "a");
    assert_eq!(commit(&mut client, 9, "a", 1), ErrorCode::NONE);
    assert_eq!(delete(&mut client, "g", "t", 1), ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC);
    assert_eq!(delete(&mut client, "g", "u", 0), ErrorCode::NONE);
    assert_eq!(delete(&mut client, "g", "u", 1), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(delete(&mut client, "g", "v", 0), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    client.call(1, &ConsumerGroupHeartbeatRequest { member_epoch: -1, ..beats(&joined) });
    assert_eq!(fetch(&mut client, None, -1), Ok(7));
    assert_eq!(delete(&mut client, "g", "t", 1), ErrorCode::NONE);
    assert_eq!(fetch(&mut client, None, -1), Ok(-1));

    // The same for consumers of the classic protocol; who is none holds everything.
    client.call(3, &classic_join("old"));
    assert_eq!(delete(&mut client, "old", "t", 1), ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC);
    assert_eq!(delete(&mut client, "old", "u", 0), ErrorCode::NONE);
    let mut connect = classic_join("workers");
    connect.protocol_type = "connect".to_owned();
    client.call(3, &connect);
    assert_eq!(delete(&mut client, "workers", "u", 0), ErrorCode::NON_EMPTY_GROUP);
}

#[test]
fn only_one_of_several_nodes_coordinates_a_group() {
    let cluster = Cluster::builder().nodes(3).topic("t", 1).start().unwrap();
    let mut clients: Vec<Client> = cluster
        .addresses()
        .iter()
        .map(|address| Client::connect_to(&address.to_string()))
        .collect();
    let mut codes: Vec<ErrorCode> =
        clients.iter_mut().map(|client| code(&client.call(1, &joins("a")))).collect();
    let described = clients.iter_mut().map(|client| ErrorCode(describe(client).error_code));
    assert_eq!(described.collect::<Vec<_>>(), codes);
    codes.sort_unstable();
    let elsewhere = ErrorCode::NOT_COORDINATOR;
    assert_eq!(codes, [ErrorCode::NONE, elsewhere, elsewhere]);
}

#[test]
fn what_a_member_may_not_see_it_does_not_read() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    cluster.deny(Acl::topic("u").operation(Operation::Describe));
    let mut request = joins("a");
    request.subscribed_topic_names = Some(vec!["t".to_owned(), "u".to_owned()]);
    assert_eq!(code(&client.call(1, &request)), ErrorCode::TOPIC_AUTHORIZATION_FAILED);
    request.subscribed_topic_names = None;
    request.subscribed_topic_regex = Some(".".to_owned());
    let joined = client.call(1, &request);
    assert_eq!(joined.assignment.unwrap().topic_partitions.len(), 1);
    cluster.deny(Acl::group("g").operation(Operation::Read));
    assert_eq!(code(&client.call(1, &request)), ErrorCode::GROUP_AUTHORIZATION_FAILED);
}

#[test]
fn who_is_refused_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let start = || Cluster::builder().topic("t", 4).data_dir(dir.path()).start().unwrap();
    let cluster = start();
    let mut client = Client::connect(&cluster);
    let bad = ConsumerGroupHeartbeatRequest {
        subscribed_topic_regex: Some("(".to_owned()),
        ..joins("a")
    };
    assert_eq!(code(&client.call(1, &bad)), ErrorCode::INVALID_REGULAR_EXPRESSION);
    assert_eq!(describe(&mut client).error_code, ErrorCode::GROUP_ID_NOT_FOUND.0);
    cluster.kill();
    let cluster = start();
    let mut client = Client::connect(&cluster);
    assert_eq!(describe(&mut client).error_code, ErrorCode::GROUP_ID_NOT_FOUND.0);
}

/// A member of the classic protocol that nobody knows took the place of the group that is empty.
#[test]
fn an_empty_group_is_there_until_somebody_of_the_other_kind_has_got_in() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let joined = join(&mut client, "a");
    let leaving = ConsumerGroupHeartbeatRequest { member_epoch: -1, ..beats(&joined) };
    assert_eq!(client.call(1, &leaving).error_code, 0);
    let stranger = join_request("nobody");
    assert_eq!(ErrorCode(client.call(9, &stranger).error_code), UNKNOWN_MEMBER);
    let described = describe(&mut client);
    assert_eq!((described.error_code, described.group_state.as_str()), (0, "Empty"));
    assert_eq!(described.group_epoch, 2);
}
