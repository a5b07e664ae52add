//! What a producer counts.

use ottla::Record;
use ottla_tests::wait::PATIENCE;
use ottla_tests::{engine, run};

#[test]
fn metrics_count_records_batches_requests_bytes_and_connections() {
    let engine = engine!();
    let topic = engine.topic("metrics", 2);
    let held = [("linger.ms", "5000"), ("linger.adaptive", "false")];
    let producer = engine.producer(&[&held[..], &[("compression.type", "none")]].concat());
    run(async {
        for n in 0..100 {
            let record = Record::new(&topic).value(&[b'm'; 50]).partition(n % 2);
            drop(producer.send(record).await.expect("accepted"));
        }
        producer.flush(PATIENCE).await.expect("flushed");
    });
    let metrics = producer.metrics();
    assert_eq!((metrics.records_delivered, metrics.records_failed), (100, 0));
    assert_eq!((metrics.batches_sent, metrics.retries), (2, 0));
    assert!((1..=2).contains(&metrics.requests_sent));
    // Two headers of 61 bytes, and 50 bytes with a few of overhead for each record.
    assert!((2 * 61 + 100 * 50..=2 * 61 + 100 * 60).contains(&(metrics.batch_bytes_sent as usize)));
    assert!((1..=3).contains(&metrics.connections));
    assert_eq!(metrics.buffer_total_bytes, 64 << 20);
}

#[test]
fn records_that_fail_are_counted_as_such() {
    let engine = engine!();
    let topic = engine.topic_with("metrics-failed", 1, &[("max.message.bytes", "1000")]);
    let settings = [("compression.type", "none"), ("batch.size", "10")];
    let producer = engine.producer(&settings);
    let large = vec![1; 2000];
    run(async {
        for value in [&large[..], b"small", &large, b"small", b"small"] {
            drop(producer.send(Record::new(&topic).value(value)).await.expect("accepted"));
        }
        let report = producer.close(PATIENCE).await;
        assert_eq!((report.delivered, report.failed), (3, 2));
        // They failed for a reason of their own, not because of the close.
        assert!(report.is_clean());
    });
    let metrics = producer.metrics();
    assert_eq!((metrics.records_delivered, metrics.records_failed), (3, 2));
}
