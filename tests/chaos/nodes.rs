//! The nodes of a cluster as processes: started, killed, stopped and asked to end.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ottla_tests::proxy::Proxy;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long a node that is asked to end may take. Kafka gives up its leaderships first.
const END_WITHIN: Duration = Duration::from_secs(30);

/// A node with the proxy that the producers reach it through.
pub(crate) struct Node {
    pub(crate) id: i32,
    /// Where it listens for us and for the other nodes.
    address: SocketAddr,
    folder: PathBuf,
    pub(crate) proxy: Proxy,
    child: Mutex<Option<Child>>,
}

/// All nodes. They end when this value is dropped.
pub(crate) struct Nodes {
    /// The program and its arguments, without the file of settings.
    command: Vec<String>,
    /// The file that gets a line for each process.
    pids: PathBuf,
    pub(crate) all: Vec<Node>,
}

impl Nodes {
    /// Reads how to start them from what the task has prepared. None is started yet.
    pub(crate) fn from_json(prepared: &Value) -> Result<Self, String> {
        let text = |value: &Value, name: &str| {
            value[name].as_str().map(str::to_owned).ok_or_else(|| format!("no {name}"))
        };
        let list = |name: &str| prepared[name].as_array().ok_or_else(|| format!("no {name}"));
        let command = list("command")?.iter().filter_map(Value::as_str).map(str::to_owned);
        let mut all = Vec::new();
        for (id, node) in (1..).zip(list("nodes")?) {
            let address = |name: &str| {
                let address = text(node, name)?;
                address.parse::<SocketAddr>().map_err(|error| format!("{address}: {error}"))
            };
            let proxy = Proxy::start();
            proxy.lead_to(address("detour")?);
            all.push(Node {
                id,
                address: address("address")?,
                folder: text(node, "folder")?.into(),
                proxy,
                child: Mutex::new(None),
            });
        }
        Ok(Self { command: command.collect(), pids: text(prepared, "pids")?.into(), all })
    }

    /// Where the nodes are reached without a detour.
    pub(crate) fn servers(&self) -> String {
        let addresses: Vec<String> = self.all.iter().map(|node| node.address.to_string()).collect();
        addresses.join(",")
    }

    /// Where the nodes are reached through their proxies.
    pub(crate) fn detours(&self) -> String {
        let addresses: Vec<String> =
            self.all.iter().map(|node| node.proxy.address().to_string()).collect();
        addresses.join(",")
    }

    /// The node with this id.
    pub(crate) fn get(&self, id: i32) -> Option<&Node> {
        self.all.iter().find(|node| node.id == id)
    }

    /// Starts a node that does not run.
    pub(crate) fn start(&self, node: &Node) -> Result<(), String> {
        let told = |error: std::io::Error| format!("node {} does not start: {error}", node.id);
        let (program, args) = self.command.split_first().ok_or("no command")?;
        let (direct, detour) = (node.address, node.proxy.address());
        let mut command = Command::new(program);
        command.args(args).arg(node.folder.join("server.properties"));
        let advertised = format!("PLAINTEXT://{direct},DETOUR://{detour}");
        command.args(["--override", &format!("advertised.listeners={advertised}")]);
        let log = node.folder.join("log.txt");
        let log = OpenOptions::new().create(true).append(true).open(log).map_err(told)?;
        let errors = log.try_clone().map_err(told)?;
        command.stdin(Stdio::null()).stdout(log).stderr(errors).current_dir(&node.folder);
        // Not in our process group, so that Ctrl-C does not reach it before we end it.
        command.process_group(0);
        let mut place = node.child();
        if place.is_some() {
            return Err(format!("node {} runs already", node.id));
        }
        let child = command.spawn().map_err(told)?;
        let pids = OpenOptions::new().create(true).append(true).open(&self.pids);
        let noted = pids.and_then(|mut file: File| writeln!(file, "{}", child.id()));
        *place = Some(child);
        noted.map_err(told)
    }
}

impl Node {
    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it is reached without a detour.
    pub(crate) fn socket(&self) -> SocketAddr {
        self.address
    }

    /// The same, as text.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// SIGKILL, and the process is gone.
    pub(crate) fn kill(&self) {
        if let Some(mut child) = self.child().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGTERM, and the process is gone; it takes its time, and leads nothing when it goes.
    pub(crate) fn end(&self) {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + END_WITHIN;
        while Instant::now() < deadline && !self.has_died() {
            std::thread::sleep(Duration::from_millis(50));
        }
        self.kill();
    }

    /// SIGSTOP: it does nothing more, and nobody is told so.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT: it goes on as if nothing had been.
    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let id = self.child().as_ref().and_then(|child| i32::try_from(child.id()).ok());
        if let Some(pid) = id.and_then(Pid::from_raw) {
            // The only failure that can happen is that the process is gone already.
            let _ = kill_process(pid, signal);
        }
    }

    /// Whether the process has ended by itself, which no fault of ours makes it do.
    pub(crate) fn has_died(&self) -> bool {
        match self.child().as_mut() {
            Some(child) => !matches!(child.try_wait(), Ok(None)),
            None => false,
        }
    }

    /// The end of what the node has printed.
    pub(crate) fn last_words(&self) -> String {
        let said = std::fs::read(self.folder.join("log.txt")).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        self.all.iter().for_each(Node::kill);
    }
}
