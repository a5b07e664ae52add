//! Lengths that lie: at each place of each answer that the producer, the reader or an
//! administrator takes in, in every version. The places come from Kafka's schemas.

use std::sync::atomic::Ordering;

use ottla_protocol::messages::api_versions::ApiVersionsResponse;
use ottla_protocol::{ErrorCode, encode_response};

use super::*;
use crate::schemas::{
    API_VERSIONS_RESPONSE, INIT_PRODUCER_ID_RESPONSE, METADATA_RESPONSE, PRODUCE_RESPONSE,
};
use crate::walk::{Length, Place, Schema, places};

/// What follows a lie: zeros, so that it alone is what is wrong.
const REST: [u8; 100] = [0; 100];

/// An answer that the producer gets to see: its API, its fields, the versions that it asks for.
fn answers() -> [(ApiKey, &'static Schema, Vec<i16>); 4] {
    let all = |api: ApiKey| {
        let versions = api.versions().expect("one of ours");
        (versions.min..=versions.max).collect()
    };
    [
        // It is asked for in the version that has all, and in that which every broker has.
        (ApiKey::API_VERSIONS, &API_VERSIONS_RESPONSE, vec![0, 3]),
        (ApiKey::METADATA, &METADATA_RESPONSE, all(ApiKey::METADATA)),
        (ApiKey::INIT_PRODUCER_ID, &INIT_PRODUCER_ID_RESPONSE, all(ApiKey::INIT_PRODUCER_ID)),
        (ApiKey::PRODUCE, &PRODUCE_RESPONSE, all(ApiKey::PRODUCE)),
    ]
}

/// The broker as one that speaks `api` in no later version than this.
fn limited(answer: &Answer, api: ApiKey, version: i16) -> Vec<u8> {
    if api == ApiKey::API_VERSIONS && answer.version > version {
        let mut frame = Vec::new();
        let code = ErrorCode::UNSUPPORTED_VERSION.0;
        let no = ApiVersionsResponse { error_code: code, ..Default::default() };
        let id = answer.correlation_id();
        encode_response(answer.api, 0, id, &no, &mut frame).expect("an answer");
        return frame;
    }
    answer.changed(|told: &mut ApiVersionsResponse| {
        for row in told.api_keys.iter_mut().filter(|row| row.api_key == api.0) {
            row.max_version = version;
        }
    })
}

/// Puts `length` at each place of an answer, one after the other, and then is honest.
fn lie_everywhere(
    (api, schema, version): (ApiKey, &'static Schema, i16),
    length: fn(&Place) -> i64,
    is_error: fn(&Place) -> bool,
) -> usize {
    let scene = Scene::new(&[]);
    let count = places(schema, version).len();
    let told = Arc::new(AtomicUsize::new(0));
    let spoilt = Arc::clone(&told);
    scene.hostile.script(move |answer| {
        let nth = spoilt.load(Ordering::SeqCst);
        let places = places(schema, version);
        if (answer.api, answer.version) == (api, version) && nth < places.len() {
            spoilt.fetch_add(1, Ordering::SeqCst);
            let place = &places[nth];
            let body = place.with(&place.written(length(place)), &REST);
            return Some(vec![Act::Write(answer.with_body(&body))]);
        }
        let is_first = answer.api == ApiKey::API_VERSIONS;
        is_first.then(|| vec![Act::Write(limited(answer, api, version))])
    });
    scene.delivers("x");
    assert_eq!(told.load(Ordering::SeqCst), count, "{api} v{version}: every place had its turn");
    let troubles = scene.troubles();
    for place in places(schema, version).iter().filter(|place| is_error(place)) {
        // What is wrong with the tags themselves is told of their struct.
        let names = |why: &String| why.contains(&place.field);
        assert!(troubles.iter().any(names), "{api} v{version} {place:?}: {troubles:?}");
    }
    // One to go on with, and one to ask for the layout of the cluster meanwhile.
    let connections = scene.hostile.connections();
    assert!(connections <= 2 * count + 2, "{api} v{version}: {connections} for {count} lies");
    scene.ends_clean();
    count
}

fn every_answer(length: fn(&Place) -> i64, is_error: fn(&Place) -> bool) {
    let mut count = 0;
    for (api, schema, versions) in answers() {
        for version in versions {
            count += lie_everywhere((api, schema, version), length, is_error);
        }
    }
    assert!(count > 150, "{count} lies");
}

/// Laws: L11. Scenarios: B-1, bug-54.
#[test]
fn minus_one_at_every_length_of_every_answer_is_null_or_an_error_that_names_the_field() {
    every_answer(|_| -1, |place| !place.nullable);
}

/// Laws: L11. Scenarios: B-2, B-4, bug-58, bug-59.
#[test]
fn a_count_beyond_the_frame_at_every_length_is_an_error_that_names_the_field() {
    every_answer(Place::greatest, |_| true);
}

/// Laws: L11. Scenarios: B-2, B-4.
#[test]
fn a_count_that_the_frame_could_just_hold_is_an_error_or_harmless() {
    every_answer(|_| 90, |place| place.length == Length::TagSize);
}

/// Laws: L11. Scenarios: A8.
#[test]
fn bytes_behind_an_answer_are_left_alone() {
    for api in ASKED {
        let scene = Scene::new(&[]);
        scene.hostile.script(move |answer| {
            let mut frame = answer.frame.clone();
            frame.extend_from_slice(&[0xff; 40]);
            let size = (frame.len() - 4) as u32;
            frame[..4].copy_from_slice(&size.to_be_bytes());
            (answer.api == api).then(|| vec![Act::Write(frame)])
        });
        scene.delivers("x");
        assert_eq!(scene.troubles().len(), 0, "{api}");
        scene.ends_clean();
    }
}

#[test]
fn every_answer_has_lengths_to_lie_about() {
    let count = |(_, schema, versions): &(ApiKey, &'static Schema, Vec<i16>)| -> usize {
        versions.iter().map(|version| places(schema, *version).len()).sum()
    };
    let counts: Vec<usize> = answers().iter().map(count).collect();
    // InitProducerId has nothing but numbers: only its tags have lengths.
    assert!(counts[0] >= 4 && counts[1] >= 100 && counts[2] >= 4 && counts[3] >= 50, "{counts:?}");
}
