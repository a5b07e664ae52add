//! Published exchanges, and brokers that do not keep to the rules.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};

use super::*;
use crate::words;

const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
/// What a broker says first in RFC 7677, section 3.
const FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
    s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const LAST: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

fn user(hash: ScramHash) -> Scram {
    Scram::with_nonce(hash, "user", "pencil", NONCE.into(), false).expect("fine")
}

fn sent(scram: &mut Scram, challenge: &str) -> String {
    match scram.step(challenge.as_bytes()) {
        Ok(Step::Respond(response)) => String::from_utf8(response.to_vec()).expect("text"),
        other => panic!("{challenge}: {other:?}"),
    }
}

/// What becomes of this first message of a broker.
fn after_first(first: &str) -> Result<Step, SaslError> {
    let mut scram = user(ScramHash::Sha256);
    sent(&mut scram, "");
    let step = scram.step(first.as_bytes());
    if step.is_err() {
        let later = scram.step(FIRST.as_bytes());
        assert_eq!(later, Err(SaslError::Unexpected { mechanism: "SCRAM-SHA-256" }), "it is over");
    }
    step
}

/// What becomes of this last message of a broker, after the first of the RFC.
fn after_last(last: &str) -> Result<Step, SaslError> {
    let mut scram = user(ScramHash::Sha256);
    sent(&mut scram, "");
    sent(&mut scram, FIRST);
    scram.step(last.as_bytes())
}

/// RFC 7677, section 3, for SHA-256. For SHA-512 the exchange that many implementations test
/// with, since no RFC has one; Python's `hashlib` computes the same.
/// Laws: none. Scenarios: S3, bug-72.
#[test]
fn published_exchanges_come_out_byte_for_byte() {
    let proof = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    let nonce = &FIRST[2..FIRST.find(",s=").expect("a salt")];
    let mut scram = user(ScramHash::Sha256);
    assert_eq!(scram.name(), "SCRAM-SHA-256");
    assert_eq!(sent(&mut scram, ""), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    assert_eq!(sent(&mut scram, FIRST), format!("c=biws,r={nonce},p={proof}"));
    assert_eq!(scram.step(LAST.as_bytes()), Ok(Step::Complete));
    assert!(scram.step(b"").is_err());

    let nonce = "rOprNGfwEbeRWgbNEkqO02431b08-2f89-4bad-a4e6-80c0564ec865";
    let first = format!("r={nonce},s=Yin2FuHTt/M0kJWb0t9OI32n2VmOGi3m+JfjOvuDF88=,i=4096");
    let proof = "Hc5yec3NmCD7t+kFRw4/3yD6/F3SQHc7AVYschRja+Bc3sbdjlA0eH1OjJc0DD4ghn1tnXN5/Wr6qm9x\
        maHt4A==";
    let last = "v=BQuhnKHqYDwQWS5jAw4sZed+C9KFUALsbrq81bB0mh+bcUUbbMPNNmBIupnS2AmyyDnG5CTBQtkjJ9ky\
        Y4kzmw==";
    let mut scram = user(ScramHash::Sha512);
    assert_eq!((scram.name(), sent(&mut scram, "").len()), ("SCRAM-SHA-512", 32));
    assert_eq!(sent(&mut scram, &first), format!("c=biws,r={nonce},p={proof}"));
    assert_eq!(scram.step(last.as_bytes()), Ok(Step::Complete));
}

#[test]
fn the_nonce_is_made_of_all_that_the_caller_gives() {
    let mut scram = Scram::new(ScramHash::Sha512, "a", "b", [0xff; 24], false).expect("fine");
    assert_eq!(sent(&mut scram, ""), format!("n,,n=a,r={}", "/".repeat(32)));
}

/// Laws: none. Scenarios: S3.
#[test]
fn commas_and_equals_signs_of_a_user_are_escaped_and_the_rest_goes_as_it_is() {
    let mut scram = Scram::with_nonce(ScramHash::Sha256, "a=b,c=2C ö", "x", NONCE.into(), false);
    let scram = scram.as_mut().expect("fine");
    assert_eq!(sent(scram, ""), format!("n,,n=a=3Db=2Cc=3D2C ö,r={NONCE}"));
}

/// KIP-48.
#[test]
fn a_delegation_token_is_announced() {
    let mut scram = Scram::with_nonce(ScramHash::Sha256, "id", "hmac", NONCE.into(), true);
    let scram = scram.as_mut().expect("fine");
    assert_eq!(sent(scram, ""), format!("n,,n=id,r={NONCE},tokenauth=true"));
}

/// Laws: none. Scenarios: S3.
#[test]
fn what_scram_cannot_send_is_refused_before_it_is_sent() {
    for (user, password, setting) in [
        ("", "secret", "sasl.username"),
        ("a\0b", "secret", "sasl.username"),
        ("alice", "", "sasl.password"),
        ("alice", "sec\0ret", "sasl.password"),
    ] {
        let error = Scram::new(ScramHash::Sha256, user, password, [1; 24], false);
        let error = error.expect_err("refused").to_string();
        assert!(error.starts_with(setting) && !error.contains("sec"), "{error}");
    }
}

/// The work is done for none of these, or the test would not end: the largest would take an hour.
/// Laws: L11. Scenarios: S1, bug-56.
#[test]
fn too_few_and_too_many_iterations_are_refused_before_any_work() {
    let (rest, _) = FIRST.rsplit_once('=').expect("iterations");
    for asked in [
        "0",
        "1",
        "4095",
        "1000001",
        "2147483647",
        "2147483648",
        "4294967296",
        "4294971392",
        "18446744073709555712",
        "1e9",
        "-5",
        "+4096",
        "04096",
        "4096 ",
        " 4096",
        "4_096",
        "4096.0",
        "0x1000",
        "٤٠٩٦",
    ] {
        let error = after_first(&format!("{rest}={asked}")).expect_err(asked);
        let expected = words::fit(asked.as_bytes(), 20);
        let mechanism = "SCRAM-SHA-256";
        assert_eq!(error, SaslError::Iterations { mechanism, asked: expected }, "{asked}");
        assert!(error.to_string().contains("4096 to 1000000"), "{error}");
    }
    for asked in ["4096", "4097", "10000"] {
        assert!(after_first(&format!("{rest}={asked}")).is_ok(), "{asked}");
    }
}

/// Laws: none. Scenarios: S2, bug-72.
#[test]
fn a_nonce_that_does_not_continue_ours_is_refused() {
    let mechanism = "SCRAM-SHA-256";
    let salt = "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    for nonce in
        ["other", NONCE, "rOprNGfwEbeRWgbNEkq", "rOprNGfwEbeRWgbNEkqo1", "1rOprNGfwEbeRWgbNEkqO"]
    {
        let step = after_first(&format!("r={nonce},{salt}"));
        assert_eq!(step, Err(SaslError::Nonce { mechanism }), "{nonce}");
    }
    // Ours twice is a continuation like any other.
    assert!(after_first(&format!("r={NONCE}{NONCE},{salt}")).is_ok());
}

/// Laws: L11. Scenarios: S2.
#[test]
fn a_first_message_that_is_not_in_order_is_refused() {
    let nonce = "r=rOprNGfwEbeRWgbNEkqOx";
    for (first, told) in [
        (String::new(), "no attribute"),
        (format!("{nonce},s=,i=4096"), "no attribute"),
        (format!("{nonce},s=!!!!,i=4096"), "salt (s=) is not base64"),
        (format!("{nonce},s=W22ZaJ0SNY7soEsUEjb6gQ,i=4096"), "salt (s=) is not base64"),
        (format!("{nonce},s=W22Z,i="), "no attribute"),
        (format!("{nonce},s=W22Z"), "iterations (i=)"),
        (format!("{nonce},i=4096,s=W22Z"), "salt (s=)"),
        (format!("s=W22Z,{nonce},i=4096"), "nonce (r=)"),
        (format!("{nonce},{nonce},s=W22Z,i=4096"), "salt (s=)"),
        (format!("{nonce},s=W22Z,s=W22Z,i=4096"), "iterations (i=)"),
        (format!("{nonce},s=W22Z,i=4096,i=1"), "twice"),
        (format!("{nonce},s=W22Z,i=4096,x=1,s=W22Z"), "twice"),
        (format!("m=x,{nonce},s=W22Z,i=4096"), "extension (m=)"),
        (format!("{nonce},s=W22Z,i=4096,m=x"), "extension (m=)"),
        (format!("{nonce},s=W22Z,i=4096,"), "no attribute"),
        (format!("{nonce},s=W22Z,i=4096,xy=1"), "no attribute"),
        (format!("{nonce},s=W22Z,i=4096,x="), "no attribute"),
        (format!("{nonce},s=W22Z,i=4096,x=\0"), "NUL"),
        (format!("{nonce} ,s=W22Z,i=4096"), "nonce (r=) has characters"),
        (format!("{nonce}ö,s=W22Z,i=4096"), "nonce (r=) has characters"),
    ] {
        let error = after_first(&first).expect_err(&first).to_string();
        assert!(error.contains(told), "{first}: {error}");
    }
    let mut scram = user(ScramHash::Sha256);
    sent(&mut scram, "");
    let error = scram.step(b"r=\xff,s=W22Z,i=4096").expect_err("no text").to_string();
    assert!(error.contains("UTF-8"), "{error}");
}

#[test]
fn what_stands_behind_the_known_attributes_is_passed_over_and_signed() {
    let mut plain = user(ScramHash::Sha256);
    let mut more = user(ScramHash::Sha256);
    sent(&mut plain, "");
    sent(&mut more, "");
    let plain = sent(&mut plain, FIRST);
    let more = sent(&mut more, &format!("{FIRST},x=1,t=ö="));
    let proof = |message: &str| message.rsplit_once(",p=").expect("a proof").1.to_owned();
    assert_ne!(proof(&plain), proof(&more));
    assert_eq!(after_last(&format!("{LAST},x=1")), Ok(Step::Complete));
}

/// Laws: none. Scenarios: S2.
#[test]
fn only_the_right_signature_of_the_broker_completes_the_exchange() {
    let mechanism = "SCRAM-SHA-256";
    for last in [
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G8=",
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95A==",
        "v=BQuhnKHqYDwQWS5jAw4sZed+C9KFUALsbrq81bB0mh+bcUUbbMPNNmBIupnS2AmyyDnG5CTBQtkjJ9kyY4kzmw==",
    ] {
        assert_eq!(after_last(last), Err(SaslError::Signature { mechanism }), "{last}");
    }
    for last in [
        "",
        "v=",
        "v=!",
        "x=1",
        &LAST[2..],
        &format!("x=1,{LAST}"),
        &format!("{LAST},{LAST}"),
        &format!("{LAST},e=x"),
        &format!("{LAST},"),
        &format!("m=x,{LAST}"),
        &LAST[..LAST.len() - 1],
    ] {
        let step = after_last(last);
        assert!(matches!(step, Err(SaslError::Malformed { .. })), "{last}: {step:?}");
    }
}

/// Laws: none. Scenarios: S2.
#[test]
fn the_reason_of_a_refusal_is_told() {
    let mechanism = "SCRAM-SHA-256";
    let refused = |words: &str| Err(SaslError::Refused { mechanism, words: words.into() });
    assert_eq!(after_last("e=invalid-proof"), refused("invalid-proof"));
    assert_eq!(after_first("e=unknown-user\x1b[2J"), refused("unknown-user\u{fffd}[2J"));
}

/// Laws: L11. Scenarios: S1, bug-54.
#[test]
fn long_messages_are_refused_unread() {
    let long = format!("r={NONCE}{},s=W22Z,i=4096", "x".repeat(1 << 20));
    assert!(matches!(after_first(&long), Err(SaslError::TooLong { .. })));
    assert!(matches!(after_last(&"x=1,".repeat(5000)), Err(SaslError::TooLong { .. })));
    let mut scram = user(ScramHash::Sha256);
    assert!(scram.step(b"r=").is_err(), "nothing is due before our first message");
}

#[test]
fn neither_password_nor_keys_are_shown() {
    let mut scram = user(ScramHash::Sha256);
    let mut shown = format!("{scram:?}");
    sent(&mut scram, "");
    shown += &format!("{scram:?}");
    sent(&mut scram, FIRST);
    shown += &format!("{scram:?}");
    shown += &format!("{:?}", scram.step(b"v=AAAA"));
    assert!(!shown.contains("pencil") && !shown.contains("6rri"), "{shown}");
    assert!(shown.contains("Begin") && shown.contains("Asked") && shown.contains("Proven"));
}
