//! Chaos on real Kafka: three nodes that are killed, stopped and restarted, a network that tears,
//! and records whose outcomes are held against what another client finds in the logs.
//!
//! `cargo xtask chaos` prepares the cluster and runs this.

mod check;
#[cfg(test)]
mod check_tests;
mod control;
mod controls;
mod faults;
mod history;
mod ledger;
mod load;
mod moves;
mod nodes;
mod options;
mod payload;
mod read;
mod report;
mod run;

use std::process::ExitCode;

use crate::options::Options;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = Options::parse(&args).and_then(|options| match &options.check {
        Some(folder) => run::check_again(folder),
        None => run::run(&options),
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("chaos: {why}");
            ExitCode::from(2)
        }
    }
}
