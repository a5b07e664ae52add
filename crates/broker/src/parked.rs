//! Requests that wait for something, and stop waiting.

use crate::handler::{self, ParkedFetch, ParkedProduce};
use crate::nodes::Nodes;
use crate::peers::ConnectionId;
use crate::time::Now;

impl Nodes {
    /// Takes a waiting Fetch out of all lists.
    pub(crate) fn unpark_fetch(&mut self, connection: ConnectionId) -> Option<ParkedFetch> {
        let parked = self.parked_fetches.remove(&connection)?;
        self.fetch_deadlines.remove(&(parked.deadline, connection));
        for &(topic, partition) in &parked.watched {
            if let Some(replica) = self.replica_mut(parked.call.node, topic, partition) {
                replica.fetch_waiters.retain(|waiter| *waiter != connection);
            }
        }
        Some(parked)
    }

    /// Takes a waiting Produce out of all lists.
    pub(crate) fn unpark_produce(&mut self, connection: ConnectionId) -> Option<ParkedProduce> {
        let parked = self.parked_produces.remove(&connection)?;
        self.produce_deadlines.remove(&(parked.deadline, connection));
        for wait in &parked.waits {
            if let Some(replica) = self.replica_mut(parked.call.node, wait.topic, wait.partition) {
                replica.produce_waiters.retain(|waiter| *waiter != connection);
            }
        }
        Some(parked)
    }

    /// Answers a waiting Fetch with what is there now.
    pub(crate) fn complete_fetch(&mut self, connection: ConnectionId, now: Now) {
        if let Some(parked) = self.unpark_fetch(connection) {
            handler::complete_fetch(self, parked, now);
        }
    }
}
