//! A network between a client and a broker that can be made worse.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The two directions of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the client to the broker.
    There,
    /// From the broker to the client.
    Back,
}

/// What happens to a connection once so many more bytes have gone one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is cut in both directions.
    Cut,
    /// Nothing more goes that way, and nothing more is read: the sender's window fills.
    Stall,
    /// What comes that way is read and thrown away.
    Swallow,
    /// Nothing more goes that way, and its receiver is told so. The other way is open.
    HalfClose,
}

/// Listens on a port of its own and passes everything on.
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    target: Mutex<Option<SocketAddr>>,
    plan: Mutex<Plan>,
    changed: Condvar,
}

#[derive(Default)]
struct Plan {
    /// Bytes that may still pass before it happens, the next first.
    troubles: Vec<(Way, usize, Trouble)>,
    happened: usize,
    /// At most so many bytes at a time.
    piece_bytes: Option<usize>,
    /// Ways on which everything is swallowed, on all connections.
    dark: Vec<Way>,
    /// How long each piece waits before it is passed on.
    delay: Duration,
    /// What stalls, stalls until this is greater than it was.
    healed: usize,
}

impl Proxy {
    /// Starts a proxy without a target. It ends with the process.
    ///
    /// # Panics
    /// When no port is to be had.
    #[must_use]
    pub fn start() -> Self {
        Self::listen_at(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port")
    }

    /// As [`Proxy::start`], at an address that clients have been told.
    ///
    /// # Errors
    /// The address cannot be listened at.
    pub fn listen_at(address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            target: Mutex::default(),
            plan: Mutex::default(),
            changed: Condvar::new(),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let _ = shared.connect(client);
            }
        });
        Ok(Self { address, state })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where connections lead from now on.
    pub fn lead_to(&self, target: SocketAddr) {
        *lock(&self.state.target) = Some(target);
    }

    /// Has trouble happen after so many bytes that way, counted from the trouble before.
    pub fn plan(&self, way: Way, after_bytes: usize, trouble: Trouble) {
        lock(&self.state.plan).troubles.push((way, after_bytes, trouble));
    }

    /// Passes at most so many bytes at a time.
    pub fn in_pieces(&self, piece_bytes: usize) {
        lock(&self.state.plan).piece_bytes = Some(piece_bytes);
    }

    /// Has each piece wait before it is passed on, either way.
    pub fn delay(&self, delay: Duration) {
        lock(&self.state.plan).delay = delay;
    }

    /// Swallows whatever comes that way, on every connection, until all is well again.
    pub fn swallow(&self, way: Way) {
        lock(&self.state.plan).dark.push(way);
    }

    /// How much of what was planned has happened.
    #[must_use]
    pub fn happened(&self) -> usize {
        lock(&self.state.plan).happened
    }

    /// Forgets what is planned, and all that it does to what passes. Connections that have stalled
    /// or lost something are closed.
    pub fn heal(&self) {
        let mut plan = lock(&self.state.plan);
        let (happened, healed) = (plan.happened, plan.healed + 1);
        *plan = Plan { happened, healed, ..Plan::default() };
        self.state.changed.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What to do with the next bytes.
enum Next {
    Pass(usize, Duration),
    Happens(Trouble),
}

impl State {
    fn connect(self: &Arc<Self>, client: TcpStream) -> std::io::Result<()> {
        let target = lock(&self.target).ok_or(std::io::ErrorKind::NotConnected)?;
        let broker = TcpStream::connect_timeout(&target, CONNECT_WITHIN)?;
        for stream in [&client, &broker] {
            stream.set_nodelay(true)?;
        }
        for (way, from, to) in
            [(Way::There, client.try_clone()?, broker.try_clone()?), (Way::Back, broker, client)]
        {
            let state = Arc::clone(self);
            std::thread::spawn(move || {
                if !matches!(state.pump(way, &from, &to), Ok(End::Half)) {
                    let _ = from.shutdown(Shutdown::Both);
                    let _ = to.shutdown(Shutdown::Both);
                }
            });
        }
        Ok(())
    }

    fn pump(&self, way: Way, mut from: &TcpStream, mut to: &TcpStream) -> std::io::Result<End> {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let len = from.read(&mut buffer)?;
            if len == 0 {
                return Ok(End::Whole);
            }
            let mut rest = &buffer[..len];
            while !rest.is_empty() {
                match self.next(way, rest.len()) {
                    Next::Pass(count, delay) => {
                        if !delay.is_zero() {
                            std::thread::sleep(delay);
                        }
                        to.write_all(&rest[..count])?;
                        rest = &rest[count..];
                    }
                    Next::Happens(Trouble::Cut) => return Ok(End::Whole),
                    Next::Happens(Trouble::Stall) => {
                        self.wait_for_healing();
                        return Ok(End::Whole);
                    }
                    Next::Happens(Trouble::Swallow) => return self.swallow(from, &mut buffer),
                    Next::Happens(Trouble::HalfClose) => {
                        to.shutdown(Shutdown::Write)?;
                        return Ok(End::Half);
                    }
                }
            }
        }
    }

    fn next(&self, way: Way, len: usize) -> Next {
        let mut plan = lock(&self.plan);
        if plan.dark.contains(&way) {
            return Next::Happens(Trouble::Swallow);
        }
        let most = plan.piece_bytes.unwrap_or(len).min(len);
        let delay = plan.delay;
        let Some((planned, left, trouble)) = plan.troubles.first_mut() else {
            return Next::Pass(most, delay);
        };
        if *planned != way {
            return Next::Pass(most, delay);
        }
        if *left > 0 {
            let count = most.min(*left);
            *left -= count;
            return Next::Pass(count, delay);
        }
        let trouble = *trouble;
        plan.troubles.remove(0);
        plan.happened += 1;
        Next::Happens(trouble)
    }

    /// Reads and throws away until all is well; what is missing by then makes the connection
    /// useless.
    fn swallow(&self, mut from: &TcpStream, buffer: &mut [u8]) -> std::io::Result<End> {
        let healed = lock(&self.plan).healed;
        from.set_read_timeout(Some(LOOK_EVERY))?;
        while lock(&self.plan).healed == healed {
            match from.read(buffer) {
                Ok(0) => break,
                Err(error) if !is_patience(&error) => return Err(error),
                _ => {}
            }
        }
        Ok(End::Whole)
    }

    /// A stalled connection is read no more; once all is well it is closed.
    fn wait_for_healing(&self) {
        let mut plan = lock(&self.plan);
        let healed = plan.healed;
        while plan.healed == healed {
            plan = self.changed.wait(plan).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// What of a connection has ended.
enum End {
    Whole,
    /// One way; the other goes on.
    Half,
}

/// A broker that is stopped may let nobody in; others wait behind that.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// How often what swallows looks whether all is well again.
const LOOK_EVERY: Duration = Duration::from_millis(20);

fn is_patience(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}
