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

/// The leader epoch of a log's last batch, and where the log ends: of two logs of a partition the
/// greater has all that the other has and was ever acknowledged to `acks=all`.
type End = (Option<i32>, i64);

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
            self.replica(id, topic, index)
                .map(|it| -> End { (it.log.latest_epoch(), it.log.log_end_offset()) })
        };
        let longest = place.isr.iter().filter_map(|id| end(*id)).max()?;
        // Nothing is known of one whose node is left out of the cluster.
        let is_shorter = |id: i32| end(id).is_some_and(|end| end < longest);
        if !place.isr.iter().any(|id| is_shorter(*id)) || mutant::is_on(Mutant::LeadsWithLostEnd) {
            return None;
        }
        let mut next = place.clone();
        next.isr.retain(|id| !is_shorter(*id));
        if is_shorter(place.leader) {
            let has_longest = |id: &&i32| place.isr.contains(*id) && end(**id) == Some(longest);
            next.leader = *place.replicas.iter().find(has_longest)?;
        }
        Some(next)
    }
}
