//! A group of either kind, as [`super::Groups`] deals with it.

use std::io;
use std::time::Duration;

use super::classic::ClassicGroup;
use super::consumer::ConsumerGroup;
use super::members::{Change, GroupMembers, Kind, Note};

/// A group of either kind.
#[derive(Debug)]
pub(crate) enum Group {
    Classic(ClassicGroup),
    Consumer(ConsumerGroup),
}

impl Group {
    /// Whether the group has no member.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Classic(group) => group.is_empty(),
            Self::Consumer(group) => group.is_empty(),
        }
    }

    /// Whether nobody is in the group nor about to be.
    pub(super) fn is_gone(&self) -> bool {
        match self {
            Self::Classic(group) => group.is_gone(),
            Self::Consumer(group) => group.is_empty(),
        }
    }

    /// Whether nobody has got into the group yet.
    pub(super) fn is_new(&self) -> bool {
        let generation = match self {
            Self::Classic(group) => group.generation(),
            Self::Consumer(group) => group.epochs().0,
        };
        generation == 0
    }

    /// Whether nobody was ever in the group nor is about to be.
    pub(super) fn is_unused(&self) -> bool {
        self.is_gone() && self.is_new()
    }

    /// The state by Kafka's name.
    pub(crate) fn state_name(&self) -> &'static str {
        match self {
            Self::Classic(group) => group.state_name(),
            Self::Consumer(group) => group.state_name(),
        }
    }

    pub(crate) fn protocol_type(&self) -> &str {
        match self {
            Self::Classic(group) => group.protocol_type(),
            Self::Consumer(_) => "consumer",
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Classic(_) => Kind::Classic,
            Self::Consumer(_) => Kind::Consumer,
        }
    }

    /// Writes down what must outlive a kill.
    pub(super) fn note_in(&mut self, members: &mut GroupMembers, group_id: &str) -> io::Result<()> {
        match self {
            Self::Classic(group) => {
                let Some(note) = group.note() else { return Ok(()) };
                members.write(group_id, vec![Change::Classic(note)])?;
                group.is_noted();
            }
            Self::Consumer(group) => {
                let known = match members.get(group_id) {
                    Some(Note::Consumer(note)) => Some(note),
                    _ => None,
                };
                let changes = group.changes(known);
                members.write(group_id, changes)?;
                group.is_noted();
            }
        }
        Ok(())
    }

    pub(super) fn handle_timeout(&mut self, now: Duration) {
        match self {
            Self::Classic(group) => group.handle_timeout(now),
            Self::Consumer(group) => group.handle_timeout(now),
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Duration> {
        match self {
            Self::Classic(group) => group.next_timeout(),
            Self::Consumer(group) => group.next_timeout(),
        }
    }
}
