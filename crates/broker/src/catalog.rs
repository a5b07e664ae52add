//! The topics of the cluster: names, ids, partitions, settings; and levels of features. Kept in
//! `cluster-metadata.json`.
//!
//! The file is replaced as a whole on every change, before the change is answered. It also holds
//! the next free block of producer ids, so that no id is ever given out twice.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_protocol::Uuid;
use serde::{Deserialize, Serialize};

use crate::data_dir::CATALOG;
use crate::error::StartError;
use crate::log::{Storage, Survives};
use crate::mutant::{self, Mutant};
use crate::placement::{Placement, check_placements};
use crate::topic_config::{self, Overrides, TopicConfig};

/// How many producer ids are taken from the file at once.
const PRODUCER_ID_BLOCK: i64 = 1000;

const MAX_NAME_BYTES: usize = 249;

/// The version of the file. 0 had leader epochs in place of partitions: there was one node.
const VERSION: u32 = 1;

/// One topic.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: Arc<str>,
    pub(crate) id: Uuid,
    pub(crate) partitions: Vec<Placement>,
    pub(crate) overrides: Overrides,
    pub(crate) config: TopicConfig,
}

impl Topic {
    pub(crate) fn partition_count(&self) -> i32 {
        self.partitions.len() as i32
    }

    pub(crate) fn has_partition(&self, partition: i32) -> bool {
        (0..self.partition_count()).contains(&partition)
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
    /// Levels of features that were changed.
    feature_levels: BTreeMap<String, i16>,
    /// How often the file was written.
    revision: i64,
}

/// What the file holds.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    #[serde(default)]
    revision: i64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    feature_levels: BTreeMap<String, i16>,
    next_producer_id: i64,
    deleting: Vec<String>,
    topics: Vec<StoredTopic>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredTopic {
    name: String,
    id: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    leader_epochs: Vec<i32>,
    #[serde(default)]
    partitions: Vec<Placement>,
    configs: Overrides,
}

impl Catalog {
    /// The content of the file in a new folder.
    pub(crate) fn empty_file() -> io::Result<Vec<u8>> {
        Ok(serde_json::to_vec_pretty(&Stored { version: VERSION, ..Stored::default() })?)
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
        if stored.version > VERSION {
            let version = stored.version;
            return Err(damaged(format!("it is of version {version}, not 0 to {VERSION}")));
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
            feature_levels: stored.feature_levels,
            revision: stored.revision,
        };
        for id in &stored.deleting {
            catalog.deleting.push(parse_id(id)?);
        }
        for topic in stored.topics {
            let id = parse_id(&topic.id)?;
            check_name(&topic.name).map_err(damaged)?;
            topic_config::check(&topic.configs).map_err(damaged)?;
            let of_one_node = topic.leader_epochs.into_iter().map(Placement::alone);
            let partitions: Vec<Placement> = of_one_node.chain(topic.partitions).collect();
            check_placements(&partitions)
                .map_err(|reason| damaged(format!("topic {}: {reason}", topic.name)))?;
            catalog.add(&topic.name, id, partitions, topic.configs);
        }
        Ok(catalog)
    }

    fn add(&mut self, name: &str, id: Uuid, partitions: Vec<Placement>, overrides: Overrides) {
        let name: Arc<str> = name.into();
        let config = TopicConfig::of(&overrides);
        self.names.insert(id, name.clone());
        let topic = Topic { name: name.clone(), id, partitions, overrides, config };
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
        partitions: Vec<Placement>,
        overrides: Overrides,
    ) -> io::Result<()> {
        self.add(name, id, partitions, overrides);
        self.store().inspect_err(|_| {
            self.topics.remove(name);
            self.names.remove(&id);
        })
    }

    /// Gives a topic more partitions and writes the file.
    pub(crate) fn grow(&mut self, name: &str, more: Vec<Placement>) -> io::Result<()> {
        let Some(topic) = self.topics.get_mut(name) else {
            return Ok(());
        };
        let before = topic.partitions.len();
        topic.partitions.extend(more);
        self.store().inspect_err(|_| {
            if let Some(topic) = self.topics.get_mut(name) {
                topic.partitions.truncate(before);
            }
        })
    }

    /// Where a partition is.
    pub(crate) fn placement(&self, topic: Uuid, partition: i32) -> Option<&Placement> {
        self.by_id(topic)?.partitions.get(usize::try_from(partition).ok()?)
    }

    fn placement_mut(&mut self, topic: Uuid, partition: i32) -> Option<&mut Placement> {
        let name = self.names.get(&topic)?;
        let partition = usize::try_from(partition).ok()?;
        self.topics.get_mut(name)?.partitions.get_mut(partition)
    }

    /// Changes where partitions are and who leads them, and writes the file. All or nothing.
    pub(crate) fn place(&mut self, changes: &[(Uuid, i32, Placement)]) -> io::Result<()> {
        let mut before = Vec::with_capacity(changes.len());
        for (topic, partition, placement) in changes {
            if let Some(place) = self.placement_mut(*topic, *partition) {
                let mut placement = placement.clone();
                placement.partition_epoch = place.partition_epoch + 1;
                before.push((*topic, *partition, std::mem::replace(place, placement)));
            }
        }
        if before.is_empty() || mutant::is_on(Mutant::ForgetsPlacements) {
            return Ok(());
        }
        self.store().inspect_err(|_| {
            for (topic, partition, placement) in before {
                if let Some(place) = self.placement_mut(topic, partition) {
                    *place = placement;
                }
            }
        })
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
            for place in &mut topic.partitions {
                place.leader_epoch = place.leader_epoch.saturating_add(1);
                place.partition_epoch = place.partition_epoch.saturating_add(1);
            }
        }
        self.store()
    }

    /// The level that a feature was given.
    pub(crate) fn feature_level(&self, name: &str) -> Option<i16> {
        self.feature_levels.get(name).copied()
    }

    /// Gives features their levels and writes the file.
    pub(crate) fn set_feature_levels(&mut self, levels: BTreeMap<String, i16>) -> io::Result<()> {
        let before = self.feature_levels.clone();
        self.feature_levels.extend(levels);
        self.store().inspect_err(|_| self.feature_levels = before)
    }

    /// How often the file was written: the offset behind its last change.
    pub(crate) fn revision(&self) -> i64 {
        self.revision
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

    fn store(&mut self) -> io::Result<()> {
        let revision = self.revision + 1;
        let topics = self.sorted().into_iter().map(|topic| StoredTopic {
            name: topic.name.to_string(),
            id: topic.id.to_string(),
            leader_epochs: Vec::new(),
            partitions: topic.partitions.clone(),
            configs: topic.overrides.clone(),
        });
        let stored = Stored {
            version: VERSION,
            revision,
            feature_levels: self.feature_levels.clone(),
            next_producer_id: self.producer_id_limit,
            deleting: self.deleting.iter().map(Uuid::to_string).collect(),
            topics: topics.collect(),
        };
        let mut text = serde_json::to_vec_pretty(&stored)?;
        text.push(b'\n');
        self.storage.replace(&self.path, &text, Survives::PowerCut)?;
        self.revision = revision;
        Ok(())
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

    fn places(count: usize) -> Vec<Placement> {
        vec![Placement::new(vec![1, 2, 3]); count]
    }

    #[test]
    fn leaders_and_in_sync_replicas_survive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let mut catalog = open(dir.path());
        let id = Uuid([1; 16]);
        catalog.create("a", id, places(2), Overrides::new()).unwrap();
        let moved =
            Placement { isr: vec![2, 3], leader: 2, leader_epoch: 1, ..places(1)[0].clone() };
        catalog.place(&[(id, 1, moved.clone())]).unwrap();

        let catalog = open(dir.path());
        assert_eq!(catalog.placement(id, 0), Some(&places(1)[0]));
        assert_eq!(catalog.placement(id, 1), Some(&Placement { partition_epoch: 1, ..moved }));
    }

    #[test]
    fn a_file_of_the_time_of_one_node_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let id = Uuid([7; 16]);
        let text = format!(
            r#"{{"version":0,"next_producer_id":3,"deleting":[],"topics":
            [{{"name":"a","id":"{id}","leader_epochs":[4],"configs":{{}}}}]}}"#
        );
        std::fs::write(dir.path().join(CATALOG), text).unwrap();
        let place = open(dir.path()).placement(id, 0).cloned().unwrap();
        assert_eq!((place.leader, place.leader_epoch, place.isr), (1, 4, vec![1]));
    }

    #[test]
    fn a_leader_that_is_not_in_sync_is_damage() {
        for (isr, leader) in [("[2]", 1), ("[4]", 4), ("[]", -1)] {
            let dir = tempfile::tempdir().unwrap();
            let text = format!(
                r#"{{"version":1,"next_producer_id":0,"deleting":[],"topics":[{{"name":"a",
                "id":"{}","partitions":[{{"replicas":[1,2],"isr":{isr},"leader":{leader},
                "leader_epoch":0,"partition_epoch":0}}],"configs":{{}}}}]}}"#,
                Uuid([7; 16])
            );
            std::fs::write(dir.path().join(CATALOG), text).unwrap();
            let storage = Arc::new(DiskStorage { is_durable: false });
            assert!(Catalog::load(dir.path(), storage).is_err(), "{isr} {leader}");
        }
    }

    #[test]
    fn topics_and_their_settings_survive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let overrides = Overrides::from([("segment.bytes".to_owned(), "5000".to_owned())]);
        let mut catalog = open(dir.path());
        catalog.create("a", Uuid([1; 16]), places(3), overrides).unwrap();
        catalog.create("b", Uuid([2; 16]), places(1), Overrides::new()).unwrap();
        catalog.grow("b", places(3)).unwrap();
        catalog.remove("a").unwrap();
        catalog.create("a", Uuid([3; 16]), places(2), Overrides::new()).unwrap();

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
        catalog.create("a.b_c", Uuid([1; 16]), places(1), Overrides::new()).unwrap();
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
