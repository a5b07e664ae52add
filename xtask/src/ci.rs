//! `cargo xtask ci`: everything that must hold before a change is taken.

use std::process::{Command, ExitCode};
use std::time::Instant;

use crate::kafka::jars;
use crate::{
    chaos, codegen, conformance, counts, docs, fuzz, models, process, scenarios, sim, test, tidy,
    workspace,
};

const USAGE: &str = "usage: cargo xtask ci";

type Step<'a> = &'a dyn Fn() -> Result<ExitCode, String>;

/// Runs all checks, the quick ones first, and stops at the first that fails.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    if !args.is_empty() {
        return Err(USAGE.to_owned());
    }
    let fmt = || cargo(&["fmt", "--all", "--check"], &[]);
    let clippy = || {
        let what = ["clippy", "--workspace", "--all-targets", "--all-features"];
        cargo(&[&what[..], &["--", "-D", "warnings"]].concat(), &[])
    };
    let doc = || {
        // The library and the binary have one name, and so would their pages.
        let what = ["doc", "--workspace", "--all-features", "--no-deps", "--lib"];
        cargo(&what, &[("RUSTDOCFLAGS", "-D warnings")])
    };
    let steps: [(&str, Step<'_>); 15] = [
        ("format", &fmt),
        ("tidy", &|| tidy::run(&[])),
        ("licences and sources", &deny),
        ("generated code", &check_codegen),
        ("generated pages", &|| docs::run(&["--check".to_owned()])),
        ("scenarios", &|| scenarios::run(&["--check".to_owned()])),
        ("clippy", &clippy),
        ("documentation", &doc),
        ("instruction counts", &counts::check),
        ("fuzz", &|| fuzz::run(&fuzz::IN_CI.map(str::to_owned))),
        ("simulation", &|| sim::run(&sim::IN_CI.map(str::to_owned))),
        ("models", &|| models::run(&models::IN_CI.map(str::to_owned))),
        ("tests", &|| test::run(&[])),
        ("tests of other clients", &|| conformance::run(&conformance::IN_CI.map(str::to_owned))),
        ("chaos", &|| chaos::run(&chaos::IN_CI.map(str::to_owned))),
    ];
    for (name, step) in steps {
        eprintln!("== {name}");
        let begin = Instant::now();
        let code = step().map_err(|told| format!("{name}: {told}"))?;
        eprintln!("== {name}: {} s", begin.elapsed().as_secs());
        if code != ExitCode::SUCCESS {
            return Err(format!("{name} failed"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn cargo(args: &[&str], variables: &[(&str, &str)]) -> Result<ExitCode, String> {
    let mut cargo = Command::new(workspace::cargo());
    cargo.args(args).envs(variables.iter().copied()).current_dir(workspace::root()?);
    let status = cargo.status().map_err(|error| format!("cannot run cargo: {error}"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn check_codegen() -> Result<ExitCode, String> {
    let jar = jars::fetch()?.clients().display().to_string();
    codegen::run(&["--check".to_owned(), "--jar".to_owned(), jar]).map(|()| ExitCode::SUCCESS)
}

/// What cargo-deny checks changes only with the lock file, and building it takes as long as
/// building all the rest: it is used where it is installed.
fn deny() -> Result<ExitCode, String> {
    let installed = process::output(Command::new("cargo-deny").arg("--version"));
    if !installed.is_ok_and(|told| told.status.success()) {
        eprintln!("cargo-deny is not installed; deny.toml is not checked");
        return Ok(ExitCode::SUCCESS);
    }
    cargo(&["deny", "--all-features", "check", "bans", "licenses", "sources"], &[])
}
