//! What groups have committed and of which kind they are, in memory and in a journal.
//!
//! The journal is a text file with one JSON object on each line; the last word on a partition
//! holds. A line that a killed process did not finish is the last one and is cut off. The file is
//! written anew when it is opened, and when it has grown to many times what it has to say.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::StartError;
use crate::log::{Storage, StoredFile, Survives};

/// The journal is not written anew below this size.
const MIN_COMPACTION_BYTES: u64 = 1024 * 1024;

/// An offset that a group has committed for a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    #[serde(default = "no_epoch", skip_serializing_if = "is_no_epoch")]
    pub(crate) leader_epoch: i32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) metadata: String,
}

fn no_epoch() -> i32 {
    -1
}

fn is_no_epoch(epoch: &i32) -> bool {
    *epoch == -1
}

/// The protocol that a group's members speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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

/// A line of the journal.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    group: String,
    /// Of which kind the group is from here on; the line says nothing else then.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    /// `None`: everything of the group is forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    #[serde(default)]
    partition: i32,
    /// `None`: what was committed for the partition is forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    committed: Option<Committed>,
}

fn kind_line(group: &str, kind: Kind) -> Line {
    Line { group: group.to_owned(), kind: Some(kind), topic: None, partition: 0, committed: None }
}

type ByPartition = BTreeMap<(String, i32), Committed>;

/// What all groups have committed.
#[derive(Debug)]
pub(crate) struct GroupOffsets {
    storage: Arc<dyn Storage>,
    path: PathBuf,
    journal: Option<Arc<dyn StoredFile>>,
    journal_bytes: u64,
    /// Size of the journal when it was last written anew.
    compacted_bytes: u64,
    groups: BTreeMap<String, ByPartition>,
    /// The kinds of the groups that had members.
    kinds: BTreeMap<String, Kind>,
}

impl GroupOffsets {
    /// Reads the journal.
    pub(crate) fn open(path: PathBuf, storage: Arc<dyn Storage>) -> Result<Self, StartError> {
        let mut offsets = Self {
            storage,
            path,
            journal: None,
            journal_bytes: 0,
            compacted_bytes: 0,
            groups: BTreeMap::new(),
            kinds: BTreeMap::new(),
        };
        let bytes = match offsets.storage.read(&offsets.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(offsets),
            Err(source) => return Err(StartError::DataDir { path: offsets.path, source }),
        };
        // What follows the last line break is a line that was not finished.
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        for (index, line) in bytes[..end].split(|byte| *byte == b'\n').enumerate() {
            if line.is_empty() {
                continue;
            }
            let line: Line = serde_json::from_slice(line).map_err(|error| StartError::Damaged {
                path: offsets.path.clone(),
                reason: format!("line {}: {error}", index + 1),
            })?;
            offsets.apply(line);
        }
        offsets
            .compact()
            .map_err(|source| StartError::DataDir { path: offsets.path.clone(), source })?;
        Ok(offsets)
    }

    fn apply(&mut self, line: Line) {
        if let Some(kind) = line.kind {
            self.kinds.insert(line.group, kind);
            return;
        }
        match (line.topic, line.committed) {
            (None, _) => {
                self.groups.remove(&line.group);
                self.kinds.remove(&line.group);
            }
            (Some(topic), Some(committed)) => {
                let group = self.groups.entry(line.group).or_default();
                group.insert((topic, line.partition), committed);
            }
            (Some(topic), None) => {
                if let Some(group) = self.groups.get_mut(&line.group) {
                    group.remove(&(topic, line.partition));
                    if group.is_empty() {
                        self.groups.remove(&line.group);
                    }
                }
            }
        }
    }

    /// Takes note of commits; they are in the file when this returns.
    pub(crate) fn commit(
        &mut self,
        group: &str,
        commits: Vec<(String, i32, Committed)>,
    ) -> io::Result<()> {
        let lines = commits.into_iter().map(|(topic, partition, committed)| Line {
            kind: None,
            group: group.to_owned(),
            topic: Some(topic),
            partition,
            committed: Some(committed),
        });
        self.write(lines.collect())
    }

    pub(crate) fn forget_group(&mut self, group: &str) -> io::Result<()> {
        if !self.has_group(group) && !self.kinds.contains_key(group) {
            return Ok(());
        }
        self.write(vec![Line {
            group: group.to_owned(),
            kind: None,
            topic: None,
            partition: 0,
            committed: None,
        }])
    }

    pub(crate) fn forget_topic(&mut self, topic: &str) -> io::Result<()> {
        let mut lines = Vec::new();
        for (group, committed) in &self.groups {
            for (name, partition) in committed.keys().filter(|(name, _)| name == topic) {
                lines.push(Line {
                    group: group.clone(),
                    kind: None,
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
            kind: None,
            topic: Some(topic),
            partition,
            committed: None,
        });
        let lines = lines.collect();
        self.write(lines)
    }

    /// Takes note of what a group is.
    pub(crate) fn set_kind(&mut self, group: &str, kind: Kind) -> io::Result<()> {
        if self.kinds.get(group) == Some(&kind) {
            return Ok(());
        }
        self.write(vec![kind_line(group, kind)])
    }

    /// The groups that had members, with their kinds.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = (&str, Kind)> {
        self.kinds.iter().map(|(group, kind)| (group.as_str(), *kind))
    }

    /// Whether a group has committed anything.
    pub(crate) fn has_group(&self, group: &str) -> bool {
        self.groups.contains_key(group)
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.keys().map(String::as_str)
    }

    pub(crate) fn get(&self, group: &str, topic: &str, partition: i32) -> Option<&Committed> {
        self.groups.get(group)?.get(&(topic.to_owned(), partition))
    }

    /// Everything that a group has committed, by topic and partition in order.
    pub(crate) fn of_group(&self, group: &str) -> impl Iterator<Item = (&str, i32, &Committed)> {
        let committed = self.groups.get(group).into_iter().flatten();
        committed.map(|((topic, partition), committed)| (topic.as_str(), *partition, committed))
    }

    fn write(&mut self, lines: Vec<Line>) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        for line in &lines {
            serde_json::to_writer(&mut bytes, line)?;
            bytes.push(b'\n');
        }
        let journal = match &self.journal {
            Some(journal) => journal.clone(),
            None => self.storage.open(&self.path)?,
        };
        self.journal = Some(journal.clone());
        if let Err(error) = journal.append(&[&bytes]) {
            // Half a line must not stay in front of the next one.
            if journal.truncate(self.journal_bytes).is_err() {
                self.journal = None;
            }
            return Err(error);
        }
        self.journal_bytes += bytes.len() as u64;
        lines.into_iter().for_each(|line| self.apply(line));
        if self.journal_bytes > MIN_COMPACTION_BYTES.max(self.compacted_bytes * 4) {
            self.compact()?;
        }
        Ok(())
    }

    /// Writes the journal anew, with a line for each offset that holds.
    fn compact(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        for (group, kind) in &self.kinds {
            serde_json::to_writer(&mut bytes, &kind_line(group, *kind))?;
            bytes.push(b'\n');
        }
        for (group, committed) in &self.groups {
            for ((topic, partition), committed) in committed {
                let line = Line {
                    group: group.clone(),
                    kind: None,
                    topic: Some(topic.clone()),
                    partition: *partition,
                    committed: Some(committed.clone()),
                };
                serde_json::to_writer(&mut bytes, &line)?;
                bytes.push(b'\n');
            }
        }
        self.journal = None;
        self.storage.replace(&self.path, &bytes, Survives::PowerCut)?;
        self.journal_bytes = bytes.len() as u64;
        self.compacted_bytes = self.journal_bytes;
        Ok(())
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
    fn the_kind_of_a_group_is_kept_until_the_group_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("offsets");
        let mut offsets = open(&path).unwrap();
        offsets.set_kind("a", Kind::Classic).unwrap();
        offsets.set_kind("a", Kind::Consumer).unwrap();
        offsets.set_kind("b", Kind::Classic).unwrap();
        offsets.commit("b", vec![("t".to_owned(), 0, at(1)), ("t".to_owned(), 1, at(1))]).unwrap();
        offsets.forget_partitions("b", vec![("t".to_owned(), 0), ("u".to_owned(), 0)]).unwrap();
        let mut offsets = open(&path).unwrap();
        let kinds: Vec<_> = offsets.kinds().collect();
        assert_eq!(kinds, [("a", Kind::Consumer), ("b", Kind::Classic)]);
        assert_eq!(offsets.of_group("b").count(), 1);
        offsets.forget_group("a").unwrap();
        offsets.forget_group("b").unwrap();
        assert_eq!(open(&path).unwrap().kinds().count(), 0);
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
