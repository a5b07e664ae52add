//! `ottla verifiable-producer`: the options of Kafka's own tool of that name.

use std::path::PathBuf;

use clap::Args;

use super::settings;
use super::target::{self, Target};
use super::words::{self, Assignment};
use crate::exit::Failure;
use crate::properties::{Property, Settings};

const DETAILS: &str = "\
Values are the numbers from 0 on. Standard output has a line of JSON for the start, for the outcome
of each record and for the end, as Kafka's system tests read them: startup_complete,
producer_send_success, producer_send_error, shutdown_complete, tool_data. Ctrl-C and SIGTERM end it
in order. Other than Kafka's tool, it sends again what was not acknowledged, unless the
configuration says otherwise.

Examples:
  ottla verifiable-producer --bootstrap-server localhost:9092 --topic t --max-messages 1000
  ottla verifiable-producer --broker-list localhost:9092 --topic t --throughput 100 --acks 1";

/// Options of `ottla verifiable-producer`, as typed.
#[derive(Debug, Args)]
#[command(after_help = DETAILS)]
pub(crate) struct VerifiableArgs {
    /// Servers to begin with: HOST:PORT, several with commas
    #[arg(short, long, value_name = "SERVERS", required = true)]
    #[arg(visible_alias = "broker-list", alias = "bootstrap-servers")]
    bootstrap_server: String,

    /// Topic to send the records to
    #[arg(short, long, value_parser = words::topic_name)]
    topic: String,

    /// How many records to send; -1 sends until it is ended
    #[arg(long, value_name = "N", default_value_t = -1, allow_negative_numbers = true)]
    max_messages: i64,

    /// Records per second; -1 sends as fast as they are taken, 0 stops behind the second
    #[arg(long, value_name = "RATE", default_value_t = -1, allow_negative_numbers = true)]
    throughput: i64,

    /// Who has to have a record: 0, 1, or -1 for all replicas in sync
    #[arg(long, default_value = "-1", allow_negative_numbers = true)]
    #[arg(value_parser = ["0", "1", "-1", "all"])]
    acks: String,

    /// File of settings, which come before the options: the place for passwords
    #[arg(short = 'F', long, value_name = "FILE", visible_alias = "producer.config")]
    #[arg(alias = "properties-file")]
    command_config: Option<PathBuf>,

    /// Any setting of the producer, by its Java or librdkafka name (repeatable)
    #[arg(short = 'X', long = "property", value_name = "NAME=VALUE")]
    #[arg(value_parser = words::setting)]
    properties: Vec<Assignment>,

    /// Timestamp of the first record, in milliseconds since 1970; -1 takes the clock's
    #[arg(long, value_name = "MS", default_value_t = -1, allow_negative_numbers = true)]
    message_create_time: i64,

    /// A number to stand before each value, with a dot between
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    value_prefix: Option<i32>,

    /// Give records the keys 0, 1 … N-1 in turn
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    repeating_keys: Option<i32>,
}

/// Options of `ottla verifiable-producer`, checked.
#[derive(Debug)]
pub(crate) struct VerifiablePlan {
    /// As `host:port[,…]`.
    pub(crate) servers: String,
    pub(crate) topic: String,
    /// `None` for no end.
    pub(crate) max_messages: Option<u64>,
    /// Records per second, below 0 for no limit.
    pub(crate) throughput: i64,
    /// Settings for the producer, without its servers; a name occurs once.
    pub(crate) properties: Vec<Property>,
    pub(crate) create_time_ms: Option<i64>,
    pub(crate) value_prefix: Option<i32>,
    pub(crate) repeating_keys: Option<i32>,
}

impl VerifiableArgs {
    /// Checks the options and reads the file of settings.
    pub(crate) fn resolve(self) -> Result<VerifiablePlan, Failure> {
        let mut settings = Settings::default();
        settings.set(Property { name: "acks".to_owned(), value: self.acks, place: None });
        settings::add_file(&mut settings, self.command_config.as_deref())?;
        settings::add(&mut settings, &self.properties)?;
        let configured = settings.take_servers();
        let (servers, place) = match &configured {
            Some(property) => (&property.value, property.place.as_deref()),
            None => (&self.bootstrap_server, None),
        };
        let target = target::servers_of(servers).map_err(|failure| failure.at(place))?;
        let Target::Servers(servers) = target else {
            return Err(Failure::usage("no cluster was named"));
        };
        Ok(VerifiablePlan {
            servers,
            topic: self.topic,
            max_messages: u64::try_from(self.max_messages).ok(),
            throughput: self.throughput,
            properties: settings.list,
            create_time_ms: Some(self.message_create_time).filter(|time| *time != -1),
            value_prefix: self.value_prefix,
            repeating_keys: self.repeating_keys,
        })
    }
}
