//! Topics that change while they are produced to (law L8).

use ottla::{Producer, Record};
use ottla_tests::wait::PATIENCE;
use ottla_tests::{Engine, Seen, engine, foreign, needs, run};

/// The cluster's layout is asked for again soon.
const WATCHFUL: (&str, &str) = ("metadata.max.age.ms", "100");

fn deliver(producer: &Producer, topic: &str, count: usize) {
    let records = (0..count).map(|_| Record::new(topic).value("v"));
    let outcomes = run(producer.send_all(records));
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
}

/// Laws: L8. Scenarios: #74, F11.
#[test]
fn partitions_that_are_added_are_found_and_used() {
    let engine = engine!();
    let topic = engine.topic("grows", 2);
    let producer = engine.producer(&[WATCHFUL, ("partitioner", "round_robin")]);
    deliver(&producer, &topic, 10);
    needs!(foreign::grow(engine.servers(), &topic, 5));
    ottla_tests::wait::until_true("fifth partition", || {
        run(producer.partitions(&topic)).expect("listed").len() == 5
    });
    deliver(&producer, &topic, 50);
    let seen = engine.read(&topic);
    assert_eq!(seen.len(), 60);
    let of = |partition| seen.iter().filter(|seen| seen.partition == partition).count();
    assert_eq!((of(2), of(3), of(4)), (10, 10, 10));
}

/// Laws: L1, L8. Scenarios: #74, F11, bug-17.
#[test]
fn partitions_that_are_added_while_records_stream_lose_nothing() {
    needs!(foreign::is_here());
    let engine = engine!();
    let topic = engine.topic("grows-under-load", 2);
    let producer = engine.producer(&[WATCHFUL, ("batch.size", "500")]).blocking();
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut sent = 0;
            // Until some time after the new partitions were seen.
            while sent < 5000 || producer.partitions(&topic).expect("listed").len() < 4 {
                let key = format!("key {}", sent % 50);
                let value = sent.to_string();
                let record = Record::new(&topic).key(&key).value(&value);
                drop(producer.send(record).expect("accepted"));
                sent += 1;
            }
            sent
        });
        foreign::grow(engine.servers(), &topic, 4).expect("grown");
        let sent = sender.join().expect("no panic");
        assert_eq!(producer.close(PATIENCE).delivered, sent);
        let mut values: Vec<u64> =
            engine.read(&topic).iter().map(|seen| seen.text().parse().expect("a number")).collect();
        values.sort_unstable();
        assert!(values.into_iter().eq(0..sent), "lost or doubled");
    });
}

/// Deletes the topic and makes it anew under the same name.
fn recreate(engine: &Engine, topic: &str, partitions: i32) {
    engine.delete(topic);
    engine.create(topic, partitions, &[]);
}

/// Laws: L8. Scenarios: #72, F8.
#[test]
fn a_topic_that_was_deleted_and_made_anew_is_produced_to_from_offset_0() {
    let engine = engine!();
    let topic = engine.topic("anew", 1);
    let producer = engine.producer(&[]);
    deliver(&producer, &topic, 20);
    recreate(&engine, &topic, 1);
    let outcome = run(async {
        producer.send(Record::new(&topic).value("new")).await.expect("accepted").await
    });
    assert_eq!(outcome.expect("delivered").offset, Some(0));
    deliver(&producer, &topic, 20);
    assert_eq!(engine.read(&topic).len(), 21);
}

/// Laws: L1, L8. Scenarios: #71, #72, F9, bug-22.
#[test]
fn a_topic_made_anew_again_and_again_while_records_stream_never_stops_its_producer() {
    let engine = engine!();
    let topic = engine.topic("again-and-again", 2);
    let producer = engine.producer(&[("retry.backoff.ms", "10")]).blocking();
    for round in 0..5 {
        for n in 0..100 {
            let value = format!("{round} {n}");
            drop(producer.send(Record::new(&topic).value(&value)).expect("accepted"));
        }
        if round % 2 == 0 {
            producer.flush(PATIENCE).expect("flushed");
        }
        recreate(&engine, &topic, 2);
    }
    let last = producer.send(Record::new(&topic).value("last")).expect("accepted");
    last.wait().expect("delivered");
    let report = producer.close(PATIENCE);
    // Each record has one outcome (law L1), and what is there is there once.
    assert_eq!(report.delivered + report.failed, 501);
    let mut values: Vec<String> = engine.read(&topic).iter().map(Seen::text).collect();
    assert!(values.contains(&"last".to_owned()));
    let count = values.len();
    values.sort();
    values.dedup();
    assert_eq!(values.len(), count);
}

/// Laws: L8. Scenarios: #75, F11.
#[test]
fn a_topic_made_anew_with_fewer_partitions_is_learned_anew() {
    let engine = engine!();
    let topic = engine.topic("fewer", 4);
    let producer = engine.producer(&[WATCHFUL, ("partitioner", "round_robin")]);
    deliver(&producer, &topic, 8);
    recreate(&engine, &topic, 2);
    ottla_tests::wait::until_true("two partitions", || {
        run(producer.partitions(&topic)).expect("listed").len() == 2
    });
    deliver(&producer, &topic, 10);
    let seen = engine.read(&topic);
    assert_eq!(seen.len(), 10);
    let refused = run(producer.send(Record::new(&topic).value("v").partition(3)));
    assert_eq!(refused.expect_err("gone").kind(), ottla::ErrorKind::UnknownPartition);
}
