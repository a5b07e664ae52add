//! Retries: whatever happens to requests and answers, an idempotent producer's records are in the
//! log exactly once and in order (laws L1 to L5).

use std::time::Duration;

use ottla::Producer;
use ottla_broker::{ApiKey, ErrorCode, Fault};
use ottla_tests::wait::PATIENCE;
use ottla_tests::{Rng, run};

use super::{Scene, assert_exactly_once, numbers, on_produce};

/// A lost answer is noticed soon.
const IMPATIENT: (&str, &str) = ("request.timeout.ms", "300");

/// Sends 500 records in many batches, up to five under way, while these faults happen.
fn survives(faults: &[Fault]) -> Producer {
    let scene = Scene::new(1);
    let producer = scene.producer(&[IMPATIENT]);
    scene.warm_up(&producer);
    let before = producer.metrics();
    faults.iter().for_each(|fault| scene.cluster().inject(fault.clone()));
    let outcomes = scene.send(&producer, 500);
    assert_eq!(scene.cluster().pending_faults(), 0, "the faults happened");
    assert_exactly_once(&scene, &outcomes);
    let metrics = producer.metrics();
    assert_eq!((metrics.records_delivered, metrics.records_failed), (501, 0));
    assert!(metrics.retries > before.retries);
    producer
}

/// Laws: L1, L3. Scenarios: #62.
#[test]
fn a_leader_that_is_not_is_asked_again() {
    survives(&[on_produce().times(3).error(ErrorCode::NOT_LEADER_OR_FOLLOWER)]);
}

/// Laws: L1, L3. Scenarios: F3, #84.
#[test]
fn too_few_replicas_are_waited_for() {
    survives(&[on_produce().times(4).error(ErrorCode::NOT_ENOUGH_REPLICAS)]);
}

/// Laws: L4. Scenarios: #30, #32, F4.
#[test]
fn too_few_replicas_after_the_append_do_not_make_duplicates() {
    let code = ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND;
    survives(&[on_produce().after(1).times(3).error_after_apply(code)]);
}

#[test]
fn a_time_out_on_the_broker_before_the_append_loses_nothing() {
    survives(&[on_produce().after(1).times(3).error(ErrorCode::REQUEST_TIMED_OUT)]);
}

/// Laws: L4. Scenarios: #32, F4, bug-21.
#[test]
fn a_time_out_on_the_broker_after_the_append_doubles_nothing() {
    survives(&[on_produce().after(1).times(3).error_after_apply(ErrorCode::REQUEST_TIMED_OUT)]);
}

/// Laws: L3, L4. Scenarios: bug-12, F4.
#[test]
fn an_unknown_error_loses_and_doubles_nothing_with_more_in_flight() {
    let code = ErrorCode::UNKNOWN_SERVER_ERROR;
    survives(&[on_produce().error(code), on_produce().after(3).error_after_apply(code)]);
}

/// Laws: L4. Scenarios: B-6.
#[test]
fn an_error_code_that_nobody_knows_loses_and_doubles_nothing() {
    let code = ErrorCode(1234);
    survives(&[on_produce().error(code), on_produce().after(2).error_after_apply(code)]);
}

/// Laws: L1, L3. Scenarios: #52, F1.
#[test]
fn a_disk_error_is_retried() {
    survives(&[on_produce().times(3).error(ErrorCode::KAFKA_STORAGE_ERROR)]);
}

/// Laws: L1, L3. Scenarios: #51.
#[test]
fn a_batch_that_was_damaged_on_the_way_is_sent_again() {
    survives(&[on_produce().times(2).error(ErrorCode::CORRUPT_MESSAGE)]);
}

/// Laws: L8. Scenarios: F8.
#[test]
fn a_topic_that_is_unknown_for_a_while_is_no_reason_to_give_up() {
    survives(&[on_produce().times(3).error(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)]);
}

/// Laws: L1. Scenarios: #50, A7.
#[test]
fn a_connection_that_breaks_before_the_append_loses_nothing() {
    survives(&[on_produce().after(2).disconnect(), on_produce().after(4).disconnect()]);
}

/// Laws: L4. Scenarios: #50, E5.
#[test]
fn a_connection_that_breaks_after_the_append_doubles_nothing() {
    survives(&[
        on_produce().after(2).disconnect_after_apply(),
        on_produce().after(4).disconnect_after_apply(),
    ]);
}

/// Laws: L4, L9. Scenarios: A11, E5, #49.
#[test]
fn an_answer_that_never_comes_doubles_nothing() {
    survives(&[on_produce().after(2).drop_response()]);
}

/// Laws: L4, L9. Scenarios: E10.
#[test]
fn a_request_that_is_never_heard_loses_nothing() {
    survives(&[on_produce().after(2).drop_request()]);
}

/// Laws: L1. Scenarios: #15.
#[test]
fn a_batch_that_the_broker_calls_a_duplicate_is_delivered() {
    let scene = Scene::new(1);
    let producer = scene.producer(&[]);
    scene.warm_up(&producer);
    let code = ErrorCode::DUPLICATE_SEQUENCE_NUMBER;
    scene.cluster().inject(on_produce().error_after_apply(code));
    let outcomes = scene.send(&producer, 1);
    // Where the first one is, such an answer does not say.
    assert!(outcomes[0].is_ok(), "{outcomes:?}");
    assert_eq!(scene.values(0), ["warm", "0"]);
}

/// Laws: L5. Scenarios: #34, T3, T4.
#[test]
fn a_producer_that_the_broker_has_forgotten_goes_on_under_a_new_epoch() {
    for code in [ErrorCode::UNKNOWN_PRODUCER_ID, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER] {
        survives(&[on_produce().error(code)]);
    }
}

/// Laws: L1. Scenarios: T2.
#[test]
fn a_producer_id_that_is_worth_nothing_any_more_is_replaced() {
    for code in [ErrorCode::INVALID_PRODUCER_EPOCH, ErrorCode::INVALID_PRODUCER_ID_MAPPING] {
        survives(&[on_produce().error(code)]);
    }
}

/// Laws: L1, L8. Scenarios: #55, #66.
#[test]
fn faults_before_the_first_record_only_delay_it() {
    let scene = Scene::new(1);
    for fault in [
        Fault::on(ApiKey::API_VERSIONS).disconnect(),
        Fault::on(ApiKey::METADATA).disconnect(),
        Fault::on(ApiKey::METADATA).times(2).error(ErrorCode::LEADER_NOT_AVAILABLE),
        Fault::on(ApiKey::METADATA).error(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        Fault::on(ApiKey::METADATA).after(4).drop_request(),
        Fault::on(ApiKey::INIT_PRODUCER_ID).error(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS),
        Fault::on(ApiKey::INIT_PRODUCER_ID).disconnect(),
        Fault::on(ApiKey::INIT_PRODUCER_ID).drop_response(),
    ] {
        scene.cluster().inject(fault);
    }
    let producer = scene.producer(&[IMPATIENT, ("reconnect.backoff.ms", "1")]);
    let outcomes = scene.send(&producer, 100);
    assert_exactly_once(&scene, &outcomes);
}

/// Laws: L9. Scenarios: E6.
#[test]
fn a_slow_broker_is_waited_for() {
    let scene = Scene::new(1);
    let producer = scene.producer(&[]);
    scene.cluster().inject(on_produce().times(5).delay(Duration::from_millis(40)));
    let outcomes = scene.send(&producer, 300);
    assert_exactly_once(&scene, &outcomes);
    assert_eq!(producer.metrics().retries, 0);
}

/// Laws: L9. Scenarios: #95, F15.
#[test]
fn a_broker_that_asks_for_silence_gets_it_and_then_the_records() {
    let scene = Scene::new(1);
    let producer = scene.producer(&[]);
    scene.warm_up(&producer);
    scene.cluster().inject(on_produce().throttle(Duration::from_millis(80)));
    let outcomes = scene.send(&producer, 300);
    assert_exactly_once(&scene, &outcomes);
    assert_eq!((producer.metrics().throttles, producer.metrics().retries), (1, 0));
}

/// Laws: L9. Scenarios: #83.
#[test]
fn one_partition_in_trouble_does_not_hold_up_the_others() {
    let scene = Scene::new(2);
    let producer = scene.producer(&[]);
    scene.warm_up(&producer);
    let trouble = on_produce().topic(&scene.topic).partition(0).always();
    scene.cluster().inject(trouble.error(ErrorCode::NOT_ENOUGH_REPLICAS));
    run(async {
        let stuck = producer.send(scene.record("0")).await.expect("accepted");
        for n in 0..50 {
            let value = n.to_string();
            let free = producer.send(scene.record(&value).partition(1)).await.expect("accepted");
            free.await.expect("delivered");
        }
        assert!(stuck.try_outcome().is_none());
        scene.cluster().clear_faults();
        stuck.await.expect("delivered");
    });
    assert_eq!(scene.values(1), numbers(50));
    assert_eq!(scene.values(0), ["warm", "0"]);
}

/// Faults of every kind, drawn by lot.
fn any_fault(rng: &mut Rng) -> Fault {
    let codes = [
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ErrorCode::REQUEST_TIMED_OUT,
        ErrorCode::NOT_ENOUGH_REPLICAS,
        ErrorCode::UNKNOWN_SERVER_ERROR,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode::KAFKA_STORAGE_ERROR,
    ];
    let after = [
        ErrorCode::REQUEST_TIMED_OUT,
        ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        ErrorCode::UNKNOWN_SERVER_ERROR,
    ];
    let fault = match rng.below(4) {
        0 => on_produce(),
        _ => on_produce().partition(rng.below(3) as i32),
    };
    let fault = fault.after(rng.below(4) as u32);
    match rng.below(12) {
        0..=3 => fault.error(codes[rng.below(codes.len())]),
        4..=6 => fault.error_after_apply(after[rng.below(after.len())]),
        7 => fault.disconnect(),
        8 => fault.disconnect_after_apply(),
        9 => fault.drop_request(),
        10 => fault.drop_response(),
        _ => fault.delay(Duration::from_millis(rng.below(20) as u64)),
    }
}

/// Laws: L1, L2, L3, L4. Scenarios: bug-14, bug-38.
#[test]
fn any_mixture_of_faults_leaves_every_record_in_the_log_once_and_in_order() {
    let mut rng = Rng::seeded(15);
    for round in 0..12 {
        let scene = Scene::new(3);
        let settings = [("request.timeout.ms", "100"), ("reconnect.backoff.ms", "1")];
        let producer = scene.producer(&settings);
        let values = numbers(600);
        run(async {
            let mut deliveries = Vec::new();
            for (n, value) in values.iter().enumerate() {
                if n % 60 == 0 {
                    scene.cluster().inject(any_fault(&mut rng));
                }
                let record = scene.record(value).partition((n % 3) as i32);
                deliveries.push(producer.send(record).await.expect("accepted"));
            }
            producer.flush(PATIENCE).await.expect("flushed");
            for delivery in deliveries {
                delivery.await.expect("delivered");
            }
        });
        let seen = scene.engine.read(&scene.topic);
        for partition in 0..3 {
            let own: Vec<&String> = values.iter().skip(partition).step_by(3).collect();
            let found = ottla_tests::record::values(&seen, partition as i32);
            assert!(found.iter().eq(own), "round {round}, partition {partition}: {found:?}");
        }
    }
}
