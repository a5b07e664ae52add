//! Answers that are well formed and say odd things.

use alloc::vec::Vec;

use ottla_protocol::messages::api_versions::{ApiVersion, ApiVersionsResponse};
use ottla_protocol::messages::produce::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};
use ottla_protocol::{ApiKey, ErrorCode, Uuid, encode_response};

use super::pair::{Pair, Produced};
use super::story_retries::{big, pipelined};

/// The number of the first request on a connection.
const FIRST: i32 = i32::from_be_bytes(*b"\r\n\r\n");

fn accepted(index: i32, base_offset: i64) -> PartitionProduceResponse {
    PartitionProduceResponse { index, base_offset, ..Default::default() }
}

fn of_topic(topic_id: Uuid, parts: &[PartitionProduceResponse]) -> TopicProduceResponse {
    let partition_responses = parts.to_vec();
    TopicProduceResponse { topic_id, partition_responses, ..Default::default() }
}

/// Two partitions under way in one request.
fn two_in_one_request() -> (Pair, Produced) {
    let mut pair = Pair::introduced(&[("linger.adaptive", "false"), ("linger.ms", "5")]);
    pair.append(0, b"a");
    pair.append(1, b"b");
    pair.drive();
    pair.pass(5);
    let request = pair.next();
    assert_eq!(request.batches.len(), 2);
    (pair, request)
}

/// Laws: L1. Scenarios: #96, B-11.
#[test]
fn entries_that_nobody_asked_for_and_entries_that_come_twice_change_nothing_for_the_others() {
    let (mut pair, request) = two_in_one_request();
    let ours = request.topic.1;
    let responses = [
        of_topic(Uuid([9; 16]), &[accepted(0, 900), accepted(1, 901)]),
        of_topic(ours, &[accepted(7, 907), accepted(-1, 908), accepted(0, 10)]),
        of_topic(ours, &[accepted(1, 20), accepted(2, 902)]),
        of_topic(ours, &[accepted(1, 20)]),
        of_topic(Uuid::ZERO, &[accepted(0, 903)]),
    ];
    let body = ProduceResponse { responses: responses.to_vec(), ..Default::default() };
    pair.answer_with(&request, &body);
    let mut offsets: Vec<_> =
        pair.told.iter().map(|told| told.result.clone().unwrap().base_offset).collect();
    offsets.sort_unstable();
    assert_eq!(offsets, [Some(10), Some(20)]);
    assert!(pair.connections.contains_key(&request.connection));
    let stats = pair.producer.stats();
    assert_eq!((stats.records_delivered, stats.records_failed), (5, 0));
}

/// Laws: L1, L4. Scenarios: B-10, B-11.
#[test]
fn a_partition_that_is_left_out_goes_again_while_its_neighbour_is_delivered() {
    let (mut pair, request) = two_in_one_request();
    let responses = [of_topic(request.topic.1, &[accepted(0, 10)])].to_vec();
    pair.answer_with(&request, &ProduceResponse { responses, ..Default::default() });
    assert_eq!(pair.told.len(), 1);
    pair.pass(500);
    let again = pair.next();
    assert_eq!(again.batches, request.batches[1..]);
}

/// Laws: L2. Scenarios: bug-41, B-12.
#[test]
fn a_success_without_an_offset_is_a_success_and_no_offset_is_made_up() {
    for base_offset in [-1, -2, i64::MIN] {
        let mut pair = pipelined(&[]);
        pair.send(0, &big(1));
        let request = pair.next();
        pair.accept(&request, base_offset);
        assert_eq!(pair.told[0].result.clone().unwrap().base_offset, None);
    }
}

/// Laws: L1. Scenarios: B-13, #117.
#[test]
fn errors_about_records_that_are_not_there_leave_the_error_of_the_batch() {
    let mut pair = pipelined(&[]);
    pair.send(0, &big(1));
    let request = pair.next();
    let minded = |n: i32| BatchIndexAndErrorMessage { batch_index: n, ..Default::default() };
    pair.answer(&request, |_, part| {
        part.error_code = ErrorCode::INVALID_RECORD.0;
        part.record_errors = (-5000..0).chain(1..5000).map(minded).collect();
    });
    assert_eq!(pair.told.len(), 1);
    assert_eq!(pair.told[0].records, 0..1);
    assert_eq!(pair.told[0].result.clone().unwrap_err().code, Some(ErrorCode::INVALID_RECORD));
}

/// The frame of an answer to a produce request, with these bytes behind its body.
fn frame(request: &Produced, body: &ProduceResponse, behind: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let (version, id) = (request.version, request.correlation_id);
    encode_response(ApiKey::PRODUCE, version, id, body, &mut out).unwrap();
    out.extend_from_slice(behind);
    let size = (out.len() - 4) as u32;
    out[..4].copy_from_slice(&size.to_be_bytes());
    out
}

/// A later broker may write more than this version of the client knows of.
/// Laws: L1. Scenarios: A8.
#[test]
fn bytes_behind_the_end_of_an_answer_are_passed_over() {
    let mut pair = pipelined(&[]);
    pair.send(0, &big(1));
    let request = pair.next();
    let responses = [of_topic(request.topic.1, &[accepted(0, 10)])].to_vec();
    let body = ProduceResponse { responses, ..Default::default() };
    let bytes = frame(&request, &body, &[1, 2, 3]);
    pair.producer.handle_bytes(request.connection, &bytes, &mut pair.queues, pair.now);
    pair.drive();
    assert_eq!(pair.told[0].result.clone().unwrap().base_offset, Some(10));
    assert!(pair.connections.contains_key(&request.connection));
}

/// Laws: L1. Scenarios: A6.
#[test]
fn an_answer_when_none_is_due_ends_the_connection_and_nothing_else() {
    let mut pair = pipelined(&[]);
    pair.send(0, &big(1));
    let request = pair.next();
    pair.accept(&request, 1);
    let bytes = frame(&request, &ProduceResponse::default(), &[]);
    pair.producer.handle_bytes(request.connection, &bytes, &mut pair.queues, pair.now);
    pair.drive();
    assert!(pair.closed.contains(&request.connection));
    assert_eq!(pair.told.len(), 1);
    pair.pass(2000);
    pair.send(0, &big(2));
    assert_eq!(pair.next().stamps(), [(0, 0, 2, 1)]);
}

/// Opens the first connection; answers every question about versions with this. Gives how many
/// questions there were, and what is said of the server, if anything.
fn asked_for_versions(body: &ApiVersionsResponse) -> (usize, Option<alloc::string::String>) {
    let (mut pair, connection) = Pair::connecting();
    let mut questions = 0;
    while pair.producer.poll_transmit(&mut pair.queues, pair.now).is_some() {
        // In version 0, as brokers answer what they do not know.
        let id = FIRST + questions as i32;
        questions += 1;
        let mut out = Vec::new();
        let version = if body.error_code == 0 { 3 } else { 0 };
        encode_response(ApiKey::API_VERSIONS, version, id, body, &mut out).unwrap();
        pair.producer.handle_bytes(connection, &out, &mut pair.queues, pair.now);
        assert!(questions < 10, "it asks for ever");
    }
    pair.drive();
    (questions, pair.unreachable.pop())
}

/// Laws: L9. Scenarios: #91, B-7.
#[test]
fn a_broker_that_refuses_every_version_is_asked_twice_and_left() {
    let code = ErrorCode::UNSUPPORTED_VERSION;
    let (questions, why) =
        asked_for_versions(&ApiVersionsResponse { error_code: code.0, ..Default::default() });
    assert_eq!(questions, 2);
    assert!(why.unwrap().contains("UNSUPPORTED_VERSION"));
}

/// Laws: L9, L11. Scenarios: B-7.
#[test]
fn a_broker_without_a_version_in_common_is_said_to_be_too_old_or_too_new() {
    let offer = |api_key: ApiKey, min_version, max_version| ApiVersion {
        api_key: api_key.0,
        min_version,
        max_version,
    };
    let (metadata, produce) = (offer(ApiKey::METADATA, 0, 99), offer(ApiKey::PRODUCE, 0, 99));
    let many = (0..i16::MAX).map(|key| offer(ApiKey(key), 900, 999)).collect::<Vec<_>>();
    for api_keys in [
        Vec::new(),
        [metadata.clone()].to_vec(),
        [metadata.clone(), offer(ApiKey::PRODUCE, 900, 999)].to_vec(),
        [metadata.clone(), offer(ApiKey::PRODUCE, 9, 3)].to_vec(),
        [metadata, offer(ApiKey::PRODUCE, -9, -3)].to_vec(),
        [produce, offer(ApiKey::METADATA, -9, -3)].to_vec(),
        many,
    ] {
        let (_, why) = asked_for_versions(&ApiVersionsResponse { api_keys, ..Default::default() });
        let why = why.unwrap();
        assert!(why.contains("too old or too new"), "{why}");
    }
}
