//! Known bugs that tests can switch on, one at a time, to see that they would be noticed. Outside
//! of tests there is nothing of them in the code that runs.

/// A bug that a cluster may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code, reason = "switched on by tests only"))]
pub(crate) enum Mutant {
    /// acks=all is answered when the leader has the batch.
    AcknowledgesAlone,
    /// The leader's own log is the high watermark.
    HighWatermarkAlone,
    /// The high watermark goes with the foremost in-sync replica.
    HighWatermarkOfForemost,
    /// Replicas count that have not been heard of since the leader was elected.
    CountsTheSilent,
    /// A follower keeps what its leader does not have.
    NeverTruncates,
    /// A follower cuts what its leader has, down to its own high watermark (before KIP-101).
    TruncatesToHighWatermark,
    /// Anybody may lead.
    ElectsAnybody,
    /// A node that is fenced stays in sync.
    KeepsFencedInSync,
    /// A new leader has the old one's epoch.
    EpochStays,
    /// A follower takes its leader's high watermark, though its log is shorter.
    BelievesItsLeader,
    /// A follower is in sync as soon as it asks.
    InSyncTooSoon,
    /// Too few in-sync replicas do not matter.
    IgnoresMinInsync,
    /// A batch counts as replicated though another leads now.
    AnswersForOthers,
    /// Records are given out that not every in-sync replica has.
    ReadsAhead,
    /// A node that comes back within the session timeout leads on.
    LeadsOnAfterRestart,
    /// A leader that has lost the end of its log leads on when all nodes begin anew.
    LeadsWithLostEnd,
    /// What the controller decides is not written down.
    ForgetsPlacements,
    /// A follower does not learn of idempotent producers.
    FollowersForgetProducers,
    /// A duplicate gets the offset of the log's end.
    DuplicateAtEnd,
    /// A batch that was sent before is appended again.
    AppendsDuplicates,
    /// Gaps in the sequence are not noticed.
    AcceptsGaps,
    /// A follower does not keep leader epochs.
    FollowersForgetEpochs,
    /// A follower stamps its own leader epoch on what it copies.
    FollowersRestamp,
    /// A partition that moves leaves its old nodes before the new ones have everything.
    ArrivesTooSoon,
}

#[cfg(test)]
thread_local! {
    static ACTIVE: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Whether the bug is switched on.
#[cfg(test)]
pub(crate) fn is_on(mutant: Mutant) -> bool {
    ACTIVE.get() == Some(mutant)
}

#[cfg(not(test))]
pub(crate) const fn is_on(_mutant: Mutant) -> bool {
    false
}

/// Switches a bug on for this thread, or all off.
#[cfg(test)]
pub(crate) fn switch(mutant: Option<Mutant>) {
    ACTIVE.set(mutant);
}
