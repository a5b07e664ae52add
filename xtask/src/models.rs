//! `cargo xtask models`: the client's locks under a checker that decides who goes on.

use std::process::{Command, ExitCode};

use crate::workspace;

const USAGE: &str = "usage: cargo xtask models [--schedules N] [--seed S] [MODEL]";

/// What CI runs: a minute or so on two cores.
pub(crate) const IN_CI: [&str; 2] = ["--schedules", "3000"];

/// Builds the client's tests for the checker, in a folder of their own, and runs the models.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    let root = workspace::root()?;
    let mut cargo = Command::new(workspace::cargo());
    cargo.args(["test", "--package", "ottla", "--lib", "--", "--show-output"]);
    let mut model = "models::".to_owned();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let variable = match arg.as_str() {
            "--schedules" => "OTTLA_SCHEDULES",
            "--seed" => "OTTLA_SEED",
            _ if arg.starts_with('-') => return Err(USAGE.to_owned()),
            name => {
                model = name.to_owned();
                continue;
            }
        };
        cargo.env(variable, args.next().ok_or(USAGE)?);
    }
    cargo.arg(model).current_dir(&root);
    // It fails on purpose where it looks for known bugs: a trace of each would hide the rest.
    cargo.env("RUST_BACKTRACE", "0");
    cargo.env("RUSTFLAGS", "--cfg ottla_model").env("CARGO_TARGET_DIR", root.join("target/models"));
    let status = cargo.status().map_err(|error| format!("cannot run cargo: {error}"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
