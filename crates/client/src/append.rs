//! The hot path: from a record to its place in a batch.

use std::sync::Arc;
use std::time::Duration;

use ottla_core::accumulator::{Appended, NeedMemory, Note, Payloads};
use ottla_core::error::ErrorKind;
use ottla_core::host::AppendDoor;
use ottla_core::record::Record;
use ottla_core::time::Instant;

use crate::cell::BatchCell;
use crate::clock::{Clock, RecentWall, wall_ms};
use crate::delivery::Delivery;
use crate::error::{SendError, TrySendError};
use crate::memory::{Chunk, Memory};
use crate::share::Share;
use crate::shared::{ClientHost, Shared};
use crate::sync::Bug;
use crate::timers::Timers;
use crate::topic::{Slot, TopicState};

/// What a batch header, a request header and a record's own lengths may add to a record.
const RECORD_OVERHEAD_BYTES: usize = 128;

/// Why a record could not be appended at once.
enum Obstacle {
    TopicUnknown,
    MemorySpent { capacity_bytes: usize, share: Option<Arc<Share>> },
    Refused(SendError),
}

/// What an append may need besides the record: taken from the budget, or brought along by a sender
/// that has waited for it.
struct Door<'a> {
    memory: &'a Arc<Memory>,
    clock: &'a Clock,
    recent_wall: &'a RecentWall,
    slot: &'a Arc<Slot>,
    brought: &'a mut Option<Chunk>,
}

impl AppendDoor<ClientHost> for Door<'_> {
    fn chunk(&mut self, capacity_bytes: usize) -> Option<Chunk> {
        let fits =
            |chunk: &mut Chunk| ottla_core::host::Chunk::buffer(chunk).capacity() >= capacity_bytes;
        self.brought
            .take_if(fits)
            .or_else(|| self.memory.try_chunk(capacity_bytes, self.slot.share().as_ref()))
    }

    fn completion(&mut self) -> Arc<BatchCell> {
        Arc::new(BatchCell::new(Arc::clone(self.slot)))
    }

    fn now(&mut self) -> Instant {
        self.clock.now()
    }

    fn wall_ms(&mut self) -> i64 {
        wall_ms()
    }

    #[inline]
    fn recent_wall_ms(&mut self) -> i64 {
        self.recent_wall.ms()
    }
}

impl Shared {
    /// Accepts a record, or says why not now.
    pub(crate) fn try_send(
        &self,
        record: &Record<'_>,
        topic: Option<&Arc<TopicState>>,
    ) -> Result<Delivery, TrySendError> {
        self.try_append(record, topic, &mut None).map_err(|obstacle| match obstacle {
            Obstacle::MemorySpent { .. } => {
                self.mailbox.press();
                TrySendError::Full
            }
            Obstacle::Refused(error) => TrySendError::Refused(error),
            Obstacle::TopicUnknown => {
                self.want_topic(record.topic, None);
                TrySendError::TopicPending
            }
        })
    }

    /// Accepts a record, after waiting for its topic and for memory if need be.
    pub(crate) async fn send(
        &self,
        record: &Record<'_>,
        topic: Option<&Arc<TopicState>>,
    ) -> Result<Delivery, SendError> {
        match self.try_append(record, topic, &mut None) {
            Ok(delivery) => Ok(delivery),
            Err(Obstacle::Refused(error)) => Err(error),
            Err(obstacle) => {
                self.send_patiently(record, topic, obstacle, self.config.max_block).await
            }
        }
    }

    async fn send_patiently(
        &self,
        record: &Record<'_>,
        topic: Option<&Arc<TopicState>>,
        mut obstacle: Obstacle,
        max_block: Duration,
    ) -> Result<Delivery, SendError> {
        let deadline = Timers::deadline(max_block);
        let mut topic = topic.cloned();
        let mut brought = None;
        loop {
            match obstacle {
                Obstacle::Refused(error) => return Err(error),
                Obstacle::TopicUnknown => {
                    topic = Some(self.wait_topic(record.topic, deadline).await?)
                }
                Obstacle::MemorySpent { capacity_bytes, share } => {
                    let _waiver = self.callbacks.waive();
                    let turn = self.memory.wait_chunk(capacity_bytes, share.as_ref());
                    self.mailbox.press();
                    brought = self
                        .timers
                        .until(deadline, turn)
                        .await
                        .ok_or_else(|| self.memory_timeout(share.as_deref()))?;
                }
            }
            match self.try_append(record, topic.as_ref(), &mut brought) {
                Ok(delivery) => return Ok(delivery),
                Err(next) => obstacle = next,
            }
        }
    }

    fn memory_timeout(&self, share: Option<&Share>) -> SendError {
        let why = self.unreachable().map_or_else(String::new, |why| format!(": {why}"));
        let whose = share.map_or_else(String::new, |share| {
            format!(" (or the half of it that records for broker {} may hold)", share.node())
        });
        let message = format!(
            "buffer.memory={}{whose} stayed spent for max.block.ms={}{why}",
            self.memory.total_bytes(),
            self.config.max_block.as_millis()
        );
        SendError::of(ErrorKind::Timeout, message)
    }

    #[inline]
    fn try_append(
        &self,
        record: &Record<'_>,
        topic: Option<&Arc<TopicState>>,
        brought: &mut Option<Chunk>,
    ) -> Result<Delivery, Obstacle> {
        // Before any lock: in a child, somebody who does not exist may hold it.
        if !self.home.is_here() {
            return Err(Obstacle::Refused(self.closed_error()));
        }
        match topic {
            Some(topic) => self.append_to(topic, record, brought),
            None => match self.topics.find(record.topic) {
                Some(topic) => self.append_to(topic, record, brought),
                None if self.is_closed() => Err(Obstacle::Refused(self.closed_error())),
                None => self.check_size(record).and(Err(Obstacle::TopicUnknown)),
            },
        }
    }

    #[inline]
    fn append_to(
        &self,
        topic: &TopicState,
        record: &Record<'_>,
        brought: &mut Option<Chunk>,
    ) -> Result<Delivery, Obstacle> {
        self.check_size(record)?;
        let partition = match record.partition {
            Some(partition) => partition,
            None => self.choose(topic, record),
        };
        let Some(slot) = usize::try_from(partition).ok().and_then(|at| topic.slots.get(at)) else {
            return Err(Obstacle::Refused(no_such_partition(topic, partition)));
        };
        let payloads = Payloads {
            key: record.key,
            value: record.value,
            headers: record.headers,
            timestamp_ms: record.timestamp_ms,
        };
        let mut door = Door {
            memory: &self.memory,
            clock: &self.clock,
            recent_wall: &self.recent_wall,
            slot,
            brought,
        };
        let appended = {
            let closed_too_soon = Bug::ClosedTooSoon.is_on() && !self.is_closed() && Bug::dawdles();
            let mut queue = slot.queue.lock();
            if self.is_closed() && !closed_too_soon {
                return Err(Obstacle::Refused(self.closed_error()));
            }
            queue.append(&payloads, &mut door)
        };
        let tell = |note| {
            if note == Note::Tell {
                self.mailbox.note(slot.key());
            }
        };
        match appended {
            Ok(Appended { completion, index, timestamp_ms, note }) => {
                tell(note);
                Ok(Delivery::new(completion, index, timestamp_ms))
            }
            Err(NeedMemory { capacity_bytes, note }) => {
                tell(note);
                Err(Obstacle::MemorySpent { capacity_bytes, share: slot.share() })
            }
        }
    }

    /// A partition for a record that names none. No lock is held: a partitioner of the
    /// application's own may do what it likes.
    #[inline]
    fn choose(&self, topic: &TopicState, record: &Record<'_>) -> i32 {
        match &self.partitioner {
            Some(partitioner) => {
                // A record that is sent by the topic's handle need not name it.
                let record = Record { topic: &topic.name, ..*record };
                partitioner.partition(&record, topic.slots.len() as i32)
            }
            None => topic.choose(self, record),
        }
    }

    #[inline]
    fn check_size(&self, record: &Record<'_>) -> Result<(), Obstacle> {
        let size_bytes = record.payload_len() + RECORD_OVERHEAD_BYTES;
        let most = self.config.max_request_size_bytes;
        if size_bytes <= most && Memory::charge_for(size_bytes) <= self.memory.total_bytes() {
            return Ok(());
        }
        Err(Obstacle::Refused(self.too_large(size_bytes)))
    }

    #[cold]
    fn too_large(&self, size_bytes: usize) -> SendError {
        let most = self.config.max_request_size_bytes;
        let message = if size_bytes > most {
            format!(
                "the record has {size_bytes} bytes with its overhead, more than max.request.size={most}; \
                 raise it here, and max.message.bytes on the topic"
            )
        } else {
            let total = self.memory.total_bytes();
            format!("the record has {size_bytes} bytes, more than buffer.memory={total} can hold")
        };
        SendError::of(ErrorKind::TooLarge, message)
    }
}

#[cold]
fn no_such_partition(topic: &TopicState, partition: i32) -> SendError {
    let count = topic.slots.len();
    let last = count.saturating_sub(1);
    let message =
        format!("topic {} has no partition {partition}: it has {count}, 0 to {last}", topic.name);
    SendError::of(ErrorKind::UnknownPartition, message)
}
