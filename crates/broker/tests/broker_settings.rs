//! Settings of brokers that are given while they run.

mod common;

use std::time::Duration;

use common::Batch;
use common::client::{Client, PATIENCE};
use common::configs::{
    APPEND, BROKER, DELETE, INVALID_CONFIG, INVALID_REQUEST, LOGGER, OK, SET, TOPIC, ask, change,
    code, delete, one, replace, row, set, told,
};
use ottla_broker::{Cluster, ErrorCode};
use ottla_protocol::messages::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use ottla_protocol::messages::create_topics::{CreatableTopic, CreateTopicsRequest};

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
