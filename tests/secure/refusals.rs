//! One side does not accept the other: the error says where, what was seen and what to change.

use std::path::Path;

use ottla::{ErrorKind, Outcome, Record};
use ottla_tests::secured::{Secured, Settings, Watched, with};

use super::secured;

/// What a producer with these settings is told first. It must name the server.
fn trouble(secured: &Secured, door: &str, settings: &Settings) -> String {
    let told = Watched::start(settings).first_trouble();
    assert!(told.contains(&secured.door(door).servers), "no server in: {told}");
    told
}

fn assert_says(told: &str, words: &[&str]) {
    for word in words {
        assert!(told.contains(word), "no {word:?} in: {told}");
    }
}

/// Where every server refuses us, a record is refused at once and not after a minute, for the same
/// reason.
fn assert_refused_at_once(settings: &Settings, words: &[&str]) {
    // Nobody waits so long: the test would fail before.
    let producer = super::producer(&with(settings.clone(), &[("max.block.ms", "3600000")]));
    let error = producer.blocking().send(Record::new("any").value("v")).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
    assert_eq!(error.outcome(), Outcome::NotPersisted);
    assert_says(&error.to_string(), words);
}

/// Laws: L9. Scenarios: S9.
#[test]
fn a_certificate_of_another_authority_is_not_believed() {
    let secured = secured!();
    let settings = secured.settings("stranger");
    let words = ["Somebody Else's Root", "ssl.ca.location"];
    assert_says(&trouble(&secured, "stranger", &settings), &words);
    assert_refused_at_once(&settings, &words);
}

/// Laws: L9. Scenarios: S9.
#[test]
fn a_certificate_that_has_run_out_is_not_believed_and_its_date_is_told() {
    let secured = secured!();
    let settings = secured.settings("expired");
    assert_says(&trouble(&secured, "expired", &settings), &["ran out at", "clock"]);
    assert_refused_at_once(&settings, &["ran out at"]);
}

/// Laws: L9. Scenarios: S9.
#[test]
fn a_certificate_of_tomorrow_is_not_believed_and_the_clock_is_suspected() {
    let secured = secured!();
    let settings = secured.settings("early");
    assert_says(&trouble(&secured, "early", &settings), &["is not valid before", "clock"]);
}

/// Laws: L9. Scenarios: S9.
#[test]
fn a_certificate_of_another_host_is_not_believed_and_its_hosts_are_told() {
    let secured = secured!();
    let settings = secured.settings("elsewhere");
    let words = ["kafka.elsewhere.test", "localhost"];
    assert_says(&trouble(&secured, "elsewhere", &settings), &words);
    let more = [("ssl.endpoint.identification.algorithm", "https")];
    assert_refused_at_once(&with(settings, &more), &words);
}

/// The certificate is for localhost, which is the same host and another name.
/// Laws: L9. Scenarios: S9.
#[test]
fn an_address_is_not_the_name_that_leads_to_it() {
    let secured = secured!();
    let address = secured.door("named").address.to_string();
    let settings = with(secured.settings("named"), &[("bootstrap.servers", &address)]);
    let told = Watched::start(&settings).first_trouble();
    assert_says(&told, &[&address, "localhost"]);
}

#[test]
fn a_client_without_a_certificate_hears_which_settings_name_one() {
    let secured = secured!();
    let settings = secured.settings("mutual");
    let told = trouble(&secured, "mutual", &settings);
    assert_says(&told, &["ssl.keystore.location", "ssl.certificate.location"]);
}

#[test]
fn a_client_whose_certificate_the_broker_does_not_know_hears_which_one_it_showed() {
    let secured = secured!();
    let certificate = |name: &str| {
        let (chain, key) =
            (secured.file(&format!("{name}.crt")), secured.file(&format!("{name}.key")));
        let more = [("ssl.certificate.location", &chain[..]), ("ssl.key.location", &key[..])];
        with(secured.settings("mutual"), &more)
    };
    let told = trouble(&secured, "mutual", &certificate("client-stranger"));
    assert_says(&told, &["our certificate", "CN=client", "truststore"]);
    let told = trouble(&secured, "mutual", &certificate("client-expired"));
    assert_says(&told, &["our certificate", "CN=client", "not valid now"]);
}

/// Laws: L9. Scenarios: A4.
#[test]
fn plain_text_at_a_port_for_tls_names_the_setting() {
    let secured = secured!();
    let settings = with(secured.settings("ssl"), &[("security.protocol", "PLAINTEXT")]);
    let settings: Settings =
        settings.into_iter().filter(|(key, _)| !key.starts_with("ssl.")).collect();
    assert_says(&trouble(&secured, "ssl", &settings), &["TLS", "security.protocol"]);
}

/// Laws: L9. Scenarios: A12.
#[test]
fn tls_at_a_port_for_plain_text_names_the_setting() {
    let secured = secured!();
    let servers = secured.engine.servers();
    let settings = with(secured.settings("ssl"), &[("bootstrap.servers", servers)]);
    let told = Watched::start(&settings).first_trouble();
    assert_says(&told, &[servers, "TLS", "security.protocol"]);
}

/// Laws: L9. Scenarios: A12.
#[test]
fn no_credentials_at_a_port_for_sasl_names_the_setting() {
    let secured = secured!();
    let settings = with(secured.settings("sasl_plaintext"), &[("security.protocol", "PLAINTEXT")]);
    let told = trouble(&secured, "sasl_plaintext", &settings);
    assert_says(&told, &["security.protocol"]);
}

/// Laws: L9. Scenarios: A12.
#[test]
fn credentials_at_a_port_without_sasl_name_the_setting() {
    let secured = secured!();
    let servers = secured.engine.servers();
    let settings = secured.settings_of("sasl_plaintext", "PLAIN", "alice");
    let settings = with(settings, &[("bootstrap.servers", servers)]);
    let told = Watched::start(&settings).first_trouble();
    assert_says(&told, &[servers, "security.protocol"]);
}

#[test]
fn a_wrong_password_is_told_at_once_with_the_brokers_words() {
    let secured = secured!();
    for (mechanism, door) in
        [("PLAIN", "sasl_plaintext"), ("SCRAM-SHA-256", "sasl_ssl"), ("SCRAM-SHA-512", "sasl_ssl")]
    {
        for (user, password) in [("alice", "canary-wrong-2Vb6"), ("nobody", "canary-wrong-2Vb6")] {
            let settings = with(
                secured.settings_of(door, mechanism, "alice"),
                &[("sasl.username", user), ("sasl.password", password)],
            );
            let told = trouble(&secured, door, &settings);
            assert_says(&told, &["Authentication failed", "sasl.password"]);
            assert!(!told.contains(password), "the password is in: {told}");
            assert_refused_at_once(&settings, &["Authentication failed"]);
        }
    }
}

/// Nothing is fallen back to.
/// Laws: L9. Scenarios: S4.
#[test]
fn a_mechanism_that_the_broker_lacks_is_told_with_those_that_it_has() {
    let secured = secured!();
    let settings = with(
        secured.settings("sasl_plaintext"),
        &[
            ("sasl.mechanism", "AWS_MSK_IAM"),
            ("sasl.aws.region", "nowhere-1"),
            ("sasl.aws.access.key.id", "AKIDEXAMPLE"),
            ("sasl.aws.secret.access.key", "canary-4Ws1-of-aws"),
        ],
    );
    let told = trouble(&secured, "sasl_plaintext", &settings);
    assert_says(&told, &["AWS_MSK_IAM", "SCRAM-SHA-512", "sasl.mechanism"]);
    assert!(!told.contains("canary-4Ws1"), "the key is in: {told}");
}

/// Nothing is sent before the files are right.
#[test]
fn files_that_cannot_be_used_are_told_when_the_producer_is_built() {
    let secured = secured!();
    let folder = tempfile::TempDir::new().expect("a folder");
    let missing = folder.path().join("none.pem").display().to_string();
    let (chain, key) = (secured.file("client.crt"), secured.file("client-rsa.key"));
    for (more, words) in [
        (vec![("ssl.ca.location", &missing[..])], ["ssl.truststore.location", "none.pem"]),
        (
            vec![("ssl.certificate.location", &chain[..]), ("ssl.key.location", &key[..])],
            ["ssl.key.location", "client-rsa.key"],
        ),
        (vec![("ssl.keystore.location", &chain[..])], ["ssl.keystore.location", "key"]),
    ] {
        let settings = with(secured.settings("mutual"), &more);
        let error = ottla_tests::secured::builder(&settings).build().expect_err("refused");
        assert_says(&error.to_string(), &words);
    }
    assert!(Path::new(&chain).is_file());
}
