//! Reading from a broker that moves leaders, removes records and damages batches.

use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::messages::fetch::{
    FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData,
};
use ottla_protocol::messages::list_offsets::{
    ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use ottla_protocol::messages::metadata::{
    MetadataRequest, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic,
};
use ottla_protocol::record::{BatchHeader, RecordParts};
use ottla_protocol::{ApiKey, ErrorCode, Uuid};

use super::{Gap, ReadOptions, Reader, RequestErrorKind};
use crate::wire::scripted::{Answer, Asked, serve};

const ID: Uuid = Uuid([7; 16]);

/// A batch with one record at each offset.
fn batch(offsets: std::ops::Range<i64>, attributes: i16) -> Vec<u8> {
    let mut records = Vec::new();
    let count = (offsets.end - offsets.start) as i32;
    for offset_delta in 0..count {
        let value = Some(&b"v"[..]);
        let parts =
            RecordParts { timestamp_delta: 0, offset_delta, key: None, value, headers: &[] };
        parts.encode_into(parts.body_len(), &mut records);
    }
    let mut header = BatchHeader {
        base_offset: offsets.start,
        batch_length: 0,
        partition_leader_epoch: 0,
        magic: BatchHeader::MAGIC,
        crc: 0,
        attributes,
        last_offset_delta: count - 1,
        base_timestamp: 5,
        max_timestamp: 5,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        record_count: count,
    };
    let mut bytes = header.seal([records.as_slice()]).unwrap().to_vec();
    bytes.extend_from_slice(&records);
    bytes
}

/// What the script says to one fetch: an error code, and batches.
type Fetched = (ErrorCode, Vec<u8>);

fn none(bytes: Vec<u8>) -> Fetched {
    (ErrorCode::NONE, bytes)
}

/// A broker with one topic `t` of one partition, whose offsets go from `first` to `next`, and
/// that answers fetches by script. The script sees the offset that is asked for.
async fn broker(
    span: impl Fn() -> (i64, i64) + Send + 'static,
    mut script: impl FnMut(i64) -> Fetched + Send + 'static,
) -> String {
    let listener = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
    let own = std::sync::Arc::clone(&listener);
    let address = serve(move |asked| match asked.api() {
        ApiKey::API_VERSIONS => asked.with_our_versions(),
        ApiKey::METADATA => metadata(&asked, own.get().map_or("", String::as_str)),
        ApiKey::LIST_OFFSETS => offsets(&asked, span()),
        ApiKey::FETCH => {
            let request: FetchRequest = asked.body();
            let (code, bytes) = script(request.topics[0].partitions[0].fetch_offset);
            let data = PartitionData {
                error_code: code.0,
                records: Some(Bytes::from(bytes)),
                ..Default::default()
            };
            let topic = FetchableTopicResponse {
                topic_id: ID,
                partitions: vec![data],
                ..Default::default()
            };
            asked.with(&FetchResponse { responses: vec![topic], ..Default::default() })
        }
        other => panic!("{other} was not expected"),
    })
    .await;
    listener.set(address.clone()).unwrap();
    address
}

fn metadata(asked: &Asked, address: &str) -> Answer {
    let request: MetadataRequest = asked.body();
    assert!(!request.allow_auto_topic_creation);
    let (host, port) = address.rsplit_once(':').unwrap();
    let broker = MetadataResponseBroker {
        node_id: 1,
        host: host.to_owned(),
        port: port.parse().unwrap(),
        rack: None,
    };
    let partition = MetadataResponsePartition { leader_id: 1, ..Default::default() };
    let topic = MetadataResponseTopic {
        name: Some("t".to_owned()),
        topic_id: ID,
        partitions: vec![partition],
        ..Default::default()
    };
    asked.with(&MetadataResponse {
        brokers: vec![broker],
        topics: vec![topic],
        controller_id: 1,
        ..Default::default()
    })
}

fn offsets(asked: &Asked, (first, next): (i64, i64)) -> Answer {
    let request: ListOffsetsRequest = asked.body();
    let wanted = request.topics[0].partitions[0].timestamp;
    let offset = if wanted == crate::wire::EARLIEST { first } else { next };
    let partition = ListOffsetsPartitionResponse { offset, ..Default::default() };
    let topic = ListOffsetsTopicResponse { name: "t".to_owned(), partitions: vec![partition] };
    asked.with(&ListOffsetsResponse { topics: vec![topic], ..Default::default() })
}

async fn open(address: &str) -> Reader {
    let options = ReadOptions::new().stop_at_end(true).timeout(Duration::from_secs(20));
    Reader::open(address, "t", options).await.unwrap()
}

/// The offsets of all records to the end.
async fn read(reader: &mut Reader) -> Vec<i64> {
    let mut offsets = Vec::new();
    while let Some(records) = reader.next().await.unwrap() {
        offsets.extend(records.map(|record| record.unwrap().offset));
    }
    offsets
}

#[tokio::test]
async fn a_move_of_the_leader_is_waited_out() {
    let mut count = 0;
    let address = broker(
        || (0, 3),
        move |offset| {
            count += 1;
            assert_eq!(offset, 0);
            match count {
                1 => (ErrorCode::NOT_LEADER_OR_FOLLOWER, Vec::new()),
                2 => (ErrorCode::UNKNOWN_TOPIC_ID, Vec::new()),
                _ => none(batch(0..3, 0)),
            }
        },
    )
    .await;
    assert_eq!(read(&mut open(&address).await).await, [0, 1, 2]);
}

#[tokio::test]
async fn control_batches_are_passed_over_and_a_batch_cut_short_is_fetched_again() {
    let address = broker(
        || (0, 6),
        |offset| match offset {
            0 => {
                let mut bytes = [batch(0..2, 0), batch(2..3, 1 << 5), batch(3..6, 0)].concat();
                bytes.truncate(bytes.len() - 1);
                none(bytes)
            }
            3 => none(batch(3..6, 0)),
            other => panic!("offset {other} was asked for"),
        },
    )
    .await;
    assert_eq!(read(&mut open(&address).await).await, [0, 1, 3, 4, 5]);
}

#[tokio::test]
async fn records_that_retention_removes_meanwhile_are_a_gap_that_is_told() {
    let mut count = 0;
    let removed = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = std::sync::Arc::clone(&removed);
    let first = move || if removed.load(std::sync::atomic::Ordering::SeqCst) { 5 } else { 0 };
    let address = broker(
        move || (first(), 7),
        move |offset| {
            count += 1;
            match count {
                1 => none(batch(0..2, 0)),
                2 => {
                    seen.store(true, std::sync::atomic::Ordering::SeqCst);
                    (ErrorCode::OFFSET_OUT_OF_RANGE, Vec::new())
                }
                _ => {
                    assert_eq!(offset, 5);
                    none(batch(5..7, 0))
                }
            }
        },
    )
    .await;
    let mut reader = open(&address).await;
    assert_eq!(read(&mut reader).await, [0, 1, 5, 6]);
    assert_eq!(reader.take_gaps(), [Gap { partition: 0, from: 2, to: 5 }]);
}

#[tokio::test]
async fn a_damaged_batch_is_an_error_and_reading_goes_on_after_it() {
    let address = broker(
        || (0, 4),
        |_| {
            let mut damaged = batch(0..2, 0);
            let last = damaged.len() - 1;
            damaged[last] ^= 1;
            none([damaged, batch(2..4, 0)].concat())
        },
    )
    .await;
    let mut reader = open(&address).await;
    let error = reader.next().await.unwrap_err();
    assert_eq!(error.kind(), RequestErrorKind::Garbled);
    assert!(error.to_string().contains("offsets 0 to 1 is damaged"), "{error}");
    assert_eq!(read(&mut reader).await, [2, 3]);
}

#[tokio::test]
async fn a_first_batch_that_is_cut_short_gets_more_room() {
    let mut count = 0;
    let address = broker(
        || (0, 2),
        move |_| {
            count += 1;
            let bytes = batch(0..2, 0);
            none(if count == 1 { bytes[..30].to_vec() } else { bytes })
        },
    )
    .await;
    assert_eq!(read(&mut open(&address).await).await, [0, 1]);
}
