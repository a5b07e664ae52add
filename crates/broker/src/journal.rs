//! A file of lines for what must outlive a kill, in the order in which it came about.
//!
//! Each line is one JSON object; what a later one says holds. A line that a killed process did not
//! finish is the last one, and is left out. The file is written anew when it is opened, and when it
//! has grown to many times what it has to say.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::StartError;
use crate::log::{Storage, StoredFile, Survives};

/// The file is not written anew below this size.
const MIN_REWRITE_BYTES: u64 = 1024 * 1024;

/// The file.
#[derive(Debug)]
pub(crate) struct Journal {
    storage: Arc<dyn Storage>,
    path: PathBuf,
    file: Option<Arc<dyn StoredFile>>,
    size_bytes: u64,
    /// Its size when it was last written anew.
    rewritten_bytes: u64,
}

impl Journal {
    /// Reads the file through, gives each line to `apply`, and has what holds then written anew:
    /// `lines` makes it of what `apply` has made of `state`.
    ///
    /// # Errors
    /// When the disk fails, or a line is damaged that was finished.
    pub(crate) fn open<S, L: DeserializeOwned>(
        path: PathBuf,
        storage: Arc<dyn Storage>,
        state: &mut S,
        mut apply: impl FnMut(&mut S, L),
        lines: impl FnOnce(&S) -> io::Result<Vec<u8>>,
    ) -> Result<Self, StartError> {
        let mut journal = Self { storage, path, file: None, size_bytes: 0, rewritten_bytes: 0 };
        let fault = |path: &PathBuf, source| StartError::DataDir { path: path.clone(), source };
        let bytes = match journal.storage.read(&journal.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(journal),
            Err(source) => return Err(fault(&journal.path, source)),
        };
        // What follows the last line break is a line that was not finished.
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let lost_bytes = bytes.len() - end;
        if lost_bytes > 0 {
            let path = journal.path.display();
            tracing::warn!(%path, lost_bytes, "left out a last line that was not finished");
        }
        for (index, line) in bytes[..end].split(|byte| *byte == b'\n').enumerate() {
            if line.is_empty() {
                continue;
            }
            let line = serde_json::from_slice(line).map_err(|error| StartError::Damaged {
                path: journal.path.clone(),
                reason: format!("line {}: {error}", index + 1),
            })?;
            apply(state, line);
        }
        let rewritten = lines(state).and_then(|bytes| journal.rewrite(&bytes));
        rewritten.map_err(|source| fault(&journal.path, source))?;
        Ok(journal)
    }

    /// Writes lines at the end; they are in the file when this returns. On failure none is.
    pub(crate) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let file = self.file()?;
        if let Err(error) = file.append(&[lines]) {
            // Half a line must not stay in front of the next one.
            if file.truncate(self.size_bytes).is_err() {
                self.file = None;
            }
            return Err(error);
        }
        self.size_bytes += lines.len() as u64;
        Ok(())
    }

    fn file(&mut self) -> io::Result<Arc<dyn StoredFile>> {
        if let Some(file) = &self.file {
            return Ok(file.clone());
        }
        let file = self.storage.open(&self.path)?;
        // What could not be taken back when it was written.
        if file.size()? > self.size_bytes {
            file.truncate(self.size_bytes)?;
        }
        self.file = Some(file.clone());
        Ok(file)
    }

    /// Writes the file anew with these lines, if it has much to say that does not hold any more.
    /// Nothing is lost when that fails.
    pub(crate) fn rewrite_if_large(&mut self, lines: impl FnOnce() -> io::Result<Vec<u8>>) {
        if self.size_bytes <= MIN_REWRITE_BYTES.max(self.rewritten_bytes * 4) {
            return;
        }
        if let Err(error) = lines().and_then(|bytes| self.rewrite(&bytes)) {
            tracing::warn!(path = %self.path.display(), %error, "file not written anew");
        }
    }

    fn rewrite(&mut self, lines: &[u8]) -> io::Result<()> {
        self.file = None;
        self.storage.replace(&self.path, lines, Survives::PowerCut)?;
        self.size_bytes = lines.len() as u64;
        self.rewritten_bytes = self.size_bytes;
        Ok(())
    }
}

/// Writes objects as lines.
pub(crate) fn to_lines<L: Serialize>(lines: impl IntoIterator<Item = L>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut bytes, &line)?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::DiskStorage;

    fn open(path: &std::path::Path, known: &mut Vec<u32>) -> Journal {
        let storage = Arc::new(DiskStorage { is_durable: false });
        Journal::open(path.to_owned(), storage, known, Vec::push, |known| to_lines(known)).unwrap()
    }

    #[test]
    fn half_a_line_that_could_not_be_taken_back_is_not_in_front_of_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut journal = open(&path, &mut Vec::new());
        journal.append(&to_lines([1]).unwrap()).unwrap();
        // As an append leaves it that fails along with its repair.
        journal.file = None;
        std::fs::write(&path, "1\n2").unwrap();
        journal.append(&to_lines([3]).unwrap()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n3\n");
        let mut known = Vec::new();
        open(&path, &mut known);
        assert_eq!(known, [1, 3]);
    }
}
