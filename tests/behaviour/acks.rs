//! Whose word makes a record delivered.

use ottla::{Producer, Record, RecordMetadata};
use ottla_tests::wait::until_true;
use ottla_tests::{Engine, engine, run};

/// The outcome of each of `count` records to partition 0, sent one behind the other.
fn deliver(producer: &Producer, topic: &str, count: usize) -> Vec<RecordMetadata> {
    let values: Vec<String> = (0..count).map(|n| format!("value {n}")).collect();
    let records = values.iter().map(|value| Record::new(topic).value(value).partition(0));
    let outcomes = run(producer.send_all(records));
    outcomes.into_iter().map(|outcome| outcome.expect("delivered")).collect()
}

fn offsets_are_those_of_the_log(engine: &Engine, acks: &str) {
    let topic = engine.topic("acks", 1);
    let producer = engine.producer(&[("acks", acks)]);
    let delivered = deliver(&producer, &topic, 50);
    // The acknowledgment is true: what is read at the offset is the record (law L2).
    let seen = engine.read(&topic);
    assert_eq!(seen.len(), 50);
    for (n, metadata) in delivered.iter().enumerate() {
        assert_eq!((&*metadata.topic, metadata.partition), (topic.as_str(), 0));
        let offset = metadata.offset.expect("an offset");
        assert_eq!(seen[offset as usize].text(), format!("value {n}"));
    }
}

#[test]
fn acks_all_gives_the_offset_at_which_the_record_is_in_the_log() {
    offsets_are_those_of_the_log(&engine!(), "all");
}

#[test]
fn acks_1_gives_the_offset_at_which_the_record_is_in_the_log() {
    offsets_are_those_of_the_log(&engine!(), "1");
}

#[test]
fn acks_0_gives_no_offset_and_the_records_arrive() {
    let engine = engine!();
    let topic = engine.topic("acks0", 1);
    let producer = engine.producer(&[("acks", "0")]);
    let delivered = deliver(&producer, &topic, 50);
    assert!(delivered.iter().all(|metadata| metadata.offset.is_none()));
    // Nobody tells when the broker has them.
    until_true("log with 50 records", || engine.read_ours(&topic).len() >= 50);
    let values: Vec<String> = engine.read(&topic).iter().map(|seen| seen.text()).collect();
    assert_eq!(values, (0..50).map(|n| format!("value {n}")).collect::<Vec<_>>());
}

#[test]
fn a_closed_producer_with_acks_0_has_handed_everything_to_the_system() {
    let engine = engine!();
    let topic = engine.topic("acks0-close", 1);
    let producer = engine.producer(&[("acks", "0"), ("linger.ms", "1000")]);
    let report = run(async {
        for n in 0..1000 {
            let value = format!("value {n}");
            drop(producer.send(Record::new(&topic).value(&value)).await.expect("accepted"));
        }
        producer.close(ottla_tests::wait::PATIENCE).await
    });
    assert!(report.is_clean());
    assert_eq!((report.delivered, report.failed), (1000, 0));
    until_true("log with 1000 records", || engine.read_ours(&topic).len() == 1000);
}
