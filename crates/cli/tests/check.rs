//! `ottla check`: what it says and ends with, for each way in which a cluster can be wrong.

mod support;

use std::io::Write;
use std::net::TcpListener;
use std::thread;

use ottla_broker::{Acl, Cluster, Operation};
use serde_json::{Value, json};
use support::{Said, run};

fn check(servers: &str, words: &[&str]) -> Said {
    run(["check", "-b", servers].iter().chain(words))
}

/// The report as JSON.
fn report(said: &Said) -> Value {
    said.json().remove(0)
}

/// The step of this name.
#[track_caller]
fn step<'a>(report: &'a Value, name: &str) -> &'a Value {
    let mut steps = report["steps"].as_array().expect("steps").iter();
    steps.find(|step| step["step"] == name).unwrap_or_else(|| panic!("no step {name}: {report}"))
}

fn cluster() -> Cluster {
    Cluster::builder().auto_create_topics(false).topic("t", 3).start().expect("a broker")
}

/// An address where nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    listener.local_addr().expect("an address").to_string()
}

/// A server that says the same to everybody, and nothing more.
fn says(words: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("an address").to_string();
    thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming().flatten() {
            let _ = (&stream).write_all(words);
            open.push(stream);
        }
    });
    address
}

#[test]
fn a_cluster_that_is_well_passes_every_step_and_one_replica_is_warned_of() {
    let cluster = cluster();
    let servers = cluster.bootstrap_servers();
    let said = check(&servers, &["-t", "t"]).exits(0);
    for word in ["resolve", "connect", "versions", "cluster", "broker", "partitions", "durability"]
    {
        assert!(said.text().contains(word), "no {word} in:\n{}", said.text());
    }
    assert!(said.text().contains("there is no other copy"), "{}", said.text());
    assert!(!said.text().contains('\u{1b}'));
    check(&servers, &["-t", "t", "--strict"]).exits(1);
    check(&servers, &["--strict"]).exits(0);
}

#[test]
fn the_json_has_the_documented_form() {
    let cluster = cluster();
    let servers = cluster.bootstrap_servers();
    let report = report(&check(&servers, &["-t", "t", "--json"]).exits(0));
    let fields: Vec<&String> = report.as_object().expect("an object").keys().collect();
    let expected =
        ["ok", "exit_code", "bootstrap_servers", "security_protocol", "acks", "counts", "steps"];
    let mut sorted = expected;
    sorted.sort_unstable();
    let mut fields: Vec<&str> = fields.into_iter().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, sorted);
    assert_eq!(report["ok"], json!(true));
    assert_eq!(report["exit_code"], json!(0));
    assert_eq!(report["bootstrap_servers"], json!([servers]));
    assert_eq!(report["security_protocol"], json!("PLAINTEXT"));
    let steps = report["steps"].as_array().expect("steps");
    let names: Vec<&str> = steps.iter().filter_map(|step| step["step"].as_str()).collect();
    let expected = [
        "resolve",
        "connect",
        "tls",
        "versions",
        "sasl",
        "cluster",
        "controller",
        "broker",
        "topic",
        "partitions",
        "permissions",
        "size",
        "rules",
        "durability",
    ];
    assert_eq!(names, expected);
    for step in steps {
        for field in ["step", "about", "status", "seen", "cure", "data"] {
            assert!(step.get(field).is_some(), "no {field} in {step}");
        }
    }
    let durability = json!({
        "acks": "all",
        "enable_idempotence": true,
        "replicas": 1,
        "in_sync": 1,
        "min_insync_replicas": 1,
        "unclean_leader_election": false,
        "lost_if_leader_died": "everything",
    });
    assert_eq!(step(&report, "durability")["data"], durability);
    assert_eq!(step(&report, "tls")["status"], json!("skipped"));
    let partitions = &step(&report, "partitions")["data"];
    assert_eq!(partitions["partitions"].as_array().map(Vec::len), Some(3));
    assert_eq!(partitions["leaderless"], json!([]));
    let may = &step(&report, "permissions")["data"];
    assert!(may["topic"].as_array().expect("told").contains(&json!("Write")));
    assert!(may["cluster"].as_array().expect("told").contains(&json!("IdempotentWrite")));
}

/// Laws: L9. Scenarios: E1.
#[test]
fn a_name_that_cannot_be_resolved_is_said_to_be_that() {
    let said = check("nowhere.invalid:9092", &["--json", "--timeout", "20"]).exits(3);
    let report = report(&said);
    assert_eq!(step(&report, "resolve")["status"], json!("failed"));
    assert!(step(&report, "resolve")["cure"].as_str().expect("a cure").contains("DNS"));
    assert_eq!(step(&report, "connect")["status"], json!("skipped"));
}

#[test]
fn a_port_where_nobody_listens_is_said_to_refuse() {
    let report = report(&check(&nobody(), &["--json"]).exits(3));
    assert_eq!(step(&report, "resolve")["status"], json!("ok"));
    assert_eq!(step(&report, "connect")["status"], json!("failed"));
}

/// Laws: L11. Scenarios: A4, bug-57.
#[test]
fn servers_of_another_kind_are_named() {
    let said = check(&says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), &["--json"]).exits(3);
    assert!(step(&report(&said), "versions")["seen"].as_str().expect("words").contains("HTTP"));
    // What a TLS server says to whoever does not speak it.
    let said = check(&says(&[0x15, 3, 3, 0, 2, 2, 40]), &["--json"]).exits(3);
    let seen = step(&report(&said), "versions")["seen"].to_string();
    assert!(seen.contains("TLS"), "{seen}");
}

#[test]
fn a_server_that_says_nothing_does_not_hold_it_up() {
    let report = report(&check(&says(b""), &["--json", "--timeout", "0.3"]).exits(3));
    assert_eq!(step(&report, "connect")["status"], json!("ok"));
    assert_eq!(step(&report, "versions")["status"], json!("failed"));
}

#[test]
fn tls_is_not_spoken_with_a_plain_listener() {
    let cluster = cluster();
    let words = ["--json", "-X", "security.protocol=SSL"];
    let report = report(&check(&cluster.bootstrap_servers(), &words).exits(3));
    assert_eq!(report["security_protocol"], json!("SSL"));
    let seen = step(&report, "tls");
    assert_eq!(seen["status"], json!("failed"), "{seen}");
    assert!(seen["seen"].as_str().expect("words").contains("security.protocol"), "{seen}");
}

#[test]
fn one_server_of_several_is_enough_and_the_other_is_warned_of() {
    let cluster = cluster();
    let servers = format!("{},{}", nobody(), cluster.bootstrap_servers());
    let report = report(&check(&servers, &["--json"]).exits(0));
    assert_eq!(report["counts"]["failed"], json!(0));
    assert_eq!(step(&report, "connect")["status"], json!("warning"));
    assert_eq!(step(&report, "cluster")["status"], json!("ok"));
}

#[test]
fn an_advertised_address_that_leads_nowhere_is_the_brokers_mistake() {
    let port = nobody().rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let real = nobody();
    let cluster = Cluster::builder().listen(&real).advertise("127.0.0.1", port);
    let _cluster = cluster.start().expect("a broker");
    let report = report(&check(&real, &["--json"]).exits(3));
    assert_eq!(step(&report, "cluster")["status"], json!("ok"));
    let broker = step(&report, "broker");
    assert_eq!(broker["status"], json!("failed"));
    assert!(broker["cure"].as_str().expect("a cure").contains("advertised.listeners"), "{broker}");
}

#[test]
fn a_topic_that_is_missing_fails_unless_the_cluster_would_create_it() {
    let cluster = cluster();
    let servers = cluster.bootstrap_servers();
    let missing = report(&check(&servers, &["-t", "t", "-t", "u", "--json"]).exits(1));
    let mut topics = missing["steps"].as_array().expect("steps").iter();
    let topic = topics.find(|step| step["about"] == "u").expect("the step");
    assert_eq!(topic["status"], json!("failed"));
    assert!(topic["cure"].as_str().expect("a cure").contains("ottla topic create u"));

    let willing = Cluster::builder().default_partitions(6).start().expect("a broker");
    let report = report(&check(&willing.bootstrap_servers(), &["-t", "u", "--json"]).exits(0));
    let would = &step(&report, "topic")["data"]["would_be_created"];
    assert_eq!(*would, json!({ "partitions": 6, "replicas": 1 }));
    assert_eq!(step(&report, "durability")["status"], json!("warning"));
    // Looking has created nothing.
    assert_eq!(run(["topic", "list", "-b", &willing.bootstrap_servers()]).exits(0).text(), "");
}

#[test]
fn our_acks_and_the_topics_limits_are_held_together() {
    let topic = [("max.message.bytes", "5000"), ("cleanup.policy", "compact")];
    let cluster = Cluster::builder().topic_with("small", 1, topic).start().expect("a broker");
    let words = ["-t", "small", "-X", "acks=1", "--json"];
    let report = report(&check(&cluster.bootstrap_servers(), &words).exits(0));
    assert_eq!(report["acks"], json!("1"));
    assert_eq!(step(&report, "size")["status"], json!("warning"));
    assert!(step(&report, "rules")["seen"].as_str().expect("words").contains("without a key"));
    let durability = step(&report, "durability");
    assert!(durability["seen"].as_str().expect("words").starts_with("acks=1"), "{durability}");
}

#[test]
fn what_this_client_may_not_do_fails_at_its_step() {
    let topics = Cluster::builder().topic("t", 1).topic("hidden", 1).topic("read-only", 1);
    let cluster = topics.start().expect("a broker");
    cluster.deny(Acl::topic("hidden"));
    cluster.deny(Acl::topic("read-only").operation(Operation::Write));
    cluster.deny(Acl::topic("t").operation(Operation::DescribeConfigs));
    let check = |topic: &str, code: i32| {
        report(&check(&cluster.bootstrap_servers(), &["-t", topic, "--json"]).exits(code))
    };
    let seen = check("hidden", 1);
    assert!(step(&seen, "topic")["seen"].to_string().contains("TOPIC_AUTHORIZATION_FAILED"));
    let seen = check("read-only", 1);
    assert_eq!(step(&seen, "permissions")["status"], json!("failed"));
    let seen = check("t", 0);
    assert_eq!(step(&seen, "permissions")["status"], json!("ok"));
    assert_eq!(step(&seen, "size")["status"], json!("skipped"));
}

#[test]
fn it_looks_at_the_embedded_broker_too() {
    let data = tempfile::tempdir().expect("a folder");
    let words = ["check", "--embedded", "--data"].map(Into::into);
    let said = run(words.into_iter().chain([data.path().as_os_str().to_owned()]));
    assert!(said.exits(0).text().contains("cluster"));
}

#[test]
fn wrong_settings_are_refused_before_anything_is_looked_at() {
    check("a:b", &[]).exits(2);
    check(&nobody(), &["-X", "acks=7"]).exits(2).says("acks");
    check(&nobody(), &["-t", "no such name"]).exits(2);
}
