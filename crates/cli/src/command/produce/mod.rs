//! `ottla produce`: records from files and standard input into a cluster.

mod fields;
mod ledger;
mod session;
mod topics;

use std::fs;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ottla::{Producer, ProducerConfig};
use serde_json::json;

use self::session::{Ending, Session};
use crate::args::produce::{Format, ProducePlan};
use crate::args::words::Input;
use crate::command::configure::{configure, security};
use crate::embedded::Servers;
use crate::exit::{Exit, Failure};
use crate::failed_out::Failures;
use crate::input::{Lines, Reading, read_in_thread};
use crate::progress::Progress;
use crate::properties::Property;
use crate::signals::StopSignals;
use crate::summary;
use crate::talk::{Talk, count, grouped, size};

/// A JSON text may take six times the room of the bytes it stands for, and base64 with the names
/// of fields somewhat more than these bytes; what is beyond that cannot become a record.
const NDJSON_EXPANSION: usize = 8;

/// Room for field names, keys of headers and blanks in a line.
const LINE_OVERHEAD_BYTES: usize = 64 * 1024;

/// How long a topic may be unknown to the cluster at most, when `--timeout` is longer: a topic
/// that was created a moment ago is known sooner.
const MAX_TOPIC_WAIT: Duration = Duration::from_secs(5);

/// From so many records on, the summary says how fast they went.
const RATED_FROM: u64 = 1000;

/// The setting that the command adds, unless the user has it.
const TOPIC_WAIT_SETTING: &str = "topic.metadata.propagation.max.ms";

/// Sends everything and says what became of it.
pub(crate) async fn run(plan: ProducePlan, talk: &Talk) -> Result<Exit, Failure> {
    let mut signals = StopSignals::listen()
        .map_err(|error| Failure::usage(format!("signals cannot be handled: {error}")))?;
    let total_bytes = check_sources(&plan)?;
    let settings = settings(&plan);
    // The settings are checked before anything is started; only the servers are still to come.
    configure(&settings, "localhost:9092", talk)?;
    let security = security(&settings, plan.target.servers())?;
    let inputs: Vec<Input> = plan.sources.iter().map(|source| source.input.clone()).collect();
    let failed_out = plan.failed_out.as_deref();
    let failures = Failures::new(failed_out, &inputs, &plan.rules.delimiter, talk)?;
    let servers = Servers::open(&plan.target, talk)?;
    let config = configure(&settings, &servers.bootstrap, &talk.silent())?;
    let reached = tokio::select! {
        reached = super::reach(&servers, &security, plan.timeout, talk) => reached,
        () = signals.next() => {
            talk.error("interrupted: nothing was read or sent");
            return Ok(Exit::Interrupted);
        }
    };
    reached?;
    let producer = Producer::from_properties(
        settings
            .iter()
            .map(|setting| (setting.name.as_str(), setting.value.as_str()))
            .chain([("bootstrap.servers", servers.bootstrap.as_str())]),
    )
    .map_err(|error| Failure::usage(error.to_string()))?;

    let typed = inputs.contains(&Input::Stdin) && io::stdin().is_terminal();
    if typed {
        talk.note("each line is sent when you end it; Ctrl-D ends the input");
    }
    let held_back = Arc::new(AtomicUsize::new(0));
    let arrivals = read_in_thread(reading(&plan, &config, Arc::clone(&held_back)))
        .map_err(|error| Failure::usage(format!("no thread to read with: {error}")))?;
    let progress = Progress::new(total_bytes, talk.is_terminal() && !talk.is_quiet() && !typed);
    progress.stay_below(talk);
    let mut session = Session::new(&plan, &producer, &config, failures, progress, talk, typed);
    let ending = session.run(arrivals, &mut signals).await;
    let exit = report(&plan, &mut session, ending, &held_back, talk);
    drop(producer);
    servers.stop();
    Ok(exit)
}

/// Checks that every file is there before anything is sent, and sums up their sizes, when
/// all of them have one.
fn check_sources(plan: &ProducePlan) -> Result<Option<u64>, Failure> {
    let mut total = Some(0);
    for source in &plan.sources {
        let Input::File(path) = &source.input else {
            total = None;
            continue;
        };
        let shown = path.display();
        let cannot =
            |error: io::Error| Failure::usage(format!("the input {shown} cannot be read: {error}"));
        let metadata = fs::File::open(path).and_then(|file| file.metadata()).map_err(cannot)?;
        if metadata.is_dir() {
            return Err(Failure::usage(format!("the input {shown} is a folder")));
        }
        total = total.filter(|_| metadata.is_file()).map(|sum| sum + metadata.len());
    }
    Ok(total)
}

/// The producer's settings, but for its servers.
fn settings(plan: &ProducePlan) -> Vec<Property> {
    let mut settings = plan.properties.clone();
    if !settings.iter().any(|setting| setting.name == TOPIC_WAIT_SETTING) {
        let value = plan.timeout.min(MAX_TOPIC_WAIT).as_millis().to_string();
        settings.push(Property { name: TOPIC_WAIT_SETTING.to_owned(), value, place: None });
    }
    settings
}

fn reading(plan: &ProducePlan, config: &ProducerConfig, held_back: Arc<AtomicUsize>) -> Reading {
    let record_bytes = config.max_request_size_bytes;
    let ndjson = plan.sources.iter().any(|source| source.format == Format::Ndjson);
    let expansion = if ndjson { NDJSON_EXPANSION } else { 1 };
    Reading {
        sources: plan.sources.clone(),
        lines: Lines::new(&plan.rules.delimiter),
        limit_bytes: record_bytes.saturating_mul(expansion).saturating_add(LINE_OVERHEAD_BYTES),
        held_back,
    }
}

/// Says what was delivered and what was not.
fn report(
    plan: &ProducePlan,
    session: &mut Session<'_>,
    ending: Ending,
    held_back: &AtomicUsize,
    talk: &Talk,
) -> Exit {
    let elapsed = session.finish();
    let rows = session.summary().rows();
    let delivered = session.summary().delivered();
    let (failed, maybe_persisted) =
        (session.failures().count(), session.failures().maybe_persisted());
    let kept = session.failures().kept(talk);
    let seconds = elapsed.as_secs_f64();
    let mut unsaid = None;
    if plan.json {
        let summary = json!({
            "delivered": delivered,
            "failed": failed,
            "maybe_persisted": maybe_persisted,
            "empty_lines_skipped": session.empty_lines(),
            "interrupted": ending == Ending::Interrupted,
            "seconds": (seconds * 1e6).round() / 1e6,
            "partitions": rows,
        });
        unsaid = super::print(format!("{summary}\n").as_bytes()).err();
    } else {
        summary::table(&rows).into_iter().for_each(|line| talk.report(line));
    }
    let rate = match delivered {
        // A rate over a handful of records says nothing.
        ..RATED_FROM => String::new(),
        _ => format!(" ({} records/s)", grouped((delivered as f64 / seconds.max(1e-6)) as u64)),
    };
    talk.note(format_args!("{} delivered in {seconds:.3} s{rate}", count(delivered, "record")));
    if session.empty_lines() > 0 {
        talk.note(format_args!("{} skipped", count(session.empty_lines(), "empty line")));
    }
    if failed > 0 {
        let doubt = match maybe_persisted {
            0 => "none of them is in the log".to_owned(),
            n => format!("{} of them may be in the log all the same", grouped(n)),
        };
        let kept = match kept {
            Some(kept) => format!("; {kept}"),
            None if session.failures().keeps() => String::new(),
            None => "; --failed-out FILE would have kept their input".to_owned(),
        };
        talk.error(format_args!("{} failed, {doubt}{kept}", count(failed, "record")));
    }
    if let Some(failure) = &unsaid {
        talk.error(failure);
    }
    match ending {
        Ending::Interrupted => {
            let place = session.place();
            let unfinished = unfinished(held_back.load(Ordering::Relaxed));
            talk.error(format_args!("interrupted: nothing after {place} was sent{unfinished}"));
            Exit::Interrupted
        }
        Ending::Strict => {
            let place = session.place();
            talk.error(format_args!("stopped by --strict: nothing after {place} was sent"));
            Exit::SomeFailed
        }
        Ending::Complete if failed > 0 || session.unreadable() || unsaid.is_some() => {
            Exit::SomeFailed
        }
        Ending::Complete => Exit::Done,
    }
}

/// What is said of bytes that wait for the end of their line.
fn unfinished(held_back_bytes: usize) -> String {
    match held_back_bytes {
        0 => String::new(),
        bytes => format!("; a last line without its end ({}) was not sent", size(bytes as u64)),
    }
}
