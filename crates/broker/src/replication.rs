//! How followers get what their leaders have, and leaders learn how far that is.
//!
//! It goes as in Kafka, without the sockets: a follower asks for what comes behind its log's end,
//! and says in which leader epoch the last batch before it was written. A leader that has ended
//! that epoch earlier tells it where, and the follower cuts its log there (KIP-101, KIP-279). What
//! a follower asks for is what it has: with that the leader moves the high watermark. The follower
//! hears of the high watermark with the next answer.

use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::Uuid;
use ottla_protocol::record::BatchHeader;

use crate::handler;
use crate::log::{LogError, LogReader, PartitionLog, ReadError};
use crate::mutant::{self, Mutant};
use crate::node::State;
use crate::nodes::Nodes;
use crate::replica::Replica;
use crate::time::Now;

/// `replica.fetch.backoff.ms`: after a leader could not be asked.
const BACKOFF: Duration = Duration::from_millis(50);

/// After a follower's own disk has failed it.
const DISK_BACKOFF: Duration = Duration::from_millis(500);

/// How many times a node asks before others get their turn.
const ROUNDS: usize = 16;

/// What a follower wants to know.
struct Ask {
    offset: i64,
    /// Where its own log begins.
    log_start_offset: i64,
    leader_epoch: i32,
    /// The epoch of the last batch before the offset, `None` in an empty log.
    last_epoch: Option<i32>,
}

impl Ask {
    fn of(replica: &Replica) -> Self {
        Self {
            offset: replica.log.log_end_offset(),
            log_start_offset: replica.log.log_start_offset(),
            leader_epoch: replica.leader_epoch,
            last_epoch: replica.log.latest_epoch(),
        }
    }
}

/// What its leader says.
enum Answer {
    /// It does not lead, or not in that epoch.
    NotLeader,
    /// The epoch, or the greatest before it, ended there.
    Diverges { epoch: i32, end: i64 },
    /// The log begins behind the offset.
    BeginsAt(i64),
    Records {
        bytes: Bytes,
        high_watermark: i64,
        log_start_offset: i64,
        /// Compaction may have taken batches out.
        has_gaps: bool,
    },
    /// It cannot read its log.
    Failed,
}

/// What is to be done about a partition after its leader was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    AskAgain,
    AskLater,
    /// Its own log takes nothing.
    AskMuchLater,
    /// It has everything, or will be told whom to ask.
    Rest,
}

impl Nodes {
    /// When [`Nodes::replicate`] has something to do, on the monotonic clock.
    pub(crate) fn next_replication(&self) -> Option<Duration> {
        let asks = self.nodes.iter().filter(|node| node.replicates());
        asks.filter_map(|node| node.next_fetch).min()
    }

    /// Has every follower whose time has come ask its leaders.
    pub(crate) fn replicate(&mut self, now: Now) {
        for _ in 0..ROUNDS {
            let is_due = |due: Duration| due <= now.monotonic;
            let due: Vec<i32> = self
                .nodes
                .iter()
                .filter(|node| node.replicates() && node.next_fetch.is_some_and(is_due))
                .map(|node| node.id)
                .collect();
            if due.is_empty() {
                return;
            }
            for id in due {
                self.ask_leaders(id, now);
            }
        }
    }

    /// Something has come that the followers of a partition do not have.
    pub(crate) fn stir_followers(&mut self, leader: i32, topic: Uuid, partition: i32, now: Now) {
        if self.nodes.len() == 1 {
            return;
        }
        let due = now.monotonic + self.config.replication_delay;
        let Some(leading) =
            self.replica(leader, topic, partition).and_then(|replica| replica.leading.as_ref())
        else {
            return;
        };
        let followers: Vec<i32> = leading.followers.iter().map(|follower| follower.node).collect();
        for id in followers {
            if let Some(node) = self.node_mut(id).filter(|node| node.state != State::Down) {
                node.fall_behind(topic, partition, due);
            }
        }
    }

    /// Moves a leader's high watermark, if the in-sync replicas allow it, and lets everybody know
    /// who waits for that.
    pub(crate) fn raise_high_watermark(&mut self, id: i32, topic: Uuid, index: i32, now: Now) {
        let min_insync_replicas = self.min_insync_replicas(topic);
        let since = now.monotonic.saturating_sub(self.config.replica_lag_time_max);
        let live: Vec<i32> = match self.nodes.len() {
            1 => Vec::new(),
            _ => self.live_nodes().collect(),
        };
        let Some(replica) = self.replica_mut(id, topic, index) else {
            return;
        };
        let moved = replica.advance(min_insync_replicas, since, |node| live.contains(&node));
        let seen_bytes = replica.take_seen_bytes();
        if !moved {
            return;
        }
        self.transactions.stir();
        handler::settle_produces(self, id, topic, index, now);
        handler::wake_fetches(self, id, topic, index, seen_bytes, now);
        self.stir_followers(id, topic, index, now);
    }

    fn ask_leaders(&mut self, id: i32, now: Now) {
        let Some(node) = self.node_mut(id) else {
            return;
        };
        node.next_fetch = None;
        let asked = std::mem::take(&mut node.behind);
        let mut next: Option<Duration> = None;
        for (topic, partition) in asked {
            let wait = match self.ask_leader(id, topic, partition, now) {
                Then::Rest => continue,
                Then::AskAgain => self.config.replication_delay,
                Then::AskLater => BACKOFF,
                Then::AskMuchLater => DISK_BACKOFF,
            };
            let due = now.monotonic + wait;
            next = Some(next.map_or(due, |next| next.min(due)));
            if let Some(node) = self.node_mut(id) {
                node.behind.insert((topic, partition));
            }
        }
        if let (Some(next), Some(node)) = (next, self.node_mut(id)) {
            node.next_fetch = Some(node.next_fetch.map_or(next, |present| present.min(next)));
        }
    }

    fn ask_leader(&mut self, id: i32, topic: Uuid, partition: i32, now: Now) -> Then {
        let Some(replica) = self.replica(id, topic, partition) else {
            return Then::Rest;
        };
        let leader = replica.leader;
        if leader == -1 || replica.leading.is_some() || replica.log.failure().is_some() {
            return Then::Rest;
        }
        let ask = Ask::of(replica);
        if !self.hears(leader, id) {
            return Then::AskLater;
        }
        let told = self.answer_follower(leader, id, topic, partition, &ask, now);
        // What the follower does not hear, its leader has said all the same.
        let answer = if self.hears(id, leader) { told } else { Answer::Failed };
        let Some(replica) = self.replica_mut(id, topic, partition) else {
            return Then::Rest;
        };
        let (log, unix_ms) = (&mut replica.log, now.unix_ms);
        let (mut was_cut, mut shows_more) = (false, false);
        let start_before = log.log_start_offset();
        let done = match answer {
            Answer::NotLeader => return Then::Rest,
            Answer::Failed => return Then::AskLater,
            Answer::Diverges { .. } if mutant::is_on(Mutant::NeverTruncates) => {
                return Then::AskLater;
            }
            Answer::Diverges { epoch, end } => {
                let to = parting(log, epoch, end);
                tracing::info!(node = id, %topic, partition, to, "log cut to its leader's");
                was_cut = true;
                cut(log, to, unix_ms)
            }
            Answer::BeginsAt(start) => {
                was_cut = true;
                log.reset_to(start, unix_ms).map(|()| Then::AskAgain)
            }
            Answer::Records { bytes, high_watermark, log_start_offset, has_gaps } => {
                let begun = begin_with(log, &bytes, has_gaps, unix_ms);
                let appended = begun.and_then(|()| log.append_replicated(&bytes, unix_ms));
                let done = appended.and_then(|()| follow_start(log, log_start_offset));
                let before = replica.high_watermark();
                replica.learn_high_watermark(high_watermark);
                shows_more = replica.high_watermark() > before;
                // The leader hears of both with what is asked next.
                let has_changed = |is_cut| is_cut || !bytes.is_empty();
                done.map(|is_cut| if has_changed(is_cut) { Then::AskAgain } else { Then::Rest })
            }
        };
        replica.note_truncated();
        // Where the log begins its files do not say, if that is inside of one.
        let log = &replica.log;
        was_cut |= log.log_start_offset() != start_before && log.begins_inside_segment();
        if shows_more {
            handler::wake_fetches(self, id, topic, partition, 0, now);
        }
        if was_cut && let Some(node) = self.node(id) {
            // A recovery point that is lower now has to be before more is appended.
            node.write_checkpoints(&self.catalog);
        }
        match done {
            Ok(then) => {
                self.queue_syncs(id, topic, partition);
                then
            }
            Err(error) => {
                tracing::error!(node = id, %topic, partition, %error, "follower cannot follow");
                Then::AskMuchLater
            }
        }
    }

    fn answer_follower(
        &mut self,
        leader: i32,
        follower: i32,
        topic: Uuid,
        partition: i32,
        ask: &Ask,
        now: Now,
    ) -> Answer {
        let Some(replica) = self.replica_mut(leader, topic, partition) else {
            return Answer::NotLeader;
        };
        let epoch = replica.leader_epoch;
        let end = replica.log.log_end_offset();
        let log_start_offset = replica.log.log_start_offset();
        let Some(leading) = replica.leading.as_mut().filter(|_| epoch == ask.leader_epoch) else {
            return Answer::NotLeader;
        };
        if let Some(last_epoch) = ask.last_epoch {
            let Some((epoch, end)) = replica.log.end_of_leader_epoch(last_epoch) else {
                // Its last epoch is older than anything here.
                return Answer::BeginsAt(log_start_offset);
            };
            if epoch < last_epoch || end < ask.offset {
                return Answer::Diverges { epoch, end };
            }
        }
        if ask.offset < log_start_offset || ask.offset > end {
            return Answer::BeginsAt(log_start_offset);
        }
        leading.note_ask(follower, ask.offset, ask.log_start_offset, end, now.monotonic);
        let is_caught_up = ask.offset >= replica.high_watermark().max(leading_start(replica))
            || mutant::is_on(Mutant::InSyncTooSoon);
        let isr = replica.leading.as_ref().map(|leading| leading.isr.clone()).unwrap_or_default();
        let mut is_left_out = false;
        if is_caught_up && !isr.contains(&follower) {
            let wider = isr.into_iter().chain([follower]).collect();
            is_left_out = !self.alter_isr(leader, epoch, topic, partition, wider, now);
        }
        self.raise_high_watermark(leader, topic, partition, now);
        let fetch_bytes = self.config.replica_fetch_bytes;
        let Some(replica) = self.replica_mut(leader, topic, partition) else {
            return Answer::NotLeader;
        };
        let (high_watermark, has_gaps) = (replica.high_watermark(), replica.log.may_have_gaps());
        // The follower compares the checksums.
        let located =
            replica.log.locate(LogReader::Follower, ask.offset, i64::MAX, fetch_bytes, true);
        let bytes = located.and_then(|located| Ok(replica.log.bytes_of(located.as_ref())?));
        match bytes {
            // It has to ask again, or nobody thinks of it any more.
            Ok(bytes) if bytes.is_empty() && is_left_out => Answer::Failed,
            Ok(bytes) => Answer::Records { bytes, high_watermark, log_start_offset, has_gaps },
            Err(ReadError::OutOfRange { start, .. }) => Answer::BeginsAt(start),
            Err(ReadError::Log(error)) => {
                report(leader, topic, partition, &error);
                Answer::Failed
            }
        }
    }
}

/// Where a log and its leader's are last alike, when an epoch of the leader's ended at `end`.
fn parting(log: &PartitionLog, epoch: i32, end: i64) -> i64 {
    match log.end_of_leader_epoch(epoch) {
        Some((own, own_end)) if own == epoch => end.min(own_end),
        Some((_, own_end)) => own_end,
        None => log.log_start_offset(),
    }
}

/// Cuts a log. There is no hurry to ask again when that has changed nothing.
fn cut(log: &mut PartitionLog, to: i64, unix_ms: i64) -> Result<Then, LogError> {
    let before = (log.log_end_offset(), log.latest_epoch());
    log.truncate_to(to, unix_ms)?;
    let is_other = before != (log.log_end_offset(), log.latest_epoch());
    Ok(if is_other { Then::AskAgain } else { Then::AskLater })
}

/// Lets an empty log begin where the first batch does: a leader's log may begin inside of one.
fn begin_with(
    log: &mut PartitionLog,
    bytes: &[u8],
    has_gaps: bool,
    unix_ms: i64,
) -> Result<(), LogError> {
    if has_gaps {
        log.expect_gaps();
    }
    let Ok(header) = BatchHeader::read(bytes) else {
        return Ok(());
    };
    let end = log.log_end_offset();
    let is_empty = log.log_start_offset() == end;
    if is_empty && header.base_offset < end && header.last_offset() >= end {
        return log.reset_to(header.base_offset, unix_ms);
    }
    Ok(())
}

/// Lets a follower's log begin no earlier than its leader's. Says whether it had to be cut.
fn follow_start(log: &mut PartitionLog, leaders: i64) -> Result<bool, LogError> {
    let start = leaders.min(log.log_end_offset());
    if start <= log.log_start_offset() {
        return Ok(false);
    }
    match log.delete_records(start) {
        Ok(_) => Ok(true),
        Err(ReadError::OutOfRange { .. }) => Ok(false),
        Err(ReadError::Log(error)) => Err(error),
    }
}

fn leading_start(replica: &Replica) -> i64 {
    replica.leading.as_ref().map_or(0, |leading| leading.epoch_start)
}

fn report(leader: i32, topic: Uuid, partition: i32, error: &LogError) {
    tracing::error!(node = leader, %topic, partition, %error, "log cannot be read");
}
