//! From a line to the fields of a record, by the format and the options.

use std::borrow::Cow;

use ottla::{Header, Record};

use crate::args::produce::{Defaults, IgnoredField, LineRules, ProducePlan};
use crate::ndjson::{self, Envelope};

/// What lines are turned into records with.
#[derive(Debug)]
pub(super) struct Maker<'p> {
    defaults: &'p Defaults,
    rules: &'p LineRules,
    ignore: &'p [IgnoredField],
    headers: Vec<Header<'p>>,
    key_finder: Option<memchr::memmem::Finder<'p>>,
}

impl<'p> Maker<'p> {
    pub(super) fn new(plan: &'p ProducePlan) -> Self {
        let header =
            |arg: &'p crate::args::words::HeaderArg| Header::new(&arg.key, arg.value.as_deref());
        Self {
            defaults: &plan.defaults,
            rules: &plan.rules,
            ignore: &plan.ignore,
            headers: plan.defaults.headers.iter().map(header).collect(),
            key_finder: plan.rules.key_delimiter.as_deref().map(memchr::memmem::Finder::new),
        }
    }

    /// The record of a line in the lines format.
    pub(super) fn line_record<'a>(&'a self, line: &'a [u8]) -> Record<'a> {
        let parted = self.key_finder.as_ref().and_then(|finder| {
            let at = finder.find(line)?;
            Some((&line[..at], &line[at + finder.needle().len()..]))
        });
        let (key, value) = match parted {
            Some((key, value)) => (Some(key), value),
            None => (self.defaults.key.as_deref(), line),
        };
        let present = |bytes: &&[u8]| !(self.rules.null_empty && bytes.is_empty());
        Record {
            topic: self.defaults.topic.as_deref().unwrap_or_default(),
            partition: self.defaults.partition,
            key: key.filter(present),
            value: Some(value).filter(present),
            headers: &self.headers,
            timestamp_ms: None,
        }
    }

    /// The record of a line of NDJSON.
    pub(super) fn parse_json<'a>(&'a self, line: &'a [u8]) -> Result<Parsed<'a>, String> {
        let mut envelope = ndjson::parse(line)?;
        for field in self.ignore {
            match field {
                IgnoredField::Topic => envelope.topic = None,
                IgnoredField::Partition => envelope.partition = None,
                IgnoredField::Key => envelope.key = None,
                IgnoredField::Headers => envelope.headers.clear(),
                IgnoredField::Timestamp => envelope.timestamp_ms = None,
            }
        }
        if envelope.topic.is_none() && self.defaults.topic.is_none() {
            return Err(
                "expected a field \"topic\", found none, and no -t TOPIC was given".to_owned()
            );
        }
        Ok(Parsed { envelope, maker: self })
    }
}

/// A line of NDJSON, taken apart.
#[derive(Debug)]
pub(super) struct Parsed<'a> {
    envelope: Envelope<'a>,
    maker: &'a Maker<'a>,
}

impl Parsed<'_> {
    /// The headers that the options add, then the line's own.
    pub(super) fn headers(&self) -> Vec<Header<'_>> {
        let own = &self.envelope.headers;
        let own = own.iter().map(|(name, value)| Header::new(name, value.as_deref()));
        self.maker.headers.iter().copied().chain(own).collect()
    }

    /// The record, with the headers made by [`Parsed::headers`].
    pub(super) fn record<'b>(&'b self, headers: &'b [Header<'b>]) -> Record<'b> {
        let Envelope { topic, partition, key, value, timestamp_ms, .. } = &self.envelope;
        let defaults = self.maker.defaults;
        Record {
            topic: topic.as_deref().or(defaults.topic.as_deref()).unwrap_or_default(),
            partition: partition.or(defaults.partition),
            key: match key {
                Some(key) => key.as_deref(),
                None => defaults.key.as_deref(),
            },
            value: value.as_ref().map(Cow::as_ref),
            headers,
            timestamp_ms: *timestamp_ms,
        }
    }

    /// The topic that the line names itself.
    pub(super) fn own_topic(&self) -> Option<&str> {
        self.envelope.topic.as_deref()
    }
}
