//! Tells a process from its forked children.
//!
//! A child of `fork` has the memory of its parent, locks that somebody held included, and none of
//! its threads. Whatever needs a thread to go on must be able to see that it is in a child, before
//! it takes a lock, and at the price of a load: asking the system for the number of the process
//! costs as much as a small record.

#![warn(missing_docs)]

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many forks lie between this process and the one that began to count.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// The process in which something was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Home(u32);

impl Home {
    /// This process.
    #[must_use]
    pub fn here() -> Self {
        static COUNTS: Once = Once::new();
        COUNTS.call_once(count_forks);
        Self(GENERATION.load(Ordering::Relaxed))
    }

    /// Whether this is still that process, and not a child of it.
    #[inline]
    #[must_use]
    pub fn is_here(self) -> bool {
        self.0 == GENERATION.load(Ordering::Relaxed)
    }
}

#[cfg(unix)]
fn count_forks() {
    extern "C" fn forked() {
        GENERATION.fetch_add(1, Ordering::Relaxed);
    }
    // SAFETY: what is called in the child does nothing but add to a number, which is allowed even
    // where another thread held a lock when the process was forked. It can only fail for want of
    // memory; then children are not told from their parents.
    unsafe { libc::pthread_atfork(None, None, Some(forked)) };
}

#[cfg(not(unix))]
fn count_forks() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_has_not_been_forked_is_at_home() {
        let home = Home::here();
        assert!(home.is_here());
        assert_eq!(home, Home::here());
    }
}
