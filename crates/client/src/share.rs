//! What the records for one broker may hold of `buffer.memory`.
//!
//! Records for a broker that is down stay where they are until their time is up. Without a limit
//! they would come to hold all memory, and records for the other brokers would wait for it as well.

use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit};

/// A broker's share of the memory.
pub(crate) struct Share {
    node: i32,
    room: Semaphore,
    limit_bytes: usize,
}

/// Bytes of a share that are held; they go back when this is dropped.
pub(crate) struct Held {
    share: Arc<Share>,
    bytes: usize,
}

impl Share {
    pub(crate) fn new(node: i32, limit_bytes: usize) -> Arc<Self> {
        let limit_bytes = limit_bytes.min(Semaphore::MAX_PERMITS);
        Arc::new(Self { node, room: Semaphore::new(limit_bytes), limit_bytes })
    }

    /// The broker.
    pub(crate) const fn node(&self) -> i32 {
        self.node
    }

    /// Holds these bytes, if there is room now.
    pub(crate) fn try_hold(self: &Arc<Self>, bytes: usize) -> Option<Held> {
        let (bytes, permits) = self.within(bytes)?;
        self.room.try_acquire_many(permits).ok()?.forget();
        Some(Held { share: Arc::clone(self), bytes })
    }

    /// Holds these bytes when there is room; nothing once the share is closed.
    pub(crate) async fn hold(self: &Arc<Self>, bytes: usize) -> Option<Held> {
        let (bytes, permits) = self.within(bytes)?;
        self.room.acquire_many(permits).await.ok().map(SemaphorePermit::forget)?;
        Some(Held { share: Arc::clone(self), bytes })
    }

    /// Whoever waits is told that there will be no room any more.
    pub(crate) fn close(&self) {
        self.room.close();
    }

    /// What is larger than the share takes all of it.
    fn within(&self, bytes: usize) -> Option<(usize, u32)> {
        let bytes = bytes.min(self.limit_bytes);
        Some((bytes, u32::try_from(bytes).ok()?))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.share.room.add_permits(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_broker_holds_has_a_limit_and_comes_back() {
        let share = Share::new(1, 1000);
        let held = share.try_hold(900).unwrap();
        assert!(share.try_hold(200).is_none());
        drop(held);
        let all = share.try_hold(5000).expect("a record larger than the share takes all of it");
        assert!(share.try_hold(1).is_none());
        drop(all);
        assert_eq!(share.room.available_permits(), 1000);
    }
}
