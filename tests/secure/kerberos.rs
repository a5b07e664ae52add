//! GSSAPI, with tickets of a real KDC.

use ottla_tests::needs;
use ottla_tests::secured::{Secured, Settings, Watched, with};

use crate::secure::delivers;

fn settings(secured: &Secured) -> Result<Settings, String> {
    let kerberos = secured.kerberos()?;
    let more = [
        ("sasl.mechanism", "GSSAPI"),
        ("sasl.kerberos.service.name", "kafka"),
        ("sasl.kerberos.principal", &kerberos.principal[..]),
        ("sasl.kerberos.keytab", &kerberos.keytab[..]),
    ];
    Ok(with(secured.settings("kerberos"), &more))
}

fn assert_told(secured: &Secured, settings: &Settings, words: &[&str]) {
    let told = Watched::start(settings).first_trouble();
    for word in words.iter().copied().chain([&secured.door("kerberos").servers[..]]) {
        assert!(told.contains(word), "no {word:?} in: {told}");
    }
}

#[test]
fn records_travel_by_tickets_from_a_keytab() {
    let secured = needs!(crate::secured());
    let settings = needs!(settings(&secured));
    delivers(&secured, &settings);
}

#[test]
fn a_principal_that_is_not_in_the_keytab_is_told() {
    let secured = needs!(crate::secured());
    let settings = needs!(settings(&secured));
    let settings = with(settings, &[("sasl.kerberos.principal", "nobody@OTTLA.TEST")]);
    assert_told(&secured, &settings, &["nobody@OTTLA.TEST", "sasl.kerberos.principal"]);
}

#[test]
fn a_service_that_the_realm_does_not_know_is_told() {
    let secured = needs!(crate::secured());
    let settings = needs!(settings(&secured));
    let settings = with(settings, &[("sasl.kerberos.service.name", "not-kafka")]);
    assert_told(&secured, &settings, &["not-kafka", "sasl.kerberos.service.name"]);
}
