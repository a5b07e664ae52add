//! What waits for one broker, and what it owes.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

use super::gap::Gap;
use crate::PartitionKey;
use crate::output::ConnectionId;
use crate::time::Instant;

/// What waits for one broker.
#[derive(Default)]
pub(super) struct Outbox {
    /// Lanes that may be sent, in turn. An entry whose lane is listed elsewhere by now is skipped.
    pub(super) ready: VecDeque<PartitionKey>,
    /// Lanes with an open batch that nothing but the linger holds back.
    pub(super) partial: BTreeSet<PartitionKey>,
    /// Requests that are not answered.
    pub(super) requests_in_flight: usize,
    /// A request has just left: partial batches wait for company.
    pub(super) gap: Gap,
    /// The broker asked for silence until then (KIP-219).
    pub(super) throttled_until: Instant,
    /// Why the broker cannot be reached, while it cannot.
    pub(super) trouble: Option<String>,
}

impl Outbox {
    pub(super) fn wants_link(&self) -> bool {
        !self.ready.is_empty() || !self.partial.is_empty()
    }

    /// Whether nothing but the gap keeps partial batches here.
    pub(super) fn waits_for_gap(&self) -> bool {
        self.requests_in_flight == 0 && !self.partial.is_empty()
    }
}

/// A request with batches that is not answered.
pub(super) struct SentBatches {
    pub(super) node: i32,
    pub(super) connection: ConnectionId,
    pub(super) partitions: Vec<PartitionKey>,
}
