//! Locks, atomics and threads: the system's. Under `cargo xtask models` they are those of a checker
//! instead, which decides at each of their operations who goes on.

#[cfg(not(all(test, ottla_model)))]
mod system {
    pub(crate) use std::sync::{OnceLock, atomic, mpsc};
    pub(crate) use std::{thread, thread_local};

    pub(crate) use parking_lot::{Condvar, Mutex, RwLock};

    /// Between two operations of a lock that is not from here, somebody else may go on.
    #[inline(always)]
    pub(crate) const fn point() {}
}

#[cfg(all(test, ottla_model))]
#[path = "models/sync.rs"]
mod system;

pub(crate) use system::*;

/// Known bugs that can be switched on in models, so that the models can be tested: they have to
/// find each. Otherwise there is nothing of them in the code that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// The I/O thread falls asleep without looking at the mailbox again.
    SleepsOnMail,
    /// A record is accepted by a look at the closed flag that is not under the queue's lock.
    ClosedTooSoon,
    /// Whoever waits for a batch looks whether it is settled, and takes a place later.
    LooksTooSoon,
    /// Bytes that repay a debt go to the budget as well.
    RepaidTwice,
    /// A callback that becomes due while the callback thread waits for memory takes memory.
    IgnoresWaiver,
    /// Who stands in line for a topic after the end is not told.
    LateInLine,
    /// A list is longer before its new entries are there.
    LenFirst,
    /// A table of names is in use before the old entries are in it.
    NewestFirst,
    /// A flush has its mark put behind the callbacks by itself.
    MarksTooSoon,
    /// A purge is told to be over before the outcomes are.
    PurgeTellsFirst,
    /// What is asked of the I/O thread while it ends stays in its mailbox.
    EndKeepsMail,
}

impl Bug {
    /// Takes its time, and is true: where a bug is a gap between two steps, it is a wide one.
    #[inline(always)]
    pub(crate) fn dawdles() -> bool {
        #[cfg(all(test, ottla_model))]
        while !crate::models::perhaps(200) {
            point();
        }
        true
    }

    /// Whether it is switched on.
    #[inline(always)]
    pub(crate) fn is_on(self) -> bool {
        #[cfg(all(test, ottla_model))]
        return crate::models::is_on(self);
        #[cfg(not(all(test, ottla_model)))]
        return false;
    }
}
