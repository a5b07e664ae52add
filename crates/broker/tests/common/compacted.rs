//! Reading a log as consumers do that only want what was committed.

use std::collections::BTreeSet;

use ottla_broker::log::PartitionLog;
use ottla_codecs::decompress;
use ottla_protocol::record::{BatchHeader, CompressionType, RecordReader, validate_batch};

/// A record that a consumer got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub offset: i64,
    pub timestamp_ms: i64,
    pub key: String,
    pub value: Option<String>,
}

/// The batches that `bytes` begin with, each as its header and its records without compression.
pub fn batches(bytes: &[u8]) -> Vec<(BatchHeader, Vec<u8>)> {
    let mut rest = bytes;
    let mut all = Vec::new();
    while !rest.is_empty() {
        let header = validate_batch(rest).expect("a batch");
        let (batch, behind) = rest.split_at(header.size_bytes().expect("a size"));
        let records = &batch[BatchHeader::SIZE..];
        let mut plain = Vec::new();
        match header.compression().expect("a codec") {
            CompressionType::None => plain.extend_from_slice(records),
            codec => decompress(codec, records, 1 << 20, &mut plain).expect("whole records"),
        }
        all.push((header, plain));
        rest = behind;
    }
    all
}

/// The records of a batch.
pub fn records(header: &BatchHeader, plain: &[u8]) -> Vec<Seen> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let seen = RecordReader::new(plain).map(|record| {
        let record = record.expect("a record");
        Seen {
            offset: header.base_offset + i64::from(record.offset_delta),
            timestamp_ms: header.base_timestamp + record.timestamp_delta,
            key: record.key.map_or_else(String::new, text),
            value: record.value.map(text),
        }
    });
    let seen: Vec<Seen> = seen.collect();
    assert_eq!(seen.len(), header.record_count as usize);
    seen
}

/// What a consumer gets from the beginning of a log to `end`, a few batches at a time. It has to
/// get as far as that.
pub fn read_committed(log: &mut PartitionLog, end: i64) -> Vec<Seen> {
    let mut seen = Vec::new();
    let start = log.log_start_offset();
    let mut offset = start;
    while offset < end {
        let bytes = log.read(offset, end, 500, true).expect("batches");
        if bytes.is_empty() {
            // What lies between is gone.
            let behind = log.read(offset, i64::MAX, 1, true).expect("a batch");
            let next = BatchHeader::read(&behind).expect("a batch").base_offset;
            assert!(next >= end, "nothing comes at {offset}, where {next} comes before {end}");
            break;
        }
        let from = offset;
        let found = batches(&bytes);
        for (header, _) in &found {
            assert!(header.last_offset() >= offset, "{header:?} comes after {offset}");
            offset = header.last_offset() + 1;
        }
        let aborted = log.aborted_transactions(from, offset).expect("transactions");
        let mut aborted: Vec<_> =
            aborted.iter().map(|it| (it.first_offset, it.producer_id)).collect();
        aborted.sort_unstable();
        let mut without_effect = BTreeSet::new();
        for (header, plain) in found {
            aborted.retain(|(first, id)| {
                let has_begun = *first <= header.last_offset();
                if has_begun {
                    without_effect.insert(*id);
                }
                !has_begun
            });
            if header.is_control() {
                let marker =
                    RecordReader::new(&plain).next().map(|record| record.expect("a marker"));
                if marker.is_some_and(|marker| marker.key == Some(&[0; 4])) {
                    without_effect.remove(&header.producer_id);
                }
            } else if !header.is_transactional() || !without_effect.contains(&header.producer_id) {
                seen.extend(records(&header, &plain));
            }
        }
    }
    seen.retain(|record| record.offset >= start);
    seen
}
