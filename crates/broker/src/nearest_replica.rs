//! Which replica a consumer is to read, by racks: Kafka's `RackAwareReplicaSelector` (KIP-392).

use ottla_protocol::Uuid;

use crate::nodes::Nodes;

impl Nodes {
    /// The in-sync follower in a consumer's rack that has the offset and most of the log, as far as
    /// the leader knows. `None` when the leader is to be read: when it is in that rack itself, no
    /// such follower is there, or replicas are not selected by rack.
    pub(crate) fn nearest_replica(
        &self,
        leader: i32,
        topic: Uuid,
        partition: i32,
        rack: &str,
        offset: i64,
    ) -> Option<i32> {
        let is_there = |node: i32| self.config.rack_of(node) == Some(rack);
        if !self.config.selects_by_rack || rack.is_empty() || is_there(leader) {
            return None;
        }
        let leading = self.replica(leader, topic, partition)?.leading.as_ref()?;
        let live: Vec<i32> = self.live_nodes().filter(|node| is_there(*node)).collect();
        let near = leading.in_sync_with(offset).filter(|follower| live.contains(&follower.node));
        near.max_by_key(|follower| follower.progress()).map(|follower| follower.node)
    }
}
