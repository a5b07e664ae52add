//! The offset index of a segment: where in the file an offset is to be looked for.
//!
//! File `<base offset>.index`, entries of 8 bytes: offset relative to the segment's base (u32),
//! position in the `.log` file (u32). An entry names the *last* offset of a batch and the place
//! where that batch begins. The index is sparse: about one entry for each 4 KiB of log.

use std::io;
use std::path::PathBuf;

use super::entry_file::EntryFile;
use super::storage::Storage;

const ENTRY_SIZE: usize = 8;

/// One entry, its offset absolute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OffsetEntry {
    pub(super) last_offset: i64,
    pub(super) position: u64,
}

/// Offsets to positions in one segment.
#[derive(Debug)]
pub(super) struct OffsetIndex {
    base_offset: i64,
    entries: EntryFile<ENTRY_SIZE>,
}

impl OffsetIndex {
    /// The index in a file, `None` when the file cannot be one.
    pub(super) fn load(
        storage: &dyn Storage,
        path: PathBuf,
        base_offset: i64,
    ) -> io::Result<Option<Self>> {
        Ok(EntryFile::load(storage, path)?.map(|entries| Self { base_offset, entries }))
    }

    pub(super) fn create(
        storage: &dyn Storage,
        path: PathBuf,
        base_offset: i64,
    ) -> io::Result<Self> {
        Ok(Self { base_offset, entries: EntryFile::create(storage, path)? })
    }

    /// Notes that the batch at `position` ends with `last_offset`.
    ///
    /// The caller rolls the segment before either number outgrows 32 bits.
    pub(super) fn append(
        &mut self,
        storage: &dyn Storage,
        last_offset: i64,
        position: u64,
    ) -> io::Result<()> {
        let mut entry = [0; ENTRY_SIZE];
        entry[..4].copy_from_slice(&((last_offset - self.base_offset) as u32).to_be_bytes());
        entry[4..].copy_from_slice(&(position as u32).to_be_bytes());
        self.entries.push(storage, entry)
    }

    /// Where to begin looking for `offset`: the start of a batch that lies at or before it.
    pub(super) fn position_before(&self, storage: &dyn Storage, offset: i64) -> io::Result<u64> {
        let entry = self.entries.last_before(storage, |entry| {
            // Entries with this very offset begin the batch that holds it.
            self.decode(entry).last_offset <= offset
        })?;
        Ok(entry.map_or(0, |entry| self.decode(&entry).position))
    }

    /// The start of a batch that lies at or before a place in the file, close to it.
    pub(super) fn position_at_most(&self, storage: &dyn Storage, limit: u64) -> io::Result<u64> {
        let entry =
            self.entries.last_before(storage, |entry| self.decode(entry).position <= limit)?;
        Ok(entry.map_or(0, |entry| self.decode(&entry).position))
    }

    pub(super) fn last(&self, storage: &dyn Storage) -> io::Result<Option<OffsetEntry>> {
        match self.entries.count() {
            0 => Ok(None),
            count => Ok(Some(self.decode(&self.entries.get(storage, count - 1)?))),
        }
    }

    pub(super) fn flush(&mut self, storage: &dyn Storage) -> io::Result<()> {
        self.entries.flush(storage)
    }

    fn decode(&self, entry: &[u8; ENTRY_SIZE]) -> OffsetEntry {
        let [a, b, c, d, e, f, g, h] = *entry;
        OffsetEntry {
            last_offset: self.base_offset + i64::from(u32::from_be_bytes([a, b, c, d])),
            position: u64::from(u32::from_be_bytes([e, f, g, h])),
        }
    }
}
