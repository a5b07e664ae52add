//! Keys and values of every kind.

use ottla::Record;
use ottla_tests::record::assert_same;
use ottla_tests::wait::PATIENCE;
use ottla_tests::{Engine, Made, Rng, engine, run};

/// Sends the records and gives nothing back before all are delivered.
fn deliver(engine: &Engine, topic: &str, settings: &[(&str, &str)], records: &[Made]) {
    let producer = engine.producer(settings);
    run(async {
        for record in records {
            let headers = record.borrowed_headers();
            drop(producer.send(record.borrow(topic, &headers)).await.expect("accepted"));
        }
        let report = producer.close(PATIENCE).await;
        assert_eq!((report.delivered, report.failed), (records.len() as u64, 0));
    });
}

#[test]
fn records_of_every_kind_come_back_byte_for_byte() {
    let engine = engine!();
    let topic = engine.topic_with(
        "every-kind",
        3,
        &[("message.timestamp.after.max.ms", "9223372036854775807")],
    );
    let mut rng = Rng::seeded(7);
    let records: Vec<Made> = (0..3000).map(|_| Made::any(&mut rng, 3, 300)).collect();
    deliver(&engine, &topic, &[], &records);
    assert_same(&records, &engine.read(&topic));
    // Our own reader is of the same opinion as the others.
    assert_same(&records, &engine.read_ours(&topic));
}

#[test]
fn a_record_without_a_value_is_a_tombstone() {
    let engine = engine!();
    let topic = engine.topic_with("tombstone", 1, &[("cleanup.policy", "compact")]);
    let records = [
        Made::value("login").key("user_42").partition(0),
        Made { key: Some(b"user_42".to_vec()), partition: Some(0), ..Made::default() },
    ];
    deliver(&engine, &topic, &[], &records);
    let seen = engine.read(&topic);
    assert_eq!(seen[1].value, None);
    assert_same(&records, &seen);
}

/// Laws: L2. Scenarios: H8.
#[test]
fn null_and_empty_are_different_in_keys_and_values() {
    let engine = engine!();
    let topic = engine.topic("null-or-empty", 1);
    let both = [None, Some(Vec::new())];
    let mut records = Vec::new();
    for key in &both {
        for value in &both {
            let (key, value) = (key.clone(), value.clone());
            records.push(Made { key, value, partition: Some(0), ..Made::default() });
        }
    }
    deliver(&engine, &topic, &[], &records);
    assert_same(&records, &engine.read(&topic));
}

#[test]
fn values_up_to_nearly_the_request_size_arrive_whole() {
    let engine = engine!();
    let topic = engine.topic("large", 2);
    let mut rng = Rng::seeded(8);
    let mut records = Vec::new();
    for n in 0..6 {
        records.push(Made::value(rng.bytes(900_000)).partition(n % 2));
        records.push(Made::value("small between the large").partition(n % 2));
        records.push(Made::value(vec![b'x'; 900_000]).partition(n % 2));
    }
    for codec in ["none", "lz4"] {
        deliver(&engine, &topic, &[("compression.type", codec)], &records);
    }
    let twice: Vec<Made> = [&records[..], &records[..]].concat();
    assert_same(&twice, &engine.read(&topic));
}

#[test]
fn a_large_key_arrives_whole() {
    let engine = engine!();
    let topic = engine.topic("large-key", 1);
    let record = Made::value("v").key(Rng::seeded(9).bytes(500_000)).partition(0);
    deliver(&engine, &topic, &[], std::slice::from_ref(&record));
    assert_same(&[record], &engine.read(&topic));
}

/// Laws: L2. Scenarios: H8.
#[test]
fn one_producer_serves_several_topics_and_mixes_nothing_up() {
    let engine = engine!();
    let topics: Vec<String> = (0..10).map(|n| engine.topic(&format!("topic-{n}"), 2)).collect();
    let producer = engine.producer(&[]);
    run(async {
        for n in 0..2000 {
            let topic = &topics[n % topics.len()];
            // Every value knows where it belongs: a batch sent to the wrong topic would show (law
            // L2).
            let value = format!("{topic} {n}");
            let record = Record::new(topic).value(&value).partition((n / 10 % 2) as i32);
            drop(producer.send(record).await.expect("accepted"));
        }
        assert!(producer.close(PATIENCE).await.is_clean());
    });
    for (number, topic) in topics.iter().enumerate() {
        let seen = engine.read(topic);
        assert_eq!(seen.len(), 200);
        for record in &seen {
            let value = record.text();
            let (own, n) = value.rsplit_once(' ').expect("two words");
            let n: usize = n.parse().expect("a number");
            assert_eq!((own, n % 10), (topic.as_str(), number));
            assert_eq!(record.partition, (n / 10 % 2) as i32);
        }
    }
}

#[test]
fn a_topic_with_200_partitions_is_served_evenly() {
    let engine = engine!();
    let topic = engine.topic("many-partitions", 200);
    let records: Vec<Made> =
        (0..4000).map(|n| Made::value(format!("value {n}")).partition(n % 200)).collect();
    deliver(&engine, &topic, &[], &records);
    assert_same(&records, &engine.read(&topic));
}
