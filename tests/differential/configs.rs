//! DescribeConfigs, AlterConfigs, IncrementalAlterConfigs, ListConfigResources.

use ottla_protocol::messages::alter_configs::{
    AlterConfigsRequest, AlterConfigsResource, AlterableConfig,
};
use ottla_protocol::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use ottla_protocol::messages::incremental_alter_configs as incremental;
use ottla_protocol::messages::incremental_alter_configs::IncrementalAlterConfigsRequest;
use ottla_protocol::messages::list_config_resources::ListConfigResourcesRequest;
use ottla_tests::needs;

use super::pair::Pair;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const LOGGER: i8 = 8;
const METRICS: i8 = 16;
const GROUP: i8 = 32;

fn describe(kind: i8, name: &str, keys: Option<&[&str]>) -> DescribeConfigsRequest {
    let keys = keys.map(|keys| keys.iter().map(|key| (*key).to_owned()).collect());
    DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: kind,
            resource_name: name.to_owned(),
            configuration_keys: keys,
        }],
        ..DescribeConfigsRequest::default()
    }
}

fn alter(kind: i8, name: &str, rows: &[(&str, Option<&str>)]) -> AlterConfigsRequest {
    let row = |(name, value): &(&str, Option<&str>)| AlterableConfig {
        name: (*name).to_owned(),
        value: value.map(str::to_owned),
    };
    AlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: kind,
            resource_name: name.to_owned(),
            configs: rows.iter().map(row).collect(),
        }],
        validate_only: false,
    }
}

fn change(
    kind: i8,
    name: &str,
    rows: &[(&str, i8, Option<&str>)],
) -> IncrementalAlterConfigsRequest {
    let row = |(name, operation, value): &(&str, i8, Option<&str>)| incremental::AlterableConfig {
        name: (*name).to_owned(),
        config_operation: *operation,
        value: value.map(str::to_owned),
    };
    IncrementalAlterConfigsRequest {
        resources: vec![incremental::AlterConfigsResource {
            resource_type: kind,
            resource_name: name.to_owned(),
            configs: rows.iter().map(row).collect(),
        }],
        validate_only: false,
    }
}

/// What a topic has of its own by now.
const LOOKED_AT: [&str; 4] =
    ["retention.ms", "cleanup.policy", "max.message.bytes", "segment.bytes"];

#[test]
fn settings_are_described_and_altered_as_in_kafka() {
    let mut pair = needs!(Pair::new("configs"));
    described(&mut pair);
    altered(&mut pair);
    changed(&mut pair);
    compacted(&mut pair);
    of_groups(&mut pair);
    of_client_metrics(&mut pair);
    of_brokers(&mut pair);
    pair.finish();
}

fn described(pair: &mut Pair) {
    for version in pair.versions::<DescribeConfigsRequest>() {
        pair.begin(version);
        let (name, _) = pair.topic("described", 1, &[("max.message.bytes", "5000")]);
        pair.ask("all", version, describe(TOPIC, &name, None));
        pair.ask("some", version, describe(TOPIC, &name, Some(&LOOKED_AT)));
        pair.ask("none", version, describe(TOPIC, &name, Some(&[])));
        pair.ask("an unknown one", version, describe(TOPIC, &name, Some(&["no.such"])));
        let with = |synonyms, documentation| DescribeConfigsRequest {
            include_synonyms: synonyms,
            include_documentation: documentation,
            ..describe(TOPIC, &name, Some(&LOOKED_AT))
        };
        pair.ask("with synonyms", version, with(true, false));
        pair.ask("with documentation", version, with(false, true));
        pair.ask("unknown topic", version, describe(TOPIC, &pair.name("nobody"), None));
        pair.ask("illegal topic", version, describe(TOPIC, "no body", None));
        pair.ask("nameless topic", version, describe(TOPIC, "", None));
        for kind in [0, 1, 3, 99] {
            pair.ask(&format!("kind {kind}"), version, describe(kind, "odd", None));
        }
        pair.ask("unknown broker", version, describe(BROKER, "9", None));
    }
}

fn altered(pair: &mut Pair) {
    for version in pair.versions::<AlterConfigsRequest>() {
        pair.begin(version);
        let (name, _) = pair.topic("altered", 1, &[("max.message.bytes", "5000")]);
        let checked = AlterConfigsRequest {
            validate_only: true,
            ..alter(TOPIC, &name, &[("retention.ms", Some("7"))])
        };
        pair.ask("only to be checked", version, checked);
        for (case, rows) in [
            ("good", &[("retention.ms", Some("600000")), ("cleanup.policy", Some("compact"))][..]),
            ("one of them wrong", &[("retention.ms", Some("1")), ("segment.bytes", Some("x"))]),
            ("unknown setting", &[("no.such", Some("1"))]),
            ("null", &[("retention.ms", None)]),
            ("twice", &[("retention.ms", Some("5")), ("retention.ms", Some("6"))]),
            ("nothing", &[]),
        ] {
            pair.ask(case, version, alter(TOPIC, &name, rows));
            pair.catch_up();
            let then = describe(TOPIC, &name, Some(&LOOKED_AT));
            pair.ask(&format!("after alter: {case}"), 4, then);
        }
        bad_resources(pair, version, |kind, name| {
            alter(kind, name, &[("retention.ms", Some("1"))])
        });
    }
}

fn changed(pair: &mut Pair) {
    for version in pair.versions::<IncrementalAlterConfigsRequest>() {
        pair.begin(version);
        let (name, _) = pair.topic("changed", 1, &[("max.message.bytes", "5000")]);
        let checked = IncrementalAlterConfigsRequest {
            validate_only: true,
            ..change(TOPIC, &name, &[("retention.ms", 0, Some("7"))])
        };
        pair.ask("only to be checked", version, checked);
        for (case, rows) in [
            ("set", &[("retention.ms", 0, Some("600000"))][..]),
            ("append", &[("cleanup.policy", 2, Some("compact"))]),
            ("append again", &[("cleanup.policy", 2, Some("compact"))]),
            ("subtract", &[("cleanup.policy", 3, Some("delete"))]),
            ("subtract what is not in it", &[("cleanup.policy", 3, Some("delete"))]),
            ("append to a number", &[("retention.ms", 2, Some("1"))]),
            ("append nonsense", &[("cleanup.policy", 2, Some("burn"))]),
            ("delete", &[("retention.ms", 1, None)]),
            ("delete again", &[("retention.ms", 1, None)]),
            ("delete what is unknown", &[("no.such", 1, None)]),
            ("set to nothing", &[("retention.ms", 0, None)]),
            ("set what is unknown", &[("no.such", 0, Some("1"))]),
            ("unknown operation", &[("retention.ms", 7, Some("1"))]),
            ("twice", &[("retention.ms", 0, Some("5")), ("retention.ms", 0, Some("6"))]),
            (
                "one of them wrong",
                &[("retention.ms", 0, Some("1")), ("segment.bytes", 0, Some("x"))],
            ),
            ("nothing", &[]),
        ] {
            pair.ask(case, version, change(TOPIC, &name, rows));
            pair.catch_up();
            let then = describe(TOPIC, &name, Some(&LOOKED_AT));
            pair.ask(&format!("after change: {case}"), 4, then);
        }
        bad_resources(pair, version, |kind, name| {
            change(kind, name, &[("retention.ms", 0, Some("1"))])
        });
        let twice = {
            let mut request = change(TOPIC, &name, &[("retention.ms", 0, Some("1"))]);
            request.resources.push(request.resources[0].clone());
            request
        };
        pair.ask("a topic twice", version, twice);
    }
}

/// What a compacted topic goes by.
const OF_COMPACTION: [&str; 5] = [
    "cleanup.policy",
    "delete.retention.ms",
    "max.compaction.lag.ms",
    "min.cleanable.dirty.ratio",
    "min.compaction.lag.ms",
];

fn compacted(pair: &mut Pair) {
    for version in pair.versions::<IncrementalAlterConfigsRequest>() {
        pair.begin(version);
        let own = [("cleanup.policy", "compact,delete"), ("min.cleanable.dirty.ratio", "0.01")];
        let (name, _) = pair.topic("compacted", 1, &own);
        pair.ask("compacted", 4, with_synonyms(TOPIC, &name, &OF_COMPACTION));
        for (setting, value) in [
            ("cleanup.policy", "compact, delete"),
            ("cleanup.policy", "delete,compact"),
            ("cleanup.policy", " compact "),
            ("cleanup.policy", "compact,compact"),
            ("cleanup.policy", "compact,"),
            ("min.cleanable.dirty.ratio", "0"),
            ("min.cleanable.dirty.ratio", "1"),
            ("min.cleanable.dirty.ratio", "1.01"),
            ("min.cleanable.dirty.ratio", "-0.1"),
            ("min.cleanable.dirty.ratio", "half"),
            ("delete.retention.ms", "0"),
            ("delete.retention.ms", "-1"),
            ("min.compaction.lag.ms", "-1"),
            ("min.compaction.lag.ms", "500"),
            ("max.compaction.lag.ms", "0"),
            ("max.compaction.lag.ms", "499"),
            ("max.compaction.lag.ms", "500"),
        ] {
            let request = change(TOPIC, &name, &[(setting, 0, Some(value))]);
            pair.ask(&format!("compacted, {setting}={value}"), version, request);
            pair.catch_up();
            let then = describe(TOPIC, &name, Some(&OF_COMPACTION));
            pair.ask(&format!("after {setting}={value}"), 4, then);
        }
    }
    for version in pair.versions::<IncrementalAlterConfigsRequest>() {
        for (setting, value) in [
            ("log.cleaner.delete.retention.ms", "-1"),
            ("log.cleaner.delete.retention.ms", "5"),
            ("log.cleaner.max.compaction.lag.ms", "0"),
            ("log.cleaner.min.cleanable.ratio", "1.5"),
            ("log.cleaner.min.cleanable.ratio", "0.25"),
            ("log.cleaner.min.compaction.lag.ms", "10"),
        ] {
            let request = IncrementalAlterConfigsRequest {
                validate_only: true,
                ..change(BROKER, "", &[(setting, 0, Some(value))])
            };
            pair.ask(&format!("brokers, {setting}={value}"), version, request);
        }
    }
}

/// The same for what is no topic.
fn bad_resources<R: ottla_protocol::Request>(
    pair: &mut Pair,
    version: i16,
    request: impl Fn(i8, &str) -> R,
) {
    pair.ask("unknown topic", version, request(TOPIC, &pair.name("nobody")));
    pair.ask("illegal topic", version, request(TOPIC, "no body"));
    pair.ask("nameless topic", version, request(TOPIC, ""));
    pair.ask("unknown kind", version, request(99, "odd"));
    pair.ask("kind 0", version, request(0, "odd"));
}

/// What is told with all that would hold without it.
fn with_synonyms(kind: i8, name: &str, keys: &[&str]) -> DescribeConfigsRequest {
    DescribeConfigsRequest { include_synonyms: true, ..describe(kind, name, Some(keys)) }
}

const OF_GROUP: [&str; 2] = ["consumer.session.timeout.ms", "consumer.heartbeat.interval.ms"];

fn of_groups(pair: &mut Pair) {
    const SET: i8 = 0;
    for version in pair.versions::<IncrementalAlterConfigsRequest>() {
        pair.begin(version);
        let name = pair.name("group");
        let [session, interval] = OF_GROUP;
        for (setting, value) in [
            (session, Some("50000")),
            (session, Some("44999")),
            (session, Some("60001")),
            (session, Some("0")),
            (session, Some("soon")),
            (session, Some(" 46000 ")),
            (session, None),
            (interval, Some("15000")),
            (interval, Some("15001")),
            (interval, Some("4999")),
            ("no.such", Some("1")),
        ] {
            let request = change(GROUP, &name, &[(setting, SET, value)]);
            pair.ask(&format!("group, {setting}={value:?}"), version, request);
        }
        for (case, rows) in [
            ("group, append", &[(session, 2, Some("1"))][..]),
            ("group, delete what is unknown", &[("no.such", 1, None)]),
            ("ignored of groups", &[("share.session.timeout.ms", SET, Some("50000"))]),
            ("group, delete what is ignored", &[("share.session.timeout.ms", 1, None)]),
        ] {
            pair.ask(case, version, change(GROUP, &name, rows));
        }
        pair.ask("nameless group", version, change(GROUP, "", &[(session, SET, Some("50000"))]));
        pair.catch_up();
        pair.ask("group", 4, with_synonyms(GROUP, &name, &OF_GROUP));
        pair.ask("nameless group", 4, describe(GROUP, "", None));
        pair.ask("unknown group", 4, with_synonyms(GROUP, &pair.name("none"), &OF_GROUP));
        let all = ListConfigResourcesRequest { resource_types: vec![GROUP] };
        pair.ask("groups", 1, all.clone());
        let delete = OF_GROUP.map(|setting| (setting, 1, None));
        pair.ask("group, delete all", version, change(GROUP, &name, &delete));
        pair.catch_up();
        pair.ask("groups without settings", 1, all);
    }
    for version in pair.versions::<AlterConfigsRequest>() {
        pair.begin(version);
        let name = pair.name("replaced");
        for value in ["50000", "1"] {
            let request = alter(GROUP, &name, &[(OF_GROUP[0], Some(value))]);
            pair.ask(&format!("group, {value}"), version, request);
        }
        pair.catch_up();
        pair.ask("group after replacement", 4, with_synonyms(GROUP, &name, &OF_GROUP));
    }
}

fn of_client_metrics(pair: &mut Pair) {
    for version in pair.versions::<IncrementalAlterConfigsRequest>() {
        pair.begin(version);
        let name = pair.name("metrics");
        pair.ask("no subscription", 4, with_synonyms(METRICS, &name, &[]));
        for (setting, value) in [
            ("interval.ms", "100"),
            ("interval.ms", "99"),
            ("interval.ms", "3600001"),
            ("interval.ms", "soon"),
            ("metrics", "org.a,org.b"),
            ("match", "client_id=a.*,client_software_name=x"),
            ("match", "client_id=a=b"),
            ("match", "colour=blue"),
            ("match", "client_id=["),
            ("match", "client_id"),
            ("no.such", "1"),
        ] {
            let request = change(METRICS, &name, &[(setting, 0, Some(value))]);
            pair.ask(&format!("metrics, {setting}={value}"), version, request);
        }
        let more = [("metrics", 2, Some("org.c"))];
        pair.ask("metrics, append", version, change(METRICS, &name, &more));
        let rows = [("interval.ms", 0, Some("1000"))];
        pair.ask("nameless metrics", version, change(METRICS, "", &rows));
        pair.catch_up();
        pair.ask("subscription", 4, with_synonyms(METRICS, &name, &[]));
        pair.ask("nameless subscription", 4, describe(METRICS, "", None));
        pair.ask("subscriptions", 0, ListConfigResourcesRequest::default());
        let delete = ["metrics", "match", "interval.ms", "no.such"].map(|it| (it, 1, None));
        pair.ask("metrics, delete all", version, change(METRICS, &name, &delete));
    }
}

/// Other cases run on the same Kafka: what could be seen there is only checked.
fn of_brokers(pair: &mut Pair) {
    const HARMLESS: &str = "producer.id.expiration.ms";
    for version in pair.versions::<IncrementalAlterConfigsRequest>() {
        pair.begin(version);
        for name in ["1", ""] {
            for (setting, value) in [
                ("message.max.bytes", "2000"),
                ("message.max.bytes", "many"),
                ("message.max.bytes", "-1"),
                ("log.retention.ms", "5000"),
                ("fixed, log.retention.minutes", "5"),
                ("log.cleanup.policy", "burn"),
                ("compression.type", "brotli"),
                ("max.connections", "100"),
                ("num.partitions", "5"),
                ("socket.request.max.bytes", "5000"),
                ("group.consumer.session.timeout.ms", "50000"),
                ("ignored, leader.replication.throttled.rate", "5"),
                ("ignored, num.io.threads", "5"),
                ("ignored, no.such", "1"),
            ] {
                let key = setting.split_once(", ").map_or(setting, |(_, key)| key);
                let request = IncrementalAlterConfigsRequest {
                    validate_only: true,
                    ..change(BROKER, name, &[(key, 0, Some(value))])
                };
                pair.ask(&format!("broker {name:?}, {setting}={value}"), version, request);
            }
            let gone = ["leader.replication.throttled.rate", "num.partitions", "no.such"];
            let delete = gone.map(|it| (it, 1, None));
            pair.ask(&format!("broker {name:?}, delete"), version, change(BROKER, name, &delete));
        }
        for (name, value) in [("1", "86400001"), ("", "86400002")] {
            let request = change(BROKER, name, &[(HARMLESS, 0, Some(value))]);
            pair.ask(&format!("broker {name:?}"), version, request);
        }
        pair.catch_up();
        pair.ask(
            "broker",
            4,
            with_synonyms(BROKER, "1", &[HARMLESS, "node.id", "fetch.max.bytes"]),
        );
        pair.ask("all brokers", 4, with_synonyms(BROKER, "", &[HARMLESS]));
        for name in ["1", ""] {
            pair.tell(version, change(BROKER, name, &[(HARMLESS, 1, None)]));
        }
        pair.ask("logger", version, change(LOGGER, "1", &[("no.such", 0, Some("DEBUG"))]));
    }
    for version in pair.versions::<DescribeConfigsRequest>() {
        pair.ask("unknown logger", version, describe(LOGGER, "1", Some(&["no.such"])));
    }
}
