//! A broker on a given address: `serve [HOST:PORT [DIR [TOPIC:PARTITIONS]…]]`. It ends with its
//! standard input.

use std::error::Error;
use std::io::Read;

use std::fmt::{Debug, Write};

use ottla_broker::Cluster;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Prints what the broker has to say, down to a level.
struct Printer(Level);

/// Gathers the fields of an event.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

impl Subscriber for Printer {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.0
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        eprintln!("{}", line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn main() -> Result<(), Box<dyn Error>> {
    let level = std::env::var("LOG").ok().and_then(|level| level.parse().ok());
    tracing::subscriber::set_global_default(Printer(level.unwrap_or(Level::INFO)))
        .map_err(|_| "somebody else prints already")?;
    let mut arguments = std::env::args().skip(1);
    let mut builder = Cluster::builder().default_partitions(3);
    if let Some(address) = arguments.next() {
        builder = builder.listen(address);
    }
    if let Some(dir) = arguments.next().filter(|dir| !dir.is_empty()) {
        builder = builder.data_dir(dir);
    }
    for topic in arguments {
        let (name, partitions) = topic.split_once(':').ok_or("a topic is NAME:PARTITIONS")?;
        builder = builder.topic(name, partitions.parse()?);
    }
    let cluster = builder.start()?;
    println!("ready {}", cluster.bootstrap_servers());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    cluster.stop();
    Ok(())
}
