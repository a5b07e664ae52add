//! Removing the front of a log: by age, by size, and because somebody asked for it.

use super::partition_log::PartitionLog;
use super::reading::ReadError;
use super::segment::Segment;
use super::{LogError, producer_snapshot};

impl PartitionLog {
    /// Lets the log begin at `offset`, and removes segments that lie before it as a whole.
    ///
    /// # Errors
    /// `OutOfRange` when the log ends before `offset`; otherwise what the disk says.
    pub fn delete_records(&mut self, offset: i64) -> Result<i64, ReadError> {
        if offset > self.log_end_offset() || offset < 0 {
            let (start, end) = (self.log_start_offset(), self.log_end_offset());
            return Err(ReadError::OutOfRange { offset, start, end });
        }
        self.raise_log_start(offset);
        let start = self.log_start_offset();
        self.remove_front(|_, next_base| next_base <= start)?;
        Ok(start)
    }

    /// Removes segments that are older or more than the topic keeps. Says how many.
    ///
    /// # Errors
    /// What the disk says.
    pub fn apply_retention(&mut self, now_ms: i64) -> Result<usize, LogError> {
        let config = self.config().clone();
        if !config.is_deleted || self.segments.is_empty() {
            return Ok(0);
        }
        let mut removed = 0;
        if let Some(retention_ms) = config.retention_ms {
            let horizon = now_ms.saturating_sub(retention_ms);
            let is_old =
                |segment: &Segment| segment.newest_ms().is_some_and(|newest| newest < horizon);
            // A log of nothing but old segments gets a new one, so that the last can go too.
            if self.segments.iter().all(is_old) {
                self.roll().map_err(|error| LogError::io(self.dir(), error))?;
            }
            removed += self.remove_front(|segment, _| is_old(segment))?;
        }
        if let Some(retention_bytes) = config.retention_bytes {
            let mut excess = self.size_bytes().saturating_sub(retention_bytes);
            removed += self.remove_front(|segment, _| {
                let goes = segment.size() <= excess && segment.size() > 0;
                excess = if goes { excess - segment.size() } else { 0 };
                goes
            })?;
        }
        Ok(removed)
    }

    /// Removes segments from the front as long as `goes` says so, given each and the offset after
    /// it. The active segment always stays.
    fn remove_front(
        &mut self,
        mut goes: impl FnMut(&Segment, i64) -> bool,
    ) -> Result<usize, LogError> {
        let pairs = self.segments.windows(2);
        let count = pairs.take_while(|pair| goes(&pair[0], pair[1].base_offset())).count();
        let storage = self.storage().clone();
        let dir = self.dir().to_owned();
        let fault = |error| LogError::io(&dir, error);
        for base in self.segments.drain(..count).map(|segment| segment.base_offset()) {
            Segment::remove_files(&*storage, &dir, base).map_err(fault)?;
            producer_snapshot::remove(&*storage, &dir, base).map_err(fault)?;
        }
        let first = self.segments.first().map_or(0, Segment::base_offset);
        self.raise_log_start(first);
        let start = self.log_start_offset();
        self.epochs_mut().truncate_start(&*storage, start).map_err(fault)?;
        Ok(count)
    }
}
