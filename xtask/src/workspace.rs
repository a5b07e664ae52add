//! Where things are.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::process;

/// The root folder of the workspace this task was started for.
pub(crate) fn root() -> Result<PathBuf, String> {
    // Cargo says at run time where the package lies. Its word at compile time would be wrong in a
    // copy of the tree that shares its target folder with the original.
    let from_cargo = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let package = match from_cargo {
        Some(package) => package,
        None => std::env::current_dir().map_err(|error| format!("no current folder: {error}"))?,
    };
    package
        .ancestors()
        .find(|folder| folder.join("xtask/Cargo.toml").is_file())
        .map(Path::to_owned)
        .ok_or_else(|| format!("{} is not inside the workspace", package.display()))
}

/// Where tasks keep what they fetch and what they run: always inside the tree, so that checkouts
/// with a target folder elsewhere fetch once, too.
pub(crate) fn scratch() -> Result<PathBuf, String> {
    Ok(root()?.join("target"))
}

/// The cargo that started this task, or the one on the path.
pub(crate) fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// What cargo knows about the workspace and what is below it, by the lock file, with all features.
pub(crate) fn metadata(root: &Path) -> Result<Value, String> {
    let mut cargo = Command::new(cargo());
    cargo.args(["metadata", "--format-version", "1", "--all-features", "--locked"]);
    let told = process::output(cargo.current_dir(root))?;
    if !told.status.success() {
        let told = String::from_utf8_lossy(&told.stderr).into_owned();
        return Err(format!("cargo metadata: {}", told.trim()));
    }
    serde_json::from_slice(&told.stdout).map_err(|error| format!("cargo metadata: {error}"))
}

/// Writes a file; the error names it.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<(), String> {
    std::fs::write(path, content).map_err(|error| format!("{}: {error}", path.display()))
}

/// Writes a generated page; with `is_check`, says whether it is what would be written.
pub(crate) fn put_page(path: &str, page: &str, is_check: bool, task: &str) -> Result<(), String> {
    let file = root()?.join(path);
    if !is_check {
        write(&file, page)?;
        eprintln!("wrote {path}");
    } else if std::fs::read_to_string(&file).unwrap_or_default() != page {
        return Err(format!("{path} is out of date: run `cargo xtask {task}`"));
    }
    Ok(())
}

/// Makes a folder with its parents; the error names it.
pub(crate) fn create_folder(path: &Path) -> Result<(), String> {
    std::fs::create_dir_all(path).map_err(|error| format!("{}: {error}", path.display()))
}
