//! What groups have committed, in memory and in a journal.
//!
//! The last word on a partition holds.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use ottla_protocol::ErrorCode;
use serde::{Deserialize, Serialize};

use crate::error::StartError;
use crate::journal::{Journal, to_lines};
use crate::log::Storage;

/// `offset.metadata.max.bytes`.
const MAX_METADATA_BYTES: usize = 4096;

/// An offset that a group has committed for a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    #[serde(default = "no_epoch", skip_serializing_if = "is_no_epoch")]
    pub(crate) leader_epoch: i32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) metadata: String,
}

impl Committed {
    /// What a client wants to commit.
    ///
    /// # Errors
    /// When it has more to say along with it than is kept.
    pub(crate) fn new(
        offset: i64,
        leader_epoch: i32,
        metadata: Option<&str>,
    ) -> Result<Self, ErrorCode> {
        let metadata = metadata.unwrap_or_default();
        if metadata.len() > MAX_METADATA_BYTES {
            return Err(ErrorCode::OFFSET_METADATA_TOO_LARGE);
        }
        Ok(Self { offset, leader_epoch, metadata: metadata.to_owned() })
    }
}

fn no_epoch() -> i32 {
    -1
}

fn is_no_epoch(epoch: &i32) -> bool {
    *epoch == -1
}

/// A line of the journal.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    group: String,
    /// `None`: everything of the group is forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    #[serde(default)]
    partition: i32,
    /// `None`: what was committed for the partition is forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    committed: Option<Committed>,
}

type ByPartition = BTreeMap<(String, i32), Committed>;

/// What all groups have committed.
#[derive(Debug)]
pub(crate) struct GroupOffsets {
    journal: Journal,
    known: Known,
}

/// What the journal comes to, by group.
#[derive(Debug, Default)]
struct Known(BTreeMap<String, ByPartition>);

impl GroupOffsets {
    /// Reads the journal.
    pub(crate) fn open(path: PathBuf, storage: Arc<dyn Storage>) -> Result<Self, StartError> {
        let mut known = Known::default();
        let journal = Journal::open(path, storage, &mut known, Known::apply, Known::lines)?;
        Ok(Self { journal, known })
    }

    /// Takes note of commits; they are in the file when this returns.
    pub(crate) fn commit(
        &mut self,
        group: &str,
        commits: Vec<(String, i32, Committed)>,
    ) -> io::Result<()> {
        let lines = commits.into_iter().map(|(topic, partition, committed)| Line {
            group: group.to_owned(),
            topic: Some(topic),
            partition,
            committed: Some(committed),
        });
        self.write(lines.collect())
    }

    pub(crate) fn forget_group(&mut self, group: &str) -> io::Result<()> {
        if !self.has_group(group) {
            return Ok(());
        }
        self.write(vec![Line {
            group: group.to_owned(),
            topic: None,
            partition: 0,
            committed: None,
        }])
    }

    pub(crate) fn forget_topic(&mut self, topic: &str) -> io::Result<()> {
        let mut lines = Vec::new();
        for (group, committed) in &self.known.0 {
            for (name, partition) in committed.keys().filter(|(name, _)| name == topic) {
                lines.push(Line {
                    group: group.clone(),
                    topic: Some(name.clone()),
                    partition: *partition,
                    committed: None,
                });
            }
        }
        self.write(lines)
    }

    /// Takes note of single offsets that are not wanted any more.
    pub(crate) fn forget_partitions(
        &mut self,
        group: &str,
        partitions: Vec<(String, i32)>,
    ) -> io::Result<()> {
        let known = partitions
            .into_iter()
            .filter(|(topic, partition)| self.get(group, topic, *partition).is_some());
        let lines = known.map(|(topic, partition)| Line {
            group: group.to_owned(),
            topic: Some(topic),
            partition,
            committed: None,
        });
        let lines = lines.collect();
        self.write(lines)
    }

    /// Whether a group has committed anything.
    pub(crate) fn has_group(&self, group: &str) -> bool {
        self.known.0.contains_key(group)
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = &str> {
        self.known.0.keys().map(String::as_str)
    }

    pub(crate) fn get(&self, group: &str, topic: &str, partition: i32) -> Option<&Committed> {
        self.known.0.get(group)?.get(&(topic.to_owned(), partition))
    }

    /// Everything that a group has committed, by topic and partition in order.
    pub(crate) fn of_group(&self, group: &str) -> impl Iterator<Item = (&str, i32, &Committed)> {
        let committed = self.known.0.get(group).into_iter().flatten();
        committed.map(|((topic, partition), committed)| (topic.as_str(), *partition, committed))
    }

    fn write(&mut self, lines: Vec<Line>) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        self.journal.append(&to_lines(&lines)?)?;
        lines.into_iter().for_each(|line| self.known.apply(line));
        self.journal.rewrite_if_large(|| self.known.lines());
        Ok(())
    }
}

impl Known {
    fn apply(&mut self, line: Line) {
        match (line.topic, line.committed) {
            (None, _) => {
                self.0.remove(&line.group);
            }
            (Some(topic), Some(committed)) => {
                let group = self.0.entry(line.group).or_default();
                group.insert((topic, line.partition), committed);
            }
            (Some(topic), None) => {
                if let Some(group) = self.0.get_mut(&line.group) {
                    group.remove(&(topic, line.partition));
                    if group.is_empty() {
                        self.0.remove(&line.group);
                    }
                }
            }
        }
    }

    /// A line for each offset that holds.
    fn lines(&self) -> io::Result<Vec<u8>> {
        let offsets = self.0.iter().flat_map(|(group, committed)| {
            committed.iter().map(move |((topic, partition), committed)| Line {
                group: group.clone(),
                topic: Some(topic.clone()),
                partition: *partition,
                committed: Some(committed.clone()),
            })
        });
        to_lines(offsets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::DiskStorage;

    fn open(path: &std::path::Path) -> Result<GroupOffsets, StartError> {
        GroupOffsets::open(path.to_owned(), Arc::new(DiskStorage { is_durable: false }))
    }

    fn at(offset: i64) -> Committed {
        Committed { offset, leader_epoch: 3, metadata: "note".to_owned() }
    }

    #[test]
    fn commits_survive_a_kill_and_the_last_one_holds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("offsets");
        for round in 0..3 {
            let mut offsets = open(&path).unwrap();
            assert_eq!(
                offsets.get("g", "t", 1).map(|c| c.offset),
                (round > 0).then_some(round * 10 - 1)
            );
            for offset in round * 10..round * 10 + 10 {
                offsets.commit("g", vec![("t".to_owned(), 1, at(offset))]).unwrap();
            }
        }
        let offsets = open(&path).unwrap();
        assert_eq!(offsets.get("g", "t", 1), Some(&at(29)));
        assert_eq!(offsets.get("g", "t", 2), None);
    }

    #[test]
    fn what_is_forgotten_stays_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("offsets");
        let mut offsets = open(&path).unwrap();
        for group in ["a", "b"] {
            for topic in ["t", "u"] {
                offsets.commit(group, vec![(topic.to_owned(), 0, at(1))]).unwrap();
            }
        }
        offsets.forget_group("a").unwrap();
        offsets.forget_topic("u").unwrap();
        for offsets in [offsets, open(&path).unwrap()] {
            assert_eq!(offsets.groups().collect::<Vec<_>>(), ["b"]);
            assert_eq!(offsets.of_group("b").count(), 1);
        }
    }

    #[test]
    fn an_unfinished_last_line_is_cut_off_and_any_other_damage_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("offsets");
        let mut offsets = open(&path).unwrap();
        offsets.commit("g", vec![("t".to_owned(), 0, at(1))]).unwrap();
        offsets.commit("g", vec![("t".to_owned(), 0, at(2))]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        assert_eq!(open(&path).unwrap().get("g", "t", 0), Some(&at(1)));
        std::fs::write(&path, [b"garbage\n", whole.as_slice()].concat()).unwrap();
        assert!(open(&path).unwrap_err().to_string().contains("line 1"));
    }
}
