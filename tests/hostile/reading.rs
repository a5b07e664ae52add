//! What the reader and the administrator make of answers that lie, and the reader of batches that
//! unpack to more than they may.

use std::sync::atomic::Ordering;

use ottla::admin::{Admin, ConfigResource, NewTopic};
use ottla::reader::{ReadOptions, Reader, RequestError, RequestErrorKind};
use ottla_codecs::Compressor;
use ottla_protocol::Message;
use ottla_protocol::messages::fetch::FetchResponse;
use ottla_protocol::record::{BatchHeader, CompressionType, RecordParts};
use ottla_tests::run;

use super::*;
use crate::schemas::{
    CREATE_TOPICS_RESPONSE, DELETE_TOPICS_RESPONSE, DESCRIBE_CONFIGS_RESPONSE, FETCH_RESPONSE,
    LIST_OFFSETS_RESPONSE, METADATA_RESPONSE,
};
use crate::walk::{Place, Schema, places};

const TIMEOUT: Duration = Duration::from_secs(20);

type Asks = fn(&str) -> Result<(), RequestError>;

async fn read_all(servers: &str) -> Result<(), RequestError> {
    let options = ReadOptions::new().stop_at_end(true).timeout(TIMEOUT);
    let mut reader = Reader::open(servers, "t", options).await?;
    while let Some(records) = reader.next().await? {
        for record in records {
            record?;
        }
    }
    Ok(())
}

/// An answer, its fields, and what has somebody ask for it.
fn questions() -> [(ApiKey, &'static Schema, Asks); 6] {
    let reads: Asks = |servers| run(read_all(servers));
    [
        (ApiKey::METADATA, &METADATA_RESPONSE, reads),
        (ApiKey::LIST_OFFSETS, &LIST_OFFSETS_RESPONSE, reads),
        (ApiKey::FETCH, &FETCH_RESPONSE, reads),
        (ApiKey::CREATE_TOPICS, &CREATE_TOPICS_RESPONSE, |servers| {
            run(async {
                let mut admin = Admin::connect(servers, TIMEOUT).await?;
                admin.create_topic(&NewTopic::new("new").partitions(1)).await.map(drop)
            })
        }),
        (ApiKey::DELETE_TOPICS, &DELETE_TOPICS_RESPONSE, |servers| {
            run(async { Admin::connect(servers, TIMEOUT).await?.delete_topic("u").await })
        }),
        (ApiKey::DESCRIBE_CONFIGS, &DESCRIBE_CONFIGS_RESPONSE, |servers| {
            run(async {
                let mut admin = Admin::connect(servers, TIMEOUT).await?;
                let topic = ConfigResource::Topic("t".to_owned());
                admin.describe_configs(&topic).await.map(drop)
            })
        }),
    ]
}

/// Puts `length` at each place of the first answer that comes; an error must name the field.
fn lie_everywhere(length: fn(&Place) -> i64, is_error: fn(&Place) -> bool) {
    let scene = Scene::new(&[]);
    for n in 0..3 {
        scene.delivers(&format!("{n}"));
    }
    for (api, schema, asks) in questions() {
        let version = Arc::new(Mutex::new(None));
        let mut nth = 0;
        loop {
            let asked = Arc::clone(&version);
            let spoilt = scene.spoil(api, move |count, answer| {
                *asked.lock().expect("no panic") = Some(answer.version);
                let places = places(schema, answer.version);
                let place = places.get(nth).filter(|_| count == 0)?;
                let body = place.with(&place.written(length(place)), &[0; 100]);
                Some(vec![Act::Write(answer.with_body(&body))])
            });
            let told = asks(&scene.hostile.address());
            let version = version.lock().expect("no panic").expect("it was asked for");
            let places = places(schema, version);
            let Some(place) = places.get(nth) else { break };
            assert_eq!(spoilt.load(Ordering::SeqCst), 1, "{api} {place:?}");
            if is_error(place) {
                let error = told.expect_err(&place.field);
                let text = error.to_string();
                assert_eq!(error.kind(), RequestErrorKind::Garbled, "{api} {place:?}: {text}");
                assert!(text.contains(&place.field), "{api} {place:?}: {text}");
                assert!(text.contains(&scene.hostile.address()), "{api} {place:?}: {text}");
            }
            nth += 1;
        }
        assert!(nth > 3, "{api} has {nth} places");
    }
}

/// Laws: L11. Scenarios: B-1, bug-54.
#[test]
fn minus_one_at_every_length_is_null_or_an_error_for_readers_and_administrators() {
    lie_everywhere(|_| -1, |place| !place.nullable);
}

/// Laws: L11. Scenarios: B-2, bug-58, bug-59.
#[test]
fn a_count_beyond_the_frame_at_every_length_is_an_error_for_readers_and_administrators() {
    lie_everywhere(Place::greatest, |_| true);
}

/// A batch of one record with 64 MiB of zeros in it.
fn bomb(compression: CompressionType) -> Vec<u8> {
    let zeros = vec![0; 64 << 20];
    let value = Some(&zeros[..]);
    let parts = RecordParts { timestamp_delta: 0, offset_delta: 0, key: None, value, headers: &[] };
    let mut records = Vec::new();
    parts.encode_into(parts.body_len(), &mut records);
    let mut packed = Vec::new();
    let packing = Compressor::new().compress(&compression.into(), &[&records], &mut packed);
    packing.expect("it can be packed");
    let mut header = BatchHeader {
        base_offset: 0,
        batch_length: 0,
        partition_leader_epoch: 0,
        magic: BatchHeader::MAGIC,
        crc: 0,
        attributes: compression as i16,
        last_offset_delta: 0,
        base_timestamp: 1,
        max_timestamp: 1,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        record_count: 1,
    };
    let sealed = header.seal([packed.as_slice()]).expect("a batch");
    [&sealed[..], &packed].concat()
}

/// Laws: L11. Scenarios: Z1, Z2, Z3, Z4, bug-60, bug-61.
#[test]
fn a_batch_that_unpacks_to_more_than_it_may_is_an_error_and_reading_goes_on_behind_it() {
    for compression in [
        CompressionType::Gzip,
        CompressionType::Snappy,
        CompressionType::Lz4,
        CompressionType::Zstd,
    ] {
        let scene = Scene::new(&[]);
        scene.delivers("first");
        scene.delivers("second");
        let bomb = bomb(compression);
        scene.spoil(ApiKey::FETCH, move |nth, answer| {
            let changed = answer.changed(|told: &mut FetchResponse| {
                let partitions = told.responses.iter_mut().flat_map(|topic| &mut topic.partitions);
                for partition in partitions.filter(|partition| partition.partition_index == 0) {
                    partition.records = Some(bomb.clone().into());
                }
            });
            (nth == 0).then(|| vec![Act::Write(changed)])
        });
        run(async {
            let options = ReadOptions::new().stop_at_end(true).max_batch_bytes(1 << 20);
            let mut reader = Reader::open(&scene.hostile.address(), "t", options).await?;
            let error = reader.next().await.map(drop).expect_err("too much");
            assert_eq!(error.kind(), RequestErrorKind::Garbled, "{compression}");
            assert!(error.to_string().contains("1048576"), "{compression}: {error}");
            let mut values = Vec::new();
            while let Some(records) = reader.next().await? {
                for record in records {
                    values.push(record?.value.map(<[u8]>::to_vec));
                }
            }
            assert_eq!(values, [Some(b"second".to_vec())], "{compression}");
            Ok::<(), RequestError>(())
        })
        .expect("read");
    }
    assert_eq!(FetchResponse::VERSIONS.min, 4);
}
