//! Faults by seed, in four lanes that know nothing of each other: nodes, network, topics, leaders.
//! In each, one fault follows the other.
//!
//! None of them makes it right that something acknowledged is lost: a node that is killed keeps
//! what it has written, and no node becomes leader that was not in sync.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ottla_protocol::Uuid;
use ottla_tests::Rng;
use ottla_tests::proxy::{Trouble, Way};

use crate::control::Control;
use crate::ledger::{Fault, Ledger};
use crate::load::{Load, Topic};
use crate::moves;
use crate::nodes::{Node, Nodes};

/// Longer than it takes the cluster to notice that a node is away, and to go on without it.
const LONG_MS: (u64, u64) = (10_000, 16_000);
/// Shorter than that.
const BRIEF_MS: (u64, u64) = (100, 2_500);

/// What a lane needs.
pub(crate) struct Lane {
    pub(crate) control: Control,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) rng: Rng,
    pub(crate) stop: Arc<AtomicBool>,
    /// The topics that stay.
    pub(crate) topics: Vec<Topic>,
}

impl Lane {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn time(&mut self, (from, to): (u64, u64)) -> Duration {
        Duration::from_millis(from + self.rng.next_u64() % (to - from))
    }

    fn rest(&mut self, range: (u64, u64)) -> Result<(), String> {
        let time = self.time(range);
        self.control.rest(time)
    }

    /// Rests for as long as faults are wanted, and not longer.
    fn pause_between(&mut self, range: (u64, u64)) -> Result<(), String> {
        let mut left = self.time(range);
        while self.goes_on() && !left.is_zero() {
            let step = left.min(Duration::from_millis(200));
            self.control.rest(step)?;
            left -= step;
        }
        Ok(())
    }

    fn names(&self) -> Vec<String> {
        self.topics.iter().map(|topic| topic.name.clone()).collect()
    }

    fn any_partition(&mut self) -> (String, usize) {
        let at = self.rng.below(self.topics.len());
        let partition = self.rng.below(self.topics[at].partitions as usize);
        (self.topics[at].name.clone(), partition)
    }

    /// The leader of some partition, or a follower of it, with what it is.
    fn some_node(&mut self, leader: bool) -> Option<(i32, String)> {
        let (topic, partition) = self.any_partition();
        let of = self.control.leader(&topic, partition)?;
        let others: Vec<i32> =
            self.control.nodes().all.iter().map(|node| node.id).filter(|id| *id != of).collect();
        let id = if leader { of } else { others[self.rng.below(others.len())] };
        Some((id, format!("node {id}, of {topic}-{partition}")))
    }

    /// Nodes are killed, stopped and restarted, and all is well before the next.
    pub(crate) fn run_nodes(mut self) -> Result<(), String> {
        self.pause_between((500, 1500))?;
        while self.goes_on() {
            let fault = match self.rng.below(20) {
                0..6 => Fault::LeaderKilled,
                6..9 => Fault::FollowerKilled,
                9..12 => Fault::LeaderPaused,
                12..14 => Fault::FollowerPaused,
                14..16 => Fault::LeaderPausedBriefly,
                16..18 => Fault::NodeRestarted,
                18 => Fault::AllRestartedInTurn,
                _ => Fault::MajorityPaused,
            };
            let follower = matches!(fault, Fault::FollowerKilled | Fault::FollowerPaused);
            let Some((id, detail)) = self.some_node(!follower) else {
                self.rest((200, 400))?;
                continue;
            };
            self.fault_of_node(fault, id, detail)?;
            self.pause_between((1000, 4000))?;
        }
        Ok(())
    }

    fn fault_of_node(&mut self, fault: Fault, id: i32, detail: String) -> Result<(), String> {
        let nodes = self.control.nodes_shared();
        let node = nodes.get(id).ok_or("a leader that is none of ours")?;
        let open = self.ledger.open(fault, detail);
        let done = match fault {
            Fault::LeaderKilled | Fault::FollowerKilled => self.kill(&nodes, node),
            Fault::LeaderPaused | Fault::FollowerPaused => self.pause(&[node], LONG_MS),
            Fault::LeaderPausedBriefly => self.pause(&[node], BRIEF_MS),
            Fault::MajorityPaused => {
                let other = nodes.all.iter().find(|other| other.id != id).unwrap_or(node);
                self.pause(&[node, other], LONG_MS)
            }
            Fault::AllRestartedInTurn => nodes.all.iter().try_for_each(|node| {
                self.restart(&nodes, node)?;
                self.wait_until_well()
            }),
            _ => self.restart(&nodes, node),
        };
        let is_pause = matches!(
            fault,
            Fault::LeaderPaused
                | Fault::FollowerPaused
                | Fault::LeaderPausedBriefly
                | Fault::MajorityPaused
        );
        // A pause is over when it is over; a node that died is back when it has caught up.
        if is_pause {
            self.ledger.close(open);
            done.and_then(|()| self.wait_until_well())
        } else {
            let well = done.and_then(|()| self.wait_until_well());
            self.ledger.close(open);
            well
        }
    }

    fn wait_until_well(&self) -> Result<(), String> {
        let names = self.names();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.control.wait_until_well(&names)
    }

    fn kill(&mut self, nodes: &Nodes, node: &Node) -> Result<(), String> {
        node.kill();
        let away = if self.rng.one_in(2) { (0, 500) } else { LONG_MS };
        self.rest(away)?;
        nodes.start(node)
    }

    fn restart(&mut self, nodes: &Nodes, node: &Node) -> Result<(), String> {
        node.end();
        self.rest((0, 3000))?;
        nodes.start(node)
    }

    fn pause(&mut self, nodes: &[&Node], range: (u64, u64)) -> Result<(), String> {
        nodes.iter().for_each(|node| node.pause());
        let rested = self.rest(range);
        nodes.iter().for_each(|node| node.resume());
        rested
    }

    /// The network between the producers and one node is made worse, and heals.
    pub(crate) fn run_network(mut self) -> Result<(), String> {
        self.pause_between((500, 1500))?;
        while self.goes_on() {
            let fault = match self.rng.below(12) {
                0..2 => Fault::CutInRequests,
                2..4 => Fault::CutInAnswers,
                4 => Fault::StallInRequests,
                5 => Fault::StallInAnswers,
                6 => Fault::BlackHole,
                7..9 => Fault::AnswersSwallowed,
                9 => Fault::HalfClosed,
                10 => Fault::Delayed,
                _ => Fault::Torn,
            };
            let nodes = self.control.nodes_shared();
            let node = &nodes.all[self.rng.below(nodes.all.len())];
            let open = self.ledger.open(fault, format!("node {}", node.id));
            let proxy = &node.proxy;
            for _ in 0..=self.rng.below(4) {
                let bytes = 1 + self.rng.below(40_000);
                let answer_bytes = 1 + self.rng.below(2_000);
                match fault {
                    Fault::CutInRequests => proxy.plan(Way::There, bytes, Trouble::Cut),
                    Fault::CutInAnswers => proxy.plan(Way::Back, answer_bytes, Trouble::Cut),
                    Fault::StallInRequests => proxy.plan(Way::There, bytes, Trouble::Stall),
                    Fault::StallInAnswers => proxy.plan(Way::Back, answer_bytes, Trouble::Stall),
                    Fault::HalfClosed if self.rng.one_in(2) => {
                        proxy.plan(Way::There, bytes, Trouble::HalfClose);
                    }
                    Fault::HalfClosed => {
                        proxy.plan(Way::Back, answer_bytes, Trouble::HalfClose);
                    }
                    Fault::BlackHole => {
                        proxy.swallow(Way::There);
                        proxy.swallow(Way::Back);
                    }
                    Fault::AnswersSwallowed => proxy.swallow(Way::Back),
                    Fault::Delayed => {
                        proxy.delay(Duration::from_millis(5 + self.rng.next_u64() % 100));
                    }
                    _ => proxy.in_pieces(1 + self.rng.below(1024)),
                }
            }
            let rested = self.rest((500, 8000));
            proxy.heal();
            self.ledger.close(open);
            rested?;
            self.pause_between((200, 2500))?;
        }
        Ok(())
    }

    /// A topic of its own is deleted and created anew.
    pub(crate) fn run_topics(
        mut self,
        anew: Topic,
        number: u16,
        load: &Load,
    ) -> Result<(), String> {
        let mut id = self.control.wait_until_anew(&anew.name, Uuid::ZERO)?;
        while self.goes_on() {
            self.pause_between((12_000, 25_000))?;
            if !self.goes_on() {
                break;
            }
            let open = self.ledger.open(Fault::TopicCreatedAnew, anew.name.clone());
            self.control.delete(&anew.name)?;
            if self.rng.one_in(2) {
                self.rest((0, 3000))?;
            }
            self.control.create(&anew.name, anew.partitions)?;
            id = self.control.wait_until_anew(&anew.name, id)?;
            load.topic_is_new(number);
            self.ledger.close(open);
        }
        Ok(())
    }

    /// Leaders move from node to node while all are well.
    pub(crate) fn run_leaders(mut self) -> Result<(), String> {
        while self.goes_on() {
            self.pause_between((2000, 8000))?;
            let nodes = self.control.nodes_shared();
            let mut moved = 0;
            let open = self.ledger.open(Fault::LeadersMoved, "some");
            for _ in 0..=self.rng.below(4) {
                let (topic, partition) = self.any_partition();
                let first = self.rng.below(nodes.all.len());
                let mut replicas: Vec<i32> = nodes.all.iter().map(|node| node.id).collect();
                replicas.rotate_left(first);
                let via = &nodes.all[self.rng.below(nodes.all.len())];
                // A node that is away, or a leader that is the right one already, is no matter.
                let done = moves::lead(via.socket(), &topic, partition as i32, &replicas);
                moved += usize::from(done.is_ok());
            }
            if moved > 0 {
                self.ledger.close(open);
            } else {
                self.ledger.forget(open);
            }
        }
        Ok(())
    }
}
