//! Order inside a partition (law L3).

use std::sync::Barrier;

use ottla::Record;
use ottla_tests::wait::PATIENCE;
use ottla_tests::{Engine, Seen, engine, run};

/// What makes many batches of few records, so that five requests are under way at a time.
const SMALL_BATCHES: (&str, &str) = ("batch.size", "200");

fn in_order(engine: &Engine, settings: &[(&str, &str)]) {
    let topic = engine.topic("order", 1);
    let producer = engine.producer(&[settings, &[SMALL_BATCHES]].concat());
    run(async {
        for n in 0..5000 {
            let value = format!("value {n:04}");
            drop(producer.send(Record::new(&topic).value(&value)).await.expect("accepted"));
        }
        assert!(producer.close(PATIENCE).await.is_clean());
    });
    assert!(producer.metrics().batches_sent > 300, "the batches are small");
    let values: Vec<String> = engine.read(&topic).iter().map(Seen::text).collect();
    let expected: Vec<String> = (0..5000).map(|n| format!("value {n:04}")).collect();
    assert!(values == expected, "out of order, lost or doubled");
}

#[test]
fn with_idempotence_and_five_requests_in_flight_a_partition_keeps_the_order_of_sending() {
    in_order(&engine!(), &[("max.in.flight.requests.per.connection", "5")]);
}

#[test]
fn with_one_request_in_flight_a_partition_keeps_the_order_of_sending() {
    in_order(&engine!(), &[("max.in.flight.requests.per.connection", "1")]);
}

#[test]
fn without_idempotence_a_partition_keeps_the_order_of_sending() {
    in_order(&engine!(), &[("acks", "1")]);
}

#[test]
fn offsets_of_deliveries_rise_in_the_order_of_sending() {
    let engine = engine!();
    let topic = engine.topic("order-offsets", 1);
    let producer = engine.producer(&[SMALL_BATCHES]);
    let values: Vec<String> = (0..2000).map(|n| format!("value {n}")).collect();
    let outcomes = run(producer.send_all(values.iter().map(|v| Record::new(&topic).value(v))));
    let offsets: Vec<Option<i64>> =
        outcomes.into_iter().map(|outcome| outcome.expect("delivered").offset).collect();
    assert_eq!(offsets, (0..2000).map(Some).collect::<Vec<_>>());
}

#[test]
fn each_of_several_threads_finds_its_own_records_in_its_own_order() {
    let engine = engine!();
    let topic = engine.topic("threads", 4);
    let producer = engine.producer(&[SMALL_BATCHES]).blocking();
    let (threads, each) = (6, 1500);
    let start = Barrier::new(threads);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (producer, topic, start) = (producer.clone(), &topic, &start);
            scope.spawn(move || {
                let key = format!("thread-{thread}");
                start.wait();
                for n in 0..each {
                    let value = format!("{n}");
                    let record = Record::new(topic).key(&key).value(&value);
                    drop(producer.send(record).expect("accepted"));
                }
            });
        }
    });
    assert!(producer.close(PATIENCE).is_clean());
    let seen = engine.read(&topic);
    for thread in 0..threads {
        let key = format!("thread-{thread}").into_bytes();
        let own: Vec<&Seen> = seen.iter().filter(|seen| seen.key.as_ref() == Some(&key)).collect();
        assert!(own.iter().all(|seen| seen.partition == own[0].partition), "a key has one home");
        let values: Vec<String> = own.iter().map(|seen| seen.text()).collect();
        assert!(values == (0..each).map(|n| n.to_string()).collect::<Vec<_>>());
    }
}

#[test]
fn a_producer_and_its_clones_are_one_pipeline_and_keep_one_order() {
    let engine = engine!();
    let topic = engine.topic("clones", 1);
    let producer = engine.producer(&[]);
    let clones = [producer.clone(), producer.clone(), producer.clone()];
    run(async {
        for n in 0..300 {
            let value = n.to_string();
            let clone = &clones[n % 3];
            drop(clone.send(Record::new(&topic).value(&value)).await.expect("accepted"));
        }
        assert!(producer.close(PATIENCE).await.is_clean());
    });
    let values: Vec<String> = engine.read(&topic).iter().map(Seen::text).collect();
    assert_eq!(values, (0..300).map(|n| n.to_string()).collect::<Vec<_>>());
}

/// Laws: L1, L3. Scenarios: #35, T4.
#[test]
fn many_producers_one_after_the_other_write_to_one_partition() {
    let engine = engine!();
    let topic = engine.topic("many-producers", 1);
    let values: Vec<String> = (0..50 * 20).map(|n| n.to_string()).collect();
    for own in values.chunks(20) {
        let producer = engine.producer(&[("batch.size", "50")]);
        let records = own.iter().map(|value| Record::new(&topic).value(value));
        assert!(run(producer.send_all(records)).iter().all(Result::is_ok));
    }
    let found: Vec<String> = engine.read(&topic).iter().map(|seen| seen.text()).collect();
    assert!(found == values, "lost, doubled or out of order: {found:?}");
}
