//! Errors that end a record's way: their kind, what they say, and what is true of the log (law L1).

use ottla::{ErrorKind, Outcome};
use ottla_broker::{ApiKey, ErrorCode, Fault};
use ottla_tests::run;

use super::{SHORT, Scene, on_produce};

/// Laws: L1. Scenarios: #87, F14.
#[test]
fn a_definite_no_fails_the_batch_at_once_and_what_comes_later_goes_on() {
    let scene = Scene::new(1);
    let producer = scene.producer(&[]);
    scene.warm_up(&producer);
    for (code, kind) in [
        (ErrorCode::TOPIC_AUTHORIZATION_FAILED, ErrorKind::Unauthorized),
        (ErrorCode::CLUSTER_AUTHORIZATION_FAILED, ErrorKind::Unauthorized),
        (ErrorCode::INVALID_RECORD, ErrorKind::InvalidRecord),
        (ErrorCode::INVALID_TIMESTAMP, ErrorKind::InvalidRecord),
        (ErrorCode::MESSAGE_TOO_LARGE, ErrorKind::TooLarge),
        (ErrorCode::UNSUPPORTED_COMPRESSION_TYPE, ErrorKind::Unsupported),
        (ErrorCode::POLICY_VIOLATION, ErrorKind::Refused),
    ] {
        scene.cluster().inject(on_produce().error(code));
        let outcomes = scene.send(&producer, 1);
        let error = outcomes[0].as_ref().expect_err("refused");
        assert_eq!((error.kind(), error.code()), (kind, Some(code)));
        assert_eq!((error.outcome(), error.attempts()), (Outcome::NotPersisted, 1));
        // The message is for people: what, in Kafka's name, where, how often, and what it means.
        let text = error.to_string();
        for part in [code.name(), scene.engine.servers(), "1 attempt", "not persisted"] {
            assert!(text.contains(part), "no {part:?} in: {text}");
        }
        assert_eq!(error.broker(), Some(format!("1 at {}", scene.engine.servers()).as_str()));
        let outcomes = scene.send(&producer, 1);
        assert!(outcomes[0].is_ok(), "after {code:?}: {outcomes:?}");
    }
    assert_eq!(scene.values(0).len(), 8);
}

#[test]
fn a_refused_batch_in_the_middle_of_many_is_missing_and_nothing_else_is() {
    let scene = Scene::new(1);
    let producer = scene.producer(&[]);
    scene.warm_up(&producer);
    scene.cluster().inject(on_produce().after(2).error(ErrorCode::INVALID_RECORD));
    let outcomes = scene.send(&producer, 500);
    let delivered: Vec<String> = outcomes
        .iter()
        .enumerate()
        .filter(|(_, outcome)| outcome.is_ok())
        .map(|(n, _)| n.to_string())
        .collect();
    assert!(delivered.len() < 500 && delivered.len() > 300, "{}", delivered.len());
    assert!(scene.values(0)[1..] == delivered, "a gap is reported, and order is kept (law L3)");
}

#[test]
fn retries_that_are_used_up_say_what_happened_each_time() {
    let scene = Scene::new(1);
    let producer = scene.producer(&[("retries", "2")]);
    scene.warm_up(&producer);
    scene.cluster().inject(on_produce().times(3).error(ErrorCode::NOT_ENOUGH_REPLICAS));
    let outcomes = scene.send(&producer, 1);
    let error = outcomes[0].as_ref().expect_err("given up");
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::RetriesExhausted, 3));
    assert_eq!(error.outcome(), Outcome::NotPersisted);
    let text = error.to_string();
    assert!(text.contains("retries=2") && text.contains("3 attempts"), "{text}");
    let cause = std::error::Error::source(error).expect("a cause").to_string();
    assert!(cause.contains("NOT_ENOUGH_REPLICAS"), "{cause}");
    assert_eq!(scene.values(0), ["warm"]);
    // Nothing is left of it that would harm the next record.
    assert!(scene.send(&producer, 50).iter().all(Result::is_ok));
}

/// Laws: L1. Scenarios: F4.
#[test]
fn no_retries_and_no_answer_are_maybe_persisted() {
    let scene = Scene::new(1);
    let settings = [("retries", "0"), ("request.timeout.ms", "200")];
    for fault in [
        on_produce().disconnect(),
        on_produce().disconnect_after_apply(),
        on_produce().drop_request(),
        on_produce().drop_response(),
    ] {
        let producer = scene.producer(&settings);
        scene.warm_up(&producer);
        scene.cluster().inject(fault);
        let outcomes = scene.send(&producer, 1);
        let error = outcomes[0].as_ref().expect_err("in doubt");
        assert_eq!(error.outcome(), Outcome::MaybePersisted, "{error}");
        assert_eq!(error.attempts(), 1);
    }
}

/// Laws: L1. Scenarios: F4.
#[test]
fn a_record_that_may_be_in_the_log_is_not_called_not_persisted_when_its_retry_is_refused() {
    let scene = Scene::new(1);
    let producer = scene.producer(&[]);
    scene.warm_up(&producer);
    scene.cluster().inject(on_produce().disconnect_after_apply());
    scene.cluster().inject(on_produce().error(ErrorCode::TOPIC_AUTHORIZATION_FAILED));
    let outcomes = scene.send(&producer, 1);
    let error = outcomes[0].as_ref().expect_err("refused");
    assert_eq!(scene.values(0), ["warm", "0"]);
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Unauthorized, 2));
    assert_eq!(error.outcome(), Outcome::MaybePersisted, "it is there: {error}");
}

#[test]
fn a_cluster_that_gives_no_producer_id_for_want_of_permission_fails_what_waits_and_says_why() {
    let scene = Scene::new(1);
    let code = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
    scene.cluster().inject(Fault::on(ApiKey::INIT_PRODUCER_ID).always().error(code));
    let producer = scene.producer(&[]);
    let outcomes = scene.send(&producer, 1);
    let error = outcomes[0].as_ref().expect_err("no permission");
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unauthorized, Outcome::NotPersisted));
    assert!(error.to_string().contains("enable.idempotence=false"), "{error}");
    assert!(run(producer.close(SHORT)).is_clean());
}

/// Laws: L9. Scenarios: #87.
#[test]
fn a_topic_that_may_not_be_described_is_refused_as_such() {
    let scene = Scene::new(1);
    let code = ErrorCode::TOPIC_AUTHORIZATION_FAILED;
    scene.cluster().inject(Fault::on(ApiKey::METADATA).topic(&scene.topic).always().error(code));
    let producer = scene.producer(&[]);
    let refused = run(producer.send(scene.record("0"))).expect_err("no permission");
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Unauthorized, Some(code)));
}
