//! `cargo xtask bench --brokers`: what a record costs the embedded broker, and what it costs Kafka.
//!
//! Both get the same records from the same producer, and give them to the same consumer, Java's.
//! What is compared is processor time of the brokers. Each has run the workload before it counts,
//! so that Kafka's code is compiled, and the memory that logs are kept in is the system's already.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::adapters;
use super::engines::{Engine, Started};
use super::system;
use crate::broker::Broker;
use crate::install::stdout_of;
use crate::kafka::jars::{self, Jars};
use crate::process::Interrupt;
use crate::workspace;

const PAGE: &str = "docs/broker-benchmarks.md";
/// How often the start of a broker is timed.
const STARTS: usize = 20;
const PARTITIONS: &str = "6";
/// How often each load is run before it counts.
const WARM_UPS: usize = 2;

/// Records of one kind.
struct Load {
    name: &'static str,
    records: u64,
    bytes: u64,
    codec: &'static str,
}

const LOADS: [Load; 3] = [
    Load { name: "100 B", records: 4_000_000, bytes: 100, codec: "none" },
    Load { name: "1 KB", records: 1_000_000, bytes: 1000, codec: "none" },
    Load { name: "100 B, lz4", records: 4_000_000, bytes: 100, codec: "lz4" },
];

/// Processor time of the brokers for a record, in microseconds.
#[derive(Clone, Copy)]
struct Cost {
    produce_us: f64,
    fetch_us: f64,
}

/// What is used to measure.
struct Tools<'a> {
    ottla: PathBuf,
    java: PathBuf,
    jars: Jars,
    rounds: usize,
    quick: bool,
    interrupt: &'a Interrupt,
}

/// Measures, and writes the page.
pub(super) fn run(rounds: usize, quick: bool, interrupt: &Interrupt) -> Result<(), String> {
    let ottla = adapters::build_ottla(interrupt)?;
    let (java, jars) = (jars::java()?, jars::fetch()?);
    let tools = Tools { ottla, java, jars, rounds, quick, interrupt };
    let mut page = head(rounds)?;
    for nodes in [1, 3] {
        let ours = tools.measure(Engine::Embedded(nodes))?;
        let kafka = tools.measure(Engine::Kafka(nodes))?;
        table(&mut page, nodes, &ours, &kafka);
    }
    system::tell(&mut page)?;
    footprint(&mut page, &tools.ottla)?;
    let file = workspace::root()?.join(PAGE);
    workspace::write(&file, page)?;
    eprintln!("wrote {PAGE}");
    Ok(())
}

impl Tools<'_> {
    /// The cost of each load, the median of the rounds that come after the first few.
    fn measure(&self, engine: Engine) -> Result<Vec<Cost>, String> {
        let started = engine.start(&self.ottla, self.interrupt)?;
        let mut costs = Vec::new();
        for (at, load) in LOADS.iter().enumerate() {
            let mut rounds = Vec::new();
            for round in 0..WARM_UPS + self.rounds {
                let topic = format!("bench-{at}-{round}");
                let cost = self.once(&started, load, &topic)?;
                let (produce, fetch) = (cost.produce_us, cost.fetch_us);
                let title = engine.title();
                eprintln!("{title}, {}: {produce:.3} us, {fetch:.3} us", load.name);
                rounds.push(cost);
                self.interrupt.check()?;
            }
            rounds.drain(..WARM_UPS);
            let median = |figure: fn(&Cost) -> f64| {
                let mut all: Vec<f64> = rounds.iter().map(figure).collect();
                all.sort_by(f64::total_cmp);
                all[all.len() / 2]
            };
            costs.push(Cost {
                produce_us: median(|cost| cost.produce_us),
                fetch_us: median(|cost| cost.fetch_us),
            });
        }
        Ok(costs)
    }

    fn once(&self, engine: &Started, load: &Load, topic: &str) -> Result<Cost, String> {
        let servers = &engine.servers;
        let replicas = engine.engine.replicas().to_string();
        let mut create = Command::new(&self.ottla);
        create.args(["topic", "create", topic, "--partitions", PARTITIONS]);
        create.args(["--replication", &replicas, "-b", servers]);
        stdout_of(&mut create)?;
        let records = if self.quick { load.records / 8 } else { load.records };
        let count = records.to_string();
        let per_record = |seconds: f64| seconds * 1e6 / records as f64;

        let before = engine.cpu_seconds();
        let mut produce = Command::new(&self.ottla);
        produce.args(["bench", "-b", servers, "-t", topic, "--num-records", &count]);
        produce.args(["--record-size", &load.bytes.to_string(), "-X", "acks=all"]);
        produce.args(["-X", &format!("compression.type={}", load.codec)]);
        stdout_of(&mut produce)?;
        let between = engine.cpu_seconds();
        self.consume(servers, topic, &count)?;
        let after = engine.cpu_seconds();

        let mut delete = Command::new(&self.ottla);
        stdout_of(delete.args(["topic", "delete", topic, "-b", servers]))?;
        let (produce_us, fetch_us) = (per_record(between - before), per_record(after - between));
        Ok(Cost { produce_us, fetch_us })
    }

    /// Has Java's consumer read so many records; it fails when they are not there.
    fn consume(&self, servers: &str, topic: &str, count: &str) -> Result<(), String> {
        let mut consume = Command::new(&self.java);
        consume.args(["-cp", &format!("{}/*", self.jars.libs.display())]);
        consume.arg("org.apache.kafka.tools.ConsumerPerformance");
        consume.args(["--bootstrap-server", servers, "--topic", topic, "--num-records", count]);
        consume.args(["--hide-header", "--timeout", "60000"]);
        let told = stdout_of(&mut consume)?;
        let read = told.split(", ").nth(4).and_then(|read| read.trim().parse::<u64>().ok());
        match read {
            // It stops at the end of an answer, behind what was asked for.
            Some(read) if count.parse().is_ok_and(|wanted: u64| read >= wanted) => Ok(()),
            _ => Err(format!("the consumer read too little: {told}")),
        }
    }
}

fn head(rounds: usize) -> Result<String, String> {
    let mut git = Command::new("git");
    let commit =
        stdout_of(git.args(["rev-parse", "--short", "HEAD"]).current_dir(workspace::root()?))?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(format!(
        "# What the embedded broker costs\n\n\
         Made by `cargo xtask bench --brokers` on commit {}, with {cores} cores; the median of \
         {rounds} runs.\nEach broker gets the same records from `ottla bench` with acks=all, and \
         gives them to Java's\n`ConsumerPerformance`, in topics of {PARTITIONS} partitions. What is \
         told is processor time of all brokers\nfor a record. Each has run each load twice before \
         it counts,\nand keeps its logs in memory.\n",
        commit.trim()
    ))
}

fn table(page: &mut String, nodes: usize, ours: &[Cost], kafka: &[Cost]) {
    let title = match nodes {
        1 => "One node".to_owned(),
        _ => format!("{nodes} nodes, {nodes} replicas"),
    };
    let _ = write!(
        page,
        "\n## {title}\n\n| Records | | Kafka {}, µs | ottla, µs | times |\n|---|---|---:|---:|---:|\n",
        jars::VERSION
    );
    for ((load, ours), kafka) in LOADS.iter().zip(ours).zip(kafka) {
        for (what, ours, kafka) in [
            ("produce", ours.produce_us, kafka.produce_us),
            ("fetch", ours.fetch_us, kafka.fetch_us),
        ] {
            // Ticks of the system's clock are the least that is seen.
            let times = kafka / ours.max(0.001);
            let name = load.name;
            let _ = writeln!(page, "| {name} | {what} | {kafka:.3} | {ours:.3} | {times:.1} |");
        }
    }
}

/// How soon a broker is there, and what it takes while nobody wants anything.
fn footprint(page: &mut String, ottla: &Path) -> Result<(), String> {
    page.push_str("\n## Start and memory\n\n| | ready after | memory |\n|---|---:|---:|\n");
    for nodes in ["1", "3"] {
        let mut times: Vec<Duration> = Vec::new();
        let mut memory_kib = 0;
        for _ in 0..STARTS {
            let begin = Instant::now();
            let broker = Broker::start(ottla, "start", &["--nodes", nodes])?;
            times.push(begin.elapsed());
            memory_kib = resident_kib(broker.pid()).unwrap_or_default();
        }
        times.sort();
        let milliseconds = times[times.len() / 2].as_secs_f64() * 1000.0;
        let mebibytes = memory_kib as f64 / 1024.0;
        let _ = writeln!(
            page,
            "| `ottla broker --nodes {nodes}` | {milliseconds:.0} ms | {mebibytes:.1} MiB |"
        );
    }
    Ok(())
}

/// Memory that a process has, of its own and shared, in KiB.
fn resident_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}
