//! Opening a partition's log: after a clean shutdown by looking at the tails, after any other end
//! by reading through what may not have been finished.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cleaner;
use super::leader_epochs::LeaderEpochs;
use super::producer_snapshot;
use super::producer_state::ProducerStates;
use super::scan::Damage;
use super::segment::Segment;
use super::storage::Storage;
use super::transactions::{Unreplicated, aborted_entry};
use super::{
    INDEX_SUFFIX, LOG_SUFFIX, LogConfig, LogError, PartitionLog, SNAPSHOT_SUFFIX,
    TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX, WINDOW_SUFFIX, offset_in_name,
};

/// What the broker knows about a log that it opens.
#[derive(Clone, Copy, Debug)]
pub struct OpenState {
    /// Whether the last process ended with a clean shutdown.
    pub is_clean: bool,
    /// The log is known to be on the medium before this offset.
    pub recovery_point: i64,
    /// The first offset that may be read.
    pub log_start_offset: i64,
    /// The time, in milliseconds since the Unix epoch.
    pub now_ms: i64,
}

/// What opening a log had to do to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// How many segments were read from end to end.
    pub scanned_segments: usize,
    /// The base offset of the first of them.
    pub scanned_from: Option<i64>,
    /// The cut, where one was necessary.
    pub truncation: Option<Truncation>,
}

/// Where a log was cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truncation {
    /// The segment's file.
    pub path: PathBuf,
    /// The file's size now, in bytes.
    pub position: u64,
    /// How many bytes are gone, those of later segments included.
    pub lost_bytes: u64,
    /// What was found there.
    pub reason: String,
}

/// The segments of a log that is being opened.
struct Segments<'a> {
    storage: &'a dyn Storage,
    dir: &'a Path,
    config: &'a LogConfig,
    state: OpenState,
    opened: Vec<Segment>,
    next_offset: i64,
    recovery: Recovery,
}

impl PartitionLog {
    /// Opens the log in `dir`, or begins one there.
    ///
    /// # Errors
    /// When the disk fails, or when files are there that cannot be this log: nothing is served that
    /// might be garbage, and nothing is removed that might be somebody's data.
    pub fn open(
        storage: Arc<dyn Storage>,
        dir: PathBuf,
        config: LogConfig,
        state: OpenState,
    ) -> Result<(Self, Recovery), LogError> {
        storage.create_dir(&dir).map_err(|error| LogError::io(&dir, error))?;
        cleaner::settle(&*storage, &dir)?;
        let found = Found::in_dir(&*storage, &dir)?;
        let mut segments = Segments {
            storage: &*storage,
            dir: &dir,
            config: &config,
            state,
            opened: Vec::new(),
            next_offset: state.log_start_offset.max(0),
            recovery: Recovery::default(),
        };
        segments.open_all(&found.segments)?;
        let Segments { opened, next_offset, recovery, .. } = segments;
        let epochs = LeaderEpochs::load(&*storage, &dir)?;
        let mut log = Self::from_parts(storage, dir, config, opened, next_offset, epochs);
        log.raise_log_start(state.log_start_offset);
        log.set_recovery_point(if state.is_clean { next_offset } else { state.recovery_point });
        log.rebuild_producers(&found.snapshots, state.now_ms)?;
        log.remove_stray_snapshots(&found.snapshots)?;
        log.settle_epochs(&recovery)?;
        Ok((log, recovery))
    }

    /// Makes the producer states from the newest snapshot that can be read and the batches behind
    /// it, and the index of aborted transactions of segments that were read through.
    pub(super) fn rebuild_producers(
        &mut self,
        snapshots: &[i64],
        now_ms: i64,
    ) -> Result<(), LogError> {
        let storage = self.storage().clone();
        let dir = self.dir().to_owned();
        let fault = |error| LogError::io(&dir, error);
        let end = self.log_end_offset();
        // Which transaction a marker ends is known by where it began.
        let unindexed = self.segments.iter().find(|segment| segment.lacks_aborted());
        let newest = unindexed.map_or(end, Segment::base_offset);
        let mut states = ProducerStates::default();
        // A transaction that is open may have begun before the first offset that may be read.
        let mut from = self.segments.first().map_or(end, Segment::base_offset);
        for &offset in snapshots.iter().rev() {
            if offset > end {
                // It speaks of batches that the log no longer has.
                producer_snapshot::remove(&*storage, &dir, offset).map_err(fault)?;
                continue;
            }
            if offset > newest {
                continue;
            }
            match producer_snapshot::read(&*storage, &dir, offset, now_ms).map_err(fault)? {
                Some(read) => {
                    (states, from) = (read, offset);
                    break;
                }
                None => producer_snapshot::remove(&*storage, &dir, offset).map_err(fault)?,
            }
        }
        *self.producers_mut() = states;
        *self.unreplicated_mut() = Unreplicated::default();
        self.replay_from(from, now_ms)
    }

    /// Takes away the snapshots that earlier stops have left: what counts are those where a segment
    /// begins, and the newest.
    fn remove_stray_snapshots(&mut self, found: &[i64]) -> Result<(), LogError> {
        let is_base = |offset: &i64| self.segments.iter().any(|it| it.base_offset() == *offset);
        // Nearly always there is but the newest, and no reason to look at the folder again.
        if found.iter().filter(|offset| !is_base(offset)).count() <= 1 {
            return Ok(());
        }
        let (storage, dir) = (self.storage().clone(), self.dir());
        let fault = |error| LogError::io(dir, error);
        let snapshots = producer_snapshot::offsets(&*storage, dir).map_err(fault)?;
        let newest = snapshots.iter().max().copied();
        // Of what was in front of the log nothing else knows.
        let first = self.segments.first().map_or(0, Segment::base_offset);
        let is_whole = |offset: i64| producer_snapshot::is_whole(&*storage, dir, offset);
        let front = match first == 0 || is_whole(first) {
            true => None,
            false => snapshots.iter().copied().filter(|offset| is_whole(*offset)).min(),
        };
        let counts = |offset: &i64| [newest, front].contains(&Some(*offset)) || is_base(offset);
        for offset in snapshots.iter().filter(|offset| !counts(offset)) {
            producer_snapshot::remove(&*storage, dir, *offset).map_err(fault)?;
        }
        Ok(())
    }

    /// Brings the producer states up to date with the batches from `from` on, and makes up for
    /// snapshots that are lost.
    fn replay_from(&mut self, from: i64, now_ms: i64) -> Result<(), LogError> {
        let storage = self.storage().clone();
        for index in self.segment_index(from)..self.segments.len() {
            let base = self.segments[index].base_offset();
            // Once the segments before are gone, nothing else knows what they said of producers.
            if base > from && !producer_snapshot::is_whole(&*storage, self.dir(), base) {
                let written =
                    producer_snapshot::write(&*storage, self.dir(), base, self.producers());
                if let Err(error) = written {
                    tracing::warn!(dir = %self.dir().display(), %error, "snapshot not written");
                }
            }
            let mut states = std::mem::take(self.producers_mut());
            let mut ended_here = Vec::new();
            let mut aborted = Vec::new();
            let segment = &mut self.segments[index];
            let replayed = segment.for_each_from(&*storage, from, |header, marker| {
                if let Some(ended) = states.record(header, marker, now_ms) {
                    aborted.extend(aborted_entry(&states, &ended));
                    ended_here.push(ended);
                }
            });
            segment.restore_aborted(&*storage, &aborted);
            segment.release_file();
            *self.producers_mut() = states;
            replayed?;
            ended_here.iter().for_each(|ended| self.note_ended(ended));
        }
        Ok(())
    }

    /// Brings the leader epochs in line with a log that may have been cut, or whose epoch file is
    /// lost.
    fn settle_epochs(&mut self, recovery: &Recovery) -> Result<(), LogError> {
        let dir = self.dir().to_owned();
        let end = self.log_end_offset();
        let storage = self.storage().clone();
        let fault = |error| LogError::io(&dir, error);
        self.epochs_mut().truncate_end(&*storage, end).map_err(fault)?;
        let from = match (self.epochs_mut().latest(), recovery.scanned_from) {
            (None, _) => self.log_start_offset(),
            (Some(_), Some(scanned_from)) => scanned_from,
            (Some(_), None) => return Ok(()),
        };
        let mut starts: Vec<(i32, i64)> = Vec::new();
        self.for_each_batch_from(from, |header| {
            let epoch = header.partition_leader_epoch;
            if starts.last().is_none_or(|(last, _)| *last < epoch) {
                starts.push((epoch, header.base_offset));
            }
        })?;
        for (epoch, offset) in starts {
            self.epochs_mut().assign(&*storage, epoch, offset).map_err(fault)?;
        }
        Ok(())
    }
}

impl Segments<'_> {
    fn open_all(&mut self, bases: &[i64]) -> Result<(), LogError> {
        if bases.is_empty() && self.state.recovery_point.max(self.state.log_start_offset) > 0 {
            let reason = "the segments of this log are gone, though the checkpoints speak of them";
            return Err(LogError::corrupt(self.dir, reason));
        }
        if let Some(first) = bases.first() {
            self.next_offset = *first;
        }
        // The segment that holds the recovery point may have bytes that never reached the medium.
        let behind = bases.partition_point(|base| *base <= self.state.recovery_point);
        for (index, &base) in bases.iter().enumerate() {
            let is_settled = self.state.is_clean || index + 1 < behind;
            if base < self.next_offset && self.size_of(base)? == 0 {
                // Left by a roll that a full disk stopped.
                self.remove_files(base)?;
                continue;
            }
            self.check_joint(base)?;
            let goes_on = if is_settled { self.load(base)? } else { self.recover(base)? };
            let later = &bases[index + 1..];
            let joined = later.first().is_none_or(|next| *next == self.next_offset);
            if !goes_on || (!is_settled && !joined) {
                self.remove_later(later)?;
                break;
            }
        }
        if self.opened.is_empty() {
            self.create(self.next_offset)?;
        }
        Ok(())
    }

    fn note_scanned(&mut self, base: i64) {
        self.recovery.scanned_segments += 1;
        self.recovery.scanned_from.get_or_insert(base);
    }

    /// Two segments must meet: a hole between them is data that somebody took away.
    fn check_joint(&self, base: i64) -> Result<(), LogError> {
        if self.next_offset == base {
            return Ok(());
        }
        let path = self.dir.join(super::file_name(base, LOG_SUFFIX));
        let reason = format!(
            "it begins at offset {base}, the segment before it ends at {}",
            self.next_offset
        );
        Err(LogError::corrupt(&path, reason))
    }

    /// Takes a segment that was finished; damage in it is an error.
    fn load(&mut self, base: i64) -> Result<bool, LogError> {
        let interval = self.config.index_interval_bytes;
        if let Some(loaded) = Segment::load(self.storage, self.dir, base, interval)? {
            self.next_offset = loaded.next_offset;
            self.opened.push(loaded.segment);
            return Ok(true);
        }
        let recovered = Segment::recover(self.storage, self.dir, base, interval)?;
        self.note_scanned(base);
        if let Some((position, damage, _)) = recovered.damage {
            let path = recovered.segment.path();
            return Err(LogError::corrupt(path, format!("at byte {position}: {damage}")));
        }
        self.next_offset = recovered.next_offset;
        self.opened.push(recovered.segment);
        Ok(true)
    }

    /// Reads a segment through and cuts it where it stops being whole. Says whether all of it was
    /// good.
    fn recover(&mut self, base: i64) -> Result<bool, LogError> {
        let interval = self.config.index_interval_bytes;
        let recovered = Segment::recover(self.storage, self.dir, base, interval)?;
        self.note_scanned(base);
        let mut segment = recovered.segment;
        if let Some((position, damage, lost_bytes)) = recovered.damage {
            let path = segment.path().to_owned();
            if position == 0 && is_foreign(damage) {
                return Err(LogError::corrupt(&path, format!("at byte 0: {damage}")));
            }
            segment.cut(self.storage).map_err(|error| LogError::io(&path, error))?;
            let reason = damage.to_string();
            self.recovery.truncation = Some(Truncation { path, position, lost_bytes, reason });
        }
        self.next_offset = recovered.next_offset;
        self.opened.push(segment);
        Ok(recovered.damage.is_none())
    }

    /// Removes segments behind a cut.
    fn remove_later(&mut self, bases: &[i64]) -> Result<(), LogError> {
        for &base in bases {
            let path = self.dir.join(super::file_name(base, LOG_SUFFIX));
            let size = self.size_of(base)?;
            let truncation = self.recovery.truncation.get_or_insert_with(|| Truncation {
                path: path.clone(),
                position: 0,
                lost_bytes: 0,
                reason: "it does not follow the segment before it".to_owned(),
            });
            truncation.lost_bytes += size;
            self.remove_files(base)?;
        }
        Ok(())
    }

    fn size_of(&self, base: i64) -> Result<u64, LogError> {
        let path = self.dir.join(super::file_name(base, LOG_SUFFIX));
        let size = self.storage.open(&path).and_then(|file| file.size());
        size.map_err(|error| LogError::io(&path, error))
    }

    fn remove_files(&self, base: i64) -> Result<(), LogError> {
        Segment::remove_files(self.storage, self.dir, base)
            .map_err(|error| LogError::io(self.dir, error))
    }

    fn create(&mut self, base: i64) -> Result<(), LogError> {
        let interval = self.config.index_interval_bytes;
        let segment = Segment::create(self.storage, self.dir, base, interval)
            .map_err(|error| LogError::io(self.dir, error))?;
        self.opened.push(segment);
        Ok(())
    }
}

/// Whether damage at the very start of a file says that it never was a segment of this log.
fn is_foreign(damage: Damage) -> bool {
    matches!(damage, Damage::Magic(_) | Damage::Length(_) | Damage::Offset { .. })
}

/// The files of a partition's folder that matter when it is opened.
struct Found {
    segments: Vec<i64>,
    snapshots: Vec<i64>,
}

impl Found {
    /// Looks at the names, and sweeps away what an interrupted operation left behind.
    fn in_dir(storage: &dyn Storage, dir: &Path) -> Result<Self, LogError> {
        let fault = |error| LogError::io(dir, error);
        let mut found = Self { segments: Vec::new(), snapshots: Vec::new() };
        let mut companions = Vec::new();
        for entry in storage.list(dir).map_err(fault)? {
            let name = entry.name.as_str();
            if let Some(base) = offset_in_name(name, LOG_SUFFIX) {
                found.segments.push(base);
            } else if let Some(offset) = offset_in_name(name, SNAPSHOT_SUFFIX) {
                found.snapshots.push(offset);
            } else if name.ends_with(".tmp") || name.ends_with(".deleted") {
                storage.remove_file(&dir.join(name)).map_err(fault)?;
            } else {
                companions.push(entry);
            }
        }
        for entry in companions {
            let is_stray =
                [INDEX_SUFFIX, TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX].iter().any(|suffix| {
                    offset_in_name(&entry.name, suffix)
                        .is_some_and(|base| !found.segments.contains(&base))
                }) || offset_in_name(&entry.name, WINDOW_SUFFIX)
                    .is_some_and(|offset| !found.snapshots.contains(&offset));
            if is_stray {
                // A kill between two removals leaves such files; so does one who took a log away.
                if entry.name.ends_with(INDEX_SUFFIX) {
                    let path = dir.join(&entry.name);
                    tracing::warn!(path = %path.display(), "removed an index without its log, as a kill may leave it");
                }
                storage.remove_file(&dir.join(&entry.name)).map_err(fault)?;
            }
        }
        Ok(found)
    }
}
