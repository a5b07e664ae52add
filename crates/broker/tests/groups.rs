//! Consumer groups by raw members: joining, rebalancing, leaving, committing.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::classic_member::{
    JOIN, SYNC, commit, commit_request, heartbeat, join_alone, join_request, member_id,
    sync_request,
};
use common::client::{Client, PATIENCE};
use ottla_broker::{ApiKey, Cluster, ErrorCode};
use ottla_protocol::Message;
use ottla_protocol::messages::delete_groups::DeleteGroupsRequest;
use ottla_protocol::messages::describe_groups::DescribeGroupsRequest;
use ottla_protocol::messages::find_coordinator::FindCoordinatorRequest;
use ottla_protocol::messages::heartbeat::HeartbeatRequest;
use ottla_protocol::messages::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
};
use ottla_protocol::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use ottla_protocol::messages::list_groups::ListGroupsRequest;
use ottla_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use ottla_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupResponse};

fn cluster() -> Cluster {
    Cluster::builder()
        .topic("t", 4)
        .group_session_timeouts(Duration::from_millis(10), Duration::from_secs(60))
        .start()
        .expect("starts")
}

fn wait_for(cluster: &Cluster, api: ApiKey, count: usize) {
    let seen = |requests: &[ottla_broker::SeenRequest]| {
        requests.iter().filter(|request| request.api == api).count() >= count
    };
    assert!(cluster.wait_for_requests(PATIENCE, seen), "{api}");
}

#[test]
fn two_members_share_a_group_and_one_takes_over_when_the_other_leaves() {
    let cluster = cluster();
    let (mut first, mut second) = (Client::connect(&cluster), Client::connect(&cluster));
    let alone = join_alone(&mut first);
    assert_eq!(alone.generation_id, 1);
    assert_eq!(heartbeat(&mut first, &alone), ErrorCode::NONE);

    // The second one's arrival makes the first one join again.
    let id = member_id(&mut second);
    let joining = second.send(JOIN, &join_request(&id));
    wait_for(&cluster, ApiKey::JOIN_GROUP, 4);
    assert_eq!(heartbeat(&mut first, &alone), ErrorCode::REBALANCE_IN_PROGRESS);
    let leader = first.call(JOIN, &join_request(&alone.member_id));
    let follower = second.receive::<JoinGroupRequest>(JOIN, joining);
    assert_eq!((leader.generation_id, follower.generation_id), (2, 2));
    assert_eq!((leader.members.len(), follower.members.len()), (2, 0));
    assert_eq!(follower.leader, leader.member_id);

    // The follower asks first and waits for the leader.
    let syncing = second.send(SYNC, &sync_request(&follower, &[]));
    wait_for(&cluster, ApiKey::SYNC_GROUP, 2);
    let shares = [(leader.member_id.as_str(), "0-1"), (follower.member_id.as_str(), "2-3")];
    let own = first.call(SYNC, &sync_request(&leader, &shares));
    let other: SyncGroupResponse = second.receive::<SyncGroupRequest>(SYNC, syncing);
    assert_eq!((&own.assignment[..], &other.assignment[..]), (&b"0-1"[..], &b"2-3"[..]));
    assert_eq!(heartbeat(&mut second, &follower), ErrorCode::NONE);

    let request = LeaveGroupRequest {
        group_id: "g".to_owned(),
        members: vec![MemberIdentity {
            member_id: leader.member_id.clone(),
            ..MemberIdentity::default()
        }],
        ..LeaveGroupRequest::default()
    };
    assert_eq!(first.call(5, &request).members[0].error_code, 0);
    assert_eq!(heartbeat(&mut second, &follower), ErrorCode::REBALANCE_IN_PROGRESS);
    let alone = second.call(JOIN, &join_request(&follower.member_id));
    assert_eq!((alone.generation_id, &alone.leader), (3, &follower.member_id));
    assert_eq!(heartbeat(&mut first, &leader), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn old_versions_of_the_protocol_make_a_group_too() {
    let cluster = cluster();
    for (join, sync, beat) in [(0, 0, 0), (2, 1, 1), (3, 2, 2), (4, 2, 3), (6, 4, 4), (7, 5, 4)] {
        let mut client = Client::connect(&cluster);
        let group_id = format!("old-{join}");
        let mut request = JoinGroupRequest { group_id: group_id.clone(), ..join_request("") };
        if join == 0 {
            request.rebalance_timeout_ms = -1;
        }
        if join >= 4 {
            request.member_id = client.call(join, &request).member_id;
        }
        let joined = client.call(join, &request);
        assert_eq!((joined.error_code, joined.generation_id), (0, 1), "version {join}");
        assert_eq!(joined.protocol_name.as_deref(), Some("range"));
        let assignment = [(joined.member_id.as_str(), "all")];
        let mut request =
            SyncGroupRequest { group_id: group_id.clone(), ..sync_request(&joined, &assignment) };
        if sync < 5 {
            (request.protocol_type, request.protocol_name) = (None, None);
        }
        assert_eq!(&client.call(sync, &request).assignment[..], b"all");
        let request = HeartbeatRequest {
            group_id: group_id.clone(),
            generation_id: 1,
            member_id: joined.member_id.clone(),
            group_instance_id: None,
        };
        assert_eq!(client.call(beat, &request).error_code, 0);
        let request =
            LeaveGroupRequest { group_id, member_id: joined.member_id, ..Default::default() };
        assert_eq!(client.call(2, &request).error_code, 0);
    }
}

#[test]
fn a_member_that_falls_silent_is_out() {
    let cluster = cluster();
    let (mut first, mut second) = (Client::connect(&cluster), Client::connect(&cluster));
    let mut request = join_request("");
    request.session_timeout_ms = 50;
    request.member_id = first.call(JOIN, &request).member_id;
    let silent = first.call(JOIN, &request);
    first.call(SYNC, &sync_request(&silent, &[]));
    // The second waits for the first, who says nothing more, until its session is over.
    let id = member_id(&mut second);
    let joined = second.call(JOIN, &join_request(&id));
    assert_eq!((joined.error_code, joined.members.len()), (0, 1));
    assert_eq!(heartbeat(&mut first, &silent), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_static_member_comes_back_to_its_assignment_without_a_rebalance() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let request = JoinGroupRequest { group_instance_id: Some("i".to_owned()), ..join_request("") };
    let joined = client.call(JOIN, &request);
    let mut sync = sync_request(&joined, &[(&joined.member_id, "all")]);
    sync.group_instance_id = Some("i".to_owned());
    client.call(SYNC, &sync);

    let again = client.call(JOIN, &request);
    assert_eq!((again.error_code, again.generation_id), (0, 1));
    assert!(again.skip_assignment && again.member_id != joined.member_id);
    let mut sync = sync_request(&again, &[]);
    sync.group_instance_id = Some("i".to_owned());
    assert_eq!(&client.call(SYNC, &sync).assignment[..], b"all");
    let request = HeartbeatRequest {
        group_id: "g".to_owned(),
        generation_id: 1,
        member_id: joined.member_id,
        group_instance_id: Some("i".to_owned()),
    };
    assert_eq!(client.call(4, &request).error_code, ErrorCode::FENCED_INSTANCE_ID.0);
}

#[test]
fn a_static_member_that_comes_back_changed_makes_a_rebalance_only_if_the_protocol_is_another() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let protocol = |name: &str, metadata: &'static [u8]| JoinGroupRequestProtocol {
        name: name.to_owned(),
        metadata: Bytes::from_static(metadata),
    };
    let mut request =
        JoinGroupRequest { group_instance_id: Some("i".to_owned()), ..join_request("") };
    request.protocols = vec![protocol("range", b"a"), protocol("sticky", b"a")];
    let joined = client.call(JOIN, &request);
    let mut sync = sync_request(&joined, &[(&joined.member_id, "all")]);
    sync.group_instance_id = Some("i".to_owned());
    client.call(SYNC, &sync);

    request.protocols = vec![protocol("range", b"b"), protocol("sticky", b"b")];
    let again = client.call(JOIN, &request);
    assert_eq!((again.error_code, again.generation_id, again.skip_assignment), (0, 1, true));
    assert_eq!(&again.members[0].metadata[..], b"b");
    request.protocols.reverse();
    let again = client.call(JOIN, &request);
    assert_eq!((again.error_code, again.generation_id, again.skip_assignment), (0, 2, false));
    assert_eq!(again.protocol_name.as_deref(), Some("sticky"));
}

#[test]
fn a_full_group_takes_nobody_in_and_keeps_who_is_there() {
    let cluster = Cluster::builder().group_max_size(1).start().unwrap();
    let mut client = Client::connect(&cluster);
    let joined = join_alone(&mut client);
    let refused = client.call(JOIN, &join_request(""));
    assert_eq!(refused.error_code, ErrorCode::GROUP_MAX_SIZE_REACHED.0);
    assert_eq!(heartbeat(&mut client, &joined), ErrorCode::NONE);
    assert_eq!(client.call(JOIN, &join_request(&joined.member_id)).error_code, 0);
}

#[test]
fn what_cannot_join_is_told_why() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    join_alone(&mut client);
    let with = |change: fn(&mut JoinGroupRequest)| {
        let mut request = join_request("");
        change(&mut request);
        request
    };
    for (request, code) in [
        (with(|r| r.group_id.clear()), ErrorCode::INVALID_GROUP_ID),
        (with(|r| r.session_timeout_ms = 1), ErrorCode::INVALID_SESSION_TIMEOUT),
        (with(|r| r.session_timeout_ms = i32::MAX), ErrorCode::INVALID_SESSION_TIMEOUT),
        (with(|r| r.protocols.clear()), ErrorCode::INCONSISTENT_GROUP_PROTOCOL),
        (with(|r| r.protocol_type = "connect".into()), ErrorCode::INCONSISTENT_GROUP_PROTOCOL),
        (with(|r| r.protocols[0].name = "x".into()), ErrorCode::INCONSISTENT_GROUP_PROTOCOL),
        (with(|r| r.member_id = "nobody".into()), ErrorCode::UNKNOWN_MEMBER_ID),
    ] {
        assert_eq!(client.call(JOIN, &request).error_code, code.0);
    }
}

#[test]
fn offsets_are_committed_and_fetched_in_every_version() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    for version in 2..=9 {
        let request = commit_request(None, i64::from(version));
        assert_eq!(commit(&mut client, version, &request), ErrorCode::NONE);
    }
    for version in 1..=7 {
        for all in [false, true] {
            if all && version < 2 {
                continue;
            }
            let topics =
                vec![OffsetFetchRequestTopic { name: "t".to_owned(), partition_indexes: vec![1] }];
            let request = OffsetFetchRequest {
                group_id: "g".to_owned(),
                topics: if all { None } else { Some(topics) },
                ..OffsetFetchRequest::default()
            };
            let partition = client.call(version, &request).topics[0].partitions[0].clone();
            assert_eq!((partition.error_code, partition.committed_offset), (0, 9));
            assert_eq!(partition.metadata.as_deref(), Some("note"));
        }
    }
    for version in 8..=9 {
        let topics = vec![OffsetFetchRequestTopics {
            name: "t".to_owned(),
            partition_indexes: vec![0, 1],
            ..OffsetFetchRequestTopics::default()
        }];
        let group = OffsetFetchRequestGroup {
            group_id: "g".to_owned(),
            topics: Some(topics),
            ..OffsetFetchRequestGroup::default()
        };
        let request = OffsetFetchRequest { groups: vec![group], ..Default::default() };
        let partitions = client.call(version, &request).groups[0].topics[0].partitions.clone();
        let offsets: Vec<i64> = partitions.iter().map(|p| p.committed_offset).collect();
        assert_eq!(offsets, [-1, 9]);
    }
}

#[test]
fn only_members_of_the_present_generation_commit_to_a_group_that_has_some() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let joined = join_alone(&mut client);
    assert_eq!(commit(&mut client, 8, &commit_request(Some(&joined), 5)), ErrorCode::NONE);
    let stranger = commit_request(None, 6);
    assert_eq!(commit(&mut client, 8, &stranger), ErrorCode::UNKNOWN_MEMBER_ID);
    let old = JoinGroupResponse { generation_id: 0, ..joined.clone() };
    let late = commit_request(Some(&old), 6);
    assert_eq!(commit(&mut client, 8, &late), ErrorCode::ILLEGAL_GENERATION);
    let mut wrong = commit_request(Some(&joined), 6);
    wrong.topics[0].partitions[0].partition_index = 9;
    assert_eq!(commit(&mut client, 8, &wrong), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    wrong.topics[0].partitions[0].partition_index = 0;
    wrong.topics[0].partitions[0].committed_metadata = Some("x".repeat(5000));
    assert_eq!(commit(&mut client, 8, &wrong), ErrorCode::OFFSET_METADATA_TOO_LARGE);
}

#[test]
fn groups_are_listed_described_and_deleted_in_every_version() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let joined = join_alone(&mut client);
    commit(&mut client, 8, &commit_request(Some(&joined), 5));
    for version in 0..=ListGroupsRequest::VERSIONS.max {
        let response = client.call(version, &ListGroupsRequest::default());
        let group = &response.groups[0];
        assert_eq!((group.group_id.as_str(), group.protocol_type.as_str()), ("g", "consumer"));
    }
    let request =
        ListGroupsRequest { states_filter: vec!["Empty".to_owned()], ..Default::default() };
    assert!(client.call(4, &request).groups.is_empty());
    let request = DescribeGroupsRequest {
        groups: vec!["g".to_owned(), "nobody".to_owned()],
        include_authorized_operations: false,
    };
    for version in 0..=DescribeGroupsRequest::VERSIONS.max {
        let groups = client.call(version, &request).groups;
        assert_eq!((groups[0].group_state.as_str(), groups[0].members.len()), ("Stable", 1));
        assert_eq!(groups[0].members[0].client_host, "/127.0.0.1");
        assert_eq!(&groups[0].members[0].member_assignment[..], b"all");
        assert_eq!(groups[1].group_state, "Dead");
        let unknown = if version >= 6 { ErrorCode::GROUP_ID_NOT_FOUND.0 } else { 0 };
        assert_eq!(groups[1].error_code, unknown);
    }
    let delete = DeleteGroupsRequest { groups_names: vec!["g".to_owned(), "h".to_owned()] };
    let codes = |client: &mut Client, version| {
        let results = client.call(version, &delete).results;
        results.into_iter().map(|result| ErrorCode(result.error_code)).collect::<Vec<_>>()
    };
    let unknown = ErrorCode::GROUP_ID_NOT_FOUND;
    assert_eq!(codes(&mut client, 0), [ErrorCode::NON_EMPTY_GROUP, unknown]);
    let leave = LeaveGroupRequest {
        group_id: "g".to_owned(),
        member_id: joined.member_id,
        ..LeaveGroupRequest::default()
    };
    client.call(1, &leave);
    let empty = client.call(6, &request).groups[0].clone();
    assert_eq!((empty.group_state.as_str(), empty.members.len()), ("Empty", 0));
    assert_eq!(codes(&mut client, 2), [ErrorCode::NONE, unknown]);
    assert!(client.call(5, &ListGroupsRequest::default()).groups.is_empty());
}

#[test]
fn the_coordinator_is_found_in_every_version() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let port = i32::from(cluster.addresses()[0].port());
    for version in 0..=FindCoordinatorRequest::VERSIONS.max {
        let mut request = FindCoordinatorRequest::default();
        if version < 4 {
            request.key = "g".to_owned();
            let response = client.call(version, &request);
            assert_eq!((response.error_code, response.node_id, response.port), (0, 1, port));
        } else {
            request.coordinator_keys = vec!["g".to_owned(), "h".to_owned()];
            let found = client.call(version, &request).coordinators;
            assert_eq!((found.len(), found[1].node_id, found[1].port), (2, 1, port));
        }
    }
    let request = FindCoordinatorRequest { key: "tx".into(), key_type: 1, ..Default::default() };
    let found = client.call(3, &request);
    assert_eq!((found.error_code, found.node_id, found.port), (0, 1, port));
    let request = FindCoordinatorRequest { key: "s".into(), key_type: 2, ..Default::default() };
    assert_eq!(client.call(3, &request).error_code, ErrorCode::INVALID_REQUEST.0);
}

#[test]
fn a_new_group_waits_for_more_members_when_told_to() {
    let cluster = Cluster::builder()
        .group_initial_rebalance_delay(Duration::from_millis(200))
        .start()
        .unwrap();
    let mut members: Vec<Client> = (0..3).map(|_| Client::connect(&cluster)).collect();
    let ids: Vec<i32> =
        members.iter_mut().map(|member| member.send(3, &join_request(""))).collect();
    let joined: Vec<JoinGroupResponse> = members
        .iter_mut()
        .zip(ids)
        .map(|(member, id)| member.receive::<JoinGroupRequest>(3, id))
        .collect();
    assert!(joined.iter().all(|joined| joined.generation_id == 1));
    assert_eq!(joined.iter().map(|joined| joined.members.len()).sum::<usize>(), 3);
}
