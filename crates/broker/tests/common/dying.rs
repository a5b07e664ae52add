//! Real files, which after so many changes do not change any more: as a killed process leaves them.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use ottla_broker::log::{DiskStorage, Storage, StoredFile, StoredName, Survives};

const DISK: DiskStorage = DiskStorage { is_durable: false };

/// The disk of a process that is going to be killed.
#[derive(Clone, Debug)]
pub struct Dying {
    steps: Arc<AtomicI64>,
}

impl Default for Dying {
    fn default() -> Self {
        Self { steps: Arc::new(AtomicI64::new(i64::MAX)) }
    }
}

fn gone() -> io::Error {
    io::Error::other("the process is gone")
}

impl Dying {
    /// Lets so many more changes happen, and of the one behind them, if it is a write, a half.
    pub fn die_after(&self, steps: i64) {
        self.steps.store(steps, Ordering::Relaxed);
    }

    fn step(&self) -> io::Result<()> {
        if self.steps.fetch_sub(1, Ordering::Relaxed) > 0 { Ok(()) } else { Err(gone()) }
    }
}

impl Storage for Dying {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn StoredFile>> {
        if !path.exists() {
            self.step()?;
        }
        Ok(Arc::new(DyingFile { file: DISK.open(path)?, disk: self.clone() }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        DISK.read(path)
    }

    fn replace(&self, path: &Path, contents: &[u8], survives: Survives) -> io::Result<()> {
        self.step().and_then(|()| DISK.replace(path, contents, survives))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<StoredName>> {
        DISK.list(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        DISK.create_dir(dir)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.step().and_then(|()| DISK.remove_file(path))
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.step().and_then(|()| DISK.remove_dir(dir))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step().and_then(|()| DISK.rename(from, to))
    }
}

#[derive(Debug)]
struct DyingFile {
    file: Arc<dyn StoredFile>,
    disk: Dying,
}

impl StoredFile for DyingFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buffer, position)
    }

    fn append(&self, parts: &[&[u8]]) -> io::Result<()> {
        match self.disk.steps.fetch_sub(1, Ordering::Relaxed) {
            0 => {
                let bytes = parts.concat();
                self.file.append(&[&bytes[..bytes.len() / 2]]).and_then(|()| Err(gone()))
            }
            left if left > 0 => self.file.append(parts),
            _ => Err(gone()),
        }
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.disk.step().and_then(|()| self.file.truncate(size))
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn system_file(&self) -> Option<&File> {
        self.file.system_file()
    }
}
