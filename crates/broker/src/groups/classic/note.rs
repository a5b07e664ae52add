//! What outlives a kill of a classic group: a generation whose leader has decided.
//!
//! A rebalance that was under way does not: the members go on with the generation before it, or
//! hear that theirs is another one, and join again.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::member::Member;
use super::{ClassicGroup, State};

/// A generation of a group. One without members is there for its number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::groups) struct ClassicNote {
    generation: i32,
    protocol_type: Option<String>,
    protocol: Option<String>,
    leader: Option<String>,
    /// In the order in which they joined.
    members: Vec<NotedMember>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NotedMember {
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance_id: Option<String>,
    client_id: String,
    client_host: String,
    session_timeout_ms: u64,
    rebalance_timeout_ms: u64,
    protocols: Vec<NotedProtocol>,
    #[serde(with = "crate::as_text::bytes")]
    assignment: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NotedProtocol {
    name: String,
    #[serde(with = "crate::as_text::bytes")]
    metadata: Bytes,
}

impl ClassicGroup {
    /// What is to be noted since the last [`ClassicGroup::is_noted`].
    pub(in crate::groups) fn note(&self) -> Option<ClassicNote> {
        self.is_to_be_noted.then(|| ClassicNote {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            members: self.members.iter().map(NotedMember::of).collect(),
        })
    }

    /// What was to be noted is.
    pub(in crate::groups) fn is_noted(&mut self) {
        self.is_to_be_noted = false;
    }

    /// Makes the group what a note says. Every member has all of its session from now on.
    pub(in crate::groups) fn restored(mut self, note: &ClassicNote, now: Duration) -> Self {
        self.state = if note.members.is_empty() { State::Empty } else { State::Stable };
        self.generation = note.generation;
        self.protocol_type.clone_from(&note.protocol_type);
        self.protocol.clone_from(&note.protocol);
        self.leader.clone_from(&note.leader);
        self.members = note.members.iter().map(|member| member.restored(now)).collect();
        self
    }
}

impl NotedMember {
    fn of(member: &Member) -> Self {
        let protocols = member.protocols.iter().map(|(name, metadata)| NotedProtocol {
            name: name.clone(),
            metadata: metadata.clone(),
        });
        Self {
            id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            session_timeout_ms: whole_ms(member.session_timeout),
            rebalance_timeout_ms: whole_ms(member.rebalance_timeout),
            protocols: protocols.collect(),
            assignment: member.assignment.clone(),
        }
    }

    fn restored(&self, now: Duration) -> Member {
        let session_timeout = Duration::from_millis(self.session_timeout_ms);
        let protocols = self.protocols.iter().map(|it| (it.name.clone(), it.metadata.clone()));
        Member {
            id: self.id.clone(),
            instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            session_timeout,
            rebalance_timeout: Duration::from_millis(self.rebalance_timeout_ms),
            protocols: protocols.collect(),
            assignment: self.assignment.clone(),
            session_deadline: now + session_timeout,
            join: None,
            sync: None,
        }
    }
}

/// Timeouts come from 32 bits of milliseconds.
fn whole_ms(timeout: Duration) -> u64 {
    u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)
}
