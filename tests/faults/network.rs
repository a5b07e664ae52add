//! A network that tears frames: whatever is cut or stalled where, records are in the log once, in
//! order, in their own topic, and whole (laws L2, L3, L6, L7).

use std::collections::HashSet;

use ottla::{Outcome, Producer, Record};
use ottla_broker::Cluster;
use ottla_tests::proxy::{Proxy, Trouble, Way};
use ottla_tests::wait::PATIENCE;
use ottla_tests::{Engine, Rng, run};

use super::numbers;

/// A broker that is reached through a proxy only.
pub(super) struct Line {
    pub(super) proxy: Proxy,
    /// The broker without the detour.
    pub(super) engine: Engine,
}

impl Line {
    pub(super) fn new() -> Self {
        let proxy = Proxy::start();
        let address = proxy.address();
        let builder = Cluster::builder().advertise(address.ip().to_string(), address.port());
        let builder = builder.topic("one", 1).topic("two", 1);
        let cluster = builder.start().expect("started");
        proxy.lead_to(cluster.addresses()[0]);
        Self { proxy, engine: Engine::Embedded { servers: address.to_string(), cluster } }
    }

    pub(super) fn producer(&self, settings: &[(&str, &str)]) -> Producer {
        let brisk = [
            ("retry.backoff.ms", "1"),
            ("retry.backoff.max.ms", "5"),
            ("reconnect.backoff.ms", "1"),
            ("reconnect.backoff.max.ms", "5"),
            ("request.timeout.ms", "300"),
        ];
        self.engine.producer(&[&brisk[..], settings].concat())
    }

    /// Sends 400 records while this goes on, and finds them in the log.
    fn survives(&self, settings: &[(&str, &str)]) {
        let producer = self.producer(settings);
        let values = numbers(400);
        let outcomes =
            run(producer.send_all(values.iter().map(|value| Record::new("one").value(value))));
        self.proxy.heal();
        let seen = self.engine.read("one");
        let found: Vec<String> = seen.iter().map(|seen| seen.text()).collect();
        assert!(found == values, "lost, doubled or out of order: {found:?}");
        for (outcome, seen) in outcomes.iter().zip(&seen) {
            assert_eq!(outcome.as_ref().expect("delivered").offset, Some(seen.offset));
        }
    }
}

const MANY_BATCHES: (&str, &str) = ("batch.size", "30");

/// Laws: L7. Scenarios: #56, bug-39.
#[test]
fn connections_cut_in_the_middle_of_requests_lose_and_double_nothing() {
    let line = Line::new();
    let mut rng = Rng::seeded(17);
    for _ in 0..20 {
        line.proxy.plan(Way::There, rng.below(1500), Trouble::Cut);
    }
    line.survives(&[MANY_BATCHES]);
    assert!(line.proxy.happened() > 3);
}

/// Laws: L4, L7. Scenarios: #59, A7.
#[test]
fn connections_cut_in_the_middle_of_answers_lose_and_double_nothing() {
    let line = Line::new();
    let mut rng = Rng::seeded(18);
    for _ in 0..20 {
        line.proxy.plan(Way::Back, rng.below(1000), Trouble::Cut);
    }
    line.survives(&[MANY_BATCHES]);
    assert!(line.proxy.happened() > 3);
}

/// Laws: L6, L7. Scenarios: #56, bug-39, A10.
#[test]
fn connections_that_stall_in_the_middle_of_requests_lose_and_double_nothing() {
    let line = Line::new();
    let mut rng = Rng::seeded(19);
    for _ in 0..4 {
        line.proxy.plan(Way::There, 500 + rng.below(3000), Trouble::Stall);
    }
    line.survives(&[MANY_BATCHES]);
    assert!(line.proxy.happened() > 0);
}

/// Laws: L4, L7. Scenarios: A11.
#[test]
fn connections_that_stall_in_the_middle_of_answers_lose_and_double_nothing() {
    let line = Line::new();
    let mut rng = Rng::seeded(20);
    for _ in 0..4 {
        line.proxy.plan(Way::Back, 500 + rng.below(500), Trouble::Stall);
    }
    line.survives(&[MANY_BATCHES]);
    assert!(line.proxy.happened() > 0);
}

/// Laws: L7. Scenarios: E7.
#[test]
fn a_network_that_passes_one_byte_at_a_time_is_slow_and_no_more() {
    let line = Line::new();
    line.proxy.in_pieces(1);
    line.survives(&[("request.timeout.ms", "20000")]);
}

/// Laws: L2, L3, L6. Scenarios: #31, bug-1, bug-2, bug-38, bug-40.
#[test]
fn memory_of_records_that_expire_while_they_are_written_is_not_used_for_others_too_soon() {
    // What went wrong in other clients: a batch expires in the middle of being written, its memory
    // is used for the next one, and bytes of this come to the topic of that.
    let line = Line::new();
    let producer = line.producer(&[
        ("delivery.timeout.ms", "250"),
        ("request.timeout.ms", "120"),
        ("buffer.memory", "262144"),
        ("batch.size", "32768"),
        ("compression.type", "none"),
        ("max.block.ms", "20000"),
    ]);
    let mut rng = Rng::seeded(25);
    for _ in 0..12 {
        line.proxy.plan(Way::There, 20_000 + rng.below(200_000), Trouble::Stall);
    }
    let value = |topic: &str, n: usize| format!("{topic} {n} ").repeat(60);
    let outcomes = run(async {
        let mut deliveries = Vec::new();
        for n in 0..6000 {
            let topic = if n % 2 == 0 { "one" } else { "two" };
            let value = value(topic, n);
            let delivery = producer.send(Record::new(topic).value(&value)).await.expect("accepted");
            deliveries.push((topic, value, delivery));
        }
        line.proxy.heal();
        producer.flush(PATIENCE).await.expect("flushed");
        let mut outcomes = Vec::new();
        for (topic, value, delivery) in deliveries {
            outcomes.push((topic, value, delivery.await));
        }
        outcomes
    });
    let metrics = producer.metrics();
    assert_eq!(metrics.buffer_available_bytes, metrics.buffer_total_bytes);
    for topic in ["one", "two"] {
        let seen = line.engine.read(topic);
        let found: HashSet<String> = seen.iter().map(|seen| seen.text()).collect();
        assert_eq!(found.len(), seen.len(), "nothing twice");
        for (_, value, outcome) in outcomes.iter().filter(|(of, _, _)| *of == topic) {
            match outcome {
                Ok(metadata) => {
                    let at = metadata.offset.expect("an offset") as usize;
                    assert_eq!(seen[at].text(), *value);
                }
                Err(error) if error.outcome() == Outcome::NotPersisted => {
                    assert!(!found.contains(value), "it is there all the same: {error}");
                }
                Err(_) => (),
            }
        }
        // Nothing is there that was not sent there.
        let sent: HashSet<&String> = outcomes.iter().map(|(_, value, _)| value).collect();
        assert!(found.iter().all(|value| value.starts_with(topic) && sent.contains(value)));
        // And what is there is in its order, with gaps where records failed.
        let number = |value: String| value.split(' ').nth(1).and_then(|n| n.parse::<usize>().ok());
        let numbers: Vec<_> = seen.iter().map(|seen| number(seen.text())).collect();
        assert!(numbers.is_sorted(), "out of order in {topic}: {numbers:?}");
    }
    let failed = outcomes.iter().filter(|(_, _, outcome)| outcome.is_err()).count();
    assert!(failed > 0 && failed < 6000, "{failed} failed: the test was about those that do");
}
