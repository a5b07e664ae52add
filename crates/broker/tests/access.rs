//! Rules of access: what is denied fails by itself, with Kafka's codes, and only for whom it is.

mod common;

use common::Batch;
use common::client::{Client, fetch_request, produce_request};
use ottla_broker::{Acl, Cluster, ErrorCode, Listener, Mechanism, Operation, Sasl};
use ottla_protocol::Uuid;
use ottla_protocol::messages::alter_configs::{AlterConfigsRequest, AlterConfigsResource};
use ottla_protocol::messages::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use ottla_protocol::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use ottla_protocol::messages::delete_groups::DeleteGroupsRequest;
use ottla_protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use ottla_protocol::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use ottla_protocol::messages::describe_cluster::DescribeClusterRequest;
use ottla_protocol::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use ottla_protocol::messages::describe_groups::DescribeGroupsRequest;
use ottla_protocol::messages::find_coordinator::FindCoordinatorRequest;
use ottla_protocol::messages::heartbeat::HeartbeatRequest;
use ottla_protocol::messages::incremental_alter_configs::{
    self as incremental, IncrementalAlterConfigsRequest,
};
use ottla_protocol::messages::init_producer_id::InitProducerIdRequest;
use ottla_protocol::messages::join_group::JoinGroupRequest;
use ottla_protocol::messages::leave_group::LeaveGroupRequest;
use ottla_protocol::messages::list_groups::ListGroupsRequest;
use ottla_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use ottla_protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use ottla_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use ottla_protocol::messages::sync_group::SyncGroupRequest;

const TOPIC: i16 = ErrorCode::TOPIC_AUTHORIZATION_FAILED.0;
const GROUP: i16 = ErrorCode::GROUP_AUTHORIZATION_FAILED.0;

fn cluster() -> Cluster {
    Cluster::builder().topic("t", 1).topic("u", 1).start().expect("starts")
}

fn named(names: &[&str]) -> MetadataRequest {
    let topics = names.iter().map(|name| MetadataRequestTopic {
        name: Some((*name).to_owned()),
        ..MetadataRequestTopic::default()
    });
    MetadataRequest {
        topics: Some(topics.collect()),
        allow_auto_topic_creation: true,
        include_topic_authorized_operations: true,
        ..MetadataRequest::default()
    }
}

fn codes(client: &mut Client, names: &[&str]) -> Vec<i16> {
    client.call(12, &named(names)).topics.iter().map(|topic| topic.error_code).collect()
}

#[test]
fn writing_is_denied_by_topic_and_allowed_again() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let rule = Acl::topic("t").operation(Operation::Write);
    cluster.deny(rule.clone());
    assert_eq!(client.produce("t", 0, &Batch::numbered(1)).error_code, TOPIC);
    assert_eq!(client.produce("u", 0, &Batch::numbered(1)).error_code, 0);
    assert_eq!(codes(&mut client, &["t", "u"]), [0, 0]);
    assert_eq!(cluster.log_end_offset("t", 0), Some(0));

    // By id, too; an id that nobody has is unknown all the same.
    let id = client.call(12, &named(&["t"])).topics[0].topic_id;
    for (id, code) in [(id, TOPIC), (Uuid::from_halves(7, 7), ErrorCode::UNKNOWN_TOPIC_ID.0)] {
        let mut request = produce_request(-1, "", 0, Batch::numbered(1).encode());
        request.topic_data[0].topic_id = id;
        let answer = client.call(13, &request);
        assert_eq!(answer.responses[0].partition_responses[0].error_code, code);
    }
    // Without answers, the end of the connection is all there is to hear.
    let mut silent = Client::connect(&cluster);
    silent.send(9, &produce_request(0, "t", 0, Batch::numbered(1).encode()));
    assert!(silent.is_closed_by_broker());

    assert!(cluster.allow(&rule) && !cluster.allow(&rule));
    assert_eq!(client.produce("t", 0, &Batch::numbered(1)).error_code, 0);
}

#[test]
fn a_rule_is_for_those_whom_it_names() {
    let cluster = Cluster::builder()
        .topic("t", 1)
        .user("alice", "a")
        .user("bob", "b")
        .listener(Listener::new("KNOWN").sasl(Sasl::new([Mechanism::Plain])))
        .deny("User:alice write topic:*".parse().unwrap())
        .deny("User:ANONYMOUS write topic:*".parse().unwrap())
        .start()
        .unwrap();
    let known = cluster.servers_of("KNOWN").unwrap();
    let write = |name: &str, password: &str| {
        let mut client = Client::connect_to(&known);
        assert_eq!(client.log_in(name, password).error_code, 0);
        client.produce("t", 0, &Batch::numbered(1)).error_code
    };
    assert_eq!((write("alice", "a"), write("bob", "b")), (TOPIC, 0));
    let mut anonymous = Client::connect(&cluster);
    assert_eq!(anonymous.produce("t", 0, &Batch::numbered(1)).error_code, TOPIC);
    cluster.allow_everything();
    assert_eq!(anonymous.produce("t", 0, &Batch::numbered(1)).error_code, 0);
    assert_eq!(write("alice", "a"), 0);
}

#[test]
fn what_may_not_be_described_is_not_even_known() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let id = client.call(12, &named(&["t"])).topics[0].topic_id;
    cluster.deny(Acl::topic("t").operation(Operation::Describe));
    cluster.deny(Acl::topic("none").operation(Operation::Describe));
    assert_eq!(codes(&mut client, &["t", "u", "none"]), [TOPIC, 0, TOPIC]);
    let refused = &client.call(12, &named(&["t"])).topics[0];
    assert!(refused.topic_id.is_zero() && refused.partitions.is_empty());
    let all = client.call(12, &MetadataRequest { topics: None, ..MetadataRequest::default() });
    let names: Vec<_> = all.topics.iter().filter_map(|topic| topic.name.as_deref()).collect();
    assert_eq!(names, ["u"]);
    let by_id = MetadataRequestTopic { topic_id: id, name: None };
    let request = MetadataRequest { topics: Some(vec![by_id]), ..MetadataRequest::default() };
    let topic = &client.call(12, &request).topics[0];
    assert_eq!((topic.error_code, topic.name.as_deref()), (TOPIC, Some("")));

    let wanted = ListOffsetsTopic {
        name: "t".to_owned(),
        partitions: vec![ListOffsetsPartition { timestamp: -1, ..Default::default() }],
    };
    let request = ListOffsetsRequest { topics: vec![wanted], ..Default::default() };
    assert_eq!(client.call(5, &request).topics[0].partitions[0].error_code, TOPIC);
}

#[test]
fn topics_come_into_being_where_either_rule_allows_it() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    cluster.deny(Acl::cluster().operation(Operation::Create));
    assert_eq!(codes(&mut client, &["first"]), [0]);
    cluster.deny(Acl::topic("new*").operation(Operation::Create));
    assert_eq!(codes(&mut client, &["new-1", "other"]), [TOPIC, 0]);
    let topic = |name: &str| CreatableTopic {
        name: name.to_owned(),
        num_partitions: 1,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let request =
        CreateTopicsRequest { topics: vec![topic("new-2"), topic("third")], ..Default::default() };
    let created = client.call(5, &request);
    let codes: Vec<_> = created.topics.iter().map(|topic| topic.error_code).collect();
    assert_eq!(codes, [TOPIC, 0]);
}

#[test]
fn an_idempotent_producer_needs_either_of_two_rights() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let request = InitProducerIdRequest { transactional_id: None, ..Default::default() };
    let mut code = || client.call(4, &request).error_code;
    assert_eq!(code(), 0);
    cluster.deny(Acl::cluster().operation(Operation::IdempotentWrite));
    assert_eq!(code(), 0);
    cluster.deny(Acl::topic("*").operation(Operation::Write));
    assert_eq!(code(), ErrorCode::CLUSTER_AUTHORIZATION_FAILED.0);
    cluster.allow_everything();
    cluster.deny(Acl::topic("*").operation(Operation::Write));
    assert_eq!(code(), 0);
}

#[test]
fn reading_is_denied_also_to_one_who_waits_already() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let id = client.send(11, &fetch_request("t", 0, 0, 60_000));
    let is_waiting = |requests: &[ottla_broker::SeenRequest]| !requests.is_empty();
    assert!(cluster.wait_for_requests(common::client::PATIENCE, is_waiting));
    cluster.deny(Acl::topic("t").operation(Operation::Read));
    assert_eq!(Client::connect(&cluster).produce("t", 0, &Batch::numbered(1)).error_code, 0);
    let answer = client.receive::<ottla_protocol::messages::fetch::FetchRequest>(11, id);
    assert_eq!(answer.responses[0].partitions[0].error_code, TOPIC);
    let again = client.fetch("t", 0, 0, 0);
    assert_eq!(again.responses[0].partitions[0].error_code, TOPIC);
}

#[test]
fn topics_are_administrated_by_those_who_may() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let id = client.call(12, &named(&["t"])).topics[0].topic_id;
    cluster.deny(Acl::topic("t"));

    let by_name = DeleteTopicState { name: Some("t".to_owned()), topic_id: Uuid::ZERO };
    let by_id = DeleteTopicState { name: None, topic_id: id };
    let request = DeleteTopicsRequest { topics: vec![by_name, by_id], ..Default::default() };
    let deleted = client.call(6, &request).responses;
    let said: Vec<_> = deleted.iter().map(|r| (r.error_code, r.name.as_deref())).collect();
    assert_eq!(said, [(TOPIC, Some("t")), (TOPIC, None)]);

    let records = DeleteRecordsTopic {
        name: "t".to_owned(),
        partitions: vec![DeleteRecordsPartition { partition_index: 0, offset: 0 }],
    };
    let request = DeleteRecordsRequest { topics: vec![records], ..Default::default() };
    assert_eq!(client.call(1, &request).topics[0].partitions[0].error_code, TOPIC);

    let more = CreatePartitionsTopic {
        name: "t".to_owned(),
        count: 4,
        ..CreatePartitionsTopic::default()
    };
    let request = CreatePartitionsRequest { topics: vec![more], ..Default::default() };
    assert_eq!(client.call(1, &request).results[0].error_code, TOPIC);

    let resource = AlterConfigsResource {
        resource_type: 2,
        resource_name: "t".to_owned(),
        ..AlterConfigsResource::default()
    };
    let request = AlterConfigsRequest { resources: vec![resource], ..Default::default() };
    assert_eq!(client.call(1, &request).responses[0].error_code, TOPIC);

    let resource = incremental::AlterConfigsResource {
        resource_type: 2,
        resource_name: "t".to_owned(),
        ..incremental::AlterConfigsResource::default()
    };
    let request =
        IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    assert_eq!(client.call(1, &request).responses[0].error_code, TOPIC);

    cluster.deny(Acl::cluster().operation(Operation::DescribeConfigs));
    let resource = |resource_type, name: &str| DescribeConfigsResource {
        resource_type,
        resource_name: name.to_owned(),
        configuration_keys: None,
    };
    let resources = vec![resource(2, "t"), resource(2, "u"), resource(4, "1")];
    let request = DescribeConfigsRequest { resources, ..Default::default() };
    let described = client.call(2, &request).results;
    let codes: Vec<_> = described.iter().map(|result| result.error_code).collect();
    assert_eq!(codes, [TOPIC, 0, ErrorCode::CLUSTER_AUTHORIZATION_FAILED.0]);
    assert_eq!(cluster.log_end_offset("t", 0), Some(0));
}

#[test]
fn groups_are_for_those_who_may() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    cluster.deny(Acl::group("g"));
    let g = || "g".to_owned();
    let coordinator = FindCoordinatorRequest { key: g(), ..Default::default() };
    assert_eq!(client.call(2, &coordinator).error_code, GROUP);
    let join = JoinGroupRequest { group_id: g(), ..Default::default() };
    assert_eq!(client.call(5, &join).error_code, GROUP);
    let sync = SyncGroupRequest { group_id: g(), ..Default::default() };
    assert_eq!(client.call(3, &sync).error_code, GROUP);
    let heartbeat = HeartbeatRequest { group_id: g(), ..Default::default() };
    assert_eq!(client.call(3, &heartbeat).error_code, GROUP);
    let leave = LeaveGroupRequest { group_id: g(), ..Default::default() };
    assert_eq!(client.call(4, &leave).error_code, GROUP);
    let describe = DescribeGroupsRequest { groups: vec![g()], ..Default::default() };
    assert_eq!(client.call(4, &describe).groups[0].error_code, GROUP);
    let delete = DeleteGroupsRequest { groups_names: vec![g()] };
    assert_eq!(client.call(1, &delete).results[0].error_code, GROUP);
    assert_eq!(commit(&mut client, "g", "t"), GROUP);
    assert_eq!(committed(&mut client, "g", "t"), (GROUP, None));

    // Offsets of topics that may not be read, and groups that may not be listed.
    cluster.deny(Acl::topic("t"));
    assert_eq!((commit(&mut client, "h", "t"), commit(&mut client, "h", "u")), (TOPIC, 0));
    assert_eq!(committed(&mut client, "h", "t"), (0, Some((TOPIC, -1))));
    assert_eq!(committed(&mut client, "h", "u"), (0, Some((0, 5))));
    let listed = |client: &mut Client| client.call(3, &ListGroupsRequest::default()).groups.len();
    assert_eq!(listed(&mut client), 1);
    cluster.deny(Acl::cluster().operation(Operation::Describe));
    assert_eq!(listed(&mut client), 1);
    cluster.deny(Acl::group("h").operation(Operation::Describe));
    assert_eq!(listed(&mut client), 0);
}

fn commit(client: &mut Client, group: &str, topic: &str) -> i16 {
    let partition = OffsetCommitRequestPartition {
        committed_offset: 5,
        ..OffsetCommitRequestPartition::default()
    };
    let request = OffsetCommitRequest {
        group_id: group.to_owned(),
        generation_id_or_member_epoch: -1,
        topics: vec![OffsetCommitRequestTopic {
            name: topic.to_owned(),
            partitions: vec![partition],
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    };
    client.call(7, &request).topics[0].partitions[0].error_code
}

/// The group's error, and the partition's with its offset.
fn committed(client: &mut Client, group: &str, topic: &str) -> (i16, Option<(i16, i64)>) {
    let topics = vec![OffsetFetchRequestTopics {
        name: topic.to_owned(),
        partition_indexes: vec![0],
        ..OffsetFetchRequestTopics::default()
    }];
    let wanted = OffsetFetchRequestGroup {
        group_id: group.to_owned(),
        topics: Some(topics),
        ..OffsetFetchRequestGroup::default()
    };
    let request = OffsetFetchRequest { groups: vec![wanted], ..Default::default() };
    let group = client.call(8, &request).groups.remove(0);
    let partition = group.topics.first().map(|topic| &topic.partitions[0]);
    (group.error_code, partition.map(|found| (found.error_code, found.committed_offset)))
}

#[test]
fn what_may_be_done_is_told_to_those_who_ask() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let of_topic =
        |client: &mut Client| client.call(12, &named(&["t"])).topics[0].topic_authorized_operations;
    let of_cluster = |client: &mut Client| {
        let request = DescribeClusterRequest {
            include_cluster_authorized_operations: true,
            ..DescribeClusterRequest::default()
        };
        client.call(0, &request).cluster_authorized_operations
    };
    assert_eq!(of_topic(&mut client), 0b1101_1111_1000);
    assert_eq!(of_cluster(&mut client), 0b1_1111_1010_0000);
    cluster.deny(Acl::topic("t").operation(Operation::Write));
    cluster.deny(Acl::cluster().operation(Operation::IdempotentWrite));
    assert_eq!(of_topic(&mut client), 0b1101_1110_1000);
    assert_eq!(of_cluster(&mut client), 0b1111_1010_0000);
    cluster.deny(Acl::cluster().operation(Operation::Describe));
    assert_eq!(of_cluster(&mut client), 0);
}
