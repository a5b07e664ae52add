//! Deadlines: they hold whatever the brokers do (law L9), and the outcome says what is known.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use ottla::{ErrorKind, Outcome, Record, TrySendError};
use ottla_broker::{Cluster, ErrorCode};
use ottla_tests::wait::PATIENCE;
use ottla_tests::{Engine, run};

use super::{SHORT, Scene, assert_exactly_once, on_produce};

/// Records live for a second.
const SHORT_LIVED: [(&str, &str); 2] =
    [("delivery.timeout.ms", "1000"), ("request.timeout.ms", "300")];

/// Laws: L1, L9. Scenarios: F4, bug-38.
#[test]
fn a_record_that_was_sent_and_never_answered_is_maybe_persisted_when_its_time_is_over() {
    let scene = Scene::new(1);
    let producer = scene.producer(&SHORT_LIVED);
    scene.warm_up(&producer);
    scene.cluster().inject(on_produce().always().drop_request());
    let begin = Instant::now();
    let outcomes = scene.send(&producer, 1);
    assert!(begin.elapsed() >= Duration::from_secs(1), "not before its time");
    let error = outcomes[0].as_ref().expect_err("timed out");
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::MaybePersisted));
    assert!(error.attempts() >= 1);
    let text = error.to_string();
    assert!(text.contains("delivery.timeout.ms=1000") && text.contains(&scene.topic), "{text}");
    // The producer is none the worse for it.
    scene.cluster().clear_faults();
    assert!(scene.send(&producer, 20).iter().all(Result::is_ok));
}

/// Laws: L1, L9. Scenarios: #54.
#[test]
fn a_record_that_was_never_sent_is_not_persisted_when_its_time_is_over() {
    let scene = Scene::new(1);
    let producer = scene.producer(&SHORT_LIVED);
    scene.warm_up(&producer);
    let servers = scene.engine.servers().to_owned();
    drop(scene.engine);
    let outcome = run(async {
        producer.send(Record::new(&scene.topic).value("v")).await.expect("accepted").await
    });
    let error = outcome.expect_err("nobody there");
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::NotPersisted));
    assert_eq!(error.attempts(), 0);
    assert!(error.to_string().contains(&servers), "it says whom it could not reach: {error}");
}

/// Laws: L1, L9. Scenarios: F3, #84.
#[test]
fn a_record_that_was_refused_each_time_is_not_persisted_when_its_time_is_over() {
    let scene = Scene::new(1);
    // Nothing is on its way when the time is over: it is tried at once, and after 0.56 to 0.84 s. A
    // second batch would go out as soon as the first is given up, just before its own time is over.
    let backoff = [("retry.backoff.ms", "700"), ("retry.backoff.max.ms", "700")];
    let producer = scene.producer(&[SHORT_LIVED, backoff].concat());
    scene.warm_up(&producer);
    scene.cluster().inject(on_produce().always().error(ErrorCode::NOT_ENOUGH_REPLICAS));
    let outcomes = scene.send(&producer, 1);
    for outcome in &outcomes {
        let error = outcome.as_ref().expect_err("timed out");
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::NotPersisted));
        assert!(error.to_string().contains("before that"), "the last refusal is told: {error}");
    }
    assert_eq!(scene.values(0), ["warm"]);
}

/// Laws: L1, L3. Scenarios: #80, F16.
#[test]
fn a_broker_that_comes_back_in_time_gets_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let start = |listen: &str| {
        let builder = Cluster::builder().data_dir(&data).listen(listen).topic("comeback", 1);
        builder.start().expect("started")
    };
    let cluster = start("127.0.0.1:0");
    let servers = cluster.bootstrap_servers();
    let engine = Engine::Kafka { servers: servers.clone() };
    let producer = engine.producer(&[("reconnect.backoff.ms", "10"), ("batch.size", "400")]);
    let values: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    let mut cluster = Some(cluster);
    run(async {
        let mut deliveries = Vec::new();
        for (n, value) in values.iter().enumerate() {
            match n {
                100 => cluster.take().expect("running").kill(),
                200 => cluster = Some(start(&servers)),
                _ => (),
            }
            let record = Record::new("comeback").value(value);
            deliveries.push(producer.send(record).await.expect("accepted"));
        }
        for delivery in deliveries {
            delivery.await.expect("delivered");
        }
    });
    let found: Vec<String> = engine.read("comeback").iter().map(|seen| seen.text()).collect();
    assert!(found == values, "lost, doubled or out of order: {found:?}");
}

#[test]
fn a_flush_that_runs_out_of_time_says_so_and_loses_nothing() {
    let scene = Scene::new(1);
    let producer = scene.producer(&[("request.timeout.ms", "1000")]);
    scene.warm_up(&producer);
    scene.cluster().inject(on_produce().drop_request());
    let delivery = run(producer.send(scene.record("0"))).expect("accepted");
    let late = run(producer.flush(SHORT)).expect_err("no answer");
    assert_eq!(late.pending_batches, 1);
    // The next request to go unanswered is given up, and the retry goes through.
    run(producer.flush(PATIENCE)).expect("flushed");
    assert_eq!(run(delivery).expect("delivered").offset, Some(1));
}

/// Laws: L1, L9. Scenarios: #104, bug-26, bug-32.
#[test]
fn a_close_gives_up_at_its_deadline_and_counts_what_is_in_doubt() {
    let scene = Scene::new(1);
    // One batch under way, the others behind it.
    let producer = scene.producer(&[("max.in.flight", "1")]);
    scene.warm_up(&producer);
    scene.cluster().inject(on_produce().always().drop_request());
    let (report, outcomes) = run(async {
        let mut deliveries = Vec::new();
        for _ in 0..500 {
            deliveries.push(producer.send(scene.record("v")).await.expect("accepted"));
        }
        let report = producer.close(SHORT).await;
        let settled = deliveries.iter().map(|delivery| delivery.try_outcome().expect("settled"));
        (report, settled.collect::<Vec<_>>())
    });
    let count = |wanted: Outcome| {
        let errors = outcomes.iter().map(|outcome| outcome.as_ref().expect_err("not delivered"));
        errors.filter(|error| error.outcome() == wanted).count() as u64
    };
    assert_eq!((report.delivered, report.failed), (1, 500));
    assert_eq!(
        (report.unsent, report.in_doubt),
        (count(Outcome::NotPersisted), count(Outcome::MaybePersisted))
    );
    assert!(report.unsent > 0 && report.in_doubt > 0, "{report:?}");
    assert!(!report.is_clean());
}

/// Laws: L9, L10. Scenarios: #102, H6.
#[test]
fn memory_that_stays_spent_ends_a_send_after_max_block_ms() {
    let scene = Scene::new(1);
    let settings = [("buffer.memory", "65536"), ("batch.size", "16384"), ("max.block.ms", "200")];
    let producer = scene.engine.producer(&settings);
    scene.warm_up(&producer);
    scene.cluster().inject(on_produce().always().drop_request());
    let value = "x".repeat(2000);
    let send_until_refused = async || loop {
        match producer.send(scene.record(&value)).await {
            Ok(delivery) => drop(delivery),
            Err(refused) => break refused,
        }
    };
    let refused = loop {
        let refused = run(send_until_refused());
        // On a machine with much else to do, a batch may be compressed, and so become less, only
        // after that.
        match producer.try_send(scene.record(&value)) {
            Err(full) => {
                assert_eq!(full, TrySendError::Full);
                break refused;
            }
            Ok(delivery) => drop(delivery),
        }
    };
    assert_eq!((refused.kind(), refused.outcome()), (ErrorKind::Timeout, Outcome::NotPersisted));
    assert!(refused.to_string().contains("buffer.memory=65536"), "{refused}");
    // What is left is less than the next buffer.
    assert!(producer.metrics().buffer_available_bytes < 36_000);
    // What was accepted is given up at the close, and every byte comes back (law L10).
    run(producer.close(SHORT));
    let metrics = producer.metrics();
    assert_eq!(metrics.buffer_available_bytes, metrics.buffer_total_bytes);
}

/// Laws: L9. Scenarios: #102.
#[test]
fn senders_that_wait_for_memory_are_refused_when_the_producer_is_closed() {
    let scene = Scene::new(1);
    let settings = [("buffer.memory", "65536"), ("batch.size", "16384")];
    let producer = scene.engine.producer(&settings);
    scene.warm_up(&producer);
    scene.cluster().inject(on_produce().always().drop_request());
    let value = "x".repeat(2000);
    run(async {
        let filler = async {
            loop {
                match producer.send(scene.record(&value)).await {
                    Ok(delivery) => drop(delivery),
                    Err(refused) => break refused,
                }
            }
        };
        let closer = async {
            while producer.metrics().buffer_available_bytes > 4096 {
                tokio::task::yield_now().await;
            }
            producer.close(SHORT).await
        };
        let (refused, report) = tokio::join!(filler, closer);
        assert_eq!(refused.kind(), ErrorKind::Closed);
        assert_eq!(report.delivered, 1);
    });
}

#[test]
fn a_delivery_that_is_late_but_in_time_is_delivered_once() {
    let scene = Scene::new(1);
    let producer = scene.producer(&[("request.timeout.ms", "250")]);
    scene.warm_up(&producer);
    // The answer comes after the client has given up the connection.
    scene.cluster().inject(on_produce().delay(Duration::from_millis(400)));
    let outcomes = scene.send(&producer, 1);
    assert_exactly_once(&scene, &outcomes);
}

/// Laws: L1, L9. Scenarios: #45.
#[test]
fn a_callback_that_is_told_of_an_expiry_may_send_the_record_again() {
    let scene = Scene::new(1);
    let producer = scene.producer(&SHORT_LIVED).blocking();
    scene.warm_up(producer.producer());
    scene.cluster().inject(on_produce().always().error(ErrorCode::NOT_ENOUGH_REPLICAS));
    let (done, told) = mpsc::channel();
    let (again, topic) = (producer.clone(), scene.topic.clone());
    let expired = move |outcome: Result<_, ottla::ProduceError>| {
        let error = outcome.expect_err("expired");
        let record = Record::new(&topic).value("0").partition(0);
        let sent = again.send_with(record, move |outcome| drop(done.send((error, outcome))));
        sent.expect("accepted");
    };
    producer.send_with(scene.record("0"), expired).expect("accepted");
    ottla_tests::wait::until_true("expiry", || producer.metrics().records_failed == 1);
    scene.cluster().clear_faults();
    let (error, outcome) = told.recv_timeout(PATIENCE).expect("told");
    // Whether an attempt was on its way at that moment is chance.
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(outcome.expect("delivered").offset, Some(1));
    assert_eq!(scene.values(0), ["warm", "0"]);
}
