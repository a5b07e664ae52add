//! Which leader epoch began at which offset, kept in `leader-epoch-checkpoint`.
//!
//! Kafka's text format: a line `0` (the version), a line with the number of entries, then `epoch
//! offset` on a line of its own for each, both rising.

use std::io;
use std::path::PathBuf;

use super::LogError;
use super::storage::{Storage, Survives};

const FILE_NAME: &str = "leader-epoch-checkpoint";
const VERSION: &str = "0";

/// The leader epochs of one partition.
#[derive(Debug, Default)]
pub(super) struct LeaderEpochs {
    path: PathBuf,
    /// Epoch and the first offset that was written in it, both rising.
    entries: Vec<(i32, i64)>,
}

impl LeaderEpochs {
    /// What the folder's file says; nothing when there is none.
    pub(super) fn load(storage: &dyn Storage, dir: &std::path::Path) -> Result<Self, LogError> {
        let path = dir.join(FILE_NAME);
        let entries = match storage.read(&path) {
            Ok(bytes) => parse(&bytes)
                .ok_or_else(|| LogError::corrupt(&path, "not a leader epoch checkpoint"))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(LogError::io(&path, error)),
        };
        Ok(Self { path, entries })
    }

    /// Notes that the batch at `offset` is written in `epoch`. The file is written when that is
    /// news.
    pub(super) fn assign(
        &mut self,
        storage: &dyn Storage,
        epoch: i32,
        offset: i64,
    ) -> io::Result<()> {
        if epoch < 0 || self.entries.last().is_some_and(|(last, _)| *last >= epoch) {
            return Ok(());
        }
        self.entries.push((epoch, offset));
        self.store(storage).inspect_err(|_| {
            self.entries.pop();
        })
    }

    /// The newest epoch in the log.
    pub(super) fn latest(&self) -> Option<i32> {
        self.entries.last().map(|(epoch, _)| *epoch)
    }

    /// The epoch in which the record at `offset` was written.
    pub(super) fn epoch_of(&self, offset: i64) -> Option<i32> {
        let after = self.entries.partition_point(|(_, start)| *start <= offset);
        after.checked_sub(1).map(|index| self.entries[index].0)
    }

    /// The offset at which `epoch` ended: where the next one began, or the log's end.
    ///
    /// Gives the greatest epoch that is not later than `epoch` along with its end.
    pub(super) fn end_offset_of(&self, epoch: i32, log_end_offset: i64) -> Option<(i32, i64)> {
        let after = self.entries.partition_point(|(start, _)| *start <= epoch);
        let (found, _) = *self.entries.get(after.checked_sub(1)?)?;
        Some((found, self.entries.get(after).map_or(log_end_offset, |(_, start)| *start)))
    }

    /// Forgets what began at or behind `end_offset`, which is where the log now ends.
    pub(super) fn truncate_end(&mut self, storage: &dyn Storage, end: i64) -> io::Result<()> {
        let kept = self.entries.partition_point(|(_, start)| *start < end);
        if kept == self.entries.len() {
            return Ok(());
        }
        self.entries.truncate(kept);
        self.store(storage)
    }

    /// Forgets epochs that ended before `start_offset`; the one that holds it now begins there.
    pub(super) fn truncate_start(&mut self, storage: &dyn Storage, start: i64) -> io::Result<()> {
        let after = self.entries.partition_point(|(_, offset)| *offset <= start);
        let Some(first) = after.checked_sub(1) else {
            return Ok(());
        };
        if first == 0 && self.entries[0].1 == start {
            return Ok(());
        }
        self.entries.drain(..first);
        self.entries[0].1 = start;
        self.store(storage)
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self, storage: &dyn Storage) -> io::Result<()> {
        if self.entries.is_empty() {
            return Ok(());
        }
        self.entries.clear();
        self.store(storage)
    }

    fn store(&self, storage: &dyn Storage) -> io::Result<()> {
        use std::fmt::Write;
        let mut text = format!("{VERSION}\n{}\n", self.entries.len());
        for (epoch, offset) in &self.entries {
            let _ = writeln!(text, "{epoch} {offset}");
        }
        storage.replace(&self.path, text.as_bytes(), Survives::Kill)
    }
}

fn parse(bytes: &[u8]) -> Option<Vec<(i32, i64)>> {
    let mut lines = std::str::from_utf8(bytes).ok()?.lines();
    if lines.next()? != VERSION {
        return None;
    }
    let count: usize = lines.next()?.parse().ok()?;
    let entries: Option<Vec<(i32, i64)>> = lines
        .map(|line| {
            let (epoch, offset) = line.split_once(' ')?;
            Some((epoch.parse().ok()?, offset.parse().ok()?))
        })
        .collect();
    entries.filter(|entries| {
        let rising = |pair: &[(i32, i64)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
        entries.len() == count && entries.windows(2).all(rising)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::DiskStorage;

    const STORAGE: DiskStorage = DiskStorage { is_durable: false };

    #[test]
    fn epochs_are_found_by_offset_and_survive_a_reload() {
        let dir = tempfile::tempdir().unwrap();
        let mut epochs = LeaderEpochs::load(&STORAGE, dir.path()).unwrap();
        for (epoch, offset) in [(0, 0), (0, 5), (2, 10), (1, 12), (5, 30)] {
            epochs.assign(&STORAGE, epoch, offset).unwrap();
        }
        let epochs = LeaderEpochs::load(&STORAGE, dir.path()).unwrap();
        assert_eq!(epochs.entries, [(0, 0), (2, 10), (5, 30)]);
        assert_eq!(epochs.epoch_of(9), Some(0));
        assert_eq!(epochs.epoch_of(10), Some(2));
        assert_eq!(epochs.epoch_of(99), Some(5));
        assert_eq!(epochs.end_offset_of(3, 40), Some((2, 30)));
        assert_eq!(epochs.end_offset_of(5, 40), Some((5, 40)));
    }

    #[test]
    fn truncation_keeps_what_the_log_still_holds() {
        let dir = tempfile::tempdir().unwrap();
        let mut epochs = LeaderEpochs::load(&STORAGE, dir.path()).unwrap();
        for (epoch, offset) in [(0, 0), (1, 10), (2, 20)] {
            epochs.assign(&STORAGE, epoch, offset).unwrap();
        }
        epochs.truncate_start(&STORAGE, 15).unwrap();
        assert_eq!(epochs.entries, [(1, 15), (2, 20)]);
        epochs.truncate_end(&STORAGE, 20).unwrap();
        assert_eq!(epochs.entries, [(1, 15)]);
    }

    #[test]
    fn a_foreign_file_is_refused() {
        for text in ["", "1\n0\n", "0\n2\n1 5\n", "0\n1\nx y\n", "0\n2\n2 5\n1 6\n"] {
            assert!(parse(text.as_bytes()).is_none(), "{text:?}");
        }
    }
}
