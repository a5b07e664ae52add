//! The TCP door: sockets, TLS and clocks in, answers out.
//!
//! One task for each connection (see `connection`) reads frames and hands them to its node, one at
//! a time and in order. An answer that has to wait comes back through the connection's outbox. One
//! more task, the ticker, tells the nodes that time has passed. All of it runs on one thread with a
//! runtime of its own.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ottla_protocol::frame::FrameReader;
use parking_lot::{Condvar, Mutex};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::connection::{Connection, End};
use crate::life::{Alive, Life};
use crate::link::{self, Link};
use crate::nodes::{FIRST_NODE_ID, Nodes};
use crate::outgoing::Outgoing;
use crate::peers::{Arrival, ConnectionId, Flow, Transmit};
use crate::security;
use crate::security::tls::RunningTls;
use crate::time::Now;
use crate::wire::Wire;

/// How long the door stays shut when the system has no more sockets to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long the last word of TLS may take to leave.
const TLS_CLOSE_PATIENCE: Duration = Duration::from_secs(1);

/// A socket that is listened on, and the TLS that is spoken there.
#[derive(Debug)]
pub(crate) struct Entrance {
    pub(crate) node: i32,
    /// Its place among the node's listeners.
    pub(crate) listener: usize,
    pub(crate) bound: std::net::TcpListener,
    pub(crate) tls: Option<Arc<RunningTls>>,
}

/// The nodes with what the tasks around them share.
#[derive(Debug)]
pub(crate) struct Door {
    state: Mutex<State>,
    /// A request has been handled; for tests that wait for one.
    pub(crate) changed: Condvar,
    tick: Notify,
    stop: Notify,
    started: Instant,
    lives: Vec<Life>,
    /// Set while [`serve`] runs.
    runtime: OnceLock<Handle>,
    hall: Arc<Hall>,
}

#[derive(Debug)]
struct State {
    nodes: Nodes,
    outboxes: HashMap<ConnectionId, UnboundedSender<Transmit>>,
    /// When the ticker will wake by itself.
    next_tick: Duration,
}

impl Door {
    /// A door for nodes; `started` is the zero of their monotonic clock.
    pub(crate) fn new(nodes: Nodes, started: Instant) -> Self {
        let lives = nodes.nodes.iter().map(|_| Life::new()).collect();
        let hall = Arc::new(Hall { max_idle: nodes.config.max_idle, last_id: AtomicU64::new(0) });
        let state = State { nodes, outboxes: HashMap::new(), next_tick: Duration::ZERO };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            tick: Notify::new(),
            stop: Notify::new(),
            started,
            lives,
            runtime: OnceLock::new(),
            hall,
        }
    }

    /// The life of a node, by its id.
    pub(crate) fn life(&self, node: i32) -> Option<&Life> {
        self.lives.get(usize::try_from(node.checked_sub(FIRST_NODE_ID)?).ok()?)
    }

    /// Lets clients in, while [`serve`] runs.
    pub(crate) fn open(self: &Arc<Self>, entrances: Vec<Entrance>) -> io::Result<()> {
        let Some(runtime) = self.runtime.get() else {
            return Err(io::Error::other("the cluster has ended"));
        };
        let _inside = runtime.enter();
        for Entrance { node, listener, bound, tls } in entrances {
            let socket = TcpListener::from_std(bound)?;
            if let Some(alive) = self.life(node).and_then(Life::alive) {
                let (door, open) = (self.clone(), Arc::new(()));
                let way = Way { door, node, listener, tls, alive, open };
                runtime.spawn(accept(socket, way));
            }
        }
        Ok(())
    }

    /// Ends [`serve`].
    pub(crate) fn stop(&self) {
        self.stop.notify_one();
    }

    /// The present, on both clocks.
    pub(crate) fn now(&self) -> Now {
        now_since(self.started)
    }

    /// What lies between a node and those who connect now.
    fn link(&self, node: i32) -> Option<Link> {
        self.state.lock().nodes.node(node).and_then(|node| node.link)
    }

    fn max_connections(&self, node: i32) -> usize {
        self.state.lock().nodes.max_connections(node)
    }

    /// Works on the nodes between two requests.
    pub(crate) fn with_nodes<T>(&self, work: impl FnOnce(&mut Nodes, Now) -> T) -> T {
        let now = self.now();
        let mut state = self.state.lock();
        let result = work(&mut state.nodes, now);
        self.dispatch(&mut state);
        drop(state);
        self.changed.notify_all();
        result
    }

    /// Waits until `is_done` holds for the nodes, looking again after each thing that they do. Says
    /// whether it came to hold.
    pub(crate) fn wait_until(&self, timeout: Duration, is_done: impl Fn(&Nodes) -> bool) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.state.lock();
        while !is_done(&state.nodes) {
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                return is_done(&state.nodes);
            }
        }
        true
    }

    /// After the node has done something: passes on answers, wakes the ticker when it sleeps too
    /// long.
    fn dispatch(&self, state: &mut State) {
        while let Some(transmit) = state.nodes.poll_transmit() {
            // A client that has gone away in the meantime has no outbox any more.
            if let Some(outbox) = state.outboxes.get(&transmit.connection) {
                let _ = outbox.send(transmit);
            }
        }
        if state.nodes.poll_timeout() < state.next_tick {
            self.tick.notify_one();
        }
    }

    fn connect(&self, id: ConnectionId, arrival: Arrival) -> Outbox {
        let (sender, receiver) = unbounded_channel();
        let mut state = self.state.lock();
        state.outboxes.insert(id, sender);
        state.nodes.handle_connected(id, arrival);
        receiver
    }

    fn disconnect(&self, id: ConnectionId) {
        let mut state = self.state.lock();
        state.outboxes.remove(&id);
        state.nodes.handle_disconnected(id);
        self.dispatch(&mut state);
    }

    pub(crate) fn request(
        self: &Arc<Self>,
        id: ConnectionId,
        frame: &Bytes,
        out: &mut Outgoing,
    ) -> Flow {
        let now = self.now();
        let mut state = self.state.lock();
        let flow = state.nodes.handle_request(id, frame, now, out);
        self.dispatch(&mut state);
        while let Some(sync) = state.nodes.poll_sync() {
            let door = self.clone();
            tokio::task::spawn_blocking(move || match sync.run() {
                Ok(()) => door.with_nodes(|nodes, _| nodes.handle_synced(&sync)),
                Err(error) => tracing::error!(%error, "segment not flushed"),
            });
        }
        drop(state);
        self.changed.notify_all();
        flow
    }

    /// Tells the node the time whenever it wants to know.
    async fn run_ticker(&self) {
        loop {
            let next = {
                let mut state = self.state.lock();
                state.next_tick = state.nodes.poll_timeout();
                state.next_tick
            };
            tokio::select! {
                () = tokio::time::sleep_until((self.started + next).into()) => {}
                () = self.tick.notified() => {}
            }
            self.with_nodes(|nodes, now| nodes.handle_timeout(now));
        }
    }
}

pub(crate) type Outbox = UnboundedReceiver<Transmit>;

/// The present, the monotonic clock counted from `started`.
pub(crate) fn now_since(started: Instant) -> Now {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { monotonic: started.elapsed(), unix_ms: unix.as_millis() as i64 }
}

/// Serves connections until [`Door::stop`]. Blocks; every connection is closed on return.
///
/// `opened` hears when every entrance has its task: before that no node's life may end, or its
/// sockets would outlive it.
pub(crate) fn serve(
    entrances: Vec<Entrance>,
    door: &Arc<Door>,
    opened: &mpsc::Sender<()>,
) -> io::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    runtime.block_on(async {
        let _ = door.runtime.set(Handle::current());
        door.open(entrances)?;
        // Whoever started this waits for it.
        let _ = opened.send(());
        tokio::select! {
            () = door.run_ticker() => {}
            () = door.stop.notified() => {}
        }
        Ok(())
    })
}

/// What the connections of all listeners share.
#[derive(Debug)]
struct Hall {
    max_idle: Duration,
    last_id: AtomicU64,
}

/// How clients come in by one listener.
#[derive(Clone)]
struct Way {
    door: Arc<Door>,
    node: i32,
    listener: usize,
    tls: Option<Arc<RunningTls>>,
    alive: Alive,
    /// Each connection holds a copy, so the count says how many there are.
    open: Arc<()>,
}

async fn accept(socket: TcpListener, way: Way) {
    let mut alive = way.alive.clone();
    tokio::select! {
        biased;
        () = alive.over() => {}
        () = accept_all(&socket, way) => {}
    }
    // Before `alive` goes: with it the port must be free for the next life.
    drop(socket);
}

async fn accept_all(socket: &TcpListener, mut way: Way) {
    loop {
        way.alive.running().await;
        let (stream, remote) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let max_connections = way.door.max_connections(way.node);
        // One copy is the door keeper's own.
        if Arc::strong_count(&way.open) > max_connections {
            tracing::warn!(%remote, max_connections, "too many connections, closed");
            continue;
        }
        let local = match stream.set_nodelay(true).and_then(|()| stream.local_addr()) {
            Ok(local) => local,
            Err(error) => {
                tracing::debug!(%remote, %error, "connection lost at once");
                continue;
            }
        };
        let (node, listener) = (way.node, way.listener);
        let arrival = Arrival { node, listener, local, remote, certificate_name: None };
        let way = way.clone();
        tokio::spawn(async move {
            match way.door.link(node) {
                None => run_secured(&way, arrival, stream).await,
                Some(link) => run_secured(&way, arrival, link::join(stream, link)).await,
            }
        });
    }
}

/// Serves a client, through TLS if the listener has that.
async fn run_secured<W: Wire>(way: &Way, arrival: Arrival, stream: W) {
    match &way.tls {
        None => {
            run_connection(way, arrival, stream).await;
        }
        Some(tls) => run_tls_connection(way, arrival, stream, tls).await,
    }
}

async fn run_tls_connection<W: Wire>(way: &Way, mut arrival: Arrival, stream: W, tls: &RunningTls) {
    let (remote, mut alive) = (arrival.remote, way.alive.clone());
    let handshake = TlsAcceptor::from(tls.config()).accept(stream);
    let handshake = tokio::time::timeout(way.door.hall.max_idle, handshake);
    let shaken = tokio::select! {
        shaken = handshake => shaken,
        () = alive.over() => return,
    };
    let stream = match shaken {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            return tracing::warn!(%remote, %error, "TLS handshake failed, connection closed");
        }
        Err(_) => return tracing::info!(%remote, "TLS handshake took too long"),
    };
    arrival.certificate_name = certificate_name(&stream);
    let mut stream = run_connection(way, arrival, stream).await;
    // Says that this is the end, and not that the network cut it off.
    let shutdown = tokio::time::timeout(TLS_CLOSE_PATIENCE, stream.shutdown());
    tokio::select! {
        _ = shutdown => {}
        () = alive.over() => {}
    }
}

fn certificate_name<W>(stream: &TlsStream<W>) -> Option<String> {
    let (_, session) = stream.get_ref();
    security::certificate_name(session.peer_certificates()?.first()?)
}

async fn run_connection<S: Wire>(way: &Way, arrival: Arrival, mut stream: S) -> S {
    let (door, remote) = (&way.door, arrival.remote);
    let id = door.hall.last_id.fetch_add(1, Ordering::Relaxed) + 1;
    tracing::debug!(connection = id, %remote, "connected");
    let outbox = door.connect(id, arrival);
    let max_bytes = door.with_nodes(|nodes, _| nodes.max_request_bytes(id));
    let most_bytes = door.with_nodes(|nodes, _| nodes.config.max_request_bytes);
    let connection = Connection {
        door,
        id,
        stream: &mut stream,
        frames: FrameReader::new(max_bytes),
        outbox,
        out: Outgoing::default(),
        max_idle: door.hall.max_idle,
        is_limited: max_bytes < most_bytes,
        alive: way.alive.clone(),
    };
    let end = connection.run().await;
    door.disconnect(id);
    match end {
        End::Closed | End::Refused | End::Killed => {
            tracing::debug!(connection = id, %remote, "disconnected");
        }
        End::Idle => tracing::info!(connection = id, %remote, "connection was idle, closed"),
        End::NotFrames(error) => {
            tracing::warn!(connection = id, %remote, %error, "connection closed");
        }
        End::Io(error) => tracing::debug!(connection = id, %remote, %error, "connection lost"),
    }
    stream
}
