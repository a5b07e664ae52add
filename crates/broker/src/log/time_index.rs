//! The time index of a segment: up to which offset no timestamp is later than a given one.
//!
//! File `<base offset>.timeindex`, entries of 12 bytes: timestamp in milliseconds (i64), offset
//! relative to the segment's base (u32). An entry says: the greatest timestamp up to here is this
//! one, and the batch that has it ends with this offset. Timestamps and offsets strictly rise from
//! entry to entry.

use std::io;
use std::path::PathBuf;

use super::entry_file::EntryFile;
use super::storage::Storage;

const ENTRY_SIZE: usize = 12;

/// The greatest timestamp so far and the last offset of the batch that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeEntry {
    pub(super) timestamp_ms: i64,
    pub(super) offset: i64,
}

/// Timestamps to offsets in one segment.
#[derive(Debug)]
pub(super) struct TimeIndex {
    base_offset: i64,
    entries: EntryFile<ENTRY_SIZE>,
    last: Option<TimeEntry>,
}

impl TimeIndex {
    /// The index in a file, `None` when the file cannot be one.
    pub(super) fn load(
        storage: &dyn Storage,
        path: PathBuf,
        base_offset: i64,
    ) -> io::Result<Option<Self>> {
        let Some(entries) = EntryFile::load(storage, path)? else {
            return Ok(None);
        };
        let mut index = Self { base_offset, entries, last: None };
        if let Some(last) = index.entries.count().checked_sub(1) {
            index.last = Some(index.decode(&index.entries.get(storage, last)?));
        }
        Ok(Some(index))
    }

    pub(super) fn create(
        storage: &dyn Storage,
        path: PathBuf,
        base_offset: i64,
    ) -> io::Result<Self> {
        Ok(Self { base_offset, entries: EntryFile::create(storage, path)?, last: None })
    }

    /// Adds an entry when it is later than the last one.
    pub(super) fn append(&mut self, storage: &dyn Storage, entry: TimeEntry) -> io::Result<()> {
        let last_timestamp_ms = self.last.map_or(-1, |last| last.timestamp_ms);
        if entry.timestamp_ms <= last_timestamp_ms {
            return Ok(());
        }
        let mut bytes = [0; ENTRY_SIZE];
        bytes[..8].copy_from_slice(&entry.timestamp_ms.to_be_bytes());
        bytes[8..].copy_from_slice(&((entry.offset - self.base_offset) as u32).to_be_bytes());
        self.last = Some(entry);
        self.entries.push(storage, bytes)
    }

    /// An offset before which every timestamp is earlier than `timestamp_ms`.
    pub(super) fn offset_before(
        &self,
        storage: &dyn Storage,
        timestamp_ms: i64,
    ) -> io::Result<i64> {
        let entry = self
            .entries
            .last_before(storage, |entry| self.decode(entry).timestamp_ms < timestamp_ms)?;
        Ok(entry.map_or(self.base_offset, |entry| self.decode(&entry).offset))
    }

    pub(super) fn last(&self) -> Option<TimeEntry> {
        self.last
    }

    pub(super) fn flush(&mut self, storage: &dyn Storage) -> io::Result<()> {
        self.entries.flush(storage)
    }

    fn decode(&self, entry: &[u8; ENTRY_SIZE]) -> TimeEntry {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = *entry;
        TimeEntry {
            timestamp_ms: i64::from_be_bytes([a, b, c, d, e, f, g, h]),
            offset: self.base_offset + i64::from(u32::from_be_bytes([i, j, k, l])),
        }
    }
}
