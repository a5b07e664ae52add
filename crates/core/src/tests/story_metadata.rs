//! What the cluster tells of itself, when that is old, empty, contradictory or wrong (law L8).

use alloc::string::String;
use alloc::vec::Vec;

use ottla_protocol::messages::produce::{
    LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};
use ottla_protocol::{ApiKey, ErrorCode, Uuid};

use super::pair::{Pair, Produced, TOPIC};
use super::story_retries::{accept_all, big, markers};
use crate::error::ErrorKind;

/// The cluster's layout is asked for every second.
const WATCHFUL: [(&str, &str); 2] = [("batch.size", "10"), ("metadata.max.age.ms", "1000")];

/// Answers that partition 0 is led by another node, at this address.
fn name_leader(pair: &mut Pair, request: &Produced, leader: (i32, i32), at: Option<(&str, i32)>) {
    let (leader_id, leader_epoch) = leader;
    let part = PartitionProduceResponse {
        error_code: ErrorCode::NOT_LEADER_OR_FOLLOWER.0,
        current_leader: LeaderIdAndEpoch { leader_id, leader_epoch },
        ..Default::default()
    };
    let topic_id = request.topic.1;
    let partition_responses = [part].to_vec();
    let topic = TopicProduceResponse { topic_id, partition_responses, ..Default::default() };
    let endpoint = |(host, port): (&str, i32)| NodeEndpoint {
        node_id: leader_id,
        host: String::from(host),
        port,
        ..Default::default()
    };
    let node_endpoints = at.map(endpoint).into_iter().collect();
    let responses = [topic].to_vec();
    pair.answer_with(request, &ProduceResponse { responses, node_endpoints, ..Default::default() });
}

/// Laws: L8. Scenarios: B-15, #62.
#[test]
fn a_leader_that_is_named_without_a_usable_address_or_with_an_old_epoch_is_not_followed() {
    for (leader, at) in [
        ((7, 9), None),
        ((7, 9), Some(("", 9092))),
        ((7, 9), Some(("node7", 0))),
        ((7, 9), Some(("node7", 70_000))),
        ((3, 1), Some(("node3", 9092))),
        ((3, 0), None),
        ((-1, 9), Some(("node3", 9092))),
    ] {
        let mut pair = Pair::introduced(&WATCHFUL);
        pair.send(0, &big(1));
        let request = pair.next();
        let asked = pair.metadata_requests;
        name_leader(&mut pair, &request, leader, at);
        pair.pass(500);
        let again = pair.next();
        assert_eq!((again.node, &again.batches), (1, &request.batches), "{leader:?} at {at:?}");
        assert!(pair.metadata_requests > asked, "who leads is asked for");
    }
}

/// Epochs of a topic that is gone say nothing about one that has its name.
/// Laws: L8. Scenarios: #63.
#[test]
fn a_leader_that_is_named_for_the_former_topic_is_not_that_of_the_new_one() {
    let mut pair = Pair::introduced(&WATCHFUL);
    pair.send(0, &big(1));
    let request = pair.next();
    pair.topic_id = Uuid([2; 16]);
    pair.leader_epoch = 0;
    pair.pass(1500);
    name_leader(&mut pair, &request, (3, 9), Some(("node3", 9092)));
    pair.send(0, &big(2));
    pair.pass(2000);
    let mut next = pair.next();
    assert_eq!((next.node, next.topic.1), (1, pair.topic_id));
    // And news of the new topic is news.
    pair.leaders[0] = 2;
    pair.leader_epoch = 1;
    for _ in 0..2 {
        pair.refuse(&next, ErrorCode::NOT_LEADER_OR_FOLLOWER);
        pair.pass(3000);
        next = pair.next();
    }
    assert_eq!(next.node, 2);
}

/// Laws: L8. Scenarios: #65, bug-24, F6.
#[test]
fn a_time_without_a_leader_and_an_epoch_makes_no_old_news_new() {
    let mut pair = Pair::introduced(&WATCHFUL);
    let first = pair.leaders.clone();
    pair.leader_epoch = 5;
    pair.pass(1500);
    (pair.leaders, pair.leader_epoch) = ([-1; 3].to_vec(), -1);
    pair.pass(20_000);
    // A broker that was away tells of the leader of long ago.
    (pair.leaders, pair.leader_epoch) = ([3; 3].to_vec(), 4);
    pair.pass(3000);
    pair.send(0, &big(1));
    assert!(pair.produced.is_empty());
    (pair.leaders, pair.leader_epoch) = (first, 6);
    pair.pass(3000);
    let request = pair.next();
    assert_eq!((request.node, request.stamps()), (1, [(0, 0, 1, 1)].to_vec()));
}

/// Laws: L8. Scenarios: #68, bug-17.
#[test]
fn a_partition_that_metadata_leaves_out_keeps_its_records_and_its_sequence() {
    let mut pair = Pair::introduced(&WATCHFUL);
    let left_out = pair.leaders.pop().unwrap();
    pair.send(2, &big(1));
    let request = pair.next();
    pair.pass(3000);
    pair.refuse(&request, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    pair.pass(1500);
    pair.leaders.push(left_out);
    pair.told.clear();
    let sent = accept_all(&mut pair);
    assert_eq!((markers(&sent), sent[0].stamps()), ([1].to_vec(), [(2, 0, 1, 1)].to_vec()));
    assert!(pair.told[0].result.is_ok());
}

/// Laws: L8, L9. Scenarios: #69.
#[test]
fn records_of_a_partition_that_is_gone_for_good_fail_when_their_time_is_over() {
    let lived = [("delivery.timeout.ms", "9000"), ("request.timeout.ms", "8000")];
    let mut pair = Pair::introduced(&[&WATCHFUL[..], &lived].concat());
    pair.leaders.pop();
    pair.send(2, &big(1));
    for _ in 0..100 {
        if let Some(request) = pair.produced.pop_front() {
            pair.refuse(&request, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        }
        pair.pass(100);
    }
    let failure = pair.told[0].result.clone().unwrap_err();
    assert_eq!(failure.kind, ErrorKind::Timeout);
    assert_eq!(failure.cause.clone().unwrap().code, Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
}

/// Laws: L8. Scenarios: bug-18, #66.
#[test]
fn a_topic_none_of_whose_partitions_has_a_leader_yet_takes_records_and_delivers_them_later() {
    let mut pair = Pair::new(&WATCHFUL);
    pair.leaders = [-1; 3].to_vec();
    pair.producer.want_topic(TOPIC);
    pair.drive();
    assert!(pair.topic_failures.is_empty());
    for n in 0..3 {
        pair.send(n, &big(n as u8));
    }
    pair.pass(10_000);
    assert!(pair.told.is_empty());
    let asked = pair.metadata_requests;
    assert!((5..=30).contains(&asked), "{asked}: it is asked for soon, but not in a rush");
    (pair.leaders, pair.leader_epoch) = ([1, 2, 3].to_vec(), 2);
    pair.pass(1500);
    accept_all(&mut pair);
    assert_eq!(pair.told.iter().filter(|told| told.result.is_ok()).count(), 3);
}

/// Laws: L1, L8. Scenarios: bug-16, bug-47, #67.
#[test]
fn metadata_without_partitions_neither_finishes_a_flush_nor_delivers_anything() {
    let mut pair = Pair::introduced(&[&WATCHFUL[..], &[("linger.adaptive", "false")]].concat());
    pair.leaders = [-1; 3].to_vec();
    pair.leader_epoch = 2;
    pair.pass(1500);
    let batch = pair.send(0, b"waits");
    pair.leaders.clear();
    pair.pass(3000);
    assert_eq!(pair.producer.flush(&mut pair.queues, pair.now), [batch]);
    pair.drive();
    pair.pass(3000);
    assert!(pair.told.is_empty());
    (pair.leaders, pair.leader_epoch) = ([1, 1, 2].to_vec(), 3);
    pair.pass(3000);
    let request = pair.next();
    pair.accept(&request, 1);
    assert_eq!((pair.told[0].batch, pair.told[0].result.is_ok()), (batch, true));
}

/// Laws: L8, L9. Scenarios: #78.
#[test]
fn leaders_of_two_partitions_that_move_at_once_are_asked_for_once() {
    let mut pair = Pair::introduced(&[("batch.size", "10")]);
    pair.pass(5000);
    pair.send(0, &big(1));
    pair.send(1, &big(2));
    let (zero, one) = (pair.next(), pair.next());
    (pair.leaders, pair.leader_epoch) = ([3, 3, 2].to_vec(), 2);
    let asked = pair.metadata_requests;
    pair.refuse(&zero, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    pair.refuse(&one, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    pair.pass(500);
    assert!(pair.produced.iter().all(|request| request.node == 3));
    assert_eq!(accept_all(&mut pair).len(), 2);
    // The first answer makes it ask; so may the second, which came after the question.
    assert!((1..=2).contains(&(pair.metadata_requests - asked)));
}

/// Laws: L8, L9. Scenarios: bug-25.
#[test]
fn a_broker_that_answers_nothing_does_not_keep_the_news_from_others() {
    let mut pair = Pair::introduced(&[&WATCHFUL[..], &[("request.timeout.ms", "2000")]].concat());
    pair.silent = Some(1);
    (pair.leaders, pair.leader_epoch) = ([3, 3, 2].to_vec(), 2);
    pair.send(2, &big(0)); // keeps the other connection
    let request = pair.next();
    pair.accept(&request, 1);
    pair.pass(6000);
    pair.send(0, &big(1));
    assert_eq!(pair.next().node, 3);
}

/// Opens the connections that are wanted, but those to hosts with this name; lets time pass.
fn without_hosts(pair: &mut Pair, dead: &str, millis: u64) -> usize {
    pair.up = false;
    let mut tried = 0;
    for _ in 0..millis / 100 {
        for connect in core::mem::take(&mut pair.connects) {
            tried += usize::from(connect.server.starts_with("boot"));
            if connect.server.starts_with(dead) {
                let why = "connection refused";
                let now = pair.now;
                pair.producer.handle_disconnected(connect.connection, why, &mut pair.queues, now);
            } else {
                pair.connections.insert(connect.connection, connect.server);
                pair.producer.handle_connected(connect.connection, pair.now);
            }
        }
        pair.drive();
        pair.pass(100);
    }
    tried
}

fn cut_all(pair: &mut Pair) {
    let open: Vec<_> = pair.connections.keys().copied().collect();
    pair.up = false;
    for connection in open {
        pair.cut(connection);
    }
}

/// Laws: L8, L9. Scenarios: #79, E2, F17.
#[test]
fn a_cluster_whose_brokers_all_have_new_addresses_is_found_by_the_bootstrap_servers() {
    let mut pair = Pair::introduced(&[("batch.size", "10")]);
    cut_all(&mut pair);
    pair.hosts = "other";
    let batch = pair.send(0, &big(1));
    without_hosts(&mut pair, "node", 5000);
    let request = pair.next();
    assert!(pair.connections[&request.connection].starts_with("other1"));
    assert_eq!(request.stamps(), [(0, 0, 1, 1)]);
    pair.accept(&request, 1);
    assert_eq!((pair.told[0].batch, pair.told[0].result.is_ok()), (batch, true));
}

/// Laws: L4, L8. Scenarios: #79, F17.
#[test]
fn a_broker_that_moves_to_another_address_is_left_at_the_old_one_and_gets_the_same_batch_there() {
    let mut pair = Pair::introduced(&WATCHFUL);
    pair.send(0, &big(1));
    let first = pair.next();
    pair.hosts = "other";
    pair.send(2, &big(2)); // a connection over which the news can come
    let other = pair.next();
    pair.accept(&other, 1);
    pair.pass(2000);
    assert!(pair.closed.contains(&first.connection));
    pair.produced.retain(|request| request.connection != first.connection);
    let again = pair.produced.iter().find(|request| request.node == 1).unwrap();
    assert!(pair.connections[&again.connection].starts_with("other1"));
    assert_eq!(again.batches, first.batches);
}

/// Laws: L9. Scenarios: #80.
#[test]
fn a_cluster_that_goes_and_comes_back_is_not_begun_with_anew_over_and_over() {
    let mut pair = Pair::introduced(&WATCHFUL);
    cut_all(&mut pair);
    pair.send(0, &big(1));
    let down = without_hosts(&mut pair, "", 20_000);
    assert!((5..60).contains(&down), "{down} times");
    without_hosts(&mut pair, "none", 3000);
    let request = pair.next();
    pair.accept(&request, 1);
    let later = without_hosts(&mut pair, "none", 60_000);
    assert_eq!(later, 0, "its brokers are enough");
}

/// Laws: L4. Scenarios: F16.
#[test]
fn a_broker_that_comes_back_with_other_versions_is_spoken_to_in_those_with_the_same_batch() {
    let mut pair = Pair::introduced(&WATCHFUL);
    let mut first: Option<Produced> = None;
    pair.send(0, &big(1));
    for newest in [9, 3, 12, i16::MAX] {
        let request = pair.next();
        if let Some(first) = &first {
            assert_eq!(request.batches, first.batches);
            assert_ne!(request.version, first.version);
        }
        pair.produce_max = newest;
        pair.cut(request.connection);
        pair.pass(2000);
        first = Some(request);
    }
    assert_eq!(pair.next().version, ApiKey::PRODUCE.versions().unwrap().max);
}

/// Laws: L8. Scenarios: #64.
#[test]
fn a_topic_with_a_new_id_may_begin_with_a_lower_epoch() {
    let mut pair = Pair::introduced(&WATCHFUL);
    (pair.topic_id, pair.leader_epoch, pair.leaders) = (Uuid([2; 16]), 0, [3; 3].to_vec());
    pair.pass(1500);
    pair.send(0, &big(1));
    assert_eq!(pair.next().node, 3);
}
