//! A snapshot of what the producer does.

use ottla_core::stats::Stats;

use crate::shared::Shared;

/// Counters since the producer was built, and levels at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Records whose delivery was confirmed (with `acks=0`: that were written to a socket).
    pub records_delivered: u64,
    /// Records that failed.
    pub records_failed: u64,
    /// Produce requests sent.
    pub requests_sent: u64,
    /// Batches sent, retries included.
    pub batches_sent: u64,
    /// Bytes of those batches, as sent.
    pub batch_bytes_sent: u64,
    /// Batches that were smaller compressed, and sent so.
    pub compressed_batches: u64,
    /// Batches sent again.
    pub retries: u64,
    /// Batches that a broker refused, for their size or for some of their records; what was good of
    /// them went in others.
    pub splits: u64,
    /// Connections that became ready.
    pub connections: u64,
    /// Answers in which a broker asked for silence.
    pub throttles: u64,
    /// All of `buffer.memory`.
    pub buffer_total_bytes: usize,
    /// What of it is free.
    pub buffer_available_bytes: usize,
}

impl Metrics {
    pub(crate) fn of(shared: &Shared) -> Self {
        // In a child of the process nobody counts, and somebody may have held the lock.
        let is_here = shared.home.is_here();
        let stats = if is_here { *shared.stats.lock() } else { Stats::default() };
        Self {
            records_delivered: stats.records_delivered,
            records_failed: stats.records_failed,
            requests_sent: stats.requests_sent,
            batches_sent: stats.batches_sent,
            batch_bytes_sent: stats.batch_bytes_sent,
            compressed_batches: stats.compressed_batches,
            retries: stats.retries,
            splits: stats.splits,
            connections: stats.connections,
            throttles: stats.throttles,
            buffer_total_bytes: shared.memory.total_bytes(),
            buffer_available_bytes: shared.memory.available_bytes(),
        }
    }
}
