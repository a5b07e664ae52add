//! `buffer.memory`: the bytes that batches may hold, given out in chunks.
//!
//! The budget is a fair semaphore of bytes: who waits is served in turn, and while somebody waits
//! nobody overtakes (a `try_send` is refused then). Chunks of the two usual sizes are kept for
//! reuse; a chunk gives its bytes back when it is dropped, wherever that happens.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_core::accumulator::{CHUNK_BYTES, CHUNK_SLACK_BYTES, FIRST_CHUNK_BYTES};
use ottla_core::host;
use tokio::sync::Semaphore;

use crate::share::{Held, Share};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Bug, Mutex, point};

/// What a chunk and its share of a batch cost besides its buffer.
const CHUNK_OVERHEAD_BYTES: usize = 256;
/// Buffers of one size that are kept for reuse; what is beyond goes back to the allocator.
const KEPT_BUFFERS: usize = 2048;

/// The budget and the spare buffers.
pub(crate) struct Memory {
    budget: Semaphore,
    total_bytes: usize,
    /// Bytes that were taken although the budget was spent (for compressed copies, which free more
    /// than they take, and for callbacks that are due); repaid by the next bytes that come back.
    debt_bytes: AtomicUsize,
    /// What records for each broker may hold, where there are several.
    shares: Mutex<BTreeMap<i32, Arc<Share>>>,
    small: Mutex<Vec<Vec<u8>>>,
    large: Mutex<Vec<Vec<u8>>>,
}

/// A buffer of batch memory.
pub(crate) struct Chunk {
    buffer: Vec<u8>,
    charged_bytes: usize,
    /// Goes back with the chunk.
    _held: Option<Held>,
    memory: Arc<Memory>,
}

impl Memory {
    pub(crate) fn new(total_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            budget: Semaphore::new(total_bytes.min(Semaphore::MAX_PERMITS)),
            total_bytes,
            debt_bytes: AtomicUsize::new(0),
            shares: Mutex::new(BTreeMap::new()),
            small: Mutex::new(Vec::new()),
            large: Mutex::new(Vec::new()),
        })
    }

    /// What a chunk of this capacity takes from the budget.
    pub(crate) fn charge_for(capacity_bytes: usize) -> usize {
        capacity_bytes + CHUNK_OVERHEAD_BYTES
    }

    /// The whole budget.
    pub(crate) fn total_bytes(&self) -> usize {
        self.total_bytes
    }

    /// What of it is free.
    pub(crate) fn available_bytes(&self) -> usize {
        self.budget.available_permits()
    }

    /// The share of the records for a broker: half of the budget, so that the other half is left to
    /// the rest of the cluster, whatever happens to this one.
    pub(crate) fn share_of(&self, node: i32) -> Arc<Share> {
        let new = || Share::new(node, self.total_bytes / 2);
        Arc::clone(self.shares.lock().entry(node).or_insert_with(new))
    }

    /// A chunk, if the budget and the share allow it now and nobody waits.
    pub(crate) fn try_chunk(
        self: &Arc<Self>,
        capacity_bytes: usize,
        share: Option<&Arc<Share>>,
    ) -> Option<Chunk> {
        let charge = Self::charge_for(capacity_bytes);
        let held = match share {
            Some(share) => Some(share.try_hold(charge)?),
            None => None,
        };
        self.budget.try_acquire_many(u32::try_from(charge).ok()?).ok()?.forget();
        Some(self.chunk(capacity_bytes, charge, held))
    }

    /// A chunk, when its turn comes, in the share first; none once the budget is closed. Dropping
    /// the future gives up the turn.
    pub(crate) async fn wait_chunk(
        self: &Arc<Self>,
        capacity_bytes: usize,
        share: Option<&Arc<Share>>,
    ) -> Option<Chunk> {
        let charge = Self::charge_for(capacity_bytes);
        let held = match share {
            Some(share) => Some(share.hold(charge).await?),
            None => None,
        };
        let permit = self.budget.acquire_many(u32::try_from(charge).ok()?).await.ok()?;
        permit.forget();
        Some(self.chunk(capacity_bytes, charge, held))
    }

    /// No chunk will be given out any more: whoever waits for one is told so.
    pub(crate) fn close(&self) {
        self.budget.close();
        self.shares.lock().values().for_each(|share| share.close());
    }

    /// A chunk for bytes that replace others: taken at once, over the budget if need be.
    pub(crate) fn replacement(self: &Arc<Self>, buffer: Vec<u8>) -> Chunk {
        let charged_bytes = Self::charge_for(buffer.capacity());
        self.take_at_once(charged_bytes);
        Chunk { buffer, charged_bytes, _held: None, memory: Arc::clone(self) }
    }

    /// Takes bytes that are in use already, over the budget if need be.
    pub(crate) fn take_at_once(&self, bytes: usize) {
        match u32::try_from(bytes).ok().and_then(|n| self.budget.try_acquire_many(n).ok()) {
            Some(permit) => permit.forget(),
            None => {
                point();
                self.debt_bytes.fetch_add(bytes, Ordering::Relaxed);
            }
        }
    }

    fn chunk(
        self: &Arc<Self>,
        capacity_bytes: usize,
        charged_bytes: usize,
        held: Option<Held>,
    ) -> Chunk {
        let spare = self.spares(capacity_bytes).and_then(|spares| spares.lock().pop());
        let buffer = spare.unwrap_or_else(|| Vec::with_capacity(capacity_bytes));
        Chunk { buffer, charged_bytes, _held: held, memory: Arc::clone(self) }
    }

    fn spares(&self, capacity_bytes: usize) -> Option<&Mutex<Vec<Vec<u8>>>> {
        match capacity_bytes.checked_sub(CHUNK_SLACK_BYTES)? {
            FIRST_CHUNK_BYTES => Some(&self.small),
            CHUNK_BYTES => Some(&self.large),
            _ => None,
        }
    }

    fn give_back(&self, mut buffer: Vec<u8>, charged_bytes: usize) {
        if let Some(spares) = self.spares(buffer.capacity()) {
            buffer.clear();
            let mut spares = spares.lock();
            if spares.len() < KEPT_BUFFERS {
                spares.push(buffer);
            }
        }
        self.give_back_bytes(charged_bytes);
    }

    /// Gives bytes back: to the debt first, to the budget then.
    pub(crate) fn give_back_bytes(&self, bytes: usize) {
        let mut repaid = 0;
        if self.debt_bytes.load(Ordering::Relaxed) > 0 {
            let pay = |debt: usize| Some(debt - debt.min(bytes));
            let before = self.debt_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, pay);
            repaid = before.unwrap_or(0).min(bytes);
            if Bug::RepaidTwice.is_on() {
                repaid = 0;
            }
        }
        point();
        self.budget.add_permits(bytes - repaid);
    }
}

impl host::Chunk for Chunk {
    fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.memory.give_back(std::mem::take(&mut self.buffer), self.charged_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::block_on;

    /// Laws: L10. Scenarios: bug-36.
    #[test]
    fn every_byte_comes_back_when_chunks_are_dropped() {
        let memory = Memory::new(100_000);
        let usual = FIRST_CHUNK_BYTES + CHUNK_SLACK_BYTES;
        let chunks: Vec<Chunk> = std::iter::from_fn(|| memory.try_chunk(usual, None)).collect();
        assert_eq!(chunks.len(), 100_000 / Memory::charge_for(usual));
        drop(chunks);
        assert_eq!(memory.available_bytes(), 100_000);
    }

    #[test]
    fn a_debt_is_repaid_before_the_budget_grows() {
        let memory = Memory::new(10_000);
        let all = memory.try_chunk(9_000, None).unwrap();
        let over = memory.replacement(vec![0; 5_000]);
        drop(all);
        assert_eq!(memory.available_bytes(), 10_000 - Memory::charge_for(5_000));
        drop(over);
        assert_eq!(memory.available_bytes(), 10_000);
    }

    /// Laws: L9, L10. Scenarios: #102.
    #[test]
    fn nobody_overtakes_who_waits_for_memory() {
        let memory = Memory::new(10_000);
        let all = memory.try_chunk(9_000, None).unwrap();
        let waiter = std::thread::spawn({
            let memory = Arc::clone(&memory);
            move || block_on(memory.wait_chunk(8_000, None)).map(|chunk| chunk.charged_bytes)
        });
        // 744 bytes are free; once the waiter stands in line they are kept for it.
        while memory.try_chunk(100, None).is_some() {
            std::thread::yield_now();
        }
        drop(all);
        assert_eq!(waiter.join().unwrap(), Some(Memory::charge_for(8_000)));
    }
}
