//! `ottla broker`: its options.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use ottla_broker::Fault;

use super::access::{AccessArgs, AccessPlan};
use super::words::{self, TopicSpec};
use crate::exit::Failure;

const DETAILS: &str = "\
When clients may come, one line 'ready HOST:PORT,…' is printed on standard output, and with
--control another, 'control http://HOST:PORT'. Ctrl-C and SIGTERM end the broker cleanly. The data
folder is Kafka's own format and outlives the broker.

Examples:
  ottla broker
  ottla broker --listen 127.0.0.1:0 --data ./log --topic user-events:6 --topic page-views:3
  ottla broker --nodes 3 --min-insync-replicas 2 --topic payments:6:3
  ottla broker --nodes 3 --control 127.0.0.1:0 --random-outages 5 --random-faults 100 --seed 7
  ottla broker --fault 'api=Produce topic=t drop=response after=10'
  ottla broker --tls-certificate broker.pem --tls-key broker.key --sasl-users users.txt";

/// Options of `ottla broker`, as typed.
#[derive(Debug, Args)]
#[command(after_help = DETAILS)]
pub(crate) struct BrokerArgs {
    /// How many brokers the cluster has; each listens on a port of its own
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100))]
    nodes: u32,

    /// Address to listen on, the first of several; with port 0 the system chooses each
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9092")]
    listen: String,

    /// Address that clients are told, with the ports after it for other nodes [default: the one
    /// that they connected to, or the name in --listen]
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<String>,

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

    /// Replicas of topics that do not say [default: 3, or as many as there are brokers]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    default_replication: Option<i32>,

    /// In-sync replicas that acks=all needs, in topics that do not say
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(i32).range(1..))]
    min_insync_replicas: i32,

    /// Racks of the brokers in their order; fewer go round
    #[arg(long, value_name = "RACK,…", value_delimiter = ',')]
    racks: Vec<String>,

    /// What consumers read: the leader, or a replica in their rack that it sends them to
    #[arg(long, value_name = "WHICH", value_enum, default_value_t = ReplicaSelector::Leader)]
    replica_selector: ReplicaSelector,

    #[command(flatten)]
    trouble: TroubleArgs,

    #[command(flatten)]
    access: AccessArgs,
}

/// Which replica consumers are to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ReplicaSelector {
    /// The leader.
    Leader,
    /// One in the consumer's rack (KIP-392).
    RackAware,
}

/// What goes wrong on purpose.
#[derive(Debug, Args)]
#[command(next_help_heading = "Trouble")]
struct TroubleArgs {
    /// Address of the control port, by which tests in any language make things go wrong and look
    /// at what was asked; 'ottla control' speaks to it
    #[arg(long, value_name = "HOST:PORT")]
    control: Option<String>,

    /// A fault, as in 'api=Produce error=NOT_LEADER_OR_FOLLOWER times=3' (repeatable)
    #[arg(long = "fault", value_name = "NAME=VALUE …")]
    faults: Vec<Fault>,

    /// About one request in N meets a fault by chance
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    random_faults: Option<u32>,

    /// Every so many seconds another node is killed, stopped, cut off, …, and the last one is well
    #[arg(long, value_name = "SECONDS", value_parser = words::seconds)]
    random_outages: Option<Duration>,

    /// What chance begins with, to have the same again [default: random, and told]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

/// What goes wrong on purpose, checked.
#[derive(Debug)]
pub(crate) struct TroublePlan {
    pub(crate) control: Option<String>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) random_faults: Option<u32>,
    pub(crate) random_outages: Option<Duration>,
    pub(crate) seed: Option<u64>,
}

/// Options of `ottla broker`, checked.
#[derive(Debug)]
pub(crate) struct BrokerPlan {
    pub(crate) listen: String,
    /// Host and port that clients are told for the first node.
    pub(crate) advertised: Option<(String, u16)>,
    /// `None` is the folder in the user's state directory.
    pub(crate) data: Option<PathBuf>,
    /// Records are counted and forgotten.
    pub(crate) discard: bool,
    pub(crate) topics: Vec<TopicSpec>,
    pub(crate) auto_create: bool,
    pub(crate) default_partitions: i32,
    pub(crate) nodes: u32,
    /// `None` is what the broker takes by itself.
    pub(crate) default_replication: Option<i32>,
    pub(crate) min_insync_replicas: i32,
    pub(crate) racks: Vec<String>,
    pub(crate) replica_selector: ReplicaSelector,
    pub(crate) trouble: TroublePlan,
    pub(crate) access: AccessPlan,
}

impl BrokerArgs {
    /// Checks the options against each other.
    pub(crate) fn resolve(self) -> Result<BrokerPlan, Failure> {
        let nodes = self.nodes;
        let too_many = |replicas: i64| replicas > i64::from(nodes);
        if let Some(TopicSpec { name, replicas, .. }) =
            self.topics.iter().find(|topic| too_many(topic.replicas.unwrap_or(1).into()))
        {
            let replicas = replicas.unwrap_or(1);
            return Err(Failure::usage(format!(
                "--topic {name}: {replicas} replicas need {replicas} nodes, and there are {nodes}"
            ))
            .cure(format!("add --nodes {replicas}")));
        }
        if let Some(replicas) = self.default_replication
            && (replicas < 1 || too_many(replicas.into()))
        {
            return Err(Failure::usage(format!(
                "--default-replication {replicas}: it must lie between 1 and the {nodes} of --nodes"
            )));
        }
        if self.discard && nodes > 1 {
            return Err(Failure::usage(
                "--discard with several nodes: nothing is kept that could be replicated",
            ));
        }
        if self.racks.len() > nodes as usize || self.racks.iter().any(String::is_empty) {
            return Err(Failure::usage(format!(
                "--racks {}: racks have names, and {nodes} brokers are in {nodes} at most",
                self.racks.join(",")
            )));
        }
        check_address("--listen", &self.listen)?;
        let advertised =
            self.advertise.as_deref().map(|address| match check_address("--advertise", address)? {
                (_, 0) => {
                    Err(Failure::usage(format!("--advertise {address}: clients need a port")))
                }
                advertised => Ok(advertised),
            });
        Ok(BrokerPlan {
            listen: self.listen,
            advertised: advertised.transpose()?,
            data: self.data,
            discard: self.discard,
            topics: self.topics,
            auto_create: !self.no_auto_create,
            default_partitions: self.default_partitions,
            nodes,
            default_replication: self.default_replication,
            min_insync_replicas: self.min_insync_replicas,
            racks: self.racks,
            replica_selector: self.replica_selector,
            trouble: self.trouble.resolve()?,
            access: self.access.resolve()?,
        })
    }
}

impl TroubleArgs {
    fn resolve(self) -> Result<TroublePlan, Failure> {
        if let Some(address) = &self.control {
            check_address("--control", address)?;
        }
        Ok(TroublePlan {
            control: self.control,
            faults: self.faults,
            random_faults: self.random_faults,
            random_outages: self.random_outages,
            seed: self.seed,
        })
    }
}

fn check_address(option: &str, address: &str) -> Result<(String, u16), Failure> {
    words::host_and_port(address).map_err(|_| {
        Failure::usage(format!("{option} {address}: not an address"))
            .cure("expected HOST:PORT, as in 127.0.0.1:9092, with port 0 for any free one")
    })
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
    fn racks_are_those_of_brokers_in_their_order() {
        let args = ["--nodes", "3", "--racks", "a,b", "--replica-selector", "rack-aware"];
        let resolved = plan(&args).unwrap();
        assert_eq!(resolved.racks, ["a", "b"]);
        assert_eq!(resolved.replica_selector, ReplicaSelector::RackAware);
        assert_eq!(plan(&[]).unwrap().replica_selector, ReplicaSelector::Leader);
        for wrong in ["a,b,c,d", "a,", ""] {
            let error = plan(&["--nodes", "3", "--racks", wrong]).unwrap_err();
            assert!(error.contains("--racks"), "{error}");
        }
    }

    #[test]
    fn nodes_that_cannot_be_had_are_named() {
        assert_eq!(plan(&["--nodes", "3"]).unwrap().nodes, 3);
        for wrong in [&["--nodes", "0"][..], &["--nodes", "101"], &["--nodes", "-1"]] {
            assert!(plan(wrong).is_err(), "{wrong:?}");
        }
        assert!(plan(&["--nodes", "2", "--discard"]).unwrap_err().contains("--discard"));
        let error = plan(&["--nodes", "2", "--default-replication", "3"]).unwrap_err();
        assert!(error.contains("--default-replication 3"), "{error}");
        assert!(plan(&["--nodes", "3", "--topic", "a:1:3"]).is_ok());
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
        let told = plan(&["--advertise", "broker.local:9092"]).unwrap().advertised;
        assert_eq!(told, Some(("broker.local".to_owned(), 9092)));
        assert!(plan(&["--advertise", "broker.local"]).unwrap_err().contains("HOST:PORT"));
        assert!(plan(&["--advertise", "broker.local:0"]).unwrap_err().contains("need a port"));
        assert!(plan(&["--topic", "a:1:3"]).unwrap_err().contains("3 replicas"));
    }
}
