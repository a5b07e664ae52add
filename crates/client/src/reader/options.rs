//! What to read.

use std::time::Duration;

use crate::security::Security;

/// Where in each partition reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// At the first record that is still there.
    #[default]
    Beginning,
    /// At the next record to be written.
    End,
    /// At this offset. Among several partitions, those that end before it are begun at their end
    /// and those that begin after it at their beginning.
    Offset(i64),
    /// So many offsets before the end, or at the beginning where there are fewer.
    Last(i64),
}

/// What to read and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOptions {
    pub(super) partitions: Option<Vec<i32>>,
    pub(super) start: Start,
    pub(super) stop_at_end: bool,
    pub(super) security: Security,
    pub(super) timeout: Duration,
    pub(super) max_batch_bytes: usize,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            partitions: None,
            start: Start::Beginning,
            stop_at_end: false,
            security: Security::default(),
            timeout: Duration::from_secs(30),
            max_batch_bytes: 512 * 1024 * 1024,
        }
    }
}

impl ReadOptions {
    /// All partitions from their beginning, without end.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only these partitions. Default: all.
    #[must_use]
    pub fn partitions(mut self, partitions: impl Into<Vec<i32>>) -> Self {
        self.partitions = Some(partitions.into());
        self
    }

    /// Where to begin. Default: [`Start::Beginning`].
    #[must_use]
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Whether to stop at the end that each partition has when reading begins. Default: no.
    #[must_use]
    pub fn stop_at_end(mut self, stop: bool) -> Self {
        self.stop_at_end = stop;
        self
    }

    /// How brokers are met. Default: in the clear, without credentials.
    #[must_use]
    pub fn security(mut self, security: Security) -> Self {
        self.security = security;
        self
    }

    /// How long the cluster may take to answer, at the start and later. Default: 30 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many bytes a batch may have without its compression. A larger one is an error: a few
    /// bytes can claim to be gigabytes. Default: 512 MiB.
    #[must_use]
    pub fn max_batch_bytes(mut self, bytes: usize) -> Self {
        self.max_batch_bytes = bytes;
        self
    }
}
