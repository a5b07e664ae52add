//! What the core borrows from the program around it: memory chunks and completion handles.
//!
//! The core has no allocator policy, no locks and no futures. It moves two kinds of value that
//! belong to its host: chunks of batch memory, whose drop gives their bytes back to the budget,
//! and completions, one per batch, through which the host tells the outcome of its records.

use alloc::vec::Vec;

use crate::time::Instant;

/// The types that the host lends to the core.
pub trait Host: 'static {
    /// One batch's completion handle; a clone refers to the same batch.
    type Completion: Clone;
    /// A piece of batch memory.
    type Chunk: Chunk;
}

/// A buffer of fixed capacity that is part of a batch. Dropping it returns its memory.
pub trait Chunk {
    /// The bytes written so far.
    fn bytes(&self) -> &[u8];
    /// The buffer, to write to. The core never writes past its capacity.
    fn buffer(&mut self) -> &mut Vec<u8>;
}

/// What an append may need from its host besides the record.
pub trait AppendDoor<H: Host> {
    /// An empty chunk with room for `capacity_bytes` or more, or nothing when memory is spent.
    fn chunk(&mut self, capacity_bytes: usize) -> Option<H::Chunk>;
    /// The completion of a batch that is being opened.
    fn completion(&mut self) -> H::Completion;
    /// The time. Asked only when a batch is opened, so that the common append reads no clock.
    fn now(&mut self) -> Instant;
    /// The wall clock in milliseconds since the Unix epoch, for a record without a timestamp that
    /// opens a batch.
    fn wall_ms(&mut self) -> i64;
    /// The same for records that join an open batch: asked for nearly every record, so it should be
    /// cheap, and may be a few milliseconds behind.
    fn recent_wall_ms(&mut self) -> i64;
}
