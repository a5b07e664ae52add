//! What happened in a run: rare things have to happen somewhere, or nothing was tested.

/// Named events.
#[expect(missing_docs, reason = "the names say it")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seen {
    RecordDelivered,
    RecordNotPersisted,
    RecordMaybePersisted,
    BatchRetried,
    DuplicateRecognized,
    OutOfOrderSequence,
    StaleEpoch,
    ProducerIdGranted,
    ProducerIdRefused,
    EpochBumped,
    NotLeader,
    NotEnoughReplicas,
    NotEnoughReplicasAfterAppend,
    RequestTimedOut,
    AnswerLost,
    AnswerTorn,
    AnswerRepeated,
    ConnectionCut,
    ConnectionRefused,
    BlackHole,
    NodeCrashed,
    NodePaused,
    LeaderMoved,
    LeaderMovedInFlight,
    NoLeader,
    FollowerTruncated,
    TopicRecreated,
    UnknownTopicId,
    PartitionsAdded,
    Throttled,
    PartitionLeftOut,
    StaleMetadata,
    RecordExpired,
    Purged,
    Flushed,
    FiveInFlight,
    CompressionOutOfOrder,
    ProducersForgotten,
    BatchTooLarge,
    BatchSplit,
    RecordMinded,
    LoggedIn,
    LoginRefused,
    CredentialsMissing,
    SessionRenewed,
    SessionExpired,
    RefusedEverywhere,
}

impl Seen {
    /// All of them.
    pub const ALL: [Self; 47] = [
        Self::RecordDelivered,
        Self::RecordNotPersisted,
        Self::RecordMaybePersisted,
        Self::BatchRetried,
        Self::DuplicateRecognized,
        Self::OutOfOrderSequence,
        Self::StaleEpoch,
        Self::ProducerIdGranted,
        Self::ProducerIdRefused,
        Self::EpochBumped,
        Self::NotLeader,
        Self::NotEnoughReplicas,
        Self::NotEnoughReplicasAfterAppend,
        Self::RequestTimedOut,
        Self::AnswerLost,
        Self::AnswerTorn,
        Self::AnswerRepeated,
        Self::ConnectionCut,
        Self::ConnectionRefused,
        Self::BlackHole,
        Self::NodeCrashed,
        Self::NodePaused,
        Self::LeaderMoved,
        Self::LeaderMovedInFlight,
        Self::NoLeader,
        Self::FollowerTruncated,
        Self::TopicRecreated,
        Self::UnknownTopicId,
        Self::PartitionsAdded,
        Self::Throttled,
        Self::PartitionLeftOut,
        Self::StaleMetadata,
        Self::RecordExpired,
        Self::Purged,
        Self::Flushed,
        Self::FiveInFlight,
        Self::CompressionOutOfOrder,
        Self::ProducersForgotten,
        Self::BatchTooLarge,
        Self::BatchSplit,
        Self::RecordMinded,
        Self::LoggedIn,
        Self::LoginRefused,
        Self::CredentialsMissing,
        Self::SessionRenewed,
        Self::SessionExpired,
        Self::RefusedEverywhere,
    ];
}

/// How often each happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts([u64; Seen::ALL.len()]);

impl Default for Counts {
    fn default() -> Self {
        Self([0; Seen::ALL.len()])
    }
}

impl Counts {
    pub(crate) fn see(&mut self, what: Seen) {
        self.0[what as usize] += 1;
    }

    /// How often.
    #[must_use]
    pub fn of(&self, what: Seen) -> u64 {
        self.0[what as usize]
    }

    /// Adds what another run saw.
    pub fn add(&mut self, other: &Self) {
        for (own, its) in self.0.iter_mut().zip(&other.0) {
            *own += its;
        }
    }
}
