//! Every way in: protocols, mechanisms, versions of TLS.

use ottla::{Security, reader::ReadOptions, reader::Reader};
use ottla_tests::run;
use ottla_tests::secured::with;

use super::{delivers, secured};

const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

#[test]
fn records_travel_by_tls() {
    let secured = secured!();
    delivers(&secured, &secured.settings("ssl"));
}

#[test]
fn records_travel_by_each_version_of_tls_alone() {
    let secured = secured!();
    for version in ["TLSv1.2", "TLSv1.3"] {
        let more = [("ssl.enabled.protocols", version)];
        delivers(&secured, &with(secured.settings("ssl"), &more));
    }
}

#[test]
fn records_travel_by_each_mechanism_in_the_clear() {
    let secured = secured!();
    for mechanism in MECHANISMS {
        delivers(&secured, &secured.settings_of("sasl_plaintext", mechanism, "alice"));
    }
}

/// The broker's certificate is by an intermediate authority here, and names an address.
#[test]
fn records_travel_by_each_mechanism_inside_tls() {
    let secured = secured!();
    for mechanism in MECHANISMS {
        delivers(&secured, &secured.settings_of("sasl_ssl", mechanism, "alice"));
    }
}

/// Settings as they stand in a file for Java, and in a program for librdkafka.
#[test]
fn settings_of_other_clients_work_unchanged() {
    let secured = secured!();
    let java = with(
        secured.settings("sasl_ssl"),
        &[
            ("sasl.mechanism", "SCRAM-SHA-512"),
            (
                "sasl.jaas.config",
                "org.apache.kafka.common.security.scram.ScramLoginModule required \
                 username=\"alice\" password=\"wonder-7Qx2 land=!\";",
            ),
        ],
    );
    delivers(&secured, &java);
    let librdkafka = with(
        secured.settings("sasl_ssl"),
        &[
            ("security.protocol", "sasl_ssl"),
            ("sasl.mechanisms", "PLAIN"),
            ("sasl.username", "alice"),
            ("sasl.password", "wonder-7Qx2 land=!"),
        ],
    );
    delivers(&secured, &librdkafka);
}

#[test]
fn the_reader_comes_in_by_sasl_and_tls_too() {
    let secured = secured!();
    let topic = secured.engine.topic("read-secured", 1);
    let settings = secured.settings_of("sasl_ssl", "SCRAM-SHA-256", "alice");
    let producer = super::producer(&settings).blocking();
    let record = ottla::Record::new(&topic).value("seen");
    producer.send(record).expect("accepted").wait().expect("delivered");
    let builder = settings.iter().filter(|(key, _)| key != "bootstrap.servers");
    let builder =
        builder.fold(Security::builder(), |builder, (key, value)| builder.set(key, value));
    let security = builder.build().expect("the settings are fine");
    run(async {
        let options = ReadOptions::new().stop_at_end(true).security(security);
        let servers = &secured.door("sasl_ssl").servers;
        let mut reader = Reader::open(servers, &topic, options).await.expect("opened");
        let records = reader.next().await.expect("read").expect("a batch");
        let values: Vec<_> =
            records.map(|record| record.expect("a record").value.map(<[u8]>::to_vec)).collect();
        assert_eq!(values, [Some(b"seen".to_vec())]);
    });
}
