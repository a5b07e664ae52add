//! The handle that programs hold.

use std::sync::Arc;
use std::time::Duration;

use ottla_core::config::ConfigError;
use ottla_core::record::Record;

use crate::blocking::BlockingProducer;
use crate::builder::ProducerBuilder;
use crate::delivery::{Delivery, RecordMetadata};
use crate::error::{FlushError, ProduceError, SendError, TrySendError};
use crate::flush::{self, CloseReport};
use crate::mailbox::Command;
use crate::metrics::Metrics;
use crate::security::Security;
use crate::shared::Shared;
use crate::timers::Timers;
use crate::topic::Topic;
use crate::typed::TypedProducer;

/// A partition of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionInfo {
    /// Its number.
    pub partition: i32,
    /// Whether it has a leader, without which records for it wait.
    pub has_leader: bool,
}

/// A producer. Clones are cheap and share one pipeline; it can be used from any thread and any
/// executor.
///
/// Dropping the last clone accepts no more records, but what was accepted is still delivered in the
/// background for as long as the process lives. To know that it was, [`close`](Producer::close). If
/// anything was pending then, a warning (of `tracing`) says how many batches, and an error later
/// how many of their records failed.
///
/// A child of `fork` has none of the producer's threads. There, `send`, `flush` and deliveries give
/// an error that says so, and the other methods do nothing: make a producer in the child.
#[derive(Clone)]
pub struct Producer {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        if !self.shared.home.is_here() {
            return;
        }
        self.shared.close();
        self.shared.mailbox.command(Command::Detach);
    }
}

impl Producer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { handle: Arc::new(Handle { shared }) }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    /// A builder, to set what differs from the defaults.
    pub fn builder() -> ProducerBuilder {
        ProducerBuilder::new()
    }

    /// A producer from settings by name, Java's or librdkafka's.
    ///
    /// # Errors
    /// A key is unknown (the nearest is named), a value is out of range, or two settings contradict
    /// each other.
    pub fn from_properties<K, V>(
        properties: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, ConfigError>
    where
        K: AsRef<str>,
        V: AsRef<str>,
    {
        let builder = ProducerBuilder::new();
        properties
            .into_iter()
            .fold(builder, |builder, (key, value)| builder.set(key.as_ref(), value.as_ref()))
            .build()
    }

    /// How brokers are met: to replace the password, or to use the same for an
    /// [`Admin`](crate::admin::Admin) or a [`Reader`](crate::reader::Reader).
    #[must_use]
    pub fn security(&self) -> &Security {
        &self.shared().security
    }

    /// Accepts a record into its partition's batch. Waits, for up to `max.block.ms`, for the
    /// topic's metadata and for memory; usually there is nothing to wait for.
    ///
    /// The future may be dropped while it waits: then the record was not accepted.
    ///
    /// # Errors
    /// The record was not accepted and will not be sent: too large, the topic or partition does
    /// not exist, the wait took too long, or the producer is closed.
    pub async fn send(&self, record: Record<'_>) -> Result<Delivery, SendError> {
        self.shared().send(&record, None).await
    }

    /// Accepts a record if that is possible without waiting.
    ///
    /// # Errors
    /// [`TrySendError::Full`] and [`TrySendError::TopicPending`] pass: try again later. The record
    /// borrows from the caller, who therefore still has it.
    pub fn try_send(&self, record: Record<'_>) -> Result<Delivery, TrySendError> {
        self.shared().try_send(&record, None)
    }

    /// As [`Producer::send`], with `on_delivery` called once the outcome is known; see
    /// [`Delivery::on_delivery`].
    ///
    /// # Errors
    /// As [`Producer::send`]; the callback is then not called.
    pub async fn send_with(
        &self,
        record: Record<'_>,
        on_delivery: impl FnOnce(Result<RecordMetadata, ProduceError>) + Send + 'static,
    ) -> Result<(), SendError> {
        self.send(record).await?.on_delivery(on_delivery);
        Ok(())
    }

    /// Sends all records and waits for all of them; the outcomes are in the records' order.
    ///
    /// A record that could not be accepted has its [`SendError`] as outcome, and does not keep
    /// those behind it from being sent.
    pub async fn send_all<'a>(
        &self,
        records: impl IntoIterator<Item = Record<'a>>,
    ) -> Vec<Result<RecordMetadata, ProduceError>> {
        let mut accepted = Vec::new();
        for record in records {
            accepted.push(self.send(record).await);
        }
        let mut outcomes = Vec::with_capacity(accepted.len());
        for delivery in accepted {
            outcomes.push(match delivery {
                Ok(delivery) => delivery.await,
                Err(refused) => Err(refused.into()),
            });
        }
        outcomes
    }

    /// Begins to connect to the cluster now, not with the first topic that is asked for. It does
    /// not wait: [`on_server_event`](crate::ProducerBuilder::on_server_event) tells of servers
    /// that cannot be reached.
    pub fn connect(&self) {
        if self.shared().home.is_here() {
            self.shared().mailbox.command(Command::Connect);
        }
    }

    /// Sends everything that was accepted so far and waits for the outcomes, success or not, and
    /// for the callbacks that tell them (not when called from a callback).
    ///
    /// # Errors
    /// The deadline passed first. Nothing is lost: the records are still on their way.
    pub async fn flush(&self, deadline: Duration) -> Result<(), FlushError> {
        flush::flush(self.shared(), deadline).await
    }

    /// Gives up records: those that wait to be sent (`queued`), those that were sent and have no
    /// answer yet (`in_flight`), or both. Each gets its outcome, an error of the kind
    /// [`Purged`](crate::ErrorKind::Purged): *not persisted* if it was never sent, *maybe
    /// persisted* otherwise. The producer goes on. [`Topic::purge`] does so for one topic.
    pub async fn purge(&self, queued: bool, in_flight: bool) {
        flush::purge(self.shared(), queued, in_flight, None).await;
    }

    /// Accepts no more records, sends what was accepted and waits for the outcomes; what has none
    /// at the deadline is given up, unsent records as *not persisted*, sent ones as *maybe
    /// persisted*. When this returns, every delivery is settled, and every callback was called
    /// unless they are still at it at the deadline (and a second later). Closing twice is fine.
    pub async fn close(&self, deadline: Duration) -> CloseReport {
        flush::close(self.shared(), deadline).await
    }

    /// The same producer for threads: every method blocks instead of giving a future.
    #[must_use]
    pub fn blocking(&self) -> BlockingProducer {
        BlockingProducer::new(self.clone())
    }

    /// A topic, looked up once.
    ///
    /// # Errors
    /// As [`Producer::send`]: the topic does not exist, or no broker told of it in time.
    pub async fn topic(&self, name: &str) -> Result<Topic, SendError> {
        let shared = self.shared();
        let state = shared.wait_topic(name, Timers::deadline(shared.config.max_block)).await?;
        Ok(Topic::new(self.clone(), state))
    }

    /// The partitions of a topic.
    ///
    /// # Errors
    /// As [`Producer::topic`].
    pub async fn partitions(&self, topic: &str) -> Result<Vec<PartitionInfo>, SendError> {
        let shared = self.shared();
        let state = shared.wait_topic(topic, Timers::deadline(shared.config.max_block)).await?;
        Ok(state
            .slots
            .iter()
            .map(|slot| PartitionInfo { partition: slot.index(), has_leader: slot.is_available() })
            .collect())
    }

    /// A producer of typed keys and values.
    pub fn typed<K: ?Sized, V: ?Sized, KS, VS>(
        &self,
        key: KS,
        value: VS,
    ) -> TypedProducer<K, V, KS, VS> {
        TypedProducer::new(self.clone(), key, value)
    }

    /// Counters and levels, as they are now.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        Metrics::of(self.shared())
    }
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer")
            .field("bootstrap_servers", &self.shared().config.bootstrap_servers)
            .field("client_id", &self.shared().config.client_id)
            .finish_non_exhaustive()
    }
}
