//! `ottla broker`: it says when it is ready, keeps what it was given, and ends cleanly.

#![cfg(unix)]

mod support;

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::json;
use support::{Broker, Lines, ottla, run, send_signal, wait};

#[test]
fn a_signal_ends_it_cleanly_and_its_records_outlive_it() {
    let mut broker = Broker::start(&["--topic", "t:2"]);
    broker.produce(&["-t", "t", "-p", "1"], b"a\nb\n").exits(0);
    assert_eq!(broker.end(Signal::TERM).code(), Some(0));
    broker.restart(&[]);
    assert_eq!(broker.values("t"), ["a", "b"]);
    assert_eq!(broker.end(Signal::INT).code(), Some(0));
}

#[test]
fn records_survive_a_kill() {
    let mut broker = Broker::start(&["--topic", "t:1"]);
    broker.produce(&["-t", "t"], b"a\nb\n").exits(0);
    broker.end(Signal::KILL);
    broker.restart(&[]);
    broker.produce(&["-t", "t"], b"c\n").exits(0);
    assert_eq!(broker.values("t"), ["a", "b", "c"]);
}

#[test]
fn a_log_that_lost_its_end_is_said_and_the_rest_is_served() {
    let mut broker = Broker::start(&["--topic", "orders:1"]);
    broker.produce(&["-t", "orders"], b"a\n").exits(0);
    broker.produce(&["-t", "orders"], b"b\n").exits(0);
    broker.end(Signal::KILL);
    let log = broker.data.path().join("orders-0/00000000000000000000.log");
    let size = std::fs::metadata(&log).unwrap().len();
    std::fs::File::options().write(true).open(&log).unwrap().set_len(size - 1).unwrap();

    let said = said_at_start(broker.data.path(), "log cut after an unclean shutdown");
    assert!(said.starts_with("ottla: log cut"), "{said}");
    assert!(said.contains(": topic orders, partition 0, file "), "{said}");
    assert!(said.contains("lost bytes "), "{said}");
    broker.restart(&[]);
    assert_eq!(broker.values("orders"), ["a"]);
}

/// What a broker on this folder says with these words until it is ready.
fn said_at_start(data: &Path, words: &str) -> String {
    let data = data.to_str().unwrap();
    let mut command = ottla(["broker", "--listen", "127.0.0.1:0", "--data", data]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let talk = Lines::of(child.stderr.take().unwrap());
    let said = talk.wait_for(words);
    talk.wait_for("data in ");
    send_signal(&child, Signal::TERM);
    assert_eq!(wait(&mut child).code(), Some(0));
    said
}

/// A group had committed 210, 410 and 510; the file of it lost its end along with the last line
/// break, and the group went on at 210 without a word to anybody.
#[test]
fn a_file_of_lines_that_lost_its_end_is_said_and_the_rest_is_known() {
    let mut broker = Broker::start(&[]);
    broker.end(Signal::KILL);
    let offsets = broker.data.path().join("group-offsets.jsonl");
    let line = |offset| {
        format!(r#"{{"group":"g","topic":"t","partition":0,"committed":{{"offset":{offset}}}}}"#)
    };
    let half = &line(410)[..40];
    std::fs::write(&offsets, format!("{}\n{half}", line(210))).unwrap();
    let said = said_at_start(broker.data.path(), "left out a last line that was not finished");
    assert!(said.contains("group-offsets.jsonl") && said.contains("lost bytes 40"), "{said}");
    assert_eq!(std::fs::read_to_string(&offsets).unwrap(), format!("{}\n", line(210)));
}

#[test]
fn a_log_that_somebody_took_away_is_said() {
    let mut broker = Broker::start(&["--topic", "t:1"]);
    let folder = broker.data.path().join("t-0");
    let index = folder.join("00000000000000000000.index");
    broker.end(Signal::KILL);
    std::fs::remove_file(folder.join("00000000000000000000.log")).unwrap();
    std::fs::write(&index, []).unwrap();
    let said = said_at_start(broker.data.path(), "removed an index without its log");
    assert!(said.contains(index.to_str().unwrap()), "{said}");

    // What the checkpoint knows does not go without a word either.
    broker.restart(&[]);
    broker.end(Signal::KILL);
    let checkpoint = broker.data.path().join("replication-offset-checkpoint");
    std::fs::write(checkpoint, "0\n1\nt 0 7\n").unwrap();
    let lost = "log has lost records that all in-sync replicas had";
    let said = said_at_start(broker.data.path(), lost);
    assert!(said.contains("topic t") && said.contains("high watermark 7"), "{said}");
}

#[test]
fn damage_in_the_log_that_is_read_is_not_the_users_mistake() {
    let broker = Broker::start(&["--topic", "t:1"]);
    broker.produce(&["-t", "t"], b"a\n").exits(0);
    let log = broker.data.path().join("t-0/00000000000000000000.log");
    let size = std::fs::metadata(&log).unwrap().len() as usize;
    std::fs::write(&log, vec![0x41; size]).unwrap();
    broker.read("t", &["--timeout", "1"]).exits(1).says("t");
}

#[test]
fn topics_are_created_with_the_partitions_asked_for() {
    let broker =
        Broker::start(&["--topic", "a:4", "--topic", "b:2:1", "--default-partitions", "5"]);
    broker.produce(&["-t", "c"], b"x\n").exits(0);
    let said = run(["topic", "list", "--json", "-b", &broker.address]).exits(0);
    let listed: Vec<_> = said.json()[0]
        .as_array()
        .unwrap()
        .iter()
        .map(|topic| (topic["name"].clone(), topic["partitions"].clone()))
        .collect();
    let expected = [("a", 4), ("b", 2), ("c", 5)].map(|(name, count)| (json!(name), json!(count)));
    assert_eq!(listed, expected);
}

#[test]
fn topics_are_not_created_when_that_is_forbidden() {
    let broker = Broker::start(&["--no-auto-create"]);
    broker.produce(&["-t", "new", "--timeout", "0.3"], b"x\n").exits(1).says("new");
    assert_eq!(run(["topic", "list", "-b", &broker.address]).exits(0).text(), "");
}

#[test]
fn a_port_in_use_and_a_folder_in_use_are_said() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    run(["broker", "--listen", &address, "--data", data]).exits(2).says(&address).says("--listen");
    let broker = Broker::start(&[]);
    let data = broker.data.path().to_str().unwrap();
    let said = run(["broker", "--listen", "127.0.0.1:0", "--data", data]).exits(2);
    said.says(data).says("--data DIR");
    let said = run(["read", "--embedded", "--data", data, "-t", "t", "-e"]).exits(2);
    said.says(data);
}

#[test]
fn several_nodes_are_told_and_hold_each_others_records() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let mut command = ottla(["broker", "--nodes", "3", "--listen", "127.0.0.1:0", "--data", data]);
    command.args(["--topic", "t:1:3", "--min-insync-replicas", "2"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let ready = Lines::of(child.stdout.take().unwrap()).wait_for("ready ");
    let servers = ready.trim().strip_prefix("ready ").unwrap();
    assert_eq!(servers.split(',').count(), 3);
    support::run_with(["produce", "-b", servers, "-t", "t"], b"a\nb\n").exits(0);
    assert_eq!(run(["read", "-b", servers, "-t", "t", "-e"]).exits(0).text(), "a\nb\n");
    send_signal(&child, Signal::TERM);
    assert_eq!(wait(&mut child).code(), Some(0));
    let log = |folder: &str| {
        std::fs::read(dir.path().join(folder).join("t-0/00000000000000000000.log")).unwrap()
    };
    assert!(!log(".").is_empty());
    assert!(log(".") == log("nodes/2") && log(".") == log("nodes/3"));
}

#[test]
fn nodes_that_cannot_be_had_are_refused() {
    run(["broker", "--nodes", "0"]).exits(2).says("--nodes");
    run(["broker", "--topic", "t:1:3"]).exits(2).says("--nodes 3");
}

#[test]
fn a_broker_that_discards_says_so_takes_records_and_has_none_to_read() {
    let mut command = ottla(["broker", "--listen", "127.0.0.1:0", "--discard", "--topic", "t:3"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let ready = Lines::of(child.stdout.take().unwrap()).wait_for("ready ");
    let servers = ready.trim().strip_prefix("ready ").unwrap();
    Lines::of(child.stderr.take().unwrap()).wait_for("nothing can be read back");
    support::run_with(["produce", "-b", servers, "-t", "t"], b"a\nb\n").exits(0);
    assert_eq!(run(["read", "-b", servers, "-t", "t", "-e"]).exits(0).text(), "");
    send_signal(&child, Signal::TERM);
    assert_eq!(wait(&mut child).code(), Some(0));
}

#[test]
fn a_folder_for_a_broker_that_discards_is_a_mistake() {
    run(["broker", "--discard", "--data", "somewhere"]).exits(2).says("--discard");
}

#[test]
fn it_says_how_to_connect_and_keeps_passwords_to_itself() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users.txt");
    std::fs::write(&users, "alice:canary\n").unwrap();
    let mut command = ottla(["broker", "--listen", "127.0.0.1:0", "--discard", "--sasl-users"]);
    command.arg(&users).args(["--sasl-mechanism", "PLAIN", "--session-lifetime", "5", "-v"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let talk = Lines::of(child.stderr.take().unwrap());
    talk.wait_for("clients connect with security.protocol=SASL_PLAINTEXT and sasl.mechanism=PLAIN");
    talk.wait_for("PLAIN shows passwords");
    Lines::of(child.stdout.take().unwrap()).wait_for("ready ");
    send_signal(&child, Signal::TERM);
    assert_eq!(wait(&mut child).code(), Some(0));
}

#[test]
fn what_is_denied_cannot_be_done() {
    let broker = Broker::start(&["--topic", "t:1", "--topic", "u:1", "--deny", "write topic:t"]);
    broker.produce(&["-t", "t"], b"a\n").exits(1).says("t");
    broker.produce(&["-t", "u"], b"a\n").exits(0);
    assert_eq!(broker.values("u"), ["a"]);
}

#[test]
fn certificates_users_and_keys_that_are_of_no_use_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    let empty = empty.to_str().unwrap();
    let start = |words: &[&str]| {
        run(["broker", "--listen", "127.0.0.1:0", "--discard"].iter().chain(words))
    };
    start(&["--tls-certificate", empty, "--tls-key", empty]).exits(2).says("--tls-certificate");
    start(&["--tls-certificate", "/none", "--tls-key", empty]).exits(2).says("/none");
    start(&["--sasl-users", empty]).exits(2).says(empty);
    start(&["--oauth-keys", empty]).exits(2).says("key set");
    start(&["--sasl-user", "canary"]).exits(2).says("NAME:PASSWORD");
    start(&["--deny", "everything"]).exits(2).says("write topic:orders");
}
