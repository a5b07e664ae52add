//! Sockets: opening them, reading from them, writing frames to them. No policy.

mod connection;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

pub(crate) use connection::{Incoming, Wire};

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
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = &self.server;
        match &self.reason {
            Reason::Resolve(error) => write!(f, "cannot resolve {server}: {error}"),
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
    Err(fail(if attempts.is_empty() { Reason::NoAddress } else { Reason::Attempts(attempts) }))
}

fn timed_out(after: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} ms", after.as_millis()))
}
