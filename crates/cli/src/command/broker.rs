//! `ottla broker`: a broker that any Kafka client can use, until it is told to end.

use std::io::{self, Write};

use ottla_broker::Cluster;

use crate::args::broker::BrokerPlan;
use crate::embedded::{cannot_start, default_data_dir};
use crate::exit::{Exit, Failure};
use crate::signals::StopSignals;
use crate::talk::Talk;

/// Runs the broker until Ctrl-C or SIGTERM.
pub(crate) async fn run(plan: BrokerPlan, talk: &Talk) -> Result<Exit, Failure> {
    let mut signals = StopSignals::listen()
        .map_err(|error| Failure::usage(format!("signals cannot be handled: {error}")))?;
    let mut builder = Cluster::builder()
        .listen(&plan.listen)
        .request_log(0)
        .auto_create_topics(plan.auto_create)
        .default_partitions(plan.default_partitions);
    for topic in &plan.topics {
        builder = builder.topic(&topic.name, topic.partitions);
    }
    let cluster = if plan.discard {
        let cluster = builder.discard(true).start().map_err(|error| cannot_start(&error))?;
        talk.note("records are counted and discarded: nothing can be read back");
        cluster
    } else {
        let data = plan.data.map_or_else(default_data_dir, Ok)?;
        let cluster = builder.data_dir(&data).start().map_err(|error| cannot_start(&error))?;
        talk.note(format_args!("data in {}", data.display()));
        cluster
    };
    // Whoever started us waits for this line; when they are gone, others may still come.
    let ready = format!("ready {}\n", cluster.bootstrap_servers());
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(ready.as_bytes()).and_then(|()| stdout.flush());
    drop(stdout);
    signals.next().await;
    talk.note("stopping");
    cluster.stop();
    Ok(Exit::Done)
}
