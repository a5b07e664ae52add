//! Putting a cleaned segment in the place of those that it was made of, so that a kill at any
//! moment leaves the old or the new.
//!
//! ```text
//! .cleaned       being written; worth nothing
//! .index.swap …  the indexes are ready, the log file is still .cleaned; worth nothing
//! .log.swap      it holds: the old segments go, the indexes lose their mark, then the log file
//! ```
//!
//! Which segments it replaces is said by the file itself: its last batch is the last of theirs.

use std::io;
use std::path::Path;

use super::{CLEANED_MARK, SWAP_MARK};
use crate::log::partition_log::PartitionLog;
use crate::log::scan::BatchScanner;
use crate::log::segment::{Segment, scan_error};
use crate::log::storage::Storage;
use crate::log::transaction_index::AbortedEntry;
use crate::log::{
    INDEX_SUFFIX, LOG_SUFFIX, LogError, TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX, file_name,
    offset_in_name, producer_snapshot,
};

const INDEX_SUFFIXES: [&str; 3] = [INDEX_SUFFIX, TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX];

/// Replaces the segments that `cleaned` was made of, up to the offset `end`, by it.
pub(super) fn swap_in(
    log: &mut PartitionLog,
    storage: &dyn Storage,
    mut cleaned: Segment,
    end: i64,
) -> Result<(), LogError> {
    let dir = log.dir().to_owned();
    let base = cleaned.base_offset();
    let mut aborted = Vec::new();
    let note = |entry| {
        aborted.push(entry);
        false
    };
    cleaned
        .flush_indexes(storage)
        .and_then(|()| cleaned.visit_aborted(storage, base, note))
        .and_then(|_| commit(storage, &dir, base))
        .map_err(|error| LogError::io(&dir, error))?;
    drop(cleaned);
    // From here on the old segments are history.
    let replaced = complete(storage, &dir, base, end).map_err(|error| LogError::io(&dir, error));
    let opened = replaced.and_then(|()| open(log, storage, base, end, &aborted));
    let segment = opened.map_err(|error| log.give_up("cleaning", error))?;
    let from = log.segments.partition_point(|segment| segment.base_offset() < base);
    let to = log.segments.partition_point(|segment| segment.base_offset() < end);
    log.segments.splice(from..to, [segment]);
    Ok(())
}

/// The segment under its own name, as it would be found at a start.
fn open(
    log: &PartitionLog,
    storage: &dyn Storage,
    base: i64,
    end: i64,
    aborted: &[AbortedEntry],
) -> Result<Segment, LogError> {
    let interval = log.config().index_interval_bytes;
    let (segment, next_offset) = match Segment::load(storage, log.dir(), base, interval)? {
        Some(loaded) => (loaded.segment, loaded.next_offset),
        None => {
            // Without any timestamp there is no time index.
            let mut recovered = Segment::recover(storage, log.dir(), base, interval)?;
            recovered.segment.restore_aborted(storage, aborted);
            (recovered.segment, recovered.next_offset)
        }
    };
    if next_offset != end {
        let reason = format!("it was cleaned, and ends at offset {next_offset}, not {end}");
        return Err(LogError::corrupt(segment.path(), reason));
    }
    Ok(segment)
}

/// Makes the cleaned files count.
fn commit(storage: &dyn Storage, dir: &Path, base: i64) -> io::Result<()> {
    let marked = |suffix, mark| dir.join(file_name(base, suffix) + mark);
    // There has to be one, so that it is known later whether it has lost its mark already.
    storage.open(&marked(TRANSACTION_INDEX_SUFFIX, CLEANED_MARK))?;
    for suffix in INDEX_SUFFIXES.into_iter().chain([LOG_SUFFIX]) {
        storage.rename(&marked(suffix, CLEANED_MARK), &marked(suffix, SWAP_MARK))?;
    }
    Ok(())
}

/// Does what is left to do once the files count; it may have been done in part.
fn complete(storage: &dyn Storage, dir: &Path, base: i64, end: i64) -> io::Result<()> {
    let names = storage.list(dir)?;
    for old in names.iter().filter_map(|found| offset_in_name(&found.name, LOG_SUFFIX)) {
        if old > base && old < end {
            Segment::remove_files(storage, dir, old)?;
            producer_snapshot::remove(storage, dir, old)?;
        }
    }
    for suffix in INDEX_SUFFIXES {
        let name = file_name(base, suffix);
        let marked = name.clone() + SWAP_MARK;
        if names.iter().any(|found| found.name == marked) {
            storage.rename(&dir.join(marked), &dir.join(name))?;
        }
    }
    let aborted = dir.join(file_name(base, TRANSACTION_INDEX_SUFFIX));
    if storage.read(&aborted).is_ok_and(|bytes| bytes.is_empty()) {
        storage.remove_file(&aborted)?;
    }
    let name = file_name(base, LOG_SUFFIX);
    storage.rename(&dir.join(name.clone() + SWAP_MARK), &dir.join(name))
}

/// Brings to an end, or takes back, what a kill has interrupted.
///
/// # Errors
/// When the disk fails, or a file that counts is damaged: nothing is removed then.
pub(in crate::log) fn settle(storage: &dyn Storage, dir: &Path) -> Result<(), LogError> {
    let names = storage.list(dir).map_err(|error| LogError::io(dir, error))?;
    let counts = |name: &str| offset_in_name(name.strip_suffix(SWAP_MARK)?, LOG_SUFFIX);
    for base in names.iter().filter_map(|found| counts(&found.name)) {
        let end = end_of(storage, &dir.join(file_name(base, LOG_SUFFIX) + SWAP_MARK), base)?;
        complete(storage, dir, base, end).map_err(|error| LogError::io(dir, error))?;
    }
    discard(storage, dir).map_err(|error| LogError::io(dir, error))
}

/// Removes what does not count.
pub(super) fn discard(storage: &dyn Storage, dir: &Path) -> io::Result<()> {
    for found in storage.list(dir)? {
        if found.name.ends_with(CLEANED_MARK) || found.name.ends_with(SWAP_MARK) {
            storage.remove_file(&dir.join(&found.name))?;
        }
    }
    Ok(())
}

/// The offset behind the last batch of a file, which has to be whole.
fn end_of(storage: &dyn Storage, path: &Path, base: i64) -> Result<i64, LogError> {
    let fault = |error| LogError::io(path, error);
    let file = storage.open(path).map_err(fault)?;
    let size = file.size().map_err(fault)?;
    let mut scanner = BatchScanner::new(&*file, 0, size, base);
    while scanner.next_verified().map_err(|error| scan_error(path, error))?.is_some() {}
    Ok(scanner.next_offset())
}
