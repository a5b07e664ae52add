//! Settings under which delivered records may be lost are warned of, once.
//!
//! One test alone in its process: what is logged by others would be in its way.

mod log;

use std::time::Duration;

use log::Log;
use ottla::{BlockingProducer, Producer, Record};
use ottla_broker::{ApiKey, Cluster};

const PATIENCE: Duration = Duration::from_secs(60);

fn producer(cluster: &Cluster, settings: &[(&str, &str)]) -> BlockingProducer {
    let servers = cluster.bootstrap_servers();
    let all = settings.iter().copied().chain([("bootstrap.servers", servers.as_str())]);
    Producer::from_properties(all).unwrap().blocking()
}

fn deliver(producer: &BlockingProducer, topic: &str) {
    producer.send(Record::new(topic).value("v")).unwrap().wait().unwrap();
}

#[test]
fn few_acknowledgments_and_single_replicas_are_warned_of_once_unless_that_is_not_wanted() {
    let log = Log::begin();
    let cluster = Cluster::builder().topic("one", 2).topic("two", 1).start().unwrap();

    let silent = producer(&cluster, &[("acks", "1"), ("durability.warnings", "false")]);
    deliver(&silent, "one");
    silent.close(PATIENCE);
    let silent = producer(&cluster, &[("durability.warnings", "false")]);
    deliver(&silent, "one");
    silent.close(PATIENCE);
    assert!(log.lines().iter().all(|line| !line.contains("acks=")), "{:?}", log.lines());

    for acks in ["0", "1"] {
        let few = producer(&cluster, &[("acks", acks), ("enable.idempotence", "false")]);
        log.wait_for(&[&format!("acks={acks}"), "durability.warnings=false"]);
        deliver(&few, "one");
        few.close(PATIENCE);
    }
    assert_eq!(count(&log, "acks=all"), 2, "the cure, and no topic: {:?}", log.lines());

    let all = producer(&cluster, &[]);
    for topic in ["one", "two", "one"] {
        deliver(&all, topic);
    }
    log.wait_for(&["one replica", "topic=\"one\""]);
    log.wait_for(&["one replica", "topic=\"two\""]);
    all.close(PATIENCE);
    assert_eq!(count(&log, "one replica"), 2, "{:?}", log.lines());
    // Metadata tells of it; nothing was asked for its sake.
    let asked = cluster.requests().iter().any(|it| it.api == ApiKey::DESCRIBE_CONFIGS);
    assert!(!asked);
}

fn count(log: &Log, words: &str) -> usize {
    log.lines().iter().filter(|line| line.contains(words)).count()
}
