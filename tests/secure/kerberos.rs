//! GSSAPI, with tickets of a real KDC. Where that is, is told a process as a whole, so the client
//! is a process of its own: the command line.

use std::process::{Command, Output};

use ottla_tests::secured::{Secured, Settings, with};
use ottla_tests::{needs, tools};

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

/// Produces a line with these settings.
fn produce(secured: &Secured, settings: &Settings, topic: &str) -> Result<Output, String> {
    let kerberos = secured.kerberos()?;
    let mut ottla = Command::new(tools::find("OTTLA_BIN", "ottla")?);
    ottla.env("KRB5_CONFIG", &kerberos.config).args(["produce", "-t", topic]);
    for (key, value) in settings {
        if key == "bootstrap.servers" {
            ottla.args(["-b", value]);
        } else {
            ottla.arg("-X").arg(format!("{key}={value}"));
        }
    }
    Ok(tools::ended(&mut ottla, b"by ticket\n"))
}

#[test]
fn records_travel_by_tickets_from_a_keytab() {
    let secured = needs!(crate::secured());
    let settings = needs!(settings(&secured));
    let topic = secured.engine.topic("kerberos", 1);
    let told = needs!(produce(&secured, &settings, &topic));
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let seen = ottla_tests::record::values(&secured.engine.read(&topic), 0);
    assert_eq!(seen, ["by ticket"]);
}

#[test]
fn a_principal_that_the_realm_does_not_know_is_told() {
    let secured = needs!(crate::secured());
    let settings = needs!(settings(&secured));
    let settings = with(settings, &[("sasl.kerberos.principal", "nobody@OTTLA.TEST")]);
    let topic = secured.engine.topic("kerberos", 1);
    let told = needs!(produce(&secured, &settings, &topic));
    assert!(!told.status.success());
    let words = String::from_utf8_lossy(&told.stderr).into_owned();
    for word in ["nobody@OTTLA.TEST", "keytab", &secured.door("kerberos").servers] {
        assert!(words.contains(word), "no {word:?} in: {words}");
    }
}

/// The ticket is for the host that the settings name, and the realm has none for another service.
#[test]
fn a_service_that_the_realm_does_not_know_is_told() {
    let secured = needs!(crate::secured());
    let settings = needs!(settings(&secured));
    let settings = with(settings, &[("sasl.kerberos.service.name", "not-kafka")]);
    let topic = secured.engine.topic("kerberos", 1);
    let told = needs!(produce(&secured, &settings, &topic));
    assert!(!told.status.success());
    let words = String::from_utf8_lossy(&told.stderr).into_owned();
    for word in ["not-kafka", "sasl.kerberos.service.name"] {
        assert!(words.contains(word), "no {word:?} in: {words}");
    }
}
