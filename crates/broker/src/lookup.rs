//! Who is who: nodes and replicas by their ids, where clients find them, who coordinates what, and
//! who is behind a request.

use std::sync::Arc;

use ottla_protocol::{ErrorCode, Uuid};

use crate::node::{Node, State};
use crate::nodes::{FIRST_NODE_ID, Nodes};
use crate::peers::{Advertised, Call, ConnectionId};
use crate::replica::Replica;
use crate::security::Operation;
use crate::security::acl::On;
use crate::security::bindings::Who;

impl Nodes {
    /// A node by its id.
    pub(crate) fn node(&self, id: i32) -> Option<&Node> {
        self.nodes.get(usize::try_from(id.checked_sub(FIRST_NODE_ID)?).ok()?)
    }

    pub(crate) fn node_mut(&mut self, id: i32) -> Option<&mut Node> {
        self.nodes.get_mut(usize::try_from(id.checked_sub(FIRST_NODE_ID)?).ok()?)
    }

    /// A node's replica of a partition.
    pub(crate) fn replica(&self, node: i32, topic: Uuid, partition: i32) -> Option<&Replica> {
        self.node(node)?.partitions.get(topic, partition)
    }

    pub(crate) fn replica_mut(
        &mut self,
        node: i32,
        topic: Uuid,
        partition: i32,
    ) -> Option<&mut Replica> {
        self.node_mut(node)?.partitions.get_mut(topic, partition)
    }

    /// A node's replica of a partition that it leads.
    ///
    /// # Errors
    /// What a client is told when it has come to the wrong node, or there is no such partition.
    pub(crate) fn leader_mut(
        &mut self,
        node: i32,
        topic: Uuid,
        partition: i32,
    ) -> Result<&mut Replica, ErrorCode> {
        let otherwise = self.not_leader(topic, partition);
        let replica = self.replica_mut(node, topic, partition);
        replica.filter(|replica| replica.leading.is_some()).ok_or(otherwise)
    }

    /// What a client is told that has come to a node that does not lead a partition.
    pub(crate) fn not_leader(&self, topic: Uuid, partition: i32) -> ErrorCode {
        match self.catalog.placement(topic, partition) {
            Some(_) => ErrorCode::NOT_LEADER_OR_FOLLOWER,
            None => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        }
    }

    /// How many replicas a topic wants in sync before acks=all is promised.
    pub(crate) fn min_insync_replicas(&self, topic: Uuid) -> i32 {
        let own = self.catalog.by_id(topic).and_then(|topic| topic.config.min_insync_replicas);
        own.unwrap_or_else(|| self.default_min_insync_replicas())
    }

    /// Whether who is behind a request may do this.
    pub(crate) fn allows(&self, call: &Call, operation: Operation, thing: On<'_>) -> bool {
        let who = || self.who(call);
        (self.rules.is_empty() || self.rules.allows(who().principal, operation, thing))
            && (self.acls.is_empty() || self.acls.allows(who(), operation, thing))
    }

    /// Whether who is behind a request may do this with a thing, or with something wider that has
    /// it, as ACLs go. A rule about the thing itself denies it whatever is allowed of the wider.
    pub(crate) fn allows_either(
        &self,
        call: &Call,
        operation: Operation,
        thing: On<'_>,
        wider: On<'_>,
    ) -> bool {
        let who = self.who(call);
        self.rules.allows(who.principal, operation, thing)
            && (self.acls.allows(who, operation, thing) || self.acls.allows(who, operation, wider))
    }

    /// Whether there may be some topic that who is behind a request may do this with.
    pub(crate) fn allows_some_topic(&self, call: &Call, operation: Operation) -> bool {
        let who = self.who(call);
        self.rules.allows_some_topic(who.principal, operation)
            && self.acls.allows_some_topic(who, operation)
    }

    fn who(&self, call: &Call) -> Who<'_> {
        let host = self.peers.get(&call.connection).map(|peer| peer.remote.ip());
        Who { principal: self.principal(call), host }
    }

    /// Who is behind a request.
    pub(crate) fn principal(&self, call: &Call) -> &Arc<str> {
        self.peers.get(&call.connection).map_or(&self.nobody, |peer| &peer.principal)
    }

    /// Where a client finds a node: the listener of the same name as the one that it has come to.
    pub(crate) fn address_for(&self, connection: ConnectionId, node: i32) -> Advertised {
        let none = || Advertised { host: String::new(), port: 0 };
        let Some(peer) = self.peers.get(&connection) else {
            return none();
        };
        let Some(listener) = self.node(node).and_then(|node| node.listeners.get(peer.listener))
        else {
            return none();
        };
        listener.advertised.clone().unwrap_or_else(|| Advertised {
            host: peer.local.ip().to_canonical().to_string(),
            port: if node == peer.node { peer.local.port() } else { listener.port },
        })
    }

    /// The node that looks after a group or a transactional id. Each has its own share of them, and
    /// gets another's only when that is no longer counted on.
    pub(crate) fn coordinator_of(&self, id: &str) -> Option<i32> {
        let score = |node: &i32| {
            let bytes = id.bytes().chain(node.to_le_bytes());
            // FNV-1a, with its bits mixed at the end.
            let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
            (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
        };
        self.live_nodes().max_by_key(score)
    }

    /// Whether a request about a group or a transactional id has come to the right node.
    pub(crate) fn coordinates(&self, call: &Call, id: &str) -> bool {
        self.nodes.len() == 1 || self.coordinator_of(id) == Some(call.node)
    }

    /// The node that clients are told is the controller: any will do, as each knows what it does.
    pub(crate) fn controller_id(&self) -> i32 {
        self.live_nodes().next().unwrap_or(-1)
    }

    /// The nodes that can have new replicas: one that has just been killed cannot, though nobody
    /// has missed it yet.
    pub(crate) fn ready_nodes(&self) -> impl Iterator<Item = i32> {
        self.nodes.iter().filter(|node| is_ready(node)).map(|node| node.id)
    }

    /// The nodes that can have new replicas when they are back.
    pub(crate) fn away_nodes(&self) -> impl Iterator<Item = i32> {
        let is_away = |node: &&Node| node.is_registered && !is_ready(node);
        self.nodes.iter().filter(is_away).map(|node| node.id)
    }

    /// The nodes that the controller counts on.
    pub(crate) fn live_nodes(&self) -> impl Iterator<Item = i32> {
        self.nodes.iter().filter(|node| !node.is_fenced).map(|node| node.id)
    }

    /// Where a client is, as groups tell it.
    pub(crate) fn client_host(&self, call: &Call) -> String {
        let peer = self.peers.get(&call.connection);
        peer.map(|peer| format!("/{}", peer.remote.ip().to_canonical())).unwrap_or_default()
    }
}

fn is_ready(node: &Node) -> bool {
    !node.is_fenced && node.state != State::Down
}
