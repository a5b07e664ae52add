//! The start of a cluster that did not end in order.
//!
//! Replicas that were in sync may have lost the ends of their logs with the power, or to damage.
//! One that has would lead with what is left, and the others would cut their logs to that. So the
//! longest log leads, and what is shorter is not in sync until it has caught up. Kafka does not
//! count on such brokers for the same reason (KIP-966).

use std::io;

use ottla_protocol::Uuid;

use crate::mutant::{self, Mutant};
use crate::nodes::Nodes;
use crate::placement::Placement;

/// Where a log ends.
#[derive(Clone, Copy)]
struct End {
    /// The leader epoch of the last batch; `None` when all batches were deleted, or none ever came.
    epoch: Option<i32>,
    offset: i64,
}

impl End {
    /// Whether the other log has what this one has not. A log that has all that the other has was
    /// never acknowledged less.
    fn is_before(self, other: Self) -> bool {
        match (self.epoch, other.epoch) {
            (Some(own), Some(others)) => (own, self.offset) < (others, other.offset),
            _ => self.offset < other.offset,
        }
    }
}

impl Nodes {
    /// Begins a leader epoch in every partition, as what followers knew of the one before may be
    /// lost, and has one of the in-sync replicas with the longest logs lead.
    ///
    /// # Errors
    /// When that could not be written down.
    pub(crate) fn begin_new_epochs(&mut self) -> io::Result<()> {
        self.catalog.bump_leader_epochs()?;
        let mut changes = Vec::new();
        for topic in self.catalog.sorted() {
            for (index, place) in (0..).zip(&topic.partitions) {
                let Some(next) = self.led_by_longest_log(topic.id, index, place) else {
                    continue;
                };
                tracing::info!(
                    topic = %topic.name, partition = index, leader = next.leader,
                    in_sync = ?next.isr, "replicas with shorter logs are left out of the in-sync ones"
                );
                changes.push((topic.id, index, next));
            }
        }
        self.catalog.place(&changes)
    }

    /// `None`: all in-sync replicas end alike.
    fn led_by_longest_log(&self, topic: Uuid, index: i32, place: &Placement) -> Option<Placement> {
        let end = |id: i32| {
            let log = &self.replica(id, topic, index)?.log;
            Some(End { epoch: log.latest_epoch(), offset: log.log_end_offset() })
        };
        let (known, emptied): (Vec<End>, Vec<End>) =
            place.isr.iter().filter_map(|id| end(*id)).partition(|end| end.epoch.is_some());
        let longer = |one: End, other: End| if one.is_before(other) { other } else { one };
        let longest = known.into_iter().chain(emptied).reduce(longer)?;
        // Nothing is known of one whose node is left out of the cluster.
        let is_shorter = |id: i32| end(id).is_some_and(|end| end.is_before(longest));
        if !place.isr.iter().any(|id| is_shorter(*id)) || mutant::is_on(Mutant::LeadsWithLostEnd) {
            return None;
        }
        let mut next = place.clone();
        next.isr.retain(|id| !is_shorter(*id));
        if is_shorter(place.leader) {
            let has_longest = |id: &&i32| next.isr.contains(*id) && end(**id).is_some();
            next.leader = *place.replicas.iter().find(has_longest)?;
        }
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_without_batches_is_before_those_that_end_later_and_no_others() {
        let end = |epoch, offset| End { epoch, offset };
        assert!(end(Some(3), 100).is_before(end(Some(3), 101)));
        assert!(end(Some(3), 101).is_before(end(Some(4), 90)));
        // All of it was deleted, and the other has not heard of that.
        assert!(!end(None, 50).is_before(end(Some(0), 50)));
        assert!(!end(None, 100).is_before(end(Some(3), 90)));
        assert!(end(Some(3), 90).is_before(end(None, 100)));
        // It has lost everything.
        assert!(end(None, 0).is_before(end(Some(0), 1)));
    }
}
