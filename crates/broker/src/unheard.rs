//! Requests that are served without anybody hearing of it: copies that a network has kept for a
//! while, or has made.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::node::State;
use crate::nodes::Nodes;
use crate::peers::{Call, ConnectionId, Peer};
use crate::time::Now;

/// Copies that are to be served later.
#[derive(Default)]
pub(crate) struct Unheard {
    /// By their time on the monotonic clock, and their number.
    waiting: BTreeMap<(Duration, u64), Copy>,
    last_number: u64,
}

struct Copy {
    call: Call,
    peer: Peer,
    serve: Serve,
}

/// Serves a request under another call.
type Serve = Box<dyn FnOnce(&mut Nodes, &Call, Now) + Send>;

impl fmt::Debug for Unheard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unheard").field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
}

impl Unheard {
    /// When the next one is to be served, on the monotonic clock.
    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        self.waiting.first_key_value().map(|((due, _), _)| *due)
    }
}

impl Nodes {
    /// Keeps a copy of a request that `serve` serves, to be served so much later.
    pub(crate) fn serve_later(
        &mut self,
        call: &Call,
        after: Duration,
        serve: impl FnOnce(&mut Self, &Call, Now) + Send + 'static,
        now: Now,
    ) {
        let Some(peer) = self.peers.get(&call.connection).map(Peer::unheard) else {
            return;
        };
        let call = Call { fault: None, ..call.clone() };
        self.unheard.last_number += 1;
        let key = (now.monotonic + after, self.unheard.last_number);
        self.unheard.waiting.insert(key, Copy { call, peer, serve: Box::new(serve) });
    }

    /// Serves the copies whose time has come.
    pub(crate) fn serve_unheard(&mut self, now: Now) {
        while let Some(entry) = self.unheard.waiting.first_entry()
            && entry.key().0 <= now.monotonic
        {
            let ((_, number), copy) = entry.remove_entry();
            let Copy { mut call, peer, serve } = copy;
            if self.node(call.node).is_none_or(|node| node.state != State::Running) {
                // It was on its way to somebody who is not there.
                continue;
            }
            // No client has come as far.
            let connection = ConnectionId::MAX - number;
            call.connection = connection;
            self.peers.insert(connection, peer);
            serve(self, &call, now);
            self.handle_disconnected(connection);
        }
    }
}
