//! Sequence numbers and epochs, over everything that may happen to a batch (laws L4 and L5).

use alloc::vec::Vec;

use ottla_protocol::ErrorCode;

use super::pair::{Pair, Produced, TOPIC};
use super::story_retries::{accept_all, big, markers, pipelined};
use crate::error::{ErrorKind, Outcome};

fn sequences(requests: &[Produced]) -> Vec<(i16, i32)> {
    let stamps = requests.iter().flat_map(Produced::stamps);
    stamps.map(|(_, epoch, sequence, _)| (epoch, sequence)).collect()
}

fn outcomes(pair: &Pair) -> Vec<(usize, Option<Outcome>)> {
    let outcome = |told: &super::pair::Told| told.result.as_ref().err().map(|f| f.outcome);
    pair.told.iter().map(|told| (told.batch, outcome(told))).collect()
}

/// Laws: L5. Scenarios: #6.
#[test]
fn a_new_epoch_takes_the_batch_that_needs_it_while_another_fails_for_good() {
    let mut pair = pipelined(&[]);
    let (one, two) = (pair.send(0, &big(1)), pair.send(0, &big(2)));
    let (first, second) = (pair.next(), pair.next());
    pair.refuse(&first, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    pair.refuse(&second, ErrorCode::INVALID_RECORD);
    assert_eq!(outcomes(&pair), [(two, Some(Outcome::NotPersisted))]);
    pair.pass(300);
    let again = pair.next();
    assert_eq!(
        (markers(core::slice::from_ref(&again)), again.stamps()),
        ([1].to_vec(), [(0, 1, 0, 1)].to_vec())
    );
    pair.accept(&again, 1);
    assert_eq!(outcomes(&pair)[1..], [(one, None)]);
    pair.send(0, &big(3));
    assert_eq!(pair.next().stamps(), [(0, 1, 1, 1)]);
}

/// Answers come in the order of the requests. One that does not is worth nothing, and neither is
/// what comes after it.
/// Laws: L3, L4. Scenarios: #7, A5.
#[test]
fn answers_in_the_wrong_order_end_the_connection_and_both_batches_go_again_in_theirs() {
    let mut pair = pipelined(&[]);
    pair.send(0, &big(1));
    pair.send(0, &big(2));
    let (first, second) = (pair.next(), pair.next());
    pair.accept(&second, 2);
    assert!(pair.closed.contains(&first.connection) && pair.told.is_empty());
    let sent = accept_all(&mut pair);
    let bytes = |requests: &[Produced]| -> Vec<_> {
        requests.iter().map(|request| request.batches.clone()).collect()
    };
    assert_eq!(bytes(&sent), bytes(&[first, second]));
}

/// Laws: L4. Scenarios: #28, bug-9.
#[test]
fn batches_in_doubt_before_a_burst_of_refusals_all_arrive_under_their_first_stamps() {
    for in_doubt in 1..=4 {
        let mut pair = pipelined(&[]);
        for n in 1..=5 {
            pair.send(0, &big(n));
        }
        for n in 0..5 {
            let request = pair.next();
            let code = match n {
                n if n < in_doubt => ErrorCode::REQUEST_TIMED_OUT,
                n if n == in_doubt => ErrorCode::NOT_ENOUGH_REPLICAS,
                _ => ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
            };
            pair.refuse(&request, code);
        }
        let sent = accept_all(&mut pair);
        assert_eq!(markers(&sent), [1, 2, 3, 4, 5]);
        assert_eq!(sequences(&sent), [(0, 1), (0, 2), (0, 3), (0, 4), (0, 5)]);
        assert!(pair.told.iter().all(|told| told.result.is_ok()), "{in_doubt} in doubt");
    }
}

/// Whether the log was cut, or the broker lost its memory: it does not know the producer, so the
/// batch is not in what it knows. The offsets that it tells along do not matter.
/// Laws: L1, L5. Scenarios: #16, #18, #19.
#[test]
fn a_broker_that_does_not_know_the_producer_gets_the_batch_under_a_new_epoch_whatever_it_tells() {
    for log_start_offset in [-1, 0, 100] {
        let mut pair = pipelined(&[]);
        pair.send(0, &big(1));
        let request = pair.next();
        pair.answer(&request, |_, part| {
            part.error_code = ErrorCode::UNKNOWN_PRODUCER_ID.0;
            part.base_offset = -1;
            part.log_start_offset = log_start_offset;
        });
        assert!(pair.told.is_empty());
        let sent = accept_all(&mut pair);
        assert_eq!((markers(&sent), sequences(&sent)), ([1].to_vec(), [(1, 0)].to_vec()));
        assert!(pair.told[0].result.is_ok());
    }
}

/// Laws: L5. Scenarios: #20, bug-7, T5.
#[test]
fn behind_the_last_epoch_comes_a_new_producer_id_and_what_waits_goes_under_it() {
    let mut pair = Pair::new(&[("batch.size", "10"), ("max.in.flight", "1")]);
    pair.identity_epoch = i16::MAX - 3;
    pair.producer.want_topic(TOPIC);
    pair.drive();
    let mut identities = Vec::new();
    for n in 0..4 {
        pair.send(0, &big(n));
        pair.send(0, &big(10 + n));
        pair.pass(100);
        let request = pair.next();
        let header = request.batches[0].1;
        identities.push((header.producer_id, header.producer_epoch, header.base_sequence));
        pair.refuse(&request, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
        pair.identity_epoch = 0;
        accept_all(&mut pair);
        pair.told.clear();
    }
    // The very last epoch is not used: brokers refuse to go beyond it.
    let last = i16::MAX - 1;
    assert_eq!(
        identities,
        [(1000, last - 2, 0), (1000, last - 1, 2), (1000, last, 2), (1001, 0, 2)]
    );
}

/// Laws: L1, L4. Scenarios: #25.
#[test]
fn what_is_answered_after_the_producer_id_was_replaced_is_delivered_and_the_next_begins_at_0() {
    for code in [ErrorCode::NONE, ErrorCode::DUPLICATE_SEQUENCE_NUMBER] {
        let mut pair = pipelined(&[]);
        pair.send(0, &big(1));
        let late = pair.send(1, &big(2));
        let (zero, one) = (pair.next(), pair.next());
        pair.refuse(&zero, ErrorCode::INVALID_PRODUCER_EPOCH);
        pair.refuse(&one, code);
        assert_eq!(outcomes(&pair), [(late, None)]);
        pair.pass(300);
        let again = pair.next();
        assert_eq!(again.batches[0].1.producer_id, 1001);
        pair.send(1, &big(3));
        let next = pair.next();
        assert_eq!((next.batches[0].1.producer_id, next.stamps()), (1001, [(1, 0, 0, 1)].to_vec()));
    }
}

/// Laws: L5. Scenarios: #26, bug-6, bug-5.
#[test]
fn a_new_epoch_reaches_partitions_with_nothing_under_way_with_their_next_batch() {
    let mut pair = pipelined(&[]);
    pair.send(0, &big(1));
    let request = pair.next();
    pair.refuse(&request, ErrorCode::UNKNOWN_PRODUCER_ID);
    accept_all(&mut pair);
    for partition in [1, 2] {
        pair.send(partition, &big(2));
        assert_eq!(pair.next().stamps(), [(partition as i32, 1, 0, 1)]);
    }
}

/// Laws: L4, L5. Scenarios: #24, bug-3, bug-4.
#[test]
fn a_batch_that_moves_to_another_leader_while_its_producer_changes_the_epoch_keeps_its_stamp() {
    let mut pair = pipelined(&[]);
    pair.send(0, &big(1));
    pair.send(2, &big(2));
    let (zero, two) = (pair.next(), pair.next());
    pair.refuse(&zero, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    pair.leaders[2] = 3;
    pair.leader_epoch = 2;
    pair.refuse(&two, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    pair.pass(300);
    let mut sent = [pair.next(), pair.next()];
    sent.sort_by_key(|request| request.node);
    let [bumped, mut moved] = sent;
    assert_eq!(bumped.stamps(), [(0, 1, 0, 1)]);
    pair.accept(&bumped, 1);
    while moved.node == 2 {
        pair.refuse(&moved, ErrorCode::NOT_LEADER_OR_FOLLOWER);
        pair.pass(1000);
        moved = pair.next();
    }
    assert_eq!((moved.node, &moved.batches), (3, &two.batches));
    pair.refuse(&moved, ErrorCode::DUPLICATE_SEQUENCE_NUMBER);
    pair.send(2, &big(3));
    assert_eq!(pair.next().stamps(), [(2, 1, 0, 1)], "idle: now it is its turn");
}

/// Laws: L4. Scenarios: #40, bug-10.
#[test]
fn a_large_compressed_batch_goes_again_byte_for_byte() {
    let mut pair = Pair::introduced(&[("compression.type", "lz4"), ("linger.ms", "1000")]);
    for n in 0..200 {
        pair.append(0, &[n; 50]);
    }
    pair.producer.flush(&mut pair.queues, pair.now);
    pair.drive();
    let first = pair.next();
    assert!(first.batches[0].2.len() > 10_000);
    pair.cut(first.connection);
    pair.pass(2000);
    let again = pair.next();
    assert_eq!(again.batches, first.batches);
    pair.refuse(&again, ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND);
    pair.pass(2000);
    assert_eq!(pair.next().batches, first.batches);
}

/// Laws: L1, L3. Scenarios: #38, bug-15.
#[test]
fn twenty_records_at_once_have_twenty_sequence_numbers_and_twenty_offsets() {
    let mut pair = pipelined(&[]);
    for n in 1..=20 {
        pair.append(0, &big(n));
    }
    pair.drive();
    let sent = accept_all(&mut pair);
    assert_eq!(sequences(&sent), (1..=20).map(|n| (0, n)).collect::<Vec<_>>());
    let offsets: Vec<_> = pair.told.iter().map(|t| t.result.clone().unwrap().base_offset).collect();
    assert_eq!(offsets, (0..20).map(Some).collect::<Vec<_>>());
}

/// What went wrong in another client: the partition was forgotten with its numbers, and the records
/// that came under the old ones again were acknowledged as duplicates, and thrown away.
/// Laws: L1, L8. Scenarios: #41, bug-8.
#[test]
fn a_topic_that_is_missing_from_the_metadata_for_a_while_goes_on_with_its_sequence() {
    for gone in [ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, ErrorCode::NONE] {
        let mut pair = Pair::introduced(&[("batch.size", "10"), ("metadata.max.age.ms", "1000")]);
        let leaders = pair.leaders.clone();
        if gone.is_ok() {
            pair.leaders.clear(); // it is there, with no partitions
        }
        pair.topic_error = gone;
        pair.pass(30_000);
        (pair.topic_error, pair.leaders) = (ErrorCode::NONE, leaders);
        pair.pass(3_000);
        pair.send(0, &big(1));
        assert_eq!(pair.next().stamps(), [(0, 0, 1, 1)]);
    }
}

/// Laws: L1, L4. Scenarios: B-16.
#[test]
fn a_producer_id_that_cannot_be_is_not_used() {
    for (producer_id, epoch) in [(-100, 0), (5, -1), (i64::MIN, i16::MIN)] {
        let mut pair = Pair::ready(&[("batch.size", "10")]);
        pair.next_producer_id = producer_id;
        pair.identity_epoch = epoch;
        let batch = pair.send(0, &big(1));
        pair.pass(3_000);
        assert!(pair.produced.is_empty() && pair.told.is_empty(), "it asks for another");
        (pair.next_producer_id, pair.identity_epoch) = (7, i16::MAX);
        pair.pass(3_000);
        let request = pair.next();
        assert_eq!(request.batches[0].1.producer_id, 7);
        pair.accept(&request, 0);
        assert_eq!(outcomes(&pair), [(batch, None)]);
    }
}

/// Laws: L1, L5. Scenarios: #70.
#[test]
fn refusals_of_changing_kinds_end_with_the_records_time_and_cost_no_epoch() {
    let mut pair = pipelined(&[("delivery.timeout.ms", "9000"), ("request.timeout.ms", "5000")]);
    let batch = pair.send(0, &big(1));
    let codes = [ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, ErrorCode::NOT_ENOUGH_REPLICAS];
    for n in 0..200 {
        if let Some(request) = pair.produced.pop_front() {
            assert_eq!(request.stamps(), [(0, 0, 1, 1)]);
            pair.refuse(&request, codes[n % 2]);
        }
        pair.pass(50);
    }
    let failure = pair.told[0].result.clone().unwrap_err();
    assert_eq!((pair.told[0].batch, failure.kind), (batch, ErrorKind::Timeout));
    pair.send(0, &big(2));
    assert_eq!(markers(pair.produced.make_contiguous()), [2]);
}
