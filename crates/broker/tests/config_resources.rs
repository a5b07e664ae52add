//! Settings of brokers, groups and subscriptions of client metrics: set, told, kept, and what they
//! do.

mod common;

use std::time::{Duration, Instant};

use common::Batch;
use common::client::{Client, PATIENCE};
use common::configs::{
    APPEND, BROKER, GROUP, INTERVAL, INVALID_CONFIG, INVALID_REQUEST, LOGGER, METRICS, OK, SESSION,
    SET, TOPIC, ask, change, code, delete, listed, one, replace, request, set, told,
};
use common::consumer_member as consumer;
use ottla_broker::{Acl, Cluster, ErrorCode, Operation};
use ottla_protocol::messages::consumer_group_describe::ConsumerGroupDescribeRequest;
use ottla_protocol::messages::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;
use ottla_protocol::messages::incremental_alter_configs::IncrementalAlterConfigsRequest;
use ottla_protocol::messages::list_config_resources::ListConfigResourcesRequest;

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
