//! `ottla verifiable-producer`: what it says is what Kafka's system tests read, and is true.

#![cfg(unix)]

mod support;

use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;
use support::{Broker, Lines, Said, ottla, run, send_signal, wait};

fn verifiable(broker: &Broker, options: &[&str]) -> Said {
    let args = ["verifiable-producer", "--bootstrap-server", &broker.address, "--topic", "t"];
    run(args.iter().chain(options))
}

fn named<'a>(lines: &'a [Value], name: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["name"] == name).collect()
}

fn fields(line: &Value) -> Vec<&str> {
    line.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn each_record_is_told_of_where_it_is_and_at_the_end_come_the_counts() {
    let broker = Broker::start(&["--topic", "t:2"]);
    let lines = verifiable(&broker, &["--max-messages", "300"]).exits(0).json();
    assert_eq!(fields(&lines[0]), ["timestamp", "name"]);
    assert_eq!(lines[0]["name"], "startup_complete");
    let successes = named(&lines, "producer_send_success");
    assert_eq!(successes.len(), 300);
    let records = broker.records("t");
    for success in successes {
        let expected = ["timestamp", "name", "key", "value", "offset", "topic", "partition"];
        assert_eq!(fields(success), expected);
        let alike = ["key", "value", "offset", "topic", "partition"];
        let is_it = |record: &&Value| alike.iter().all(|name| record[name] == success[name]);
        let found = records.iter().find(is_it);
        assert!(found.is_some(), "{success} is not in the log");
    }
    let [.., shutdown, data] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!(shutdown["name"], "shutdown_complete");
    let expected = ["timestamp", "name", "sent", "acked", "target_throughput", "avg_throughput"];
    assert_eq!(fields(data), expected);
    assert_eq!((&data["name"], &data["sent"]), (&"tool_data".into(), &300.into()));
    assert_eq!((&data["acked"], &data["target_throughput"]), (&300.into(), &(-1).into()));
    assert!(data["avg_throughput"].as_f64().expect("a number") > 0.0);
}

#[test]
fn prefix_keys_timestamps_and_acks_are_as_asked() {
    let broker = Broker::start(&["--topic", "t:1"]);
    let options = ["--value-prefix", "7", "--repeating-keys", "3", "--message-create-time", "1000"];
    let more = ["--max-messages", "4", "--acks", "0"];
    let lines = verifiable(&broker, &[&options[..], &more].concat()).exits(0).json();
    let successes = named(&lines, "producer_send_success");
    assert!(successes.iter().all(|line| line["offset"] == -1), "nobody told of an offset");
    support::until("all are there", || (broker.records("t").len() == 4).then_some(()));
    let records = broker.records("t");
    let of = |name: &str| records.iter().map(|it| it[name].clone()).collect::<Vec<_>>();
    assert_eq!(of("value"), ["7.0", "7.1", "7.2", "7.3"]);
    assert_eq!(of("key"), ["0", "1", "2", "0"]);
    assert!(of("timestamp").iter().all(|time| (1000..100_000).contains(&time.as_i64().unwrap())));
}

#[test]
fn a_record_that_fails_is_told_of_with_its_error_and_outcome() {
    let broker = Broker::start(&["--no-auto-create"]);
    let options = ["--max-messages", "2", "-X", "max.block.ms=300"];
    let lines = verifiable(&broker, &options).exits(1).json();
    let errors = named(&lines, "producer_send_error");
    let expected =
        ["timestamp", "name", "topic", "key", "value", "exception", "message", "outcome"];
    assert!(errors.iter().all(|error| fields(error) == expected), "{errors:?}");
    assert!(errors.iter().all(|error| error["outcome"] == "not persisted"), "{errors:?}");
    assert_eq!(errors.iter().map(|it| &it["value"]).collect::<Vec<_>>(), ["0", "1"]);
    let data = lines.last().expect("lines");
    assert_eq!((&data["sent"], &data["acked"]), (&2.into(), &0.into()));
}

#[test]
fn settings_of_a_file_come_before_options_under_both_of_its_names() {
    let broker = Broker::start(&["--topic", "t:1"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("producer.properties");
    std::fs::write(&file, format!("acks=0\nbootstrap.servers={}\n", broker.address)).unwrap();
    for name in ["--command-config", "--producer.config"] {
        let args = ["verifiable-producer", "--broker-list", "127.0.0.1:1", "--topic", "t"];
        let options = ["--max-messages", "1", name, file.to_str().unwrap()];
        let lines = run(args.iter().chain(&options)).exits(0).json();
        assert_eq!(named(&lines, "producer_send_success")[0]["offset"], -1);
    }
}

#[test]
fn a_signal_ends_it_in_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let broker = Broker::start(&["--topic", "t:1"]);
        let args = ["verifiable-producer", "--bootstrap-server", &broker.address];
        let mut command = ottla(args.iter().chain(&["--topic", "t", "--throughput", "100"]));
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = Lines::of(child.stdout.take().unwrap());
        lines.wait_for("producer_send_success");
        send_signal(&child, signal);
        lines.wait_for("shutdown_complete");
        let data: Value = serde_json::from_str(&lines.wait_for("tool_data")).unwrap();
        assert_eq!(wait(&mut child).code(), Some(0));
        assert_eq!(data["sent"], broker.values("t").len());
        assert_eq!((&data["acked"], &data["target_throughput"]), (&data["sent"], &100.into()));
    }
}

#[test]
fn a_signal_ends_it_while_its_topic_is_missing() {
    let broker = Broker::start(&["--no-auto-create"]);
    let args = ["verifiable-producer", "--bootstrap-server", &broker.address, "--topic", "t"];
    let mut child = ottla(args).stdout(Stdio::piped()).spawn().unwrap();
    let lines = Lines::of(child.stdout.take().unwrap());
    lines.wait_for("startup_complete");
    send_signal(&child, Signal::TERM);
    lines.wait_for("tool_data");
    assert!(wait(&mut child).code().is_some_and(|code| code <= 1));
}

#[test]
fn wrong_options_are_refused_before_anything_is_said() {
    let broker = Broker::start(&[]);
    for (options, words) in [
        (&["--acks", "2"][..], "possible values: 0, 1, -1"),
        (&["--value-prefix", "abc"], "--value-prefix"),
        (&["--max-messages", "x"], "--max-messages"),
        (&["-X", "acsk=1"], "did you mean acks"),
        (&["--command-config", "no-such-file"], "no-such-file"),
    ] {
        let said = verifiable(&broker, options).exits(2).says(words);
        assert_eq!(said.text(), "");
    }
    run(["verifiable-producer", "--topic", "t"]).exits(2).says("--bootstrap-server");
}
