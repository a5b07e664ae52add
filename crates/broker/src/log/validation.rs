//! What a batch must satisfy before it enters the log, and the fields that the broker sets itself.

use ottla_codecs::{Codec, Compressor, Decompressor};
use ottla_protocol::ErrorCode;
use ottla_protocol::record::{
    BatchHeader, CompressionType, RecordError, RecordReader, TimestampType, validate_batch,
};

use super::LogConfig;

/// Scratch memory above this size is given back after use, so that one huge batch does not stay in
/// memory.
const SCRATCH_KEPT_BYTES: usize = 4 * 1024 * 1024;

/// How many refused records are named one by one; a batch may hold a million of them.
const MAX_RECORD_ERRORS: usize = 100;

const NO_TIMESTAMP: i64 = -1;

/// Why a batch is not appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// What the producer is told.
    pub code: ErrorCode,
    /// The reason in words.
    pub message: String,
    /// The records that are to blame, by their place in the batch; empty when it is the batch as a
    /// whole.
    pub record_errors: Vec<RecordRejection>,
}

/// A record that is to blame for a refused batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordRejection {
    /// Its place in the batch, from 0.
    pub index: i32,
    /// The reason in words.
    pub message: String,
}

impl Rejection {
    /// A refusal of a batch as a whole.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), record_errors: Vec::new() }
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::INVALID_RECORD, message)
    }
}

/// A batch that may be appended. Base offset and leader epoch of the header are still the
/// producer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidBatch<'a> {
    /// The header as it must stand in the log.
    pub header: BatchHeader,
    /// The records as they must stand in the log: the producer's bytes, unless the topic has a
    /// codec of its own.
    pub records: &'a [u8],
    /// The time of the append, where the topic stamps it on the records.
    pub log_append_time_ms: Option<i64>,
}

/// Checks batches; keeps what the codecs need from one to the next.
#[derive(Default)]
pub struct Validator {
    decompressor: Decompressor,
    compressor: Compressor,
    /// The records of a batch without their compression.
    scratch: Vec<u8>,
    /// The records of a batch in the codec of its topic.
    compressed: Vec<u8>,
}

impl std::fmt::Debug for Validator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Validator").finish_non_exhaustive()
    }
}

impl Validator {
    /// Checks the records field of a Produce request: exactly one batch, whole, of format 2, with
    /// the right checksum, within the limits, and record by record what its header says.
    ///
    /// # Errors
    /// The refusal that the producer is to be sent.
    pub fn check<'a>(
        &'a mut self,
        bytes: &'a [u8],
        config: &LogConfig,
        now_ms: i64,
    ) -> Result<ValidBatch<'a>, Rejection> {
        let as_sent = check_frame(bytes, config)?;
        check_header(&as_sent)?;
        let compression = as_sent.compression().map_err(|error| {
            Rejection::new(ErrorCode::UNSUPPORTED_COMPRESSION_TYPE, error.to_string())
        })?;
        shrink(&mut self.scratch);
        shrink(&mut self.compressed);
        let sent = &bytes[BatchHeader::SIZE..];
        let plain = match compression {
            CompressionType::None => sent,
            _ => {
                let limit = config.max_decompressed_bytes;
                self.scratch.clear();
                self.decompressor
                    .decompress(compression, sent, limit, &mut self.scratch)
                    .map_err(|error| Rejection::invalid(error.to_string()))?;
                &self.scratch
            }
        };
        let max_timestamp = check_records(plain, &as_sent, config, now_ms)?;
        let mut header = as_sent;
        let log_append_time_ms = stamp(&mut header, config, max_timestamp, now_ms);
        let records = match config.compression.filter(|wanted| *wanted != compression) {
            None => sent,
            Some(wanted) => {
                header.attributes &= !CompressionType::ATTRIBUTE_MASK;
                header.attributes |= wanted as i16;
                compress(&mut self.compressor, wanted, plain, &mut self.compressed)?;
                check_size(BatchHeader::SIZE + self.compressed.len(), config)?;
                &self.compressed
            }
        };
        if header != as_sent {
            header.seal([records]).map_err(|error| Rejection::invalid(error.to_string()))?;
        }
        Ok(ValidBatch { header, records, log_append_time_ms })
    }
}

fn compress(
    compressor: &mut Compressor,
    wanted: CompressionType,
    plain: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Rejection> {
    out.clear();
    let codec = Codec { compression: wanted, ..Codec::NONE };
    compressor
        .compress(&codec, &[plain], out)
        .map_err(|error| Rejection::new(ErrorCode::UNKNOWN_SERVER_ERROR, error.to_string()))
}

/// Gives the memory of one huge batch back.
fn shrink(buffer: &mut Vec<u8>) {
    if buffer.capacity() > SCRATCH_KEPT_BYTES {
        *buffer = Vec::new();
    }
}

/// One batch fills the bytes, and it is no larger than the topic allows.
fn check_frame(bytes: &[u8], config: &LogConfig) -> Result<BatchHeader, Rejection> {
    if bytes.is_empty() {
        return Err(Rejection::invalid("a produce request must hold a batch for each partition"));
    }
    if bytes.len() > BatchHeader::SIZE && bytes[16] as i8 != BatchHeader::MAGIC {
        let magic = bytes[16] as i8;
        return Err(Rejection::invalid(format!("record format (magic) {magic}, not 2")));
    }
    let header = validate_batch(bytes)
        .map_err(|error| Rejection::new(ErrorCode::CORRUPT_MESSAGE, error.to_string()))?;
    if header.size_bytes() != Some(bytes.len()) {
        return Err(Rejection::invalid("a produce request must hold one batch per partition"));
    }
    check_size(bytes.len(), config)?;
    Ok(header)
}

fn check_size(size: usize, config: &LogConfig) -> Result<(), Rejection> {
    if size > config.max_message_bytes {
        let limit = config.max_message_bytes;
        let message = format!("the batch has {size} bytes, max.message.bytes is {limit}");
        return Err(Rejection::new(ErrorCode::MESSAGE_TOO_LARGE, message));
    }
    if size as u64 > config.segment_bytes {
        let limit = config.segment_bytes;
        let message = format!("the batch has {size} bytes, segment.bytes is {limit}");
        return Err(Rejection::new(ErrorCode::RECORD_LIST_TOO_LARGE, message));
    }
    Ok(())
}

fn check_header(header: &BatchHeader) -> Result<(), Rejection> {
    if header.base_offset != 0 {
        let offset = header.base_offset;
        return Err(Rejection::invalid(format!("the batch begins at offset {offset}, not at 0")));
    }
    if header.is_control() {
        return Err(Rejection::invalid("a client may not write control records"));
    }
    let count = header.record_count;
    if count <= 0 || header.last_offset_delta != count - 1 {
        let delta = header.last_offset_delta;
        let message = format!("{count} records do not fit a last offset delta of {delta}");
        return Err(Rejection::invalid(message));
    }
    if header.producer_id >= 0 && (header.base_sequence < 0 || header.producer_epoch < 0) {
        return Err(Rejection::invalid(
            "a batch with a producer id must have an epoch and a base sequence",
        ));
    }
    Ok(())
}

/// Reads the records through and gives back their greatest timestamp.
fn check_records(
    records: &[u8],
    header: &BatchHeader,
    config: &LogConfig,
    now_ms: i64,
) -> Result<i64, Rejection> {
    let mut reader = RecordReader::new(records);
    let mut refused = Refused::default();
    let mut max_timestamp = NO_TIMESTAMP;
    for index in 0..header.record_count {
        let record = match reader.next() {
            Some(Ok(record)) => record,
            Some(Err(error)) => return Err(undecodable(index, &error)),
            None => {
                let count = header.record_count;
                let message = format!("the batch announces {count} records and holds {index}");
                return Err(Rejection::invalid(message));
            }
        };
        if record.offset_delta != index {
            let delta = record.offset_delta;
            refused.note(index, || format!("offset delta {delta} where {index} must stand"));
        }
        if config.is_compacted && record.key.is_none() {
            refused.note(index, || "a compacted topic takes no record without key".to_owned());
        }
        let timestamp = header.base_timestamp.saturating_add(record.timestamp_delta);
        max_timestamp = max_timestamp.max(timestamp);
        if !config.accepts_timestamp(timestamp, now_ms) {
            refused.note_timestamp(index, timestamp);
        }
    }
    if !reader.rest().is_empty() {
        let (rest, count) = (reader.rest().len(), header.record_count);
        let message = format!("{rest} bytes follow the {count} records of the batch");
        return Err(Rejection::invalid(message));
    }
    refused.verdict().map(|()| max_timestamp)
}

fn undecodable(index: i32, error: &RecordError) -> Rejection {
    Rejection::invalid(format!("record {index} of the batch cannot be read: {error}"))
}

/// The records that were refused so far.
#[derive(Default)]
struct Refused {
    records: Vec<RecordRejection>,
    /// Whether another reason than the timestamp was met.
    is_invalid: bool,
}

impl Refused {
    fn note(&mut self, index: i32, message: impl FnOnce() -> String) {
        self.is_invalid = true;
        self.add(index, message);
    }

    fn note_timestamp(&mut self, index: i32, timestamp: i64) {
        self.add(index, || format!("timestamp {timestamp} lies outside what the topic accepts"));
    }

    fn add(&mut self, index: i32, message: impl FnOnce() -> String) {
        if self.records.len() < MAX_RECORD_ERRORS {
            self.records.push(RecordRejection { index, message: message() });
        }
    }

    fn verdict(self) -> Result<(), Rejection> {
        let Some(first) = self.records.first() else {
            return Ok(());
        };
        let code = match self.is_invalid {
            true => ErrorCode::INVALID_RECORD,
            false => ErrorCode::INVALID_TIMESTAMP,
        };
        let message = format!("record {} of the batch: {}", first.index, first.message);
        Err(Rejection { code, message, record_errors: self.records })
    }
}

/// Sets what the broker decides about timestamps. Gives back the time of the append, where the
/// topic stamps it on the records.
fn stamp(
    header: &mut BatchHeader,
    config: &LogConfig,
    max_timestamp: i64,
    now_ms: i64,
) -> Option<i64> {
    const LOG_APPEND_TIME_BIT: i16 = 1 << 3;
    match config.timestamp_type {
        TimestampType::CreateTime => {
            header.attributes &= !LOG_APPEND_TIME_BIT;
            header.max_timestamp = max_timestamp;
            None
        }
        TimestampType::LogAppendTime => {
            header.attributes |= LOG_APPEND_TIME_BIT;
            header.max_timestamp = now_ms;
            Some(now_ms)
        }
    }
}
