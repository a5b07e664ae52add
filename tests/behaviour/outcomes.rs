//! The ways in which an outcome is told, and that it is told once (law L1).

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use ottla::{ErrorKind, Record};
use ottla_tests::wait::{PATIENCE, in_time};
use ottla_tests::{engine, run};

#[test]
fn a_callback_is_called_once_for_each_record_in_the_order_of_each_partition() {
    let engine = engine!();
    let topic = engine.topic("callbacks", 3);
    let producer = engine.producer(&[("batch.size", "500")]);
    let calls = Arc::new(Mutex::new(Vec::new()));
    run(async {
        for n in 0..1500 {
            let calls = Arc::clone(&calls);
            let record = Record::new(&topic).value("v").partition(n % 3);
            let told = move |outcome: Result<ottla::RecordMetadata, _>| {
                let metadata = outcome.expect("delivered");
                calls.lock().expect("no panic").push((n, metadata.partition, metadata.offset));
            };
            producer.send_with(record, told).await.expect("accepted");
        }
        producer.flush(PATIENCE).await.expect("flushed");
    });
    ottla_tests::wait::until_true("1500 calls", || calls.lock().expect("no panic").len() == 1500);
    let calls = calls.lock().expect("no panic");
    let mut by_partition: HashMap<i32, Vec<(i32, Option<i64>)>> = HashMap::new();
    for (n, partition, offset) in calls.iter() {
        assert_eq!(n % 3, *partition);
        by_partition.entry(*partition).or_default().push((*n, *offset));
    }
    for calls in by_partition.values() {
        assert!(calls.windows(2).all(|pair| pair[0] < pair[1]), "in order");
        assert_eq!(calls.len(), 500);
    }
}

/// Laws: L9. Scenarios: H2, bug-29.
#[test]
fn a_callback_may_send_flush_and_ask_for_metrics() {
    let engine = engine!();
    let topic = engine.topic("re-entrant", 1);
    let producer = engine.producer(&[]).blocking();
    let (done, all_done) = mpsc::channel();
    let inner = producer.clone();
    let topic_inside = topic.clone();
    producer
        .send_with(Record::new(&topic).value("first"), move |outcome| {
            outcome.expect("delivered");
            // No lock is held while a callback runs (law L9).
            let second = inner.send(Record::new(&topic_inside).value("second")).expect("accepted");
            inner.flush(PATIENCE).expect("flushed");
            assert!(inner.metrics().records_delivered >= 2);
            let last = Record::new(&topic_inside).value("third");
            inner.send_with(last, move |outcome| drop(done.send(outcome))).expect("accepted");
            drop(second);
        })
        .expect("accepted");
    all_done.recv_timeout(PATIENCE).expect("the callback's callback is called").expect("delivered");
    let values: Vec<String> = engine.read(&topic).iter().map(|seen| seen.text()).collect();
    assert_eq!(values, ["first", "second", "third"]);
}

/// Laws: L1, L9. Scenarios: H1.
#[test]
fn a_callback_that_panics_harms_no_other() {
    let engine = engine!();
    let topic = engine.topic("panicking", 1);
    let producer = engine.producer(&[]).blocking();
    let called = Arc::new(AtomicUsize::new(0));
    for n in 0..100 {
        let called = Arc::clone(&called);
        let told = move |_| {
            called.fetch_add(1, Ordering::SeqCst);
            assert!(n % 10 != 3, "this panic is part of the test");
        };
        producer.send_with(Record::new(&topic).value("v"), told).expect("accepted");
    }
    producer.flush(PATIENCE).expect("flushed");
    ottla_tests::wait::until_true("100 calls", || called.load(Ordering::SeqCst) == 100);
    // The producer goes on.
    producer.send(Record::new(&topic).value("v")).expect("accepted").wait().expect("delivered");
    assert!(producer.close(PATIENCE).is_clean());
}

/// Laws: L9. Scenarios: #111, H3.
#[test]
fn a_callback_may_close_its_producer() {
    let engine = engine!();
    let topic = engine.topic("closing-callback", 1);
    let producer = engine.producer(&[]).blocking();
    let (done, report) = mpsc::channel();
    let inner = producer.clone();
    let told = move |_| done.send(inner.close(PATIENCE)).expect("the test waits");
    producer.send_with(Record::new(&topic).value("v"), told).expect("accepted");
    let report = report.recv_timeout(PATIENCE).expect("closed from within");
    assert_eq!((report.delivered, report.failed), (1, 0));
}

#[test]
fn a_callback_given_after_the_outcome_is_called_all_the_same() {
    let engine = engine!();
    let topic = engine.topic("late-callback", 1);
    let producer = engine.producer(&[]);
    let delivery = run(producer.send(Record::new(&topic).value("v"))).expect("accepted");
    run(producer.flush(PATIENCE)).expect("flushed");
    let (done, outcome) = mpsc::channel();
    delivery.on_delivery(move |outcome| drop(done.send(outcome)));
    let outcome = outcome.recv_timeout(PATIENCE).expect("called");
    assert_eq!(outcome.expect("delivered").offset, Some(0));
}

#[test]
fn deliveries_that_are_dropped_change_nothing() {
    let engine = engine!();
    let topic = engine.topic("dropped-deliveries", 1);
    let producer = engine.producer(&[]);
    run(async {
        for n in 0..1000 {
            let delivery = producer.send(Record::new(&topic).value("v")).await.expect("accepted");
            if n % 2 == 0 {
                // Dropped in the middle of waiting.
                let waiting = tokio::time::timeout(std::time::Duration::ZERO, delivery).await;
                drop(waiting);
            }
        }
        assert_eq!(producer.close(PATIENCE).await.delivered, 1000);
    });
    assert_eq!(engine.read(&topic).len(), 1000);
}

/// Laws: L1. Scenarios: #57.
#[test]
fn a_send_that_is_dropped_while_it_waits_sends_nothing() {
    let engine = engine!();
    let topic = engine.topic("dropped-send", 1);
    let producer = engine.producer(&[]);
    run(async {
        // The first look at a new producer's send always waits: it does not know the topic yet.
        let mut send = Box::pin(producer.send(Record::new(&topic).value("withdrawn")));
        let waker = Waker::noop();
        assert!(send.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
        drop(send);
        let stays = producer.send(Record::new(&topic).value("stays")).await.expect("accepted");
        stays.await.expect("delivered");
    });
    let values: Vec<String> = engine.read(&topic).iter().map(|seen| seen.text()).collect();
    assert_eq!(values, ["stays"]);
}

#[test]
fn send_all_gives_outcomes_in_the_order_of_the_records_and_a_bad_one_stops_nobody() {
    let engine = engine!();
    let topic = engine.topic("send-all", 2);
    let producer = engine.producer(&[]);
    let records = [
        Record::new(&topic).value("one").partition(0),
        Record::new(&topic).value("nowhere").partition(2),
        Record::new(&topic).value("two").partition(1),
        Record::new(&topic).value("three").partition(0),
    ];
    let outcomes = run(producer.send_all(records));
    let offset = |n: usize| outcomes[n].as_ref().expect("delivered").offset;
    assert_eq!((offset(0), offset(2), offset(3)), (Some(0), Some(0), Some(1)));
    assert_eq!(outcomes[1].as_ref().expect_err("refused").kind(), ErrorKind::UnknownPartition);
    assert_eq!(engine.read(&topic).len(), 3);
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The simplest executor there is.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// Laws: L9. Scenarios: H10.
#[test]
fn everything_works_without_any_runtime() {
    let engine = engine!();
    let topic = engine.topic("no-runtime", 2);
    let producer = engine.producer(&[]);
    let metadata = block_on(async {
        assert_eq!(producer.partitions(&topic).await.expect("listed").len(), 2);
        let handle = producer.topic(&topic).await.expect("known");
        drop(handle.send(Record::new(&topic).value("one").partition(0)).await.expect("accepted"));
        producer.flush(PATIENCE).await.expect("flushed");
        let two = producer.send(Record::new(&topic).value("two").partition(0)).await;
        two.expect("accepted").await
    });
    assert_eq!(metadata.expect("delivered").offset, Some(1));
    assert!(block_on(producer.close(PATIENCE)).is_clean());
}

/// Laws: L1. Scenarios: H10.
#[test]
fn tasks_on_a_runtime_of_several_threads_share_a_producer() {
    let engine = engine!();
    let topic = engine.topic("tasks", 4);
    let producer = engine.producer(&[]);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(3).enable_all().build().expect("a runtime");
    runtime.block_on(in_time(async {
        let mut tasks = Vec::new();
        for task in 0..50 {
            let (producer, topic) = (producer.clone(), topic.clone());
            tasks.push(tokio::spawn(async move {
                for n in 0..40 {
                    let value = format!("{task} {n}");
                    let record = Record::new(&topic).value(&value).partition(task % 4);
                    let delivery = producer.send(record).await.expect("accepted");
                    delivery.await.expect("delivered");
                }
            }));
        }
        for task in tasks {
            task.await.expect("no panic");
        }
        assert_eq!(producer.close(PATIENCE).await.delivered, 2000);
    }));
    // 20 concurrent single sends must not share a place: every record has an offset of its own.
    let mut values: Vec<String> = engine.read(&topic).iter().map(|seen| seen.text()).collect();
    values.sort();
    values.dedup();
    assert_eq!(values.len(), 2000);
}

#[test]
fn the_blocking_producer_serves_several_threads() {
    let engine = engine!();
    let topic = engine.topic("blocking", 2);
    let producer = engine.producer(&[]).blocking();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (producer, topic) = (producer.clone(), &topic);
            scope.spawn(move || {
                for n in 0..100 {
                    let value = format!("{thread} {n}");
                    let delivery =
                        producer.send(Record::new(topic).value(&value)).expect("accepted");
                    if n % 10 == 0 {
                        delivery.wait().expect("delivered");
                    }
                }
                let records = (0..10).map(|_| Record::new(topic).value("of a list"));
                assert!(producer.send_all(records).iter().all(Result::is_ok));
            });
        }
    });
    producer.flush(PATIENCE).expect("flushed");
    assert_eq!(producer.partitions(&topic).expect("listed").len(), 2);
    assert_eq!(producer.close(PATIENCE).delivered, 440);
    assert_eq!(engine.read(&topic).len(), 440);
}

/// Laws: L1. Scenarios: #38.
#[test]
fn a_hundred_thousand_tasks_await_their_deliveries_at_once() {
    const TASKS: u32 = 100_000;
    let engine = engine!();
    let topic: Arc<str> = engine.topic("tasks", 6).into();
    // Nothing leaves before all of them wait.
    let producer = engine.producer(&[("linger.ms", "60000"), ("linger.adaptive", "false")]);
    run(async {
        let handle = producer.topic(&topic).await.expect("known");
        let waiting = Arc::new(AtomicUsize::new(0));
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..TASKS {
            let (handle, waiting) = (handle.clone(), Arc::clone(&waiting));
            let topic = Arc::clone(&topic);
            tasks.spawn(async move {
                let value = n.to_be_bytes();
                let record = Record::new(&topic).value(&value);
                let delivery = handle.send(record).await.expect("accepted");
                waiting.fetch_add(1, Ordering::Relaxed);
                delivery.await.expect("delivered").offset.expect("an offset")
            });
        }
        while waiting.load(Ordering::Relaxed) < TASKS as usize {
            tokio::task::yield_now().await;
        }
        producer.flush(PATIENCE).await.expect("flushed");
        assert_eq!(in_time(tasks.join_all()).await.len(), TASKS as usize);
    });
    assert_eq!(producer.metrics().records_delivered, u64::from(TASKS));
}
