//! Who is in the groups, in memory and in a journal: a coordinator that comes back after a kill
//! must know whom it has given what, or a member that it does not know any more would commit
//! offsets beside the one that reads in its place.
//!
//! Of a classic group it is noted what a generation has come to, once its leader has decided; of
//! one of the consumer protocol each step of each member.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::classic::ClassicNote;
use super::consumer::{ConsumerNote, Epochs, MemberNote};
use crate::error::StartError;
use crate::journal::{Journal, to_lines};
use crate::log::Storage;

/// The protocol that a group's members speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// JoinGroup and SyncGroup.
    Classic,
    /// ConsumerGroupHeartbeat (KIP-848).
    Consumer,
}

impl Kind {
    /// The kind by Kafka's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Consumer => "consumer",
        }
    }
}

/// What is noted of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Note {
    Classic(ClassicNote),
    Consumer(ConsumerNote),
}

/// A line of the journal.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    group: String,
    now: Change,
}

/// What a line says of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Change {
    /// It is a classic group, and this is all of it.
    Classic(ClassicNote),
    /// It is of the consumer protocol, and these are its epochs.
    Consumer(Epochs),
    /// A member of the consumer protocol is this.
    Member(Box<MemberNote>),
    /// A member of the consumer protocol is no more.
    Left(String),
    /// The group is no more.
    Gone,
}

/// The notes of all groups.
#[derive(Debug)]
pub(super) struct GroupMembers {
    journal: Journal,
    known: Known,
}

#[derive(Debug, Default)]
struct Known(BTreeMap<String, Note>);

impl GroupMembers {
    /// Reads the journal.
    pub(super) fn open(path: PathBuf, storage: Arc<dyn Storage>) -> Result<Self, StartError> {
        let mut known = Known::default();
        let journal = Journal::open(path, storage, &mut known, Known::apply, Known::lines)?;
        Ok(Self { journal, known })
    }

    /// All groups of which something is noted.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &Note)> {
        self.known.0.iter().map(|(group, note)| (group.as_str(), note))
    }

    pub(super) fn get(&self, group: &str) -> Option<&Note> {
        self.known.0.get(group)
    }

    /// Takes note of changes; they are in the file when this returns. On failure none is.
    pub(super) fn write(&mut self, group: &str, changes: Vec<Change>) -> io::Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let lines = changes.into_iter().map(|now| Line { group: group.to_owned(), now });
        let lines: Vec<Line> = lines.collect();
        self.journal.append(&to_lines(&lines)?)?;
        lines.into_iter().for_each(|line| self.known.apply(line));
        self.journal.rewrite_if_large(|| self.known.lines());
        Ok(())
    }

    pub(super) fn forget_group(&mut self, group: &str) -> io::Result<()> {
        let is_known = self.known.0.contains_key(group);
        self.write(group, if is_known { vec![Change::Gone] } else { Vec::new() })
    }
}

impl Known {
    fn apply(&mut self, Line { group, now }: Line) {
        match now {
            Change::Classic(note) => {
                self.0.insert(group, Note::Classic(note));
            }
            Change::Consumer(epochs) => self.consumer(group).epochs = epochs,
            Change::Member(member) => {
                self.consumer(group).members.insert(member.id.clone(), *member);
            }
            Change::Left(id) => {
                self.consumer(group).members.remove(&id);
            }
            Change::Gone => {
                self.0.remove(&group);
            }
        }
    }

    /// The note of a group that is of the consumer protocol from here on.
    fn consumer(&mut self, group: String) -> &mut ConsumerNote {
        let note = self.0.entry(group).or_insert_with(|| Note::Consumer(ConsumerNote::default()));
        if let Note::Classic(_) = note {
            *note = Note::Consumer(ConsumerNote::default());
        }
        match note {
            Note::Consumer(note) => note,
            Note::Classic(_) => unreachable!("it was made one of the consumer protocol"),
        }
    }

    fn lines(&self) -> io::Result<Vec<u8>> {
        let lines = self.0.iter().flat_map(|(group, note)| {
            let changes = match note {
                Note::Classic(note) => vec![Change::Classic(note.clone())],
                Note::Consumer(note) => std::iter::once(Change::Consumer(note.epochs))
                    .chain(note.members.values().cloned().map(Box::new).map(Change::Member))
                    .collect(),
            };
            changes.into_iter().map(move |now| Line { group: group.clone(), now })
        });
        to_lines(lines)
    }
}
