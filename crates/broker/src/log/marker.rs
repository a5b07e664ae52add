//! The control batch that ends a transaction.
//!
//! It has one record. The key is a version (i16) and what it says (i16: 0 abort, 1 commit), the
//! value a version (i16) and the epoch of the transaction coordinator (i32). Later versions may
//! have more behind that.

use ottla_protocol::record::{
    BatchHeader, CompressionType, RecordError, RecordParts, RecordReader, TimestampType,
};

const KEY_VERSION: i16 = 0;
const VALUE_VERSION: i16 = 0;
const ABORT: i16 = 0;
const COMMIT: i16 = 1;

/// How a transaction is to be ended in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionMarker {
    /// Whose transaction it is.
    pub producer_id: i64,
    /// The producer's epoch from here on: with transactions of version 2 the next one (KIP-890).
    pub producer_epoch: i16,
    /// The epoch of the coordinator that asks for it.
    pub coordinator_epoch: i32,
    /// Whether its records count.
    pub is_commit: bool,
    /// The version of the transaction, as the coordinator tells it (KIP-1228); 0 when it does not.
    pub transaction_version: i16,
}

/// What a marker says in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EndMarker {
    pub(super) is_commit: bool,
    pub(super) coordinator_epoch: i32,
}

impl EndMarker {
    /// The marker in the records of a control batch; `None` when it is of another kind.
    pub(super) fn read(header: &BatchHeader, records: &[u8]) -> Option<Self> {
        if !header.is_control() || header.compression() != Ok(CompressionType::None) {
            return None;
        }
        let record = RecordReader::new(records).next()?.ok()?;
        let (version, key) = record.key?.split_first_chunk()?;
        let (kind, _) = key.split_first_chunk()?;
        let (value_version, value) = record.value?.split_first_chunk()?;
        let (epoch, _) = value.split_first_chunk()?;
        if i16::from_be_bytes(*version) < 0 || i16::from_be_bytes(*value_version) < 0 {
            return None;
        }
        let is_commit = match i16::from_be_bytes(*kind) {
            ABORT => false,
            COMMIT => true,
            _ => return None,
        };
        Some(Self { is_commit, coordinator_epoch: i32::from_be_bytes(*epoch) })
    }
}

impl TransactionMarker {
    /// The control batch: its header and its records.
    pub(super) fn batch(
        &self,
        base_offset: i64,
        leader_epoch: i32,
        timestamp_type: TimestampType,
        now_ms: i64,
    ) -> Result<(BatchHeader, Vec<u8>), RecordError> {
        let kind = if self.is_commit { COMMIT } else { ABORT };
        let key = [KEY_VERSION.to_be_bytes(), kind.to_be_bytes()].concat();
        let value =
            [&VALUE_VERSION.to_be_bytes()[..], &self.coordinator_epoch.to_be_bytes()].concat();
        let record = RecordParts {
            timestamp_delta: 0,
            offset_delta: 0,
            key: Some(&key),
            value: Some(&value),
            headers: &[],
        };
        let mut records = Vec::with_capacity(record.encoded_len());
        record.encode_into(record.body_len(), &mut records);
        let mut header = BatchHeader {
            base_offset,
            batch_length: 0,
            partition_leader_epoch: leader_epoch,
            magic: BatchHeader::MAGIC,
            crc: 0,
            attributes: BatchHeader::attributes_of(
                CompressionType::None,
                timestamp_type,
                true,
                true,
            ),
            last_offset_delta: 0,
            base_timestamp: now_ms,
            max_timestamp: now_ms,
            producer_id: self.producer_id,
            producer_epoch: self.producer_epoch,
            base_sequence: -1,
            record_count: 1,
        };
        header.seal([records.as_slice()])?;
        Ok((header, records))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_read_as_it_was_written() {
        for is_commit in [true, false] {
            let marker = TransactionMarker {
                producer_id: 7,
                producer_epoch: 3,
                coordinator_epoch: 11,
                is_commit,
                transaction_version: 2,
            };
            let (header, records) = marker.batch(5, 1, TimestampType::CreateTime, 99).unwrap();
            let read = EndMarker::read(&header, &records);
            assert_eq!(read, Some(EndMarker { is_commit, coordinator_epoch: 11 }));
            for cut in 0..records.len() {
                assert_eq!(EndMarker::read(&header, &records[..cut]), None, "{cut}");
            }
        }
    }
}
