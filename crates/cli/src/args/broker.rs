//! `ottla broker`: its options.

use std::path::PathBuf;

use clap::Args;

use super::access::{AccessArgs, AccessPlan};
use super::words::{self, TopicSpec};
use crate::exit::Failure;

const DETAILS: &str = "\
When clients may come, one line 'ready HOST:PORT' is printed on standard output. Ctrl-C and
SIGTERM end the broker cleanly. The data folder is Kafka's own format and outlives the broker.

Examples:
  ottla broker
  ottla broker --listen 127.0.0.1:0 --data ./log --topic user-events:6 --topic page-views:3
  ottla broker --tls-certificate broker.pem --tls-key broker.key --sasl-users users.txt";

/// Options of `ottla broker`, as typed.
#[derive(Debug, Args)]
#[command(after_help = DETAILS)]
pub(crate) struct BrokerArgs {
    /// How many brokers the cluster has; more than 1 is yet to come
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    nodes: u32,

    /// Address to listen on; with port 0 the system chooses one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9092")]
    listen: String,

    /// Data folder [default: ottla in the user's state folder]
    #[arg(long, value_name = "DIR", conflicts_with = "discard")]
    data: Option<PathBuf>,

    /// Count records and keep nothing of them, to measure how fast a producer is
    #[arg(long)]
    discard: bool,

    /// Topic to create unless it is there (repeatable)
    #[arg(long = "topic", value_name = "NAME:PARTITIONS[:REPLICAS]")]
    #[arg(value_parser = words::topic_spec)]
    topics: Vec<TopicSpec>,

    /// Create topics that clients ask for [default]
    #[arg(long, overrides_with = "no_auto_create")]
    auto_create: bool,

    /// Refuse topics that do not exist
    #[arg(long, overrides_with = "auto_create")]
    no_auto_create: bool,

    /// Partitions of topics that are created when asked for
    #[arg(long, value_name = "N", default_value_t = 3, allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(i32).range(1..=100_000))]
    default_partitions: i32,

    #[command(flatten)]
    access: AccessArgs,
}

/// Options of `ottla broker`, checked.
#[derive(Debug)]
pub(crate) struct BrokerPlan {
    pub(crate) listen: String,
    /// `None` is the folder in the user's state directory.
    pub(crate) data: Option<PathBuf>,
    /// Records are counted and forgotten.
    pub(crate) discard: bool,
    pub(crate) topics: Vec<TopicSpec>,
    pub(crate) auto_create: bool,
    pub(crate) default_partitions: i32,
    pub(crate) access: AccessPlan,
}

impl BrokerArgs {
    /// Checks the options against each other.
    pub(crate) fn resolve(self) -> Result<BrokerPlan, Failure> {
        if self.nodes != 1 {
            let asked = self.nodes;
            return Err(Failure::usage(format!(
                "--nodes {asked}: the broker runs one node for now"
            ))
            .cure("leave --nodes out; clusters of several nodes are not there yet"));
        }
        if let Some(topic) = self.topics.iter().find(|topic| topic.replicas > 1) {
            let TopicSpec { name, replicas, .. } = topic;
            return Err(Failure::usage(format!(
                "--topic {name}: {replicas} replicas need {replicas} nodes, and there is one"
            )));
        }
        let is_address = self
            .listen
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        if !is_address {
            return Err(Failure::usage(format!("--listen {}: not an address", self.listen))
                .cure("expected HOST:PORT, as in 127.0.0.1:9092, with port 0 for any free one"));
        }
        Ok(BrokerPlan {
            listen: self.listen,
            data: self.data,
            discard: self.discard,
            topics: self.topics,
            auto_create: !self.no_auto_create,
            default_partitions: self.default_partitions,
            access: self.access.resolve()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Cli, Command};
    use super::*;

    fn plan(words: &[&str]) -> Result<BrokerPlan, String> {
        let words = ["ottla", "broker"].iter().chain(words);
        let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
        match cli.command {
            Command::Broker(args) => args.resolve().map_err(|failure| failure.to_string()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn several_nodes_are_refused_for_now() {
        assert!(plan(&["--nodes", "3"]).unwrap_err().contains("one node"));
        assert!(plan(&["--nodes", "1"]).is_ok());
    }

    #[test]
    fn topics_are_created_when_asked_for_unless_told_otherwise() {
        assert!(plan(&[]).unwrap().auto_create);
        assert!(!plan(&["--no-auto-create"]).unwrap().auto_create);
        assert!(plan(&["--no-auto-create", "--auto-create"]).unwrap().auto_create);
    }

    #[test]
    fn wrong_addresses_and_replica_counts_are_named() {
        assert!(plan(&["--listen", "9092"]).unwrap_err().contains("HOST:PORT"));
        assert!(plan(&["--listen", "127.0.0.1:99999"]).is_err());
        assert!(plan(&["--topic", "a:1:3"]).unwrap_err().contains("3 replicas"));
    }
}
