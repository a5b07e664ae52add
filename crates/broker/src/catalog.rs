//! The topics of the cluster: names, ids, partitions, settings; kept in `cluster-metadata.json`.
//!
//! The file is replaced as a whole on every change, before the change is answered. It also holds
//! the next free block of producer ids, so that no id is ever given out twice.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_protocol::Uuid;
use serde::{Deserialize, Serialize};

use crate::data_dir::CATALOG;
use crate::error::StartError;
use crate::log::{Storage, Survives};
use crate::topic_config::{self, Overrides, TopicConfig};

/// How many producer ids are taken from the file at once.
const PRODUCER_ID_BLOCK: i64 = 1000;

const MAX_NAME_BYTES: usize = 249;

/// One topic.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: Arc<str>,
    pub(crate) id: Uuid,
    /// The leader epoch of each partition.
    pub(crate) leader_epochs: Vec<i32>,
    pub(crate) overrides: Overrides,
    pub(crate) config: TopicConfig,
}

impl Topic {
    pub(crate) fn partition_count(&self) -> i32 {
        self.leader_epochs.len() as i32
    }
}

/// All topics, by name and by id.
#[derive(Debug)]
pub(crate) struct Catalog {
    storage: Arc<dyn Storage>,
    path: PathBuf,
    topics: HashMap<Arc<str>, Topic>,
    names: HashMap<Uuid, Arc<str>>,
    /// Topics that are being deleted: their folders may still be there.
    deleting: Vec<Uuid>,
    next_producer_id: i64,
    /// Below this number producer ids have been taken from the file.
    producer_id_limit: i64,
}

/// What the file holds.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    next_producer_id: i64,
    deleting: Vec<String>,
    topics: Vec<StoredTopic>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredTopic {
    name: String,
    id: String,
    leader_epochs: Vec<i32>,
    configs: Overrides,
}

impl Catalog {
    /// The content of the file in a new folder.
    pub(crate) fn empty_file() -> io::Result<Vec<u8>> {
        Ok(serde_json::to_vec_pretty(&Stored::default())?)
    }

    /// Reads the file.
    pub(crate) fn load(dir: &Path, storage: Arc<dyn Storage>) -> Result<Self, StartError> {
        let path = dir.join(CATALOG);
        let bytes = storage
            .read(&path)
            .map_err(|source| StartError::DataDir { path: path.clone(), source })?;
        let damaged = |reason: String| StartError::Damaged { path: path.clone(), reason };
        let stored: Stored =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if stored.version != 0 {
            return Err(damaged(format!("it is of version {}, not 0", stored.version)));
        }
        let parse_id =
            |id: &str| Uuid::parse(id).ok_or_else(|| damaged(format!("{id:?} is not a topic id")));
        let mut catalog = Self {
            storage,
            path: path.clone(),
            topics: HashMap::new(),
            names: HashMap::new(),
            deleting: Vec::new(),
            next_producer_id: stored.next_producer_id,
            producer_id_limit: stored.next_producer_id,
        };
        for id in &stored.deleting {
            catalog.deleting.push(parse_id(id)?);
        }
        for topic in stored.topics {
            let id = parse_id(&topic.id)?;
            check_name(&topic.name).map_err(damaged)?;
            topic_config::check(&topic.configs).map_err(damaged)?;
            catalog.add(&topic.name, id, topic.leader_epochs, topic.configs);
        }
        Ok(catalog)
    }

    fn add(&mut self, name: &str, id: Uuid, leader_epochs: Vec<i32>, overrides: Overrides) {
        let name: Arc<str> = name.into();
        let config = TopicConfig::of(&overrides);
        self.names.insert(id, name.clone());
        let topic = Topic { name: name.clone(), id, leader_epochs, overrides, config };
        self.topics.insert(name, topic);
    }

    pub(crate) fn by_name(&self, name: &str) -> Option<&Topic> {
        self.topics.get(name)
    }

    pub(crate) fn by_id(&self, id: Uuid) -> Option<&Topic> {
        self.names.get(&id).and_then(|name| self.topics.get(name))
    }

    /// All topics in order of name.
    pub(crate) fn sorted(&self) -> Vec<&Topic> {
        let mut topics: Vec<&Topic> = self.topics.values().collect();
        topics.sort_by(|left, right| left.name.cmp(&right.name));
        topics
    }

    pub(crate) fn deleting(&self) -> &[Uuid] {
        &self.deleting
    }

    /// A topic whose name differs from this one in `.` and `_` only; Kafka refuses such pairs.
    pub(crate) fn colliding(&self, name: &str) -> Option<&Topic> {
        let folded = |name: &str| name.replace('.', "_");
        let wanted = folded(name);
        self.topics.values().find(|topic| &*topic.name != name && folded(&topic.name) == wanted)
    }

    /// Adds a topic and writes the file.
    pub(crate) fn create(
        &mut self,
        name: &str,
        id: Uuid,
        partitions: i32,
        overrides: Overrides,
    ) -> io::Result<()> {
        let leader_epochs = vec![0; usize::try_from(partitions).unwrap_or_default()];
        self.add(name, id, leader_epochs, overrides);
        self.store().inspect_err(|_| {
            self.topics.remove(name);
            self.names.remove(&id);
        })
    }

    /// Gives a topic more partitions and writes the file.
    pub(crate) fn grow(&mut self, name: &str, partitions: i32) -> io::Result<()> {
        let count = usize::try_from(partitions).unwrap_or_default();
        if let Some(topic) = self.topics.get_mut(name) {
            let before = topic.leader_epochs.len();
            topic.leader_epochs.resize(count.max(before), 0);
            return self.store().inspect_err(|_| {
                if let Some(topic) = self.topics.get_mut(name) {
                    topic.leader_epochs.truncate(before);
                }
            });
        }
        Ok(())
    }

    /// Changes a topic's settings and writes the file.
    pub(crate) fn configure(&mut self, name: &str, overrides: Overrides) -> io::Result<()> {
        let Some(topic) = self.topics.get_mut(name) else {
            return Ok(());
        };
        let before = std::mem::replace(&mut topic.overrides, overrides);
        topic.config = TopicConfig::of(&topic.overrides);
        self.store().inspect_err(|_| {
            if let Some(topic) = self.topics.get_mut(name) {
                topic.config = TopicConfig::of(&before);
                topic.overrides = before;
            }
        })
    }

    /// Takes a topic out and writes the file, with a note that its folders are to go.
    pub(crate) fn remove(&mut self, name: &str) -> io::Result<()> {
        let Some(topic) = self.topics.remove(name) else {
            return Ok(());
        };
        self.names.remove(&topic.id);
        self.deleting.push(topic.id);
        self.store().inspect_err(|_| {
            self.deleting.pop();
            self.names.insert(topic.id, topic.name.clone());
            self.topics.insert(topic.name.clone(), topic);
        })
    }

    /// Notes that nothing is left of deleted topics.
    pub(crate) fn forget_deleted(&mut self) -> io::Result<()> {
        if self.deleting.is_empty() {
            return Ok(());
        }
        let before = std::mem::take(&mut self.deleting);
        self.store().inspect_err(|_| self.deleting = before)
    }

    /// Raises the leader epoch of every partition, as a start after a kill does.
    pub(crate) fn bump_leader_epochs(&mut self) -> io::Result<()> {
        if self.topics.is_empty() {
            return Ok(());
        }
        for topic in self.topics.values_mut() {
            topic.leader_epochs.iter_mut().for_each(|epoch| *epoch = epoch.saturating_add(1));
        }
        self.store()
    }

    /// A producer id that nobody has had.
    pub(crate) fn next_producer_id(&mut self) -> io::Result<i64> {
        if self.next_producer_id >= self.producer_id_limit {
            self.producer_id_limit = self.next_producer_id + PRODUCER_ID_BLOCK;
            self.store().inspect_err(|_| self.producer_id_limit = self.next_producer_id)?;
        }
        let id = self.next_producer_id;
        self.next_producer_id += 1;
        Ok(id)
    }

    fn store(&self) -> io::Result<()> {
        let topics = self.sorted().into_iter().map(|topic| StoredTopic {
            name: topic.name.to_string(),
            id: topic.id.to_string(),
            leader_epochs: topic.leader_epochs.clone(),
            configs: topic.overrides.clone(),
        });
        let stored = Stored {
            version: 0,
            next_producer_id: self.producer_id_limit,
            deleting: self.deleting.iter().map(Uuid::to_string).collect(),
            topics: topics.collect(),
        };
        let mut text = serde_json::to_vec_pretty(&stored)?;
        text.push(b'\n');
        self.storage.replace(&self.path, &text, Survives::PowerCut)
    }
}

/// Says why a string cannot be the name of a topic.
///
/// # Errors
/// The reason in words.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let reason = if name.is_empty() {
        "it is empty"
    } else if name == "." || name == ".." {
        "it is . or .."
    } else if name.len() > MAX_NAME_BYTES {
        "it is longer than 249 characters"
    } else if !name.bytes().all(is_allowed) {
        "it has characters other than letters, digits, '.', '_' and '-'"
    } else {
        return Ok(());
    };
    Err(format!("topic name {name:?} is not allowed: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::DiskStorage;

    fn open(dir: &Path) -> Catalog {
        let path = dir.join(CATALOG);
        if !path.exists() {
            std::fs::write(path, Catalog::empty_file().unwrap()).unwrap();
        }
        Catalog::load(dir, Arc::new(DiskStorage { is_durable: false })).unwrap()
    }

    #[test]
    fn topics_and_their_settings_survive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let overrides = Overrides::from([("segment.bytes".to_owned(), "5000".to_owned())]);
        let mut catalog = open(dir.path());
        catalog.create("a", Uuid([1; 16]), 3, overrides).unwrap();
        catalog.create("b", Uuid([2; 16]), 1, Overrides::new()).unwrap();
        catalog.grow("b", 4).unwrap();
        catalog.remove("a").unwrap();
        catalog.create("a", Uuid([3; 16]), 2, Overrides::new()).unwrap();

        let catalog = open(dir.path());
        assert_eq!(catalog.by_name("a").unwrap().id, Uuid([3; 16]));
        assert_eq!(catalog.by_id(Uuid([2; 16])).unwrap().partition_count(), 4);
        assert!(catalog.by_id(Uuid([1; 16])).is_none());
        assert_eq!(catalog.deleting(), [Uuid([1; 16])]);
    }

    #[test]
    fn a_producer_id_is_never_given_out_twice() {
        let dir = tempfile::tempdir().unwrap();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..3 {
            let mut catalog = open(dir.path());
            for _ in 0..1500 {
                assert!(seen.insert(catalog.next_producer_id().unwrap()));
            }
        }
    }

    #[test]
    fn names_that_differ_in_dot_and_underscore_collide() {
        let dir = tempfile::tempdir().unwrap();
        let mut catalog = open(dir.path());
        catalog.create("a.b_c", Uuid([1; 16]), 1, Overrides::new()).unwrap();
        assert!(catalog.colliding("a_b_c").is_some());
        assert!(catalog.colliding("a.b_c").is_none());
        assert!(catalog.colliding("a-b-c").is_none());
    }

    #[test]
    fn names_are_checked() {
        for name in ["a", "A.b_c-9", &"x".repeat(249)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", ".", "..", "a b", "a/b", "ä", "a\0", &"x".repeat(250)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_damaged_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["", "[]", "{}", "{\"version\":9}", "{\"topics\":[{\"name\":1}]}"] {
            std::fs::write(dir.path().join(CATALOG), text).unwrap();
            let storage = Arc::new(DiskStorage { is_durable: false });
            let error = Catalog::load(dir.path(), storage).unwrap_err();
            assert!(error.to_string().contains(CATALOG), "{error}");
        }
    }
}
