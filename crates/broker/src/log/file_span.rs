//! Bytes that stay in their file until they leave, so that the system can send them from there.

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::read_buffer;
use super::storage::{StoredFile, read_exact_at};

/// A part of a file that is not written again.
#[derive(Clone, Debug)]
pub(crate) struct FileSpan {
    file: Arc<dyn StoredFile>,
    position: u64,
    length: usize,
}

impl FileSpan {
    pub(crate) fn new(file: Arc<dyn StoredFile>, position: u64, length: usize) -> Self {
        Self { file, position, length }
    }

    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// In bytes.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// The operating system's file, if it is in one.
    pub(crate) fn system_file(&self) -> Option<&File> {
        self.file.system_file()
    }

    /// The first bytes of it.
    pub(crate) fn front(&self, count: usize) -> Self {
        Self { length: count.min(self.length), ..self.clone() }
    }

    /// The span without its first bytes.
    pub(crate) fn behind(&self, count: usize) -> Self {
        let count = count.min(self.length);
        let position = self.position + count as u64;
        Self { file: self.file.clone(), position, length: self.length - count }
    }

    /// Its bytes.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file was cut meanwhile, otherwise what the disk says.
    pub(crate) fn read(&self) -> io::Result<Bytes> {
        read_buffer::filled(self.length, |bytes| read_exact_at(&*self.file, bytes, self.position))
    }
}
