//! All connections, and how reachable what they lead to has been.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use core::time::Duration;

use super::link::{Link, LinkState};
use crate::output::{Connect, ConnectionId, Trouble};
use crate::rng::{Rng, backoff};
use crate::time::Instant;

/// What a connection leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// The bootstrap server with this number.
    Bootstrap(usize),
    /// The broker with this node id.
    Node(i32),
}

/// How far away a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Here is a ready connection.
    Ready(ConnectionId),
    /// A connection is on its way.
    Pending,
    /// It failed lately and is not tried again before then.
    NotBefore(Instant),
    /// Nothing is there, and nothing speaks against trying.
    Open,
}

#[derive(Default)]
struct TargetState {
    link: Option<ConnectionId>,
    failures: u32,
    not_before: Instant,
    /// The last attempt failed because one side did not accept the other.
    is_refused: bool,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Nobody did anything wrong.
    Quiet,
    /// It could not be made, or it broke.
    Failed,
    /// One side did not accept the other by TLS: a certificate, a host name.
    Distrusted,
    /// One side did not accept the other by SASL: a password, a token.
    Refused,
}

impl End {
    /// Whether one side did not accept the other.
    pub(crate) fn is_refusal(self) -> bool {
        matches!(self, Self::Distrusted | Self::Refused)
    }

    /// What it is to whoever asks why a server is out of reach.
    pub(crate) fn trouble(self) -> Trouble {
        match self {
            Self::Quiet | Self::Failed => Trouble::Network,
            Self::Distrusted => Trouble::Tls,
            Self::Refused => Trouble::Sasl,
        }
    }
}

/// The connections.
#[derive(Default)]
pub(crate) struct Links {
    links: BTreeMap<ConnectionId, Link>,
    targets: BTreeMap<Target, TargetState>,
    next_id: u64,
}

impl Links {
    /// How far `target` is.
    #[must_use]
    pub(crate) fn reach(&self, target: Target, now: Instant) -> Reach {
        let Some(state) = self.targets.get(&target) else { return Reach::Open };
        if let Some(link) = state.link.and_then(|id| self.links.get(&id)) {
            return match link.state {
                LinkState::Ready => Reach::Ready(link.id),
                LinkState::Connecting | LinkState::Negotiating | LinkState::Authenticating => {
                    Reach::Pending
                }
            };
        }
        if state.not_before > now { Reach::NotBefore(state.not_before) } else { Reach::Open }
    }

    /// Begins a connection to `target`.
    pub(crate) fn open(&mut self, target: Target, server: &str, now: Instant) -> Connect {
        let id = ConnectionId(self.next_id);
        self.next_id += 1;
        self.links.insert(id, Link::new(id, target, server.to_string(), now));
        self.targets.entry(target).or_default().link = Some(id);
        Connect { connection: id, server: server.to_string() }
    }

    /// A connection by its name.
    #[must_use]
    pub(crate) fn get(&self, id: ConnectionId) -> Option<&Link> {
        self.links.get(&id)
    }

    /// A connection by its name, to change.
    pub(crate) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Link> {
        self.links.get_mut(&id)
    }

    /// All connections.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// A connection became ready: its target's failures are forgotten.
    pub(crate) fn succeeded(&mut self, target: Target) {
        let state = self.targets.entry(target).or_default();
        state.failures = 0;
        state.not_before = Instant::ZERO;
        state.is_refused = false;
    }

    /// Whether the last attempt at this target failed because one side did not accept the other.
    #[must_use]
    pub(crate) fn is_refused(&self, target: Target) -> bool {
        self.targets.get(&target).is_some_and(|state| state.is_refused)
    }

    /// A connection whose session is to be renewed now, and whether nothing was sent in it.
    #[must_use]
    pub(crate) fn session_to_renew(&self, now: Instant) -> Option<(ConnectionId, bool)> {
        let is_due = |link: &&Link| renewal(link).is_some_and(|at| at <= now);
        let link = self.links.values().find(is_due)?;
        Some((link.id, link.unanswered.is_empty() && !link.auth.is_used))
    }

    /// Takes a connection that is gone. Its target is put under back-off, unless it ended quietly.
    pub(crate) fn remove(
        &mut self,
        id: ConnectionId,
        end: End,
        (base, max): (Duration, Duration),
        rng: &mut Rng,
        now: Instant,
    ) -> Option<Link> {
        let link = self.links.remove(&id)?;
        if let Some(state) = self.targets.get_mut(&link.target) {
            if state.link == Some(id) {
                state.link = None;
            }
            if end != End::Quiet {
                state.is_refused = end.is_refusal();
                state.failures = state.failures.saturating_add(1);
                state.not_before = now + backoff(rng, base, max, state.failures);
            }
        }
        Some(link)
    }

    /// When the next connection is due to be given up: a request unanswered or an idle time over.
    #[must_use]
    pub(crate) fn next_deadline(&self, max_idle: Duration) -> Option<Instant> {
        let due = |link| [deadline(link, max_idle), renewal(link)].into_iter().flatten().min();
        self.links.values().filter_map(due).min()
    }

    /// A connection whose deadline is over, with the reason; `None` as reason means it was idle.
    #[must_use]
    pub(crate) fn overdue(
        &self,
        max_idle: Duration,
        now: Instant,
    ) -> Option<(ConnectionId, Option<String>)> {
        let link = self
            .links
            .values()
            .find(|link| deadline(link, max_idle).is_some_and(|at| at <= now))?;
        let unanswered = link.unanswered.front().map(|_| "no answer within request.timeout.ms");
        let host = || host_deadline(link).map(|_| "no credentials within request.timeout.ms");
        Some((link.id, unanswered.or_else(host).map(ToString::to_string)))
    }
}

/// When its session is to be renewed.
fn renewal(link: &Link) -> Option<Instant> {
    link.auth.renewal(link.answer_time).filter(|_| link.state == LinkState::Ready)
}

/// When the host must have done its part. A session that is renewed lasts a while meanwhile.
fn host_deadline(link: &Link) -> Option<Instant> {
    link.auth.deadline().filter(|_| link.state != LinkState::Ready)
}

fn deadline(link: &Link, max_idle: Duration) -> Option<Instant> {
    match link.unanswered.front() {
        Some(request) => Some(request.deadline),
        None if host_deadline(link).is_some() => host_deadline(link),
        None if link.state == LinkState::Ready && !max_idle.is_zero() => {
            Some(link.last_used + max_idle)
        }
        None => None,
    }
}
