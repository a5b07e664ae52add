//! Running the programs in turn, and what came of it.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::adapters::{Adapter, Adapters};
use super::engines::Started;
use super::workloads::{Load, Table};
use crate::process::{self, Interrupt};

/// What one adapter came to with one workload: the medians of its rounds.
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    pub(crate) is_ours: bool,
    pub(crate) is_limit: bool,
    pub(crate) records_per_second: Spread,
    pub(crate) cpu_us_per_record: Spread,
    pub(crate) peak_mib: f64,
    /// p50, p99 and p99.9 in microseconds.
    pub(crate) latency_us: Option<[f64; 3]>,
    pub(crate) requests_per_second: Option<f64>,
    /// Share of one core that the process took.
    pub(crate) cpu_share: f64,
    /// The same of the broker, with the warm-up.
    pub(crate) broker_cpu_share: f64,
}

/// The least, the median and the greatest of some figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) greatest: f64,
}

impl Spread {
    fn of(mut figures: Vec<f64>) -> Self {
        figures.sort_by(f64::total_cmp);
        let median = figures[figures.len() / 2];
        Self { least: figures[0], median, greatest: figures[figures.len() - 1] }
    }
}

/// Runs tables against one engine.
pub(crate) struct Runner<'a> {
    pub(crate) adapters: &'a Adapters,
    pub(crate) engine: &'a Started,
    pub(crate) rounds: usize,
    pub(crate) quick: bool,
    pub(crate) interrupt: &'a Interrupt,
}

impl Runner<'_> {
    /// Every workload of the table, by every adapter that has a part in it.
    pub(crate) fn fill(&self, table: &Table) -> Result<Vec<Vec<Measured>>, String> {
        let mut columns = Vec::new();
        for load in table.workloads {
            let takes_part = |adapter: &&Adapter| match (load.rate > 0, table.peers) {
                (true, true) => adapter.paced.is_some(),
                (false, true) => adapter.paced != Some(Some(0)),
                (_, false) => adapter.is_ours,
            };
            let adapters: Vec<&Adapter> = self.adapters.list.iter().filter(takes_part).collect();
            let mut outcomes: Vec<Vec<Value>> = adapters.iter().map(|_| Vec::new()).collect();
            for round in 1..=self.rounds {
                for (adapter, outcomes) in adapters.iter().zip(&mut outcomes) {
                    let engine = self.engine.engine.title();
                    eprintln!("{engine}: {}, round {round}, {}", load.name, adapter.name);
                    match self.once(adapter, load) {
                        Ok(outcome) => outcomes.push(outcome),
                        Err(why) => eprintln!("  {why}"),
                    }
                    self.interrupt.check()?;
                }
            }
            let measured = adapters.iter().zip(outcomes);
            columns.push(measured.filter_map(|(a, outcomes)| measured_of(a, &outcomes)).collect());
        }
        Ok(columns)
    }

    /// One run, in topics of its own.
    fn once(&self, adapter: &Adapter, load: &Load) -> Result<Value, String> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let run = NEXT.fetch_add(1, Ordering::Relaxed);
        let topics: Vec<String> = (0..load.topics).map(|n| format!("bench-{run}-{n}")).collect();
        let servers = &self.engine.servers;
        let replicas = self.engine.engine.replicas().to_string();
        let partitions = load.partitions.to_string();
        let head = ["create", servers, &partitions, &replicas];
        self.topics(&head, &topics)?;
        let records = load.records / if load.rate > 0 { 1 } else { adapter.slower };
        let records = if self.quick { records / 4 } else { records }.max(1000);
        let linger_ms = adapter.paced.flatten().filter(|_| load.rate > 0).or(Some(5));
        let workload = json!({
            "servers": servers, "topics": topics, "partitions": load.partitions,
            "records": records, "warmup": (records / 10).clamp(100, 200_000),
            "size": load.size, "keys": load.keys, "codec": load.codec,
            "threads": load.threads, "tasks": load.tasks, "acks": "all",
            "linger_ms": linger_ms, "batch_bytes": null, "rate": load.rate,
            "surface": if load.surface.is_empty() { adapter.surface } else { load.surface },
            "properties": if load.gap_ms.is_empty() {
                json!({})
            } else {
                json!({ "linger.adaptive.gap.ms": load.gap_ms })
            },
        });
        let mut command = adapter.command();
        command.arg(workload.to_string()).stdin(Stdio::null());
        let broker_before = self.engine.cpu_seconds();
        let told = process::output(&mut command)?;
        let broker_cpu_seconds = self.engine.cpu_seconds() - broker_before;
        if !told.status.success() {
            let words = String::from_utf8_lossy(&told.stderr);
            return Err(format!("{}: {}", told.status, words.trim()));
        }
        let mut outcome = last_object(&told.stdout).ok_or("it printed no outcome")?;
        outcome["broker_cpu_seconds"] = json!(broker_cpu_seconds);
        if !adapter.is_limit {
            let counted = self.topics(&["count", servers], &topics)?;
            check(&outcome, counted.trim())?;
        }
        self.topics(&["delete", servers], &topics)?;
        Ok(outcome)
    }

    fn topics(&self, head: &[&str], topics: &[String]) -> Result<String, String> {
        let mut command = Command::new(&self.adapters.topics);
        let told = process::output(command.args(head).args(topics))?;
        if !told.status.success() {
            return Err(String::from_utf8_lossy(&told.stderr).trim().to_owned());
        }
        Ok(String::from_utf8_lossy(&told.stdout).into_owned())
    }
}

fn last_object(stdout: &[u8]) -> Option<Value> {
    let text = String::from_utf8_lossy(stdout);
    text.lines().rev().find_map(|line| serde_json::from_str(line).ok().filter(Value::is_object))
}

/// Whether all was acknowledged, and the log holds as much.
fn check(outcome: &Value, counted: &str) -> Result<(), String> {
    let acknowledged = outcome["acknowledged"].as_u64().unwrap_or_default();
    if outcome["failed"] != 0 || acknowledged.to_string() != counted {
        let failed = &outcome["failed"];
        return Err(format!("{acknowledged} acknowledged, {failed} failed, {counted} in the log"));
    }
    Ok(())
}

fn measured_of(adapter: &Adapter, outcomes: &[Value]) -> Option<Measured> {
    let number = |value: &Value, name: &str| value[name].as_f64().unwrap_or_default();
    let spread = |figure: &dyn Fn(&Value) -> f64| Spread::of(outcomes.iter().map(figure).collect());
    let first = outcomes.first()?;
    let latency = |name: &str| spread(&|outcome| number(&outcome["latency_us"], name)).median;
    let has_latency = first["latency_us"].is_object();
    Some(Measured {
        name: adapter.name,
        is_ours: adapter.is_ours,
        is_limit: adapter.is_limit,
        records_per_second: spread(&|o| number(o, "records") / number(o, "seconds")),
        cpu_us_per_record: spread(&|o| number(o, "cpu_seconds") * 1e6 / number(o, "records")),
        peak_mib: spread(&|o| number(o, "peak_rss_kib") / 1024.0).greatest,
        latency_us: has_latency.then(|| ["p50", "p99", "p99_9"].map(latency)),
        requests_per_second: first["requests"]
            .is_u64()
            .then(|| spread(&|o| number(o, "requests") / number(o, "seconds")).median),
        cpu_share: spread(&|o| number(o, "cpu_seconds") / number(o, "seconds")).median,
        broker_cpu_share: spread(&|o| number(o, "broker_cpu_seconds") / number(o, "seconds"))
            .median,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_stands_between_the_extremes() {
        let spread = Spread::of(vec![5.0, 1.0, 3.0]);
        assert_eq!(spread, Spread { least: 1.0, median: 3.0, greatest: 5.0 });
    }

    #[test]
    fn what_the_log_does_not_hold_is_noticed() {
        let outcome = json!({"acknowledged": 10, "failed": 0});
        assert!(check(&outcome, "10").is_ok());
        assert!(check(&outcome, "9").is_err());
        assert!(check(&json!({"acknowledged": 10, "failed": 1}), "10").is_err());
    }

    #[test]
    fn the_outcome_is_the_last_object_that_was_printed() {
        let told = b"warming up\n{\"a\": 1}\n{\"a\": 2}\ndone\n";
        assert_eq!(last_object(told), Some(json!({"a": 2})));
        assert_eq!(last_object(b"nothing"), None);
    }
}
