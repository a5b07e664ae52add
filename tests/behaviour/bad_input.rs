//! What a producer says to what it cannot send: at once where it can know, in words with a cure.

use ottla::{ErrorCode, ErrorKind, Outcome, Record, SendError, TrySendError};
use ottla_tests::server::closed_port;
use ottla_tests::wait::PATIENCE;
use ottla_tests::{Engine, engine, run};

/// A topic may be unknown for as long as this, not for five seconds.
const HASTY: (&str, &str) = ("topic.metadata.propagation.max.ms", "300");

fn refused(engine: &Engine, settings: &[(&str, &str)], record: Record<'_>) -> SendError {
    let error = run(engine.producer(settings).send(record)).expect_err("refused");
    assert_eq!((error.outcome(), error.attempts()), (Outcome::NotPersisted, 0));
    error
}

/// Laws: L1. Scenarios: #119.
#[test]
fn a_value_over_max_request_size_is_refused_and_says_what_to_raise() {
    let engine = engine!();
    let topic = engine.topic("too-large", 1);
    let large = vec![0; 1_048_577];
    for record in [Record::new(&topic).value(&large), Record::new(&topic).key(&large)] {
        let error = refused(&engine, &[], record);
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        let text = error.to_string();
        assert!(text.contains("max.request.size=1048576"), "{text}");
        assert!(text.contains("max.message.bytes"), "{text}");
    }
    assert!(engine.read(&topic).is_empty());
}

#[test]
fn a_record_too_large_is_refused_even_before_its_topic_is_known() {
    let engine = engine!();
    let large = vec![0; 2_000_000];
    let record = Record::new("never-heard-of").value(&large);
    match engine.producer(&[]).try_send(record) {
        Err(TrySendError::Refused(error)) => assert_eq!(error.kind(), ErrorKind::TooLarge),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_record_too_large_for_its_topic_is_refused_by_the_broker_and_others_go_on() {
    let engine = engine!();
    let topic = engine.topic_with("too-large-for-topic", 1, &[("max.message.bytes", "20000")]);
    let producer = engine.producer(&[("compression.type", "none"), ("batch.size", "1000")]);
    let large = vec![7; 30_000];
    let outcomes = run(producer.send_all([
        Record::new(&topic).value("before"),
        Record::new(&topic).value(&large),
        Record::new(&topic).value("after"),
    ]));
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok(), "{outcomes:?}");
    let error = outcomes[1].as_ref().expect_err("too large");
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::TooLarge, Outcome::NotPersisted));
    assert_eq!((error.code(), error.attempts()), (Some(ErrorCode::MESSAGE_TOO_LARGE), 1));
    assert!(error.broker().is_some_and(|broker| broker.contains(" at 127.0.0.1:")));
    let values: Vec<String> = engine.read(&topic).iter().map(|seen| seen.text()).collect();
    assert_eq!(values, ["before", "after"]);
}

/// Laws: L9. Scenarios: #86.
#[test]
fn a_topic_that_does_not_exist_is_refused_by_its_name() {
    let engine = engine!();
    let error = refused(&engine, &[HASTY], Record::new("no-such-topic").value("v"));
    assert_eq!(error.kind(), ErrorKind::UnknownTopic);
    assert_eq!(error.code(), Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
    assert!(error.to_string().contains("topic no-such-topic does not exist"), "{error}");
}

#[test]
fn a_topic_that_comes_into_being_while_send_waits_is_sent_to() {
    let engine = engine!();
    let topic = engine::unique("comes-late");
    let producer = engine.producer(&[("topic.metadata.propagation.max.ms", "30000")]).blocking();
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let delivery = producer.send(Record::new(&topic).value("patient")).expect("accepted");
            delivery.wait().expect("delivered")
        });
        // Only once the producer has asked in vain is the topic made.
        ottla_tests::wait::until_true("connection", || producer.metrics().connections > 0);
        engine.create(&topic, 1, &[]);
        assert_eq!(sender.join().expect("no panic").offset, Some(0));
    });
}

#[test]
fn a_name_that_no_topic_can_have_is_refused_at_once() {
    let engine = engine!();
    for name in ["a b", "ключ", "", "..", "a/b", &"x".repeat(250)] {
        let error = refused(&engine, &[], Record::new(name).value("v"));
        assert_eq!(error.kind(), ErrorKind::UnknownTopic, "{name:?}: {error}");
    }
}

/// Laws: L1. Scenarios: #86, bug-45.
#[test]
fn a_partition_that_the_topic_does_not_have_is_refused_and_says_which_there_are() {
    let engine = engine!();
    let topic = engine.topic("few-partitions", 3);
    for partition in [3, 99, -1, i32::MAX, i32::MIN] {
        let error = refused(&engine, &[], Record::new(&topic).value("v").partition(partition));
        assert_eq!(error.kind(), ErrorKind::UnknownPartition);
        let text = error.to_string();
        assert!(text.contains(&format!("no partition {partition}")), "{text}");
        assert!(text.contains("0 to 2"), "{text}");
    }
}

#[test]
fn a_bad_record_among_good_ones_harms_none_of_them() {
    let engine = engine!();
    let topic = engine.topic("bad-among-good", 1);
    let producer = engine.producer(&[HASTY]);
    let large = vec![0; 2_000_000];
    let mut records = Vec::new();
    for _ in 0..20 {
        records.push(Record::new(&topic).value("good"));
        records.push(Record::new(&topic).value(&large));
        records.push(Record::new(&topic).value("nowhere").partition(7));
    }
    records.push(Record::new("no-such-topic").value("nowhere"));
    let outcomes = run(producer.send_all(records));
    for (n, outcome) in outcomes.iter().enumerate() {
        assert_eq!(outcome.is_ok(), n % 3 == 0 && n < 60, "{n}: {outcome:?}");
    }
    assert_eq!(engine.read(&topic).len(), 20);
}

/// Laws: L9. Scenarios: E1, #83.
#[test]
fn one_living_bootstrap_server_among_dead_ones_is_enough() {
    let engine = engine!();
    let topic = engine.topic("bootstrap", 1);
    let servers = format!("{},no-such-host.invalid:9092,{}", closed_port(), engine.servers());
    let producer = engine.producer(&[("bootstrap.servers", &servers)]);
    let outcome =
        run(async { producer.send(Record::new(&topic).value("v")).await.expect("accepted").await });
    outcome.expect("delivered");
    assert!(run(producer.close(PATIENCE)).is_clean());
}

#[test]
fn settings_under_librdkafkas_names_work_as_well() {
    let engine = engine!();
    let topic = engine.topic("librdkafka-names", 1);
    let producer = ottla::Producer::from_properties([
        ("metadata.broker.list", engine.servers()),
        ("queue.buffering.max.ms", "1"),
        ("compression.codec", "zstd"),
        ("request.required.acks", "-1"),
        ("message.timeout.ms", "30000"),
        ("message.send.max.retries", "10"),
    ])
    .expect("all are known");
    let outcome =
        run(async { producer.send(Record::new(&topic).value("v")).await.expect("accepted").await });
    assert_eq!(outcome.expect("delivered").offset, Some(0));
}
