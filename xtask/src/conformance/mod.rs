//! `cargo xtask conformance`: the test suites of other clients against `ottla broker`.
//!
//! The tests of others are fetched from the registry that their project publishes to, in the
//! version that the suite names. What a suite leaves out stands in its file, with the reason.

mod chance;
mod confluent_kafka;
mod confluent_kafka_go;
mod franz_go;
mod go;
mod kafka_python;
mod librdkafka;
mod pytest;
mod sarama;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use crate::broker::Broker;
use crate::process::Interrupt;
use crate::{test, workspace};

const USAGE: &str = "usage: cargo xtask conformance [--list | SUITE…]";
/// An `ottla` to test instead of the one that is built.
const BINARY_VARIABLE: &str = "OTTLA_BIN";

/// What CI runs: the others take minutes each, and one of them a C library to build.
pub(crate) const IN_CI: [&str; 1] = ["chance"];

/// The tests of one project.
struct Suite {
    name: &'static str,
    about: &'static str,
    /// Runs it and says whether it passed; an error means that it could not be tried.
    run: fn(&Setting<'_>) -> Result<bool, String>,
}

const SUITES: &[Suite] = &[
    Suite {
        name: "chance",
        about: "confluent-kafka, on three nodes that fail by chance: nothing is lost or doubled",
        run: chance::run,
    },
    Suite {
        name: "confluent-kafka",
        about: "Python: what confluent-kafka sees of one node, and of three",
        run: confluent_kafka::run,
    },
    Suite {
        name: "confluent-kafka-go",
        about: "Go: all tests of confluent-kafka-go, on three nodes; with SASL",
        run: confluent_kafka_go::run,
    },
    Suite {
        name: "franz-go",
        about: "Go: all tests of franz-go's client, on three nodes; with SCRAM; with broken lines",
        run: franz_go::run,
    },
    Suite {
        name: "kafka-python",
        about: "Python: the integration tests of kafka-python, on one node, and on three",
        run: kafka_python::run,
    },
    Suite {
        name: "librdkafka",
        about: "C: the tests of librdkafka that want a broker, on three nodes",
        run: librdkafka::run,
    },
    Suite {
        name: "sarama",
        about: "Go: the functional tests of sarama, on five nodes",
        run: sarama::run,
    },
];

/// What suites are given.
struct Setting<'a> {
    suite: &'static str,
    ottla: PathBuf,
    interrupt: &'a Interrupt,
}

impl Setting<'_> {
    /// Starts a broker for this suite, named apart from its others; `args` are options of
    /// `ottla broker`.
    fn broker(&self, name: &str, args: &[&str]) -> Result<Broker, String> {
        Broker::start(&self.ottla, &format!("{}-{name}", self.suite), args)
    }

    /// The suite's files in this repository.
    fn files(&self) -> Result<PathBuf, String> {
        Ok(workspace::root()?.join("conformance").join(self.suite))
    }

    /// A folder for what the suite fetches, builds and writes; it stays.
    fn scratch(&self) -> Result<PathBuf, String> {
        let folder = workspace::scratch()?.join("conformance").join(self.suite);
        workspace::create_folder(&folder)?;
        Ok(folder)
    }
}

/// Runs the suites that are named, or all, one after the other.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    if args == ["--list"] {
        SUITES.iter().for_each(|suite| println!("{:<18} {}", suite.name, suite.about));
        return Ok(ExitCode::SUCCESS);
    }
    let suites = chosen(args)?;
    let interrupt = Interrupt::listen()?;
    let ottla = match std::env::var_os(BINARY_VARIABLE) {
        Some(ottla) => ottla.into(),
        None => test::build_binary()?,
    };
    let mut setting = Setting { suite: "", ottla, interrupt: &interrupt };
    let (mut failed, mut skipped) = (Vec::new(), Vec::new());
    for suite in suites {
        setting.suite = suite.name;
        println!("== {}: {}", suite.name, suite.about);
        let begin = Instant::now();
        let outcome = (suite.run)(&setting);
        interrupt.check()?;
        let told = match &outcome {
            Ok(true) => "passed".to_owned(),
            Ok(false) => "FAILED".to_owned(),
            Err(why) => format!("SKIPPED: {why}"),
        };
        println!("== {}: {told}, {} s", suite.name, begin.elapsed().as_secs());
        match outcome {
            Ok(true) => {}
            Ok(false) => failed.push(suite.name),
            Err(_) => skipped.push(suite.name),
        }
    }
    if !failed.is_empty() {
        return Err(format!("failed: {}", failed.join(", ")));
    }
    // Who names a suite wants it, and so does CI.
    let is_wanted = !args.is_empty() || std::env::var_os("CI").is_some();
    if !skipped.is_empty() && is_wanted {
        return Err(format!("could not be tried: {}", skipped.join(", ")));
    }
    Ok(ExitCode::SUCCESS)
}

fn chosen(names: &[String]) -> Result<Vec<&'static Suite>, String> {
    if names.is_empty() {
        return Ok(SUITES.iter().collect());
    }
    let named = |name: &String| {
        let found = SUITES.iter().find(|suite| suite.name == name);
        found.ok_or_else(|| format!("there is no suite `{name}`; --list shows all\n{USAGE}"))
    };
    names.iter().map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_that_is_not_there_is_named_with_the_cure() {
        let why = chosen(&["no-such-suite".to_owned()]).err().unwrap();
        assert!(why.contains("no-such-suite") && why.contains("--list"), "{why}");
        assert_eq!(chosen(&[]).unwrap().len(), SUITES.len());
    }
}
