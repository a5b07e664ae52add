//! Quotas of clients: set, told, kept, and how long those wait who exceed them.

mod common;

use std::time::Duration;

use common::Batch;
use common::client::{Client, fetch_request, produce_request};
use ottla_broker::{Acl, ApiKey, Cluster, ErrorCode, Fault, Mechanism, Operation, Sasl};
use ottla_protocol::messages::alter_client_quotas::{
    AlterClientQuotasRequest, AlterClientQuotasRequestEntityData,
    AlterClientQuotasRequestEntryData, OpData,
};
use ottla_protocol::messages::describe_client_quotas::{
    ComponentData, DescribeClientQuotasRequest, DescribeClientQuotasResponse,
};
use ottla_protocol::messages::fetch::{FetchRequest, FetchResponse};

const PRODUCE: &str = "producer_byte_rate";
const FETCH: &str = "consumer_byte_rate";
/// The client id of the tests' client.
const CLIENT: (&str, Option<&str>) = ("client-id", Some("raw"));

type Part<'a> = (&'a str, Option<&'a str>);

/// Part of a filter: entity type, match type and name.
type Wanted<'a> = (&'a str, i8, Option<&'a str>);

/// A quota and its value; none takes it away.
type Op<'a> = (&'a str, Option<f64>);

fn entry(entity: &[Part<'_>], ops: &[Op<'_>]) -> AlterClientQuotasRequestEntryData {
    let parts = entity.iter().map(|(entity_type, name)| AlterClientQuotasRequestEntityData {
        entity_type: (*entity_type).to_owned(),
        entity_name: name.map(str::to_owned),
    });
    let ops = ops.iter().map(|(key, value)| OpData {
        key: (*key).to_owned(),
        value: value.unwrap_or_default(),
        remove: value.is_none(),
    });
    AlterClientQuotasRequestEntryData { entity: parts.collect(), ops: ops.collect() }
}

fn alter_all(
    client: &mut Client,
    entries: Vec<AlterClientQuotasRequestEntryData>,
) -> Vec<ErrorCode> {
    let answer = client.call(1, &AlterClientQuotasRequest { entries, validate_only: false });
    let codes = answer.entries.iter().map(|entry| {
        assert_eq!(entry.error_message.is_some(), entry.error_code != 0);
        ErrorCode(entry.error_code)
    });
    codes.collect()
}

fn alter(client: &mut Client, entity: &[Part<'_>], ops: &[Op<'_>]) -> ErrorCode {
    alter_all(client, vec![entry(entity, ops)])[0]
}

fn ask(
    client: &mut Client,
    components: &[Wanted<'_>],
    strict: bool,
) -> DescribeClientQuotasResponse {
    let components = components.iter().map(|(entity_type, match_type, name)| ComponentData {
        entity_type: (*entity_type).to_owned(),
        match_type: *match_type,
        r#match: name.map(str::to_owned),
    });
    let request = DescribeClientQuotasRequest { components: components.collect(), strict };
    client.call(1, &request)
}

/// Each entity with its quotas, as text.
fn told(client: &mut Client, components: &[Wanted<'_>], strict: bool) -> Vec<String> {
    let answer = ask(client, components, strict);
    assert_eq!((answer.error_code, answer.error_message), (0, None));
    let entries = answer.entries.unwrap();
    let texts = entries.iter().map(|entry| {
        let parts = entry.entity.iter().map(|part| {
            format!("{}={}", part.entity_type, part.entity_name.as_deref().unwrap_or("*"))
        });
        let values = entry.values.iter().map(|it| format!("{}={}", it.key, it.value));
        parts.chain(values).collect::<Vec<_>>().join(" ")
    });
    texts.collect()
}

const EXACT: i8 = 0;
const DEFAULT: i8 = 1;
const ANY: i8 = 2;

fn four(client: &mut Client) {
    let alice = ("user", Some("alice"));
    for (entity, rate) in [
        (vec![alice], 1.0),
        (vec![alice, ("client-id", None)], 2.0),
        (vec![("user", None)], 3.0),
        (vec![("client-id", Some("app"))], 4.0),
    ] {
        assert_eq!(alter(client, &entity, &[(PRODUCE, Some(rate))]), ErrorCode::NONE);
    }
}

#[test]
fn quotas_are_found_by_parts_of_their_entities() {
    let cluster = Cluster::builder().start().unwrap();
    let mut client = Client::connect(&cluster);
    assert_eq!(told(&mut client, &[], false), [""; 0]);
    four(&mut client);
    let [alice, both, users, app] = [
        "user=alice producer_byte_rate=1",
        "user=alice client-id=* producer_byte_rate=2",
        "user=* producer_byte_rate=3",
        "client-id=app producer_byte_rate=4",
    ];
    let cases: [(&[Wanted<'_>], bool, Vec<&str>); 10] = [
        (&[], false, vec![alice, both, users, app]),
        (&[], true, vec![]),
        (&[("user", EXACT, Some("alice"))], false, vec![alice, both]),
        (&[("user", EXACT, Some("alice"))], true, vec![alice]),
        (&[("user", DEFAULT, None)], false, vec![users]),
        (&[("user", ANY, None)], true, vec![alice, users]),
        (&[("client-id", ANY, None)], false, vec![both, app]),
        (&[("client-id", DEFAULT, None), ("user", ANY, None)], true, vec![both]),
        (&[("user", EXACT, Some("bob"))], false, vec![]),
        (&[("ip", ANY, None)], false, vec![]),
    ];
    for (components, strict, mut expected) in cases {
        let mut found = told(&mut client, components, strict);
        found.sort();
        expected.sort_unstable();
        assert_eq!(found, expected, "{components:?}");
    }
    let refused: [(&[Wanted<'_>], ErrorCode); 6] = [
        (&[("user", EXACT, None)], ErrorCode::INVALID_REQUEST),
        (&[("user", DEFAULT, Some("alice"))], ErrorCode::INVALID_REQUEST),
        (&[("user", 3, None)], ErrorCode::INVALID_REQUEST),
        (&[("user", ANY, None), ("user", ANY, None)], ErrorCode::INVALID_REQUEST),
        (&[("user", ANY, None), ("ip", ANY, None)], ErrorCode::INVALID_REQUEST),
        (&[("group", ANY, None)], ErrorCode::UNSUPPORTED_VERSION),
    ];
    for (components, code) in refused {
        let answer = ask(&mut client, components, false);
        assert_eq!((answer.error_code, answer.entries), (code.0, None), "{components:?}");
    }
}

#[test]
fn what_is_wrong_with_one_entity_leaves_the_others_alone() {
    let cluster = Cluster::builder().start().unwrap();
    let mut client = Client::connect(&cluster);
    let (ok, invalid) = (ErrorCode::NONE, ErrorCode::INVALID_REQUEST);
    let bob = [("user", Some("bob"))];
    let wrong: [(&[Part<'_>], &[Op<'_>]); 11] = [
        (&[], &[(PRODUCE, Some(1.0))]),
        (&[("group", Some("g"))], &[(PRODUCE, Some(1.0))]),
        (&[("ip", Some("127.0.0.1"))], &[("connection_creation_rate", Some(1.0))]),
        (&[("user", Some("a")), ("user", Some("b"))], &[(PRODUCE, Some(1.0))]),
        (&bob, &[("speed", Some(1.0))]),
        (&bob, &[(PRODUCE, Some(0.0))]),
        (&bob, &[(PRODUCE, Some(-1.0))]),
        (&bob, &[(PRODUCE, Some(1.5))]),
        (&bob, &[(PRODUCE, Some(f64::NAN))]),
        (&bob, &[(FETCH, Some(1e300))]),
        (&bob, &[(FETCH, Some(2.0)), (FETCH, Some(3.0))]),
    ];
    for (entity, ops) in wrong {
        let good = entry(&[CLIENT], &[(PRODUCE, Some(5.0)), ("request_percentage", Some(0.5))]);
        let codes = alter_all(&mut client, vec![entry(entity, ops), good.clone(), good]);
        assert_eq!(codes, [invalid, ok, invalid], "{entity:?} {ops:?}");
    }
    let expected = ["client-id=raw producer_byte_rate=5 request_percentage=0.5"];
    assert_eq!(told(&mut client, &[], false), expected);
    // What is taken away need not have been there.
    let code = alter(&mut client, &[CLIENT], &[(PRODUCE, None), (FETCH, None)]);
    assert_eq!(code, ok);
    assert_eq!(told(&mut client, &[], false), ["client-id=raw request_percentage=0.5"]);
    let entries = vec![entry(&bob, &[(PRODUCE, Some(1.0))])];
    let answer = client.call(0, &AlterClientQuotasRequest { entries, validate_only: true });
    assert_eq!(answer.entries[0].error_code, 0);
    assert_eq!(told(&mut client, &[], false).len(), 1);
}

#[test]
fn quotas_are_for_those_who_may_describe_and_alter_configs_of_the_cluster() {
    let cluster = Cluster::builder().start().unwrap();
    let mut client = Client::connect(&cluster);
    let denied = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
    cluster.deny(Acl::cluster().operation(Operation::AlterConfigs));
    assert_eq!(alter(&mut client, &[CLIENT], &[(PRODUCE, Some(1.0))]), denied);
    assert_eq!(told(&mut client, &[], false), [""; 0]);
    cluster.deny(Acl::cluster().operation(Operation::DescribeConfigs));
    assert_eq!(ask(&mut client, &[], false).error_code, denied.0);
}

#[test]
fn quotas_outlive_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let start = || Cluster::builder().data_dir(dir.path()).start().unwrap();
    let cluster = start();
    let mut client = Client::connect(&cluster);
    four(&mut client);
    alter(&mut client, &[("user", None)], &[(PRODUCE, None)]);
    let before = told(&mut client, &[], false);
    assert_eq!(before.len(), 3);
    cluster.kill();
    let cluster = start();
    assert_eq!(told(&mut Client::connect(&cluster), &[], false), before);
}

/// A batch of about so many bytes.
fn batch(bytes: usize) -> Vec<u8> {
    Batch::of([vec![b'x'; bytes]]).encode()
}

fn produce(client: &mut Client, acks: i16, bytes: usize) -> i32 {
    let answer = client.call(12, &produce_request(acks, "t", 0, batch(bytes)));
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    answer.throttle_time_ms
}

#[test]
fn who_sends_more_than_ten_seconds_worth_is_told_to_wait_and_not_heard_meanwhile() {
    let cluster = Cluster::builder().topic("t", 1).start().unwrap();
    let mut client = Client::connect(&cluster);
    alter(&mut client, &[CLIENT], &[(PRODUCE, Some(1000.0))]);
    assert_eq!(produce(&mut client, 1, 9000), 0);
    // 909 kB are 909 s worth, of which ten may come at once.
    let throttle_ms = produce(&mut client, -1, 900_000);
    assert!((500_000..=900_000).contains(&throttle_ms), "{throttle_ms}");
    // The record is there all the same.
    assert_eq!(cluster.log_end_offset("t", 0), Some(2));
    client.send(12, &produce_request(-1, "t", 0, batch(10)));
    assert!(client.hears_nothing());
    // The client is kept waiting on each of its connections, once it sends something there.
    let mut second = Client::connect(&cluster);
    assert_eq!(told(&mut second, &[], false).len(), 1);
    assert!(produce(&mut second, 1, 10) > 0);
}

#[test]
fn acks_0_is_not_heard_either() {
    let cluster = Cluster::builder().topic("t", 1).start().unwrap();
    let mut client = Client::connect(&cluster);
    alter(&mut client, &[CLIENT], &[(PRODUCE, Some(1000.0))]);
    client.send(12, &produce_request(0, "t", 0, batch(900_000)));
    client.send(12, &produce_request(-1, "t", 0, batch(10)));
    assert!(client.hears_nothing());
}

#[test]
fn who_has_no_quota_is_never_told_to_wait() {
    let cluster = Cluster::builder().topic("t", 1).start().unwrap();
    let mut client = Client::connect(&cluster);
    alter(
        &mut client,
        &[("client-id", Some("other"))],
        &[(PRODUCE, Some(1.0)), (FETCH, Some(1.0))],
    );
    alter(&mut client, &[("user", Some("alice"))], &[(PRODUCE, Some(1.0))]);
    for _ in 0..3 {
        assert_eq!(produce(&mut client, -1, 100_000), 0);
    }
    let fetched = client.fetch("t", 0, 0, 0);
    assert_eq!(fetched.throttle_time_ms, 0);
    assert!(records(&fetched) > 0);
}

/// Bytes of the records in an answer.
fn records(answer: &FetchResponse) -> usize {
    let partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
    partitions.map(|partition| partition.records.as_ref().map_or(0, bytes::Bytes::len)).sum()
}

/// Two batches of 60 kB, of which one may come at once.
fn two_batches() -> (Cluster, usize) {
    let cluster = Cluster::builder().topic("t", 1).start().unwrap();
    let mut client = Client::connect(&cluster);
    for _ in 0..2 {
        produce(&mut client, -1, 60_000);
    }
    limit_fetch(&cluster, 6100.0);
    (cluster, batch(60_000).len())
}

fn limit_fetch(cluster: &Cluster, rate: f64) {
    let mut client = Client::connect(cluster);
    assert_eq!(alter(&mut client, &[CLIENT], &[(FETCH, Some(rate))]), ErrorCode::NONE);
}

#[test]
fn who_fetches_too_much_gets_nothing_and_later_the_same() {
    let (cluster, size) = two_batches();
    let mut client = Client::connect(&cluster);
    let first = client.fetch("t", 0, 0, 0);
    assert_eq!((first.throttle_time_ms, records(&first)), (0, size));
    let second = client.fetch("t", 0, 1, 0);
    assert!((1..=10_000).contains(&second.throttle_time_ms), "{}", second.throttle_time_ms);
    assert_eq!((second.error_code, second.responses.len()), (0, 0));
    client.send(11, &fetch_request("t", 0, 1, 0));
    assert!(client.hears_nothing());
    limit_fetch(&cluster, 1_000_000.0);
    let again = Client::connect(&cluster).fetch("t", 0, 0, 0);
    assert_eq!((again.throttle_time_ms, records(&again)), (0, 2 * size));
}

#[test]
fn a_fetch_session_goes_on_after_an_answer_without_records() {
    let (cluster, size) = two_batches();
    let full = |offset| FetchRequest { session_epoch: 0, ..fetch_request("t", 0, offset, 0) };
    let first = Client::connect(&cluster).call(11, &full(0));
    assert!(first.session_id > 0 && records(&first) == size);
    let next = |session_epoch| FetchRequest {
        session_id: first.session_id,
        session_epoch,
        ..fetch_request("t", 0, 1, 0)
    };
    let held_back = Client::connect(&cluster).call(11, &next(1));
    assert_eq!((held_back.error_code, held_back.session_id), (0, first.session_id));
    assert!(held_back.throttle_time_ms > 0 && held_back.responses.is_empty());
    // One that would begin with such an answer does not begin.
    let none = Client::connect(&cluster).call(11, &full(1));
    assert!(none.throttle_time_ms > 0);
    assert_eq!((none.session_id, none.responses.len()), (0, 0));

    limit_fetch(&cluster, 1_000_000.0);
    let then = Client::connect(&cluster).call(11, &next(2));
    assert_eq!((then.error_code, then.throttle_time_ms, records(&then)), (0, 0, size));
}

#[test]
fn a_user_is_held_to_its_quota_by_the_name_that_it_has_proved() {
    let cluster = Cluster::builder()
        .topic("t", 1)
        .sasl(Sasl::new([Mechanism::Plain]))
        .user("alice", "secret")
        .user("bob", "secret")
        .start()
        .unwrap();
    let log_in = |name| {
        let mut client = Client::connect(&cluster);
        assert_eq!(client.log_in(name, "secret").error_code, 0);
        client
    };
    let mut alice = log_in("alice");
    alter(&mut alice, &[("user", Some("alice"))], &[(PRODUCE, Some(10.0))]);
    assert!(produce(&mut alice, -1, 100_000) > 0);
    assert_eq!(produce(&mut log_in("bob"), -1, 100_000), 0);
    assert!(produce(&mut log_in("alice"), -1, 10) > 0);
}

#[test]
fn a_fault_may_ask_for_longer() {
    let cluster = Cluster::builder().topic("t", 1).start().unwrap();
    let mut client = Client::connect(&cluster);
    alter(&mut client, &[CLIENT], &[(PRODUCE, Some(1_000_000.0))]);
    let fault = Fault::on(ApiKey::PRODUCE).throttle(Duration::from_millis(20));
    cluster.inject(fault);
    assert_eq!(produce(&mut client, -1, 10), 20);
    assert_eq!(produce(&mut client, -1, 10), 0);
}
