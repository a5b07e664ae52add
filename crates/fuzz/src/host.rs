//! What the core borrows here: memory that is counted, queues, and a clock that is a number.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use ottla_core::PartitionKey;
use ottla_core::accumulator::{PartitionQueue, Queues};
use ottla_core::host::{AppendDoor, Chunk, Host};
use ottla_core::time::Instant;

/// What all chunks take.
pub(crate) type LiveBytes = Rc<Cell<usize>>;

/// A piece of batch memory; its drop gives the bytes back.
pub(crate) struct Piece {
    bytes: Vec<u8>,
    capacity_bytes: usize,
    live: LiveBytes,
}

impl Piece {
    pub(crate) fn new(bytes: Vec<u8>, live: &LiveBytes) -> Self {
        let capacity_bytes = bytes.capacity();
        live.set(live.get() + capacity_bytes);
        Self { bytes, capacity_bytes, live: Rc::clone(live) }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.live.set(self.live.get() - self.capacity_bytes);
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

pub(crate) enum FuzzHost {}

impl Host for FuzzHost {
    type Completion = usize;
    type Chunk = Piece;
}

pub(crate) struct FuzzQueues {
    queues: BTreeMap<PartitionKey, PartitionQueue<FuzzHost>>,
    batch_size_bytes: usize,
}

impl FuzzQueues {
    pub(crate) const fn new(batch_size_bytes: usize) -> Self {
        Self { queues: BTreeMap::new(), batch_size_bytes }
    }
}

impl Queues<FuzzHost> for FuzzQueues {
    fn with<R>(
        &mut self,
        key: PartitionKey,
        f: impl FnOnce(&mut PartitionQueue<FuzzHost>) -> R,
    ) -> R {
        let size = self.batch_size_bytes;
        f(self.queues.entry(key).or_insert_with(|| PartitionQueue::new(size)))
    }
}

/// Gives memory up to a limit.
pub(crate) struct Door<'a> {
    pub(crate) now: Instant,
    pub(crate) batches: &'a mut usize,
    pub(crate) live: &'a LiveBytes,
    pub(crate) limit_bytes: usize,
}

impl AppendDoor<FuzzHost> for Door<'_> {
    fn chunk(&mut self, capacity_bytes: usize) -> Option<Piece> {
        let fits = self.live.get() + capacity_bytes <= self.limit_bytes;
        fits.then(|| Piece::new(Vec::with_capacity(capacity_bytes), self.live))
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
