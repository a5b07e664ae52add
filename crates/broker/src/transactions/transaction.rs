//! One transactional id, and the rules of how it goes on.
//!
//! ```text
//!              records, offsets             EndTxn, a new producer, time is up
//!   Empty ──────────────────────► Ongoing ─────────────────────────────────────► Prepare…
//!                                    ▲                                              │
//!                                    └───────────────── Complete… ◄─────────────────┘
//!                                                             every marker is replicated
//! ```
//!
//! With transactions of version 2 the producer gets a new epoch with the end of each (KIP-890).

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::{ErrorCode, Uuid};
use serde::{Deserialize, Serialize};

use crate::groups::Committed;
use crate::log::TransactionMarker;

/// The first version of transactions in which every end bumps the epoch.
pub(crate) const EPOCH_BUMP_VERSION: i16 = 2;

/// The last epoch that a producer gets is one less: the greatest is left to fence it.
pub(crate) const LAST_EPOCH: i16 = i16::MAX - 1;

const NONE: i16 = -1;

/// A partition, by its topic's id.
pub(crate) type Partition = (Uuid, i32);

/// Offsets that wait for the end of a transaction: topic, partition and what is committed.
pub(crate) type PendingOffsets = Vec<(String, i32, Committed)>;

/// Where a transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    /// The producer has its id and nothing else.
    Empty,
    /// It has written something.
    Ongoing,
    /// It will be committed; markers are being written.
    PrepareCommit,
    /// It will be aborted; markers are being written.
    PrepareAbort,
    /// All markers are there.
    CompleteCommit,
    /// All markers are there.
    CompleteAbort,
}

impl State {
    const ALL: [Self; 6] = [
        Self::Empty,
        Self::Ongoing,
        Self::PrepareCommit,
        Self::PrepareAbort,
        Self::CompleteCommit,
        Self::CompleteAbort,
    ];

    /// As Kafka's tools say it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
        }
    }

    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    fn is_ending(self) -> bool {
        matches!(self, Self::PrepareCommit | Self::PrepareAbort)
    }
}

/// A transactional id with its producer and its transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Transaction {
    pub(crate) producer_id: i64,
    /// The id before that; -1 for none.
    pub(crate) last_producer_id: i64,
    pub(crate) epoch: i16,
    /// What a producer may still say its epoch is, when it has not heard of the next (KIP-360); -1
    /// for none.
    pub(crate) last_epoch: i16,
    /// The id that follows when the epochs of this one are used up; -1 for none.
    #[serde(default = "none", skip_serializing_if = "is_none")]
    next_producer_id: i64,
    pub(crate) state: State,
    /// The version of the transaction, as the client speaks it.
    pub(crate) version: i16,
    pub(crate) timeout_ms: i32,
    /// When the transaction began, in milliseconds since the Unix epoch.
    pub(crate) started_ms: i64,
    pub(crate) updated_ms: i64,
    /// Partitions that get a marker.
    #[serde(
        default,
        skip_serializing_if = "BTreeSet::is_empty",
        with = "crate::as_text::partitions"
    )]
    pub(crate) partitions: BTreeSet<Partition>,
    /// Groups that get offsets, if it is committed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) groups: BTreeMap<String, PendingOffsets>,
}

/// What a producer that comes for its id is to get.
#[derive(Debug)]
pub(crate) enum Begin {
    /// This.
    With(Transaction),
    /// Nothing before the transaction that somebody has left open is aborted.
    AfterAbort,
}

/// What an EndTxn comes to.
#[derive(Debug)]
pub(crate) enum End {
    /// It has been done before.
    Again,
    /// This is to be done.
    With(Transaction),
}

fn none() -> i64 {
    -1
}

fn is_none(id: &i64) -> bool {
    *id == -1
}

impl Transaction {
    pub(crate) fn new(producer_id: i64, now_ms: i64) -> Self {
        Self {
            producer_id,
            last_producer_id: none(),
            epoch: NONE,
            last_epoch: NONE,
            next_producer_id: none(),
            state: State::Empty,
            version: 0,
            timeout_ms: 0,
            started_ms: now_ms,
            updated_ms: now_ms,
            partitions: BTreeSet::new(),
            groups: BTreeMap::new(),
        }
    }

    /// When the transaction began, or the last one; `None` when there was none.
    pub(crate) fn begun_ms(&self) -> Option<i64> {
        (self.state != State::Empty).then_some(self.started_ms)
    }

    /// A producer wants its id, and says what it was before, if anything (KIP-360).
    pub(crate) fn begin(
        &self,
        timeout_ms: i32,
        expected: Option<(i64, i16)>,
        new_producer_id: impl FnOnce() -> Result<i64, ErrorCode>,
        now_ms: i64,
    ) -> Result<Begin, ErrorCode> {
        let is_known = |(id, epoch): (i64, i16)| {
            self.epoch == NONE
                || id == self.producer_id
                || (id == self.last_producer_id && epoch >= LAST_EPOCH)
        };
        if !expected.is_none_or(is_known) {
            return Err(ErrorCode::PRODUCER_FENCED);
        }
        match self.state {
            State::PrepareCommit | State::PrepareAbort => {
                return Err(ErrorCode::CONCURRENT_TRANSACTIONS);
            }
            State::Ongoing => return Ok(Begin::AfterAbort),
            State::Empty | State::CompleteCommit | State::CompleteAbort => {}
        }
        let mut next = Self {
            state: State::Empty,
            timeout_ms,
            started_ms: now_ms,
            updated_ms: now_ms,
            ..self.clone()
        };
        let expected = expected.map(|(_, epoch)| epoch);
        if self.epoch >= LAST_EPOCH && expected.is_none_or(|epoch| epoch == self.epoch) {
            next.last_producer_id = self.producer_id;
            next.producer_id = new_producer_id()?;
            next.last_epoch = expected.map_or(NONE, |_| self.epoch);
            next.epoch = 0;
            return Ok(Begin::With(next));
        }
        match expected {
            None => next.last_epoch = NONE,
            Some(epoch) if self.epoch == NONE || epoch == self.epoch => {
                next.last_epoch = self.epoch;
            }
            // It asks again.
            Some(epoch) if epoch == self.last_epoch => return Ok(Begin::With(next)),
            Some(_) => return Err(ErrorCode::PRODUCER_FENCED),
        }
        next.epoch = self.epoch.saturating_add(1);
        Ok(Begin::With(next))
    }

    /// Whether a request comes from the producer that has the id, and no other is being handled.
    fn check(&self, producer_id: i64, epoch: i16) -> Result<(), ErrorCode> {
        if self.is_ending() && self.identity() == (producer_id, epoch) {
            Err(ErrorCode::CONCURRENT_TRANSACTIONS)
        } else if producer_id != self.producer_id {
            Err(ErrorCode::INVALID_PRODUCER_ID_MAPPING)
        } else if epoch != self.epoch {
            Err(ErrorCode::PRODUCER_FENCED)
        } else if self.state.is_ending() {
            Err(ErrorCode::CONCURRENT_TRANSACTIONS)
        } else {
            Ok(())
        }
    }

    /// The transaction as one that has begun.
    pub(crate) fn going_on(
        &self,
        producer_id: i64,
        epoch: i16,
        version: i16,
        now_ms: i64,
    ) -> Result<Self, ErrorCode> {
        self.check(producer_id, epoch)?;
        let started_ms = if self.state == State::Ongoing { self.started_ms } else { now_ms };
        Ok(Self { state: State::Ongoing, version, started_ms, updated_ms: now_ms, ..self.clone() })
    }

    /// Whether a leader may take a transaction's records for a partition (KIP-890).
    pub(crate) fn verify(
        &self,
        producer_id: i64,
        epoch: i16,
        partition: Partition,
    ) -> Result<(), ErrorCode> {
        self.check(producer_id, epoch)?;
        let is_part = self.state == State::Ongoing && self.partitions.contains(&partition);
        is_part.then_some(()).ok_or(ErrorCode::TRANSACTION_ABORTABLE)
    }

    /// The same for the offsets of a group.
    pub(crate) fn verify_group(
        &self,
        producer_id: i64,
        epoch: i16,
        group: &str,
    ) -> Result<(), ErrorCode> {
        self.check(producer_id, epoch)?;
        let is_part = self.state == State::Ongoing && self.groups.contains_key(group);
        is_part.then_some(()).ok_or(ErrorCode::TRANSACTION_ABORTABLE)
    }

    /// The producer wants to end its transaction.
    pub(crate) fn end(
        &self,
        (producer_id, epoch): (i64, i16),
        is_commit: bool,
        version: i16,
        new_producer_id: impl FnOnce() -> Result<i64, ErrorCode>,
        now_ms: i64,
    ) -> Result<End, ErrorCode> {
        let bumps = self.version >= EPOCH_BUMP_VERSION && self.last_epoch != NONE;
        let is_overflown =
            bumps && self.last_producer_id == producer_id && epoch == LAST_EPOCH && self.epoch == 0;
        let is_again = is_overflown || (bumps && i32::from(epoch) + 1 == i32::from(self.epoch));
        if producer_id != self.producer_id && !is_overflown {
            return Err(ErrorCode::INVALID_PRODUCER_ID_MAPPING);
        }
        let is_valid = match self.state {
            State::Ongoing | State::Empty => epoch == self.epoch,
            State::PrepareCommit | State::PrepareAbort if bumps => is_again,
            State::CompleteCommit | State::CompleteAbort if bumps => {
                is_again || epoch == self.epoch
            }
            _ => epoch == self.epoch,
        };
        if !is_valid {
            return Err(ErrorCode::PRODUCER_FENCED);
        }
        let is_next = version >= EPOCH_BUMP_VERSION && !is_again;
        match (self.state, is_commit) {
            (State::Ongoing, _) => {}
            (State::PrepareCommit, true) | (State::PrepareAbort, false) => {
                return Err(ErrorCode::CONCURRENT_TRANSACTIONS);
            }
            // Nothing has come to the coordinator of a transaction that the producer began; it
            // gets its new epoch all the same.
            (State::Empty | State::CompleteCommit | State::CompleteAbort, false) if is_next => {}
            (State::CompleteCommit, true) | (State::CompleteAbort, false) if !is_next => {
                return Ok(End::Again);
            }
            _ => return Err(ErrorCode::INVALID_TXN_STATE),
        }
        let mut next = self.prepared(is_commit, version, now_ms);
        if version >= EPOCH_BUMP_VERSION && self.epoch >= LAST_EPOCH {
            next.next_producer_id = new_producer_id()?;
        }
        Ok(End::With(next))
    }

    /// The transaction about to be aborted, whose producer is not heard any more.
    pub(crate) fn fenced(&self, now_ms: i64) -> Self {
        let fenced = Self { epoch: self.epoch.saturating_add(1), last_epoch: NONE, ..self.clone() };
        // The bump that the end brings is left out only where there is none left.
        fenced.prepared(false, self.version, now_ms)
    }

    fn prepared(&self, is_commit: bool, version: i16, now_ms: i64) -> Self {
        let state = if is_commit { State::PrepareCommit } else { State::PrepareAbort };
        let mut next = Self { state, version, updated_ms: now_ms, ..self.clone() };
        if version >= EPOCH_BUMP_VERSION && self.epoch < i16::MAX {
            next.last_epoch = self.epoch;
            next.epoch = self.epoch + 1;
        }
        next
    }

    /// The transaction after its end.
    pub(crate) fn completed(&self, now_ms: i64) -> Self {
        let state = match self.state {
            State::PrepareCommit => State::CompleteCommit,
            _ => State::CompleteAbort,
        };
        let mut next = Self {
            state,
            updated_ms: now_ms,
            partitions: BTreeSet::new(),
            groups: BTreeMap::new(),
            next_producer_id: none(),
            ..self.clone()
        };
        if self.next_producer_id != none() {
            next.last_producer_id = self.producer_id;
            next.producer_id = self.next_producer_id;
            next.epoch = 0;
        }
        next
    }

    /// Id and epoch with which the producer goes on.
    pub(crate) fn identity(&self) -> (i64, i16) {
        match self.next_producer_id {
            -1 => (self.producer_id, self.epoch),
            next => (next, 0),
        }
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.state.is_ending()
    }

    /// What is written into each partition at the end.
    pub(crate) fn marker(&self) -> TransactionMarker {
        TransactionMarker {
            producer_id: self.producer_id,
            producer_epoch: self.epoch,
            // There is one coordinator, and it never changes hands.
            coordinator_epoch: 0,
            is_commit: self.state == State::PrepareCommit,
            transaction_version: self.version,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_id() -> Result<i64, ErrorCode> {
        panic!("a new producer id where none is needed")
    }

    fn begun(known: &Transaction, expected: Option<(i64, i16)>, new_id: i64) -> Transaction {
        match known.begin(1000, expected, || Ok(new_id), 0) {
            Ok(Begin::With(next)) => next,
            other => panic!("{other:?}"),
        }
    }

    fn ended(known: &Transaction, version: i16, new_id: i64) -> Transaction {
        let identity = known.identity();
        match known.end(identity, true, version, || Ok(new_id), 0) {
            Ok(End::With(next)) => next,
            other => panic!("{other:?}"),
        }
    }

    fn ongoing(known: &Transaction, version: i16) -> Transaction {
        let (id, epoch) = known.identity();
        known.going_on(id, epoch, version, 0).unwrap()
    }

    #[test]
    fn a_producer_gets_a_new_id_when_its_epochs_are_used_up() {
        let last = Transaction { epoch: LAST_EPOCH, ..Transaction::new(1, 0) };
        let next = begun(&last, None, 2);
        assert_eq!((next.identity(), next.last_producer_id), ((2, 0), 1));
        // It did not hear the answer, and asks again.
        let known = begun(&last, Some((1, LAST_EPOCH)), 2);
        let again = begun(&known, Some((1, LAST_EPOCH)), 3);
        assert_eq!(again.identity(), (2, 0));
    }

    #[test]
    fn the_end_of_the_last_epoch_brings_a_new_id_and_the_marker_fences_the_old_one() {
        let last = Transaction { epoch: LAST_EPOCH, ..Transaction::new(1, 0) };
        let ending = ended(&ongoing(&last, 2), 2, 2);
        assert_eq!(ending.identity(), (2, 0));
        let marker = ending.marker();
        assert_eq!((marker.producer_id, marker.producer_epoch), (1, i16::MAX));
        let busy = ending.going_on(2, 0, 2, 0);
        assert_eq!(busy.err(), Some(ErrorCode::CONCURRENT_TRANSACTIONS));
        let after = ending.completed(0);
        assert_eq!(after.identity(), (2, 0));
        let again = after.end((1, LAST_EPOCH), true, 2, no_id, 0);
        assert!(matches!(again, Ok(End::Again)), "{again:?}");
    }

    #[test]
    fn version_1_keeps_its_epoch_and_version_2_gets_the_next() {
        for (version, expected) in [(0, 4), (2, 5)] {
            let known = Transaction { epoch: 4, ..Transaction::new(1, 0) };
            let ending = ended(&ongoing(&known, version), version, 2);
            assert_eq!(ending.marker().producer_epoch, expected);
            assert_eq!(ending.completed(0).identity(), (1, expected));
        }
    }

    #[test]
    fn a_fenced_producer_never_comes_back_by_asking_again() {
        for version in [0, 2] {
            let known = Transaction { epoch: 4, ..Transaction::new(1, 0) };
            let aborted = ongoing(&known, version).fenced(0).completed(0);
            for is_commit in [true, false] {
                let end = aborted.end((1, 4), is_commit, version, no_id, 0);
                assert_eq!(end.err(), Some(ErrorCode::PRODUCER_FENCED));
            }
            let begin = aborted.begin(1000, Some((1, 4)), no_id, 0);
            assert_eq!(begin.err(), Some(ErrorCode::PRODUCER_FENCED));
        }
    }
}
