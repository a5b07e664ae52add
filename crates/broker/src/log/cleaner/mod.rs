//! Compaction: of each key the last record stays, and offsets never change.
//!
//! ```text
//!   clean section            dirty section          not to be touched yet
//! ├─────────┬─────────┬─────────┬─────────┬─────────┬─────────┬────────────┤
//! log start           first dirty offset            not stable, too young, active segment
//! ```
//!
//! A cleaning reads the dirty section and takes up where each key was written last, as far as the
//! memory for that goes. Then it writes the segments from the beginning on anew, without records
//! that have a later one, and puts each in the place of those that it was made of. What it leaves
//! behind is the next clean section.
//!
//! - A tombstone stays for `delete.retention.ms` from when a cleaning first came across it; that is
//!   written into its batch (KIP-534). So does the marker of a transaction that has nothing left.
//! - Records of aborted transactions go.
//! - A batch that is not changed is copied byte for byte. One that loses its records stays, empty,
//!   when a producer is remembered by it, and when it is the last of its segment: so segments meet
//!   as they did before, and one that is missing is noticed.
//!
//! It goes in steps, as all that the broker does is done on one thread.

mod filter;
mod job;
mod key_map;
mod swap;
#[cfg(test)]
mod tests;
mod transactions;

pub(super) use swap::settle;

use job::{Job, Pace, Progress};
use key_map::KeyMap;

use super::scan::ScannedBatch;
use super::segment::Segment;
use super::{LogError, PartitionLog};

/// Behind the names of files that are being written.
const CLEANED_MARK: &str = ".cleaned";
/// Behind the names of files that are taking the place of others.
const SWAP_MARK: &str = ".swap";

/// How much [`PartitionLog::clean`] reads at a time, in bytes.
const STEP_BYTES: usize = 256 * 1024;

/// How far a log is clean, and what is being done about it.
#[derive(Debug, Default)]
pub(super) struct Cleaner {
    first_dirty_offset: i64,
    job: Option<Box<Job>>,
    /// Whether offsets may be absent although the topic is not compacted: it was, or its leader's
    /// log lacks some.
    has_gaps: bool,
    /// It met damage; there is no point in trying again.
    is_stuck: bool,
}

impl Cleaner {
    /// The log was cut.
    pub(super) fn end_at(&mut self, offset: i64) {
        self.first_dirty_offset = self.first_dirty_offset.min(offset);
    }
}

/// How much of a log could be cleaned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Dirt {
    /// The part of it that is dirty, of all that could be cleaned.
    pub(crate) ratio: f64,
    /// Where the first segment begins that is not to be touched.
    end: i64,
}

impl PartitionLog {
    /// What there is to clean, `None` when it is too little.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn dirt(
        &mut self,
        high_watermark: i64,
        now_ms: i64,
    ) -> Result<Option<Dirt>, LogError> {
        if !self.config().is_compacted || self.cleaner.is_stuck || self.segments.len() < 2 {
            return Ok(None);
        }
        let first_dirty = self.first_dirty_offset();
        let first = self.segment_index(first_dirty);
        let stable = self.last_stable_offset(high_watermark);
        let min_lag_ms = self.config().min_compaction_lag_ms;
        let is_young = |segment: &Segment| {
            let horizon = now_ms.saturating_sub(min_lag_ms);
            min_lag_ms > 0 && segment.newest_ms().is_some_and(|newest| newest > horizon)
        };
        let pairs = self.segments[first..].windows(2);
        let may_be = |pair: &&[Segment]| pair[1].base_offset() <= stable && !is_young(&pair[0]);
        let count = pairs.take_while(may_be).count();
        let dirty_bytes = bytes_in(&self.segments[first..first + count]);
        if dirty_bytes == 0 {
            return Ok(None);
        }
        let all_bytes = dirty_bytes + bytes_in(&self.segments[..first]);
        let ratio = dirty_bytes as f64 / all_bytes as f64;
        let end = self.segments[first + count].base_offset();
        let is_due =
            ratio > self.config().min_cleanable_dirty_ratio || self.is_overdue(first, now_ms)?;
        Ok(is_due.then_some(Dirt { ratio, end }))
    }

    /// Whether the dirty section has waited for `max.compaction.lag.ms`, whatever its size.
    fn is_overdue(&mut self, first: usize, now_ms: i64) -> Result<bool, LogError> {
        let max_lag_ms = self.config().max_compaction_lag_ms;
        if max_lag_ms == i64::MAX {
            return Ok(false);
        }
        let storage = self.storage().clone();
        let segment = &mut self.segments[first];
        let oldest = segment.find(&*storage, segment.base_offset())?;
        segment.release_file();
        let age_ms = |batch: ScannedBatch| now_ms.saturating_sub(batch.header.max_timestamp);
        Ok(oldest.is_some_and(|batch| age_ms(batch) > max_lag_ms))
    }

    /// Begins to clean what [`PartitionLog::dirt`] found.
    pub(crate) fn begin_cleaning(&mut self, dirt: Dirt) {
        let first_dirty = self.first_dirty_offset();
        let job = Job::new(self, first_dirty, dirt.end, KeyMap::default());
        self.cleaner.job = Some(Box::new(job));
    }

    /// Goes on with a cleaning. About `budget_bytes` are read. Says whether there is more to do.
    ///
    /// # Errors
    /// When the disk fails or the log is damaged. It is then as before, or out of service.
    pub(crate) fn clean_step(
        &mut self,
        budget_bytes: usize,
        is_durable: bool,
        now_ms: i64,
    ) -> Result<bool, LogError> {
        let Some(mut job) = self.cleaner.job.take() else {
            return Ok(false);
        };
        let stepped = self
            .check_service()
            .and_then(|()| job.step(self, Pace { budget_bytes, is_durable, now_ms }));
        match stepped {
            Ok(Progress::GoesOn) => {
                self.cleaner.job = Some(job);
                return Ok(true);
            }
            Ok(Progress::Done(offset)) => self.cleaner.first_dirty_offset = offset,
            Ok(Progress::Void) | Err(_) => {}
        }
        drop(job);
        self.release_closed_segments();
        self.cleaner.is_stuck = matches!(stepped, Err(LogError::Corrupt { .. }));
        if self.failure().is_none() {
            // What is left of it does not count, and is looked at again at the next start.
            let _ = swap::discard(&**self.storage(), self.dir());
        }
        stepped.map(|_| false)
    }

    /// Cleans the log if it is due. Says whether it was.
    ///
    /// # Errors
    /// When the disk fails or the log is damaged. It is then as before, or out of service.
    pub fn clean(&mut self, high_watermark: i64, now_ms: i64) -> Result<bool, LogError> {
        let Some(dirt) = self.dirt(high_watermark, now_ms)? else {
            return Ok(false);
        };
        self.begin_cleaning(dirt);
        while self.clean_step(STEP_BYTES, false, now_ms)? {}
        Ok(true)
    }

    /// Before this offset the log was cleaned.
    pub fn first_dirty_offset(&self) -> i64 {
        let begin = self.segments.first().map_or(0, Segment::base_offset);
        let active = self.segments.last().map_or(0, Segment::base_offset);
        let offset = self.cleaner.first_dirty_offset.max(begin);
        // One behind that is of another log.
        if offset > active { begin } else { offset }
    }

    /// Whether offsets may be absent from the log.
    pub(crate) fn may_have_gaps(&self) -> bool {
        let Cleaner { first_dirty_offset, has_gaps, .. } = self.cleaner;
        self.config().is_compacted || has_gaps || first_dirty_offset > 0
    }

    /// What is copied from the leader may lack offsets.
    pub(crate) fn expect_gaps(&mut self) {
        self.cleaner.has_gaps = true;
    }

    /// Takes over how far the log was clean when the last process noted it.
    pub fn set_first_dirty_offset(&mut self, offset: i64) {
        self.cleaner.first_dirty_offset = offset;
    }
}

fn bytes_in(segments: &[Segment]) -> u64 {
    segments.iter().map(Segment::size).sum()
}
