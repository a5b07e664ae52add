//! The signature against what AWS has published, and the exchange round it.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::sigv4::Time;
use super::*;

const LENT: &str = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267";
/// 2015-08-30 12:36:00, the time of AWS's examples.
const NOW: i64 = 1_440_938_160;

/// The credentials of AWS's examples.
const fn credentials(session_token: Option<&str>) -> AwsCredentials<'_> {
    AwsCredentials {
        access_key_id: "AKIDEXAMPLE",
        secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        session_token,
    }
}

/// The request of AWS's test suite.
fn example<'a>(credentials: &'a AwsCredentials<'a>, service: &'a str) -> Presign<'a> {
    let time = Time::from_unix(NOW).expect("a time");
    Presign { credentials, region: "us-east-1", service, host: "example.amazonaws.com", time }
}

/// `get-vanilla` of the suite, signed into the query.
#[test]
fn the_request_is_made_canonical_as_in_the_test_suite_of_aws() {
    let credentials = credentials(None);
    let presign = example(&credentials, "service");
    let request = presign.canonical_request(&presign.query(&[], 3600));
    let expected = "GET\n/\nX-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20150830\
        %2Fus-east-1%2Fservice%2Faws4_request&X-Amz-Date=20150830T123600Z&X-Amz-Expires=3600\
        &X-Amz-SignedHeaders=host\nhost:example.amazonaws.com\n\nhost\n\
        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(&request[..], expected);
    let expected = "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/service/aws4_request\n\
        bb7705b4aa3cb8e8f5e1e0b3d4c0b64030797a313c8ceee43e33117cc43eadc5";
    assert_eq!(presign.string_to_sign(&request), expected);
}

/// `get-vanilla`, `get-vanilla-with-session-token` and `get-vanilla-query-order-key-case`.
#[test]
fn the_signature_is_that_of_the_test_suite_of_aws() {
    let parameters = [("Param2", "value2"), ("Param1", "value1")];
    for (token, query, expected) in [
        (None, &[][..], "e93c787ed7f371d5c6b165c1b38ede9550f4dce4144713e844b25b7192d3865d"),
        (Some(LENT), &[], "7ff2b50b376cb4d151970630573d6291dc128cc5c2a12ffb237f73cc53f67b6c"),
        (None, &parameters, "86012e2c9ad4d77369f5d81c11f75158aae4f895a085212cc6d3f923d300bed5"),
    ] {
        let signed = example(&credentials(token), "service").sign(query, 3600);
        let (name, signature) = signed.last().expect("a signature");
        assert_eq!((*name, &signature[..]), ("X-Amz-Signature", expected));
    }
}

/// AWS's page on deriving the key has this one, for IAM.
#[test]
fn the_signing_key_is_that_of_the_documentation_of_aws() {
    let credentials = credentials(None);
    let key = example(&credentials, "iam").signing_key();
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9");
}

const HOST: &str = "b-1.orders.x1y2z3.c2.kafka.us-east-1.amazonaws.com";

fn mechanism(token: Option<&str>) -> AwsMskIam {
    let made = AwsMskIam::new(&credentials(token), HOST, "us-east-1", NOW, "ottla/0.1.0");
    made.expect("fine")
}

fn sent(mechanism: &mut AwsMskIam) -> Vec<(String, String)> {
    let Ok(Step::Respond(response)) = mechanism.step(b"") else { panic!("no answer") };
    json::fields(&response).expect("an object")
}

#[test]
fn the_payload_has_the_fields_that_the_broker_wants() {
    for token in [None, Some(LENT)] {
        let fields = sent(&mut mechanism(token));
        let credential = "AKIDEXAMPLE/20150830/us-east-1/kafka-cluster/aws4_request";
        let mut expected = Vec::from([
            ("version", "2020_10_22"),
            ("host", HOST),
            ("user-agent", "ottla/0.1.0"),
            ("action", "kafka-cluster:Connect"),
            ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
            ("x-amz-credential", credential),
            ("x-amz-date", "20150830T123600Z"),
            ("x-amz-expires", "900"),
        ]);
        expected.extend(token.map(|token| ("x-amz-security-token", token)));
        expected.push(("x-amz-signedheaders", "host"));
        let (last, rest) = fields.split_last().expect("fields");
        let rest: Vec<(&str, &str)> = rest.iter().map(|(a, b)| (&a[..], &b[..])).collect();
        assert_eq!(rest, expected);
        assert_eq!((&last.0[..], last.1.len()), ("x-amz-signature", 64));
    }
}

#[test]
fn the_broker_has_to_answer_with_version_and_request_id() {
    let mut good = mechanism(None);
    sent(&mut good);
    let answer = br#"{"version":"2020_10_22","request-id":"42-ab","more":[{}]}"#;
    assert_eq!((good.step(answer), good.server_words()), (Ok(Step::Complete), Some("42-ab")));
    assert!(good.step(answer).is_err());
    for (answer, told) in [
        (&b""[..], "no JSON object"),
        (br#"{"version":"2020_10_23","request-id":"1"}"#, "`version` is not"),
        (br#"{"request-id":"1"}"#, "no `version`"),
        (br#"{"version":"2020_10_22"}"#, "no `request-id`"),
        (&[b' '; 20_000], "20000 bytes"),
    ] {
        let mut bad = mechanism(None);
        sent(&mut bad);
        let error = bad.step(answer).expect_err("refused").to_string();
        assert!(error.contains(told), "{error}");
        assert!(bad.step(answer).is_err());
    }
    assert!(mechanism(None).step(b"{}").is_err());
}

#[test]
fn what_would_not_be_taken_is_not_signed() {
    let good = credentials(None);
    let empty_key = AwsCredentials { access_key_id: "", ..good };
    let slash = AwsCredentials { access_key_id: "A/b", ..good };
    let no_secret = AwsCredentials { secret_access_key: "", ..good };
    let newline = AwsCredentials { session_token: Some("a\nb"), ..good };
    for (credentials, host, region, agent, setting) in [
        (empty_key, HOST, "us-east-1", "a", "sasl.aws.access.key.id"),
        (slash, HOST, "us-east-1", "a", "sasl.aws.access.key.id"),
        (no_secret, HOST, "us-east-1", "a", "sasl.aws.secret.access.key"),
        (newline, HOST, "us-east-1", "a", "sasl.aws.session.token"),
        (good, "a\nhost:b", "us-east-1", "a", "the broker's host name"),
        (good, HOST, "", "a", "sasl.aws.region"),
        (good, HOST, "us/east", "a", "sasl.aws.region"),
        (good, HOST, "us-east-1", "a\r\n", "the user agent"),
    ] {
        let error = AwsMskIam::new(&credentials, host, region, NOW, agent).expect_err(setting);
        assert!(error.to_string().starts_with(setting), "{error}");
    }
    assert!(AwsMskIam::new(&good, HOST, "us-east-1", -1, "a").is_err());
}

#[test]
fn keys_and_signatures_are_not_shown() {
    let credentials = credentials(Some(LENT));
    let shown = format!("{credentials:?} {:?}", mechanism(Some(LENT)));
    for secret in ["wJalr", "6e86", "AKID", "x-amz"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
