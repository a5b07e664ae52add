//! The `ottla` command line. Data goes to standard output, talk to standard error; the exit code
//! says how it went (see [`exit::Exit`]).

mod args;
mod command;
mod control;
mod embedded;
mod events;
mod exit;
mod failed_out;
mod input;
mod ndjson;
mod pace;
mod progress;
mod properties;
mod signals;
mod summary;
mod talk;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::exit::{Exit, Failure};
use crate::talk::Talk;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let talk = Talk::new(cli.quiet, cli.verbose);
    events::tell(&talk);
    let exit = run(cli.command, &talk).unwrap_or_else(|failure| {
        talk.error(&failure);
        failure.exit
    });
    exit.into()
}

fn run(command: Command, talk: &Talk) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::usage(format!("the runtime does not start: {error}")))?;
    let exit = match command {
        Command::Produce(args) => runtime.block_on(command::produce::run(args.resolve()?, talk)),
        Command::Read(args) => runtime.block_on(command::read::run(args.resolve()?, talk)),
        Command::Bench(args) => runtime.block_on(command::bench::run(args.resolve()?, talk)),
        Command::Broker(args) => runtime.block_on(command::broker::run(args.resolve()?, talk)),
        Command::Control(args) => runtime.block_on(command::control::run(args, talk)),
        Command::Topic(args) => runtime.block_on(command::topic::run(args, talk)),
        Command::VerifiableProducer(args) => {
            runtime.block_on(command::verifiable::run(args.resolve()?, talk))
        }
        Command::Check(args) => runtime.block_on(command::check::run(args.resolve()?, talk)),
        Command::Lab(args) => runtime.block_on(command::lab::run(args.resolve()?, talk)),
    };
    // The system may still look for a name whose resolution was given up: nobody waits for it.
    runtime.shutdown_background();
    exit
}
