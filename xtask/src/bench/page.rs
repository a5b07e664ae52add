//! The generated part of `docs/benchmarks.md`.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use super::Filled;
use super::runs::Measured;
use crate::{process, workspace};

const BEGIN: &str = "<!-- begin: written by cargo xtask bench -->";
const END: &str = "<!-- end: written by cargo xtask bench -->";

/// A goal: what is compared, with whom, and the bound that ours over theirs should keep.
struct Goal {
    what: &'static str,
    with: &'static str,
    figure: fn(&Measured) -> Option<f64>,
    bound: Bound,
}

#[derive(Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

const CPU: fn(&Measured) -> Option<f64> = |row| Some(row.cpu_us_per_record.median);
const RATE: fn(&Measured) -> Option<f64> = |row| Some(row.records_per_second.median);

const GOALS_AT_FULL_SPEED: [Goal; 4] = [
    Goal {
        what: "CPU per record",
        with: "limit (no client)",
        figure: CPU,
        bound: Bound::AtMost(1.6),
    },
    Goal { what: "CPU per record", with: "franz-go", figure: CPU, bound: Bound::AtMost(0.25) },
    Goal { what: "CPU per record", with: "librdkafka", figure: CPU, bound: Bound::AtMost(0.125) },
    Goal { what: "records/s", with: "franz-go", figure: RATE, bound: Bound::AtLeast(4.0) },
];

const GOALS_ON_KAFKA: [Goal; 2] = [
    Goal { what: "records/s", with: "franz-go", figure: RATE, bound: Bound::AtLeast(2.0) },
    Goal { what: "CPU per record", with: "franz-go", figure: CPU, bound: Bound::AtMost(0.34) },
];

const GOALS_OF_LATENCY: [Goal; 4] = [
    Goal {
        what: "p50",
        with: "librdkafka, linger 0",
        figure: |row| row.latency_us.map(|latency| latency[0]),
        bound: Bound::AtMost(1.5),
    },
    Goal {
        what: "p99",
        with: "librdkafka, linger 0",
        figure: |row| row.latency_us.map(|latency| latency[1]),
        bound: Bound::AtMost(0.5),
    },
    Goal {
        what: "requests/s",
        with: "librdkafka, linger 0",
        figure: |row| row.requests_per_second,
        bound: Bound::AtMost(0.5),
    },
    Goal {
        what: "CPU",
        with: "librdkafka",
        figure: |row| Some(row.cpu_share),
        bound: Bound::AtMost(1.0),
    },
];

/// Puts the tables in the place of those that stand on the page.
pub(crate) fn write(
    docs: &Path,
    tables: &[Filled],
    skipped: &[String],
    rounds: usize,
) -> Result<(), String> {
    let path = docs.join("benchmarks.md");
    let page = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut text = format!("{BEGIN}\n\n{}\n", machine(rounds)?);
    for table in tables {
        let _ = writeln!(text, "### {}: {}\n", table.table.title, table.engine.title());
        text.push_str(&table_of(table));
        text.push_str(&goals_of(table));
    }
    if !skipped.is_empty() {
        text.push_str("Left out: ");
        let _ = writeln!(text, "{}.\n", skipped.join("; "));
    }
    text.push_str(END);
    workspace::write(&path, replaced(&page, &text, (BEGIN, END))?)
}

/// The page with the new text between the marks.
pub(super) fn replaced(
    page: &str,
    text: &str,
    (first, last): (&str, &str),
) -> Result<String, String> {
    let marks = page.find(first).zip(page.find(last)).filter(|(begin, end)| begin < end);
    let (begin, end) = marks.ok_or("docs/benchmarks.md has lost its marks for the tables")?;
    Ok(format!("{}{text}{}", &page[..begin], &page[end + last.len()..]))
}

pub(super) fn machine(rounds: usize) -> Result<String, String> {
    let git = |args: &[&str]| -> Result<String, String> {
        let told = process::output(Command::new("git").args(args).current_dir(workspace::root()?))?;
        Ok(String::from_utf8_lossy(&told.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short", "HEAD"])?;
    let changed =
        if git(&["status", "--porcelain", "crates"])?.is_empty() { "" } else { ", changed" };
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("unknown processor", |(_, name)| name.trim());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(format!(
        "Commit {commit}{changed}; {cores} cores of {model}; the broker runs on the same cores; \
         {rounds} rounds, medians.\n"
    ))
}

fn table_of(filled: &Filled) -> String {
    let is_latency = filled.table.workloads.iter().any(|load| load.rate > 0);
    let mut text = String::new();
    if is_latency {
        text.push_str(
            "| | | p50 µs | p99 µs | p99.9 µs | requests/s | CPU, % of a core | broker's CPU | MiB |\n",
        );
        text.push_str("|---|---|---:|---:|---:|---:|---:|---:|---:|\n");
    } else {
        text.push_str("| | | records/s | least … greatest | CPU µs/record | MiB |\n");
        text.push_str("|---|---|---:|---:|---:|---:|\n");
    }
    for (load, rows) in filled.table.workloads.iter().zip(&filled.columns) {
        for row in rows {
            let name = if row.is_ours { format!("**{}**", row.name) } else { row.name.to_owned() };
            let _ = write!(text, "| {} | {name} |", load.name);
            let _ = if is_latency { latency_cells(&mut text, row) } else { cells(&mut text, row) };
        }
    }
    text.push('\n');
    text
}

fn cells(text: &mut String, row: &Measured) -> std::fmt::Result {
    let rate = row.records_per_second;
    writeln!(
        text,
        " {} | {} … {} | {:.3} | {:.0} |",
        short(rate.median),
        short(rate.least),
        short(rate.greatest),
        row.cpu_us_per_record.median,
        row.peak_mib
    )
}

fn latency_cells(text: &mut String, row: &Measured) -> std::fmt::Result {
    let [p50, p99, p99_9] = row.latency_us.unwrap_or_default();
    let requests = row.requests_per_second.map_or_else(|| "?".to_owned(), |n| format!("{n:.0}"));
    let (cpu, broker) = (row.cpu_share * 100.0, row.broker_cpu_share * 100.0);
    let mib = row.peak_mib;
    writeln!(
        text,
        " {p50:.0} | {p99:.0} | {p99_9:.0} | {requests} | {cpu:.0} | {broker:.0} | {mib:.0} |"
    )
}

/// What the goals came to, one line for each workload and goal.
fn goals_of(filled: &Filled) -> String {
    let goals: &[Goal] = match (filled.table.id, filled.engine) {
        ("main", super::Engine::Kafka(_)) => &GOALS_ON_KAFKA,
        ("main", super::Engine::Discard) => &GOALS_AT_FULL_SPEED,
        ("latency", _) => &GOALS_OF_LATENCY,
        _ => &[],
    };
    let mut text = String::new();
    for (load, rows) in filled.table.workloads.iter().zip(&filled.columns) {
        for goal in goals {
            let figure =
                |name: &str| rows.iter().find(|row| row.name == name).and_then(goal.figure);
            let Some((ours, theirs)) = figure("ottla").zip(figure(goal.with)) else { continue };
            let (ratio, met, bound) = goal.bound.judge(ours / theirs);
            let _ = writeln!(
                text,
                "| {} | {} / {} | {ratio} | {bound} | {} |",
                load.name,
                goal.what,
                goal.with,
                if met { "yes" } else { "**no**" }
            );
        }
    }
    if text.is_empty() {
        return text;
    }
    format!("| | ours / theirs | ratio | goal | met |\n|---|---|---:|---:|---|\n{text}\n")
}

impl Bound {
    fn judge(self, ratio: f64) -> (String, bool, String) {
        let shown = format!("{ratio:.2}");
        match self {
            Self::AtMost(most) => (shown, ratio <= most, format!("≤ {most}")),
            Self::AtLeast(least) => (shown, ratio >= least, format!("≥ {least}")),
        }
    }
}

/// `8.25 M`, `640 k`.
pub(crate) fn short(number: f64) -> String {
    match number {
        n if n >= 1e6 => format!("{:.2} M", n / 1e6),
        n if n >= 1e3 => format!("{:.0} k", n / 1e3),
        n => format!("{n:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let page = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let new = format!("{BEGIN}\nnew\n{END}");
        assert_eq!(replaced(&page, &new, (BEGIN, END)).unwrap(), format!("before\n{new}\nafter\n"));
        assert!(replaced("no marks", &new, (BEGIN, END)).is_err());
        assert!(replaced(&format!("{END}{BEGIN}"), &new, (BEGIN, END)).is_err());
    }

    #[test]
    fn a_goal_is_met_or_missed_on_its_own_side() {
        assert!(Bound::AtMost(0.25).judge(0.2).1 && !Bound::AtMost(0.25).judge(0.3).1);
        assert!(Bound::AtLeast(4.0).judge(4.5).1 && !Bound::AtLeast(4.0).judge(3.9).1);
    }
}
