//! Batches that are refused for their size, or for some of their records (KIP-126, KIP-467).

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::produce::BatchIndexAndErrorMessage;
use ottla_protocol::record::{BatchHeader, RecordReader};

use super::pair::{Pair, Produced};
use crate::error::{ErrorKind, Outcome};

/// A producer whose records gather until they are flushed.
fn gathering(extra: &[(&str, &str)]) -> Pair {
    let mut settings = vec![("linger.ms", "100"), ("linger.adaptive", "false")];
    settings.extend_from_slice(extra);
    Pair::introduced(&settings)
}

/// Appends records with these first bytes to partition 0 and sends them as one batch.
fn send_together(pair: &mut Pair, values: &[&[u8]]) -> (usize, Produced) {
    let mut batch = 0;
    for value in values {
        batch = pair.append(0, value);
    }
    pair.producer.flush(&mut pair.queues, pair.now);
    pair.drive();
    (batch, pair.next())
}

/// The first byte of each record's value, and its offset delta.
fn records(request: &Produced) -> Vec<(u8, i32)> {
    let bytes = &request.batches[0].2[BatchHeader::SIZE..];
    let record = RecordReader::new(bytes).map(|record| record.unwrap());
    record.map(|record| (record.value.unwrap()[0], record.offset_delta)).collect()
}

/// An offset, or what failed.
type Fate = Result<i64, (ErrorKind, Outcome)>;

/// Which records were told of, of which batch, and where the first is or what failed.
fn told(pair: &Pair) -> Vec<(usize, Range<u32>, Fate)> {
    let told = pair.told.iter().map(|told| {
        let result = told.result.as_ref().map(|ack| ack.base_offset.unwrap());
        let result = result.map_err(|failure| (failure.kind, failure.outcome));
        (told.batch, told.records.clone(), result)
    });
    told.collect()
}

const TOO_LARGE: Fate = Err((ErrorKind::TooLarge, Outcome::NotPersisted));

/// Laws: L1, L3, L4. Scenarios: #97, #98, bug-35.
#[test]
fn a_batch_that_is_too_large_goes_in_halves_in_order_with_its_sequence_numbers() {
    let mut pair = gathering(&[]);
    let (batch, request) = send_together(&mut pair, &[b"a", b"b", b"c", b"d"]);
    assert_eq!(request.stamps(), [(0, 0, 1, 4)]);
    pair.refuse(&request, ErrorCode::MESSAGE_TOO_LARGE);
    let first = pair.next();
    assert_eq!((first.stamps(), records(&first)), (vec![(0, 0, 1, 2)], vec![(b'a', 0), (b'b', 1)]));
    assert!(pair.produced.is_empty(), "the second waits for the first: it must not overtake it");
    pair.accept(&first, 10);
    let second = pair.next();
    assert_eq!(second.stamps(), [(0, 0, 3, 2)]);
    assert_eq!(records(&second), [(b'c', 0), (b'd', 1)]);
    pair.accept(&second, 12);
    assert_eq!(told(&pair), [(batch, 0..2, Ok(10)), (batch, 2..4, Ok(12))]);
    // The numbers go on behind them.
    let (_, next) = send_together(&mut pair, &[b"e"]);
    assert_eq!(next.stamps(), [(0, 0, 5, 1)]);
}

/// Laws: L3, L4. Scenarios: #97.
#[test]
fn what_is_in_flight_behind_a_batch_that_is_split_follows_under_its_own_stamp() {
    let mut pair = gathering(&[("retry.backoff.ms", "1")]);
    let (_, first) = send_together(&mut pair, &[b"a", b"b"]);
    let (_, second) = send_together(&mut pair, &[b"c"]);
    pair.refuse(&first, ErrorCode::MESSAGE_TOO_LARGE);
    pair.refuse(&second, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    pair.pass(5);
    let mut stamps = Vec::new();
    for offset in 10..13 {
        let request = pair.next();
        assert!(pair.produced.is_empty(), "one at a time");
        stamps.extend(request.stamps());
        pair.accept(&request, offset);
    }
    assert_eq!(stamps, [(0, 0, 1, 1), (0, 0, 2, 1), (0, 0, 3, 1)]);
    assert!(pair.told.iter().all(|told| told.result.is_ok()), "{:?}", pair.told);
}

/// Laws: L1, L3. Scenarios: #99, F12.
#[test]
fn a_record_that_alone_is_too_large_fails_alone_and_its_neighbours_are_delivered() {
    let mut pair = gathering(&[]);
    let large = [b'L'; 400];
    let (batch, request) = send_together(&mut pair, &[b"a", b"b", &large, b"c", b"d"]);
    let mut next = Some(request);
    let mut delivered = Vec::new();
    while let Some(request) = next {
        if request.batches[0].2.len() > 400 {
            pair.refuse(&request, ErrorCode::MESSAGE_TOO_LARGE);
        } else {
            pair.accept(&request, delivered.len() as i64);
            delivered.extend(records(&request).into_iter().map(|record| record.0));
        }
        next = pair.produced.pop_front();
    }
    assert_eq!(delivered, *b"abcd");
    let failed: Vec<_> = told(&pair).into_iter().filter(|told| told.2.is_err()).collect();
    assert_eq!(failed, [(batch, 2..3, TOO_LARGE)]);
    let count: u32 = pair.told.iter().map(|told| told.records.end - told.records.start).sum();
    assert_eq!(count, 5, "each record once: {:?}", pair.told);
}

/// Laws: L1, L9. Scenarios: #44, #99.
#[test]
fn halving_ends_where_the_broker_takes_nothing_at_all() {
    let mut pair = gathering(&[]);
    let (_, request) = send_together(&mut pair, &[&[1; 9][..]; 64]);
    pair.refuse(&request, ErrorCode::RECORD_LIST_TOO_LARGE);
    let mut requests = 1;
    while let Some(request) = pair.produced.pop_front() {
        requests += 1;
        pair.refuse(&request, ErrorCode::MESSAGE_TOO_LARGE);
    }
    assert_eq!(requests, 127, "a tree with 64 leaves");
    assert!(told(&pair).iter().all(|told| told.2 == TOO_LARGE));
    assert_eq!(pair.told.len(), 64);
}

/// Laws: L1, L9. Scenarios: #100, bug-19.
#[test]
fn a_flush_is_over_when_both_halves_are_told_of() {
    let mut pair = gathering(&[]);
    let (batch, request) = send_together(&mut pair, &[b"a", b"b"]);
    pair.refuse(&request, ErrorCode::MESSAGE_TOO_LARGE);
    let pending = pair.producer.flush(&mut pair.queues, pair.now);
    assert_eq!(pending, [batch, batch], "one half in flight, one behind it");
    let first = pair.next();
    pair.accept(&first, 1);
    assert_eq!(pair.producer.flush(&mut pair.queues, pair.now), [batch]);
    let second = pair.next();
    pair.accept(&second, 2);
    assert!(pair.producer.flush(&mut pair.queues, pair.now).is_empty());
}

/// The first copy may be in the log: in halves it would not be recognized.
/// Laws: L1, L4. Scenarios: F4.
#[test]
fn a_batch_in_doubt_is_not_split() {
    let mut pair = gathering(&[("retry.backoff.ms", "1")]);
    let (batch, request) = send_together(&mut pair, &[b"a", b"b"]);
    pair.cut(request.connection);
    pair.pass(200);
    let again = pair.next();
    pair.refuse(&again, ErrorCode::MESSAGE_TOO_LARGE);
    let doubt = Err((ErrorKind::TooLarge, Outcome::MaybePersisted));
    assert_eq!(told(&pair), [(batch, 0..2, doubt)]);
    assert!(pair.produced.is_empty());
}

/// Laws: L1. Scenarios: #44.
#[test]
fn halves_expire_with_the_batch_that_they_came_of() {
    let mut pair = gathering(&[("delivery.timeout.ms", "1000"), ("request.timeout.ms", "900")]);
    let (batch, request) = send_together(&mut pair, &[b"a", b"b"]);
    pair.pass(800);
    pair.refuse(&request, ErrorCode::MESSAGE_TOO_LARGE);
    pair.pass(300);
    let (maybe, not) = (Outcome::MaybePersisted, Outcome::NotPersisted);
    let expired = |outcome| Err((ErrorKind::Timeout, outcome));
    assert_eq!(told(&pair), [(batch, 0..1, expired(maybe)), (batch, 1..2, expired(not))]);
}

/// Laws: L9. Scenarios: #101.
#[test]
fn batches_are_closed_sooner_after_one_was_too_large() {
    let mut pair = gathering(&[("batch.size", "1000")]);
    let values = [&[7; 90][..]; 10];
    let (_, request) = send_together(&mut pair, &values);
    pair.refuse(&request, ErrorCode::MESSAGE_TOO_LARGE);
    for offset in 0..2 {
        let half = pair.next();
        pair.accept(&half, 5 * offset);
    }
    for value in values {
        pair.append(0, value);
    }
    pair.pass(100);
    let counts: Vec<i32> = [pair.next(), pair.next()].map(|r| r.stamps()[0].3).to_vec();
    assert_eq!(counts, [5, 5]);
}

/// Laws: L9. Scenarios: #101.
#[test]
fn one_large_record_does_not_make_the_batches_of_others_smaller() {
    let mut pair = gathering(&[("batch.size", "1000")]);
    let (_, request) = send_together(&mut pair, &[&[7; 600][..], b"a", b"b"]);
    pair.refuse(&request, ErrorCode::MESSAGE_TOO_LARGE);
    let large = pair.next();
    pair.refuse(&large, ErrorCode::MESSAGE_TOO_LARGE);
    let rest = pair.next();
    pair.accept(&rest, 0);
    let (_, request) = send_together(&mut pair, &[&[7; 90][..]; 10]);
    assert_eq!(request.stamps()[0].3, 10);
}

fn minds(pair: &mut Pair, request: &Produced, code: ErrorCode, bad: &[(i32, Option<&str>)]) {
    pair.answer(request, |_, part| {
        part.error_code = code.0;
        part.base_offset = -1;
        part.record_errors = bad
            .iter()
            .map(|(index, why)| BatchIndexAndErrorMessage {
                batch_index: *index,
                batch_index_error_message: why.map(Into::into),
            })
            .collect();
    });
}

/// Laws: L1, L3. Scenarios: #117, F13.
#[test]
fn a_record_that_the_broker_minds_fails_alone_with_the_brokers_words() {
    let mut pair = gathering(&[]);
    let (batch, request) = send_together(&mut pair, &[b"a", b"b", b"c", b"d", b"e"]);
    minds(&mut pair, &request, ErrorCode::INVALID_RECORD, &[(3, None), (1, Some("no key"))]);
    let rest = pair.next();
    assert_eq!(records(&rest), [(b'a', 0), (b'c', 1), (b'e', 2)]);
    assert_eq!(rest.stamps(), [(0, 0, 1, 3)], "the numbers were given back");
    pair.accept(&rest, 10);
    let invalid = Err((ErrorKind::InvalidRecord, Outcome::NotPersisted));
    assert_eq!(
        told(&pair),
        [
            (batch, 1..2, invalid),
            (batch, 3..4, invalid),
            (batch, 0..1, Ok(10)),
            (batch, 2..3, Ok(11)),
            (batch, 4..5, Ok(12)),
        ]
    );
    assert_eq!(pair.told[0].result.as_ref().unwrap_err().message, "no key");
}

/// Laws: L3, L5. Scenarios: #117.
#[test]
fn behind_a_batch_that_lost_a_record_the_others_go_on_under_a_new_epoch() {
    let mut pair = gathering(&[("retry.backoff.ms", "1")]);
    let (_, first) = send_together(&mut pair, &[b"a", b"b"]);
    let (_, second) = send_together(&mut pair, &[b"c"]);
    minds(&mut pair, &first, ErrorCode::INVALID_TIMESTAMP, &[(0, None)]);
    pair.refuse(&second, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    pair.pass(5);
    let rest = pair.next();
    assert_eq!((rest.stamps(), records(&rest)), (vec![(0, 1, 0, 1)], vec![(b'b', 0)]));
    pair.accept(&rest, 1);
    let behind = pair.next();
    assert_eq!((behind.stamps(), records(&behind)), (vec![(0, 1, 1, 1)], vec![(b'c', 0)]));
}

/// Laws: L1. Scenarios: #117, B-13.
#[test]
fn record_errors_that_name_no_record_of_the_batch_are_left_out() {
    let mut pair = gathering(&[]);
    let (batch, request) = send_together(&mut pair, &[b"a", b"b"]);
    minds(
        &mut pair,
        &request,
        ErrorCode::INVALID_RECORD,
        &[(-1, None), (2, None), (1 << 30, None)],
    );
    let invalid = Err((ErrorKind::InvalidRecord, Outcome::NotPersisted));
    assert_eq!(told(&pair), [(batch, 0..2, invalid)]);
    assert!(pair.produced.is_empty());
}

/// Laws: L1. Scenarios: #117.
#[test]
fn a_batch_whose_every_record_is_minded_is_not_sent_again() {
    let mut pair = gathering(&[]);
    let (_, request) = send_together(&mut pair, &[b"a", b"b"]);
    minds(&mut pair, &request, ErrorCode::INVALID_RECORD, &[(0, None), (0, None), (1, None)]);
    assert_eq!(pair.told.len(), 2);
    assert!(pair.produced.is_empty());
}

/// What is left of the first batch once took the sequence number of the last one, which was free
/// again, under the old epoch: the batch between them was in doubt, and so the new epoch had to
/// wait.
///
/// Laws: L4, L5. Scenarios: #117, bug-35.
#[test]
fn what_is_left_of_a_batch_takes_no_number_of_one_behind_it_while_another_is_in_doubt() {
    let mut pair = gathering(&[("retry.backoff.ms", "1")]);
    let (_, first) = send_together(&mut pair, &[b"a", b"b"]);
    let (doubtful, second) = send_together(&mut pair, &[b"c"]);
    let (_, third) = send_together(&mut pair, &[b"d", b"e"]);
    minds(&mut pair, &first, ErrorCode::INVALID_RECORD, &[(1, None)]);
    pair.refuse(&second, ErrorCode::REQUEST_TIMED_OUT);
    minds(&mut pair, &third, ErrorCode::INVALID_RECORD, &[(1, None)]);
    pair.pass(5);
    let rest = pair.next();
    assert_eq!((rest.stamps(), records(&rest)), (vec![(0, 1, 0, 1)], vec![(b'a', 0)]));
    pair.accept(&rest, 1);
    let behind = pair.next();
    assert_eq!((behind.stamps(), records(&behind)), (vec![(0, 1, 1, 1)], vec![(b'd', 0)]));
    let maybe = Err((ErrorKind::Refused, Outcome::MaybePersisted));
    assert!(told(&pair).contains(&(doubtful, 0..1, maybe)), "{:?}", pair.told);
}
