//! Who we are to the brokers: the producer id and its epoch (KIP-98, KIP-360).
//!
//! ```text
//! Off                                  (no idempotence: no stamp)
//! Missing ──► Asked ──► Known ──► Known with the next epoch ──► … ──► Missing at epoch 32767
//!    ▲          │ refused, lost
//!    └──────────┘ after a back-off
//! ```

use crate::time::Instant;

/// A producer id and its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The id that the cluster gave out.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Off,
    Missing { not_before: Instant },
    Asked,
    Known(Identity),
}

/// The keeper of the identity.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sequencer {
    state: State,
    failures: u32,
}

impl Sequencer {
    pub(super) const fn new(idempotent: bool) -> Self {
        let missing = State::Missing { not_before: Instant::ZERO };
        Self { state: if idempotent { missing } else { State::Off }, failures: 0 }
    }

    /// The identity to stamp with; `None` without idempotence, or while it is missing.
    #[must_use]
    pub(crate) const fn current(&self) -> Option<Identity> {
        match self.state {
            State::Known(identity) => Some(identity),
            _ => None,
        }
    }

    /// Whether batches can be stamped.
    #[must_use]
    pub(crate) const fn is_able(&self) -> bool {
        matches!(self.state, State::Off | State::Known(_))
    }

    /// Whether an id is needed and not asked for.
    #[must_use]
    pub(crate) const fn is_missing(&self) -> bool {
        matches!(self.state, State::Missing { .. })
    }

    /// When an id may be asked for.
    #[must_use]
    pub(crate) const fn not_before(&self) -> Option<Instant> {
        match self.state {
            State::Missing { not_before } => Some(not_before),
            _ => None,
        }
    }

    /// An id was asked for.
    pub(crate) const fn asked(&mut self) {
        self.state = State::Asked;
    }

    /// The cluster gave an id.
    pub(crate) const fn granted(&mut self, identity: Identity) {
        self.failures = 0;
        self.state = State::Known(identity);
    }

    /// The question got no answer, or a no: ask again later. Gives the count of such failures.
    pub(crate) fn refused(&mut self, wait: impl FnOnce(u32) -> Instant) {
        self.failures = self.failures.saturating_add(1);
        self.state = State::Missing { not_before: wait(self.failures) };
    }

    /// A partition cannot go on under `identity`. If that is still the current one, it ends here:
    /// the next epoch begins, or at the last one the next id.
    pub(super) fn leave(&mut self, identity: Option<Identity>) {
        let State::Known(current) = self.state else { return };
        if identity != Some(current) {
            return;
        }
        self.state = match current.producer_epoch.checked_add(1) {
            // The last epoch is left to the broker: it may refuse to bump past it.
            Some(producer_epoch) if producer_epoch < i16::MAX => {
                State::Known(Identity { producer_epoch, ..current })
            }
            _ => State::Missing { not_before: Instant::ZERO },
        };
    }

    /// The cluster does not accept the id any more.
    pub(super) fn discard(&mut self, identity: Option<Identity>) {
        if identity.is_some() && self.current() == identity {
            self.state = State::Missing { not_before: Instant::ZERO };
        }
    }
}
