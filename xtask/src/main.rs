//! Project tasks, run as `cargo xtask <task>`.

mod bench;
mod broker;
mod chaos;
mod ci;
mod codegen;
mod conformance;
mod counts;
mod docs;
mod flamegraph;
mod fuzz;
mod install;
mod kafka;
mod models;
mod process;
mod python;
mod sbom;
mod scenarios;
mod sim;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

/// What a task gives back; the error is a message for a human.
pub(crate) type TaskResult = Result<(), String>;

const USAGE: &str = "usage: cargo xtask <task>

tasks:
  bench [--peers] [--quick]        measure the producer beside others
  chaos [--minutes M] [--seed S] …  kill, stop and cut off real Kafka, and count the records
  codegen [--check] [--jar PATH]   write crates/protocol/src/messages from Kafka's schemas
  docs [--check]                   write the pages that are made from the code
  flamegraph                       draw where the producer's time goes
  kafka <command>                  fetch and run real Apache Kafka
  models [--schedules N] …         run the client's locks under every order that chance finds
  python [PYTEST-ARGS]             build the Python package and test it
  test [CARGO-TEST-ARGS]           set up what the tests need and run them all
  conformance [--list | SUITE…]    run the test suites of other clients against `ottla broker`
  counts [--bless]                 count the core's instructions, compare them with the baseline
  sim [--seeds N] [--seed S] …      run the core against a model of a cluster, by seed
  scenarios [--check]              write docs/scenarios.md from what the tests say of themselves
  sbom [FILE]                      list what is inside the released crates (CycloneDX)
  fuzz [--seconds N] [--target T] [--seed S] | --coverage TARGET [SECONDS]
                                   give any bytes to what takes bytes from outside
  tidy                             check the rules that no other tool knows
  ci                               everything that must hold before a change is taken";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let task = args.next().unwrap_or_default();
    let args: Vec<String> = args.collect();
    let result = match task.as_str() {
        "bench" => bench::run(&args),
        "chaos" => chaos::run(&args),
        "codegen" => codegen::run(&args).map(|()| ExitCode::SUCCESS),
        "docs" => docs::run(&args),
        "flamegraph" => flamegraph::run(&args),
        "models" => models::run(&args),
        "kafka" => kafka::run(&args),
        "python" => python::run(&args),
        "test" => test::run(&args),
        "conformance" => conformance::run(&args),
        "counts" => counts::run(&args),
        "sbom" => sbom::run(&args),
        "scenarios" => scenarios::run(&args),
        "sim" => sim::run(&args),
        "fuzz" => fuzz::run(&args),
        "tidy" => tidy::run(&args),
        "ci" => ci::run(&args),
        "" => Err(USAGE.to_owned()),
        other => Err(format!("unknown task `{other}`\n\n{USAGE}")),
    };
    match result {
        Ok(code) => code,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
