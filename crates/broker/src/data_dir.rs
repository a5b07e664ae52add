//! The broker's folder: whose it is, that nobody else has it, and the checkpoints of its logs.
//!
//! ```text
//! .lock                             locked while a process has the folder open
//! meta.properties                   cluster id and node id, in Kafka's format
//! cluster-metadata.json             the topics (ours; see `catalog`)
//! .kafka_cleanshutdown              there when the last process shut down cleanly
//! recovery-point-offset-checkpoint  up to where each log is on the medium
//! replication-offset-checkpoint     each log's high watermark
//! log-start-offset-checkpoint       each log's first offset
//! cleaner-offset-checkpoint         up to where each log was compacted
//! group-offsets.jsonl               what groups have committed (ours; see `groups::offsets`)
//! transactions.jsonl                transactional ids (ours; see `transactions`)
//! client-quotas.jsonl               quotas of clients (ours; see `quotas`)
//! resource-settings.jsonl           settings of brokers, groups and client metrics (ours; see
//!                                   `resource_settings`)
//! <topic>-<partition>/              the logs
//! nodes/<id>/                       the folder of each node but the first, with a lock,
//!                                   `meta.properties`, checkpoints and logs of its own
//! ```

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_protocol::Uuid;

use crate::catalog::Catalog;
use crate::error::StartError;
use crate::log::{Storage, Survives};

const LOCK: &str = ".lock";
const META: &str = "meta.properties";
const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";
const LOG_STARTS: &str = "log-start-offset-checkpoint";
const FIRST_DIRTY: &str = "cleaner-offset-checkpoint";
/// Written before `meta.properties`, so a folder with one and not the other is somebody else's.
pub(crate) const CATALOG: &str = "cluster-metadata.json";
pub(crate) const GROUP_OFFSETS: &str = "group-offsets.jsonl";
pub(crate) const GROUP_MEMBERS: &str = "group-members.jsonl";
pub(crate) const TRANSACTIONS: &str = "transactions.jsonl";
pub(crate) const ACLS: &str = "acls.jsonl";
/// What tools have said of credentials of SCRAM.
pub(crate) const SCRAM_CREDENTIALS: &str = "scram-credentials.jsonl";
pub(crate) const CLIENT_QUOTAS: &str = "client-quotas.jsonl";
pub(crate) const RESOURCE_SETTINGS: &str = "resource-settings.jsonl";
/// No topic's folder has a name like this.
const OTHER_NODES: &str = "nodes";

/// Offsets by topic and partition, as a checkpoint file holds them.
pub(crate) type Offsets = HashMap<(String, i32), i64>;

/// A broker's folder, locked as long as this lives.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    storage: Arc<dyn Storage>,
    cluster_id: String,
    /// Whether the last process that had the folder closed it properly.
    was_clean: bool,
    _lock: File,
}

impl DataDir {
    /// Takes the cluster's folder, which is its first node's too, or makes it one when it is empty.
    ///
    /// # Errors
    /// When another process has it, when it is not a broker's or another broker's, or when the disk
    /// fails.
    pub(crate) fn open_first(
        path: &Path,
        node_id: i32,
        new_cluster_id: Uuid,
        storage: Arc<dyn Storage>,
    ) -> Result<Self, StartError> {
        let data = Self::open(path, node_id, new_cluster_id, storage, true)?;
        if data.is_absent(CATALOG) {
            return Err(StartError::ForeignDataDir {
                path: path.to_owned(),
                reason: format!(
                    "it has {META} but no {CATALOG}: another program such as Apache Kafka made it"
                ),
            });
        }
        Ok(data)
    }

    /// Takes the folder of one of the other nodes, inside of the cluster's.
    ///
    /// # Errors
    /// As [`DataDir::open_first`]; also when the folder is another cluster's.
    pub(crate) fn open_other(
        cluster: &Path,
        node_id: i32,
        cluster_id: &str,
        storage: Arc<dyn Storage>,
    ) -> Result<Self, StartError> {
        let path = cluster.join(OTHER_NODES).join(node_id.to_string());
        let Some(id) = Uuid::parse(cluster_id) else {
            let reason = format!("{cluster_id:?} is not the id of a cluster");
            return Err(StartError::Damaged { path: cluster.join(META), reason });
        };
        let data = Self::open(&path, node_id, id, storage, false)?;
        if data.cluster_id != cluster_id {
            let other = &data.cluster_id;
            let reason = format!("it belongs to cluster {other}, this is cluster {cluster_id}");
            return Err(StartError::ForeignDataDir { path, reason });
        }
        Ok(data)
    }

    fn open(
        path: &Path,
        node_id: i32,
        new_cluster_id: Uuid,
        storage: Arc<dyn Storage>,
        has_catalog: bool,
    ) -> Result<Self, StartError> {
        let fault = |source| StartError::DataDir { path: path.to_owned(), source };
        storage.create_dir(path).map_err(fault)?;
        let meta = path.join(META);
        if storage.read(&meta).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            // Before anything is put there.
            check_is_empty(path, &*storage)?;
        }
        let lock = lock(path)?;
        let cluster_id = match storage.read(&meta) {
            Ok(bytes) => read_meta(path, &bytes, node_id)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let cluster_id = new_cluster_id.to_string();
                let directory_id = Uuid(new_cluster_id.0.map(|byte| byte ^ 0x5a));
                let text = format!(
                    "version=1\ncluster.id={cluster_id}\nnode.id={node_id}\n\
                     directory.id={directory_id}\n"
                );
                if has_catalog {
                    // A catalogue of no topics; the marks of a folder of ours are this file and
                    // the next.
                    let catalog = Catalog::empty_file().map_err(fault)?;
                    let path = path.join(CATALOG);
                    storage.replace(&path, &catalog, Survives::PowerCut).map_err(fault)?;
                }
                storage.replace(&meta, text.as_bytes(), Survives::PowerCut).map_err(fault)?;
                cluster_id
            }
            Err(error) => return Err(fault(error)),
        };
        let was_clean = storage.read(&path.join(CLEAN_SHUTDOWN)).is_ok();
        Ok(Self { path: path.to_owned(), storage, cluster_id, was_clean, _lock: lock })
    }

    fn is_absent(&self, name: &str) -> bool {
        let read = self.storage.read(&self.path.join(name));
        read.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    pub(crate) fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// From now on a kill leaves the folder unclean. Called once everything could be opened: a
    /// start that is refused leaves the folder as it was.
    pub(crate) fn mark_in_use(&self) -> Result<(), StartError> {
        let fault = |source| StartError::DataDir { path: self.path.clone(), source };
        self.storage.remove_file(&self.path.join(CLEAN_SHUTDOWN)).map_err(fault)
    }

    pub(crate) fn was_clean(&self) -> bool {
        self.was_clean
    }

    pub(crate) fn recovery_points(&self) -> Result<Offsets, StartError> {
        self.read_checkpoint(RECOVERY_POINTS)
    }

    pub(crate) fn high_watermarks(&self) -> Result<Offsets, StartError> {
        self.read_checkpoint(HIGH_WATERMARKS)
    }

    pub(crate) fn log_starts(&self) -> Result<Offsets, StartError> {
        self.read_checkpoint(LOG_STARTS)
    }

    pub(crate) fn first_dirty_offsets(&self) -> Result<Offsets, StartError> {
        self.read_checkpoint(FIRST_DIRTY)
    }

    pub(crate) fn write_recovery_points(&self, offsets: &Rows<'_>) -> io::Result<()> {
        self.write_checkpoint(RECOVERY_POINTS, offsets)
    }

    pub(crate) fn write_high_watermarks(&self, offsets: &Rows<'_>) -> io::Result<()> {
        self.write_checkpoint(HIGH_WATERMARKS, offsets)
    }

    pub(crate) fn write_log_starts(&self, offsets: &Rows<'_>) -> io::Result<()> {
        self.write_checkpoint(LOG_STARTS, offsets)
    }

    /// Where nothing was ever compacted there is no such file.
    pub(crate) fn write_first_dirty_offsets(&self, offsets: &Rows<'_>) -> io::Result<()> {
        match offsets.is_empty() && self.is_absent(FIRST_DIRTY) {
            true => Ok(()),
            false => self.write_checkpoint(FIRST_DIRTY, offsets),
        }
    }

    /// Marks the folder as properly closed; the last thing that a process does with it.
    pub(crate) fn mark_clean(&self) -> io::Result<()> {
        let marker = b"{\"version\":0,\"brokerEpoch\":-1}";
        self.storage.replace(&self.path.join(CLEAN_SHUTDOWN), marker, Survives::PowerCut)
    }

    fn read_checkpoint(&self, name: &str) -> Result<Offsets, StartError> {
        let path = self.path.join(name);
        match self.storage.read(&path) {
            Ok(bytes) => parse_checkpoint(&bytes).ok_or_else(|| StartError::Damaged {
                path,
                reason: "it is not an offset checkpoint of version 0".to_owned(),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Offsets::new()),
            Err(source) => Err(StartError::DataDir { path, source }),
        }
    }

    fn write_checkpoint(&self, name: &str, rows: &Rows<'_>) -> io::Result<()> {
        use std::fmt::Write;
        let mut text = format!("0\n{}\n", rows.len());
        for (topic, partition, offset) in rows {
            let _ = writeln!(text, "{topic} {partition} {offset}");
        }
        self.storage.replace(&self.path.join(name), text.as_bytes(), Survives::PowerCut)
    }
}

/// The rows of a checkpoint that is to be written: topic, partition, offset.
pub(crate) type Rows<'a> = Vec<(&'a str, i32, i64)>;

/// Takes the folder's lock, and leaves word of who has it.
fn lock(dir: &Path) -> Result<File, StartError> {
    let path = dir.join(LOCK);
    let fault = |source| StartError::DataDir { path: path.clone(), source };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(fault)?;
    let flags = rustix::fs::FlockOperation::NonBlockingLockExclusive;
    if let Err(error) = rustix::fs::flock(&file, flags) {
        if error != rustix::io::Errno::WOULDBLOCK {
            return Err(fault(error.into()));
        }
        let mut holder = String::new();
        let _ = file.read_to_string(&mut holder);
        let holder = holder.trim().parse().ok();
        return Err(StartError::DataDirInUse { path: dir.to_owned(), process_id: holder });
    }
    file.set_len(0).and_then(|()| file.rewind()).map_err(fault)?;
    writeln!(file, "{}", std::process::id()).map_err(fault)?;
    Ok(file)
}

/// The cluster id of the folder's owner.
fn read_meta(dir: &Path, bytes: &[u8], node_id: i32) -> Result<String, StartError> {
    let damaged =
        |reason: &str| StartError::Damaged { path: dir.join(META), reason: reason.to_owned() };
    let text = std::str::from_utf8(bytes).map_err(|_| damaged("it is not text"))?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let properties: HashMap<&str, &str> =
        lines.filter_map(|line| line.split_once('=')).map(|(k, v)| (k.trim(), v.trim())).collect();
    if properties.get("version") != Some(&"1") {
        return Err(damaged("it is not of version 1"));
    }
    let id: i32 = properties
        .get("node.id")
        .and_then(|id| id.parse().ok())
        .ok_or_else(|| damaged("it has no node.id"))?;
    if id != node_id {
        return Err(StartError::ForeignDataDir {
            path: dir.to_owned(),
            reason: format!("it belongs to node {id}, this is node {node_id}"),
        });
    }
    match properties.get("cluster.id") {
        Some(cluster_id) if !cluster_id.is_empty() => Ok((*cluster_id).to_owned()),
        _ => Err(damaged("it has no cluster.id")),
    }
}

/// A folder that is not ours yet must be empty: nobody's files are to be mixed with ours.
fn check_is_empty(path: &Path, storage: &dyn Storage) -> Result<(), StartError> {
    let names = storage
        .list(path)
        .map_err(|source| StartError::DataDir { path: path.to_owned(), source })?;
    let is_ours = |name: &str| name == LOCK || name.starts_with(CATALOG) || name.starts_with(META);
    match names.iter().find(|entry| !is_ours(&entry.name)) {
        None => Ok(()),
        Some(entry) => Err(StartError::ForeignDataDir {
            path: path.to_owned(),
            reason: format!("it has no {META}, yet it is not empty: {} is there", entry.name),
        }),
    }
}

fn parse_checkpoint(bytes: &[u8]) -> Option<Offsets> {
    let mut lines = std::str::from_utf8(bytes).ok()?.lines();
    if lines.next()? != "0" {
        return None;
    }
    let count: usize = lines.next()?.parse().ok()?;
    let offsets: Option<Offsets> = lines
        .map(|line| {
            let (rest, offset) = line.rsplit_once(' ')?;
            let (topic, partition) = rest.rsplit_once(' ')?;
            Some(((topic.to_owned(), partition.parse().ok()?), offset.parse().ok()?))
        })
        .collect();
    offsets.filter(|offsets| offsets.len() == count)
}
