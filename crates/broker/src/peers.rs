//! Who is connected, on which listener of which node, and what belongs to their requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::ApiKey;

use crate::fault::Fault;
use crate::outgoing::Outgoing;
use crate::security::Sasl;
use crate::security::session::Session;

/// A connection, by the order in which it was accepted.
pub(crate) type ConnectionId = u64;

/// What belongs to a request beside its body.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The node that it came to.
    pub(crate) node: i32,
    pub(crate) connection: ConnectionId,
    pub(crate) api: ApiKey,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
    pub(crate) client_id: Option<String>,
    /// The whole request, header included.
    pub(crate) size_bytes: usize,
    pub(crate) fault: Option<Fault>,
}

/// The two ends of a connection, who is at the other, and what faults have made of it.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) node: i32,
    /// By its place among the node's.
    pub(crate) listener: usize,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    /// Who the client is, as `User:name`.
    pub(crate) principal: Arc<str>,
    /// Where it stands with SASL, if its listener asks for that.
    pub(crate) session: Option<Box<Session>>,
    /// Requests are no longer heard.
    pub(crate) is_deaf: bool,
    /// Answers are no longer said.
    pub(crate) is_mute: bool,
    /// How long it is not read after the next answer, since its quota is used up.
    pub(crate) throttle: Option<Duration>,
    /// Answers that leave behind the next one.
    pub(crate) swapped: Vec<u8>,
}

impl Peer {
    /// The same client where nobody hears an answer.
    pub(crate) fn unheard(&self) -> Self {
        Self {
            node: self.node,
            listener: self.listener,
            local: self.local,
            remote: self.remote,
            principal: self.principal.clone(),
            session: None,
            is_deaf: false,
            is_mute: true,
            throttle: None,
            swapped: Vec::new(),
        }
    }
}

/// A client that has connected, as the door knows it.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) node: i32,
    /// By its place among the node's.
    pub(crate) listener: usize,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    /// The name in its certificate.
    pub(crate) certificate_name: Option<String>,
}

/// What the node knows of a listener.
#[derive(Debug)]
pub(crate) struct NodeListener {
    /// `None`: each client is told the address that it connected to, or another node's of that
    /// kind.
    pub(crate) advertised: Option<Advertised>,
    /// Where it listens.
    pub(crate) port: u16,
    /// `None`: nobody is asked who they are.
    pub(crate) sasl: Option<Arc<Sasl>>,
}

/// What the driver does with a connection after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// The answer, if there is one, has been written; the next request may come.
    Continue,
    /// The answer comes by [`Nodes::poll_transmit`](crate::nodes::Nodes::poll_transmit); until then
    /// no further request.
    Wait,
    /// Like `Continue`, but the connection is not read for so long.
    Pause(Duration),
    /// The connection is closed, once what was written has left.
    Close,
}

/// An answer that did not come at once.
#[derive(Debug)]
pub(crate) struct Transmit {
    pub(crate) connection: ConnectionId,
    pub(crate) out: Outgoing,
    pub(crate) flow: Flow,
}

/// How other brokers and clients find this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Advertised {
    pub(crate) host: String,
    pub(crate) port: u16,
}
