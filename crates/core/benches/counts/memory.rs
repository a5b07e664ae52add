//! What the core borrows here: chunks that are used again and again, and numbers as completions.

use std::cell::RefCell;
use std::rc::Rc;

use ottla_core::PartitionKey;
use ottla_core::accumulator::{PartitionQueue, Queues};
use ottla_core::host::{AppendDoor, Chunk, Host};
use ottla_core::time::Instant;

/// The host of these measurements.
pub(crate) enum Bench {}

impl Host for Bench {
    type Completion = u64;
    type Chunk = Pooled;
}

/// Buffers that nobody uses at the moment.
#[derive(Clone, Default)]
pub(crate) struct Memory(Rc<RefCell<Vec<Vec<u8>>>>);

impl Memory {
    fn take(&self, capacity_bytes: usize) -> Pooled {
        let mut spare = self.0.borrow_mut();
        // There are two sizes, and the one that is asked for now was mostly given back last.
        let found = spare.iter().rposition(|buffer| buffer.capacity() == capacity_bytes);
        let buffer = match found {
            Some(place) => spare.swap_remove(place),
            None => Vec::with_capacity(capacity_bytes),
        };
        Pooled { buffer, home: self.clone() }
    }
}

/// A chunk that goes back to where it came from.
pub(crate) struct Pooled {
    buffer: Vec<u8>,
    home: Memory,
}

impl Chunk for Pooled {
    fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        self.home.0.borrow_mut().push(buffer);
    }
}

/// What an append may need. Time stands still.
pub(crate) struct Door<'a> {
    memory: &'a Memory,
    now: Instant,
    batches: u64,
}

impl<'a> Door<'a> {
    pub(crate) fn new(memory: &'a Memory) -> Self {
        Self::at(memory, Instant::from_millis(1000))
    }

    pub(crate) fn at(memory: &'a Memory, now: Instant) -> Self {
        Self { memory, now, batches: 0 }
    }
}

impl AppendDoor<Bench> for Door<'_> {
    fn chunk(&mut self, capacity_bytes: usize) -> Option<Pooled> {
        Some(self.memory.take(capacity_bytes))
    }

    fn completion(&mut self) -> u64 {
        self.batches += 1;
        self.batches
    }

    fn now(&mut self) -> Instant {
        self.now
    }

    fn wall_ms(&mut self) -> i64 {
        5
    }

    fn recent_wall_ms(&mut self) -> i64 {
        5
    }
}

/// The queues of all partitions, by their keys.
pub(crate) struct QueueTable(Vec<PartitionQueue<Bench>>);

impl QueueTable {
    pub(crate) fn new(count: usize, batch_size_bytes: usize) -> Self {
        Self((0..count).map(|_| PartitionQueue::new(batch_size_bytes)).collect())
    }

    pub(crate) fn get(&mut self, number: usize) -> &mut PartitionQueue<Bench> {
        &mut self.0[number]
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut PartitionQueue<Bench>> {
        self.0.iter_mut()
    }
}

impl Queues<Bench> for QueueTable {
    fn with<R>(
        &mut self,
        partition: PartitionKey,
        f: impl FnOnce(&mut PartitionQueue<Bench>) -> R,
    ) -> R {
        f(&mut self.0[partition.0 as usize])
    }
}
