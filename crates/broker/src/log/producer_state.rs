//! What a partition remembers of idempotent producers: the last batches of each, to know one that
//! is sent again.

use std::collections::{BTreeSet, HashMap, VecDeque};

use ottla_protocol::ErrorCode;
use ottla_protocol::record::BatchHeader;

use super::marker::{EndMarker, TransactionMarker};

/// How many batches of a producer are remembered. Kafka's number, and the reason why an
/// idempotent producer may have no more than five requests in flight.
pub const WINDOW_BATCHES: usize = 5;

/// A batch that a producer wrote into the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducedBatch {
    /// Sequence number of its first record.
    pub first_sequence: i32,
    /// Sequence number of its last record.
    pub last_sequence: i32,
    /// Offset of its last record.
    pub last_offset: i64,
    /// Its last offset less its first.
    pub offset_delta: i32,
    /// Its greatest timestamp, in milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
}

impl ProducedBatch {
    /// What is remembered of a batch, given the header that stands in the log.
    pub fn of(header: &BatchHeader) -> Self {
        Self {
            first_sequence: header.base_sequence,
            last_sequence: sequence_after(header.base_sequence, header.last_offset_delta),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta,
            timestamp_ms: header.max_timestamp,
        }
    }

    /// Offset of its first record.
    pub fn first_offset(&self) -> i64 {
        self.last_offset - i64::from(self.offset_delta)
    }
}

/// `steps` sequence numbers after `sequence`; 0 comes after the greatest.
pub fn sequence_after(sequence: i32, steps: i32) -> i32 {
    // Both are at least 0, so the sum fits 32 bits without a sign.
    ((sequence as u32 + steps as u32) & i32::MAX as u32) as i32
}

/// One producer, as this partition knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerEntry {
    /// Its epoch.
    pub epoch: i16,
    /// Its newest batches of this epoch, oldest first, at most [`WINDOW_BATCHES`].
    pub batches: VecDeque<ProducedBatch>,
    /// The greatest timestamp of its last batch, in milliseconds since the Unix epoch.
    pub last_timestamp_ms: i64,
    /// When the broker last heard of it, in milliseconds since the Unix epoch. Expiry goes by this
    /// and not by the records' timestamps, which a producer may set to any year.
    pub last_seen_ms: i64,
    /// Epoch of the transaction coordinator that wrote its last marker, -1 for none.
    pub coordinator_epoch: i32,
    /// Where its open transaction began.
    pub transaction_first_offset: Option<i64>,
}

/// What to do with a batch, judged by its sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SequenceVerdict {
    /// It is the next one.
    Append,
    /// It is in the log already, as this batch.
    Duplicate(ProducedBatch),
    /// It cannot come now.
    Refuse(ErrorCode),
}

/// All idempotent producers of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProducerStates {
    producers: HashMap<i64, ProducerEntry>,
    /// Where the open transactions began.
    open: BTreeSet<i64>,
}

/// A transaction whose marker is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EndedTransaction {
    pub(super) producer_id: i64,
    pub(super) first_offset: i64,
    pub(super) marker_offset: i64,
    pub(super) is_commit: bool,
}

impl ProducerStates {
    /// Judges a batch of an idempotent producer that has been sent to the partition.
    pub fn check(&self, header: &BatchHeader) -> SequenceVerdict {
        let Some(entry) = self.producers.get(&header.producer_id) else {
            // Nothing is known: the producer is new here, or was forgotten. Kafka accepts both.
            return SequenceVerdict::Append;
        };
        if header.producer_epoch < entry.epoch {
            return SequenceVerdict::Refuse(ErrorCode::INVALID_PRODUCER_EPOCH);
        }
        let mut next = 0;
        if header.producer_epoch == entry.epoch {
            let sent = ProducedBatch::of(header);
            let known = entry.batches.iter().find(|known| {
                known.first_sequence == sent.first_sequence
                    && known.last_sequence == sent.last_sequence
            });
            if let Some(known) = known {
                return SequenceVerdict::Duplicate(*known);
            }
            // A marker may have begun the epoch, with no batch of it yet (KIP-890).
            next = entry.batches.back().map_or(0, |last| sequence_after(last.last_sequence, 1));
        }
        if header.base_sequence != next {
            return SequenceVerdict::Refuse(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
        }
        if entry.transaction_first_offset.is_some() && !header.is_transactional() {
            return SequenceVerdict::Refuse(ErrorCode::INVALID_TXN_STATE);
        }
        SequenceVerdict::Append
    }

    /// Judges a marker that a coordinator wants to have written.
    pub(super) fn check_marker(&self, marker: &TransactionMarker) -> Result<(), ErrorCode> {
        let Some(entry) = self.producers.get(&marker.producer_id) else {
            return Ok(());
        };
        let epoch = marker.producer_epoch;
        // From version 2 on each transaction ends with the next epoch: a marker with the present
        // one is late, or asked for again, or the epochs are used up.
        let is_late = marker.transaction_version >= 2
            && epoch == entry.epoch
            && entry.transaction_first_offset.is_some()
            && epoch < i16::MAX;
        if epoch < entry.epoch || is_late {
            return Err(ErrorCode::INVALID_PRODUCER_EPOCH);
        }
        if marker.coordinator_epoch < entry.coordinator_epoch {
            return Err(ErrorCode::TRANSACTION_COORDINATOR_FENCED);
        }
        Ok(())
    }

    /// Takes note of a batch that now stands in the log, with what it says if it is a marker. Gives
    /// the transaction that it ends. One without producer id changes nothing.
    pub(super) fn record(
        &mut self,
        header: &BatchHeader,
        marker: Option<&EndMarker>,
        now_ms: i64,
    ) -> Option<EndedTransaction> {
        if header.producer_id < 0 || (header.is_control() && marker.is_none()) {
            return None;
        }
        let entry = self.producers.entry(header.producer_id).or_insert_with(|| ProducerEntry {
            epoch: header.producer_epoch,
            batches: VecDeque::with_capacity(1),
            last_timestamp_ms: header.max_timestamp,
            last_seen_ms: now_ms,
            coordinator_epoch: -1,
            transaction_first_offset: None,
        });
        entry.last_timestamp_ms = header.max_timestamp;
        entry.last_seen_ms = now_ms;
        if entry.epoch != header.producer_epoch {
            entry.epoch = header.producer_epoch;
            entry.batches.clear();
        }
        if let Some(marker) = marker {
            entry.coordinator_epoch = marker.coordinator_epoch;
            let first_offset = entry.transaction_first_offset.take()?;
            self.open.remove(&first_offset);
            return Some(EndedTransaction {
                producer_id: header.producer_id,
                first_offset,
                marker_offset: header.base_offset,
                is_commit: marker.is_commit,
            });
        }
        if header.is_transactional() && entry.transaction_first_offset.is_none() {
            entry.transaction_first_offset = Some(header.base_offset);
            self.open.insert(header.base_offset);
        }
        if entry.batches.len() == WINDOW_BATCHES {
            entry.batches.pop_front();
        }
        entry.batches.push_back(ProducedBatch::of(header));
        None
    }

    /// Where the oldest transaction began that is still open.
    pub fn first_open_transaction(&self) -> Option<i64> {
        self.open.first().copied()
    }

    /// Forgets producers that have written nothing since `before_ms` and have no transaction open.
    pub fn expire(&mut self, before_ms: i64) {
        self.producers.retain(|_, entry| {
            entry.transaction_first_offset.is_some() || entry.last_seen_ms >= before_ms
        });
    }

    /// The producers by id.
    pub fn iter(&self) -> impl Iterator<Item = (i64, &ProducerEntry)> {
        self.producers.iter().map(|(id, entry)| (*id, entry))
    }

    /// The producers in order of their ids, so that equal states make equal files.
    pub(super) fn sorted(&self) -> Vec<(i64, &ProducerEntry)> {
        let mut producers: Vec<_> = self.iter().collect();
        producers.sort_unstable_by_key(|(id, _)| *id);
        producers
    }

    /// The entry of one producer.
    pub fn get(&self, producer_id: i64) -> Option<&ProducerEntry> {
        self.producers.get(&producer_id)
    }

    /// How many producers are remembered.
    pub fn len(&self) -> usize {
        self.producers.len()
    }

    /// Whether no producer is remembered.
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    pub(super) fn insert(&mut self, producer_id: i64, entry: ProducerEntry) {
        let opened = entry.transaction_first_offset;
        if let Some(old) = self.producers.insert(producer_id, entry)
            && let Some(first_offset) = old.transaction_first_offset
        {
            self.open.remove(&first_offset);
        }
        self.open.extend(opened);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(epoch: i16, base_sequence: i32, count: i32, base_offset: i64) -> BatchHeader {
        BatchHeader {
            base_offset,
            batch_length: 49,
            partition_leader_epoch: 0,
            magic: 2,
            crc: 0,
            attributes: 0,
            last_offset_delta: count - 1,
            base_timestamp: 0,
            max_timestamp: base_offset,
            producer_id: 7,
            producer_epoch: epoch,
            base_sequence,
            record_count: count,
        }
    }

    fn refused(code: ErrorCode) -> SequenceVerdict {
        SequenceVerdict::Refuse(code)
    }

    /// Laws: L4. Scenarios: #33.
    #[test]
    fn a_batch_in_the_window_is_a_duplicate_with_its_first_offset() {
        let mut states = ProducerStates::default();
        for index in 0..6 {
            states.record(&header(0, index * 2, 2, i64::from(index) * 10), None, 100);
        }
        for index in 1..6 {
            let verdict = states.check(&header(0, index * 2, 2, 999));
            let SequenceVerdict::Duplicate(batch) = verdict else {
                panic!("{index}: {verdict:?}");
            };
            assert_eq!(batch.first_offset(), i64::from(index) * 10);
        }
        let oldest = states.check(&header(0, 0, 2, 999));
        assert_eq!(oldest, refused(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER));
        assert_eq!(states.check(&header(0, 12, 1, 999)), SequenceVerdict::Append);
    }

    #[test]
    fn a_batch_that_overlaps_a_known_one_is_out_of_order() {
        let mut states = ProducerStates::default();
        states.record(&header(0, 0, 4, 0), None, 100);
        for (sequence, count) in [(0, 3), (1, 3), (2, 4), (5, 1)] {
            let verdict = states.check(&header(0, sequence, count, 4));
            assert_eq!(verdict, refused(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER), "{sequence}");
        }
    }

    #[test]
    fn a_new_epoch_starts_at_sequence_0_and_an_old_one_is_refused() {
        let mut states = ProducerStates::default();
        states.record(&header(3, 5, 1, 0), None, 100);
        let stale = states.check(&header(2, 6, 1, 1));
        assert_eq!(stale, refused(ErrorCode::INVALID_PRODUCER_EPOCH));
        let late = states.check(&header(4, 6, 1, 1));
        assert_eq!(late, refused(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER));
        assert_eq!(states.check(&header(4, 0, 1, 1)), SequenceVerdict::Append);
        states.record(&header(4, 0, 1, 1), None, 100);
        assert_eq!(states.get(7).map(|entry| entry.batches.len()), Some(1));
    }

    #[test]
    fn an_unknown_producer_may_begin_anywhere() {
        let states = ProducerStates::default();
        assert_eq!(states.check(&header(0, 41, 1, 0)), SequenceVerdict::Append);
    }

    /// Laws: L4. Scenarios: #21, T6.
    #[test]
    fn sequences_wrap_from_the_greatest_to_0() {
        assert_eq!(sequence_after(i32::MAX, 1), 0);
        assert_eq!(sequence_after(i32::MAX - 1, 3), 1);
        let mut states = ProducerStates::default();
        states.record(&header(0, i32::MAX - 1, 4, 0), None, 100);
        assert_eq!(states.check(&header(0, 2, 1, 4)), SequenceVerdict::Append);
        let verdict = states.check(&header(0, i32::MAX - 1, 4, 4));
        assert!(matches!(verdict, SequenceVerdict::Duplicate(_)));
    }

    /// Laws: L4. Scenarios: #34.
    #[test]
    fn an_idle_producer_is_forgotten() {
        let mut states = ProducerStates::default();
        states.record(&header(0, 0, 1, 100), None, 100);
        states.expire(100);
        assert_eq!(states.len(), 1);
        states.expire(101);
        assert!(states.is_empty());
    }
}
