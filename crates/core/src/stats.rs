//! Counters, as plain numbers: a reader takes a snapshot.

/// What the producer has done since it was built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Records whose delivery the cluster confirmed (with `acks=0`: that were written).
    pub records_delivered: u64,
    /// Records that failed, with either outcome.
    pub records_failed: u64,
    /// Produce requests sent.
    pub requests_sent: u64,
    /// Batches sent, retries included.
    pub batches_sent: u64,
    /// Bytes of those batches, headers included.
    pub batch_bytes_sent: u64,
    /// Batches that were compressed to their advantage.
    pub compressed_batches: u64,
    /// Batches sent again.
    pub retries: u64,
    /// Batches that were refused and made into others: too large, or with records that the broker
    /// minds.
    pub splits: u64,
    /// Connections that became ready.
    pub connections: u64,
    /// Answers that asked us to wait (KIP-219).
    pub throttles: u64,
}
