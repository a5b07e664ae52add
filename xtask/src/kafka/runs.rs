//! The folders of clusters that run or have run: `target/kafka/run-…`. A folder holds a folder for
//! each node and the file `cluster`, by which another task finds, lists and ends the cluster.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::process;
use crate::workspace;

/// The file in which a program that runs the nodes itself notes their processes.
pub(super) const PIDS: &str = "pids";

/// Where logs are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Storage {
    /// In the folder of the cluster.
    Disk,
    /// In memory, for measuring.
    Memory,
}

/// The folder of a cluster. It is removed when the value is dropped, unless it was handed over.
pub(crate) struct Run {
    pub(crate) folder: PathBuf,
    /// Where the nodes' logs are.
    pub(crate) logs: PathBuf,
    handed_over: bool,
}

impl Run {
    /// A new folder. What killed tasks have left behind is cleared away first.
    pub(crate) fn create(storage: Storage) -> Result<Self, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        for left in all()?.iter().filter(|found| found.is_left_behind()) {
            left.end();
        }
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = home()?.join(format!("run-{}-{count}", std::process::id()));
        workspace::create_folder(&folder)?;
        let logs = match storage {
            Storage::Disk => folder.clone(),
            Storage::Memory => in_memory(&folder).ok_or("there is no file system in memory")?,
        };
        workspace::create_folder(&logs)?;
        let run = Self { folder, logs, handed_over: false };
        run.record(&[], "")?;
        Ok(run)
    }

    /// Notes the processes and the address of the cluster. It belongs to this task: should the
    /// task be killed, the next one that starts a cluster ends this one.
    pub(crate) fn record(&self, pids: &[u32], servers: &str) -> Result<(), String> {
        self.write(&std::process::id().to_string(), pids, servers)
    }

    /// Notes the same, and that the cluster runs on until the user stops it.
    pub(crate) fn hand_over(mut self, pids: &[u32], servers: &str) -> Result<(), String> {
        self.write("user", pids, servers)?;
        self.handed_over = true;
        Ok(())
    }

    /// Kills what was noted and still lives.
    pub(super) fn end_all(&self) {
        if let Some(found) = Found::read(self.folder.clone()) {
            found.living().into_iter().for_each(process::kill);
        }
    }

    fn write(&self, owner: &str, pids: &[u32], servers: &str) -> Result<(), String> {
        let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
        let content = format!("owner={owner}\nservers={servers}\npids={}\n", pids.join(","));
        workspace::write(&self.folder.join("cluster"), content)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if !self.handed_over {
            remove(&self.folder);
        }
    }
}

/// Removes the folder of a cluster, and its logs if they are in memory.
fn remove(folder: &Path) {
    let _ = std::fs::remove_dir_all(folder);
    if let Some(logs) = in_memory(folder) {
        let _ = std::fs::remove_dir_all(logs);
    }
}

/// Where the logs of a cluster go that keeps them in memory.
fn in_memory(folder: &Path) -> Option<PathBuf> {
    let memory = Path::new("/dev/shm");
    let name = folder.file_name()?.to_str()?;
    memory.is_dir().then(|| memory.join(format!("ottla-kafka-{name}")))
}

/// A cluster as its folder tells of it.
pub(crate) struct Found {
    folder: PathBuf,
    /// Its address, empty while it starts.
    pub(crate) servers: String,
    /// The task that owns it, `None` if the user does.
    pub(crate) owner: Option<u32>,
    pids: Vec<u32>,
}

impl Found {
    fn read(folder: PathBuf) -> Option<Self> {
        let content = std::fs::read_to_string(folder.join("cluster")).ok()?;
        let value = |key: &str| {
            content.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().to_owned()
        };
        let (servers, owner, pids) = (value("servers="), value("owner="), value("pids="));
        // A cluster that another program runs has a line for each process in a file of its own.
        let noted = std::fs::read_to_string(folder.join(PIDS)).unwrap_or_default();
        let pids = pids.split(',').chain(noted.lines()).filter_map(|pid| pid.parse().ok());
        let pids = pids.collect();
        Some(Self { servers, owner: owner.parse().ok(), pids, folder })
    }

    /// The nodes that are alive. A process counts only if its command line names our folder: its
    /// id may long belong to another.
    pub(crate) fn living(&self) -> Vec<u32> {
        let folder = self.folder.display().to_string();
        let ours = |pid: &u32| process::command_line(*pid).is_some_and(|it| it.contains(&folder));
        self.pids.iter().copied().filter(ours).collect()
    }

    fn is_left_behind(&self) -> bool {
        match self.owner {
            Some(owner) => process::command_line(owner).is_none_or(|line| !line.contains("xtask")),
            None => self.living().is_empty(),
        }
    }

    /// Kills the nodes and removes the folder.
    pub(crate) fn end(&self) {
        self.living().into_iter().for_each(process::kill);
        let gone = || Ok(self.living().is_empty().then_some(()));
        let _ = process::poll(Duration::from_secs(10), gone);
        remove(&self.folder);
    }
}

/// All clusters that have a folder.
pub(crate) fn all() -> Result<Vec<Found>, String> {
    let home = home()?;
    workspace::create_folder(&home)?;
    let told = |error| format!("{}: {error}", home.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&home).map_err(told)? {
        let folder = entry.map_err(told)?.path();
        if is_run(&folder) {
            found.extend(Found::read(folder));
        }
    }
    found.sort_by(|one, other| one.folder.cmp(&other.folder));
    Ok(found)
}

fn is_run(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("run-"))
}

fn home() -> Result<PathBuf, String> {
    Ok(workspace::scratch()?.join("kafka"))
}
