//! One cleaning of one log, which goes on in steps.

use std::collections::HashMap;

use bytes::Bytes;
use ottla_protocol::record::BatchHeader;

use super::CLEANED_MARK;
use super::filter::{Fate, Filter, Rules};
use super::key_map::KeyMap;
use super::swap;
use crate::log::marker::EndMarker;
use crate::log::scan::whole_batches;
use crate::log::segment::Segment;
use crate::log::storage::Storage;
use crate::log::{LogError, PartitionLog};

/// So much is written before the medium is waited for, in bytes: nobody else gets a turn meanwhile.
const SYNC_BYTES: u64 = 8 * 1024 * 1024;

/// Offsets in an index have so many bits that a segment may not have more offsets than this.
const MAX_SEGMENT_OFFSETS: i64 = i32::MAX as i64;

/// How a step is to be taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// About how much is read, in bytes.
    pub(super) budget_bytes: usize,
    /// Whether what is written has to be on the medium before it takes the place of the old.
    pub(super) is_durable: bool,
    pub(super) now_ms: i64,
}

/// What has become of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    GoesOn,
    /// The log is clean up to this offset.
    Done(i64),
    /// The log was cut, or its front has gone.
    Void,
}

/// A cleaning on its way: first the keys of the dirty section are taken up, then the log is written
/// anew from its beginning, some segments at a time.
#[derive(Debug)]
pub(super) struct Job {
    /// The log's count of cuts when it began.
    cuts: u32,
    /// Where the log's first segment began then.
    front: i64,
    first_dirty: i64,
    /// Where the first segment begins that is not to be touched.
    end: i64,
    keys: KeyMap,
    last_markers: HashMap<i64, i64>,
    filter: Filter,
    /// What comes next.
    next: i64,
    /// The segment that the filter has the transactions of.
    entered: Option<i64>,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Mapping,
    Rewriting { mapped_to: i64, group: Option<Box<Group>> },
}

/// Segments that become one.
#[derive(Debug)]
struct Group {
    base: i64,
    /// Where the segment behind them begins.
    end: i64,
    cleaned: Segment,
    /// How much of it is on the medium.
    synced_bytes: u64,
}

impl Job {
    /// `end` is where a segment begins, `keys` has no keys yet.
    pub(super) fn new(log: &PartitionLog, first_dirty: i64, end: i64, keys: KeyMap) -> Self {
        Self {
            cuts: log.cuts(),
            front: log.segments.first().map_or(0, Segment::base_offset),
            first_dirty,
            end,
            keys,
            last_markers: HashMap::new(),
            filter: Filter::default(),
            next: first_dirty,
            entered: None,
            phase: Phase::Mapping,
        }
    }

    pub(super) fn step(
        &mut self,
        log: &mut PartitionLog,
        pace: Pace,
    ) -> Result<Progress, LogError> {
        let front = log.segments.first().map(Segment::base_offset);
        if log.cuts() != self.cuts || front != Some(self.front) {
            return Ok(Progress::Void);
        }
        match &self.phase {
            Phase::Mapping => {
                self.map(log, pace)?;
                Ok(Progress::GoesOn)
            }
            &Phase::Rewriting { mapped_to, group: None } if self.next >= mapped_to => {
                Ok(Progress::Done(mapped_to))
            }
            &Phase::Rewriting { mapped_to, group: None } => {
                let group = begin_group(log, self.next)?;
                self.phase = Phase::Rewriting { mapped_to, group: Some(Box::new(group)) };
                Ok(Progress::GoesOn)
            }
            Phase::Rewriting { group: Some(group), .. } if self.next >= group.end => {
                self.end_group(log, pace.is_durable)?;
                Ok(Progress::GoesOn)
            }
            Phase::Rewriting { .. } => {
                self.rewrite(log, pace)?;
                Ok(Progress::GoesOn)
            }
        }
    }

    /// Takes up the keys of some batches.
    fn map(&mut self, log: &mut PartitionLog, pace: Pace) -> Result<(), LogError> {
        if self.next >= self.end || (self.keys.is_full() && self.next > self.first_dirty) {
            self.phase = Phase::Rewriting { mapped_to: self.next, group: None };
            self.filter = Filter::default();
            self.next = self.front;
            self.entered = None;
            return Ok(());
        }
        let index = self.enter_segment(log)?;
        let Some(block) = read_block(log, index, self.next, pace.budget_bytes)? else {
            self.next = log.segments[index + 1].base_offset();
            return Ok(());
        };
        let damaged = |reason| LogError::corrupt(log.segments[index].path(), reason);
        let max_bytes = log.config().max_decompressed_bytes;
        for (header, records) in whole_batches(&block) {
            if self.keys.is_full() && self.next > self.first_dirty {
                break;
            }
            if header.is_control() {
                if EndMarker::read(&header, records).is_some() {
                    self.last_markers.insert(header.producer_id, header.base_offset);
                }
            } else if !self.filter.transactions.note_batch(&header) {
                let (first_dirty, keys) = (self.first_dirty, &mut self.keys);
                let visit = |key: &[u8], offset| {
                    if offset >= first_dirty {
                        keys.note(key, offset);
                    }
                };
                self.filter.visit_keys(&header, records, max_bytes, visit).map_err(damaged)?;
            }
            self.next = header.last_offset() + 1;
        }
        Ok(())
    }

    /// Writes what stays of some batches.
    fn rewrite(&mut self, log: &mut PartitionLog, pace: Pace) -> Result<(), LogError> {
        let index = self.enter_segment(log)?;
        let block = read_block(log, index, self.next, pace.budget_bytes)?;
        let Phase::Rewriting { mapped_to, group: Some(group) } = &mut self.phase else {
            return Ok(());
        };
        let Some(block) = block else {
            self.next = log.segments[index + 1].base_offset();
            return Ok(());
        };
        let storage = log.storage().clone();
        let config = log.config();
        let rules = Rules {
            keys: &self.keys,
            mapped_to: *mapped_to,
            producers: log.producers(),
            last_markers: &self.last_markers,
            now_ms: pace.now_ms,
            delete_retention_ms: config.delete_retention_ms,
            max_decompressed_bytes: config.max_decompressed_bytes,
        };
        let damaged = |reason| LogError::corrupt(log.segments[index].path(), reason);
        for (header, records) in whole_batches(&block) {
            let batch_bytes = BatchHeader::SIZE + records.len();
            let is_last = header.last_offset() + 1 == group.end
                && !group.extend(log, batch_bytes, *mapped_to);
            let judged = self.filter.judge(&header, records, is_last, &rules);
            let (fate, aborted) = judged.map_err(damaged)?;
            let written = match &fate {
                Fate::Dropped => Ok(()),
                Fate::Kept => group.cleaned.append(&*storage, &header, records),
                Fate::Changed(changed) => {
                    group.cleaned.append(&*storage, changed, self.filter.records())
                }
            };
            written.map_err(|(error, _)| LogError::io(group.cleaned.path(), error))?;
            if let Some(aborted) = aborted {
                group.cleaned.note_aborted(&*storage, aborted);
            }
            self.next = header.last_offset() + 1;
        }
        if pace.is_durable && group.cleaned.size() >= group.synced_bytes + SYNC_BYTES {
            group.sync(&*storage)?;
        }
        Ok(())
    }

    /// Brings the cleaned segment to the place of those that it was made of.
    fn end_group(&mut self, log: &mut PartitionLog, is_durable: bool) -> Result<(), LogError> {
        let Phase::Rewriting { mapped_to, group } = &mut self.phase else {
            return Ok(());
        };
        let mapped_to = *mapped_to;
        let Some(mut group) = group.take() else {
            return Ok(());
        };
        let storage = log.storage().clone();
        if is_durable {
            group.sync(&*storage)?;
        }
        swap::swap_in(log, &*storage, group.cleaned, group.end)?;
        self.phase = Phase::Rewriting { mapped_to, group: None };
        Ok(())
    }

    /// The segment of what comes next, whose aborted transactions are then known.
    fn enter_segment(&mut self, log: &PartitionLog) -> Result<usize, LogError> {
        let index = log.segment_index(self.next);
        let base = log.segments[index].base_offset();
        if self.entered != Some(base) {
            let end = log.segments.get(index + 1).map_or(i64::MAX, Segment::base_offset);
            self.filter.transactions.enter_segment(log.aborted_entries(base, end)?);
            self.entered = Some(base);
        }
        Ok(index)
    }
}

/// Begins a group with the segment that has `next`.
fn begin_group(log: &PartitionLog, next: i64) -> Result<Group, LogError> {
    let index = log.segment_index(next);
    let base = log.segments[index].base_offset();
    let end = log.segments.get(index + 1).map_or(base, Segment::base_offset);
    let interval = log.config().index_interval_bytes;
    let cleaned = Segment::create_apart(&**log.storage(), log.dir(), base, interval, CLEANED_MARK)
        .map_err(|error| LogError::io(log.dir(), error))?;
    Ok(Group { base, end, cleaned, synced_bytes: 0 })
}

impl Group {
    fn sync(&mut self, storage: &dyn Storage) -> Result<(), LogError> {
        let synced = self.cleaned.file(storage).and_then(|file| file.sync());
        synced.map_err(|error| LogError::io(self.cleaned.path(), error))?;
        self.synced_bytes = self.cleaned.size();
        Ok(())
    }

    /// Takes another segment in, if it fits behind what was written and the last batch of the
    /// present one, and has something that is mapped. Says whether it did.
    fn extend(&mut self, log: &PartitionLog, batch_bytes: usize, mapped_to: i64) -> bool {
        let index = log.segment_index(self.end);
        // The active segment is behind all that is mapped.
        let [segment, behind, ..] = &log.segments[index..] else {
            return false;
        };
        let size = self.cleaned.size() + batch_bytes as u64 + segment.size();
        let fits = size <= log.config().segment_bytes
            && behind.base_offset() - self.base <= MAX_SEGMENT_OFFSETS;
        let takes = fits && self.end < mapped_to;
        if takes {
            self.end = behind.base_offset();
        }
        takes
    }
}

/// Bytes of one segment, from the batch with `offset` on, or the one behind it; `None` when the
/// segment has none.
fn read_block(
    log: &mut PartitionLog,
    index: usize,
    offset: i64,
    budget_bytes: usize,
) -> Result<Option<Bytes>, LogError> {
    let storage = log.storage().clone();
    let segment = &mut log.segments[index];
    let Some(first) = segment.find(&*storage, offset)? else {
        return Ok(None);
    };
    let left = segment.size() - first.position;
    let length = (budget_bytes as u64).max(first.size).min(left) as usize;
    let block = segment.read(&*storage, first.position, length)?;
    if whole_batches(&block).next().is_none() {
        let reason = format!("at byte {}: the batch fails its checksum", first.position);
        return Err(LogError::corrupt(segment.path(), reason));
    }
    Ok(Some(block))
}
