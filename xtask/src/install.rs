//! Programs of others that tasks use: where they are, and how they are had.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::process;

/// A program on the path.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// A program on the path, whose package has its name; the error says how to install it.
pub(crate) fn find(program: &str) -> Result<PathBuf, String> {
    find_from(program, program)
}

/// The same of another package.
pub(crate) fn find_from(program: &str, package: &str) -> Result<PathBuf, String> {
    on_path(program).ok_or_else(|| advice(program, package))
}

/// A program on the path, whose package has its name, installed first where we may: as root on
/// Debian.
pub(crate) fn find_or_install(program: &str) -> Result<PathBuf, String> {
    find_or_install_from(program, program)
}

/// The same of another package.
pub(crate) fn find_or_install_from(program: &str, package: &str) -> Result<PathBuf, String> {
    if let Some(found) = on_path(program) {
        return Ok(found);
    }
    if !rustix::process::getuid().is_root() || on_path("apt-get").is_none() {
        return Err(advice(program, package));
    }
    eprintln!("installing {package}");
    let apt = |args: &[&str]| {
        succeed(Command::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    let install = || apt(&["install", "--yes", "--no-install-recommends", package]);
    install()
        .or_else(|_| apt(&["update"]).and_then(|()| install()))
        .map_err(|why| format!("{}: {why}", advice(program, package)))?;
    find_from(program, package)
}

/// A new Python environment in a folder; its Python.
pub(crate) fn venv(home: &Path) -> Result<PathBuf, String> {
    let mut make = Command::new("python3");
    succeed(make.args(["-m", "venv", "--clear"]).arg(home)).map_err(|why| {
        format!("{why}; Python 3 with venv is needed (Debian: apt-get install python3-venv)")
    })?;
    Ok(home.join("bin/python"))
}

/// `python -m pip TASK`, without words of its own.
pub(crate) fn pip(python: &Path, task: &str) -> Command {
    let mut command = Command::new(python);
    command.args(["-m", "pip", task, "--quiet", "--disable-pip-version-check"]);
    command
}

/// The Go tools: on the path, where their own archive puts them, or from the system.
pub(crate) fn go() -> Result<PathBuf, String> {
    let usual = PathBuf::from("/usr/local/go/bin/go");
    match on_path("go") {
        Some(go) => Ok(go),
        None if usual.is_file() => Ok(usual),
        None => find_or_install_from("go", "golang-go"),
    }
}

fn advice(program: &str, package: &str) -> String {
    format!("{program} is not installed (Debian: apt-get install {package})")
}

/// Runs a program whose words matter only when it fails.
pub(crate) fn succeed(command: &mut Command) -> Result<(), String> {
    stdout_of(command).map(drop)
}

/// Runs a program and gives what it printed; what it said besides matters only when it fails.
pub(crate) fn stdout_of(command: &mut Command) -> Result<String, String> {
    let told = process::output(command.stdin(Stdio::null()))?;
    if told.status.success() {
        return Ok(String::from_utf8_lossy(&told.stdout).into_owned());
    }
    let name = command.get_program().to_string_lossy().into_owned();
    let words = String::from_utf8_lossy(&told.stderr).into_owned();
    Err(format!("{name} ended with {}: {}", told.status, words.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_missing_is_named_with_the_cure() {
        let why = find("ottla-has-no-such-program").unwrap_err();
        assert!(why.contains("apt-get install ottla-has-no-such-program"), "{why}");
        assert!(find("cargo").is_ok());
    }
}
