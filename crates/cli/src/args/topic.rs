//! `ottla topic`: its options.

use clap::{Args, Subcommand};

use super::settings::SettingsArgs;
use super::target::TargetArgs;
use super::words;

/// Options of `ottla topic`, as typed.
#[derive(Debug, Args)]
pub(crate) struct TopicArgs {
    #[command(subcommand)]
    pub(crate) action: TopicAction,
}

/// What to do with a topic.
#[derive(Debug, Subcommand)]
pub(crate) enum TopicAction {
    /// Create a topic
    Create(CreateArgs),
    /// List the topics of a cluster
    List(ListArgs),
    /// Show a topic's partitions, offsets and settings
    Describe(DescribeArgs),
    /// Delete a topic and all its records
    Delete(DeleteArgs),
}

/// Options of `ottla topic create`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ottla topic create user-events --partitions 6 --config retention.ms=86400000 -b localhost:9092")]
pub(crate) struct CreateArgs {
    /// Name of the topic
    #[arg(value_parser = words::topic_name)]
    pub(crate) name: String,

    /// How many partitions it has [default: the cluster's]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) partitions: Option<i32>,

    /// How many brokers keep each partition [default: the cluster's]
    #[arg(long, value_name = "R", alias = "replication-factor", allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(i16).range(1..))]
    pub(crate) replication: Option<i16>,

    /// Setting of the topic, as in retention.ms=86400000 (repeatable)
    #[arg(long = "config", value_name = "NAME=VALUE", value_parser = words::assignment)]
    pub(crate) configs: Vec<(String, String)>,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Options of `ottla topic list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Show the cluster's own topics too
    #[arg(long)]
    pub(crate) internal: bool,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Options of `ottla topic describe`.
#[derive(Debug, Args)]
pub(crate) struct DescribeArgs {
    /// Name of the topic
    #[arg(value_parser = words::topic_name)]
    pub(crate) name: String,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Options of `ottla topic delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// Name of the topic
    #[arg(value_parser = words::topic_name)]
    pub(crate) name: String,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Options of all of them.
#[derive(Debug, Args)]
pub(crate) struct CommonArgs {
    #[command(flatten)]
    pub(crate) target: TargetArgs,

    #[command(flatten)]
    pub(crate) settings: SettingsArgs,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
