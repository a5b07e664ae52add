//! SASL with a broker that says anything: an exchange is soon over, and one that needs a proof of
//! the broker is never complete.

use ottla_sasl::{
    AwsCredentials, AwsMskIam, MAX_RESPONSE_BYTES, Mechanism, OauthBearer, Plain, Scram, ScramHash,
    Step, saslprep, unsecured_from_config,
};

use crate::memory::with_peak;
use crate::source::Source;

const SECRET: &str = "opensesame";
/// Stands in an input for the nonce of the client, which an input cannot know.
const NONCE: u8 = b'$';
/// No exchange has more messages than that.
const MAX_STEPS: usize = 4;

fn mechanism(choice: u8) -> Box<dyn Mechanism> {
    let scram = |hash, is_token| Scram::new(hash, "alice", SECRET, [7; 24], is_token);
    let credentials = AwsCredentials {
        access_key_id: "AKIDEXAMPLE",
        secret_access_key: SECRET,
        session_token: Some(SECRET),
    };
    match choice % 5 {
        0 => Box::new(Plain::new(None, "alice", SECRET).expect("plain")),
        1 => Box::new(scram(ScramHash::Sha256, false).expect("scram")),
        2 => Box::new(scram(ScramHash::Sha512, true).expect("scram")),
        3 => Box::new(OauthBearer::new(SECRET, &[], None).expect("a token")),
        _ => {
            let made = AwsMskIam::new(&credentials, "b-1.x", "eu-west-1", 1_440_938_160, "fuzz");
            Box::new(made.expect("aws"))
        }
    }
}

/// The nonce that a first message of SCRAM tells.
fn nonce_of(first: &[u8]) -> &[u8] {
    let start = first.windows(3).position(|it| it == b",r=").map_or(first.len(), |at| at + 3);
    first[start..].split(|byte| *byte == b',').next().unwrap_or_default()
}

fn exchange(mut source: Source<'_>) {
    let mut mechanism = mechanism(source.byte());
    let Ok(Step::Respond(first)) = mechanism.step(b"") else { panic!("no first message") };
    let nonce = nonce_of(&first);
    // Of the others no broker has seen the secret: what it makes up is no leak.
    let may_tell = mechanism.name() != "OAUTHBEARER";
    let mut is_over = false;
    let mut steps = 0;
    for message in source.rest().split(|byte| *byte == 0) {
        let mut challenge = Vec::new();
        for byte in message {
            if *byte == NONCE { challenge.extend(nonce) } else { challenge.push(*byte) }
        }
        let result = mechanism.step(&challenge);
        assert!(!is_over || result.is_err(), "{} goes on", mechanism.name());
        match result {
            Ok(Step::Respond(response)) => assert!(response.len() <= MAX_RESPONSE_BYTES),
            Ok(Step::Complete) => {
                assert!(!mechanism.name().starts_with("SCRAM"), "complete without a proof");
                is_over = true;
            }
            Err(error) => {
                let told = format!("{error} {error:?} {mechanism:?}");
                assert!(may_tell || !told.contains(SECRET), "{told}");
                assert!(told.len() < 8000, "{} bytes", told.len());
                is_over = true;
            }
        }
        let words = mechanism.server_words().unwrap_or_default();
        assert!(may_tell || !words.contains(SECRET), "{words}");
        assert!(!words.chars().any(char::is_control), "{words}");
        steps += 1;
        assert!(is_over || steps < MAX_STEPS, "{} does not end", mechanism.name());
    }
}

pub(crate) fn run(data: &[u8]) {
    let ((), peak) = with_peak(|| exchange(Source::new(data)));
    assert!(peak <= 32 * data.len() + (64 << 10), "{peak} bytes for {}", data.len());
    let text = String::from_utf8_lossy(data);
    if let Ok((token, ..)) = unsecured_from_config(&text, 0) {
        OauthBearer::new(&token, &[], None).expect("our own token");
    }
    if let Ok(prepared) = saslprep("sasl.password", &text) {
        assert_eq!(saslprep("sasl.password", &prepared), Ok(prepared), "prepared twice");
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let first = "r=$x,s=c2FsdHkgc2FsdA==,i=4096";
    let scram = [
        first.to_owned(),
        format!("{first},x=y\0v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="),
        format!("{first}\0e=invalid-proof"),
        "m=x,r=$x,s=c2FsdA==,i=4096".to_owned(),
        "r=$x,s=,i=4096".to_owned(),
        "r=$,s=c2FsdA==,i=4096".to_owned(),
        "r=$x,s=c2FsdA==,i=2147483648".to_owned(),
    ];
    let scram = [1, 2].into_iter().flat_map(|choice| scram.iter().map(move |it| (choice, &it[..])));
    let others = [
        (0, ""),
        (0, "welcome"),
        (3, ""),
        (3, "{\"status\":\"invalid_token\"}\0"),
        (3, "what is opensesame?\0"),
        (4, "{\"version\":\"2020_10_22\",\"request-id\":\"1-a\"}"),
        (4, "{\"version\":\"2020_10_22\",\"a\":[{\"b\":null}],\"request-id\":\"\\u00e9\"}"),
        (b'p', "rincipal=a scope=b,c lifeSeconds=5 extension_d=e"),
    ];
    let seed = |(choice, text): (u8, &str)| [&[choice][..], text.as_bytes()].concat();
    scram.chain(others).map(seed).collect()
}
