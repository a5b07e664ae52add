//! Inputs that are kept: those that reached something new, and those that broke something once.

use std::fs;
use std::path::PathBuf;

use crate::Target;

/// All inputs of a target: its seeds, and the files of its folder in order of name.
#[must_use]
pub fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let mut inputs = (target.seeds)();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    paths.sort();
    inputs.extend(paths.iter().filter_map(|path| fs::read(path).ok()));
    inputs
}
