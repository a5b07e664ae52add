//! The accumulator: records become batches here, encoded once, in the form they have on the wire.
//!
//! A [`PartitionQueue`] is a plain value without locks. The host puts one behind a lock of its own
//! for each partition, so that threads which produce to different partitions do not meet; the
//! sender reaches the same queues through [`Queues`].

mod batch;
mod split;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use ottla_protocol::record::varint::varint_len;
use ottla_protocol::record::{Header, RecordParts};

use crate::PartitionKey;
use crate::host::{AppendDoor, Chunk, Host};
use crate::time::Instant;

pub(crate) use batch::Order;
pub use batch::{Batch, Payload, Stamp};
pub use split::{SplitRecords, split_records};

/// The first chunk of a batch: small, so that many thousands of partitions with a record each cost
/// little.
pub const FIRST_CHUNK_BYTES: usize = 4 << 10;
/// Room that every chunk has beyond its size, so that writing a record never moves the buffer.
pub const CHUNK_SLACK_BYTES: usize = RecordParts::SLACK;
/// Every further chunk.
pub const CHUNK_BYTES: usize = 32 << 10;

/// The sender's way to the queues that the host keeps.
pub trait Queues<H: Host> {
    /// Calls `f` with the queue of `partition`, under whatever lock the host has for it.
    fn with<R>(
        &mut self,
        partition: PartitionKey,
        f: impl FnOnce(&mut PartitionQueue<H>) -> R,
    ) -> R;
}

/// The fields of a record that go into a batch.
#[derive(Clone, Copy, Debug)]
pub struct Payloads<'a> {
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: Option<&'a [u8]>,
    /// The headers.
    pub headers: &'a [Header<'a>],
    /// Milliseconds since the Unix epoch; without it, the host's time of the append.
    pub timestamp_ms: Option<i64>,
}

/// What the sender must be told about an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// Nothing: the sender already knows that this queue holds something.
    None,
    /// The queue was empty and holds something now, or a batch was closed.
    Tell,
}

/// An accepted record: its place in its batch.
#[derive(Debug)]
pub struct Appended<C> {
    /// The batch's completion.
    pub completion: C,
    /// The record's number in that batch.
    pub index: u32,
    /// The timestamp that the record has.
    pub timestamp_ms: i64,
    /// Whether to tell the sender.
    pub note: Note,
}

/// The memory budget is spent: `capacity_bytes` more are needed before this record fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeedMemory {
    /// Size of the chunk that could not be had.
    pub capacity_bytes: usize,
    /// Whether to tell the sender (a batch may have been closed).
    pub note: Note,
}

struct OpenBatch<H: Host> {
    /// Chunks that are full.
    full: Vec<H::Chunk>,
    /// The chunk that is being filled, here and not at the end of the list: with many thousands of
    /// open batches each step from pointer to pointer is a cache miss.
    last: H::Chunk,
    size_bytes: usize,
    record_count: u32,
    base_timestamp_ms: i64,
    max_timestamp_ms: i64,
    /// The wall clock when the batch was opened, if it was looked at: no record that comes later is
    /// stamped with an earlier time.
    opened_wall_ms: i64,
    opened_at: Instant,
    completion: H::Completion,
}

/// One partition's batches on this side of the sender: closed ones that wait, and the open one.
pub struct PartitionQueue<H: Host> {
    closed: VecDeque<Batch<H>>,
    open: Option<OpenBatch<H>>,
    batch_size_bytes: usize,
}

impl<H: Host> PartitionQueue<H> {
    /// An empty queue whose batches are closed at `batch_size_bytes` of records.
    #[must_use]
    pub const fn new(batch_size_bytes: usize) -> Self {
        Self { closed: VecDeque::new(), open: None, batch_size_bytes }
    }

    /// Appends a record: the hot path. The bytes are copied once, to where they leave from.
    ///
    /// # Errors
    /// [`NeedMemory`] when the door gives no chunk; the record is not appended.
    #[inline]
    pub fn append(
        &mut self,
        record: &Payloads<'_>,
        door: &mut impl AppendDoor<H>,
    ) -> Result<Appended<H::Completion>, NeedMemory> {
        if let Some(open) = &mut self.open {
            let timestamp_ms = open.timestamp_ms(record, door);
            if let Some(index) = open.append_in_place(record, timestamp_ms, self.batch_size_bytes) {
                let completion = open.completion.clone();
                return Ok(Appended { completion, index, timestamp_ms, note: Note::None });
            }
        }
        self.append_with_chunk(record, door)
    }

    /// The rarer append: the record needs a new chunk, and perhaps a new batch.
    #[cold]
    fn append_with_chunk(
        &mut self,
        record: &Payloads<'_>,
        door: &mut impl AppendDoor<H>,
    ) -> Result<Appended<H::Completion>, NeedMemory> {
        let mut note = Note::None;
        let timestamp_ms = match &self.open {
            Some(open) => open.timestamp_ms(record, door),
            None => record.timestamp_ms.unwrap_or_else(|| door.wall_ms()),
        };
        if let Some(open) = &self.open {
            let size_bytes = open.parts(record, timestamp_ms).encoded_len() + open.size_bytes;
            if size_bytes > self.batch_size_bytes || !open.holds_timestamp(timestamp_ms) {
                self.close();
                note = Note::Tell;
            }
        }
        let record_bytes = match &self.open {
            Some(open) => open.parts(record, timestamp_ms).encoded_len(),
            None => parts(record, 0, 0).encoded_len(),
        };
        let usual = if self.open.is_some() { CHUNK_BYTES } else { FIRST_CHUNK_BYTES };
        let capacity_bytes = usual.max(record_bytes) + RecordParts::SLACK;
        let Some(chunk) = door.chunk(capacity_bytes) else {
            return Err(NeedMemory { capacity_bytes, note });
        };
        if self.open.is_none() {
            note = Note::Tell;
        }
        let open = match &mut self.open {
            Some(open) => {
                open.full.push(core::mem::replace(&mut open.last, chunk));
                open
            }
            none => none.insert(OpenBatch {
                full: Vec::new(),
                last: chunk,
                size_bytes: 0,
                record_count: 0,
                base_timestamp_ms: timestamp_ms,
                max_timestamp_ms: timestamp_ms,
                opened_wall_ms: record.timestamp_ms.map_or(timestamp_ms, |_| i64::MIN),
                opened_at: door.now(),
                completion: door.completion(),
            }),
        };
        let index = open.write(record, timestamp_ms);
        let completion = open.completion.clone();
        if open.size_bytes >= self.batch_size_bytes {
            self.close();
            note = Note::Tell;
        }
        Ok(Appended { completion, index, timestamp_ms, note })
    }

    /// Closes the open batch, if there is one: it takes no further record.
    pub fn close(&mut self) {
        if let Some(open) = self.open.take() {
            self.closed.push_back(open.close());
        }
    }

    /// Closes batches at no more than `batch_size_bytes` from now on.
    pub fn shrink_batches(&mut self, batch_size_bytes: usize) {
        self.batch_size_bytes = self.batch_size_bytes.min(batch_size_bytes);
    }

    /// Whether there is nothing here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_none() && self.closed.is_empty()
    }

    /// Batches that are closed and wait for the sender.
    #[must_use]
    pub fn closed_count(&self) -> usize {
        self.closed.len()
    }

    /// When the oldest batch here was opened.
    #[must_use]
    pub fn oldest(&self) -> Option<Instant> {
        let closed = self.closed.front().map(Batch::opened_at);
        closed.or_else(|| self.open.as_ref().map(|open| open.opened_at))
    }

    /// Takes the oldest closed batch; when `even_open`, closes the open one if there is no other.
    pub fn take(&mut self, even_open: bool) -> Option<Batch<H>> {
        if self.closed.is_empty() && even_open {
            self.close();
        }
        self.closed.pop_front()
    }

    /// The completions of all batches here, oldest first.
    pub fn completions(&self) -> impl Iterator<Item = H::Completion> {
        let open = self.open.iter().map(|open| open.completion.clone());
        self.closed.iter().map(|batch| batch.completion().clone()).chain(open)
    }
}

impl<H: Host> OpenBatch<H> {
    /// The record's own timestamp, or what the host's cheap clock says.
    #[inline]
    fn timestamp_ms(&self, record: &Payloads<'_>, door: &mut impl AppendDoor<H>) -> i64 {
        match record.timestamp_ms {
            Some(timestamp_ms) => timestamp_ms,
            None => door.recent_wall_ms().max(self.opened_wall_ms),
        }
    }

    /// Appends when the last chunk has room and the batch stays within its size.
    #[inline]
    fn append_in_place(
        &mut self,
        record: &Payloads<'_>,
        timestamp_ms: i64,
        batch_size_bytes: usize,
    ) -> Option<u32> {
        let parts = self.parts(record, timestamp_ms);
        let body_len = parts.body_len();
        let encoded_len = encoded_len(body_len);
        let holds_timestamp = self.holds_timestamp(timestamp_ms);
        let chunk = self.last.buffer();
        let fits = chunk.capacity() - chunk.len() >= encoded_len + RecordParts::SLACK
            && self.size_bytes + encoded_len <= batch_size_bytes
            && holds_timestamp;
        if !fits {
            return None;
        }
        parts.encode_into(body_len, chunk);
        Some(self.count(encoded_len, timestamp_ms))
    }

    /// Writes into the last chunk, which was chosen to have room.
    fn write(&mut self, record: &Payloads<'_>, timestamp_ms: i64) -> u32 {
        let parts = self.parts(record, timestamp_ms);
        let body_len = parts.body_len();
        parts.encode_into(body_len, self.last.buffer());
        self.count(encoded_len(body_len), timestamp_ms)
    }

    #[inline]
    fn count(&mut self, encoded_len: usize, timestamp_ms: i64) -> u32 {
        let index = self.record_count;
        self.record_count += 1;
        self.size_bytes += encoded_len;
        self.max_timestamp_ms = self.max_timestamp_ms.max(timestamp_ms);
        index
    }

    #[inline]
    fn parts<'a>(&self, record: &Payloads<'a>, timestamp_ms: i64) -> RecordParts<'a> {
        let timestamp_delta = timestamp_ms.wrapping_sub(self.base_timestamp_ms);
        parts(record, timestamp_delta, self.record_count as i32)
    }

    /// Whether the distance between the two timestamps fits the wire's signed 64 bits.
    #[inline]
    fn holds_timestamp(&self, timestamp_ms: i64) -> bool {
        timestamp_ms.checked_sub(self.base_timestamp_ms).is_some()
    }

    fn close(self) -> Batch<H> {
        let mut chunks = self.full;
        chunks.push(self.last);
        Batch::new(
            Payload::new(chunks, self.size_bytes),
            self.record_count,
            (self.base_timestamp_ms, self.max_timestamp_ms),
            self.opened_at,
            self.completion,
        )
    }
}

/// A record's size with the length that opens it.
#[inline]
fn encoded_len(body_len: usize) -> usize {
    varint_len(body_len as i32) + body_len
}

#[inline]
fn parts<'a>(record: &Payloads<'a>, timestamp_delta: i64, offset_delta: i32) -> RecordParts<'a> {
    RecordParts {
        timestamp_delta,
        offset_delta,
        key: record.key,
        value: record.value,
        headers: record.headers,
    }
}

#[cfg(test)]
mod tests;
