//! OAUTHBEARER as clients meet it, and what faults make of authentication.

mod common;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::client::Client;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use ottla_broker::{ApiKey, Cluster, Fault, Mechanism, Sasl, Tokens};
use ottla_protocol::messages::sasl_authenticate::SaslAuthenticateResponse;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};

fn sasl(tokens: Tokens) -> Sasl {
    let sasl = Sasl::new([Mechanism::OAuthBearer, Mechanism::ScramSha256, Mechanism::Plain]);
    sasl.tokens(tokens).failed_authentication_delay(Duration::ZERO)
}

fn cluster(sasl: Sasl) -> Cluster {
    Cluster::builder().sasl(sasl).user("alice", "alice-secret").start().expect("starts")
}

fn claims(principal: &str, lifetime: i64) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    json!({"sub": principal, "iat": now, "exp": now + lifetime})
}

fn unsecured(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.", part(&json!({"alg": "none"})), part(claims))
}

fn message(token: &str) -> String {
    format!("n,,\u{1}auth=Bearer {token}\u{1}\u{1}")
}

fn log_in(client: &mut Client, token: &str) -> SaslAuthenticateResponse {
    assert_eq!(client.handshake("OAUTHBEARER"), 0);
    client.authenticate(message(token))
}

#[test]
fn a_session_lives_no_longer_than_its_token_or_than_the_listener_allows() {
    let lifetime = |sasl: Sasl| {
        let cluster = cluster(sasl);
        let mut client = Client::connect(&cluster);
        let answer = log_in(&mut client, &unsecured(&claims("alice", 3600)));
        assert_eq!(answer.error_code, 0);
        assert!(client.is_served());
        assert_eq!(&*cluster.requests().last().unwrap().principal, "User:alice");
        answer.session_lifetime_ms
    };
    let by_token = lifetime(sasl(Tokens::unsecured()));
    assert!((3_000_000..=3_600_000).contains(&by_token), "{by_token}");
    let short = sasl(Tokens::unsecured()).connections_max_reauth(Duration::from_secs(5));
    assert_eq!(lifetime(short), 5000);
}

#[test]
fn a_token_that_is_not_believed_is_explained_and_then_refused() {
    let cluster = cluster(sasl(Tokens::unsecured().required_scope("produce")));
    let without_scope = unsecured(&claims("alice", 60));
    let expired = unsecured(&claims("alice", -60));
    for (token, told) in [
        (without_scope, r#"{"status":"insufficient_scope","scope":"produce"}"#),
        (expired, r#"{"status":"invalid_token"}"#),
    ] {
        let mut client = Client::connect(&cluster);
        let answer = log_in(&mut client, &token);
        assert_eq!((answer.error_code, &answer.auth_bytes[..]), (0, told.as_bytes()));
        let answer = client.authenticate("\u{1}");
        assert_eq!((answer.error_code, answer.error_message.as_deref()), (58, Some(told)));
        assert!(client.is_closed_by_broker());
    }
}

#[test]
fn a_signed_token_is_believed_for_its_signature() {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let signing = EncodingKey::from_ec_der(&pair.serialize_der());
    let jwk = Jwk::from_encoding_key(&signing, Algorithm::ES256).unwrap();
    let keys = serde_json::to_string(&JwkSet { keys: vec![jwk] }).unwrap();
    let cluster = cluster(sasl(Tokens::signed_by(&keys).unwrap()));
    let header = Header::new(Algorithm::ES256);
    let token = jsonwebtoken::encode(&header, &claims("alice", 60), &signing).unwrap();
    let mut client = Client::connect(&cluster);
    assert!(log_in(&mut client, &token).session_lifetime_ms > 0);
    let unsigned = log_in(&mut Client::connect(&cluster), &unsecured(&claims("alice", 60)));
    assert_eq!(&unsigned.auth_bytes[..], br#"{"status":"invalid_token"}"#);
}

#[test]
fn faults_change_what_a_mechanism_says_and_how_long_a_session_lasts() {
    let cluster = cluster(sasl(Tokens::unsecured()));
    let weaken =
        |challenge: &[u8]| String::from_utf8_lossy(challenge).replace("i=4096", "i=1").into_bytes();
    cluster.inject(Fault::on(ApiKey::SASL_AUTHENTICATE).rewrite_token(weaken));
    let mut client = Client::connect(&cluster);
    assert_eq!(client.handshake("SCRAM-SHA-256"), 0);
    let challenge = client.authenticate("n,,n=alice,r=abc").auth_bytes;
    assert!(challenge.ends_with(b",i=1"), "{challenge:?}");

    cluster.inject(Fault::on(ApiKey::SASL_AUTHENTICATE).session_lifetime_ms(i64::MAX));
    let mut client = Client::connect(&cluster);
    assert_eq!(client.log_in("alice", "alice-secret").session_lifetime_ms, i64::MAX);

    cluster.inject(Fault::on(ApiKey::SASL_HANDSHAKE).answer_with(b"\0\0\0\x05hello".to_vec()));
    let mut client = Client::connect(&cluster);
    let handshake = ottla_protocol::messages::sasl_handshake::SaslHandshakeRequest {
        mechanism: "PLAIN".to_owned(),
    };
    client.send(1, &handshake);
    assert_eq!(client.frame().unwrap(), "hello");
}

#[test]
fn a_delegation_token_makes_its_bearer_its_owner() {
    let cluster = Cluster::builder()
        .sasl(sasl(Tokens::unsecured()))
        .delegation_token("id-1", "aG1hYw==", "alice")
        .start()
        .unwrap();
    let challenge = |first: &str| {
        let mut client = Client::connect(&cluster);
        assert_eq!(client.handshake("SCRAM-SHA-256"), 0);
        client.authenticate(first).error_code
    };
    assert_eq!(challenge("n,,n=id-1,r=abc,tokenauth=true"), 0);
    // It is no user, and no user is a token.
    assert_eq!(challenge("n,,n=id-1,r=abc"), 58);
    assert_eq!(challenge("n,,n=alice,r=abc,tokenauth=true"), 58);
}
