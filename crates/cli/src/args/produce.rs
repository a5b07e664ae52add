//! `ottla produce`: its options.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::settings::{self, SettingsArgs};
use super::target::{Target, TargetArgs};
use super::words::{self, HeaderArg, Input};
use crate::exit::Failure;
use crate::properties::Property;

const DETAILS: &str = "\
Lines: a line without its end is a value, byte for byte; a carriage return belongs to it. Lines
with nothing in them are skipped, as kcat does. With -K the part before the delimiter is the key.

NDJSON: one object on each line,
  {\"topic\": \"user-events\", \"key\": \"alice\", \"value\": {\"event\": \"signed_in\"},
   \"partition\": 3, \"headers\": {\"trace\": \"a1\"}, \"timestamp\": \"2025-03-01T08:15:00Z\"}
of which only the value is required. Key and value are a string, null, or any JSON, which is sent
as it stands without blanks; bytes go in key_base64 and value_base64. Headers are an object or a
list of pairs [[\"name\", \"value\"], …]; a header's value is a string, null, or
{\"base64\": \"…\"}; a number, true and false are taken as their text. The timestamp is
milliseconds since 1970 or RFC 3339; null and -1 are none: the time of sending counts. The output
of 'kcat -J' and 'ottla read --format ndjson' is understood; what a line says comes before options.

Examples:
  ottla produce --embedded examples/data/events.ndjson
  printf 'alice:signed_in\\n' | ottla produce -b localhost:9092 -t user-events -K :
  ottla produce -b localhost:9092 -t user-events --failed-out failed.ndjson events.ndjson
  ottla read -b old:9092 -t clicks -e --format ndjson | ottla produce -b new:9092 --format ndjson

Ctrl-C stops reading, waits a moment for what was sent, says what was delivered and what was not,
and ends with 130; a second Ctrl-C ends at once.";

/// Options of `ottla produce`, as typed.
#[derive(Debug, Args)]
#[command(after_help = DETAILS)]
pub(crate) struct ProduceArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// Topic of records that do not name their own
    #[arg(short, long, value_parser = words::topic_name)]
    topic: Option<String>,

    /// How the input is to be read [default: ndjson for files named .ndjson or .jsonl, else lines]
    #[arg(long, value_enum)]
    format: Option<Format>,

    /// Key of records that have none
    #[arg(short, long, allow_hyphen_values = true)]
    key: Option<OsString>,

    /// In lines: what stands between key and value; \t, \xNN and the like are known
    #[arg(short = 'K', long, value_name = "DELIM", allow_hyphen_values = true)]
    #[arg(value_parser = words::delimiter)]
    key_delimiter: Option<Delimiter>,

    /// In lines: what ends a record instead of a newline
    #[arg(short = 'D', long, value_name = "DELIM", allow_hyphen_values = true)]
    #[arg(value_parser = words::delimiter)]
    delimiter: Option<Delimiter>,

    /// Partition of records that name none; -1 lets the partitioner choose
    #[arg(short, long, value_name = "N", allow_hyphen_values = true)]
    #[arg(value_parser = words::partition)]
    partition: Option<i32>,

    /// Header to add to each record, before its own; without = its value is null (repeatable)
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE", value_parser = words::header)]
    headers: Vec<HeaderArg>,

    /// Compression: none, gzip, snappy, lz4 or zstd [default: the producer's, lz4]
    #[arg(short = 'z', long, value_name = "CODEC")]
    compression: Option<String>,

    #[command(flatten)]
    settings: SettingsArgs,

    /// In lines: send an empty value as null (a tombstone), and an empty key as none
    #[arg(short = 'Z', long)]
    null_empty: bool,

    /// Stop after N records
    #[arg(short, long, value_name = "N", allow_negative_numbers = true)]
    count: Option<u64>,

    /// Stop at the first record that fails
    #[arg(long)]
    strict: bool,

    /// Append the input of every record that failed to this file, unchanged
    #[arg(long, value_name = "FILE")]
    failed_out: Option<PathBuf>,

    /// In NDJSON: fields to leave out of account, as in --ignore topic,partition
    #[arg(long, value_name = "FIELDS", value_enum, value_delimiter = ',')]
    ignore: Vec<IgnoredField>,

    /// Print the summary as one JSON object on standard output
    #[arg(long)]
    json: bool,

    /// kcat's: produce (this command always does)
    #[arg(short = 'P', hide = true)]
    kcat_produce: bool,

    /// kcat's: read files line by line (this command always does)
    #[arg(short = 'l', hide = true)]
    kcat_lines: bool,

    /// Files to read; - is standard input, which is also the default
    #[arg(value_name = "FILE")]
    files: Vec<OsString>,
}

/// A delimiter's bytes. Its own type, because clap takes a `Vec` for a repeatable option.
type Delimiter = Vec<u8>;

/// How records are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A line is a value, or a key and a value
    Lines,
    /// A line is a JSON object with the fields of a record
    #[value(alias = "jsonl", alias = "json")]
    Ndjson,
}

impl Format {
    /// The format that a file's name speaks for.
    fn guess(path: &Path) -> Self {
        let known = |extension: &std::ffi::OsStr| {
            extension.eq_ignore_ascii_case("ndjson") || extension.eq_ignore_ascii_case("jsonl")
        };
        if path.extension().is_some_and(known) { Self::Ndjson } else { Self::Lines }
    }
}

/// A field of the NDJSON envelope that can be left out of account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum IgnoredField {
    Topic,
    Partition,
    Key,
    Headers,
    Timestamp,
}

/// What records get that do not say otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Defaults {
    pub(crate) topic: Option<String>,
    pub(crate) partition: Option<i32>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) headers: Vec<HeaderArg>,
}

/// How lines are taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LineRules {
    /// What ends a record.
    pub(crate) delimiter: Vec<u8>,
    /// What ends its key.
    pub(crate) key_delimiter: Option<Vec<u8>>,
    /// Whether an empty value is a tombstone, and an empty key none.
    pub(crate) null_empty: bool,
}

/// One source of records and how to read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) input: Input,
    pub(crate) format: Format,
}

/// Options of `ottla produce`, checked.
#[derive(Debug)]
pub(crate) struct ProducePlan {
    pub(crate) target: Target,
    pub(crate) timeout: Duration,
    pub(crate) sources: Vec<Source>,
    pub(crate) defaults: Defaults,
    pub(crate) rules: LineRules,
    pub(crate) ignore: Vec<IgnoredField>,
    /// Settings for the producer, without its servers; a name occurs once.
    pub(crate) properties: Vec<Property>,
    pub(crate) limit: Option<u64>,
    pub(crate) strict: bool,
    pub(crate) failed_out: Option<PathBuf>,
    pub(crate) json: bool,
}

impl ProduceArgs {
    /// Checks the options against each other and reads the file of settings.
    pub(crate) fn resolve(self) -> Result<ProducePlan, Failure> {
        let codec = self.compression.map(|codec| Property {
            name: "compression.type".to_owned(),
            value: codec,
            place: None,
        });
        let mut properties = self.settings.read(codec)?;
        let target = settings::target(&self.target, &mut properties)?;
        let sources = sources(&self.files, self.format);
        let lines = sources.iter().all(|source| source.format == Format::Lines);
        if self.topic.is_none() && lines {
            return Err(Failure::usage("no topic was named")
                .cure("give one with -t TOPIC; with --format ndjson each line can name its own"));
        }
        Ok(ProducePlan {
            target,
            timeout: self.target.timeout(),
            sources,
            defaults: Defaults {
                topic: self.topic,
                partition: self.partition.filter(|partition| *partition >= 0),
                key: self.key.map(OsString::into_encoded_bytes),
                headers: self.headers,
            },
            rules: LineRules {
                delimiter: self.delimiter.unwrap_or_else(|| b"\n".to_vec()),
                key_delimiter: self.key_delimiter,
                null_empty: self.null_empty,
            },
            ignore: self.ignore,
            properties: properties.list,
            limit: self.count,
            strict: self.strict,
            failed_out: self.failed_out,
            json: self.json,
        })
    }
}

fn sources(files: &[OsString], format: Option<Format>) -> Vec<Source> {
    let mut inputs: Vec<Input> = files.iter().map(|word| Input::from(word.as_os_str())).collect();
    if inputs.is_empty() {
        inputs.push(Input::Stdin);
    }
    let source = |input: Input| {
        let guessed = match &input {
            Input::Stdin => Format::Lines,
            Input::File(path) => Format::guess(path),
        };
        Source { format: format.unwrap_or(guessed), input }
    };
    inputs.into_iter().map(source).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use clap::Parser;

    use super::super::{Cli, Command};
    use super::*;

    fn plan(words: &[&str]) -> Result<ProducePlan, String> {
        let words = ["ottla", "produce"].iter().chain(words);
        let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
        match cli.command {
            Command::Produce(args) => args.resolve().map_err(|failure| failure.to_string()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_documented_form_is_understood() {
        let plan = plan(&[
            "-b",
            "a:1",
            "-t",
            "clicks",
            "--timeout",
            "5",
            "--format",
            "lines",
            "-k",
            "K",
            "-K",
            ":",
            "-p",
            "2",
            "-H",
            "a=b",
            "-H",
            "n",
            "-z",
            "zstd",
            "-X",
            "acks=1",
            "one",
            "-",
        ])
        .unwrap();
        assert_eq!(plan.target, Target::Servers("a:1".to_owned()));
        assert_eq!(plan.defaults.topic.as_deref(), Some("clicks"));
        assert_eq!(plan.timeout, Duration::from_secs(5));
        assert_eq!(plan.defaults.key.as_deref(), Some(&b"K"[..]));
        assert_eq!(plan.rules.key_delimiter.as_deref(), Some(&b":"[..]));
        assert_eq!(plan.defaults.partition, Some(2));
        assert_eq!(plan.defaults.headers.len(), 2);
        assert_eq!(plan.sources.len(), 2);
        assert_eq!(plan.sources[1].input, Input::Stdin);
        let names: Vec<&str> = plan.properties.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["compression.type", "acks"]);
    }

    #[test]
    fn kcats_habits_are_understood() {
        let plan = plan(&["-P", "-b", "a", "-t", "x", "-p", "-1", "-l", "file", "-K\\t", "-Z"]);
        let plan = plan.unwrap();
        assert_eq!(plan.defaults.partition, None);
        assert_eq!(plan.rules.key_delimiter.as_deref(), Some(&b"\t"[..]));
        assert!(plan.rules.null_empty);
    }

    #[test]
    fn the_format_is_guessed_from_the_files_name() {
        let plan = plan(&["-b", "a", "-t", "x", "a.ndjson", "b.JSONL", "c.txt", "-"]).unwrap();
        let formats: Vec<Format> = plan.sources.iter().map(|source| source.format).collect();
        assert_eq!(formats, [Format::Ndjson, Format::Ndjson, Format::Lines, Format::Lines]);
    }

    #[test]
    fn a_topic_is_needed_unless_lines_can_name_their_own() {
        assert!(plan(&["-b", "a"]).unwrap_err().contains("-t TOPIC"));
        assert!(plan(&["-b", "a", "x.ndjson"]).is_ok());
        assert!(plan(&["-b", "a", "--format", "ndjson"]).is_ok());
    }

    #[test]
    fn no_cluster_and_two_clusters_are_refused() {
        assert!(plan(&["-t", "x"]).unwrap_err().contains("--embedded"));
        assert!(plan(&["-t", "x", "-b", "a", "--embedded"]).unwrap_err().contains("--embedded"));
        assert!(plan(&["-t", "x", "-b", "a", "--data", "d"]).unwrap_err().contains("--data"));
        assert!(plan(&["-t", "x", "--data", "d"]).unwrap_err().contains("--embedded"));
    }

    #[test]
    fn servers_may_come_from_the_settings_and_options_come_before_the_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "bootstrap.servers=a:1\nacks=0\nlinger.ms=3").unwrap();
        let path = file.path().to_str().unwrap();
        let plan = plan(&["-F", path, "-X", "acks=all", "-t", "x"]).unwrap();
        assert_eq!(plan.target, Target::Servers("a:1".to_owned()));
        let pairs: Vec<(&str, &str)> =
            plan.properties.iter().map(|p| (p.name.as_str(), p.value.as_str())).collect();
        assert_eq!(pairs, [("linger.ms", "3"), ("acks", "all")]);
    }

    #[test]
    fn kcats_mark_for_topic_settings_is_taken_off_and_names_that_begin_so_are_kept() {
        let words = ["topic.acks=1", "topic.metadata.propagation.max.ms=7"];
        let plan = plan(&["-b", "a", "-t", "x", "-X", words[0], "-X", words[1]]).unwrap();
        let names: Vec<&str> = plan.properties.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["acks", "topic.metadata.propagation.max.ms"]);
    }

    #[test]
    fn a_missing_file_of_settings_is_named() {
        let error = plan(&["-F", "nowhere.properties", "-t", "x"]).unwrap_err();
        assert!(error.contains("nowhere.properties"), "{error}");
    }
}
