//! A producer that is dropped before it is closed says what that means.
//!
//! One test alone in its process: what is logged by others would be in its way.

use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ottla::{Producer, Record};
use ottla_broker::{ApiKey, Cluster, Fault};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Metadata, Subscriber};

/// Keeps warnings and what is worse, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, "{field}={value:?} ");
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

impl Log {
    fn wait_for(&self, parts: &[&str]) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let has = |line: &String| parts.iter().all(|part| line.contains(part));
        while !self.0.lock().unwrap().iter().any(has) {
            assert!(Instant::now() < deadline, "no {parts:?} in {:?}", self.0.lock().unwrap());
            std::thread::yield_now();
        }
    }
}

/// Laws: L1. Scenarios: H4, bug-49.
#[test]
fn a_producer_that_is_dropped_with_batches_pending_warns_and_says_how_many_records_were_lost() {
    let log = Log::default();
    tracing::subscriber::set_global_default(log.clone()).unwrap();
    let cluster = Cluster::builder().topic("t", 2).start().unwrap();
    let producer = |timeout_ms: &str| {
        Producer::builder()
            .set("bootstrap.servers", &cluster.bootstrap_servers())
            .set("linger.ms", "80")
            .set("linger.adaptive", "false")
            .set("request.timeout.ms", "50")
            .set("delivery.timeout.ms", timeout_ms)
            .build()
            .unwrap()
            .blocking()
    };
    let send = |producer: &ottla::BlockingProducer, partition| {
        producer.send(Record::new("t").value("v").partition(partition)).unwrap()
    };

    let closed = producer("60000");
    drop(send(&closed, 0));
    closed.close(Duration::from_secs(60));
    drop(closed);
    let flushed = producer("60000");
    drop(send(&flushed, 0));
    flushed.flush(Duration::from_secs(60)).unwrap();
    drop(flushed);
    assert!(log.0.lock().unwrap().is_empty(), "there is nothing to warn of: {log:?}", log = log.0);

    // What is pending is delivered all the same, and whoever kept a delivery is told.
    let dropped = producer("60000");
    let deliveries = [send(&dropped, 0), send(&dropped, 1), send(&dropped, 1)];
    drop(dropped);
    log.wait_for(&["batches=2", "close()"]);
    assert!(deliveries.into_iter().all(|delivery| delivery.wait().is_ok()));

    cluster.inject(Fault::on(ApiKey::PRODUCE).always().drop_request());
    let lost = producer("300");
    let deliveries = [send(&lost, 0), send(&lost, 1), send(&lost, 1)];
    drop(lost);
    log.wait_for(&["records=3", "failed"]);
    assert!(deliveries.into_iter().all(|delivery| delivery.wait().is_err()));
}
