//! Records and batches: what is written reads back, here and with another implementation.

use bytes::{Bytes, BytesMut};
use kafka_protocol::records::{
    Compression, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions,
};
use ottla_protocol::record::{
    BatchHeader, CompressionType, Header, RecordParts, RecordReader, TimestampType, validate_batch,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// A record with bytes of its own; the timestamp counts from the start of the batch.
#[derive(Clone, Debug)]
struct Record {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

fn nullable_bytes(max: usize) -> impl Strategy<Value = Option<Vec<u8>>> {
    proptest::option::of(proptest::collection::vec(any::<u8>(), 0..max))
}

fn record() -> impl Strategy<Value = Record> {
    let headers = proptest::collection::vec(("[a-zö]{0,4}", nullable_bytes(6)), 0..4);
    let timestamp = prop_oneof![0..100_i64, Just(1_i64 << 41)];
    (timestamp, nullable_bytes(12), nullable_bytes(300), headers)
        .prop_map(|(timestamp, key, value, headers)| Record { timestamp, key, value, headers })
}

/// The records section and the header of a batch with these records.
fn batch(records: &[Record]) -> Vec<u8> {
    let mut section = Vec::new();
    let base_timestamp = records.iter().map(|record| record.timestamp).min().unwrap_or_default();
    for (index, record) in records.iter().enumerate() {
        let headers: Vec<_> =
            record.headers.iter().map(|(key, value)| Header::new(key, value.as_deref())).collect();
        let parts = RecordParts {
            timestamp_delta: record.timestamp - base_timestamp,
            offset_delta: index as i32,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
        };
        let (body_len, before) = (parts.body_len(), section.len());
        parts.encode_into(body_len, &mut section);
        assert_eq!(section.len() - before, parts.encoded_len());
    }
    let mut header = BatchHeader {
        base_offset: 500,
        batch_length: 0,
        partition_leader_epoch: 4,
        magic: BatchHeader::MAGIC,
        crc: 0,
        attributes: BatchHeader::attributes_of(
            CompressionType::None,
            TimestampType::CreateTime,
            true,
            false,
        ),
        last_offset_delta: records.len() as i32 - 1,
        base_timestamp,
        max_timestamp: records.iter().map(|record| record.timestamp).max().unwrap_or_default(),
        producer_id: 77,
        producer_epoch: 2,
        base_sequence: 900,
        record_count: records.len() as i32,
    };
    // In two chunks, as batches are kept.
    let (start, end) = section.split_at(section.len() / 2);
    [&header.seal([start, end]).unwrap()[..], start, end].concat()
}

/// Runs `test` on made-up lists of records, the same ones each time.
fn run(cases: u32, test: impl Fn(&[Record]) -> Result<(), TestCaseError>) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let strategy = proptest::collection::vec(record(), 1..6);
    if let Err(error) = runner.run(&strategy, |records| test(&records)) {
        panic!("{error}");
    }
}

#[test]
fn records_read_back_as_they_were_written() {
    run(256, |records| {
        let bytes = batch(records);
        let header =
            validate_batch(&bytes).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(header.size_bytes(), Some(bytes.len()));
        let views: Result<Vec<_>, _> = RecordReader::new(&bytes[BatchHeader::SIZE..]).collect();
        let views = views.map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(views.len(), records.len());
        for (index, (view, record)) in views.iter().zip(records).enumerate() {
            prop_assert_eq!(view.offset_delta, index as i32);
            prop_assert_eq!(header.base_timestamp + view.timestamp_delta, record.timestamp);
            prop_assert_eq!(view.key, record.key.as_deref());
            prop_assert_eq!(view.value, record.value.as_deref());
            prop_assert_eq!(view.headers().len(), record.headers.len());
            for (view, (key, value)) in view.headers().zip(&record.headers) {
                prop_assert_eq!(view.key_str(), Some(key.as_str()));
                prop_assert_eq!(view.value, value.as_deref());
            }
        }
        Ok(())
    });
}

#[test]
fn another_implementation_reads_our_batches_and_writes_the_same_bytes() {
    run(256, |records| {
        // The other side keeps headers in a map: no name twice.
        let mut records = records.to_vec();
        for record in &mut records {
            for (index, (key, _)) in record.headers.iter_mut().enumerate() {
                key.push(char::from(b'A' + index as u8));
            }
        }
        let ours = batch(&records);
        let read = RecordBatchDecoder::decode(&mut Bytes::from(ours.clone()))
            .map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(read.records.len(), records.len());
        for (theirs, ours) in read.records.iter().zip(&records) {
            prop_assert_eq!(theirs.timestamp, ours.timestamp);
            prop_assert_eq!(theirs.key.as_deref(), ours.key.as_deref());
            prop_assert_eq!(theirs.value.as_deref(), ours.value.as_deref());
        }
        let options = RecordEncodeOptions { version: 2, compression: Compression::None };
        let mut theirs = BytesMut::new();
        RecordBatchEncoder::encode(&mut theirs, &read.records, &options)
            .map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(&theirs[..], &ours[..]);
        Ok(())
    });
}

#[test]
fn a_cut_section_of_records_ends_in_an_error_or_at_a_record() {
    run(64, |records| {
        let bytes = batch(records);
        let section = &bytes[BatchHeader::SIZE..];
        let mut ends = vec![0];
        let mut reader = RecordReader::new(section);
        while reader.next().is_some() {
            ends.push(section.len() - reader.rest().len());
        }
        for length in 0..section.len() {
            let last = RecordReader::new(&section[..length]).last();
            let whole = last.is_none_or(|record| record.is_ok());
            prop_assert_eq!(whole, ends.contains(&length), "cut at {}", length);
        }
        Ok(())
    });
}
