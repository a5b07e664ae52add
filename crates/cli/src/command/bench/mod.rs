//! `ottla bench`: how fast records are taken, and how soon they are delivered.

mod load;
mod payload;
mod plot;
pub(crate) mod stats;

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ottla::{ErrorKind, Producer, SendError};
use serde_json::json;

use self::load::Load;
use self::payload::Payloads;
use self::stats::Stats;
use super::configure::{configure, security};
use crate::args::bench::{BenchPlan, PayloadKind};
use crate::embedded::Servers;
use crate::exit::{Exit, Failure};
use crate::pace::Pace;
use crate::signals::StopSignals;
use crate::talk::{Talk, count, grouped};

/// How often the live line is drawn.
const REDRAW: Duration = Duration::from_millis(200);
/// How long what was sent may take to arrive after Ctrl-C.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// Runs the benchmark and says what was measured.
pub(crate) async fn run(plan: BenchPlan, talk: &Talk) -> Result<Exit, Failure> {
    let mut signals = StopSignals::listen()
        .map_err(|error| Failure::usage(format!("signals cannot be handled: {error}")))?;
    let config = configure(&plan.properties, "localhost:9092", talk)?;
    let security = security(&plan.properties, plan.target.servers())?;
    check_sizes(&plan, config.max_request_size_bytes)?;
    let payloads = Payloads::make(&plan.payload)?;
    if let Some(path) = &plan.plot {
        // Before the work, not after it.
        fs::write(path, "").map_err(|error| cannot_write(path, &error))?;
    }
    let servers = Servers::open_for_a_while(&plan.target, talk)?;
    super::reach(&servers, &security, plan.timeout, talk).await?;
    let producer = producer(&plan, &servers.bootstrap)?;
    let topic = producer.topic(&plan.topic).await.map_err(|error| topic_failure(&error))?;

    let load = Arc::new(Load {
        producer: producer.clone(),
        topic,
        payloads,
        num_records: plan.num_records,
        threads: plan.threads,
        keys: plan.keys,
        pace: Pace::begin(plan.rate),
        stats: Arc::new(Mutex::new(Stats::new(plan.warmup_records))),
        accepted: AtomicU64::new(0),
        stopped: AtomicBool::new(false),
    });
    let interrupted = drive(&plan, &load, &mut signals, talk).await?;
    let elapsed = load.pace.start.elapsed();
    let exit = report(&plan, &load, elapsed, interrupted, talk)?;
    drop(load);
    producer.close(Duration::ZERO).await;
    servers.stop();
    Ok(exit)
}

fn producer(plan: &BenchPlan, bootstrap: &str) -> Result<Producer, Failure> {
    let settings = plan.properties.iter().map(|p| (p.name.as_str(), p.value.as_str()));
    Producer::from_properties(settings.chain([("bootstrap.servers", bootstrap)]))
        .map_err(|error| Failure::usage(error.to_string()))
}

fn check_sizes(plan: &BenchPlan, most_bytes: usize) -> Result<(), Failure> {
    match plan.payload {
        PayloadKind::Events(size_bytes) if size_bytes > most_bytes => {
            let why = format!("--record-size {size_bytes} is more than max.request.size");
            Err(Failure::usage(format!("{why}={most_bytes}")).cure(
                "raise it with -X max.request.size=BYTES, and max.message.bytes on the topic",
            ))
        }
        _ => Ok(()),
    }
}

fn topic_failure(error: &SendError) -> Failure {
    let exit = match error.kind() {
        ErrorKind::Network | ErrorKind::Timeout => Exit::Unreachable,
        _ => Exit::Usage,
    };
    Failure::new(exit, error.to_string())
}

fn cannot_write(path: &std::path::Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("the picture {} cannot be written: {error}", path.display()))
}

/// Has everything sent and waits for its delivery, telling how far it is. Says whether it was
/// interrupted.
async fn drive(
    plan: &BenchPlan,
    load: &Arc<Load>,
    signals: &mut StopSignals,
    talk: &Talk,
) -> Result<bool, Failure> {
    let threads: Result<Vec<_>, _> = (0..plan.threads)
        .map(|thread| {
            let load = Arc::clone(load);
            let builder = std::thread::Builder::new().name(format!("bench-{thread}"));
            builder.spawn(move || load.send_share(thread))
        })
        .collect();
    let threads =
        threads.map_err(|error| Failure::usage(format!("a thread to send with: {error}")))?;
    let flushing = Arc::clone(load);
    let mut work = tokio::task::spawn_blocking(move || {
        for thread in threads {
            let _ = thread.join();
        }
        let wait = match flushing.stopped.load(Ordering::Relaxed) {
            true => LAST_WAIT,
            // Every record has an outcome by then.
            false => Duration::from_secs(365 * 86_400),
        };
        let _ = flushing.producer.blocking().flush(wait);
    });
    let mut live = Live::new(plan, talk);
    let mut interrupted = false;
    let start = load.pace.start;
    loop {
        tokio::select! {
            done = &mut work => {
                live.end();
                done.map_err(|error| Failure::new(Exit::SomeFailed, error.to_string()))?;
                return Ok(interrupted);
            }
            () = tokio::time::sleep(live.pause()) => live.tell(&mut lock(&load.stats), start),
            () = signals.next(), if !interrupted => {
                interrupted = true;
                load.stopped.store(true, Ordering::Relaxed);
                talk.note("interrupted: waiting for what was sent");
            }
        }
    }
}

fn lock(stats: &Mutex<Stats>) -> MutexGuard<'_, Stats> {
    stats.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How far it is: a line that is drawn anew where somebody looks, lines in between otherwise.
struct Live {
    bar: Option<ProgressBar>,
    interval: Duration,
    last: Instant,
    silent: bool,
}

impl Live {
    fn new(plan: &BenchPlan, talk: &Talk) -> Self {
        let bar = (talk.is_terminal() && !talk.is_quiet()).then(|| {
            let bar = ProgressBar::new(plan.num_records);
            bar.set_draw_target(ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent}% {msg}, {eta} left")
            {
                bar.set_style(style.progress_chars("=> "));
            }
            talk.speak_above(bar.clone());
            bar
        });
        let interval = if bar.is_some() { REDRAW } else { plan.reporting_interval };
        Self { bar, interval, last: Instant::now(), silent: plan.json || talk.is_quiet() }
    }

    fn pause(&self) -> Duration {
        self.interval.saturating_sub(self.last.elapsed())
    }

    fn tell(&mut self, stats: &mut Stats, start: Instant) {
        let elapsed = self.last.elapsed();
        self.last = Instant::now();
        let window = stats.take_window();
        match &self.bar {
            Some(bar) => {
                let rate = window.count() as f64 / elapsed.as_secs_f64().max(1e-9);
                bar.set_position(stats.all.count());
                bar.set_message(format!(
                    "{}/s, p50 {:.2} ms, p99 {:.2} ms, {} s",
                    grouped(rate as u64),
                    window.quantile_ms(0.5),
                    window.quantile_ms(0.99),
                    start.elapsed().as_secs()
                ));
            }
            None if self.silent => {}
            None => {
                let _ = super::print(format!("{}\n", window.interim_line(elapsed)).as_bytes());
            }
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn report(
    plan: &BenchPlan,
    load: &Load,
    elapsed: Duration,
    interrupted: bool,
    talk: &Talk,
) -> Result<Exit, Failure> {
    let stats = lock(&load.stats);
    let metrics = load.producer.metrics();
    let unfinished = load.accepted.load(Ordering::Relaxed) - stats.outcomes();
    // The steady records' share of the time: from when the last of the warm-up was due, or taken.
    let steady_share = stats.steady.count() as f64 / stats.all.count().max(1) as f64;
    let steady_elapsed = elapsed.mul_f64(steady_share);
    if plan.json {
        let mut summary = stats.all.json(elapsed);
        summary["failed"] = json!(stats.failed);
        summary["unfinished"] = json!(unfinished);
        summary["interrupted"] = json!(interrupted);
        summary["requests"] = json!(metrics.requests_sent);
        summary["batches"] = json!(metrics.batches_sent);
        if plan.warmup_records > 0 {
            summary["steady"] = stats.steady.json(steady_elapsed);
        }
        super::print(format!("{summary}\n").as_bytes())?;
    } else {
        let mut lines = format!("{}\n", stats.all.closing_line(elapsed, ""));
        if plan.warmup_records > 0 {
            lines.push_str(&stats.steady.closing_line(steady_elapsed, "steady state "));
            lines.push('\n');
        }
        if plan.print_metrics {
            lines.push_str(&format!("{metrics:#?}\n"));
        }
        super::print(lines.as_bytes())?;
        let latencies = if plan.warmup_records > 0 { &stats.steady } else { &stats.all };
        talk.note(format_args!(
            "latency p50 {:.3} ms, p95 {:.3} ms, p99 {:.3} ms, p99.9 {:.3} ms; {} of {}",
            latencies.quantile_ms(0.5),
            latencies.quantile_ms(0.95),
            latencies.quantile_ms(0.99),
            latencies.quantile_ms(0.999),
            count(metrics.requests_sent, "request"),
            count(metrics.records_delivered / metrics.requests_sent.max(1), "record"),
        ));
    }
    if let Some(path) = &plan.plot {
        let picture = plot::draw(&stats, elapsed, &plan.topic);
        fs::write(path, picture).map_err(|error| cannot_write(path, &error))?;
    }
    Ok(ending(&stats, unfinished, interrupted, talk))
}

fn ending(stats: &Stats, unfinished: u64, interrupted: bool, talk: &Talk) -> Exit {
    if let Some(error) = &stats.first_error {
        let failed = count(stats.failed, "record");
        talk.error(format_args!("{failed} failed, the first because: {error}"));
    }
    if unfinished > 0 {
        talk.error(format_args!("{} without an outcome yet", count(unfinished, "record")));
    }
    match (interrupted, stats.failed) {
        (true, _) => Exit::Interrupted,
        (false, 0) => Exit::Done,
        (false, _) => Exit::SomeFailed,
    }
}
