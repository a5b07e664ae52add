//! Counting: the benchmark is built as a release is, and each part of it runs under callgrind.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::baseline::Count;
use crate::{process, workspace};

/// The benchmark, and the module in it with the functions whose instructions count.
const BENCHMARK: &str = "counts";
const MODULE: &str = "counts::measured";

/// A part as the benchmark tells of it.
#[derive(Debug, PartialEq)]
struct Part {
    name: String,
    function: String,
    operations: u64,
    operation: String,
}

/// Builds the benchmark and counts every part.
pub(super) fn count(valgrind: &Path) -> Result<Vec<Count>, String> {
    let benchmark = build()?;
    let folder = Folder::create()?;
    let parts = list(&benchmark)?;
    parts.iter().map(|part| count_part(valgrind, &benchmark, part, &folder.0)).collect()
}

fn build() -> Result<PathBuf, String> {
    let mut build = Command::new(workspace::cargo());
    build.args(["bench", "--package", "ottla-core", "--bench", BENCHMARK, "--no-run"]);
    build.arg("--message-format=json-render-diagnostics").current_dir(workspace::root()?);
    let told = process::output(build.stderr(Stdio::inherit()))?;
    if !told.status.success() {
        return Err(format!("the benchmark {BENCHMARK} does not build"));
    }
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let found = told.lines().find_map(executable);
    found.ok_or_else(|| format!("cargo built no benchmark {BENCHMARK}"))
}

/// The path in a message of cargo, if it is about the benchmark.
fn executable(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let target = &message["target"];
    let ours = target["name"] == BENCHMARK && target["kind"][0] == "bench";
    message["executable"].as_str().filter(|_| ours).map(Into::into)
}

/// What parts there are. They run for it, so that one that fails does so with a plain message.
fn list(benchmark: &Path) -> Result<Vec<Part>, String> {
    let told = process::output(Command::new(benchmark).stderr(Stdio::inherit()))?;
    if !told.status.success() {
        return Err(format!("the benchmark {BENCHMARK} ended with {}", told.status));
    }
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let part = |line: &str| {
        part_of(line).ok_or_else(|| format!("the benchmark {BENCHMARK} says `{line}`"))
    };
    told.lines().map(part).collect()
}

fn part_of(line: &str) -> Option<Part> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [name, function, operations, operation] = words[..] else { return None };
    let operations: u64 = operations.parse().ok().filter(|operations| *operations > 0)?;
    let [name, function, operation] = [name, function, operation].map(str::to_owned);
    Some(Part { name, function, operations, operation })
}

fn count_part(
    valgrind: &Path,
    benchmark: &Path,
    part: &Part,
    folder: &Path,
) -> Result<Count, String> {
    let out = folder.join(&part.name);
    let mut command = Command::new(valgrind);
    command.arg("--tool=callgrind");
    command.arg(format!("--toggle-collect={MODULE}::{}", part.function));
    command.arg(format!("--callgrind-out-file={}", out.display()));
    // Nobody is to be asked for the symbols of the C library.
    command.arg(benchmark).arg(&part.name).env_remove("DEBUGINFOD_URLS");
    let told = process::output(command.stdin(Stdio::null()))?;
    if !told.status.success() {
        let words = String::from_utf8_lossy(&told.stderr).into_owned();
        return Err(format!("valgrind ended with {} in {}: {}", told.status, part.name, words));
    }
    let profile = std::fs::read_to_string(&out)
        .map_err(|error| format!("what callgrind wrote, {}: {error}", out.display()))?;
    let instructions = total_of(&profile).ok_or_else(|| {
        format!(
            "callgrind counted nothing in {}: is {MODULE}::{} inlined, or renamed?",
            part.name, part.function
        )
    })?;
    Ok(Count {
        part: part.name.clone(),
        per_operation: instructions as f64 / part.operations as f64,
        operation: part.operation.clone(),
    })
}

/// All instructions in a profile of callgrind's; `None` if there were none.
fn total_of(profile: &str) -> Option<u64> {
    let total = profile.lines().find_map(|line| line.strip_prefix("totals:"))?;
    total.trim().parse().ok().filter(|total| *total > 0)
}

/// A folder for the profiles, which nobody needs afterwards.
struct Folder(PathBuf);

impl Folder {
    fn create() -> Result<Self, String> {
        let folder = workspace::scratch()?.join(format!("counts-{}", std::process::id()));
        workspace::create_folder(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_benchmark_is_told_from_what_else_is_built() {
        let of = |kind: &str, name: &str| {
            format!(
                "{{\"target\":{{\"kind\":[\"{kind}\"],\"name\":\"{name}\"}},\
                 \"executable\":\"/x/{name}\"}}"
            )
        };
        assert_eq!(executable(&of("bench", "counts")), Some("/x/counts".into()));
        assert_eq!(executable(&of("bench", "other")), None);
        assert_eq!(executable(&of("lib", "counts")), None);
        assert_eq!(executable("no message"), None);
    }

    #[test]
    fn a_part_is_told_in_four_words() {
        let part = part_of("drain-12 drain 3996 batch").unwrap();
        assert_eq!((part.name.as_str(), part.function.as_str()), ("drain-12", "drain"));
        assert_eq!((part.operations, part.operation.as_str()), (3996, "batch"));
        assert_eq!(part_of("drain-12 drain 0 batch"), None);
        assert_eq!(part_of("drain-12 drain many batch"), None);
        assert_eq!(part_of("drain-12 drain"), None);
    }

    #[test]
    fn a_profile_without_instructions_is_no_count() {
        assert_eq!(total_of("events: Ir\nfn=(1) x\n3 4\ntotals: 3235971\n"), Some(3_235_971));
        assert_eq!(total_of("events: Ir\ntotals: 0\n"), None);
        assert_eq!(total_of("events: Ir\n"), None);
    }
}
