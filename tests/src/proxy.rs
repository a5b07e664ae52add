//! A network between a client and a broker that can be made worse.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

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
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
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
        Self { address, state }
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

    /// How much of what was planned has happened.
    #[must_use]
    pub fn happened(&self) -> usize {
        lock(&self.state.plan).happened
    }

    /// Forgets what is planned, and lets go on what stalls.
    pub fn heal(&self) {
        let mut plan = lock(&self.state.plan);
        plan.troubles.clear();
        plan.healed += 1;
        self.state.changed.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What to do with the next bytes.
enum Next {
    Pass(usize),
    Cut,
    Stall,
}

impl State {
    fn connect(self: &Arc<Self>, client: TcpStream) -> std::io::Result<()> {
        let target = lock(&self.target).ok_or(std::io::ErrorKind::NotConnected)?;
        let broker = TcpStream::connect(target)?;
        for stream in [&client, &broker] {
            stream.set_nodelay(true)?;
        }
        for (way, from, to) in
            [(Way::There, client.try_clone()?, broker.try_clone()?), (Way::Back, broker, client)]
        {
            let state = Arc::clone(self);
            std::thread::spawn(move || {
                let _ = state.pump(way, &from, &to);
                let _ = from.shutdown(Shutdown::Both);
                let _ = to.shutdown(Shutdown::Both);
            });
        }
        Ok(())
    }

    fn pump(&self, way: Way, mut from: &TcpStream, mut to: &TcpStream) -> std::io::Result<()> {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let len = from.read(&mut buffer)?;
            if len == 0 {
                return Ok(());
            }
            let mut rest = &buffer[..len];
            while !rest.is_empty() {
                match self.next(way, rest.len()) {
                    Next::Pass(count) => {
                        to.write_all(&rest[..count])?;
                        rest = &rest[count..];
                    }
                    Next::Cut => return Ok(()),
                    Next::Stall => {
                        self.wait_for_healing();
                        return Ok(());
                    }
                }
            }
        }
    }

    fn next(&self, way: Way, len: usize) -> Next {
        let mut plan = lock(&self.plan);
        let most = plan.piece_bytes.unwrap_or(len).min(len);
        let Some((planned, left, trouble)) = plan.troubles.first_mut() else {
            return Next::Pass(most);
        };
        if *planned != way {
            return Next::Pass(most);
        }
        if *left > 0 {
            let count = most.min(*left);
            *left -= count;
            return Next::Pass(count);
        }
        let trouble = *trouble;
        plan.troubles.remove(0);
        plan.happened += 1;
        match trouble {
            Trouble::Cut => Next::Cut,
            Trouble::Stall => Next::Stall,
        }
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
