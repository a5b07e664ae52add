//! Connections: streams of bytes in both directions, in order, with all that befalls them.

use std::collections::VecDeque;
use std::time::Duration;

use ottla_core::output::{Connect, ConnectionId};
use ottla_core::time::Instant;

use crate::sasl::Session;
use crate::seen::Seen;
use crate::world::{Event, World};

pub(crate) struct Connection {
    pub(crate) node: usize,
    /// It carries nothing any more, and nobody is told.
    pub(crate) is_black_hole: bool,
    /// The node has closed it: nothing goes through any more.
    pub(crate) is_closed: bool,
    /// The producer has closed it, or knows that it is closed. What it wrote before still arrives,
    /// and nodes do what it asks, however late: nobody hears of the answer.
    pub(crate) is_left: bool,
    /// Requests that the node has not begun with: it takes one after the other.
    pub(crate) inbox: VecDeque<Vec<u8>>,
    pub(crate) is_busy: bool,
    /// Who is on it.
    pub(crate) session: Session,
    /// When the last piece arrives, in each direction.
    last_there: Instant,
    last_back: Instant,
}

impl World {
    pub(crate) fn connect(&mut self, connect: Connect) {
        let number = connect.server.trim_start_matches("node").split(':').next();
        let node = number.and_then(|number| number.parse::<usize>().ok()).unwrap_or(1) - 1;
        let refused = !self.cluster.nodes[node].is_up
            || (!self.calm && self.network.permille(self.plan.faults.refuse_connect));
        self.connections.insert(
            connect.connection,
            Connection {
                node,
                is_black_hole: false,
                is_closed: false,
                is_left: false,
                inbox: VecDeque::new(),
                is_busy: false,
                session: Session::default(),
                last_there: self.now,
                last_back: self.now,
            },
        );
        let after = self.latency();
        self.at(after, Event::Connected(connect.connection, !refused));
    }

    pub(crate) fn connected(&mut self, id: ConnectionId, well: bool) {
        if self.is_left(id) {
            return;
        }
        if well {
            self.producer.handle_connected(id, self.now);
        } else {
            self.see(Seen::ConnectionRefused);
            self.leave(id);
            let why = "connection refused";
            self.producer.handle_disconnected(id, why, &mut self.queues, self.now);
        }
    }

    fn latency(&mut self) -> Duration {
        let most = if self.calm { 3 } else { self.plan.faults.latency_ms };
        self.network.millis(0, most.max(1))
    }

    /// The producer writes a frame.
    pub(crate) fn write(&mut self, id: ConnectionId, frame: Vec<u8>, token: Option<u64>) {
        let latency = self.latency();
        if let Some(token) = token {
            self.at(Duration::from_micros(20), Event::Written(token));
        }
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.is_black_hole || connection.is_closed {
            return;
        }
        connection.last_there = connection.last_there.max(self.now + latency);
        let after = connection.last_there - self.now;
        self.at(after, Event::Request(id, frame));
    }

    pub(crate) fn request(&mut self, id: ConnectionId, frame: Vec<u8>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.is_black_hole || connection.is_closed {
            return;
        }
        connection.inbox.push_back(frame);
        if !connection.is_busy {
            connection.is_busy = true;
            let after = self.brokers.millis(0, 2);
            self.at(after, Event::Serve(id));
        }
    }

    /// A node answers, in one piece or several; the next request has its turn.
    pub(crate) fn answer(&mut self, id: ConnectionId, mut bytes: Vec<u8>, torn: bool) {
        let latency = self.latency();
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.is_busy = false;
        if !connection.inbox.is_empty() {
            connection.is_busy = true;
            self.at(Duration::from_micros(50), Event::Serve(id));
        }
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.is_black_hole || connection.is_closed || connection.is_left {
            return;
        }
        connection.last_back = connection.last_back.max(self.now + latency);
        let after = connection.last_back - self.now;
        if torn {
            let length = self.network.below(bytes.len() as u64) as usize;
            bytes.truncate(length);
            self.at(after, Event::Answer(id, bytes));
            self.close(id, after);
        } else if !self.calm && self.network.permille(self.plan.faults.repeat_answer) {
            self.see(Seen::AnswerRepeated);
            self.at(after, Event::Answer(id, bytes.clone()));
            self.at(after, Event::Answer(id, bytes));
        } else if self.network.permille(100) {
            let length = self.network.below(bytes.len() as u64) as usize;
            let rest = bytes.split_off(length);
            self.at(after, Event::Answer(id, bytes));
            self.at(after, Event::Answer(id, rest));
        } else {
            self.at(after, Event::Answer(id, bytes));
        }
    }

    /// Whether the producer has nothing to do with it any more.
    pub(crate) fn is_left(&self, id: ConnectionId) -> bool {
        self.connections.get(&id).is_none_or(|connection| connection.is_left)
    }

    /// The producer has nothing to do with it any more.
    pub(crate) fn leave(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.is_left = true;
        }
    }

    /// The connection breaks on the node's side; the producer hears of it after a while.
    pub(crate) fn close(&mut self, id: ConnectionId, after: Duration) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.is_closed = true;
        connection.inbox.clear();
        let node = connection.node;
        self.pending[node].retain(|pending| pending.connection != id);
        self.at(after, Event::Gone(id));
    }
}
