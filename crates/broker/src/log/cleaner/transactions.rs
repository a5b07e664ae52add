//! What a walk over a log, from its beginning on, knows of the transactions in it.

use std::collections::{HashMap, HashSet, VecDeque};

use ottla_protocol::record::BatchHeader;

use crate::log::transaction_index::AbortedEntry;

/// The transactions of the batches that come by.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    /// Those without effect that have a part in the present segment, by producer, in order.
    aborted: HashMap<i64, VecDeque<AbortedEntry>>,
    /// Producers of whose present transaction a batch came by.
    seen: HashSet<i64>,
}

/// What a marker that came by is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MarkerUse {
    /// A batch of its transaction is, or was until now, in the log.
    pub(super) is_needed: bool,
    /// The transaction's place in the index, if it was aborted.
    pub(super) aborted: Option<AbortedEntry>,
}

impl Transactions {
    /// The batches of another segment follow, with these aborted transactions.
    pub(super) fn enter_segment(&mut self, entries: Vec<AbortedEntry>) {
        self.aborted.clear();
        for entry in entries {
            self.aborted.entry(entry.producer_id).or_default().push_back(entry);
        }
    }

    /// A batch of records comes by. Says whether its transaction was aborted.
    pub(super) fn note_batch(&mut self, header: &BatchHeader) -> bool {
        if !header.is_transactional() {
            return false;
        }
        self.seen.insert(header.producer_id);
        self.entry_at(header).is_some_and(|entry| entry.first_offset <= header.base_offset)
    }

    /// A marker comes by.
    pub(super) fn note_marker(&mut self, header: &BatchHeader) -> MarkerUse {
        let is_needed = self.seen.remove(&header.producer_id);
        let aborted =
            self.entry_at(header).filter(|entry| entry.marker_offset == header.base_offset);
        MarkerUse { is_needed, aborted }
    }

    /// The first aborted transaction of the batch's producer that does not end before it.
    fn entry_at(&mut self, header: &BatchHeader) -> Option<AbortedEntry> {
        let entries = self.aborted.get_mut(&header.producer_id)?;
        while entries.front().is_some_and(|entry| entry.marker_offset < header.base_offset) {
            entries.pop_front();
        }
        entries.front().copied()
    }
}
