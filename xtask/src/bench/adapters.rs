//! The programs that run a workload, one for each client, and how they are built.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::install::{self, on_path};
use crate::kafka::jars;
use crate::process::{self, Interrupt};
use crate::workspace;

/// A client in one of its forms.
pub(crate) struct Adapter {
    /// Its name on the page.
    pub(crate) name: &'static str,
    command: Vec<PathBuf>,
    pub(crate) surface: &'static str,
    /// How many times fewer records it gets than the fastest, so that a run takes a second or two.
    pub(crate) slower: u64,
    /// Whether it can send at a fixed rate, and its linger there; `None` is its default.
    pub(crate) paced: Option<Option<u64>>,
    pub(crate) is_ours: bool,
    /// Sends nothing to the broker: what is counted there is not compared.
    pub(crate) is_limit: bool,
}

impl Adapter {
    /// The program, without its workload.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]);
        command
    }
}

/// All that could be built.
pub(crate) struct Adapters {
    pub(crate) list: Vec<Adapter>,
    /// What is left out, and why.
    pub(crate) skipped: Vec<String>,
    /// The command line, for its broker.
    pub(crate) ottla: PathBuf,
    /// Makes topics and counts what is in them.
    pub(crate) topics: PathBuf,
}

/// Builds the command line; its path.
pub(super) fn build_ottla(interrupt: &Interrupt) -> Result<PathBuf, String> {
    let target = target()?;
    cargo(&workspace::root()?, &target, &["--package", "ottla-cli"], interrupt)?;
    Ok(target.join("release/ottla"))
}

fn target() -> Result<PathBuf, String> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.map_or_else(workspace::scratch, Ok)
}

impl Adapters {
    /// Builds our own, and the others if they are wanted.
    pub(crate) fn build(peers: bool, interrupt: &Interrupt) -> Result<Self, String> {
        let root = workspace::root()?;
        let target = target()?;
        build_ottla(interrupt)?;
        let bench_target = target.join("bench");
        let (bench, release) = (root.join("bench"), bench_target.join("release"));
        let ours = ["--package", "bench-ottla", "--package", "bench-limit"];
        let ours = [&ours[..], &["--package", "bench-topics"]].concat();
        cargo(&bench, &bench_target, &ours, interrupt)?;
        let mut adapters = Self {
            list: vec![
                Adapter {
                    is_limit: true,
                    ..adapter("limit (no client)", &release.join("bench-limit"))
                },
                Adapter {
                    is_ours: true,
                    paced: Some(None),
                    ..adapter("ottla", &release.join("bench-ottla"))
                },
            ],
            skipped: Vec::new(),
            ottla: target.join("release/ottla"),
            topics: release.join("bench-topics"),
        };
        if peers {
            adapters.add_rust_peers(&bench, &bench_target, interrupt);
            adapters.add_go(&bench, &bench_target);
            adapters.add_java(&bench);
            adapters.add_python(&bench);
        }
        Ok(adapters)
    }

    fn add_rust_peers(&mut self, bench: &Path, target: &Path, interrupt: &Interrupt) {
        let release = target.join("release");
        for package in ["bench-rdkafka", "bench-krafka", "bench-rskafka"] {
            if let Err(why) = cargo(bench, target, &["--package", package], interrupt) {
                self.skipped.push(format!("{package}: {why}"));
                continue;
            }
            let program = release.join(package);
            match package {
                "bench-rdkafka" => {
                    let rdkafka = |name| Adapter { slower: 6, ..adapter(name, &program) };
                    self.list
                        .push(Adapter { paced: Some(Some(0)), ..rdkafka("librdkafka, linger 0") });
                    self.list.push(Adapter { paced: Some(Some(5)), ..rdkafka("librdkafka") });
                    let futures = rdkafka("librdkafka, `FutureProducer`");
                    self.list.push(Adapter { surface: "futures", slower: 20, ..futures });
                }
                "bench-krafka" => {
                    self.list.push(Adapter { slower: 10, ..adapter("krafka", &program) });
                }
                _ => self.list.push(Adapter { slower: 10, ..adapter("rskafka", &program) }),
            }
        }
    }

    fn add_go(&mut self, bench: &Path, target: &Path) {
        let program = target.join("release/bench-franz-go");
        let folder = bench.join("franz-go");
        let built = install::go().and_then(|go| {
            let mut build = Command::new(go);
            build.args(["build", "-o"]).arg(&program).arg(".").current_dir(folder);
            process::output(&mut build)
        });
        match built {
            Ok(told) if told.status.success() => {
                self.list.push(Adapter { slower: 4, ..adapter("franz-go", &program) });
            }
            Ok(told) => self.skip("franz-go", &String::from_utf8_lossy(&told.stderr)),
            Err(why) => self.skip("franz-go", &why),
        }
    }

    fn add_java(&mut self, bench: &Path) {
        let found = jars::java().and_then(|java| Ok((java, jars::fetch()?.broker_class_path())));
        match found {
            Ok((java, class_path)) => {
                let source = bench.join("java/Bench.java");
                let command = vec![java, "-cp".into(), class_path.into(), source];
                self.list.push(Adapter { command, slower: 8, ..adapter("Java", Path::new("")) });
            }
            Err(why) => self.skip("Java", &why),
        }
    }

    fn add_python(&mut self, bench: &Path) {
        let python = std::env::var_os("OTTLA_BENCH_PYTHON").map(PathBuf::from);
        let Some(python) = python.or_else(|| on_path("python3")) else {
            return self.skip("confluent-kafka", "there is no python3");
        };
        let asked = process::output(Command::new(&python).args(["-c", "import confluent_kafka"]));
        if !asked.is_ok_and(|told| told.status.success()) {
            let why = "this Python has no confluent_kafka; OTTLA_BENCH_PYTHON names one that has";
            return self.skip("confluent-kafka", why);
        }
        let command = vec![python, bench.join("confluent-kafka/bench.py")];
        let name = "confluent-kafka (Python)";
        self.list.push(Adapter { command, slower: 20, ..adapter(name, Path::new("")) });
    }

    fn skip(&mut self, name: &str, why: &str) {
        let why = why.trim().lines().next().unwrap_or_default();
        self.skipped.push(format!("{name}: {why}"));
    }
}

fn adapter(name: &'static str, program: &Path) -> Adapter {
    Adapter {
        name,
        command: vec![program.to_owned()],
        surface: "",
        slower: 1,
        paced: None,
        is_ours: false,
        is_limit: false,
    }
}

fn cargo(folder: &Path, target: &Path, what: &[&str], interrupt: &Interrupt) -> Result<(), String> {
    let mut build = Command::new(workspace::cargo());
    build.args(["build", "--release", "--locked"]).args(what);
    build.arg("--target-dir").arg(target).current_dir(folder);
    let status = process::run(&mut build, interrupt)?;
    if status.success() { Ok(()) } else { Err("it does not build; see above".to_owned()) }
}
