//! The log of one partition: append, read, look up by time, roll, retire.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_protocol::ErrorCode;
use ottla_protocol::record::{BatchHeader, TimestampType};

use super::cleaner::Cleaner;
use super::leader_epochs::LeaderEpochs;
use super::producer_snapshot;
use super::producer_state::{ProducerStates, SequenceVerdict};
use super::segment::Segment;
use super::storage::{Storage, StoredFile};
use super::transactions::Unreplicated;
use super::validation::{Rejection, ValidBatch, Validator};
use super::{LogConfig, LogError};
use crate::mutant::{self, Mutant};

/// The log of one partition.
#[derive(Debug)]
pub struct PartitionLog {
    storage: Arc<dyn Storage>,
    dir: PathBuf,
    config: LogConfig,
    /// In order of base offset; the last one is written to. Empty in a log that keeps nothing, and
    /// in no other.
    pub(super) segments: Vec<Segment>,
    log_start_offset: i64,
    log_end_offset: i64,
    recovery_point: i64,
    producers: ProducerStates,
    unreplicated: Unreplicated,
    epochs: LeaderEpochs,
    /// Set when the disk left the end of the log in doubt: nothing is appended any more.
    failure: Option<String>,
    /// Segments that were closed and are not yet known to be on the medium.
    unsynced: Vec<SyncJob>,
    /// How often the end was moved back. Word of a file that was flushed before that is void.
    cuts: u32,
    pub(super) cleaner: Cleaner,
}

/// What an append came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the batch's first record.
    pub base_offset: i64,
    /// Offset of its last record.
    pub last_offset: i64,
    /// The time that the broker stamped on it, where the topic asks for that.
    pub log_append_time_ms: Option<i64>,
    /// Whether the batch was in the log already and nothing was written.
    pub is_duplicate: bool,
}

/// A closed segment that should reach the medium, outside the broker's own thread.
#[derive(Clone, Debug)]
pub(crate) struct SyncJob {
    file: Arc<dyn StoredFile>,
    /// Everything before this offset is on the medium once the file is.
    pub(crate) recovery_point: i64,
    /// The log's count of cuts when the segment was closed.
    cuts: u32,
}

impl SyncJob {
    pub(crate) fn run(&self) -> io::Result<()> {
        self.file.sync()
    }
}

impl PartitionLog {
    pub(super) fn from_parts(
        storage: Arc<dyn Storage>,
        dir: PathBuf,
        config: LogConfig,
        segments: Vec<Segment>,
        log_end_offset: i64,
        epochs: LeaderEpochs,
    ) -> Self {
        let log_start_offset = segments.first().map_or(log_end_offset, Segment::base_offset);
        Self {
            storage,
            dir,
            config,
            segments,
            log_start_offset,
            log_end_offset,
            recovery_point: 0,
            producers: ProducerStates::default(),
            unreplicated: Unreplicated::default(),
            epochs,
            failure: None,
            unsynced: Vec::new(),
            cuts: 0,
            cleaner: Cleaner::default(),
        }
    }

    /// A log that gives out offsets and keeps nothing: it always begins where it ends.
    #[must_use]
    pub fn discarding(storage: Arc<dyn Storage>, dir: PathBuf, config: LogConfig) -> Self {
        Self::from_parts(storage, dir, config, Vec::new(), 0, LeaderEpochs::default())
    }

    pub(super) fn discards(&self) -> bool {
        self.segments.is_empty()
    }

    /// Counts the records of a batch, by its header alone.
    fn append_to_nothing(&mut self, bytes: &[u8]) -> Result<Appended, Rejection> {
        let invalid = |message| Rejection::new(ErrorCode::INVALID_RECORD, message);
        let header = BatchHeader::read(bytes).map_err(|error| invalid(error.to_string()))?;
        if header.magic != BatchHeader::MAGIC || header.record_count < 1 {
            return Err(invalid("not a record batch of version 2 with records in it".to_owned()));
        }
        if header.size_bytes() != Some(bytes.len()) {
            return Err(invalid("the batch is not as long as its header says".to_owned()));
        }
        let base_offset = self.log_end_offset;
        self.empty_at(base_offset + i64::from(header.record_count));
        let last_offset = self.log_end_offset - 1;
        Ok(Appended { base_offset, last_offset, log_append_time_ms: None, is_duplicate: false })
    }

    /// Appends what a producer sent: validates it, discards a duplicate, gives it offsets, writes
    /// it.
    ///
    /// # Errors
    /// The refusal to be sent to the producer. Nothing of the batch is then in the log.
    pub fn append(
        &mut self,
        validator: &mut Validator,
        bytes: &[u8],
        leader_epoch: i32,
        now_ms: i64,
    ) -> Result<Appended, Rejection> {
        if self.discards() {
            return self.append_to_nothing(bytes);
        }
        if let Some(failure) = &self.failure {
            return Err(Rejection::new(ErrorCode::KAFKA_STORAGE_ERROR, failure.clone()));
        }
        let ValidBatch { mut header, records, log_append_time_ms } =
            validator.check(bytes, &self.config, now_ms)?;
        if header.producer_id >= 0 {
            match self.producers.check(&header) {
                SequenceVerdict::Append => {}
                SequenceVerdict::Duplicate(_) if mutant::is_on(Mutant::AppendsDuplicates) => {}
                SequenceVerdict::Refuse(_) if mutant::is_on(Mutant::AcceptsGaps) => {}
                SequenceVerdict::Duplicate(batch) => {
                    let stamped = self.config.timestamp_type == TimestampType::LogAppendTime;
                    let first_offset = match mutant::is_on(Mutant::DuplicateAtEnd) {
                        true => self.log_end_offset,
                        false => batch.first_offset(),
                    };
                    return Ok(Appended {
                        base_offset: first_offset,
                        last_offset: batch.last_offset,
                        log_append_time_ms: stamped.then_some(batch.timestamp_ms),
                        is_duplicate: true,
                    });
                }
                SequenceVerdict::Refuse(code) => return Err(self.sequence_refusal(&header, code)),
            }
        }
        header.base_offset = self.log_end_offset;
        header.partition_leader_epoch = leader_epoch;
        self.write(&header, records, now_ms)
            .map_err(|error| Rejection::new(ErrorCode::KAFKA_STORAGE_ERROR, error.to_string()))?;
        Ok(Appended {
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
            log_append_time_ms,
            is_duplicate: false,
        })
    }

    fn sequence_refusal(&self, header: &BatchHeader, code: ErrorCode) -> Rejection {
        let (id, epoch) = (header.producer_id, header.producer_epoch);
        let known = self.producers.get(id).map_or_else(String::new, |entry| {
            let last = entry.batches.back().map_or(-1, |batch| batch.last_sequence);
            format!("; the log has epoch {} up to sequence {last}", entry.epoch)
        });
        let sequence = header.base_sequence;
        let message = format!("producer {id} sent epoch {epoch}, sequence {sequence}{known}");
        Rejection::new(code, message)
    }

    /// Writes a batch whose header is final. On failure the log is as before, or out of service.
    pub(super) fn write(
        &mut self,
        header: &BatchHeader,
        records: &[u8],
        now_ms: i64,
    ) -> Result<(), LogError> {
        let size = (BatchHeader::SIZE + records.len()) as u64;
        if self.must_roll(header, size) {
            self.roll().map_err(|error| LogError::io(&self.dir, error))?;
        }
        let storage = &*self.storage;
        self.epochs
            .assign(storage, header.partition_leader_epoch, header.base_offset)
            .map_err(|error| LogError::io(&self.dir, error))?;
        let Some(active) = self.segments.last_mut() else {
            return Err(LogError::corrupt(&self.dir, "the log has no segment"));
        };
        if let Err((error, restored)) = active.append(storage, header, records) {
            let error = LogError::io(active.path(), error);
            tracing::error!(%error, restored, "append failed");
            if !restored {
                self.failure = Some(format!("out of service after a failed write: {error}"));
            }
            return Err(error);
        }
        self.log_end_offset = header.last_offset() + 1;
        self.note_written(header, records, now_ms);
        Ok(())
    }

    fn must_roll(&self, header: &BatchHeader, size: u64) -> bool {
        let Some(active) = self.segments.last().filter(|active| active.size() > 0) else {
            return false;
        };
        let is_full = active.size() + size > self.config.segment_bytes;
        // Offsets and positions in the indexes have 32 bits, of which Kafka uses 31.
        let last_relative = header.last_offset() - active.base_offset();
        let first_ms = active.first_timestamp_ms().unwrap_or(header.max_timestamp);
        let is_old = header.max_timestamp.saturating_sub(first_ms) > self.config.segment_ms;
        is_full || last_relative > i64::from(i32::MAX) || is_old
    }

    /// Closes the active segment and begins a new one at the end of the log.
    pub(super) fn roll(&mut self) -> io::Result<()> {
        let storage = self.storage.clone();
        let end = self.log_end_offset;
        let interval = self.config.index_interval_bytes;
        if let Some(active) = self.segments.last_mut() {
            active.flush_indexes(&*storage)?;
            let file = active.file(&*storage)?.clone();
            active.release_file();
            self.unsynced.push(SyncJob { file, recovery_point: end, cuts: self.cuts });
        }
        producer_snapshot::write(&*storage, &self.dir, end, &self.producers)?;
        let created = Segment::create(&*storage, &self.dir, end, interval).inspect_err(|_| {
            // A smaller batch may still fit the old segment; an empty file must not stand behind
            // it.
            Segment::remove_files(&*storage, &self.dir, end).unwrap_or_default();
        });
        self.segments.push(created?);
        Ok(())
    }

    /// Gives the header of every batch from the one with `offset` on to `visit`.
    pub(super) fn for_each_batch_from(
        &mut self,
        offset: i64,
        mut visit: impl FnMut(&BatchHeader),
    ) -> Result<(), LogError> {
        let storage = self.storage.clone();
        let from = self.segment_index(offset);
        for segment in &mut self.segments[from..] {
            segment.for_each_from(&*storage, offset, |header, _| visit(header))?;
            segment.release_file();
        }
        Ok(())
    }

    /// Closes the files of all segments but the active one, so that reading an old log to its end
    /// does not leave them all open.
    pub(super) fn release_closed_segments(&mut self) {
        let closed = self.segments.len().saturating_sub(1);
        self.segments[..closed].iter_mut().for_each(Segment::release_file);
    }

    /// Closes every file until it is needed again.
    pub(crate) fn release_files(&mut self) {
        self.segments.iter_mut().for_each(Segment::release_file);
    }

    /// The segment that an offset belongs to.
    pub(super) fn segment_index(&self, offset: i64) -> usize {
        self.segments.partition_point(|segment| segment.base_offset() <= offset).saturating_sub(1)
    }

    pub(super) fn raise_log_start(&mut self, offset: i64) {
        self.log_start_offset = self.log_start_offset.max(offset).min(self.log_end_offset);
    }

    /// Moves the log's end back, and with it what must not lie behind it.
    pub(super) fn end_at(&mut self, offset: i64) {
        self.log_end_offset = offset;
        self.log_start_offset = self.log_start_offset.min(offset);
        self.recovery_point = self.recovery_point.min(offset);
        self.cuts = self.cuts.wrapping_add(1);
        self.cleaner.end_at(offset);
        self.unsynced.retain_mut(|job| {
            job.cuts = self.cuts;
            job.recovery_point <= offset
        });
    }

    /// Lets a log without records begin and end at `offset`.
    pub(super) fn empty_at(&mut self, offset: i64) {
        (self.log_start_offset, self.log_end_offset) = (offset, offset);
    }

    /// An error when the log takes nothing any more.
    pub(super) fn check_service(&self) -> Result<(), LogError> {
        match &self.failure {
            Some(failure) => Err(LogError::corrupt(&self.dir, failure.clone())),
            None => Ok(()),
        }
    }

    /// Takes the log out of service, as its files may be anywhere between two states.
    pub(super) fn give_up(&mut self, what: &str, error: LogError) -> LogError {
        tracing::error!(%error, "{what} failed");
        self.failure = Some(format!("out of service after a failed {what}: {error}"));
        error
    }

    /// Brings everything onto the medium, indexes and a snapshot of the producers included.
    ///
    /// # Errors
    /// What the disk says; also when the end of the log is in doubt since an earlier failure.
    pub fn close(&mut self, sync: bool) -> Result<(), LogError> {
        self.check_service()?;
        let storage = self.storage.clone();
        let end = self.log_end_offset;
        let closed = self.flush_all(&*storage, sync);
        closed.map_err(|error| LogError::io(&self.dir, error))?;
        self.unsynced.clear();
        self.recovery_point = end;
        Ok(())
    }

    fn flush_all(&mut self, storage: &dyn Storage, sync: bool) -> io::Result<()> {
        for job in self.unsynced.iter().filter(|_| sync) {
            job.run()?;
        }
        if let Some(active) = self.segments.last_mut() {
            active.flush_indexes(storage)?;
            if sync && active.size() > 0 {
                active.file(storage)?.sync()?;
            }
        }
        if self.producers.is_empty() {
            return Ok(());
        }
        producer_snapshot::write(storage, &self.dir, self.log_end_offset, &self.producers)
    }

    /// Files that were closed since the last call and should be brought onto the medium.
    pub(crate) fn take_sync_jobs(&mut self) -> Vec<SyncJob> {
        std::mem::take(&mut self.unsynced)
    }

    /// Notes that a file which [`PartitionLog::take_sync_jobs`] gave out is on the medium.
    pub(crate) fn handle_synced(&mut self, job: &SyncJob) {
        // A segment that was cut since may have been written to again.
        if job.cuts == self.cuts {
            self.set_recovery_point(job.recovery_point);
        }
    }

    /// Notes that everything before `offset` is on the medium.
    pub(crate) fn set_recovery_point(&mut self, offset: i64) {
        self.recovery_point = self.recovery_point.max(offset).min(self.log_end_offset);
    }

    /// Forgets idempotent producers that have been idle since `before_ms`.
    pub fn expire_producers(&mut self, before_ms: i64) {
        self.producers.expire(before_ms);
    }

    /// Takes over a changed topic configuration.
    pub fn set_config(&mut self, config: LogConfig) {
        if self.config.is_compacted {
            self.expect_gaps();
        }
        self.config = config;
    }

    /// Whether some offsets before the first that may be read are still in its file.
    pub(crate) fn begins_inside_segment(&self) -> bool {
        self.segments.first().is_some_and(|first| first.base_offset() < self.log_start_offset)
    }

    /// The first offset that may be read.
    pub fn log_start_offset(&self) -> i64 {
        self.log_start_offset
    }

    /// The offset that the next record will get.
    pub fn log_end_offset(&self) -> i64 {
        self.log_end_offset
    }

    /// The log is on the medium before this offset.
    pub fn recovery_point(&self) -> i64 {
        self.recovery_point
    }

    /// Bytes in all segments, indexes not counted.
    pub fn size_bytes(&self) -> u64 {
        self.segments.iter().map(Segment::size).sum()
    }

    /// How many segments there are.
    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// What is remembered of idempotent producers.
    pub fn producers(&self) -> &ProducerStates {
        &self.producers
    }

    /// The leader epoch in which the record at an offset was written.
    pub fn leader_epoch_of(&self, offset: i64) -> Option<i32> {
        self.epochs.epoch_of(offset)
    }

    /// The newest leader epoch in which something was written.
    pub fn latest_epoch(&self) -> Option<i32> {
        self.epochs.latest()
    }

    /// The greatest epoch not later than `epoch` in which something was written, and where it
    /// ended.
    pub fn end_of_leader_epoch(&self, epoch: i32) -> Option<(i32, i64)> {
        self.epochs.end_offset_of(epoch, self.log_end_offset)
    }

    /// Takes the log out of service as a disk does that neither writes nor takes back.
    #[cfg(test)]
    pub(crate) fn fail(&mut self) {
        self.failure = Some("out of service for a test".to_owned());
    }

    /// Why nothing is appended any more, `None` while all is well.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// How the log behaves.
    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    pub(super) fn cuts(&self) -> u32 {
        self.cuts
    }

    pub(super) fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn epochs_mut(&mut self) -> &mut LeaderEpochs {
        &mut self.epochs
    }

    pub(super) fn producers_mut(&mut self) -> &mut ProducerStates {
        &mut self.producers
    }

    pub(super) fn unreplicated(&self) -> &Unreplicated {
        &self.unreplicated
    }

    pub(super) fn unreplicated_mut(&mut self) -> &mut Unreplicated {
        &mut self.unreplicated
    }
}
