//! What members of a KIP-848 group say, and what they are answered.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::{ErrorCode, Uuid};

use super::assignor::Assignor;

/// Partitions by topic id and index.
pub(crate) type Partitions = BTreeSet<(Uuid, i32)>;

/// What a member that joins says instead of its epoch.
pub(super) const JOINS: i32 = 0;
/// What a member that leaves says instead of its epoch.
const LEAVES: i32 = -1;
/// What a static member says that leaves to come back.
pub(super) const LEAVES_FOR_A_WHILE: i32 = -2;
/// From this version of ConsumerGroupHeartbeat on members make up their ids (KIP-1082).
const OWN_MEMBER_ID_VERSION: i16 = 1;

/// A heartbeat of a member. What is `None` has not changed since the last one.
#[derive(Clone, Debug)]
pub(crate) struct Heartbeat {
    /// Empty from a new member that leaves the choice to the coordinator.
    pub(crate) member_id: String,
    pub(crate) member_epoch: i32,
    pub(crate) instance_id: Option<String>,
    pub(crate) rack_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) principal: Arc<str>,
    pub(crate) rebalance_timeout: Option<Duration>,
    pub(crate) topic_names: Option<Vec<String>>,
    pub(crate) topic_regex: Option<String>,
    pub(crate) assignor: Option<String>,
    /// What the member owns.
    pub(crate) owned: Option<Partitions>,
}

/// What a member is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeartbeatAnswer {
    pub(crate) member_id: String,
    pub(crate) member_epoch: i32,
    /// What the member may use now; `None` if that has not changed.
    pub(crate) assignment: Option<Partitions>,
}

/// Why something is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(super) fn fenced(message: String) -> Self {
        let advice = "the member must give up its partitions and join again";
        Self::new(ErrorCode::FENCED_MEMBER_EPOCH, format!("{message}; {advice}"))
    }

    pub(super) fn unknown_member(member_id: &str) -> Self {
        let message = format!("there is no member {member_id}");
        Self::new(ErrorCode::UNKNOWN_MEMBER_ID, message)
    }
}

impl Heartbeat {
    pub(crate) fn is_joining(&self) -> bool {
        self.member_epoch == JOINS
    }

    pub(super) fn is_leaving(&self) -> bool {
        matches!(self.member_epoch, LEAVES | LEAVES_FOR_A_WHILE)
    }

    /// Whether the member says everything there is to say, as it does after an error too.
    pub(super) fn is_full(&self) -> bool {
        let says_topics = self.topic_names.is_some() || self.topic_regex.is_some();
        self.is_joining()
            || (self.rebalance_timeout.is_some() && says_topics && self.owned.is_some())
    }

    /// Says what is wrong with the request itself.
    pub(crate) fn check(&self, version: i16) -> Result<(), Refusal> {
        let is_empty = |text: &Option<String>| text.as_deref() == Some("");
        let reason = if is_empty(&self.instance_id) {
            "the instance id is empty"
        } else if is_empty(&self.rack_id) {
            "the rack id is empty"
        } else if self.member_epoch < LEAVES_FOR_A_WHILE {
            "there is no such member epoch"
        } else if self.member_id.is_empty()
            && (self.member_epoch != JOINS || version >= OWN_MEMBER_ID_VERSION)
        {
            "the member id is empty"
        } else if self.member_epoch == LEAVES_FOR_A_WHILE && self.instance_id.is_none() {
            "only a member with an instance id can leave for a while"
        } else if !self.is_joining() {
            return self.check_assignor();
        } else if self.rebalance_timeout.is_none() {
            "a member that joins must say its rebalance timeout"
        } else if self.owned.as_ref().is_none_or(|owned| !owned.is_empty()) {
            "a member that joins must own no partitions and say so"
        } else if self.topic_names.is_none() && self.topic_regex.is_none() {
            "a member that joins must say which topics it wants"
        } else {
            return self.check_assignor();
        };
        Err(Refusal::new(ErrorCode::INVALID_REQUEST, reason))
    }

    fn check_assignor(&self) -> Result<(), Refusal> {
        match &self.assignor {
            Some(name) if Assignor::by_name(name).is_none() => {
                let message = format!("there is no assignor {name}, only uniform and range");
                Err(Refusal::new(ErrorCode::UNSUPPORTED_ASSIGNOR, message))
            }
            _ => Ok(()),
        }
    }
}
