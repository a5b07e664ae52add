//! The replicas that a node holds.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_protocol::Uuid;

use crate::catalog::{Catalog, Topic};
use crate::data_dir::{CATALOG, DataDir, Offsets};
use crate::error::StartError;
use crate::log::{LogConfig, LogError, OpenState, PartitionLog, Storage, Survives};
use crate::peers::ConnectionId;
use crate::placement::Placement;
use crate::replica::Replica;
use crate::resource_settings::ResourceSettings;

const METADATA: &str = "partition.metadata";

/// How many logs may have their file open. A process often may not have more than 1,024 open files
/// in all, and opening one anew costs a few microseconds.
const MAX_OPEN_LOGS: usize = 400;

/// The replicas of one node, by topic and partition.
#[derive(Debug)]
pub(crate) struct Partitions {
    storage: Arc<dyn Storage>,
    dir: PathBuf,
    /// Logs keep nothing, and have no folders.
    discards: bool,
    /// `None` where another node holds the replicas.
    by_topic: HashMap<Uuid, Vec<Option<Replica>>>,
    /// Partitions that may have a file open, in the order in which they were first used.
    open_logs: VecDeque<(Uuid, i32)>,
}

impl Partitions {
    /// No replicas at all, as in a node that is down.
    pub(crate) fn none(storage: Arc<dyn Storage>) -> Self {
        Self::empty(storage, PathBuf::new(), false)
    }

    fn empty(storage: Arc<dyn Storage>, dir: PathBuf, discards: bool) -> Self {
        Self { storage, dir, discards, by_topic: HashMap::new(), open_logs: VecDeque::new() }
    }

    /// Opens the logs of every partition in the catalogue that the node has a replica of.
    ///
    /// # Errors
    /// When a log is absent, damaged or another topic's. Nothing is served then: a partition that
    /// silently came back empty would be a loss that nobody notices.
    pub(crate) fn open(
        node: i32,
        data: &DataDir,
        (catalog, settings): (&Catalog, &ResourceSettings),
        discards: bool,
        now_ms: i64,
    ) -> Result<Self, StartError> {
        let mut partitions = Self::empty(data.storage().clone(), data.path().to_owned(), discards);
        partitions.sweep(node, catalog)?;
        let recovery_points = data.recovery_points()?;
        let high_watermarks = data.high_watermarks()?;
        let log_starts = data.log_starts()?;
        let first_dirty = data.first_dirty_offsets()?;
        for topic in catalog.sorted() {
            let config = settings.log_config(node, &topic.overrides);
            let mut opened = Vec::with_capacity(topic.partitions.len());
            for (index, placement) in topic.partitions.iter().enumerate() {
                let index = index as i32;
                if !placement.replicas.contains(&node) {
                    opened.push(None);
                    continue;
                }
                let dir = partitions.partition_dir(&topic.name, index);
                let listed = partitions.storage.list(&dir);
                let is_absent = listed.is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
                // Checkpoints can only speak of a former topic then.
                let known = |offsets: &Offsets| {
                    let noted = offsets.get(&(topic.name.to_string(), index));
                    noted.copied().filter(|_| !is_absent).unwrap_or_default()
                };
                let state = OpenState {
                    is_clean: data.was_clean(),
                    recovery_point: known(&recovery_points),
                    log_start_offset: known(&log_starts),
                    now_ms,
                };
                let of = (index, placement);
                let mut log = partitions.open_one(topic, of, node, &config, state, is_absent)?;
                log.set_first_dirty_offset(known(&first_dirty));
                let (end_offset, high_watermark) = (log.log_end_offset(), known(&high_watermarks));
                if end_offset < high_watermark {
                    tracing::warn!(
                        topic = %topic.name, partition = index, node, end_offset, high_watermark,
                        "log has lost records that all in-sync replicas had"
                    );
                }
                opened.push(Some(Replica::new(log, high_watermark)));
            }
            partitions.by_topic.insert(topic.id, opened);
        }
        Ok(partitions)
    }

    fn open_one(
        &self,
        topic: &Topic,
        (index, place): (i32, &Placement),
        node: i32,
        config: &LogConfig,
        state: OpenState,
        is_absent: bool,
    ) -> Result<PartitionLog, StartError> {
        let dir = self.partition_dir(&topic.name, index);
        let must_be_there = place.isr.contains(&node);
        if is_absent && must_be_there {
            let cure = cure(topic, place, node);
            let reason = format!(
                "it is gone, though it had all records of its partition; put it back, or {cure}"
            );
            return Err(StartError::Damaged { path: dir, reason });
        }
        if is_absent {
            // It came into being while the node was down; the leader has the records.
            let fault = |source| StartError::DataDir { path: dir.clone(), source };
            self.storage.create_dir(&dir).map_err(fault)?;
        }
        self.check_topic_id(topic, &dir)?;
        let storage = self.storage.clone();
        let path = dir.clone();
        // What is not in sync its leader makes good.
        let ended_at =
            Some(state.recovery_point).filter(|end| state.is_clean && must_be_there && *end > 0);
        let opened = PartitionLog::open(storage, dir, config.clone(), state);
        let (log, recovery) = opened.map_err(|source| StartError::Log {
            topic: topic.name.to_string(),
            partition: index,
            source,
        })?;
        if let Some(cut) = &recovery.truncation {
            tracing::warn!(
                topic = %topic.name, partition = index, file = %cut.path.display(),
                position = cut.position, lost_bytes = cut.lost_bytes, reason = %cut.reason,
                "log cut after an unclean shutdown"
            );
        }
        if let Some(ended_at) = ended_at.filter(|end| *end != log.log_end_offset()) {
            // Offsets that were acknowledged would be given out a second time, or never.
            let reason = format!(
                "its log ends at offset {}, though it ended at {ended_at} when the broker was shut \
                 down cleanly; put the files back, or {}",
                log.log_end_offset(),
                cure(topic, place, node)
            );
            return Err(StartError::Damaged { path, reason });
        }
        Ok(log)
    }

    /// A folder must be there, and must be this topic's and not an earlier one's of the same name.
    fn check_topic_id(&self, topic: &Topic, dir: &Path) -> Result<(), StartError> {
        let damaged = |reason| Err(StartError::Damaged { path: dir.to_owned(), reason });
        let fault = |source| StartError::DataDir { path: dir.to_owned(), source };
        self.storage.list(dir).map_err(fault)?;
        match read_topic_id(&*self.storage, dir).map_err(fault)? {
            TopicId::Is(id) if id == topic.id => Ok(()),
            TopicId::Is(id) => damaged(format!("it belongs to topic id {id}, not {}", topic.id)),
            TopicId::Unreadable => damaged(format!("its {METADATA} names no topic id")),
            // A power cut may have taken it; the folder's name says enough.
            TopicId::Absent => self.write_topic_id(topic.id, dir).map_err(fault),
        }
    }

    fn write_topic_id(&self, id: Uuid, dir: &Path) -> io::Result<()> {
        let text = format!("version: 0\ntopic_id: {id}\n");
        self.storage.replace(&dir.join(METADATA), text.as_bytes(), Survives::Kill)
    }

    /// Makes the logs of those partitions of a topic that have a replica on this node. The topic is
    /// about to be in the catalogue; `from` is the first of the partitions, `is_here` says of each
    /// whether it has.
    ///
    /// # Errors
    /// What the disk says; what was made so far is then gone again.
    pub(crate) fn create(
        &mut self,
        name: &str,
        id: Uuid,
        from: i32,
        is_here: &[bool],
        config: &LogConfig,
        now_ms: i64,
    ) -> Result<(), LogError> {
        let mut made = Vec::with_capacity(is_here.len());
        for (index, is_here) in (from..).zip(is_here) {
            if !is_here {
                made.push(None);
                continue;
            }
            match self.create_one(name, id, index, config, now_ms) {
                Ok(log) => made.push(Some(Replica::new(log, 0))),
                Err(error) => {
                    for index in from..=index {
                        let _ = self.storage.remove_dir(&self.partition_dir(name, index));
                    }
                    return Err(error);
                }
            }
        }
        self.by_topic.entry(id).or_default().extend(made);
        Ok(())
    }

    fn create_one(
        &self,
        name: &str,
        id: Uuid,
        index: i32,
        config: &LogConfig,
        now_ms: i64,
    ) -> Result<PartitionLog, LogError> {
        let dir = self.partition_dir(name, index);
        if self.discards {
            return Ok(PartitionLog::discarding(self.storage.clone(), dir, config.clone()));
        }
        self.storage
            .create_dir(&dir)
            .and_then(|()| self.write_topic_id(id, &dir))
            .map_err(|error| LogError::io(&dir, error))?;
        let state = OpenState { is_clean: true, recovery_point: 0, log_start_offset: 0, now_ms };
        PartitionLog::open(self.storage.clone(), dir, config.clone(), state).map(|(log, _)| log)
    }

    /// Undoes [`Partitions::create`] for partitions from `from` on, after the catalogue could not
    /// be written.
    pub(crate) fn uncreate(&mut self, name: &str, id: Uuid, from: i32) {
        if let Some(partitions) = self.by_topic.get_mut(&id) {
            let count = partitions.len() as i32;
            partitions.truncate(usize::try_from(from).unwrap_or_default());
            for index in from..count {
                let _ = self.storage.remove_dir(&self.partition_dir(name, index));
            }
        }
        if from == 0 {
            self.by_topic.remove(&id);
        }
    }

    /// Makes the log of a replica that has come to this node.
    ///
    /// # Errors
    /// What the disk says; there is no replica then.
    pub(crate) fn add(
        &mut self,
        topic: &Topic,
        index: i32,
        config: &LogConfig,
        now_ms: i64,
    ) -> Result<(), LogError> {
        let log = self.create_one(&topic.name, topic.id, index, config, now_ms);
        let log = log.inspect_err(|_| {
            let _ = self.storage.remove_dir(&self.partition_dir(&topic.name, index));
        })?;
        let place = usize::try_from(index).unwrap_or_default();
        let all = self.by_topic.entry(topic.id).or_default();
        if all.len() <= place {
            all.resize_with(place + 1, || None);
        }
        all[place] = Some(Replica::new(log, 0));
        Ok(())
    }

    /// Lets go of one replica and removes its folder. Gives back who waited for something in it.
    pub(crate) fn drop_one(
        &mut self,
        name: &str,
        id: Uuid,
        index: i32,
    ) -> (Vec<ConnectionId>, io::Result<()>) {
        let place = usize::try_from(index).unwrap_or_default();
        let replica = self.by_topic.get_mut(&id).and_then(|all| all.get_mut(place)?.take());
        let Some(replica) = replica else {
            return (Vec::new(), Ok(()));
        };
        let waiters = [&replica.fetch_waiters[..], &replica.produce_waiters].concat();
        let removed = self.remove_folder(name, id, index);
        (waiters, removed)
    }

    /// Removes the folder of a log that is let go of.
    fn remove_folder(&self, name: &str, id: Uuid, index: i32) -> io::Result<()> {
        if self.discards {
            return Ok(());
        }
        let dir = self.partition_dir(name, index);
        // Out of the way first, so that one of the same name can be made at once.
        let doomed = self.dir.join(format!("{name}-{index}.{id}-delete"));
        self.storage.rename(&dir, &doomed)?;
        self.storage.remove_dir(&doomed)
    }

    /// Lets go of a topic's logs and removes their folders. Gives back who waited for records in
    /// them.
    pub(crate) fn delete(&mut self, name: &str, id: Uuid) -> (Vec<ConnectionId>, io::Result<()>) {
        let partitions = self.by_topic.remove(&id).unwrap_or_default();
        let mut result = Ok(());
        let mut waiters = Vec::new();
        for (index, replica) in partitions.into_iter().enumerate() {
            let Some(replica) = replica else {
                continue;
            };
            waiters.extend(replica.fetch_waiters);
            waiters.extend(replica.produce_waiters);
            let removed = self.remove_folder(name, id, index as i32);
            result = result.and(removed);
        }
        (waiters, result)
    }

    pub(crate) fn get_mut(&mut self, topic: Uuid, index: i32) -> Option<&mut Replica> {
        let is_open = self.get(topic, index)?.is_open;
        if !is_open {
            self.note_open(topic, index);
        }
        self.entry(topic, index)
    }

    fn entry(&mut self, topic: Uuid, index: i32) -> Option<&mut Replica> {
        let index = usize::try_from(index).ok()?;
        self.by_topic.get_mut(&topic)?.get_mut(index)?.as_mut()
    }

    /// Takes a partition among those that may have files open; the one that was there longest
    /// closes its own.
    fn note_open(&mut self, topic: Uuid, index: i32) {
        self.open_logs.push_back((topic, index));
        if let Some(partition) = self.entry(topic, index) {
            partition.is_open = true;
        }
        if self.open_logs.len() > MAX_OPEN_LOGS
            && let Some((topic, index)) = self.open_logs.pop_front()
            && let Some(partition) = self.entry(topic, index)
        {
            partition.log.release_files();
            partition.is_open = false;
        }
    }

    pub(crate) fn get(&self, topic: Uuid, index: i32) -> Option<&Replica> {
        let index = usize::try_from(index).ok()?;
        self.by_topic.get(&topic)?.get(index)?.as_ref()
    }

    /// The replicas of one topic that are here, with their partitions.
    pub(crate) fn of_topic_mut(&mut self, topic: Uuid) -> impl Iterator<Item = &mut Replica> {
        self.by_topic.get_mut(&topic).into_iter().flatten().flatten()
    }

    pub(crate) fn of_topic(&self, topic: Uuid) -> impl Iterator<Item = (i32, &Replica)> {
        let all = self.by_topic.get(&topic).into_iter().flatten();
        (0..).zip(all).filter_map(|(index, replica)| Some((index, replica.as_ref()?)))
    }

    /// Every replica.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Replica> {
        self.by_topic.values_mut().flatten().flatten()
    }

    /// The replicas whose logs are compacted.
    pub(crate) fn compacted_mut(&mut self) -> impl Iterator<Item = (Uuid, i32, &mut Replica)> {
        let all = self.by_topic.iter_mut().flat_map(|(id, all)| {
            (0..).zip(all).filter_map(|(index, replica)| Some((*id, index, replica.as_mut()?)))
        });
        all.filter(|(.., replica)| replica.log.config().is_compacted)
    }

    /// Which replicas are here.
    pub(crate) fn keys(&self) -> Vec<(Uuid, i32)> {
        let topics = self.by_topic.iter();
        let keys = topics.flat_map(|(id, all)| {
            (0..).zip(all).filter(|(_, replica)| replica.is_some()).map(|(index, _)| (*id, index))
        });
        keys.collect()
    }

    fn partition_dir(&self, name: &str, index: i32) -> PathBuf {
        self.dir.join(format!("{name}-{index}"))
    }

    /// Removes folders of topics whose deletion was interrupted and of replicas that have moved to
    /// other nodes, and puts aside those that belong to no topic.
    fn sweep(&self, node: i32, catalog: &Catalog) -> Result<(), StartError> {
        let storage = &*self.storage;
        let fault = |path: &Path, source| StartError::DataDir { path: path.to_owned(), source };
        let names = storage.list(&self.dir).map_err(|error| fault(&self.dir, error))?;
        for entry in names.iter().filter(|entry| entry.is_dir) {
            let path = self.dir.join(&entry.name);
            if entry.name.ends_with("-delete") {
                storage.remove_dir(&path).map_err(|error| fault(&path, error))?;
                continue;
            }
            let Some((topic, index)) = partition_in_name(&entry.name) else {
                continue;
            };
            let id = read_topic_id(storage, &path).map_err(|error| fault(&path, error))?;
            let known = catalog.by_name(topic);
            let place = known.and_then(|it| it.partitions.get(usize::try_from(index).ok()?));
            let must_be_there = place.is_some_and(|place| place.isr.contains(&node));
            match id {
                TopicId::Is(id) if catalog.deleting().contains(&id) => {
                    storage.remove_dir(&path).map_err(|error| fault(&path, error))?;
                }
                // One that must be there is refused, with what it says, when it is opened.
                TopicId::Is(id)
                    if !must_be_there && catalog.by_id(id).is_none_or(|it| *it.name != *topic) =>
                {
                    self.put_aside(&path, &entry.name, id)?;
                }
                TopicId::Is(id) if has_moved(catalog, id, index, node) => {
                    storage.remove_dir(&path).map_err(|error| fault(&path, error))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A folder of a topic that is not in the catalogue: an interrupted creation, or somebody's
    /// copy.
    fn put_aside(&self, path: &Path, name: &str, id: Uuid) -> Result<(), StartError> {
        let storage = &*self.storage;
        let fault = |source| StartError::DataDir { path: path.to_owned(), source };
        let mut bytes = 0;
        for entry in storage.list(path).map_err(fault)? {
            if entry.name.ends_with(".log") {
                let file = storage.open(&path.join(&entry.name)).map_err(fault)?;
                bytes += file.size().map_err(fault)?;
            }
        }
        if bytes == 0 {
            return storage.remove_dir(path).map_err(fault);
        }
        let aside = self.dir.join(format!("{name}.{id}-stray"));
        tracing::warn!(from = %path.display(), to = %aside.display(), "folder of no known topic");
        storage.rename(path, &aside).map_err(fault)
    }
}

/// How a cluster can start without what a node lacks of a partition.
fn cure(topic: &Topic, place: &Placement, node: i32) -> String {
    match place.isr.iter().find(|id| **id != node) {
        Some(other) => format!(
            "have node {other} lead the partition and take node {node} out of its isr in {CATALOG}"
        ),
        None => format!("take topic {} out of {CATALOG} to do without it", topic.name),
    }
}

/// Whether a partition has its replicas on other nodes.
fn has_moved(catalog: &Catalog, topic: Uuid, index: i32, node: i32) -> bool {
    catalog.placement(topic, index).is_some_and(|place| !place.replicas.contains(&node))
}

/// Topic and partition in the name of a folder.
fn partition_in_name(name: &str) -> Option<(&str, i32)> {
    let (topic, index) = name.rsplit_once('-')?;
    Some((topic, index.parse().ok()?))
}

/// What a partition's folder says of its topic.
enum TopicId {
    Is(Uuid),
    Absent,
    Unreadable,
}

fn read_topic_id(storage: &dyn Storage, dir: &Path) -> io::Result<TopicId> {
    let bytes = match storage.read(&dir.join(METADATA)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(TopicId::Absent),
        Err(error) => return Err(error),
    };
    if bytes.is_empty() {
        return Ok(TopicId::Absent);
    }
    let text = String::from_utf8_lossy(&bytes);
    let id = text.lines().find_map(|line| line.strip_prefix("topic_id:"));
    let id = id.and_then(|id| Uuid::parse(id.trim()));
    Ok(id.map_or(TopicId::Unreadable, TopicId::Is))
}
