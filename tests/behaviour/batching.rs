//! How records come together in batches and requests.

use std::time::Duration;

use ottla::{Producer, Record};
use ottla_tests::wait::PATIENCE;
use ottla_tests::{engine, run};

/// A linger that no test outlasts.
const FOR_EVER: (&str, &str) = ("linger.ms", "80000");
const FIXED: (&str, &str) = ("linger.adaptive", "false");
const PLAIN: (&str, &str) = ("compression.type", "none");

fn accept(producer: &Producer, topic: &str, count: usize, value: &[u8]) {
    run(async {
        for _ in 0..count {
            let accepted = producer.send(Record::new(topic).value(value).partition(0)).await;
            drop(accepted.expect("accepted"));
        }
    });
}

fn flush(producer: &Producer) {
    run(producer.flush(PATIENCE)).expect("flushed");
}

#[test]
fn many_small_records_make_few_requests() {
    let engine = engine!();
    let topic = engine.topic("few-requests", 1);
    let producer = engine.producer(&[PLAIN]);
    accept(&producer, &topic, 20_000, &[7; 100]);
    flush(&producer);
    let metrics = producer.metrics();
    assert_eq!(metrics.records_delivered, 20_000);
    // 2.2 MB are 18 full batches; a few more leave early, when the broker is idle.
    assert!(metrics.requests_sent <= 200, "{} requests", metrics.requests_sent);
    assert!(metrics.batch_bytes_sent < 20_000 * 120, "{} bytes", metrics.batch_bytes_sent);
}

#[test]
fn a_fixed_linger_keeps_a_batch_open_for_company_until_it_is_flushed() {
    let engine = engine!();
    let topic = engine.topic("linger", 1);
    let producer = engine.producer(&[FOR_EVER, FIXED]);
    for n in 0..20 {
        accept(&producer, &topic, 1, b"patient");
        // A round trip through the I/O thread and the cluster: time enough for a hasty sender.
        let other = engine.topic(&format!("linger-other-{n}"), 1);
        run(producer.partitions(&other)).expect("partitions");
    }
    assert_eq!(producer.metrics().requests_sent, 0);
    flush(&producer);
    let metrics = producer.metrics();
    assert_eq!(
        (metrics.records_delivered, metrics.batches_sent, metrics.requests_sent),
        (20, 1, 1)
    );
}

#[test]
fn a_fixed_linger_ends_by_itself() {
    let engine = engine!();
    let topic = engine.topic("linger-ends", 1);
    let producer = engine.producer(&[("linger.ms", "30"), FIXED]);
    let outcome = run(async {
        producer.send(Record::new(&topic).value("alone")).await.expect("accepted").await
    });
    assert_eq!(outcome.expect("delivered").offset, Some(0));
}

#[test]
fn an_adaptive_linger_does_not_hold_up_a_record_while_its_broker_is_idle() {
    let engine = engine!();
    let topic = engine.topic("adaptive", 1);
    let producer = engine.producer(&[FOR_EVER]);
    for n in 0..20 {
        let outcome = run(async {
            producer.send(Record::new(&topic).value("at once")).await.expect("accepted").await
        });
        assert_eq!(outcome.expect("delivered").offset, Some(n));
    }
}

#[test]
fn an_adaptive_linger_batches_what_comes_while_the_broker_is_busy() {
    let engine = engine!();
    let topic = engine.topic("adaptive-busy", 1);
    let producer = engine.producer(&[FOR_EVER]);
    accept(&producer, &topic, 5_000, b"crowd");
    flush(&producer);
    let requests = producer.metrics().requests_sent;
    assert!(requests <= 500, "{requests} requests for 5,000 records");
}

#[test]
fn no_batch_is_larger_than_batch_size_and_every_batch_but_the_last_is_filled() {
    let engine = engine!();
    let topic = engine.topic("batch-size", 1);
    let producer = engine.producer(&[("batch.size", "4096"), ("linger.ms", "5000"), FIXED, PLAIN]);
    accept(&producer, &topic, 1000, &[1; 90]);
    flush(&producer);
    let metrics = producer.metrics();
    // A record of 90 bytes takes 97 or 98; 41 fill a batch of 4,096, so that 25 hold 1,000.
    assert_eq!(metrics.batches_sent, 25);
    let mean_bytes = metrics.batch_bytes_sent / metrics.batches_sent;
    assert!((3_900..=4_096 + 61).contains(&mean_bytes), "{mean_bytes} bytes per batch");
}

/// Laws: L1. Scenarios: #119.
#[test]
fn a_record_larger_than_batch_size_travels_in_a_batch_of_its_own() {
    let engine = engine!();
    let topic = engine.topic("larger-than-batch", 1);
    let producer = engine.producer(&[("batch.size", "1000"), FOR_EVER, FIXED, PLAIN]);
    accept(&producer, &topic, 2, b"small");
    accept(&producer, &topic, 1, &[2; 50_000]);
    accept(&producer, &topic, 2, b"small");
    flush(&producer);
    assert_eq!(producer.metrics().batches_sent, 3);
    let lengths: Vec<usize> =
        engine.read(&topic).iter().map(|seen| seen.value.as_ref().map_or(0, Vec::len)).collect();
    assert_eq!(lengths, [5, 5, 50_000, 5, 5]);
}

/// Laws: L1. Scenarios: #119.
#[test]
fn a_batch_size_of_one_byte_sends_each_record_by_itself() {
    let engine = engine!();
    let topic = engine.topic("batch-of-one", 1);
    let producer = engine.producer(&[("batch.size", "1")]);
    accept(&producer, &topic, 100, b"loner");
    flush(&producer);
    assert_eq!(producer.metrics().batches_sent, 100);
    assert_eq!(engine.read(&topic).len(), 100);
}

#[test]
fn a_request_carries_the_batches_of_many_partitions() {
    let engine = engine!();
    let topic = engine.topic("many-in-one", 50);
    let producer = engine.producer(&[FOR_EVER, FIXED]);
    run(async {
        for partition in 0..50 {
            let record = Record::new(&topic).value("one of fifty").partition(partition);
            drop(producer.send(record).await.expect("accepted"));
        }
        producer.flush(Duration::from_secs(30)).await
    })
    .expect("flushed");
    let metrics = producer.metrics();
    assert_eq!((metrics.batches_sent, metrics.retries), (50, 0));
    assert!(metrics.requests_sent <= 5, "{} requests", metrics.requests_sent);
}
