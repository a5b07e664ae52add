//! Consumer groups: who is in a group, and up to where it has read.
//!
//! A group is of one kind at a time: of the classic protocol, in which the members decide who reads
//! what ([`classic`]), or of the consumer protocol, in which the coordinator does (KIP-848,
//! [`consumer`]). One without members becomes what the next member asks for. Members ([`members`])
//! and what they have committed ([`offsets`]) outlive a kill.

mod classic;
mod consumer;
mod group;
mod members;
mod offsets;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::ErrorCode;

pub(crate) use classic::{
    ClassicGroup, DescribedMember, GroupAnswer, GroupReply, JoinRequest, Joined, SyncRequest,
    Synced,
};
pub(crate) use consumer::{
    ConsumerGroup, DescribedConsumer, Heartbeat, HeartbeatAnswer, Partitions, Refusal, Topics,
};
pub(crate) use group::Group;
pub(crate) use members::Kind;
use members::{GroupMembers, Note};
pub(crate) use offsets::{Committed, GroupOffsets};

use crate::config::BrokerConfig;
use crate::data_dir::{GROUP_MEMBERS, GROUP_OFFSETS};
use crate::error::StartError;
use crate::group_settings;
use crate::log::Storage;
use crate::peers::Call;
use crate::resource_settings::{Owner, ResourceSettings};
use crate::time::Now;

/// From this version of OffsetCommit on an unknown group is told apart from a generation.
const UNKNOWN_GROUP_VERSION: i16 = 9;

/// `offsets.retention.check.interval.ms`: how often groups are looked for of which nothing is left.
const SWEEP_INTERVAL: Duration = Duration::from_secs(600);

/// All groups.
#[derive(Debug)]
pub(crate) struct Groups {
    groups: HashMap<String, Group>,
    /// Groups without members whose ids are those of a group of the other kind now that nobody has
    /// got into yet.
    replaced: HashMap<String, Group>,
    members: GroupMembers,
    pub(crate) offsets: GroupOffsets,
    initial_rebalance_delay: Duration,
    session_timeouts: std::ops::RangeInclusive<Duration>,
    max_size: usize,
    consumer: consumer::Settings,
    answers: VecDeque<GroupAnswer>,
    /// No deadline lies before this. It may be early, never late.
    next_timeout: Option<Duration>,
    /// When groups of which nothing is left go next.
    next_sweep: Duration,
}

impl Groups {
    pub(crate) fn open(
        dir: &Path,
        storage: &Arc<dyn Storage>,
        config: &BrokerConfig,
        settings: &ResourceSettings,
        now: Now,
    ) -> Result<Self, StartError> {
        let mut groups = Self {
            groups: HashMap::new(),
            replaced: HashMap::new(),
            members: GroupMembers::open(dir.join(GROUP_MEMBERS), storage.clone())?,
            offsets: GroupOffsets::open(dir.join(GROUP_OFFSETS), storage.clone())?,
            initial_rebalance_delay: config.group_initial_rebalance_delay,
            session_timeouts: config.group_min_session_timeout..=config.group_max_session_timeout,
            max_size: config.group_max_size,
            consumer: consumer::Settings {
                session_timeout: config.group_consumer_session_timeout,
                max_size: config.group_consumer_max_size,
            },
            answers: VecDeque::new(),
            next_timeout: None,
            next_sweep: now.monotonic + SWEEP_INTERVAL,
        };
        let noted = groups.members.all().map(|(id, note)| {
            let (_, session) = group_settings::timeouts(settings.of(Owner::Group, id), config);
            (id.to_owned(), groups.of(note, session, now))
        });
        groups.groups = noted.collect();
        groups.next_timeout = groups.groups.values().filter_map(Group::next_timeout).min();
        Ok(groups)
    }

    /// The group that a note is of, and the session of its members if the group says how long.
    fn of(&self, note: &Note, session: Duration, now: Now) -> Group {
        match note {
            Note::Classic(note) => Group::Classic(self.new_classic().restored(note, now.monotonic)),
            Note::Consumer(note) => {
                let mut group = self.new_consumer();
                group.set_session_timeout(session);
                Group::Consumer(group.restored(note, now.monotonic))
            }
        }
    }

    fn new_group(&self, kind: Kind) -> Group {
        match kind {
            Kind::Classic => Group::Classic(self.new_classic()),
            Kind::Consumer => Group::Consumer(self.new_consumer()),
        }
    }

    fn new_classic(&self) -> ClassicGroup {
        ClassicGroup::new(self.initial_rebalance_delay, self.max_size)
    }

    fn new_consumer(&self) -> ConsumerGroup {
        ConsumerGroup::new(self.consumer)
    }

    /// The group of an id, of this kind: a new one, if there is none or one without members of the
    /// other kind. `None`: it has members of the other kind.
    fn open_group(&mut self, group_id: &str, kind: Kind) -> Option<&mut Group> {
        let is_there = self.groups.get(group_id).is_some_and(|group| group.kind() == kind);
        if !is_there {
            if self.groups.get(group_id).is_some_and(|group| !group.is_gone()) {
                return None;
            }
            let group = self.new_group(kind);
            if let Some(before) = self.groups.insert(group_id.to_owned(), group) {
                self.replaced.insert(group_id.to_owned(), before);
            }
        }
        self.groups.get_mut(group_id)
    }

    fn classic(&mut self, group_id: &str) -> Option<&mut ClassicGroup> {
        match self.groups.get_mut(group_id)? {
            Group::Classic(group) => Some(group),
            Group::Consumer(_) => None,
        }
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
        let Some(Group::Classic(group)) = self.open_group(group_id, Kind::Classic) else {
            return refuse(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        };
        let member_id = request.member_id.clone();
        let joined = group.join(request, new_id, call, now.monotonic);
        match self.settle(group_id) {
            Err(code) if joined.is_some() => Some(Joined::refused(code, member_id)),
            _ => joined,
        }
    }

    /// A member asks for its assignment. `None`: its answer comes by [`Groups::poll_answer`].
    pub(crate) fn sync(
        &mut self,
        group_id: &str,
        request: SyncRequest,
        call: &Call,
        now: Now,
    ) -> Option<Synced> {
        let Some(group) = self.classic(group_id) else {
            return Some(Synced::refused(ErrorCode::UNKNOWN_MEMBER_ID));
        };
        let synced = group.sync(request, call, now.monotonic);
        match self.settle(group_id) {
            Err(code) if synced.is_some() => Some(Synced::refused(code)),
            _ => synced,
        }
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
        match self.classic(group_id) {
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
        let left = match self.groups.get_mut(group_id) {
            Some(Group::Classic(group)) => group.leave(member_id, instance_id, now.monotonic),
            Some(Group::Consumer(group)) => match instance_id.filter(|_| member_id.is_empty()) {
                Some(instance_id) => group.remove_instance(instance_id),
                None => Err(ErrorCode::UNKNOWN_MEMBER_ID),
            },
            None => Err(ErrorCode::UNKNOWN_MEMBER_ID),
        };
        let settled = self.settle(group_id);
        left.and(settled)
    }

    /// A member of a group of the consumer protocol joins, says that it is alive, or leaves. After
    /// `session` it is out, if it does not say anything else.
    pub(crate) fn consumer_heartbeat(
        &mut self,
        group_id: &str,
        request: Heartbeat,
        session: Duration,
        new_id: impl FnOnce() -> String,
        topics: &dyn Topics,
        now: Now,
    ) -> Result<HeartbeatAnswer, Refusal> {
        let group = match request.is_joining() {
            true => self.open_group(group_id, Kind::Consumer),
            false => self.groups.get_mut(group_id),
        };
        let answer = match group {
            Some(Group::Consumer(group)) => {
                group.set_session_timeout(session);
                group.heartbeat(request, new_id, topics, now.monotonic)
            }
            _ => Err(self.no_consumer_group(group_id)),
        };
        let not_noted = |code| Refusal::new(code, "the group could not be written down");
        let settled = self.settle(group_id).map_err(not_noted);
        answer.and_then(|answer| settled.map(|()| answer))
    }

    /// What is said of a group that is not one of the consumer protocol.
    pub(crate) fn no_consumer_group(&self, group_id: &str) -> Refusal {
        let message = match self.kind(group_id) {
            Some(Kind::Classic) => format!("group {group_id} is not of the consumer protocol"),
            _ => format!("there is no group {group_id}"),
        };
        Refusal::new(ErrorCode::GROUP_ID_NOT_FOUND, message)
    }

    /// Says why a member may not commit offsets.
    pub(crate) fn check_commit(
        &mut self,
        group_id: &str,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
        version: i16,
        now: Now,
    ) -> Result<(), ErrorCode> {
        let is_member = generation >= 0 || !member_id.is_empty() || instance_id.is_some();
        let has_offsets = self.offsets.has_group(group_id);
        match self.groups.get_mut(group_id) {
            Some(Group::Consumer(group)) => group.check_commit(member_id, generation, version),
            Some(Group::Classic(group)) if is_member => {
                group.check_commit(member_id, instance_id, generation, now.monotonic)
            }
            // Somebody who only keeps offsets here must not do so beside the members of a group.
            Some(group) if !group.is_empty() => Err(ErrorCode::UNKNOWN_MEMBER_ID),
            None if generation < 0 => Ok(()),
            None if has_offsets => Err(ErrorCode::UNKNOWN_MEMBER_ID),
            None if version >= UNKNOWN_GROUP_VERSION => Err(ErrorCode::GROUP_ID_NOT_FOUND),
            None => Err(ErrorCode::ILLEGAL_GENERATION),
            _ => Ok(()),
        }
    }

    /// Says why somebody may not ask for offsets.
    pub(crate) fn check_fetch(
        &self,
        group_id: &str,
        member_id: Option<&str>,
        epoch: i32,
    ) -> Result<(), ErrorCode> {
        match self.groups.get(group_id) {
            Some(Group::Consumer(group)) => group.check_fetch(member_id, epoch),
            _ => Ok(()),
        }
    }

    /// Says why the offsets of a group cannot be deleted.
    pub(crate) fn check_delete_offsets(&self, group_id: &str) -> Result<(), ErrorCode> {
        match self.groups.get(group_id) {
            // What such members read is nobody's business here, so all of it may be in use.
            Some(Group::Classic(group)) if !group.is_empty() && !group.is_of_consumers() => {
                Err(ErrorCode::NON_EMPTY_GROUP)
            }
            None if !self.offsets.has_group(group_id) => Err(ErrorCode::GROUP_ID_NOT_FOUND),
            _ => Ok(()),
        }
    }

    /// Whether a member of the group reads a topic.
    pub(crate) fn is_subscribed_to(&self, group_id: &str, topic: &str) -> bool {
        match self.groups.get(group_id) {
            Some(Group::Classic(group)) => group.is_subscribed_to(topic),
            Some(Group::Consumer(group)) => group.is_subscribed_to(topic),
            None => false,
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
        self.replaced.remove(group_id);
        let forgotten = self.offsets.forget_group(group_id);
        forgotten.and_then(|()| self.members.forget_group(group_id)).map_err(|error| {
            tracing::error!(group = group_id, %error, "group not removed");
            ErrorCode::COORDINATOR_NOT_AVAILABLE
        })
    }

    /// Forgets what was committed for a topic that is no more.
    pub(crate) fn forget_topic(&mut self, topic: &str) {
        if let Err(error) = self.offsets.forget_topic(topic) {
            tracing::error!(topic, %error, "offsets of a deleted topic not removed");
        }
    }

    /// Forgets what a group has committed for these partitions.
    pub(crate) fn delete_offsets(
        &mut self,
        group_id: &str,
        partitions: Vec<(String, i32)>,
    ) -> Result<(), ErrorCode> {
        self.offsets.forget_partitions(group_id, partitions).map_err(|error| {
            tracing::error!(group = group_id, %error, "offsets not removed");
            ErrorCode::COORDINATOR_NOT_AVAILABLE
        })
    }

    /// A group that has members or had some.
    pub(crate) fn get(&self, group_id: &str) -> Option<&Group> {
        self.groups.get(group_id)
    }

    /// The kind of a group; one with nothing but offsets is a classic one.
    pub(crate) fn kind(&self, group_id: &str) -> Option<Kind> {
        let has_offsets = || self.offsets.has_group(group_id).then_some(Kind::Classic);
        self.groups.get(group_id).map(Group::kind).or_else(has_offsets)
    }

    /// The ids of all groups, those with nothing but offsets included, in order.
    pub(crate) fn ids(&self) -> Vec<&str> {
        let mut ids: Vec<&str> = self.groups.keys().map(String::as_str).collect();
        ids.extend(self.offsets.groups().filter(|id| !self.groups.contains_key(*id)));
        ids.sort_unstable();
        ids
    }

    /// Time has passed: members that were silent too long are out, rebalances that waited too long
    /// go on, and groups of which nothing is left go.
    pub(crate) fn handle_timeout(&mut self, now: Now) {
        if self.next_sweep <= now.monotonic {
            self.next_sweep = now.monotonic + SWEEP_INTERVAL;
            self.sweep();
        }
        if self.next_timeout.is_none_or(|next| next > now.monotonic) {
            return;
        }
        self.next_timeout = None;
        let ids: Vec<String> = self.groups.keys().cloned().collect();
        for id in ids {
            if let Some(group) = self.groups.get_mut(&id) {
                group.handle_timeout(now.monotonic);
            }
            self.settle(&id).ok();
        }
    }

    /// Drops the groups that have neither members nor offsets any more. One that cannot be
    /// forgotten on the disk stays until the next time, so that it does not come back alone.
    fn sweep(&mut self) {
        let Self { groups, members, offsets, .. } = self;
        groups.retain(|id, group| {
            if !group.is_gone() || offsets.has_group(id) {
                return true;
            }
            let forgotten = members.forget_group(id);
            if let Err(error) = &forgotten {
                tracing::error!(group = id, %error, "group without members not removed");
            }
            forgotten.is_err()
        });
    }

    /// When [`Groups::handle_timeout`] must be called next.
    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        let sweep = (!self.groups.is_empty()).then_some(self.next_sweep);
        self.next_timeout.into_iter().chain(sweep).min()
    }

    /// The next answer that a member has waited for.
    pub(crate) fn poll_answer(&mut self) -> Option<GroupAnswer> {
        self.answers.pop_front()
    }

    /// After a change in a group: notes what must outlive a kill, then collects its answers, and
    /// notes its next deadline. One that never had a member is dropped, and what it stood in for is
    /// back.
    ///
    /// # Errors
    /// Of what could not be noted nobody may be told. It has said why, and is noted with the next
    /// change; where nobody waits to be told there is nothing to do about it.
    fn settle(&mut self, group_id: &str) -> Result<(), ErrorCode> {
        let Some(group) = self.groups.get_mut(group_id) else {
            return Ok(());
        };
        let is_unused = group.is_unused();
        let written = match is_unused {
            true => Ok(()),
            false => group.note_in(&mut self.members, group_id),
        };
        if let Group::Classic(group) = group {
            if written.is_err() {
                group.take_back_assignments();
            }
            self.answers.extend(group.take_answers());
        }
        let deadline = group.next_timeout();
        self.next_timeout = self.next_timeout.into_iter().chain(deadline).min();
        if is_unused {
            match self.replaced.remove(group_id) {
                Some(before) => self.groups.insert(group_id.to_owned(), before),
                None => self.groups.remove(group_id),
            };
        } else if !group.is_new() {
            self.replaced.remove(group_id);
        }
        written.map_err(|error| {
            tracing::error!(group = group_id, %error, "members of a group not written");
            ErrorCode::COORDINATOR_NOT_AVAILABLE
        })
    }
}
