//! `ottla topic`: create, list, describe, delete, each with `--json` too.

mod support;

use serde_json::json;
use support::{Broker, Said, run};

fn topic(broker: &Broker, words: &[&str]) -> Said {
    run(["topic"].iter().chain(words).chain(&["-b", &broker.address]))
}

#[test]
fn a_topic_is_created_listed_described_and_deleted() {
    let broker = Broker::start(&["--no-auto-create"]);
    let words = ["create", "user-events", "--partitions", "4", "--config", "retention.ms=60000"];
    topic(&broker, &words).exits(0).says("4 partitions");
    let said = topic(&broker, &["list"]).exits(0);
    let row: Vec<&str> = said.text().lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row, ["user-events", "4", "1"]);
    broker.produce(&["-t", "user-events", "-p", "2"], b"a\nb\n").exits(0);
    let said = topic(&broker, &["describe", "user-events"]).exits(0);
    assert!(said.text().contains("retention.ms=60000"), "{}", said.text());
    let row = said.text().lines().find(|line| line.starts_with('2')).unwrap();
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(cells[4..], ["0", "2"], "{row}");
    topic(&broker, &["delete", "user-events"]).exits(0);
    assert_eq!(topic(&broker, &["list"]).exits(0).text(), "");
}

#[test]
fn each_that_prints_prints_json() {
    let broker = Broker::start(&[]);
    let created = topic(&broker, &["create", "t", "--partitions", "2", "--json"]).exits(0);
    assert_eq!(created.json()[0]["partitions"], json!(2));
    let listed = topic(&broker, &["list", "--json"]).exits(0);
    assert_eq!(listed.json()[0][0]["name"], json!("t"));
    let described = topic(&broker, &["describe", "t", "--json"]).exits(0);
    let described = &described.json()[0];
    assert_eq!(described["name"], json!("t"));
    assert_eq!(described["partitions"].as_array().unwrap().len(), 2);
    assert_eq!(described["partitions"][1]["earliest_offset"], json!(0));
    assert_eq!(described["partitions"][1]["isr"], described["partitions"][1]["replicas"]);
    let deleted = topic(&broker, &["delete", "t", "--json"]).exits(0);
    assert_eq!(deleted.json()[0], json!({"name": "t", "deleted": true}));
}

#[test]
fn what_the_cluster_refuses_is_said() {
    let broker = Broker::start(&["--topic", "t:1"]);
    topic(&broker, &["create", "t"]).exits(2).says("TOPIC_ALREADY_EXISTS");
    topic(&broker, &["create", "u", "--replication", "3"]).exits(2).says("REPLICATION_FACTOR");
    topic(&broker, &["create", "u", "--partitions", "0"]).exits(2);
    topic(&broker, &["describe", "u"]).exits(2).says("UNKNOWN_TOPIC");
    topic(&broker, &["delete", "u"]).exits(2).says("UNKNOWN_TOPIC");
}
