//! A cluster of real Kafka on loopback: each node is broker and controller.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::jars::{self, Jars};
use super::kdc::Kdc;
use super::probe;
use super::runs::{Run, Storage};
use super::secure::{self, Doors};
use super::{SECURE_VARIABLE, SERVERS_VARIABLE};
use crate::process::{self, Interrupt};
use crate::workspace;

/// Sixteen bytes in base64, as Kafka wants them. It need not differ between clusters: they never
/// meet.
const CLUSTER_ID: &str = "b3R0bGEtdGVzdC1rYWZrYQ";
/// One node takes 5 seconds on an idle machine of two cores.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// Between our choice of a port and Kafka's use of it, somebody else may take it.
const TRIES: usize = 3;

/// A running cluster. It ends when this value is dropped, unless it was let go.
pub(crate) struct Cluster {
    nodes: Vec<Node>,
    /// What tells of the listeners with TLS and SASL, if there are any.
    secure: Option<PathBuf>,
    kdc: Option<Kdc>,
    /// `None` once the cluster was let go. Dropped after the nodes have ended.
    run: Option<Run>,
}

struct Node {
    address: SocketAddr,
    log: PathBuf,
    child: Child,
}

/// A port that the system chose, kept for us until the value is dropped.
pub(super) struct Port(TcpListener);

impl Port {
    pub(super) fn reserve() -> Result<Self, String> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        listener.map(Self).map_err(|error| format!("cannot open a port on 127.0.0.1: {error}"))
    }

    pub(super) fn address(&self) -> Result<SocketAddr, String> {
        self.0.local_addr().map_err(|error| format!("a port without a number: {error}"))
    }
}

impl Cluster {
    /// Starts `count` nodes and waits until each of them sees all of them.
    pub(crate) fn start(count: usize, interrupt: &Interrupt) -> Result<Self, String> {
        Self::start_on(Storage::Disk, count, interrupt)
    }

    /// The same, with logs that are kept there.
    pub(crate) fn start_on(
        storage: Storage,
        count: usize,
        interrupt: &Interrupt,
    ) -> Result<Self, String> {
        Self::start_as(storage, count, false, interrupt)
    }

    /// Starts a node that also has listeners with TLS and SASL, and an authorizer.
    pub(crate) fn start_secure(interrupt: &Interrupt) -> Result<Self, String> {
        Self::start_as(Storage::Disk, 1, true, interrupt)
    }

    fn start_as(
        storage: Storage,
        count: usize,
        is_secure: bool,
        interrupt: &Interrupt,
    ) -> Result<Self, String> {
        let java = jars::java()?;
        let jars = jars::fetch()?;
        let mut tries = 1;
        loop {
            let run = Run::create(storage)?;
            let folders = (run.folder.clone(), run.logs.clone());
            let mut cluster = Self { nodes: Vec::new(), secure: None, kdc: None, run: Some(run) };
            let mut doors = None;
            if is_secure {
                let kdc = Kdc::start(&folders.0.join("kdc"), interrupt);
                cluster.kdc = kdc.inspect_err(|why| eprintln!("no Kerberos: {why}")).ok();
                doors = Some(Doors::reserve(cluster.kdc.is_some())?);
            }
            match cluster.bring_up(count, doors, &folders, (&java, &jars), interrupt) {
                Ok(()) => return Ok(cluster),
                Err(told) if told.contains("Address already in use") && tries < TRIES => tries += 1,
                Err(told) => return Err(told),
            }
        }
    }

    fn bring_up(
        &mut self,
        count: usize,
        doors: Option<Doors>,
        (folder, logs): &(PathBuf, PathBuf),
        (java, jars): (&Path, &Jars),
        interrupt: &Interrupt,
    ) -> Result<(), String> {
        let mut ports = Vec::new();
        for _ in 0..count {
            ports.push((Port::reserve()?, Port::reserve()?));
        }
        let mut addresses = Vec::new();
        for (client, controller) in &ports {
            addresses.push((client.address()?, controller.address()?));
        }
        let folders: Vec<PathBuf> =
            (1..=count).map(|id| folder.join(format!("node-{id}"))).collect();
        for (index, folder) in folders.iter().enumerate() {
            workspace::create_folder(folder)?;
            let data = logs.join(format!("node-{}", index + 1)).join("data");
            let mut properties = properties(index, &addresses, &data);
            if let Some(doors) = &doors {
                properties += &doors.lay_out(folder, addresses[index], self.kdc.as_ref())?;
                self.secure = Some(secure::description(folder));
            }
            workspace::write(&folder.join("server.properties"), properties)?;
        }
        let is_secure = doors.is_some();
        let options = if is_secure { secure::format_options() } else { Vec::new() };
        format_storage(&folders, &options, java, jars)?;
        drop((ports, doors));
        for (folder, (address, _)) in folders.iter().zip(&addresses) {
            let options = match is_secure {
                true => secure::java_options(folder, self.kdc.as_ref()),
                false => Vec::new(),
            };
            let (program, args) = broker_command(java, &options, jars);
            let mut command = Command::new(program);
            command.args(args);
            self.nodes.push(Node::start(command, folder, *address)?);
            if let Some(run) = &self.run {
                run.record(&self.pids(), &self.bootstrap_servers())?;
            }
        }
        self.wait_until_ready(interrupt)
    }

    fn wait_until_ready(&mut self, interrupt: &Interrupt) -> Result<(), String> {
        let count = self.nodes.len();
        for node in &mut self.nodes {
            let ready = process::poll(READY_WITHIN, || {
                interrupt.check()?;
                if let Some(status) = process::ended(&mut node.child)? {
                    return Err(format!("Kafka ended with {status}:\n{}", node.last_words()));
                }
                Ok((probe::living_brokers(node.address) == Some(count)).then_some(()))
            })?;
            if ready.is_none() {
                let waited = READY_WITHIN.as_secs();
                let words = node.last_words();
                return Err(format!("Kafka was not ready within {waited} seconds:\n{words}"));
            }
        }
        Ok(())
    }

    /// The addresses of all nodes, as `bootstrap.servers` takes them.
    pub(crate) fn bootstrap_servers(&self) -> String {
        let addresses: Vec<String> =
            self.nodes.iter().map(|node| node.address.to_string()).collect();
        addresses.join(",")
    }

    /// The file that tells of the listeners with TLS and SASL, if there are any.
    pub(crate) fn secure(&self) -> Option<&Path> {
        self.secure.as_deref()
    }

    /// Tells a program where the cluster is, by variables.
    pub(crate) fn tell(&self, command: &mut Command) {
        command.env(SERVERS_VARIABLE, self.bootstrap_servers());
        if let Some(file) = &self.secure {
            command.env(SECURE_VARIABLE, file);
        }
        if let Some(kdc) = &self.kdc {
            command.env("KRB5_CONFIG", kdc.client_config());
        }
    }

    /// The processes of all nodes, and of what serves them.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let nodes = self.nodes.iter().map(|node| node.child.id());
        nodes.chain(self.kdc.as_ref().map(Kdc::pid)).collect()
    }

    /// Lets the cluster run on after this process, until the user stops it.
    pub(crate) fn let_go(mut self) -> Result<(), String> {
        if let Some(run) = self.run.take() {
            run.hand_over(&self.pids(), &self.bootstrap_servers())?;
            self.nodes.clear();
            std::mem::forget(self.kdc.take());
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Its data is thrown away, so there is nothing to end in order. The folder goes after
        // this, when the fields are dropped.
        for node in &mut self.nodes {
            let _ = node.child.kill();
            let _ = node.child.wait();
        }
    }
}

impl Node {
    fn start(mut command: Command, folder: &Path, address: SocketAddr) -> Result<Self, String> {
        let log = folder.join("log.txt");
        let file = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let errors = file.try_clone().map_err(|error| format!("{}: {error}", log.display()))?;
        command.arg(folder.join("server.properties")).current_dir(folder);
        command.stdin(Stdio::null()).stdout(file).stderr(errors);
        // Not in our process group, so that Ctrl-C does not reach it before we end it.
        command.process_group(0);
        let child = command.spawn().map_err(|error| format!("cannot run java: {error}"))?;
        Ok(Self { address, log, child })
    }

    /// The end of what the node has printed.
    fn last_words(&self) -> String {
        let said = std::fs::read(&self.log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

/// The program and the arguments of a broker; the file with its settings is to follow.
pub(super) fn broker_command(
    java: &Path,
    options: &[String],
    jars: &Jars,
) -> (PathBuf, Vec<String>) {
    // Enough for tests, and little enough for three nodes on a small machine.
    let args = ["-Xms128m", "-Xmx512m", "-XX:+UseSerialGC"];
    let mut args: Vec<String> = args.map(str::to_owned).to_vec();
    args.push("-Dorg.apache.logging.log4j.level=WARN".to_owned());
    args.extend_from_slice(options);
    args.extend(["-cp".to_owned(), jars.broker_class_path(), "kafka.Kafka".to_owned()]);
    (java.to_owned(), args)
}

/// Formats the storage of all nodes at the same time.
pub(super) fn format_storage(
    folders: &[PathBuf],
    options: &[String],
    java: &Path,
    jars: &Jars,
) -> Result<(), String> {
    let mut formatting = Vec::new();
    for folder in folders {
        let mut command = Command::new(java);
        command.arg("-cp").arg(jars.broker_class_path()).arg("kafka.tools.StorageTool");
        command.args(["format", "--cluster-id", CLUSTER_ID, "--config"]);
        command.arg(folder.join("server.properties")).args(options).current_dir(folder);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|error| format!("cannot run java: {error}"))?;
        formatting.push(child);
    }
    // Each is waited for, also after one has failed.
    let ended: Vec<_> = formatting.into_iter().map(Child::wait_with_output).collect();
    for output in ended {
        let output = output.map_err(|error| format!("cannot wait for java: {error}"))?;
        if !output.status.success() {
            let told = [output.stdout, output.stderr].concat();
            return Err(format!("Kafka's storage: {}", String::from_utf8_lossy(&told)));
        }
    }
    Ok(())
}

/// The configuration of the node with this index (its id is one more).
pub(super) fn properties(
    index: usize,
    addresses: &[(SocketAddr, SocketAddr)],
    data: &Path,
) -> String {
    let (client, controller) = addresses[index];
    let voters: Vec<String> = addresses
        .iter()
        .enumerate()
        .map(|(index, (_, controller))| format!("{}@{controller}", index + 1))
        .collect();
    let replicas = addresses.len().min(3);
    let in_sync = if replicas == 3 { 2 } else { 1 };
    let rows = [
        ("node.id", (index + 1).to_string()),
        ("process.roles", "broker,controller".to_owned()),
        ("controller.quorum.voters", voters.join(",")),
        ("controller.listener.names", "CONTROLLER".to_owned()),
        ("listeners", format!("PLAINTEXT://{client},CONTROLLER://{controller}")),
        ("advertised.listeners", format!("PLAINTEXT://{client}")),
        ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned()),
        ("inter.broker.listener.name", "PLAINTEXT".to_owned()),
        ("log.dirs", data.display().to_string()),
        ("num.partitions", "1".to_owned()),
        ("default.replication.factor", replicas.to_string()),
        // A test that misspells a topic should hear of it.
        ("auto.create.topics.enable", "false".to_owned()),
        // Few partitions inside, and no wait for more consumers: a group is ready at once.
        ("offsets.topic.num.partitions", "4".to_owned()),
        ("offsets.topic.replication.factor", replicas.to_string()),
        ("transaction.state.log.num.partitions", "4".to_owned()),
        ("transaction.state.log.replication.factor", replicas.to_string()),
        ("transaction.state.log.min.isr", in_sync.to_string()),
        ("share.coordinator.state.topic.num.partitions", "4".to_owned()),
        ("share.coordinator.state.topic.replication.factor", replicas.to_string()),
        ("share.coordinator.state.topic.min.isr", in_sync.to_string()),
        ("group.initial.rebalance.delay.ms", "0".to_owned()),
        // Nor does a member wait for its assignment (KIP-1263).
        ("group.consumer.assignment.interval.ms", "0".to_owned()),
        ("log.cleaner.dedupe.buffer.size", "8388608".to_owned()),
    ];
    rows.iter().map(|(key, value)| format!("{key}={value}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, port).into()
    }

    #[test]
    fn one_node_replicates_nothing_and_three_do() {
        let folder = Path::new("somewhere");
        let alone = properties(0, &[(address(1), address(2))], folder);
        assert!(alone.contains("\nlisteners=PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2\n"));
        assert!(alone.contains("\noffsets.topic.replication.factor=1\n"));
        assert!(alone.contains("\ntransaction.state.log.min.isr=1\n"));
        let three: Vec<_> = (0..3).map(|i| (address(i), address(10 + i))).collect();
        let last = properties(2, &three, folder);
        assert!(last.starts_with("node.id=3\n"));
        let voters = "1@127.0.0.1:10,2@127.0.0.1:11,3@127.0.0.1:12";
        assert!(last.contains(&format!("\ncontroller.quorum.voters={voters}\n")));
        assert!(last.contains("\ntransaction.state.log.replication.factor=3\n"));
        assert!(last.contains("\ntransaction.state.log.min.isr=2\n"));
    }
}
