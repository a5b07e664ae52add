//! What an adapter prints.

use serde::{Deserialize, Serialize};

/// The result of one run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// Client and version.
    pub client: String,
    /// How many records were measured.
    pub records: u64,
    /// Records that were acknowledged, those of the warm-up included.
    pub acknowledged: u64,
    /// Records that failed.
    pub failed: u64,
    /// From the first record to the last acknowledgement, without the warm-up.
    pub seconds: f64,
    /// User and system time in that span: of the process, or of the one thread that is measured.
    pub cpu_seconds: f64,
    /// The most memory that the process had.
    pub peak_rss_kib: u64,
    /// Microseconds from the moment at which a record was due, at a fixed rate.
    pub latency_us: Option<Percentiles>,
    /// Produce requests, where the client tells.
    pub requests: Option<u64>,
}

/// Percentiles of a distribution.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Percentiles {
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p99_9: u64,
    pub max: u64,
}
