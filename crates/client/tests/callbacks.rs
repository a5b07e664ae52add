//! Delivery callbacks: called before flush and close return, and free to call anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ottla::{BlockingProducer, Producer, Record};
use ottla_broker::Cluster;

const PATIENCE: Duration = Duration::from_secs(30);

fn producer(cluster: &Cluster) -> BlockingProducer {
    let servers = cluster.bootstrap_servers();
    Producer::from_properties([("bootstrap.servers", servers)]).unwrap().blocking()
}

#[test]
fn flush_and_close_return_once_every_callback_was_called() {
    // They used to return when the outcomes were known; a program that ended then never told them.
    let cluster = Cluster::builder().topic("t", 3).start().unwrap();
    let producer = producer(&cluster);
    let called = Arc::new(AtomicU32::new(0));
    let send = |count: u32| {
        for _ in 0..count {
            let called = Arc::clone(&called);
            let slow = move |_| {
                (0..200).for_each(|_| std::thread::yield_now());
                called.fetch_add(1, Ordering::SeqCst);
            };
            producer.send_with(Record::new("t").value("x"), slow).unwrap();
        }
    };
    send(2000);
    producer.flush(PATIENCE).unwrap();
    assert_eq!(called.load(Ordering::SeqCst), 2000);
    send(2000);
    let report = producer.close(PATIENCE);
    assert_eq!((report.delivered, called.load(Ordering::SeqCst)), (4000, 4000));
    assert_eq!(producer.close(PATIENCE).delivered, 4000);
}

/// Laws: L9. Scenarios: #111, H2, H3.
#[test]
fn a_callback_may_flush_and_close_the_producer_that_calls_it() {
    let cluster = Cluster::builder().topic("t", 1).start().unwrap();
    let producer = producer(&cluster);
    let (told, outcome) = std::sync::mpsc::channel();
    let inner = producer.clone();
    let close = move |result: Result<_, _>| {
        inner.flush(PATIENCE).unwrap();
        told.send((result.is_ok(), inner.close(PATIENCE).delivered)).unwrap();
    };
    producer.send_with(Record::new("t").value("x"), close).unwrap();
    assert_eq!(outcome.recv_timeout(PATIENCE), Ok((true, 1)));
}

/// Laws: L9. Scenarios: #102, #109.
#[test]
fn closing_while_threads_wait_for_memory_sends_every_one_of_them_home() {
    let cluster = Cluster::builder().topic("t", 1).start().unwrap();
    let fault = ottla_broker::Fault::on(ottla_broker::ApiKey::PRODUCE).always();
    cluster.inject(fault.drop_request());
    let producer = Producer::builder()
        .set("bootstrap.servers", &cluster.bootstrap_servers())
        .set("buffer.memory", "65536")
        .set("batch.size", "16384")
        .build()
        .unwrap()
        .blocking();
    let senders: Vec<_> = (0..4)
        .map(|_| {
            let producer = producer.clone();
            std::thread::spawn(move || {
                let value = vec![7; 8000];
                let mut accepted = Vec::new();
                loop {
                    match producer.send(Record::new("t").value(&value)) {
                        Ok(delivery) => accepted.push(delivery),
                        Err(refused) => return (accepted, refused.kind()),
                    }
                }
            })
        })
        .collect();
    while producer.metrics().buffer_available_bytes > 16_384 {
        std::thread::yield_now();
    }
    let report = producer.close(Duration::from_millis(100));
    let mut accepted = 0;
    for sender in senders {
        let (deliveries, refused) = sender.join().unwrap();
        assert_eq!(refused, ottla::ErrorKind::Closed);
        for delivery in deliveries {
            accepted += 1;
            assert!(delivery.wait().is_err());
        }
    }
    assert_eq!(report.unsent + report.in_doubt, accepted);
}
