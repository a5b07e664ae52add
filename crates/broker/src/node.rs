//! One broker of the cluster: its folder, its replicas, its listeners, and whether it runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::Uuid;

use crate::catalog::Catalog;
use crate::data_dir::DataDir;
use crate::disk::NodeDisk;
use crate::error::StartError;
use crate::link::Link;
use crate::log::Storage;
use crate::partitions::Partitions;
use crate::peers::NodeListener;
use crate::resource_settings::ResourceSettings;
use crate::time::Now;

/// Whether a broker does anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It serves.
    Running,
    /// It is there and does nothing, like a process that was stopped in its tracks.
    Paused,
    /// Its process is gone. Its folder is not.
    Down,
}

/// One broker.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: i32,
    pub(crate) state: State,
    /// Whether the controller counts on it. One that is fenced leads nothing and is in sync with
    /// nothing.
    pub(crate) is_fenced: bool,
    /// Whether it is known at all. One that is not is fenced, until it is started again.
    pub(crate) is_registered: bool,
    /// When the controller gives it up, on the monotonic clock, while it hears nothing from it.
    pub(crate) fence_at: Option<Duration>,
    pub(crate) listeners: Vec<NodeListener>,
    /// What its files are on; it outlives the node's process.
    pub(crate) disk: NodeDisk,
    /// `None` while it is down.
    pub(crate) data: Option<DataDir>,
    pub(crate) partitions: Partitions,
    /// Partitions that it follows and has something to ask their leaders for.
    pub(crate) behind: BTreeSet<(Uuid, i32)>,
    /// When it asks, on the monotonic clock.
    pub(crate) next_fetch: Option<Duration>,
    /// It asks nobody until this is taken back.
    pub(crate) holds_replication: bool,
    /// What lies between it and those who connect.
    pub(crate) link: Option<Link>,
}

impl Node {
    /// Opens the folder and every replica in it.
    pub(crate) fn open(
        id: i32,
        data: DataDir,
        disk: NodeDisk,
        known: (&Catalog, &ResourceSettings),
        discards: bool,
        now: Now,
    ) -> Result<Self, StartError> {
        let partitions = Partitions::open(id, &data, known, discards, now.unix_ms)?;
        Ok(Self {
            id,
            state: State::Running,
            is_fenced: false,
            is_registered: true,
            fence_at: None,
            listeners: Vec::new(),
            disk,
            data: Some(data),
            partitions,
            behind: BTreeSet::new(),
            next_fetch: None,
            holds_replication: false,
            link: None,
        })
    }

    /// From now on a kill leaves the folder unclean. What its checkpoints say of topics that are
    /// gone is gone from them, before there are others of the same names.
    pub(crate) fn mark_in_use(&self, catalog: &Catalog) -> Result<(), StartError> {
        if let Some(data) = &self.data {
            data.mark_in_use()?;
        }
        self.write_checkpoints(catalog);
        Ok(())
    }

    /// Lets go of everything as the kill of a process does: nothing is flushed, nothing marked.
    pub(crate) fn kill(&mut self, storage: &Arc<dyn Storage>) {
        self.state = State::Down;
        self.partitions = Partitions::none(storage.clone());
        self.data = None;
        self.behind.clear();
        self.next_fetch = None;
    }

    /// Brings everything onto the medium and marks the folder as properly closed.
    pub(crate) fn close(&mut self, catalog: &Catalog, is_durable: bool) {
        let mut is_whole = true;
        for partition in self.partitions.iter_mut() {
            if let Err(error) = partition.log.close(is_durable) {
                tracing::error!(node = self.id, %error, "log not closed");
                is_whole = false;
            }
        }
        is_whole &= self.write_checkpoints(catalog);
        // Without the marker the next start reads the logs through, which is right after a failure.
        if is_whole
            && let Some(data) = &self.data
            && let Err(error) = data.mark_clean()
        {
            tracing::error!(node = self.id, %error, "clean shutdown not marked");
        }
    }

    /// Writes the offsets that a start after a kill wants to know.
    pub(crate) fn write_checkpoints(&self, catalog: &Catalog) -> bool {
        let Some(data) = &self.data else {
            return true;
        };
        let mut recovery_points = Vec::new();
        let mut high_watermarks = Vec::new();
        let mut log_starts = Vec::new();
        let mut first_dirty = Vec::new();
        for topic in catalog.sorted() {
            for (index, partition) in self.partitions.of_topic(topic.id) {
                let name = &*topic.name;
                recovery_points.push((name, index, partition.log.recovery_point()));
                high_watermarks.push((name, index, partition.high_watermark()));
                if partition.log.log_start_offset() > 0 {
                    log_starts.push((name, index, partition.log.log_start_offset()));
                }
                if partition.log.first_dirty_offset() > partition.log.log_start_offset() {
                    first_dirty.push((name, index, partition.log.first_dirty_offset()));
                }
            }
        }
        let written = data
            .write_recovery_points(&recovery_points)
            .and_then(|()| data.write_high_watermarks(&high_watermarks))
            .and_then(|()| data.write_log_starts(&log_starts))
            .and_then(|()| data.write_first_dirty_offsets(&first_dirty));
        written
            .inspect_err(|error| tracing::error!(node = self.id, %error, "checkpoints not written"))
            .is_ok()
    }

    /// Asks the leader of a partition at `due`, or earlier if it was going to anyway.
    pub(crate) fn fall_behind(&mut self, topic: Uuid, partition: i32, due: Duration) {
        self.behind.insert((topic, partition));
        self.next_fetch = Some(self.next_fetch.map_or(due, |next| next.min(due)));
    }

    /// Whether it follows anybody at the moment.
    pub(crate) fn replicates(&self) -> bool {
        self.state == State::Running && !self.holds_replication
    }
}
