//! Moving partitions to other nodes while they are in use (KIP-455).
//!
//! A partition that is on its way has its new replicas and its old ones. Once all that are new are
//! in sync, the old ones go, and the records that were there are nowhere else: until then the move
//! can be taken back.

use ottla_protocol::{ErrorCode, Uuid};

use crate::handler;
use crate::nodes::Nodes;
use crate::placement::Placement;
use crate::time::Now;
use crate::topics::TopicError;

impl Nodes {
    /// Begins to move a partition, to other nodes than before if it is on its way already; or takes
    /// a move back, when there is no target.
    ///
    /// # Errors
    /// What AlterPartitionReassignments says of the partition. Nothing has changed then.
    pub(crate) fn reassign(
        &mut self,
        topic: Uuid,
        partition: i32,
        target: Option<&[i32]>,
        now: Now,
    ) -> Result<(), TopicError> {
        let place = self.place_of(topic, partition).map_err(of_code)?;
        let next = match target {
            None if !place.is_moving() => {
                return Err(of_code(ErrorCode::NO_REASSIGNMENT_IN_PROGRESS));
            }
            None => place.back(),
            Some(target) => {
                self.check_brokers(target)?;
                place.towards(target)
            }
        };
        if next.isr.is_empty() {
            let message = "no replica that would be left is in sync";
            return Err(TopicError::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
        }
        if next == *place {
            return Ok(());
        }
        let next = self.go_on_moving(place, next);
        self.decide_one(topic, partition, next, now).map_err(of_code)
    }

    /// Ends the move of a partition that is about to be changed to `next`, if that makes it
    /// complete; and sees to it that one of those leads that are left. Whoever led or followed with
    /// other replicas hears of that by a new epoch.
    pub(crate) fn go_on_moving(&self, before: &Placement, next: Placement) -> Placement {
        let mut next = next.arrived().unwrap_or(next);
        if before.replicas.iter().all(|id| next.replicas.contains(id)) {
            return next;
        }
        if next.leader != -1 && !next.isr.contains(&next.leader) {
            self.elect(&mut next, Some(false));
        }
        if next.leader_epoch == before.leader_epoch {
            next.leader_epoch = next.leader_epoch.saturating_add(1);
        }
        next
    }

    /// Makes the replica that a node is to have from now on. It has nothing yet.
    pub(crate) fn make_replica(&mut self, id: i32, topic: Uuid, partition: i32, now: Now) {
        let Self { catalog, nodes, settings, .. } = self;
        let node = nodes.iter_mut().find(|node| node.id == id);
        let (Some(topic), Some(node)) = (catalog.by_id(topic), node) else {
            return;
        };
        let config = settings.log_config(id, &topic.overrides);
        if let Err(error) = node.partitions.add(topic, partition, &config, now.unix_ms) {
            tracing::error!(node = id, topic = %topic.name, partition, %error, "no new replica");
            self.look_again_soon(now);
        }
    }

    /// Lets go of a replica that a node is to have no longer, and of its files.
    pub(crate) fn drop_replica(&mut self, id: i32, topic: Uuid, partition: i32, now: Now) {
        let Self { catalog, nodes, .. } = self;
        let name = catalog.by_id(topic).map(|topic| topic.name.clone());
        let node = nodes.iter_mut().find(|node| node.id == id);
        let (Some(name), Some(node)) = (name, node) else {
            return;
        };
        let (waiters, removed) = node.partitions.drop_one(&name, topic, partition);
        if let Err(error) = removed {
            tracing::warn!(node = id, topic = %name, partition, %error, "files of a replica left");
        }
        // They speak of a log that is gone, and another one may come.
        node.write_checkpoints(catalog);
        for connection in waiters {
            self.complete_fetch(connection, now);
            handler::settle_produce(self, connection, now, false);
        }
    }
}

fn of_code(code: ErrorCode) -> TopicError {
    TopicError::new(code, code.message())
}
