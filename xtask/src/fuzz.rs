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

/// `--coverage TARGET [SECONDS]`: new inputs go to `target/fuzz/TARGET`; of all of them, as few as
/// reach the same code are kept in the corpus.
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
    let fewest = root.join("target/fuzz").join(format!("{name}-fewest"));
    let _ = fs::remove_dir_all(&fewest);
    fs::create_dir_all(&fewest).map_err(|error| format!("{}: {error}", fewest.display()))?;
    let exchange = |how: &str, folder: &Path| {
        let args = ["--target", name, how].map(str::to_owned);
        by_seed(&[&args[..], &[folder.display().to_string()]].concat())
    };
    let fuzzer = |args: &[&str], folders: &[&Path]| {
        let mut fuzzer = Command::new(&program);
        fuzzer.args(["-max_len=768", "-timeout=10", "-rss_limit_mb=2048"]).args(args);
        fuzzer.args(folders).env("OTTLA_FUZZ_TARGET", name);
        code(fuzzer.current_dir(root.join("target/fuzz")))
    };
    let time = format!("-max_total_time={seconds}");
    let fewer = ["-set_cover_merge=1", "-use_counters=0"];
    let steps: [&dyn Fn() -> Result<ExitCode, String>; 4] = [
        &|| exchange("--unpack", &found),
        &|| fuzzer(&[&time], &[&found]),
        &|| fuzzer(&fewer, &[&fewest, &found]),
        &|| exchange("--pack", &fewest),
    ];
    for step in steps {
        let ended = step()?;
        if ended != ExitCode::SUCCESS {
            return Ok(ended);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn code(command: &mut Command) -> Result<ExitCode, String> {
    let status = command.status().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}
