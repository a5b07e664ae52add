//! `cargo xtask fuzz`: the fuzz targets, for as long as wanted.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use crate::workspace;

/// What CI runs beside the tests: a few seconds for each target, the same inputs each time.
pub(crate) const IN_CI: [&str; 4] = ["--seconds", "5", "--seed", "1"];

/// What makes the compiler count which code is reached; libFuzzer reads the counters.
const COUNTED: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing";

/// Runs the targets: by seed, or with `--coverage` under libFuzzer.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    match args.split_first() {
        Some((first, rest)) if first == "--coverage" => cover(rest),
        _ => by_seed(args),
    }
}

fn by_seed(args: &[String]) -> Result<ExitCode, String> {
    let mut cargo = Command::new(workspace::cargo());
    cargo.args(["run", "--quiet", "--release", "--package", "ottla-fuzz", "--"]).args(args);
    cargo.env("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "true");
    code(cargo.current_dir(workspace::root()?))
}

/// `--coverage TARGET [SECONDS]`: new inputs go to `target/fuzz/TARGET`, the smallest set of them
/// that reaches as much goes into the corpus.
fn cover(args: &[String]) -> Result<ExitCode, String> {
    let (name, seconds) = match args {
        [name] => (name, "60"),
        [name, seconds] => (name, seconds.as_str()),
        _ => return Err("usage: cargo xtask fuzz --coverage TARGET [SECONDS]".to_owned()),
    };
    let root = workspace::root()?;
    let host = "x86_64-unknown-linux-gnu";
    let mut cargo = Command::new(workspace::cargo());
    // With a target named, what runs at build time is not counted.
    cargo.args(["build", "--release", "--target", host]).current_dir(root.join("fuzz"));
    cargo.env("RUSTFLAGS", COUNTED).env("CARGO_TARGET_DIR", root.join("target/libfuzzer"));
    if code(&mut cargo)? != ExitCode::SUCCESS {
        return Err("the targets could not be built".to_owned());
    }
    let program = root.join("target/libfuzzer").join(host).join("release/any");
    let found = root.join("target/fuzz").join(name);
    let kept = root.join("crates/fuzz/corpus").join(name);
    for folder in [&found, &kept] {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let begin = ["--target", name, "--seeds-to"].map(str::to_owned);
    let written = by_seed(&[&begin[..], &[found.display().to_string()]].concat())?;
    if written != ExitCode::SUCCESS {
        return Ok(written);
    }
    let fuzzer = |args: &[&str], folders: [&Path; 2]| {
        let mut fuzzer = Command::new(&program);
        fuzzer.args(args).args(folders).env("OTTLA_FUZZ_TARGET", name);
        code(fuzzer.current_dir(root.join("target/fuzz")))
    };
    let time = format!("-max_total_time={seconds}");
    let limits = ["-max_len=1024", "-timeout=10", "-rss_limit_mb=2048"];
    let ran = fuzzer(&[&limits[..], &[&time]].concat(), [&found, &kept])?;
    if ran != ExitCode::SUCCESS {
        return Ok(ran);
    }
    fuzzer(&[&limits[..], &["-merge=1"]].concat(), [&kept, &found])
}

fn code(command: &mut Command) -> Result<ExitCode, String> {
    let status = command.status().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}
