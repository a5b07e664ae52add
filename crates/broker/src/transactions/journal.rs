//! The file that transactional ids are kept in.
//!
//! A text file with one JSON object on each line; the last word on an id holds. A line that a
//! killed process did not finish is the last one and is cut off. The file is written anew when it
//! is opened, and when it has grown to many times what it has to say.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::transaction::Transaction;
use crate::error::StartError;
use crate::log::{Storage, StoredFile, Survives};

/// The file is not written anew below this size.
const MIN_COMPACTION_BYTES: u64 = 1024 * 1024;

/// A line of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    /// `None`: the id is forgotten.
    transaction: Option<Transaction>,
}

/// What a line says, without owning it.
#[derive(Serialize)]
struct LineOf<'a> {
    id: &'a str,
    transaction: Option<&'a Transaction>,
}

/// Transactional ids with what is known of them.
pub(super) type ById = BTreeMap<String, Transaction>;

/// The file.
#[derive(Debug)]
pub(super) struct Journal {
    storage: Arc<dyn Storage>,
    path: PathBuf,
    file: Option<Arc<dyn StoredFile>>,
    size_bytes: u64,
    /// Its size when it was last written anew.
    compacted_bytes: u64,
}

impl Journal {
    /// Reads the file through.
    pub(super) fn open(
        path: PathBuf,
        storage: Arc<dyn Storage>,
    ) -> Result<(Self, ById), StartError> {
        let mut journal = Self { storage, path, file: None, size_bytes: 0, compacted_bytes: 0 };
        let mut known = ById::new();
        let fault = |path: &PathBuf, source| StartError::DataDir { path: path.clone(), source };
        let bytes = match journal.storage.read(&journal.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((journal, known)),
            Err(source) => return Err(fault(&journal.path, source)),
        };
        // What follows the last line break is a line that was not finished.
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        for (index, line) in bytes[..end].split(|byte| *byte == b'\n').enumerate() {
            if line.is_empty() {
                continue;
            }
            let line: Line = serde_json::from_slice(line).map_err(|error| StartError::Damaged {
                path: journal.path.clone(),
                reason: format!("line {}: {error}", index + 1),
            })?;
            match line.transaction {
                Some(transaction) => known.insert(line.id, transaction),
                None => known.remove(&line.id),
            };
        }
        journal.compact(&known).map_err(|source| fault(&journal.path, source))?;
        Ok((journal, known))
    }

    /// Writes what is known of an id; it is in the file when this returns.
    pub(super) fn write(&mut self, id: &str, transaction: Option<&Transaction>) -> io::Result<()> {
        let bytes = line_of(id, transaction)?;
        let file = match &self.file {
            Some(file) => file.clone(),
            None => self.storage.open(&self.path)?,
        };
        self.file = Some(file.clone());
        if let Err(error) = file.append(&[&bytes]) {
            // Half a line must not stay in front of the next one.
            if file.truncate(self.size_bytes).is_err() {
                self.file = None;
            }
            return Err(error);
        }
        self.size_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Writes the file anew if it has much to say that does not hold any more.
    pub(super) fn compact_if_large(&mut self, known: &ById) {
        if self.size_bytes > MIN_COMPACTION_BYTES.max(self.compacted_bytes * 4)
            && let Err(error) = self.compact(known)
        {
            tracing::warn!(%error, "file of transactions not written anew");
        }
    }

    fn compact(&mut self, known: &ById) -> io::Result<()> {
        let mut bytes = Vec::new();
        for (id, transaction) in known {
            bytes.extend(line_of(id, Some(transaction))?);
        }
        self.file = None;
        self.storage.replace(&self.path, &bytes, Survives::PowerCut)?;
        self.size_bytes = bytes.len() as u64;
        self.compacted_bytes = self.size_bytes;
        Ok(())
    }
}

fn line_of(id: &str, transaction: Option<&Transaction>) -> io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(&LineOf { id, transaction })?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::log::DiskStorage;

    fn open(path: &Path) -> Result<(Journal, ById), StartError> {
        Journal::open(path.to_owned(), Arc::new(DiskStorage { is_durable: false }))
    }

    #[test]
    fn the_last_word_on_an_id_holds_and_an_unfinished_line_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("transactions");
        let (mut journal, known) = open(&path).unwrap();
        assert!(known.is_empty());
        let mut transaction = Transaction::new(7, 1);
        for epoch in 0..3 {
            transaction.epoch = epoch;
            transaction.partitions.insert((ottla_protocol::Uuid::ZERO, i32::from(epoch)));
            journal.write("a", Some(&transaction)).unwrap();
            journal.write("b", Some(&transaction)).unwrap();
        }
        journal.write("b", None).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let expected = ById::from([("a".to_owned(), transaction)]);
        assert_eq!(open(&path).unwrap().1, expected);
        std::fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        assert_eq!(open(&path).unwrap().1.len(), 2);
        std::fs::write(&path, [b"garbage\n", whole.as_slice()].concat()).unwrap();
        assert!(open(&path).unwrap_err().to_string().contains("line 1"));
    }
}
