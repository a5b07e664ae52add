//! `ottla read`: the records of a topic onto standard output.

use ottla::Security;
use ottla::reader::{ReadOptions, ReadRecord, Reader, Start};

use super::configure::security;
use crate::args::read::{ReadPlan, Start as StartArg, Style};
use crate::embedded::Servers;
use crate::exit::{Exit, Failure};
use crate::ndjson::{RecordView, write_record};
use crate::signals::StopSignals;
use crate::talk::{Talk, count};

/// Output is written when so much is there, and whenever there is nothing to read for the moment.
const WRITE_BYTES: usize = 64 * 1024;

/// Prints records until the end, the count, or a signal.
pub(crate) async fn run(plan: ReadPlan, talk: &Talk) -> Result<Exit, Failure> {
    let mut signals = StopSignals::listen()
        .map_err(|error| Failure::usage(format!("signals cannot be handled: {error}")))?;
    let security = security(&plan.properties, plan.target.servers())?;
    let servers = Servers::open(&plan.target, talk)?;
    let exit = tokio::select! {
        biased;
        () = signals.next() => Ok(Exit::Interrupted),
        exit = print(&plan, &servers, security, talk) => exit,
    };
    servers.stop();
    exit
}

async fn print(
    plan: &ReadPlan,
    servers: &Servers,
    security: Security,
    talk: &Talk,
) -> Result<Exit, Failure> {
    let mut options = ReadOptions::new()
        .security(security)
        .start(start(plan.start))
        .stop_at_end(plan.exit_at_end)
        .timeout(plan.timeout);
    if let Some(partitions) = &plan.partitions {
        options = options.partitions(partitions.clone());
    }
    let on_retry = super::retry_note(plan.timeout, talk);
    let mut reader = Reader::open_with(&servers.bootstrap, &plan.topic, options, on_retry)
        .await
        .map_err(super::failure)?;
    let mut out = Printer { style: &plan.style, out: Vec::new(), told_of_name: false };
    let mut printed = 0;
    let mut exit = Exit::Done;
    let limit = plan.limit.unwrap_or(u64::MAX);
    while printed < limit {
        // Whoever reads along sees each record as soon as there is nothing more at hand.
        let next = reader.next().await;
        let records = match next {
            Ok(Some(records)) => records,
            Ok(None) => break,
            Err(error) if error.kind() == ottla::reader::RequestErrorKind::Garbled => {
                talk.error(&error);
                exit = Exit::SomeFailed;
                continue;
            }
            Err(error) => return Err(super::failure(error)),
        };
        for record in records {
            match record {
                Ok(record) => out.print(&record, talk),
                Err(error) => {
                    talk.error(&error);
                    exit = Exit::SomeFailed;
                    break;
                }
            }
            printed += 1;
            if printed >= limit {
                break;
            }
            if out.out.len() >= WRITE_BYTES && !out.write()? {
                return Ok(exit);
            }
        }
        if !out.write()? {
            return Ok(exit);
        }
        for gap in reader.take_gaps() {
            talk.note(format_args!(
                "{} partition {}: offsets {} to {} were removed before they could be read",
                plan.topic,
                gap.partition,
                gap.from,
                gap.to - 1
            ));
        }
    }
    talk.detail(format_args!("{} read", count(printed, "record")));
    Ok(exit)
}

fn start(start: StartArg) -> Start {
    match start {
        StartArg::Beginning => Start::Beginning,
        StartArg::End => Start::End,
        StartArg::Offset(offset) => Start::Offset(offset),
        StartArg::Last(count) => Start::Last(count),
    }
}

/// Writes records to standard output.
struct Printer<'p> {
    style: &'p Style,
    out: Vec<u8>,
    told_of_name: bool,
}

impl Printer<'_> {
    fn print(&mut self, record: &ReadRecord<'_>, talk: &Talk) {
        match self.style {
            Style::Ndjson => self.print_json(record, talk),
            Style::Lines { delimiter, key_delimiter } => {
                if let Some(key_delimiter) = key_delimiter {
                    self.out.extend_from_slice(record.key.unwrap_or_default());
                    self.out.extend_from_slice(key_delimiter);
                }
                self.out.extend_from_slice(record.value.unwrap_or_default());
                self.out.extend_from_slice(delimiter);
            }
        }
    }

    fn print_json(&mut self, record: &ReadRecord<'_>, talk: &Talk) {
        let names: Vec<_> =
            record.headers().map(|header| String::from_utf8_lossy(header.key)).collect();
        let is_changed = names.iter().any(|name| matches!(name, std::borrow::Cow::Owned(_)));
        if is_changed && !std::mem::replace(&mut self.told_of_name, true) {
            talk.error(format_args!(
                "{} [{}] offset {}: the name of a header is not UTF-8; it is printed with U+FFFD",
                record.topic, record.partition, record.offset
            ));
        }
        let view = RecordView {
            topic: record.topic,
            partition: record.partition,
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            key: record.key,
            value: record.value,
        };
        let values = record.headers().map(|header| header.value);
        write_record(&mut self.out, &view, names.iter().map(AsRef::as_ref).zip(values));
    }

    /// Writes what is there; false when nobody reads any more.
    fn write(&mut self) -> Result<bool, Failure> {
        let written = super::print(&self.out);
        self.out.clear();
        written
    }
}
