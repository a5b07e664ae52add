//! Known bugs that can be switched on, one at a time, so that the simulator can be tested: it has
//! to find each. Without the feature `mutants` there is nothing of them in the code that runs.

/// A bug. Most were real ones, of this or of another producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mutant {
    /// None: the code as it is.
    None,
    /// A retried batch gets a new stamp.
    RestampOnRetry,
    /// A connection that is lost counts as a no.
    SilenceIsNo,
    /// A batch that is to be sent again goes behind the others.
    RetryBehindOthers,
    /// A batch in doubt takes the new epoch with the rest.
    RestampInDoubt,
    /// What an answer leaves out counts as delivered.
    LeftOutIsDelivered,
    /// Several batches are sent before the broker knows the producer.
    NotIntroduced,
    /// A leader that moved while the batch was replicated counts as a no.
    LateLeaderIsNo,
    /// A topic that was created anew begins its sequence anew under the same epoch.
    SequenceAnew,
    /// What expires in a queue is dropped without a word.
    ExpiresInSilence,
    /// What expires in flight counts as not persisted.
    ExpiryIsNo,
    /// What is purged in flight counts as not persisted.
    PurgeIsNo,
    /// A batch of which a copy may be on its way takes a new stamp after OUT_OF_ORDER_SEQUENCE.
    RestampUnanswered,
    /// More batches are under way than a broker remembers.
    WindowTooWide,
    /// A second answer's offset is told for a batch that was sent twice.
    WrongOffset,
    /// A failed batch's memory is never given back.
    LeaksFailed,
}

impl Mutant {
    /// All bugs.
    pub const ALL: [Self; 15] = [
        Self::RestampOnRetry,
        Self::SilenceIsNo,
        Self::RetryBehindOthers,
        Self::RestampInDoubt,
        Self::LeftOutIsDelivered,
        Self::NotIntroduced,
        Self::LateLeaderIsNo,
        Self::SequenceAnew,
        Self::ExpiresInSilence,
        Self::ExpiryIsNo,
        Self::PurgeIsNo,
        Self::RestampUnanswered,
        Self::WindowTooWide,
        Self::WrongOffset,
        Self::LeaksFailed,
    ];

    /// Whether this bug is switched on.
    #[inline]
    pub(crate) fn is_on(self) -> bool {
        #[cfg(feature = "mutants")]
        return on::NOW.load(core::sync::atomic::Ordering::Relaxed) == self as u8;
        #[cfg(not(feature = "mutants"))]
        return false;
    }

    /// What is added to the offset of a batch that was sent so often.
    #[inline]
    pub(crate) fn wrong_offset(attempts: u32) -> i64 {
        i64::from(attempts > 1 && Self::WrongOffset.is_on())
    }

    /// Switches this bug on, and any other off, for the whole process.
    #[cfg(feature = "mutants")]
    pub fn switch_on(self) {
        on::NOW.store(self as u8, core::sync::atomic::Ordering::Relaxed);
    }
}

#[cfg(feature = "mutants")]
mod on {
    pub(super) static NOW: core::sync::atomic::AtomicU8 = core::sync::atomic::AtomicU8::new(0);
}
