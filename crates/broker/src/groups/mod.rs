//! Consumer groups, the classic protocol: who is in a group, and up to where it has read.
//!
//! The coordinator takes part in no assignment: it gathers the members (JoinGroup), hands the list
//! to one of them, and passes on what that one decides (SyncGroup). Members and generations live in
//! memory, as a restart makes every member join anew; committed offsets are on disk.

mod classic;
mod offsets;

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::ErrorCode;

pub(crate) use classic::{
    ClassicGroup, DescribedMember, GroupAnswer, GroupReply, JoinRequest, Joined, SyncRequest,
    Synced,
};
pub(crate) use offsets::{Committed, GroupOffsets};

use crate::config::BrokerConfig;
use crate::error::StartError;
use crate::log::Storage;
use crate::peers::Call;
use crate::time::Now;

/// All groups.
#[derive(Debug)]
pub(crate) struct Groups {
    groups: HashMap<String, ClassicGroup>,
    pub(crate) offsets: GroupOffsets,
    initial_rebalance_delay: Duration,
    session_timeouts: std::ops::RangeInclusive<Duration>,
    answers: VecDeque<GroupAnswer>,
    /// No deadline lies before this. It may be early, never late.
    next_timeout: Option<Duration>,
}

impl Groups {
    pub(crate) fn open(
        path: PathBuf,
        storage: Arc<dyn Storage>,
        config: &BrokerConfig,
    ) -> Result<Self, StartError> {
        Ok(Self {
            groups: HashMap::new(),
            offsets: GroupOffsets::open(path, storage)?,
            initial_rebalance_delay: config.group_initial_rebalance_delay,
            session_timeouts: config.group_min_session_timeout..=config.group_max_session_timeout,
            answers: VecDeque::new(),
            next_timeout: None,
        })
    }

    /// A member wants to join. `None`: its answer comes by [`Groups::poll_answer`].
    pub(crate) fn join(
        &mut self,
        group_id: &str,
        request: JoinRequest,
        new_id: impl FnOnce() -> String,
        call: &Call,
        now: Now,
    ) -> Option<Joined> {
        let refuse = |code| Some(Joined::refused(code, &*request.member_id));
        if group_id.is_empty() {
            return refuse(ErrorCode::INVALID_GROUP_ID);
        }
        if !self.session_timeouts.contains(&request.session_timeout) {
            return refuse(ErrorCode::INVALID_SESSION_TIMEOUT);
        }
        if request.protocol_type.is_empty() || request.protocols.is_empty() {
            return refuse(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        }
        if !request.member_id.is_empty() && !self.groups.contains_key(group_id) {
            return refuse(ErrorCode::UNKNOWN_MEMBER_ID);
        }
        let delay = self.initial_rebalance_delay;
        let group =
            self.groups.entry(group_id.to_owned()).or_insert_with(|| ClassicGroup::new(delay));
        let joined = group.join(request, new_id, call, now.monotonic);
        self.settle(group_id);
        joined
    }

    /// A member asks for its assignment. `None`: its answer comes by [`Groups::poll_answer`].
    pub(crate) fn sync(
        &mut self,
        group_id: &str,
        request: SyncRequest,
        call: &Call,
        now: Now,
    ) -> Option<Synced> {
        let Some(group) = self.groups.get_mut(group_id) else {
            return Some(Synced::refused(ErrorCode::UNKNOWN_MEMBER_ID));
        };
        let synced = group.sync(request, call, now.monotonic);
        self.settle(group_id);
        synced
    }

    /// A member says that it is alive.
    pub(crate) fn heartbeat(
        &mut self,
        group_id: &str,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
        now: Now,
    ) -> ErrorCode {
        match self.groups.get_mut(group_id) {
            Some(group) => group.heartbeat(member_id, instance_id, generation, now.monotonic),
            None => ErrorCode::UNKNOWN_MEMBER_ID,
        }
    }

    /// A member goes. Gives back the id that it had.
    pub(crate) fn leave(
        &mut self,
        group_id: &str,
        member_id: &str,
        instance_id: Option<&str>,
        now: Now,
    ) -> Result<(), ErrorCode> {
        let group = self.groups.get_mut(group_id).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
        let left = group.leave(member_id, instance_id, now.monotonic);
        self.settle(group_id);
        left
    }

    /// Says why a member may not commit offsets.
    pub(crate) fn check_commit(
        &mut self,
        group_id: &str,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
        now: Now,
    ) -> Result<(), ErrorCode> {
        let is_member = generation >= 0 || !member_id.is_empty() || instance_id.is_some();
        match self.groups.get_mut(group_id) {
            Some(group) if is_member => {
                group.check_commit(member_id, instance_id, generation, now.monotonic)
            }
            // Somebody who only keeps offsets here must not do so beside the members of a group.
            Some(group) if !group.is_empty() => Err(ErrorCode::UNKNOWN_MEMBER_ID),
            None if generation >= 0 => Err(ErrorCode::ILLEGAL_GENERATION),
            _ => Ok(()),
        }
    }

    /// Removes a group and its offsets.
    pub(crate) fn delete(&mut self, group_id: &str) -> Result<(), ErrorCode> {
        match self.groups.get(group_id) {
            Some(group) if !group.is_empty() => return Err(ErrorCode::NON_EMPTY_GROUP),
            None if !self.offsets.has_group(group_id) => return Err(ErrorCode::GROUP_ID_NOT_FOUND),
            _ => {}
        }
        self.groups.remove(group_id);
        self.offsets.forget_group(group_id).map_err(|error| {
            tracing::error!(group = group_id, %error, "offsets not removed");
            ErrorCode::COORDINATOR_NOT_AVAILABLE
        })
    }

    /// Forgets what was committed for a topic that is no more.
    pub(crate) fn forget_topic(&mut self, topic: &str) {
        if let Err(error) = self.offsets.forget_topic(topic) {
            tracing::error!(topic, %error, "offsets of a deleted topic not removed");
        }
    }

    /// A group that has members or had some since the start.
    pub(crate) fn get(&self, group_id: &str) -> Option<&ClassicGroup> {
        self.groups.get(group_id)
    }

    /// The ids of all groups, those with nothing but offsets included, in order.
    pub(crate) fn ids(&self) -> Vec<&str> {
        let mut ids: Vec<&str> = self.groups.keys().map(String::as_str).collect();
        ids.extend(self.offsets.groups().filter(|id| !self.groups.contains_key(*id)));
        ids.sort_unstable();
        ids
    }

    /// Time has passed: members that were silent too long are out, rebalances that waited too long
    /// go on.
    pub(crate) fn handle_timeout(&mut self, now: Now) {
        if self.next_timeout.is_none_or(|next| next > now.monotonic) {
            return;
        }
        self.next_timeout = None;
        let ids: Vec<String> = self.groups.keys().cloned().collect();
        for id in ids {
            if let Some(group) = self.groups.get_mut(&id) {
                group.handle_timeout(now.monotonic);
            }
            self.settle(&id);
        }
    }

    /// When [`Groups::handle_timeout`] must be called next.
    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        self.next_timeout
    }

    /// The next answer that a member has waited for.
    pub(crate) fn poll_answer(&mut self) -> Option<GroupAnswer> {
        self.answers.pop_front()
    }

    /// After a change in a group: collects its answers, notes its next deadline, and drops it when
    /// nothing is left of it.
    fn settle(&mut self, group_id: &str) {
        let Some(group) = self.groups.get_mut(group_id) else {
            return;
        };
        self.answers.extend(group.take_answers());
        let deadline = group.next_timeout();
        self.next_timeout = match (self.next_timeout, deadline) {
            (Some(known), Some(deadline)) => Some(known.min(deadline)),
            (known, deadline) => known.or(deadline),
        };
        if group.is_gone() && !self.offsets.has_group(group_id) {
            self.groups.remove(group_id);
        }
    }
}
