//! SIGKILL of `ottla broker` while records come: what was acknowledged is there afterwards, once.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use ottla::{Delivery, Producer, Record};
use ottla_tests::record::values;
use ottla_tests::tools::{Reaped, find};
use ottla_tests::wait::{PATIENCE, until};
use ottla_tests::{Engine, Made, foreign, log_files, needs, run, skip};

/// A broker in a process of its own, which can be killed.
struct Broker {
    _process: Reaped,
    servers: String,
}

impl Broker {
    fn start(listen: &str, data: &Path, topic: &str) -> Result<Self, String> {
        let mut command = Command::new(find("OTTLA_BIN", "ottla")?);
        command.args([
            "broker",
            "--quiet",
            "--no-auto-create",
            "--listen",
            listen,
            "--topic",
            topic,
        ]);
        let spawned = command.arg("--data").arg(data).stdout(Stdio::piped()).spawn();
        let mut process = Reaped(spawned.map_err(|error| error.to_string())?);
        let mut told = String::new();
        let stdout = process.0.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut told).expect("a line");
        let servers = told.trim().strip_prefix("ready ").expect("ready HOST:PORT").to_owned();
        Ok(Self { _process: process, servers })
    }
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|n| n.to_string()).collect()
}

/// Waits until the record, and so everything before it, is acknowledged.
fn acknowledged(delivery: &Delivery) {
    until("acknowledgment", || delivery.try_outcome()).expect("delivered");
}

fn send(producer: &Producer, values: &[String]) -> Vec<Delivery> {
    run(async {
        let mut deliveries = Vec::new();
        for value in values {
            let record = Record::new("killed").value(value).partition(0);
            deliveries.push(producer.send(record).await.expect("accepted"));
        }
        deliveries
    })
}

fn no_fault(data: &Path) {
    if let Err(why) = log_files::assert_no_fault(data) {
        skip::skip(&format!("nobody looked at the files: {why}"));
    }
}

/// Laws: L1, L2, L4. Scenarios: F16.
#[test]
fn a_producer_outlives_three_kills_of_its_broker_and_nothing_is_lost_or_doubled() {
    let data = tempfile::tempdir().expect("a folder");
    let broker = needs!(Broker::start("127.0.0.1:0", data.path(), "killed:1"));
    let servers = broker.servers.clone();
    let mut broker = Some(broker);
    let engine = Engine::Kafka { servers: servers.clone() };
    let producer = engine.producer(&[
        ("batch.size", "1000"),
        ("reconnect.backoff.ms", "5"),
        ("reconnect.backoff.max.ms", "20"),
    ]);
    let values_sent = numbers(12_000);
    let mut deliveries = Vec::new();
    for part in values_sent.chunks(3000) {
        let sent = send(&producer, part);
        if deliveries.len() < 9000 {
            // In the middle of it: a third is acknowledged, the rest on its way or not yet.
            acknowledged(&sent[1000]);
            drop(broker.take());
            let again = Broker::start(&servers, data.path(), "killed:1");
            broker = Some(again.expect("it starts again"));
        }
        deliveries.extend(sent);
    }
    let offsets: Vec<Option<i64>> = run(async {
        let mut offsets = Vec::new();
        for delivery in deliveries {
            offsets.push(delivery.await.expect("delivered").offset);
        }
        producer.close(PATIENCE).await;
        offsets
    });
    // The log is readable, and every acknowledgment was true (laws L1 to L3).
    let found = values(&engine.read("killed"), 0);
    assert!(found == values_sent, "lost, doubled or out of order: {} records", found.len());
    assert!(offsets.iter().zip(0..).all(|(told, at)| *told == Some(at)));
    drop(broker);
    no_fault(data.path());
}

#[test]
fn what_was_acknowledged_before_a_kill_is_there_when_nobody_sends_it_again() {
    let data = tempfile::tempdir().expect("a folder");
    let broker = needs!(Broker::start("127.0.0.1:0", data.path(), "killed:1"));
    let servers = broker.servers.clone();
    let engine = Engine::Kafka { servers: servers.clone() };
    let settings = [("batch.size", "1000"), ("retries", "0"), ("enable.idempotence", "false")];
    let producer = engine.producer(&settings);
    let values_sent = numbers(5000);
    let deliveries = send(&producer, &values_sent);
    acknowledged(&deliveries[2000]);
    drop(broker);
    let outcomes = run(async {
        producer.close(std::time::Duration::ZERO).await;
        deliveries
            .iter()
            .map(|delivery| delivery.try_outcome().expect("settled"))
            .collect::<Vec<_>>()
    });
    let _broker = Broker::start(&servers, data.path(), "killed:1").expect("it starts again");
    let found = engine.read("killed");
    let mut acknowledged = 0;
    for (value, outcome) in values_sent.iter().zip(&outcomes) {
        if let Ok(metadata) = outcome {
            let at = metadata.offset.expect("an offset");
            assert_eq!(found[at as usize].text(), *value);
            acknowledged += 1;
        }
    }
    assert!(acknowledged > 2000);
    // What is there is a beginning of what was sent, without a hole.
    let found = values(&found, 0);
    assert!(found[..] == values_sent[..found.len()]);
}

#[test]
fn a_producer_of_others_outlives_a_kill_as_well() {
    let data = tempfile::tempdir().expect("a folder");
    let broker = needs!(Broker::start("127.0.0.1:0", data.path(), "killed:1"));
    needs!(foreign::is_here());
    let servers = broker.servers.clone();
    let mut broker = Some(broker);
    let engine = Engine::Kafka { servers: servers.clone() };
    let records: Vec<Made> = (0..30_000).map(|n| Made::value(n.to_string()).partition(0)).collect();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let settings = [
                ("enable.idempotence", "true"),
                ("batch.num.messages", "5"),
                ("reconnect.backoff.ms", "5"),
                ("reconnect.backoff.max.ms", "20"),
            ];
            foreign::produce(&servers, "killed", &settings, &records)
        });
        for count in [1000, 8000] {
            until("records", || (engine.end_offset("killed", 0) > count).then_some(()));
            drop(broker.take());
            let again = Broker::start(&servers, data.path(), "killed:1");
            broker = Some(again.expect("it starts again"));
        }
        assert!(!writer.is_finished(), "the kills came in the middle");
        writer.join().expect("no panic").expect("Python is here");
    });
    let found = values(&engine.read("killed"), 0);
    assert!(found == numbers(30_000), "lost, doubled or out of order: {} records", found.len());
    drop(broker);
    no_fault(data.path());
}

#[test]
fn a_batch_that_was_torn_by_the_kill_is_cut_off_and_the_log_goes_on_there() {
    let data = tempfile::tempdir().expect("a folder");
    let broker = needs!(Broker::start("127.0.0.1:0", data.path(), "killed:1"));
    let engine = Engine::Kafka { servers: broker.servers.clone() };
    let producer = engine.producer(&[("batch.size", "1")]);
    let deliveries = send(&producer, &numbers(100));
    acknowledged(&deliveries[99]);
    run(producer.close(PATIENCE));
    drop(broker);
    // As if the last batch had not been written to its end.
    let log = data.path().join("killed-0").join("00000000000000000000.log");
    let file = std::fs::OpenOptions::new().write(true).open(&log).expect("the log");
    file.set_len(file.metadata().expect("its size").len() - 3).expect("cut");
    let broker = Broker::start("127.0.0.1:0", data.path(), "killed:1").expect("it starts again");
    let engine = Engine::Kafka { servers: broker.servers.clone() };
    let delivery = send(&engine.producer(&[]), &["next".to_owned()]).remove(0);
    assert_eq!(delivery.wait().expect("delivered").offset, Some(99));
    let mut expected = numbers(99);
    expected.push("next".to_owned());
    assert_eq!(values(&engine.read("killed"), 0), expected);
    drop(broker);
    no_fault(data.path());
}
