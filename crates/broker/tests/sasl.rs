//! SASL as clients meet it: who is let in, who is not, and in which words.

mod common;

use std::time::Duration;

use common::Batch;
use common::client::Client;
use ottla_broker::{ApiKey, Cluster, ErrorCode, Fault, Mechanism, Sasl};
use ottla_protocol::messages::api_versions::ApiVersionsRequest;
use ottla_protocol::messages::metadata::MetadataRequest;
use ottla_protocol::messages::sasl_authenticate::SaslAuthenticateRequest;
use ottla_protocol::messages::sasl_handshake::SaslHandshakeRequest;

const ALL: [Mechanism; 3] = [Mechanism::ScramSha512, Mechanism::ScramSha256, Mechanism::Plain];

fn sasl() -> Sasl {
    // Nobody has to wait for a refusal here.
    Sasl::new(ALL).failed_authentication_delay(Duration::ZERO)
}

fn cluster(sasl: Sasl) -> Cluster {
    let cluster = Cluster::builder().topic("t", 1).sasl(sasl).user("alice", "alice-secret");
    cluster.start().expect("starts")
}

fn metadata(client: &mut Client) -> usize {
    client.call(9, &MetadataRequest { topics: None, ..MetadataRequest::default() }).topics.len()
}

#[test]
fn a_user_with_its_password_is_let_in_and_known_by_name() {
    let cluster = cluster(sasl());
    let mut client = Client::connect(&cluster);
    let versions = client.call(0, &ApiVersionsRequest::default());
    assert!(versions.api_keys.iter().any(|row| row.api_key == ApiKey::SASL_HANDSHAKE.0));
    let answer = client.log_in("alice", "alice-secret");
    assert_eq!((answer.error_code, answer.session_lifetime_ms), (0, 0));
    assert!(answer.auth_bytes.is_empty());
    assert_eq!(client.produce("t", 0, &Batch::numbered(3)).error_code, 0);
    assert_eq!(cluster.log_end_offset("t", 0), Some(3));
}

#[test]
fn wrong_credentials_are_refused_in_kafkas_words_and_the_connection_closes() {
    let cluster = cluster(sasl());
    for (name, password) in [("alice", "wrong"), ("bob", "alice-secret")] {
        let mut client = Client::connect(&cluster);
        let answer = client.log_in(name, password);
        assert_eq!(answer.error_code, ErrorCode::SASL_AUTHENTICATION_FAILED.0);
        let reason = "Authentication failed: Invalid username or password";
        assert_eq!(answer.error_message.as_deref(), Some(reason));
        assert!(client.is_closed_by_broker());
    }
}

#[test]
fn the_answer_to_wrong_credentials_waits_as_long_as_it_should() {
    let delay = Duration::from_millis(120);
    let cluster = cluster(sasl().failed_authentication_delay(delay));
    let started = std::time::Instant::now();
    let mut client = Client::connect(&cluster);
    assert_eq!(client.log_in("alice", "wrong").error_code, 58);
    assert!(started.elapsed() >= delay);
    assert!(client.is_closed_by_broker());
}

#[test]
fn a_mechanism_that_there_is_not_is_refused_with_those_that_there_are() {
    let cluster = cluster(sasl());
    for mechanism in ["GSSAPI", "plain", ""] {
        let mut client = Client::connect(&cluster);
        let request = SaslHandshakeRequest { mechanism: mechanism.to_owned() };
        let answer = client.call(1, &request);
        assert_eq!(answer.error_code, ErrorCode::UNSUPPORTED_SASL_MECHANISM.0);
        assert_eq!(answer.mechanisms, ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"]);
        assert!(client.is_closed_by_broker());
    }
}

#[test]
fn the_oldest_handshake_is_refused() {
    let cluster = cluster(sasl());
    let mut client = Client::connect(&cluster);
    let answer = client.call(0, &SaslHandshakeRequest { mechanism: "PLAIN".to_owned() });
    assert_eq!(answer.error_code, ErrorCode::UNSUPPORTED_VERSION.0);
    assert!(client.is_closed_by_broker());
}

#[test]
fn nothing_else_is_served_before_it_is_known_who_asks() {
    let cluster = cluster(sasl());
    // Before the handshake, in the middle, and after the versions.
    let everything = MetadataRequest::default();
    let mut client = Client::connect(&cluster);
    client.send(9, &everything);
    assert!(client.is_closed_by_broker());

    let mut client = Client::connect(&cluster);
    assert_eq!(client.handshake("PLAIN"), 0);
    client.send(9, &everything);
    assert!(client.is_closed_by_broker());

    let mut client = Client::connect(&cluster);
    client.send(2, &SaslAuthenticateRequest { auth_bytes: "\0alice\0alice-secret".into() });
    assert!(client.is_closed_by_broker());

    let mut client = Client::connect(&cluster);
    client.call(0, &ApiVersionsRequest::default());
    client.send(0, &ApiVersionsRequest::default());
    assert!(client.is_closed_by_broker());

    let mut client = Client::connect(&cluster);
    assert_eq!(client.handshake("PLAIN"), 0);
    client.send(0, &ApiVersionsRequest::default());
    assert!(client.is_closed_by_broker());
}

#[test]
fn a_large_request_is_read_only_from_those_who_are_known() {
    let cluster = cluster(sasl());
    let mut client = Client::connect(&cluster);
    client.raw(&(512 * 1024 + 1_i32).to_be_bytes());
    assert!(client.is_closed_by_broker());

    let mut client = Client::connect(&cluster);
    assert_eq!(client.log_in("alice", "alice-secret").error_code, 0);
    let large = Batch::of([vec![7; 900_000]]);
    assert_eq!(client.produce("t", 0, &large).error_code, 0);
}

#[test]
fn sasl_where_nobody_asks_for_it_and_sasl_twice_are_out_of_turn() {
    let open = Cluster::builder().topic("t", 1).start().unwrap();
    let asking = cluster(sasl());
    let mut known = Client::connect(&asking);
    assert_eq!(known.log_in("alice", "alice-secret").error_code, 0);
    for mut client in [Client::connect(&open), known] {
        assert_eq!(client.handshake("PLAIN"), ErrorCode::ILLEGAL_SASL_STATE.0);
        let answer = client.authenticate("\0alice\0alice-secret");
        assert_eq!(answer.error_code, ErrorCode::ILLEGAL_SASL_STATE.0);
        // And it goes on as before.
        assert_eq!(metadata(&mut client), 1);
    }
}

#[test]
fn users_come_and_go_while_the_cluster_runs() {
    let cluster = cluster(sasl());
    let code =
        |name: &str, password: &str| Client::connect(&cluster).log_in(name, password).error_code;
    assert_eq!(code("bob", "bob-secret"), 58);
    cluster.set_user("bob", "bob-secret").unwrap();
    assert_eq!(code("bob", "bob-secret"), 0);
    let mut old = Client::connect(&cluster);
    assert_eq!(old.log_in("bob", "bob-secret").error_code, 0);
    cluster.set_user("bob", "other").unwrap();
    assert_eq!((code("bob", "bob-secret"), code("bob", "other")), (58, 0));
    assert!(cluster.remove_user("bob") && !cluster.remove_user("bob"));
    assert_eq!(code("bob", "other"), 58);
    assert_eq!(metadata(&mut old), 1);
}

#[test]
fn a_session_that_is_not_renewed_ends_with_the_next_request() {
    let cluster = cluster(sasl().connections_max_reauth(Duration::from_millis(1)));
    let mut client = Client::connect(&cluster);
    assert_eq!(client.log_in("alice", "alice-secret").session_lifetime_ms, 1);
    // The broker looks at its own clock, and some millisecond is the first that is too late.
    while client.is_served() {}
    assert!(client.is_closed_by_broker());
}

#[test]
fn a_session_is_renewed_by_the_same_user_and_mechanism_and_not_too_often() {
    let cluster = cluster(sasl().connections_max_reauth(Duration::from_secs(3600)));
    let mut client = Client::connect(&cluster);
    assert_eq!(client.log_in("alice", "alice-secret").session_lifetime_ms, 3_600_000);
    // Requests that are under way come before, those behind it after.
    let answer = client.log_in("alice", "alice-secret");
    assert_eq!((answer.error_code, answer.session_lifetime_ms), (0, 3_600_000));
    assert_eq!(metadata(&mut client), 1);
    // Within the same second it is refused, and the connection goes on.
    assert_eq!(client.handshake("PLAIN"), ErrorCode::ILLEGAL_SASL_STATE.0);
    assert_eq!(metadata(&mut client), 1);
}

#[test]
fn a_session_is_not_renewed_by_another_user_or_mechanism_or_with_a_wrong_password() {
    let cluster = cluster(sasl().connections_max_reauth(Duration::from_secs(3600)));
    cluster.set_user("bob", "bob-secret").unwrap();
    let known = || {
        let mut client = Client::connect(&cluster);
        assert_eq!(client.log_in("alice", "alice-secret").error_code, 0);
        client
    };
    let said = |answer: ottla_protocol::messages::sasl_authenticate::SaslAuthenticateResponse| {
        assert_eq!(answer.error_code, 58);
        answer.error_message.unwrap()
    };
    let mut client = known();
    let reason = said(client.log_in("bob", "bob-secret"));
    assert!(reason.contains("Cannot change principals"), "{reason}");
    assert!(client.is_closed_by_broker());

    let mut client = known();
    assert_eq!(client.handshake("SCRAM-SHA-256"), 0);
    let reason = said(client.authenticate("n,,n=alice,r=x"));
    assert!(reason.contains("'SCRAM-SHA-256' requested by client"), "{reason}");
    assert!(client.is_closed_by_broker());

    let mut client = known();
    let reason = said(client.log_in("alice", "wrong"));
    assert!(reason.contains("Invalid username or password"), "{reason}");
    assert!(client.is_closed_by_broker());
}

#[test]
fn only_authentication_is_served_in_the_middle_of_a_renewal() {
    let cluster = cluster(sasl().connections_max_reauth(Duration::from_secs(3600)));
    let mut client = Client::connect(&cluster);
    assert_eq!(client.log_in("alice", "alice-secret").error_code, 0);
    assert_eq!(client.handshake("PLAIN"), 0);
    client.send(9, &MetadataRequest::default());
    assert!(client.is_closed_by_broker());
}

#[test]
fn scram_is_spoken_strictly_and_tells_nobody_why_it_refuses() {
    let cluster = cluster(sasl());
    for (first, last) in [
        ("n,,n=bob,r=abc", None),
        ("y,,n=alice,r=abc", None),
        ("n,,n=alice", None),
        ("n,,n=alice,r=abc", Some("c=biws,r=abc,p=AAAA")),
        ("n,,n=alice,r=abc", Some("")),
    ] {
        let mut client = Client::connect(&cluster);
        assert_eq!(client.handshake("SCRAM-SHA-256"), 0);
        let mut answer = client.authenticate(first);
        if let Some(last) = last {
            assert_eq!(answer.error_code, 0);
            let challenge = String::from_utf8(answer.auth_bytes.to_vec()).unwrap();
            assert!(
                challenge.starts_with("r=abc") && challenge.ends_with(",i=4096"),
                "{challenge}"
            );
            answer = client.authenticate(last);
        }
        assert_eq!(answer.error_code, 58, "{first}");
        let reason = "Authentication failed during authentication due to invalid credentials with \
                      SASL mechanism SCRAM-SHA-256";
        assert_eq!(answer.error_message.as_deref(), Some(reason));
        assert!(client.is_closed_by_broker());
    }
}

#[test]
fn each_exchange_has_a_nonce_and_each_user_a_salt_of_its_own() {
    let cluster = cluster(sasl());
    cluster.set_user("bob", "alice-secret").unwrap();
    let challenge = |name: &str| {
        let mut client = Client::connect(&cluster);
        client.handshake("SCRAM-SHA-512");
        let answer = client.authenticate(format!("n,,n={name},r=abc"));
        let text = String::from_utf8(answer.auth_bytes.to_vec()).unwrap();
        let (nonce, salt) = text.split_once(",s=").unwrap();
        (nonce.to_owned(), salt.to_owned())
    };
    let (first, second, bob) = (challenge("alice"), challenge("alice"), challenge("bob"));
    assert_ne!(first.0, second.0);
    assert_eq!(first.1, second.1);
    assert_ne!(first.1, bob.1);
}

#[test]
fn faults_break_the_exchange_at_any_step() {
    let cluster = cluster(sasl());
    let handshake = || SaslHandshakeRequest { mechanism: "SCRAM-SHA-256".to_owned() };
    cluster.inject(Fault::on(ApiKey::SASL_HANDSHAKE).disconnect());
    let mut client = Client::connect(&cluster);
    client.send(1, &handshake());
    assert!(client.is_closed_by_broker());

    cluster.inject(Fault::on(ApiKey::SASL_AUTHENTICATE).after(1).disconnect());
    let mut client = Client::connect(&cluster);
    client.call(1, &handshake());
    assert_eq!(client.authenticate("n,,n=alice,r=abc").error_code, 0);
    client.send(2, &SaslAuthenticateRequest { auth_bytes: "c=biws".into() });
    assert!(client.is_closed_by_broker());

    let code = ErrorCode::SASL_AUTHENTICATION_FAILED;
    cluster.inject(Fault::on(ApiKey::SASL_AUTHENTICATE).error_after_apply(code));
    assert_eq!(Client::connect(&cluster).log_in("alice", "alice-secret").error_code, code.0);
    assert_eq!(Client::connect(&cluster).log_in("alice", "alice-secret").error_code, 0);
}
