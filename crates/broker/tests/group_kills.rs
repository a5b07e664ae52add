//! Groups whose broker was killed with all that it had in memory: what their members were told
//! holds.

mod common;

use std::time::{Duration, Instant};

use bytes::Bytes;
use common::client::{Client, PATIENCE};
use common::{classic_member as classic, consumer_member as consumer};
use ottla_broker::{Cluster, ErrorCode};
use ottla_protocol::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatRequestTopicPartitions,
};
use ottla_protocol::messages::join_group::JoinGroupRequest;
use ottla_protocol::messages::leave_group::LeaveGroupRequest;
use tempfile::TempDir;

/// A folder, and one cluster after the other on it.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn start(&self) -> (Cluster, Client) {
        let cluster = Cluster::builder().topic("t", 4).data_dir(self.0.path()).start().unwrap();
        let client = Client::connect(&cluster);
        (cluster, client)
    }
}

#[test]
fn members_go_on_after_a_kill_and_those_of_another_generation_are_told() {
    let folder = Folder::new();
    let (cluster, mut client) = folder.start();
    let former = classic::join_alone(&mut client);
    let joined = client.call(classic::JOIN, &classic::join_request(&former.member_id));
    client.call(classic::SYNC, &classic::sync_request(&joined, &[(&joined.member_id, "some")]));
    cluster.kill();

    let (cluster, mut client) = folder.start();
    assert_eq!(classic::heartbeat(&mut client, &joined), ErrorCode::NONE);
    assert_eq!(classic::heartbeat(&mut client, &former), ErrorCode::ILLEGAL_GENERATION);
    assert_eq!(
        classic::commit(&mut client, 8, &classic::commit_request(Some(&joined), 7)),
        ErrorCode::NONE
    );
    // Whoever is not of the group does not commit beside it.
    let stranger = ErrorCode::UNKNOWN_MEMBER_ID;
    assert_eq!(classic::commit(&mut client, 8, &classic::commit_request(None, 9)), stranger);
    let again = client.call(classic::SYNC, &classic::sync_request(&joined, &[]));
    assert_eq!((again.error_code, &again.assignment[..]), (0, &b"some"[..]));
    let leave = LeaveGroupRequest {
        group_id: "g".to_owned(),
        member_id: joined.member_id.clone(),
        ..LeaveGroupRequest::default()
    };
    assert_eq!(client.call(0, &leave).error_code, 0);
    cluster.kill();

    let (_cluster, mut client) = folder.start();
    assert_eq!(classic::heartbeat(&mut client, &joined), stranger);
    // The group has offsets, so its generations go on.
    let next = classic::join_alone(&mut client);
    assert!(next.generation_id > joined.generation_id + 1, "{next:?}");
}

#[test]
fn a_rebalance_that_a_kill_interrupts_begins_anew_from_the_generation_before() {
    let folder = Folder::new();
    let (cluster, mut client) = folder.start();
    let joined = classic::join_alone(&mut client);
    // Its leader has not said who is to read what.
    let undecided = client.call(classic::JOIN, &classic::join_request(&joined.member_id));
    assert_eq!(undecided.generation_id, joined.generation_id + 1);
    cluster.kill();

    let (_cluster, mut client) = folder.start();
    let late = client
        .call(classic::SYNC, &classic::sync_request(&undecided, &[(&joined.member_id, "late")]));
    assert_eq!(late.error_code, ErrorCode::ILLEGAL_GENERATION.0);
    let again = client.call(classic::JOIN, &classic::join_request(&joined.member_id));
    assert_eq!((again.error_code, again.generation_id), (0, joined.generation_id + 1));
}

#[test]
fn a_static_member_comes_back_to_its_assignment_after_a_kill() {
    let folder = Folder::new();
    let (cluster, mut client) = folder.start();
    let request =
        JoinGroupRequest { group_instance_id: Some("i".to_owned()), ..classic::join_request("") };
    let joined = client.call(classic::JOIN, &request);
    let mut sync = classic::sync_request(&joined, &[(&joined.member_id, "all")]);
    sync.group_instance_id = Some("i".to_owned());
    client.call(classic::SYNC, &sync);
    let replaced = client.call(classic::JOIN, &request);
    cluster.kill();

    let (_cluster, mut client) = folder.start();
    let mut sync = classic::sync_request(&replaced, &[]);
    sync.group_instance_id = Some("i".to_owned());
    assert_eq!(&client.call(classic::SYNC, &sync).assignment[..], b"all");
    sync.member_id = joined.member_id;
    assert_eq!(client.call(classic::SYNC, &sync).error_code, ErrorCode::FENCED_INSTANCE_ID.0);
}

#[test]
fn nobody_gets_an_assignment_that_could_not_be_written_down() {
    let folder = Folder::new();
    let (cluster, mut client) = folder.start();
    let in_the_way = folder.0.path().join("group-members.jsonl");
    std::fs::create_dir(&in_the_way).unwrap();
    let id = classic::member_id(&mut client);
    let joined = client.call(classic::JOIN, &classic::join_request(&id));
    let sync = classic::sync_request(&joined, &[(&joined.member_id, "all")]);
    let refused = client.call(classic::SYNC, &sync);
    assert_eq!(refused.error_code, ErrorCode::COORDINATOR_NOT_AVAILABLE.0);
    assert_eq!(refused.assignment, Bytes::new());
    std::fs::remove_dir(&in_the_way).unwrap();
    assert_eq!(&client.call(classic::SYNC, &sync).assignment[..], b"all");
    cluster.kill();
    let (_cluster, mut client) = folder.start();
    assert_eq!(classic::heartbeat(&mut client, &joined), ErrorCode::NONE);
}

#[test]
fn members_go_on_after_a_kill_where_they_were() {
    let folder = Folder::new();
    let (cluster, mut client) = folder.start();
    let first = consumer::join(&mut client, "a");
    let second = consumer::join(&mut client, "b");
    // It gives up half of what it has, and the other one waits for that.
    let first = client.call(1, &consumer::beats(&first));
    assert_eq!(consumer::partitions(&first).len(), 2);
    assert_eq!(consumer::partitions(&second).len(), 0);
    let before = consumer::describe(&mut client);
    cluster.kill();

    let (cluster, mut client) = folder.start();
    assert_eq!(consumer::describe(&mut client), before);
    let owned = ConsumerGroupHeartbeatRequestTopicPartitions {
        topic_id: first.assignment.as_ref().unwrap().topic_partitions[0].topic_id,
        partitions: consumer::partitions(&first),
    };
    let gave_up = ConsumerGroupHeartbeatRequest {
        topic_partitions: Some(vec![owned]),
        ..consumer::beats(&first)
    };
    assert_eq!(consumer::code(&client.call(1, &gave_up)), ErrorCode::NONE);
    let second = client.call(1, &consumer::beats(&second));
    assert_eq!(
        (consumer::code(&second), consumer::partitions(&second).len()),
        (ErrorCode::NONE, 2)
    );
    assert_eq!(consumer::commit(&mut client, 9, "b", second.member_epoch), ErrorCode::NONE);
    assert_eq!(
        consumer::commit(&mut client, 9, "c", second.member_epoch),
        ErrorCode::UNKNOWN_MEMBER_ID
    );
    cluster.kill();
}

#[test]
fn a_member_that_does_not_come_back_after_a_kill_is_out_when_its_session_ends() {
    let dir = tempfile::tempdir().unwrap();
    let session = Duration::from_millis(300);
    let start = || {
        let builder = Cluster::builder().topic("t", 4).data_dir(dir.path());
        builder.group_consumer_timeouts(session / 3, session).start().unwrap()
    };
    let cluster = start();
    consumer::join(&mut Client::connect(&cluster), "gone");
    cluster.kill();

    let cluster = start();
    let mut client = Client::connect(&cluster);
    let deadline = Instant::now() + PATIENCE;
    while consumer::describe(&mut client).group_state != "Empty" {
        assert!(Instant::now() < deadline, "the member is still there");
        std::thread::yield_now();
    }
    cluster.kill();
    // It is not on the disk either.
    let cluster = start();
    assert_eq!(consumer::describe(&mut Client::connect(&cluster)).group_state, "Empty");
}

#[test]
fn nobody_is_told_what_could_not_be_written_down() {
    let folder = Folder::new();
    let (cluster, mut client) = folder.start();
    let in_the_way = folder.0.path().join("group-members.jsonl");
    std::fs::create_dir(&in_the_way).unwrap();
    let refused = client.call(1, &consumer::joins("a"));
    assert_eq!(
        (consumer::code(&refused), refused.assignment),
        (ErrorCode::COORDINATOR_NOT_AVAILABLE, None)
    );
    std::fs::remove_dir(&in_the_way).unwrap();
    let joined = consumer::join(&mut client, "a");
    assert_eq!(consumer::partitions(&joined).len(), 4);
    cluster.kill();
    let (_cluster, mut client) = folder.start();
    assert_eq!(consumer::code(&client.call(1, &consumer::beats(&joined))), ErrorCode::NONE);
}
