//! Servers that are no Kafka, or a mute one.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use socket2::{Domain, Socket, Type};

/// A server on a free port of this machine, with the same words for whoever speaks to it.
pub struct Server {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    connections: AtomicUsize,
    ended: AtomicUsize,
}

/// What a server says to the first bytes that it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// Nothing, ever.
    Nothing,
    /// These bytes, and then it hangs up.
    Bytes(&'static [u8]),
}

/// What a web server says to what it does not understand.
pub const HTTP: Says = Says::Bytes(
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<html>",
);
/// What a TLS server says to a plain Kafka request: a fatal alert, here `unexpected_message`.
pub const TLS: Says = Says::Bytes(&[0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x0a]);
/// What an SSH server says.
pub const SSH: Says = Says::Bytes(b"SSH-2.0-OpenSSH_9.6\r\n");

impl Server {
    /// Starts it; it ends with the process.
    ///
    /// # Panics
    /// When no port is to be had.
    #[must_use]
    pub fn start(says: Says) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || speak(stream, says, &shared));
            }
        });
        Self { address, state }
    }

    /// `host:port`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// How many connections were made so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// How many of them have ended.
    #[must_use]
    pub fn ended(&self) -> usize {
        self.state.ended.load(Ordering::SeqCst)
    }
}

fn speak(mut stream: TcpStream, says: Says, state: &State) {
    let mut heard = [0; 4096];
    match says {
        Says::Nothing => while stream.read(&mut heard).is_ok_and(|len| len > 0) {},
        Says::Bytes(words) => {
            let _ = stream.read(&mut heard);
            let _ = stream.write_all(words);
        }
    }
    state.ended.fetch_add(1, Ordering::SeqCst);
}

/// An address at which nobody listens, as long as the process runs: a broker of another test that
/// the system gave the port to got the records of this one.
///
/// # Panics
/// When no port is to be had.
#[must_use]
pub fn closed_port() -> String {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&any.into()).expect("a port");
    let address = socket.local_addr().ok().and_then(|address| address.as_socket());
    // It stays taken, and is not listened on.
    std::mem::forget(socket);
    address.expect("an address").to_string()
}
