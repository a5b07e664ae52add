//! What the core borrows in stories: plain vectors, and queues.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::PartitionKey;
use crate::accumulator::{PartitionQueue, Payload, Queues, SplitRecords, split_records};
use crate::host::{AppendDoor, Host};
use crate::output::{Part, Split};
use crate::time::Instant;

/// Chunks are plain vectors, a batch's completion is its number.
pub(super) enum TestHost {}

impl Host for TestHost {
    type Completion = usize;
    type Chunk = Vec<u8>;
}

#[derive(Default)]
pub(super) struct TestQueues {
    pub(super) queues: BTreeMap<PartitionKey, PartitionQueue<TestHost>>,
    pub(super) batch_size_bytes: usize,
}

impl Queues<TestHost> for TestQueues {
    fn with<R>(
        &mut self,
        key: PartitionKey,
        f: impl FnOnce(&mut PartitionQueue<TestHost>) -> R,
    ) -> R {
        let size = self.batch_size_bytes;
        f(self.queues.entry(key).or_insert_with(|| PartitionQueue::new(size)))
    }
}

pub(super) struct Door<'a> {
    pub(super) now: Instant,
    pub(super) batches: &'a mut usize,
}

impl AppendDoor<TestHost> for Door<'_> {
    fn chunk(&mut self, capacity_bytes: usize) -> Option<Vec<u8>> {
        Some(Vec::with_capacity(capacity_bytes))
    }
    fn completion(&mut self) -> usize {
        *self.batches += 1;
        *self.batches - 1
    }
    fn now(&mut self) -> Instant {
        self.now
    }
    fn wall_ms(&mut self) -> i64 {
        0
    }
    fn recent_wall_ms(&mut self) -> i64 {
        0
    }
}

/// Does a split; the stories' batches are as they were also when they are said to be compressed.
pub(super) fn parts(job: &Split<TestHost>) -> Option<Vec<Part<Vec<u8>>>> {
    let records: Vec<u8> = job.payload.chunks().flatten().copied().collect();
    let parts = split_records(&records, job.base_timestamp_ms, &job.cut).ok()?;
    let part = |part: SplitRecords| {
        let size_bytes = part.bytes.len();
        let payload = Payload::new(alloc::vec![part.bytes], size_bytes);
        Part { payload, compression: job.compression, measure: part.measure }
    };
    Some(parts.into_iter().map(part).collect())
}
