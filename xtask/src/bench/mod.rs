//! `cargo xtask bench`: what the producer costs, beside other clients and beside no client at all.
//!
//! Each row of a table is a program of `bench/` that gets the same workload. The programs take
//! turns (A B C A B C …), so that a machine that grows slow meanwhile is slow for all. What was
//! acknowledged is compared with what the log counts.

mod adapters;
mod brokers;
mod curve;
mod engines;
mod page;
mod picture;
mod python;
mod runs;
mod system;
mod workloads;

use std::process::ExitCode;

use self::adapters::Adapters;
use self::engines::Engine;
use self::runs::{Measured, Runner};
use self::workloads::{CURVE, LATENCY, MAIN, SPREAD, Table};
use crate::process::Interrupt;
use crate::workspace;

const USAGE: &str = "usage: cargo xtask bench [--peers] [--quick] [--rounds N] [--engines LIST]
       cargo xtask bench --python [--quick] [--rounds N]
       cargo xtask bench --brokers [--quick] [--rounds N]

  --peers         other clients besides (needs cmake and libcurl's headers; Go, Java and
                  confluent-kafka where they are to take part)
  --quick         a quarter of the records, and two rounds
  --rounds N      how often each row runs [default: 5]
  --engines LIST  of discard, embedded, embedded3, kafka, kafka3, with commas [default: discard,kafka]

  --python        the Python package beside confluent_kafka, and nothing else
  --brokers       the embedded broker beside Kafka, and nothing else (needs Java); writes
                  docs/broker-benchmarks.md

Writes the generated parts of docs/benchmarks.md and the pictures beside it.";

/// What was asked for.
struct Wanted {
    peers: bool,
    python: bool,
    brokers: bool,
    quick: bool,
    rounds: usize,
    engines: Vec<Engine>,
}

impl Wanted {
    fn parse(args: &[String]) -> Result<Self, String> {
        let mut wanted = Self {
            peers: false,
            python: false,
            brokers: false,
            quick: false,
            rounds: 0,
            engines: vec![Engine::Discard],
        };
        wanted.engines.push(Engine::Kafka(1));
        let mut args = args.iter().map(String::as_str);
        while let Some(arg) = args.next() {
            match (arg, arg.starts_with("--rounds") || arg.starts_with("--engines")) {
                ("--peers", _) => wanted.peers = true,
                ("--python", _) => wanted.python = true,
                ("--brokers", _) => wanted.brokers = true,
                ("--quick", _) => wanted.quick = true,
                ("--rounds", _) => {
                    let count = args.next().and_then(|count| count.parse().ok());
                    wanted.rounds = count.filter(|count| *count > 0).ok_or(USAGE)?;
                }
                ("--engines", _) => {
                    let names = args.next().ok_or(USAGE)?.split(',');
                    wanted.engines = names.map(Engine::named).collect::<Result<_, _>>()?;
                }
                _ => return Err(USAGE.to_owned()),
            }
        }
        if wanted.rounds == 0 {
            wanted.rounds = if wanted.quick { 2 } else { 5 };
        }
        Ok(wanted)
    }
}

/// A table with its figures.
pub(crate) struct Filled {
    table: Table,
    engine: Engine,
    /// One list for each workload, in the order of the table: a figure for each adapter that ran.
    columns: Vec<Vec<Measured>>,
}

/// Runs everything and writes the page.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    let wanted = Wanted::parse(args)?;
    let interrupt = Interrupt::listen()?;
    if wanted.python {
        python::run(wanted.rounds, wanted.quick, &interrupt)?;
        return Ok(ExitCode::SUCCESS);
    }
    if wanted.brokers {
        brokers::run(wanted.rounds, wanted.quick, &interrupt)?;
        return Ok(ExitCode::SUCCESS);
    }
    let adapters = Adapters::build(wanted.peers, &interrupt)?;
    let mut tables = Vec::new();
    for engine in &wanted.engines {
        let started = engine.start(&adapters.ottla, &interrupt)?;
        let runner = Runner {
            adapters: &adapters,
            engine: &started,
            rounds: wanted.rounds,
            quick: wanted.quick,
            interrupt: &interrupt,
        };
        let wide: &[Table] = match engine {
            Engine::Discard => &[MAIN, SPREAD, LATENCY, CURVE],
            _ => &[MAIN],
        };
        for table in wide {
            let columns = runner.fill(table)?;
            tables.push(Filled { table: *table, engine: *engine, columns });
        }
    }
    let docs = workspace::root()?.join("docs");
    page::write(&docs, &tables, &adapters.skipped, wanted.rounds)?;
    picture::write(&docs, &tables)?;
    for why in &adapters.skipped {
        eprintln!("SKIPPED: {why}");
    }
    eprintln!("{} skipped", adapters.skipped.len());
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Wanted, String> {
        Wanted::parse(&words.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_wanted_is_read_and_what_makes_no_sense_is_refused() {
        let wanted = parse("--quick --peers --engines embedded,kafka3").unwrap();
        assert!(wanted.quick && wanted.peers);
        assert_eq!(wanted.rounds, 2);
        assert_eq!(wanted.engines, [Engine::Embedded(1), Engine::Kafka(3)]);
        assert!(parse("--python").unwrap().python);
        assert_eq!(parse("--rounds 7").unwrap().rounds, 7);
        for wrong in ["--rounds", "--rounds 0", "--engines x", "--engines", "what"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
