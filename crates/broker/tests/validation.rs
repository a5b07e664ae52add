//! What a batch must satisfy: each way to break one has its error code, and leaves no trace in the
//! log.

mod common;

use common::client::Client;
use common::{Batch, NOW_MS, seal};
use ottla_broker::{Cluster, ErrorCode};
use ottla_protocol::record::{BatchHeader, CompressionType, RecordParts, RecordReader, varint};

fn refusal(cluster: &Cluster, topic: &str, bytes: Vec<u8>) -> (ErrorCode, Vec<i32>, String) {
    let mut client = Client::connect(cluster);
    let answer = client.produce_bytes(9, topic, 0, bytes);
    assert_eq!(answer.base_offset, -1);
    assert_eq!(cluster.log_end_offset(topic, 0), Some(0));
    let indexes = answer.record_errors.iter().map(|error| error.batch_index).collect();
    (ErrorCode(answer.error_code), indexes, answer.error_message.unwrap_or_default())
}

fn code(cluster: &Cluster, bytes: Vec<u8>) -> ErrorCode {
    refusal(cluster, "t", bytes).0
}

fn cluster() -> Cluster {
    Cluster::builder()
        .topic("t", 1)
        .topic_with("compacted", 1, [("cleanup.policy", "compact")])
        .topic_with("small", 1, [("max.message.bytes", "200")])
        .topic_with("segment", 1, [("segment.bytes", "200")])
        .topic_with("recent", 1, [("message.timestamp.before.max.ms", "60000")])
        .start()
        .expect("starts")
}

/// A good batch with a changed header, under a checksum that fits.
fn with_header(change: impl FnOnce(&mut BatchHeader)) -> Vec<u8> {
    let batch = Batch::numbered(3);
    let mut header = batch.header();
    change(&mut header);
    seal(header, &batch.plain_records())
}

/// A batch whose header announces `count` records, over records of our own.
fn with_records(count: i32, compression: CompressionType, records: &[u8]) -> Vec<u8> {
    let header = Batch::numbered(count as usize).compressed(compression).header();
    seal(header, records)
}

#[test]
fn a_flipped_byte_or_a_cut_is_a_corrupt_message() {
    let cluster = cluster();
    let good = Batch::numbered(3).encode();
    for at in (17..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[at] ^= 0x20;
        assert_eq!(code(&cluster, bad), ErrorCode::CORRUPT_MESSAGE, "byte {at}");
    }
    for size in [1, 16, 40, 61, good.len() - 1] {
        assert_eq!(code(&cluster, good[..size].to_vec()), ErrorCode::CORRUPT_MESSAGE, "{size}");
    }
}

#[test]
fn the_records_field_holds_one_batch_of_format_2() {
    let cluster = cluster();
    let good = Batch::numbered(3).encode();
    assert_eq!(code(&cluster, Vec::new()), ErrorCode::INVALID_RECORD);
    assert_eq!(code(&cluster, [good.clone(), good.clone()].concat()), ErrorCode::INVALID_RECORD);
    assert_eq!(code(&cluster, [good.clone(), vec![0; 5]].concat()), ErrorCode::INVALID_RECORD);
    for magic in [0, 1, 3] {
        let mut bad = good.clone();
        bad[16] = magic;
        assert_eq!(code(&cluster, bad), ErrorCode::INVALID_RECORD, "magic {magic}");
    }
    for length in [-1, 0, 48, i32::MAX] {
        let mut bad = good.clone();
        bad[8..12].copy_from_slice(&i32::to_be_bytes(length));
        assert_eq!(code(&cluster, bad), ErrorCode::CORRUPT_MESSAGE, "length {length}");
    }
}

#[test]
fn the_header_must_agree_with_itself_and_with_the_records() {
    let cluster = cluster();
    type Change = Box<dyn FnOnce(&mut BatchHeader)>;
    let cases: Vec<Change> = vec![
        Box::new(|h| h.base_offset = 1),
        Box::new(|h| h.record_count = 0),
        Box::new(|h| h.record_count = -1),
        Box::new(|h| h.record_count = 2),
        Box::new(|h| h.last_offset_delta = 3),
        Box::new(|h| h.last_offset_delta = -1),
        Box::new(|h| (h.record_count, h.last_offset_delta) = (2, 1)),
        Box::new(|h| (h.record_count, h.last_offset_delta) = (4, 3)),
        Box::new(|h| (h.record_count, h.last_offset_delta) = (i32::MAX, i32::MAX - 1)),
        Box::new(|h| h.attributes |= 1 << 5),
        Box::new(|h| h.producer_id = 5),
        Box::new(|h| (h.producer_id, h.producer_epoch) = (5, 0)),
    ];
    for (index, change) in cases.into_iter().enumerate() {
        let bytes = with_header(change);
        assert_eq!(code(&cluster, bytes), ErrorCode::INVALID_RECORD, "case {index}");
    }
}

#[test]
fn offset_deltas_count_from_0_and_the_wrong_records_are_named() {
    let cluster = cluster();
    for compression in CompressionType::ALL {
        let mut records = Vec::new();
        for offset_delta in [0, 2, 1] {
            let parts = RecordParts {
                timestamp_delta: 0,
                offset_delta,
                key: None,
                value: Some(b"v"),
                headers: &[],
            };
            parts.encode_into(parts.body_len(), &mut records);
        }
        let bytes = with_records(3, compression, &records);
        let (code, indexes, message) = refusal(&cluster, "t", bytes);
        assert_eq!((code, indexes), (ErrorCode::INVALID_RECORD, vec![1, 2]), "{compression}");
        assert!(message.contains("offset delta"), "{message}");
    }
}

#[test]
fn records_that_cannot_be_read_are_refused() {
    let cluster = cluster();
    let good = Batch::numbered(1).plain_records();
    let mut oversized = Vec::new();
    varint::write_varint(&mut oversized, i32::MAX);
    let mut cases = vec![Vec::new(), oversized, vec![0xff; 30], good[..good.len() - 1].to_vec()];
    cases.push([good.clone(), vec![0]].concat());
    // Lengths of the record, the key and the value, each pushed out of bounds.
    for at in [0, 4, 5] {
        for byte in [0x01, 0x03, 0x7f, 0xff] {
            let mut bad = good.clone();
            bad[at] = byte;
            cases.push(bad);
        }
    }
    for (index, records) in cases.into_iter().enumerate() {
        let whole: Result<Vec<_>, _> = RecordReader::new(&records).collect();
        if whole.is_ok_and(|records| records.len() == 1) {
            continue;
        }
        for compression in CompressionType::ALL {
            let code = code(&cluster, with_records(1, compression, &records));
            assert_eq!(code, ErrorCode::INVALID_RECORD, "case {index} {compression}");
        }
    }
}

#[test]
fn compressed_bytes_that_are_none_are_refused() {
    let cluster = cluster();
    for compression in CompressionType::ALL.into_iter().skip(1) {
        for garbage in [&b""[..], b"garbage", &[0; 64], &[0xff; 64]] {
            let mut header = Batch::numbered(1).compressed(compression).header();
            let mut bytes = header.seal([garbage]).unwrap().to_vec();
            bytes.extend_from_slice(garbage);
            assert_eq!(code(&cluster, bytes), ErrorCode::INVALID_RECORD, "{compression}");
        }
    }
    let mut bytes = Batch::numbered(1).encode();
    bytes[22] |= 7;
    let crc = ottla_protocol::record::crc32c(&bytes[21..]).to_be_bytes();
    bytes[17..21].copy_from_slice(&crc);
    assert_eq!(code(&cluster, bytes), ErrorCode::UNSUPPORTED_COMPRESSION_TYPE);
}

#[test]
fn a_decompression_bomb_stops_at_the_limit() {
    let cluster = cluster();
    let zeros = vec![0; 200 << 20];
    for compression in [CompressionType::Gzip, CompressionType::Zstd] {
        let bytes = with_records(1, compression, &zeros);
        assert!(bytes.len() < 1 << 20, "{}", bytes.len());
        let (code, _, message) = refusal(&cluster, "t", bytes);
        assert_eq!(code, ErrorCode::INVALID_RECORD);
        assert!(message.contains("limit"), "{message}");
    }
}

#[test]
fn a_batch_over_the_topics_size_is_too_large() {
    let cluster = cluster();
    let large = || Batch::of([vec![1; 300]]).encode();
    assert_eq!(refusal(&cluster, "small", large()).0, ErrorCode::MESSAGE_TOO_LARGE);
    assert_eq!(refusal(&cluster, "segment", large()).0, ErrorCode::RECORD_LIST_TOO_LARGE);
    let mut client = Client::connect(&cluster);
    assert_eq!(client.produce("small", 0, &Batch::of([vec![1; 100]])).error_code, 0);
}

/// Laws: L1. Scenarios: F13.
#[test]
fn a_compacted_topic_takes_no_record_without_key() {
    let cluster = cluster();
    let mut mixed = Batch::numbered(4).keyed("k");
    mixed.records[2].0 = None;
    let (code, indexes, _) = refusal(&cluster, "compacted", mixed.encode());
    assert_eq!((code, indexes), (ErrorCode::INVALID_RECORD, vec![2]));
    let mut client = Client::connect(&cluster);
    let keyed = Batch::numbered(4).keyed("k");
    assert_eq!(client.produce("compacted", 0, &keyed).error_code, 0);
}

#[test]
fn timestamps_outside_the_topics_bounds_are_refused_record_by_record() {
    let cluster = cluster();
    let (code, indexes, _) = refusal(&cluster, "recent", Batch::numbered(2).encode());
    assert_eq!((code, indexes), (ErrorCode::INVALID_TIMESTAMP, vec![0, 1]));
    // The far future is refused by default.
    let future = Batch::numbered(1).at(NOW_MS * 3).encode();
    assert_eq!(refusal(&cluster, "t", future).0, ErrorCode::INVALID_TIMESTAMP);
    let mut client = Client::connect(&cluster);
    assert_eq!(client.produce("t", 0, &Batch::numbered(1).at(1000)).error_code, 0);
}

#[test]
fn zstd_needs_version_7_and_a_transaction_needs_its_id() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let zstd = Batch::numbered(1).compressed(CompressionType::Zstd).encode();
    let answer = client.produce_bytes(6, "t", 0, zstd.clone());
    assert_eq!(answer.error_code, ErrorCode::UNSUPPORTED_COMPRESSION_TYPE.0);
    let mut transactional = Batch::numbered(1).idempotent(1, 0, 0);
    transactional.transactional = true;
    let code = code(&cluster, transactional.encode());
    assert_eq!(code, ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    assert_eq!(client.produce_bytes(7, "t", 0, zstd).error_code, 0);
}
