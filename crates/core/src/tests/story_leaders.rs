//! Leaders that move, topics that change.

use ottla_protocol::messages::produce::{
    LeaderIdAndEpoch, NodeEndpoint, ProduceResponse, TopicProduceResponse,
};
use ottla_protocol::{ErrorCode, Uuid};

use super::pair::{Pair, Produced};
use crate::error::{ErrorKind, Outcome};

/// Laws: L3, L4. Scenarios: #62, #73, bug-33, F2.
#[test]
fn a_leader_that_moved_is_found_and_gets_the_same_batch() {
    let mut pair = Pair::ready(&[]);
    pair.send(0, b"x");
    let request = pair.next();
    pair.leaders[0] = 3;
    pair.leader_epoch = 2;
    pair.refuse(&request, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    pair.pass(500);
    let again = pair.next();
    assert_eq!((again.node, again.batches), (3, request.batches));
}

/// Laws: L3. Scenarios: #61, F20.
#[test]
fn a_new_leader_gets_nothing_while_the_old_one_owes_an_answer() {
    let mut pair = Pair::introduced(&[("batch.size", "10")]);
    pair.send(0, &[1; 40]);
    pair.send(0, &[2; 40]);
    let (first, second) = (pair.next(), pair.next());
    pair.leaders[0] = 3;
    pair.leader_epoch = 2;
    pair.refuse(&first, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    pair.pass(1000);
    assert!(pair.produced.is_empty(), "the second could still arrive at the old leader");
    pair.refuse(&second, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    pair.pass(1000);
    let again = pair.next();
    assert_eq!((again.node, &again.batches), (3, &first.batches));
    pair.accept(&again, 0);
    pair.pass(1000);
    assert_eq!(pair.next().batches, second.batches);
}

/// Laws: L4, L8. Scenarios: #62.
#[test]
fn an_answer_that_names_the_new_leader_is_followed_without_waiting_for_metadata() {
    let mut pair = Pair::ready(&[]);
    pair.send(0, b"x");
    let request = pair.next();
    let part = ottla_protocol::messages::produce::PartitionProduceResponse {
        index: 0,
        error_code: ErrorCode::NOT_LEADER_OR_FOLLOWER.0,
        current_leader: LeaderIdAndEpoch { leader_id: 7, leader_epoch: 9 },
        ..Default::default()
    };
    let endpoint =
        NodeEndpoint { node_id: 7, host: "node7".into(), port: 9092, ..Default::default() };
    let topic = TopicProduceResponse {
        topic_id: Uuid([1; 16]),
        partition_responses: alloc::vec![part],
        ..Default::default()
    };
    let body = ProduceResponse {
        responses: alloc::vec![topic],
        node_endpoints: alloc::vec![endpoint],
        ..Default::default()
    };
    pair.answer_with(&request, &body);
    let again = pair.next();
    assert_eq!((again.node, again.batches), (7, request.batches));
}

/// Laws: L8. Scenarios: #64, F6.
#[test]
fn metadata_older_than_what_we_know_does_not_move_a_leader_back() {
    let mut pair = Pair::ready(&[]);
    pair.leaders[0] = 3;
    pair.leader_epoch = 0;
    pair.pass(300_001);
    pair.send(0, b"x");
    assert_eq!(pair.next().node, 1);
}

/// Laws: L8. Scenarios: #77, bug-25.
#[test]
fn a_topic_in_error_keeps_the_partitions_that_were_known() {
    let mut pair = Pair::ready(&[]);
    pair.topic_error = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    pair.pass(300_001);
    pair.send(0, b"x");
    assert_eq!(pair.next().node, 1);
}

/// A batch is under way and another waits, when metadata says that the topic was created anew.
fn recreated_under_way() -> (Pair, Produced, [usize; 2]) {
    let mut pair = Pair::ready(&[("batch.size", "10"), ("max.in.flight", "1")]);
    // A connection without unanswered batches, over which the news can come.
    pair.send(2, &[0; 40]);
    let other = pair.next();
    pair.accept(&other, 0);
    let sent = pair.send(0, &[1; 40]);
    let waiting = pair.send(0, &[2; 40]);
    let request = pair.next();
    pair.topic_id = Uuid([2; 16]);
    pair.leader_epoch = 0;
    pair.producer.want_topic("another"); // makes the core ask
    pair.drive();
    assert_eq!(pair.told.len(), 1, "what is under way waits for its answer");
    assert!(pair.produced.is_empty(), "what waits does not overtake it");
    (pair, request, [sent, waiting])
}

/// Laws: L3, L8. Scenarios: #71, bug-22, F9, F10.
#[test]
fn records_that_the_old_topic_refused_follow_one_that_was_created_anew_in_their_order() {
    let (mut pair, request, [sent, waiting]) = recreated_under_way();
    pair.refuse(&request, ErrorCode::UNKNOWN_TOPIC_ID);
    for (n, batch) in [sent, waiting].into_iter().enumerate() {
        let next = pair.next();
        assert_ne!(next.topic, request.topic);
        assert_eq!(next.stamps(), [(0, 1, n as i32, 1)], "under a new epoch, from 0");
        pair.accept(&next, n as i64);
        assert_eq!((pair.told[n + 1].batch, pair.told[n + 1].result.is_ok()), (batch, true));
    }
}

/// Laws: L1, L8. Scenarios: bug-23, F9.
#[test]
fn records_that_the_old_topic_took_are_delivered_though_it_was_created_anew() {
    let (mut pair, request, [sent, _]) = recreated_under_way();
    pair.accept(&request, 7);
    assert_eq!(pair.told[1].batch, sent);
    assert_eq!(pair.told[1].result.clone().unwrap().base_offset, Some(7));
    assert_eq!(pair.next().stamps(), [(0, 1, 0, 1)]);
}

/// Laws: L1, L4. Scenarios: #71, F9.
#[test]
fn records_in_doubt_do_not_follow_a_topic_that_was_created_anew_and_are_told_so() {
    let (mut pair, request, [sent, _]) = recreated_under_way();
    pair.cut(request.connection);
    assert_eq!(pair.told[1].batch, sent);
    let failure = pair.told[1].result.clone().unwrap_err();
    assert_eq!(
        (failure.kind, failure.outcome),
        (ErrorKind::TopicRecreated, Outcome::MaybePersisted)
    );
    pair.pass(1_000); // until it connects again
    assert_eq!(pair.next().stamps(), [(0, 1, 0, 1)]);
}

/// Laws: L4, L8. Scenarios: #71.
#[test]
fn old_metadata_that_names_the_former_topic_again_makes_no_stamp_come_twice() {
    // A broker that lags behind tells of the old topic, another of the new one again. Had the
    // sequence begun anew each time, the second record would have been taken for the first.
    let (mut pair, request, _) = recreated_under_way();
    pair.accept(&request, 7);
    let mut stamps = alloc::vec::Vec::new();
    for (id, topic) in [(1, "once"), (2, "twice")] {
        let request = pair.next();
        stamps.extend(request.stamps());
        pair.topic_id = Uuid([id; 16]);
        pair.accept(&request, 0);
        pair.producer.want_topic(topic); // makes the core ask
        pair.drive();
        pair.send(0, &[3; 40]);
    }
    stamps.extend(pair.next().stamps());
    assert_eq!(stamps, [(0, 1, 0, 1), (0, 2, 0, 1), (0, 3, 0, 1)]);
}

/// Laws: L1. Scenarios: F4.
#[test]
fn a_leader_that_moved_after_it_may_have_appended_leaves_the_outcome_open() {
    // With acks=all a broker says so of a batch that it has appended as well, when it stops being
    // the leader before the followers have it; they may have it nevertheless.
    for (acks, outcome) in [("all", Outcome::MaybePersisted), ("1", Outcome::NotPersisted)] {
        let idempotent = if acks == "all" { "true" } else { "false" };
        let mut pair = Pair::ready(&[("acks", acks), ("enable.idempotence", idempotent)]);
        pair.send(0, b"x");
        let request = pair.next();
        pair.up = false;
        pair.refuse(&request, ErrorCode::NOT_LEADER_OR_FOLLOWER);
        pair.cut(request.connection);
        pair.pass(200_000);
        let failure = pair.told[0].result.clone().unwrap_err();
        assert_eq!((failure.kind, failure.outcome), (ErrorKind::Timeout, outcome), "acks={acks}");
    }
}

/// Laws: L8. Scenarios: F11.
#[test]
fn partitions_that_are_added_can_be_used() {
    let mut pair = Pair::ready(&[]);
    pair.leaders.push(2);
    pair.pass(300_001);
    assert_eq!(pair.partitions.len(), 4);
    pair.send(3, b"x");
    assert_eq!(pair.next().stamps(), [(3, 0, 0, 1)]);
}
