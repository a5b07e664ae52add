//! `cargo xtask test`: sets up what the tests need, runs them all, counts what was skipped.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use serde_json::Value;

use crate::install::{self, succeed};
use crate::kafka::cluster::Cluster;
use crate::kafka::{self, jars, kdc};
use crate::process::{self, Interrupt};
use crate::python;
use crate::workspace;

/// The release of the Python client that tests read and write with.
pub(crate) const CONFLUENT_KAFKA: &str = "confluent-kafka==2.16.1";
/// The settings with which both commands build the same things, so that they are built once.
const WHAT: [&str; 2] = ["--workspace", "--all-features"];

/// Runs all tests; `args` go to `cargo test`.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    let interrupt = Interrupt::listen()?;
    let skips = Skips::create()?;
    let mut test = Command::new(workspace::cargo());
    test.arg("test").args(WHAT).arg("--no-fail-fast").args(args);
    test.current_dir(workspace::root()?).env("OTTLA_TEST_SKIPS", &skips.file);
    skips.had(python(), "confluent-kafka", |python| {
        test.env("OTTLA_TEST_PYTHON", python);
    })?;
    skips.had(install::find_or_install("kcat"), "kcat", |kcat| {
        test.env("OTTLA_TEST_KCAT", kcat);
    })?;
    // The cluster has a realm of Kerberos where these are.
    for (program, package) in kdc::PROGRAMS {
        skips.had(install::find_or_install_from(program, package), package, |_| ())?;
    }
    test.env("OTTLA_BIN", build_binary()?);

    // The cluster lives as long as this name.
    let cluster = Cluster::start_secure(&interrupt);
    interrupt.check()?;
    let cluster = skips.had(cluster, "real Kafka", |cluster| {
        eprintln!("Apache Kafka {} listens at {}", jars::VERSION, cluster.bootstrap_servers());
        cluster.tell(&mut test);
    })?;
    skips.had(jars::fetch(), "Kafka's own tools", |jars| {
        test.env(kafka::LIBS_VARIABLE, &jars.libs);
    })?;
    let status = process::run(&mut test, &interrupt)?;
    let mut python_passed = true;
    if args.is_empty() {
        let servers = cluster.as_ref().map(Cluster::bootstrap_servers);
        let tested = python::test(servers.as_deref(), &[], &interrupt);
        if let Some(passed) = skips.had(tested, "the Python package", |_| ())? {
            python_passed = passed;
        }
    }
    drop(cluster);

    let skipped = skips.list()?;
    skipped.iter().for_each(|why| println!("  skipped: {why}"));
    println!("{} skipped", skipped.len());
    if !status.success() {
        return Ok(kafka::exit_code(status));
    }
    if !python_passed {
        return Err("the tests of the Python package failed".to_owned());
    }
    if !skipped.is_empty() && std::env::var_os("CI").is_some() {
        return Err("nothing may be skipped when CI is set".to_owned());
    }
    Ok(ExitCode::SUCCESS)
}

/// The file to which tests, and this task, add a line for each thing that could not be tested.
struct Skips {
    file: PathBuf,
}

impl Skips {
    fn create() -> Result<Self, String> {
        let folder = workspace::scratch()?;
        workspace::create_folder(&folder)?;
        let file = folder.join(format!("skipped-tests-{}.txt", std::process::id()));
        workspace::write(&file, "")?;
        Ok(Self { file })
    }

    /// Uses what could be had; notes why something could not be had and goes on without it.
    fn had<T>(
        &self,
        thing: Result<T, String>,
        name: &str,
        mut set_up: impl FnMut(&T),
    ) -> Result<Option<T>, String> {
        match thing {
            Ok(thing) => {
                set_up(&thing);
                Ok(Some(thing))
            }
            Err(why) => {
                let mut lines = self.read()?;
                // One line for each reason, however many lines the reason has.
                let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
                lines.push_str(&format!("SKIPPED: what needs {name}: {why}\n"));
                eprintln!("no {name}: {why}");
                workspace::write(&self.file, lines)?;
                Ok(None)
            }
        }
    }

    fn read(&self) -> Result<String, String> {
        std::fs::read_to_string(&self.file)
            .map_err(|error| format!("{}: {error}", self.file.display()))
    }

    /// What was skipped, a line for each.
    fn list(&self) -> Result<Vec<String>, String> {
        let reason = |line: &str| line.trim_start_matches("SKIPPED:").trim().to_owned();
        Ok(self.read()?.lines().map(reason).filter(|reason| !reason.is_empty()).collect())
    }
}

impl Drop for Skips {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

/// Builds the `ottla` binary together with all that `cargo test` will want, and gives its path.
pub(crate) fn build_binary() -> Result<PathBuf, String> {
    let mut build = Command::new(workspace::cargo());
    build.args(["build", "--profile", "test", "--bins", "--tests"]).args(WHAT);
    build.arg("--message-format=json-render-diagnostics").current_dir(workspace::root()?);
    build.stderr(Stdio::inherit());
    let told = process::output(&mut build)?;
    if !told.status.success() {
        return Err("the workspace does not build".to_owned());
    }
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    told.lines().find_map(binary).ok_or_else(|| "cargo built no `ottla` binary".to_owned())
}

/// The path in a message of cargo, if it is about the `ottla` binary itself and not its tests.
fn binary(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let target = &message["target"];
    let ours = target["name"] == "ottla" && target["kind"][0] == "bin";
    let path = message["executable"].as_str()?;
    (ours && message["profile"]["test"] == false).then(|| path.into())
}

/// A Python with the client `confluent_kafka`, in an environment of its own.
pub(crate) fn python() -> Result<PathBuf, String> {
    let home = workspace::scratch()?.join("venv");
    let python = home.join("bin/python");
    if has_client(&python) {
        return Ok(python);
    }
    eprintln!("setting up Python with {CONFLUENT_KAFKA}");
    install::venv(&home)?;
    succeed(install::pip(&python, "install").arg(CONFLUENT_KAFKA))?;
    if has_client(&python) { Ok(python) } else { Err(format!("{CONFLUENT_KAFKA} does not load")) }
}

fn has_client(python: &Path) -> bool {
    let version = CONFLUENT_KAFKA.rsplit('=').next().unwrap_or_default();
    let check = format!("import confluent_kafka as c; assert c.__version__ == '{version}'");
    succeed(Command::new(python).args(["-c", &check])).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_told_from_its_tests() {
        let of = |kind: &str, test: bool| {
            format!(
                "{{\"reason\":\"compiler-artifact\",\"target\":{{\"kind\":[\"{kind}\"],\
                 \"name\":\"ottla\"}},\"profile\":{{\"test\":{test}}},\"executable\":\"/x/ottla\"}}"
            )
        };
        assert_eq!(binary(&of("bin", false)), Some("/x/ottla".into()));
        assert_eq!(binary(&of("bin", true)), None);
        assert_eq!(binary(&of("lib", false)), None);
        assert_eq!(binary("{\"reason\":\"build-finished\",\"success\":true}"), None);
        assert_eq!(binary("no message"), None);
    }
}
