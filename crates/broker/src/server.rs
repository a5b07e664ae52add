//! The TCP door: sockets, TLS and clocks in, answers out. The only file with tokio.
//!
//! One task for each connection reads frames and hands them to the node, one at a time and in
//! order. An answer that has to wait comes back through the connection's outbox. One more task, the
//! ticker, tells the node that time has passed. All of it runs on one thread with a runtime of its
//! own.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use ottla_protocol::frame::{FrameError, FrameReader};
use parking_lot::{Condvar, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::node::{Arrival, ConnectionId, Flow, Node, Transmit};
use crate::security;
use crate::security::tls::RunningTls;
use crate::time::Now;

/// How much is read at once, at least.
const READ_BYTES: usize = 64 * 1024;
/// Answers are gathered up to this size while more requests are at hand.
const WRITE_BYTES: usize = 256 * 1024;
/// Buffers above this size are given back once they are empty.
const KEPT_BYTES: usize = 256 * 1024;
/// How long the door stays shut when the system has no more sockets to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long the last word of TLS may take to leave.
const TLS_CLOSE_PATIENCE: Duration = Duration::from_secs(1);

/// A socket that is listened on, and the TLS that is spoken there.
#[derive(Debug)]
pub(crate) struct Entrance {
    pub(crate) bound: std::net::TcpListener,
    pub(crate) tls: Option<Arc<RunningTls>>,
}

/// The node with what the tasks around it share.
#[derive(Debug)]
pub(crate) struct Door {
    state: Mutex<State>,
    /// A request has been handled; for tests that wait for one.
    pub(crate) changed: Condvar,
    tick: Notify,
    stop: Notify,
    started: Instant,
}

#[derive(Debug)]
struct State {
    node: Node,
    outboxes: HashMap<ConnectionId, UnboundedSender<Transmit>>,
    /// When the ticker will wake by itself.
    next_tick: Duration,
}

/// Why a connection ended.
#[derive(Debug)]
enum End {
    /// The client closed it.
    Closed,
    /// The broker closed it; the reason has been told already.
    Refused,
    /// What came were no frames.
    NotFrames(FrameError),
    /// Nothing came for too long.
    Idle,
    /// The network failed.
    Io(io::Error),
}

impl Door {
    /// A door for a node; `started` is the zero of its monotonic clock.
    pub(crate) fn new(node: Node, started: Instant) -> Self {
        let state = State { node, outboxes: HashMap::new(), next_tick: Duration::ZERO };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            tick: Notify::new(),
            stop: Notify::new(),
            started,
        }
    }

    /// Ends [`serve`].
    pub(crate) fn stop(&self) {
        self.stop.notify_one();
    }

    /// The present, on both clocks.
    pub(crate) fn now(&self) -> Now {
        now_since(self.started)
    }

    /// Works on the node between two requests.
    pub(crate) fn with_node<T>(&self, work: impl FnOnce(&mut Node, Now) -> T) -> T {
        let now = self.now();
        let mut state = self.state.lock();
        let result = work(&mut state.node, now);
        self.dispatch(&mut state);
        result
    }

    /// Waits until `is_done` holds for the node, looking again after each request. Says whether it
    /// came to hold.
    pub(crate) fn wait_until(&self, timeout: Duration, is_done: impl Fn(&Node) -> bool) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.state.lock();
        while !is_done(&state.node) {
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                return is_done(&state.node);
            }
        }
        true
    }

    /// After the node has done something: passes on answers, wakes the ticker when it sleeps too
    /// long.
    fn dispatch(&self, state: &mut State) {
        while let Some(transmit) = state.node.poll_transmit() {
            // A client that has gone away in the meantime has no outbox any more.
            if let Some(outbox) = state.outboxes.get(&transmit.connection) {
                let _ = outbox.send(transmit);
            }
        }
        if state.node.poll_timeout() < state.next_tick {
            self.tick.notify_one();
        }
    }

    fn connect(&self, id: ConnectionId, arrival: Arrival) -> Outbox {
        let (sender, receiver) = unbounded_channel();
        let mut state = self.state.lock();
        state.outboxes.insert(id, sender);
        state.node.handle_connected(id, arrival);
        receiver
    }

    fn disconnect(&self, id: ConnectionId) {
        let mut state = self.state.lock();
        state.outboxes.remove(&id);
        state.node.handle_disconnected(id);
        self.dispatch(&mut state);
    }

    fn request(self: &Arc<Self>, id: ConnectionId, frame: &Bytes, out: &mut Vec<u8>) -> Flow {
        let now = self.now();
        let mut state = self.state.lock();
        let flow = state.node.handle_request(id, frame, now, out);
        self.dispatch(&mut state);
        while let Some(sync) = state.node.poll_sync() {
            let door = self.clone();
            tokio::task::spawn_blocking(move || match sync.run() {
                Ok(()) => door.with_node(|node, _| node.handle_synced(&sync)),
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
                state.next_tick = state.node.poll_timeout();
                state.next_tick
            };
            tokio::select! {
                () = tokio::time::sleep_until((self.started + next).into()) => {}
                () = self.tick.notified() => {}
            }
            self.with_node(|node, now| node.handle_timeout(now));
        }
    }
}

type Outbox = UnboundedReceiver<Transmit>;

/// The present, the monotonic clock counted from `started`.
pub(crate) fn now_since(started: Instant) -> Now {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { monotonic: started.elapsed(), unix_ms: unix.as_millis() as i64 }
}

/// Serves connections until [`Door::stop`]. Blocks; every connection is closed on return.
pub(crate) fn serve(entrances: Vec<Entrance>, door: &Arc<Door>) -> io::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    runtime.block_on(async {
        let hall = Arc::new(Hall::new(door.clone()));
        for (index, Entrance { bound, tls }) in entrances.into_iter().enumerate() {
            let listener = TcpListener::from_std(bound)?;
            tokio::spawn(accept(listener, tls, index, hall.clone()));
        }
        tokio::select! {
            () = door.run_ticker() => {}
            () = door.stop.notified() => {}
        }
        Ok(())
    })
}

/// What the connections of all listeners share.
struct Hall {
    door: Arc<Door>,
    max_connections: usize,
    max_idle: Duration,
    /// Each connection holds a copy, so the count says how many there are.
    open: Arc<()>,
    last_id: AtomicU64,
}

impl Hall {
    fn new(door: Arc<Door>) -> Self {
        let (max_connections, max_idle) =
            door.with_node(|node, _| (node.config.max_connections, node.config.max_idle));
        Self { door, max_connections, max_idle, open: Arc::new(()), last_id: AtomicU64::new(0) }
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<Arc<RunningTls>>,
    index: usize,
    hall: Arc<Hall>,
) {
    loop {
        let (stream, remote) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let max_connections = hall.max_connections;
        if Arc::strong_count(&hall.open) > max_connections {
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
        let arrival = Arrival { listener: index, local, remote, certificate_name: None };
        let (tls, hall, open) = (tls.clone(), hall.clone(), hall.open.clone());
        tokio::spawn(async move {
            match tls {
                None => {
                    run_connection(&hall, arrival, stream).await;
                }
                Some(tls) => run_tls_connection(&hall, arrival, stream, &tls).await,
            }
            drop(open);
        });
    }
}

async fn run_tls_connection(
    hall: &Hall,
    mut arrival: Arrival,
    stream: TcpStream,
    tls: &RunningTls,
) {
    let remote = arrival.remote;
    let handshake = TlsAcceptor::from(tls.config()).accept(stream);
    let stream = match tokio::time::timeout(hall.max_idle, handshake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            return tracing::warn!(%remote, %error, "TLS handshake failed, connection closed");
        }
        Err(_) => return tracing::info!(%remote, "TLS handshake took too long"),
    };
    arrival.certificate_name = certificate_name(&stream);
    let mut stream = run_connection(hall, arrival, stream).await;
    // Says that this is the end, and not that the network cut it off.
    let _ = tokio::time::timeout(TLS_CLOSE_PATIENCE, stream.shutdown()).await;
}

fn certificate_name(stream: &TlsStream<TcpStream>) -> Option<String> {
    let (_, session) = stream.get_ref();
    security::certificate_name(session.peer_certificates()?.first()?)
}

async fn run_connection<S: AsyncRead + AsyncWrite + Unpin>(
    hall: &Hall,
    arrival: Arrival,
    mut stream: S,
) -> S {
    let (door, remote) = (&hall.door, arrival.remote);
    let id = hall.last_id.fetch_add(1, Ordering::Relaxed) + 1;
    tracing::debug!(connection = id, %remote, "connected");
    let outbox = door.connect(id, arrival);
    let max_bytes = door.with_node(|node, _| node.max_request_bytes(id));
    let most_bytes = door.with_node(|node, _| node.config.max_request_bytes);
    let connection = Connection {
        door,
        id,
        stream: &mut stream,
        frames: FrameReader::new(max_bytes),
        outbox,
        out: Vec::new(),
        max_idle: hall.max_idle,
        is_limited: max_bytes < most_bytes,
    };
    let end = connection.run().await;
    door.disconnect(id);
    match end {
        End::Closed | End::Refused => tracing::debug!(connection = id, %remote, "disconnected"),
        End::Idle => tracing::info!(connection = id, %remote, "connection was idle, closed"),
        End::NotFrames(error) => {
            tracing::warn!(connection = id, %remote, %error, "connection closed");
        }
        End::Io(error) => tracing::debug!(connection = id, %remote, %error, "connection lost"),
    }
    stream
}

/// One connection while it lasts.
struct Connection<'a, S> {
    door: &'a Arc<Door>,
    id: ConnectionId,
    stream: &'a mut S,
    frames: FrameReader,
    outbox: Outbox,
    out: Vec<u8>,
    max_idle: Duration,
    /// Requests may be larger once it is known who sends them.
    is_limited: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<'_, S> {
    async fn run(mut self) -> End {
        match self.serve_frames().await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn serve_frames(&mut self) -> Result<std::convert::Infallible, End> {
        loop {
            while let Some(frame) = self.frames.next().map_err(End::NotFrames)? {
                let flow = self.door.request(self.id, &frame, &mut self.out);
                drop(frame);
                if self.is_limited {
                    self.set_limit();
                }
                self.follow(flow).await?;
            }
            self.write().await?;
            self.read().await?;
        }
    }

    fn set_limit(&mut self) {
        let id = self.id;
        let max_bytes = self.door.with_node(|node, _| node.max_request_bytes(id));
        self.is_limited = max_bytes == self.frames.max_bytes();
        self.frames.set_max_bytes(max_bytes);
    }

    /// Does what the node said, until the next request may come.
    async fn follow(&mut self, mut flow: Flow) -> Result<(), End> {
        loop {
            match flow {
                Flow::Continue if self.out.len() < WRITE_BYTES => return Ok(()),
                Flow::Continue => return self.write().await,
                Flow::Wait => {
                    self.write().await?;
                    let transmit = self.wait().await?;
                    self.out.extend_from_slice(&transmit.bytes);
                    flow = transmit.flow;
                }
                Flow::Pause(duration) => {
                    self.write().await?;
                    tokio::time::sleep(duration).await;
                    return Ok(());
                }
                Flow::Close => {
                    self.write().await?;
                    return Err(End::Refused);
                }
            }
        }
    }

    /// Waits for the node's answer, and notices when the client goes away meanwhile.
    async fn wait(&mut self) -> Result<Transmit, End> {
        loop {
            let may_read = self.frames.buffered_bytes() < WRITE_BYTES;
            self.frames.buffer_mut().reserve(READ_BYTES);
            tokio::select! {
                transmit = self.outbox.recv() => return transmit.ok_or(End::Refused),
                read = self.stream.read_buf(self.frames.buffer_mut()), if may_read => match read {
                    Ok(0) => return Err(End::Closed),
                    Ok(_) => {}
                    Err(error) => return Err(End::Io(error)),
                },
            }
        }
    }

    async fn read(&mut self) -> Result<(), End> {
        let missing = missing_bytes(&mut self.frames);
        let buffer = self.frames.buffer_mut();
        if buffer.is_empty() && buffer.capacity() > KEPT_BYTES {
            *buffer = BytesMut::new();
        }
        // Never far ahead of what has really come, whatever length was announced.
        buffer.reserve(missing.min(buffer.len()).max(READ_BYTES));
        match tokio::time::timeout(self.max_idle, self.stream.read_buf(buffer)).await {
            Ok(Ok(0)) => Err(End::Closed),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(End::Io(error)),
            Err(_) => Err(End::Idle),
        }
    }

    async fn write(&mut self) -> Result<(), End> {
        if self.out.is_empty() {
            return Ok(());
        }
        let writing = async {
            self.stream.write_all(&self.out).await?;
            // TLS may hold some of it back until then.
            self.stream.flush().await
        };
        let written = tokio::time::timeout(self.max_idle, writing).await;
        if self.out.capacity() > KEPT_BYTES {
            self.out = Vec::new();
        } else {
            self.out.clear();
        }
        match written {
            Ok(result) => result.map_err(End::Io),
            Err(_) => Err(End::Idle),
        }
    }
}

/// How many bytes the frame that has begun still needs, as far as it says.
fn missing_bytes(frames: &mut FrameReader) -> usize {
    let buffer = frames.buffer_mut();
    let announced = buffer.first_chunk().map_or(0, |prefix| i32::from_be_bytes(*prefix));
    usize::try_from(announced).unwrap_or_default().saturating_sub(buffer.len())
}
