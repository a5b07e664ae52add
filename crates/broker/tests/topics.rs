//! Topics: created, described, configured, grown and deleted, in every version of the APIs.

mod common;

use common::client::{Client, PATIENCE, fetch_request};
use common::configs::ask_in;
use common::{Batch, NOW_MS};
use ottla_broker::{ApiKey, Cluster, ErrorCode};
use ottla_protocol::messages::alter_configs::{
    AlterConfigsRequest, AlterConfigsResource as ReplaceResource, AlterableConfig as Replacement,
};
use ottla_protocol::messages::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic,
};
use ottla_protocol::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use ottla_protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use ottla_protocol::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use ottla_protocol::messages::describe_cluster::DescribeClusterRequest;
use ottla_protocol::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use ottla_protocol::messages::fetch::FetchRequest;
use ottla_protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use ottla_protocol::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponseTopic,
};
use ottla_protocol::{Message, Uuid};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

fn creatable(name: &str, num_partitions: i32) -> CreatableTopic {
    CreatableTopic {
        name: name.to_owned(),
        num_partitions,
        replication_factor: 1,
        ..CreatableTopic::default()
    }
}

fn create(client: &mut Client, topic: CreatableTopic) -> (ErrorCode, String) {
    let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
    let result = client.call(7, &request).topics.remove(0);
    (ErrorCode(result.error_code), result.error_message.unwrap_or_default())
}

fn metadata(client: &mut Client, name: &str, may_create: bool) -> MetadataResponseTopic {
    let topic = MetadataRequestTopic { name: Some(name.to_owned()), ..Default::default() };
    let request = MetadataRequest {
        topics: Some(vec![topic]),
        allow_auto_topic_creation: may_create,
        ..Default::default()
    };
    client.call(9, &request).topics.remove(0)
}

#[test]
fn metadata_lists_brokers_and_topics_in_every_version() {
    let cluster = Cluster::builder().topic("b", 2).topic("a", 1).start().unwrap();
    let mut client = Client::connect(&cluster);
    for version in MetadataRequest::VERSIONS.min..=MetadataRequest::VERSIONS.max {
        let all = if version == 0 { Some(Vec::new()) } else { None };
        let request = MetadataRequest { topics: all, ..Default::default() };
        let response = client.call(version, &request);
        assert_eq!(response.brokers.len(), 1);
        let address = cluster.addresses()[0];
        assert_eq!(response.brokers[0].host, address.ip().to_string());
        assert_eq!(response.brokers[0].port, i32::from(address.port()));
        let names: Vec<_> = response.topics.iter().map(|t| t.name.clone().unwrap()).collect();
        assert_eq!(names, ["a", "b"], "version {version}");
        assert_eq!(response.topics[1].partitions.len(), 2);
        assert!(response.topics[1].partitions.iter().all(|partition| partition.leader_id == 1));
        if version >= 1 {
            let request = MetadataRequest { topics: Some(Vec::new()), ..Default::default() };
            assert!(client.call(version, &request).topics.is_empty());
        }
        if version >= 12 {
            let topic_id = response.topics[0].topic_id;
            let wanted = |topic_id| MetadataRequestTopic { topic_id, name: None };
            let topics = vec![wanted(topic_id), wanted(Uuid([9; 16]))];
            let request = MetadataRequest { topics: Some(topics), ..Default::default() };
            let response = client.call(version, &request);
            assert_eq!(response.topics[0].name.as_deref(), Some("a"));
            assert_eq!(response.topics[1].error_code, ErrorCode::UNKNOWN_TOPIC_ID.0);
        }
    }
}

#[test]
fn operations_are_told_to_those_who_ask() {
    let cluster = Cluster::builder().topic("a", 1).start().unwrap();
    let mut client = Client::connect(&cluster);
    for version in 8..=10 {
        let request = MetadataRequest {
            include_cluster_authorized_operations: true,
            include_topic_authorized_operations: true,
            topics: None,
            ..Default::default()
        };
        let response = client.call(version, &request);
        assert!(response.cluster_authorized_operations > 0);
        assert!(response.topics[0].topic_authorized_operations > 0);
    }
    for version in 0..=2 {
        let response = client.call(version, &DescribeClusterRequest::default());
        assert_eq!((response.error_code, response.controller_id), (0, 1));
        assert_eq!(response.cluster_authorized_operations, i32::MIN);
    }
}

#[test]
fn an_unknown_topic_is_created_when_both_sides_allow_it() {
    let cluster = Cluster::builder().default_partitions(4).start().unwrap();
    let mut client = Client::connect(&cluster);
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0;
    assert_eq!(metadata(&mut client, "new", false).error_code, unknown);
    let created = metadata(&mut client, "new", true);
    assert_eq!((created.error_code, created.partitions.len()), (0, 4));
    for name in ["", "a b", "..", &"x".repeat(250)] {
        let code = metadata(&mut client, name, true).error_code;
        assert_eq!(code, ErrorCode::INVALID_TOPIC_EXCEPTION.0, "{name}");
    }
    let strict = Cluster::builder().auto_create_topics(false).start().unwrap();
    let mut client = Client::connect(&strict);
    assert_eq!(metadata(&mut client, "new", true).error_code, unknown);
}

#[test]
fn topics_are_created_in_every_version_with_their_settings() {
    let cluster = Cluster::builder().start().unwrap();
    let mut client = Client::connect(&cluster);
    for version in CreateTopicsRequest::VERSIONS.min..=CreateTopicsRequest::VERSIONS.max {
        let name = format!("topic-{version}");
        let mut topic = creatable(&name, 3);
        topic.configs = vec![CreatableTopicConfig {
            name: "retention.ms".to_owned(),
            value: Some("5000".to_owned()),
        }];
        let mut request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
        request.validate_only = true;
        assert_eq!(client.call(version, &request).topics[0].error_code, 0);
        assert_eq!(cluster.log_end_offset(&name, 0), None);
        request.validate_only = false;
        let result = client.call(version, &request).topics[0].clone();
        assert_eq!((result.error_code, result.name.as_str()), (0, name.as_str()));
        assert_eq!(cluster.log_end_offset(&name, 2), Some(0));
        if version >= 5 {
            assert_eq!((result.num_partitions, result.replication_factor), (3, 1));
            let configs = result.configs.unwrap();
            let retention = configs.iter().find(|config| config.name == "retention.ms").unwrap();
            assert_eq!((retention.value.as_deref(), retention.config_source), (Some("5000"), 1));
        }
        if version >= 7 {
            assert!(!result.topic_id.is_zero());
        }
    }
}

#[test]
fn a_topic_that_cannot_be_is_refused_with_the_reason() {
    let cluster = Cluster::builder().topic("there", 1).topic("a.b", 1).start().unwrap();
    let mut client = Client::connect(&cluster);
    let config = |name: &str, value: Option<&str>| CreatableTopic {
        configs: vec![CreatableTopicConfig {
            name: name.to_owned(),
            value: value.map(str::to_owned),
        }],
        ..creatable("x", 1)
    };
    let factor = |replication_factor| CreatableTopic { replication_factor, ..creatable("x", 1) };
    let assigned = |assignments: &[(i32, &[i32])]| CreatableTopic {
        num_partitions: -1,
        replication_factor: -1,
        assignments: assignments
            .iter()
            .map(|(partition_index, broker_ids)| CreatableReplicaAssignment {
                partition_index: *partition_index,
                broker_ids: broker_ids.to_vec(),
            })
            .collect(),
        ..creatable("x", 1)
    };
    for (topic, code) in [
        (creatable("there", 1), ErrorCode::TOPIC_ALREADY_EXISTS),
        (creatable("a_b", 1), ErrorCode::INVALID_TOPIC_EXCEPTION),
        (creatable("no good", 1), ErrorCode::INVALID_TOPIC_EXCEPTION),
        (creatable("", 1), ErrorCode::INVALID_TOPIC_EXCEPTION),
        (creatable("x", 0), ErrorCode::INVALID_PARTITIONS),
        (creatable("x", -2), ErrorCode::INVALID_PARTITIONS),
        (creatable("x", i32::MAX), ErrorCode::INVALID_PARTITIONS),
        (factor(0), ErrorCode::INVALID_REPLICATION_FACTOR),
        (factor(2), ErrorCode::INVALID_REPLICATION_FACTOR),
        (config("no.such", Some("1")), ErrorCode::INVALID_CONFIG),
        (config("retention.ms", Some("soon")), ErrorCode::INVALID_CONFIG),
        (config("retention.ms", None), ErrorCode::INVALID_CONFIG),
        (assigned(&[(0, &[2])]), ErrorCode::INVALID_REPLICA_ASSIGNMENT),
        (assigned(&[(0, &[1, 2])]), ErrorCode::INVALID_REPLICA_ASSIGNMENT),
        (assigned(&[(1, &[1])]), ErrorCode::INVALID_REPLICA_ASSIGNMENT),
        (assigned(&[(0, &[1]), (0, &[1])]), ErrorCode::INVALID_REPLICA_ASSIGNMENT),
    ] {
        let (found, message) = create(&mut client, topic);
        assert_eq!(found, code, "{message}");
        assert!(!message.is_empty());
    }
    let twice = vec![creatable("x", 1), creatable("x", 1), creatable("y", 1)];
    let request = CreateTopicsRequest { topics: twice, ..Default::default() };
    let results = client.call(7, &request).topics;
    let codes: Vec<i16> = results.iter().map(|result| result.error_code).collect();
    assert_eq!(codes, [ErrorCode::INVALID_REQUEST.0, 0]);

    assert_eq!(create(&mut client, assigned(&[(1, &[1]), (0, &[1])])).0, ErrorCode::NONE);
    assert_eq!(metadata(&mut client, "x", false).partitions.len(), 2);
    let defaults = CreatableTopic { replication_factor: -1, ..creatable("z", -1) };
    assert_eq!(create(&mut client, defaults).0, ErrorCode::NONE);
}

#[test]
fn topics_grow_and_never_shrink() {
    let cluster = Cluster::builder().topic("t", 2).start().unwrap();
    let mut client = Client::connect(&cluster);
    let request = |count, validate_only| CreatePartitionsRequest {
        topics: vec![CreatePartitionsTopic { name: "t".to_owned(), count, assignments: None }],
        timeout_ms: 1000,
        validate_only,
    };
    for (version, count) in [(0, 3), (1, 4), (2, 5), (3, 6)] {
        assert_eq!(client.call(version, &request(count, true)).results[0].error_code, 0);
        assert_eq!(cluster.log_end_offset("t", count - 1), None);
        assert_eq!(client.call(version, &request(count, false)).results[0].error_code, 0);
        assert_eq!(client.produce("t", count - 1, &Batch::numbered(1)).error_code, 0);
    }
    for count in [6, 1, 0, -1] {
        let result = client.call(3, &request(count, false)).results[0].clone();
        assert_eq!(result.error_code, ErrorCode::INVALID_PARTITIONS.0);
    }
    let mut assigned = request(8, false);
    let on = |broker| CreatePartitionsAssignment { broker_ids: vec![broker] };
    assigned.topics[0].assignments = Some(vec![on(1), on(2)]);
    let code = client.call(3, &assigned).results[0].error_code;
    assert_eq!(code, ErrorCode::INVALID_REPLICA_ASSIGNMENT.0);
    assigned.topics[0].assignments = Some(vec![on(1), on(1)]);
    assert_eq!(client.call(3, &assigned).results[0].error_code, 0);
    assert_eq!(metadata(&mut client, "t", false).partitions.len(), 8);
}

#[test]
fn topics_are_deleted_by_name_and_by_id_and_can_come_again() {
    let cluster = Cluster::builder().start().unwrap();
    let mut client = Client::connect(&cluster);
    let mut last_id = Uuid::ZERO;
    for version in DeleteTopicsRequest::VERSIONS.min..=DeleteTopicsRequest::VERSIONS.max {
        let id = metadata_id(&mut client, "t");
        assert_ne!(id, last_id);
        last_id = id;
        let first = client.produce("t", 0, &Batch::numbered(1));
        assert_eq!((first.error_code, first.base_offset), (0, 0));
        let mut request = DeleteTopicsRequest { timeout_ms: 1000, ..Default::default() };
        if version < 6 {
            request.topic_names = vec!["t".to_owned(), "nosuch".to_owned()];
        } else {
            let by_id = |topic_id| DeleteTopicState { name: None, topic_id };
            request.topics = vec![by_id(id), by_id(Uuid([1; 16]))];
        }
        let responses = client.call(version, &request).responses;
        assert_eq!(responses[0].error_code, 0);
        let unknown = match version {
            6 => ErrorCode::UNKNOWN_TOPIC_ID,
            _ => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        };
        assert_eq!(responses[1].error_code, unknown.0);
        assert_eq!(cluster.log_end_offset("t", 0), None);
    }
}

fn metadata_id(client: &mut Client, name: &str) -> Uuid {
    let topic = MetadataRequestTopic { name: Some(name.to_owned()), ..Default::default() };
    let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
    client.call(12, &request).topics[0].topic_id
}

#[test]
fn a_fetch_that_waits_hears_of_the_end_of_its_topic() {
    let cluster = Cluster::builder().topic("t", 1).start().unwrap();
    let mut reader = Client::connect(&cluster);
    let id = reader.send(11, &fetch_request("t", 0, 0, 60_000));
    let waits = |requests: &[ottla_broker::SeenRequest]| {
        requests.iter().any(|request| request.api == ApiKey::FETCH)
    };
    assert!(cluster.wait_for_requests(PATIENCE, waits));
    let request = DeleteTopicsRequest { topic_names: vec!["t".to_owned()], ..Default::default() };
    Client::connect(&cluster).call(4, &request);
    let response = reader.receive::<FetchRequest>(11, id);
    let code = response.responses[0].partitions[0].error_code;
    assert_eq!(code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0);
}

#[test]
fn a_topic_that_is_named_twice_in_one_request_is_left_alone() {
    let cluster = Cluster::builder().topic("t", 1).start().unwrap();
    let mut client = Client::connect(&cluster);
    let names = vec!["t".to_owned(), "t".to_owned()];
    let request = DeleteTopicsRequest { topic_names: names, ..Default::default() };
    let codes: Vec<i16> =
        client.call(4, &request).responses.iter().map(|answer| answer.error_code).collect();
    assert_eq!(codes, [ErrorCode::INVALID_REQUEST.0]);
    let grown = |count| CreatePartitionsTopic { name: "t".to_owned(), count, assignments: None };
    let request =
        CreatePartitionsRequest { topics: vec![grown(2), grown(3)], ..Default::default() };
    let codes: Vec<i16> =
        client.call(3, &request).results.iter().map(|answer| answer.error_code).collect();
    assert_eq!(codes, [ErrorCode::INVALID_REQUEST.0]);
    assert_eq!(metadata(&mut client, "t", false).partitions.len(), 1);
}

fn describe(client: &mut Client, kind: i8, name: &str, version: i16) -> Vec<(String, String, i8)> {
    let result = ask_in(client, (kind, name), version);
    assert_eq!(result.error_code, 0);
    let configs = result.configs.into_iter();
    configs.map(|c| (c.name, c.value.unwrap_or_default(), c.config_source)).collect()
}

#[test]
fn every_setting_says_what_it_does_to_those_who_ask_for_it() {
    let cluster = Cluster::builder().topic("t", 1).start().unwrap();
    let mut client = Client::connect(&cluster);
    let resource = |resource_type, name: &str| DescribeConfigsResource {
        resource_type,
        resource_name: name.to_owned(),
        configuration_keys: None,
    };
    for include_documentation in [true, false] {
        let request = DescribeConfigsRequest {
            resources: vec![resource(TOPIC, "t"), resource(BROKER, "1")],
            include_documentation,
            ..Default::default()
        };
        let results = client.call(4, &request).results;
        for config in results.iter().flat_map(|result| &result.configs) {
            let says = config.documentation.as_ref().is_some_and(|words| !words.is_empty());
            assert_eq!(says, include_documentation, "{}", config.name);
            assert_ne!(config.config_type, 0, "{}", config.name);
        }
        assert_eq!(results.len(), 2);
        let of_broker: Vec<&str> = results[1].configs.iter().map(|c| c.name.as_str()).collect();
        assert!(of_broker.is_sorted() && of_broker.contains(&"transaction.max.timeout.ms"));
    }
}

fn value_of(configs: &[(String, String, i8)], name: &str) -> (String, i8) {
    let found = configs.iter().find(|(key, ..)| key == name).expect("the setting");
    (found.1.clone(), found.2)
}

#[test]
fn settings_are_described_and_changed_one_by_one_or_all_at_once() {
    let cluster = Cluster::builder().topic_with("t", 1, [("segment.ms", "9000")]).start().unwrap();
    let mut client = Client::connect(&cluster);
    for version in 1..=4 {
        let configs = describe(&mut client, TOPIC, "t", version);
        assert_eq!(value_of(&configs, "segment.ms"), ("9000".to_owned(), 1));
        assert_eq!(value_of(&configs, "max.message.bytes"), ("1048588".to_owned(), 5));
        assert!(!describe(&mut client, BROKER, "1", version).is_empty());
    }
    let change = |name: &str, operation, value: Option<&str>| IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: TOPIC,
            resource_name: "t".to_owned(),
            configs: vec![AlterableConfig {
                name: name.to_owned(),
                config_operation: operation,
                value: value.map(str::to_owned),
            }],
        }],
        validate_only: false,
    };
    for request in [
        change("max.message.bytes", 0, Some("200")),
        change("segment.ms", 1, None),
        change("cleanup.policy", 2, Some("compact")),
        change("cleanup.policy", 3, Some("delete")),
    ] {
        assert_eq!(client.call(1, &request).responses[0].error_code, 0);
    }
    let configs = describe(&mut client, TOPIC, "t", 4);
    assert_eq!(value_of(&configs, "segment.ms"), ("604800000".to_owned(), 5));
    assert_eq!(value_of(&configs, "cleanup.policy"), ("compact".to_owned(), 1));
    let answer = client.produce("t", 0, &Batch::of([vec![0; 300]]));
    assert_eq!(answer.error_code, ErrorCode::MESSAGE_TOO_LARGE.0);
    assert_eq!(client.produce("t", 0, &Batch::numbered(1)).error_code, ErrorCode::INVALID_RECORD.0);
    for request in [
        change("max.message.bytes", 0, Some("many")),
        change("max.message.bytes", 2, Some("5")),
        change("no.such", 0, Some("5")),
    ] {
        let code = client.call(0, &request).responses[0].error_code;
        assert_eq!(code, ErrorCode::INVALID_CONFIG.0);
    }
    let replace = AlterConfigsRequest {
        resources: vec![ReplaceResource {
            resource_type: TOPIC,
            resource_name: "t".to_owned(),
            configs: vec![Replacement {
                name: "retention.ms".to_owned(),
                value: Some("77".to_owned()),
            }],
        }],
        validate_only: false,
    };
    for version in 0..=2 {
        assert_eq!(client.call(version, &replace).responses[0].error_code, 0);
    }
    let configs = describe(&mut client, TOPIC, "t", 4);
    assert_eq!(value_of(&configs, "retention.ms"), ("77".to_owned(), 1));
    assert_eq!(value_of(&configs, "max.message.bytes"), ("1048588".to_owned(), 5));
    assert_eq!(client.produce("t", 0, &Batch::numbered(1)).error_code, 0);
}

#[test]
fn deleted_records_are_gone_and_the_rest_stays() {
    let cluster = Cluster::builder().topic("t", 1).start().unwrap();
    let mut client = Client::connect(&cluster);
    client.produce("t", 0, &Batch::numbered(10).at(NOW_MS));
    let request = |offset| DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: "t".to_owned(),
            partitions: vec![DeleteRecordsPartition { partition_index: 0, offset }],
        }],
        timeout_ms: 1000,
    };
    for (version, offset) in [(0, 2), (1, 3), (2, 4)] {
        let partition = client.call(version, &request(offset)).topics[0].partitions[0].clone();
        assert_eq!((partition.error_code, partition.low_watermark), (0, offset));
    }
    let code = client.fetch("t", 0, 3, 0).responses[0].partitions[0].error_code;
    assert_eq!(code, ErrorCode::OFFSET_OUT_OF_RANGE.0);
    let partition = client.fetch("t", 0, 4, 0).responses[0].partitions[0].clone();
    assert_eq!((partition.error_code, partition.log_start_offset), (0, 4));
    let code = client.call(2, &request(11)).topics[0].partitions[0].error_code;
    assert_eq!(code, ErrorCode::OFFSET_OUT_OF_RANGE.0);
    let partition = client.call(2, &request(-1)).topics[0].partitions[0].clone();
    assert_eq!(partition.low_watermark, 10);
}

/// A client that made its topic anew while a broker was down heard of a replication factor that
/// cannot be had.
#[test]
fn a_topic_gets_replicas_on_brokers_that_are_away_too_but_last() {
    let cluster = Cluster::builder().nodes(3).start().unwrap();
    cluster.kill_node(2).unwrap();
    let mut client = Client::connect(&cluster);
    let wanted = |factor| CreatableTopic { replication_factor: factor, ..creatable("t", 4) };
    assert_eq!(create(&mut client, wanted(3)).0, ErrorCode::NONE);
    for partition in 0..4 {
        let state = cluster.partition("t", partition).unwrap();
        assert_eq!((state.replicas.len(), state.replicas[2]), (3, 2));
        assert!(!state.in_sync.contains(&2) && state.leader != Some(2), "{state:?}");
    }
    let fewer = CreatableTopic { name: "few".to_owned(), ..wanted(2) };
    assert_eq!(create(&mut client, fewer).0, ErrorCode::NONE);
    assert!(!cluster.partition("few", 0).unwrap().replicas.contains(&2));

    let led_by_first = |index: &i32| cluster.partition("t", *index).unwrap().leader == Some(1);
    let index = (0..4).find(led_by_first).unwrap();
    assert_eq!(client.produce("t", index, &Batch::numbered(3)).error_code, 0);
    cluster.start_node(2).unwrap();
    assert!(cluster.wait_until_in_sync(PATIENCE));
    cluster.move_leader("t", index, 2).unwrap();
    assert_eq!(cluster.partition("t", index).unwrap().log_end, 3);
}
