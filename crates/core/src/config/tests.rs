mod jaas;
mod other_clients;
mod security;

use alloc::string::ToString;

use super::*;

fn built(settings: &[(&str, &str)]) -> Result<ProducerConfig, ConfigError> {
    let mut builder = ConfigBuilder::default();
    builder.set("bootstrap.servers", "localhost:9092")?;
    for (key, value) in settings {
        builder.set(key, value)?;
    }
    builder.build()
}

fn refusal(settings: &[(&str, &str)]) -> String {
    built(settings).expect_err("the settings should be refused").to_string()
}

#[test]
fn an_unknown_setting_is_refused_with_the_nearest_name() {
    assert_eq!(
        refusal(&[("linger_ms", "5")]),
        "linger_ms: unknown setting; did you mean linger.ms?"
    );
    assert!(refusal(&[("compresion.type", "lz4")]).ends_with("did you mean compression.type?"));
    assert_eq!(refusal(&[("xyzzy", "1")]), "xyzzy: unknown setting");
}

#[test]
fn a_setting_answers_to_its_java_and_its_librdkafka_name() {
    assert_eq!(
        built(&[("message.timeout.ms", "60000")]),
        built(&[("delivery.timeout.ms", "60000")])
    );
    assert_eq!(built(&[("request.required.acks", "-1")]), built(&[("acks", "all")]));
    assert_eq!(built(&[("compression.codec", "zstd")]), built(&[("compression.type", "zstd")]));
}

#[test]
fn idempotence_gives_way_to_acks_unless_it_was_asked_for() {
    assert!(!built(&[("acks", "1")]).unwrap().idempotence);
    let why = refusal(&[("acks", "1"), ("enable.idempotence", "true")]);
    assert!(why.contains("acks=all"), "{why}");
    assert!(refusal(&[("enable.idempotence", "true"), ("max.in.flight", "6")]).contains('5'));
    assert!(refusal(&[("enable.idempotence", "true"), ("retries", "0")]).starts_with("retries"));
}

#[test]
fn giving_up_idempotence_unasked_is_known_and_turning_it_off_is_not_told() {
    let mut builder = ConfigBuilder::default();
    assert_eq!(builder.gives_up_idempotence_for(), None);
    builder.set("acks", "1").unwrap();
    assert_eq!(builder.gives_up_idempotence_for(), Some("acks"));
    builder.set("enable.idempotence", "false").unwrap();
    assert_eq!(builder.gives_up_idempotence_for(), None);
}

/// Laws: L9. Scenarios: #60.
#[test]
fn a_delivery_timeout_shorter_than_linger_and_request_timeout_is_refused() {
    let why = refusal(&[("delivery.timeout.ms", "1000"), ("request.timeout.ms", "2000")]);
    assert!(why.starts_with("delivery.timeout.ms: 1000 ms is less than"), "{why}");
    // With the default request timeout the shorter life wins.
    let config = built(&[("delivery.timeout.ms", "1000")]).unwrap();
    assert_eq!(config.request_timeout + config.linger, config.delivery_timeout);
}

#[test]
fn values_out_of_range_name_the_range() {
    assert!(refusal(&[("linger.ms", "-1")]).contains("from 0 to 900000"));
    assert!(refusal(&[("acks", "2")]).contains("0, 1 or all"));
    assert!(refusal(&[("bootstrap.servers", "localhost")]).contains("port is missing"));
    assert!(refusal(&[("bootstrap.servers", "::1:9092")]).contains("brackets"));
    assert!(refusal(&[("compression.type", "brotli")]).contains("zstd"));
    assert!(
        refusal(&[("compression.type", "gzip"), ("compression.level", "10")]).contains("-1 to 9")
    );
    assert!(refusal(&[("partitioner", "murmur3")]).contains("murmur2"));
}

#[test]
fn a_codecs_own_level_counts_only_for_that_codec() {
    let levels = [("compression.zstd.level", "9"), ("compression.gzip.level", "1")];
    let config = built(&[levels[0], levels[1], ("compression.type", "zstd")]).unwrap();
    assert_eq!(config.compression_level, Some(9));
    assert_eq!(built(&levels).unwrap().compression_level, None);
}

#[test]
fn every_default_in_the_table_is_the_default() {
    for spec in KEYS.iter().filter(|spec| spec.name != "bootstrap.servers") {
        if let (Effect::Sets(apply), false) = (spec.effect, spec.default.is_empty()) {
            let mut config = ProducerConfig::default();
            if apply(&mut config, spec.default).is_ok() {
                assert_eq!(config, ProducerConfig::default(), "{}", spec.name);
            } else {
                // A default that depends on something is said in words.
                let threads = "one for each core beyond two (with gzip, beyond one), 4 at most";
                let words = ["the codec's own", threads, "true, with a warning"];
                assert!(words.contains(&spec.default), "{}: {}", spec.name, spec.default);
            }
        }
    }
}

#[test]
fn no_name_stands_in_the_table_twice() {
    let mut names: Vec<&str> = KEYS.iter().flat_map(KeySpec::names).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

/// Settings may come from people who are not trusted with more.
/// Laws: L11. Scenarios: S14.
#[test]
fn a_setting_is_taken_as_it_stands_and_makes_nothing_be_read_or_run() {
    for value in ["${file:/etc/passwd:root}", "${env:HOME}", "$(id)", "%h", "classpath:x"] {
        assert_eq!(built(&[("client.id", value)]).unwrap().client_id, value);
    }
    for key in ["config.providers", "sasl.jaas.config", "interceptor.classes", "value.serializer"] {
        // Refused, or known from other clients and without effect.
        let without_effect = |config| config == built(&[]).unwrap();
        assert!(
            built(&[(key, "com.example.Anything")]).is_ok_and(without_effect) || {
                refusal(&[(key, "com.example.Anything")]).starts_with(key)
            }
        );
    }
    let many = alloc::vec!["h:1"; 200_000].join(",");
    assert!(built(&[("bootstrap.servers", &many)]).is_ok());
}
