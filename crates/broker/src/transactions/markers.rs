//! How transactions are ended: markers to the leaders of their partitions, offsets to their groups.
//!
//! A marker counts once it is replicated. When the leader changes before, the next one gets it as
//! well; one too many changes nothing.

use std::time::Duration;

use ottla_protocol::ErrorCode;
use ottla_protocol::record::BatchHeader;

use super::Partition;
use crate::log::{Rejection, TransactionMarker};
use crate::nodes::Nodes;
use crate::time::Now;

/// What waits is looked at again after so long, whether or not something has changed.
pub(super) const RETRY: Duration = Duration::from_millis(200);

/// A marker in a leader's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    leader: i32,
    leader_epoch: i32,
    /// The high watermark that says that it is replicated.
    until_offset: i64,
}

/// How far a partition is.
enum Step {
    Done,
    Waits(Option<Written>),
}

impl Nodes {
    /// Ends the transactions that are to be ended, as far as that can be done now.
    pub(crate) fn finish_transactions(&mut self, now: Now) {
        let transactions = &mut self.transactions;
        let is_due = transactions.retry_at.is_some_and(|due| due <= now.monotonic);
        if transactions.ending.is_empty() || !(transactions.is_stirred || is_due) {
            return;
        }
        transactions.retry_at = None;
        let ids: Vec<String> = transactions.ending.keys().cloned().collect();
        let mut are_all_done = true;
        for id in ids {
            are_all_done &= self.finish_transaction(&id, now);
        }
        // What stirred them was done here, and is seen already.
        self.transactions.is_stirred = false;
        if !are_all_done {
            self.transactions.retry_at = Some(now.monotonic + RETRY);
        }
    }

    fn finish_transaction(&mut self, id: &str, now: Now) -> bool {
        let Some(coordinator) = self.coordinator_of(id) else {
            return false;
        };
        let is_committed = self.finish_offsets(id, now);
        let Some(marker) = self.transactions.get(id).map(|known| known.marker()) else {
            return false;
        };
        let waiting = self.transactions.ending.get(id).cloned().unwrap_or_default();
        for (partition, written) in waiting {
            let step = self.mark(coordinator, partition, written, &marker, now);
            let Some(markers) = self.transactions.ending.get_mut(id) else {
                return false;
            };
            match step {
                Step::Done => markers.remove(&partition),
                Step::Waits(written) => markers.insert(partition, written),
            };
        }
        let is_marked = self.transactions.ending.get(id).is_some_and(|markers| markers.is_empty());
        let next = self.transactions.get(id).map(|known| known.completed(now.unix_ms));
        match next.filter(|_| is_committed && is_marked) {
            Some(next) => self.transactions.put(id, next, now).is_ok(),
            None => false,
        }
    }

    /// Hands offsets over to their groups, or drops them. Says whether it is done.
    fn finish_offsets(&mut self, id: &str, now: Now) -> bool {
        let Some(known) = self.transactions.get(id).filter(|known| !known.groups.is_empty()) else {
            return true;
        };
        let mut next = known.clone();
        let is_commit = next.marker().is_commit;
        for (group, mut offsets) in std::mem::take(&mut next.groups) {
            offsets.retain(|(topic, _, _)| self.catalog.by_name(topic).is_some());
            if is_commit
                && !offsets.is_empty()
                && let Err(error) = self.groups.offsets.commit(&group, offsets)
            {
                tracing::error!(%group, %error, "offsets of a transaction not committed");
                return false;
            }
        }
        // So that they do not come again, over later ones, after a kill.
        self.transactions.put(id, next, now).is_ok()
    }

    /// Brings a partition one step on.
    fn mark(
        &mut self,
        coordinator: i32,
        (topic, index): Partition,
        written: Option<Written>,
        marker: &TransactionMarker,
        now: Now,
    ) -> Step {
        let Some(place) = self.catalog.placement(topic, index) else {
            // The topic was deleted.
            return Step::Done;
        };
        let (leader, leader_epoch) = (place.leader, place.leader_epoch);
        if leader == -1 || !self.can_reach(coordinator, leader) {
            return Step::Waits(written);
        }
        let min_insync_replicas = self.min_insync_replicas(topic);
        let replica = self.replica_mut(leader, topic, index);
        let leads = |replica: &&mut crate::replica::Replica| {
            replica.leading.is_some() && replica.leader_epoch == leader_epoch
        };
        let Some(replica) = replica.filter(leads) else {
            return Step::Waits(written);
        };
        let is_there = |it: &Written| (it.leader, it.leader_epoch) == (leader, leader_epoch);
        if let Some(written) = written.filter(is_there) {
            return match replica.high_watermark() >= written.until_offset {
                true => Step::Done,
                false => Step::Waits(Some(written)),
            };
        }
        if !replica.has_enough(min_insync_replicas) {
            return Step::Waits(None);
        }
        let until_offset = match self.append_marker(leader, (topic, index), marker, now) {
            Ok(until_offset) => until_offset,
            Err(rejection) if rejection.code == ErrorCode::KAFKA_STORAGE_ERROR => {
                let reason = rejection.message;
                tracing::error!(%topic, partition = index, reason, "no marker");
                return Step::Waits(None);
            }
            Err(rejection) => {
                // A later end has been there.
                let reason = rejection.message;
                tracing::warn!(%topic, partition = index, reason, "no marker");
                return Step::Done;
            }
        };
        let replica = self.replica(leader, topic, index);
        match replica.is_some_and(|replica| replica.high_watermark() >= until_offset) {
            true => Step::Done,
            false => Step::Waits(Some(Written { leader, leader_epoch, until_offset })),
        }
    }

    /// Writes a marker into a leader's log. Gives the high watermark that says that it is
    /// replicated.
    ///
    /// # Errors
    /// The refusal, of the log or since the node does not lead.
    pub(crate) fn append_marker(
        &mut self,
        leader: i32,
        (topic, index): Partition,
        marker: &TransactionMarker,
        now: Now,
    ) -> Result<i64, Rejection> {
        let replica = self.leader_mut(leader, topic, index);
        let replica = replica.map_err(|code| Rejection::new(code, code.message()))?;
        let leader_epoch = replica.leader_epoch;
        let appended = replica.log.append_marker(marker, leader_epoch, now.unix_ms)?;
        replica.note_appended(BatchHeader::SIZE);
        self.queue_syncs(leader, topic, index);
        self.raise_high_watermark(leader, topic, index, now);
        self.stir_followers(leader, topic, index, now);
        Ok(appended.last_offset + 1)
    }
}
