//! Settings of brokers, groups and subscriptions of client metrics: set, told, kept, and what they
//! do.

mod common;

use std::time::{Duration, Instant};

use common::Batch;
use common::client::{Client, PATIENCE};
use common::consumer_member as consumer;
use ottla_broker::{Acl, Cluster, ErrorCode, Operation};
use ottla_protocol::messages::alter_configs::{
    AlterConfigsRequest, AlterConfigsResource as ReplaceResource, AlterableConfig as Replacement,
};
use ottla_protocol::messages::consumer_group_describe::ConsumerGroupDescribeRequest;
use ottla_protocol::messages::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;
use ottla_protocol::messages::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use ottla_protocol::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use ottla_protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    DescribeConfigsResult,
};
use ottla_protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use ottla_protocol::messages::list_config_resources::ListConfigResourcesRequest;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const LOGGER: i8 = 8;
const METRICS: i8 = 16;
const GROUP: i8 = 32;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;

const SESSION: &str = "consumer.session.timeout.ms";
const INTERVAL: &str = "consumer.heartbeat.interval.ms";

const OK: ErrorCode = ErrorCode::NONE;
const INVALID_CONFIG: ErrorCode = ErrorCode::INVALID_CONFIG;
const INVALID_REQUEST: ErrorCode = ErrorCode::INVALID_REQUEST;

fn request(
    (kind, name): (i8, &str),
    rows: &[(&str, i8, Option<&str>)],
) -> IncrementalAlterConfigsRequest {
    let configs = rows.iter().map(|(name, operation, value)| AlterableConfig {
        name: (*name).to_owned(),
        config_operation: *operation,
        value: value.map(str::to_owned),
    });
    IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: kind,
            resource_name: name.to_owned(),
            configs: configs.collect(),
        }],
        validate_only: false,
    }
}

fn change(client: &mut Client, of: (i8, &str), rows: &[(&str, i8, Option<&str>)]) -> ErrorCode {
    let answer = client.call(1, &request(of, rows)).responses.remove(0);
    assert_eq!(answer.error_message.is_some(), answer.error_code != 0);
    // What is wrong with one setting is told by its name.
    if ErrorCode(answer.error_code) == INVALID_CONFIG && rows.len() == 1 && of.0 != LOGGER {
        let message = answer.error_message.unwrap_or_default();
        assert!(message.contains(rows[0].0), "{message}");
    }
    ErrorCode(answer.error_code)
}

fn set(client: &mut Client, of: (i8, &str), name: &str, value: &str) -> ErrorCode {
    change(client, of, &[(name, SET, Some(value))])
}

fn delete(client: &mut Client, of: (i8, &str), name: &str) -> ErrorCode {
    change(client, of, &[(name, DELETE, None)])
}

fn replace(client: &mut Client, (kind, name): (i8, &str), rows: &[(&str, &str)]) -> ErrorCode {
    let configs = rows.iter().map(|(name, value)| Replacement {
        name: (*name).to_owned(),
        value: Some((*value).to_owned()),
    });
    let request = AlterConfigsRequest {
        resources: vec![ReplaceResource {
            resource_type: kind,
            resource_name: name.to_owned(),
            configs: configs.collect(),
        }],
        validate_only: false,
    };
    ErrorCode(client.call(2, &request).responses[0].error_code)
}

fn ask(client: &mut Client, (kind, name): (i8, &str)) -> DescribeConfigsResult {
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: kind,
            resource_name: name.to_owned(),
            configuration_keys: None,
        }],
        include_synonyms: true,
        include_documentation: true,
    };
    client.call(4, &request).results.remove(0)
}

fn code(client: &mut Client, of: (i8, &str)) -> ErrorCode {
    let answer = ask(client, of);
    assert!(answer.error_code == 0 || answer.configs.is_empty());
    ErrorCode(answer.error_code)
}

fn row(client: &mut Client, of: (i8, &str), name: &str) -> DescribeConfigsResourceResult {
    let answer = ask(client, of);
    assert_eq!(answer.error_code, 0);
    answer.configs.into_iter().find(|row| row.name == name).expect("the setting")
}

/// The value and all that would hold without it, each with its name and its source.
fn told(client: &mut Client, of: (i8, &str), name: &str) -> String {
    let row = row(client, of, name);
    let first = row.synonyms.first();
    assert!(first.is_none_or(|first| first.source == row.config_source));
    let synonyms = row
        .synonyms
        .iter()
        .map(|it| format!("{}={}@{}", it.name, it.value.as_deref().unwrap_or_default(), it.source));
    let value = format!("{}@{}", row.value.unwrap_or_default(), row.config_source);
    [value].into_iter().chain(synonyms).collect::<Vec<_>>().join(" ")
}

fn listed(client: &mut Client, kinds: &[i8]) -> Vec<(i8, String)> {
    let request = ListConfigResourcesRequest { resource_types: kinds.to_vec() };
    let answer = client.call(1, &request);
    assert_eq!(answer.error_code, 0);
    let all = answer.config_resources.into_iter();
    all.map(|it| (it.resource_type, it.resource_name)).collect()
}

fn one() -> (Cluster, Client) {
    let cluster = Cluster::builder().topic("t", 1).start().unwrap();
    let client = Client::connect(&cluster);
    (cluster, client)
}

#[test]
fn a_groups_settings_are_told_with_what_holds_without_them() {
    let (_cluster, mut client) = one();
    let of = (GROUP, "g");
    let default = "45000@5 group.consumer.session.timeout.ms=45000@5";
    assert_eq!(told(&mut client, of, SESSION), default);
    assert_eq!(listed(&mut client, &[GROUP]), []);
    assert_eq!(set(&mut client, of, SESSION, " 50000 "), OK);
    let own = "50000@8 consumer.session.timeout.ms=50000@8";
    let expected = format!("{own} group.consumer.session.timeout.ms=45000@5");
    assert_eq!(told(&mut client, of, SESSION), expected);
    assert!(told(&mut client, (GROUP, "other"), SESSION).starts_with("45000@5"));
    assert_eq!(listed(&mut client, &[GROUP]), [(GROUP, "g".to_owned())]);
    // What is replaced leaves nothing of what was there.
    assert_eq!(replace(&mut client, of, &[(INTERVAL, "6000")]), OK);
    assert_eq!(told(&mut client, of, SESSION), default);
    assert!(told(&mut client, of, INTERVAL).starts_with("6000@8"));
    assert_eq!(delete(&mut client, of, INTERVAL), OK);
    assert_eq!(delete(&mut client, of, INTERVAL), OK);
    assert_eq!(listed(&mut client, &[GROUP]), []);
}

#[test]
fn a_group_is_refused_what_kafka_refuses_and_what_would_do_nothing() {
    let (_cluster, mut client) = one();
    let of = (GROUP, "g");
    for (name, value) in [
        (SESSION, "44999"),
        (SESSION, "60001"),
        (SESSION, "0"),
        (SESSION, "-1"),
        (SESSION, "soon"),
        (SESSION, ""),
        (SESSION, "99999999999999999999"),
        (INTERVAL, "4999"),
        (INTERVAL, "15001"),
        ("no.such", "1"),
        ("share.session.timeout.ms", "50000"),
        ("share.auto.offset.reset", "earliest"),
        ("streams.heartbeat.interval.ms", "5000"),
        ("consumer.assignment.interval.ms", "5000"),
    ] {
        assert_eq!(set(&mut client, of, name, value), INVALID_CONFIG, "{name}={value}");
        assert_eq!(replace(&mut client, of, &[(name, value)]), INVALID_CONFIG, "{name}={value}");
    }
    let rows = [(SESSION, SET, Some("50000")), (INTERVAL, SET, Some("1"))];
    assert_eq!(change(&mut client, of, &rows), INVALID_CONFIG);
    assert_eq!(change(&mut client, of, &[(SESSION, APPEND, Some("1"))]), INVALID_CONFIG);
    assert_eq!(change(&mut client, of, &[(SESSION, SET, None)]), INVALID_REQUEST);
    assert_eq!(change(&mut client, of, &[(SESSION, 9, Some("50000"))]), INVALID_REQUEST);
    assert_eq!(set(&mut client, (GROUP, ""), SESSION, "50000"), INVALID_REQUEST);
    assert_eq!(code(&mut client, (GROUP, "")), INVALID_REQUEST);
    let checked = IncrementalAlterConfigsRequest {
        validate_only: true,
        ..request(of, &[(SESSION, SET, Some("50000"))])
    };
    assert_eq!(client.call(1, &checked).responses[0].error_code, 0);
    assert_eq!(listed(&mut client, &[GROUP]), []);
    // None of them is there, so all can be taken away.
    assert_eq!(delete(&mut client, of, "share.session.timeout.ms"), OK);
}

#[test]
fn members_are_held_to_the_settings_of_their_group_from_the_next_heartbeat_on() {
    let timeouts = (Duration::from_millis(20), Duration::from_millis(200));
    let cluster = Cluster::builder()
        .topic("t", 1)
        .group_consumer_timeouts(timeouts.0, timeouts.1)
        .start()
        .unwrap();
    let mut client = Client::connect(&cluster);
    let of = |group: &str, request| ConsumerGroupHeartbeatRequest {
        group_id: group.to_owned(),
        ..request
    };
    let kept = client.call(1, &of("kept", consumer::joins("a")));
    assert_eq!(kept.heartbeat_interval_ms, 20);
    let rows = [(SESSION, SET, Some("60000")), (INTERVAL, SET, Some("7000"))];
    assert_eq!(change(&mut client, (GROUP, "kept"), &rows), OK);
    let kept = client.call(1, &of("kept", consumer::beats(&kept)));
    assert_eq!((kept.error_code, kept.heartbeat_interval_ms), (0, 7000));

    // One of another group, who is silent just as long.
    let begun = Instant::now();
    let lost = client.call(1, &of("lost", consumer::joins("b")));
    let beat = of("lost", consumer::beats(&lost));
    let members = ConsumerGroupDescribeRequest {
        group_ids: vec!["lost".to_owned()],
        include_authorized_operations: false,
    };
    while !client.call(1, &members).groups[0].members.is_empty() {
        assert!(begun.elapsed() < PATIENCE, "the member is still there");
        std::thread::yield_now();
    }
    assert!(begun.elapsed() >= timeouts.1);
    assert_eq!(consumer::code(&client.call(1, &beat)), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(consumer::code(&client.call(1, &of("kept", consumer::beats(&kept)))), OK);
    // The same group by its default again.
    assert_eq!(delete(&mut client, (GROUP, "kept"), INTERVAL), OK);
    let kept = client.call(1, &of("kept", consumer::beats(&kept)));
    assert_eq!((kept.error_code, kept.heartbeat_interval_ms), (0, 20));
}

#[test]
fn settings_outlive_a_kill_and_hold_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let start = || Cluster::builder().topic("t", 1).data_dir(dir.path()).start().unwrap();
    let cluster = start();
    let mut client = Client::connect(&cluster);
    assert_eq!(set(&mut client, (GROUP, "g"), SESSION, "50000"), OK);
    assert_eq!(set(&mut client, (GROUP, "gone"), SESSION, "50000"), OK);
    assert_eq!(delete(&mut client, (GROUP, "gone"), SESSION), OK);
    assert_eq!(set(&mut client, (BROKER, "1"), "message.max.bytes", "200"), OK);
    assert_eq!(set(&mut client, (BROKER, ""), "log.roll.ms", "9000"), OK);
    assert_eq!(set(&mut client, (METRICS, "m"), "interval.ms", "1000"), OK);
    cluster.kill();

    let cluster = start();
    let mut client = Client::connect(&cluster);
    let kept = [(METRICS, "m".to_owned()), (GROUP, "g".to_owned())];
    assert_eq!(listed(&mut client, &[METRICS, GROUP]), kept);
    assert!(told(&mut client, (GROUP, "g"), SESSION).starts_with("50000@8"));
    assert!(told(&mut client, (BROKER, "1"), "log.roll.ms").starts_with("9000@3"));
    let answer = client.produce("t", 0, &Batch::of([vec![0; 300]]));
    assert_eq!(answer.error_code, ErrorCode::MESSAGE_TOO_LARGE.0);
}

#[test]
fn a_disk_that_takes_nothing_leaves_all_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::builder().topic("t", 1).data_dir(dir.path()).start().unwrap();
    let mut client = Client::connect(&cluster);
    // Where the file would be, none can be.
    std::fs::create_dir(dir.path().join("resource-settings.jsonl")).unwrap();
    let failed = ErrorCode::KAFKA_STORAGE_ERROR;
    assert_eq!(set(&mut client, (GROUP, "g"), SESSION, "50000"), failed);
    assert_eq!(set(&mut client, (BROKER, "1"), "message.max.bytes", "200"), failed);
    assert_eq!(set(&mut client, (METRICS, "m"), "interval.ms", "1000"), failed);
    assert_eq!(listed(&mut client, &[GROUP, METRICS]), []);
    assert!(told(&mut client, (BROKER, "1"), "message.max.bytes").starts_with("1048588@5"));
    assert_eq!(client.produce("t", 0, &Batch::of([vec![0; 300]])).error_code, 0);
    std::fs::remove_dir(dir.path().join("resource-settings.jsonl")).unwrap();
    assert_eq!(set(&mut client, (GROUP, "g"), SESSION, "50000"), OK);
}

#[test]
fn a_brokers_setting_holds_before_that_of_all_brokers_and_a_topics_before_both() {
    let cluster = Cluster::builder().nodes(2).topic_replicated("t", 1, 2).start().unwrap();
    let leader = cluster.partition("t", 0).and_then(|state| state.leader).expect("a leader");
    let mut client = Client::connect_to(&cluster.addresses()[leader as usize - 1].to_string());
    let id = leader.to_string();
    let (own, all) = ((BROKER, id.as_str()), (BROKER, ""));
    const NAME: &str = "message.max.bytes";
    let is_too_large = |client: &mut Client, size: usize| {
        let answer = client.produce("t", 0, &Batch::of([vec![0; size]]));
        assert!([OK, ErrorCode::MESSAGE_TOO_LARGE].contains(&ErrorCode(answer.error_code)));
        answer.error_code != 0
    };
    assert_eq!(told(&mut client, own, NAME), "1048588@5 message.max.bytes=1048588@5");
    assert!(!is_too_large(&mut client, 300));
    assert_eq!(set(&mut client, all, NAME, "200"), OK);
    assert!(is_too_large(&mut client, 300));
    assert_eq!(set(&mut client, own, NAME, "400"), OK);
    assert!(!is_too_large(&mut client, 300) && is_too_large(&mut client, 500));
    let of_brokers = "message.max.bytes=400@2 message.max.bytes=200@3 message.max.bytes=1048588@5";
    assert_eq!(told(&mut client, own, NAME), format!("400@2 {of_brokers}"));
    assert_eq!(told(&mut client, all, NAME), "200@3 message.max.bytes=200@3");
    assert_eq!(ask(&mut client, all).configs.len(), 1);
    assert!(!row(&mut client, own, NAME).read_only);
    let topic = (TOPIC, "t");
    assert_eq!(told(&mut client, topic, "max.message.bytes"), format!("400@2 {of_brokers}"));
    assert_eq!(set(&mut client, topic, "max.message.bytes", "600"), OK);
    let expected = format!("600@1 max.message.bytes=600@1 {of_brokers}");
    assert_eq!(told(&mut client, topic, "max.message.bytes"), expected);
    assert!(!is_too_large(&mut client, 500));
    for (of, name) in [(topic, "max.message.bytes"), (own, NAME), (all, NAME)] {
        assert_eq!(delete(&mut client, of, name), OK);
    }
    assert!(!is_too_large(&mut client, 5000));
    assert_eq!(ask(&mut client, all).configs, []);
}

#[test]
fn what_brokers_give_to_topics_is_for_new_partitions_and_revived_nodes_too() {
    let (cluster, mut client) = one();
    assert_eq!(set(&mut client, (BROKER, ""), "message.max.bytes", "200"), OK);
    let grow = CreatePartitionsRequest {
        topics: vec![CreatePartitionsTopic { name: "t".to_owned(), count: 2, assignments: None }],
        timeout_ms: 1000,
        validate_only: false,
    };
    assert_eq!(client.call(3, &grow).results[0].error_code, 0);
    let new = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: "new".to_owned(),
            num_partitions: 1,
            replication_factor: 1,
            ..CreatableTopic::default()
        }],
        ..CreateTopicsRequest::default()
    };
    let answer = client.call(7, &new).topics.remove(0);
    let configs = answer.configs.unwrap_or_default();
    let size = configs.iter().find(|config| config.name == "max.message.bytes").unwrap();
    assert_eq!((size.value.as_deref(), size.config_source), (Some("200"), 3));
    let large = ErrorCode::MESSAGE_TOO_LARGE.0;
    for (topic, partition) in [("t", 0), ("t", 1), ("new", 0)] {
        let answer = client.produce(topic, partition, &Batch::of([vec![0; 300]]));
        assert_eq!(answer.error_code, large, "{topic} {partition}");
    }
    cluster.kill_node(1).unwrap();
    cluster.start_node(1).unwrap();
    let is_led = |state: &ottla_broker::PartitionState| state.leader == Some(1);
    assert!(cluster.wait_for_partition("t", 0, PATIENCE, is_led));
    let mut client = Client::connect(&cluster);
    assert_eq!(client.produce("t", 0, &Batch::of([vec![0; 300]])).error_code, large);
}

#[test]
fn the_in_sync_replicas_that_topics_want_can_be_given_to_all_brokers() {
    const NAME: &str = "min.insync.replicas";
    let cluster = Cluster::builder()
        .nodes(2)
        .topic_replicated("t", 1, 2)
        .node_session_timeout(Duration::from_millis(50))
        .start()
        .unwrap();
    let leader = cluster.partition("t", 0).and_then(|state| state.leader).expect("a leader");
    cluster.kill_node(3 - leader).unwrap();
    assert!(cluster.wait_for_partition("t", 0, PATIENCE, |state| state.in_sync == [leader]));
    let mut client = Client::connect_to(&cluster.addresses()[leader as usize - 1].to_string());
    assert_eq!(set(&mut client, (BROKER, "1"), NAME, "2"), INVALID_CONFIG);
    assert_eq!(set(&mut client, (BROKER, ""), NAME, "0"), INVALID_REQUEST);
    assert_eq!(client.produce("t", 0, &Batch::numbered(1)).error_code, 0);
    assert_eq!(set(&mut client, (BROKER, ""), NAME, "2"), OK);
    let few = ErrorCode::NOT_ENOUGH_REPLICAS.0;
    assert_eq!(client.produce("t", 0, &Batch::numbered(1)).error_code, few);
    let expected = "2@3 min.insync.replicas=2@3 min.insync.replicas=1@5";
    assert_eq!(told(&mut client, (TOPIC, "t"), NAME), expected);
    assert_eq!(told(&mut client, (BROKER, "1"), NAME), expected);
    assert_eq!(delete(&mut client, (BROKER, ""), NAME), OK);
    assert_eq!(client.produce("t", 0, &Batch::numbered(1)).error_code, 0);
}

#[test]
fn a_replica_that_is_not_in_sync_leads_once_all_brokers_or_its_topic_are_told_so() {
    for told in [(BROKER, ""), (TOPIC, "t")] {
        leads_unclean_once_told(told);
    }
}

fn leads_unclean_once_told(told: (i8, &str)) {
    let cluster = Cluster::builder()
        .nodes(3)
        .topic_replicated("t", 1, 2)
        .node_session_timeout(Duration::from_millis(50))
        .start()
        .unwrap();
    let state = cluster.partition("t", 0).unwrap();
    let first = state.leader.unwrap();
    let second = *state.replicas.iter().find(|id| **id != first).unwrap();
    let third = cluster.node_ids().into_iter().find(|id| !state.replicas.contains(id)).unwrap();
    cluster.kill_node(second).unwrap();
    assert!(cluster.wait_for_partition("t", 0, PATIENCE, |state| state.in_sync == [first]));
    cluster.kill_node(first).unwrap();
    cluster.start_node(second).unwrap();
    assert!(cluster.wait_for_partition("t", 0, PATIENCE, |state| state.leader.is_none()));
    let mut client = Client::connect_to(&cluster.addresses()[third as usize - 1].to_string());
    assert_eq!(set(&mut client, told, "unclean.leader.election.enable", "true"), OK);
    let is_led = |state: &ottla_broker::PartitionState| state.leader == Some(second);
    assert!(cluster.wait_for_partition("t", 0, PATIENCE, is_led));
}

#[test]
fn a_broker_takes_no_more_connections_than_it_was_told_last() {
    let (cluster, mut client) = one();
    let mut second = Client::connect(&cluster);
    assert!(second.is_served());
    assert_eq!(set(&mut client, (BROKER, "1"), "max.connections", "0"), INVALID_REQUEST);
    assert_eq!(set(&mut client, (BROKER, "1"), "max.connections", "2"), OK);
    assert!(Client::connect(&cluster).is_closed_by_broker());
    assert!(second.is_served());
    assert_eq!(set(&mut client, (BROKER, "1"), "max.connections", "3"), OK);
    assert!(Client::connect(&cluster).is_served());
}

#[test]
fn a_broker_is_refused_what_is_fixed_unknown_wrong_or_would_do_nothing() {
    let (_cluster, mut client) = one();
    for of in [(BROKER, "1"), (BROKER, "")] {
        for (name, value, expected) in [
            ("num.partitions", "5", INVALID_REQUEST),
            ("socket.request.max.bytes", "5000", INVALID_REQUEST),
            ("message.max.bytes", "many", INVALID_REQUEST),
            ("message.max.bytes", "-1", INVALID_REQUEST),
            ("log.cleanup.policy", "burn", INVALID_REQUEST),
            ("compression.type", "brotli", INVALID_REQUEST),
            ("no.such", "1", INVALID_CONFIG),
            ("leader.replication.throttled.rate", "5", INVALID_CONFIG),
            ("log.cleaner.threads", "5", INVALID_CONFIG),
            ("num.io.threads", "5", INVALID_CONFIG),
            ("listener.name.x.ssl.keystore.location", "/x", INVALID_CONFIG),
        ] {
            assert_eq!(set(&mut client, of, name, value), expected, "{of:?} {name}={value}");
            assert_eq!(replace(&mut client, of, &[(name, value)]), expected, "{name}={value}");
            assert_eq!(delete(&mut client, of, name), OK, "{name}");
        }
        let rows =
            [("log.roll.ms", SET, Some("5")), ("leader.replication.throttled.rate", DELETE, None)];
        assert_eq!(change(&mut client, of, &rows), OK);
        assert_eq!(change(&mut client, of, &[("log.roll.ms", APPEND, Some("5"))]), INVALID_CONFIG);
        let list = [("log.cleanup.policy", APPEND, Some("compact"))];
        assert_eq!(change(&mut client, of, &list), OK);
        assert!(told(&mut client, of, "log.cleanup.policy").starts_with("delete,compact@"));
    }
    for name in ["2", "-1", "one", "01", " 1"] {
        assert_eq!(set(&mut client, (BROKER, name), "log.roll.ms", "5"), INVALID_REQUEST);
        assert_eq!(code(&mut client, (BROKER, name)), INVALID_REQUEST, "{name}");
        assert_eq!(code(&mut client, (LOGGER, name)), INVALID_REQUEST, "{name}");
    }
}

#[test]
fn a_node_tells_its_id_and_its_folder_and_nothing_that_cannot_be_set_is_said_to_be() {
    let dir = tempfile::tempdir().unwrap();
    let builder = Cluster::builder().nodes(2).data_dir(dir.path());
    let cluster = builder.auto_create_topics(false).start().unwrap();
    let mut client = Client::connect(&cluster);
    for id in ["1", "2"] {
        let of = (BROKER, id);
        assert_eq!(row(&mut client, of, "node.id").value.as_deref(), Some(id));
        assert_eq!(row(&mut client, of, "broker.id").value.as_deref(), Some(id));
        let folder = row(&mut client, of, "log.dirs").value.unwrap();
        assert!(std::path::Path::new(&folder).join("meta.properties").exists(), "{folder}");
        let own = "false@4 auto.create.topics.enable=false@4 auto.create.topics.enable=true@5";
        assert_eq!(told(&mut client, of, "auto.create.topics.enable"), own);
        for row in ask(&mut client, of).configs {
            let value = row.value.clone().unwrap_or_default();
            let is_for_all = ["min.insync.replicas", "unclean.leader.election.enable"];
            let target = if is_for_all.contains(&&*row.name) { (BROKER, "") } else { of };
            let expected = if row.read_only { INVALID_REQUEST } else { OK };
            assert_eq!(set(&mut client, target, &row.name, &value), expected, "{}", row.name);
        }
    }
}

#[test]
fn subscriptions_of_client_metrics_are_kept_and_told() {
    let (_cluster, mut client) = one();
    let of = (METRICS, "m");
    assert_eq!(told(&mut client, of, "interval.ms"), "300000@5");
    assert_eq!(told(&mut client, of, "metrics"), "@5");
    assert_eq!(set(&mut client, of, "interval.ms", "1000"), OK);
    assert_eq!(set(&mut client, of, "metrics", "org.a,org.b"), OK);
    let append = [("metrics", APPEND, Some("org.c"))];
    assert_eq!(change(&mut client, of, &append), INVALID_CONFIG);
    assert_eq!(set(&mut client, of, "match", "client_id=a.*"), OK);
    assert_eq!(told(&mut client, of, "interval.ms"), "1000@7 interval.ms=1000@7");
    assert!(told(&mut client, of, "metrics").starts_with("org.a,org.b@7"));
    let answer = client.call(0, &ListConfigResourcesRequest::default());
    assert_eq!(answer.config_resources[0].resource_name, "m");
    for (name, value, expected) in [
        ("interval.ms", "99", INVALID_REQUEST),
        ("interval.ms", "soon", INVALID_CONFIG),
        ("match", "colour=blue", INVALID_CONFIG),
        ("no.such", "1", INVALID_REQUEST),
    ] {
        assert_eq!(set(&mut client, of, name, value), expected, "{name}={value}");
    }
    assert_eq!(set(&mut client, (METRICS, ""), "interval.ms", "1000"), INVALID_REQUEST);
    assert_eq!(code(&mut client, (METRICS, "")), INVALID_REQUEST);
    for name in ["interval.ms", "metrics", "match", "no.such"] {
        assert_eq!(delete(&mut client, of, name), OK);
    }
    assert_eq!(listed(&mut client, &[METRICS]), []);
}

#[test]
fn loggers_have_no_levels_and_other_things_no_settings() {
    let (_cluster, mut client) = one();
    assert_eq!(ask(&mut client, (LOGGER, "1")).configs, []);
    assert_eq!(code(&mut client, (LOGGER, "1")), OK);
    assert_eq!(set(&mut client, (LOGGER, "1"), "root", "DEBUG"), INVALID_CONFIG);
    assert_eq!(set(&mut client, (LOGGER, "9"), "root", "DEBUG"), INVALID_REQUEST);
    for kind in [0, 1, 3, 5, 64, 99, -1] {
        assert_eq!(code(&mut client, (kind, "1")), INVALID_REQUEST);
        assert_eq!(set(&mut client, (kind, "1"), "a", "b"), INVALID_REQUEST);
        assert_eq!(replace(&mut client, (kind, "1"), &[("a", "b")]), INVALID_REQUEST);
    }
}

#[test]
fn settings_are_for_those_who_may_describe_and_alter_them() {
    let (cluster, mut client) = one();
    cluster.deny(Acl::cluster().operation(Operation::AlterConfigs));
    let denied = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
    for of in [(BROKER, "1"), (BROKER, ""), (LOGGER, "1"), (METRICS, "m")] {
        assert_eq!(set(&mut client, of, "log.roll.ms", "5"), denied, "{of:?}");
        assert_eq!(code(&mut client, of), OK);
    }
    assert_eq!(set(&mut client, (GROUP, "g"), SESSION, "50000"), OK);
    cluster.deny(Acl::cluster().operation(Operation::DescribeConfigs));
    for of in [(BROKER, "1"), (BROKER, ""), (LOGGER, "1"), (METRICS, "m")] {
        assert_eq!(code(&mut client, of), denied, "{of:?}");
    }
    assert_eq!(code(&mut client, (GROUP, "g")), OK);
    let denied = ErrorCode::GROUP_AUTHORIZATION_FAILED;
    cluster.deny(Acl::group("g").operation(Operation::AlterConfigs));
    assert_eq!(set(&mut client, (GROUP, "g"), SESSION, "51000"), denied);
    cluster.deny(Acl::group("g").operation(Operation::DescribeConfigs));
    assert_eq!(code(&mut client, (GROUP, "g")), denied);
    assert_eq!(code(&mut client, (GROUP, "h")), OK);
}

#[test]
fn what_says_that_there_is_no_tiered_storage_is_taken_and_the_rest_of_it_is_not() {
    let (_cluster, mut client) = one();
    let of = (TOPIC, "t");
    for (name, value, other) in [
        ("remote.storage.enable", "false", "true"),
        ("remote.log.copy.disable", "false", "true"),
        ("remote.log.delete.on.disable", "false", "true"),
        ("local.retention.ms", "-2", "1000"),
        ("local.retention.bytes", "-2", "-1"),
    ] {
        assert_eq!(told(&mut client, of, name), format!("{value}@5"));
        assert_eq!(set(&mut client, of, name, other), INVALID_CONFIG, "{name}");
        assert_eq!(set(&mut client, of, name, value), OK, "{name}");
    }
}
