//! Runs a workload with librdkafka, through the `rdkafka` crate: `callbacks` (the default),
//! `futures` (a window of delivery futures), `tasks`.

mod callbacks;
mod futures;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bench_workload::{Latencies, Source, Workload};
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

pub(crate) const SETTLED_WITHIN: Duration = Duration::from_secs(120);
/// How long a full queue is left alone before the next try.
pub(crate) const FULL_PAUSE: Duration = Duration::from_micros(200);
/// What differs from librdkafka's defaults: a longer queue, which it is faster with.
const SETTINGS: [(&str, &str); 1] = [("queue.buffering.max.messages", "1000000")];

/// What both interfaces work with.
pub(crate) struct Run {
    pub(crate) workload: Arc<Workload>,
    pub(crate) source: Arc<Source>,
    pub(crate) latencies: Latencies,
    pub(crate) config: ClientConfig,
}

fn main() -> Result<(), Failure> {
    let workload = Workload::from_args()?;
    let mut config = ClientConfig::new();
    for (name, value) in workload.settings(&SETTINGS) {
        config.set(name, value);
    }
    if workload.acks == "all" {
        config.set("enable.idempotence", "true");
    }
    let source = Arc::new(Source::new(&workload));
    let run = Run { workload: Arc::new(workload), source, latencies: Latencies::new()?, config };
    match run.workload.surface.as_str() {
        "" | "callbacks" => callbacks::run(run),
        "futures" | "tasks" => futures::run(&run),
        other => Err(format!("no interface `{other}`: callbacks, futures, tasks").into()),
    }
}

pub(crate) fn client(interface: &str) -> String {
    format!("librdkafka {} {interface}", rdkafka::util::get_rdkafka_version().1)
}

pub(crate) const fn is_full(error: &KafkaError) -> bool {
    matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull))
}
