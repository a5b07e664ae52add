//! The handle on a running cluster.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use tempfile::TempDir;

use crate::builder::ClusterBuilder;
use crate::error::StartError;
use crate::fault::{Fault, RandomFaults};
use crate::listen::ReservedPort;
use crate::peers::Advertised;
use crate::request_log::SeenRequest;
use crate::security::tls::RunningTls;
use crate::server::{self, Door, Entrance};

/// A running cluster. It ends when this is dropped.
///
/// # Examples
/// ```
/// use ottla_broker::Cluster;
///
/// let cluster = Cluster::builder().topic("user-events", 3).start()?;
/// println!("bootstrap.servers={}", cluster.bootstrap_servers());
/// # Ok::<(), ottla_broker::StartError>(())
/// ```
#[derive(Debug)]
pub struct Cluster {
    pub(crate) running: Running,
    addresses: Vec<SocketAddr>,
    /// The main one first.
    pub(crate) listeners: Vec<RunningListener>,
    /// Removed when the cluster has ended; fields are dropped in order.
    _temporary: Option<TempDir>,
}

impl Cluster {
    /// Begins the description of a cluster.
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::default()
    }

    pub(crate) fn new(
        running: Running,
        listeners: Vec<RunningListener>,
        temporary: Option<TempDir>,
    ) -> Self {
        let addresses = listeners.first().map(|main| main.addresses.clone()).unwrap_or_default();
        Self { running, addresses, listeners, _temporary: temporary }
    }

    /// What a client on this machine puts into `bootstrap.servers`: `host:port`, several with
    /// commas between. Those of the main listener; [`Cluster::servers_of`] tells others.
    pub fn bootstrap_servers(&self) -> String {
        self.listeners.first().map(RunningListener::servers).unwrap_or_default()
    }

    /// The addresses that the main listener has, one for each node.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Lets something go wrong with the next request that the fault names.
    pub fn inject(&self, fault: Fault) {
        self.running.door.with_nodes(|nodes, _| nodes.faults.inject(fault));
    }

    /// From now on requests meet faults by chance, until the faults are cleared. Faults that were
    /// injected one by one go first.
    pub fn inject_random(&self, faults: RandomFaults) {
        self.running.door.with_nodes(|nodes, _| nodes.faults.leave_to_chance(faults));
    }

    /// Takes back all faults that have not happened yet, and those by chance.
    pub fn clear_faults(&self) {
        self.running.door.with_nodes(|nodes, _| nodes.faults.clear());
    }

    /// How many faults have not happened yet, or not as often as they shall.
    pub fn pending_faults(&self) -> usize {
        self.running.door.with_nodes(|nodes, _| nodes.faults.len())
    }

    /// The requests that came in, oldest first; see [`ClusterBuilder::request_log`].
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.running.door.with_nodes(|nodes, _| nodes.seen.to_vec())
    }

    /// Forgets the requests that came in so far.
    pub fn clear_requests(&self) {
        self.running.door.with_nodes(|nodes, _| nodes.seen.clear());
    }

    /// Waits until the requests that came in satisfy `is_done`, at most so long. Says whether they
    /// did.
    pub fn wait_for_requests(
        &self,
        timeout: Duration,
        is_done: impl Fn(&[SeenRequest]) -> bool,
    ) -> bool {
        self.running.door.wait_until(timeout, |nodes| is_done(&nodes.seen.to_vec()))
    }

    /// The offset that the next record of a partition will get, `None` when there is no such
    /// partition, or nobody leads it.
    pub fn log_end_offset(&self, topic: &str, partition: i32) -> Option<i64> {
        let state = self.partition(topic, partition)?;
        state.leader.map(|_| state.log_end)
    }

    /// Ends the cluster: connections are closed, logs flushed, the folder marked as cleanly shut
    /// down.
    pub fn stop(mut self) {
        self.running.end(true);
    }

    /// Ends the cluster as the kill of its process would: nothing is flushed, nothing marked.
    ///
    /// What had been acknowledged is in the files all the same.
    pub fn kill(mut self) {
        self.running.end(false);
    }
}

/// A listener of a running cluster, on each of its nodes.
#[derive(Debug)]
pub(crate) struct RunningListener {
    pub(crate) name: String,
    /// One for each node.
    pub(crate) addresses: Vec<SocketAddr>,
    /// One for each node, where that is not simply the address.
    pub(crate) advertised: Option<Vec<Advertised>>,
    pub(crate) tls: Option<Arc<RunningTls>>,
    /// Keeps the ports while a node is down.
    pub(crate) reserved: Vec<ReservedPort>,
}

impl RunningListener {
    /// Where clients on this machine find it.
    pub(crate) fn servers(&self) -> String {
        let servers: Vec<String> = match &self.advertised {
            Some(all) => all.iter().map(|node| format!("{}:{}", node.host, node.port)).collect(),
            None => self.addresses.iter().map(|address| reachable(*address).to_string()).collect(),
        };
        servers.join(",")
    }
}

/// An address at which a client on this machine finds who listens on this one.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The broker's thread.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) door: Arc<Door>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Running {
    pub(crate) fn start(entrances: Vec<Entrance>, door: Arc<Door>) -> Result<Self, StartError> {
        let served = door.clone();
        let (opened, has_opened) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("ottla-broker".to_owned())
            .spawn(move || server::serve(entrances, &served, &opened))
            .map_err(StartError::Thread)?;
        if has_opened.recv().is_ok() {
            return Ok(Self { door, thread: Some(thread) });
        }
        // It ended before it began.
        let error = match thread.join() {
            Ok(Err(error)) => error,
            _ => io::Error::other("it ended"),
        };
        Err(StartError::Thread(error))
    }

    fn end(&mut self, cleanly: bool) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        self.door.stop();
        match thread.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the broker's runtime failed"),
            Err(_) => tracing::error!("the broker's thread panicked"),
        }
        if cleanly {
            self.door.with_nodes(|nodes, _| nodes.close());
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end(true);
    }
}
