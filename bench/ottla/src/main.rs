//! Runs a workload with Ottla, by any of its interfaces: `try_send` (the default), `topic`, `send`,
//! `await`, `tasks`, `blocking`.

mod futures;
mod threads;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bench_workload::{Latencies, Meter, Source, Whose, Workload};
use ottla::Producer;

const FLUSH_WITHIN: Duration = Duration::from_secs(120);

/// What each interface works with.
#[derive(Clone)]
struct Run {
    producer: Producer,
    workload: Arc<Workload>,
    source: Arc<Source>,
    latencies: Latencies,
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let workload = Workload::from_args()?;
    let producer = Producer::from_properties(workload.settings(&[]))?;
    let source = Arc::new(Source::new(&workload));
    let run = Run { producer, workload: Arc::new(workload), source, latencies: Latencies::new()? };
    let workload = &run.workload;
    run.send(workload.warmup, 0, &Latencies::new()?)?;
    let requests_before = run.producer.metrics().requests_sent;
    let meter = Meter::begin(Whose::Process)?;
    run.send(workload.records, workload.rate, &run.latencies)?;
    let client = concat!("ottla ", env!("CARGO_PKG_VERSION"));
    let outcome = meter.end(client, workload)?;
    let told = run.producer.metrics();
    let requests = told.requests_sent - requests_before;
    outcome.print(told.records_delivered, told.records_failed, &run.latencies, Some(requests))?;
    Ok(())
}

impl Run {
    /// Sends that many records and waits until the last of them has its outcome.
    fn send(
        &self,
        records: u64,
        rate: u64,
        latencies: &Latencies,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let run = Self { latencies: latencies.clone(), ..self.clone() };
        match self.workload.surface.as_str() {
            "" | "try_send" | "topic" | "blocking" => threads::run(&run, records, rate)?,
            "send" | "await" | "tasks" => futures::run(&run, records, rate)?,
            other => {
                return Err(format!(
                    "no interface `{other}`: try_send, topic, send, await, tasks, blocking"
                )
                .into());
            }
        }
        self.producer.blocking().flush(FLUSH_WITHIN)?;
        Ok(())
    }
}
