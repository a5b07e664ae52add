//! Reading the records of a topic: a plain reader for tools and tests, without consumer groups.
//!
//! It begins where it is told, follows each partition's leader, undoes compression, and gives the
//! records of one batch at a time. Records of aborted transactions are among them; the markers of
//! transactions are not.
//!
//! ```no_run
//! use std::time::Duration;
//! use ottla::reader::{ReadOptions, Reader};
//!
//! # async fn run() -> Result<(), ottla::reader::RequestError> {
//! let options = ReadOptions::new().stop_at_end(true);
//! let mut reader = Reader::open("127.0.0.1:9092", "user-events", options).await?;
//! while let Some(records) = reader.next().await? {
//!     for record in records {
//!         let record = record?;
//!         println!("{} {}: {:?}", record.partition, record.offset, record.value);
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod cursor;
mod fetch;
mod options;
mod records;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use bytes::Bytes;
use ottla_codecs::Decompressor;
use ottla_protocol::record::{BatchHeader, validate_batch};
use ottla_protocol::{ErrorCode, Uuid};

pub use self::cursor::Gap;
pub use self::options::{ReadOptions, Start};
pub use self::records::{ReadRecord, Records};
pub use crate::wire::{RequestError, RequestErrorKind};

use self::cursor::Cursor;
use crate::wire::Brokers;

/// Reads the records of a topic. It needs a tokio runtime with I/O and time.
pub struct Reader {
    brokers: Brokers,
    topic: String,
    topic_id: Uuid,
    options: ReadOptions,
    cursors: Vec<Cursor>,
    /// Batches that were fetched and not given out yet.
    batches: VecDeque<FetchedBatch>,
    gaps: Vec<Gap>,
    decompressor: Decompressor,
    /// The records of the batch that was given out last.
    records: Vec<u8>,
}

/// A batch as it came from a partition. Its frame is whole, its content has not been looked at.
struct FetchedBatch {
    partition: i32,
    bytes: Bytes,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl Reader {
    /// Connects to a cluster through any of its servers, given as `host:port[,host:port…]`, and
    /// finds the place to begin in each partition.
    ///
    /// # Errors
    /// When no server answers within [`ReadOptions::timeout`], there is no such topic or
    /// partition, or the offset to begin at does not exist.
    pub async fn open(
        bootstrap: &str,
        topic: &str,
        options: ReadOptions,
    ) -> Result<Self, RequestError> {
        Self::open_with(bootstrap, topic, options, |_| ()).await
    }

    /// As [`Reader::open`]; `on_retry` hears why each round over the servers failed.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub async fn open_with(
        bootstrap: &str,
        topic: &str,
        options: ReadOptions,
        on_retry: impl FnMut(&RequestError),
    ) -> Result<Self, RequestError> {
        let (security, timeout) = (&options.security, options.timeout);
        let mut brokers = Brokers::connect(bootstrap, security, timeout, on_retry).await?;
        let metadata = cursor::topic_metadata(&mut brokers, topic).await?;
        let cursors = cursor::place(&mut brokers, topic, metadata.partitions, &options).await?;
        Ok(Self {
            brokers,
            topic: topic.to_owned(),
            topic_id: metadata.topic_id,
            options,
            cursors,
            batches: VecDeque::new(),
            gaps: Vec::new(),
            decompressor: Decompressor::new(),
            records: Vec::new(),
        })
    }

    /// The topic that is read.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// How many records lie between here and the end that the topic had when reading began,
    /// counted by offsets. `None` unless reading stops at the end.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        let rest = |cursor: &Cursor| Some((cursor.end? - cursor.position).max(0) as u64);
        self.cursors.iter().map(rest).sum()
    }

    /// Takes the gaps met since the last call: records that the cluster's retention removed
    /// before they could be read.
    pub fn take_gaps(&mut self) -> Vec<Gap> {
        std::mem::take(&mut self.gaps)
    }

    /// The records of the next batch, waiting for one. `None` when reading stops at the end and
    /// every partition has come to it. Records of one partition come in order.
    ///
    /// Dropping the future loses nothing: the next call asks again.
    ///
    /// # Errors
    /// When the cluster does not answer for [`ReadOptions::timeout`], the topic is gone, or a
    /// batch is damaged. A damaged batch is left behind, so that reading may go on after it.
    pub async fn next(&mut self) -> Result<Option<Records<'_>>, RequestError> {
        let header = loop {
            let Some(batch) = self.batches.pop_front() else {
                if self.cursors.iter().all(Cursor::is_done) {
                    return Ok(None);
                }
                self.fetch().await?;
                continue;
            };
            if let Some(header) = self.unpack(&batch)? {
                break (batch.partition, header);
            }
        };
        let (partition, (header, from)) = header;
        Ok(Some(Records::new(&self.topic, partition, &header, from, &self.records)))
    }

    /// Checks a batch and undoes its compression. Gives its header and the first offset wanted
    /// from it, `None` when nothing is.
    fn unpack(&mut self, batch: &FetchedBatch) -> Result<Option<(BatchHeader, i64)>, RequestError> {
        let partition = batch.partition;
        let cursor = self.cursors.iter_mut().find(|cursor| cursor.partition == partition);
        let Some(cursor) = cursor else { return Ok(None) };
        let from = cursor.position;
        let claimed = BatchHeader::read(&batch.bytes);
        let next = claimed.as_ref().map_or(from, |header| header.last_offset().saturating_add(1));
        if next <= from {
            return Ok(None);
        }
        cursor.position = next;
        let damaged = |reason: &dyn std::fmt::Display| {
            RequestError::new(
                RequestErrorKind::Garbled,
                format!(
                    "{} partition {partition}: the batch with offsets {from} to {} is damaged: \
                     {reason}",
                    self.topic,
                    next - 1
                ),
            )
        };
        let header = validate_batch(&batch.bytes).map_err(|error| damaged(&error))?;
        if header.is_control() {
            return Ok(None);
        }
        let compression = header.compression().map_err(|error| damaged(&error))?;
        self.records.clear();
        let content = batch.bytes.get(BatchHeader::SIZE..).unwrap_or_default();
        let limit = self.options.max_batch_bytes;
        self.decompressor
            .decompress(compression, content, limit, &mut self.records)
            .map_err(|error| damaged(&error))?;
        Ok(Some((header, from)))
    }

    /// An error of one partition in words.
    fn refused(&self, partition: i32, code: ErrorCode) -> RequestError {
        RequestError::refused(&format!("{} partition {partition}", self.topic), code, None)
    }
}
