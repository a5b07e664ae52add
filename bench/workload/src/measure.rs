//! Time, processor time and memory.

use std::time::Instant;

use nix::sys::resource::{Usage, UsageWho, getrusage};

use crate::{Latencies, Outcome, Workload};

/// Whose processor time counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// That of all threads.
    Process,
    /// That of the calling thread.
    Thread,
}

/// Measures the span between its making and its end.
pub struct Meter {
    whose: Whose,
    cpu_seconds: f64,
    start: Instant,
}

impl Meter {
    /// Begins to measure.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn begin(whose: Whose) -> Result<Self, String> {
        Ok(Self { whose, cpu_seconds: cpu_seconds(whose)?, start: Instant::now() })
    }

    /// Ends the measuring.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn end(self, client: &str, workload: &Workload) -> Result<Outcome, String> {
        let seconds = self.start.elapsed().as_secs_f64();
        Ok(Outcome {
            client: client.to_owned(),
            records: workload.records,
            acknowledged: 0,
            failed: 0,
            seconds,
            cpu_seconds: cpu_seconds(self.whose)? - self.cpu_seconds,
            peak_rss_kib: u64::try_from(usage(Whose::Process)?.max_rss()).unwrap_or_default(),
            latency_us: None,
            requests: None,
        })
    }
}

impl Outcome {
    /// Prints the line, with what only the adapter knows.
    ///
    /// # Errors
    /// The outcome cannot be written as JSON.
    pub fn print(
        mut self,
        acknowledged: u64,
        failed: u64,
        latencies: &Latencies,
        requests: Option<u64>,
    ) -> Result<(), String> {
        (self.acknowledged, self.failed, self.requests) = (acknowledged, failed, requests);
        self.latency_us = latencies.percentiles();
        let line = serde_json::to_string(&self).map_err(|error| error.to_string())?;
        println!("{line}");
        Ok(())
    }
}

fn cpu_seconds(whose: Whose) -> Result<f64, String> {
    let usage = usage(whose)?;
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

fn usage(whose: Whose) -> Result<Usage, String> {
    let who = match whose {
        Whose::Process => UsageWho::RUSAGE_SELF,
        Whose::Thread => UsageWho::RUSAGE_THREAD,
    };
    getrusage(who).map_err(|error| format!("the system does not tell of processor time: {error}"))
}
