//! A file of entries of one fixed size, the shape that offset and time indexes share.

use std::io;
use std::path::PathBuf;

use super::storage::{Storage, read_exact_at};

/// Entries that wait in memory are written once there are this many.
///
/// Sixteen entries stand for at least 64 KiB of log. Entries that a killed process did not write
/// are made again from the log, so the number only bounds how stale the file may be for a reader
/// beside the broker.
const PENDING_ENTRIES: usize = 16;

/// How many entries are read at once by those who want one after the other.
const BLOCK_ENTRIES: usize = 256;

/// Sorted entries of `SIZE` bytes: some in the file, the newest in memory.
///
/// The file is opened for each use: most partitions' indexes lie idle, and a broker with ten
/// thousand of them must not hold twenty thousand open files.
#[derive(Debug)]
pub(super) struct EntryFile<const SIZE: usize> {
    path: PathBuf,
    stored_count: usize,
    pending: Vec<[u8; SIZE]>,
}

impl<const SIZE: usize> EntryFile<SIZE> {
    /// The entries of a file, none when there is no file. `None` when its size is not that of whole
    /// entries.
    pub(super) fn load(storage: &dyn Storage, path: PathBuf) -> io::Result<Option<Self>> {
        let size = storage.open(&path)?.size()? as usize;
        let whole = size.is_multiple_of(SIZE);
        Ok(whole.then(|| Self { path, stored_count: size / SIZE, pending: Vec::new() }))
    }

    /// An empty file; what was in it is gone.
    pub(super) fn create(storage: &dyn Storage, path: PathBuf) -> io::Result<Self> {
        storage.open(&path)?.truncate(0)?;
        Ok(Self { path, stored_count: 0, pending: Vec::new() })
    }

    /// No entries and no file; it comes with the first entry.
    pub(super) fn absent(path: PathBuf) -> Self {
        Self { path, stored_count: 0, pending: Vec::new() }
    }

    pub(super) fn count(&self) -> usize {
        self.stored_count + self.pending.len()
    }

    pub(super) fn push(&mut self, storage: &dyn Storage, entry: [u8; SIZE]) -> io::Result<()> {
        self.pending.push(entry);
        if self.pending.len() >= PENDING_ENTRIES { self.flush(storage) } else { Ok(()) }
    }

    /// Writes the entries that are only in memory.
    pub(super) fn flush(&mut self, storage: &dyn Storage) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let file = storage.open(&self.path)?;
        // A write that failed half-way before would have left a part of an entry.
        let expected = (self.stored_count * SIZE) as u64;
        if file.size()? != expected {
            file.truncate(expected)?;
        }
        file.append(&[self.pending.as_flattened()])?;
        self.stored_count += self.pending.len();
        self.pending.clear();
        Ok(())
    }

    /// The entry at `index`.
    pub(super) fn get(&self, storage: &dyn Storage, index: usize) -> io::Result<[u8; SIZE]> {
        if let Some(pending) = index.checked_sub(self.stored_count) {
            let entry = self.pending.get(pending).copied();
            return entry.ok_or_else(|| io::ErrorKind::UnexpectedEof.into());
        }
        let mut entry = [0; SIZE];
        let file = storage.open(&self.path)?;
        read_exact_at(&*file, &mut entry, (index * SIZE) as u64)?;
        Ok(entry)
    }

    /// The last entry for which `is_before` holds, given that it holds for a front part of them.
    pub(super) fn last_before(
        &self,
        storage: &dyn Storage,
        is_before: impl Fn(&[u8; SIZE]) -> bool,
    ) -> io::Result<Option<[u8; SIZE]>> {
        let pending = self.pending.partition_point(&is_before);
        if pending > 0 {
            return Ok(Some(self.pending[pending - 1]));
        }
        Ok(self.search_stored(storage, is_before)?.1)
    }

    /// Gives the entries to `visit` that follow the last one for which `is_before` holds, until it
    /// says that it has seen enough. Says whether it did.
    pub(super) fn visit_after(
        &self,
        storage: &dyn Storage,
        is_before: impl Fn(&[u8; SIZE]) -> bool,
        mut visit: impl FnMut(&[u8; SIZE]) -> bool,
    ) -> io::Result<bool> {
        let pending = self.pending.partition_point(&is_before);
        let first = if pending > 0 || self.stored_count == 0 {
            self.stored_count
        } else {
            self.search_stored(storage, is_before)?.0
        };
        if first < self.stored_count {
            let file = storage.open(&self.path)?;
            let mut block = vec![[0; SIZE]; BLOCK_ENTRIES.min(self.stored_count - first)];
            for at in (first..self.stored_count).step_by(BLOCK_ENTRIES) {
                block.truncate(self.stored_count - at);
                read_exact_at(&*file, block.as_flattened_mut(), (at * SIZE) as u64)?;
                if block.iter().any(&mut visit) {
                    return Ok(true);
                }
            }
        }
        Ok(self.pending[pending..].iter().any(visit))
    }

    /// How many entries of the file come before, and the last of them.
    fn search_stored(
        &self,
        storage: &dyn Storage,
        is_before: impl Fn(&[u8; SIZE]) -> bool,
    ) -> io::Result<(usize, Option<[u8; SIZE]>)> {
        let (mut low, mut high) = (0, self.stored_count);
        if high == 0 {
            return Ok((0, None));
        }
        let file = storage.open(&self.path)?;
        let mut found = None;
        while low < high {
            let middle = low + (high - low) / 2;
            let mut entry = [0; SIZE];
            read_exact_at(&*file, &mut entry, (middle * SIZE) as u64)?;
            if is_before(&entry) {
                found = Some(entry);
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok((low, found))
    }
}
