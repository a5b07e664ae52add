//! ApiVersions, Metadata, CreateTopics, DeleteTopics, CreatePartitions, DescribeCluster.

use ottla_protocol::Uuid;
use ottla_protocol::messages::api_versions::ApiVersionsRequest;
use ottla_protocol::messages::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic,
};
use ottla_protocol::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use ottla_protocol::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use ottla_protocol::messages::describe_cluster::DescribeClusterRequest;
use ottla_protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic};

use super::pair::Pair;
use ottla_tests::needs;

/// Names that no topic may have.
const ILLEGAL: [&str; 7] = ["", ".", "..", "with space", "slash/es", "ä", "star*"];

fn by_name(names: &[&str]) -> Option<Vec<MetadataRequestTopic>> {
    let topic = |name: &&str| MetadataRequestTopic {
        name: Some((*name).to_owned()),
        ..MetadataRequestTopic::default()
    };
    Some(names.iter().map(topic).collect())
}

fn by_id(topic_id: Uuid) -> Option<Vec<MetadataRequestTopic>> {
    Some(vec![MetadataRequestTopic { topic_id, name: None }])
}

fn metadata(topics: Option<Vec<MetadataRequestTopic>>) -> MetadataRequest {
    MetadataRequest { topics, allow_auto_topic_creation: true, ..MetadataRequest::default() }
}

#[test]
fn what_the_versions_say_is_what_kafka_says_but_for_what_is_known() {
    let mut pair = needs!(Pair::new("versions"));
    for version in pair.versions::<ApiVersionsRequest>() {
        pair.begin(version);
        let named = ApiVersionsRequest {
            client_software_name: "ottla".to_owned(),
            client_software_version: "1.0".to_owned(),
        };
        pair.ask("named", version, named);
        pair.ask("without a name", version, ApiVersionsRequest::default());
        let bad = ApiVersionsRequest {
            client_software_name: "ott la".to_owned(),
            client_software_version: "-".to_owned(),
        };
        pair.ask("bad name", version, bad);
    }
    pair.finish();
}

#[test]
fn metadata_is_what_kafka_says() {
    let mut pair = needs!(Pair::new("metadata"));
    let (one, id) = pair.topic("one", 1, &[]);
    let (three, _) = pair.topic("three", 3, &[("min.insync.replicas", "1")]);
    let missing = pair.name("missing");
    for version in pair.versions::<MetadataRequest>() {
        pair.begin(version);
        pair.ask("by name", version, metadata(by_name(&[&one, &three])));
        pair.ask("twice in one", version, metadata(by_name(&[&one, &one])));
        pair.ask("all", version, metadata(None));
        pair.ask("empty", version, metadata(Some(Vec::new())));
        pair.ask("unknown", version, metadata(by_name(&[&missing, &one])));
        for name in ILLEGAL {
            pair.ask(&format!("illegal name {name:?}"), version, metadata(by_name(&[name])));
        }
        pair.ask("too long a name", version, metadata(by_name(&[&"x".repeat(250)])));
        pair.ask("by id", version, id.map(|id| metadata(by_id(*id))));
        let beside = |id: &Uuid| {
            let topic = MetadataRequestTopic { topic_id: *id, name: Some(String::new()) };
            metadata(Some(vec![topic]))
        };
        pair.ask("by id, beside an empty name", version, id.map(beside));
        pair.ask("by unknown id", version, metadata(by_id(Uuid([7; 16]))));
        pair.ask("by no id and no name", version, metadata(by_id(Uuid::ZERO)));
        let quiet =
            MetadataRequest { allow_auto_topic_creation: false, ..metadata(by_name(&[&missing])) };
        pair.ask("unknown, not to be created", version, quiet);
        let operations = MetadataRequest {
            include_cluster_authorized_operations: true,
            ..metadata(by_name(&[&one]))
        };
        pair.ask("with the cluster's operations", version, operations);
        let operations = MetadataRequest {
            include_topic_authorized_operations: true,
            ..metadata(by_name(&[&one, &missing]))
        };
        pair.ask("with topics' operations", version, operations);
    }
    for version in pair.versions::<DescribeClusterRequest>() {
        let plain =
            DescribeClusterRequest { endpoint_type: 1, ..DescribeClusterRequest::default() };
        pair.ask("plain", version, plain.clone());
        let operations =
            DescribeClusterRequest { include_cluster_authorized_operations: true, ..plain.clone() };
        pair.ask("with operations", version, operations);
        for endpoint_type in [0, 2, 3] {
            let case = format!("endpoints of type {endpoint_type}");
            pair.ask(&case, version, DescribeClusterRequest { endpoint_type, ..plain.clone() });
        }
        let fenced = DescribeClusterRequest { include_fenced_brokers: true, ..plain };
        pair.ask("with fenced ones", version, fenced);
    }
    pair.finish();
}

fn topic(name: &str, num_partitions: i32, replication_factor: i16) -> CreatableTopic {
    let name = name.to_owned();
    CreatableTopic { name, num_partitions, replication_factor, ..CreatableTopic::default() }
}

fn configured(name: &str, key: &str, value: Option<&str>) -> CreatableTopic {
    let config = CreatableTopicConfig { name: key.to_owned(), value: value.map(str::to_owned) };
    CreatableTopic { configs: vec![config], ..topic(name, 1, 1) }
}

fn assigned(name: &str, rows: &[(i32, &[i32])]) -> CreatableTopic {
    let row = |(partition_index, broker_ids): &(i32, &[i32])| CreatableReplicaAssignment {
        partition_index: *partition_index,
        broker_ids: broker_ids.to_vec(),
    };
    CreatableTopic { assignments: rows.iter().map(row).collect(), ..topic(name, -1, -1) }
}

fn create(topics: Vec<CreatableTopic>) -> CreateTopicsRequest {
    CreateTopicsRequest { topics, timeout_ms: 30_000, validate_only: false }
}

#[test]
fn creating_topics_does_what_kafka_does() {
    let mut pair = needs!(Pair::new("create topics"));
    let (existing, _) = pair.topic("existing", 1, &[]);
    for version in pair.versions::<CreateTopicsRequest>() {
        pair.begin(version);
        let name = pair.name("made");
        let check = |topics| CreateTopicsRequest { validate_only: true, ..create(topics) };
        pair.begin(version);
        pair.ask("only to be checked", version, check(vec![topic(&name, 2, 1)]));
        pair.begin(version);
        pair.ask("checked, existing", version, check(vec![topic(&existing, 2, 1)]));
        pair.begin(version);
        pair.ask("good", version, create(vec![topic(&name, 2, 1)]));
        pair.begin(version);
        pair.ask("existing", version, create(vec![topic(&name, 2, 1)]));
        for (partitions, replicas) in
            [(0, 1), (-2, 1), (1, 0), (1, -2), (1, 9), (-1, 1), (1, -1), (-1, -1), (100_000_000, 1)]
        {
            let made = topic(&format!("{name}-{partitions}-{replicas}"), partitions, replicas);
            let case = format!("{partitions} partitions, {replicas} replicas");
            pair.begin(version);
            pair.ask(&case, version, create(vec![made]));
        }
        for illegal in ILLEGAL {
            let case = format!("illegal name {illegal:?}");
            pair.begin(version);
            pair.ask(&case, version, create(vec![topic(illegal, 1, 1)]));
        }
        pair.begin(version);
        pair.ask("too long a name", version, create(vec![topic(&"x".repeat(250), 1, 1)]));
        let odd = name.replace('-', "_");
        let like = odd.replacen('_', ".", 1);
        pair.begin(version);
        pair.ask("with underscores", version, create(vec![topic(&odd, 1, 1)]));
        pair.begin(version);
        pair.ask(
            "a point where another has an underscore",
            version,
            create(vec![topic(&like, 1, 1)]),
        );
        let twice = format!("{name}-twice");
        let beside = format!("{name}-beside");
        let topics = vec![topic(&twice, 1, 1), topic(&beside, 1, 1), topic(&twice, 2, 1)];
        pair.begin(version);
        pair.ask("twice in one", version, create(topics));
        pair.begin(version);
        pair.ask("none", version, create(Vec::new()));
        settings(&mut pair, &name, version);
        assignments(&mut pair, &name, version);
    }
    pair.finish();
}

fn settings(pair: &mut Pair, name: &str, version: i16) {
    for (key, value) in [
        ("retention.ms", Some("1000")),
        ("retention.ms", Some("soon")),
        ("retention.ms", Some("-2")),
        ("retention.ms", None),
        ("no.such.setting", Some("1")),
        ("cleanup.policy", Some("compact")),
        ("cleanup.policy", Some("burn")),
        ("cleanup.policy", Some("")),
        ("compression.type", Some("zstd")),
        ("compression.type", Some("rar")),
        ("min.insync.replicas", Some("0")),
        ("min.insync.replicas", Some("3")),
        ("max.message.bytes", Some("-1")),
        ("segment.bytes", Some("1")),
        ("message.timestamp.type", Some("LogAppendTime")),
        ("message.timestamp.type", Some("Never")),
        ("message.format.version", Some("2.8")),
        ("message.downconversion.enable", Some("false")),
        ("remote.storage.enable", Some("false")),
        ("remote.storage.enable", Some("true")),
        ("leader.replication.throttled.replicas", Some("*")),
        ("compression.zstd.level", Some("3")),
        ("unclean.leader.election.enable", Some("maybe")),
        ("", Some("1")),
    ] {
        let case = format!("setting {key:?} {value:?}");
        let made = format!("{name}-{}-{}", key.replace('.', "-"), case.len());
        let made = format!("{made}-{}", value.unwrap_or("null").replace(['*', '.'], "x"));
        pair.begin(version);
        pair.ask(&case, version, create(vec![configured(&made, key, value)]));
    }
}

fn assignments(pair: &mut Pair, name: &str, version: i16) {
    for (number, (case, rows)) in [
        ("by hand", &[(0, &[1][..]), (1, &[1])][..]),
        ("to an unknown broker", &[(0, &[7])]),
        ("with a gap", &[(0, &[1]), (2, &[1])]),
        ("twice to one broker", &[(0, &[1, 1])]),
        ("to nobody", &[(0, &[])]),
        ("a partition twice", &[(0, &[1]), (0, &[1])]),
        ("to a negative broker", &[(0, &[-1])]),
    ]
    .into_iter()
    .enumerate()
    {
        let made = assigned(&format!("{name}-assigned-{number}"), rows);
        pair.begin(version);
        pair.ask(&format!("assigned {case}"), version, create(vec![made]));
    }
    let mut both = assigned(&format!("{name}-assigned-and"), &[(0, &[1])]);
    both.num_partitions = 1;
    pair.begin(version);
    pair.ask("assigned and counted", version, create(vec![both]));
    let mut both = assigned(&format!("{name}-assigned-rf"), &[(0, &[1])]);
    both.replication_factor = 1;
    pair.begin(version);
    pair.ask("assigned and replicated", version, create(vec![both]));
}

#[test]
fn deleting_topics_does_what_kafka_does() {
    let mut pair = needs!(Pair::new("delete topics"));
    for version in pair.versions::<DeleteTopicsRequest>() {
        pair.begin(version);
        let (name, _) = pair.topic("by-name", 1, &[]);
        let delete = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            let state =
                |name: &String| DeleteTopicState { name: Some(name.clone()), topic_id: Uuid::ZERO };
            let timeout_ms = 30_000;
            match version {
                6.. => DeleteTopicsRequest {
                    topics: names.iter().map(state).collect(),
                    timeout_ms,
                    ..DeleteTopicsRequest::default()
                },
                _ => DeleteTopicsRequest {
                    topic_names: names,
                    timeout_ms,
                    ..DeleteTopicsRequest::default()
                },
            }
        };
        pair.ask("twice in one", version, delete(&[&name, &name]));
        pair.ask("by name", version, delete(&[&name]));
        pair.wait_until_gone(&name);
        pair.ask("unknown", version, delete(&[&name]));
        pair.ask("illegal", version, delete(&["a b"]));
        pair.ask("nameless", version, delete(&[""]));
        pair.ask("none", version, delete(&[]));
        let (name, id) = pair.topic("by-id", 1, &[]);
        let by = |id: Uuid, name: Option<&str>| DeleteTopicsRequest {
            topics: vec![DeleteTopicState { name: name.map(str::to_owned), topic_id: id }],
            timeout_ms: 30_000,
            ..DeleteTopicsRequest::default()
        };
        pair.ask("by both", version, id.map(|id| by(*id, Some(&name))));
        pair.ask("by neither", version, by(Uuid::ZERO, None));
        pair.ask("by unknown id", version, by(Uuid([7; 16]), None));
        pair.ask("by id", version, id.map(|id| by(*id, None)));
    }
    pair.finish();
}

#[test]
fn creating_partitions_does_what_kafka_does() {
    let mut pair = needs!(Pair::new("create partitions"));
    for version in pair.versions::<CreatePartitionsRequest>() {
        pair.begin(version);
        let (name, _) = pair.topic("grown", 2, &[]);
        let grow = |name: &str, count: i32, rows: Option<&[&[i32]]>| {
            let row = |ids: &&[i32]| CreatePartitionsAssignment { broker_ids: ids.to_vec() };
            let assignments = rows.map(|rows| rows.iter().map(row).collect());
            CreatePartitionsTopic { name: name.to_owned(), count, assignments }
        };
        let all =
            |topics| CreatePartitionsRequest { topics, timeout_ms: 30_000, validate_only: false };
        let one = |count, rows| all(vec![grow(&name, count, rows)]);
        let checked = CreatePartitionsRequest { validate_only: true, ..one(3, None) };
        pair.ask("only to be checked", version, checked);
        pair.ask("fewer", version, one(1, None));
        pair.ask("as many", version, one(2, None));
        pair.ask("zero", version, one(0, None));
        pair.ask("negative", version, one(-1, None));
        pair.ask("too many", version, one(100_000_000, None));
        pair.ask("of an unknown topic", version, all(vec![grow("nobody-knows", 3, None)]));
        pair.ask("of an illegal topic", version, all(vec![grow("no body", 3, None)]));
        pair.ask("twice in one", version, all(vec![grow(&name, 3, None), grow(&name, 4, None)]));
        pair.ask("more", version, one(3, None));
        pair.ask("assigned", version, one(4, Some(&[&[1]])));
        pair.ask("assigned too few", version, one(6, Some(&[&[1]])));
        pair.ask("assigned too many", version, one(5, Some(&[&[1], &[1]])));
        pair.ask("assigned to an unknown broker", version, one(5, Some(&[&[7]])));
        pair.ask("assigned to nobody", version, one(5, Some(&[&[]])));
        pair.ask("assigned twice to one broker", version, one(5, Some(&[&[1, 1]])));
        pair.ask("none", version, all(Vec::new()));
        pair.catch_up();
        pair.ask("after all", 12, metadata(by_name(&[&name])));
    }
    pair.finish();
}
