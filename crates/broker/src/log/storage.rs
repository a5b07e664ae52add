//! The door to the disk: few operations, so that a test can put a full or broken disk behind it.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// A place that keeps files in folders.
pub trait Storage: Debug + Send + Sync {
    /// Opens a file for reading and appending; it is created when it is not there.
    ///
    /// # Errors
    /// What the disk says.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn StoredFile>>;

    /// The whole content of a small file.
    ///
    /// # Errors
    /// `NotFound` when there is no such file, otherwise what the disk says.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Puts `contents` in the place of a file, so that a reader sees the old or the new and never a
    /// part.
    ///
    /// # Errors
    /// What the disk says; the old file is then still there.
    fn replace(&self, path: &Path, contents: &[u8], survives: Survives) -> io::Result<()>;

    /// What lies in a folder, in order of name. Names that are not UTF-8 are left out.
    ///
    /// # Errors
    /// `NotFound` when there is no such folder, otherwise what the disk says.
    fn list(&self, dir: &Path) -> io::Result<Vec<StoredName>>;

    /// Makes a folder and those above it; one that is there already is fine.
    ///
    /// # Errors
    /// What the disk says.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Removes a file; one that is not there is fine.
    ///
    /// # Errors
    /// What the disk says.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes a folder with everything in it; one that is not there is fine.
    ///
    /// # Errors
    /// What the disk says.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;

    /// Gives a file or folder another name.
    ///
    /// # Errors
    /// What the disk says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
}

/// What a file must outlast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survives {
    /// The end of the process, however it comes. Costs no wait for the medium.
    Kill,
    /// The end of the machine. Waits for the medium.
    PowerCut,
}

/// One file that is read anywhere and written at its end.
pub trait StoredFile: Debug + Send + Sync {
    /// Its size in bytes.
    ///
    /// # Errors
    /// What the disk says.
    fn size(&self) -> io::Result<u64>;

    /// Reads at `position` and says how many bytes came; 0 is the end of the file.
    ///
    /// # Errors
    /// What the disk says.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;

    /// Writes the parts one after the other at the end of the file.
    ///
    /// # Errors
    /// What the disk says; some of the bytes may have been written.
    fn append(&self, parts: &[&[u8]]) -> io::Result<()>;

    /// Cuts the file to `size` bytes.
    ///
    /// # Errors
    /// What the disk says.
    fn truncate(&self, size: u64) -> io::Result<()>;

    /// Waits until the content has reached the medium.
    ///
    /// # Errors
    /// What the disk says.
    fn sync(&self) -> io::Result<()>;

    /// The operating system's file behind it, from which the system itself can send. `None` where
    /// every read is to go through [`StoredFile::read_at`].
    fn system_file(&self) -> Option<&File>;
}

/// A name in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredName {
    /// The name, without the folder.
    pub name: String,
    /// Whether it is a folder.
    pub is_dir: bool,
}

/// Fills `buffer` from `position`.
///
/// # Errors
/// `UnexpectedEof` when the file ends first, otherwise what the disk says.
pub fn read_exact_at(file: &dyn StoredFile, mut buffer: &mut [u8], at: u64) -> io::Result<()> {
    let mut position = at;
    while !buffer.is_empty() {
        let count = file.read_at(buffer, position)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        position += count as u64;
        buffer = &mut buffer[count..];
    }
    Ok(())
}

/// The operating system's files.
///
/// Nothing is flushed to the medium on append: as with Kafka, what was written survives the end of
/// the process, not that of the machine.
#[derive(Clone, Copy, Debug)]
pub struct DiskStorage {
    /// Whether [`Survives::PowerCut`] is taken at its word; temporary data can do without.
    pub is_durable: bool,
}

impl Storage for DiskStorage {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn StoredFile>> {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        Ok(Arc::new(DiskFile(file)))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn replace(&self, path: &Path, contents: &[u8], survives: Survives) -> io::Result<()> {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(".tmp");
        let temporary = path.with_file_name(name);
        let mut file = File::create(&temporary)?;
        file.write_all(contents)?;
        if self.is_durable && survives == Survives::PowerCut {
            file.sync_data()?;
        }
        fs::rename(&temporary, path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<StoredName>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string() {
                names.push(StoredName { name, is_dir: entry.file_type()?.is_dir() });
            }
        }
        names.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(names)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        absent_is_fine(fs::remove_file(path))
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        absent_is_fine(fs::remove_dir_all(dir))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// A file opened in append mode, so that a write always lands behind the last one.
#[derive(Debug)]
struct DiskFile(File);

impl StoredFile for DiskFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        loop {
            match self.0.read_at(buffer, position) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn append(&self, parts: &[&[u8]]) -> io::Result<()> {
        let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let mut rest = slices.as_mut_slice();
        // An empty part at the front would make a finished write look like a full disk.
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            match (&self.0).write_vectored(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => IoSlice::advance_slices(&mut rest, count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.0.set_len(size)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn system_file(&self) -> Option<&File> {
        Some(&self.0)
    }
}
