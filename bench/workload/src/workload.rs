//! The workload, as JSON on the command line.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What to send, and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// `HOST:PORT`, separated by commas.
    pub servers: String,
    /// Topics that exist; records go to them in turn.
    pub topics: Vec<String>,
    /// How many partitions each of them has.
    pub partitions: u32,
    /// How many records are measured.
    pub records: u64,
    /// How many are sent, and acknowledged, before that.
    pub warmup: u64,
    /// The length of a value.
    pub size: usize,
    /// How many different keys there are; 0 for records without a key.
    pub keys: u64,
    /// `none`, `gzip`, `snappy`, `lz4` or `zstd`.
    pub codec: String,
    /// How many threads produce.
    pub threads: u64,
    /// How many tasks send and wait for their delivery at the same time, where the surface has any.
    pub tasks: u64,
    /// `0`, `1` or `all`. Idempotence is on with `all` where the client has it.
    pub acks: String,
    /// `linger.ms`; `None` leaves the client its default.
    pub linger_ms: Option<f64>,
    /// `batch.size`; `None` leaves the adapter's choice, which the document states.
    pub batch_bytes: Option<usize>,
    /// Records per second over all threads; 0 is as fast as it goes.
    pub rate: u64,
    /// Which of the client's interfaces is used, by a name of the adapter's; empty for its first.
    pub surface: String,
    /// Settings by name, for clients that have names for them.
    pub properties: BTreeMap<String, String>,
}

impl Workload {
    /// The workload that the command line gives.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn from_args() -> Result<Self, String> {
        let mut args = std::env::args().skip(1);
        let (Some(text), None) = (args.next(), args.next()) else {
            return Err("give one argument: the workload as JSON (see bench/README.md)".to_owned());
        };
        let workload: Self = serde_json::from_str(&text)
            .map_err(|error| format!("the workload cannot be read: {error}"))?;
        workload.check()
    }

    fn check(self) -> Result<Self, String> {
        let at_least_one = [
            ("records", self.records),
            ("size", self.size as u64),
            ("partitions", u64::from(self.partitions)),
            ("threads", self.threads),
            ("tasks", self.tasks),
            ("topics", self.topics.len() as u64),
        ];
        match at_least_one.iter().find(|(_, value)| *value == 0) {
            Some((name, _)) => Err(format!("the workload has no {name}: at least 1 is needed")),
            None => Ok(self),
        }
    }

    /// How many of `records` the thread with this index sends, so that the sum is right.
    #[must_use]
    pub const fn share(&self, records: u64, thread: u64) -> u64 {
        records / self.threads + (thread < records % self.threads) as u64
    }

    /// Whether the time from sending to acknowledgement is to be measured: at a fixed rate it means
    /// something, as fast as it goes it tells the length of a queue.
    #[must_use]
    pub const fn wants_latency(&self) -> bool {
        self.rate > 0
    }

    /// The settings in `properties`, over `defaults`.
    #[must_use]
    pub fn settings(&self, defaults: &[(&str, &str)]) -> BTreeMap<String, String> {
        let mut settings: BTreeMap<String, String> =
            defaults.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        settings.insert("bootstrap.servers".into(), self.servers.clone());
        settings.insert("acks".into(), self.acks.clone());
        settings.insert("compression.type".into(), self.codec.clone());
        if let Some(linger_ms) = self.linger_ms {
            settings.insert("linger.ms".into(), linger_ms.to_string());
        }
        if let Some(bytes) = self.batch_bytes {
            settings.insert("batch.size".into(), bytes.to_string());
        }
        settings.extend(self.properties.clone());
        settings
    }
}
