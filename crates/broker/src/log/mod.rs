//! A partition's log on disk, in Kafka's format and under Kafka's file names.
//!
//! ```text
//! <data>/<topic>-<partition>/
//!   00000000000000000000.log        record batches, one after the other, as they came off the wire
//!   00000000000000000000.index      last offset of a batch -> position in .log, sparse
//!   00000000000000000000.timeindex  greatest timestamp so far -> offset, sparse
//!   00000000000000000000.txnindex   transactions aborted in the segment, if there are any
//!   00000000000000000042.snapshot   idempotent producers as of offset 42
//!   00000000000000000042.window     the same with all batches of the window (not Kafka's)
//!   00000000000000000000.log.cleaned, .log.swap   a segment without old records, on its way in
//!   leader-epoch-checkpoint         which leader epoch began where
//!   partition.metadata              the topic's id
//! ```
//!
//! A batch is stored verbatim: only base offset and leader epoch are set, which its checksum does
//! not cover (and the timestamps of a topic with `message.timestamp.type=LogAppendTime`, with a new
//! checksum). Every append is one write to the file and none to the medium, so what was
//! acknowledged survives the end of the process. After one that did not shut down, the part of the
//! log behind the recovery point is read through and cut at the first batch that is not whole;
//! indexes and producer states are made from the log.

mod bookmarks;
mod cleaner;
mod entry_file;
mod file_span;
mod leader_epochs;
mod marker;
mod offset_index;
mod partition_log;
mod producer_snapshot;
mod producer_state;
pub(crate) mod read_buffer;
mod reading;
mod recovery;
mod replica;
mod retention;
mod scan;
mod segment;
mod segment_lookup;
pub mod storage;
mod time_index;
mod time_lookup;
mod transaction_index;
mod transactions;
mod validation;

use std::io;
use std::path::{Path, PathBuf};

use ottla_protocol::record::{CompressionType, TimestampType};

pub(crate) use file_span::FileSpan;
pub use marker::TransactionMarker;
pub(crate) use partition_log::SyncJob;
pub use partition_log::{Appended, PartitionLog};
pub use producer_state::{
    ProducedBatch, ProducerEntry, ProducerStates, SequenceVerdict, WINDOW_BATCHES, sequence_after,
};
pub use reading::ReadError;
pub(crate) use reading::{Located, LogReader};
pub use recovery::{OpenState, Recovery, Truncation};
pub use storage::{DiskStorage, Storage, StoredFile, StoredName, Survives};
pub use time_lookup::OffsetAtTime;
pub use transactions::AbortedTransaction;
pub use validation::{RecordRejection, Rejection, ValidBatch, Validator};

const LOG_SUFFIX: &str = ".log";
const INDEX_SUFFIX: &str = ".index";
const TIME_INDEX_SUFFIX: &str = ".timeindex";
const TRANSACTION_INDEX_SUFFIX: &str = ".txnindex";
const SNAPSHOT_SUFFIX: &str = ".snapshot";
const WINDOW_SUFFIX: &str = ".window";

/// How a partition's log behaves; most of it comes from the topic's configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment that would outgrow this is closed and a new one begun.
    pub segment_bytes: u64,
    /// `segment.ms`: a segment whose first record is older than this is closed on the next append.
    pub segment_ms: i64,
    /// `index.interval.bytes`: about one index entry for so many bytes of log.
    pub index_interval_bytes: u64,
    /// `max.message.bytes`: the largest batch, header included.
    pub max_message_bytes: usize,
    /// The largest records section after decompression, in bytes.
    pub max_decompressed_bytes: usize,
    /// `compression.type`: what batches are stored with, `None` for as the producer sent them.
    pub compression: Option<CompressionType>,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`: how far a record's timestamp may lie in the past.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`: how far a record's timestamp may lie in the future.
    pub timestamp_after_max_ms: i64,
    /// Whether `cleanup.policy` has `compact`: every record must then have a key.
    pub is_compacted: bool,
    /// Whether `cleanup.policy` has `delete`: old segments are removed.
    pub is_deleted: bool,
    /// `min.cleanable.dirty.ratio`: the part of a compacted log that has to be dirty before it is
    /// cleaned.
    pub min_cleanable_dirty_ratio: f64,
    /// `min.compaction.lag.ms`: a segment with a younger record is not cleaned.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`: a log with an older record that was not cleaned is, whatever its
    /// ratio.
    pub max_compaction_lag_ms: i64,
    /// `delete.retention.ms`: how long a tombstone is left in a log that was cleaned.
    pub delete_retention_ms: i64,
    /// `retention.ms`: age at which a segment is removed, `None` for never.
    pub retention_ms: Option<i64>,
    /// `retention.bytes`: size above which the oldest segments are removed, `None` for never.
    pub retention_bytes: Option<u64>,
}

impl Default for LogConfig {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            segment_bytes: 1024 * 1024 * 1024,
            segment_ms: 7 * 24 * 60 * 60 * 1000,
            index_interval_bytes: 4096,
            max_message_bytes: 1_048_588,
            max_decompressed_bytes: 100 * 1024 * 1024,
            compression: None,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 60 * 60 * 1000,
            is_compacted: false,
            is_deleted: true,
            min_cleanable_dirty_ratio: 0.5,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            delete_retention_ms: 24 * 60 * 60 * 1000,
            retention_ms: Some(7 * 24 * 60 * 60 * 1000),
            retention_bytes: None,
        }
    }
}

impl LogConfig {
    /// Whether a record may carry this timestamp. Where the broker sets the time, any will do.
    fn accepts_timestamp(&self, timestamp_ms: i64, now_ms: i64) -> bool {
        if self.timestamp_type == TimestampType::LogAppendTime || timestamp_ms == -1 {
            return true;
        }
        now_ms.saturating_sub(timestamp_ms) <= self.timestamp_before_max_ms
            && timestamp_ms.saturating_sub(now_ms) <= self.timestamp_after_max_ms
    }
}

/// Why a log cannot be opened or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The disk failed.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// A file holds something that does not belong there.
    #[error("{path} is damaged or not a file of this log: {reason}", path = .path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// What a leader sent cannot follow what the log has.
    #[error("{path} cannot go on with what the leader sent: {reason}", path = .path.display())]
    Mismatch {
        /// The log's folder.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
}

impl LogError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn corrupt(path: &Path, reason: impl Into<String>) -> Self {
        Self::Corrupt { path: path.to_owned(), reason: reason.into() }
    }
}

/// Kafka's file name: the offset in 20 digits and what kind of file it is.
fn file_name(offset: i64, suffix: &str) -> String {
    format!("{offset:020}{suffix}")
}

/// The offset in a file name of the kind `suffix`.
fn offset_in_name(name: &str, suffix: &str) -> Option<i64> {
    let digits = name.strip_suffix(suffix)?;
    let all_digits = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().ok()).flatten()
}
