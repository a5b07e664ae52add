//! The controller: which nodes are counted on, who leads each partition, who is in sync.
//!
//! It writes what it decides into the catalogue first, and then tells the nodes that it can reach.
//! A node that it does not hear from is fenced after the session timeout: others lead in its stead,
//! and it is in sync with nothing, until it is heard from again. The last in-sync replica of a
//! partition stays in the list whatever happens, since only it is sure to have all that was
//! acknowledged; unless the topic allows an unclean election, nobody leads until it is back.

use std::collections::BTreeSet;
use std::time::Duration;

use ottla_protocol::{ErrorCode, Uuid};

use crate::handler;
use crate::mutant::{self, Mutant};
use crate::node::State;
use crate::nodes::Nodes;
use crate::placement::Placement;
use crate::replica::Told;
use crate::time::Now;

/// The controller's place among the nodes that may be cut off from each other.
pub(crate) const CONTROLLER: i32 = 0;

/// After a decision could not be written, it is tried again so much later.
const RETRY: Duration = Duration::from_millis(500);

/// Partitions with their new placements.
type Changes = Vec<(Uuid, i32, Placement)>;

impl Nodes {
    /// Elects leaders where none is, and tells every node what it leads and follows.
    pub(crate) fn begin_control(&mut self, now: Now) {
        for id in self.absent_nodes() {
            let changes = self.without(id);
            self.decide(changes, now);
        }
        self.hold_elections(now);
        for id in self.node_ids() {
            if self.hears(id, CONTROLLER) {
                self.tell_all(id, now);
            }
        }
    }

    /// Nodes that have replicas and are left out of this cluster.
    fn absent_nodes(&self) -> BTreeSet<i32> {
        let topics = self.catalog.sorted().into_iter();
        let replicas = topics.flat_map(|topic| &topic.partitions).flat_map(|p| &p.replicas);
        replicas.copied().filter(|id| self.node(*id).is_none()).collect()
    }

    pub(crate) fn node_ids(&self) -> Vec<i32> {
        self.nodes.iter().map(|node| node.id).collect()
    }

    /// Whether two nodes hear each other; 0 is the controller.
    pub(crate) fn can_reach(&self, one: i32, other: i32) -> bool {
        self.hears(one, other) && self.hears(other, one)
    }

    /// Whether a node hears what another says; 0 is the controller.
    pub(crate) fn hears(&self, one: i32, speaker: i32) -> bool {
        let runs =
            |id| id == CONTROLLER || self.node(id).is_some_and(|node| node.state == State::Running);
        runs(one) && runs(speaker) && !self.cuts.contains(&(speaker, one))
    }

    /// Looks at who is heard from, after something about that has changed.
    pub(crate) fn look_round(&mut self, now: Now) {
        self.transactions.stir();
        for id in self.node_ids() {
            let is_heard = self.hears(CONTROLLER, id);
            let fence_at = now.monotonic + self.config.node_session_timeout;
            let Some(node) = self.node_mut(id) else {
                continue;
            };
            if !is_heard {
                if !node.is_fenced {
                    node.fence_at.get_or_insert(fence_at);
                }
            } else {
                node.fence_at = None;
                // One that is not registered hears of everything, and is not counted on.
                if node.is_registered && std::mem::take(&mut node.is_fenced) {
                    tracing::info!(node = id, "node is back");
                    self.hold_elections(now);
                }
            }
            if self.hears(id, CONTROLLER) {
                self.tell_all(id, now);
            }
        }
    }

    /// When [`Nodes::control`] has something to do, on the monotonic clock.
    pub(crate) fn next_control(&self) -> Option<Duration> {
        let fencing = self.nodes.iter().filter_map(|node| node.fence_at).min();
        let lag = (self.nodes.len() > 1).then_some(self.next_lag_check);
        [fencing, lag, self.look_again_at].into_iter().flatten().min()
    }

    /// Fences nodes that have been silent for too long, and has leaders look at their followers.
    pub(crate) fn control(&mut self, now: Now) {
        for id in self.node_ids() {
            let due = self.node(id).and_then(|node| node.fence_at);
            if due.is_some_and(|due| due <= now.monotonic) {
                self.fence(id, now);
            }
        }
        if self.look_again_at.is_some_and(|due| due <= now.monotonic) {
            self.look_again_at = None;
            self.begin_control(now);
        }
        if now.monotonic >= self.next_lag_check {
            self.next_lag_check = now.monotonic + self.config.replica_lag_time_max / 2;
            self.replace_failed(now);
            self.drop_laggards(now);
            self.look_at_high_watermarks(now);
        }
    }

    /// Stops counting on a node.
    pub(crate) fn fence(&mut self, id: i32, now: Now) {
        let Some(node) = self.node_mut(id) else {
            return;
        };
        node.fence_at = None;
        node.is_fenced = true;
        let changes = self.without(id);
        if self.decide(changes, now) {
            tracing::info!(node = id, "node is fenced");
            self.look_at_high_watermarks(now);
        } else if let Some(node) = self.node_mut(id) {
            node.is_fenced = false;
            node.fence_at = Some(now.monotonic + RETRY);
        }
    }

    /// Where the replicas of a node leave the in-sync lists, and others lead.
    fn without(&self, id: i32) -> Changes {
        let mut changes = Changes::new();
        for topic in self.catalog.sorted() {
            for (index, place) in (0..).zip(&topic.partitions) {
                if !place.isr.contains(&id) && place.leader != id {
                    continue;
                }
                let mut next = place.clone();
                if next.isr.len() > 1 && !mutant::is_on(Mutant::KeepsFencedInSync) {
                    next.isr.retain(|node| *node != id);
                }
                if next.leader == id {
                    self.elect(&mut next, topic.config.unclean_leader_election);
                }
                changes.push((topic.id, index, next));
            }
        }
        changes
    }

    /// Elects leaders where none is. What cannot be written down is tried again.
    fn hold_elections(&mut self, now: Now) {
        let changes = self.elections();
        if !self.decide(changes, now) {
            self.look_again_soon(now);
        }
    }

    /// Has the controller try again soon what could not be done.
    pub(crate) fn look_again_soon(&mut self, now: Now) {
        self.look_again_at = Some(now.monotonic + RETRY);
    }

    /// Leaders for partitions that have none and could have.
    fn elections(&self) -> Changes {
        let mut changes = Changes::new();
        for topic in self.catalog.sorted() {
            for (index, place) in (0..).zip(&topic.partitions) {
                let is_led = place.leader != -1 && self.is_live(place.leader);
                if is_led {
                    continue;
                }
                let mut next = place.clone();
                self.elect(&mut next, topic.config.unclean_leader_election);
                if next.leader != place.leader {
                    changes.push((topic.id, index, next));
                }
            }
        }
        changes
    }

    fn is_live(&self, id: i32) -> bool {
        self.node(id).is_some_and(|node| !node.is_fenced)
    }

    /// Puts the first replica that may lead into the lead: one in sync, or any if that is allowed.
    pub(crate) fn elect(&self, place: &mut Placement, unclean: Option<bool>) {
        let in_sync = |id: &i32| place.isr.contains(id) || mutant::is_on(Mutant::ElectsAnybody);
        let clean = place.replicas.iter().find(|id| in_sync(id) && self.is_live(**id));
        let before = place.leader;
        if let Some(leader) = clean {
            place.leader = *leader;
        } else if unclean.unwrap_or_else(|| self.default_unclean_leader_election())
            && let Some(leader) = place.replicas.iter().find(|id| self.is_live(**id))
        {
            place.leader = *leader;
            place.isr = vec![*leader];
        } else {
            place.leader = -1;
        }
        if mutant::is_on(Mutant::ElectsAnybody) && !place.isr.contains(&place.leader) {
            place.isr.push(place.leader);
            place.isr.retain(|id| *id != -1);
        }
        if place.leader != before && !mutant::is_on(Mutant::EpochStays) {
            place.leader_epoch = place.leader_epoch.saturating_add(1);
        }
    }

    /// Gives a partition back to the replica that is named first.
    ///
    /// # Errors
    /// The code for the partition, as ElectLeaders has it; so with the two that follow.
    pub(crate) fn elect_preferred(
        &mut self,
        topic: Uuid,
        partition: i32,
        now: Now,
    ) -> Result<(), ErrorCode> {
        let place = self.place_of(topic, partition)?;
        let preferred = place.replicas.first().copied().unwrap_or(-1);
        if place.leader == preferred {
            return Err(ErrorCode::ELECTION_NOT_NEEDED);
        }
        if !place.isr.contains(&preferred) || !self.is_live(preferred) {
            return Err(ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE);
        }
        self.move_leader(topic, partition, preferred, now)
    }

    /// Lets the best replica that is left lead, in sync or not, where nobody leads.
    pub(crate) fn elect_unclean(
        &mut self,
        topic: Uuid,
        partition: i32,
        now: Now,
    ) -> Result<(), ErrorCode> {
        let mut next = self.place_of(topic, partition)?.clone();
        if next.leader != -1 {
            return Err(ErrorCode::ELECTION_NOT_NEEDED);
        }
        self.elect(&mut next, Some(true));
        if next.leader == -1 {
            return Err(ErrorCode::ELIGIBLE_LEADERS_NOT_AVAILABLE);
        }
        self.decide_one(topic, partition, next, now)
    }

    /// Makes an in-sync replica the leader.
    pub(crate) fn move_leader(
        &mut self,
        topic: Uuid,
        partition: i32,
        leader: i32,
        now: Now,
    ) -> Result<(), ErrorCode> {
        let mut next = self.place_of(topic, partition)?.clone();
        if !next.isr.contains(&leader) || !self.is_live(leader) {
            return Err(ErrorCode::ELIGIBLE_LEADERS_NOT_AVAILABLE);
        }
        if next.leader == leader {
            return Ok(());
        }
        next.leader = leader;
        next.leader_epoch = next.leader_epoch.saturating_add(1);
        self.decide_one(topic, partition, next, now)
    }

    pub(crate) fn place_of(&self, topic: Uuid, partition: i32) -> Result<&Placement, ErrorCode> {
        let place = self.catalog.placement(topic, partition);
        place.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
    }

    /// A leader wants another list of in-sync replicas (KIP-497). It may be refused: when the
    /// controller does not hear it, or no longer takes it for the leader.
    pub(crate) fn alter_isr(
        &mut self,
        leader: i32,
        leader_epoch: i32,
        topic: Uuid,
        partition: i32,
        isr: Vec<i32>,
        now: Now,
    ) -> bool {
        let is_heard = self.can_reach(CONTROLLER, leader);
        let Some(place) = self.catalog.placement(topic, partition).filter(|_| is_heard) else {
            return false;
        };
        let may = place.leader == leader
            && place.leader_epoch == leader_epoch
            && isr.contains(&leader)
            && isr.iter().all(|id| place.replicas.contains(id) && self.is_live(*id));
        if !may {
            return false;
        }
        let in_order = place.replicas.iter().copied().filter(|id| isr.contains(id)).collect();
        let next = Placement { isr: in_order, ..place.clone() };
        let next = self.go_on_moving(place, next);
        tracing::debug!(%topic, partition, isr = ?next.isr, "in-sync replicas changed");
        self.decide_one(topic, partition, next, now).is_ok()
    }

    pub(crate) fn decide_one(
        &mut self,
        topic: Uuid,
        partition: i32,
        next: Placement,
        now: Now,
    ) -> Result<(), ErrorCode> {
        match self.decide(vec![(topic, partition, next)], now) {
            true => Ok(()),
            false => Err(ErrorCode::KAFKA_STORAGE_ERROR),
        }
    }

    /// Writes placements down and tells the nodes of them. Nothing has changed when that fails.
    fn decide(&mut self, changes: Changes, now: Now) -> bool {
        if changes.is_empty() {
            return true;
        }
        if let Err(error) = self.catalog.place(&changes) {
            tracing::error!(%error, "placements not changed");
            return false;
        }
        let ids = self.node_ids();
        for (topic, partition, place) in &changes {
            for &id in &ids {
                let is_concerned =
                    place.replicas.contains(&id) || self.replica(id, *topic, *partition).is_some();
                if is_concerned && self.hears(id, CONTROLLER) {
                    self.tell(id, *topic, *partition, now);
                }
            }
        }
        true
    }

    /// Tells a node about all replicas that it has, and those that it is to have.
    fn tell_all(&mut self, id: i32, now: Now) {
        let own = self.node(id).map(|node| node.partitions.keys()).unwrap_or_default();
        let mut keys: BTreeSet<(Uuid, i32)> = own.into_iter().collect();
        for topic in self.catalog.sorted() {
            let moving = (0..).zip(&topic.partitions).filter(|(_, place)| place.is_moving());
            keys.extend(moving.map(|(index, _)| (topic.id, index)));
        }
        for (topic, partition) in keys {
            self.tell(id, topic, partition, now);
        }
    }

    /// Tells a node what it has to know of one partition.
    pub(crate) fn tell(&mut self, id: i32, topic: Uuid, partition: i32, now: Now) {
        let Some(place) = self.catalog.placement(topic, partition).cloned() else {
            return;
        };
        match (place.replicas.contains(&id), self.replica(id, topic, partition)) {
            (false, None) => return,
            (false, Some(_)) => return self.drop_replica(id, topic, partition, now),
            // One that is in sync and not there is no new one: it has lost what it had.
            (true, None) if place.isr.contains(&id) => return,
            (true, None) => self.make_replica(id, topic, partition, now),
            (true, Some(_)) => {}
        }
        let Some(replica) = self.replica_mut(id, topic, partition) else {
            return;
        };
        let told = replica.obey(id, &place, now.monotonic);
        let (leads, follows) = (replica.leading.is_some(), place.leader != -1);
        if told == Told::NewLeader {
            self.transactions.stir();
            handler::answer_all_waiters(self, id, topic, partition, now);
        }
        if leads {
            self.raise_high_watermark(id, topic, partition, now);
        } else if follows && let Some(node) = self.node_mut(id) {
            node.fall_behind(topic, partition, now.monotonic);
        }
    }

    /// Has every leader look whether it still waits for somebody.
    fn look_at_high_watermarks(&mut self, now: Now) {
        for id in self.node_ids() {
            let keys = self.node(id).map(|node| node.partitions.keys()).unwrap_or_default();
            for (topic, partition) in keys {
                self.raise_high_watermark(id, topic, partition, now);
            }
        }
    }

    /// Lets others lead where a leader's disk has failed so that it can take nothing more.
    fn replace_failed(&mut self, now: Now) {
        let mut changes = Changes::new();
        for topic in self.catalog.sorted() {
            for (index, place) in (0..).zip(&topic.partitions) {
                let leader = self.replica(place.leader, topic.id, index);
                if leader.is_none_or(|leader| leader.log.failure().is_none()) {
                    continue;
                }
                let mut next = place.clone();
                next.isr.retain(|id| *id != place.leader);
                self.elect(&mut next, Some(false));
                if next.leader != -1 {
                    changes.push((topic.id, index, next));
                }
            }
        }
        self.decide(changes, now);
    }

    /// Has every leader that is heard take those out of the list that have not caught up for long.
    fn drop_laggards(&mut self, now: Now) {
        for id in self.node_ids() {
            if !self.can_reach(CONTROLLER, id) {
                continue;
            }
            let keys = self.node(id).map(|node| node.partitions.keys()).unwrap_or_default();
            for (topic, partition) in keys {
                let max_lag = self.config.replica_lag_time_max;
                let Some(replica) = self.replica(id, topic, partition) else {
                    continue;
                };
                let Some(leading) = &replica.leading else {
                    continue;
                };
                let end = replica.log.log_end_offset();
                let isr = leading.without_laggards(end, now.monotonic, max_lag);
                if isr.len() < leading.isr.len() {
                    tracing::info!(%topic, partition, ?isr, "followers lag behind");
                    self.alter_isr(id, replica.leader_epoch, topic, partition, isr, now);
                }
            }
        }
    }
}
