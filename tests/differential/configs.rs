//! DescribeConfigs, AlterConfigs, IncrementalAlterConfigs.

use ottla_protocol::messages::alter_configs::{
    AlterConfigsRequest, AlterConfigsResource, AlterableConfig,
};
use ottla_protocol::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use ottla_protocol::messages::incremental_alter_configs as incremental;
use ottla_protocol::messages::incremental_alter_configs::IncrementalAlterConfigsRequest;
use ottla_tests::needs;

use super::pair::Pair;

const TOPIC: i8 = 2;

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
        pair.ask("unknown broker", version, describe(4, "9", None));
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
