//! Finding and reading batches in a segment.

use bytes::Bytes;
use ottla_protocol::record::BatchHeader;

use super::LogError;
use super::file_span::FileSpan;
use super::marker::EndMarker;
use super::scan::{BatchScanner, ScannedBatch};
use super::segment::{Segment, scan_error};
use super::storage::Storage;

impl Segment {
    /// The batch that holds `offset`, or the first one behind it. `None` at the end of the segment.
    pub(super) fn find(
        &mut self,
        storage: &dyn Storage,
        offset: i64,
    ) -> Result<Option<ScannedBatch>, LogError> {
        let start = match self.bookmarks.position_of(offset) {
            Some(position) => position,
            None => self
                .offsets
                .position_before(storage, offset)
                .map_err(|error| LogError::io(&self.path, error))?,
        };
        self.first_batch(storage, start, |batch| batch.header.last_offset() >= offset)
    }

    /// The first batch with records from a place on where a batch begins, before `up_to`. Without
    /// one `last` becomes the last that was passed.
    pub(super) fn find_records(
        &mut self,
        storage: &dyn Storage,
        position: u64,
        up_to: i64,
        last: &mut ScannedBatch,
    ) -> Result<Option<ScannedBatch>, LogError> {
        let found = self.first_batch(storage, position, |batch| {
            let is_found = batch.header.record_count > 0 || batch.header.base_offset >= up_to;
            if !is_found {
                *last = *batch;
            }
            is_found
        })?;
        Ok(found.filter(|batch| batch.header.base_offset < up_to))
    }

    /// The bytes of whole batches from `first` on, none of them at or behind `up_to`: as many as
    /// fit `max_bytes`, and the first in any case. `end_offset` is the one behind the segment's
    /// last. Gives the offset behind the last batch as well.
    pub(super) fn span(
        &mut self,
        storage: &dyn Storage,
        first: &ScannedBatch,
        up_to: i64,
        max_bytes: usize,
        end_offset: i64,
    ) -> Result<(FileSpan, i64), LogError> {
        let (mut end, mut next_offset) = (self.size, end_offset);
        if up_to < end_offset
            && let Some(batch) = self.find(storage, up_to)?
        {
            (end, next_offset) = match batch.header.base_offset < up_to {
                true => (batch.end(), batch.header.last_offset() + 1),
                false => (batch.position, up_to),
            };
        }
        let most = first.position.saturating_add(first.size.max(max_bytes as u64));
        if end > most {
            (end, next_offset) = self.last_end_within(storage, first, most)?;
        }
        self.bookmarks.put(next_offset, end);
        let file = self.file(storage).cloned();
        let file = file.map_err(|error| LogError::io(&self.path, error))?;
        Ok((FileSpan::new(file, first.position, (end - first.position) as usize), next_offset))
    }

    /// Where the last batch ends that ends at `most` or before, and the offset that follows.
    fn last_end_within(
        &mut self,
        storage: &dyn Storage,
        first: &ScannedBatch,
        most: u64,
    ) -> Result<(u64, i64), LogError> {
        let start = self.offsets.position_at_most(storage, most);
        let start = start.map_err(|error| LogError::io(&self.path, error))?;
        let start = start.max(first.position);
        let beyond = self.first_batch(storage, start, |batch| batch.end() > most)?;
        let path = &self.path;
        let beyond = beyond.ok_or_else(|| LogError::corrupt(path, "ends where it did not"))?;
        Ok((beyond.position, beyond.header.base_offset))
    }

    /// The first batch with a record at or after `timestamp_ms`.
    pub(super) fn find_time(
        &mut self,
        storage: &dyn Storage,
        timestamp_ms: i64,
    ) -> Result<Option<ScannedBatch>, LogError> {
        if self.latest.is_none_or(|latest| latest.timestamp_ms < timestamp_ms) {
            return Ok(None);
        }
        let start = self
            .times
            .offset_before(storage, timestamp_ms)
            .and_then(|offset| self.offsets.position_before(storage, offset))
            .map_err(|error| LogError::io(&self.path, error))?;
        self.first_batch(storage, start, |batch| batch.header.max_timestamp >= timestamp_ms)
    }

    fn first_batch(
        &mut self,
        storage: &dyn Storage,
        start: u64,
        mut is_wanted: impl FnMut(&ScannedBatch) -> bool,
    ) -> Result<Option<ScannedBatch>, LogError> {
        let file = self.file(storage).cloned();
        let file = file.map_err(|error| LogError::io(&self.path, error))?;
        let mut scanner = BatchScanner::new(&*file, start, self.size, self.base_offset);
        while let Some(batch) = scanner.next().map_err(|error| scan_error(&self.path, error))? {
            if is_wanted(&batch) {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// `length` bytes of the file.
    pub(super) fn read(
        &mut self,
        storage: &dyn Storage,
        position: u64,
        length: usize,
    ) -> Result<Bytes, LogError> {
        let file = self.file(storage).cloned();
        let read = file.and_then(|file| FileSpan::new(file, position, length).read());
        read.map_err(|error| LogError::io(&self.path, error))
    }

    /// Gives every batch from the one with `offset` on to `visit`, with what it says if it is a
    /// marker.
    pub(super) fn for_each_from(
        &mut self,
        storage: &dyn Storage,
        offset: i64,
        mut visit: impl FnMut(&BatchHeader, Option<&EndMarker>),
    ) -> Result<(), LogError> {
        let Some(first) = self.find(storage, offset)? else {
            return Ok(());
        };
        let file = self.file(storage).cloned();
        let file = file.map_err(|error| LogError::io(&self.path, error))?;
        let mut scanner = BatchScanner::new(&*file, first.position, self.size, self.base_offset);
        while let Some(batch) = scanner.next().map_err(|error| scan_error(&self.path, error))? {
            let marker = scanner.marker(&batch).map_err(|error| LogError::io(&self.path, error))?;
            visit(&batch.header, marker.as_ref());
        }
        Ok(())
    }
}
