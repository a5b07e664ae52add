//! What can become of a node: killed, stopped, started again, paused, cut off from others.

use ottla_protocol::ErrorCode;

use crate::controller::CONTROLLER;
use crate::data_dir::DataDir;
use crate::error::StartError;
use crate::mutant::{self, Mutant};
use crate::node::{Node, State};
use crate::nodes::{FIRST_NODE_ID, Nodes};
use crate::peers::ConnectionId;
use crate::time::Now;

impl Nodes {
    /// Ends a node as the kill of its process would. Its connections are forgotten; whoever holds
    /// their sockets must close them.
    pub(crate) fn kill(&mut self, id: i32, now: Now) {
        let gone: Vec<ConnectionId> =
            self.peers.iter().filter(|(_, peer)| peer.node == id).map(|(id, _)| *id).collect();
        gone.into_iter().for_each(|connection| self.handle_disconnected(connection));
        self.fetch_sessions.forget_node(id);
        self.quotas.forget_node(id);
        let storage = self.storage.clone();
        if let Some(node) = self.node_mut(id) {
            node.kill(&storage);
            tracing::info!(node = id, "node killed");
        }
        self.look_round(now);
    }

    /// Ends a node in order (KIP-631): others lead before it goes, and its folder is closed.
    pub(crate) fn shut_down(&mut self, id: i32, now: Now) {
        if self.can_reach(CONTROLLER, id) {
            self.fence(id, now);
        }
        let is_durable = self.config.is_durable;
        let Self { nodes, catalog, .. } = self;
        if let Some(node) = nodes.iter_mut().find(|node| node.id == id) {
            node.close(catalog, is_durable);
        }
        self.kill(id, now);
    }

    /// Starts a node that is down, on the folder that it left.
    pub(crate) fn revive(&mut self, id: i32, now: Now) -> Result<(), StartError> {
        // The first one's folder is the cluster's.
        let Some(disk) = self.node(id).map(|node| node.disk.clone()) else {
            return Err(StartError::Config(format!("there is no node {id}")));
        };
        let data = match id {
            FIRST_NODE_ID => {
                let cluster_id = ottla_protocol::Uuid::parse(&self.cluster_id).unwrap_or_default();
                DataDir::open_first(&self.dir, id, cluster_id, disk.storage())?
            }
            _ => DataDir::open_other(&self.dir, id, &self.cluster_id, disk.storage())?,
        };
        let opened =
            Node::open(id, data, disk, (&self.catalog, &self.settings), self.config.discards, now)?;
        let leads_on = mutant::is_on(Mutant::LeadsOnAfterRestart);
        if !leads_on && !self.node(id).is_some_and(|node| node.is_fenced) {
            // What it led before it went down, it leads no more: it is another process now, that
            // does not know how far its followers were.
            self.fence(id, now);
            if !self.node(id).is_some_and(|node| node.is_fenced) {
                let source = std::io::Error::other("the cluster's own file cannot be written");
                return Err(StartError::DataDir { path: self.dir.clone(), source });
            }
        }
        opened.mark_in_use(&self.catalog)?;
        if let Some(node) = self.node_mut(id) {
            node.data = opened.data;
            node.partitions = opened.partitions;
            node.state = State::Running;
            node.is_registered = true;
        }
        tracing::info!(node = id, "node started");
        self.forget_deleted();
        self.look_round(now);
        Ok(())
    }

    /// Takes a node out of those that are known, until it is started again.
    ///
    /// # Errors
    /// The code, as UnregisterBroker has it.
    pub(crate) fn unregister(&mut self, id: i32, now: Now) -> Result<(), ErrorCode> {
        if !self.node(id).is_some_and(|node| node.is_registered) {
            return Err(ErrorCode::BROKER_ID_NOT_REGISTERED);
        }
        if !self.node(id).is_some_and(|node| node.is_fenced) {
            self.fence(id, now);
        }
        let Some(node) = self.node_mut(id).filter(|node| node.is_fenced) else {
            return Err(ErrorCode::KAFKA_STORAGE_ERROR);
        };
        node.is_registered = false;
        tracing::info!(node = id, "node unregistered");
        Ok(())
    }

    /// Lets a node stand still, or go on.
    pub(crate) fn set_paused(&mut self, id: i32, is_paused: bool, now: Now) {
        let next_fetch = now.monotonic;
        if let Some(node) = self.node_mut(id).filter(|node| node.state != State::Down) {
            node.state = if is_paused { State::Paused } else { State::Running };
            if !is_paused && !node.behind.is_empty() {
                node.next_fetch = Some(next_fetch);
            }
        }
        self.look_round(now);
    }

    /// Cuts two nodes off from each other, or a node from the controller, which is 0.
    pub(crate) fn cut(&mut self, one: i32, other: i32, now: Now) {
        self.cuts.extend([(one, other), (other, one)]);
        self.look_round(now);
    }

    /// Lets a node not hear what another says, which hears it all the same. One of them may be the
    /// controller, which is 0.
    pub(crate) fn cut_one_way(&mut self, speaker: i32, deaf: i32, now: Now) {
        self.cuts.insert((speaker, deaf));
        self.look_round(now);
    }

    /// Takes back all cuts.
    pub(crate) fn heal(&mut self, now: Now) {
        self.cuts.clear();
        self.look_round(now);
    }

    /// Lets a node ask no leader for a while, or ask again.
    pub(crate) fn hold_replication(&mut self, id: i32, holds: bool, now: Now) {
        if let Some(node) = self.node_mut(id) {
            node.holds_replication = holds;
            if !holds && !node.behind.is_empty() {
                node.next_fetch = Some(now.monotonic);
            }
        }
    }
}
