//! What outlives a kill of a group of the consumer protocol: all that its members were told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ottla_protocol::Uuid;
use serde::{Deserialize, Serialize};

use super::member::{Member, State};
use super::subscription::Subscription;
use super::{ConsumerGroup, Partitions};
use crate::groups::members::Change;
use crate::pattern::Pattern;

/// A group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::groups) struct ConsumerNote {
    pub(in crate::groups) epochs: Epochs,
    pub(in crate::groups) members: BTreeMap<String, MemberNote>,
}

/// The epochs of a group and of its target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::groups) struct Epochs {
    group: i32,
    target: i32,
}

/// A member and its target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::groups) struct MemberNote {
    pub(in crate::groups) id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rack_id: Option<String>,
    client_id: String,
    client_host: String,
    principal: String,
    rebalance_timeout_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    assignor: Option<String>,
    topic_names: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    topic_regex: Option<String>,
    /// The topics that it wants, with the number of their partitions.
    #[serde(with = "crate::as_text::partitions")]
    topics: BTreeSet<(Uuid, i32)>,
    state: State,
    epoch: i32,
    previous_epoch: i32,
    #[serde(with = "crate::as_text::partitions")]
    assigned: Partitions,
    #[serde(with = "crate::as_text::partitions")]
    pending_revocation: Partitions,
    #[serde(with = "crate::as_text::partitions")]
    target: Partitions,
}

impl ConsumerGroup {
    /// What is to be noted beside `known`.
    pub(in crate::groups) fn changes(&self, known: Option<&ConsumerNote>) -> Vec<Change> {
        let mut changes = Vec::new();
        let epochs = Epochs { group: self.epoch, target: self.assignment_epoch };
        if known.is_none_or(|known| known.epochs != epochs) {
            changes.push(Change::Consumer(epochs));
        }
        for id in &self.touched {
            let noted = known.and_then(|known| known.members.get(id));
            let present = self.members.get(id).map(|member| self.member_note(member));
            match present {
                Some(present) if noted != Some(&present) => {
                    changes.push(Change::Member(Box::new(present)))
                }
                None if noted.is_some() => changes.push(Change::Left(id.clone())),
                _ => {}
            }
        }
        changes
    }

    /// What was to be noted is.
    pub(in crate::groups) fn is_noted(&mut self) {
        self.touched.clear();
    }

    fn member_note(&self, member: &Member) -> MemberNote {
        let timeout = member.rebalance_timeout.as_millis();
        MemberNote {
            id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            rack_id: member.rack_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            principal: member.principal.to_string(),
            rebalance_timeout_ms: u64::try_from(timeout).unwrap_or(u64::MAX),
            assignor: member.assignor.clone(),
            topic_names: member.subscription.names.clone(),
            topic_regex: member.subscription.pattern.as_ref().map(|it| it.text().to_owned()),
            topics: member.subscription.topics().iter().map(|(id, count)| (*id, *count)).collect(),
            state: member.state,
            epoch: member.epoch,
            previous_epoch: member.previous_epoch,
            assigned: member.assigned.clone(),
            pending_revocation: member.pending_revocation.clone(),
            target: self.target.get(&member.id).cloned().unwrap_or_default(),
        }
    }

    /// Makes the group what a note says. Every member has all of its time from now on.
    pub(in crate::groups) fn restored(mut self, note: &ConsumerNote, now: Duration) -> Self {
        self.epoch = note.epochs.group;
        self.assignment_epoch = note.epochs.target;
        for (id, member) in &note.members {
            self.target.insert(id.clone(), member.target.clone());
            let session_deadline = now + self.settings.session_timeout;
            self.members.insert(id.clone(), member.restored(session_deadline, now));
        }
        self
    }
}

impl MemberNote {
    fn restored(&self, session_deadline: Duration, now: Duration) -> Member {
        let rebalance_timeout = Duration::from_millis(self.rebalance_timeout_ms);
        let must_give_up = self.state == State::UnrevokedPartitions;
        // It was taken once.
        let pattern = self.topic_regex.as_deref().and_then(|text| Pattern::new(text).ok());
        let topics = self.topics.iter().copied().collect();
        let names = self.topic_names.clone();
        Member {
            rack_id: self.rack_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            rebalance_timeout,
            assignor: self.assignor.clone(),
            subscription: Subscription::restored(names, pattern, topics),
            state: self.state,
            epoch: self.epoch,
            previous_epoch: self.previous_epoch,
            assigned: self.assigned.clone(),
            pending_revocation: self.pending_revocation.clone(),
            session_deadline,
            rebalance_deadline: must_give_up.then(|| now + rebalance_timeout),
            ..Member::new(self.id.clone(), self.instance_id.clone(), (*self.principal).into())
        }
    }
}
