//! The transactions that were aborted in a segment.
//!
//! File `<base offset>.txnindex`, entries of 34 bytes: version (i16, 0), producer id (i64), first
//! offset of the transaction (i64), offset of its marker (i64), last stable offset once the marker
//! was written (i64). The markers' offsets rise from entry to entry. Without an entry there is no
//! file.

use std::io;
use std::path::PathBuf;

use super::entry_file::EntryFile;
use super::storage::Storage;

const ENTRY_SIZE: usize = 34;
const VERSION: i16 = 0;

/// A transaction whose marker is in the segment and says abort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AbortedEntry {
    pub(super) producer_id: i64,
    pub(super) first_offset: i64,
    pub(super) marker_offset: i64,
    /// Where the oldest transaction began that was then still open, or what followed the marker.
    pub(super) last_stable_offset: i64,
}

impl AbortedEntry {
    fn encode(&self) -> [u8; ENTRY_SIZE] {
        let mut bytes = [0; ENTRY_SIZE];
        bytes[..2].copy_from_slice(&VERSION.to_be_bytes());
        bytes[2..10].copy_from_slice(&self.producer_id.to_be_bytes());
        bytes[10..18].copy_from_slice(&self.first_offset.to_be_bytes());
        bytes[18..26].copy_from_slice(&self.marker_offset.to_be_bytes());
        bytes[26..].copy_from_slice(&self.last_stable_offset.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8; ENTRY_SIZE]) -> Self {
        let field = |at: usize| i64::from_be_bytes(std::array::from_fn(|index| bytes[at + index]));
        Self {
            producer_id: field(2),
            first_offset: field(10),
            marker_offset: field(18),
            last_stable_offset: field(26),
        }
    }
}

/// The aborted transactions of one segment.
#[derive(Debug)]
pub(super) struct TransactionIndex {
    entries: EntryFile<ENTRY_SIZE>,
}

impl TransactionIndex {
    /// The index in a file, `None` when the file cannot be that of this segment.
    pub(super) fn load(
        storage: &dyn Storage,
        path: PathBuf,
        base_offset: i64,
    ) -> io::Result<Option<Self>> {
        let bytes = match storage.read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Some(Self { entries: EntryFile::absent(path) }));
            }
            Err(error) => return Err(error),
        };
        let (entries, rest) = bytes.as_chunks::<ENTRY_SIZE>();
        let mut least = base_offset;
        let all_fit = entries.iter().all(|bytes| {
            let entry = AbortedEntry::decode(bytes);
            let follows = entry.marker_offset >= least && entry.first_offset < entry.marker_offset;
            least = entry.marker_offset.saturating_add(1);
            bytes[..2] == VERSION.to_be_bytes() && follows
        });
        if !all_fit || !rest.is_empty() {
            return Ok(None);
        }
        Ok(EntryFile::load(storage, path)?.map(|entries| Self { entries }))
    }

    /// An index of no transaction; a file that is there goes.
    pub(super) fn create(storage: &dyn Storage, path: PathBuf) -> io::Result<Self> {
        storage.remove_file(&path)?;
        Ok(Self { entries: EntryFile::absent(path) })
    }

    /// Adds the transaction that was aborted last. When the disk refuses, it waits in memory.
    pub(super) fn append(&mut self, storage: &dyn Storage, entry: AbortedEntry) -> io::Result<()> {
        self.entries.push(storage, entry.encode())?;
        self.entries.flush(storage)
    }

    pub(super) fn flush(&mut self, storage: &dyn Storage) -> io::Result<()> {
        self.entries.flush(storage)
    }

    /// Gives the transactions to `visit` whose marker is at `offset` or behind it, until it says
    /// that it has seen enough. Says whether it did.
    pub(super) fn visit_from(
        &self,
        storage: &dyn Storage,
        offset: i64,
        mut visit: impl FnMut(AbortedEntry) -> bool,
    ) -> io::Result<bool> {
        let is_before =
            |entry: &[u8; ENTRY_SIZE]| AbortedEntry::decode(entry).marker_offset < offset;
        self.entries.visit_after(storage, is_before, |entry| visit(AbortedEntry::decode(entry)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::DiskStorage;

    const STORAGE: DiskStorage = DiskStorage { is_durable: false };

    fn entry(index: i64) -> AbortedEntry {
        AbortedEntry {
            producer_id: index % 3,
            first_offset: index * 10,
            marker_offset: index * 10 + 7,
            last_stable_offset: index * 10 + 8,
        }
    }

    fn seen_from(index: &TransactionIndex, offset: i64, limit: usize) -> Vec<i64> {
        let mut seen = Vec::new();
        index
            .visit_from(&STORAGE, offset, |entry| {
                seen.push(entry.marker_offset);
                seen.len() == limit
            })
            .unwrap();
        seen
    }

    #[test]
    fn transactions_are_found_by_their_marker_and_survive_a_reload() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("00000000000000000000.txnindex");
        let mut index = TransactionIndex::create(&STORAGE, path.clone()).unwrap();
        assert!(seen_from(&index, 0, 9).is_empty());
        assert!(!path.exists());
        (0..400).for_each(|number| index.append(&STORAGE, entry(number)).unwrap());
        let index = TransactionIndex::load(&STORAGE, path, 0).unwrap().unwrap();
        assert_eq!(seen_from(&index, 0, 2), [7, 17]);
        assert_eq!(seen_from(&index, 7, 1), [7]);
        assert_eq!(seen_from(&index, 8, 3), [17, 27, 37]);
        assert_eq!(seen_from(&index, 1000, usize::MAX).len(), 300);
        assert!(seen_from(&index, 5000, 1).is_empty());
    }

    #[test]
    fn a_file_that_cannot_be_an_index_of_the_segment_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.txnindex");
        let whole = [entry(4).encode(), entry(5).encode()].concat();
        let loads = |bytes: &[u8], base: i64| {
            std::fs::write(&path, bytes).unwrap();
            TransactionIndex::load(&STORAGE, path.clone(), base).unwrap().is_some()
        };
        assert!(loads(&whole, 40));
        assert!(!loads(&whole, 48));
        assert!(!loads(&whole[..40], 0));
        assert!(!loads(&[entry(5).encode(), entry(4).encode()].concat(), 0));
        assert!(!loads(&[1; ENTRY_SIZE], 0));
    }
}
