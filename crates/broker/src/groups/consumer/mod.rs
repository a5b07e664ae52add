//! A group of the consumer protocol (KIP-848) and its state.
//!
//! The coordinator decides who gets what. Each change of the members, of what they want or of the
//! topics raises the group's epoch, and a new target is made for everybody. Each member then gets
//! there on its own, heartbeat by heartbeat: it gives up first what it is not to have, and gets
//! what is free (see [`member`]). Nobody waits for all the others.

mod assignor;
mod member;
mod messages;
mod note;
mod subscription;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ottla_protocol::ErrorCode;

use assignor::{Assignor, Candidate};
use member::{Member, State};
pub(crate) use messages::{Heartbeat, HeartbeatAnswer, Partitions, Refusal};
use messages::{JOINS, LEAVES_FOR_A_WHILE};
pub(super) use note::{ConsumerNote, Epochs, MemberNote};
pub(crate) use subscription::Topics;

use crate::pattern::Pattern;

/// From this version of OffsetCommit on a commit carries the member's epoch.
const EPOCH_COMMIT_VERSION: i16 = 9;

/// What a broker has been told about such groups.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) session_timeout: Duration,
    pub(super) max_size: usize,
}

/// A group of the consumer protocol.
#[derive(Debug)]
pub(crate) struct ConsumerGroup {
    epoch: i32,
    /// The epoch for which the target was made.
    assignment_epoch: i32,
    /// What each member is to have.
    target: BTreeMap<String, Partitions>,
    members: BTreeMap<String, Member>,
    /// Members that may have something that must outlive a kill before anybody is told.
    touched: BTreeSet<String>,
    settings: Settings,
}

/// A member as ConsumerGroupDescribe shows it.
#[derive(Clone, Debug)]
pub(crate) struct DescribedConsumer {
    pub(crate) id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) rack_id: Option<String>,
    pub(crate) epoch: i32,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) topic_names: Vec<String>,
    pub(crate) topic_regex: Option<String>,
    pub(crate) assigned: Partitions,
    pub(crate) target: Partitions,
}

impl ConsumerGroup {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            epoch: 0,
            assignment_epoch: 0,
            target: BTreeMap::new(),
            members: BTreeMap::new(),
            touched: BTreeSet::new(),
            settings,
        }
    }

    /// From now on a member that says something has so much time for the next word.
    pub(super) fn set_session_timeout(&mut self, timeout: Duration) {
        self.settings.session_timeout = timeout;
    }

    /// See [`super::Groups::consumer_heartbeat`].
    pub(super) fn heartbeat(
        &mut self,
        request: Heartbeat,
        new_id: impl FnOnce() -> String,
        topics: &dyn Topics,
        now: Duration,
    ) -> Result<HeartbeatAnswer, Refusal> {
        if request.is_leaving() {
            return self.leave(&request);
        }
        let pattern = match request.topic_regex.as_deref() {
            None => None,
            Some("") => Some(None),
            Some(text) => Some(Some(Pattern::new(text).map_err(not_an_expression)?)),
        };
        let is_full = request.is_full();
        let owned = request.owned.clone();
        let (id, is_new) = self.admit(&request, new_id)?;
        let Some(member) = self.members.get_mut(&id) else {
            return Err(Refusal::unknown_member(&id));
        };
        self.touched.insert(id.clone());
        let before = member.assigned.clone();
        member.session_deadline = now + self.settings.session_timeout;
        let has_changed = member.update(request, pattern);
        let is_elsewhere = member.subscription.resolve(&member.principal, topics);
        if is_new || has_changed || is_elsewhere {
            self.epoch += 1;
        }
        if self.epoch > self.assignment_epoch {
            self.make_target(topics);
        }
        self.reconcile(&id, owned.as_ref(), now);
        let Some(member) = self.members.get(&id) else {
            return Err(Refusal::unknown_member(&id));
        };
        let is_told = is_full || member.assigned != before;
        Ok(HeartbeatAnswer {
            member_epoch: member.epoch,
            assignment: is_told.then(|| member.assigned.clone()),
            member_id: id,
        })
    }

    /// Finds the member that a heartbeat is from, or makes it. Gives back its id and whether it is
    /// new.
    fn admit(
        &mut self,
        request: &Heartbeat,
        new_id: impl FnOnce() -> String,
    ) -> Result<(String, bool), Refusal> {
        let is_known = self.members.contains_key(&request.member_id);
        if !is_known && self.members.len() >= self.settings.max_size {
            let message = format!("the group is full with {} members", self.members.len());
            return Err(Refusal::new(ErrorCode::GROUP_MAX_SIZE_REACHED, message));
        }
        let holder = request.instance_id.as_deref().and_then(|id| self.of_instance(id));
        match (holder, &request.instance_id) {
            (Some(holder), Some(instance_id)) if holder.id != request.member_id => {
                if !request.is_joining() {
                    return Err(fenced_instance(instance_id));
                }
                if !holder.is_away() {
                    let code = ErrorCode::UNRELEASED_INSTANCE_ID;
                    let message = format!("instance id {instance_id} belongs to {}", holder.id);
                    return Err(Refusal::new(code, message));
                }
                let (id, old_id) = (chosen_id(&request.member_id, new_id), holder.id.clone());
                self.replace(&old_id, &id);
                return Ok((id, false));
            }
            (None, Some(instance_id)) if !request.is_joining() => {
                let message = format!("there is no member with instance id {instance_id}");
                return Err(Refusal::new(ErrorCode::UNKNOWN_MEMBER_ID, message));
            }
            _ => {}
        }
        if let Some(member) = self.members.get_mut(&request.member_id) {
            member.check_epoch(request.member_epoch, request.owned.as_ref())?;
            return Ok((request.member_id.clone(), false));
        }
        if !request.is_joining() {
            return Err(Refusal::unknown_member(&request.member_id));
        }
        let id = chosen_id(&request.member_id, new_id);
        tracing::info!(member = %id, "member joins");
        let (instance_id, principal) = (request.instance_id.clone(), request.principal.clone());
        self.members.insert(id.clone(), Member::new(id.clone(), instance_id, principal));
        Ok((id, true))
    }

    fn of_instance(&self, instance_id: &str) -> Option<&Member> {
        self.members.values().find(|member| member.instance_id.as_deref() == Some(instance_id))
    }

    /// A static member has come back as another one, and has what the first had.
    fn replace(&mut self, old_id: &str, id: &str) {
        self.touched.insert(old_id.to_owned());
        if let Some(mut member) = self.members.remove(old_id) {
            member.id = id.to_owned();
            member.join_again();
            self.members.insert(id.to_owned(), member);
        }
        if let Some(target) = self.target.remove(old_id) {
            self.target.insert(id.to_owned(), target);
        }
    }

    fn leave(&mut self, request: &Heartbeat) -> Result<HeartbeatAnswer, Refusal> {
        let member_id = &request.member_id;
        match &request.instance_id {
            Some(instance_id) => match self.of_instance(instance_id) {
                Some(member) if member.id == *member_id => {}
                Some(_) => return Err(fenced_instance(instance_id)),
                None => {
                    let message = format!("there is no member with instance id {instance_id}");
                    return Err(Refusal::new(ErrorCode::UNKNOWN_MEMBER_ID, message));
                }
            },
            None if self.members.contains_key(member_id) => {}
            None => return Err(Refusal::unknown_member(member_id)),
        }
        if request.member_epoch == LEAVES_FOR_A_WHILE {
            if let Some(member) = self.members.get_mut(member_id) {
                self.touched.insert(member_id.clone());
                member.epoch = LEAVES_FOR_A_WHILE;
                member.pending_revocation.clear();
                member.rebalance_deadline = None;
            }
        } else {
            self.remove(member_id);
        }
        Ok(HeartbeatAnswer {
            member_id: member_id.clone(),
            member_epoch: request.member_epoch,
            assignment: None,
        })
    }

    /// An administrator removes a static member.
    pub(super) fn remove_instance(&mut self, instance_id: &str) -> Result<(), ErrorCode> {
        let member = self.of_instance(instance_id).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
        let id = member.id.clone();
        self.remove(&id);
        Ok(())
    }

    fn remove(&mut self, member_id: &str) {
        self.members.remove(member_id);
        self.target.remove(member_id);
        self.touched.insert(member_id.to_owned());
        self.epoch += 1;
    }

    /// Decides who is to have what.
    fn make_target(&mut self, topics: &dyn Topics) {
        for member in self.members.values_mut() {
            member.subscription.resolve(&member.principal, topics);
        }
        let candidates = self.members.values().map(|member| Candidate {
            id: &member.id,
            instance_id: member.instance_id.as_deref(),
            topics: member.subscription.topics(),
            previous: self.target.get(&member.id).cloned().unwrap_or_default(),
        });
        let candidates: Vec<Candidate<'_>> = candidates.collect();
        let shares = self.assignor().assign(&candidates);
        let ids = self.members.keys().cloned();
        self.touched.extend(ids.clone());
        self.target = ids.zip(shares).collect();
        self.assignment_epoch = self.epoch;
    }

    /// The assignor that most members would like.
    fn assignor(&self) -> Assignor {
        let mut votes: BTreeMap<Assignor, usize> = BTreeMap::new();
        for name in self.members.values().filter_map(|member| member.assignor.as_deref()) {
            if let Some(assignor) = Assignor::by_name(name) {
                *votes.entry(assignor).or_default() += 1;
            }
        }
        // Of two that are liked alike it is the one that stands first.
        let best = votes.into_iter().rev().max_by_key(|(_, votes)| *votes);
        best.map_or(Assignor::Uniform, |(assignor, _)| assignor)
    }

    fn reconcile(&mut self, id: &str, owned: Option<&Partitions>, now: Duration) {
        let Some(mut member) = self.members.remove(id) else {
            return;
        };
        let before = (member.state, member.epoch, member.pending_revocation.clone());
        let target = self.target.get(id).cloned().unwrap_or_default();
        member.reconcile(self.assignment_epoch, &target, owned, |partition| {
            self.members.values().any(|other| other.holds(partition))
        });
        if member.state != State::UnrevokedPartitions {
            member.rebalance_deadline = None;
        } else if before != (member.state, member.epoch, member.pending_revocation.clone()) {
            member.rebalance_deadline = Some(now + member.rebalance_timeout);
        }
        self.members.insert(id.to_owned(), member);
    }

    /// Says why somebody may not commit offsets.
    pub(super) fn check_commit(
        &self,
        member_id: &str,
        epoch: i32,
        version: i16,
    ) -> Result<(), ErrorCode> {
        if epoch < 0 && self.members.is_empty() {
            return Ok(());
        }
        let member = self.members.get(member_id).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
        if version < EPOCH_COMMIT_VERSION {
            return Err(ErrorCode::UNSUPPORTED_VERSION);
        }
        if epoch == member.epoch { Ok(()) } else { Err(ErrorCode::STALE_MEMBER_EPOCH) }
    }

    /// Says why somebody may not ask for offsets.
    pub(super) fn check_fetch(&self, member_id: Option<&str>, epoch: i32) -> Result<(), ErrorCode> {
        let Some(member_id) = member_id.filter(|id| epoch >= 0 || !id.is_empty()) else {
            return if epoch < 0 { Ok(()) } else { Err(ErrorCode::UNKNOWN_MEMBER_ID) };
        };
        let member = self.members.get(member_id).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
        if epoch == member.epoch { Ok(()) } else { Err(ErrorCode::STALE_MEMBER_EPOCH) }
    }

    /// Time has passed.
    pub(super) fn handle_timeout(&mut self, now: Duration) {
        let is_late = |member: &Member| {
            member.session_deadline <= now
                || member.rebalance_deadline.is_some_and(|deadline| deadline <= now)
        };
        let late: Vec<String> =
            self.members.values().filter(|m| is_late(m)).map(|m| m.id.clone()).collect();
        for id in late {
            tracing::info!(member = %id, "group member is silent or holds on, removed");
            self.remove(&id);
        }
    }

    /// The next time at which something lapses.
    pub(super) fn next_timeout(&self) -> Option<Duration> {
        let deadline = |member: &Member| {
            let session = member.session_deadline;
            member.rebalance_deadline.map_or(session, |rebalance| rebalance.min(session))
        };
        self.members.values().map(deadline).min()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn is_subscribed_to(&self, topic: &str) -> bool {
        self.members.values().any(|member| member.subscription.includes(topic))
    }

    /// The state by Kafka's name.
    pub(super) fn state_name(&self) -> &'static str {
        if self.members.is_empty() {
            "Empty"
        } else if self.epoch > self.assignment_epoch {
            "Assigning"
        } else if self.members.values().all(|m| m.is_reconciled_to(self.assignment_epoch)) {
            "Stable"
        } else {
            "Reconciling"
        }
    }

    pub(crate) fn epochs(&self) -> (i32, i32) {
        (self.epoch, self.assignment_epoch)
    }

    pub(crate) fn assignor_name(&self) -> &'static str {
        self.assignor().name()
    }

    pub(crate) fn describe_members(&self) -> Vec<DescribedConsumer> {
        let members = self.members.values().map(|member| DescribedConsumer {
            id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            rack_id: member.rack_id.clone(),
            epoch: member.epoch,
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            topic_names: member.subscription.names.iter().cloned().collect(),
            topic_regex: member
                .subscription
                .pattern
                .as_ref()
                .map(|pattern| pattern.text().to_owned()),
            // What it is to give up it still has.
            assigned: &member.assigned | &member.pending_revocation,
            target: self.target.get(&member.id).cloned().unwrap_or_default(),
        });
        members.collect()
    }
}

impl Member {
    /// Takes over what a heartbeat says. Says whether it wants other topics than before.
    fn update(&mut self, request: Heartbeat, pattern: Option<Option<Pattern>>) -> bool {
        let renew = |known: &mut Option<String>, told: Option<String>| {
            if told.is_some() {
                *known = told;
            }
        };
        renew(&mut self.instance_id, request.instance_id);
        renew(&mut self.rack_id, request.rack_id);
        renew(&mut self.assignor, request.assignor);
        self.rebalance_timeout = request.rebalance_timeout.unwrap_or(self.rebalance_timeout);
        self.client_id = request.client_id;
        self.client_host = request.client_host;
        self.principal = request.principal;
        self.subscription.update(request.topic_names, pattern)
    }

    /// Says why a heartbeat with this epoch is not this member's.
    fn check_epoch(&mut self, epoch: i32, owned: Option<&Partitions>) -> Result<(), Refusal> {
        if epoch == JOINS {
            self.join_again();
            return Ok(());
        }
        // The answer with the present epoch may have been lost.
        let is_repeated = epoch == self.previous_epoch
            && owned.is_some_and(|owned| owned.is_subset(&self.assigned));
        if epoch == self.epoch || (epoch < self.epoch && is_repeated) {
            return Ok(());
        }
        Err(Refusal::fenced(format!("member epoch {epoch} is not the present one, {}", self.epoch)))
    }

    fn join_again(&mut self) {
        self.epoch = JOINS;
        self.previous_epoch = JOINS;
    }
}

fn chosen_id(wanted: &str, new_id: impl FnOnce() -> String) -> String {
    if wanted.is_empty() { new_id() } else { wanted.to_owned() }
}

fn fenced_instance(instance_id: &str) -> Refusal {
    let message = format!("instance id {instance_id} belongs to another member");
    Refusal::new(ErrorCode::FENCED_INSTANCE_ID, message)
}

fn not_an_expression(message: String) -> Refusal {
    Refusal::new(ErrorCode::INVALID_REGULAR_EXPRESSION, message)
}
