//! Answers to ApiVersions that no broker can mean.

use std::sync::atomic::Ordering;

use ottla::ErrorKind;
use ottla_protocol::messages::api_versions::{ApiVersion, ApiVersionsResponse};
use ottla_protocol::{ErrorCode, encode_response};

use super::*;

type Change = fn(&mut ApiVersionsResponse);

/// Has the first three offers changed, and then finds a record delivered.
fn three_times(change: Change, words: &[&str]) {
    let scene = Scene::new(&[]);
    let spoilt = scene.spoil(ApiKey::API_VERSIONS, move |nth, answer| {
        (nth < 3).then(|| vec![Act::Write(answer.changed(change))])
    });
    scene.delivers("x");
    assert_eq!(spoilt.load(Ordering::SeqCst), 3);
    // The last may be that of a connection which the record did not need.
    until_true("three troubles", || scene.troubles().len() >= 3);
    assert_eq!(scene.troubles().len(), 3, "{:?}", scene.troubles());
    scene.assert_told(words);
    scene.ends_clean();
}

fn of(offer: &mut ApiVersionsResponse, api: ApiKey) -> &mut ApiVersion {
    offer.api_keys.iter_mut().find(|row| row.api_key == api.0).expect("offered")
}

/// Laws: L9. Scenarios: B-7.
#[test]
fn versions_that_do_not_meet_ours_are_told_with_both_ranges() {
    let cases: [(Change, &str); 6] = [
        (|offer| offer.api_keys.clear(), "Metadata"),
        (|offer| offer.api_keys.retain(|row| row.api_key != ApiKey::PRODUCE.0), "Produce"),
        (|offer| offer.api_keys.retain(|row| row.api_key != ApiKey::METADATA.0), "Metadata"),
        (|offer| of(offer, ApiKey::PRODUCE).min_version = 100, "Produce"),
        (|offer| of(offer, ApiKey::PRODUCE).max_version = -1, "Produce"),
        (
            |offer| {
                for row in &mut offer.api_keys {
                    (row.min_version, row.max_version) = (200, 300);
                }
            },
            "Metadata",
        ),
    ];
    for (change, api) in cases {
        three_times(change, &[api, "too old or too new"]);
    }
}

/// Laws: L9. Scenarios: B-7.
#[test]
fn a_range_that_ends_before_it_begins_offers_nothing() {
    three_times(
        |offer| {
            let row = of(offer, ApiKey::PRODUCE);
            (row.min_version, row.max_version) = (9, 3);
        },
        &["Produce", "too old or too new"],
    );
}

/// Laws: L11. Scenarios: B-7.
#[test]
fn an_offer_with_negative_and_enormous_versions_and_seventy_thousand_strangers_will_do() {
    let scene = Scene::new(&[]);
    scene.spoil(ApiKey::API_VERSIONS, |_, answer| {
        let changed = answer.changed(|offer: &mut ApiVersionsResponse| {
            of(offer, ApiKey::PRODUCE).min_version = i16::MIN;
            of(offer, ApiKey::METADATA).max_version = i16::MAX;
            offer.api_keys.extend((0..70_000).map(|n| ApiVersion {
                api_key: 1000 + (n % 30_000) as i16,
                min_version: -1,
                max_version: i16::MAX,
            }));
        });
        Some(vec![Act::Write(changed)])
    });
    scene.delivers("x");
    assert_eq!(scene.troubles().len(), 0);
    scene.ends_clean();
}

/// Laws: L11. Scenarios: B-7, A3.
#[test]
fn an_offer_larger_than_a_first_answer_may_be_is_not_read() {
    three_times(
        |offer| {
            let row = ApiVersion { api_key: 1000, min_version: 0, max_version: 0 };
            offer.api_keys.resize(100_000, row);
        },
        &["more than the limit of 524288"],
    );
}

/// Laws: L9. Scenarios: B-7, #91.
#[test]
fn a_broker_that_never_knows_our_version_is_asked_twice_on_each_connection() {
    let scene = Scene::new(&[("max.block.ms", "200")]);
    scene.hostile.script(|answer| {
        let mut frame = Vec::new();
        let code = ErrorCode::UNSUPPORTED_VERSION.0;
        let no = ApiVersionsResponse { error_code: code, ..Default::default() };
        let id = answer.correlation_id();
        encode_response(answer.api, 0, id, &no, &mut frame).expect("an answer");
        Some(vec![Act::Write(frame)])
    });
    let record = Record::new("t").value("x");
    let error = scene.producer.blocking().send(record).map(drop).expect_err("no broker");
    assert_eq!(error.kind(), ErrorKind::Network);
    let told = error.to_string();
    assert!(told.contains(&scene.hostile.address()), "{told}");
    assert!(told.contains("UNSUPPORTED_VERSION"), "{told}");
    let (asked, connections) =
        (scene.hostile.asked(ApiKey::API_VERSIONS), scene.hostile.connections());
    assert!(asked <= 2 * connections, "{asked} on {connections} connections");
    scene.hostile.become_honest();
    scene.delivers("x");
    scene.ends_clean();
}

/// Laws: L1. Scenarios: B-7.
#[test]
fn a_broker_without_producer_ids_fails_records_that_need_one_and_says_so() {
    let scene = Scene::new(&[]);
    scene.spoil(ApiKey::API_VERSIONS, |_, answer| {
        let changed = answer.changed(|offer: &mut ApiVersionsResponse| {
            offer.api_keys.retain(|row| row.api_key != ApiKey::INIT_PRODUCER_ID.0);
        });
        Some(vec![Act::Write(changed)])
    });
    let error = scene.send("x").wait().expect_err("not without an id");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    scene.ends_clean();
}
