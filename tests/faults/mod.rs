//! What a producer does when things go wrong: the embedded broker's faults, by script.

mod cancellation;
mod duplicates;
mod errors;
mod network;
mod retries;
mod timeouts;
mod wire;

use std::time::Duration;

use ottla::{ProduceError, Producer, Record, RecordMetadata};
use ottla_broker::{ApiKey, Cluster, Fault};

use ottla_tests::{Engine, Seen, run};

/// A broker to break, with a topic on it.
pub(crate) struct Scene {
    engine: Engine,
    topic: String,
}

/// Small batches, so that there are many, and retries at once.
const BRISK: [(&str, &str); 3] =
    [("batch.size", "400"), ("retry.backoff.ms", "1"), ("retry.backoff.max.ms", "5")];

impl Scene {
    pub(crate) fn new(partitions: i32) -> Self {
        let engine = Engine::embedded();
        let topic = engine.topic("scene", partitions);
        Self { engine, topic }
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        match &self.engine {
            Engine::Embedded { cluster, .. } => cluster,
            Engine::Kafka { .. } => unreachable!("the scene is on the embedded broker"),
        }
    }

    /// A producer of many small batches with these settings.
    pub(crate) fn producer(&self, settings: &[(&str, &str)]) -> Producer {
        self.engine.producer(&[&BRISK[..], settings].concat())
    }

    /// The producer knows its topic and has an identity: what goes wrong now meets records.
    pub(crate) fn warm_up(&self, producer: &Producer) {
        let record = Record::new(&self.topic).value("warm").partition(0);
        let outcome = run(async { producer.send(record).await.expect("accepted").await });
        outcome.expect("delivered");
    }

    pub(crate) fn values(&self, partition: i32) -> Vec<String> {
        ottla_tests::record::values(&self.engine.read(&self.topic), partition)
    }

    /// Outcomes of `count` records to partition 0, all sent before the first is awaited. Their
    /// values are numbers from 0.
    pub(crate) fn send(&self, producer: &Producer, count: usize) -> Vec<Outcome> {
        run(producer.send_all(numbers(count).iter().map(|v| self.record(v))))
    }

    pub(crate) fn record<'a>(&'a self, value: &'a str) -> Record<'a> {
        Record::new(&self.topic).value(value).partition(0)
    }
}

type Outcome = Result<RecordMetadata, ProduceError>;

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|n| n.to_string()).collect()
}

/// Asserts that the partition holds exactly the numbers from 0, each once and in order (laws L2
/// and L3), and that every delivery told the truth about its place.
fn assert_exactly_once(scene: &Scene, outcomes: &[Outcome]) {
    let seen = scene.engine.read(&scene.topic);
    let found: Vec<&Seen> = seen.iter().filter(|seen| seen.text() != "warm").collect();
    let values: Vec<String> = found.iter().map(|seen| seen.text()).collect();
    assert!(values == numbers(outcomes.len()), "lost, doubled or out of order: {values:?}");
    for (outcome, seen) in outcomes.iter().zip(found) {
        let metadata = outcome.as_ref().expect("delivered");
        assert_eq!(metadata.offset, Some(seen.offset));
    }
}

fn on_produce() -> Fault {
    Fault::on(ApiKey::PRODUCE)
}

const SHORT: Duration = Duration::from_millis(300);
