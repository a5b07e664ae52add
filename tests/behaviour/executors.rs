//! Whatever runs the futures: several runtimes, one that ends under them, or none.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use ottla::{Delivery, Producer, Record};
use ottla_tests::wait::{PATIENCE, in_time, until};
use ottla_tests::{engine, run};
use tokio::runtime::{Builder, Runtime};

/// A batch that nothing but a flush or a close sends.
const HELD: [(&str, &str); 2] = [("linger.ms", "80000"), ("linger.adaptive", "false")];

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

async fn send(producer: &Producer, topic: &str) -> Delivery {
    producer.send(Record::new(topic).value("v")).await.expect("accepted")
}

/// Laws: L1, L9. Scenarios: H10.
#[test]
fn one_producer_serves_two_runtimes_at_a_time() {
    let engine = engine!();
    let topic = engine.topic("two-runtimes", 3);
    let producer = engine.producer(&[]);
    let (one, other) = (runtime(), runtime());
    let tasks: Vec<_> = [&one, &other, &one, &other]
        .into_iter()
        .map(|runtime| {
            let (producer, topic) = (producer.clone(), topic.clone());
            runtime.spawn(async move {
                for _ in 0..200 {
                    send(&producer, &topic).await.await.expect("delivered");
                }
                producer.flush(PATIENCE).await.expect("flushed");
            })
        })
        .collect();
    for task in tasks {
        run(task).expect("done");
    }
    assert_eq!(run(producer.close(PATIENCE)).delivered, 800);
}

/// Laws: L1, L9. Scenarios: H10.
#[test]
fn what_a_runtime_waited_for_that_has_ended_is_told_on_another() {
    let engine = engine!();
    let topic = engine.topic("runtime-ends", 1);
    let producer = engine.producer(&HELD);
    let mut delivery = run(send(&producer, &topic));
    let mut flush = Box::pin(producer.flush(PATIENCE));
    let begun = runtime();
    begun.block_on(async {
        // Both have looked at this runtime's waker, and the second at its own timer.
        let mut context = Context::from_waker(Waker::noop());
        assert!(pin!(&mut delivery).poll(&mut context).is_pending());
        assert!(flush.as_mut().poll(&mut context).is_pending());
    });
    // What a task of that runtime holds is dropped with it, and the record is sent all the same.
    let (other, name) = (producer.clone(), topic.clone());
    let task = begun.spawn(async move {
        let dropped = send(&other, &name).await;
        std::future::pending::<()>().await;
        drop(dropped);
    });
    until("second record", || (producer.metrics().records_delivered > 0).then_some(()));
    begun.shutdown_background();
    assert!(run(task).is_err());
    run(flush).expect("flushed");
    run(delivery).expect("delivered");
    run(producer.flush(PATIENCE)).expect("flushed");
    assert!(run(producer.close(PATIENCE)).is_clean());
}

/// Laws: L9. Scenarios: H10.
#[test]
fn blocking_methods_work_inside_of_a_runtime() {
    // They stop its thread, as the name says, and neither panic nor wait for ever.
    let engine = engine!();
    let topic = engine.topic("blocking-inside", 1);
    run(async {
        let producer = engine.producer(&[]).blocking();
        let delivery = producer.send(Record::new(&topic).value("v")).expect("accepted");
        assert_eq!(delivery.wait().expect("delivered").offset, Some(0));
        producer.flush(PATIENCE).expect("flushed");
        assert_eq!(producer.partitions(&topic).expect("known").len(), 1);
        assert_eq!(producer.close(PATIENCE).delivered, 1);
    });
    let many = runtime();
    many.block_on(async {
        let producer = engine.producer(&[]).blocking();
        let outcomes = producer.send_all((0..10).map(|_| Record::new(&topic).value("v")));
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    });
}

/// Laws: L9. Scenarios: H10.
#[test]
fn a_future_is_done_on_a_thread_without_any_runtime() {
    let engine = engine!();
    let topic = engine.topic("no-runtime", 1);
    let producer = engine.producer(&[]);
    // The simplest of all executors: it asks again and again.
    fn ask<T>(future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        until("output", || match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    }
    let delivery = ask(send(&producer, &topic));
    ask(producer.flush(PATIENCE)).expect("flushed");
    assert_eq!(ask(delivery).expect("delivered").offset, Some(0));
    assert_eq!(ask(producer.close(PATIENCE)).delivered, 1);
    run(in_time(producer.flush(PATIENCE))).expect("nothing to flush");
}
