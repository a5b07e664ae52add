//! The end of `delivery.timeout.ms`: who was sent may be persisted, who was not is not.

use ottla_protocol::ErrorCode;

use super::pair::{Pair, TOPIC};
use crate::error::{ErrorKind, Outcome};

const SHORT: [(&str, &str); 3] =
    [("delivery.timeout.ms", "3000"), ("request.timeout.ms", "2900"), ("batch.size", "10")];

#[test]
fn a_record_that_was_never_sent_expires_as_not_persisted_and_names_the_obstacle() {
    let mut pair = Pair::ready(&SHORT);
    pair.leaders = alloc::vec![-1, -1, -1];
    pair.leader_epoch = 2;
    pair.producer.handle_timeout(&mut pair.queues, pair.now);
    pair.pass(300_001); // the metadata grows old, and the new one has no leaders
    pair.send(0, b"x");
    pair.pass(3001);
    let failure = pair.told[0].result.clone().unwrap_err();
    assert_eq!((failure.kind, failure.outcome), (ErrorKind::Timeout, Outcome::NotPersisted));
    assert!(failure.message.contains("no leader"), "{failure}");
}

/// Laws: L1, L9. Scenarios: A11.
#[test]
fn a_sent_record_without_an_answer_expires_as_maybe_persisted() {
    let mut pair = Pair::ready(&SHORT);
    pair.send(0, b"x");
    let request = pair.next();
    pair.pass(3001);
    assert_eq!(pair.told.len(), 1);
    assert_eq!(pair.told[0].result.clone().unwrap_err().outcome, Outcome::MaybePersisted);
    // Its request timed out before that and took the connection along; a late answer finds nobody.
    assert!(pair.closed.contains(&request.connection));
}

#[test]
fn a_late_answer_for_a_record_that_was_given_up_changes_nothing() {
    let settings =
        [("delivery.timeout.ms", "3000"), ("request.timeout.ms", "2000"), ("linger.ms", "0")];
    let mut pair = Pair::ready(&settings);
    pair.send(0, b"first");
    pair.pass(1900);
    pair.send(1, b"second");
    let (first, second) = (pair.next(), pair.next());
    pair.accept(&first, 0);
    pair.accept(&second, 0);
    pair.pass(10_000);
    assert_eq!(pair.told.len(), 2, "each record is told once (L1)");
}

/// Laws: L5. Scenarios: #12.
#[test]
fn after_a_sent_batch_expired_the_next_waits_for_those_behind_it_and_then_changes_the_epoch() {
    let mut pair = Pair::ready(&[
        ("delivery.timeout.ms", "3000"),
        ("request.timeout.ms", "2000"),
        ("linger.ms", "0"),
        ("batch.size", "10"),
    ]);
    pair.send(0, b"0123456789");
    let request = pair.next();
    pair.cut(request.connection);
    pair.up = false;
    pair.pass(3000);
    assert_eq!(pair.told[0].result.clone().unwrap_err().outcome, Outcome::MaybePersisted);
    pair.up = true;
    for connect in core::mem::take(&mut pair.connects) {
        pair.producer.handle_disconnected(connect.connection, "down", &mut pair.queues, pair.now);
    }
    pair.send(0, b"abcdefghij");
    pair.pass(2900);
    assert_eq!(pair.next().stamps(), [(0, 1, 0, 1)]);
}

/// Laws: L9. Scenarios: A12, E11.
#[test]
fn with_no_broker_at_all_a_topic_is_asked_for_again_and_again_but_not_in_a_rush() {
    let mut pair = Pair::new(&[]);
    pair.up = false;
    pair.producer.want_topic(TOPIC);
    pair.drive();
    let mut attempts = 0;
    for _ in 0..100 {
        for connect in core::mem::take(&mut pair.connects) {
            attempts += 1;
            let why = "connection refused";
            pair.producer.handle_disconnected(connect.connection, why, &mut pair.queues, pair.now);
        }
        pair.drive();
        pair.pass(100);
    }
    // Ten seconds with back-offs of 50 ms to 1 s, give or take a fifth.
    assert!((10..30).contains(&attempts), "{attempts}");
    assert_eq!(pair.unreachable.len(), attempts);
}

/// Laws: L8, L9. Scenarios: #76, #86.
#[test]
fn a_topic_that_nobody_knows_is_refused_after_the_time_that_news_of_it_may_take() {
    let mut pair = Pair::new(&[("topic.metadata.propagation.max.ms", "2000")]);
    pair.topic_error = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    pair.producer.want_topic(TOPIC);
    pair.drive();
    pair.pass(1000);
    assert!(pair.topic_failures.is_empty());
    pair.pass(3000);
    assert_eq!(pair.topic_failures.len(), 1);
    assert_eq!(pair.topic_failures[0].kind, ErrorKind::UnknownTopic);
    let asked = pair.metadata_requests;
    pair.pass(60_000);
    assert_eq!(pair.metadata_requests, asked, "nobody wants it any more");
}

/// Laws: L9. Scenarios: #87.
#[test]
fn a_topic_without_permission_or_with_an_impossible_name_is_refused_at_once() {
    for (code, kind) in [
        (ErrorCode::TOPIC_AUTHORIZATION_FAILED, ErrorKind::Unauthorized),
        (ErrorCode::INVALID_TOPIC_EXCEPTION, ErrorKind::UnknownTopic),
    ] {
        let mut pair = Pair::new(&[]);
        pair.topic_error = code;
        pair.producer.want_topic(TOPIC);
        pair.drive();
        assert_eq!(pair.topic_failures[0].kind, kind);
    }
}
