//! When a record happened.

use std::time::{SystemTime, UNIX_EPOCH};

use ottla::{Record, RecordMetadata};
use ottla_tests::{Engine, Seen, engine, run};

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64
}

/// Sends records with these timestamps in one batch, and gives what their deliveries and the log
/// say.
fn round_trip(
    engine: &Engine,
    topic: &str,
    timestamps_ms: &[Option<i64>],
) -> (Vec<RecordMetadata>, Vec<Seen>) {
    let producer = engine.producer(&[("linger.ms", "5000"), ("linger.adaptive", "false")]);
    let delivered = run(async {
        let mut deliveries = Vec::new();
        for timestamp_ms in timestamps_ms {
            let mut record = Record::new(topic).value("v").partition(0);
            record.timestamp_ms = *timestamp_ms;
            deliveries.push(producer.send(record).await.expect("accepted"));
        }
        producer.flush(ottla_tests::wait::PATIENCE).await.expect("flushed");
        let mut delivered = Vec::new();
        for delivery in deliveries {
            delivered.push(delivery.await.expect("delivered"));
        }
        delivered
    });
    assert_eq!(producer.metrics().batches_sent, 1);
    (delivered, engine.read(topic))
}

#[test]
fn a_timestamp_that_is_given_is_kept_forwards_and_backwards() {
    let engine = engine!();
    let topic = engine.topic_with(
        "explicit-time",
        1,
        &[("message.timestamp.after.max.ms", "9223372036854775807")],
    );
    let given = [1_500_000_000_000, 1_700_000_000_123, 0, 1, 1_600_000_000_000, 4_000_000_000_000];
    let (delivered, seen) = round_trip(&engine, &topic, &given.map(Some));
    for ((given, delivered), seen) in given.iter().zip(&delivered).zip(&seen) {
        assert_eq!(delivered.timestamp_ms, *given);
        assert_eq!((seen.timestamp_ms, seen.is_append_time), (Some(*given), Some(false)));
    }
}

#[test]
fn a_record_without_a_timestamp_gets_the_time_of_its_sending() {
    let engine = engine!();
    let topic = engine.topic("send-time", 1);
    let before_ms = now_ms();
    let (delivered, seen) = round_trip(&engine, &topic, &[None; 10]);
    let after_ms = now_ms();
    for (delivered, seen) in delivered.iter().zip(&seen) {
        assert!((before_ms..=after_ms).contains(&delivered.timestamp_ms));
        assert_eq!(
            (seen.timestamp_ms, seen.is_append_time),
            (Some(delivered.timestamp_ms), Some(false))
        );
    }
}

#[test]
fn on_a_topic_with_log_append_time_delivery_and_log_have_the_brokers_time() {
    let engine = engine!();
    let topic = engine.topic_with("append-time", 1, &[("message.timestamp.type", "LogAppendTime")]);
    let before_ms = now_ms();
    let (delivered, seen) = round_trip(&engine, &topic, &[Some(1), None, Some(2_000_000_000_000)]);
    let after_ms = now_ms();
    assert_eq!(seen.len(), 3);
    for (delivered, seen) in delivered.iter().zip(&seen) {
        assert!((before_ms..=after_ms).contains(&delivered.timestamp_ms), "{delivered:?}");
        assert_eq!(
            (seen.timestamp_ms, seen.is_append_time),
            (Some(delivered.timestamp_ms), Some(true))
        );
    }
}

#[test]
fn timestamps_too_far_apart_for_one_batch_go_in_two() {
    let engine = engine!();
    let topic = engine.topic_with(
        "far-apart",
        1,
        &[("message.timestamp.after.max.ms", "9223372036854775807")],
    );
    let producer = engine.producer(&[]);
    let outcomes = run(producer.send_all([
        Record::new(&topic).value("old").timestamp_ms(0).partition(0),
        Record::new(&topic).value("late").timestamp_ms(i64::MAX).partition(0),
    ]));
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    let seen: Vec<_> = engine.read(&topic).iter().map(|seen| seen.timestamp_ms).collect();
    assert_eq!(seen, [Some(0), Some(i64::MAX)]);
}

/// Laws: L1. Scenarios: #120, F13.
#[test]
fn a_timestamp_that_the_topic_does_not_take_fails_that_record_as_not_persisted() {
    let engine = engine!();
    let topic =
        engine.topic_with("bounded-time", 1, &[("message.timestamp.before.max.ms", "3600000")]);
    let producer = engine.producer(&[]);
    let outcomes = run(producer.send_all([
        Record::new(&topic).value("old").timestamp_ms(1_000_000_000_000).partition(0),
        Record::new(&topic).value("new").partition(0),
    ]));
    let refused = outcomes[0].as_ref().expect_err("too old");
    assert_eq!(refused.kind(), ottla::ErrorKind::InvalidRecord, "{refused}");
    assert_eq!(refused.outcome(), ottla::Outcome::NotPersisted);
    assert_eq!(refused.code(), Some(ottla::ErrorCode::INVALID_TIMESTAMP));
    // One outcome for each record, and the log agrees (law L1).
    let values: Vec<String> = engine.read(&topic).iter().map(Seen::text).collect();
    match &outcomes[1] {
        Ok(_) => assert_eq!(values, ["new"]),
        Err(error) => {
            // In the same batch as the bad one, it was refused with it, and says so.
            assert_eq!(error.outcome(), ottla::Outcome::NotPersisted);
            assert!(values.is_empty());
        }
    }
}
