//! The producer for threads.

use std::time::Duration;

use ottla_core::record::Record;

use crate::delivery::{Delivery, RecordMetadata};
use crate::error::{FlushError, ProduceError, SendError, TrySendError};
use crate::executor::block_on;
use crate::flush::CloseReport;
use crate::metrics::Metrics;
use crate::producer::{PartitionInfo, Producer};

/// [`Producer`] with methods that block the calling thread. It is the same pipeline: both can be
/// used side by side.
///
/// ```no_run
/// use std::time::Duration;
/// use ottla::{Producer, Record};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let producer = Producer::from_properties([("bootstrap.servers", "localhost:9092")])?.blocking();
/// producer.send(Record::new("page-views").value("/home"))?;
/// producer.flush(Duration::from_secs(10))?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct BlockingProducer {
    producer: Producer,
}

impl BlockingProducer {
    pub(crate) const fn new(producer: Producer) -> Self {
        Self { producer }
    }

    /// The producer behind this one, for futures.
    #[must_use]
    pub const fn producer(&self) -> &Producer {
        &self.producer
    }

    /// As [`Producer::send`]. Wait for the outcome with [`Delivery::wait`].
    ///
    /// # Errors
    /// As [`Producer::send`].
    pub fn send(&self, record: Record<'_>) -> Result<Delivery, SendError> {
        block_on(self.producer.send(record))
    }

    /// As [`Producer::try_send`].
    ///
    /// # Errors
    /// As [`Producer::try_send`].
    pub fn try_send(&self, record: Record<'_>) -> Result<Delivery, TrySendError> {
        self.producer.try_send(record)
    }

    /// As [`Producer::send_with`].
    ///
    /// # Errors
    /// As [`Producer::send_with`].
    pub fn send_with(
        &self,
        record: Record<'_>,
        on_delivery: impl FnOnce(Result<RecordMetadata, ProduceError>) + Send + 'static,
    ) -> Result<(), SendError> {
        block_on(self.producer.send_with(record, on_delivery))
    }

    /// As [`Producer::send_all`].
    pub fn send_all<'a>(
        &self,
        records: impl IntoIterator<Item = Record<'a>>,
    ) -> Vec<Result<RecordMetadata, ProduceError>> {
        block_on(self.producer.send_all(records))
    }

    /// As [`Producer::flush`].
    ///
    /// # Errors
    /// As [`Producer::flush`].
    pub fn flush(&self, deadline: Duration) -> Result<(), FlushError> {
        block_on(self.producer.flush(deadline))
    }

    /// As [`Producer::purge`].
    pub fn purge(&self, queued: bool, in_flight: bool) {
        block_on(self.producer.purge(queued, in_flight));
    }

    /// As [`Producer::close`].
    pub fn close(&self, deadline: Duration) -> CloseReport {
        block_on(self.producer.close(deadline))
    }

    /// As [`Producer::partitions`].
    ///
    /// # Errors
    /// As [`Producer::partitions`].
    pub fn partitions(&self, topic: &str) -> Result<Vec<PartitionInfo>, SendError> {
        block_on(self.producer.partitions(topic))
    }

    /// As [`Producer::metrics`].
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.producer.metrics()
    }
}
