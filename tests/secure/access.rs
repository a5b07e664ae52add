//! Access rules: who may not, hears so for each record, and goes on when he may again.

use ottla::{ErrorKind, Outcome, Record};
use ottla_tests::needs;
use ottla_tests::secured::{Secured, Settings};
use ottla_tests::wait::until_true;

use super::{producer, secured};

const LIMITED: &str = "User:limited";

fn limited(secured: &Secured) -> Settings {
    secured.settings_of("sasl_plaintext", "SCRAM-SHA-256", "limited")
}

/// The right to write in the topic is the right to write idempotently (KIP-679).
#[test]
fn who_may_write_one_topic_may_write_no_other() {
    let secured = secured!();
    let (ours, other) = (secured.engine.topic("ours", 1), secured.engine.topic("other", 1));
    needs!(secured.set_may_write(LIMITED, &ours, true));
    needs!(secured.set_may_write(LIMITED, &other, false));
    let producer = producer(&limited(&secured)).blocking();
    let record = |topic| Record::new(topic).value("v");
    until_true("the rule in force", || producer.send(record(&ours)).is_ok());
    producer.send(record(&ours)).expect("accepted").wait().expect("delivered");
    let error = match producer.send(record(&other)) {
        Ok(delivery) => {
            let error = delivery.wait().expect_err("refused");
            assert_eq!(error.outcome(), Outcome::NotPersisted);
            (error.kind(), error.to_string())
        }
        Err(error) => (error.kind(), error.to_string()),
    };
    assert_eq!(error.0, ErrorKind::Unauthorized, "{}", error.1);
    assert!(error.1.contains(&other), "{}", error.1);
}

/// Laws: L1, L9. Scenarios: F14.
#[test]
fn a_right_that_is_taken_away_fails_records_until_it_is_given_back() {
    let secured = secured!();
    let topic = secured.engine.topic("revoked", 1);
    needs!(secured.set_may_write(LIMITED, &topic, true));
    let producer = producer(&limited(&secured)).blocking();
    let mut delivered = Vec::new();
    let mut number = 0;
    let mut send = |delivered: &mut Vec<String>| {
        number += 1;
        let value = format!("record {number}");
        let sent = producer.send(Record::new(&topic).value(&value));
        let told = match sent {
            Ok(delivery) => delivery.wait().map(|_| ()).map_err(|e| (e.kind(), e.outcome())),
            Err(error) => Err((error.kind(), error.outcome())),
        };
        if told.is_ok() {
            delivered.push(value);
        }
        told
    };
    until_true("delivery", || send(&mut delivered).is_ok());
    for _ in 0..3 {
        secured.set_may_write(LIMITED, &topic, false).expect("as before");
        // The rule is a record in the controller's log, and reaches the broker in a moment.
        until_true("refusal", || send(&mut delivered).is_err());
        for _ in 0..10 {
            let told = send(&mut delivered);
            assert_eq!(told, Err((ErrorKind::Unauthorized, Outcome::NotPersisted)));
        }
        secured.set_may_write(LIMITED, &topic, true).expect("as before");
        until_true("delivery again", || send(&mut delivered).is_ok());
        for _ in 0..10 {
            assert_eq!(send(&mut delivered), Ok(()));
        }
    }
    assert_eq!(ottla_tests::record::values(&secured.engine.read(&topic), 0), delivered);
}
