//! What was done to the cluster, when, and what went on meanwhile.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::load::Counts;

/// Less than this during a fault that the cluster gets over is no progress.
pub(crate) const PROGRESS: u64 = 100;

/// After so long the cluster has noticed who is away, and has gone on without it.
const NOTICED: Duration = Duration::from_secs(10);

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Fault {
    LeaderKilled,
    FollowerKilled,
    LeaderPaused,
    FollowerPaused,
    LeaderPausedBriefly,
    NodeRestarted,
    AllRestartedInTurn,
    MajorityPaused,
    CutInRequests,
    CutInAnswers,
    StallInRequests,
    StallInAnswers,
    BlackHole,
    AnswersSwallowed,
    HalfClosed,
    Delayed,
    Torn,
    TopicCreatedAnew,
    LeadersMoved,
}

impl Fault {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::LeaderKilled => "leader killed (SIGKILL)",
            Self::FollowerKilled => "follower killed (SIGKILL)",
            Self::LeaderPaused => "leader paused (SIGSTOP)",
            Self::FollowerPaused => "follower paused (SIGSTOP)",
            Self::LeaderPausedBriefly => "leader paused for a moment (SIGSTOP)",
            Self::NodeRestarted => "node restarted (SIGTERM)",
            Self::AllRestartedInTurn => "all nodes restarted in turn (SIGTERM)",
            Self::MajorityPaused => "two of three nodes paused (SIGSTOP)",
            Self::CutInRequests => "connections cut in requests",
            Self::CutInAnswers => "connections cut in answers",
            Self::StallInRequests => "connections stalled in requests",
            Self::StallInAnswers => "connections stalled in answers",
            Self::BlackHole => "black hole",
            Self::AnswersSwallowed => "answers swallowed",
            Self::HalfClosed => "connections half closed",
            Self::Delayed => "network delayed",
            Self::Torn => "network in small pieces",
            Self::TopicCreatedAnew => "topic deleted and created anew",
            Self::LeadersMoved => "leaders moved",
        }
    }

    /// Whether the cluster gets over it while it lasts, so that there has to be progress. Without
    /// its majority there can be none, and a moment is too short to notice who is away.
    pub(crate) fn allows_progress(self) -> bool {
        !matches!(self, Self::MajorityPaused | Self::LeaderPausedBriefly)
    }
}

/// A fault that is over.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) at: Duration,
    pub(crate) lasted: Duration,
    pub(crate) fault: Fault,
    pub(crate) detail: String,
    pub(crate) delivered: u64,
}

/// All faults so far.
pub(crate) struct Ledger {
    begin: Instant,
    counts: Arc<Counts>,
    inner: Mutex<Inner>,
    /// The longest that no record was delivered.
    max_stall_ms: AtomicU64,
}

#[derive(Default)]
struct Inner {
    entries: Vec<Entry>,
    /// What goes on now.
    open: BTreeMap<u64, String>,
    next: u64,
    seen_delivered: u64,
    seen_at: Option<Instant>,
}

/// A fault that goes on.
pub(crate) struct Open {
    number: u64,
    at: Instant,
    fault: Fault,
    detail: String,
    delivered: u64,
}

impl Ledger {
    pub(crate) fn new(counts: &Arc<Counts>) -> Self {
        Self {
            begin: Instant::now(),
            counts: Arc::clone(counts),
            inner: Mutex::default(),
            max_stall_ms: AtomicU64::new(0),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn open(&self, fault: Fault, detail: impl Into<String>) -> Open {
        let detail = detail.into();
        let mut inner = self.inner();
        let number = inner.next;
        inner.next += 1;
        inner.open.insert(number, format!("{}: {detail}", fault.name()));
        let delivered = Counts::of(&self.counts.delivered);
        Open { number, at: Instant::now(), fault, detail, delivered }
    }

    pub(crate) fn close(&self, open: Open) {
        let mut inner = self.inner();
        inner.open.remove(&open.number);
        inner.entries.push(Entry {
            at: open.at - self.begin,
            lasted: open.at.elapsed(),
            fault: open.fault,
            detail: open.detail,
            delivered: Counts::of(&self.counts.delivered) - open.delivered,
        });
    }

    /// Nothing came of it.
    pub(crate) fn forget(&self, open: Open) {
        self.inner().open.remove(&open.number);
    }

    /// Looks whether records are delivered; to be called often.
    pub(crate) fn look(&self) {
        let delivered = Counts::of(&self.counts.delivered);
        let now = Instant::now();
        let mut inner = self.inner();
        if let Some(at) = inner.seen_at {
            let stall = (now - at).as_millis() as u64;
            self.max_stall_ms.fetch_max(stall, Ordering::Relaxed);
        }
        if delivered != inner.seen_delivered {
            inner.seen_delivered = delivered;
            inner.seen_at = Some(now);
        }
    }

    /// From now on no progress is expected.
    pub(crate) fn stop_looking(&self) {
        self.inner().seen_at = None;
    }

    pub(crate) fn max_stall(&self) -> Duration {
        Duration::from_millis(self.max_stall_ms.load(Ordering::Relaxed))
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.inner().entries.clone()
    }

    pub(crate) fn going_on(&self) -> Vec<String> {
        self.inner().open.values().cloned().collect()
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.begin.elapsed()
    }
}

/// How often each fault was, the longest first of those without progress, and the least progress.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) by_fault: BTreeMap<Fault, u64>,
    pub(crate) without_progress: Vec<Entry>,
    /// The least that was delivered during a fault that allows progress.
    pub(crate) least: Option<u64>,
}

impl Tally {
    pub(crate) fn of(entries: &[Entry]) -> Self {
        let mut tally = Self::default();
        for entry in entries {
            *tally.by_fault.entry(entry.fault).or_default() += 1;
            if entry.fault.allows_progress() && entry.lasted >= NOTICED {
                tally.least =
                    Some(tally.least.map_or(entry.delivered, |it| it.min(entry.delivered)));
                if entry.delivered < PROGRESS {
                    tally.without_progress.push(entry.clone());
                }
            }
        }
        tally
    }

    pub(crate) fn total(&self) -> u64 {
        self.by_fault.values().sum()
    }
}
