//! The transaction coordinator: which producer has a transactional id, what its transaction has
//! written to, and how it ends.
//!
//! A transaction is decided when its end is in the journal. Markers are then written to the leaders
//! of all its partitions (see `markers`) until each is replicated, whatever is killed meanwhile.
//! All nodes share one set of transactions; a node coordinates those ids that
//! `Nodes::coordinator_of` gives it.

mod journal;
mod markers;
mod transaction;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::ErrorCode;

pub(crate) use transaction::{
    EPOCH_BUMP_VERSION, LAST_EPOCH, Partition, PendingOffsets, State, Transaction,
};

use crate::error::StartError;
use crate::journal::Journal;
use crate::log::Storage;
use crate::time::Now;
use journal::ById;
use markers::Written;
use transaction::{Begin, End};

/// A producer that says who it is: transactional id, producer id and epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Who<'a> {
    pub(crate) id: &'a str,
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
}

/// All transactional ids.
#[derive(Debug)]
pub(crate) struct Transactions {
    journal: Journal,
    known: ById,
    /// What new producer ids begin with.
    pub(crate) first_epoch: i16,
    /// When transactions that go on are aborted, on the monotonic clock.
    deadlines: BTreeSet<(Duration, String)>,
    /// The transactions that are being ended, with the markers that are on their way.
    ending: BTreeMap<String, BTreeMap<Partition, Option<Written>>>,
    /// Something has changed that those may have waited for.
    is_stirred: bool,
    /// When they are looked at again in any case, on the monotonic clock.
    retry_at: Option<Duration>,
}

impl Transactions {
    /// Reads the journal. Transactions whose end was decided are going to be ended.
    pub(crate) fn open(
        path: PathBuf,
        storage: Arc<dyn Storage>,
        now: Now,
    ) -> Result<Self, StartError> {
        let (journal, known) = journal::open(path, storage)?;
        let mut transactions = Self {
            journal,
            first_epoch: 0,
            known,
            deadlines: BTreeSet::new(),
            ending: BTreeMap::new(),
            is_stirred: true,
            retry_at: None,
        };
        for (id, transaction) in &transactions.known {
            if transaction.is_ending() {
                let markers = transaction.partitions.iter().map(|key| (*key, None)).collect();
                transactions.ending.insert(id.clone(), markers);
            }
            let deadline = deadline_of(transaction, now).map(|deadline| (deadline, id.clone()));
            transactions.deadlines.extend(deadline);
        }
        Ok(transactions)
    }

    /// What is known of a transactional id.
    pub(crate) fn get(&self, id: &str) -> Option<&Transaction> {
        self.known.get(id)
    }

    /// All transactional ids in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Transaction)> {
        self.known.iter().map(|(id, transaction)| (id.as_str(), transaction))
    }

    /// A producer wants its producer id and epoch; whoever had them before is fenced.
    pub(crate) fn begin(
        &mut self,
        id: &str,
        timeout_ms: i32,
        expected: Option<(i64, i16)>,
        mut new_producer_id: impl FnMut() -> Result<i64, ErrorCode>,
        now: Now,
    ) -> Result<(i64, i16), ErrorCode> {
        let (known, is_new) = match self.known.get(id) {
            Some(known) => (known.clone(), false),
            None => (Transaction::new(new_producer_id()?, now.unix_ms), true),
        };
        match known.begin(timeout_ms, expected, new_producer_id, now.unix_ms)? {
            Begin::With(mut next) => {
                if is_new {
                    next.epoch = self.first_epoch;
                }
                let identity = next.identity();
                self.put(id, next, now)?;
                Ok(identity)
            }
            Begin::AfterAbort => {
                self.put(id, known.fenced(now.unix_ms), now)?;
                Err(ErrorCode::CONCURRENT_TRANSACTIONS)
            }
        }
    }

    /// A transaction writes to partitions.
    pub(crate) fn add(
        &mut self,
        who: Who<'_>,
        version: i16,
        partitions: &[Partition],
        now: Now,
    ) -> Result<(), ErrorCode> {
        let mut next = self.going_on(who, version, now)?;
        let before = (next.state, next.partitions.len());
        next.partitions.extend(partitions);
        self.put_if_more(who.id, next, before, |next| next.partitions.len(), now)
    }

    /// A transaction commits offsets of a group.
    pub(crate) fn add_group(
        &mut self,
        who: Who<'_>,
        version: i16,
        group: &str,
        now: Now,
    ) -> Result<(), ErrorCode> {
        let mut next = self.going_on(who, version, now)?;
        let before = (next.state, next.groups.len());
        next.groups.entry(group.to_owned()).or_default();
        self.put_if_more(who.id, next, before, |next| next.groups.len(), now)
    }

    /// Offsets of a group come with a transaction that has named the group.
    pub(crate) fn add_offsets(
        &mut self,
        who: Who<'_>,
        group: &str,
        offsets: PendingOffsets,
        now: Now,
    ) -> Result<(), ErrorCode> {
        let known = self.of(who)?;
        known.verify_group(who.producer_id, who.epoch, group)?;
        let mut next = known.clone();
        let pending = next.groups.entry(group.to_owned()).or_default();
        for (topic, partition, committed) in offsets {
            pending.retain(|(name, index, _)| *name != topic || *index != partition);
            pending.push((topic, partition, committed));
        }
        self.put(who.id, next, now)
    }

    /// Whether a leader may take records of a transaction.
    pub(crate) fn verify(&self, who: Who<'_>, partition: Partition) -> Result<(), ErrorCode> {
        self.of(who)?.verify(who.producer_id, who.epoch, partition)
    }

    /// A producer ends its transaction. Gives the id and the epoch with which it goes on.
    pub(crate) fn end(
        &mut self,
        who: Who<'_>,
        is_commit: bool,
        version: i16,
        new_producer_id: impl FnOnce() -> Result<i64, ErrorCode>,
        now: Now,
    ) -> Result<(i64, i16), ErrorCode> {
        let known = self.of(who)?;
        let identity = (who.producer_id, who.epoch);
        match known.end(identity, is_commit, version, new_producer_id, now.unix_ms)? {
            End::Again => Ok(known.identity()),
            End::With(next) => {
                let identity = next.identity();
                self.put(who.id, next, now)?;
                Ok(identity)
            }
        }
    }

    /// Whether offsets of a group wait for the end of a transaction.
    pub(crate) fn has_pending_offset(&self, group: &str, topic: &str, partition: i32) -> bool {
        let is_it = |(name, index, _): &(String, i32, _)| name == topic && *index == partition;
        self.known.values().any(|transaction| {
            let pending = transaction.groups.get(group);
            pending.is_some_and(|pending| pending.iter().any(is_it))
        })
    }

    /// Aborts transactions whose time is up, and fences their producers.
    pub(crate) fn handle_timeout(&mut self, now: Now) {
        while let Some((deadline, id)) = self.deadlines.first().cloned() {
            if deadline > now.monotonic {
                return;
            }
            self.deadlines.pop_first();
            let Some(next) = self.known.get(&id).map(|known| known.fenced(now.unix_ms)) else {
                continue;
            };
            tracing::info!(transactional_id = %id, "transaction has timed out");
            if self.put(&id, next, now).is_err() {
                self.deadlines.insert((now.monotonic + markers::RETRY, id));
            }
        }
    }

    /// When something must be done next, on the monotonic clock.
    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        if self.is_stirred && !self.ending.is_empty() {
            return Some(Duration::ZERO);
        }
        let deadline = self.deadlines.first().map(|(deadline, _)| *deadline);
        [deadline, self.retry_at].into_iter().flatten().min()
    }

    /// A partition has another leader, or its log is replicated further: markers may have waited.
    pub(crate) fn stir(&mut self) {
        self.is_stirred = true;
    }

    /// Forgets ids that have had no transaction since.
    pub(crate) fn expire(&mut self, before_ms: i64) {
        let is_idle = |transaction: &Transaction| {
            let is_open = transaction.is_ending() || transaction.state == State::Ongoing;
            !is_open && transaction.updated_ms < before_ms
        };
        let idle = self.known.iter().filter(|(_, transaction)| is_idle(transaction));
        let ids: Vec<String> = idle.map(|(id, _)| id.clone()).collect();
        for id in ids {
            if let Err(error) = journal::write(&mut self.journal, &id, None) {
                tracing::error!(transactional_id = %id, %error, "transactional id not forgotten");
                return;
            }
            self.known.remove(&id);
        }
    }

    fn of(&self, who: Who<'_>) -> Result<&Transaction, ErrorCode> {
        self.known.get(who.id).ok_or(ErrorCode::INVALID_PRODUCER_ID_MAPPING)
    }

    /// The transaction with its state before, as one that goes on.
    fn going_on(&self, who: Who<'_>, version: i16, now: Now) -> Result<Transaction, ErrorCode> {
        self.of(who)?.going_on(who.producer_id, who.epoch, version, now.unix_ms)
    }

    /// Writes what has grown, if it has.
    fn put_if_more(
        &mut self,
        id: &str,
        next: Transaction,
        before: (State, usize),
        count: impl FnOnce(&Transaction) -> usize,
        now: Now,
    ) -> Result<(), ErrorCode> {
        let was_ongoing = self.known.get(id).is_some_and(|known| known.state == before.0);
        if was_ongoing && count(&next) == before.1 {
            return Ok(());
        }
        self.put(id, next, now)
    }

    /// Writes down what holds from now on. Nothing has changed when that fails.
    fn put(&mut self, id: &str, next: Transaction, now: Now) -> Result<(), ErrorCode> {
        journal::write(&mut self.journal, id, Some(&next))
            .map_err(|error| not_written(id, &error))?;
        self.deadlines.retain(|(_, other)| other != id);
        if let Some(deadline) = deadline_of(&next, now) {
            self.deadlines.insert((deadline, id.to_owned()));
        }
        match next.is_ending() {
            true if !self.ending.contains_key(id) => {
                let markers = next.partitions.iter().map(|key| (*key, None)).collect();
                self.ending.insert(id.to_owned(), markers);
                self.is_stirred = true;
            }
            true => {}
            false => {
                self.ending.remove(id);
            }
        }
        self.known.insert(id.to_owned(), next);
        self.journal.rewrite_if_large(|| journal::all(&self.known));
        Ok(())
    }
}

/// What a client is told when the journal cannot be written: it may try again.
fn not_written(id: &str, error: &io::Error) -> ErrorCode {
    tracing::error!(transactional_id = %id, %error, "transaction not written down");
    ErrorCode::COORDINATOR_NOT_AVAILABLE
}

/// When a transaction is aborted if its producer does not end it.
fn deadline_of(transaction: &Transaction, now: Now) -> Option<Duration> {
    if transaction.state != State::Ongoing {
        return None;
    }
    let end_ms = transaction.started_ms.saturating_add(i64::from(transaction.timeout_ms));
    let left_ms = end_ms.saturating_sub(now.unix_ms).min(i64::from(transaction.timeout_ms));
    Some(now.monotonic + Duration::from_millis(u64::try_from(left_ms).unwrap_or_default()))
}
