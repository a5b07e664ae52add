//! `cargo xtask python`: builds the Python package into an environment of its own and tests it.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::install::{self, succeed};
use crate::kafka;
use crate::process::{self, Interrupt};
use crate::test::CONFLUENT_KAFKA;
use crate::workspace;

/// What builds the package, tests it, and is compared with it.
const TOOLS: [&str; 4] = ["maturin>=1.9,<2", "pytest>=8,<9", "mypy>=1.13,<2", CONFLUENT_KAFKA];

/// What is built on `confluent-kafka` and tested on ours, and what `QUIXSTREAMS` imports.
const DOWNSTREAM: [&str; 10] = [
    "confluent-kafka[avro,json]",
    "faststream==0.7.8; python_version >= '3.10'",
    "httpx==0.28.1",
    "jsonlines==4.0.0",
    "jsonpath-ng==1.16.0; python_version >= '3.11'",
    "orjson==3.13.0; python_version >= '3.11'",
    "pydantic==2.13.5; python_version >= '3.11'",
    "pydantic-settings==2.15.0; python_version >= '3.11'",
    "rich==15.0.0; python_version >= '3.11'",
    "rocksdict==0.3.29; python_version >= '3.11'",
];
/// It wants an older `confluent-kafka` than `CONFLUENT_KAFKA`, and works with this one: it is
/// installed by itself.
const QUIXSTREAMS: &str = "quixstreams==3.28.1; python_version >= '3.11'";
/// Whether all of them are there.
const CHECK: &str = "import sys, maturin, pytest, mypy, confluent_kafka.schema_registry.avro
if sys.version_info >= (3, 11): import faststream.confluent, quixstreams";

/// Runs the tests; `args` go to pytest. `OTTLA_TEST_KAFKA` may name a real Kafka.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    let interrupt = Interrupt::listen()?;
    let servers = std::env::var(kafka::SERVERS_VARIABLE).ok();
    let passed = test(servers.as_deref(), args, &interrupt)?;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Builds, checks the types and runs the tests, on real Kafka too if there are `servers`; whether
/// all is well. An error means that it could not be tried.
pub(crate) fn test(
    servers: Option<&str>,
    args: &[String],
    interrupt: &Interrupt,
) -> Result<bool, String> {
    let (python, package) = build(false, interrupt)?;
    let mut pytest = module(&python, "pytest", &package);
    pytest.args(args);
    if let Some(servers) = servers {
        pytest.env(kafka::SERVERS_VARIABLE, servers);
    }
    let passed = process::run(&mut pytest, interrupt)?.success();
    let mut types = module(&python, "mypy", &package);
    let typed = process::run(&mut types, interrupt)?.success();
    let mut stub = module(&python, "mypy.stubtest", &package);
    let described = process::run(stub.arg("ottla._native"), interrupt)?.success();
    Ok(passed && typed && described)
}

/// Builds the package into an environment of its own: its Python, and the package's folder.
pub(crate) fn build(release: bool, interrupt: &Interrupt) -> Result<(PathBuf, PathBuf), String> {
    let package = workspace::root()?.join("crates/python");
    let home = workspace::scratch()?.join("python-package");
    let python = environment(&home)?;
    let mut build = Command::new(home.join("bin/maturin"));
    build.args(["develop", "--quiet"]).current_dir(&package).env("VIRTUAL_ENV", &home);
    if release {
        build.arg("--release");
    }
    if !process::run(&mut build, interrupt)?.success() {
        return Err("the Python package does not build".to_owned());
    }
    Ok((python, package))
}

fn module(python: &Path, name: &str, folder: &Path) -> Command {
    let mut command = Command::new(python);
    command.args(["-m", name]).current_dir(folder);
    command
}

/// A Python with the tools.
fn environment(home: &Path) -> Result<PathBuf, String> {
    let python = home.join("bin/python");
    if succeed(Command::new(&python).args(["-c", CHECK])).is_ok() {
        return Ok(python);
    }
    eprintln!("setting up Python with {}", TOOLS.join(", "));
    install::venv(home)?;
    succeed(install::pip(&python, "install").args(TOOLS).args(DOWNSTREAM))?;
    succeed(install::pip(&python, "install").args(["--no-deps", QUIXSTREAMS]))?;
    Ok(python)
}
