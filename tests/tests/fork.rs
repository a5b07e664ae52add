//! A child of `fork` has its parent's producers and none of their threads: it is told so, and
//! neither waits nor crashes (law L9).
//!
//! One test alone in its process: a child must not have half of what other tests are doing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ottla::{ErrorKind, Outcome, Producer, Record};
use ottla_tests::wait::PATIENCE;
use ottla_tests::{Engine, run};

/// Runs `inside` in a child and waits for it; what it panicked with is on standard error.
fn in_a_child(inside: impl FnOnce()) {
    // SAFETY: the child does what the test is about, and leaves without running what the parent has
    // registered for its end.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "no fork");
    if child == 0 {
        // Nobody in the child could end a wait that never ends.
        // SAFETY: no handler was set for this signal, so it ends the process.
        unsafe { libc::alarm(60) };
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(inside));
        // SAFETY: it ends this process and nothing else.
        unsafe { libc::_exit(i32::from(done.is_err())) };
    }
    let mut status = 0;
    // SAFETY: the pointer is to a number of this function's own.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!((waited, status), (child, 0), "the child failed, or was ended by a signal");
}

/// Laws: L9. Scenarios: bug-52.
#[test]
fn a_forked_child_is_told_that_the_producer_is_its_parents_and_may_have_one_of_its_own() {
    let engine = Engine::embedded();
    let topic = engine.topic("fork", 2);
    let held = [("linger.ms", "80000"), ("linger.adaptive", "false")];
    let producer = engine.producer(&held);
    let handle = run(producer.topic(&topic)).expect("known");
    let send = |value| {
        run(producer.send(Record::new(&topic).value(value).partition(0))).expect("accepted")
    };
    let settled = send("before");
    run(producer.flush(PATIENCE)).expect("flushed");
    let (mut pending, dropped) = (send("parent's own"), send("parent's own"));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _when_it_is_over = Stop(&stop);
        // Some of the children are made while somebody has a lock that nobody gives back in them.
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // Never so much that what waits in the other partition must go.
                let metrics = producer.metrics();
                if metrics.buffer_available_bytes > metrics.buffer_total_bytes / 2 {
                    let busy = Record::new(&topic).value("busy").partition(1);
                    drop(producer.try_send(busy));
                }
            }
        });
        for _ in 0..50 {
            in_a_child(|| use_all(&producer, &handle, &topic, &mut pending));
        }
    });
    in_a_child(move || drop((producer, handle, dropped, settled)));
    assert_eq!(run(pending).expect("delivered").offset, Some(1));

    in_a_child(|| {
        let own = engine.producer(&[]).blocking();
        let delivery =
            own.send(Record::new(&topic).value("child's own").partition(0)).expect("accepted");
        delivery.wait().expect("delivered");
        assert_eq!(own.close(PATIENCE).delivered, 1);
    });
    let seen = engine.read_ours(&topic);
    let values = ottla_tests::record::values(&seen, 0);
    assert_eq!(values, ["before", "parent's own", "parent's own", "child's own"]);
}

/// Ends the busy thread, also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Every method, in a child of the process that made the producer.
fn use_all(producer: &Producer, handle: &ottla::Topic, topic: &str, pending: &mut ottla::Delivery) {
    let record = Record::new(topic).value("child");
    let blocking = producer.blocking();
    for refused in [
        blocking.send(record).expect_err("refused"),
        run_here(handle.send(record)).map(drop).expect_err("refused"),
        blocking.send(Record::new("unknown")).expect_err("refused"),
        blocking.partitions("unknown").expect_err("refused"),
    ] {
        assert_eq!(refused.kind(), ErrorKind::Closed);
        assert!(refused.to_string().contains("forked"), "{refused}");
    }
    assert!(blocking.try_send(record).is_err());
    let flushed = blocking.flush(PATIENCE).expect_err("nothing is flushed here");
    assert!(flushed.is_in_child && flushed.to_string().contains("forked"), "{flushed}");
    blocking.purge(true, true);
    producer.connect();
    assert_eq!(producer.metrics().records_delivered, 0);
    let outcome = run_here(pending).expect_err("nobody here learns of it");
    assert_eq!((outcome.kind(), outcome.outcome()), (ErrorKind::Closed, Outcome::MaybePersisted));
    assert_eq!(blocking.close(Duration::ZERO), ottla::CloseReport::default());
}

/// Without a runtime, which would have to be made in a child of a process with many threads.
fn run_here<F: Future>(future: F) -> F::Output {
    use std::task::{Context, Poll, Waker};
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits in a child, where nobody comes"),
    }
}
