//! Histories and logs made by hand, one for each way to be wrong: the check has to see it.

use std::collections::BTreeMap;

use crate::check::{Found, Log, Verdict, What, Wrong, check};
use crate::history::{History, Promise, Records, Told};
use crate::payload::{Route, Stream, route};

const STREAM: Stream = Stream { producer: 0, topic: 0 };
const LOOSE: Promise = Promise { kept_from: 0, idempotent: false };

/// Records that go to partition 0, each with what was told of it.
fn history_with(promise: Promise, told: &[Told]) -> History {
    let mut records = Records::new(promise);
    for told in told {
        let number = records.begin();
        if *told != Told::Refused {
            records.accepted(number, 0);
        }
        if *told != Told::Nothing {
            records.told(number, *told);
        }
    }
    History { topics: vec!["one".to_owned()], streams: BTreeMap::from([(STREAM, records)]) }
}

fn history(told: &[Told]) -> History {
    history_with(Promise::FULL, told)
}

/// Records of the stream by number, in this order in the log.
fn log(numbers: &[u32]) -> Vec<Found> {
    let record = |number| What::Record { producer: 0, number };
    found(numbers.iter().map(|number| record(*number)))
}

fn found(what: impl IntoIterator<Item = What>) -> Vec<Found> {
    (0..).zip(what).map(|(offset, what)| Found { offset, what }).collect()
}

fn verdict(history: &History, partitions: Vec<Vec<Found>>) -> Verdict {
    let log: Log = (0..).zip(partitions).collect();
    check(history, &BTreeMap::from([("one".to_owned(), log)]))
}

/// Asserts that exactly this is wrong, so many times.
#[track_caller]
fn sees(history: &History, log: Vec<Found>, wrong: Wrong, times: u64) {
    let verdict = verdict(history, vec![log]);
    assert_eq!(verdict.wrong, BTreeMap::from([(wrong, times)]), "{:?}", verdict.first);
    assert!(verdict.first[&wrong].contains("one"), "{:?}", verdict.first);
}

const fn at(offset: i64) -> Told {
    Told::Delivered(Some(offset))
}

#[test]
fn a_history_that_keeps_all_laws_is_fine() {
    let told = [
        at(0),
        Told::NotPersisted,
        Told::MaybePersisted,
        Told::MaybePersisted,
        Told::Delivered(None),
        Told::Refused,
    ];
    let verdict = verdict(&history(&told), vec![log(&[0, 2, 4])]);
    assert!(verdict.is_clean(), "{:?}", verdict.first);
    assert_eq!((verdict.delivered, verdict.not_persisted, verdict.refused), (2, 1, 1));
    assert_eq!((verdict.maybe, verdict.maybe_there, verdict.in_logs), (2, 1, 3));
}

#[test]
fn an_acknowledged_record_that_is_lost_is_seen() {
    sees(&history(&[at(0), at(1)]), log(&[0]), Wrong::Lost, 1);
    sees(&history(&[Told::Delivered(None)]), log(&[]), Wrong::Lost, 1);
}

#[test]
fn a_topic_that_was_not_read_at_all_has_lost_everything() {
    let verdict = check(&history(&[at(0), at(1)]), &BTreeMap::new());
    assert_eq!(verdict.count(Wrong::Lost), 2);
}

#[test]
fn a_wrong_offset_is_seen() {
    sees(&history(&[at(0), at(2)]), log(&[0, 1]), Wrong::Misplaced, 1);
}

#[test]
fn a_record_that_is_there_twice_is_seen() {
    sees(&history(&[at(0)]), log(&[0, 0]), Wrong::Twice, 1);
    sees(&history(&[at(1)]), log(&[0, 0]), Wrong::Twice, 1);
    sees(&history(&[Told::MaybePersisted]), log(&[0, 0, 0]), Wrong::Twice, 2);
    sees(&history_with(LOOSE, &[at(0)]), log(&[0, 0]), Wrong::Twice, 1);
}

#[test]
fn a_record_that_is_in_two_partitions_is_seen() {
    let verdict = verdict(&history(&[at(0)]), vec![log(&[0]), log(&[0])]);
    assert_eq!(verdict.count(Wrong::Twice), 1);
    assert_eq!(verdict.count(Wrong::Partition), 1);
}

#[test]
fn a_record_behind_a_later_one_is_seen() {
    sees(&history(&[at(1), at(0), at(2)]), log(&[1, 0, 2]), Wrong::Order, 1);
    let loose = history_with(LOOSE, &[at(1), at(0)]);
    assert!(verdict(&loose, vec![log(&[1, 0])]).is_clean());
}

#[test]
fn a_record_that_was_told_to_be_in_no_log_and_is_there_is_seen() {
    sees(&history(&[Told::NotPersisted]), log(&[0]), Wrong::FalseNotPersisted, 1);
    sees(&history(&[Told::Refused]), log(&[0]), Wrong::FalseNotPersisted, 1);
}

#[test]
fn a_record_in_another_partition_is_seen() {
    let verdict = verdict(&history(&[Told::MaybePersisted]), vec![log(&[]), log(&[0])]);
    assert_eq!(verdict.wrong, BTreeMap::from([(Wrong::Partition, 1)]));
}

#[test]
fn a_key_in_two_partitions_is_seen() {
    let key = |number| match route(STREAM, number) {
        Route::Key(key) => Some(key),
        Route::Partition(_) | Route::Any => None,
    };
    let again = (1..).find(|number| key(*number).is_some() && key(*number) == key(0));
    let again = again.expect("keys come again") as usize;
    let mut history = history(&vec![Told::MaybePersisted; again + 1]);
    let records = history.streams.get_mut(&STREAM).expect("it is there");
    records.sent[again].partition = 1;
    assert_eq!(verdict(&history, vec![]).wrong, BTreeMap::from([(Wrong::Partition, 1)]));
}

#[test]
fn a_record_of_another_topic_is_seen() {
    let other = What::Misrouted { topic: "two".to_owned() };
    sees(&history(&[]), found([other]), Wrong::Misrouted, 1);
}

#[test]
fn what_nobody_sent_and_what_is_damaged_is_seen() {
    sees(&history(&[]), log(&[7]), Wrong::Foreign, 1);
    let stranger = What::Record { producer: 9, number: 0 };
    sees(&history(&[]), found([stranger]), Wrong::Foreign, 1);
    let damaged = What::Foreign("its sum is wrong".to_owned());
    sees(&history(&[]), found([damaged]), Wrong::Foreign, 1);
}

#[test]
fn a_record_without_an_outcome_is_seen() {
    sees(&history(&[Told::Nothing]), log(&[]), Wrong::Untold, 1);
}

#[test]
fn a_record_with_two_outcomes_is_seen() {
    let mut history = history(&[at(0)]);
    history.streams.get_mut(&STREAM).expect("it is there").told(0, at(0));
    sees(&history, log(&[0]), Wrong::ToldTwice, 1);
}

#[test]
fn offsets_that_were_not_read_are_seen() {
    let mut log = log(&[0, 1]);
    log[1].offset = 2;
    sees(&history(&[at(0), at(2)]), log, Wrong::Hole, 1);
}

#[test]
fn what_a_deleted_topic_had_is_not_missed_and_what_came_later_is() {
    let promise = Promise { kept_from: 1, idempotent: true };
    let history = history_with(promise, &[at(0), at(0), at(1)]);
    sees(&history, log(&[1]), Wrong::Lost, 1);
    assert!(verdict(&history, vec![log(&[1, 2])]).is_clean());
}
