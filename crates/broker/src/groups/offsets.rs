//! What groups have committed, in memory and in a journal.
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
    storage: Arc<dyn Storage>,
    path: PathBuf,
    journal: Option<Arc<dyn StoredFile>>,
    journal_bytes: u64,
    /// Size of the journal when it was last written anew.
    compacted_bytes: u64,
    groups: BTreeMap<String, ByPartition>,
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
        match (line.topic, line.committed) {
            (None, _) => {
                self.groups.remove(&line.group);
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
        for (group, committed) in &self.groups {
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
        for (group, committed) in &self.groups {
            for ((topic, partition), committed) in committed {
                let line = Line {
                    group: group.clone(),
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
