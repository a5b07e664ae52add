//! The ordinary way: from append to acknowledgement.

use alloc::vec::Vec;

use super::pair::{Pair, Told};
use crate::error::{ErrorKind, Outcome};
use crate::output::{Acknowledged, Purge};
use crate::time::Instant;

fn failed(told: &Told) -> (usize, (ErrorKind, Outcome)) {
    let failure = told.result.as_ref().unwrap_err();
    (told.batch, (failure.kind, failure.outcome))
}

fn at(base_offset: i64) -> Acknowledged {
    Acknowledged { base_offset: Some(base_offset), log_append_time_ms: None }
}

#[test]
fn a_first_record_finds_its_leader_and_is_delivered_at_the_offset_the_broker_says() {
    let mut pair = Pair::ready(&[]);
    let batch = pair.send(2, b"hello");
    let request = pair.next();
    assert_eq!((request.node, request.version), (2, 13));
    assert_eq!(request.stamps(), [(2, 0, 0, 1)]);
    pair.accept(&request, 41);
    assert_eq!(pair.told.len(), 1);
    assert_eq!((pair.told[0].batch, pair.told[0].records.clone()), (batch, 0..1));
    assert_eq!(pair.told[0].result, Ok(at(41)));
}

#[test]
fn a_record_leaves_at_once_while_its_broker_is_idle_and_lingers_while_it_is_busy() {
    let mut pair = Pair::ready(&[("linger.ms", "50")]);
    pair.send(0, b"first");
    assert_eq!(pair.produced.len(), 1);
    pair.send(1, b"second");
    pair.send(1, b"third");
    assert_eq!(pair.produced.len(), 1, "the broker owes an answer: the batch stays open");
    pair.pass(50);
    assert_eq!(pair.produced.len(), 2, "but not for longer than linger.ms");
    assert_eq!(pair.produced[1].stamps(), [(1, 0, 0, 2)]);
}

#[test]
fn an_answer_lets_the_waiting_batch_go_before_its_linger_is_over() {
    let mut pair = Pair::ready(&[("linger.ms", "1000")]);
    pair.send(0, b"first");
    pair.send(1, b"second");
    let request = pair.next();
    pair.accept(&request, 0);
    assert_eq!(pair.next().stamps(), [(1, 0, 0, 1)]);
}

#[test]
fn an_idle_broker_is_not_showered_what_comes_right_after_a_request_leaves_together() {
    let mut pair = Pair::introduced(&[("linger.ms", "50"), ("linger.adaptive.gap.ms", "2")]);
    pair.pass(2);
    pair.send(0, b"goes at once: the last request is a moment ago");
    let request = pair.next();
    pair.accept(&request, 1);
    pair.send(0, b"waits");
    pair.pass(1);
    pair.send(1, b"waits with it");
    assert!(pair.produced.is_empty(), "the gap is not over");
    pair.pass(1);
    assert_eq!(pair.next().stamps(), [(0, 0, 2, 1), (1, 0, 1, 1)]);
}

#[test]
fn who_sends_only_after_the_last_answer_does_not_wait_for_company_that_never_comes() {
    let mut pair = Pair::introduced(&[("linger.ms", "50"), ("linger.adaptive.gap.ms", "2")]);
    let mut waits = 0;
    for n in 1..=70 {
        pair.send(0, b"one at a time");
        if pair.produced.is_empty() {
            waits += 1;
            pair.pass(2);
        }
        let request = pair.next();
        pair.accept(&request, n);
    }
    assert_eq!(waits, 5, "three to learn it, and one now and then to see whether it is still so");
    // Company comes: from then on waiting is worth while again.
    pair.append(0, b"a");
    pair.send(0, b"b");
    let request = pair.next();
    pair.accept(&request, 71);
    pair.send(0, b"c");
    assert!(pair.produced.is_empty());
}

#[test]
fn a_full_batch_does_not_wait_for_the_gap() {
    let settings = [("linger.ms", "500"), ("linger.adaptive.gap.ms", "100"), ("batch.size", "50")];
    let mut pair = Pair::introduced(&settings);
    pair.send(0, &[1; 40]);
    assert!(pair.produced.is_empty());
    pair.send(0, &[2; 40]);
    assert_eq!(pair.next().stamps(), [(0, 0, 1, 1)]);
}

#[test]
fn a_linger_that_is_over_does_not_wait_for_the_gap() {
    let mut pair = Pair::introduced(&[("linger.ms", "3"), ("linger.adaptive.gap.ms", "100")]);
    pair.send(0, b"x");
    pair.pass(2);
    assert!(pair.produced.is_empty());
    pair.pass(1);
    assert_eq!(pair.produced.len(), 1);
}

#[test]
fn a_fixed_linger_waits_even_while_the_broker_is_idle() {
    let mut pair = Pair::ready(&[("linger.ms", "20"), ("linger.adaptive", "false")]);
    pair.send(0, b"x");
    assert!(pair.produced.is_empty());
    pair.pass(19);
    assert!(pair.produced.is_empty());
    pair.pass(1);
    assert_eq!(pair.produced.len(), 1);
}

/// Laws: L3. Scenarios: #1.
#[test]
fn a_full_batch_leaves_at_once_and_sequences_go_on_without_a_gap() {
    let mut pair = Pair::introduced(&[("batch.size", "100"), ("linger.ms", "1000")]);
    for _ in 0..6 {
        pair.send(0, &[7; 40]);
    }
    let stamps: Vec<_> = pair.produced.iter().flat_map(|request| request.stamps()).collect();
    assert_eq!(stamps, [(0, 0, 1, 1), (0, 0, 2, 2), (0, 0, 4, 2)]);
    for offset in [1, 2, 4] {
        let request = pair.next();
        pair.accept(&request, offset);
    }
    let request = pair.next();
    assert_eq!(request.stamps(), [(0, 0, 6, 1)]);
    pair.accept(&request, 6);
    let offsets: Vec<_> = pair.told.iter().map(|told| told.result.clone().unwrap()).collect();
    assert_eq!(offsets, [at(1), at(2), at(4), at(6)]);
}

#[test]
fn partitions_of_one_leader_share_a_request_and_those_of_another_do_not() {
    let mut pair = Pair::ready(&[("linger.adaptive", "false")]);
    for partition in 0..3 {
        pair.append(partition, b"x");
    }
    pair.pass(5);
    assert_eq!(pair.produced.len(), 2);
    let one = pair.produced.iter().find(|request| request.node == 1).unwrap();
    assert_eq!(one.stamps(), [(0, 0, 0, 1), (1, 0, 0, 1)]);
}

#[test]
fn a_request_takes_no_more_batches_than_max_request_size() {
    let settings = [("max.request.size", "1000"), ("linger.adaptive", "false")];
    let mut pair = Pair::ready(&settings);
    pair.append(0, &[1; 600]);
    pair.append(1, &[2; 600]);
    pair.pass(5);
    assert_eq!(pair.produced.iter().filter(|request| request.node == 1).count(), 2);
}

#[test]
fn no_more_than_five_batches_of_a_partition_are_in_flight_with_idempotence_and_one_without() {
    for (settings, window) in
        [(&[("batch.size", "10")][..], 5), (&[("batch.size", "10"), ("acks", "1")], 1)]
    {
        let mut pair = Pair::introduced(settings);
        for _ in 0..8 {
            pair.send(0, &[0; 64]);
        }
        assert_eq!(pair.produced.len(), window);
        let request = pair.next();
        pair.accept(&request, 0);
        assert_eq!(pair.produced.len(), window);
    }
}

#[test]
fn without_acknowledgements_a_record_is_done_once_it_is_written() {
    let mut pair = Pair::ready(&[("acks", "0")]);
    pair.send(0, b"gone");
    let request = pair.next();
    assert!(pair.told.is_empty());
    pair.producer.handle_written(request.written_token.unwrap(), &mut pair.queues, pair.now);
    pair.drive();
    let nowhere = Acknowledged { base_offset: None, log_append_time_ms: None };
    assert_eq!(pair.told[0].result, Ok(nowhere));
}

#[test]
fn without_acknowledgements_a_lost_connection_is_never_retried_since_that_could_duplicate() {
    let mut pair = Pair::ready(&[("acks", "0")]);
    pair.send(0, b"gone?");
    let request = pair.next();
    pair.cut(request.connection);
    let failure = pair.told[0].result.clone().unwrap_err();
    assert_eq!((failure.kind, failure.outcome), (ErrorKind::Network, Outcome::MaybePersisted));
    pair.pass(5000);
    assert!(pair.produced.is_empty());
}

/// Laws: L9. Scenarios: #105.
#[test]
fn flush_sends_open_batches_and_names_everything_that_is_not_done() {
    let mut pair = Pair::ready(&[("linger.ms", "1000"), ("linger.adaptive", "false")]);
    let (first, second) = (pair.send(0, b"a"), pair.send(2, b"b"));
    let pending = pair.producer.flush(&mut pair.queues, pair.now);
    pair.drive();
    assert_eq!(pending, [first, second]);
    assert_eq!(pair.produced.len(), 2);
}

#[test]
fn closing_tells_unsent_records_from_those_in_doubt() {
    let mut pair = Pair::ready(&[("batch.size", "10"), ("acks", "1")]);
    let (sent, unsent) = (pair.send(0, &[0; 64]), pair.send(0, &[1; 64]));
    pair.producer.abort("closed", &mut pair.queues, pair.now);
    pair.drive();
    let outcome = |batch| {
        let told = pair.told.iter().find(|told| told.batch == batch).unwrap();
        told.result.clone().unwrap_err().outcome
    };
    assert_eq!(outcome(sent), Outcome::MaybePersisted);
    assert_eq!(outcome(unsent), Outcome::NotPersisted);
}

/// Laws: L1. Scenarios: #117, B-13, F13.
#[test]
fn an_idle_producer_wants_nothing_before_its_metadata_grows_old() {
    let mut pair = Pair::ready(&[("connections.max.idle.ms", "0")]);
    pair.send(0, b"x");
    let request = pair.next();
    pair.accept(&request, 0);
    pair.now = Instant::from_millis(100_000);
    pair.producer.handle_timeout(&mut pair.queues, pair.now);
    pair.drive();
    // Only the record's lifetime timer, which nobody took back, may still be due.
    let next = pair.producer.poll_timeout(pair.now).unwrap();
    assert!(next.as_nanos() > 120_000_000_000, "{next:?}");
}

/// Laws: L1. Scenarios: #114.
#[test]
fn purged_records_are_told_by_whether_they_were_sent_and_the_partition_goes_on() {
    let mut pair = Pair::introduced(&[("linger.adaptive.gap.ms", "0")]);
    let sent = pair.send(0, b"in flight");
    let request = pair.next();
    let waiting = pair.send(0, b"waits, since the broker owes an answer");
    pair.purge(true, true);
    let told: Vec<_> = pair.told.iter().rev().take(2).map(failed).collect();
    assert!(told.contains(&(sent, (ErrorKind::Purged, Outcome::MaybePersisted))), "{told:?}");
    assert!(told.contains(&(waiting, (ErrorKind::Purged, Outcome::NotPersisted))), "{told:?}");
    // The answer that comes after all changes nothing.
    let before = pair.told.len();
    pair.accept(&request, 1);
    assert_eq!(pair.told.len(), before);
    let next = pair.send(0, b"next");
    let request = pair.next();
    pair.accept(&request, 2);
    let last = pair.told.last().unwrap();
    assert_eq!((last.batch, last.result.clone()), (next, Ok(at(2))));
}

/// Laws: L1. Scenarios: #114.
#[test]
fn a_purge_of_what_waits_leaves_what_is_in_flight() {
    let mut pair = Pair::introduced(&[("linger.adaptive.gap.ms", "0")]);
    let sent = pair.send(0, b"in flight");
    let request = pair.next();
    let waiting = pair.send(0, b"waits");
    pair.purge(true, false);
    assert_eq!(pair.told.last().map(|told| told.batch), Some(waiting));
    pair.accept(&request, 1);
    let last = pair.told.last().unwrap();
    assert_eq!((last.batch, last.result.clone()), (sent, Ok(at(1))));
}

/// What waits for its linger time was purged, and its broker was taken for one with work to do from
/// then on: each time the connection ended, another was made.
/// Laws: L9. Scenarios: #114.
#[test]
fn after_a_purge_no_broker_is_wanted_for_what_is_gone() {
    let settings = [("linger.adaptive", "false"), ("linger.ms", "1000")];
    let mut pair = Pair::introduced(&settings);
    for partition in 0..3 {
        pair.send(partition, b"lingers");
    }
    pair.purge(true, true);
    assert_eq!(pair.told.len(), 3);
    pair.up = false;
    let all: Vec<_> = pair.connections.keys().copied().collect();
    all.into_iter().for_each(|connection| pair.cut(connection));
    pair.pass(10_000);
    assert!(pair.connects.is_empty(), "{:?}", pair.connects);
}

/// Laws: L1. Scenarios: #114.
#[test]
fn a_purge_of_one_partition_leaves_the_others() {
    let mut pair = Pair::introduced(&[]);
    let sent = [pair.send(0, b"a"), pair.send(1, b"b"), pair.send(2, b"c")];
    let purge = Purge { queued: true, in_flight: true, partitions: Some(&[pair.partitions[1]]) };
    pair.producer.purge(&purge, &mut pair.queues, pair.now);
    pair.drive();
    let told: Vec<_> = pair.told.iter().map(failed).collect();
    assert_eq!(told, [(sent[1], (ErrorKind::Purged, Outcome::NotPersisted))]);
}
