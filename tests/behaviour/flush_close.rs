//! The end of sending: everything is told its outcome.

use std::time::Duration;

use ottla::{ErrorKind, Outcome, Record};
use ottla_tests::wait::PATIENCE;
use ottla_tests::{engine, run};

/// A batch that nothing but a flush or a close sends.
const HELD: [(&str, &str); 2] = [("linger.ms", "80000"), ("linger.adaptive", "false")];

/// Laws: L1, L9. Scenarios: #105.
#[test]
fn a_flush_sends_what_lingers_and_waits_for_its_outcome() {
    let engine = engine!();
    let topic = engine.topic("flush", 3);
    let producer = engine.producer(&HELD);
    run(async {
        let mut deliveries = Vec::new();
        for n in 0..300 {
            let record = Record::new(&topic).value("v").partition(n % 3);
            deliveries.push(producer.send(record).await.expect("accepted"));
        }
        assert!(deliveries.iter().all(|delivery| delivery.try_outcome().is_none()));
        producer.flush(PATIENCE).await.expect("flushed");
        // After the flush no delivery is open: it has nothing to wait for (law L1).
        for delivery in &deliveries {
            delivery.try_outcome().expect("settled").expect("delivered");
        }
    });
    assert_eq!(engine.read(&topic).len(), 300);
}

#[test]
fn a_flush_of_nothing_is_done_at_once_even_before_the_cluster_was_ever_asked() {
    let engine = engine!();
    let producer = engine.producer(&[]);
    for _ in 0..200 {
        run(producer.flush(Duration::ZERO)).expect("nothing to flush");
    }
    run(producer.flush(PATIENCE)).expect("nothing to flush");
    assert_eq!(producer.metrics().requests_sent, 0);
}

#[test]
fn a_flush_after_a_flush_finds_nothing_to_do() {
    let engine = engine!();
    let topic = engine.topic("flush-twice", 1);
    let producer = engine.producer(&HELD);
    drop(run(producer.send(Record::new(&topic).value("v"))).expect("accepted"));
    run(producer.flush(PATIENCE)).expect("flushed");
    let requests = producer.metrics().requests_sent;
    run(producer.flush(PATIENCE)).expect("flushed");
    assert_eq!(producer.metrics().requests_sent, requests);
}

#[test]
fn several_flushes_at_a_time_all_end() {
    let engine = engine!();
    let topic = engine.topic("flushes", 1);
    let producer = engine.producer(&HELD).blocking();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let (producer, topic) = (producer.clone(), &topic);
            scope.spawn(move || {
                for _ in 0..20 {
                    let delivery = producer.send(Record::new(topic).value("v")).expect("accepted");
                    producer.flush(PATIENCE).expect("flushed");
                    // The flush was asked for after the record, so it covers it.
                    delivery.try_outcome().expect("settled").expect("delivered");
                }
            });
        }
    });
    assert_eq!(producer.close(PATIENCE).delivered, 160);
}

/// Laws: L9. Scenarios: #106, bug-48.
#[test]
fn records_sent_during_a_flush_do_not_keep_it_from_ending() {
    let engine = engine!();
    let topic = engine.topic("flush-and-send", 1);
    let producer = engine.producer(&[]);
    run(async {
        let sender = async {
            loop {
                drop(producer.send(Record::new(&topic).value("more")).await.expect("accepted"));
                tokio::task::yield_now().await;
            }
        };
        let flusher = async {
            for _ in 0..20 {
                producer.flush(PATIENCE).await.expect("flushed");
            }
        };
        tokio::select! { () = flusher => (), () = sender => () }
        assert!(producer.close(PATIENCE).await.is_clean());
    });
}

#[test]
fn a_close_delivers_everything_and_reports_it() {
    let engine = engine!();
    let topic = engine.topic("close", 3);
    let producer = engine.producer(&HELD);
    run(async {
        let mut deliveries = Vec::new();
        for n in 0..500 {
            let record = Record::new(&topic).value("v").partition(n % 3);
            deliveries.push(producer.send(record).await.expect("accepted"));
        }
        let report = producer.close(PATIENCE).await;
        assert!(report.is_clean());
        assert_eq!((report.delivered, report.failed), (500, 0));
        for delivery in deliveries {
            delivery.await.expect("delivered");
        }
    });
    assert_eq!(engine.read(&topic).len(), 500);
}

/// Laws: L9. Scenarios: #112, H3.
#[test]
fn closing_twice_reports_the_same_and_harms_nothing() {
    let engine = engine!();
    let topic = engine.topic("close-twice", 1);
    let producer = engine.producer(&[]);
    drop(run(producer.send(Record::new(&topic).value("v"))).expect("accepted"));
    let first = run(producer.close(PATIENCE));
    let second = run(producer.close(PATIENCE));
    assert_eq!((first.delivered, first.failed), (1, 0));
    assert_eq!(first, second);
}

/// Laws: L9. Scenarios: #112, H3.
#[test]
fn closing_from_several_threads_at_a_time_ends_for_all_of_them() {
    let engine = engine!();
    let topic = engine.topic("close-threads", 1);
    let producer = engine.producer(&[]).blocking();
    for _ in 0..100 {
        drop(producer.send(Record::new(&topic).value("v")).expect("accepted"));
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| producer.close(PATIENCE));
        }
    });
    assert_eq!(producer.close(PATIENCE).delivered, 100);
}

/// Laws: L1, L9. Scenarios: #109, bug-31, H5.
#[test]
fn after_a_close_known_and_unknown_topics_are_refused_alike() {
    let engine = engine!();
    let topic = engine.topic("after-close", 1);
    let producer = engine.producer(&[]);
    drop(run(producer.send(Record::new(&topic).value("v"))).expect("accepted"));
    let handle = run(producer.topic(&topic)).expect("known");
    run(producer.close(PATIENCE));
    for name in [topic.as_str(), "some-other-topic"] {
        let refused = run(producer.send(Record::new(name).value("v"))).expect_err("closed");
        assert_eq!((refused.kind(), refused.outcome()), (ErrorKind::Closed, Outcome::NotPersisted));
        match producer.try_send(Record::new(name).value("v")) {
            Err(ottla::TrySendError::Refused(error)) => assert_eq!(error.kind(), ErrorKind::Closed),
            other => panic!("{other:?}"),
        }
    }
    let refused = run(handle.send(Record::new(&topic).value("v"))).expect_err("closed");
    assert_eq!(refused.kind(), ErrorKind::Closed);
    run(producer.flush(PATIENCE)).expect("nothing to flush");
    assert_eq!(engine.read(&topic).len(), 1);
}

/// Laws: L1, L9. Scenarios: #111, #104.
#[test]
fn a_close_with_no_time_settles_every_delivery_one_way_or_the_other() {
    let engine = engine!();
    let topic = engine.topic("close-now", 1);
    let producer = engine.producer(&HELD);
    let (report, outcomes) = run(async {
        let mut deliveries = Vec::new();
        for _ in 0..100 {
            let record = Record::new(&topic).value("v");
            deliveries.push(producer.send(record).await.expect("accepted"));
        }
        let report = producer.close(Duration::ZERO).await;
        let settled = deliveries.iter().map(|delivery| delivery.try_outcome().expect("settled"));
        (report, settled.collect::<Vec<_>>())
    });
    let delivered = outcomes.iter().filter(|outcome| outcome.is_ok()).count() as u64;
    let with = |wanted: Outcome| {
        let failed = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
        failed.filter(|error| error.outcome() == wanted).count() as u64
    };
    assert_eq!(report.delivered, delivered);
    assert_eq!(report.failed, 100 - delivered);
    assert_eq!(report.unsent, with(Outcome::NotPersisted));
    assert_eq!(report.in_doubt, with(Outcome::MaybePersisted));
    // What was called not persisted is not there; what was delivered is (laws L1 and L2).
    let found = engine.read(&topic).len() as u64;
    assert!(found >= delivered && found <= delivered + report.in_doubt, "{found} {report:?}");
}

/// Laws: L1. Scenarios: H4, bug-49.
#[test]
fn a_producer_that_is_dropped_still_delivers_what_it_accepted() {
    let engine = engine!();
    let topic = engine.topic("dropped", 1);
    let producer = engine.producer(&HELD);
    run(async {
        let mut deliveries = Vec::new();
        for _ in 0..100 {
            let record = Record::new(&topic).value("v");
            deliveries.push(producer.send(record).await.expect("accepted"));
        }
        drop(producer);
        for delivery in deliveries {
            delivery.await.expect("delivered");
        }
    });
    assert_eq!(engine.read(&topic).len(), 100);
}

/// Laws: L1. Scenarios: #114.
#[test]
fn a_purge_of_a_topic_or_of_one_partition_leaves_the_rest() {
    let engine = engine!();
    let (one, other) = (engine.topic("purged", 2), engine.topic("not-purged", 1));
    let producer = engine.producer(&[("linger.ms", "80000"), ("linger.adaptive", "false")]);
    let topic = run(producer.topic(&one)).expect("known");
    let send = |topic: &str, partition| {
        let record = Record::new(topic).value("v").partition(partition);
        run(producer.send(record)).expect("accepted")
    };
    let [first, second, third] = [send(&one, 0), send(&one, 1), send(&other, 0)];
    run(topic.purge_partition(1, true, true));
    let purged = run(second).expect_err("purged");
    assert_eq!((purged.kind(), purged.outcome()), (ErrorKind::Purged, Outcome::NotPersisted));
    assert!(first.try_outcome().is_none() && third.try_outcome().is_none());
    run(topic.purge_partition(7, true, true));
    run(topic.purge(true, true));
    assert_eq!(run(first).expect_err("purged").kind(), ErrorKind::Purged);
    assert!(third.try_outcome().is_none());
    run(producer.flush(PATIENCE)).expect("flushed");
    assert!(run(third).is_ok());
    assert!(engine.read(&one).is_empty());
}
