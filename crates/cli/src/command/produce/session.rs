//! The loop: lines in, records out, outcomes noted.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use ottla::{Outcome, Producer, ProducerConfig, Record};
use tokio::sync::mpsc;

use super::fields::Maker;
use super::ledger::{self, Ledger};
use super::topics::Topics;
use crate::args::produce::{Format, ProducePlan};
use crate::failed_out::{Failures, Place};
use crate::input::{Arrival, Lines, Piece};
use crate::progress::Progress;
use crate::signals::StopSignals;
use crate::summary::Summary;
use crate::talk::Talk;

/// How long an interrupted command waits for what is on its way.
const FLUSH_AFTER_INTERRUPT: Duration = Duration::from_secs(5);

/// How often the bar is redrawn while nothing else happens.
const TICK: Duration = Duration::from_millis(200);

/// Why the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// All input was taken, or as much as was wanted.
    Complete,
    /// A record failed, and `--strict` was given.
    Strict,
    /// A signal came.
    Interrupted,
}

/// Whether to take more input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    GoOn,
    Stop,
}

/// One run of `ottla produce`.
pub(super) struct Session<'p> {
    plan: &'p ProducePlan,
    producer: &'p Producer,
    names: Vec<String>,
    maker: Maker<'p>,
    lines: Lines,
    topics: Topics<'p>,
    ledger: Ledger,
    tally: Tally<'p>,
    progress: Progress,
    max_record_bytes: usize,
    /// The source that is read, and the line of it that is being taken.
    source: usize,
    line: u64,
    /// The last line that was handed over or refused: a signal may come before `line` is.
    handled_line: u64,
    /// Size so far of a line that comes in parts.
    long_line_bytes: u64,
    bytes: u64,
    taken: u64,
    empty_lines: u64,
    unreadable: bool,
    told_of_topic: bool,
}

/// What became of the records.
struct Tally<'p> {
    summary: Summary,
    failures: Failures,
    talk: &'p Talk,
    /// Whether each record is reported.
    each: bool,
}

impl<'p> Session<'p> {
    pub(super) fn new(
        plan: &'p ProducePlan,
        producer: &'p Producer,
        config: &ProducerConfig,
        failures: Failures,
        progress: Progress,
        talk: &'p Talk,
        typed: bool,
    ) -> Self {
        let each = talk.is_verbose() || typed;
        Self {
            plan,
            producer,
            names: plan.sources.iter().map(|source| source.input.name()).collect(),
            maker: Maker::new(plan),
            lines: Lines::new(&plan.rules.delimiter),
            topics: Topics::new(producer),
            ledger: Ledger::default(),
            tally: Tally { summary: Summary::default(), failures, talk, each },
            progress,
            max_record_bytes: config.max_request_size_bytes,
            source: 0,
            line: 0,
            handled_line: 0,
            long_line_bytes: 0,
            bytes: 0,
            taken: 0,
            empty_lines: 0,
            unreadable: false,
            told_of_topic: false,
        }
    }

    /// Takes all input and waits for all outcomes; ends sooner by a signal or by `--strict`.
    pub(super) async fn run(
        &mut self,
        mut arrivals: mpsc::Receiver<Arrival>,
        signals: &mut StopSignals,
    ) -> Ending {
        let mut open = self.plan.limit != Some(0);
        let mut tick = tokio::time::interval(TICK);
        while open || !self.ledger.is_empty() {
            tokio::select! {
                biased;
                () = signals.next() => return self.interrupted(signals).await,
                () = self.ledger.first_outcome(), if !self.ledger.is_empty() => {}
                arrival = arrivals.recv(), if open && self.ledger.has_room() => {
                    let flow = match arrival {
                        None => Flow::Stop,
                        Some(arrival) => tokio::select! {
                            biased;
                            () = signals.next() => return self.interrupted(signals).await,
                            flow = self.take(arrival) => flow,
                        },
                    };
                    open = flow == Flow::GoOn;
                }
                _ = tick.tick() => {}
            }
            self.settle();
            if self.plan.strict && self.has_failed() {
                return self.strictly_ended(signals).await;
            }
        }
        self.close(signals, FLUSH_AFTER_INTERRUPT).await;
        Ending::Complete
    }

    /// What was sent may still arrive; what was not is told.
    async fn interrupted(&mut self, signals: &mut StopSignals) -> Ending {
        self.tally.talk.note(format_args!(
            "interrupted; waiting up to {} s for what was sent (again: quit at once)",
            FLUSH_AFTER_INTERRUPT.as_secs()
        ));
        self.close(signals, FLUSH_AFTER_INTERRUPT).await;
        Ending::Interrupted
    }

    async fn strictly_ended(&mut self, signals: &mut StopSignals) -> Ending {
        while !self.ledger.is_empty() {
            tokio::select! {
                biased;
                () = signals.next() => return self.interrupted(signals).await,
                () = self.ledger.first_outcome() => {}
            }
            self.settle();
        }
        self.close(signals, FLUSH_AFTER_INTERRUPT).await;
        Ending::Strict
    }

    /// Closes the producer: every record that was accepted has its outcome then. A further signal
    /// ends the process.
    async fn close(&mut self, signals: &mut StopSignals, patience: Duration) {
        tokio::select! {
            biased;
            () = signals.next() => {
                self.tally.talk.error("quit; records on their way may or may not arrive");
                let _ = io::stderr().flush();
                std::process::exit(i32::from(crate::exit::Exit::Interrupted.code()));
            }
            _ = self.producer.close(patience) => {}
        }
        self.settle();
    }

    fn has_failed(&self) -> bool {
        self.tally.failures.count() > 0 || self.unreadable
    }

    /// Notes the outcomes that have come.
    fn settle(&mut self) {
        let Self { ledger, tally, names, .. } = self;
        ledger.settle(|outcome| tally.note(&names[outcome.source], outcome));
        tally.failures.flush(tally.talk);
        self.progress.update(self.bytes, self.tally.summary.delivered());
    }

    async fn take(&mut self, arrival: Arrival) -> Flow {
        let (source, piece) = match arrival {
            Arrival::Piece { source, piece } => (source, piece),
            Arrival::Broken { source, error } => {
                self.enter(source);
                let place = self.place();
                self.tally.talk.error(format_args!("reading broke off after {place}: {error}"));
                self.unreadable = true;
                return Flow::GoOn;
            }
        };
        self.enter(source);
        match piece {
            Piece::Lines(bytes) => {
                self.bytes += bytes.len() as u64;
                self.ledger.push(source, bytes);
                self.take_lines(self.plan.sources[source].format).await
            }
            Piece::LongLine { bytes, is_last } => {
                self.bytes += bytes.len() as u64;
                self.take_long(&bytes, is_last)
            }
        }
    }

    fn enter(&mut self, source: usize) {
        if source != self.source {
            self.source = source;
            self.line = 0;
            self.handled_line = 0;
        }
    }

    /// Hands over the records of the block that the ledger took in last.
    async fn take_lines(&mut self, format: Format) -> Flow {
        let mut at = 0;
        while let Some((end, next)) = self.lines.line_at(self.ledger.last_bytes(), at) {
            let start = std::mem::replace(&mut at, next);
            self.line += 1;
            let line = &self.ledger.last_bytes()[start..end];
            let is_blank = match format {
                Format::Lines => line.is_empty(),
                Format::Ndjson => line.trim_ascii().is_empty(),
            };
            if is_blank {
                self.handled_line = self.line;
                self.empty_lines += 1;
                continue;
            }
            let since = self.tally.each.then(Instant::now);
            match format {
                Format::Lines => {
                    let sent = self.topics.send(self.maker.line_record(line)).await;
                    self.note_sent(sent, (start, end), since);
                }
                Format::Ndjson => self.take_json((start, end), since).await,
            }
            self.handled_line = self.line;
            self.taken += 1;
            if self.plan.limit.is_some_and(|limit| self.taken >= limit) {
                return Flow::Stop;
            }
            if self.plan.strict && self.has_failed() {
                return Flow::Stop;
            }
        }
        Flow::GoOn
    }

    async fn take_json(&mut self, (start, end): (usize, usize), since: Option<Instant>) {
        let line = &self.ledger.last_bytes()[start..end];
        let parsed = match self.maker.parse_json(line) {
            Ok(parsed) => parsed,
            Err(reason) => return self.refuse((start, end), &reason),
        };
        if let (Some(own), Some(given)) = (parsed.own_topic(), &self.plan.defaults.topic)
            && own != given
            && !std::mem::replace(&mut self.told_of_topic, true)
        {
            self.tally.talk.note(format_args!(
                "{}, line {} names topic {own}, which comes before -t {given} (--ignore topic to \
                 change that)",
                self.names[self.source], self.line
            ));
        }
        let headers = parsed.headers();
        let record: Record<'_> = parsed.record(&headers);
        let sent = self.topics.send(record).await;
        self.note_sent(sent, (start, end), since);
    }

    fn note_sent(
        &mut self,
        sent: Result<ottla::Delivery, ottla::SendError>,
        span: (usize, usize),
        since: Option<Instant>,
    ) {
        match sent {
            Ok(delivery) => self.ledger.note(delivery, self.line, span, since),
            Err(error) => self.refuse(span, &error.message()),
        }
    }

    /// A line that does not become a record.
    fn refuse(&mut self, (start, end): (usize, usize), reason: &dyn std::fmt::Display) {
        let place = Place { source: &self.names[self.source], line: self.line };
        let input = &self.ledger.last_bytes()[start..end];
        let Tally { failures, talk, .. } = &mut self.tally;
        failures.add(place, input, reason, Outcome::NotPersisted, talk);
    }

    /// A part of a line that is longer than any record can be.
    fn take_long(&mut self, bytes: &[u8], is_last: bool) -> Flow {
        let Tally { failures, talk, .. } = &mut self.tally;
        let content = match is_last {
            true => bytes.strip_suffix(self.lines.delimiter()).unwrap_or(bytes),
            false => bytes,
        };
        self.long_line_bytes += content.len() as u64;
        failures.keep_part(content, talk);
        if !is_last {
            return Flow::GoOn;
        }
        self.line += 1;
        self.handled_line = self.line;
        self.taken += 1;
        let size = std::mem::take(&mut self.long_line_bytes);
        let limit = self.max_record_bytes;
        let reason = format!(
            "the line has {size} bytes, and a record is limited to max.request.size={limit}; raise \
             it with -X max.request.size=…, and max.message.bytes of the topic"
        );
        let place = Place { source: &self.names[self.source], line: self.line };
        failures.end(place, &reason, Outcome::NotPersisted, talk);
        match self.plan.limit {
            Some(limit) if self.taken >= limit => Flow::Stop,
            _ => Flow::GoOn,
        }
    }

    /// Ends the bar; gives the time that all took.
    pub(super) fn finish(&mut self) -> Duration {
        self.progress.clear();
        self.progress.elapsed()
    }

    pub(super) fn summary(&self) -> &Summary {
        &self.tally.summary
    }

    pub(super) fn failures(&mut self) -> &mut Failures {
        &mut self.tally.failures
    }

    pub(super) fn empty_lines(&self) -> u64 {
        self.empty_lines
    }

    /// Whether some input could not be read.
    pub(super) fn unreadable(&self) -> bool {
        self.unreadable
    }

    /// The last line that was handed over or refused.
    pub(super) fn place(&self) -> String {
        let source = &self.names[self.source];
        Place { source, line: self.handled_line }.to_string()
    }
}

impl Tally<'_> {
    fn note(&mut self, source: &str, outcome: ledger::Outcome<'_>) {
        let ledger::Outcome { line, input, since, result, .. } = outcome;
        match result {
            Ok(metadata) => {
                self.summary.add(&metadata.topic, metadata.partition, metadata.offset);
                if self.each {
                    let offset = metadata.offset.map_or_else(|| "?".to_owned(), |o| o.to_string());
                    let took = since.map_or(Duration::ZERO, |since| since.elapsed());
                    self.talk.report(format_args!(
                        "{} [{}] offset {offset}, {:.1} ms",
                        metadata.topic,
                        metadata.partition,
                        took.as_secs_f64() * 1000.0
                    ));
                }
            }
            Err(error) => {
                let place = Place { source, line };
                self.failures.add(place, input, &error, error.outcome(), self.talk);
            }
        }
    }
}
