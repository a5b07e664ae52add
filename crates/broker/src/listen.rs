//! Ports: bound, listened on, and kept for a node that is down.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::OwnedFd;

use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};

use crate::error::StartError;

/// `backlog` of the sockets that are listened on.
const BACKLOG: i32 = 1024;

/// A port that nobody else gets, though nobody may be listening on it.
///
/// It is a socket that is bound and never listens. The system lets another socket that is bound to
/// the same address listen, as both say that they share it, and gives the port to no third one.
#[derive(Debug)]
pub(crate) struct ReservedPort {
    _socket: OwnedFd,
    address: SocketAddr,
}

impl ReservedPort {
    /// Takes an address, `host:port`; with port 0 the system chooses one.
    ///
    /// # Errors
    /// When it is not an address, or somebody else has it.
    pub(crate) fn take(address: &str) -> Result<Self, StartError> {
        let fault = |source| StartError::Listen { address: address.to_owned(), source };
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for resolved in address.to_socket_addrs().map_err(fault)? {
            match reserve(resolved) {
                Ok(reserved) => return Ok(reserved),
                Err(error) => last = error,
            }
        }
        Err(fault(last))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Listens on the port.
    ///
    /// # Errors
    /// When somebody listens already.
    pub(crate) fn listen(&self) -> Result<TcpListener, StartError> {
        let listening = || -> io::Result<TcpListener> {
            let socket = shared_socket(self.address)?;
            listen(&socket, BACKLOG)?;
            let listener = TcpListener::from(socket);
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        let address = self.address.to_string();
        listening().map_err(|source| StartError::Listen { address, source })
    }
}

fn reserve(address: SocketAddr) -> io::Result<ReservedPort> {
    let socket = shared_socket(address)?;
    let name = getsockname(&socket)?;
    let address = SocketAddr::try_from(name)?;
    Ok(ReservedPort { _socket: socket, address })
}

fn shared_socket(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = socket(family, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_reserved_port_refuses_clients_until_it_is_listened_on_and_after() {
        let reserved = ReservedPort::take("127.0.0.1:0").unwrap();
        let address = reserved.address();
        assert!(TcpStream::connect(address).is_err());
        for _ in 0..3 {
            let listener = reserved.listen().unwrap();
            assert!(TcpStream::connect(address).is_ok());
            drop(listener);
            assert!(TcpStream::connect(address).is_err());
        }
    }

    #[test]
    fn nobody_else_gets_a_port_that_is_listened_on() {
        let reserved = ReservedPort::take("127.0.0.1:0").unwrap();
        let _listener = reserved.listen().unwrap();
        let address = reserved.address().to_string();
        assert!(matches!(ReservedPort::take(&address), Err(StartError::Listen { .. })));
        assert!(matches!(ReservedPort::take("nowhere"), Err(StartError::Listen { .. })));
    }
}
