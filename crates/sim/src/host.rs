//! What the core borrows from the simulator: memory that is counted, queues, and the clock.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use ottla_core::PartitionKey;
use ottla_core::accumulator::{PartitionQueue, Payload, Queues, SplitRecords, split_records};
use ottla_core::host::{AppendDoor, Chunk, Host};
use ottla_core::output::{Part, Split};
use ottla_core::time::Instant;

/// All chunks together.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) live_bytes: Cell<usize>,
}

/// A piece of batch memory; its drop gives the bytes back.
pub(crate) struct Piece {
    bytes: Vec<u8>,
    capacity_bytes: usize,
    memory: Rc<Memory>,
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

impl Piece {
    /// Bytes that replace others; no limit holds them up.
    fn of(bytes: Vec<u8>, memory: &Rc<Memory>) -> Self {
        let capacity_bytes = bytes.capacity();
        memory.live_bytes.set(memory.live_bytes.get() + capacity_bytes);
        Self { bytes, capacity_bytes, memory: Rc::clone(memory) }
    }
}

/// Does a split.
pub(crate) fn parts(job: &Split<SimHost>, memory: &Rc<Memory>) -> Option<Vec<Part<Piece>>> {
    let records: Vec<u8> = job.payload.chunks().flatten().copied().collect();
    let parts = split_records(&records, job.base_timestamp_ms, &job.cut).ok()?;
    let part = |part: SplitRecords| {
        let size_bytes = part.bytes.len();
        let payload = Payload::new(vec![Piece::of(part.bytes, memory)], size_bytes);
        Part { payload, compression: job.compression, measure: part.measure }
    };
    Some(parts.into_iter().map(part).collect())
}

pub(crate) enum SimHost {}

impl Host for SimHost {
    type Completion = usize;
    type Chunk = Piece;
}

pub(crate) struct SimQueues {
    queues: BTreeMap<PartitionKey, PartitionQueue<SimHost>>,
    batch_size_bytes: usize,
}

impl SimQueues {
    pub(crate) const fn new(batch_size_bytes: usize) -> Self {
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

pub(crate) struct Door<'a> {
    pub(crate) now: Instant,
    pub(crate) batches: &'a mut usize,
    pub(crate) memory: &'a Rc<Memory>,
    pub(crate) limit_bytes: usize,
}

impl AppendDoor<SimHost> for Door<'_> {
    fn chunk(&mut self, capacity_bytes: usize) -> Option<Piece> {
        let live = &self.memory.live_bytes;
        if live.get() + capacity_bytes > self.limit_bytes {
            return None;
        }
        live.set(live.get() + capacity_bytes);
        let bytes = Vec::with_capacity(capacity_bytes);
        Some(Piece { bytes, capacity_bytes, memory: Rc::clone(self.memory) })
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
