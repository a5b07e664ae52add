//! What a topic is set to: asked for when nothing else is under way, and never waited for.

use alloc::string::ToString;
use alloc::vec::Vec;

use ottla_protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResourceResult, DescribeConfigsResponse,
    DescribeConfigsResult,
};
use ottla_protocol::{ApiKey, ErrorCode, Message, Reader, RequestHeader};

use super::pair::{Pair, TOPIC};
use crate::output::ConnectionId;

/// What the cluster's topic is set to, and what came of it.
#[derive(Default)]
pub(super) struct Settings {
    /// Copies of each partition.
    pub(super) replicas: i32,
    /// `min.insync.replicas`.
    value: &'static str,
    error: ErrorCode,
    asked: usize,
    /// Replicas, and how many must be in sync.
    pub(super) told: Vec<(usize, Option<u32>)>,
}

impl Pair {
    /// Answers what the topic is set to.
    pub(super) fn receive_settings(
        &mut self,
        connection: ConnectionId,
        header: &RequestHeader,
        reader: &mut Reader<'_>,
    ) {
        let request = DescribeConfigsRequest::decode(reader, header.api_version).unwrap();
        assert_eq!(request.resources[0].resource_name, TOPIC);
        self.settings.asked += 1;
        let config = DescribeConfigsResourceResult {
            name: "min.insync.replicas".to_string(),
            value: Some(self.settings.value.to_string()),
            ..Default::default()
        };
        let result = DescribeConfigsResult {
            error_code: self.settings.error.0,
            resource_type: 2,
            resource_name: TOPIC.to_string(),
            configs: [config].to_vec(),
            ..Default::default()
        };
        let body = DescribeConfigsResponse { results: [result].to_vec(), ..Default::default() };
        self.reply(connection, header, &body);
    }
}

/// A producer that knows its topic, with so many replicas and so set.
fn pair(replicas: i32, value: &'static str) -> Pair {
    let mut pair = Pair::new(&[]);
    pair.settings.replicas = replicas;
    pair.settings.value = value;
    pair.producer.want_topic(TOPIC);
    pair.drive();
    pair
}

fn examine(pair: &mut Pair) {
    pair.producer.examine_topic(TOPIC, pair.now);
    pair.drive();
}

#[test]
fn a_topic_with_several_replicas_is_asked_how_many_must_be_in_sync() {
    let mut pair = pair(3, "1");
    assert_eq!(pair.settings.asked, 0, "nobody wants to know");
    examine(&mut pair);
    assert_eq!((pair.settings.asked, &pair.settings.told[..]), (1, &[(3, Some(1))][..]));
}

#[test]
fn a_topic_with_one_replica_is_told_of_without_a_question() {
    let mut pair = pair(1, "1");
    examine(&mut pair);
    assert_eq!((pair.settings.asked, &pair.settings.told[..]), (0, &[(1, None)][..]));
}

#[test]
fn a_question_waits_until_no_record_is_on_its_way() {
    let mut pair = pair(3, "2");
    let batch = pair.send(0, b"v");
    examine(&mut pair);
    let request = pair.next();
    assert_eq!(pair.settings.asked, 0);
    pair.accept(&request, 0);
    pair.drive();
    assert_eq!(pair.told[0].batch, batch);
    assert_eq!((pair.settings.asked, &pair.settings.told[..]), (1, &[(3, Some(2))][..]));
}

#[test]
fn a_producer_that_is_never_idle_asks_after_a_while() {
    let mut pair = pair(3, "2");
    pair.send(0, b"v");
    examine(&mut pair);
    let first = pair.next();
    pair.pass(10_000);
    pair.send(2, b"v");
    pair.accept(&first, 0);
    pair.drive();
    assert_eq!(pair.settings.asked, 1);
}

#[test]
fn who_may_not_know_is_told_nothing_and_sends_as_before() {
    let mut pair = pair(3, "1");
    pair.settings.error = ErrorCode::TOPIC_AUTHORIZATION_FAILED;
    examine(&mut pair);
    assert_eq!((pair.settings.asked, pair.settings.told.len()), (1, 0));
    pair.send(0, b"v");
    let request = pair.next();
    pair.accept(&request, 0);
    assert!(pair.told[0].result.is_ok());

    let mut old = pair_without_the_question();
    examine(&mut old);
    assert_eq!((old.settings.asked, old.settings.told.len(), old.unreachable.len()), (0, 0, 0));
}

fn pair_without_the_question() -> Pair {
    let mut pair = Pair::new(&[]);
    pair.settings.replicas = 3;
    pair.without = Some(ApiKey::DESCRIBE_CONFIGS);
    pair.producer.want_topic(TOPIC);
    pair.drive();
    pair
}
