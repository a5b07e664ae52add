//! What the core borrows where time is a number: memory that is counted, queues, and the clock.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use ottla_core::PartitionKey;
use ottla_core::accumulator::{PartitionQueue, Payload, Queues, SplitRecords, split_records};
use ottla_core::host::{AppendDoor, Chunk, Host};
use ottla_core::output::{Part, Split};
use ottla_core::time::Instant;

/// What all chunks take together.
#[derive(Debug, Default)]
pub struct Memory {
    /// In bytes.
    pub live_bytes: Cell<usize>,
}

/// A piece of batch memory; its drop gives the bytes back.
#[derive(Debug)]
pub struct Piece {
    bytes: Vec<u8>,
    capacity_bytes: usize,
    memory: Rc<Memory>,
}

impl Piece {
    /// Takes what the bytes have room for, whatever there is.
    #[must_use]
    pub fn of(bytes: Vec<u8>, memory: &Rc<Memory>) -> Self {
        let capacity_bytes = bytes.capacity();
        memory.live_bytes.set(memory.live_bytes.get() + capacity_bytes);
        Self { bytes, capacity_bytes, memory: Rc::clone(memory) }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let live = &self.memory.live_bytes;
        live.set(live.get() - self.capacity_bytes);
    }
}

impl Chunk for Piece {
    fn bytes(&self) -> &[u8] {
        &self.bytes
    }
    fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

/// Does a split; nothing if the payload holds no records.
#[must_use]
pub fn parts(job: &Split<SimHost>, memory: &Rc<Memory>) -> Option<Vec<Part<Piece>>> {
    let records: Vec<u8> = job.payload.chunks().flatten().copied().collect();
    let parts = split_records(&records, job.base_timestamp_ms, &job.cut).ok()?;
    let part = |part: SplitRecords| {
        let size_bytes = part.bytes.len();
        let payload = Payload::new(vec![Piece::of(part.bytes, memory)], size_bytes);
        Part { payload, compression: job.compression, measure: part.measure }
    };
    Some(parts.into_iter().map(part).collect())
}

/// A completion is the batch's number.
#[derive(Debug)]
pub enum SimHost {}

impl Host for SimHost {
    type Completion = usize;
    type Chunk = Piece;
}

/// The queues of all partitions.
pub struct SimQueues {
    queues: BTreeMap<PartitionKey, PartitionQueue<SimHost>>,
    batch_size_bytes: usize,
}

impl SimQueues {
    /// Without partitions; batches are closed at this size.
    #[must_use]
    pub const fn new(batch_size_bytes: usize) -> Self {
        Self { queues: BTreeMap::new(), batch_size_bytes }
    }
}

impl Queues<SimHost> for SimQueues {
    fn with<R>(
        &mut self,
        key: PartitionKey,
        f: impl FnOnce(&mut PartitionQueue<SimHost>) -> R,
    ) -> R {
        let size_bytes = self.batch_size_bytes;
        f(self.queues.entry(key).or_insert_with(|| PartitionQueue::new(size_bytes)))
    }
}

/// Gives memory up to a limit.
#[derive(Debug)]
pub struct Door<'a> {
    /// The time.
    pub now: Instant,
    /// The number of the next batch.
    pub batches: &'a mut usize,
    /// Where memory is counted.
    pub memory: &'a Rc<Memory>,
    /// No more than this is given.
    pub limit_bytes: usize,
}

impl AppendDoor<SimHost> for Door<'_> {
    fn chunk(&mut self, capacity_bytes: usize) -> Option<Piece> {
        let fits = self.memory.live_bytes.get() + capacity_bytes <= self.limit_bytes;
        fits.then(|| Piece::of(Vec::with_capacity(capacity_bytes), self.memory))
    }
    fn completion(&mut self) -> usize {
        *self.batches += 1;
        *self.batches - 1
    }
    fn now(&mut self) -> Instant {
        self.now
    }
    fn wall_ms(&mut self) -> i64 {
        (self.now.as_nanos() / 1_000_000) as i64
    }
    fn recent_wall_ms(&mut self) -> i64 {
        self.wall_ms()
    }
}
