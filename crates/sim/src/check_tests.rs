//! Histories made by hand, one for each way to break a law: the checker has to see it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ottla_core::error::{ErrorKind, Failure};
use ottla_core::output::Acknowledged;
use ottla_core::time::Instant;
use ottla_protocol::Uuid;
use ottla_protocol::record::BatchHeader;

use crate::check::{History, Rules, Told};
use crate::log::RecordId;
use crate::seen::Counts;

const STRICT: Rules = Rules { acks: -1, idempotent: true, unknown: false };

/// Records of partition 0 in their order, each with what was told of it.
fn history(told: &[Told]) -> History {
    let mut history = History::default();
    for (number, told) in (0..).zip(told) {
        history.accepted(0, (number, 0), Instant::ZERO);
        history.records[number].told = Some((*told, Instant::ZERO));
    }
    history
}

fn check(history: &History, rules: Rules, log: &[RecordId]) -> Result<(), String> {
    let logs = BTreeMap::from([(0, log.to_vec())]);
    history.check_logs(&rules, &logs, &BTreeMap::new())
}

#[track_caller]
fn breaks(told: &[Told], log: &[RecordId], law: &str) {
    let violation = check(&history(told), STRICT, log).expect_err("it breaks a law");
    assert!(violation.contains(law), "{violation}");
}

#[test]
fn a_history_that_keeps_all_laws_is_fine() {
    let told = [
        Told::Persisted(Some(0)),
        Told::NotPersisted,
        Told::MaybePersisted,
        Told::MaybePersisted,
        Told::Persisted(None),
    ];
    check(&history(&told), STRICT, &[0, 2, 4]).unwrap();
}

#[test]
fn an_acknowledged_record_that_is_lost_is_seen() {
    breaks(&[Told::Persisted(Some(0))], &[], "(L2)");
    breaks(&[Told::Persisted(None)], &[], "(L2)");
}

#[test]
fn a_wrong_offset_is_seen() {
    breaks(&[Told::Persisted(Some(1)), Told::Persisted(Some(0))], &[0, 1], "(L2)");
}

#[test]
fn a_record_that_is_there_twice_is_seen() {
    breaks(&[Told::Persisted(Some(0))], &[0, 0], "twice");
    breaks(&[Told::MaybePersisted], &[0, 0], "twice");
}

#[test]
fn without_idempotence_a_record_may_be_there_twice() {
    let rules = Rules { idempotent: false, ..STRICT };
    check(&history(&[Told::Persisted(Some(0))]), rules, &[0, 0]).unwrap();
}

#[test]
fn a_record_before_an_earlier_one_is_seen() {
    breaks(&[Told::Persisted(Some(1)), Told::Persisted(Some(0))], &[1, 0], "(L3)");
}

#[test]
fn a_record_that_was_told_to_be_in_no_log_and_is_there_is_seen() {
    breaks(&[Told::NotPersisted], &[0], "(L1)");
}

#[test]
fn a_record_that_nobody_sent_is_seen() {
    breaks(&[Told::Persisted(Some(0))], &[0, 7], "foreign");
}

#[test]
fn a_record_in_another_partition_is_seen() {
    let history = history(&[Told::MaybePersisted]);
    let logs = BTreeMap::from([(0, Vec::new()), (1, vec![0])]);
    let violation = history.check_logs(&STRICT, &logs, &BTreeMap::new()).unwrap_err();
    assert!(violation.contains("not its own"), "{violation}");
}

#[test]
fn a_record_that_the_deleted_topic_has_is_no_lost_one() {
    let history = history(&[Told::Persisted(Some(0))]);
    let deleted = BTreeMap::from([(0, vec![vec![0]])]);
    history.check_logs(&STRICT, &BTreeMap::new(), &deleted).unwrap();
    assert!(history.check_logs(&STRICT, &BTreeMap::new(), &BTreeMap::new()).is_err());
}

fn settle(history: &mut History, batch: usize, at: Instant) -> Result<(), String> {
    let ack = Acknowledged { base_offset: Some(0), log_append_time_ms: None };
    history.settled(batch, 0..1, &Ok(ack), at, &mut Counts::default())
}

#[test]
fn a_record_that_is_told_of_twice_is_seen() {
    let mut history = History::default();
    history.accepted(0, (5, 0), Instant::ZERO);
    settle(&mut history, 5, Instant::ZERO).unwrap();
    assert!(settle(&mut history, 5, Instant::ZERO).unwrap_err().contains("twice"));
}

#[test]
fn an_outcome_of_a_record_that_was_never_accepted_is_seen() {
    assert!(settle(&mut History::default(), 5, Instant::ZERO).is_err());
}

#[test]
fn a_record_without_an_outcome_is_seen() {
    let mut history = History::default();
    history.accepted(0, (0, 0), Instant::ZERO);
    assert!(history.all_told().is_err());
    let failure = Failure::unsent(ErrorKind::Timeout, "time is up");
    let result = Err(Arc::new(failure));
    history.settled(0, 0..1, &result, Instant::ZERO, &mut Counts::default()).unwrap();
    history.all_told().unwrap();
    assert_eq!(history.records[0].told.unwrap().0, Told::NotPersisted);
}

#[test]
fn an_outcome_behind_its_deadline_is_seen() {
    let mut history = History::default();
    history.accepted(0, (0, 0), Instant::ZERO);
    settle(&mut history, 0, Instant::from_millis(2_000)).unwrap();
    history.check_deadlines(Duration::from_secs(2)).unwrap();
    let late = history.check_deadlines(Duration::from_secs(1)).unwrap_err();
    assert!(late.contains("(L9)"), "{late}");
}

fn header(base_sequence: i32) -> BatchHeader {
    BatchHeader {
        base_offset: 0,
        batch_length: 0,
        partition_leader_epoch: 0,
        magic: 2,
        crc: 0,
        attributes: 0,
        last_offset_delta: 0,
        base_timestamp: 0,
        max_timestamp: 0,
        producer_id: 1,
        producer_epoch: 0,
        base_sequence,
        record_count: 1,
    }
}

#[test]
fn a_stamp_that_comes_with_other_records_is_seen_unless_the_first_were_refused() {
    let topic = Uuid([1; 16]);
    for (told, fine) in [(Told::MaybePersisted, false), (Told::NotPersisted, true)] {
        let mut history = history(&[told]);
        history.sent(topic, 0, &header(3), &[0]).unwrap();
        history.sent(topic, 0, &header(3), &[0]).unwrap();
        assert_eq!(history.sent(topic, 0, &header(3), &[1]).is_ok(), fine, "{told:?}");
    }
}
