//! The two times that the broker's state is given with every call; it reads no clock of its own.

use std::time::Duration;

/// The present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Now {
    /// Since the broker started. Never goes back; every deadline is measured by it.
    pub(crate) monotonic: Duration,
    /// Milliseconds since the Unix epoch, for what is written into the log.
    pub(crate) unix_ms: i64,
}
