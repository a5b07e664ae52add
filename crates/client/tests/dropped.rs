//! A producer that is dropped before it is closed says what that means.
//!
//! One test alone in its process: what is logged by others would be in its way.

mod log;

use std::time::Duration;

use log::Log;
use ottla::{Producer, Record};
use ottla_broker::{ApiKey, Cluster, Fault};

/// Laws: L1. Scenarios: H4, bug-49.
#[test]
fn a_producer_that_is_dropped_with_batches_pending_warns_and_says_how_many_records_were_lost() {
    let log = Log::begin();
    let cluster = Cluster::builder().topic("t", 2).start().unwrap();
    let producer = |timeout_ms: &str| {
        Producer::builder()
            .set("bootstrap.servers", &cluster.bootstrap_servers())
            .set("durability.warnings", "false")
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
    assert!(log.lines().is_empty(), "there is nothing to warn of: {:?}", log.lines());

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
