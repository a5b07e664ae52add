//! Answers that are no acknowledgement: same stamps, same order, no record twice (laws L3 to L5).

use alloc::vec::Vec;

use ottla_protocol::ErrorCode;

use super::pair::{Pair, Produced};
use crate::error::{ErrorKind, Outcome};

/// A producer whose every record fills a batch, so that each `send` makes a request.
pub(super) fn pipelined(extra: &[(&str, &str)]) -> Pair {
    let mut settings = alloc::vec![("batch.size", "10")];
    settings.extend_from_slice(extra);
    Pair::introduced(&settings)
}

pub(super) fn big(n: u8) -> [u8; 40] {
    [n; 40]
}

/// The payload's marker byte of every batch sent, in order.
pub(super) fn markers(requests: &[Produced]) -> Vec<u8> {
    let marker = |bytes: &[u8]| bytes[bytes.len() - 2];
    requests.iter().flat_map(|r| r.batches.iter().map(|(_, _, bytes)| marker(bytes))).collect()
}

/// Takes requests off the wire and accepts them until no more come; gives them in order.
pub(super) fn accept_all(pair: &mut Pair) -> Vec<Produced> {
    let mut accepted = Vec::new();
    for _ in 0..100 {
        match pair.produced.pop_front() {
            Some(request) => {
                pair.accept(&request, accepted.len() as i64);
                accepted.push(request);
            }
            None if pair.told.len() < accepted.len() => panic!("an accepted batch was not told"),
            None => pair.pass(100),
        }
    }
    accepted
}

/// Laws: L4, L5. Scenarios: #23, bug-12.
#[test]
fn a_batch_in_doubt_is_answered_under_its_old_stamp_before_the_partition_takes_a_new_epoch() {
    // The second batch is refused for good, which leaves a gap behind which a new epoch is needed.
    // The first may be in the log: stamped anew it would be there twice.
    let mut pair = Pair::introduced(&[("batch.size", "10"), ("retry.backoff.ms", "1")]);
    let sent: Vec<_> = (0..3).map(|n| pair.send(0, &[n; 40])).collect();
    let requests = [pair.next(), pair.next(), pair.next()];
    pair.refuse(&requests[0], ErrorCode::REQUEST_TIMED_OUT);
    pair.refuse(&requests[1], ErrorCode::MESSAGE_TOO_LARGE);
    pair.refuse(&requests[2], ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    pair.pass(50);
    let first = pair.next();
    assert_eq!(first.stamps(), requests[0].stamps(), "the old stamp (law L4)");
    pair.accept(&first, 1);
    pair.pass(50);
    let third = pair.next();
    assert_eq!(third.stamps(), [(0, 1, 0, 1)], "a new epoch for what was refused");
    pair.accept(&third, 2);
    let told: Vec<_> = pair.told.iter().map(|told| (told.batch, told.result.is_ok())).collect();
    assert_eq!(told, [(sent[1], false), (sent[0], true), (sent[2], true)]);
}

#[test]
fn a_batch_whose_first_copy_may_be_on_its_way_is_not_stamped_anew() {
    // The first batch expires in flight and the second is never answered. Both may still be read
    // by the node: the first fills the gap, and the second's first copy fits behind it.
    let mut pair = Pair::introduced(&[
        ("batch.size", "10"),
        ("delivery.timeout.ms", "1000"),
        ("request.timeout.ms", "900"),
        ("linger.ms", "0"),
        ("retry.backoff.ms", "1"),
    ]);
    pair.send(0, &[1; 40]);
    pair.pass(500);
    let second = pair.send(0, &[2; 40]);
    let requests = [pair.next(), pair.next()];
    pair.cut(requests[0].connection);
    pair.pass(550); // the first was sent again, and is over its deadline now
    let first = pair.next();
    assert_eq!(first.stamps(), requests[0].stamps());
    pair.refuse(&first, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    let again = pair.next();
    assert_eq!(again.stamps(), requests[1].stamps());
    pair.refuse(&again, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    let told = pair.told.last().unwrap();
    assert_eq!(told.batch, second);
    assert_eq!(told.result.clone().unwrap_err().outcome, Outcome::MaybePersisted);
}

/// Laws: L4. Scenarios: #50, bug-10.
#[test]
fn a_lost_connection_sends_the_same_bytes_again_under_the_same_stamp() {
    let mut pair = pipelined(&[]);
    pair.send(0, &big(1));
    let first = pair.next();
    pair.cut(first.connection);
    pair.pass(2000);
    let again = pair.next();
    assert_eq!(again.batches, first.batches, "a frozen batch never changes (L4)");
    pair.accept(&again, 7);
    assert_eq!(pair.told[0].result.clone().unwrap().base_offset, Some(7));
}

/// Laws: L3, L4. Scenarios: #36, #37, bug-11.
#[test]
fn batches_in_flight_on_a_lost_connection_come_back_in_their_old_order() {
    let mut pair = pipelined(&[]);
    for n in 0..8 {
        pair.send(0, &big(n));
    }
    let first = pair.produced[0].connection;
    pair.cut(first);
    let sent = accept_all(&mut pair);
    assert_eq!(markers(&sent), [0, 1, 2, 3, 4, 5, 6, 7]);
    let sequences: Vec<i32> = sent.iter().map(|r| r.stamps()[0].2).collect();
    assert_eq!(sequences, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(pair.told.len(), 8);
}

/// Laws: L3, L4. Scenarios: #2.
#[test]
fn when_the_first_of_two_is_refused_for_now_both_are_sent_again_in_order_with_their_stamps() {
    let mut pair = pipelined(&[]);
    pair.send(0, &big(1));
    pair.send(0, &big(2));
    let (first, second) = (pair.next(), pair.next());
    pair.refuse(&first, ErrorCode::NOT_ENOUGH_REPLICAS);
    pair.refuse(&second, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    pair.pass(300);
    assert_eq!(pair.produced.len(), 1, "the first goes alone");
    let again = pair.next();
    assert_eq!(again.batches, first.batches);
    pair.accept(&again, 0);
    pair.pass(300);
    let again = pair.next();
    assert_eq!(again.batches, second.batches);
}

/// Laws: L4. Scenarios: #8, #15, #29, bug-13.
#[test]
fn when_the_second_is_acknowledged_first_the_first_keeps_its_old_sequence() {
    let mut pair = pipelined(&[]);
    pair.send(0, &big(1));
    pair.send(0, &big(2));
    let (first, second) = (pair.next(), pair.next());
    pair.refuse(&first, ErrorCode::REQUEST_TIMED_OUT);
    pair.accept(&second, 1);
    pair.pass(300);
    let again = pair.next();
    assert_eq!(again.stamps(), [(0, 0, 1, 1)]);
    pair.refuse(&again, ErrorCode::DUPLICATE_SEQUENCE_NUMBER);
    assert_eq!(pair.told[1].result.clone().unwrap().base_offset, None);
}

/// Laws: L5. Scenarios: #4, #5, F7.
#[test]
fn a_gap_that_the_broker_sees_and_we_do_not_starts_a_new_epoch_at_sequence_zero() {
    let mut pair = pipelined(&[]);
    pair.send(0, &big(1));
    let request = pair.next();
    pair.accept(&request, 0);
    pair.send(0, &big(2));
    let request = pair.next();
    assert_eq!(request.stamps(), [(0, 0, 2, 1)]);
    pair.refuse(&request, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    pair.pass(300);
    let again = pair.next();
    assert_eq!(again.stamps(), [(0, 1, 0, 1)]);
    pair.accept(&again, 1);
    assert!(pair.told.iter().all(|told| told.result.is_ok()));
}

/// Laws: L4, L5. Scenarios: #14, #24, bug-3, bug-5.
#[test]
fn a_new_epoch_for_one_partition_leaves_what_another_has_in_flight_alone() {
    let mut pair = pipelined(&[]);
    pair.send(0, &big(1));
    pair.send(1, &big(2));
    let (zero, one) = (pair.next(), pair.next());
    pair.refuse(&zero, ErrorCode::UNKNOWN_PRODUCER_ID);
    pair.pass(300);
    let bumped = pair.next();
    assert_eq!(bumped.stamps(), [(0, 1, 0, 1)]);
    pair.send(1, &big(3));
    assert!(pair.produced.is_empty(), "partition 1 changes its epoch when it is idle, not before");
    pair.refuse(&one, ErrorCode::NOT_ENOUGH_REPLICAS);
    pair.accept(&bumped, 0);
    pair.pass(300);
    let again = pair.next();
    assert_eq!(again.stamps(), [(1, 0, 1, 1)], "a retry keeps its old stamp (L5)");
    pair.accept(&again, 0);
    pair.pass(300);
    assert_eq!(pair.next().stamps(), [(1, 1, 0, 1)]);
}

/// Laws: L5. Scenarios: bug-20.
#[test]
fn an_epoch_that_begins_inside_a_request_is_not_given_to_a_busy_partition_of_the_same_request() {
    // Found by chance: partition 1 began a new epoch while it was stamped, and partition 0, behind
    // it in the same request, took that epoch while batches of its old one were in flight.
    let mut pair = pipelined(&[]);
    pair.send(1, &big(1));
    pair.send(0, &big(2));
    let (one, _zero) = (pair.next(), pair.next());
    pair.refuse(&one, ErrorCode::UNKNOWN_PRODUCER_ID);
    pair.now = pair.now + core::time::Duration::from_millis(200);
    pair.producer.handle_timeout(&mut pair.queues, pair.now);
    pair.append(0, &big(3));
    pair.drive();
    let stamps: Vec<_> = pair.produced.iter().flat_map(Produced::stamps).collect();
    assert_eq!(stamps, [(1, 1, 0, 1)], "partition 0 waits until it is idle");
}

/// Laws: L3, L5. Scenarios: #3, #39.
#[test]
fn behind_a_batch_that_is_refused_for_good_the_others_go_on_under_a_new_epoch() {
    let mut pair = pipelined(&[]);
    for n in 1..=3 {
        pair.send(0, &big(n));
    }
    let (first, second, third) = (pair.next(), pair.next(), pair.next());
    pair.refuse(&first, ErrorCode::MESSAGE_TOO_LARGE);
    pair.refuse(&second, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    pair.refuse(&third, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    let failure = pair.told[0].result.clone().unwrap_err();
    assert_eq!((failure.kind, failure.outcome), (ErrorKind::TooLarge, Outcome::NotPersisted));
    let sent = accept_all(&mut pair);
    assert_eq!(markers(&sent), [2, 3]);
    assert_eq!(sent[0].stamps(), [(0, 1, 0, 1)]);
    assert_eq!(sent[1].stamps(), [(0, 1, 1, 1)]);
}

#[test]
fn a_lone_batch_that_is_refused_for_good_gives_its_sequence_back() {
    let mut pair = pipelined(&[]);
    pair.send(0, &big(1));
    let request = pair.next();
    pair.refuse(&request, ErrorCode::MESSAGE_TOO_LARGE);
    pair.send(0, &big(2));
    assert_eq!(pair.next().stamps(), [(0, 0, 1, 1)]);
}

/// Laws: L1. Scenarios: T2.
#[test]
fn a_producer_id_that_is_not_accepted_any_more_is_replaced() {
    let mut pair = pipelined(&[]);
    pair.send(0, &big(1));
    let request = pair.next();
    assert_eq!(request.batches[0].1.producer_id, 1000);
    pair.refuse(&request, ErrorCode::INVALID_PRODUCER_EPOCH);
    pair.pass(300);
    let again = pair.next();
    assert_eq!(again.batches[0].1.producer_id, 1001);
    assert_eq!(again.stamps(), [(0, 0, 0, 1)]);
}

/// Laws: L1, L4. Scenarios: B-10.
#[test]
fn an_answer_that_leaves_a_partition_out_means_that_its_batch_is_sent_again() {
    let mut pair = pipelined(&[]);
    pair.send(0, &big(1));
    let request = pair.next();
    pair.answer_with(&request, &Default::default());
    assert!(pair.told.is_empty());
    pair.pass(300);
    let again = pair.next();
    assert_eq!(again.batches, request.batches);
}

/// Laws: L1. Scenarios: #49, F3.
#[test]
fn retries_are_counted_and_the_error_tells_of_them() {
    let mut pair = pipelined(&[("retries", "2")]);
    pair.send(0, &big(1));
    for _ in 0..3 {
        let request = pair.next();
        pair.refuse(&request, ErrorCode::NOT_ENOUGH_REPLICAS);
        pair.pass(1500);
    }
    assert!(pair.produced.is_empty());
    let failure = pair.told[0].result.clone().unwrap_err();
    assert_eq!((failure.kind, failure.attempts), (ErrorKind::RetriesExhausted, 3));
    assert_eq!(failure.outcome, Outcome::NotPersisted);
    let cause = failure.cause.clone().unwrap();
    assert_eq!(cause.code, Some(ErrorCode::NOT_ENOUGH_REPLICAS));
    assert_eq!(failure.broker.as_deref(), Some("1 at node1:9092"));
}

/// Laws: L1. Scenarios: F4, bug-21.
#[test]
fn one_attempt_without_a_verdict_makes_the_outcome_maybe_whatever_came_later() {
    let mut pair = pipelined(&[("retries", "1")]);
    pair.send(0, &big(1));
    let request = pair.next();
    pair.refuse(&request, ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND);
    pair.pass(300);
    let request = pair.next();
    pair.refuse(&request, ErrorCode::NOT_ENOUGH_REPLICAS);
    assert_eq!(pair.told[0].result.clone().unwrap_err().outcome, Outcome::MaybePersisted);
}

/// Laws: L9. Scenarios: #95.
#[test]
fn a_broker_that_asks_for_silence_gets_it_and_loses_nothing() {
    let mut pair = pipelined(&[]);
    pair.send(0, &big(1));
    let request = pair.next();
    let body = ottla_protocol::messages::produce::ProduceResponse {
        throttle_time_ms: 400,
        ..Default::default()
    };
    pair.answer_with(&request, &body);
    pair.send(1, &big(2));
    pair.pass(399);
    assert!(pair.produced.is_empty());
    pair.pass(1);
    assert_eq!(pair.produced.len(), 1);
}

#[test]
fn a_broker_that_has_never_heard_of_the_producer_gets_one_batch_first() {
    // A broker takes any sequence number from a producer that is new to it. Had the first batch
    // been refused for now and the second accepted, the two would stand in the wrong order.
    let mut pair = Pair::ready(&[("batch.size", "10")]);
    pair.send(0, &big(1));
    pair.send(0, &big(2));
    pair.send(0, &big(3));
    assert_eq!(pair.produced.len(), 1);
    let request = pair.next();
    pair.accept(&request, 0);
    assert_eq!(pair.produced.len(), 2);
}

/// Laws: L3, L4. Scenarios: #27, #30.
#[test]
fn nothing_is_sent_behind_a_retry_so_that_the_broker_still_recognizes_it() {
    // A broker remembers five batches. New ones behind a retry that stays in doubt would push it
    // out of that memory, and the next retry would be written a second time.
    let mut pair = pipelined(&[]);
    for n in 1..=6 {
        pair.send(0, &big(n));
    }
    let first = pair.next();
    pair.refuse(&first, ErrorCode::REQUEST_TIMED_OUT);
    for offset in 2..=5 {
        let request = pair.next();
        pair.accept(&request, offset);
    }
    pair.pass(300);
    let again = pair.next();
    assert_eq!(again.batches, first.batches);
    pair.pass(1000);
    assert!(pair.produced.is_empty());
    pair.accept(&again, 1);
    assert_eq!(markers(pair.produced.make_contiguous()), [6]);
}

/// Laws: L3. Scenarios: #21, T6.
#[test]
fn the_sequence_wraps_from_the_largest_number_to_zero() {
    type Batch = crate::accumulator::Batch<super::host::TestHost>;
    assert_eq!(Batch::next_sequence(i32::MAX, 1), 0);
    assert_eq!(Batch::next_sequence(i32::MAX - 1, 3), 1);
    assert_eq!(Batch::next_sequence(5, 3), 8);
}

/// Laws: L9. Scenarios: #87, F14.
#[test]
fn without_permission_for_idempotence_records_fail_at_once_and_say_what_to_change() {
    let mut pair = Pair::ready(&[("batch.size", "10")]);
    pair.identity_error = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
    pair.send(0, &big(1));
    let failure = pair.told[0].result.clone().unwrap_err();
    assert_eq!(failure.kind, ErrorKind::Unauthorized);
    assert!(failure.message.contains("enable.idempotence=false"), "{}", failure.message);
    // When the permission is granted, the producer goes on without a restart.
    pair.identity_error = ErrorCode::NONE;
    pair.send(0, &big(2));
    pair.pass(2000);
    assert_eq!(markers(pair.produced.make_contiguous()), [2]);
}

#[test]
fn a_broker_that_gives_out_no_producer_ids_is_said_to_be_the_reason_and_costs_no_rush() {
    let mut pair = Pair::new(&[("batch.size", "10")]);
    pair.without = Some(ottla_protocol::ApiKey::INIT_PRODUCER_ID);
    pair.producer.want_topic(super::pair::TOPIC);
    pair.drive();
    pair.send(0, &big(1));
    pair.pass(1000);
    let failure = pair.told[0].result.clone().unwrap_err();
    assert_eq!(failure.kind, ErrorKind::Unsupported);
    assert!(failure.message.contains("enable.idempotence=false"), "{}", failure.message);
}

/// Laws: L4. Scenarios: T2.
#[test]
fn under_a_new_producer_id_nothing_is_sent_again_that_may_be_in_the_log() {
    let mut pair = pipelined(&[]);
    pair.send(0, &big(1));
    let request = pair.next();
    pair.refuse(&request, ErrorCode::REQUEST_TIMED_OUT);
    pair.pass(300);
    let again = pair.next();
    pair.refuse(&again, ErrorCode::INVALID_PRODUCER_EPOCH);
    assert_eq!(pair.told[0].result.clone().unwrap_err().outcome, Outcome::MaybePersisted);
    pair.pass(5000);
    assert!(pair.produced.is_empty());
}

/// A broker that forgot the producer takes any sequence number: the second batch would be accepted
/// where the first is refused, and the first could only come behind it.
/// Laws: L3. Scenarios: #34, T3.
#[test]
fn after_a_long_silence_one_batch_goes_alone_before_others_follow() {
    let mut pair = pipelined(&[("retry.backoff.ms", "1")]);
    pair.send(0, &big(1));
    let first = pair.next();
    pair.accept(&first, 1);
    pair.pass(59_000);
    for n in 2..=3 {
        pair.send(0, &big(n));
    }
    let lively = [pair.next(), pair.next()];
    lively.iter().for_each(|request| pair.accept(request, 2));
    pair.pass(61_000);
    for n in 4..=5 {
        pair.send(0, &big(n));
    }
    let alone = pair.next();
    assert_eq!(markers(core::slice::from_ref(&alone)), [4]);
    assert!(pair.produced.is_empty(), "the next waits for it");
    pair.refuse(&alone, ErrorCode::NOT_ENOUGH_REPLICAS);
    pair.pass(5);
    let again = pair.next();
    assert_eq!(again.stamps(), alone.stamps());
    pair.accept(&again, 4);
    assert_eq!(markers(&[pair.next()]), [5]);
}
