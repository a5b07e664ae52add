//! `ottla lab`: its options.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::exit::Failure;

const DETAILS: &str = "\
Each experiment starts a cluster in this process, in a temporary folder, sends records that know
their number through the producer, lets something go wrong, and counts what is in the log then.
Nothing needs to be installed, and nothing is left behind.

  acks        the leader dies in the middle: what acks=0, 1 and all have lost then, and their price
  duplicates  answers are lost: records that are there twice without idempotence, and with it
  ordering    the broker refuses for a moment: whether records stay in order
  batching    linger.ms and batch.size: batches, latency, records per second
  keys        same key, same partition; and where records without a key go

--json prints a list of rows, or without a name one object with a list for each experiment. --html
writes the same with pictures into one file that needs no network.

Exit codes: 0 done, whatever was seen; 1 a promise of the producer was broken; 2 wrong usage;
130 interrupted.

Examples:
  ottla lab
  ottla lab acks
  ottla lab duplicates --records 10000 --seed 7 --json
  ottla lab --html lab.html";

/// The least number of records: with fewer there is nothing to be seen.
const LEAST_RECORDS: u64 = 100;
/// With more an experiment takes minutes.
const MOST_RECORDS: u64 = 100_000;

/// What can be looked at, in the order in which all of it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Experiment {
    /// Whose word makes a record delivered
    Acks,
    /// What a lost answer does
    Duplicates,
    /// What a refused request does
    Ordering,
    /// How records are put together
    Batching,
    /// Which partition a record goes to
    Keys,
}

/// Options of `ottla lab`, as typed.
#[derive(Debug, Args)]
#[command(after_help = DETAILS)]
pub(crate) struct LabArgs {
    /// The experiment [default: all, one after the other]
    #[arg(value_name = "EXPERIMENT", hide_possible_values = true)]
    experiment: Option<Experiment>,

    /// How many records each run sends, 100 to 100000
    #[arg(long, value_name = "N", default_value_t = 2000, allow_negative_numbers = true)]
    records: i64,

    /// What keys, contents and the places of faults are made from
    #[arg(long, value_name = "S", default_value_t = 1, allow_negative_numbers = true)]
    seed: u64,

    /// Print rows of JSON in place of tables
    #[arg(long)]
    json: bool,

    /// Write a page with tables and pictures
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Options of `ottla lab`, checked.
#[derive(Debug)]
pub(crate) struct LabPlan {
    /// `None` for all.
    pub(crate) experiment: Option<Experiment>,
    pub(crate) records: u64,
    pub(crate) seed: u64,
    pub(crate) json: bool,
    pub(crate) html: Option<PathBuf>,
}

impl LabArgs {
    /// Checks the options.
    pub(crate) fn resolve(self) -> Result<LabPlan, Failure> {
        let records = u64::try_from(self.records).ok();
        let records = records.filter(|records| (LEAST_RECORDS..=MOST_RECORDS).contains(records));
        let records = records.ok_or_else(|| {
            let why = match self.records {
                ..100 => "so few show nothing",
                _ => "an experiment would take minutes",
            };
            Failure::usage(format!("--records {}: {why}", self.records))
                .cure(format!("give a number from {LEAST_RECORDS} to {MOST_RECORDS}"))
        })?;
        Ok(LabPlan {
            experiment: self.experiment,
            records,
            seed: self.seed,
            json: self.json,
            html: self.html,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    fn plan(words: &[&str]) -> Result<LabPlan, String> {
        let words = ["ottla", "lab"].iter().chain(words);
        match Cli::try_parse_from(words).map_err(|error| error.to_string())?.command {
            Command::Lab(args) => args.resolve().map_err(|failure| failure.to_string()),
            _ => Err("another command".to_owned()),
        }
    }

    #[test]
    fn without_a_word_all_experiments_run_with_numbers_that_suit_them() {
        let plan = plan(&[]).unwrap();
        assert_eq!((plan.experiment, plan.records, plan.seed), (None, 2000, 1));
        assert!(!plan.json && plan.html.is_none());
    }

    #[test]
    fn an_experiment_is_named_by_its_word() {
        for experiment in Experiment::value_variants() {
            let name = experiment.to_possible_value().unwrap();
            assert_eq!(plan(&[name.get_name()]).unwrap().experiment, Some(*experiment));
        }
        let refusal = plan(&["ack"]).unwrap_err();
        assert!(refusal.contains("acks, duplicates, ordering, batching, keys"), "{refusal}");
    }

    #[test]
    fn too_few_and_too_many_records_are_refused_with_what_is_possible() {
        for wrong in ["0", "-5", "99", "100001", "9223372036854775807"] {
            let refusal = plan(&["--records", wrong]).unwrap_err();
            assert!(refusal.contains("from 100 to 100000"), "{refusal}");
        }
        for right in ["100", "100000"] {
            assert_eq!(plan(&["--records", right]).unwrap().records.to_string(), right);
        }
        assert!(plan(&["--records", "many"]).is_err() && plan(&["--seed", "-1"]).is_err());
    }
}
