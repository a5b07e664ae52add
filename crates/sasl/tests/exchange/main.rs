//! Whole exchanges with servers written for the tests, and with servers that send anything.

mod server;

use ottla_sasl::{
    AwsCredentials, AwsMskIam, MAX_RESPONSE_BYTES, Mechanism, OauthBearer, Plain, SaslError, Scram,
    ScramHash, Step,
};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use server::{Account, Hash};

const HASHES: [(ScramHash, Hash); 2] =
    [(ScramHash::Sha256, Hash::Sha256), (ScramHash::Sha512, Hash::Sha512)];

/// The same cases each time.
fn config(cases: u32) -> ProptestConfig {
    let rng_seed = RngSeed::Fixed(7);
    ProptestConfig { cases, rng_seed, failure_persistence: None, ..ProptestConfig::default() }
}

fn sent(mechanism: &mut dyn Mechanism, challenge: &[u8]) -> Vec<u8> {
    match mechanism.step(challenge) {
        Ok(Step::Respond(response)) => response.to_vec(),
        other => panic!("{other:?}"),
    }
}

/// Every mechanism, in its beginning.
fn all() -> Vec<Box<dyn Mechanism>> {
    let credentials = AwsCredentials {
        access_key_id: "AKIDEXAMPLE",
        secret_access_key: "secret",
        session_token: None,
    };
    let aws = AwsMskIam::new(&credentials, "b-1.example", "us-east-1", 1_440_938_160, "tests");
    vec![
        Box::new(Plain::new(None, "alice", "secret").expect("fine")),
        Box::new(Scram::new(ScramHash::Sha256, "alice", "secret", [7; 24], false).expect("fine")),
        Box::new(Scram::new(ScramHash::Sha512, "alice", "secret", [7; 24], true).expect("fine")),
        Box::new(OauthBearer::new("secret", &[], None).expect("fine")),
        Box::new(aws.expect("fine")),
    ]
}

/// Kafka's server hashes what it is given, without SASLprep: so do we, and the one of this test.
/// Laws: none. Scenarios: S3, bug-72.
#[test]
fn passwords_of_any_characters_are_proven_as_they_are() {
    for (scram, hash) in HASHES {
        for password in
            ["pencil", "a,b=c=2C", " ", "pä ss\u{301}", "\u{aa}\u{ad}\t", "a".repeat(200).as_str()]
        {
            let account = Account::new(hash, password, b"salty salt", 4096);
            let mut client = Scram::new(scram, "us=er,1", password, [3; 24], false).expect("fine");
            let (first, exchange) = account.begin(&sent(&mut client, b""), "server-nonce");
            let last = exchange.end(&sent(&mut client, first.as_bytes())).expect("the right proof");
            assert_eq!(client.step(last.as_bytes()), Ok(Step::Complete), "{password:?}");
        }
    }
}

/// Laws: none. Scenarios: S2.
#[test]
fn who_does_not_know_the_password_is_found_out_on_either_side() {
    for (scram, hash) in HASHES {
        let account = Account::new(hash, "right", b"salty salt", 4096);
        let mut client = Scram::new(scram, "alice", "wrong", [3; 24], false).expect("fine");
        let (first, exchange) = account.begin(&sent(&mut client, b""), "server-nonce");
        let proof = sent(&mut client, first.as_bytes());
        assert_eq!(exchange.end(&proof), None, "the server sees that the proof is wrong");
        // One that pretends not to see it cannot prove itself.
        let step = client.step(exchange.pretend(&proof).as_bytes());
        assert!(matches!(step, Err(SaslError::Signature { .. })), "{step:?}");
    }
}

#[test]
fn no_mechanism_shows_its_secret_at_any_point() {
    for mut mechanism in all() {
        let mut shown = format!("{mechanism:?}");
        for challenge in [&b""[..], br#"{"status":"secret"}"#, b"", b""] {
            shown += &format!("{:?} {mechanism:?}", mechanism.step(challenge));
        }
        assert!(!shown.contains("secret"), "{}: {shown}", mechanism.name());
    }
}

/// A first message of a broker, and what else it might be made of.
const LAWFUL: [&str; 3] = ["r=NONCEx", "s=c2FsdA==", "i=4096"];
const PARTS: [&str; 11] = [
    "r=NONCE",
    "r=NONCEx",
    "s=c2FsdA==",
    "s=",
    "i=4096",
    "i=4095",
    "i=99999999999",
    "m=1",
    "x=y",
    "e=no",
    "",
];

proptest! {
    #![proptest_config(config(300))]

    /// Laws: L9, L11. Scenarios: S2.
    #[test]
    fn any_challenges_end_an_exchange_soon_and_scram_is_never_complete(
        challenges in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..5),
    ) {
        for mut mechanism in all() {
            let mut ended = false;
            for challenge in [vec![]].iter().chain(&challenges) {
                match mechanism.step(challenge) {
                    Ok(_) if ended => prop_assert!(false, "{} goes on", mechanism.name()),
                    Ok(Step::Respond(sent)) => prop_assert!(sent.len() <= MAX_RESPONSE_BYTES),
                    Ok(Step::Complete) => {
                        prop_assert!(!mechanism.name().starts_with("SCRAM"));
                        ended = true;
                    }
                    Err(error) => {
                        prop_assert!(!error.to_string().contains("secret"));
                        ended = true;
                    }
                }
            }
        }
    }

    /// Laws: L11. Scenarios: S1, S2, bug-56.
    #[test]
    fn attributes_in_any_order_are_read_or_refused(
        begins_well: bool,
        more in prop::collection::vec(prop::sample::select(&PARTS[..]), 0..4),
    ) {
        let parts = [if begins_well { &LAWFUL[..] } else { &[] }, &more].concat();
        let mut client = Scram::new(ScramHash::Sha256, "alice", "pw", [3; 24], false).expect("fine");
        let first = String::from_utf8(sent(&mut client, b"")).expect("text");
        let (_, nonce) = first.rsplit_once(",r=").expect("a nonce");
        let taken = client.step(parts.join(",").replace("NONCE", nonce).as_bytes());
        let lawful = parts.get(..3) == Some(&LAWFUL[..])
            && parts[3..].iter().all(|part| matches!(*part, "x=y" | "e=no"));
        prop_assert_eq!(taken.is_ok(), lawful, "{:?}: {:?}", parts, taken);
    }
}

proptest! {
    #![proptest_config(config(48))]

    /// Laws: none. Scenarios: S2, bug-72.
    #[test]
    fn a_broker_that_changes_one_byte_of_what_was_agreed_is_found_out(
        user in "[ -~]{1,20}",
        password in "\\PC{1,20}",
        salt in prop::collection::vec(any::<u8>(), 1..24),
        iterations in 4096_u32..4200,
        nonce: [u8; 24],
        at: prop::sample::Index,
        xor in 1_u8..=255,
        in_first: bool,
    ) {
        let account = Account::new(Hash::Sha256, &password, &salt, iterations);
        let mut client = Scram::new(ScramHash::Sha256, &user, &password, nonce, false).expect("fine");
        let hello = sent(&mut client, b"");
        let (first, exchange) = account.begin(&hello, "server-nonce");
        let mut told = first.clone().into_bytes();
        if in_first {
            let at = at.index(told.len());
            told[at] ^= xor;
        }
        let Ok(Step::Respond(proof)) = client.step(&told) else {
            prop_assert!(in_first, "the first message was good");
            return Ok(());
        };
        let mut last = exchange.pretend(&proof).into_bytes();
        if !in_first {
            prop_assert_eq!(exchange.end(&proof).map(String::into_bytes), Some(last.clone()));
            let at = at.index(last.len());
            last[at] ^= xor;
        }
        prop_assert!(client.step(&last).is_err());
    }
}
