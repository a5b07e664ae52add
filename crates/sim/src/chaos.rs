//! What goes wrong, and how it heals.

use std::time::Duration;

use ottla_core::output::ConnectionId;

use crate::cluster::NODES;
use crate::seen::Seen;
use crate::world::{Event, World};

/// A fault.
type Happen = fn(&mut World);

impl World {
    pub(crate) fn schedule_fault(&mut self) {
        let every_ms = self.plan.faults.every_ms;
        if every_ms > 0 && !self.calm {
            let after = self.faults.millis(0, every_ms * 2);
            self.at(after, Event::Fault);
        }
    }

    pub(crate) fn fault(&mut self) {
        if self.calm {
            return;
        }
        let faults = self.plan.faults.clone();
        let kinds: [(u32, Happen); 8] = [
            (faults.cut, Self::cut_one),
            (faults.black_hole, Self::swallow_one),
            (faults.crash, Self::crash_one),
            (faults.pause, Self::pause_one),
            (faults.move_leader, |world| {
                world.cluster.move_leader(&mut world.seen);
                world.spread();
            }),
            (faults.recreate, |world| {
                world.see(Seen::TopicRecreated);
                world.cluster.recreate();
                world.spread();
            }),
            (faults.add_partitions, |world| {
                if world.cluster.truth.partitions.len() < 12 {
                    world.see(Seen::PartitionsAdded);
                    world.cluster.add_partition();
                    world.spread();
                }
            }),
            (faults.forget_producers, Self::forget_producers),
        ];
        let total: u32 = kinds.iter().map(|(weight, _)| weight).sum();
        let mut drawn = self.faults.below(u64::from(total.max(1))) as u32;
        for (weight, happen) in kinds {
            if drawn < weight {
                self.tell(|| format!("fault {drawn} of {total}"));
                return happen(self);
            }
            drawn -= weight;
        }
    }

    fn any_connection(&mut self) -> Option<ConnectionId> {
        let open = self
            .connections
            .iter()
            .filter(|(_, connection)| !connection.is_closed && !connection.is_left);
        let open: Vec<ConnectionId> = open.map(|(id, _)| *id).collect();
        (!open.is_empty()).then(|| self.faults.pick(&open))
    }

    fn cut_one(&mut self) {
        if let Some(id) = self.any_connection() {
            self.see(Seen::ConnectionCut);
            let after = self.faults.millis(0, 5);
            self.close(id, after);
        }
    }

    fn swallow_one(&mut self) {
        if let Some(id) = self.any_connection() {
            self.see(Seen::BlackHole);
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.is_black_hole = true;
            }
        }
    }

    fn crash_one(&mut self) {
        let node = self.faults.below(NODES as u64) as usize;
        if !self.cluster.nodes[node].is_up {
            return;
        }
        self.see(Seen::NodeCrashed);
        self.cluster.nodes[node].is_up = false;
        self.pending[node].clear();
        let of_node = self.connections.iter().filter(|(_, connection)| connection.node == node);
        for id in of_node.map(|(id, _)| *id).collect::<Vec<_>>() {
            let after = self.faults.millis(0, 3);
            self.close(id, after);
        }
        let after = self.faults.millis(100, 6_000);
        self.at(after, Event::Restart(node));
    }

    fn pause_one(&mut self) {
        let node = self.faults.below(NODES as u64) as usize;
        if self.cluster.works(node, self.now) {
            self.see(Seen::NodePaused);
            let pause = self.faults.millis(100, 4_000);
            self.cluster.nodes[node].paused_until = self.now + pause;
            self.at(pause + Duration::from_micros(1), Event::Fetch(node));
        }
    }

    /// Only what has waited long enough is forgotten: nothing may be under way, nor wait at a node
    /// on a connection that the producer has left. Otherwise a copy of what was sent again comes
    /// to a node that has just forgotten it, as in a day it does not.
    fn forget_producers(&mut self) {
        let is_idle = self.history.is_told() && self.producer.requests_in_flight() == 0;
        if !is_idle || self.has_requests_on_their_way() {
            return;
        }
        self.see(Seen::ProducersForgotten);
        for replicas in self.cluster.logs.values_mut() {
            for log in &mut replicas.logs {
                log.forget_producers();
            }
        }
    }

    pub(crate) fn restart(&mut self, node: usize) {
        self.cluster.nodes[node].is_up = true;
        self.cluster.nodes[node].view.partitions.clear();
        self.cluster.nodes[node].view.topic = None;
        let after = self.cluster.hearsay();
        self.at(after, Event::Learn(node));
    }

    /// Tells all nodes, each in its time, what was decided.
    pub(crate) fn spread(&mut self) {
        for node in 0..NODES {
            let after = self.cluster.hearsay();
            self.at(after, Event::Learn(node));
        }
    }

    pub(crate) fn learn(&mut self, node: usize) {
        if !self.cluster.nodes[node].is_up {
            return;
        }
        if !self.cluster.works(node, self.now) {
            let until = self.cluster.nodes[node].paused_until;
            return self.at(until - self.now + Duration::from_micros(2), Event::Learn(node));
        }
        self.cluster.learn(node);
        self.tell(|| format!("node {node} knows {:?}", self.cluster.nodes[node].view));
        self.look_after(node);
        for follower in 0..NODES {
            self.fetch_soon(follower);
        }
    }

    pub(crate) fn fetch_soon(&mut self, node: usize) {
        if !self.fetch_due[node] {
            self.fetch_due[node] = true;
            let after = self.brokers.millis(1, 12);
            self.at(after, Event::Fetch(node));
        }
    }

    pub(crate) fn fetch(&mut self, node: usize) {
        self.fetch_due[node] = false;
        let again = self.cluster.fetch(node, self.now, &mut self.seen);
        for leader in 0..NODES {
            if !self.pending[leader].is_empty() {
                self.look_after(leader);
            }
        }
        if again {
            self.fetch_soon(node);
        }
    }

    /// From now on nothing goes wrong any more, and what is broken is mended.
    pub(crate) fn heal(&mut self) {
        self.calm = true;
        for node in 0..NODES {
            self.cluster.nodes[node].paused_until = self.now;
            if !self.cluster.nodes[node].is_up {
                self.restart(node);
            }
        }
    }
}
