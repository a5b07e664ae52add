//! One segment of a partition's log: the file with the batches and its two indexes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_protocol::record::BatchHeader;

use super::bookmarks::Bookmarks;
use super::offset_index::OffsetIndex;
use super::scan::{BatchScanner, Damage, ScanError};
use super::storage::{Storage, StoredFile};
use super::time_index::{TimeEntry, TimeIndex};
use super::transaction_index::{AbortedEntry, TransactionIndex};
use super::{
    INDEX_SUFFIX, LOG_SUFFIX, LogError, TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX, file_name,
};

/// Batches whose base offset is in the file's name, or later.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) base_offset: i64,
    pub(super) path: PathBuf,
    /// Opened when it is needed, and kept for the active segment.
    file: Option<Arc<dyn StoredFile>>,
    pub(super) size: u64,
    pub(super) offsets: OffsetIndex,
    pub(super) times: TimeIndex,
    aborted: TransactionIndex,
    /// Whether its aborted transactions are not in their index yet: they cannot be known from the
    /// segment alone.
    lacks_aborted: bool,
    bytes_since_entry: u64,
    index_interval_bytes: u64,
    /// Where the last reads ended: there the next ones begin.
    pub(super) bookmarks: Bookmarks,
    pub(super) latest: Option<TimeEntry>,
    /// The greatest timestamp of batches that compaction has emptied; no index leads to them.
    latest_empty_ms: Option<i64>,
    first_timestamp_ms: Option<i64>,
}

/// A segment as it was found on disk.
#[derive(Debug)]
pub(super) struct LoadedSegment {
    pub(super) segment: Segment,
    /// The offset after the last batch.
    pub(super) next_offset: i64,
}

/// A segment that was read through and cut at the first damage.
#[derive(Debug)]
pub(super) struct RecoveredSegment {
    pub(super) segment: Segment,
    /// The offset after the last good batch.
    pub(super) next_offset: i64,
    /// What was found, where, and how many bytes lie from there to the end of the file.
    pub(super) damage: Option<(u64, Damage, u64)>,
}

impl Segment {
    /// An empty segment; files of the same name lose their content.
    pub(super) fn create(
        storage: &dyn Storage,
        dir: &Path,
        base_offset: i64,
        index_interval_bytes: u64,
    ) -> io::Result<Self> {
        Self::create_apart(storage, dir, base_offset, index_interval_bytes, "")
    }

    /// An empty segment whose files have `mark` behind their names, and so are not the log's yet.
    pub(super) fn create_apart(
        storage: &dyn Storage,
        dir: &Path,
        base_offset: i64,
        index_interval_bytes: u64,
        mark: &str,
    ) -> io::Result<Self> {
        let path = dir.join(file_name(base_offset, LOG_SUFFIX) + mark);
        let file = storage.open(&path)?;
        file.truncate(0)?;
        Self::with_empty_indexes(storage, dir, base_offset, index_interval_bytes, path, mark)
    }

    fn with_empty_indexes(
        storage: &dyn Storage,
        dir: &Path,
        base_offset: i64,
        index_interval_bytes: u64,
        path: PathBuf,
        mark: &str,
    ) -> io::Result<Self> {
        let offsets = dir.join(file_name(base_offset, INDEX_SUFFIX) + mark);
        let times = dir.join(file_name(base_offset, TIME_INDEX_SUFFIX) + mark);
        let aborted = dir.join(file_name(base_offset, TRANSACTION_INDEX_SUFFIX) + mark);
        Ok(Self {
            base_offset,
            path,
            file: None,
            size: 0,
            offsets: OffsetIndex::create(storage, offsets, base_offset)?,
            times: TimeIndex::create(storage, times, base_offset)?,
            aborted: TransactionIndex::create(storage, aborted)?,
            lacks_aborted: false,
            bytes_since_entry: 0,
            index_interval_bytes,
            bookmarks: Bookmarks::default(),
            latest: None,
            latest_empty_ms: None,
            first_timestamp_ms: None,
        })
    }

    /// Takes a segment as a clean shutdown left it. Only its tail is looked at: from the last index
    /// entry on.
    ///
    /// `None` when the indexes are absent or do not fit the log; they must then be made anew.
    pub(super) fn load(
        storage: &dyn Storage,
        dir: &Path,
        base_offset: i64,
        index_interval_bytes: u64,
    ) -> Result<Option<LoadedSegment>, LogError> {
        let path = dir.join(file_name(base_offset, LOG_SUFFIX));
        let fault = |error| LogError::io(&path, error);
        let file = storage.open(&path).map_err(fault)?;
        let size = file.size().map_err(fault)?;
        let index_path = dir.join(file_name(base_offset, INDEX_SUFFIX));
        let time_path = dir.join(file_name(base_offset, TIME_INDEX_SUFFIX));
        let offsets = OffsetIndex::load(storage, index_path, base_offset).map_err(fault)?;
        let times = TimeIndex::load(storage, time_path, base_offset).map_err(fault)?;
        let aborted_path = dir.join(file_name(base_offset, TRANSACTION_INDEX_SUFFIX));
        let aborted = TransactionIndex::load(storage, aborted_path, base_offset).map_err(fault)?;
        let (Some(offsets), Some(times), Some(aborted)) = (offsets, times, aborted) else {
            return Ok(None);
        };
        let entry = offsets.last(storage).map_err(fault)?;
        let start = entry.map_or(0, |entry| entry.position);
        if start > size || (size > 0 && times.last().is_none()) {
            return Ok(None);
        }
        let mut segment = Self {
            base_offset,
            path: path.clone(),
            file: None,
            size,
            latest: times.last(),
            latest_empty_ms: None,
            first_timestamp_ms: None,
            offsets,
            times,
            aborted,
            lacks_aborted: false,
            bytes_since_entry: size - start,
            index_interval_bytes,
            bookmarks: Bookmarks::default(),
        };
        let mut scanner = BatchScanner::new(&*file, start, size, base_offset);
        let mut is_first = true;
        while let Some(batch) = scanner.next().map_err(|error| scan_error(&path, error))? {
            let entry = entry.filter(|_| is_first);
            if entry.is_some_and(|entry| entry.last_offset != batch.header.last_offset()) {
                return Ok(None);
            }
            is_first = false;
            segment.note_timestamp(&batch.header);
        }
        if entry.is_some() && is_first {
            return Ok(None);
        }
        Ok(Some(LoadedSegment { next_offset: scanner.next_offset(), segment }))
    }

    /// Reads the whole segment, makes its indexes anew and ends it before the first batch that is
    /// not whole.
    ///
    /// The file itself is only cut by [`Segment::cut`].
    pub(super) fn recover(
        storage: &dyn Storage,
        dir: &Path,
        base_offset: i64,
        index_interval_bytes: u64,
    ) -> Result<RecoveredSegment, LogError> {
        let path = dir.join(file_name(base_offset, LOG_SUFFIX));
        let fault = |error| LogError::io(&path, error);
        let file = storage.open(&path).map_err(fault)?;
        let size = file.size().map_err(fault)?;
        let interval = index_interval_bytes;
        let empty = Self::with_empty_indexes(storage, dir, base_offset, interval, path.clone(), "");
        let mut segment = empty.map_err(fault)?;
        segment.lacks_aborted = true;
        let mut scanner = BatchScanner::new(&*file, 0, size, base_offset);
        let damage = loop {
            match scanner.next_verified() {
                Ok(Some(batch)) => segment.note(storage, &batch.header, batch.size),
                Ok(None) => break None,
                Err(ScanError::Io(error)) => return Err(LogError::io(&path, error)),
                Err(ScanError::Damaged { position, damage }) => {
                    break Some((position, damage, size - position));
                }
            }
        };
        Ok(RecoveredSegment { segment, next_offset: scanner.next_offset(), damage })
    }

    /// Cuts the file to the part that is known to be good.
    pub(super) fn cut(&mut self, storage: &dyn Storage) -> io::Result<()> {
        let size = self.size;
        self.file(storage)?.truncate(size)
    }

    /// Writes one batch, given as its header and the rest.
    ///
    /// # Errors
    /// When the disk refuses. The file is then as long as before, or the second value is false.
    pub(super) fn append(
        &mut self,
        storage: &dyn Storage,
        header: &BatchHeader,
        records: &[u8],
    ) -> Result<(), (io::Error, bool)> {
        let mut head = [0; BatchHeader::SIZE];
        header.write(&mut head);
        let size = self.size;
        let file = self.file(storage).map_err(|error| (error, true))?;
        if let Err(error) = file.append(&[&head, records]) {
            let restored = file.truncate(size).is_ok();
            return Err((error, restored));
        }
        self.note(storage, header, (head.len() + records.len()) as u64);
        Ok(())
    }

    /// Takes a batch that stands at the end of the file into the indexes.
    fn note(&mut self, storage: &dyn Storage, header: &BatchHeader, size: u64) {
        self.note_timestamp(header);
        if self.bytes_since_entry > self.index_interval_bytes {
            let appended = self
                .offsets
                .append(storage, header.last_offset(), self.size)
                .and_then(|()| self.append_latest(storage));
            if let Err(error) = appended {
                // The entries wait in memory; the log itself is fine.
                tracing::warn!(path = %self.path.display(), %error, "index not written");
            }
            self.bytes_since_entry = 0;
        }
        self.size += size;
        self.bytes_since_entry += size;
    }

    fn note_timestamp(&mut self, header: &BatchHeader) {
        self.first_timestamp_ms.get_or_insert(header.max_timestamp);
        let timestamp_ms = header.max_timestamp;
        if header.record_count == 0 {
            self.latest_empty_ms = self.latest_empty_ms.max(Some(timestamp_ms));
            return;
        }
        if self.latest.is_none_or(|latest| timestamp_ms > latest.timestamp_ms) {
            self.latest = Some(TimeEntry { timestamp_ms, offset: header.last_offset() });
        }
    }

    fn append_latest(&mut self, storage: &dyn Storage) -> io::Result<()> {
        match self.latest {
            Some(latest) => self.times.append(storage, latest),
            None => Ok(()),
        }
    }

    /// Writes what the indexes hold in memory, with a last entry for the greatest timestamp.
    pub(super) fn flush_indexes(&mut self, storage: &dyn Storage) -> io::Result<()> {
        self.append_latest(storage)?;
        self.offsets.flush(storage)?;
        self.times.flush(storage)?;
        self.aborted.flush(storage)
    }

    /// Takes a transaction into the index whose marker stands at the end of the file.
    pub(super) fn note_aborted(&mut self, storage: &dyn Storage, entry: AbortedEntry) {
        if let Err(error) = self.aborted.append(storage, entry) {
            // It waits in memory; the log itself is fine.
            tracing::warn!(path = %self.path.display(), %error, "index not written");
        }
    }

    /// Whether its aborted transactions are to be found and given to
    /// [`Segment::restore_aborted`].
    pub(super) fn lacks_aborted(&self) -> bool {
        self.lacks_aborted
    }

    /// Makes the index of aborted transactions, as far as it is not there.
    pub(super) fn restore_aborted(&mut self, storage: &dyn Storage, entries: &[AbortedEntry]) {
        if std::mem::take(&mut self.lacks_aborted) {
            entries.iter().for_each(|entry| self.note_aborted(storage, *entry));
        }
    }

    /// Gives the aborted transactions to `visit` whose marker is at `offset` or behind it, until it
    /// has seen enough. Says whether it has.
    pub(super) fn visit_aborted(
        &self,
        storage: &dyn Storage,
        offset: i64,
        visit: impl FnMut(AbortedEntry) -> bool,
    ) -> io::Result<bool> {
        self.aborted.visit_from(storage, offset, visit)
    }

    /// The file, opened at need.
    pub(super) fn file(&mut self, storage: &dyn Storage) -> io::Result<&Arc<dyn StoredFile>> {
        if self.file.is_none() {
            self.file = Some(storage.open(&self.path)?);
        }
        self.file.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Closes the file until it is needed again.
    pub(super) fn release_file(&mut self) {
        self.file = None;
    }

    /// Removes the files of the segment with this base offset, the log first: an index without log
    /// is swept away at the next start.
    pub(super) fn remove_files(
        storage: &dyn Storage,
        dir: &Path,
        base_offset: i64,
    ) -> io::Result<()> {
        for suffix in [LOG_SUFFIX, INDEX_SUFFIX, TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX] {
            storage.remove_file(&dir.join(file_name(base_offset, suffix)))?;
        }
        Ok(())
    }

    pub(super) fn base_offset(&self) -> i64 {
        self.base_offset
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The greatest timestamp of its records, in milliseconds, and the last offset of the batch
    /// that has it.
    pub(super) fn latest(&self) -> Option<TimeEntry> {
        self.latest
    }

    /// The same, of what compaction has emptied as well.
    pub(super) fn newest_ms(&self) -> Option<i64> {
        self.latest.map(|latest| latest.timestamp_ms).max(self.latest_empty_ms)
    }

    /// The timestamp of its first batch, as far as this process has seen it.
    pub(super) fn first_timestamp_ms(&self) -> Option<i64> {
        self.first_timestamp_ms
    }
}

pub(super) fn scan_error(path: &Path, error: ScanError) -> LogError {
    match error {
        ScanError::Io(error) => LogError::io(path, error),
        ScanError::Damaged { position, damage } => {
            LogError::corrupt(path, format!("at byte {position}: {damage}"))
        }
    }
}
