//! A member of a KIP-848 group, and how it comes from what it has to what it is to have.
//!
//! ```text
//!                     must give something up            has given it up
//!   Stable ─────────────────────────► UnrevokedPartitions ─────┐
//!    ▲  │                                        ▲             │
//!    │  └─ some of its new ones ─► UnreleasedPartitions ◄──────┤
//!    │     are not free yet              │                     │
//!    └───────────────────────────────────┴─────────────────────┘
//!                         has all of its target
//! ```

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::messages::{LEAVES_FOR_A_WHILE, Partitions};
use super::subscription::Subscription;

/// Where a member stands on its way to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// It has what it was to have at its epoch.
    Stable,
    /// It must first give up partitions.
    UnrevokedPartitions,
    /// It waits for partitions that others have not given up yet.
    UnreleasedPartitions,
}

/// A member.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) instance_id: Option<String>,
    pub(super) rack_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) principal: Arc<str>,
    pub(super) rebalance_timeout: Duration,
    /// The assignor that it would like.
    pub(super) assignor: Option<String>,
    pub(super) subscription: Subscription,
    pub(super) state: State,
    pub(super) epoch: i32,
    pub(super) previous_epoch: i32,
    /// What it may use.
    pub(super) assigned: Partitions,
    /// What it was told to give up and has not given up yet.
    pub(super) pending_revocation: Partitions,
    pub(super) session_deadline: Duration,
    /// By when it must have given up what it was told to.
    pub(super) rebalance_deadline: Option<Duration>,
}

impl Member {
    /// A member that has nothing yet.
    pub(super) fn new(id: String, instance_id: Option<String>, principal: Arc<str>) -> Self {
        Self {
            id,
            instance_id,
            rack_id: None,
            client_id: String::new(),
            client_host: String::new(),
            principal,
            rebalance_timeout: Duration::ZERO,
            assignor: None,
            subscription: Subscription::default(),
            state: State::Stable,
            epoch: 0,
            previous_epoch: 0,
            assigned: Partitions::new(),
            pending_revocation: Partitions::new(),
            session_deadline: Duration::ZERO,
            rebalance_deadline: None,
        }
    }

    /// Whether it is a static member that has said it will be back.
    pub(super) fn is_away(&self) -> bool {
        self.epoch == LEAVES_FOR_A_WHILE
    }

    /// Whether it has what it is to have at this epoch.
    pub(super) fn is_reconciled_to(&self, epoch: i32) -> bool {
        self.state == State::Stable && self.epoch == epoch
    }

    pub(super) fn holds(&self, partition: &(ottla_protocol::Uuid, i32)) -> bool {
        self.assigned.contains(partition) || self.pending_revocation.contains(partition)
    }

    /// Goes as far towards `target` as is possible now. `owned` is what the member says that it
    /// has; `is_held` says whether another member has a partition.
    pub(super) fn reconcile(
        &mut self,
        target_epoch: i32,
        target: &Partitions,
        owned: Option<&Partitions>,
        is_held: impl Fn(&(ottla_protocol::Uuid, i32)) -> bool,
    ) {
        let still_owns =
            |given_up: &Partitions| owned.is_none_or(|owned| !owned.is_disjoint(given_up));
        let mut epoch = self.epoch;
        match self.state {
            State::Stable if self.epoch == target_epoch => return,
            State::UnrevokedPartitions if still_owns(&self.pending_revocation) => return,
            State::UnrevokedPartitions => epoch += 1,
            State::Stable | State::UnreleasedPartitions => {}
        }
        let mut kept: Partitions = &self.assigned & target;
        let to_revoke: Partitions = &self.assigned - &kept;
        if !to_revoke.is_empty() && still_owns(&to_revoke) {
            self.state = State::UnrevokedPartitions;
            self.pending_revocation = to_revoke;
        } else {
            let before = kept.len();
            let wanted = target - &kept;
            kept.extend(wanted.iter().filter(|partition| !is_held(partition)));
            let is_complete = kept.len() - before == wanted.len();
            self.state = if is_complete { State::Stable } else { State::UnreleasedPartitions };
            self.pending_revocation.clear();
            epoch = target_epoch;
        }
        self.assigned = kept;
        self.move_to(epoch);
    }

    fn move_to(&mut self, epoch: i32) {
        if epoch != self.epoch {
            self.previous_epoch = self.epoch;
            self.epoch = epoch;
        }
    }
}
