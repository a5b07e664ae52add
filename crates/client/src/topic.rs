//! What producing threads know of a topic: its partitions' queues, and where keyless records go.

use std::cell::Cell;
use std::sync::Arc;

use ottla_core::PartitionKey;
use ottla_core::accumulator::PartitionQueue;
use ottla_core::partitioner::{Choice, PartitionLoad, Sticky, pick};
use ottla_core::record::Record;
use ottla_core::rng::Rng;

use crate::callbacks::Callbacks;
use crate::delivery::Delivery;
use crate::error::{SendError, TrySendError};
use crate::flush;
use crate::producer::Producer;
use crate::share::Share;
use crate::shared::{ClientHost, Shared};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use crate::table::{GrowingList, Named};

/// Chooses partitions in place of the named partitioners; see
/// [`ProducerBuilder::partitioner`](crate::ProducerBuilder::partitioner).
///
/// ```
/// use ottla::{Partitioner, Record};
///
/// struct ByValueLength;
///
/// impl Partitioner for ByValueLength {
///     fn partition(&self, record: &Record<'_>, partition_count: i32) -> i32 {
///         record.value.map_or(0, |value| value.len() as i32 % partition_count)
///     }
/// }
/// ```
pub trait Partitioner: Send + Sync + 'static {
    /// The partition for `record`, from 0 to `partition_count - 1`; anything else makes `send`
    /// fail. Called on the producing thread, for records that do not name a partition
    /// themselves.
    fn partition(&self, record: &Record<'_>, partition_count: i32) -> i32;
}

/// A partition's queue behind its lock, and its load.
pub(crate) struct Slot {
    topic: Arc<str>,
    index: i32,
    key: PartitionKey,
    callbacks: Arc<Callbacks>,
    pub(crate) queue: Mutex<PartitionQueue<ClientHost>>,
    /// Batches without an outcome, the open one included.
    batches: AtomicU32,
    available: AtomicBool,
    /// Its leader's share of the memory, where the cluster has several brokers.
    share: Mutex<Option<Arc<Share>>>,
}

impl Slot {
    pub(crate) fn new(topic: Arc<str>, index: i32, key: PartitionKey, shared: &Shared) -> Self {
        let batch_size_bytes = shared.config.batch_size_bytes;
        Self {
            topic,
            index,
            key,
            callbacks: Arc::clone(&shared.callbacks),
            queue: Mutex::new(PartitionQueue::new(batch_size_bytes)),
            batches: AtomicU32::new(0),
            available: AtomicBool::new(true),
            share: Mutex::new(None),
        }
    }

    pub(crate) fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    pub(crate) fn index(&self) -> i32 {
        self.index
    }

    pub(crate) fn key(&self) -> PartitionKey {
        self.key
    }

    pub(crate) fn callbacks(&self) -> &Callbacks {
        &self.callbacks
    }

    pub(crate) fn batch_opened(&self) {
        self.batches.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn batch_settled(&self) {
        self.batches.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn is_available(&self) -> bool {
        self.available.load(Ordering::Relaxed)
    }

    pub(crate) fn set_available(&self, available: bool) {
        self.available.store(available, Ordering::Relaxed);
    }

    pub(crate) fn share(&self) -> Option<Arc<Share>> {
        self.share.lock().clone()
    }

    pub(crate) fn set_share(&self, share: Arc<Share>) {
        *self.share.lock() = Some(share);
    }

    fn load(&self) -> PartitionLoad {
        PartitionLoad {
            queued_batches: self.batches.load(Ordering::Relaxed),
            available: self.is_available(),
        }
    }
}

/// Threads are spread over this many sticky partitions for each topic.
const STICKY_SHARDS: usize = 16;

/// Where the keyless records of some threads go. Alone in its cache lines: threads would slow each
/// other down otherwise.
#[repr(align(128))]
struct Shard {
    /// A [`Sticky`]: read and written without a lock by the threads of this shard, nearly always
    /// one.
    sticky: AtomicU64,
    rng: Mutex<Rng>,
}

/// A topic that is known.
pub(crate) struct TopicState {
    pub(crate) name: Arc<str>,
    /// By partition.
    pub(crate) slots: GrowingList<Arc<Slot>>,
    sticky: [Shard; STICKY_SHARDS],
    next: AtomicU32,
}

impl TopicState {
    pub(crate) fn new(name: Arc<str>, slots: Vec<Arc<Slot>>, seed: u64) -> Self {
        let shard = |n: usize| Shard {
            sticky: AtomicU64::new(Sticky::default().into()),
            rng: Mutex::new(Rng::new(seed ^ (n as u64) << 32)),
        };
        Self {
            name,
            slots: GrowingList::new(slots),
            sticky: std::array::from_fn(shard),
            next: AtomicU32::new(seed as u32),
        }
    }

    /// What the named partitioner says.
    #[inline]
    pub(crate) fn choose(&self, shared: &Shared, record: &Record<'_>) -> i32 {
        let count = self.slots.len() as i32;
        let key = record.key.filter(|_| !shared.config.partitioner_ignore_keys);
        match shared.config.partitioner.choose(key, count) {
            Choice::Partition(partition) => partition,
            Choice::Next => (self.next.fetch_add(1, Ordering::Relaxed) % count as u32) as i32,
            Choice::Sticky => {
                let adaptive = shared.config.partitioner_adaptive;
                let batch_size_bytes = shared.config.batch_size_bytes;
                let shard = &self.sticky[thread_shard()];
                let mut sticky = Sticky::from(shard.sticky.load(Ordering::Relaxed));
                let bytes = record.payload_len();
                let partition = sticky.partition(bytes, batch_size_bytes, count, || {
                    let load =
                        |n| self.slots.get(n).map_or_else(PartitionLoad::nobody, |s| s.load());
                    pick(count as usize, load, adaptive, &mut shard.rng.lock())
                });
                shard.sticky.store(sticky.into(), Ordering::Relaxed);
                partition
            }
        }
    }
}

impl Named for Arc<TopicState> {
    fn name(&self) -> &str {
        &self.name
    }
}

/// A small number of this thread's own.
fn thread_shard() -> usize {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    thread_local! {
        static SHARD: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    SHARD.with(|shard| {
        if shard.get() == usize::MAX {
            shard.set(NEXT.fetch_add(1, Ordering::Relaxed) % STICKY_SHARDS);
        }
        shard.get()
    })
}

/// A topic, looked up once: the fastest way to produce many records to it.
#[derive(Clone)]
pub struct Topic {
    producer: Producer,
    state: Arc<TopicState>,
}

impl Topic {
    pub(crate) const fn new(producer: Producer, state: Arc<TopicState>) -> Self {
        Self { producer, state }
    }

    /// The topic's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.state.name
    }

    /// As [`Producer::send`]; the record's own topic is not looked at.
    ///
    /// # Errors
    /// As [`Producer::send`].
    pub async fn send(&self, record: Record<'_>) -> Result<Delivery, SendError> {
        self.producer.shared().send(&record, Some(&self.state)).await
    }

    /// As [`Producer::try_send`]; the record's own topic is not looked at.
    ///
    /// # Errors
    /// As [`Producer::try_send`].
    pub fn try_send(&self, record: Record<'_>) -> Result<Delivery, TrySendError> {
        self.producer.shared().try_send(&record, Some(&self.state))
    }

    /// As [`Producer::purge`], for the records of this topic only.
    pub async fn purge(&self, queued: bool, in_flight: bool) {
        let keys = self.state.slots.iter().map(|slot| slot.key()).collect();
        flush::purge(self.producer.shared(), queued, in_flight, Some(keys)).await;
    }

    /// As [`Producer::purge`], for the records of this partition only. Of a partition that the
    /// topic does not have there are none.
    pub async fn purge_partition(&self, partition: i32, queued: bool, in_flight: bool) {
        let slots = self.state.slots.iter().filter(|slot| slot.index() == partition);
        let keys = slots.map(|slot| slot.key()).collect();
        flush::purge(self.producer.shared(), queued, in_flight, Some(keys)).await;
    }
}
