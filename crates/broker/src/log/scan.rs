//! Walking over the batches of a segment file without believing anything it says.

use std::fmt;
use std::io;

use ottla_protocol::record::{BatchHeader, crc32c_append, validate_batch};

use super::marker::EndMarker;
use super::storage::{StoredFile, read_exact_at};

/// How much is read at once at most. Larger than most batches, small enough for a scan of a cold
/// file.
const CHUNK_BYTES: usize = 64 * 1024;
/// How much is read at first: who looks for one batch finds it there, as a rule.
const FIRST_CHUNK_BYTES: usize = 4 * 1024;

/// One batch where it lies in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ScannedBatch {
    pub(super) position: u64,
    pub(super) size: u64,
    pub(super) header: BatchHeader,
}

impl ScannedBatch {
    pub(super) fn end(&self) -> u64 {
        self.position + self.size
    }
}

/// Why the walk cannot go on.
#[derive(Debug)]
pub(super) enum ScanError {
    Io(io::Error),
    /// What stands at `position` is not a whole batch.
    Damaged {
        position: u64,
        damage: Damage,
    },
}

impl From<io::Error> for ScanError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What is wrong with bytes where a batch should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damage {
    /// The file ends inside the header or the records.
    CutShort,
    /// Nothing but zeros, as a file system leaves them behind a lost write.
    Zeros,
    /// Another record format, or no record batch at all.
    Magic(i8),
    /// A length that no batch can have.
    Length(i32),
    /// The offsets go backwards or belong to another segment.
    Offset { expected: i64, found: i64 },
    /// The checksum does not fit.
    Crc,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutShort => f.write_str("the last batch is cut short"),
            Self::Zeros => f.write_str("nothing but zeros follows"),
            Self::Magic(magic) => write!(f, "no record batch of format 2 (magic {magic})"),
            Self::Length(length) => write!(f, "a batch length of {length}"),
            Self::Offset { expected, found } => {
                write!(f, "base offset {found} where {expected} or more must follow")
            }
            Self::Crc => f.write_str("a batch whose checksum does not fit"),
        }
    }
}

/// A walk over the batches between two positions of a file.
pub(super) struct BatchScanner<'a> {
    file: &'a dyn StoredFile,
    position: u64,
    end: u64,
    next_offset: i64,
    buffer: Vec<u8>,
    buffer_start: u64,
    /// How much is read next: more while what was read is used, little after a leap.
    chunk_bytes: usize,
}

impl<'a> BatchScanner<'a> {
    /// A walk from `position`, where a batch begins, to `end`; no offset may lie below
    /// `min_offset`.
    pub(super) fn new(file: &'a dyn StoredFile, position: u64, end: u64, min_offset: i64) -> Self {
        Self {
            file,
            position,
            end,
            next_offset: min_offset,
            buffer: Vec::new(),
            buffer_start: position,
            chunk_bytes: FIRST_CHUNK_BYTES,
        }
    }

    /// The offset that must follow.
    pub(super) fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// The next batch by its header; its content has not been looked at.
    pub(super) fn next(&mut self) -> Result<Option<ScannedBatch>, ScanError> {
        if self.position >= self.end {
            return Ok(None);
        }
        let position = self.position;
        let damaged = |damage| Err(ScanError::Damaged { position, damage });
        let left = self.end - position;
        if left < BatchHeader::SIZE as u64 {
            return damaged(Damage::CutShort);
        }
        let header = self.header_at(position)?;
        if header.magic != BatchHeader::MAGIC {
            let zeros = header.magic == 0 && header.batch_length == 0 && header.base_offset == 0;
            return damaged(if zeros { Damage::Zeros } else { Damage::Magic(header.magic) });
        }
        let Some(size) = header.size_bytes() else {
            return damaged(Damage::Length(header.batch_length));
        };
        if size as u64 > left {
            return damaged(Damage::CutShort);
        }
        let steps = i64::from(header.last_offset_delta);
        let ends = header.base_offset.checked_add(steps).and_then(|last| last.checked_add(1));
        if header.base_offset < self.next_offset || steps < 0 || ends.is_none() {
            let (expected, found) = (self.next_offset, header.base_offset);
            return damaged(Damage::Offset { expected, found });
        }
        let batch = ScannedBatch { position, size: size as u64, header };
        self.position = batch.end();
        self.next_offset = header.last_offset().saturating_add(1);
        Ok(Some(batch))
    }

    /// Like [`BatchScanner::next`], with the checksum compared.
    pub(super) fn next_verified(&mut self) -> Result<Option<ScannedBatch>, ScanError> {
        let next_offset = self.next_offset;
        let Some(batch) = self.next()? else {
            return Ok(None);
        };
        if self.checksum(&batch)? == batch.header.crc {
            return Ok(Some(batch));
        }
        self.position = batch.position;
        self.next_offset = next_offset;
        Err(ScanError::Damaged { position: batch.position, damage: Damage::Crc })
    }

    /// What a batch that was just found says, if it is the marker that ends a transaction.
    pub(super) fn marker(&mut self, batch: &ScannedBatch) -> io::Result<Option<EndMarker>> {
        if !batch.header.is_control() || batch.size > CHUNK_BYTES as u64 {
            return Ok(None);
        }
        let bytes = self.bytes_at(batch.position, batch.size as usize)?;
        Ok(EndMarker::read(&batch.header, &bytes[BatchHeader::SIZE..]))
    }

    fn header_at(&mut self, position: u64) -> io::Result<BatchHeader> {
        let bytes = self.bytes_at(position, BatchHeader::SIZE)?;
        BatchHeader::read(bytes).map_err(io::Error::other)
    }

    fn checksum(&mut self, batch: &ScannedBatch) -> io::Result<u32> {
        let mut crc = 0;
        let mut position = batch.position + BatchHeader::ATTRIBUTES_OFFSET as u64;
        while position < batch.end() {
            let count = (batch.end() - position).min(CHUNK_BYTES as u64) as usize;
            crc = crc32c_append(crc, self.bytes_at(position, count)?);
            position += count as u64;
        }
        Ok(crc)
    }

    /// `count` bytes, at most a chunk, that are known to lie before the end.
    fn bytes_at(&mut self, position: u64, count: usize) -> io::Result<&[u8]> {
        let start = position.checked_sub(self.buffer_start).unwrap_or(u64::MAX);
        let held =
            start <= self.buffer.len() as u64 && self.buffer.len() as u64 - start >= count as u64;
        if !held {
            let is_leap = self.buffer.is_empty() || start > self.buffer.len() as u64;
            self.chunk_bytes = match is_leap {
                true => FIRST_CHUNK_BYTES,
                false => (self.chunk_bytes * 2).min(CHUNK_BYTES),
            };
            let wanted = count.max(self.chunk_bytes) as u64;
            let length = (self.end - position).min(wanted) as usize;
            self.buffer.resize(length, 0);
            self.buffer_start = position;
            read_exact_at(self.file, &mut self.buffer, position)?;
        }
        let start = (position - self.buffer_start) as usize;
        Ok(&self.buffer[start..start + count])
    }
}

/// The batches at the front of some bytes, each as its header and its records. One that is cut
/// short, or damaged, ends them.
pub(super) fn whole_batches(bytes: &[u8]) -> impl Iterator<Item = (BatchHeader, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let header = validate_batch(rest).ok()?;
        let (batch, behind) = rest.split_at_checked(header.size_bytes()?)?;
        rest = behind;
        Some((header, &batch[BatchHeader::SIZE..]))
    })
}
