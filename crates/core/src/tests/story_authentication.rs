//! Who we are: before the first request, and again while records flow.

use alloc::string::ToString;

use ottla_protocol::{ApiKey, ErrorCode};

use super::pair::Pair;
use super::sasl::SASL;
use crate::error::{ErrorKind, Outcome};
use crate::output::{AuthReply, Trouble};

fn refused(settings: &[(&str, &str)], cluster: impl Fn(&mut Pair)) -> Pair {
    let mut pair = Pair::new(settings);
    cluster(&mut pair);
    pair.producer.want_topic("events");
    pair.drive();
    pair
}

/// Laws: L4. Scenarios: S4.
#[test]
fn no_request_but_those_about_it_precedes_authentication() {
    let mut pair = Pair::ready(&SASL);
    assert_eq!(pair.sasl.admitted, 1);
    pair.send(0, b"a");
    let request = pair.next();
    pair.accept(&request, 7);
    assert!(pair.told[0].result.is_ok());
    // The bootstrap server and the broker.
    assert_eq!(pair.sasl.admitted, 2);
}

/// Laws: L3, L4, L7. Scenarios: #88, S7, bug-42.
#[test]
fn a_session_is_renewed_behind_what_is_in_flight_and_what_follows_waits_for_it() {
    let mut pair = Pair::ready(&[&SASL[..], &[("linger.ms", "0")]].concat());
    pair.sasl.lifetime_ms = 10_000;
    pair.send(0, b"first");
    let first = pair.next();
    pair.accept(&first, 0);
    for number in 0..5 {
        pair.send(0, &[number]);
    }
    let before = pair.sasl.admitted;
    pair.pass(9_600);
    assert_eq!(pair.sasl.admitted, before, "its requests are answered first");
    pair.send(0, b"behind");
    assert_eq!(pair.produced.len(), 5);
    for offset in 0..5 {
        let request = pair.next();
        assert_eq!(request.stamps()[0].2, offset + 1);
        pair.accept(&request, i64::from(offset) + 1);
    }
    assert_eq!(pair.sasl.admitted, before + 1);
    let request = pair.next();
    assert_eq!(request.stamps()[0].2, 6);
    pair.accept(&request, 6);
    assert!(pair.told.iter().all(|told| told.result.is_ok()));
    assert!(!pair.closed.contains(&request.connection), "on the same connection");
}

/// Brokers look at the clock when they come to a request. With the usual margin the five in flight
/// would find the session over, and the connection closed.
/// Laws: L3, L4. Scenarios: #88, S5.
#[test]
fn where_answers_are_slow_a_session_is_renewed_sooner() {
    let mut pair = Pair::ready(&[&SASL[..], &[("linger.ms", "0")]].concat());
    pair.sasl.lifetime_ms = 10_000;
    pair.send(0, b"first");
    pair.pass(2_000);
    let first = pair.next();
    pair.accept(&first, 0);
    let before = pair.sasl.admitted;
    pair.pass(4_100);
    assert_eq!(pair.sasl.admitted, before + 1, "6 s after it began, and not 8.5");
    pair.send(0, b"again");
    let request = pair.next();
    pair.accept(&request, 1);
    assert!(!pair.closed.contains(&request.connection));
}

/// Laws: L9. Scenarios: S5.
#[test]
fn sessions_of_any_length_are_renewed_at_a_bounded_rate() {
    for lifetime_ms in [0, 1, 1_000, 60_000, i64::MAX, -1, i64::MIN] {
        let mut pair = Pair::new(&SASL);
        pair.sasl.lifetime_ms = lifetime_ms;
        pair.producer.want_topic("events");
        pair.drive();
        for offset in 0..100 {
            pair.send(0, b"x");
            while let Some(request) = pair.produced.pop_front() {
                pair.accept(&request, offset);
            }
            pair.pass(100);
        }
        // Where a session is over before it can be renewed, connections are made instead.
        let most = if (1..=1_000).contains(&lifetime_ms) { 100 } else { 4 };
        assert!(pair.sasl.admitted <= most, "{lifetime_ms} ms: {}", pair.sasl.admitted);
    }
}

/// Laws: L9. Scenarios: S5.
#[test]
fn a_session_in_which_nothing_was_sent_is_not_renewed() {
    let mut pair = Pair::ready(&SASL);
    pair.sasl.lifetime_ms = 10_000;
    pair.send(0, b"x");
    let request = pair.next();
    pair.accept(&request, 0);
    // What was sent counts for the session in which it was sent.
    pair.pass(10_000);
    let admitted = pair.sasl.admitted;
    pair.pass(60_000);
    assert_eq!(pair.sasl.admitted, admitted);
    pair.send(0, b"y");
    let request = pair.next();
    pair.accept(&request, 1);
    assert!(pair.told.iter().all(|told| told.result.is_ok()));
}

/// Laws: L4, L9. Scenarios: #90.
#[test]
fn without_acknowledgements_a_session_is_renewed_between_two_requests() {
    let mut pair = Pair::ready(&[&SASL[..], &[("acks", "0"), ("linger.ms", "0")]].concat());
    pair.sasl.lifetime_ms = 10_000;
    for number in 0..300 {
        pair.send(0, &[number as u8]);
        let request = pair.next();
        let token = request.written_token.unwrap();
        pair.producer.handle_written(token, &mut pair.queues, pair.now);
        pair.drive();
        pair.pass(100);
    }
    assert_eq!(pair.told.len(), 300);
    assert!(pair.told.iter().all(|told| told.result.is_ok()));
    assert!((3..=6).contains(&pair.sasl.admitted), "{}", pair.sasl.admitted);
}

/// Laws: L1, L9. Scenarios: #89, S6.
#[test]
fn a_refused_renewal_costs_the_connection_and_no_record() {
    let mut pair = Pair::new(&SASL);
    pair.sasl.lifetime_ms = 10_000;
    pair.producer.want_topic("events");
    pair.drive();
    pair.send(0, b"a");
    let request = pair.next();
    pair.sasl.error = ErrorCode::SASL_AUTHENTICATION_FAILED;
    pair.pass(9_600);
    pair.send(0, b"b");
    pair.accept(&request, 0);
    assert!(pair.told[0].result.is_ok(), "what was in flight is settled by its answer");
    let why = pair.unreachable.last().unwrap();
    assert!(why.contains("authentication failed: Invalid credentials  [31m"), "{why}");
    assert!(why.contains("[SASL_AUTHENTICATION_FAILED]; PLAIN: check sasl.username"), "{why}");
    // The password is right again before the record's time is up.
    pair.pass(5_000);
    assert_eq!(pair.told.len(), 1);
    pair.sasl.error = ErrorCode::NONE;
    pair.pass(5_000);
    let request = pair.next();
    pair.accept(&request, 1);
    assert!(pair.told[1].result.is_ok());
}

/// Laws: L1, L9. Scenarios: #89, S6.
#[test]
fn records_that_no_renewal_saves_say_so_when_their_time_is_up() {
    let mut pair = Pair::new(&SASL);
    pair.sasl.lifetime_ms = 10_000;
    pair.producer.want_topic("events");
    pair.drive();
    pair.sasl.error = ErrorCode::SASL_AUTHENTICATION_FAILED;
    pair.send(0, b"a");
    pair.pass(200_000);
    let failure = pair.told[0].result.clone().unwrap_err();
    assert_eq!((failure.kind, failure.outcome), (ErrorKind::Timeout, Outcome::NotPersisted));
    assert!(failure.to_string().contains("authentication failed"), "{failure}");
}

/// Laws: L9. Scenarios: S6.
#[test]
fn a_renewal_whose_credentials_are_late_is_tried_again_while_the_session_lasts() {
    let mut pair = Pair::ready(&SASL);
    pair.sasl.lifetime_ms = 60_000;
    pair.send(0, b"a");
    let request = pair.next();
    pair.accept(&request, 0);
    pair.sasl.host_error = Some("the identity provider is away".to_string());
    let admitted = pair.sasl.admitted;
    pair.pass(58_000);
    assert!(pair.unreachable.last().unwrap().contains("the identity provider is away"));
    pair.send(0, b"b");
    let request = pair.next();
    pair.accept(&request, 1);
    assert_eq!(pair.told.len(), 2, "the connection is good for records meanwhile");
    pair.sasl.host_error = None;
    pair.pass(1_500);
    assert_eq!(pair.sasl.admitted, admitted + 1);
    assert!(!pair.closed.contains(&request.connection));
}

/// Laws: L9. Scenarios: S8.
#[test]
fn a_host_that_never_answers_costs_the_connection_its_time_and_no_more() {
    let mut pair = Pair::new(&SASL);
    pair.sasl.host_waits = true;
    pair.producer.want_topic("events");
    pair.drive();
    assert_eq!(pair.sasl.waiting.len(), 1);
    pair.pass(31_000);
    assert!(pair.unreachable[0].contains("no credentials within request.timeout.ms"));
    // What it says too late is about a connection that is gone.
    let late = pair.sasl.waiting.remove(0);
    let reply = AuthReply::Complete;
    pair.producer.handle_authenticated(late.connection, reply, &mut pair.queues, pair.now);
    assert_eq!(pair.sasl.admitted, 0);
}

/// Laws: L9. Scenarios: S4.
#[test]
fn where_every_server_refuses_us_from_the_start_nobody_waits() {
    let refuse = |pair: &mut Pair| pair.sasl.error = ErrorCode::SASL_AUTHENTICATION_FAILED;
    let mut pair = refused(&SASL, refuse);
    let failure = pair.topic_failures.pop().unwrap();
    assert_eq!(failure.kind, ErrorKind::Authentication);
    let told = failure.to_string();
    assert!(told.contains("check sasl.username and sasl.password"), "{told}");
    assert!(told.contains("broker boot:9092"), "{told}");
    assert_eq!(pair.troubles, [Trouble::Sasl]);
    // Nobody wants anything: the account is not tried again and again.
    assert_eq!(pair.producer.poll_timeout(pair.now), None);
    // Until somebody does, and then it may work.
    pair.sasl.error = ErrorCode::NONE;
    pair.producer.want_topic("events");
    pair.pass(200);
    assert_eq!(pair.partitions.len(), 3);
}

/// Laws: none. Scenarios: S4.
#[test]
fn a_mechanism_that_is_not_offered_is_never_replaced_by_another() {
    let code = ErrorCode::UNSUPPORTED_SASL_MECHANISM;
    let pair = refused(&SASL, |pair| pair.sasl.handshake_error = code);
    let told = pair.topic_failures[0].to_string();
    assert!(told.contains("does not offer sasl.mechanism=PLAIN on this listener"), "{told}");
    assert!(told.contains("but SCRAM-SHA-512, EVIL"), "{told}");
    assert!(!told.chars().any(char::is_control), "{told:?}");
    assert_eq!(pair.sasl.admitted, 0);
}

/// Laws: none. Scenarios: S4.
#[test]
fn a_listener_without_sasl_is_named_as_such() {
    let pair = refused(&SASL, |pair| pair.sasl.handshake_error = ErrorCode::ILLEGAL_SASL_STATE);
    let told = pair.topic_failures[0].to_string();
    assert!(told.contains("set security.protocol=PLAINTEXT"), "{told}");
}

/// Laws: none. Scenarios: S4.
#[test]
fn a_listener_that_closes_after_the_first_request_is_taken_for_one_with_sasl() {
    let mut pair = Pair::new(&[]);
    pair.silent = Some(0);
    pair.producer.want_topic("events");
    pair.drive();
    pair.silent = None;
    pair.pass(0);
    let (connection, _) = pair.connections.pop_first().unwrap();
    pair.cut(connection);
    assert!(pair.unreachable.is_empty() || pair.unreachable[0].contains("SASL"));
}

/// Laws: none. Scenarios: S4.
#[test]
fn a_broker_without_sasl_requests_is_too_old() {
    let pair = refused(&SASL, |pair| pair.without = Some(ApiKey::SASL_AUTHENTICATE));
    let told = pair.topic_failures[0].to_string();
    assert!(told.contains("too old for SaslAuthenticate"), "{told}");
}
