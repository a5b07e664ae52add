//! Running the tests of a Go package, and telling what came of them.

use std::collections::BTreeMap;
use std::fs::File;
use std::process::Command;

use serde_json::Value;

use super::Setting;
use crate::{install, process};

/// A test that is left out, and why. With a `/` it is a subtest.
pub(super) type LeftOut = (&'static str, &'static str);

/// The tests of one package that the suite's `go.mod` names.
pub(super) struct Package<'a> {
    pub(super) path: &'a str,
    /// Further arguments of `go test`.
    pub(super) args: &'a [&'a str],
    pub(super) left_out: &'a [LeftOut],
    pub(super) variables: &'a [(&'a str, &'a str)],
}

impl Package<'_> {
    /// Runs them; whether they passed. All that they say is in the file `PART.json`.
    pub(super) fn test(&self, part: &str, setting: &Setting<'_>) -> Result<bool, String> {
        let log = setting.scratch()?.join(format!("{part}.json"));
        let file = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let mut go = Command::new(install::go()?);
        go.args(["test", "-json", "-count=1", "-timeout=30m"]).args(self.args);
        if !self.left_out.is_empty() {
            go.arg("-skip").arg(pattern(self.left_out));
        }
        go.arg(self.path).envs(self.variables.iter().copied());
        let status =
            process::run(go.current_dir(setting.files()?).stdout(file), setting.interrupt)?;
        let told = std::fs::read(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let outcome = Outcome::read(&String::from_utf8_lossy(&told));
        for (test, words) in &outcome.failed {
            println!("--- FAIL: {test}\n{words}");
        }
        for test in &outcome.skipped {
            println!("skipped by itself: {test}");
        }
        for (test, why) in self.left_out {
            println!("left out: {test}: {why}");
        }
        print!("{}", outcome.closing);
        let counts = [outcome.passed, outcome.failed.len(), outcome.skipped.len()];
        let [passed, failed, skipped] = counts;
        let out = self.left_out.len();
        println!("{part}: {passed} passed, {failed} failed, {skipped} skipped, {out} left out");
        if !status.success() {
            println!("{part}: see {}", log.display());
        }
        Ok(status.success() && failed == 0 && passed > 0)
    }
}

/// What `-skip` takes.
fn pattern(left_out: &[LeftOut]) -> String {
    let exactly = |(test, _): &LeftOut| {
        test.split('/').map(|part| format!("^{part}$")).collect::<Vec<_>>().join("/")
    };
    left_out.iter().map(exactly).collect::<Vec<_>>().join("|")
}

/// What came of a run of `go test -json`. Subtests count with the test that they belong to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    passed: usize,
    /// Each with what it said.
    failed: Vec<(String, String)>,
    skipped: Vec<String>,
    /// What was said of the package as a whole.
    closing: String,
}

impl Outcome {
    fn read(told: &str) -> Self {
        let mut outcome = Self::default();
        let mut said: BTreeMap<String, String> = BTreeMap::new();
        for line in told.lines() {
            let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
            let text = |key: &str| event[key].as_str().unwrap_or_default();
            let test = text("Test").split('/').next().unwrap_or_default();
            let is_whole = !test.is_empty() && test == text("Test");
            match text("Action") {
                "output" if test.is_empty() && is_closing(text("Output")) => {
                    outcome.closing.push_str(text("Output"));
                }
                // What the library logs meanwhile is in the file.
                "output" if text("Output").starts_with(' ') || text("Output").contains("panic") => {
                    said.entry(test.to_owned()).or_default().push_str(text("Output"));
                }
                "pass" if is_whole => outcome.passed += 1,
                "skip" if is_whole => outcome.skipped.push(test.to_owned()),
                "fail" if is_whole => {
                    outcome.failed.push((test.to_owned(), said.remove(test).unwrap_or_default()));
                }
                _ => {}
            }
        }
        outcome
    }
}

fn is_closing(line: &str) -> bool {
    ["ok", "FAIL", "panic"].iter().any(|word| line.starts_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_counted_with_their_subtests_and_the_closing_line_is_kept() {
        let told = r#"
            {"Action":"output","Test":"TestA","Output":"=== RUN   TestA\n"}
            {"Action":"fail","Test":"TestA/one"}
            {"Action":"output","Test":"TestA/one","Output":"    a_test.go:7: no such offset\n"}
            {"Action":"fail","Test":"TestA"}
            {"Action":"pass","Test":"TestB/one"}
            {"Action":"pass","Test":"TestB"}
            {"Action":"skip","Test":"TestC"}
            {"Action":"output","Output":"coverage\n"}
            {"Action":"output","Output":"FAIL\tx\t61.2s\n"}
            {"Action":"fail"}"#;
        let words = "    a_test.go:7: no such offset\n".to_owned();
        let expected = Outcome {
            passed: 1,
            failed: vec![("TestA".to_owned(), words)],
            skipped: vec!["TestC".to_owned()],
            closing: "FAIL\tx\t61.2s\n".to_owned(),
        };
        assert_eq!(Outcome::read(told), expected);
    }

    #[test]
    fn what_is_left_out_is_left_out_by_its_whole_name() {
        assert_eq!(pattern(&[("TestA", ""), ("TestB/one", "")]), "^TestA$|^TestB$/^one$");
    }
}
