//! Finding records by timestamp.

use std::path::Path;

use ottla_codecs::decompress;
use ottla_protocol::record::{
    BatchHeader, CompressionType, RecordReader, TimestampType, validate_batch,
};

use super::partition_log::PartitionLog;
use super::segment::Segment;
use super::{LogConfig, LogError};

/// A record found by its timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetAtTime {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp, in milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// The leader epoch that its batch was written in.
    pub leader_epoch: i32,
}

impl PartitionLog {
    /// The first record with this timestamp or a later one.
    ///
    /// # Errors
    /// When the log is damaged or the disk fails.
    pub fn offset_at_time(&mut self, timestamp_ms: i64) -> Result<Option<OffsetAtTime>, LogError> {
        let found = self.search_segments(timestamp_ms);
        self.release_closed_segments();
        found
    }

    fn search_segments(&mut self, timestamp_ms: i64) -> Result<Option<OffsetAtTime>, LogError> {
        let storage = self.storage().clone();
        let start = self.log_start_offset();
        for segment in &mut self.segments {
            let Some(mut batch) = segment.find_time(&*storage, timestamp_ms)? else {
                continue;
            };
            loop {
                let bytes = segment.read(&*storage, batch.position, batch.size as usize)?;
                let found = first_record(segment.path(), &bytes, |offset, timestamp| {
                    timestamp >= timestamp_ms && offset >= start
                })?;
                if found.is_some() {
                    return Ok(found);
                }
                // The batch lies before the log's start, or its header promised more than it holds.
                match segment.find(&*storage, batch.header.last_offset() + 1)? {
                    Some(next) => batch = next,
                    None => break,
                }
            }
        }
        Ok(None)
    }

    /// The first of the records with the greatest timestamp.
    ///
    /// # Errors
    /// When the log is damaged or the disk fails.
    pub fn offset_of_max_timestamp(&mut self) -> Result<Option<OffsetAtTime>, LogError> {
        let latest =
            self.segments.iter().filter_map(Segment::latest).map(|entry| entry.timestamp_ms);
        match latest.max() {
            Some(timestamp_ms) => self.offset_at_time(timestamp_ms),
            None => Ok(None),
        }
    }
}

/// The first record of a stored batch that `is_wanted` takes, given its offset and timestamp.
fn first_record(
    path: &Path,
    bytes: &[u8],
    is_wanted: impl Fn(i64, i64) -> bool,
) -> Result<Option<OffsetAtTime>, LogError> {
    let damaged = |reason: &dyn std::fmt::Display| LogError::corrupt(path, reason.to_string());
    let header = validate_batch(bytes).map_err(|error| damaged(&error))?;
    let compression = header.compression().map_err(|error| damaged(&error))?;
    let mut scratch = Vec::new();
    let records = match compression {
        CompressionType::None => &bytes[BatchHeader::SIZE..],
        _ => {
            let limit = LogConfig::default().max_decompressed_bytes;
            decompress(compression, &bytes[BatchHeader::SIZE..], limit, &mut scratch)
                .map_err(|error| damaged(&error))?;
            &scratch
        }
    };
    for record in RecordReader::new(records) {
        let record = record.map_err(|error| damaged(&error))?;
        let offset = header.base_offset + i64::from(record.offset_delta);
        let timestamp_ms = match header.timestamp_type() {
            TimestampType::LogAppendTime => header.max_timestamp,
            TimestampType::CreateTime => {
                header.base_timestamp.saturating_add(record.timestamp_delta)
            }
        };
        if is_wanted(offset, timestamp_ms) {
            let leader_epoch = header.partition_leader_epoch;
            return Ok(Some(OffsetAtTime { offset, timestamp_ms, leader_epoch }));
        }
    }
    Ok(None)
}
