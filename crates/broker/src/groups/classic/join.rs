//! Who comes into a group, comes again, or takes another one's place.

use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::ErrorCode;

use super::member::Member;
use super::messages::JoinedMember;
use super::{ClassicGroup, GroupAnswer, GroupReply, JoinRequest, Joined, State, Synced};
use crate::peers::Call;

impl ClassicGroup {
    /// See [`super::Groups::join`].
    pub(in crate::groups) fn join(
        &mut self,
        request: JoinRequest,
        new_id: impl FnOnce() -> String,
        call: &Call,
        now: Duration,
    ) -> Option<Joined> {
        let refuse = |code| Some(Joined::refused(code, &*request.member_id));
        if !self.has_room_for(&request.member_id) {
            if let Some(index) = self.index_of(&request.member_id) {
                self.remove(index, now);
            }
            return Some(Joined::refused(ErrorCode::GROUP_MAX_SIZE_REACHED, String::new()));
        }
        if !self.accepts(&request) {
            return refuse(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        }
        if let Some(instance_id) = &request.instance_id {
            let known =
                self.members.iter().position(|m| m.instance_id.as_ref() == Some(instance_id));
            return match known {
                Some(index) if request.member_id.is_empty() => {
                    self.replace(index, request, new_id(), call, now)
                }
                Some(index) if self.members[index].id == request.member_id => {
                    self.rejoin(index, request, call, now)
                }
                Some(_) => refuse(ErrorCode::FENCED_INSTANCE_ID),
                None if request.member_id.is_empty() => self.add(new_id(), request, call, now),
                None => refuse(ErrorCode::UNKNOWN_MEMBER_ID),
            };
        }
        if request.member_id.is_empty() {
            let id = new_id();
            if request.asks_member_id {
                self.pending.insert(id.clone(), now + request.session_timeout);
                return Some(Joined::refused(ErrorCode::MEMBER_ID_REQUIRED, id));
            }
            return self.add(id, request, call, now);
        }
        if self.pending.remove(&request.member_id).is_some() {
            return self.add(request.member_id.clone(), request, call, now);
        }
        match self.index_of(&request.member_id) {
            Some(index) => self.rejoin(index, request, call, now),
            None => refuse(ErrorCode::UNKNOWN_MEMBER_ID),
        }
    }

    /// Whether the group is not full yet, or is so with this member.
    fn has_room_for(&self, member_id: &str) -> bool {
        let known = self.members.iter().find(|member| member.id == member_id);
        match self.state {
            State::Empty => true,
            State::PreparingRebalance { .. } => {
                let waiting = self.members.iter().filter(|member| member.join.is_some()).count();
                known.is_some_and(|member| member.join.is_some()) || waiting < self.max_size
            }
            State::CompletingRebalance { .. } | State::Stable => {
                known.is_some() || self.members.len() < self.max_size
            }
        }
    }

    /// Whether a member speaks a protocol that all others speak too.
    fn accepts(&self, request: &JoinRequest) -> bool {
        let others = || self.members.iter().filter(|member| member.id != request.member_id);
        if others().next().is_none() {
            return true;
        }
        let is_common = |name: &str| others().all(|member| member.supports(name));
        self.protocol_type.as_deref() == Some(&request.protocol_type)
            && request.protocols.iter().any(|(name, _)| is_common(name))
    }

    fn add(
        &mut self,
        id: String,
        request: JoinRequest,
        call: &Call,
        now: Duration,
    ) -> Option<Joined> {
        self.protocol_type = Some(request.protocol_type);
        self.members.push(Member {
            id,
            instance_id: request.instance_id,
            client_id: request.client_id,
            client_host: request.client_host,
            session_timeout: request.session_timeout,
            rebalance_timeout: request.rebalance_timeout,
            protocols: request.protocols,
            assignment: Bytes::new(),
            session_deadline: now + request.session_timeout,
            join: Some(call.clone()),
            sync: None,
        });
        self.prepare_rebalance(now);
        None
    }

    fn rejoin(
        &mut self,
        index: usize,
        request: JoinRequest,
        call: &Call,
        now: Duration,
    ) -> Option<Joined> {
        let is_leader = self.leader.as_ref() == Some(&self.members[index].id);
        let member = &mut self.members[index];
        let is_same = member.protocols == request.protocols;
        let needs_rebalance = match self.state {
            State::Empty | State::PreparingRebalance { .. } => true,
            // The answer to its last JoinGroup may have been lost.
            State::CompletingRebalance { .. } => !is_same,
            State::Stable => !is_same || is_leader,
        };
        member.session_deadline = now + request.session_timeout;
        if !needs_rebalance {
            return Some(self.joined(index));
        }
        member.session_timeout = request.session_timeout;
        member.rebalance_timeout = request.rebalance_timeout;
        member.protocols = request.protocols;
        member.join = Some(call.clone());
        self.protocol_type = Some(request.protocol_type);
        self.prepare_rebalance(now);
        None
    }

    /// A static member has come back under the same instance id: it takes the old one's place
    /// (KIP-345).
    fn replace(
        &mut self,
        index: usize,
        request: JoinRequest,
        id: String,
        call: &Call,
        now: Duration,
    ) -> Option<Joined> {
        let old_id = std::mem::replace(&mut self.members[index].id, id.clone());
        let was_leader = self.leader.as_ref() == Some(&old_id);
        if was_leader {
            self.leader = Some(id);
        }
        let member = &mut self.members[index];
        let fenced = ErrorCode::FENCED_INSTANCE_ID;
        if let Some(call) = member.join.take() {
            let reply = GroupReply::Join(Joined::refused(fenced, old_id.clone()));
            self.answers.push(GroupAnswer { call, reply });
        }
        if let Some(call) = member.sync.take() {
            let reply = GroupReply::Sync(Synced::refused(fenced));
            self.answers.push(GroupAnswer { call, reply });
        }
        member.session_timeout = request.session_timeout;
        member.rebalance_timeout = request.rebalance_timeout;
        member.session_deadline = now + request.session_timeout;
        member.client_id = request.client_id;
        member.client_host = request.client_host;
        member.protocols = request.protocols;
        // As long as all still agree on the same protocol nobody else has to hear of it.
        if self.state == State::Stable && self.choose_protocol() == self.protocol {
            self.is_to_be_noted = true;
            let mut joined = self.joined(index);
            if was_leader && request.can_skip_assignment {
                joined.skip_assignment = true;
            } else if was_leader {
                // An old client must not think that it leads: it would assign, and nobody waits for
                // it.
                joined.leader = old_id;
                joined.members.clear();
            }
            return Some(joined);
        }
        self.members[index].join = Some(call.clone());
        self.prepare_rebalance(now);
        None
    }

    /// What a member is told of the present generation.
    pub(super) fn joined(&self, index: usize) -> Joined {
        let member = &self.members[index];
        let protocol = self.protocol.as_deref();
        let is_leader = self.leader.as_ref() == Some(&member.id);
        let everybody = self.members.iter().map(|member| JoinedMember {
            member_id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            metadata: member.metadata(protocol),
        });
        Joined {
            error: ErrorCode::NONE,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            member_id: member.id.clone(),
            members: if is_leader { everybody.collect() } else { Vec::new() },
        }
    }
}
