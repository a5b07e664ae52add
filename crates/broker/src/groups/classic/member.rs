//! A member of a group.

use std::time::Duration;

use bytes::Bytes;

use crate::peers::Call;

/// A member, with the requests of its that wait.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) instance_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) session_timeout: Duration,
    pub(super) rebalance_timeout: Duration,
    pub(super) protocols: Vec<(String, Bytes)>,
    pub(super) assignment: Bytes,
    pub(super) session_deadline: Duration,
    /// Its JoinGroup that waits for the others.
    pub(super) join: Option<Call>,
    /// Its SyncGroup that waits for the leader.
    pub(super) sync: Option<Call>,
}

impl Member {
    pub(super) fn metadata(&self, protocol: Option<&str>) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| Some(name.as_str()) == protocol);
        found.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }

    pub(super) fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }

    /// Somebody whose request waits is there, whatever its last heartbeat was.
    pub(super) fn is_waiting(&self) -> bool {
        self.join.is_some() || self.sync.is_some()
    }
}

/// A member as DescribeGroups shows it.
#[derive(Clone, Debug)]
pub(crate) struct DescribedMember {
    pub(crate) id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) metadata: Bytes,
    pub(crate) assignment: Bytes,
}
