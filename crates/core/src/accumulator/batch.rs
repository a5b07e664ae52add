//! A closed batch: its bytes never change again, whatever happens to it on the way.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use ottla_protocol::record::{BatchHeader, CompressionType};

use crate::error::Failure;
use crate::host::{Chunk, Host};
use crate::mutant::Mutant;
use crate::output::Part;
use crate::time::Instant;

/// The records of a batch as chunks of bytes, shared between the sender, which may have to send
/// them again, and the driver, which may still be writing them. The memory goes back when both
/// have let go (law L6).
pub struct Payload<C>(Arc<(Vec<C>, usize)>);

impl<C> Clone for Payload<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C: Chunk> Payload<C> {
    /// A payload of these chunks, `size_bytes` in all.
    #[must_use]
    pub fn new(chunks: Vec<C>, size_bytes: usize) -> Self {
        Self(Arc::new((chunks, size_bytes)))
    }

    /// Bytes in all chunks.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.0.1
    }

    /// The bytes, in order.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        self.0.0.iter().map(Chunk::bytes)
    }
}

/// Who sent a batch, and its place in the partition's sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The producer id.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i16,
    /// The sequence number of the first record.
    pub base_sequence: i32,
}

impl Stamp {
    /// What a producer without idempotence sends.
    pub const NONE: Self = Self { producer_id: -1, producer_epoch: -1, base_sequence: -1 };
}

/// A place in the order of first sending.
pub(crate) type Order = (u64, u32);

/// Which records of its completion a batch has.
enum Places {
    /// All of them.
    All,
    /// These, in order: it came of a split.
    Some { ranges: Vec<Range<u32>>, of: u32 },
}

/// A closed batch and what happened to it so far.
pub struct Batch<H: Host> {
    payload: Payload<H::Chunk>,
    compression: CompressionType,
    record_count: u32,
    base_timestamp_ms: i64,
    max_timestamp_ms: i64,
    opened_at: Instant,
    completion: H::Completion,
    places: Places,
    stamp: Option<Stamp>,
    header: [u8; BatchHeader::SIZE],
    /// How often it was sent.
    pub(crate) attempts: u32,
    /// Its place among all batches in the order of first sending: the request's number, and its
    /// first record's in the batch that it came of.
    pub(crate) order: Order,
    /// Some attempt ended without a verdict: the broker may have it.
    pub(crate) ambiguous: bool,
    /// Some attempt was never answered: it may be on its way still, and arrive later than others.
    pub(crate) unanswered: bool,
    /// What the last attempt ended with.
    pub(crate) last_failure: Option<Arc<Failure>>,
}

impl<H: Host> Batch<H> {
    pub(super) fn new(
        payload: Payload<H::Chunk>,
        record_count: u32,
        (base_timestamp_ms, max_timestamp_ms): (i64, i64),
        opened_at: Instant,
        completion: H::Completion,
    ) -> Self {
        Self {
            payload,
            compression: CompressionType::None,
            record_count,
            base_timestamp_ms,
            max_timestamp_ms,
            opened_at,
            completion,
            places: Places::All,
            stamp: None,
            header: [0; BatchHeader::SIZE],
            attempts: 0,
            order: (0, 0),
            ambiguous: false,
            unanswered: false,
            last_failure: None,
        }
    }

    /// The records' bytes.
    #[must_use]
    pub const fn payload(&self) -> &Payload<H::Chunk> {
        &self.payload
    }

    /// The number of records.
    #[must_use]
    pub const fn record_count(&self) -> u32 {
        self.record_count
    }

    /// Whether it came straight from the accumulator.
    pub(crate) const fn is_whole(&self) -> bool {
        matches!(self.places, Places::All)
    }

    /// How many records its completion has: more than the batch has when it came of a split.
    pub(crate) const fn completion_count(&self) -> u32 {
        match &self.places {
            Places::All => self.record_count,
            Places::Some { of, .. } => *of,
        }
    }

    /// The completion's numbers for some of the batch's records, each range with the number that
    /// its first record has in the batch.
    pub(crate) fn places(&self, records: Range<u32>) -> Vec<(u32, Range<u32>)> {
        if records.is_empty() {
            return Vec::new();
        }
        let Places::Some { ranges, .. } = &self.places else {
            return alloc::vec![(records.start, records)];
        };
        let mut found = Vec::new();
        let mut number = 0;
        for range in ranges {
            let end = number + (range.end - range.start);
            let (from, to) = (records.start.max(number), records.end.min(end));
            if from < to {
                found.push((from, range.start + (from - number)..range.start + (to - number)));
            }
            number = end;
        }
        found
    }

    /// How its records are compressed.
    pub(crate) const fn compression(&self) -> CompressionType {
        self.compression
    }

    /// The time that its records' times are counted from.
    pub(crate) const fn base_timestamp_ms(&self) -> i64 {
        self.base_timestamp_ms
    }

    /// The batch that has `part` of this one's records, whose numbers in this one are `records`.
    pub(crate) fn part(&self, part: Part<H::Chunk>, records: &[Range<u32>]) -> Self {
        let ranges = records.iter().flat_map(|range| self.places(range.clone()));
        let ranges = ranges.map(|(_, places)| places).collect();
        let first = records.first().map_or(0, |range| range.start);
        let mut batch = Self {
            payload: part.payload,
            compression: part.compression,
            record_count: part.measure.record_count,
            base_timestamp_ms: self.base_timestamp_ms,
            max_timestamp_ms: part.measure.max_timestamp_ms,
            opened_at: self.opened_at,
            completion: self.completion.clone(),
            places: Places::Some { ranges, of: self.completion_count() },
            stamp: None,
            header: [0; BatchHeader::SIZE],
            attempts: self.attempts,
            order: (self.order.0, self.order.1 + first),
            ambiguous: false,
            unanswered: false,
            last_failure: self.last_failure.clone(),
        };
        if let Some(stamp) = self.stamp {
            // The numbers of those that were not sent stay theirs: what is under way behind them
            // counts from there.
            let first = if Mutant::SplitSequenceAnew.is_on() { 0 } else { first };
            let base_sequence = Self::next_sequence(stamp.base_sequence, first);
            let base_sequence = if stamp == Stamp::NONE { -1 } else { base_sequence };
            batch.set_stamp(Stamp { base_sequence, ..stamp });
        }
        batch
    }

    /// When its first record was appended: the start of every record's delivery timeout.
    #[must_use]
    pub const fn opened_at(&self) -> Instant {
        self.opened_at
    }

    /// As though it had been opened now: what one of the mutants does.
    pub(crate) const fn begin_anew(&mut self, now: Instant) {
        self.opened_at = now;
    }

    /// The handle of its outcome.
    #[must_use]
    pub const fn completion(&self) -> &H::Completion {
        &self.completion
    }

    /// Its stamp, once it has one.
    #[must_use]
    pub const fn stamp(&self) -> Option<Stamp> {
        self.stamp
    }

    /// Header and payload, as they stand on the wire.
    #[must_use]
    pub fn wire_size_bytes(&self) -> usize {
        BatchHeader::SIZE + self.payload.size_bytes()
    }

    /// The header, valid once the batch is stamped.
    #[must_use]
    pub const fn header(&self) -> &[u8; BatchHeader::SIZE] {
        &self.header
    }

    /// Replaces the records by their compressed form.
    pub(crate) fn set_compressed(
        &mut self,
        compression: CompressionType,
        payload: Payload<H::Chunk>,
    ) {
        self.compression = compression;
        self.payload = payload;
    }

    /// Gives the batch its stamp and computes the header with the checksum. From the first send to
    /// a definite answer nothing of this may change (law L4); the caller decides when a stamp may
    /// be replaced.
    pub(crate) fn set_stamp(&mut self, stamp: Stamp) {
        self.stamp = Some(stamp);
        let mut header = BatchHeader {
            base_offset: 0,
            batch_length: 0,
            partition_leader_epoch: -1,
            magic: 2,
            crc: 0,
            attributes: self.compression as i16,
            last_offset_delta: self.record_count as i32 - 1,
            base_timestamp: self.base_timestamp_ms,
            max_timestamp: self.max_timestamp_ms,
            producer_id: stamp.producer_id,
            producer_epoch: stamp.producer_epoch,
            base_sequence: stamp.base_sequence,
            record_count: self.record_count as i32,
        };
        let chunks: Vec<&[u8]> = self.payload.chunks().collect();
        // A batch's size is bounded by max.request.size, far below what the length field holds.
        self.header = header.seal(chunks.iter().copied()).unwrap_or([0; BatchHeader::SIZE]);
    }

    /// Takes the stamp away. Only for a batch that is definitely in no log.
    pub(crate) fn clear_stamp(&mut self) {
        self.stamp = None;
        self.ambiguous = false;
    }

    /// The sequence number after this batch's last record; it wraps to 0 after 2^31-1.
    pub(crate) fn next_sequence(base_sequence: i32, record_count: u32) -> i32 {
        ((i64::from(base_sequence) + i64::from(record_count)) & i64::from(i32::MAX)) as i32
    }
}
