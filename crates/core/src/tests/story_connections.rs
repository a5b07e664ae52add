//! Peers that are not what they should be.

use ottla_protocol::ErrorCode;

use super::pair::Pair;
use crate::output::Trouble;

/// Opens the first connection and feeds it these bytes; gives what the core says about them.
fn greeted_with(bytes: &[u8]) -> alloc::string::String {
    let (mut pair, connection) = Pair::connecting();
    while pair.producer.poll_transmit(&mut pair.queues, pair.now).is_some() {}
    pair.producer.handle_bytes(connection, bytes, &mut pair.queues, pair.now);
    pair.drive();
    assert_eq!(pair.closed, [connection]);
    pair.unreachable.pop().expect("the reason should be told")
}

#[test]
fn a_producer_connects_when_it_is_told_to_and_not_before_there_is_a_topic() {
    let mut pair = Pair::new(&[]);
    pair.drive();
    assert!(pair.connections.is_empty());
    pair.producer.connect();
    pair.drive();
    assert_eq!(pair.connections.len(), 1);
}

/// Laws: L11. Scenarios: A4, bug-57.
#[test]
fn a_server_that_speaks_http_or_tls_is_named_as_such() {
    let http = greeted_with(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    assert!(http.contains("HTTP"), "{http}");
    let tls = greeted_with(&[0x15, 3, 3, 0, 2, 2, 40]);
    assert!(tls.contains("TLS"), "{tls}");
}

/// Laws: L11. Scenarios: A1, A2, A3, bug-55.
#[test]
fn impossible_frames_end_the_connection_before_anything_is_allocated() {
    for bytes in [[0xff; 4], [0x7f, 0xff, 0xff, 0xff], [0, 0, 0, 0], [0, 0, 0, 3]] {
        let mut frame = bytes.to_vec();
        frame.extend_from_slice(&[0; 3]);
        assert!(!greeted_with(&frame).is_empty());
    }
}

/// Laws: L1. Scenarios: A5.
#[test]
fn an_answer_with_another_number_than_the_one_due_ends_the_connection() {
    let why = greeted_with(&[0, 0, 0, 8, 0, 0, 0, 99, 0, 0, 0, 0]);
    assert!(why.contains("99"), "{why}");
}

#[test]
fn garbage_in_a_frame_of_the_right_form_is_an_error_and_not_a_panic() {
    let mut frame = alloc::vec![0, 0, 0, 24];
    frame.extend_from_slice(b"\r\n\r\n"); // the number that is due
    frame.extend_from_slice(&[0xee; 20]);
    assert!(!greeted_with(&frame).is_empty());
}

/// Laws: L9. Scenarios: A12.
#[test]
fn a_server_that_hangs_up_during_the_handshake_is_suspected_of_wanting_tls() {
    let (mut pair, connection) = Pair::connecting();
    let why = "the server closed the connection";
    pair.producer.handle_disconnected(connection, why, &mut pair.queues, pair.now);
    pair.drive();
    assert!(
        pair.unreachable[0].contains("security.protocol=SSL or SASL_SSL"),
        "{}",
        pair.unreachable[0]
    );
    assert_eq!(pair.troubles, [Trouble::Network]);
}

#[test]
fn a_certificate_that_is_not_accepted_is_told_apart_from_a_network_that_fails() {
    let (mut pair, connection) = Pair::connecting();
    pair.producer.handle_refused(connection, "an expired one", &mut pair.queues, pair.now);
    pair.drive();
    assert_eq!((&*pair.unreachable[0], pair.troubles[0]), ("an expired one", Trouble::Tls));
}

/// Laws: L9. Scenarios: A11, #83.
#[test]
fn a_request_without_an_answer_ends_its_connection_and_only_that() {
    let mut pair = Pair::ready(&[("request.timeout.ms", "1000")]);
    pair.send(0, b"to node 1");
    pair.send(2, b"to node 2");
    let (one, two) = (pair.next(), pair.next());
    pair.pass(900);
    pair.accept(&two, 0);
    pair.pass(200);
    assert_eq!(pair.closed.iter().filter(|id| **id == one.connection).count(), 1);
    assert!(!pair.closed.contains(&two.connection));
}

/// Laws: L9. Scenarios: #92.
#[test]
fn an_idle_connection_is_closed_quietly_and_opened_again_when_needed() {
    let mut pair =
        Pair::ready(&[("connections.max.idle.ms", "10000"), ("metadata.max.age.ms", "86400000")]);
    pair.send(0, b"x");
    let request = pair.next();
    pair.accept(&request, 0);
    pair.pass(10_001);
    assert!(pair.connections.is_empty() && pair.unreachable.is_empty());
    pair.send(0, b"y");
    let request = pair.next();
    assert_eq!(request.stamps(), [(0, 0, 1, 1)], "the sequence goes on");
}

/// Laws: L8, L9. Scenarios: #79, #80, E2.
#[test]
fn a_cluster_that_asks_for_it_is_looked_for_from_the_bootstrap_servers_again() {
    let mut pair = Pair::introduced(&[("retry.backoff.ms", "10")]);
    assert!(pair.connections.values().all(|server| server != "boot:9092"));
    pair.metadata_error = ErrorCode::REBOOTSTRAP_REQUIRED;
    pair.pass(300_001);
    assert!(!pair.connections.values().any(|server| server.starts_with("node")));
    pair.metadata_error = ErrorCode::NONE;
    // Nothing that was known of topics is lost, nor are sequences.
    pair.send(0, b"x");
    pair.pass(5_000);
    let request = pair.next();
    assert_eq!(request.stamps(), [(0, 0, 1, 1)]);
    pair.accept(&request, 1);
    assert!(pair.told.last().is_some_and(|told| told.result.is_ok()));
}
