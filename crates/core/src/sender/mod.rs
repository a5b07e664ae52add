//! The sender: which batch goes when, in which request, and what its answer means.
//!
//! Every partition has a [`Lane`]: batches taken from its queue and not done yet. Every broker has
//! an [`Outbox`]: the lanes that have something for it. A lane is judged anew by
//! [`Sender::judge`] whenever something about it changed, and is then in exactly one place: listed
//! in an outbox, armed with a timer, or idle until the next note, answer or leader.

mod answer;
mod drain;
mod expiry;
mod frame;
mod gap;
mod lane;
mod outbox;
mod outcome;
mod sequencer;
mod split;
mod timers;
mod verdict;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use ottla_protocol::ErrorCode;
use ottla_protocol::record::CompressionType;

use crate::PartitionKey;
use crate::accumulator::{Batch, Payload, Queues};
use crate::config::{Acks, ProducerConfig};
use crate::error::ErrorKind;
use crate::host::Host;
use crate::metadata::Cluster;
use crate::mutant::Mutant;
use crate::output::{Compress, CompressToken, Event, Split};
use crate::rng::Rng;
use crate::stats::Stats;
use crate::time::Instant;

pub(crate) use drain::Drained;
use lane::{Lane, Listed, Slot, Step};
use outbox::{Outbox, SentBatches};
pub(crate) use sequencer::{Identity, Sequencer};
use split::Refusal;
use timers::{TimerKind, Timers};
pub use verdict::{Verdict, verdict};

/// What the sender needs of the rest of the world while it decides.
pub(crate) struct Context<'a, Q> {
    /// Who leads what.
    pub cluster: &'a Cluster,
    /// The queues that records are appended to.
    pub queues: &'a mut Q,
    /// Jitter.
    pub rng: &'a mut Rng,
    /// The time.
    pub now: Instant,
}

/// The settings that matter here.
struct Rules {
    acks: Acks,
    idempotent: bool,
    linger: Duration,
    linger_adaptive: bool,
    linger_adaptive_gap: Duration,
    delivery_timeout: Duration,
    request_timeout: Duration,
    retries: u32,
    retry_backoff: (Duration, Duration),
    max_in_flight: usize,
    max_request_size_bytes: usize,
    compression: CompressionType,
    compression_level: Option<i32>,
    client_id: String,
}

impl Rules {
    /// Batches of one partition that may be under way: what the broker can tell apart, or one.
    fn window(&self) -> usize {
        let wider = if Mutant::WindowTooWide.is_on() { 4 } else { 0 };
        if self.idempotent { self.max_in_flight + wider } else { 1 }
    }
}

/// The sender.
pub(crate) struct Sender<H: Host> {
    rules: Rules,
    lanes: Vec<Lane<H>>,
    outboxes: BTreeMap<i32, Outbox>,
    requests: BTreeMap<u64, SentBatches>,
    sequencer: Sequencer,
    timers: Timers,
    next_serial: u64,
    /// Lanes of topics that were created anew, which go on with the new one when idle.
    leaving: BTreeSet<PartitionKey>,
    jobs: VecDeque<Compress<H>>,
    splits: VecDeque<Split<H>>,
    /// Why each batch was refused that is being split.
    refusals: BTreeMap<u64, Refusal>,
    events: VecDeque<Event<H>>,
    stats: Stats,
    needs_metadata: bool,
    /// Why the cluster gives no producer id, while it does not.
    identity_trouble: Option<String>,
}

impl<H: Host> Sender<H> {
    /// A sender without partitions.
    #[must_use]
    pub(crate) fn new(config: &ProducerConfig) -> Self {
        Self {
            rules: Rules {
                acks: config.acks,
                idempotent: config.idempotence,
                linger: config.linger,
                linger_adaptive: config.linger_adaptive,
                linger_adaptive_gap: config.linger_adaptive_gap,
                delivery_timeout: config.delivery_timeout,
                request_timeout: config.request_timeout,
                retries: config.retries,
                retry_backoff: (config.retry_backoff, config.retry_backoff_max),
                max_in_flight: config.max_in_flight,
                max_request_size_bytes: config.max_request_size_bytes,
                compression: config.compression,
                compression_level: config.compression_level,
                client_id: config.client_id.clone(),
            },
            lanes: Vec::new(),
            outboxes: BTreeMap::new(),
            requests: BTreeMap::new(),
            sequencer: Sequencer::new(config.idempotence),
            timers: Timers::default(),
            next_serial: 0,
            leaving: BTreeSet::new(),
            jobs: VecDeque::new(),
            splits: VecDeque::new(),
            refusals: BTreeMap::new(),
            events: VecDeque::new(),
            stats: Stats::default(),
            needs_metadata: false,
            identity_trouble: None,
        }
    }

    /// Counters.
    #[must_use]
    pub(crate) const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Produce requests without an answer.
    #[must_use]
    pub(crate) fn requests_in_flight(&self) -> usize {
        self.requests.len()
    }

    /// The producer id's keeper.
    pub(crate) fn sequencer(&mut self) -> &mut Sequencer {
        &mut self.sequencer
    }

    /// When a missing identity may be asked for.
    #[must_use]
    pub(crate) const fn identity_not_before(&self) -> Option<Instant> {
        self.sequencer.not_before()
    }

    /// The cluster will not give a producer id. Where that is for want of permission, or because it
    /// cannot, what waits is told so; it would wait in vain.
    pub(crate) fn identity_error<Q: Queues<H>>(
        &mut self,
        code: ErrorCode,
        cx: &mut Context<'_, Q>,
    ) {
        let why = format!(
            "the cluster gives no producer id, which idempotence needs: {} [{}]; \
             allow IdempotentWrite, or set enable.idempotence=false",
            code.message(),
            code.name()
        );
        if let Verdict::Fail(kind) = verdict(code) {
            self.fail_unsent(kind, &why, cx);
        }
        self.identity_trouble = Some(why);
    }

    /// The cluster gave a producer id.
    pub(crate) fn identity_granted(&mut self, identity: Identity) {
        self.identity_trouble = None;
        self.sequencer.granted(identity);
    }

    /// A broker is out of reach, for this reason, or is reachable again.
    pub(crate) fn set_trouble(&mut self, node: i32, trouble: Option<&str>) {
        self.outboxes.entry(node).or_default().trouble = trouble.map(Into::into);
    }

    fn fail_unsent<Q: Queues<H>>(&mut self, kind: ErrorKind, why: &str, cx: &mut Context<'_, Q>) {
        for number in 0..self.lanes.len() {
            let key = PartitionKey(number as u32);
            while let Some(batch) = cx.queues.with(key, |queue| queue.take(true)) {
                self.give_up(batch, false, kind, why);
            }
            while let Some(slot) = self.lanes[number].waiting.pop_front() {
                self.give_up(slot.batch, false, kind, why);
            }
        }
    }

    /// The topic was deleted and created anew. What is under way gets its answer first, about the
    /// old one; then the partition goes on with the new one.
    pub(crate) fn topic_recreated<Q: Queues<H>>(
        &mut self,
        key: PartitionKey,
        cx: &mut Context<'_, Q>,
    ) {
        // Until then this holds the next batch back.
        self.lanes[key.0 as usize].wants_new_epoch = true;
        self.leaving.insert(key);
        self.landed(key, cx);
    }

    /// Something of the lane's is not under way any more.
    fn landed<Q: Queues<H>>(&mut self, key: PartitionKey, cx: &mut Context<'_, Q>) {
        if !self.leaving.is_empty()
            && self.lanes[key.0 as usize].in_flight.is_empty()
            && self.leaving.remove(&key)
        {
            self.leave_old_topic(key);
        }
        self.judge(key, cx);
    }

    /// What was never sent, or refused, goes to the new topic, under a new epoch: metadata may be
    /// old, and the topic that it tells of one that was sent to before. What may be in the old
    /// one's log will never be known.
    fn leave_old_topic(&mut self, key: PartitionKey) {
        let lane = &mut self.lanes[key.0 as usize];
        let doubtful = lane.take_doubtful();
        for slot in &mut lane.waiting {
            slot.batch.clear_stamp();
        }
        lane.wants_new_epoch = true;
        if Mutant::SequenceAnew.is_on() {
            lane.wants_new_epoch = false;
            lane.next_sequence = 0;
            lane.introduced_until = Instant::ZERO;
        }
        lane.unresolved = false;
        lane.retry_at = Instant::ZERO;
        for batch in doubtful {
            let why = "the topic was deleted and created anew while the record was on its way";
            self.give_up(batch, false, ErrorKind::TopicRecreated, why);
        }
    }

    /// Makes room for partitions that metadata brought.
    pub(crate) fn grow(&mut self, partition_count: usize) {
        while self.lanes.len() < partition_count {
            self.lanes.push(Lane::default());
        }
    }

    /// The next compression job.
    pub(crate) fn poll_compress(&mut self) -> Option<Compress<H>> {
        self.jobs.pop_front()
    }

    /// The next split.
    pub(crate) fn poll_split(&mut self) -> Option<Split<H>> {
        self.splits.pop_front()
    }

    /// The next event.
    pub(crate) fn poll_event(&mut self) -> Option<Event<H>> {
        self.events.pop_front()
    }

    /// Whether some lane waits for a leader; asking clears it.
    pub(crate) fn take_needs_metadata(&mut self) -> bool {
        core::mem::take(&mut self.needs_metadata)
    }

    /// Brokers for which something is ready or in flight, so that a connection is wanted.
    pub(crate) fn busy_nodes(&self) -> impl Iterator<Item = i32> {
        self.outboxes.iter().filter(|(_, outbox)| outbox.wants_link()).map(|(node, _)| *node)
    }

    /// Whether batches wait that a producer id is needed for.
    #[must_use]
    pub(crate) fn wants_identity(&self) -> bool {
        self.sequencer.is_missing() && self.outboxes.values().any(Outbox::wants_link)
    }

    /// Something was appended to a queue that was empty, or a batch was closed.
    pub(crate) fn note<Q: Queues<H>>(&mut self, key: PartitionKey, cx: &mut Context<'_, Q>) {
        self.judge(key, cx);
        if let Some(oldest) = self.oldest(key, cx) {
            self.arm_expiry(key, oldest);
        }
    }

    /// A leader appeared or changed: what waits for the partition goes there, without back-off.
    pub(crate) fn leader_changed<Q: Queues<H>>(
        &mut self,
        key: PartitionKey,
        cx: &mut Context<'_, Q>,
    ) {
        self.lanes[key.0 as usize].retry_at = Instant::ZERO;
        self.judge(key, cx);
    }

    /// Decides where the lane stands, and puts it there.
    fn judge<Q: Queues<H>>(&mut self, key: PartitionKey, cx: &mut Context<'_, Q>) {
        let Some(node) = cx.cluster.partition(key).leader else {
            let lane = &self.lanes[key.0 as usize];
            self.needs_metadata |=
                lane.has_batches() || cx.queues.with(key, |queue| !queue.is_empty());
            self.unlist_partial(key);
            return;
        };
        match self.next_step(key, node, cx) {
            Step::Ready => self.list(key, Listed::Ready(node)),
            Step::Partial { due } => {
                self.list(key, Listed::Partial(node));
                self.wake_at(key, due);
            }
            Step::Later(at) => self.wake_at(key, at),
            Step::Wait => self.unlist_partial(key),
        }
    }

    fn next_step<Q: Queues<H>>(
        &self,
        key: PartitionKey,
        node: i32,
        cx: &mut Context<'_, Q>,
    ) -> Step {
        let lane = &self.lanes[key.0 as usize];
        let step = lane.step(node, self.rules.window(), &self.sequencer, cx.now);
        match step {
            Some(Step::Ready) if lane.retry_at > cx.now => Step::Later(lane.retry_at),
            Some(step) => step,
            None => self.queue_step(key, cx),
        }
    }

    /// The lane itself is free: what does its queue hold?
    fn queue_step<Q: Queues<H>>(&self, key: PartitionKey, cx: &mut Context<'_, Q>) -> Step {
        let (closed, oldest) = cx.queues.with(key, |queue| (queue.closed_count(), queue.oldest()));
        let Some(oldest) = oldest else { return Step::Wait };
        let due = oldest + self.rules.linger;
        if closed > 0 || due <= cx.now { Step::Ready } else { Step::Partial { due } }
    }

    fn list(&mut self, key: PartitionKey, listed: Listed) {
        let former = self.lanes[key.0 as usize].listed.replace(listed);
        if former == Some(listed) {
            return;
        }
        if let Some(Listed::Partial(node)) = former {
            self.take_from_partial(key, node);
        }
        match listed {
            Listed::Ready(node) => self.outboxes.entry(node).or_default().ready.push_back(key),
            Listed::Partial(node) => {
                self.outboxes.entry(node).or_default().partial.insert(key);
            }
        }
    }

    /// A lane with nothing to send keeps no connection wanted.
    fn unlist_partial(&mut self, key: PartitionKey) {
        let lane = &mut self.lanes[key.0 as usize];
        if let Some(Listed::Partial(node)) = lane.listed {
            lane.listed = None;
            self.take_from_partial(key, node);
        }
    }

    fn take_from_partial(&mut self, key: PartitionKey, node: i32) {
        if let Some(outbox) = self.outboxes.get_mut(&node) {
            outbox.partial.remove(&key);
        }
    }

    fn wake_at(&mut self, key: PartitionKey, at: Instant) {
        let lane = &mut self.lanes[key.0 as usize];
        if lane.wake_armed.is_none_or(|armed| at < armed) {
            lane.wake_armed = Some(at);
            self.timers.arm(at, key, TimerKind::Wake);
        }
    }

    /// A compression job is done. Without `compressed` the batch is sent as it was.
    pub(crate) fn handle_compressed<Q: Queues<H>>(
        &mut self,
        token: CompressToken,
        compressed: Option<Payload<H::Chunk>>,
        cx: &mut Context<'_, Q>,
    ) {
        let lane = &mut self.lanes[token.partition.0 as usize];
        for slot in &mut lane.waiting {
            if slot.job == Some(token.serial) {
                slot.job = None;
                if let Some(payload) = compressed {
                    self.stats.compressed_batches += 1;
                    slot.batch.set_compressed(self.rules.compression, payload);
                }
                break;
            }
        }
        self.judge(token.partition, cx);
    }

    /// Closes every open batch, so that all that was appended so far leaves now; gives back the
    /// completions of everything that is not done.
    pub(crate) fn flush<Q: Queues<H>>(&mut self, cx: &mut Context<'_, Q>) -> Vec<H::Completion> {
        let mut pending = Vec::new();
        for number in 0..self.lanes.len() {
            let key = PartitionKey(number as u32);
            let lane = &self.lanes[number];
            let in_flight =
                if Mutant::FlushForgetsInFlight.is_on() { lane.in_flight.len() } else { 0 };
            pending.extend(lane.batches().skip(in_flight).map(|batch| batch.completion().clone()));
            let had_open = cx.queues.with(key, |queue| {
                queue.close();
                pending.extend(queue.completions());
                !queue.is_empty()
            });
            if had_open {
                self.judge(key, cx);
            }
        }
        pending
    }

    fn oldest<Q: Queues<H>>(&self, key: PartitionKey, cx: &mut Context<'_, Q>) -> Option<Instant> {
        let lane = self.lanes[key.0 as usize].batches().map(Batch::opened_at).min();
        lane.or_else(|| cx.queues.with(key, |queue| queue.oldest()))
    }

    fn serial(&mut self) -> u64 {
        self.next_serial += 1;
        self.next_serial
    }
}

impl<H: Host> Slot<H> {
    fn ready(batch: Batch<H>) -> Self {
        Self { batch, job: None }
    }
}
