//! `ottla bench`: its options, under the names of `kafka-producer-perf-test`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args};

use super::settings;
use super::target::{Target, TargetArgs};
use super::words::{self, Assignment};
use crate::exit::Failure;
use crate::properties::{Property, Settings};

const DETAILS: &str = "\
Latency is the time from when a record should have been sent to its acknowledgement: with
--throughput, a record that is sent late because others were slow counts from its own turn. The
closing line is that of kafka-producer-perf-test. Records are JSON events cut to --record-size,
1,009 different ones in turn.

Examples:
  ottla bench -b localhost:9092 --topic bench --num-records 5000000 --record-size 100
  ottla bench -b localhost:9092 --topic bench --throughput 20000 --num-records 400000 --plot bench.svg
  ottla bench --embedded --topic bench --json -X linger.ms=0";

/// Options of `ottla bench`, as typed.
#[derive(Debug, Args)]
#[command(after_help = DETAILS)]
#[command(group(ArgGroup::new("payload").args(["record_size", "payload_file", "payload_monotonic"])))]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// Topic to send the records to
    #[arg(short, long, value_parser = words::topic_name)]
    topic: String,

    /// How many records to send, those of the warm-up included
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..), allow_negative_numbers = true)]
    num_records: u64,

    /// Size of each value in bytes [default: 100]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..))]
    #[arg(allow_negative_numbers = true)]
    record_size: Option<u32>,

    /// Send what is in this file, in turn, in place of made-up events
    #[arg(long, value_name = "FILE")]
    payload_file: Option<PathBuf>,

    /// What stands between two values in the file
    #[arg(long, value_name = "DELIM", default_value = "\\n", value_parser = words::delimiter)]
    payload_delimiter: Delimiter,

    /// Send the numbers 0, 1, 2 …
    #[arg(long)]
    payload_monotonic: bool,

    /// Records per second; -1 sends as fast as they are taken
    #[arg(long, value_name = "RATE", default_value_t = -1.0, allow_negative_numbers = true)]
    throughput: f64,

    /// Records at the beginning that do not count
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    warmup_records: u64,

    /// Milliseconds between two lines that tell how far it is
    #[arg(long, value_name = "MS", default_value_t = 5000, allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    reporting_interval: u64,

    /// Threads that send
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: u32,

    /// Give each record one of N keys; 0 sends without
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    keys: u64,

    /// Compression: none, gzip, snappy, lz4 or zstd [default: the producer's, lz4]
    #[arg(short = 'z', long, value_name = "CODEC")]
    compression: Option<String>,

    /// Any setting of the producer, by its Java or librdkafka name (repeatable)
    #[arg(short = 'X', long = "property", value_name = "NAME=VALUE")]
    #[arg(value_parser = words::setting)]
    properties: Vec<Assignment>,

    /// Settings, as kafka-producer-perf-test takes them: several after one option
    #[arg(long = "command-property", alias = "producer-props", value_name = "NAME=VALUE")]
    #[arg(value_parser = words::setting, num_args = 1..)]
    command_properties: Vec<Assignment>,

    /// File of settings, in Java's or librdkafka's syntax: the place for passwords
    #[arg(short = 'F', long = "command-config", value_name = "FILE")]
    #[arg(aliases = ["producer.config", "properties-file"])]
    command_config: Option<PathBuf>,

    /// Print the producer's own counters at the end
    #[arg(long)]
    print_metrics: bool,

    /// Print one JSON object in place of lines
    #[arg(long)]
    json: bool,

    /// Draw latency and throughput
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,

    /// Not there yet
    #[arg(long, hide = true)]
    transactional_id: Option<String>,

    /// Not there yet
    #[arg(long, hide = true)]
    transaction_duration_ms: Option<String>,
}

/// A delimiter's bytes. Its own type, because clap takes a `Vec` for a repeatable option.
type Delimiter = Vec<u8>;

/// What values are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PayloadKind {
    /// Events cut to a size in bytes.
    Events(usize),
    /// The parts of a file.
    File { path: PathBuf, delimiter: Vec<u8> },
    /// Numbers.
    Monotonic,
}

/// Options of `ottla bench`, checked.
#[derive(Debug)]
pub(crate) struct BenchPlan {
    pub(crate) target: Target,
    pub(crate) timeout: Duration,
    pub(crate) topic: String,
    pub(crate) payload: PayloadKind,
    pub(crate) num_records: u64,
    pub(crate) warmup_records: u64,
    /// Records per second; `None` for as fast as they are taken.
    pub(crate) rate: Option<f64>,
    pub(crate) threads: u64,
    pub(crate) keys: u64,
    pub(crate) reporting_interval: Duration,
    /// Settings for the producer, without its servers; a name occurs once.
    pub(crate) properties: Vec<Property>,
    pub(crate) print_metrics: bool,
    pub(crate) json: bool,
    pub(crate) plot: Option<PathBuf>,
}

impl BenchArgs {
    /// Checks the options against each other and reads the file of settings.
    pub(crate) fn resolve(self) -> Result<BenchPlan, Failure> {
        if self.transactional_id.is_some() || self.transaction_duration_ms.is_some() {
            return Err(Failure::usage("transactions are not there yet")
                .cure("leave out --transactional-id and --transaction-duration-ms"));
        }
        let rate = match self.throughput {
            -1.0 => None,
            rate if rate > 0.0 && rate.is_finite() => Some(rate),
            rate => {
                return Err(Failure::usage(format!("--throughput {rate}: not a rate"))
                    .cure("expected records per second, or -1 for no limit"));
            }
        };
        if self.warmup_records >= self.num_records {
            return Err(Failure::usage(format!(
                "--warmup-records {} leaves none of --num-records {} to measure",
                self.warmup_records, self.num_records
            )));
        }
        let payload = match self.payload_file {
            Some(path) => PayloadKind::File { path, delimiter: self.payload_delimiter },
            None if self.payload_monotonic => PayloadKind::Monotonic,
            None => PayloadKind::Events(self.record_size.unwrap_or(100) as usize),
        };
        let mut settings = Settings::default();
        settings::add_file(&mut settings, self.command_config.as_deref())?;
        settings::add(&mut settings, &self.command_properties)?;
        if let Some(value) = self.compression {
            settings.set(Property { name: "compression.type".to_owned(), value, place: None });
        }
        settings::add(&mut settings, &self.properties)?;
        let target = settings::target(&self.target, &mut settings)?;
        Ok(BenchPlan {
            target,
            timeout: self.target.timeout(),
            topic: self.topic,
            payload,
            num_records: self.num_records,
            warmup_records: self.warmup_records,
            rate,
            threads: u64::from(self.threads),
            keys: self.keys,
            reporting_interval: Duration::from_millis(self.reporting_interval),
            properties: settings.list,
            print_metrics: self.print_metrics,
            json: self.json,
            plot: self.plot,
        })
    }
}
