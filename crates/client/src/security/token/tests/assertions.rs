//! Assertions are looked at by another library, as an identity provider would.

use std::io::Write;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};

use super::provider::{Provider, json as answer};
use super::*;

const KEY: &str = "sasl.oauthbearer.assertion.private.key.pem";
const KEY_FILE: &str = "sasl.oauthbearer.assertion.private.key.file";
const ALGORITHM: &str = "sasl.oauthbearer.assertion.algorithm";

fn elliptic() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key")
}

fn rsa() -> KeyPair {
    KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("a key")
}

fn file(content: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(content).expect("written");
    file
}

/// The fields of the form that a provider got, and what it was told of who asks.
async fn asked(more: &[(&str, &str)], clock: &Still) -> (Vec<(String, String)>, String) {
    let provider = Provider::start([answer(r#"{"access_token":"t","expires_in":60}"#)]).await;
    let url = provider.url();
    let base =
        [("sasl.oauthbearer.token.endpoint.url", &*url), ("https.ca.pem", &provider.authority)];
    let tokens = tokens_with(&settings(&[&base, more].concat()), None, clock).expect("tokens");
    tokens.get().await.expect("a token");
    let request = provider.requests().remove(0);
    let (head, body) = request.split_once("\r\n\r\n").expect("head and body");
    let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
    let own = |(name, value): (&str, &str)| (name.to_owned(), value.replace("%3A", ":"));
    (pairs.map(own).collect(), head.to_owned())
}

fn field<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
    let found = fields.iter().find(|(it, _)| it == name);
    found.map_or_else(|| panic!("there is no {name} in {fields:?}"), |(_, value)| value)
}

/// The claims of an assertion, if its signature is good.
fn checked(token: &str, algorithm: Algorithm, key: &KeyPair) -> Value {
    let public = key.public_key_pem();
    let key = match algorithm {
        Algorithm::ES256 => DecodingKey::from_ec_pem(public.as_bytes()),
        _ => DecodingKey::from_rsa_pem(public.as_bytes()),
    };
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.validate_aud = false;
    decode::<Value>(token, &key.expect("a key"), &validation).expect("a good signature").claims
}

#[tokio::test]
async fn an_assertion_is_signed_by_either_algorithm_and_takes_the_place_of_a_secret() {
    let clock = Still::default();
    for (name, algorithm, key) in
        [("ES256", Algorithm::ES256, elliptic()), ("RS256", Algorithm::RS256, rsa())]
    {
        let pem = key.serialize_pem();
        let more = [
            ("sasl.oauthbearer.grant.type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            (ALGORITHM, name),
            (KEY, &*pem),
            ("sasl.oauthbearer.assertion.claim.iss", "issuer"),
            ("sasl.oauthbearer.assertion.claim.sub", "subject"),
            ("sasl.oauthbearer.assertion.claim.aud", "audience"),
            ("sasl.oauthbearer.scope", "kafka"),
        ];
        let (fields, head) = asked(&more, &clock).await;
        assert!(!head.contains("Authorization"), "{head}");
        let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["grant_type", "assertion", "scope"]);
        assert_eq!(field(&fields, "grant_type"), "urn:ietf:params:oauth:grant-type:jwt-bearer");
        let token = field(&fields, "assertion");
        let header = serde_json::to_value(decode_header(token).expect("a header")).expect("JSON");
        assert_eq!((&header["alg"], &header["typ"]), (&json!(name), &json!("JWT")));
        assert_eq!(
            checked(token, algorithm, &key),
            json!({
                "iss": "issuer", "sub": "subject", "aud": "audience",
                "iat": START_S, "nbf": START_S - 60, "exp": START_S + 300,
            })
        );
    }
}

/// KIP-1258.
#[tokio::test]
async fn a_client_may_show_an_assertion_instead_of_its_secret() {
    let key = elliptic();
    let file = file(key.serialize_pem().as_bytes());
    let path = file.path().to_str().expect("a path");
    let more = [
        ("sasl.oauthbearer.client.id", "my-id"),
        (ALGORITHM, "ES256"),
        (KEY_FILE, path),
        ("sasl.oauthbearer.assertion.claim.jti.include", "true"),
        ("sasl.oauthbearer.assertion.claim.exp.seconds", "10"),
        ("sasl.oauthbearer.assertion.claim.nbf.seconds", "0"),
    ];
    let clock = Still::default();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let (fields, head) = asked(&more, &clock).await;
        assert!(!head.contains("Authorization"), "{head}");
        assert_eq!(field(&fields, "grant_type"), "client_credentials");
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        assert_eq!(field(&fields, "client_assertion_type"), kind);
        assert_eq!(field(&fields, "client_id"), "my-id");
        let claims = checked(field(&fields, "client_assertion"), Algorithm::ES256, &key);
        // The client is issuer and subject, and the provider is meant (RFC 7523 §3).
        assert_eq!((&claims["iss"], &claims["sub"]), (&json!("my-id"), &json!("my-id")));
        assert!(claims["aud"].as_str().expect("aud").starts_with("https://localhost:"));
        assert_eq!((&claims["nbf"], &claims["exp"]), (&json!(START_S), &json!(START_S + 10)));
        ids.push(claims["jti"].clone());
    }
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn a_template_is_what_an_assertion_begins_with_and_settings_come_before_it() {
    let key = elliptic();
    let pem = key.serialize_pem();
    let template = file(
        br#"{"header": {"kid": "key-7", "alg": "none"},
             "payload": {"sub": "template", "iss": "template", "roles": ["a"], "exp": 1}}"#,
    );
    let more = [
        ("sasl.oauthbearer.grant.type", "jwt-bearer"),
        (ALGORITHM, "ES256"),
        (KEY, &*pem),
        ("sasl.oauthbearer.assertion.template.file", template.path().to_str().expect("a path")),
        ("sasl.oauthbearer.assertion.claim.iss", "setting"),
    ];
    let (fields, _) = asked(&more, &Still::default()).await;
    let token = field(&fields, "assertion");
    assert_eq!(decode_header(token).expect("a header").kid.as_deref(), Some("key-7"));
    let claims = checked(token, Algorithm::ES256, &key);
    assert_eq!((&claims["iss"], &claims["sub"]), (&json!("setting"), &json!("template")));
    assert_eq!((&claims["roles"], &claims["exp"]), (&json!(["a"]), &json!(START_S + 300)));
}

#[tokio::test]
async fn an_assertion_that_others_make_is_read_for_each_token() {
    let provider = Provider::start([answer(r#"{"access_token":"t","expires_in":60}"#)]).await;
    let url = provider.url();
    let file = file(b"first.claims.c2ln\n");
    let path = file.path().to_str().expect("a path");
    let config = settings(&[
        ("sasl.oauthbearer.token.endpoint.url", &*url),
        ("https.ca.pem", &provider.authority),
        ("sasl.oauthbearer.grant.type", "jwt-bearer"),
        ("sasl.oauthbearer.assertion.file", path),
    ]);
    let clock = Still::default();
    let tokens = tokens_with(&config, None, &clock).expect("tokens");
    tokens.get().await.expect("a token");
    std::fs::write(path, "second.claims.c2ln").expect("written");
    clock.go_on(60);
    tokens.get().await.expect("another");
    let requests = provider.requests();
    assert!(requests[0].ends_with("assertion=first.claims.c2ln"), "{}", requests[0]);
    assert!(requests[1].ends_with("assertion=second.claims.c2ln"), "{}", requests[1]);
}

#[test]
fn a_key_for_another_algorithm_is_told_to_be_one() {
    let pem = elliptic().serialize_pem();
    for (algorithm, told) in [("RS256", "RS256 needs an RSA key"), ("ES256", "")] {
        let config = settings(&[
            ("sasl.oauthbearer.token.endpoint.url", "https://localhost/"),
            ("sasl.oauthbearer.client.id", "my-id"),
            (ALGORITHM, algorithm),
            (KEY, &pem),
        ]);
        match tokens_with(&config, None, &Still::default()) {
            Ok(_) => assert_eq!(algorithm, "ES256"),
            Err(error) => assert!(error.to_string().contains(told), "{error}"),
        }
    }
}

/// Laws: L11. Scenarios: S14.
#[test]
fn a_file_that_is_not_what_it_should_be_is_refused() {
    let pem = elliptic().serialize_pem();
    let refused = |setting: &str, content: &[u8]| {
        let file = file(content);
        let mut config = settings(&[
            ("sasl.oauthbearer.token.endpoint.url", "https://localhost/"),
            ("sasl.oauthbearer.client.id", "my-id"),
            (ALGORITHM, "ES256"),
            (KEY, &pem),
        ]);
        let path = Some(file.path().to_str().expect("a path").to_owned());
        if setting.ends_with("assertion.file") {
            config.oauth.assertion.file = path;
        } else {
            config.oauth.assertion.template_file = path;
        }
        let error = tokens_with(&config, None, &Still::default()).err().expect("refused");
        assert_eq!(error.key, setting);
        assert!(!error.reason.contains(CANARY), "{error}");
    };
    let large = vec![b'a'; 65 << 10];
    for content in
        [b"", &*format!("{CANARY} x").into_bytes(), b"a.b", b"a.b.c.d", b"a\xff.b.c", &*large]
    {
        refused("sasl.oauthbearer.assertion.file", content);
    }
    for content in
        [&b""[..], b"[]", b"{\"header\": 1}", b"{\"claims\": {}}", b"{\"payload\": {}", &*large]
    {
        refused("sasl.oauthbearer.assertion.jwt.template.file", content);
    }
}
