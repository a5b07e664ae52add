//! Peers that waste time: how often and how long the core has to do with them.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use ottla_protocol::messages::api_versions::{ApiVersion, ApiVersionsResponse};
use ottla_protocol::{ApiKey, Reader, RequestHeader, encode_response};

use super::pair::{Pair, TOPIC};
use crate::output::ConnectionId;

/// How the peer ends a connection.
#[derive(Clone, Copy, PartialEq)]
enum Ends {
    AfterAccept,
    AfterVersions,
}

/// What is sent on a connection that the pair does not serve itself.
fn asked(pair: &mut Pair, id: ConnectionId) -> Vec<RequestHeader> {
    let mut asked = Vec::new();
    while let Some(transmit) = pair.producer.poll_transmit(&mut pair.queues, pair.now) {
        if transmit.connection == id {
            let bytes: Vec<u8> = transmit.frame.slices().flatten().copied().collect();
            let frame = bytes::Bytes::from(bytes).slice(4..);
            asked.push(RequestHeader::decode(&mut Reader::new(&frame)).unwrap());
        }
    }
    asked
}

/// Tells a connection all the versions that we know.
fn offer_versions(pair: &mut Pair, id: ConnectionId) {
    let header = asked(pair, id).pop().expect("versions should be asked for");
    let offer = |api: ApiKey| {
        let range = api.versions().unwrap();
        ApiVersion { api_key: api.0, min_version: range.min, max_version: range.max }
    };
    let api_keys = [ApiKey::PRODUCE, ApiKey::METADATA, ApiKey::INIT_PRODUCER_ID].map(offer).into();
    let body = ApiVersionsResponse { api_keys, ..Default::default() };
    let mut frame = Vec::new();
    let (version, number) = (header.api_version, header.correlation_id);
    encode_response(header.api_key, version, number, &body, &mut frame).unwrap();
    pair.producer.handle_bytes(id, &frame, &mut pair.queues, pair.now);
}

/// Opens and ends every connection that is wanted now; gives how many those were.
fn end_all(pair: &mut Pair, ends: Ends) -> usize {
    let mut count = 0;
    pair.drive();
    while let Some(connect) = pair.connects.pop_front() {
        count += 1;
        assert!(count < 1000, "connections without end at one moment");
        let id = connect.connection;
        pair.producer.handle_connected(id, pair.now);
        if ends == Ends::AfterVersions {
            offer_versions(pair, id);
            // What is asked next has no time to be answered.
            asked(pair, id);
        }
        let why = "the server closed the connection";
        pair.producer.handle_disconnected(id, why, &mut pair.queues, pair.now);
        pair.drive();
    }
    count
}

/// How many connections are opened in a minute to a cluster whose servers all do this.
fn connections_in_a_minute(pair: &mut Pair, ends: Ends) -> usize {
    let end = pair.now + Duration::from_secs(60);
    let mut count = end_all(pair, ends);
    while let Some(at) = pair.producer.poll_timeout(pair.now).filter(|at| *at <= end) {
        pair.now = at.max(pair.now);
        pair.producer.handle_timeout(&mut pair.queues, pair.now);
        count += end_all(pair, ends);
    }
    count
}

/// Laws: L9. Scenarios: A12.
#[test]
fn servers_that_hang_up_are_called_once_a_second_and_no_more() {
    for ends in [Ends::AfterAccept, Ends::AfterVersions] {
        let mut pair = Pair::new(&[("bootstrap.servers", "one:1,two:2")]);
        pair.up = false;
        pair.producer.want_topic(TOPIC);
        let count = connections_in_a_minute(&mut pair, ends);
        // Two servers; the first seconds are faster, and a wait may be a fifth shorter.
        assert!((60..=170).contains(&count), "{count}");
        // And when one of them is a broker again, all goes on.
        pair.up = true;
        pair.pass(2_000);
        assert_eq!(pair.partitions.len(), 3);
    }
}

/// Laws: L1, L9. Scenarios: A12.
#[test]
fn a_broker_that_hangs_up_instead_of_answering_is_called_no_faster_with_records_to_send() {
    for ends in [Ends::AfterAccept, Ends::AfterVersions] {
        let mut pair = Pair::ready(&[]);
        for partition in 0..3 {
            pair.append(partition, b"x");
        }
        pair.drive();
        pair.up = false;
        for id in pair.connections.keys().copied().collect::<Vec<_>>() {
            pair.cut(id);
        }
        let count = connections_in_a_minute(&mut pair, ends);
        // Two leaders, one more broker and the bootstrap server.
        assert!((60..=340).contains(&count), "{count}");
        assert!(pair.told.is_empty(), "no record is given up for that");
        pair.up = true;
        for _ in 0..3 {
            pair.pass(1_500);
            while let Some(request) = pair.produced.pop_front() {
                pair.accept(&request, 0);
            }
        }
        assert_eq!(pair.told.iter().filter(|told| told.result.is_ok()).count(), 3);
    }
}

/// A server that sends a byte now and then keeps its own connection young, and once kept the
/// producer from looking elsewhere for as long as a request may take.
///
/// Laws: L9. Scenarios: A9.
#[test]
fn a_server_that_drips_does_not_keep_the_next_from_being_tried() {
    let mut pair = Pair::new(&[("bootstrap.servers", "one:1,two:2")]);
    pair.up = false;
    pair.producer.want_topic(TOPIC);
    pair.drive();
    let dripping = pair.connects.pop_front().expect("one server").connection;
    pair.producer.handle_connected(dripping, pair.now);
    assert_eq!(asked(&mut pair, dripping).len(), 1, "versions");
    let mut frame: Vec<u8> = [&100_u32.to_be_bytes()[..], b"\r\n\r\n", &[0; 90]].concat();
    frame.reverse();
    let begin = pair.now;
    while pair.connects.is_empty() {
        let byte = frame.pop().expect("the other server should have been tried by now");
        pair.producer.handle_bytes(dripping, &[byte], &mut pair.queues, pair.now);
        pair.pass(100);
    }
    assert!(pair.now - begin <= Duration::from_millis(1200), "{:?}", pair.now - begin);
}

/// Laws: L9. Scenarios: A9, A11.
#[test]
fn an_answer_that_drips_is_given_up_when_its_time_is_over_however_young_its_last_byte() {
    let mut pair = Pair::ready(&[("request.timeout.ms", "1000")]);
    pair.send(0, b"x");
    let request = pair.next();
    let announced: Vec<u8> = [&1000_u32.to_be_bytes()[..], &[0; 30]].concat();
    for byte in announced.into_iter().take(15) {
        pair.producer.handle_bytes(request.connection, &[byte], &mut pair.queues, pair.now);
        pair.pass(100);
    }
    assert!(pair.closed.contains(&request.connection));
    let why: &String = pair.unreachable.last().expect("it is told");
    assert!(why.contains("request.timeout.ms"), "{why}");
}
