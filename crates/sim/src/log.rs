//! One replica's log, and what it remembers of producers: Kafka's rules for sequence numbers.

use std::collections::{BTreeMap, VecDeque};

use ottla_protocol::ErrorCode;

/// A record is known by its number in the history.
pub type RecordId = u32;

/// Sequence numbers end here and start again at 0.
const SEQUENCE_COUNT: i64 = 1 << 31;
/// So many batches of a producer are remembered.
const WINDOW: usize = 5;

/// A batch in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) leader_epoch: i32,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) records: Vec<RecordId>,
}

impl Entry {
    fn last_sequence(&self) -> i32 {
        let last = i64::from(self.base_sequence) + self.records.len() as i64 - 1;
        (last % SEQUENCE_COUNT) as i32
    }
}

#[derive(Clone, Debug, Default)]
struct Producer {
    epoch: i16,
    /// First and last sequence number, base offset.
    window: VecDeque<(i32, i32, u64)>,
}

/// A replica's log of a partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    /// With their base offsets.
    entries: Vec<(u64, Entry)>,
    end: u64,
    producers: BTreeMap<i64, Producer>,
}

/// What a leader says to a batch.
pub(crate) enum Appended {
    /// It is in the log from this offset on.
    New(u64),
    /// It was there before, at this offset.
    Duplicate(u64),
}

impl Log {
    /// The offset that the next record gets.
    pub(crate) const fn end(&self) -> u64 {
        self.end
    }

    /// All records in order.
    pub(crate) fn records(&self) -> impl Iterator<Item = RecordId> {
        self.entries.iter().flat_map(|(_, entry)| entry.records.iter().copied())
    }

    /// As a leader: takes the batch or refuses it.
    pub(crate) fn append(&mut self, entry: Entry) -> Result<Appended, ErrorCode> {
        if entry.producer_id >= 0
            && let Some(offset) = self.check(&entry)?
        {
            return Ok(Appended::Duplicate(offset));
        }
        let base = self.end;
        self.push(entry);
        Ok(Appended::New(base))
    }

    fn check(&self, entry: &Entry) -> Result<Option<u64>, ErrorCode> {
        // A producer that was never heard of may start anywhere.
        let Some(known) = self.producers.get(&entry.producer_id) else { return Ok(None) };
        if entry.producer_epoch < known.epoch {
            return Err(ErrorCode::INVALID_PRODUCER_EPOCH);
        }
        if entry.producer_epoch > known.epoch {
            let fresh = entry.base_sequence == 0;
            return if fresh { Ok(None) } else { Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER) };
        }
        let same = (entry.base_sequence, entry.last_sequence());
        if let Some(before) = known.window.iter().find(|(first, last, _)| (*first, *last) == same) {
            return Ok(Some(before.2));
        }
        let last = known.window.back().map_or(-1, |(_, last, _)| i64::from(*last));
        if i64::from(entry.base_sequence) == (last + 1) % SEQUENCE_COUNT {
            return Ok(None);
        }
        Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER)
    }

    fn push(&mut self, entry: Entry) {
        if entry.producer_id >= 0 {
            let producer = self.producers.entry(entry.producer_id).or_default();
            if producer.epoch != entry.producer_epoch {
                producer.epoch = entry.producer_epoch;
                producer.window.clear();
            }
            producer.window.push_back((entry.base_sequence, entry.last_sequence(), self.end));
            if producer.window.len() > WINDOW {
                producer.window.pop_front();
            }
        }
        let count = entry.records.len() as u64;
        self.entries.push((self.end, entry));
        self.end += count;
    }

    /// As a follower: forgets what the leader does not have, and copies what is missing.
    pub(crate) fn follow(&mut self, leader: &Self) {
        let same = self.entries.iter().zip(&leader.entries).take_while(|(own, its)| own == its);
        let common = same.count();
        if common < self.entries.len() {
            self.truncate(common);
        }
        for (_, entry) in &leader.entries[common..] {
            self.push(entry.clone());
        }
    }

    /// As a follower that has nothing its leader has not: copies what is missing.
    pub(crate) fn extend(&mut self, leader: &Self) {
        for (_, entry) in &leader.entries[self.entries.len()..] {
            self.push(entry.clone());
        }
    }

    fn truncate(&mut self, entries: usize) {
        let kept: Vec<Entry> =
            self.entries.drain(..).take(entries).map(|(_, entry)| entry).collect();
        *self = Self::default();
        for entry in kept {
            self.push(entry);
        }
    }

    /// Forgets a producer, as after `producer.id.expiration.ms`.
    pub(crate) fn forget_producers(&mut self) {
        self.producers.clear();
    }
}
