//! Sockets: opening them, reading from them, writing frames to them. No policy.

#[cfg_attr(all(test, ottla_model), path = "../models/wire.rs")]
mod connection;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

use bytes::Bytes;
use ottla_core::output::{AuthReply, CompressToken, ConnectionId};

use crate::compression::Compressed;

pub(crate) use connection::Wire;
#[cfg(all(test, ottla_model))]
pub(crate) use connection::{forget, records_in_log};

/// What connections and other threads tell the driver.
pub(crate) enum Incoming {
    Connected(ConnectionId),
    Bytes(ConnectionId, Bytes),
    Written(u64),
    /// Not from a connection: a batch is compressed.
    Compressed(CompressToken, Compressed),
    /// Not from a connection: its next message by which we say who we are.
    Authenticated(ConnectionId, AuthReply),
    /// It could not be opened, or it is closed.
    Gone(ConnectionId, String),
    /// One side did not accept the other.
    Refused(ConnectionId, String),
}

/// Why no connection to a server could be made.
#[derive(Debug)]
pub struct ConnectError {
    server: String,
    reason: Reason,
}

#[derive(Debug)]
enum Reason {
    Resolve(io::Error),
    NoAddress,
    /// Every address was tried: what each said.
    Attempts(Vec<(SocketAddr, io::Error)>),
    /// There is TCP but no TLS.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "there is no TLS to miss"))]
    Tls {
        why: String,
        what: NoTls,
    },
}

/// Why there is no TLS.
#[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "there is no TLS to miss"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoTls {
    /// One side does not accept the other.
    Refused,
    /// Something else is spoken there.
    WrongService,
    /// The connection was lost.
    Lost,
}

impl ConnectError {
    #[cfg(feature = "tls")]
    pub(crate) fn tls(server: &str, why: String, what: NoTls) -> Self {
        Self { server: server.to_owned(), reason: Reason::Tls { why, what } }
    }

    /// Whether it failed because one side did not accept the other, as by its certificate.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self.reason, Reason::Tls { what: NoTls::Refused, .. })
    }

    /// Whether something else than TLS is spoken there.
    #[must_use]
    pub fn is_wrong_service(&self) -> bool {
        matches!(self.reason, Reason::Tls { what: NoTls::WrongService, .. })
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = &self.server;
        match &self.reason {
            Reason::Resolve(error) => write!(f, "cannot resolve {server}: {error}"),
            Reason::Tls { why, .. } => f.write_str(why),
            Reason::NoAddress => write!(f, "{server} has no address"),
            Reason::Attempts(attempts) => {
                write!(f, "cannot connect to {server}")?;
                for (at, (address, error)) in attempts.iter().enumerate() {
                    let before = if at == 0 { ": " } else { "; " };
                    match attempts.len() {
                        1 if address.to_string() == *server => write!(f, "{before}{error}")?,
                        _ => write!(f, "{before}{address}: {error}")?,
                    }
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ConnectError {}

/// Opens a TCP connection to `server`, which is `host:port`, trying each address of the name in
/// turn, each for up to `timeout`.
///
/// # Errors
/// The name cannot be resolved, or no address answers; the error says what each did.
pub async fn connect(server: &str, timeout: Duration) -> Result<TcpStream, ConnectError> {
    let fail = |reason| ConnectError { server: server.to_string(), reason };
    let resolved = tokio::time::timeout(timeout, tokio::net::lookup_host(server)).await;
    let addresses = match resolved {
        Ok(Ok(addresses)) => addresses,
        Ok(Err(error)) => return Err(fail(Reason::Resolve(error))),
        Err(_) => return Err(fail(Reason::Resolve(timed_out(timeout)))),
    };
    first_that_answers(addresses, timeout).await.map_err(fail)
}

async fn first_that_answers(
    addresses: impl Iterator<Item = SocketAddr>,
    timeout: Duration,
) -> Result<TcpStream, Reason> {
    let mut attempts = Vec::new();
    for address in addresses {
        match tokio::time::timeout(timeout, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // A request is written in one go: waiting to fill a packet would only delay it.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => attempts.push((address, error)),
            Err(_) => attempts.push((address, timed_out(timeout))),
        }
    }
    Err(if attempts.is_empty() { Reason::NoAddress } else { Reason::Attempts(attempts) })
}

fn timed_out(after: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} ms", after.as_millis()))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
    use std::time::Duration;

    use tokio::net::{TcpSocket, TcpStream};

    use super::{Reason, connect, first_that_answers};

    const SHORT: Duration = Duration::from_millis(200);

    fn somebody() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound");
        let address = listener.local_addr().expect("an address");
        (listener, address)
    }

    fn nobody() -> SocketAddr {
        somebody().1
    }

    /// A listener whose queue is full: who connects gets no answer at all. With it what fills it.
    async fn black_hole() -> (SocketAddr, Vec<TcpStream>, tokio::net::TcpListener) {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("bound");
        let listener = socket.listen(1).expect("listening");
        let address = listener.local_addr().expect("an address");
        let mut waiting = Vec::new();
        while let Ok(stream) = tokio::time::timeout(SHORT, TcpStream::connect(address)).await {
            waiting.push(stream.expect("connected"));
        }
        (address, waiting, listener)
    }

    /// Laws: L9. Scenarios: #81.
    #[tokio::test]
    async fn an_address_that_refuses_is_followed_by_the_next() {
        let (_listener, address) = somebody();
        let stream = first_that_answers([nobody(), address].into_iter(), SHORT).await;
        assert_eq!(stream.expect("connected").peer_addr().expect("a peer"), address);
    }

    /// Laws: L9. Scenarios: #81, E4.
    #[tokio::test]
    async fn an_address_of_the_other_family_where_nobody_listens_is_followed_by_the_next() {
        let (_listener, address) = somebody();
        let other = SocketAddr::from((Ipv6Addr::LOCALHOST, address.port()));
        let stream = first_that_answers([other, address].into_iter(), SHORT).await;
        assert_eq!(stream.expect("connected").peer_addr().expect("a peer"), address);
    }

    /// Laws: L9. Scenarios: #81, #93, E3.
    #[tokio::test]
    async fn an_address_that_swallows_everything_costs_one_timeout_and_is_followed_by_the_next() {
        let (hole, _waiting, _kept) = black_hole().await;
        let (_listener, address) = somebody();
        let stream = first_that_answers([hole, address].into_iter(), SHORT).await;
        assert_eq!(stream.expect("connected").peer_addr().expect("a peer"), address);
        let error = connect(&hole.to_string(), SHORT).await.expect_err("nobody answers");
        assert!(error.to_string().contains("no answer within 200 ms"), "{error}");
    }

    /// Laws: L9. Scenarios: E1.
    #[tokio::test]
    async fn when_no_address_answers_the_error_says_what_each_did() {
        let addresses = [nobody(), nobody()];
        match first_that_answers(addresses.into_iter(), SHORT).await {
            Err(Reason::Attempts(attempts)) => {
                let tried: Vec<_> = attempts.iter().map(|(address, _)| *address).collect();
                assert_eq!(tried, addresses);
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(first_that_answers([].into_iter(), SHORT).await, Err(Reason::NoAddress)));
    }
}
