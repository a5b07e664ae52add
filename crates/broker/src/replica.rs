//! One replica of a partition: its log, and what its node was told about who leads.

use std::time::Duration;

use crate::log::PartitionLog;
use crate::mutant::{self, Mutant};
use crate::peers::ConnectionId;
use crate::placement::Placement;

/// One replica of a partition.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) log: PartitionLog,
    /// The node that leads, as this one was told; -1 for none.
    pub(crate) leader: i32,
    pub(crate) leader_epoch: i32,
    /// Rises with each change of the placement, so that old news is known as such.
    partition_epoch: i32,
    /// Before this offset every in-sync replica has the log.
    high_watermark: i64,
    /// What it knows of the others, while it leads.
    pub(crate) leading: Option<Leading>,
    /// Connections whose Fetch waits for records here.
    pub(crate) fetch_waiters: Vec<ConnectionId>,
    /// Connections whose Produce waits until what it brought is replicated.
    pub(crate) produce_waiters: Vec<ConnectionId>,
    /// Bytes that were appended and that those who wait for records cannot see yet.
    unseen_bytes: usize,
    /// Whether it is among those that may have a file open.
    pub(crate) is_open: bool,
}

/// What a leader knows.
#[derive(Debug)]
pub(crate) struct Leading {
    /// The replicas that count, this one included.
    pub(crate) isr: Vec<i32>,
    /// The other replicas.
    pub(crate) followers: Vec<Follower>,
    /// Where the log ended when this replica began to lead.
    pub(crate) epoch_start: i64,
}

/// Another replica, as its leader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Follower {
    pub(crate) node: i32,
    /// Where its log ends, `None` until it has asked.
    pub(crate) log_end: Option<i64>,
    /// Where its log began when it last asked.
    log_start: i64,
    /// When it last had all there was, on the monotonic clock; `None` when it never did.
    caught_up_at: Option<Duration>,
    /// When it last asked, and where the leader's log ended then.
    last_ask: (Duration, i64),
}

/// What became of a replica that was told its placement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It was old news.
    Nothing,
    /// The same leader, with other replicas in sync perhaps.
    SameLeader,
    /// It leads, follows, or stopped to.
    NewLeader,
}

impl Replica {
    pub(crate) fn new(log: PartitionLog, high_watermark: i64) -> Self {
        let high_watermark = high_watermark.clamp(log.log_start_offset(), log.log_end_offset());
        Self {
            log,
            leader: -1,
            leader_epoch: -1,
            partition_epoch: -1,
            high_watermark,
            leading: None,
            fetch_waiters: Vec::new(),
            produce_waiters: Vec::new(),
            unseen_bytes: 0,
            is_open: false,
        }
    }

    /// The offset before which every in-sync replica has the log, as far as this one knows.
    pub(crate) fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// Whether it leads, and as many replicas are in sync as a topic wants.
    pub(crate) fn has_enough(&self, min_insync_replicas: i32) -> bool {
        self.leading.as_ref().is_some_and(|leading| leading.has_enough(min_insync_replicas))
    }

    /// Takes note of what the controller has decided.
    pub(crate) fn obey(&mut self, node: i32, placement: &Placement, now: Duration) -> Told {
        if placement.partition_epoch < self.partition_epoch {
            return Told::Nothing;
        }
        self.partition_epoch = placement.partition_epoch;
        let is_new = placement.leader_epoch != self.leader_epoch || self.leader == -1;
        self.leader = placement.leader;
        self.leader_epoch = placement.leader_epoch;
        if placement.leader != node && is_new && mutant::is_on(Mutant::TruncatesToHighWatermark) {
            let _ = self.log.truncate_to(self.high_watermark, 0);
        }
        if placement.leader != node {
            let led = self.leading.take().is_some();
            return if is_new || led { Told::NewLeader } else { Told::SameLeader };
        }
        match &mut self.leading {
            Some(leading) if !is_new => {
                leading.isr.clone_from(&placement.isr);
                leading.keep_followers(node, placement, now);
                Told::SameLeader
            }
            _ => {
                let mut leading = Leading {
                    isr: placement.isr.clone(),
                    followers: Vec::new(),
                    epoch_start: self.log.log_end_offset(),
                };
                leading.keep_followers(node, placement, now);
                self.leading = Some(leading);
                Told::NewLeader
            }
        }
    }

    /// Moves the high watermark of a leader to where all in-sync replicas have the log, and those
    /// that are about to be in sync: else they never would be, while more is written. It stays
    /// while fewer are in sync than the topic wants (KIP-966). Says whether it moved.
    ///
    /// `is_joining` says of a follower that has caught up lately whether it may be in sync at all.
    pub(crate) fn advance(
        &mut self,
        min_insync_replicas: i32,
        caught_up_since: Duration,
        is_joining: impl Fn(i32) -> bool,
    ) -> bool {
        let Some(leading) = &self.leading else {
            return false;
        };
        if !leading.has_enough(min_insync_replicas) && !mutant::is_on(Mutant::IgnoresMinInsync) {
            return false;
        }
        let mut end = self.log.log_end_offset();
        let counts = |follower: &&Follower| {
            let has_caught_up = follower.caught_up_at.is_some_and(|at| at >= caught_up_since);
            leading.isr.contains(&follower.node) || (has_caught_up && is_joining(follower.node))
        };
        for follower in leading.followers.iter().filter(counts) {
            match follower.log_end {
                _ if mutant::is_on(Mutant::HighWatermarkAlone) => {}
                Some(log_end) if mutant::is_on(Mutant::HighWatermarkOfForemost) => {
                    end = end.min(log_end.max(self.high_watermark + 1));
                }
                Some(log_end) => end = end.min(log_end),
                None if mutant::is_on(Mutant::CountsTheSilent) => {}
                None => return false,
            }
        }
        let is_higher = end > self.high_watermark;
        if is_higher {
            self.high_watermark = end;
        }
        is_higher
    }

    /// A follower learns how far its leader's high watermark is.
    pub(crate) fn learn_high_watermark(&mut self, leaders: i64) {
        self.high_watermark = leaders.min(self.log.log_end_offset());
        if mutant::is_on(Mutant::BelievesItsLeader) {
            self.high_watermark = leaders;
        }
        // What has ended before it is kept in mind no longer.
        self.log.last_stable_offset(self.high_watermark);
    }

    /// The log was cut; nothing behind its end is replicated any more.
    pub(crate) fn note_truncated(&mut self) {
        if mutant::is_on(Mutant::BelievesItsLeader) {
            return;
        }
        self.high_watermark = self.high_watermark.min(self.log.log_end_offset());
    }

    /// Counts bytes that came in.
    pub(crate) fn note_appended(&mut self, bytes: usize) {
        self.unseen_bytes = self.unseen_bytes.saturating_add(bytes);
    }

    /// Takes the count of bytes that can now be seen, once all can.
    pub(crate) fn take_seen_bytes(&mut self) -> usize {
        if self.high_watermark < self.log.log_end_offset() {
            return 0;
        }
        std::mem::take(&mut self.unseen_bytes)
    }
}

impl Follower {
    /// How far it has come, and when it last had all there was.
    pub(crate) fn progress(&self) -> (Option<i64>, Option<Duration>, i32) {
        (self.log_end, self.caught_up_at, self.node)
    }
}

impl Leading {
    /// The followers in sync whose logs have an offset or end there.
    pub(crate) fn in_sync_with(&self, offset: i64) -> impl Iterator<Item = &Follower> {
        self.followers.iter().filter(move |follower| {
            let has_it =
                follower.log_end.is_some_and(|end| follower.log_start <= offset && offset <= end);
            has_it && self.isr.contains(&follower.node)
        })
    }

    /// Whether as many replicas are in sync as a topic wants; more than there are cannot be wanted.
    pub(crate) fn has_enough(&self, min_insync_replicas: i32) -> bool {
        let all = self.followers.len() + 1;
        self.isr.len() >= usize::try_from(min_insync_replicas).unwrap_or_default().min(all)
    }

    fn keep_followers(&mut self, node: i32, placement: &Placement, now: Duration) {
        let others = placement.replicas.iter().filter(|id| **id != node);
        let known = std::mem::take(&mut self.followers);
        let follower = |&id: &i32| {
            known.iter().find(|follower| follower.node == id).copied().unwrap_or_else(|| Follower {
                node: id,
                log_end: None,
                log_start: 0,
                caught_up_at: placement.isr.contains(&id).then_some(now),
                last_ask: (now, i64::MAX),
            })
        };
        self.followers = others.map(follower).collect();
    }

    /// A follower whose log begins at `start` has asked for what comes at `offset`, while the log
    /// ended at `end`.
    pub(crate) fn note_ask(&mut self, node: i32, offset: i64, start: i64, end: i64, now: Duration) {
        let Some(follower) = self.followers.iter_mut().find(|follower| follower.node == node)
        else {
            return;
        };
        let (asked_at, end_then) = follower.last_ask;
        if offset >= end {
            follower.caught_up_at = Some(now);
        } else if offset >= end_then {
            // It has all that there was when it last asked.
            follower.caught_up_at = follower.caught_up_at.max(Some(asked_at));
        }
        follower.log_end = Some(offset);
        follower.log_start = start;
        follower.last_ask = (now, end);
    }

    /// Where the logs of all in-sync followers have begun, as far as they have told; that of the
    /// leader itself when there are none.
    pub(crate) fn low_watermark(&self, own: i64) -> i64 {
        let counts = |follower: &&Follower| self.isr.contains(&follower.node);
        let starts = self.followers.iter().filter(counts).map(|follower| follower.log_start);
        starts.min().map_or(own, |start| start.min(own))
    }

    /// The in-sync replicas without those that have not caught up for so long.
    pub(crate) fn without_laggards(&self, end: i64, now: Duration, max_lag: Duration) -> Vec<i32> {
        let lags = |node: &i32| {
            let follower = self.followers.iter().find(|follower| follower.node == *node);
            follower.is_some_and(|follower| {
                let caught_up_at = follower.caught_up_at.unwrap_or_default();
                follower.log_end != Some(end) && now > caught_up_at + max_lag
            })
        };
        self.isr.iter().copied().filter(|node| !lags(node)).collect()
    }
}
