//! A record's way back: the future of its outcome.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::batch::Batch;
use crate::cell::BatchCell;
use crate::error::ProduceError;
use crate::executor::block_on;

/// Where a delivered record is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordMetadata {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset; unknown with `acks=0`, and where a broker recognized a duplicate without saying
    /// where the first one is.
    pub offset: Option<i64>,
    /// Milliseconds since the Unix epoch: the record's own time, or the broker's on topics with
    /// `message.timestamp.type=LogAppendTime`.
    pub timestamp_ms: i64,
}

/// The outcome of one record, to come: a future that borrows nothing and runs on any executor.
///
/// Dropping it changes nothing: the record is sent all the same.
#[must_use = "a delivery tells whether the record arrived; await it, or drop it on purpose"]
pub struct Delivery {
    batch: Batch,
    index: u32,
    timestamp_ms: i64,
    /// Our place among the cell's wakers, once we have waited.
    place: Option<usize>,
}

impl Delivery {
    pub(crate) const fn new(cell: Arc<BatchCell>, index: u32, timestamp_ms: i64) -> Self {
        Self { batch: Batch(cell), index, timestamp_ms, place: None }
    }

    /// The batch that the record was appended to.
    #[must_use]
    pub const fn batch(&self) -> &Batch {
        &self.batch
    }

    /// The record's number in its batch.
    #[must_use]
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// The record's timestamp, in milliseconds since the Unix epoch.
    #[must_use]
    pub const fn timestamp_ms(&self) -> i64 {
        self.timestamp_ms
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        self.batch.topic()
    }

    /// The partition that the record was appended to.
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.batch.partition()
    }

    /// The outcome, if it is known.
    #[must_use]
    pub fn try_outcome(&self) -> Option<Result<RecordMetadata, ProduceError>> {
        self.batch.outcome(self.index, self.timestamp_ms)
    }

    /// Blocks this thread until the outcome is known, at the latest when `delivery.timeout.ms` has
    /// passed.
    ///
    /// # Errors
    /// The record was not delivered; the error says whether it may be in the log.
    pub fn wait(self) -> Result<RecordMetadata, ProduceError> {
        block_on(self)
    }

    /// Has `callback` called with the outcome, now if it is known and as soon as it is otherwise.
    ///
    /// Callbacks run one after the other on a thread of the producer's own, with no lock held: they
    /// may call anything, and a slow one delays only other callbacks.
    pub fn on_delivery(
        self,
        callback: impl FnOnce(Result<RecordMetadata, ProduceError>) + Send + 'static,
    ) {
        let cell = &self.batch.0;
        let due = cell.call_back(self.index, self.timestamp_ms, Box::new(callback));
        cell.slot().callbacks().run(due.into_iter().collect());
    }
}

impl Future for Delivery {
    type Output = Result<RecordMetadata, ProduceError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let cell = &this.batch.0;
        let outcome = cell.outcome(this.index, this.timestamp_ms).or_else(|| {
            cell.outcome_or_wait(this.index, this.timestamp_ms, context.waker(), &mut this.place)
        });
        outcome.map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.batch.0.stop_waiting(place);
        }
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery")
            .field("topic", &self.topic())
            .field("partition", &self.partition())
            .field("outcome", &self.try_outcome())
            .finish()
    }
}
