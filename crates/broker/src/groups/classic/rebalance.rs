//! A rebalance: gathering the members, choosing what they speak, passing on what the leader
//! decides.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::ErrorCode;

use super::member::Member;
use super::{ClassicGroup, GroupAnswer, GroupReply, State, Synced};

impl ClassicGroup {
    /// Asks everybody to join anew, unless that is under way already.
    pub(super) fn prepare_rebalance(&mut self, now: Duration) {
        if let State::CompletingRebalance { .. } = self.state {
            for member in &mut self.members {
                if let Some(call) = member.sync.take() {
                    let reply = GroupReply::Sync(Synced::refused(ErrorCode::REBALANCE_IN_PROGRESS));
                    self.answers.push(GroupAnswer { call, reply });
                }
            }
        }
        if !matches!(self.state, State::PreparingRebalance { .. }) {
            let delay = match self.state {
                State::Empty => self.initial_rebalance_delay,
                _ => Duration::ZERO,
            };
            let deadline = now + self.longest_rebalance().max(delay);
            self.state = State::PreparingRebalance { not_before: now + delay, deadline };
        }
        self.try_complete_join(now);
    }

    fn longest_rebalance(&self) -> Duration {
        self.members.iter().map(|member| member.rebalance_timeout).max().unwrap_or_default()
    }

    /// Ends the gathering when all are here or time is up.
    pub(super) fn try_complete_join(&mut self, now: Duration) {
        let State::PreparingRebalance { not_before, deadline } = self.state else {
            return;
        };
        let all_are_here =
            self.pending.is_empty() && self.members.iter().all(|member| member.join.is_some());
        if now >= deadline || (now >= not_before && all_are_here) {
            self.complete_join(now);
        }
    }

    /// Ends the gathering: who has not come is out, the rest are told who they are.
    fn complete_join(&mut self, now: Duration) {
        self.pending.clear();
        // A static member may be restarting; its place is kept until its session ends.
        self.members.retain(|member| member.join.is_some() || member.instance_id.is_some());
        if !self.members.is_empty() && self.members.iter().all(|member| member.join.is_none()) {
            let deadline = now + self.longest_rebalance().max(Duration::from_millis(1));
            self.state = State::PreparingRebalance { not_before: deadline, deadline };
            return;
        }
        self.generation += 1;
        if self.members.is_empty() {
            self.state = State::Empty;
            self.is_to_be_noted = true;
            self.protocol = None;
            self.leader = None;
            return;
        }
        self.protocol = self.choose_protocol();
        let leads =
            |member: &Member| member.join.is_some() && Some(&member.id) == self.leader.as_ref();
        if !self.members.iter().any(leads) {
            let first = self.members.iter().find(|member| member.join.is_some());
            self.leader = first.map(|member| member.id.clone());
        }
        self.state = State::CompletingRebalance { deadline: now + self.longest_rebalance() };
        for index in 0..self.members.len() {
            let joined = self.joined(index);
            let member = &mut self.members[index];
            member.session_deadline = now + member.session_timeout;
            if let Some(call) = member.join.take() {
                self.answers.push(GroupAnswer { call, reply: GroupReply::Join(joined) });
            }
        }
    }

    /// The protocol that most members like best of those that all speak.
    pub(super) fn choose_protocol(&self) -> Option<String> {
        let first = self.members.first()?;
        let names = first.protocols.iter().map(|(name, _)| name.as_str());
        let common: HashSet<&str> =
            names.filter(|name| self.members.iter().all(|member| member.supports(name))).collect();
        let mut votes: HashMap<&str, usize> = HashMap::new();
        for member in &self.members {
            let mut liked = member.protocols.iter().map(|(name, _)| name.as_str());
            if let Some(best) = liked.find(|name| common.contains(name)) {
                *votes.entry(best).or_default() += 1;
            }
        }
        // A tie goes to the first in the alphabet, so that the choice does not depend on chance.
        let best = votes
            .into_iter()
            .max_by(|left, right| left.1.cmp(&right.1).then_with(|| right.0.cmp(left.0)));
        best.map(|(name, _)| name.to_owned())
    }

    /// The leader has decided; everybody who waits gets its part.
    pub(super) fn assign(&mut self, assignments: Vec<(String, Bytes)>, now: Duration) {
        let mut assignments: HashMap<String, Bytes> = assignments.into_iter().collect();
        for member in &mut self.members {
            member.assignment = assignments.remove(&member.id).unwrap_or_default();
        }
        self.state = State::Stable;
        self.is_to_be_noted = true;
        for index in 0..self.members.len() {
            let synced = self.synced(index);
            let member = &mut self.members[index];
            member.session_deadline = now + member.session_timeout;
            if let Some(call) = member.sync.take() {
                self.answers.push(GroupAnswer { call, reply: GroupReply::Sync(synced) });
            }
        }
    }
}
