//! The files that a broker leaves behind, looked at by Kafka's own tool.

use std::path::{Path, PathBuf};

use crate::java;

/// The kinds of files that the tool understands.
const KINDS: [&str; 5] = ["log", "index", "timeindex", "snapshot", "txnindex"];

/// The log files under a folder, with their indexes, producer snapshots and aborted transactions.
///
/// # Panics
/// When the folder cannot be read.
#[must_use]
pub fn under(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(under(&path));
        } else if path.extension().is_some_and(|kind| KINDS.iter().any(|known| kind == *known)) {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Asserts that `DumpLogSegments --deep-iteration` finds no fault in any of a broker's files.
///
/// # Errors
/// There is no Java or there are no jars.
///
/// # Panics
/// When it finds one.
pub fn assert_no_fault(data: &Path) -> Result<(), String> {
    let files = under(data);
    let faults = java::faults_of_log_files(&files)?;
    assert!(faults.is_empty(), "in {files:?}: {faults:#?}");
    Ok(())
}

/// The same of files that were compacted: offsets may be absent.
///
/// # Errors
/// There is no Java or there are no jars.
///
/// # Panics
/// When it finds a fault.
pub fn assert_no_fault_but_gaps(data: &Path) -> Result<(), String> {
    let files = under(data);
    let mut faults = java::faults_of_log_files(&files)?;
    faults.retain(|line| !line.contains(" is followed by "));
    assert!(faults.is_empty(), "in {files:?}: {faults:#?}");
    Ok(())
}
