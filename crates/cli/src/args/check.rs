//! `ottla check`: its options.

use std::time::Duration;

use clap::Args;

use super::settings::{self, SettingsArgs};
use super::target::{Target, TargetArgs};
use super::words;
use crate::exit::Failure;
use crate::properties::Property;

const DETAILS: &str = "\
Goes the way that a producer with these settings goes, and tells of each step what was seen, and
of what is wrong how to cure it: resolving names, TCP, TLS with the days that certificates have
left, versions, SASL, the cluster, every broker by the address that it advertises. For each topic:
leaders and in-sync replicas, permissions, sizes, and in plain words what would be lost if a leader
died. Nothing is written or changed. Each step takes --timeout at most.

--json prints one object: ok, exit_code, bootstrap_servers, security_protocol, acks, counts, and
steps, each with step, about, status (ok, warning, failed, skipped), seen, cure and data.
docs/check.md has all names.

Exit codes: that of the first step that failed. 0 all well, though there may be warnings; 1 a topic,
a permission or the durability; 2 usage or configuration, such as a refused password or certificate;
3 not reachable. With --strict a warning counts as 1.

Examples:
  ottla check -b localhost:9092 -t user-events
  ottla check -b broker1:9093 -F client.properties -t user-events -t page-views
  ottla check -b broker1:9093 -F client.properties -X acks=1 -t user-events --json";

/// Options of `ottla check`, as typed.
#[derive(Debug, Args)]
#[command(after_help = DETAILS)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// Topic to look at (repeatable) [default: only the cluster]
    #[arg(short, long, value_name = "TOPIC", value_parser = words::topic_name)]
    topic: Vec<String>,

    #[command(flatten)]
    settings: SettingsArgs,

    /// Let warnings count: end with 1 if there are any
    #[arg(long)]
    strict: bool,

    /// Print one JSON object in place of a table
    #[arg(long)]
    json: bool,
}

/// Options of `ottla check`, checked.
#[derive(Debug)]
pub(crate) struct CheckPlan {
    pub(crate) target: Target,
    /// For each step.
    pub(crate) timeout: Duration,
    /// Each once.
    pub(crate) topics: Vec<String>,
    /// Settings, without the servers; a name occurs once.
    pub(crate) properties: Vec<Property>,
    pub(crate) strict: bool,
    pub(crate) json: bool,
}

impl CheckArgs {
    /// Checks the options and reads the file of settings.
    pub(crate) fn resolve(self) -> Result<CheckPlan, Failure> {
        let mut settings = self.settings.read(None)?;
        let mut topics: Vec<String> = Vec::new();
        for topic in self.topic {
            if !topics.contains(&topic) {
                topics.push(topic);
            }
        }
        Ok(CheckPlan {
            target: settings::target(&self.target, &mut settings)?,
            timeout: self.target.timeout(),
            topics,
            properties: settings.list,
            strict: self.strict,
            json: self.json,
        })
    }
}
