//! The nodes of a running cluster: what they are doing, and what is done to them.

use std::time::Duration;

use ottla_protocol::{ErrorCode, Uuid};

use crate::cluster::Cluster;
use crate::error::{NodeError, StartError};
use crate::node::State;
use crate::node_act::NodeAct;
use crate::nodes::{FIRST_NODE_ID, Nodes};
use crate::server::Entrance;
use crate::time::Now;
use crate::transactions::LAST_EPOCH;

/// A partition as the controller sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionState {
    /// The node that leads, `None` while nobody may.
    pub leader: Option<i32>,
    /// Rises with each new leader.
    pub leader_epoch: i32,
    /// The nodes with a replica, the preferred leader first.
    pub replicas: Vec<i32>,
    /// Those of them that have all that was acknowledged to acks=all.
    pub in_sync: Vec<i32>,
    /// Before this offset the leader knows every in-sync replica to have the log; 0 without leader.
    pub high_watermark: i64,
    /// The offset that the next record will get; 0 without leader.
    pub log_end: i64,
}

/// Nodes, how they fail and come back.
///
/// # Examples
/// A record that only the leader had is lost with it:
/// ```
/// use ottla_broker::Cluster;
///
/// let cluster = Cluster::builder().nodes(3).topic_replicated("events", 1, 3).start()?;
/// let leader = cluster.partition("events", 0).and_then(|state| state.leader).expect("a leader");
/// cluster.kill_node(leader)?;
/// # let wait = std::time::Duration::from_secs(10);
/// let has_moved = cluster.wait_for_partition("events", 0, wait, |state| {
///     state.leader.is_some_and(|now| now != leader)
/// });
/// assert!(has_moved);
/// cluster.start_node(leader)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Cluster {
    /// The ids of all nodes, 1 and up.
    pub fn node_ids(&self) -> Vec<i32> {
        self.running.door.with_nodes(|nodes, _| nodes.node_ids())
    }

    /// What the controller knows of a partition, `None` when there is no such partition.
    pub fn partition(&self, topic: &str, partition: i32) -> Option<PartitionState> {
        self.running.door.with_nodes(|nodes, _| state_of(nodes, topic, partition))
    }

    /// Waits until a partition is as `is_so` says, at most so long. Says whether it came to be.
    pub fn wait_for_partition(
        &self,
        topic: &str,
        partition: i32,
        timeout: Duration,
        is_so: impl Fn(&PartitionState) -> bool,
    ) -> bool {
        self.running.door.wait_until(timeout, |nodes| {
            state_of(nodes, topic, partition).is_some_and(|state| is_so(&state))
        })
    }

    /// Waits until every partition has a leader and all its replicas are in sync and have all
    /// there is, at most so long. Says whether it came to be.
    pub fn wait_until_in_sync(&self, timeout: Duration) -> bool {
        self.running.door.wait_until(timeout, is_in_sync)
    }

    /// Where a node's own replica of a partition ends, `None` when it has none or is down.
    pub fn log_end_offset_on(&self, node: i32, topic: &str, partition: i32) -> Option<i64> {
        self.running.door.with_nodes(|nodes, _| {
            let id = nodes.catalog.by_name(topic)?.id;
            Some(nodes.replica(node, id, partition)?.log.log_end_offset())
        })
    }

    /// Ends a node as the kill of its process would: connections break, nothing is flushed. Its
    /// folder stays. Others lead once the controller has missed it for the session timeout.
    ///
    /// # Errors
    /// When there is no such node, or it is down.
    pub fn kill_node(&self, node: i32) -> Result<(), NodeError> {
        self.end_node(node, Nodes::kill)
    }

    /// Ends a node as a power cut ends its machine: like [`Cluster::kill_node`], and of what its
    /// logs had not flushed some is lost, from some place on. A log is flushed when a segment is
    /// closed, and when a node ends in order, as with Kafka's defaults. How much is lost is a
    /// matter of [`ClusterBuilder::seed`](crate::ClusterBuilder::seed). What the controller and the
    /// coordinators have written down is not lost.
    ///
    /// # Errors
    /// When there is no such node, or it is down.
    pub fn cut_power(&self, node: i32) -> Result<(), NodeError> {
        self.end_node(node, Nodes::cut_power)
    }

    /// Ends a node in order: others lead before it goes.
    ///
    /// # Errors
    /// When there is no such node, or it is down.
    pub fn stop_node(&self, node: i32) -> Result<(), NodeError> {
        self.end_node(node, Nodes::shut_down)
    }

    fn end_node(&self, node: i32, end: fn(&mut Nodes, i32, Now)) -> Result<(), NodeError> {
        let door = &self.running.door;
        self.check(node, |state| state != State::Down, NodeError::IsDown)?;
        door.with_nodes(|nodes, now| end(nodes, node, now));
        if let Some(life) = door.life(node) {
            life.end();
        }
        Ok(())
    }

    /// Starts a node that is down, on the folder and the ports that it had.
    ///
    /// # Errors
    /// When there is no such node, it runs, or its folder cannot be opened.
    pub fn start_node(&self, node: i32) -> Result<(), NodeError> {
        let door = &self.running.door;
        self.check(node, |state| state == State::Down, NodeError::Runs)?;
        let mut entrances = Vec::new();
        for (place, listener) in self.listeners.iter().enumerate() {
            let nth = usize::try_from(node - FIRST_NODE_ID).unwrap_or_default();
            let Some(port) = listener.reserved.get(nth) else {
                continue;
            };
            let bound = port.listen().map_err(NodeError::Start)?;
            entrances.push(Entrance { node, listener: place, bound, tls: listener.tls.clone() });
        }
        door.with_nodes(|nodes, now| nodes.revive(node, now)).map_err(NodeError::Start)?;
        if let Some(life) = door.life(node) {
            life.begin();
        }
        let opened = door.open(entrances);
        opened.map_err(|error| NodeError::Start(StartError::Thread(error)))
    }

    /// Lets a node stand still like a process that was stopped (SIGSTOP): it answers nothing and
    /// takes no part, while its connections stay open. [`Cluster::resume_node`] takes that back.
    ///
    /// # Errors
    /// When there is no such node, or it is down.
    pub fn pause_node(&self, node: i32) -> Result<(), NodeError> {
        self.set_paused(node, true)
    }

    /// Lets a paused node go on.
    ///
    /// # Errors
    /// When there is no such node, or it is down.
    pub fn resume_node(&self, node: i32) -> Result<(), NodeError> {
        self.set_paused(node, false)
    }

    fn set_paused(&self, node: i32, is_paused: bool) -> Result<(), NodeError> {
        let door = &self.running.door;
        self.check(node, |state| state != State::Down, NodeError::IsDown)?;
        let life = door.life(node);
        if let Some(life) = life.filter(|_| is_paused) {
            life.pause(true);
        }
        door.with_nodes(|nodes, now| nodes.set_paused(node, is_paused, now));
        if let Some(life) = life.filter(|_| !is_paused) {
            life.pause(false);
        }
        Ok(())
    }

    /// Stops a node from copying what others lead, or lets it go on. Nobody notices until it has
    /// lagged for `replica.lag.time.max.ms`.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn hold_replication(&self, node: i32, holds: bool) -> Result<(), NodeError> {
        self.check(node, |_| true, NodeError::IsDown)?;
        self.running.door.with_nodes(|nodes, now| nodes.hold_replication(node, holds, now));
        Ok(())
    }

    /// Lets nothing more fit on a node's disk, or takes that back. What the node leads is refused
    /// with KAFKA_STORAGE_ERROR, and it cannot follow.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn fill_disk(&self, node: i32, is_full: bool) -> Result<(), NodeError> {
        self.running.door.with_nodes(|nodes, _| {
            let found = nodes.node(node).ok_or(NodeError::Unknown(node))?;
            found.disk.set_full(is_full);
            Ok(())
        })
    }

    /// Forgets all idempotent producers without an open transaction, as
    /// `producer.id.expiration.ms` does with those that were idle for so long: what they send next
    /// is taken whatever its sequence number.
    pub fn forget_producers(&self) {
        self.running.door.with_nodes(|nodes, _| {
            for replica in nodes.nodes.iter_mut().flat_map(|node| node.partitions.iter_mut()) {
                replica.log.expire_producers(i64::MAX);
            }
        });
    }

    /// Lets new producer ids begin with this epoch from now on. One close to the last, 32,766, has
    /// producers run out of epochs, and ask for another id. Default 0.
    pub fn set_first_producer_epoch(&self, epoch: i16) {
        self.running.door.with_nodes(|nodes, _| {
            nodes.transactions.first_epoch = epoch.clamp(0, LAST_EPOCH);
        });
    }

    /// Makes an in-sync replica the leader of a partition.
    ///
    /// # Errors
    /// The code that Kafka has for the reason.
    pub fn move_leader(&self, topic: &str, partition: i32, node: i32) -> Result<(), ErrorCode> {
        self.on_partition(topic, |nodes, id, now| nodes.move_leader(id, partition, node, now))
    }

    /// Gives a partition back to its preferred leader, the first of its replicas.
    ///
    /// # Errors
    /// The code that Kafka has for the reason, such as `ELECTION_NOT_NEEDED`.
    pub fn elect_preferred(&self, topic: &str, partition: i32) -> Result<(), ErrorCode> {
        self.on_partition(topic, |nodes, id, now| nodes.elect_preferred(id, partition, now))
    }

    /// Lets a replica lead a partition that nobody leads, in sync or not. What it lacks is lost.
    ///
    /// # Errors
    /// The code that Kafka has for the reason, such as `ELECTION_NOT_NEEDED`.
    pub fn elect_unclean(&self, topic: &str, partition: i32) -> Result<(), ErrorCode> {
        self.on_partition(topic, |nodes, id, now| nodes.elect_unclean(id, partition, now))
    }

    fn on_partition(
        &self,
        topic: &str,
        work: impl FnOnce(&mut Nodes, Uuid, Now) -> Result<(), ErrorCode>,
    ) -> Result<(), ErrorCode> {
        self.running.door.with_nodes(|nodes, now| {
            let found = nodes.catalog.by_name(topic).map(|topic| topic.id);
            work(nodes, found.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?, now)
        })
    }

    /// Does one of these things to a node.
    ///
    /// # Errors
    /// As the method has it that does this.
    pub fn act(&self, node: i32, act: NodeAct) -> Result<(), NodeError> {
        match act {
            NodeAct::Kill => self.kill_node(node),
            NodeAct::CutPower => self.cut_power(node),
            NodeAct::Stop => self.stop_node(node),
            NodeAct::Start => self.start_node(node),
            NodeAct::Pause => self.pause_node(node),
            NodeAct::Resume => self.resume_node(node),
            NodeAct::Isolate => self.isolate_node(node),
            NodeAct::Hold => self.hold_replication(node, true),
            NodeAct::Release => self.hold_replication(node, false),
            NodeAct::FillDisk => self.fill_disk(node, true),
            NodeAct::FreeDisk => self.fill_disk(node, false),
        }
    }

    fn check(
        &self,
        node: i32,
        may: impl FnOnce(State) -> bool,
        otherwise: fn(i32) -> NodeError,
    ) -> Result<(), NodeError> {
        let state = self.running.door.with_nodes(|nodes, _| nodes.node(node).map(|n| n.state));
        match state {
            None => Err(NodeError::Unknown(node)),
            Some(state) if may(state) => Ok(()),
            Some(_) => Err(otherwise(node)),
        }
    }
}

fn state_of(nodes: &Nodes, topic: &str, partition: i32) -> Option<PartitionState> {
    let id = nodes.catalog.by_name(topic)?.id;
    let place = nodes.catalog.placement(id, partition)?;
    let replica = nodes.replica(place.leader, id, partition);
    Some(PartitionState {
        leader: (place.leader != -1).then_some(place.leader),
        leader_epoch: place.leader_epoch,
        replicas: place.replicas.clone(),
        in_sync: place.isr.clone(),
        high_watermark: replica.map_or(0, |replica| replica.high_watermark()),
        log_end: replica.map_or(0, |replica| replica.log.log_end_offset()),
    })
}

fn is_in_sync(nodes: &Nodes) -> bool {
    nodes.catalog.sorted().into_iter().all(|topic| {
        (0..).zip(&topic.partitions).all(|(index, place)| {
            let Some(leader) = nodes.replica(place.leader, topic.id, index) else {
                return false;
            };
            let end = leader.log.log_end_offset();
            let has_all = |id: &i32| {
                let replica = nodes.replica(*id, topic.id, index);
                replica.is_some_and(|replica| replica.log.log_end_offset() == end)
            };
            place.isr.len() == place.replicas.len()
                && leader.high_watermark() == end
                && place.replicas.iter().all(has_all)
        })
    })
}
