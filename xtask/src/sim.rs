//! `cargo xtask sim`: the simulator, built as fast as it gets.

use std::process::{Command, ExitCode};

use crate::workspace;

/// What CI runs: a minute or so on two cores. The same seeds each time, so that a change is judged
/// by what it changes; fresh ones are for campaigns.
pub(crate) const IN_CI: [&str; 6] =
    ["--seed", "1", "--seeds", "40000", "--no-shrink", "--must-hit"];

/// Builds and runs `ottla-sim`; all arguments are its own.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    let mut cargo = Command::new(workspace::cargo());
    cargo.args(["run", "--quiet", "--release", "--package", "ottla-sim"]);
    if args.iter().any(|arg| arg == "--mutants") {
        cargo.args(["--features", "mutants"]);
    }
    cargo.arg("--").args(args).current_dir(workspace::root()?);
    let status = cargo.status().map_err(|error| format!("cannot run cargo: {error}"))?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}
