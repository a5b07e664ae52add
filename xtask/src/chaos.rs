//! `cargo xtask chaos`: three nodes of real Kafka under faults, and records that are counted.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use serde_json::Value;

use crate::kafka;
use crate::kafka::prepared::Prepared;
use crate::process::{self, Interrupt};
use crate::test::python;
use crate::workspace;

/// What CI runs. The seed is from the clock, and is printed: each run is another one.
pub(crate) const IN_CI: [&str; 2] = ["--minutes", "5"];

const NODES: usize = 3;

/// Prepares a cluster and has `ottla-chaos` run it; all arguments are its own.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    let interrupt = Interrupt::listen()?;
    let program = build()?;
    let needs_cluster = !args.iter().any(|arg| ["--check", "--help", "-h"].contains(&&arg[..]));
    let mut chaos = Command::new(program);
    chaos.args(args);
    // The cluster lives as long as this name.
    let _prepared = if needs_cluster {
        let python = python()?;
        let prepared = Prepared::new(NODES)?;
        let mut json = prepared.json();
        json["python"] = python.display().to_string().into();
        json["kept"] = workspace::scratch()?.join("chaos").display().to_string().into();
        let file = prepared.folder().join("prepared.json");
        workspace::write(&file, json.to_string())?;
        chaos.env("OTTLA_CHAOS_PREPARED", file);
        Some(prepared)
    } else {
        None
    };
    let status = process::run(&mut chaos, &interrupt)?;
    Ok(kafka::exit_code(status))
}

/// Builds the program, as fast as it gets, and gives its path.
fn build() -> Result<PathBuf, String> {
    let mut build = Command::new(workspace::cargo());
    build.args(["build", "--release", "--package", "ottla-tests", "--bin", "ottla-chaos"]);
    build.arg("--message-format=json-render-diagnostics").current_dir(workspace::root()?);
    let told = process::output(build.stderr(Stdio::inherit()))?;
    if !told.status.success() {
        return Err("ottla-chaos does not build".to_owned());
    }
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let executable = |line: &str| {
        let message: Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    };
    told.lines().find_map(executable).ok_or_else(|| "cargo built no ottla-chaos".to_owned())
}
