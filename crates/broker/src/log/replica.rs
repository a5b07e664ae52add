//! The log of a follower: batches as they stand in the leader's, and cuts where the two part.
//!
//! A cut may end half-way, with the process. Every step leaves a log that can be opened: as before,
//! shorter, or as wanted. Segments go from the back, the file that is cut goes before what speaks
//! of it, and what is left over beyond the end is swept away when the log is opened.

use ottla_protocol::record::{BatchHeader, validate_batch};

use super::partition_log::PartitionLog;
use super::producer_state::ProducerStates;
use super::segment::Segment;
use super::{LOG_SUFFIX, LogError, file_name, producer_snapshot};
use crate::mutant::{self, Mutant};

impl PartitionLog {
    /// Appends what was fetched from the leader: whole batches, which are written as they are.
    ///
    /// All of them are looked at before the first is written.
    ///
    /// # Errors
    /// When a batch is damaged or does not begin where the log ends: nothing is then written. When
    /// the disk fails: the batches before are then in the log.
    pub fn append_replicated(&mut self, bytes: &[u8], now_ms: i64) -> Result<(), LogError> {
        self.check_service()?;
        let batches = self.check_replicated(bytes)?;
        for (header, records) in batches {
            if self.discards() {
                self.empty_at(header.last_offset() + 1);
            } else {
                self.write_replicated(header, records, now_ms)?;
            }
        }
        Ok(())
    }

    fn write_replicated(
        &mut self,
        mut header: BatchHeader,
        records: &[u8],
        now_ms: i64,
    ) -> Result<(), LogError> {
        if mutant::is_on(Mutant::FollowersRestamp) {
            header.partition_leader_epoch = self.latest_epoch().unwrap_or_default().max(0) + 1;
        }
        self.write(&header, records, now_ms)?;
        if mutant::is_on(Mutant::FollowersForgetProducers) {
            *self.producers_mut() = ProducerStates::default();
        }
        if mutant::is_on(Mutant::FollowersForgetEpochs) {
            let storage = self.storage().clone();
            let _ = self.epochs_mut().clear(&*storage);
        }
        Ok(())
    }

    /// The batches in `bytes`, each as its header and the rest.
    fn check_replicated<'a>(
        &self,
        bytes: &'a [u8],
    ) -> Result<Vec<(BatchHeader, &'a [u8])>, LogError> {
        let mismatch = |reason: String| LogError::Mismatch { path: self.dir().to_owned(), reason };
        let mut batches = Vec::new();
        let mut expected = self.log_end_offset();
        let mut rest = bytes;
        while !rest.is_empty() {
            let header = validate_batch(rest).map_err(|error| mismatch(error.to_string()))?;
            let found = header.base_offset;
            // Compaction may have taken out what lies between.
            if found != expected && (found < expected || !self.may_have_gaps()) {
                let reason = format!("a batch at offset {found} where {expected} must follow");
                return Err(mismatch(reason));
            }
            let delta = header.last_offset_delta;
            let end = found.checked_add(i64::from(delta)).and_then(|last| last.checked_add(1));
            let (Some(end), Some(size)) = (end.filter(|_| delta >= 0), header.size_bytes()) else {
                let reason = format!("the batch at offset {found} ends {delta} offsets further on");
                return Err(mismatch(reason));
            };
            let (batch, behind) = rest.split_at(size);
            batches.push((header, &batch[BatchHeader::SIZE..]));
            (expected, rest) = (end, behind);
        }
        Ok(batches)
    }

    /// Removes every batch that ends at or behind `offset`; nothing when the log ends before.
    ///
    /// Producers and leader epochs are afterwards as if these batches had never been. The recovery
    /// point is lowered, and should be written down before more is appended.
    ///
    /// # Errors
    /// What the disk says. The log is then out of service, and whole when it is opened again.
    pub fn truncate_to(&mut self, offset: i64, now_ms: i64) -> Result<(), LogError> {
        self.check_service()?;
        let end = self.log_end_offset();
        if offset >= end {
            // An append that failed may have left the epoch that it was to begin.
            let storage = self.storage().clone();
            let settled = self.epochs_mut().truncate_end(&*storage, end);
            return settled.map_err(|error| LogError::io(self.dir(), error));
        }
        let first = self.segments.first().map(Segment::base_offset);
        if first.is_none_or(|first| offset < first) {
            return self.reset_to(offset, now_ms);
        }
        let start = self.batch_start(offset)?;
        let cut = self.cut_back(start, now_ms);
        cut.map_err(|error| self.give_up("truncation", error))
    }

    /// Removes everything and lets the log begin, empty, at `offset`.
    ///
    /// # Errors
    /// What the disk says. The log is then out of service, and whole when it is opened again.
    pub fn reset_to(&mut self, offset: i64, now_ms: i64) -> Result<(), LogError> {
        self.check_service()?;
        let offset = offset.max(0);
        if self.discards() {
            self.empty_at(offset);
            return Ok(());
        }
        let begun = self.begin_anew(offset, now_ms);
        begun.map_err(|error| self.give_up("truncation", error))
    }

    /// Where the batch begins that holds `offset`.
    fn batch_start(&mut self, offset: i64) -> Result<i64, LogError> {
        let storage = self.storage().clone();
        let index = self.segment_index(offset);
        let Some(segment) = self.segments.get_mut(index) else {
            return Ok(offset);
        };
        let found = segment.find(&*storage, offset)?;
        Ok(found.map_or(offset, |batch| batch.header.base_offset.min(offset)))
    }

    fn cut_back(&mut self, offset: i64, now_ms: i64) -> Result<(), LogError> {
        let storage = self.storage().clone();
        let dir = self.dir().to_owned();
        let fault = |error| LogError::io(&dir, error);
        let removed_from = self.remove_back(|segment| segment.base_offset() >= offset)?;
        let interval = self.config().index_interval_bytes;
        let Some(active) = self.segments.last_mut() else {
            return Err(LogError::corrupt(&dir, "the log has no segment"));
        };
        let cut_at = active.find(&*storage, offset)?.map(|batch| batch.position);
        let size = cut_at.unwrap_or_else(|| active.size());
        active.file(&*storage).and_then(|file| file.truncate(size)).map_err(fault)?;
        let recovered = Segment::recover(&*storage, &dir, active.base_offset(), interval)?;
        if let Some((position, damage, _)) = recovered.damage {
            return Err(LogError::corrupt(active.path(), format!("at byte {position}: {damage}")));
        }
        *active = recovered.segment;
        let end = recovered.next_offset;
        self.end_at(end);
        self.epochs_mut().truncate_end(&*storage, end).map_err(fault)?;
        let stale_from = removed_from.unwrap_or(i64::MAX).min(end + 1);
        producer_snapshot::remove_from(&*storage, &dir, stale_from).map_err(fault)?;
        let snapshots = producer_snapshot::offsets(&*storage, &dir).map_err(fault)?;
        self.rebuild_producers(&snapshots, now_ms)
    }

    fn begin_anew(&mut self, offset: i64, now_ms: i64) -> Result<(), LogError> {
        let storage = self.storage().clone();
        let dir = self.dir().to_owned();
        let fault = |error| LogError::io(&dir, error);
        // Absent epochs are made again from the log; stale ones would be believed.
        self.epochs_mut().clear(&*storage).map_err(fault)?;
        self.remove_back(|_| true)?;
        let Some(mut first) = self.segments.pop() else {
            return Err(LogError::corrupt(&dir, "the log has no segment"));
        };
        let base = first.base_offset();
        first.file(&*storage).and_then(|file| file.truncate(0)).map_err(fault)?;
        producer_snapshot::remove_from(&*storage, &dir, 0).map_err(fault)?;
        if base != offset {
            // There is a segment at every moment: a folder without one has lost its data.
            let path = dir.join(file_name(offset, LOG_SUFFIX));
            storage.rename(first.path(), &path).map_err(fault)?;
            Segment::remove_files(&*storage, &dir, base).map_err(fault)?;
        }
        let interval = self.config().index_interval_bytes;
        let created = Segment::create(&*storage, &dir, offset, interval).map_err(fault)?;
        self.segments.push(created);
        self.end_at(offset);
        self.empty_at(offset);
        self.rebuild_producers(&[], now_ms)
    }

    /// Removes segments from the back as long as `goes` says so, but never the first. Gives the
    /// base offset of the last one that went.
    fn remove_back(&mut self, goes: impl Fn(&Segment) -> bool) -> Result<Option<i64>, LogError> {
        let storage = self.storage().clone();
        let mut removed_from = None;
        while self.segments.len() > 1
            && let Some(segment) = self.segments.pop_if(|last| goes(last))
        {
            let base = segment.base_offset();
            self.end_at(base);
            Segment::remove_files(&*storage, self.dir(), base)
                .map_err(|error| LogError::io(self.dir(), error))?;
            removed_from = Some(base);
        }
        Ok(removed_from)
    }
}
