//! What the broker was asked, for tests to look at.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::ApiKey;
use ottla_protocol::record::CompressionType;

/// A request that came in, in the order of arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeenRequest {
    /// The node that it came to.
    pub node: i32,
    /// Which of the node's connections it came on; the first is 1.
    pub connection: u64,
    /// The API.
    pub api: ApiKey,
    /// The version of the API.
    pub version: i16,
    /// The number that the client gave it.
    pub correlation_id: i32,
    /// The name that the client gave itself.
    pub client_id: Option<String>,
    /// Who sent it, as `User:name`.
    pub principal: Arc<str>,
    /// Its size in bytes, without the length prefix.
    pub size_bytes: usize,
    /// When it was handled, counted from the start of the broker.
    pub at: Duration,
    /// Whether a fault was met.
    pub met_fault: bool,
    /// What a Produce request carried.
    pub produce: Option<SeenProduce>,
}

/// What a Produce request carried.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeenProduce {
    /// Whose answer was asked for: 0 nobody's, 1 the leader's, -1 that of all replicas in sync.
    pub acks: i16,
    /// How long the broker was given, in milliseconds.
    pub timeout_ms: i32,
    /// The transactional id.
    pub transactional_id: Option<String>,
    /// The batches in order. Of one that cannot be read the sizes are 0.
    pub batches: Vec<SeenBatch>,
}

/// One batch of a Produce request, by its header.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeenBatch {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The batch as it was sent, header included, in bytes.
    pub size_bytes: usize,
    /// How many records the header announces.
    pub record_count: i32,
    /// How they are compressed, `None` when the header names no known type.
    pub compression: Option<CompressionType>,
    /// The producer id, -1 without idempotence.
    pub producer_id: i64,
    /// The producer epoch, -1 without idempotence.
    pub producer_epoch: i16,
    /// The first sequence number, -1 without idempotence.
    pub base_sequence: i32,
}

/// The newest requests.
#[derive(Debug)]
pub(crate) struct RequestLog {
    capacity: usize,
    requests: VecDeque<SeenRequest>,
}

impl RequestLog {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, requests: VecDeque::new() }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.capacity > 0
    }

    pub(crate) fn push(&mut self, request: SeenRequest) {
        if self.requests.len() >= self.capacity {
            self.requests.pop_front();
        }
        self.requests.push_back(request);
    }

    pub(crate) fn to_vec(&self) -> Vec<SeenRequest> {
        self.requests.iter().cloned().collect()
    }

    pub(crate) fn clear(&mut self) {
        self.requests.clear();
    }
}
