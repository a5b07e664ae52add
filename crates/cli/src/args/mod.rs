//! The command line: what may be typed, and the checks that need no cluster.
//!
//! Each command has two types. The one that clap fills holds words as typed; its `resolve` gives
//! the other, in which everything that can be checked without a server has been checked.

pub(crate) mod access;
pub(crate) mod bench;
pub(crate) mod broker;
pub(crate) mod check;
pub(crate) mod control;
pub(crate) mod lab;
pub(crate) mod produce;
pub(crate) mod read;
pub(crate) mod settings;
pub(crate) mod target;
pub(crate) mod topic;
pub(crate) mod verifiable;
pub(crate) mod words;

use clap::{ArgAction, Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  ottla produce --embedded examples/data/events.ndjson
  ottla read --embedded -t user-events -e --format ndjson
  ottla produce -b localhost:9092 -t user-events -K : -H source=shell < events.txt
  ottla broker --listen 127.0.0.1:9092 --topic user-events:6
  ottla bench -b localhost:9092 --topic bench --num-records 1000000 --record-size 100
  ottla topic create page-views --partitions 12 -b localhost:9092
  ottla check -b broker1:9093 -F client.properties -t user-events
  ottla lab acks

Settings, those of TLS and SASL too, go behind -X NAME=VALUE or into a file behind -F, under Java's
or librdkafka's names. Whoever may list processes sees the command line: passwords belong into the
file. No environment variable and no other file is looked at for them.

Exit codes: 0 all done, 1 some record failed, 2 wrong usage or configuration (a password that the
            cluster refuses is one), 3 cluster unreachable, 130 interrupted.";

/// Send records to Apache Kafka and look at what arrived; or run a small broker of the same kind.
#[derive(Debug, Parser)]
#[command(name = "ottla", version, after_help = EXAMPLES, max_term_width = 100)]
#[command(propagate_version = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Say only what went wrong
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "verbose")]
    #[arg(display_order = 900)]
    pub(crate) quiet: u8,

    /// Say more: for produce, where each record went
    #[arg(short, long, global = true, action = ArgAction::Count, display_order = 900)]
    pub(crate) verbose: u8,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send records read from files or standard input
    Produce(Box<produce::ProduceArgs>),
    /// Print the records of a topic
    Read(Box<read::ReadArgs>),
    /// Measure how fast records are taken, and how soon they are delivered
    Bench(Box<bench::BenchArgs>),
    /// Run a broker on this machine that any Kafka client can use
    Broker(Box<broker::BrokerArgs>),
    /// Make things go wrong in a broker that was started with --control
    Control(control::ControlArgs),
    /// Create, list, describe and delete topics
    Topic(topic::TopicArgs),
    /// Look at a cluster and a topic the way a producer would, and say what is wrong with them
    Check(check::CheckArgs),
    /// Show by experiment what settings of a producer are worth
    Lab(lab::LabArgs),
    /// Send numbers and tell of each what became of it, as Kafka's system tests want it
    VerifiableProducer(verifiable::VerifiableArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn quiet_and_verbose_may_follow_the_command() {
        let cli = Cli::try_parse_from(["ottla", "topic", "list", "-b", "a:1", "-v"]).unwrap();
        assert_eq!((cli.quiet, cli.verbose), (0, 1));
    }
}
