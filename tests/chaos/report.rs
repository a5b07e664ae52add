//! What is said while a run goes on, and at its end.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::check::Verdict;
use crate::ledger::{Entry, Ledger, Tally};
use crate::load::Counts;

const REDRAW: Duration = Duration::from_millis(500);
const BETWEEN_LINES: Duration = Duration::from_secs(30);

/// How far the run is: a line that is drawn anew where somebody looks, a line now and then
/// otherwise.
pub(crate) struct Live {
    terminal: bool,
    last: Instant,
    last_delivered: u64,
}

impl Live {
    pub(crate) fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { terminal, last: Instant::now(), last_delivered: 0 }
    }

    pub(crate) fn tell(&mut self, ledger: &Ledger, counts: &Counts, whole: Duration) {
        let elapsed = self.last.elapsed();
        if elapsed < if self.terminal { REDRAW } else { BETWEEN_LINES } {
            return;
        }
        let delivered = Counts::of(&counts.delivered);
        let rate = (delivered - self.last_delivered) as f64 / elapsed.as_secs_f64();
        (self.last, self.last_delivered) = (Instant::now(), delivered);
        let going_on = ledger.going_on().join("; ");
        let line = format!(
            "{} of {}, {delivered} delivered, {rate:.0}/s, {} on their way, {} faults; {going_on}",
            clock(ledger.elapsed()),
            clock(whole),
            counts.pending(),
            ledger.entries().len(),
        );
        let mut out = std::io::stderr().lock();
        let _ = if self.terminal {
            let line: String = line.chars().take(110).collect();
            write!(out, "\r\x1b[K{line}").and_then(|()| out.flush())
        } else {
            writeln!(out, "{line}")
        };
    }

    pub(crate) fn end(&self) {
        if self.terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// All that there is to say of a run.
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) minutes: f64,
    pub(crate) entries: Vec<Entry>,
    pub(crate) verdict: Verdict,
    pub(crate) purges: u64,
    pub(crate) slowest: Duration,
    pub(crate) max_stall: Duration,
    /// From the end of the last fault until the last outcome.
    pub(crate) clear: Duration,
}

impl Report {
    /// The report for people.
    pub(crate) fn print(&self, mut out: impl Write) -> std::io::Result<()> {
        let tally = Tally::of(&self.entries);
        writeln!(
            out,
            "seed {:#x}, {} minutes, {} faults:",
            self.seed,
            self.minutes,
            tally.total()
        )?;
        for (fault, times) in &tally.by_fault {
            writeln!(out, "  {times:>6}  {}", fault.name())?;
        }
        let verdict = &self.verdict;
        let sent = verdict.delivered + verdict.not_persisted + verdict.maybe + verdict.refused;
        writeln!(out, "{sent} records sent:")?;
        writeln!(out, "  {:>9}  delivered", verdict.delivered)?;
        writeln!(out, "  {:>9}  not persisted", verdict.not_persisted)?;
        writeln!(
            out,
            "  {:>9}  maybe persisted, {} of them in a log",
            verdict.maybe, verdict.maybe_there
        )?;
        writeln!(out, "  {:>9}  not accepted", verdict.refused)?;
        writeln!(out, "{} records read back, {} purges", verdict.in_logs, self.purges)?;
        writeln!(
            out,
            "longest time without a delivery {:.1} s, slowest delivery {:.1} s, all clear {:.1} s \
             after the last fault",
            self.max_stall.as_secs_f64(),
            self.slowest.as_secs_f64(),
            self.clear.as_secs_f64()
        )?;
        if let Some(least) = tally.least {
            writeln!(out, "at least {least} records delivered during each fault of 10 s or more")?;
        }
        for entry in &tally.without_progress {
            writeln!(
                out,
                "  only {} during: {}, {}, {:.1} s",
                entry.delivered,
                entry.fault.name(),
                entry.detail,
                entry.lasted.as_secs_f64()
            )?;
        }
        for (wrong, times) in &verdict.wrong {
            writeln!(out, "VIOLATION: {times} records {}", wrong.name())?;
            writeln!(out, "  the first: {}", verdict.first[wrong])?;
        }
        if verdict.is_clean() {
            writeln!(
                out,
                "nothing lost, nothing twice, nothing out of order, each outcome is true"
            )?;
        } else {
            let (seed, minutes) = (self.seed, self.minutes);
            writeln!(out, "again: cargo xtask chaos --seed {seed:#x} --minutes {minutes}")?;
        }
        Ok(())
    }

    /// The same for programs.
    pub(crate) fn json(&self, controls: &[String]) -> Value {
        let tally = Tally::of(&self.entries);
        let verdict = &self.verdict;
        let faults: serde_json::Map<String, Value> =
            tally.by_fault.iter().map(|(it, times)| (it.name().to_owned(), json!(times))).collect();
        let wrong: serde_json::Map<String, Value> = verdict
            .wrong
            .iter()
            .map(|(it, times)| {
                (it.name().to_owned(), json!({ "times": times, "first": verdict.first[it] }))
            })
            .collect();
        let each = self.entries.iter().map(|entry| {
            json!({
                "at_s": entry.at.as_secs_f64(),
                "lasted_s": entry.lasted.as_secs_f64(),
                "fault": entry.fault.name(),
                "detail": entry.detail,
                "delivered": entry.delivered,
            })
        });
        json!({
            "seed": self.seed,
            "minutes": self.minutes,
            "controls": controls,
            "faults": faults,
            "fault_list": each.collect::<Vec<_>>(),
            "delivered": verdict.delivered,
            "not_persisted": verdict.not_persisted,
            "maybe_persisted": verdict.maybe,
            "maybe_persisted_in_log": verdict.maybe_there,
            "not_accepted": verdict.refused,
            "read_back": verdict.in_logs,
            "max_stall_s": self.max_stall.as_secs_f64(),
            "slowest_delivery_s": self.slowest.as_secs_f64(),
            "all_clear_s": self.clear.as_secs_f64(),
            "least_delivered_during_long_fault": tally.least,
            "violations": wrong,
        })
    }
}
