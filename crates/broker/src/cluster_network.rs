//! What lies between nodes, and between them and their clients.

use crate::cluster::Cluster;
use crate::error::NodeError;
use crate::link::Link;
use crate::nodes::Nodes;
use crate::peers::Advertised;
use crate::time::Now;

/// The longest name of a host that there is in the DNS.
const MAX_HOST_BYTES: usize = 255;

/// Networks, and how they fail.
impl Cluster {
    /// Cuts a node off from all others and from the controller, but not from its clients. It goes
    /// on leading what it led, without knowing that others lead now: acks=1 is answered, and lost.
    /// [`Cluster::heal`] takes that back.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn isolate_node(&self, node: i32) -> Result<(), NodeError> {
        self.on_node(node, |nodes, now| {
            let others = nodes.node_ids().into_iter().filter(|other| *other != node);
            for other in others.chain([Self::CONTROLLER]).collect::<Vec<_>>() {
                nodes.cut(node, other, now);
            }
        })
    }

    /// Cuts two nodes off from each other; both still hear [`Cluster::CONTROLLER`], unless it is
    /// one of the two.
    ///
    /// # Errors
    /// When there is no such node, or the two are one.
    pub fn cut_nodes(&self, one: i32, other: i32) -> Result<(), NodeError> {
        self.on_both(one, other, |nodes, now| nodes.cut(one, other, now))
    }

    /// Cuts one direction between two nodes: `deaf` does not hear what `speaker` says, and is heard
    /// all the same. A follower that does not hear its leader goes on asking, and copies nothing. A
    /// node that does not hear [`Cluster::CONTROLLER`] is counted on and does not learn who leads;
    /// one that the controller does not hear is given up, and learns that. [`Cluster::heal`] takes
    /// it back.
    ///
    /// # Errors
    /// When there is no such node, or the two are one.
    pub fn cut_one_way(&self, speaker: i32, deaf: i32) -> Result<(), NodeError> {
        self.on_both(speaker, deaf, |nodes, now| nodes.cut_one_way(speaker, deaf, now))
    }

    /// Stands for the controller among the nodes that are cut off.
    pub const CONTROLLER: i32 = crate::controller::CONTROLLER;

    /// Lets all nodes hear each other again.
    pub fn heal(&self) {
        self.running.door.with_nodes(|nodes, now| nodes.heal(now));
    }

    /// Puts something between a node and the clients that connect from now on, or takes it away.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn set_link(&self, node: i32, link: Option<Link>) -> Result<(), NodeError> {
        self.on_node(node, |nodes, _| {
            if let Some(node) = nodes.node_mut(node) {
                node.link = link;
            }
        })
    }

    /// Tells clients from now on that they find a node there, whatever listener they ask.
    ///
    /// # Errors
    /// When there is no such node, the host does not have 1 to 255 characters without blanks and
    /// control characters, or the port is 0.
    pub fn advertise_node(
        &self,
        node: i32,
        host: impl Into<String>,
        port: u16,
    ) -> Result<(), NodeError> {
        let host = host.into();
        let is_odd = |it: char| it.is_whitespace() || it.is_control();
        let is_host = (1..=MAX_HOST_BYTES).contains(&host.len()) && !host.contains(is_odd);
        if !is_host || port == 0 {
            return Err(NodeError::NoAddress);
        }
        let advertised = Advertised { host, port };
        self.on_node(node, |nodes, _| {
            let listeners = nodes.node_mut(node).map(|node| &mut node.listeners);
            for listener in listeners.into_iter().flatten() {
                listener.advertised = Some(advertised.clone());
            }
        })
    }

    /// Works on a pair, one of whom may be the controller.
    fn on_both(
        &self,
        one: i32,
        other: i32,
        work: impl FnOnce(&mut Nodes, Now),
    ) -> Result<(), NodeError> {
        self.running.door.with_nodes(|nodes, now| {
            let is_unknown = |id: &i32| *id != Self::CONTROLLER && nodes.node(*id).is_none();
            match [one, other].into_iter().find(is_unknown) {
                Some(unknown) => Err(NodeError::Unknown(unknown)),
                None if one == other => Err(NodeError::Alone(one)),
                None => {
                    work(nodes, now);
                    Ok(())
                }
            }
        })
    }

    fn on_node(&self, id: i32, work: impl FnOnce(&mut Nodes, Now)) -> Result<(), NodeError> {
        self.running.door.with_nodes(|nodes, now| match nodes.node(id) {
            None => Err(NodeError::Unknown(id)),
            Some(_) => {
                work(nodes, now);
                Ok(())
            }
        })
    }
}
