//! Without idempotence retries may double records: that this is seen shows that the tests of the
//! others are not blind.

use ottla_broker::ErrorCode;

use super::{Scene, assert_exactly_once, numbers, on_produce};

const OFF: [(&str, &str); 2] = [("enable.idempotence", "false"), ("request.timeout.ms", "300")];

#[test]
fn without_idempotence_a_lost_answer_doubles_the_batch() {
    let scene = Scene::new(1);
    let producer = scene.producer(&OFF);
    scene.warm_up(&producer);
    scene.cluster().inject(on_produce().disconnect_after_apply());
    let outcomes = scene.send(&producer, 1);
    assert!(outcomes[0].is_ok());
    assert_eq!(scene.values(0), ["warm", "0", "0"]);
}

#[test]
fn without_idempotence_nothing_is_lost_and_the_order_of_first_copies_is_kept() {
    let scene = Scene::new(1);
    let producer = scene.producer(&OFF);
    scene.warm_up(&producer);
    for after in [1, 3, 5] {
        scene.cluster().inject(on_produce().after(after).disconnect_after_apply());
        scene
            .cluster()
            .inject(on_produce().after(after).error_after_apply(ErrorCode::REQUEST_TIMED_OUT));
    }
    let outcomes = scene.send(&producer, 500);
    assert!(outcomes.iter().all(Result::is_ok));
    let values = scene.values(0);
    let mut first: Vec<String> = Vec::new();
    for value in values[1..].iter() {
        if !first.contains(value) {
            first.push(value.clone());
        }
    }
    // One request in flight for each partition: later records do not overtake.
    assert!(first == numbers(500), "{first:?}");
    assert!(values.len() > 501, "some came twice");
}

#[test]
fn acks_0_does_not_retry_and_says_that_a_record_may_be_lost() {
    let scene = Scene::new(1);
    let producer = scene.producer(&[("acks", "0")]);
    scene.warm_up(&producer);
    let outcomes = scene.send(&producer, 100);
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().expect("sent").offset.is_none()));
    let all_there = || scene.cluster().log_end_offset(&scene.topic, 0) == Some(101);
    ottla_tests::wait::until_true("101 records", all_there);
    assert_eq!(producer.metrics().retries, 0);
}

#[test]
fn acks_1_without_faults_doubles_nothing() {
    let scene = Scene::new(1);
    let producer = scene.producer(&[("acks", "1")]);
    let outcomes = scene.send(&producer, 500);
    assert_exactly_once(&scene, &outcomes);
}
