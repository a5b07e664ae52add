//! The handle on a running cluster.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tempfile::TempDir;

use crate::builder::ClusterBuilder;
use crate::error::StartError;
use crate::fault::Fault;
use crate::node::{Advertised, Node};
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
        let addresses = listeners.iter().take(1).map(|main| main.address).collect();
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
        self.running.door.with_node(|node, _| node.faults.inject(fault));
    }

    /// Takes back all faults that have not happened yet.
    pub fn clear_faults(&self) {
        self.running.door.with_node(|node, _| node.faults.clear());
    }

    /// How many faults have not happened yet, or not as often as they shall.
    pub fn pending_faults(&self) -> usize {
        self.running.door.with_node(|node, _| node.faults.len())
    }

    /// The requests that came in, oldest first; see [`ClusterBuilder::request_log`].
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.running.door.with_node(|node, _| node.seen.to_vec())
    }

    /// Forgets the requests that came in so far.
    pub fn clear_requests(&self) {
        self.running.door.with_node(|node, _| node.seen.clear());
    }

    /// Waits until the requests that came in satisfy `is_done`, at most so long. Says whether they
    /// did.
    pub fn wait_for_requests(
        &self,
        timeout: Duration,
        is_done: impl Fn(&[SeenRequest]) -> bool,
    ) -> bool {
        self.running.door.wait_until(timeout, |node| is_done(&node.seen.to_vec()))
    }

    /// The offset that the next record of a partition will get, `None` when there is no such
    /// partition.
    pub fn log_end_offset(&self, topic: &str, partition: i32) -> Option<i64> {
        self.running.door.with_node(|node, _| log_end_offset(node, topic, partition))
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

fn log_end_offset(node: &Node, topic: &str, partition: i32) -> Option<i64> {
    let id = node.catalog.by_name(topic)?.id;
    Some(node.partitions.get(id, partition)?.log.log_end_offset())
}

/// A listener of a running cluster.
#[derive(Debug)]
pub(crate) struct RunningListener {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) advertised: Option<Advertised>,
    pub(crate) tls: Option<Arc<RunningTls>>,
}

impl RunningListener {
    /// Where clients on this machine find it.
    pub(crate) fn servers(&self) -> String {
        if let Some(Advertised { host, port }) = &self.advertised {
            return format!("{host}:{port}");
        }
        let ip = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        SocketAddr::new(ip, self.address.port()).to_string()
    }
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
        let thread = std::thread::Builder::new()
            .name("ottla-broker".to_owned())
            .spawn(move || server::serve(entrances, &served))
            .map_err(StartError::Thread)?;
        Ok(Self { door, thread: Some(thread) })
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
            self.door.with_node(|node, _| node.close());
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end(true);
    }
}
