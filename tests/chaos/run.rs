//! A run from its beginning to its end.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ottla_tests::Rng;

use crate::check::{Found, Log, What, check};
use crate::control::{Control, INTERRUPTED};
use crate::faults::Lane;
use crate::history::History;
use crate::ledger::Ledger;
use crate::load::{Counts, Load, Sender, Topic};
use crate::nodes::Nodes;
use crate::options::Options;
use crate::read::read;
use crate::report::{Live, Report};

/// The variable that names the file with what the task has prepared.
const PREPARED_VARIABLE: &str = "OTTLA_CHAOS_PREPARED";
/// Longer than `delivery.timeout.ms`: every record has an outcome by then.
const FLUSH_WITHIN: Duration = Duration::from_secs(150);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What a run works with.
struct Scene {
    nodes: Arc<Nodes>,
    control: Control,
    interrupted: Arc<AtomicBool>,
    python: PathBuf,
    /// Where what was kept goes.
    kept: PathBuf,
}

/// Runs the controls and the chaos; whether all is well.
pub(crate) fn run(options: &Options) -> Result<bool, String> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted))
            .map_err(|error| format!("cannot listen for signals: {error}"))?;
    }
    let seed = options.seed.unwrap_or_else(from_clock);
    eprintln!("seed {seed:#x}");
    let scene = Scene::set(interrupted)?;
    let mut controls = Vec::new();
    for control in &options.controls {
        let said = control.run(&scene.control, &scene.python)?;
        eprintln!("control {}: {said}", control.name());
        controls.push(said);
    }
    if options.only_controls {
        return Ok(true);
    }
    let report = scene.chaos(options, seed)?;
    report.print(std::io::stdout()).map_err(|error| format!("cannot report: {error}"))?;
    if let Some(file) = &options.json {
        let report = report.json(&controls);
        std::fs::write(file, format!("{report:#}\n"))
            .map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(report.verdict.is_clean())
}

fn from_clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Rng::fixed(now.as_nanos() as u64).next_u64() >> 32
}

impl Scene {
    /// Starts the nodes and waits until they know each other.
    fn set(interrupted: Arc<AtomicBool>) -> Result<Self, String> {
        let file = std::env::var(PREPARED_VARIABLE)
            .map_err(|_| format!("{PREPARED_VARIABLE} is not set: use cargo xtask chaos"))?;
        let text = std::fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
        let prepared: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| format!("{file}: {error}"))?;
        let path = |name: &str| prepared[name].as_str().map(PathBuf::from).ok_or("not prepared");
        let nodes = Arc::new(Nodes::from_json(&prepared)?);
        let control = Control::new(&nodes, &interrupted)?;
        for node in &nodes.all {
            nodes.start(node)?;
        }
        let (python, kept) = (path("python")?, path("kept")?);
        control.wait_until_well(&[])?;
        Ok(Self { nodes, control, interrupted, python, kept })
    }

    fn chaos(&self, options: &Options, seed: u64) -> Result<Report, String> {
        let topics = topics();
        for topic in &topics {
            self.control.create(&topic.name, topic.partitions)?;
        }
        let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
        self.control.wait_until_well(&names)?;
        let senders = senders(options.rate);
        let mut load = Load::start(&self.nodes.detours(), topics.clone(), &senders)?;
        let counts = Arc::clone(&load.counts);
        let ledger = Arc::new(Ledger::new(&counts));
        let done = self.break_things(options, seed, &topics, &load, &ledger);
        if let Err(why) = done {
            load.abandon();
            return Err(format!("{why} (seed {seed:#x})"));
        }
        let healed = Instant::now();
        self.control.wait_until_well(&names)?;
        ledger.stop_looking();
        let history = load.finish(FLUSH_WITHIN)?;
        let clear = healed.elapsed();
        eprintln!("reading everything back");
        let mut logs = BTreeMap::new();
        for topic in &topics {
            let log = read(&self.python, &self.nodes.servers(), &topic.name)?;
            logs.insert(topic.name.clone(), log);
            self.control.rest(Duration::ZERO)?;
        }
        let verdict = check(&history, &logs);
        if options.keep || !verdict.is_clean() {
            let folder = self.kept.join(format!("{seed:x}"));
            keep(&folder, &history, &logs)
                .map_err(|error| format!("{}: {error}", folder.display()))?;
            eprintln!("kept in {}", folder.display());
        }
        Ok(Report {
            seed,
            minutes: options.minutes,
            entries: ledger.entries(),
            verdict,
            purges: Counts::of(&counts.purges),
            slowest: Duration::from_millis(Counts::of(&counts.slowest_ms)),
            max_stall: ledger.max_stall(),
            clear,
        })
    }

    /// Runs all lanes for the time that is asked for. Each has a stream of chance of its own.
    fn break_things(
        &self,
        options: &Options,
        seed: u64,
        topics: &[Topic],
        load: &Load,
        ledger: &Arc<Ledger>,
    ) -> Result<(), String> {
        let stop = Arc::new(AtomicBool::new(false));
        let (anew, staying) = topics.split_last().ok_or("no topics")?;
        let lane = |number: u64| {
            Ok::<Lane, String>(Lane {
                control: Control::new(&self.nodes, &self.interrupted)?,
                ledger: Arc::clone(ledger),
                rng: Rng::fixed(Rng::fixed(seed).next_u64().wrapping_add(number)),
                stop: Arc::clone(&stop),
                topics: staying.to_vec(),
            })
        };
        let (nodes, network, of_topics, leaders) = (lane(1)?, lane(2)?, lane(3)?, lane(4)?);
        std::thread::scope(|scope| {
            let lanes = [
                scope.spawn(move || nodes.run_nodes()),
                scope.spawn(move || network.run_network()),
                scope.spawn(move || of_topics.run_topics(anew.clone(), staying.len() as u16, load)),
                scope.spawn(move || leaders.run_leaders()),
            ];
            let mut live = Live::new();
            let end = Instant::now() + options.time();
            let wanted = || !self.interrupted.load(Ordering::Relaxed);
            while Instant::now() < end && wanted() && !lanes.iter().any(|it| it.is_finished()) {
                std::thread::sleep(LOOK_EVERY);
                ledger.look();
                live.tell(ledger, &load.counts, options.time());
            }
            stop.store(true, Ordering::Relaxed);
            // The last fault of each lane takes its time, and time without deliveries counts.
            while !lanes.iter().all(|it| it.is_finished()) {
                std::thread::sleep(LOOK_EVERY);
                ledger.look();
                live.tell(ledger, &load.counts, options.time());
            }
            live.end();
            let ended = lanes.map(|lane| lane.join().map_err(|_| "a lane panicked".to_owned())?);
            // One that failed says why; the others may have been interrupted by it.
            let errors = ended.into_iter().filter_map(Result::err);
            let first = errors.min_by_key(|why| why == INTERRUPTED);
            first.map_or(Ok(()), Err)
        })
    }
}

/// The topics; the last is the one that is created anew.
fn topics() -> Vec<Topic> {
    let topic = |name: &str, partitions| Topic { name: name.to_owned(), partitions };
    vec![
        topic("chaos-one", 3),
        topic("chaos-two", 6),
        topic("chaos-six", 4),
        topic("chaos-anew", 3),
    ]
}

/// Producers that differ in what matters for batches, retries and deadlines; they share the rate.
fn senders(rate: f64) -> Vec<Sender> {
    let sender = |settings: &[(&'static str, &'static str)], topics: &[u16], share: f64| Sender {
        settings: settings.to_vec(),
        topics: topics.to_vec(),
        rate: rate * share,
        purges_every: None,
        idempotent: true,
    };
    let quick = ("request.timeout.ms", "4000");
    vec![
        sender(&[("compression.type", "lz4")], &[0, 1, 2], 0.25),
        sender(&[("compression.type", "zstd"), ("linger.ms", "20"), quick], &[0, 1, 2], 0.25),
        // Many small batches: all places in flight are taken.
        sender(
            &[("compression.type", "none"), ("batch.size", "2000"), ("linger.ms", "0"), quick],
            &[0, 1],
            0.2,
        ),
        sender(
            &[
                ("compression.type", "gzip"),
                ("max.in.flight.requests.per.connection", "1"),
                ("request.timeout.ms", "2000"),
            ],
            &[1, 2],
            0.1,
        ),
        // In a hurry: what it sends expires, queued and in flight, and is given up at times.
        Sender {
            purges_every: Some(20_000),
            ..sender(
                &[
                    ("compression.type", "snappy"),
                    ("delivery.timeout.ms", "4000"),
                    ("request.timeout.ms", "1500"),
                    ("max.block.ms", "2000"),
                ],
                &[0, 1, 2],
                0.15,
            )
        },
        sender(&[("max.block.ms", "3000"), ("delivery.timeout.ms", "15000"), quick], &[3], 0.05),
    ]
}

/// Writes history and logs to files.
fn keep(folder: &Path, history: &History, logs: &BTreeMap<String, Log>) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    history.write(BufWriter::new(File::create(folder.join("history.txt"))?))?;
    for (topic, log) in logs {
        let mut out = BufWriter::new(File::create(folder.join(format!("log-{topic}.txt")))?);
        for (partition, found) in log {
            for Found { offset, what } in found {
                match what {
                    What::Record { producer, number } => {
                        writeln!(out, "{partition} {offset} record {producer} {number}")?;
                    }
                    What::Misrouted { topic } => {
                        writeln!(out, "{partition} {offset} of {topic}")?;
                    }
                    What::Foreign(why) => writeln!(out, "{partition} {offset} foreign {why}")?,
                }
            }
        }
        out.flush()?;
    }
    Ok(())
}

/// Checks what an earlier run has kept.
pub(crate) fn check_again(folder: &Path) -> Result<bool, String> {
    let open = |name: &str| {
        let file = folder.join(name);
        File::open(&file)
            .map(BufReader::new)
            .map_err(|error| format!("{}: {error}", file.display()))
    };
    let history = History::read(open("history.txt")?)?;
    let mut logs = BTreeMap::new();
    for topic in &history.topics {
        let log = read_kept(open(&format!("log-{topic}.txt"))?)?;
        logs.insert(topic.clone(), log);
    }
    let verdict = check(&history, &logs);
    println!("{} delivered, {} read back", verdict.delivered, verdict.in_logs);
    for (wrong, times) in &verdict.wrong {
        println!(
            "VIOLATION: {times} records {}\n  the first: {}",
            wrong.name(),
            verdict.first[wrong]
        );
    }
    Ok(verdict.is_clean())
}

fn read_kept(input: impl std::io::BufRead) -> Result<Log, String> {
    let mut log = Log::new();
    for line in input.lines() {
        let line = line.map_err(|error| error.to_string())?;
        let mut words = line.splitn(4, ' ');
        let mut next = || words.next().ok_or_else(|| format!("half a line: {line:?}"));
        let number = |word: &str| word.parse::<i64>().map_err(|_| format!("no number: {word:?}"));
        let (partition, offset) = (number(next()?)?, number(next()?)?);
        let (kind, rest) = (next()?, next()?);
        let what = match (kind, rest.split_once(' ')) {
            ("record", Some((producer, of))) => {
                What::Record { producer: number(producer)? as u16, number: number(of)? as u32 }
            }
            ("of", _) => What::Misrouted { topic: rest.to_owned() },
            _ => What::Foreign(rest.to_owned()),
        };
        log.entry(partition as i32).or_default().push(Found { offset, what });
    }
    Ok(log)
}
