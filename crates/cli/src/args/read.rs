//! `ottla read`: its options.

use std::time::Duration;

use clap::Args;

use super::produce::Format;
use super::settings::{self, SettingsArgs};
use super::target::{Target, TargetArgs};
use super::words;
use crate::exit::Failure;
use crate::properties::Property;

const DETAILS: &str = "\
With --format lines each value is printed with a newline after it, a null value as an empty line.
With --format ndjson each record is an object that 'ottla produce --format ndjson' turns back into
the same record, byte for byte: bytes that are not UTF-8 text are in key_base64, value_base64 and
{\"base64\": \"…\"}. Records of one partition come in order; partitions are merged as they arrive.

Examples:
  ottla read --embedded -t user-events -e
  ottla read -b localhost:9092 -t user-events -o -10 -e --format ndjson
  ottla read -b localhost:9092 -t user-events -p 3 -o 1000 -c 50 -K '\\t'";

/// Options of `ottla read`, as typed.
#[derive(Debug, Args)]
#[command(after_help = DETAILS)]
pub(crate) struct ReadArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// Topic to read
    #[arg(short, long, value_parser = words::topic_name)]
    topic: String,

    /// How records are printed
    #[arg(long, value_enum, default_value = "lines")]
    format: Format,

    /// Stop at the present end of the topic instead of waiting for more
    #[arg(short = 'e', long)]
    exit_at_end: bool,

    /// Only this partition (repeatable, or 0,1,2) [default: all]
    #[arg(short, long, value_name = "N", value_delimiter = ',', allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(i32).range(0..))]
    partition: Vec<i32>,

    /// Where to begin: beginning, end, an offset N, or -N for the last N of each partition
    #[arg(short = 'o', long, value_name = "OFFSET", default_value = "beginning")]
    #[arg(allow_hyphen_values = true, value_parser = start)]
    offset: Start,

    /// Stop after N records
    #[arg(short, long, value_name = "N", allow_negative_numbers = true)]
    count: Option<u64>,

    /// In lines: print the key and this before the value; \t, \xNN and the like are known
    #[arg(short = 'K', long, value_name = "DELIM", allow_hyphen_values = true)]
    #[arg(value_parser = words::delimiter)]
    key_delimiter: Option<Delimiter>,

    /// In lines: what is printed after a record instead of a newline
    #[arg(short = 'D', long, value_name = "DELIM", allow_hyphen_values = true)]
    #[arg(value_parser = words::delimiter)]
    delimiter: Option<Delimiter>,

    #[command(flatten)]
    settings: SettingsArgs,

    /// kcat's: consume (this command always does)
    #[arg(short = 'C', hide = true)]
    kcat_consume: bool,

    /// kcat's: print JSON; the same as --format ndjson
    #[arg(short = 'J', hide = true)]
    kcat_json: bool,
}

/// A delimiter's bytes. Its own type, because clap takes a `Vec` for a repeatable option.
type Delimiter = Vec<u8>;

/// Where in each partition reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    Beginning,
    End,
    Offset(i64),
    /// So many records before the end.
    Last(i64),
}

fn start(text: &str) -> Result<Start, String> {
    let wrong = || "expected beginning, end, an offset N, or -N for the last N".to_owned();
    match text {
        "beginning" | "earliest" | "start" => Ok(Start::Beginning),
        "end" | "latest" => Ok(Start::End),
        _ => match text.strip_prefix('-') {
            Some(number) => number.parse::<u32>().map(|n| Start::Last(n.into())),
            None => text.parse::<u64>().map(|n| Start::Offset(n.min(i64::MAX as u64) as i64)),
        }
        .map_err(|_| wrong()),
    }
}

/// Options of `ottla read`, checked.
#[derive(Debug)]
pub(crate) struct ReadPlan {
    pub(crate) target: Target,
    pub(crate) timeout: Duration,
    pub(crate) topic: String,
    /// `None` for all.
    pub(crate) partitions: Option<Vec<i32>>,
    pub(crate) start: Start,
    pub(crate) exit_at_end: bool,
    pub(crate) limit: Option<u64>,
    pub(crate) style: Style,
    /// Settings, without the servers; a name occurs once.
    pub(crate) properties: Vec<Property>,
}

/// How records are printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Style {
    Lines { delimiter: Vec<u8>, key_delimiter: Option<Vec<u8>> },
    Ndjson,
}

impl ReadArgs {
    /// Checks the options against each other.
    pub(crate) fn resolve(mut self) -> Result<ReadPlan, Failure> {
        self.partition.sort_unstable();
        self.partition.dedup();
        let style = if self.kcat_json || self.format == Format::Ndjson {
            Style::Ndjson
        } else {
            Style::Lines {
                delimiter: self.delimiter.unwrap_or_else(|| b"\n".to_vec()),
                key_delimiter: self.key_delimiter,
            }
        };
        let mut settings = self.settings.read(None)?;
        Ok(ReadPlan {
            target: settings::target(&self.target, &mut settings)?,
            properties: settings.list,
            timeout: self.target.timeout(),
            topic: self.topic,
            partitions: Some(self.partition).filter(|list| !list.is_empty()),
            start: self.offset,
            exit_at_end: self.exit_at_end,
            limit: self.count,
            style,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Cli, Command};
    use super::*;

    fn plan(words: &[&str]) -> Result<ReadPlan, String> {
        let words = ["ottla", "read", "-b", "a", "-t", "x"].iter().chain(words);
        let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
        match cli.command {
            Command::Read(args) => args.resolve().map_err(|failure| failure.to_string()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn offsets_are_words_numbers_or_counted_from_the_end() {
        assert_eq!(plan(&[]).unwrap().start, Start::Beginning);
        assert_eq!(plan(&["-o", "end"]).unwrap().start, Start::End);
        assert_eq!(plan(&["-o", "17"]).unwrap().start, Start::Offset(17));
        assert_eq!(plan(&["-o", "-5"]).unwrap().start, Start::Last(5));
        assert_eq!(plan(&["-o-5"]).unwrap().start, Start::Last(5));
        assert!(plan(&["-o", "stored"]).unwrap_err().contains("-N"));
        assert!(plan(&["-o", "--5"]).is_err());
    }

    #[test]
    fn partitions_are_a_list_without_repeats() {
        let plan = plan(&["-p", "2,0", "-p", "2"]).unwrap();
        assert_eq!(plan.partitions, Some(vec![0, 2]));
    }

    #[test]
    fn a_negative_partition_is_refused() {
        for words in [&["-p=-3"][..], &["-p", "-3"]] {
            let error = plan(words).unwrap_err();
            assert!(error.contains("-3 is not in 0.."), "{error}");
        }
    }
}
