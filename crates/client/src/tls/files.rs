//! What is in the files that settings name, to be read, and to be compared with what was in them
//! before.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use ottla_core::config::{ConfigError, TlsConfig};
use zeroize::Zeroizing;

/// The most that is read of a file. Lists of revoked certificates are the largest that are met.
const FILE_BYTES_MAX: u64 = 32 << 20;

/// The most files that a folder of authorities may have. Systems have a few hundred.
const FOLDER_FILES_MAX: usize = 10_000;

/// A file's bytes. They may be a key, so they are wiped.
pub(super) type Bytes = Zeroizing<Vec<u8>>;

/// What is at a path.
#[derive(PartialEq, Eq)]
pub(super) enum Content {
    File(Bytes),
    /// Names and bytes of the files in a folder, by name.
    Folder(Vec<(String, Bytes)>),
}

/// What is at each path that the settings name, or why it cannot be read.
#[derive(PartialEq, Eq)]
pub(super) struct Files(BTreeMap<String, Result<Content, String>>);

impl Files {
    /// Reads them all. It blocks.
    pub(super) fn read(config: &TlsConfig) -> Self {
        let paths = [
            &config.truststore_location,
            &config.keystore_location,
            &config.certificate_location,
            &config.key_location,
            &config.crl_location,
        ];
        let read = |path: &String| (path.clone(), read_path(Path::new(path)));
        Self(paths.into_iter().flatten().map(read).collect())
    }

    /// Whether the settings name no file at all.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is at a path that `setting` names.
    ///
    /// # Errors
    /// It could not be read.
    pub(super) fn content(&self, setting: &str, path: &str) -> Result<&Content, ConfigError> {
        match self.0.get(path) {
            Some(Ok(content)) => Ok(content),
            Some(Err(why)) => Err(refuse(setting, format!("cannot read {path}: {why}"))),
            None => Err(refuse(setting, format!("{path} was not read"))),
        }
    }

    /// The bytes of the file at a path that `setting` names.
    ///
    /// # Errors
    /// It could not be read, or is a folder.
    pub(super) fn file(&self, setting: &str, path: &str) -> Result<&Bytes, ConfigError> {
        match self.content(setting, path)? {
            Content::File(bytes) => Ok(bytes),
            Content::Folder(_) => {
                Err(refuse(setting, format!("{path} is a folder; a file is expected")))
            }
        }
    }
}

/// An error about a setting.
pub(super) fn refuse(setting: &str, reason: impl Into<String>) -> ConfigError {
    ConfigError { key: setting.to_owned(), reason: reason.into() }
}

fn read_path(path: &Path) -> Result<Content, String> {
    let metadata = fs::metadata(path).map_err(|error| why(&error))?;
    if metadata.is_dir() {
        read_folder(path).map(Content::Folder)
    } else {
        read_file(path).map(Content::File)
    }
}

/// Reads a file of bounded size. Pipes and devices are left alone: they may never end, and cannot
/// be read a second time.
fn read_file(path: &Path) -> Result<Bytes, String> {
    let metadata = fs::metadata(path).map_err(|error| why(&error))?;
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let too_large = || format!("it is larger than {} MiB", FILE_BYTES_MAX >> 20);
    if metadata.len() > FILE_BYTES_MAX {
        return Err(too_large());
    }
    // With all its room from the start, the buffer does not move and leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(metadata.len() as usize + 1));
    let file = File::open(path).map_err(|error| why(&error))?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| why(&error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(too_large());
    }
    Ok(bytes)
}

/// Reads the files of a folder, not those of folders in it.
fn read_folder(path: &Path) -> Result<Vec<(String, Bytes)>, String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| why(&error))? {
        let path = entry.map_err(|error| why(&error))?.path();
        // A link that leads nowhere is not worth an error: such folders have them.
        if !fs::metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
            continue;
        }
        if files.len() == FOLDER_FILES_MAX {
            return Err(format!("the folder has more than {FOLDER_FILES_MAX} files"));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.push((name, read_file(&path)?));
    }
    files.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(files)
}

fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
        _ => error.to_string(),
    }
}
