//! What a program may do while it is told something: everything (laws L1 and L9).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use ottla::{BlockingProducer, ErrorKind, Outcome, Record, ServerEvent, TrySendError};
use ottla_tests::wait::{PATIENCE, until_true};
use ottla_tests::{engine, run};

/// As little memory as may be set, and batches that fit into it.
const LITTLE: [(&str, &str); 2] = [("buffer.memory", "65536"), ("batch.size", "16384")];

/// What `inside` gives when a delivery callback of this producer calls it.
fn from_callback<T: Send + 'static>(
    producer: &BlockingProducer,
    topic: &str,
    inside: impl FnOnce(&BlockingProducer) -> T + Send + 'static,
) -> T {
    let (told, heard) = mpsc::channel();
    let again = producer.clone();
    let callback = move |outcome: Result<_, _>| {
        outcome.expect("delivered");
        told.send(inside(&again)).expect("heard");
    };
    producer.send_with(Record::new(topic).value("told of"), callback).expect("accepted");
    heard.recv_timeout(PATIENCE).expect("a callback waits for nothing for ever")
}

/// Laws: L9. Scenarios: H2, H3, #111, bug-26, bug-50.
#[test]
fn a_callback_may_call_every_method_of_the_producer_that_calls_it() {
    let engine = engine!();
    let topic = engine.topic("re-entry", 2);
    let producer = engine.producer(&[]).blocking();
    type Inside = fn(&BlockingProducer, &str);
    let methods: [(&str, Inside); 9] = [
        ("send", |p, t| {
            let delivery = p.send(Record::new(t).value("from within")).expect("accepted");
            delivery.wait().expect("delivered");
        }),
        ("send_with", |p, t| p.send_with(Record::new(t).value("v"), drop).expect("accepted")),
        ("try_send", |p, t| drop(p.try_send(Record::new(t).value("v")).expect("accepted"))),
        ("send_all", |p, t| {
            let outcomes = p.send_all((0..50).map(|_| Record::new(t).value("v")));
            assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        }),
        ("partitions", |p, t| assert_eq!(p.partitions(t).expect("known").len(), 2)),
        ("topic", |p, t| {
            let topic = run(p.producer().topic(t)).expect("known");
            drop(topic.try_send(Record::new(t).value("v")).expect("accepted"));
        }),
        ("metrics", |p, _| assert!(p.metrics().records_delivered > 0)),
        ("purge", |p, _| p.purge(true, true)),
        ("flush", |p, _| p.flush(PATIENCE).expect("flushed")),
    ];
    for (name, method) in methods {
        let topic_name = topic.clone();
        from_callback(&producer, &topic, move |producer| method(producer, &topic_name));
        producer.flush(PATIENCE).unwrap_or_else(|error| panic!("after {name}: {error}"));
    }
    let report = from_callback(&producer, &topic, |producer| producer.close(Duration::ZERO));
    assert_eq!(producer.close(PATIENCE).delivered, report.delivered);
    assert_eq!(engine.read(&topic).len() as u64, report.delivered);
}

/// Laws: L9. Scenarios: H2, #115, bug-29.
#[test]
fn a_listener_of_server_events_may_call_every_method_of_its_producer() {
    // It was called on the I/O thread, and waited there for what only that thread could do.
    let engine = engine!();
    let topic = engine.topic("listener", 1);
    let place: Arc<std::sync::OnceLock<BlockingProducer>> = Arc::default();
    let (told, heard) = mpsc::channel();
    let (again, name) = (Arc::clone(&place), topic.clone());
    let listener = move |event: &ServerEvent<'_>| {
        if !matches!(event, ServerEvent::Reachable { .. }) {
            return;
        }
        let producer = again.wait();
        let delivery = producer.send(Record::new(&name).value("heard")).expect("accepted");
        producer.flush(PATIENCE).expect("flushed");
        producer.purge(true, true);
        assert!(producer.metrics().connections > 0);
        let delivered = delivery.wait().is_ok();
        let _ = told.send((delivered, producer.close(PATIENCE).delivered));
    };
    let producer = engine.builder(&[]).on_server_event(listener).build().expect("built");
    place.set(producer.blocking()).expect("the first");
    producer.connect();
    assert_eq!(heard.recv_timeout(PATIENCE), Ok((true, 1)));
}

/// Laws: L9. Scenarios: H2.
#[test]
fn a_flush_ends_behind_what_a_listener_was_told_though_no_record_has_a_callback() {
    // It waited for the callback thread only once a record had one.
    let engine = engine!();
    let topic = engine.topic("listened-to", 1);
    let (go, gate) = mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let listener = move |_: &ServerEvent<'_>| {
        let _ = gate.lock().expect("no panic").recv();
    };
    let producer = engine.builder(&[]).on_server_event(listener).build().expect("built");
    let producer = producer.blocking();
    let delivery = producer.send(Record::new(&topic).value("v")).expect("accepted");
    delivery.wait().expect("delivered");
    let early = producer.flush(Duration::from_millis(1)).expect_err("the listener is not done");
    assert_eq!((early.pending_batches, early.pending_callbacks), (0, true));
    drop(go);
    producer.flush(PATIENCE).expect("flushed");
}

/// Laws: L1, L9. Scenarios: H1.
#[test]
fn a_callback_a_listener_or_a_waker_that_panics_keeps_nobody_else_from_being_told() {
    struct Explosive;
    impl std::task::Wake for Explosive {
        fn wake(self: Arc<Self>) {
            panic!("on purpose");
        }
    }
    let engine = engine!();
    let topic = engine.topic("panics", 1);
    let held = [("linger.ms", "80000"), ("linger.adaptive", "false")];
    let listener = |_: &ServerEvent<'_>| panic!("on purpose");
    let producer = engine.builder(&held).on_server_event(listener).build().expect("built");
    let called = Arc::new(AtomicU64::new(0));
    run(async {
        let mut deliveries = Vec::new();
        for n in 0..20 {
            let called = Arc::clone(&called);
            let callback = move |_| {
                called.fetch_add(1, Ordering::SeqCst);
                assert!(n % 2 == 1, "on purpose");
            };
            producer.send_with(Record::new(&topic).value("v"), callback).await.expect("accepted");
            deliveries.push(producer.send(Record::new(&topic).value("v")).await.expect("accepted"));
        }
        let waker = std::task::Waker::from(Arc::new(Explosive));
        let mut context = std::task::Context::from_waker(&waker);
        let first = std::pin::Pin::new(&mut deliveries[0]);
        assert!(first.poll(&mut context).is_pending());
        producer.flush(PATIENCE).await.expect("flushed");
        for delivery in deliveries {
            delivery.await.expect("delivered");
        }
    });
    assert_eq!(called.load(Ordering::SeqCst), 20);
    assert_eq!(run(producer.close(PATIENCE)).delivered, 40);
}

/// Sends a record whose callback does the same, until it is told to stop.
fn chain(producer: BlockingProducer, topic: String, stop: Arc<AtomicBool>, links: Arc<AtomicU64>) {
    links.fetch_add(1, Ordering::SeqCst);
    let again = producer.clone();
    let name = topic.clone();
    let next = move |_: Result<_, _>| {
        if !stop.load(Ordering::SeqCst) {
            chain(again, topic, stop, links);
        }
    };
    // Refused once the producer is closed.
    let _ = producer.send_with(Record::new(&name).value("link"), next);
}

/// Laws: L9. Scenarios: #106, bug-48.
#[test]
fn callbacks_that_send_the_next_record_for_ever_keep_no_flush_and_no_close_from_ending() {
    let engine = engine!();
    let topic = engine.topic("chain", 1);
    let producer = engine.producer(&[]).blocking();
    let (stop, links) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    for _ in 0..3 {
        chain(producer.clone(), topic.clone(), Arc::clone(&stop), Arc::clone(&links));
    }
    for _ in 0..20 {
        producer.flush(PATIENCE).expect("flushed");
    }
    assert!(links.load(Ordering::SeqCst) > 3);
    let report = producer.close(PATIENCE);
    assert!(report.is_clean(), "{report:?}");
    stop.store(true, Ordering::SeqCst);
    assert_eq!(engine.read(&topic).len() as u64, report.delivered);
}

/// Laws: L10. Scenarios: #108, bug-37.
#[test]
fn callbacks_that_have_not_returned_hold_up_senders_before_they_fill_the_machine() {
    let engine = engine!();
    let topic = engine.topic("slow-callbacks", 1);
    let producer = engine.producer(&LITTLE).blocking();
    let called = Arc::new(AtomicU64::new(0));
    let (go, gate) = mpsc::channel::<()>();
    let wait_at_the_gate = move |_| gate.recv().expect("opened");
    producer.send_with(Record::new(&topic).value("v"), wait_at_the_gate).expect("accepted");
    let delivered = |count: u64| producer.metrics().records_delivered == count;
    until_true("delivery", || delivered(1));
    // Every record is delivered at once, and no callback returns.
    let mut accepted = 1;
    let refused = loop {
        match producer.try_send(Record::new(&topic).value("v")) {
            Ok(delivery) => {
                delivery.on_delivery(count(&called));
                accepted += 1;
            }
            Err(refused) => break refused,
        }
        until_true("delivery", || delivered(accepted));
        assert!(accepted < 1000, "1,000 callbacks are due within 65,536 bytes");
    };
    assert_eq!(refused, TrySendError::Full);
    go.send(()).expect("waited for");
    producer.flush(PATIENCE).expect("flushed");
    assert_eq!(called.load(Ordering::SeqCst), accepted - 1);
    until_true("memory that is all free", || all_is_free(&producer));
    assert!(producer.send(Record::new(&topic).value("v")).is_ok());
    assert!(producer.close(PATIENCE).is_clean());
}

/// Laws: L9, L10. Scenarios: #108, bug-27.
#[test]
fn a_callback_that_sends_more_than_fits_into_memory_does_not_wait_for_itself() {
    let engine = engine!();
    let topic = engine.topic("callback-and-memory", 1);
    let producer = engine.producer(&LITTLE).blocking();
    let (called, name) = (Arc::new(AtomicU64::new(0)), topic.clone());
    let counter = Arc::clone(&called);
    from_callback(&producer, &topic, move |producer| {
        for _ in 0..3000 {
            let record = Record::new(&name).value("0123456789");
            producer.send_with(record, count(&counter)).expect("accepted");
        }
    });
    producer.flush(PATIENCE).expect("flushed");
    assert_eq!(called.load(Ordering::SeqCst), 3000);
    until_true("memory that is all free", || all_is_free(&producer));
}

/// A callback that counts that it was called.
fn count<T>(called: &Arc<AtomicU64>) -> impl FnOnce(T) + Send + 'static + use<T> {
    let called = Arc::clone(called);
    move |_| {
        called.fetch_add(1, Ordering::SeqCst);
    }
}

fn all_is_free(producer: &BlockingProducer) -> bool {
    let metrics = producer.metrics();
    metrics.buffer_available_bytes == metrics.buffer_total_bytes
}

/// Laws: L9. Scenarios: #107, H6, bug-48.
#[test]
fn a_flush_ends_although_a_send_that_waited_for_memory_was_cancelled() {
    let engine = engine!();
    let topic = engine.topic("cancelled-send", 1);
    let held = [("linger.ms", "80000"), ("linger.adaptive", "false")];
    let producer = engine.producer(&[&held[..], &LITTLE].concat());
    run(async {
        producer.topic(&topic).await.expect("known");
        let value = vec![b'v'; 8000];
        let mut waits = 0;
        for _ in 0..200 {
            let send = producer.send(Record::new(&topic).value(&value));
            waits += usize::from(ottla_tests::sweep::polls(send, 1).await.is_none());
        }
        assert!(waits > 0, "memory is spent at times");
        producer.flush(PATIENCE).await.expect("flushed");
    });
    let delivered = producer.metrics().records_delivered;
    assert_eq!(engine.read(&topic).len() as u64, delivered);
}

/// Laws: L1, L9. Scenarios: H3, #112.
#[test]
fn a_close_during_a_flush_and_a_flush_during_a_close_both_end() {
    let engine = engine!();
    let topic = engine.topic("close-and-flush", 3);
    for first in ["flush", "close"] {
        let producer = engine.producer(&[]);
        run(async {
            let mut deliveries = Vec::new();
            for n in 0..300 {
                let record = Record::new(&topic).value("v").partition(n % 3);
                deliveries.push(producer.send(record).await.expect("accepted"));
            }
            let (flush, close) = (producer.flush(PATIENCE), producer.close(PATIENCE));
            let (flushed, report) = if first == "flush" {
                tokio::join!(flush, close)
            } else {
                let (report, flushed) = tokio::join!(close, flush);
                (flushed, report)
            };
            flushed.expect("flushed");
            assert_eq!((report.delivered, report.is_clean()), (300, true));
            for delivery in deliveries {
                delivery.await.expect("delivered");
            }
        });
    }
}

/// Laws: L9. Scenarios: H5, #109, bug-31.
#[test]
fn after_a_close_nothing_waits_for_a_topic_that_will_not_become_known() {
    // `topic` and `partitions` waited, with a timer that nobody ran any more.
    let engine = engine!();
    let topic = engine.topic("known-and-not", 1);
    let producer = engine.producer(&[]);
    run(producer.topic(&topic)).expect("known");
    run(producer.close(PATIENCE));
    let unknown = "never-asked-for";
    let refusals = [
        run(producer.topic(unknown)).map(drop).expect_err("closed"),
        run(producer.partitions(unknown)).map(drop).expect_err("closed"),
        run(producer.send(Record::new(unknown).value("v"))).map(drop).expect_err("closed"),
    ];
    for refused in refusals {
        assert_eq!((refused.kind(), refused.outcome()), (ErrorKind::Closed, Outcome::NotPersisted));
    }
    assert_eq!(run(producer.partitions(&topic)).expect("known before").len(), 1);
}

/// Laws: L1, L9. Scenarios: #109, #110, bug-30.
#[test]
fn closing_while_others_ask_for_unknown_topics_sends_every_one_of_them_home() {
    let engine = engine!();
    for _ in 0..20 {
        let producer = engine.producer(&[]).blocking();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let producer = producer.clone();
                scope.spawn(move || {
                    let unknown = format!("unknown-{thread}");
                    let refused = |producer: &BlockingProducer| {
                        producer
                            .send(Record::new(&unknown).value("v"))
                            .map(drop)
                            .expect_err("unknown")
                    };
                    while refused(&producer).kind() != ErrorKind::Closed {}
                });
            }
            producer.close(PATIENCE);
        });
    }
}
