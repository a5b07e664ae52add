//! Records that were handed over and have no outcome yet, with the input they came from.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Instant;

use ottla::{Delivery, ProduceError, RecordMetadata};

/// The bounds of what waits: enough to keep a fast cluster busy, and little beside the producer's
/// own memory.
const MAX_RECORDS: usize = 256 * 1024;
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Input blocks in order, each with the deliveries of its lines.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    blocks: VecDeque<Block>,
    records: usize,
    bytes: usize,
}

/// Whole lines of one source. They are kept until all of their records have an outcome, so
/// that the input of one that fails can be kept unchanged, without a copy of each line.
#[derive(Debug)]
pub(super) struct Block {
    source: usize,
    bytes: Vec<u8>,
    waiting: VecDeque<Waiting>,
}

/// A line whose record was handed over.
#[derive(Debug)]
struct Waiting {
    delivery: Delivery,
    line: u64,
    start: usize,
    end: usize,
    since: Option<Instant>,
}

/// The outcome of one line's record.
pub(super) struct Outcome<'a> {
    pub(super) source: usize,
    pub(super) line: u64,
    pub(super) input: &'a [u8],
    /// When it was handed over, where somebody wants to know.
    pub(super) since: Option<Instant>,
    pub(super) result: Result<RecordMetadata, ProduceError>,
}

impl Ledger {
    /// Whether another block may be taken in.
    pub(super) fn has_room(&self) -> bool {
        self.records < MAX_RECORDS && self.bytes < MAX_BYTES
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Takes in a block, whose records are then handed over.
    pub(super) fn push(&mut self, source: usize, bytes: Vec<u8>) {
        self.bytes += bytes.capacity();
        self.blocks.push_back(Block { source, bytes, waiting: VecDeque::new() });
    }

    /// The bytes of the block taken in last.
    pub(super) fn last_bytes(&self) -> &[u8] {
        self.blocks.back().map_or(&[], |block| &block.bytes)
    }

    /// Notes that the record of a line of the last block was handed over.
    pub(super) fn note(
        &mut self,
        delivery: Delivery,
        line: u64,
        (start, end): (usize, usize),
        since: Option<Instant>,
    ) {
        if let Some(block) = self.blocks.back_mut() {
            self.records += 1;
            block.waiting.push_back(Waiting { delivery, line, start, end, since });
        }
    }

    /// Tells the outcomes that are known, in the order of the input, up to the first that is not.
    pub(super) fn settle(&mut self, mut tell: impl FnMut(Outcome<'_>)) {
        while let Some(block) = self.blocks.front_mut() {
            while let Some(first) = block.waiting.front() {
                let Some(result) = first.delivery.try_outcome() else { return };
                tell(Outcome {
                    source: block.source,
                    line: first.line,
                    input: &block.bytes[first.start..first.end],
                    since: first.since,
                    result,
                });
                block.waiting.pop_front();
                self.records -= 1;
            }
            self.bytes -= block.bytes.capacity();
            self.blocks.pop_front();
        }
    }

    /// Waits until the first record in the order of the input has its outcome; for ever when none
    /// waits. [`Ledger::settle`] then tells it.
    pub(super) async fn first_outcome(&mut self) {
        let first = self.blocks.iter_mut().find_map(|block| block.waiting.front_mut());
        match first {
            Some(first) => {
                poll_fn(|context| match Pin::new(&mut first.delivery).poll(context) {
                    Poll::Ready(_) => Poll::Ready(()),
                    Poll::Pending => Poll::Pending,
                })
                .await;
            }
            None => std::future::pending().await,
        }
    }
}
