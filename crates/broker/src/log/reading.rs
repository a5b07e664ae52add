//! Reading a log: where batches lie, and what they say.

use bytes::Bytes;
use ottla_protocol::record::BatchHeader;

use super::LogError;
use super::file_span::FileSpan;
use super::partition_log::PartitionLog;
use super::scan::{ScannedBatch, whole_batches};
use super::segment::Segment;
use crate::power_cut::Unflushed;

/// Why nothing can be read at an offset.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The log begins behind the offset or ends before it.
    #[error("offset {offset} lies outside {start}..={end}")]
    OutOfRange {
        /// What was asked.
        offset: i64,
        /// The first offset of the log.
        start: i64,
        /// The offset that the next record will get.
        end: i64,
    },
    /// The log there is damaged, or the disk failed.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Whole batches where they lie.
#[derive(Debug)]
pub(crate) struct Located {
    pub(crate) span: FileSpan,
    /// The offset behind the last of them.
    pub(crate) next_offset: i64,
}

/// Who reads, which says what is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogReader {
    /// Has no use for batches without records, but for the last: that leads it on.
    Consumer,
    /// Wants everything.
    Follower,
}

impl PartitionLog {
    /// Reads whole batches from the one that holds `offset` on, none that begins at or behind
    /// `up_to`.
    ///
    /// At most `max_bytes`, but when `at_least_one` is set the first batch comes even if it is
    /// larger. Each batch's checksum is compared.
    ///
    /// # Errors
    /// When the offset is outside the log, or what stands there is damaged.
    pub fn read(
        &mut self,
        offset: i64,
        up_to: i64,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Bytes, ReadError> {
        let located = self.locate(LogReader::Follower, offset, up_to, max_bytes, at_least_one)?;
        let mut bytes = self.bytes_of(located.as_ref())?;
        let sizes = whole_batches(&bytes).map(|(_, records)| BatchHeader::SIZE + records.len());
        let whole = sizes.sum();
        if let Some(Located { span, .. }) = located.filter(|_| whole == 0) {
            let reason = format!("at byte {}: the batch fails its checksum", span.position());
            return Err(LogError::corrupt(self.dir(), reason).into());
        }
        bytes.truncate(whole);
        Ok(bytes)
    }

    /// The bytes of what [`PartitionLog::locate`] found, as they are.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn bytes_of(&self, located: Option<&Located>) -> Result<Bytes, LogError> {
        let bytes = located.map_or(Ok(Bytes::new()), |located| located.span.read());
        bytes.map_err(|error| LogError::io(self.dir(), error))
    }

    /// Where the batches are that [`PartitionLog::read`] reads; `None` when there is none. They
    /// have been looked at by some of their headers only.
    ///
    /// # Errors
    /// As those of [`PartitionLog::read`].
    pub(crate) fn locate(
        &mut self,
        reader: LogReader,
        offset: i64,
        up_to: i64,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Option<Located>, ReadError> {
        let (start, end) = (self.log_start_offset(), self.log_end_offset());
        if offset < start || offset > end {
            return Err(ReadError::OutOfRange { offset, start, end });
        }
        if offset >= up_to.min(end) {
            return Ok(None);
        }
        let located = self.locate_in_segments(reader, offset, up_to, max_bytes, at_least_one);
        self.release_closed_segments();
        Ok(located?)
    }

    fn locate_in_segments(
        &mut self,
        reader: LogReader,
        offset: i64,
        up_to: i64,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Option<Located>, LogError> {
        let found = self.first_of(reader, offset, up_to)?;
        let has_room = |first: &ScannedBatch| first.size <= max_bytes as u64 || at_least_one;
        let Some((at, first)) = found.filter(|(_, first)| has_room(first)) else {
            return Ok(None);
        };
        let next = self.segments.get(at + 1);
        let end_offset = next.map_or_else(|| self.log_end_offset(), Segment::base_offset);
        let storage = self.storage().clone();
        let segment = &mut self.segments[at];
        let (span, next_offset) = segment.span(&*storage, &first, up_to, max_bytes, end_offset)?;
        Ok(Some(Located { span, next_offset }))
    }

    /// The first batch that a reader gets, with the place of its segment.
    fn first_of(
        &mut self,
        reader: LogReader,
        offset: i64,
        up_to: i64,
    ) -> Result<Option<(usize, ScannedBatch)>, LogError> {
        let (storage, end) = (self.storage().clone(), self.log_end_offset());
        let mut emptied = None;
        for at in self.segment_index(offset)..self.segments.len() {
            let segment = &mut self.segments[at];
            let Some(first) = segment.find(&*storage, offset)? else {
                continue;
            };
            if first.header.base_offset >= end {
                break;
            }
            if first.header.base_offset >= up_to {
                return Ok(emptied);
            }
            if reader == LogReader::Follower || first.header.record_count > 0 {
                return Ok(Some((at, first)));
            }
            // Compaction has emptied it. Clients that get nothing but such batches, one answer
            // after the other, take it that there is a batch too large for them.
            let mut last = first;
            let found = segment.find_records(&*storage, first.end(), up_to, &mut last)?;
            if let Some(first) = found {
                return Ok(Some((at, first)));
            }
            emptied = Some((at, last));
        }
        // The log ends with a batch, so there is one; a reader would wait for ever for the rest.
        if emptied.is_none() {
            let reason = format!("no batch is found at offset {offset}, and the log ends at {end}");
            return Err(LogError::corrupt(self.dir(), reason));
        }
        Ok(emptied)
    }

    /// What a power cut may take of the active segment; those that are closed count as flushed.
    pub(crate) fn unflushed(&mut self) -> Option<Unflushed> {
        let (storage, flushed_to) = (self.storage().clone(), self.recovery_point());
        let active = self.segments.last_mut()?;
        let unflushed = active.find(&*storage, flushed_to.max(active.base_offset())).ok()?;
        let flushed_bytes = unflushed.map_or_else(|| active.size(), |batch| batch.position);
        Some(Unflushed { path: active.path().to_owned(), flushed_bytes })
    }
}
