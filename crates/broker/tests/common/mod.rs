//! What several of the broker's tests need: batches, logs in temporary folders, a raw client.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]

pub mod classic_member;
pub mod client;
pub mod compacted;
pub mod configs;
pub mod consumer_member;
pub mod dying;
pub mod three;
pub mod transactional;

use ottla_codecs::{Codec, Compressor};
use ottla_protocol::record::{BatchHeader, CompressionType, RecordParts, TimestampType};

/// A time for records and clocks of tests, in milliseconds.
pub const NOW_MS: i64 = 1_700_000_000_000;

/// Key and value of a record.
pub type KeyValue = (Option<Vec<u8>>, Option<Vec<u8>>);

/// Numbers by chance that are the same each time.
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    /// A number from `low` to `high`.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1) as u64) as i64
    }

    pub fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// A batch as a producer sends it.
#[derive(Clone, Debug)]
pub struct Batch {
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub compression: CompressionType,
    pub transactional: bool,
    pub base_timestamp: i64,
    pub records: Vec<KeyValue>,
}

impl Batch {
    /// Records without key, none idempotent, none compressed.
    pub fn of<V: AsRef<[u8]>>(values: impl IntoIterator<Item = V>) -> Self {
        let records = values.into_iter().map(|value| (None, Some(value.as_ref().to_vec())));
        Self {
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            compression: CompressionType::None,
            transactional: false,
            base_timestamp: NOW_MS,
            records: records.collect(),
        }
    }

    /// `count` records of a few bytes.
    pub fn numbered(count: usize) -> Self {
        Self::of((0..count).map(|index| format!("value {index}")))
    }

    /// Makes it a batch of an idempotent producer.
    pub fn idempotent(self, producer_id: i64, producer_epoch: i16, base_sequence: i32) -> Self {
        Self { producer_id, producer_epoch, base_sequence, ..self }
    }

    pub fn compressed(self, compression: CompressionType) -> Self {
        Self { compression, ..self }
    }

    pub fn keyed(mut self, key: &str) -> Self {
        for record in &mut self.records {
            record.0 = Some(key.as_bytes().to_vec());
        }
        self
    }

    /// The first record's timestamp; each further one is a millisecond later.
    pub fn at(self, base_timestamp: i64) -> Self {
        Self { base_timestamp, ..self }
    }

    pub fn header(&self) -> BatchHeader {
        let count = self.records.len() as i32;
        BatchHeader {
            base_offset: 0,
            batch_length: 0,
            partition_leader_epoch: -1,
            magic: 2,
            crc: 0,
            attributes: BatchHeader::attributes_of(
                self.compression,
                TimestampType::CreateTime,
                self.transactional,
                false,
            ),
            last_offset_delta: count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.base_timestamp + i64::from(count) - 1,
            producer_id: self.producer_id,
            producer_epoch: self.producer_epoch,
            base_sequence: self.base_sequence,
            record_count: count,
        }
    }

    /// The records section before compression.
    pub fn plain_records(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (index, (key, value)) in self.records.iter().enumerate() {
            let parts = RecordParts {
                timestamp_delta: index as i64,
                offset_delta: index as i32,
                key: key.as_deref(),
                value: value.as_deref(),
                headers: &[],
            };
            parts.encode_into(parts.body_len(), &mut out);
        }
        out
    }

    pub fn encode(&self) -> Vec<u8> {
        seal(self.header(), &self.plain_records())
    }
}

/// A whole batch of a header and its records before compression.
pub fn seal(mut header: BatchHeader, plain_records: &[u8]) -> Vec<u8> {
    let mut records = Vec::new();
    match header.compression().expect("a compression type") {
        CompressionType::None => records.extend_from_slice(plain_records),
        compression => {
            let codec = Codec::new(compression, None).expect("a level");
            Compressor::new().compress(&codec, &[plain_records], &mut records).expect("compresses");
        }
    }
    let mut batch = header.seal([records.as_slice()]).expect("a batch that fits").to_vec();
    batch.extend_from_slice(&records);
    batch
}
