//! `cargo xtask counts`: how many instructions the core takes for what it does most often.
//!
//! A clock says little on a machine that others use, too. Instructions are the same in each run,
//! so a change of a few percent is seen. They are counted by callgrind in the benchmark `counts`
//! of the core, and compared with a baseline in the tree.

mod baseline;
mod callgrind;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::{install, process, workspace};
use baseline::{Baseline, Comparison};

const USAGE: &str = "usage: cargo xtask counts [--bless]";
const VALGRIND: &str = "valgrind";
const BASELINE: &str = "crates/core/benches/counts.baseline";

/// Counts and compares; with `--bless`, writes what was counted as the new baseline.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    let is_bless = match args {
        [] => false,
        [flag] if flag == "--bless" => true,
        _ => return Err(USAGE.to_owned()),
    };
    let valgrind = install::find(VALGRIND)?;
    let counted = Baseline { compiler: compiler()?, counts: callgrind::count(&valgrind)? };
    let file = workspace::root()?.join(BASELINE);
    if is_bless {
        print!("{}", Comparison::of(&counted, &read(&file).unwrap_or_default()).table());
        workspace::write(&file, counted.to_string())?;
        eprintln!("wrote {BASELINE}");
        return Ok(ExitCode::SUCCESS);
    }
    compare(&counted, &read(&file)?)
}

/// As [`run`] without arguments, for `cargo xtask ci`: valgrind is installed where we may. Where
/// it cannot be had, that is a skip, and with `CI` set a failure.
pub(crate) fn check() -> Result<ExitCode, String> {
    match install::find_or_install(VALGRIND) {
        Ok(_) => run(&[]),
        Err(why) if std::env::var_os("CI").is_some() => {
            Err(format!("nothing may be skipped when CI is set: {why}"))
        }
        Err(why) => {
            println!("  skipped: instruction counts: {why}");
            println!("1 skipped");
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn compare(counted: &Baseline, baseline: &Baseline) -> Result<ExitCode, String> {
    let comparison = Comparison::of(counted, baseline);
    print!("{}", comparison.table());
    if counted.compiler != baseline.compiler {
        eprintln!(
            "the baseline is of another compiler, so nothing follows from it: {} here, {} there",
            counted.compiler, baseline.compiler
        );
        return Ok(ExitCode::SUCCESS);
    }
    let better = comparison.better();
    if !better.is_empty() {
        let bless = "note it with `cargo xtask counts --bless`";
        eprintln!("fewer instructions than before, {bless}: {}", better.join(", "));
    }
    comparison.judge()?;
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path) -> Result<Baseline, String> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        format!("{}: {error}: write it with `cargo xtask counts --bless`", file.display())
    })?;
    text.parse().map_err(|why| format!("{BASELINE}: {why}"))
}

/// Version and target of the compiler, on which the counts depend.
fn compiler() -> Result<String, String> {
    let rustc = std::env::var_os("RUSTC").map_or_else(|| PathBuf::from("rustc"), PathBuf::from);
    let told = process::output(Command::new(rustc).arg("-vV"))?;
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    compiler_of(&told).ok_or_else(|| format!("rustc -vV says no version: {told}"))
}

fn compiler_of(told: &str) -> Option<String> {
    let version = told.lines().find(|line| line.starts_with("rustc "))?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "))?;
    Some(format!("{version} for {host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_is_its_version_and_its_target() {
        let told = "rustc 1.95.0 (59807616e 2026-04-14)\nbinary: rustc\nhost: riscv64-x\n";
        let compiler = compiler_of(told).unwrap();
        assert_eq!(compiler, "rustc 1.95.0 (59807616e 2026-04-14) for riscv64-x");
        assert_eq!(compiler_of("no compiler"), None);
    }

    /// The check can fail: a baseline that is lower than what was counted is not met.
    #[test]
    fn more_instructions_than_the_checked_in_baseline_are_a_failure() {
        let file = workspace::root().unwrap().join(BASELINE);
        let counted = read(&file).unwrap();
        assert_eq!(compare(&counted, &counted), Ok(ExitCode::SUCCESS));
        for part in 0..counted.counts.len() {
            let mut doctored = counted.clone();
            doctored.counts[part].per_operation *= 0.9;
            let why = compare(&counted, &doctored).unwrap_err();
            assert!(why.contains(&doctored.counts[part].part), "{why}");
            // A compiler that is not the baseline's proves nothing.
            doctored.compiler = "rustc 1.0.0 for another".to_owned();
            assert_eq!(compare(&counted, &doctored), Ok(ExitCode::SUCCESS));
        }
    }
}
