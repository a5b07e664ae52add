//! Known bugs that can be switched on, one at a time, so that the simulator can be tested: it has
//! to find each. Without the feature `mutants` there is nothing of them in the code that runs.

use ottla_protocol::ErrorCode;

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
    /// The second half of a batch that was split begins with the first half's sequence number.
    SplitSequenceAnew,
    /// The halves of a batch that was split change places.
    SplitBackwards,
    /// The second half of a batch that was split is dropped without a word.
    SplitForgetsHalf,
    /// A batch that may be in the log is split.
    SplitInDoubt,
    /// A part's records are told offsets as though they began the batch.
    SplitOffsetOfWhole,
    /// A part's answer is told of the whole batch that it came of.
    SplitSettlesWhole,
    /// The memory of a batch that was split is never given back.
    SplitLeaks,
    /// A new epoch for one partition takes the others' stamps as well.
    OthersRestamped,
    /// A new epoch goes on with the old one's sequence number.
    SequenceGoesOn,
    /// REQUEST_TIMED_OUT counts as a no.
    TimedOutIsNo,
    /// NOT_ENOUGH_REPLICAS_AFTER_APPEND counts as a no.
    AfterAppendIsNo,
    /// UNKNOWN_SERVER_ERROR counts as a no.
    UnknownErrorIsNo,
    /// Others are sent beside a batch that is sent again.
    RetryBesideOthers,
    /// The sequence numbers of what expired in flight are given out again.
    SequenceReused,
    /// A flush does not wait for what is in flight.
    FlushForgetsInFlight,
    /// The first partition's answer is taken for all of the request.
    AnsweredTogether,
    /// A batch that is sent again gets its whole time again.
    DeadlineAnew,
    /// What was in flight on a lost connection is dropped without a word.
    LostInSilence,
    /// What is given up in flight is told of twice.
    ToldTwice,
    /// A hint at a leader outweighs metadata for ever.
    HintForEver,
    /// A batch that is refused for good counts as delivered.
    RefusedIsDelivered,
    /// What is left of a batch that was refused in part goes under the old epoch while something
    /// behind it is in doubt.
    OldEpochForParts,
}

impl Mutant {
    /// All bugs.
    pub const ALL: [Self; 37] = [
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
        Self::SplitSequenceAnew,
        Self::SplitBackwards,
        Self::SplitForgetsHalf,
        Self::SplitInDoubt,
        Self::SplitOffsetOfWhole,
        Self::SplitSettlesWhole,
        Self::SplitLeaks,
        Self::OthersRestamped,
        Self::SequenceGoesOn,
        Self::TimedOutIsNo,
        Self::AfterAppendIsNo,
        Self::UnknownErrorIsNo,
        Self::RetryBesideOthers,
        Self::SequenceReused,
        Self::FlushForgetsInFlight,
        Self::AnsweredTogether,
        Self::DeadlineAnew,
        Self::LostInSilence,
        Self::ToldTwice,
        Self::HintForEver,
        Self::RefusedIsDelivered,
        Self::OldEpochForParts,
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

    /// Whether an answer that leaves the write in doubt is taken for a no.
    #[inline]
    pub(crate) fn is_taken_for_no(code: ErrorCode) -> bool {
        match code {
            ErrorCode::REQUEST_TIMED_OUT => Self::TimedOutIsNo.is_on(),
            ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND => Self::AfterAppendIsNo.is_on(),
            ErrorCode::UNKNOWN_SERVER_ERROR => Self::UnknownErrorIsNo.is_on(),
            _ => false,
        }
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
