//! The disk of one node, which may be full.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::log::{Storage, StoredFile, StoredName, Survives};

/// A node's place among files. Copies are the same disk.
#[derive(Clone, Debug)]
pub(crate) struct NodeDisk {
    below: Arc<dyn Storage>,
    is_full: Arc<AtomicBool>,
}

impl NodeDisk {
    pub(crate) fn new(below: Arc<dyn Storage>) -> Self {
        Self { below, is_full: Arc::default() }
    }

    /// What the node's files are reached by.
    pub(crate) fn storage(&self) -> Arc<dyn Storage> {
        Arc::new(self.clone())
    }

    /// From now on nothing more fits, or does again.
    pub(crate) fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Relaxed);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    fn room(&self) -> io::Result<()> {
        match self.is_full() {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
}

impl Storage for NodeDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn StoredFile>> {
        Ok(Arc::new(NodeFile { below: self.below.open(path)?, disk: self.clone() }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.below.read(path)
    }

    fn replace(&self, path: &Path, contents: &[u8], survives: Survives) -> io::Result<()> {
        self.room()?;
        self.below.replace(path, contents, survives)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<StoredName>> {
        self.below.list(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.room()?;
        self.below.create_dir(dir)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.below.remove_file(path)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.below.remove_dir(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.below.rename(from, to)
    }
}

#[derive(Debug)]
struct NodeFile {
    below: Arc<dyn StoredFile>,
    disk: NodeDisk,
}

impl StoredFile for NodeFile {
    fn size(&self) -> io::Result<u64> {
        self.below.size()
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.below.read_at(buffer, position)
    }

    fn append(&self, parts: &[&[u8]]) -> io::Result<()> {
        self.disk.room()?;
        self.below.append(parts)
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.below.truncate(size)
    }

    fn sync(&self) -> io::Result<()> {
        self.below.sync()
    }

    fn system_file(&self) -> Option<&File> {
        self.below.system_file()
    }
}
