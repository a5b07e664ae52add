//! Nodes that fail in every way while records come, by seed: what was acknowledged to acks=all is
//! there at the end, once and in order, and all replicas are equal.

use std::collections::HashMap;
use std::time::Duration;

use ottla_protocol::record::validate_batch;

use super::careful::Careful;
use super::world::{PARTITIONS, World, batch};
use crate::config::BrokerConfig;
use crate::controller::CONTROLLER;
use crate::node::State;
use crate::rng::Rng;

const STEPS: u64 = 250;

struct Turmoil {
    seed: u64,
    rng: Rng,
    world: World,
    careful: Vec<Careful>,
    careless: u64,
    /// Leader epoch and high watermark that were seen last, by partition.
    seen: HashMap<i32, (i32, i64)>,
    /// What was read of each partition so far.
    read: HashMap<i32, Vec<u8>>,
    failed: [u32; 7],
    /// Whether partitions move between the nodes as well, and how many moves began.
    moves: Option<u32>,
    /// Whether the power goes as well, and how often it went alone, and along with the program.
    power_cuts: Option<[u32; 2]>,
}

impl Turmoil {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let config = BrokerConfig {
            min_insync_replicas: 1 + (rng.next_u64() % 2) as i32,
            replica_lag_time_max: Duration::from_millis(200),
            replication_delay: Duration::from_millis([0, 1, 5, 40][(rng.next_u64() % 4) as usize]),
            // A follower that was away needs several answers.
            replica_fetch_bytes: 200,
            is_durable: false,
            request_log_capacity: 0,
            ..BrokerConfig::default()
        };
        Self {
            seed,
            world: World::new(seed, config),
            rng,
            careful: (0..PARTITIONS).map(Careful::new).collect(),
            careless: 1 << 40,
            seen: HashMap::new(),
            read: HashMap::new(),
            failed: [0; 7],
            moves: None,
            power_cuts: None,
        }
    }

    /// Partitions move between the nodes as well.
    fn with_moves(seed: u64) -> Self {
        Self { moves: Some(0), ..Self::new(seed) }
    }

    /// Nodes lose what they have not flushed as well.
    fn with_power_cuts(seed: u64) -> Self {
        Self { power_cuts: Some([0; 2]), ..Self::new(seed) }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.rng.next_u64() % bound
    }

    fn run(&mut self) {
        for _ in 0..STEPS {
            match self.below(20) {
                0..6 => {
                    let passed = Duration::from_millis(self.below(120));
                    self.world.pass(passed);
                }
                6..12 => self.write_carefully(),
                12..14 => self.write_carelessly(),
                14 => self.read(),
                15 if self.moves.is_some() => self.reassign(),
                15 if self.power_cuts.is_some() => self.cut_power(),
                _ => self.fail(),
            }
            self.check();
        }
        self.recover();
    }

    fn target(&mut self, partition: i32) -> i32 {
        match self.below(10) {
            0 => 1 + self.below(3) as i32,
            _ => self.world.leader(partition),
        }
    }

    fn write_carefully(&mut self) {
        let partition = self.below(PARTITIONS as u64) as i32;
        let target = self.target(partition);
        let Self { careful, world, rng, .. } = self;
        careful[partition as usize].step(world, target, rng, true);
    }

    fn write_carelessly(&mut self) {
        let partition = self.below(PARTITIONS as u64) as i32;
        let target = self.target(partition);
        self.careless += 1;
        let bytes = batch(None, &[self.careless]);
        self.world.produce(target, 1, partition, &bytes);
    }

    /// What was read once is read again, whoever leads.
    fn read(&mut self) {
        let partition = self.below(PARTITIONS as u64) as i32;
        let target = self.target(partition);
        let Some(now) = self.world.read(target, partition) else {
            return;
        };
        let before = self.read.entry(partition).or_default();
        let seed = self.seed;
        assert!(
            now.starts_with(before) || before.starts_with(&now),
            "seed {seed}: partition {partition} reads differently"
        );
        if now.len() > before.len() {
            *before = now;
        }
    }

    fn fail(&mut self) {
        let node = 1 + self.below(3) as i32;
        let other = 1 + self.below(3) as i32;
        let now = self.world.now();
        let topic = self.world.topic;
        let nodes = &mut self.world.nodes;
        let state = nodes.node(node).unwrap().state;
        let kind = self.rng.next_u64() % 45 / 4;
        if kind == 10 {
            self.world.restart();
            self.failed[5] += 1;
            return;
        }
        let mut count = |index: usize| self.failed[index] += 1;
        match (kind, state) {
            (0, State::Down) | (1, State::Down) | (2, State::Down) => {
                nodes.revive(node, now).unwrap();
                count(0);
            }
            (0, _) => nodes.kill(node, now),
            (1, _) => nodes.shut_down(node, now),
            (2, State::Running) => {
                nodes.set_paused(node, true, now);
                count(1);
            }
            (3, _) => nodes.set_paused(node, false, now),
            (4, _) => {
                nodes.cut(node, 0, now);
                nodes.cut(node, 1 + node % 3, now);
                nodes.cut(node, 1 + (node + 1) % 3, now);
                count(2);
            }
            (5, _) if node != other => nodes.cut(node, other, now),
            (11, _) => {
                // The controller stands for a third of the others.
                let speaker = if self.rng.next_u64().is_multiple_of(3) { 0 } else { other };
                match self.rng.next_u64().is_multiple_of(2) {
                    true => nodes.cut_one_way(speaker, node, now),
                    false => nodes.cut_one_way(node, speaker, now),
                }
                count(6);
            }
            (6, _) => nodes.heal(now),
            (7, _) => {
                nodes.hold_replication(node, true, now);
                count(3);
            }
            (8, _) => nodes.hold_replication(node, false, now),
            _ => {
                let partition = (self.rng.next_u64() % PARTITIONS as u64) as i32;
                if nodes.move_leader(topic, partition, node, now).is_ok() {
                    self.failed[4] += 1;
                }
            }
        }
    }

    /// Takes the power of a node, if for each partition another one is in sync and heard of. It is
    /// missed before anything else happens, or the whole program ends before that.
    fn cut_power(&mut self) {
        let (node, now, topic) = (1 + self.below(3) as i32, self.world.now(), self.world.topic);
        let ends = self.below(2) == 0;
        let nodes = &mut self.world.nodes;
        let is_spare = |partition| {
            let place = nodes.catalog.placement(topic, partition).unwrap();
            place.isr.iter().any(|id| *id != node && nodes.can_reach(CONTROLLER, *id))
        };
        if nodes.node(node).unwrap().state == State::Down || !(0..PARTITIONS).all(is_spare) {
            return;
        }
        nodes.cut_power(node, now);
        if ends {
            self.world.restart();
        } else {
            let missed_after = self.world.nodes.config.node_session_timeout;
            self.world.pass(missed_after);
        }
        if let Some(counts) = &mut self.power_cuts {
            counts[usize::from(ends)] += 1;
        }
    }

    /// Moves a partition to some of the nodes, in some order, or takes a move back.
    fn reassign(&mut self) {
        let partition = self.below(PARTITIONS as u64) as i32;
        let mut target = vec![1, 2, 3];
        target.rotate_left(self.below(3) as usize);
        if self.below(2) == 0 {
            target.swap(0, 1);
        }
        target.truncate(1 + self.below(3) as usize);
        let target = (self.below(6) > 0).then_some(target);
        let (now, topic) = (self.world.now(), self.world.topic);
        let moved = self.world.nodes.reassign(topic, partition, target.as_deref(), now);
        if moved.is_ok()
            && let Some(moves) = &mut self.moves
        {
            *moves += 1;
        }
    }

    /// What must hold at every moment.
    fn check(&mut self) {
        let seed = self.seed;
        for partition in 0..PARTITIONS {
            let topic = self.world.topic;
            for node in 1..=3 {
                if let Some(replica) = self.world.nodes.replica(node, topic, partition) {
                    let end = replica.log.log_end_offset();
                    assert!(replica.high_watermark() <= end, "seed {seed}");
                }
            }
            let place = self.world.nodes.catalog.placement(topic, partition).unwrap().clone();
            assert!(!place.isr.is_empty(), "seed {seed}");
            let counts = |id: &i32| !self.world.nodes.node(*id).unwrap().is_fenced;
            assert!(place.isr.len() == 1 || place.isr.iter().all(counts), "seed {seed}: {place:?}");
            assert!(place.leader == -1 || place.isr.contains(&place.leader), "seed {seed}");
            let Some(leader) = self.world.nodes.replica(place.leader, topic, partition) else {
                continue;
            };
            if leader.leading.is_none() || leader.leader_epoch != place.leader_epoch {
                continue;
            }
            let now = (place.leader_epoch, leader.high_watermark());
            let before = self.seen.insert(partition, now).unwrap_or_default();
            assert!(now.0 >= before.0, "seed {seed}: epoch {before:?} then {now:?}");
            assert!(
                now.0 > before.0 || now.1 >= before.1,
                "seed {seed}: high watermark {before:?} then {now:?}"
            );
            // What counts as replicated is with everybody who counts.
            for id in &place.isr {
                let has = self.world.nodes.replica(*id, topic, partition);
                let has_all = has.is_none_or(|replica| replica.log.log_end_offset() >= now.1);
                assert!(has_all, "seed {seed}: node {id} is short of {now:?}");
            }
        }
    }

    /// Everything is mended, and after a while all is well.
    fn recover(&mut self) {
        let seed = self.seed;
        let now = self.world.now();
        self.world.nodes.heal(now);
        for node in 1..=3 {
            if self.world.nodes.node(node).unwrap().state == State::Down {
                self.world.nodes.revive(node, now).unwrap();
            }
            self.world.nodes.set_paused(node, false, now);
            self.world.nodes.hold_replication(node, false, now);
        }
        for _ in 0..200 {
            self.world.pass(Duration::from_millis(20));
            for partition in 0..PARTITIONS {
                let target = self.world.leader(partition);
                let Self { careful, world, rng, .. } = self;
                careful[partition as usize].step(world, target, rng, false);
            }
            self.check();
        }
        for partition in 0..PARTITIONS {
            let place = self.world.nodes.catalog.placement(self.world.topic, partition);
            let place = place.unwrap().clone();
            assert_eq!(place.isr.len(), place.replicas.len(), "seed {seed}: {place:?}");
            assert!(self.moves.is_some() || place.replicas.len() == 3);
            assert!(!place.is_moving(), "seed {seed}: {place:?}");
            for node in 1..=3 {
                let is_there =
                    self.world.nodes.replica(node, self.world.topic, partition).is_some();
                assert_eq!(is_there, place.replicas.contains(&node), "seed {seed}: node {node}");
            }
            let logs: Vec<Vec<u8>> =
                place.replicas.iter().map(|node| self.world.log_of(*node, partition)).collect();
            assert!(logs.iter().all(|log| *log == logs[0]), "seed {seed}: the logs differ");
            self.check_written(partition, &logs[0]);
            let read = self.read.get(&partition).map(Vec::as_slice).unwrap_or_default();
            assert!(logs[0].starts_with(read), "seed {seed}: what was read is gone");
        }
    }

    /// Everything that was acknowledged is in the log, once, in order and where it was told to be.
    fn check_written(&self, partition: i32, log: &[u8]) {
        let seed = self.seed;
        let writer = &self.careful[partition as usize];
        let mut found: Vec<(u64, i64)> = Vec::new();
        let mut rest = log;
        while !rest.is_empty() {
            let header = validate_batch(rest).unwrap();
            if header.producer_id == writer.producer_id {
                let first = header.base_sequence as u64;
                let count = header.record_count as u64;
                found.extend((first..first + count).zip(header.base_offset..));
            }
            rest = &rest[header.size_bytes().unwrap()..];
        }
        assert!(found.starts_with(&writer.acknowledged), "seed {seed}, partition {partition}");
        // One batch at most is there of which nothing was heard.
        assert!(found.len() - writer.acknowledged.len() <= 3, "seed {seed}");
        assert!(!writer.acknowledged.is_empty(), "seed {seed}: nothing was acknowledged at all");
    }
}

/// The seeds that are tried: `OTTLA_SEEDS` of them from `OTTLA_SEED` on.
fn seeds() -> std::ops::Range<u64> {
    let given = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let first = given("OTTLA_SEED").unwrap_or(0);
    first..first + given("OTTLA_SEEDS").unwrap_or(60)
}

#[test]
fn whatever_befalls_the_nodes_acknowledged_records_are_kept_once_and_in_order() {
    let mut failed = [0; 7];
    for seed in seeds() {
        let mut turmoil = Turmoil::new(seed);
        turmoil.run();
        for (sum, count) in failed.iter_mut().zip(turmoil.failed) {
            *sum += count;
        }
    }
    assert!(failed.iter().all(|count| *count > 0), "not everything happened: {failed:?}");
}

#[test]
fn records_are_kept_while_partitions_move_between_nodes_that_fail() {
    let mut moves = 0;
    for seed in seeds() {
        let mut turmoil = Turmoil::with_moves(seed);
        turmoil.run();
        moves += turmoil.moves.unwrap_or_default();
    }
    assert!(u64::from(moves) > seeds().count() as u64, "{moves} moves");
}

#[test]
fn records_are_kept_while_nodes_lose_the_ends_of_their_logs() {
    let mut power_cuts = [0; 2];
    for seed in seeds() {
        let mut turmoil = Turmoil::with_power_cuts(seed);
        turmoil.run();
        for (sum, count) in power_cuts.iter_mut().zip(turmoil.power_cuts.unwrap_or_default()) {
            *sum += count;
        }
    }
    let least = seeds().count() as u32 / 4;
    assert!(power_cuts.iter().all(|count| *count > least), "{power_cuts:?}");
}

/// The seeds within which each bug is found.
const MUTANT_SEEDS: u64 = 100;

#[test]
fn every_known_bug_of_a_cluster_is_found() {
    use crate::mutant::{Mutant as M, switch};
    let all = [
        M::AcknowledgesAlone,
        M::HighWatermarkAlone,
        M::HighWatermarkOfForemost,
        M::CountsTheSilent,
        M::NeverTruncates,
        M::TruncatesToHighWatermark,
        M::ElectsAnybody,
        M::KeepsFencedInSync,
        M::EpochStays,
        M::BelievesItsLeader,
        M::InSyncTooSoon,
        M::IgnoresMinInsync,
        M::AnswersForOthers,
        M::ReadsAhead,
        M::LeadsOnAfterRestart,
        M::ForgetsPlacements,
        M::FollowersForgetProducers,
        M::DuplicateAtEnd,
        M::AppendsDuplicates,
        M::AcceptsGaps,
        M::FollowersForgetEpochs,
        M::FollowersRestamp,
        M::ArrivesTooSoon,
        M::LeadsWithLostEnd,
    ];
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut missed = Vec::new();
    for mutant in all {
        switch(Some(mutant));
        let begin = match mutant {
            M::ArrivesTooSoon => Turmoil::with_moves,
            M::LeadsWithLostEnd => Turmoil::with_power_cuts,
            _ => Turmoil::new,
        };
        let found =
            (0..MUTANT_SEEDS).find(|seed| std::panic::catch_unwind(|| begin(*seed).run()).is_err());
        switch(None);
        match found {
            Some(seed) => println!("{mutant:?}: seed {seed}"),
            None => missed.push(mutant),
        }
    }
    std::panic::set_hook(hook);
    assert!(missed.is_empty(), "not found: {missed:?}");
}
