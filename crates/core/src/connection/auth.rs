//! SASL on one connection: whose turn it is (KIP-43, KIP-152, KIP-368).
//!
//! ```text
//!            begin          first message      mechanism offered    challenge
//! Idle ───────────► Preparing ────► Handshaking ────► Authenticating ────► Challenged
//!  ▲                                                      ▲  │                 │ next message
//!  └───────────── the host finds the answers complete ◄───┼──┘                 │
//!                                                         └────────────────────┘
//! ```
//!
//! What the messages hold is the host's: it knows the mechanisms and the secrets.

use alloc::vec::Vec;
use core::time::Duration;

use zeroize::Zeroizing;

use crate::rng::Rng;
use crate::time::Instant;

/// Brokers take no second authentication of a connection within this time of the first.
const RENEWAL_GAP: Duration = Duration::from_secs(1);

/// How far an authentication is.
#[derive(Default)]
pub(crate) enum Stage {
    /// None is under way.
    #[default]
    Idle,
    /// The host makes the first message. Requests go on meanwhile where a session is renewed.
    Preparing { deadline: Instant },
    /// The broker was told the mechanism; the first message follows its answer.
    Handshaking { first: Zeroizing<Vec<u8>> },
    /// A message is with the broker.
    Authenticating,
    /// An answer is with the host.
    Challenged { deadline: Instant, lifetime: Duration },
}

/// A time within which a connection may be used.
#[derive(Clone, Copy)]
struct Session {
    /// Not before this is it renewed,
    earliest: Instant,
    /// and at this time, if answers come quickly.
    renew_at: Instant,
    end: Instant,
}

/// A connection's authentications.
#[derive(Default)]
pub(crate) struct Auth {
    /// How far the present one is.
    pub stage: Stage,
    /// The session that is to be renewed.
    session: Option<Session>,
    /// Something was sent since the last one.
    pub is_used: bool,
    /// A renewal did not come about at the first try.
    is_late: bool,
}

impl Auth {
    /// When the host must have done its part.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Preparing { deadline } | Stage::Challenged { deadline, .. } => Some(deadline),
            _ => None,
        }
    }

    /// It worked, though perhaps not at the first try. A session of limited life is renewed when
    /// most of it is over.
    pub(crate) fn complete(&mut self, lifetime: Duration, rng: &mut Rng, now: Instant) -> bool {
        self.stage = Stage::Idle;
        self.is_used = false;
        self.session = (!lifetime.is_zero()).then(|| {
            let permille = 850 + rng.below(101) as u32;
            let earliest = now + RENEWAL_GAP.max(lifetime / 2);
            let renew_at = now + (lifetime / 1000).saturating_mul(permille).max(RENEWAL_GAP);
            Session { earliest, renew_at, end: now + lifetime }
        });
        core::mem::take(&mut self.is_late)
    }

    /// The first message of a renewal did not come about: it is tried again, while the session
    /// still lasts.
    pub(crate) fn postpone(&mut self, now: Instant) {
        self.stage = Stage::Idle;
        let at = now + RENEWAL_GAP;
        self.session = Some(Session { earliest: at, renew_at: at, end: at });
        self.is_late = true;
    }

    /// When the session is to be renewed, where an answer takes so long. Brokers look at the clock
    /// when they come to a request: what is in flight by then must be dealt with before the end.
    pub(crate) fn renewal(&self, answer_time: Duration) -> Option<Instant> {
        let session = self.session?;
        let margin = Duration::from_nanos(session.end.as_nanos()).saturating_sub(answer_time * 2);
        let in_time = Instant::from_nanos(margin.as_nanos() as u64);
        Some(session.renew_at.min(in_time).max(session.earliest))
    }

    /// An authentication begins.
    pub(crate) fn prepare(&mut self, deadline: Instant) {
        self.stage = Stage::Preparing { deadline };
        self.session = None;
    }
}
