//! What a producer does with TLS, SASL and access rules, as seen from outside. The root of a test
//! binary that takes this in says on which cluster, by a function `secured`.

use ottla::{Producer, Record};
use ottla_tests::secured::{Secured, Settings, builder};

mod access;
mod certificates;
mod journeys;
mod refusals;
mod rotation;
mod sessions;
mod tokens;

/// The cluster of this test binary; without it the test is a counted skip and ends here.
macro_rules! secured {
    () => {
        ottla_tests::needs!(crate::secured())
    };
}
use secured;

/// A producer that has these settings, and does not wait long for what will not come.
fn producer(settings: &Settings) -> Producer {
    builder(settings).build().expect("the settings are fine")
}

/// Sends some records by these settings and finds them in the log, once and in order.
pub(crate) fn delivers(secured: &Secured, settings: &Settings) {
    let topic = secured.engine.topic("secured", 1);
    let producer = producer(settings).blocking();
    let sent: Vec<String> = (0..20).map(|n| format!("record {n}")).collect();
    let deliveries: Vec<_> = sent
        .iter()
        .map(|value| producer.send(Record::new(&topic).value(value)).expect("accepted"))
        .collect();
    for delivery in deliveries {
        delivery.wait().expect("delivered");
    }
    assert_eq!(ottla_tests::record::values(&secured.engine.read(&topic), 0), sent);
}
