//! `ottla bench`: what it measures adds up, and its closing line is the one that others read.

#![cfg(unix)]

mod support;

use rustix::process::Signal;
use support::{Broker, Lines, ottla, run, send_signal, wait};

#[test]
fn the_closing_line_tells_what_is_in_the_log() {
    let broker = Broker::start(&["--topic", "t:3"]);
    let args = ["--num-records", "5000", "--record-size", "40", "--threads", "2", "--keys", "10"];
    let said = run(["bench", "-b", &broker.address, "--topic", "t"].iter().chain(&args)).exits(0);
    let line = said.text();
    assert!(line.starts_with("5000 records sent, "), "{line}");
    for part in [" records/sec (", " MB/sec), ", " ms avg latency, ", " ms max latency, "] {
        assert!(line.contains(part), "no {part:?} in {line}");
    }
    for part in [" ms 50th, ", " ms 95th, ", " ms 99th, ", " ms 99.9th.\n"] {
        assert!(line.contains(part), "no {part:?} in {line}");
    }
    let records = broker.records("t");
    assert_eq!(records.len(), 5000);
    assert!(records.iter().all(|record| record["value"].as_str().unwrap().len() == 40));
    let keys: std::collections::HashSet<_> = records.iter().map(|r| r["key"].as_str()).collect();
    assert_eq!(keys.len(), 10);
}

#[test]
fn the_options_of_kafkas_own_tool_are_understood() {
    let broker = Broker::start(&["--topic", "t:1"]);
    let servers = format!("bootstrap.servers={}", broker.address);
    let args = ["--num-records", "300", "--payload-monotonic", "--throughput", "-1"];
    let more = ["--warmup-records", "100", "--print-metrics", "--reporting-interval", "60000"];
    let said = run(["bench", "--topic", "t", "--producer-props", &servers, "acks=1"]
        .iter()
        .chain(&args)
        .chain(&more))
    .exits(0);
    let lines: Vec<&str> = said.text().lines().collect();
    assert!(lines[0].starts_with("300 records sent, "), "{lines:?}");
    assert!(lines[1].starts_with("200 steady state records sent, "), "{lines:?}");
    assert!(said.text().contains("records_delivered: 300"), "{lines:?}");
    let expected: Vec<String> = (0..300).map(|n: u32| n.to_string()).collect();
    assert_eq!(broker.values("t"), expected);
}

#[test]
fn json_says_it_in_one_object_and_a_picture_can_be_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let (picture, values) = (folder.path().join("bench.svg"), folder.path().join("values.txt"));
    std::fs::write(&values, "one\ntwo\nthree\n").unwrap();
    let said = run([
        "bench".as_ref(),
        "--embedded".as_ref(),
        "--topic".as_ref(),
        "t".as_ref(),
        "--num-records=600".as_ref(),
        "--throughput=20000".as_ref(),
        "--json".as_ref(),
        "--payload-file".as_ref(),
        values.as_os_str(),
        "--plot".as_ref(),
        picture.as_os_str(),
    ])
    .exits(0);
    let [summary] = &said.json()[..] else { panic!("one object") };
    assert_eq!((&summary["records"], &summary["failed"]), (&600.into(), &0.into()));
    assert_eq!(summary["bytes"], 600 / 3 * 11);
    let latency = &summary["latency_ms"];
    let ms = |name: &str| latency[name].as_f64().unwrap();
    assert!(ms("p50") <= ms("p99") && ms("p99") <= ms("max") + 1.0 && ms("avg") > 0.0);
    assert!(std::fs::read_to_string(picture).unwrap().ends_with("</svg>\n"));
}

#[test]
fn ctrl_c_says_what_was_measured_so_far() {
    let broker = Broker::start(&["--topic", "t:1"]);
    let mut command = ottla(["bench", "-b", &broker.address, "--topic", "t"]);
    command.args(["--num-records", "1000000", "--throughput", "200"]);
    command.args(["--reporting-interval", "50"]);
    let pipe = std::process::Stdio::piped;
    let mut child = command.stdout(pipe()).stderr(pipe()).spawn().unwrap();
    let lines = Lines::of(child.stdout.take().unwrap());
    lines.wait_for("ms max latency.");
    send_signal(&child, Signal::INT);
    let closing = lines.wait_for("ms 99.9th.");
    assert_eq!(wait(&mut child).code(), Some(130));
    let sent: usize = closing.split(' ').next().unwrap().parse().unwrap();
    assert_eq!(broker.values("t").len(), sent);
}

#[test]
fn a_wrong_number_a_wrong_file_or_no_cluster_is_said() {
    let bench =
        |args: &[&str]| run(["bench", "-b", "127.0.0.1:1", "--topic", "t"].iter().chain(args));
    for (args, words) in [
        (&["--num-records", "0"][..], "--num-records"),
        (&["--num-records", "-5"], "--num-records"),
        (&["--record-size", "0"], "--record-size"),
        (&["--throughput", "0"], "not a rate"),
        (&["--throughput", "-2"], "not a rate"),
        (&["--throughput", "NaN"], "not a rate"),
        (&["--warmup-records", "1000000"], "leaves none"),
        (&["--record-size", "9", "--payload-monotonic"], "cannot be used with"),
        (&["--record-size", "9", "--payload-file", "x"], "cannot be used with"),
        (&["--payload-file", "no-such-file"], "no-such-file cannot be read"),
        (&["--payload-file", "/dev/null"], "is empty"),
        (&["--record-size", "1048577"], "max.request.size"),
        (&["--threads", "0"], "--threads"),
        (&["--plot", "no-such-folder/x.svg"], "cannot be written"),
        (&["--transactional-id", "x"], "not there yet"),
        (&["-X", "acks=2"], "acks"),
        (&["-X", "acsk=1"], "did you mean acks"),
    ] {
        bench(args).exits(2).says(words);
    }
    bench(&["--timeout", "0.3"]).exits(3).says("127.0.0.1:1");
    run(["bench", "--topic", "t"]).exits(2).says("no cluster was named");
}

#[test]
fn records_that_the_broker_refuses_are_counted_and_the_exit_code_says_so() {
    let broker = Broker::start(&[]);
    let create = ["topic", "create", "small", "--config", "max.message.bytes=200", "-b"];
    run(create.iter().copied().chain([broker.address.as_str()])).exits(0);
    let args = ["--num-records", "3", "--record-size", "1000", "-z", "none"];
    let said = run(["bench", "-b", &broker.address, "--topic", "small"].iter().chain(&args));
    let said = said.exits(1).says("3 records failed, the first because: ");
    assert!(said.text().starts_with("0 records sent, "), "{}", said.text());
}
