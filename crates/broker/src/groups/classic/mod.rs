//! A group of the classic protocol and its state.
//!
//! The coordinator takes part in no assignment: it gathers the members (JoinGroup), hands the list
//! to one of them, and passes on what that one decides (SyncGroup).
//!
//! ```text
//!            join                    all have joined, or time is up
//!  Empty ──────────► PreparingRebalance ──────────► CompletingRebalance
//!    ▲                  ▲    │  ▲                      │          │
//!    └──── no member ───┼────┘  └── join, leave, ──────┘          │ the leader syncs
//!                       │           silence                       ▼
//!                       └─────────── join, leave, silence ───── Stable
//! ```

mod join;
mod member;
mod messages;
mod note;
mod rebalance;

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::{ErrorCode, Reader};

pub(crate) use member::DescribedMember;
use member::Member;
pub(crate) use messages::{GroupAnswer, GroupReply, JoinRequest, Joined, SyncRequest, Synced};
pub(super) use note::ClassicNote;

use crate::peers::Call;

/// The protocol type of consumers.
const CONSUMER: &str = "consumer";

/// Where a group stands; each state holds the deadlines that are its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No member.
    Empty,
    /// Members are gathered: not before one time, no longer than until another.
    PreparingRebalance { not_before: Duration, deadline: Duration },
    /// The members are known; the leader's assignment is awaited.
    CompletingRebalance { deadline: Duration },
    /// Everybody has an assignment.
    Stable,
}

/// A group of the classic protocol.
#[derive(Debug)]
pub(crate) struct ClassicGroup {
    state: State,
    generation: i32,
    protocol_type: Option<String>,
    protocol: Option<String>,
    leader: Option<String>,
    /// In the order in which they joined.
    members: Vec<Member>,
    /// Ids that were given out and have not come back yet, with the time at which they lapse.
    pending: HashMap<String, Duration>,
    initial_rebalance_delay: Duration,
    max_size: usize,
    answers: Vec<GroupAnswer>,
    /// Whether there is something that must outlive a kill before anybody is told.
    is_to_be_noted: bool,
}

impl ClassicGroup {
    pub(super) fn new(initial_rebalance_delay: Duration, max_size: usize) -> Self {
        Self {
            state: State::Empty,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: Vec::new(),
            pending: HashMap::new(),
            initial_rebalance_delay,
            max_size,
            answers: Vec::new(),
            is_to_be_noted: false,
        }
    }

    /// See [`super::Groups::sync`].
    pub(super) fn sync(
        &mut self,
        request: SyncRequest,
        call: &Call,
        now: Duration,
    ) -> Option<Synced> {
        let refuse = |code| Some(Synced::refused(code));
        let index = match self.member(&request.member_id, request.instance_id.as_deref()) {
            Ok(index) => index,
            Err(code) => return refuse(code),
        };
        if request.generation != self.generation {
            return refuse(ErrorCode::ILLEGAL_GENERATION);
        }
        let differs =
            |asked: &Option<String>, present: &Option<String>| asked.is_some() && asked != present;
        if differs(&request.protocol_type, &self.protocol_type)
            || differs(&request.protocol, &self.protocol)
        {
            return refuse(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        }
        let member = &mut self.members[index];
        member.session_deadline = now + member.session_timeout;
        match self.state {
            State::Empty => refuse(ErrorCode::UNKNOWN_MEMBER_ID),
            State::PreparingRebalance { .. } => refuse(ErrorCode::REBALANCE_IN_PROGRESS),
            State::Stable => Some(self.synced(index)),
            State::CompletingRebalance { .. } => {
                member.sync = Some(call.clone());
                if self.leader.as_ref() == Some(&request.member_id) {
                    self.assign(request.assignments, now);
                }
                None
            }
        }
    }

    pub(super) fn synced(&self, index: usize) -> Synced {
        Synced {
            error: ErrorCode::NONE,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: self.members[index].assignment.clone(),
        }
    }

    /// See [`super::Groups::heartbeat`].
    pub(super) fn heartbeat(
        &mut self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
        now: Duration,
    ) -> ErrorCode {
        let index = match self.member(member_id, instance_id) {
            Ok(index) => index,
            Err(code) => return code,
        };
        if generation != self.generation {
            return ErrorCode::ILLEGAL_GENERATION;
        }
        let member = &mut self.members[index];
        member.session_deadline = now + member.session_timeout;
        match self.state {
            State::PreparingRebalance { .. } => ErrorCode::REBALANCE_IN_PROGRESS,
            State::Empty => ErrorCode::UNKNOWN_MEMBER_ID,
            State::CompletingRebalance { .. } | State::Stable => ErrorCode::NONE,
        }
    }

    /// See [`super::Groups::leave`].
    pub(super) fn leave(
        &mut self,
        member_id: &str,
        instance_id: Option<&str>,
        now: Duration,
    ) -> Result<(), ErrorCode> {
        if self.pending.remove(member_id).is_some() {
            self.try_complete_join(now);
            return Ok(());
        }
        let index = match instance_id.filter(|_| member_id.is_empty()) {
            // An administrator removes a static member by its instance id alone.
            Some(instance_id) => self
                .members
                .iter()
                .position(|member| member.instance_id.as_deref() == Some(instance_id))
                .ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?,
            None => self.member(member_id, instance_id)?,
        };
        self.remove(index, now);
        Ok(())
    }

    fn remove(&mut self, index: usize, now: Duration) {
        let member = self.members.remove(index);
        let gone = ErrorCode::UNKNOWN_MEMBER_ID;
        if let Some(call) = member.join {
            let reply = GroupReply::Join(Joined::refused(gone, member.id.clone()));
            self.answers.push(GroupAnswer { call, reply });
        }
        if let Some(call) = member.sync {
            let reply = GroupReply::Sync(Synced::refused(gone));
            self.answers.push(GroupAnswer { call, reply });
        }
        if self.leader.as_ref() == Some(&member.id) {
            self.leader = None;
        }
        self.prepare_rebalance(now);
    }

    /// See [`super::Groups::check_commit`].
    pub(super) fn check_commit(
        &mut self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
        now: Duration,
    ) -> Result<(), ErrorCode> {
        let index = self.member(member_id, instance_id)?;
        if generation != self.generation {
            return Err(ErrorCode::ILLEGAL_GENERATION);
        }
        if let State::CompletingRebalance { .. } = self.state {
            return Err(ErrorCode::REBALANCE_IN_PROGRESS);
        }
        let member = &mut self.members[index];
        member.session_deadline = now + member.session_timeout;
        Ok(())
    }

    /// The member of an id, if it is not fenced by another one of its instance id.
    fn member(&self, member_id: &str, instance_id: Option<&str>) -> Result<usize, ErrorCode> {
        if let Some(instance_id) = instance_id {
            let known =
                self.members.iter().position(|m| m.instance_id.as_deref() == Some(instance_id));
            return match known {
                Some(index) if self.members[index].id == member_id => Ok(index),
                Some(_) => Err(ErrorCode::FENCED_INSTANCE_ID),
                None => Err(ErrorCode::UNKNOWN_MEMBER_ID),
            };
        }
        self.index_of(member_id).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)
    }

    fn index_of(&self, member_id: &str) -> Option<usize> {
        self.members.iter().position(|member| member.id == member_id)
    }

    /// Time has passed.
    pub(super) fn handle_timeout(&mut self, now: Duration) {
        self.pending.retain(|_, deadline| *deadline > now);
        let is_silent = |member: &Member| !member.is_waiting() && member.session_deadline <= now;
        while let Some(index) = self.members.iter().position(is_silent) {
            tracing::info!(member = %self.members[index].id, "group member is silent, removed");
            self.remove(index, now);
        }
        if let State::CompletingRebalance { deadline } = self.state
            && deadline <= now
        {
            // The leader, or somebody else, never asked for its assignment.
            self.members.retain(|member| member.sync.is_some());
            self.prepare_rebalance(now);
        }
        self.try_complete_join(now);
    }

    /// The next time at which something lapses.
    pub(super) fn next_timeout(&self) -> Option<Duration> {
        let state = match self.state {
            State::PreparingRebalance { not_before, deadline } => {
                let all = self.pending.is_empty() && self.members.iter().all(|m| m.join.is_some());
                Some(if all { not_before.min(deadline) } else { deadline })
            }
            State::CompletingRebalance { deadline } => Some(deadline),
            State::Empty | State::Stable => None,
        };
        let silent = self.members.iter().filter(|member| !member.is_waiting());
        let sessions = silent.map(|member| member.session_deadline).min();
        let pending = self.pending.values().copied().min();
        [state, sessions, pending].into_iter().flatten().min()
    }

    /// What the leader has decided could not be noted: nobody gets it, and all join again.
    pub(super) fn take_back_assignments(&mut self) {
        for answer in &mut self.answers {
            if let GroupReply::Sync(synced) = &mut answer.reply
                && synced.error == ErrorCode::NONE
            {
                *synced = Synced::refused(ErrorCode::COORDINATOR_NOT_AVAILABLE);
            }
        }
    }

    pub(super) fn take_answers(&mut self) -> Vec<GroupAnswer> {
        std::mem::take(&mut self.answers)
    }

    /// Whether the group has no member.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether nobody is in the group nor about to be.
    pub(super) fn is_gone(&self) -> bool {
        self.members.is_empty() && self.pending.is_empty() && self.state == State::Empty
    }

    pub(super) fn generation(&self) -> i32 {
        self.generation
    }

    /// The state by Kafka's name.
    pub(crate) fn state_name(&self) -> &'static str {
        match self.state {
            State::Empty => "Empty",
            State::PreparingRebalance { .. } => "PreparingRebalance",
            State::CompletingRebalance { .. } => "CompletingRebalance",
            State::Stable => "Stable",
        }
    }

    /// Whether the members are consumers, whose subscriptions can be read.
    pub(super) fn is_of_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    /// Whether a member reads a topic, or may do so: where that cannot be told it is assumed.
    pub(super) fn is_subscribed_to(&self, topic: &str) -> bool {
        let Some(protocol) = self.protocol.as_deref() else {
            return !self.members.is_empty();
        };
        self.members.iter().any(|member| {
            let topics = subscribed_topics(&member.metadata(Some(protocol)));
            topics.is_none_or(|topics| topics.iter().any(|name| name == topic))
        })
    }

    pub(crate) fn protocol_type(&self) -> &str {
        self.protocol_type.as_deref().unwrap_or_default()
    }

    /// The protocol, as far as the members have agreed on one.
    pub(crate) fn protocol(&self) -> &str {
        match self.state {
            State::Stable => self.protocol.as_deref().unwrap_or_default(),
            _ => "",
        }
    }

    pub(crate) fn describe_members(&self) -> Vec<DescribedMember> {
        let is_stable = self.state == State::Stable;
        let protocol = self.protocol.as_deref().filter(|_| is_stable);
        let members = self.members.iter().map(|member| DescribedMember {
            id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: member.metadata(protocol),
            assignment: if is_stable { member.assignment.clone() } else { Bytes::new() },
        });
        members.collect()
    }
}

/// The topics in the subscription of a consumer, which begins with its version; `None` if it is no
/// such thing.
fn subscribed_topics(metadata: &[u8]) -> Option<Vec<String>> {
    let metadata = Bytes::copy_from_slice(metadata);
    let mut reader = Reader::new(&metadata);
    reader.i16().ok()?;
    reader.array(false, 2, |reader| reader.string(false)).ok()
}
