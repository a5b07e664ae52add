//! OAUTHBEARER: tokens of a function and of an identity provider, good and bad.

use std::time::{Duration, SystemTime};

use ottla::{OauthToken, Record};
use ottla_tests::cast::SUBJECT;
use ottla_tests::secured::{Secured, Settings, Watched, builder, with};
use ottla_tests::token_endpoint::{CLIENT, SECRET, Say, Signer, TokenEndpoint};
use ottla_tests::wait::until_true;
use serde_json::json;

use super::{delivers, secured};

const HOUR: Duration = Duration::from_secs(3600);

fn signer(secured: &Secured, id: &str) -> Signer {
    Signer::new(id, &secured.text(&format!("token-{id}.key")))
}

fn endpoint(secured: &Secured, id: &str) -> TokenEndpoint {
    let pem = secured.text("server-rsa.pem");
    TokenEndpoint::start(&pem, signer(secured, id), &secured.text("jwks.json"))
}

/// Settings for tokens from the provider, of a client with a secret.
fn by_secret(secured: &Secured, door: &str, endpoint: &TokenEndpoint) -> Settings {
    with(
        secured.settings(door),
        &[
            ("sasl.mechanism", "OAUTHBEARER"),
            ("sasl.oauthbearer.method", "oidc"),
            ("sasl.oauthbearer.token.endpoint.url", &endpoint.url()),
            ("sasl.oauthbearer.client.id", CLIENT),
            ("sasl.oauthbearer.client.secret", SECRET),
            ("sasl.oauthbearer.scope", "kafka"),
            ("https.ca.location", &secured.file("ca.pem")),
            ("sasl.login.retry.backoff.ms", "1"),
        ],
    )
}

#[test]
fn records_travel_by_tokens_of_a_function() {
    let secured = secured!();
    for (door, id) in [("sasl_plaintext", "rsa"), ("sasl_ssl", "ec")] {
        let topic = secured.engine.topic("tokens", 1);
        let settings = with(secured.settings(door), &[("sasl.mechanism", "OAUTHBEARER")]);
        let signer = signer(&secured, id);
        let made = builder(&settings).oauth_token(move || {
            let token = signer.token(SUBJECT, HOUR);
            Ok::<_, String>(OauthToken::new(token, SystemTime::now() + HOUR))
        });
        let producer = made.build().expect("the settings are fine").blocking();
        let delivery = producer.send(Record::new(&topic).value("v")).expect("accepted");
        delivery.wait().expect("delivered");
    }
}

#[test]
fn records_travel_by_tokens_of_a_provider_that_knows_a_secret() {
    let secured = secured!();
    let endpoint = endpoint(&secured, "rsa");
    for door in ["sasl_plaintext", "sasl_ssl"] {
        delivers(&secured, &by_secret(&secured, door, &endpoint));
    }
    let asked = endpoint.asked();
    assert_eq!(asked.len(), 2, "one token for all connections of a producer");
    assert_eq!(asked[0].form["scope"], "kafka");
}

/// KIP-1139: nobody knows a secret, the client signs what it asserts of itself.
#[test]
fn records_travel_by_tokens_of_a_provider_that_believes_assertions() {
    let secured = secured!();
    let endpoint = endpoint(&secured, "ec");
    for (id, algorithm) in [("rsa", "RS256"), ("ec", "ES256")] {
        let settings = with(
            secured.settings("sasl_ssl"),
            &[
                ("sasl.mechanism", "OAUTHBEARER"),
                ("sasl.oauthbearer.method", "oidc"),
                ("sasl.oauthbearer.token.endpoint.url", &endpoint.url()),
                ("sasl.oauthbearer.grant.type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                ("sasl.oauthbearer.assertion.algorithm", algorithm),
                (
                    "sasl.oauthbearer.assertion.private.key.file",
                    &secured.file(&format!("token-{id}.key")),
                ),
                ("sasl.oauthbearer.assertion.claim.sub", SUBJECT),
                ("sasl.oauthbearer.assertion.claim.iss", CLIENT),
                ("sasl.oauthbearer.assertion.claim.aud", "the-provider"),
                ("https.ca.location", &secured.file("ca.pem")),
            ],
        );
        delivers(&secured, &settings);
    }
}

/// Laws: L9. Scenarios: S8.
#[test]
fn a_provider_that_is_busy_is_asked_again() {
    let secured = secured!();
    let endpoint = endpoint(&secured, "rsa");
    endpoint.say([
        Say::Status(429, "{}".to_owned()),
        Say::Status(503, "not now".to_owned()),
        Say::Garbage,
    ]);
    delivers(&secured, &by_secret(&secured, "sasl_ssl", &endpoint));
    assert_eq!(endpoint.asked().len(), 4);
}

/// Laws: L9. Scenarios: S8.
#[test]
fn a_provider_that_refuses_or_makes_no_sense_is_told_without_the_secret() {
    let secured = secured!();
    let endpoint = endpoint(&secured, "rsa");
    let refused = json!({ "error": "invalid_client", "error_description": "who is that" });
    let here = json!({ "access_token": "x", "expires_in": "soon" });
    for (say, words) in [
        (Say::Status(401, refused.to_string()), ["invalid_client", "who is that"]),
        (Say::GoTo("file:///etc/passwd".to_owned()), ["by file", "302"]),
        (Say::GoTo("http://169.254.169.254/".to_owned()), ["169.254.169.254", "302"]),
        (Say::Much(10 << 20), ["64 KiB", "localhost"]),
        (Say::Status(200, "{}".to_owned()), ["access_token", "localhost"]),
        (Say::Status(200, here.to_string()), ["token", "localhost"]),
    ] {
        endpoint.say(std::iter::repeat_n(say.clone(), 50));
        let settings = by_secret(&secured, "sasl_ssl", &endpoint);
        let told = Watched::start(&settings).first_trouble();
        for word in words {
            assert!(told.contains(word), "{say:?}: no {word:?} in: {told}");
        }
        assert!(!told.contains(SECRET), "the secret is in: {told}");
        endpoint.say_no_more();
    }
}

#[test]
fn a_token_that_the_broker_does_not_believe_is_told() {
    let secured = secured!();
    let stranger = endpoint(&secured, "stranger");
    let settings = by_secret(&secured, "sasl_ssl", &stranger);
    let told = Watched::start(&settings).first_trouble();
    assert!(told.contains("invalid_token"), "{told}");
}

/// The session ends with the token: each renewal needs another one.
/// Laws: L2, L3. Scenarios: S7, S8.
#[test]
fn tokens_of_seconds_are_replaced_while_records_flow() {
    let secured = secured!();
    let endpoint = endpoint(&secured, "rsa");
    endpoint.give_tokens_of(Duration::from_secs(5));
    let settings = with(
        by_secret(&secured, "sasl_ssl", &endpoint),
        &[
            ("sasl.login.refresh.min.period.seconds", "0"),
            ("sasl.login.refresh.buffer.seconds", "0"),
        ],
    );
    let topic = secured.engine.topic("short-tokens", 1);
    let producer = super::producer(&settings).blocking();
    let mut sent = Vec::new();
    until_true("the sixth token", || {
        let value = format!("record {}", sent.len());
        let delivery = producer.send(Record::new(&topic).value(&value)).expect("accepted");
        delivery.wait().expect("delivered");
        sent.push(value);
        endpoint.asked().len() > 5
    });
    assert_eq!(ottla_tests::record::values(&secured.engine.read(&topic), 0), sent);
}
