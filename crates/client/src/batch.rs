//! Following whole batches: for programs that tell many outcomes at once.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::cell::BatchCell;
use crate::delivery::RecordMetadata;
use crate::error::ProduceError;

/// The batch that a record was appended to; see [`Delivery::batch`](crate::Delivery::batch).
///
/// All records of a batch get their outcome together, or nearly so. A program that keeps books of
/// very many records (a binding for another language, say) can wait for the batch instead of for
/// each record, and ask it for the outcomes then.
///
/// ```no_run
/// # async fn run(producer: ottla::Producer) -> Result<(), Box<dyn std::error::Error>> {
/// use ottla::Record;
///
/// let first = producer.send(Record::new("page-views").value("/home")).await?;
/// let second = producer.send(Record::new("page-views").value("/cart")).await?;
/// let batch = first.batch().clone();
/// batch.settled().await;
/// println!("{:?}", batch.outcome(first.index(), first.timestamp_ms()));
/// if *second.batch() == batch {
///     println!("{:?}", batch.outcome(second.index(), second.timestamp_ms()));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Batch(pub(crate) Arc<BatchCell>);

impl Batch {
    /// A number that no other batch has for as long as this value, or a clone of it, lives.
    #[must_use]
    pub fn id(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        self.0.slot().topic()
    }

    /// The partition.
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.0.slot().index()
    }

    /// Whether every record of the batch has its outcome.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.0.is_settled()
    }

    /// The outcome of the record with this number in the batch, once it is known. `timestamp_ms` is
    /// the record's own and is told again, unless the broker gave it another.
    #[must_use]
    pub fn outcome(
        &self,
        index: u32,
        timestamp_ms: i64,
    ) -> Option<Result<RecordMetadata, ProduceError>> {
        self.0.outcome(index, timestamp_ms)
    }

    /// A future that is done when every record of the batch has its outcome. Its waker is called on
    /// the producer's I/O thread, so it should do no more than hand over.
    pub fn settled(&self) -> Settled {
        Settled { batch: self.clone(), place: None }
    }
}

impl PartialEq for Batch {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Batch {}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch")
            .field("topic", &self.topic())
            .field("partition", &self.partition())
            .field("is_settled", &self.is_settled())
            .finish()
    }
}

/// Waits for a batch; made by [`Batch::settled`].
#[must_use = "it waits only when it is awaited"]
#[derive(Debug)]
pub struct Settled {
    batch: Batch,
    /// Our place among the cell's wakers, once we have waited.
    place: Option<usize>,
}

impl Future for Settled {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let cell = &this.batch.0;
        match cell.is_settled() || cell.wait_settled(context.waker(), &mut this.place) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

impl Drop for Settled {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.batch.0.stop_waiting(place);
        }
    }
}
