//! What members of a classic group ask, and what they are answered.

use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::ErrorCode;

use crate::peers::Call;

/// A member that wants to join.
#[derive(Clone, Debug)]
pub(crate) struct JoinRequest {
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) protocol_type: String,
    /// Names with what the member has to say about each, in its order of preference.
    pub(crate) protocols: Vec<(String, Bytes)>,
    /// Whether a new member is first given its id and asked to come again (KIP-394).
    pub(crate) asks_member_id: bool,
    /// Whether the member understands that a leader need not assign anew (KIP-814).
    pub(crate) can_skip_assignment: bool,
}

/// The answer to a member that wants to join.
#[derive(Clone, Debug, Default)]
pub(crate) struct Joined {
    pub(crate) error: ErrorCode,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) leader: String,
    pub(crate) skip_assignment: bool,
    pub(crate) member_id: String,
    /// Everybody, for the leader; nobody, for the rest.
    pub(crate) members: Vec<JoinedMember>,
}

/// A member in the list that the leader gets.
#[derive(Clone, Debug)]
pub(crate) struct JoinedMember {
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) metadata: Bytes,
}

impl Joined {
    pub(crate) fn refused(error: ErrorCode, member_id: impl Into<String>) -> Self {
        Self { error, generation: -1, member_id: member_id.into(), ..Self::default() }
    }
}

/// A member that asks for its assignment, or brings those of all.
#[derive(Clone, Debug)]
pub(crate) struct SyncRequest {
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) assignments: Vec<(String, Bytes)>,
}

/// The answer to a member that asks for its assignment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Synced {
    pub(crate) error: ErrorCode,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) assignment: Bytes,
}

impl Synced {
    pub(crate) fn refused(error: ErrorCode) -> Self {
        Self { error, ..Self::default() }
    }
}

/// An answer that a member has waited for.
#[derive(Debug)]
pub(crate) struct GroupAnswer {
    pub(crate) call: Call,
    pub(crate) reply: GroupReply,
}

/// What it was waiting for.
#[derive(Debug)]
pub(crate) enum GroupReply {
    Join(Joined),
    Sync(Synced),
}
