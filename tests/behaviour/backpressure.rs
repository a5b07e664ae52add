//! Memory is bounded, and who waits for it is served (law L10).

use ottla::{ErrorKind, Record, TrySendError};
use ottla_tests::wait::PATIENCE;
use ottla_tests::{engine, run};

/// As little memory as may be set, and batches that fit into it.
const LITTLE: [(&str, &str); 2] = [("buffer.memory", "65536"), ("batch.size", "16384")];

/// Laws: L9, L10. Scenarios: #102.
#[test]
fn far_more_than_buffer_memory_goes_through_it() {
    let engine = engine!();
    let topic = engine.topic("little-memory", 3);
    let producer = engine.producer(&LITTLE);
    let value = vec![b'x'; 500];
    run(async {
        for n in 0..6000 {
            let record = Record::new(&topic).value(&value).partition(n % 3);
            drop(producer.send(record).await.expect("accepted"));
            let metrics = producer.metrics();
            assert!(metrics.buffer_available_bytes <= metrics.buffer_total_bytes);
        }
        producer.flush(PATIENCE).await.expect("flushed");
    });
    let metrics = producer.metrics();
    assert_eq!((metrics.records_delivered, metrics.buffer_total_bytes), (6000, 65536));
    assert_eq!(engine.read(&topic).len(), 6000);
}

/// Laws: L10. Scenarios: bug-36.
#[test]
fn after_a_flush_all_memory_is_free_again() {
    let engine = engine!();
    let topic = engine.topic("memory-back", 5);
    for codec in ["none", "gzip", "lz4", "zstd"] {
        let producer = engine.producer(&[&LITTLE[..], &[("compression.type", codec)]].concat());
        run(async {
            for n in 0..500 {
                let value = vec![n as u8; 1 + (n as usize * 37) % 3000];
                let record = Record::new(&topic).value(&value).partition(n % 5);
                drop(producer.send(record).await.expect("accepted"));
            }
            producer.flush(PATIENCE).await.expect("flushed");
        });
        // The last buffer is let go when its write is known to be over, a moment after its answer.
        ottla_tests::wait::until_true("memory that is all free", || {
            let metrics = producer.metrics();
            metrics.buffer_available_bytes == metrics.buffer_total_bytes
        });
    }
}

/// Laws: L10. Scenarios: H6.
#[test]
fn try_send_says_that_memory_is_spent_and_takes_records_again_later() {
    let engine = engine!();
    let topic = engine.topic("try-send", 1);
    // Nothing leaves before somebody asks: memory fills for certain.
    let held = [("linger.ms", "80000"), ("linger.adaptive", "false"), ("batch.size", "65536")];
    let producer = engine.producer(&[&held[..], &[("buffer.memory", "65536")]].concat());
    run(producer.topic(&topic)).expect("known");
    let value = vec![1; 1000];
    let record = Record::new(&topic).value(&value);
    let mut accepted = 0;
    let refused = loop {
        match producer.try_send(record) {
            Ok(delivery) => drop(delivery),
            Err(refused) => break refused,
        }
        accepted += 1;
        assert!(accepted < 66, "65 records of 1,000 bytes do not fit into 65,536");
    };
    assert_eq!(refused, TrySendError::Full);
    assert!(accepted > 20, "{accepted}");
    // Being refused made room: what was held is sent.
    drop(ottla_tests::wait::until("room", || producer.try_send(record).ok()));
    assert!(run(producer.close(PATIENCE)).is_clean());
    assert!(engine.read(&topic).len() > accepted);
}

#[test]
fn try_send_to_a_topic_not_yet_known_asks_for_it_and_works_a_moment_later() {
    let engine = engine!();
    let topic = engine.topic("try-send-topic", 1);
    let producer = engine.producer(&[]);
    let record = Record::new(&topic).value("v");
    match producer.try_send(record) {
        Err(TrySendError::TopicPending) => (),
        other => panic!("{other:?}"),
    }
    let delivery = ottla_tests::wait::until("topic", || producer.try_send(record).ok());
    run(delivery).expect("delivered");
    assert_eq!(engine.read(&topic).len(), 1);
}

/// Laws: L9, L10. Scenarios: #102, #103.
#[test]
fn many_threads_that_wait_for_little_memory_are_all_served() {
    let engine = engine!();
    let topic = engine.topic("waiters", 4);
    let producer = engine.producer(&LITTLE).blocking();
    let value = vec![b'w'; 5000];
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (producer, topic, value) = (producer.clone(), &topic, &value);
            scope.spawn(move || {
                for _ in 0..100 {
                    let record = Record::new(topic).value(value).partition(thread % 4);
                    drop(producer.send(record).expect("accepted in its turn"));
                }
            });
        }
    });
    assert_eq!(producer.close(PATIENCE).delivered, 800);
    assert_eq!(engine.read(&topic).len(), 800);
}

/// Laws: L1, L9. Scenarios: #58, H6, bug-27.
#[test]
fn senders_that_give_up_waiting_leave_their_turn_to_the_others() {
    let engine = engine!();
    let topic = engine.topic("cancelled-waiters", 1);
    let producer = engine.producer(&LITTLE);
    let value = vec![b'c'; 8000];
    let (accepted, delivered) = run(async {
        producer.topic(&topic).await.expect("known");
        let mut accepted = 0;
        for n in 0..400 {
            let send = producer.send(Record::new(&topic).value(&value));
            if n % 2 == 0 {
                // Cancelled at its first wait, if it has to wait.
                let turn = tokio::time::timeout(std::time::Duration::ZERO, send).await;
                accepted += u64::from(matches!(turn, Ok(Ok(_))));
            } else {
                drop(send.await.expect("accepted"));
                accepted += 1;
            }
        }
        let report = producer.close(PATIENCE).await;
        assert!(report.is_clean());
        (accepted, report.delivered)
    });
    assert_eq!(accepted, delivered);
    assert_eq!(engine.read(&topic).len() as u64, delivered);
}

/// Laws: L9, L10. Scenarios: H7.
#[test]
fn a_record_that_could_never_fit_into_buffer_memory_is_refused_at_once() {
    let engine = engine!();
    let topic = engine.topic("never-fits", 1);
    let producer = engine.producer(&LITTLE);
    let value = vec![0; 70_000];
    let refused = run(producer.send(Record::new(&topic).value(&value))).expect_err("too large");
    assert_eq!(refused.kind(), ErrorKind::TooLarge);
    assert!(refused.to_string().contains("buffer.memory=65536"), "{refused}");
}

/// Laws: L9, L10. Scenarios: bug-28.
#[test]
fn a_record_larger_than_a_batch_fits_as_long_as_it_fits_into_buffer_memory() {
    let engine = engine!();
    let topic = engine.topic("just-fits", 1);
    let producer = engine.producer(&LITTLE);
    let value = vec![5; 60_000];
    let outcomes = run(producer.send_all((0..5).map(|_| Record::new(&topic).value(&value))));
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(engine.read(&topic).len(), 5);
}
