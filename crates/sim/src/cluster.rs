//! The cluster: a controller that decides, nodes that hear of it later, and replicas that copy.
//!
//! Elections are clean, and a node keeps its log through a crash: what every in-sync replica has is
//! never lost. A node that was not told yet goes on as before, leader or not.

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_core::time::Instant;
use ottla_protocol::Uuid;

use crate::log::Log;
use crate::plan::Plan;
use crate::rng::Chance;
use crate::seen::{Counts, Seen};

pub(crate) const NODES: usize = 3;
/// A leader takes a follower out of the in-sync replicas when it lags for so long.
const LAG_MAX: Duration = Duration::from_millis(700);

/// What is known of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartitionView {
    pub(crate) leader: Option<usize>,
    pub(crate) epoch: i32,
    pub(crate) in_sync: [bool; NODES],
}

/// What a node, or the controller, knows of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct View {
    /// Which incarnation of the topic there is.
    pub(crate) topic: Option<u32>,
    pub(crate) partitions: Vec<PartitionView>,
    pub(crate) alive: [bool; NODES],
}

/// One partition's replicas.
#[derive(Default)]
pub(crate) struct Replicas {
    pub(crate) logs: [Log; NODES],
    /// What each node holds to be replicated everywhere.
    pub(crate) high_watermark: [u64; NODES],
    /// By leader: how far it knows its followers to be, in its present epoch.
    progress: [[u64; NODES]; NODES],
    /// By leader: since when each follower lags.
    lags_since: [[Option<Instant>; NODES]; NODES],
    /// By follower: leader and epoch that its log was brought in line with.
    in_line: [Option<(usize, i32)>; NODES],
}

pub(crate) struct Node {
    pub(crate) is_up: bool,
    pub(crate) paused_until: Instant,
    pub(crate) view: View,
}

pub(crate) struct Cluster {
    pub(crate) nodes: [Node; NODES],
    pub(crate) truth: View,
    /// By incarnation and partition; those of deleted topics stay for the checker.
    pub(crate) logs: BTreeMap<(u32, usize), Replicas>,
    chance: Chance,
    view_ms: u64,
}

/// The id of an incarnation.
pub(crate) fn topic_id(incarnation: u32) -> Uuid {
    let mut id = [7; 16];
    id[..4].copy_from_slice(&incarnation.to_be_bytes());
    Uuid(id)
}

impl Cluster {
    pub(crate) fn new(plan: &Plan) -> Self {
        let mut chance = Chance::stream(plan.seed, "cluster");
        let mut truth = View { topic: Some(1), partitions: Vec::new(), alive: [true; NODES] };
        let mut logs = BTreeMap::new();
        for number in 0..plan.partitions {
            let leader = Some(chance.below(NODES as u64) as usize);
            truth.partitions.push(PartitionView { leader, epoch: 0, in_sync: [true; NODES] });
            logs.insert((1, number), Replicas::default());
        }
        let node = || Node { is_up: true, paused_until: Instant::ZERO, view: truth.clone() };
        let nodes = [node(), node(), node()];
        Self { nodes, truth, logs, chance, view_ms: plan.faults.view_ms }
    }

    /// Whether the node does anything now.
    pub(crate) fn works(&self, node: usize, now: Instant) -> bool {
        self.nodes[node].is_up && self.nodes[node].paused_until <= now
    }

    /// How long until a node hears of a decision.
    pub(crate) fn hearsay(&mut self) -> Duration {
        self.chance.millis(1, self.view_ms.max(2))
    }

    // ---- controller ------------------------------------------------------------------------

    /// Takes note of which nodes are alive, and moves leadership away from those that are not.
    /// True when something changed.
    pub(crate) fn elect(&mut self, now: Instant, seen: &mut Counts) -> bool {
        let before = self.truth.clone();
        for node in 0..NODES {
            self.truth.alive[node] = self.works(node, now);
        }
        for number in 0..self.truth.partitions.len() {
            let partition = &self.truth.partitions[number];
            if partition.leader.is_some_and(|leader| self.truth.alive[leader]) {
                continue;
            }
            let able =
                (0..NODES).filter(|node| partition.in_sync[*node] && self.truth.alive[*node]);
            let able: Vec<usize> = able.collect();
            if able.is_empty() {
                if partition.leader.is_some() {
                    seen.see(Seen::NoLeader);
                    self.lead(number, None);
                }
                continue;
            }
            let next = self.chance.pick(&able);
            seen.see(Seen::LeaderMoved);
            self.lead(number, Some(next));
        }
        self.truth != before
    }

    /// Moves a partition to another in-sync replica that is alive.
    pub(crate) fn move_leader(&mut self, seen: &mut Counts) {
        let number = self.chance.below(self.truth.partitions.len() as u64) as usize;
        let partition = &self.truth.partitions[number];
        let able = (0..NODES).filter(|node| {
            partition.in_sync[*node] && self.truth.alive[*node] && Some(*node) != partition.leader
        });
        let able: Vec<usize> = able.collect();
        if !able.is_empty() {
            let next = self.chance.pick(&able);
            seen.see(Seen::LeaderMoved);
            self.lead(number, Some(next));
        }
    }

    fn lead(&mut self, number: usize, leader: Option<usize>) {
        let alive = self.truth.alive;
        let partition = &mut self.truth.partitions[number];
        partition.leader = leader;
        partition.epoch += 1;
        if let Some(leader) = leader {
            for (node, in_sync) in partition.in_sync.iter_mut().enumerate() {
                *in_sync &= alive[node] || node == leader;
            }
        }
    }

    pub(crate) fn recreate(&mut self) {
        let incarnation = self.truth.topic.unwrap_or(0) + 1;
        self.truth.topic = Some(incarnation);
        let count = self.truth.partitions.len();
        for number in 0..count {
            let alive: Vec<usize> = (0..NODES).filter(|node| self.truth.alive[*node]).collect();
            let leader = (!alive.is_empty()).then(|| self.chance.pick(&alive));
            let in_sync = if leader.is_some() { self.truth.alive } else { [true; NODES] };
            self.truth.partitions[number] = PartitionView { leader, epoch: 0, in_sync };
            self.logs.insert((incarnation, number), Replicas::default());
        }
    }

    pub(crate) fn add_partition(&mut self) {
        let Some(incarnation) = self.truth.topic else { return };
        let alive: Vec<usize> = (0..NODES).filter(|node| self.truth.alive[*node]).collect();
        if alive.is_empty() {
            return;
        }
        let leader = Some(self.chance.pick(&alive));
        let number = self.truth.partitions.len();
        self.truth.partitions.push(PartitionView { leader, epoch: 0, in_sync: self.truth.alive });
        self.logs.insert((incarnation, number), Replicas::default());
    }

    // ---- replication -----------------------------------------------------------------------

    /// A node hears what the controller decided.
    pub(crate) fn learn(&mut self, node: usize) {
        let truth = self.truth.clone();
        let Some(incarnation) = truth.topic else { return };
        for (number, new) in truth.partitions.iter().enumerate() {
            let old = self.nodes[node].view.partitions.get(number);
            let same_topic = self.nodes[node].view.topic == truth.topic;
            let takes_over = new.leader == Some(node)
                && !(same_topic && old.is_some_and(|old| old.epoch == new.epoch));
            if takes_over && let Some(replicas) = self.logs.get_mut(&(incarnation, number)) {
                replicas.progress[node] = [0; NODES];
                replicas.lags_since[node] = [None; NODES];
                replicas.in_line[node] = None;
            }
        }
        self.nodes[node].view = truth;
    }

    /// The follower asks its leaders for what it lacks. True when it is to ask again soon.
    pub(crate) fn fetch(&mut self, node: usize, now: Instant, seen: &mut Counts) -> bool {
        if !self.works(node, now) {
            return false;
        }
        let view = self.nodes[node].view.clone();
        let Some(incarnation) = view.topic else { return false };
        let mut again = false;
        for (number, partition) in view.partitions.iter().enumerate() {
            let Some(leader) = partition.leader.filter(|leader| *leader != node) else { continue };
            let its = &self.nodes[leader].view;
            let agrees = its.topic == view.topic
                && its
                    .partitions
                    .get(number)
                    .is_some_and(|its| its.epoch == partition.epoch && its.leader == Some(leader));
            if !agrees || !self.works(leader, now) {
                // It will be heard of, or come back.
                again = true;
                continue;
            }
            let Some(replicas) = self.logs.get_mut(&(incarnation, number)) else { continue };
            let Ok([leaders, own]) = replicas.logs.get_disjoint_mut([leader, node]) else {
                continue;
            };
            if replicas.in_line[node] == Some((leader, partition.epoch)) {
                // Kafka's leader knows of a follower what it asks for, not what it is given.
                replicas.progress[leader][node] = own.end();
                own.extend(leaders);
            } else {
                let before = own.end();
                own.follow(leaders);
                if own.end() < before {
                    seen.see(Seen::FollowerTruncated);
                }
                replicas.in_line[node] = Some((leader, partition.epoch));
            }
            self.advance(leader, number, now);
            let replicas = &mut self.logs.get_mut(&(incarnation, number)).expect("it is there");
            replicas.high_watermark[node] = replicas.high_watermark[leader];
            again |= replicas.progress[leader][node] < replicas.logs[leader].end()
                || replicas.high_watermark[leader] < replicas.logs[leader].end();
            if !self.truth.partitions[number].in_sync[node] {
                again = true;
            }
        }
        again
    }

    /// The leader looks who has what, and who is in sync.
    pub(crate) fn advance(&mut self, leader: usize, number: usize, now: Instant) {
        let Some(incarnation) = self.nodes[leader].view.topic else { return };
        let is_current = self.truth.topic == Some(incarnation)
            && self
                .truth
                .partitions
                .get(number)
                .zip(self.nodes[leader].view.partitions.get(number))
                .is_some_and(|(truth, own)| truth.epoch == own.epoch);
        let Some(replicas) = self.logs.get_mut(&(incarnation, number)) else { return };
        let Some(view) = self.nodes[leader].view.partitions.get_mut(number) else { return };
        let end = replicas.logs[leader].end();
        replicas.progress[leader][leader] = end;
        for follower in (0..NODES).filter(|follower| *follower != leader) {
            let caught_up = replicas.progress[leader][follower] >= end;
            let lag = &mut replicas.lags_since[leader][follower];
            *lag = if caught_up { None } else { Some(lag.unwrap_or(now)) };
            let too_long = lag.is_some_and(|since| now - since > LAG_MAX);
            // Changes are the controller's to make: one with an old epoch is refused.
            if is_current {
                let in_sync = &mut self.truth.partitions[number].in_sync[follower];
                if *in_sync && too_long {
                    *in_sync = false;
                    view.in_sync[follower] = false;
                } else if !*in_sync
                    && replicas.progress[leader][follower] >= replicas.high_watermark[leader]
                    && caught_up
                    && replicas.in_line[follower].is_some_and(|line| line.0 == leader)
                {
                    *in_sync = true;
                    view.in_sync[follower] = true;
                }
            }
        }
        let least = (0..NODES).filter(|node| view.in_sync[*node]);
        let least = least.map(|node| replicas.progress[leader][node]).min().unwrap_or(end);
        let mark = &mut replicas.high_watermark[leader];
        *mark = (*mark).max(least.min(end));
    }
}
