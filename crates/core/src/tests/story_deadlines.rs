//! Batches that run out of time on their way, what their answers still mean, and waits.

use alloc::vec::Vec;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::produce::{
    PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};

use super::pair::{Pair, Produced};
use super::story_retries::{accept_all, big, markers, pipelined};
use crate::error::{ErrorKind, Outcome};
use crate::time::Instant;

/// Records live for a second, and a request may take nearly as long.
const A_SECOND: [(&str, &str); 4] = [
    ("batch.size", "10"),
    ("delivery.timeout.ms", "1000"),
    ("request.timeout.ms", "990"),
    ("linger.ms", "0"),
];

/// The leader of partitions 0 and 1 takes a batch of the latter and asks for so much silence.
fn silenced(pair: &mut Pair, millis: i32) {
    pair.send(1, &big(0));
    let request = pair.next();
    let part = PartitionProduceResponse {
        index: 1,
        base_offset: 1,
        ..PartitionProduceResponse::default()
    };
    let topic = TopicProduceResponse {
        topic_id: request.topic.1,
        partition_responses: [part].to_vec(),
        ..TopicProduceResponse::default()
    };
    let body = ProduceResponse {
        responses: [topic].to_vec(),
        throttle_time_ms: millis,
        ..Default::default()
    };
    pair.answer_with(&request, &body);
    assert_eq!(core::mem::take(&mut pair.told).len(), 1);
}

/// So many batches that were sent late expire under way, 600 ms later. Another one, sent behind
/// them, has 500 ms left. Gives the requests.
fn expired_under_way(settings: &[(&str, &str)], count: u8) -> (Pair, Vec<Produced>) {
    let mut pair = pipelined(&[&A_SECOND[..], settings].concat());
    silenced(&mut pair, 400);
    for n in 1..=count {
        pair.send(0, &big(n));
    }
    pair.pass(500);
    pair.send(0, &big(count + 1));
    pair.pass(500);
    let told: Vec<_> =
        pair.told.iter().map(|told| told.result.clone().unwrap_err().outcome).collect();
    assert_eq!(told, [Outcome::MaybePersisted].repeat(usize::from(count)));
    pair.told.clear();
    let requests: Vec<_> = pair.produced.drain(..).collect();
    (pair, requests)
}

/// Laws: L1, L5. Scenarios: #9.
#[test]
fn a_batch_that_expires_before_it_was_sent_leaves_no_trace_in_the_sequence() {
    let mut pair = pipelined(&A_SECOND);
    silenced(&mut pair, 2000);
    pair.send(0, &big(1));
    pair.pass(1500);
    let failure = pair.told[0].result.clone().unwrap_err();
    assert_eq!((failure.outcome, failure.attempts), (Outcome::NotPersisted, 0));
    pair.send(0, &big(2));
    pair.pass(500);
    assert_eq!(pair.next().stamps(), [(0, 0, 1, 1)]);
}

/// Laws: L3, L5. Scenarios: #10, #22.
#[test]
fn when_the_batch_behind_expired_ones_is_in_the_log_they_are_as_well_and_the_epoch_stays() {
    for count in [1, 2] {
        let (mut pair, requests) = expired_under_way(&[], count);
        pair.send(0, &big(9));
        assert!(pair.produced.is_empty(), "nothing goes before the question is settled");
        let (last, expired) = requests.split_last().unwrap();
        for request in expired {
            pair.refuse(request, ErrorCode::REQUEST_TIMED_OUT);
        }
        assert!(pair.told.is_empty() && pair.produced.is_empty());
        pair.accept(last, 5);
        assert_eq!(pair.told.len(), 1);
        assert_eq!(pair.next().stamps(), [(0, 0, i32::from(count) + 2, 1)]);
    }
}

/// Laws: L4, L5. Scenarios: #11.
#[test]
fn when_the_batch_behind_an_expired_one_is_out_of_order_it_goes_under_a_new_epoch() {
    let (mut pair, requests) = expired_under_way(&[], 1);
    pair.refuse(&requests[0], ErrorCode::NOT_ENOUGH_REPLICAS);
    pair.refuse(&requests[1], ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    let sent = accept_all(&mut pair);
    assert_eq!((markers(&sent), sent[0].stamps()), ([2].to_vec(), [(0, 1, 0, 1)].to_vec()));
    assert!(pair.told[0].result.is_ok());
}

/// Laws: L5. Scenarios: #23.
#[test]
fn when_the_batch_behind_expired_ones_is_refused_for_good_the_next_begins_a_new_epoch() {
    let (mut pair, requests) = expired_under_way(&[], 2);
    for request in &requests {
        pair.refuse(request, ErrorCode::INVALID_RECORD);
    }
    pair.send(0, &big(9));
    assert_eq!(pair.next().stamps(), [(0, 1, 0, 1)]);
}

/// Laws: L1. Scenarios: #44, #53.
#[test]
fn a_batch_that_expired_is_not_sent_again_whatever_its_late_answer_says() {
    for code in [
        ErrorCode::NOT_ENOUGH_REPLICAS,
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ErrorCode::MESSAGE_TOO_LARGE,
        ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
    ] {
        let (mut pair, requests) = expired_under_way(&[], 1);
        pair.refuse(&requests[0], code);
        pair.accept(&requests[1], 1);
        pair.pass(5000);
        assert!(pair.produced.is_empty() && pair.told.len() == 1, "{code:?}");
    }
}

/// Laws: L1. Scenarios: #42.
#[test]
fn an_answer_at_the_very_deadline_counts_if_it_is_read_first_and_is_told_once_if_not() {
    for answer_first in [true, false] {
        let mut pair = pipelined(&A_SECOND);
        silenced(&mut pair, 400);
        pair.send(0, &big(1));
        pair.pass(999);
        pair.now = pair.now + core::time::Duration::from_millis(1);
        let request = pair.next();
        if answer_first {
            pair.accept(&request, 1);
        }
        pair.producer.handle_timeout(&mut pair.queues, pair.now);
        pair.drive();
        if !answer_first {
            pair.accept(&request, 1);
        }
        let told: Vec<_> = pair.told.iter().map(|told| told.result.is_ok()).collect();
        assert_eq!(told, [answer_first]);
    }
}

/// Laws: L3. Scenarios: #43.
#[test]
fn without_idempotence_the_next_batch_waits_for_the_first_or_follows_it_on_its_connection() {
    let mut pair = pipelined(&[&A_SECOND[..], &[("acks", "1")]].concat());
    silenced(&mut pair, 400);
    pair.send(0, &big(1));
    pair.pass(500);
    pair.send(0, &big(2));
    let first = pair.next();
    assert!(pair.produced.is_empty(), "one at a time");
    pair.pass(500);
    assert_eq!(pair.told.len(), 1);
    let second = pair.next();
    assert_eq!(
        (markers(core::slice::from_ref(&second)), second.connection),
        ([2].to_vec(), first.connection)
    );
}

/// Laws: L1. Scenarios: #53.
#[test]
fn a_broker_too_slow_for_the_deadline_fails_every_record_once_by_whether_it_was_sent() {
    let mut pair = pipelined(&A_SECOND);
    let sent: Vec<_> = (0..10).map(|n| pair.send(0, &big(n))).collect();
    pair.pass(20_000);
    let mut told: Vec<_> =
        pair.told.iter().map(|t| (t.batch, t.result.clone().unwrap_err())).collect();
    told.sort_by_key(|(batch, _)| *batch);
    assert_eq!(told.iter().map(|(batch, _)| *batch).collect::<Vec<_>>(), sent);
    for (n, (_, failure)) in told.iter().enumerate() {
        let outcome = if n < 5 { Outcome::MaybePersisted } else { Outcome::NotPersisted };
        assert_eq!((failure.kind, failure.outcome), (ErrorKind::Timeout, outcome), "record {n}");
    }
}

/// Laws: L9. Scenarios: #46, bug-46.
#[test]
fn after_a_record_has_expired_the_producer_sleeps() {
    let mut pair = pipelined(&[&A_SECOND[..], &[("connections.max.idle.ms", "0")]].concat());
    silenced(&mut pair, 400);
    pair.send(0, &big(1));
    pair.pass(5000);
    assert_eq!(pair.told.len(), 1);
    let begin = pair.now;
    let mut wakes = 0;
    while pair.now < begin + core::time::Duration::from_secs(600) {
        pair.now = pair.producer.poll_timeout(pair.now).unwrap().max(pair.now);
        pair.producer.handle_timeout(&mut pair.queues, pair.now);
        pair.drive();
        wakes += 1;
    }
    // The metadata grows old every five minutes.
    assert!(wakes <= 5, "{wakes} wakes in ten minutes");
}

/// Laws: L9. Scenarios: #47, #48.
#[test]
fn an_error_that_passes_is_waited_out_and_a_new_leader_is_not() {
    let mut pair = pipelined(&[("retry.backoff.ms", "1000"), ("metadata.max.age.ms", "300")]);
    pair.send(0, &big(1));
    let request = pair.next();
    pair.refuse(&request, ErrorCode::NOT_ENOUGH_REPLICAS);
    pair.pass(799);
    assert!(pair.produced.is_empty(), "the wait, less a fifth");
    pair.pass(401);
    let request = pair.next();
    pair.refuse(&request, ErrorCode::NOT_ENOUGH_REPLICAS);
    pair.leaders[0] = 3;
    pair.leader_epoch = 2;
    pair.pass(1200); // until metadata is asked for again; the second wait would be 1,600 ms
    let request = pair.next();
    assert_eq!(request.node, 3);
}

/// Laws: L3, L9. Scenarios: F5, #83.
#[test]
fn a_partition_without_a_leader_keeps_its_records_and_the_others_go_on() {
    let mut pair =
        pipelined(&[("delivery.timeout.ms", "1200000"), ("metadata.max.age.ms", "1000")]);
    pair.leaders[0] = -1;
    pair.leader_epoch = 2;
    pair.pass(1500);
    for n in 1..=3 {
        pair.send(0, &big(n));
    }
    for n in 0..10 {
        pair.send(1, &big(100 + n));
        let request = pair.next();
        pair.accept(&request, i64::from(n) + 1);
        pair.pass(60_000);
    }
    assert_eq!(pair.told.len(), 10);
    pair.leaders[0] = 2;
    pair.leader_epoch = 3;
    pair.told.clear();
    assert_eq!(markers(&accept_all(&mut pair)), [1, 2, 3]);
}

/// Laws: L9. Scenarios: B-14.
#[test]
fn a_silence_that_no_broker_means_is_cut_short_and_does_not_outlast_a_deadline() {
    let mut pair = pipelined(&[("delivery.timeout.ms", "20000"), ("request.timeout.ms", "9000")]);
    silenced(&mut pair, i32::MAX);
    let lost = pair.send(0, &big(1));
    pair.pass(20_000);
    assert_eq!(pair.told[0].batch, lost);
    assert_eq!(pair.told[0].result.clone().unwrap_err().outcome, Outcome::NotPersisted);
    pair.pass(40_000);
    pair.send(0, &big(2));
    assert_eq!(pair.produced.len(), 1, "a minute at most");
    let request = pair.next();
    let body = ProduceResponse { throttle_time_ms: -5, ..Default::default() };
    pair.answer_with(&request, &body);
    pair.pass(1000);
    assert_eq!(pair.produced.len(), 1, "and none of less than nothing");
}

/// Laws: L9. Scenarios: A9, #83.
#[test]
fn an_answer_that_trickles_in_is_late_all_the_same_and_holds_up_no_other_broker() {
    let mut pair = pipelined(&[("request.timeout.ms", "5000")]);
    pair.send(0, &big(1));
    let slow = pair.next();
    for (n, byte) in (0..).zip([0, 0, 0, 60]) {
        pair.pass(1000);
        pair.producer.handle_bytes(slow.connection, &[byte], &mut pair.queues, pair.now);
        pair.send(2, &big(n));
        let request = pair.next();
        assert_eq!(request.node, 2);
        pair.accept(&request, i64::from(n));
    }
    assert!(!pair.closed.contains(&slow.connection));
    pair.pass(1000);
    assert!(pair.closed.contains(&slow.connection));
}

/// Laws: L9. Scenarios: E6.
#[test]
fn a_long_way_to_the_brokers_causes_no_retry() {
    let mut pair = pipelined(&[("request.timeout.ms", "300")]);
    let mut due: alloc::collections::VecDeque<(Instant, Produced)> = Default::default();
    for n in 0..400_u32 {
        pair.send(0, &big((n % 200) as u8));
        while let Some(request) = pair.produced.pop_front() {
            let jitter = core::time::Duration::from_millis(100 + u64::from(n * 7 % 100));
            let after = due.back().map_or(pair.now, |(at, _)| *at);
            due.push_back(((pair.now + jitter).max(after), request));
        }
        pair.pass(10);
        while due.front().is_some_and(|(at, _)| *at <= pair.now) {
            let (_, request) = due.pop_front().unwrap();
            pair.accept(&request, 0);
        }
    }
    assert!(pair.told.len() > 50 && pair.told.iter().all(|told| told.result.is_ok()));
    assert_eq!(pair.producer.stats().retries, 0);
}
