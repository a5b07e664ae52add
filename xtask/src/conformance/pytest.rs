//! Python for suites: an environment with the packages that a suite names, and pytest in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Setting;
use crate::install::{pip, succeed, venv};
use crate::process;
use crate::workspace;

/// What runs the tests of all suites.
const TOOLS: [&str; 2] = ["pytest>=8,<10", "pytest-timeout>=2.4,<3"];

/// A Python of the suite's own that has `packages`.
pub(super) fn environment(setting: &Setting<'_>, packages: &[&str]) -> Result<PathBuf, String> {
    let home = setting.scratch()?.join("python");
    let python = home.join("bin/python");
    // The list says what was installed, so that a new version in it is noticed.
    let list = home.join("ottla-packages.txt");
    let wanted: Vec<&str> = TOOLS.iter().chain(packages).copied().collect();
    if std::fs::read_to_string(&list).is_ok_and(|had| had == wanted.join("\n")) {
        return Ok(python);
    }
    eprintln!("setting up Python with {}", wanted.join(", "));
    venv(&home)?;
    succeed(pip(&python, "install").args(&wanted))?;
    workspace::write(&list, wanted.join("\n"))?;
    Ok(python)
}

/// The source of a package, `NAME==VERSION`, unpacked as PyPI has it.
pub(super) fn source(
    setting: &Setting<'_>,
    python: &Path,
    package: &str,
) -> Result<PathBuf, String> {
    let home = setting.scratch()?;
    let folder = home.join("source").join(package);
    let done = folder.join("ottla-unpacked");
    if done.exists() {
        return Ok(folder);
    }
    let _ = std::fs::remove_dir_all(&folder);
    workspace::create_folder(&folder)?;
    let mut fetch = pip(python, "download");
    fetch.args(["--no-deps", "--no-binary", ":all:", "--dest"]).arg(&folder);
    succeed(fetch.arg(package))?;
    let archive = std::fs::read_dir(&folder)
        .map_err(|error| format!("{}: {error}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "gz"))
        .ok_or_else(|| format!("PyPI has no source of {package}"))?;
    let mut unpack = Command::new("tar");
    succeed(unpack.arg("xzf").arg(&archive).arg("--strip-components=1").current_dir(&folder))?;
    workspace::write(&done, "")?;
    Ok(folder)
}

/// Runs `pytest` as the suite made it; whether all passed.
pub(super) fn passes(setting: &Setting<'_>, pytest: &mut Command) -> Result<bool, String> {
    pytest.args(["-q", "--no-header", "-p", "no:cacheprovider"]);
    Ok(process::run(pytest, setting.interrupt)?.success())
}

/// `python -m pytest` in `folder`.
pub(super) fn command(python: &Path, folder: &Path) -> Command {
    let mut command = Command::new(python);
    command.args(["-m", "pytest"]).current_dir(folder);
    command
}
