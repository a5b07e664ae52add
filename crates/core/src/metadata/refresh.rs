//! When the cluster's layout is asked for.

use core::time::Duration;

use crate::rng::{Rng, backoff};
use crate::time::Instant;

/// At most one request is under way; failures and repeated needs are paced.
#[derive(Debug, Default)]
pub(crate) struct Refresh {
    in_flight: bool,
    needed: bool,
    not_before: Instant,
    expires: Option<Instant>,
    fruitless: u32,
}

impl Refresh {
    /// Something needs newer metadata.
    pub(crate) fn need(&mut self) {
        self.needed = true;
    }

    /// Something new needs metadata: earlier fruitless attempts do not delay it.
    pub(crate) fn need_now(&mut self) {
        self.needed = true;
        self.not_before = Instant::ZERO;
        self.fruitless = 0;
    }

    /// Nobody waits for an answer any more.
    pub(crate) fn give_up(&mut self) {
        self.needed = false;
    }

    /// Whether a request should be sent.
    #[must_use]
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        !self.in_flight && self.due_at().is_some_and(|at| at <= now)
    }

    /// When a request will be due; `None` while one is under way or nothing asks for one.
    #[must_use]
    pub(crate) fn due_at(&self) -> Option<Instant> {
        if self.in_flight {
            None
        } else if self.needed {
            Some(self.not_before)
        } else {
            self.expires
        }
    }

    /// A request was sent.
    pub(crate) fn sent(&mut self) {
        self.in_flight = true;
        self.needed = false;
    }

    /// A request was answered; `complete` says that nothing is missing now.
    pub(crate) fn answered(
        &mut self,
        complete: bool,
        (base, max): (Duration, Duration),
        age: Duration,
        rng: &mut Rng,
        now: Instant,
    ) {
        self.in_flight = false;
        self.expires = Some(now + age);
        self.fruitless = if complete { 0 } else { self.fruitless.saturating_add(1) };
        self.needed |= !complete;
        self.not_before = now + backoff(rng, base, max, self.fruitless.max(1));
    }

    /// A request got no answer.
    pub(crate) fn lost(&mut self, (base, max): (Duration, Duration), rng: &mut Rng, now: Instant) {
        self.in_flight = false;
        self.needed = true;
        self.fruitless = self.fruitless.saturating_add(1);
        self.not_before = now + backoff(rng, base, max, self.fruitless);
    }
}
