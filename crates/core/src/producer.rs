//! The producer: composition only. It routes inputs to connections, metadata and sender, and
//! collects what they want done.

mod auth_events;
mod link_events;
mod requests;
mod settings;

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::PartitionKey;
use crate::accumulator::{Payload, Queues};
use crate::config::ProducerConfig;
use crate::connection::{End, Links, Reach, Target};
use crate::host::Host;
use crate::metadata::{Change, Cluster, Refresh, TopicIndex};
use crate::output::{
    Authenticate, Compress, CompressToken, Connect, ConnectionId, Event, Frame, Part, Purge, Split,
    SplitToken, Transmit,
};
use crate::rng::Rng;
use crate::sender::{Context, Drained, Sender};
use crate::stats::Stats;
use crate::time::Instant;

/// The state machine. See the [crate's page](crate) for how to drive it.
pub struct Producer<H: Host> {
    config: ProducerConfig,
    rng: Rng,
    links: Links,
    cluster: Cluster,
    refresh: Refresh,
    sender: Sender<H>,
    /// The bootstrap server to try next.
    next_bootstrap: usize,
    connects: VecDeque<Connect>,
    authentications: VecDeque<Authenticate>,
    disconnects: VecDeque<ConnectionId>,
    transmits: VecDeque<Transmit<H>>,
    events: VecDeque<Event<H>>,
    connections_made: u64,
    /// Topics whose settings are to be asked for, each with the time until which that waits for a
    /// moment without records.
    examinations: VecDeque<(TopicIndex, Instant)>,
}

impl<H: Host> Producer<H> {
    /// A producer that has done nothing yet. All its randomness follows from `seed`.
    #[must_use]
    pub fn new(config: ProducerConfig, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let next_bootstrap = rng.below(config.bootstrap_servers.len() as u64) as usize;
        Self {
            sender: Sender::new(&config),
            config,
            rng,
            links: Links::default(),
            cluster: Cluster::default(),
            refresh: Refresh::default(),
            next_bootstrap,
            connects: VecDeque::new(),
            authentications: VecDeque::new(),
            disconnects: VecDeque::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            connections_made: 0,
            examinations: VecDeque::new(),
        }
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &ProducerConfig {
        &self.config
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats { connections: self.connections_made, ..*self.sender.stats() }
    }

    /// Produce requests that are not answered.
    #[must_use]
    pub fn requests_in_flight(&self) -> usize {
        self.sender.requests_in_flight()
    }

    /// The number of partitions that are known: their keys are the numbers below it.
    #[must_use]
    pub fn partition_count(&self) -> usize {
        self.cluster.partition_count()
    }

    /// Asks for a topic; [`Event::TopicReady`] or [`Event::TopicFailed`] will tell.
    pub fn want_topic(&mut self, name: &str) {
        let index = self.cluster.want(name);
        if self.cluster.topic(index).wanted {
            self.refresh.need_now();
        } else {
            self.events.push_back(Event::TopicReady(self.cluster.view(index)));
        }
    }

    /// Connects and asks for the cluster's brokers, though there is nothing to send yet.
    pub fn connect(&mut self) {
        self.refresh.need_now();
    }

    /// A queue that was empty holds something, or a batch in it was closed.
    pub fn note<Q: Queues<H>>(&mut self, key: PartitionKey, queues: &mut Q, now: Instant) {
        if (key.0 as usize) < self.cluster.partition_count() {
            let (sender, mut cx) = self.split(queues, now);
            sender.note(key, &mut cx);
        }
    }

    /// Sends all that was appended so far without waiting for more. Gives back the completions of
    /// every batch that is not done: the flush is over when they are settled.
    pub fn flush<Q: Queues<H>>(&mut self, queues: &mut Q, now: Instant) -> Vec<H::Completion> {
        let (sender, mut cx) = self.split(queues, now);
        sender.flush(&mut cx)
    }

    /// Gives up every record that is not done, with `reason` as the message.
    pub fn abort<Q: Queues<H>>(&mut self, reason: &str, queues: &mut Q, now: Instant) {
        let (sender, mut cx) = self.split(queues, now);
        sender.abort(reason, &mut cx);
    }

    /// Gives up records that are not done.
    pub fn purge<Q: Queues<H>>(&mut self, purge: &Purge<'_>, queues: &mut Q, now: Instant) {
        let (sender, mut cx) = self.split(queues, now);
        sender.purge(purge, &mut cx);
    }

    /// A [`Compress`] job is done; `None` when the result would have been no smaller.
    pub fn handle_compressed<Q: Queues<H>>(
        &mut self,
        token: CompressToken,
        compressed: Option<Payload<H::Chunk>>,
        queues: &mut Q,
        now: Instant,
    ) {
        let (sender, mut cx) = self.split(queues, now);
        sender.handle_compressed(token, compressed, &mut cx);
    }

    /// A [`Split`] is done; `None` when its payload does not hold records.
    pub fn handle_split<Q: Queues<H>>(
        &mut self,
        token: SplitToken,
        parts: Option<Vec<Part<H::Chunk>>>,
        queues: &mut Q,
        now: Instant,
    ) {
        let (sender, mut cx) = self.split(queues, now);
        sender.handle_split(token, parts, &mut cx);
    }

    /// A [`Transmit`] with this token is with the operating system.
    pub fn handle_written<Q: Queues<H>>(&mut self, token: u64, queues: &mut Q, now: Instant) {
        let (sender, mut cx) = self.split(queues, now);
        sender.handle_written(token, &mut cx);
    }

    /// Time passed. Calling it too often does nothing.
    pub fn handle_timeout<Q: Queues<H>>(&mut self, queues: &mut Q, now: Instant) {
        while let Some((id, why)) = self.links.overdue(self.config.connections_max_idle, now) {
            self.disconnects.push_back(id);
            match why {
                Some(why) => self.connection_gone(id, &why, End::Failed, queues, now),
                None => self.connection_gone(id, "idle", End::Quiet, queues, now),
            }
        }
        self.renew_sessions(queues, now);
        let (sender, mut cx) = self.split(queues, now);
        sender.handle_timeout(&mut cx);
    }

    /// When [`Producer::handle_timeout`] wants to be called next. `now` is the time with which the
    /// outputs were last polled: with a later one, what became due in between would be missed.
    #[must_use]
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let times = [
            self.sender.next_timeout(),
            self.sender.throttled_until(now),
            self.sender.gap_until(now),
            self.links.next_deadline(self.config.connections_max_idle),
            self.next_connect_at(now),
        ];
        times.into_iter().flatten().min()
    }

    /// The next connection to open.
    pub fn poll_connect(&mut self) -> Option<Connect> {
        self.connects.pop_front()
    }

    /// The next connection to close. Nothing is to be reported of it any more.
    pub fn poll_disconnect(&mut self) -> Option<ConnectionId> {
        self.disconnects.pop_front()
    }

    /// The next batch to split.
    pub fn poll_split(&mut self) -> Option<Split<H>> {
        self.sender.poll_split()
    }

    /// The next compression job.
    pub fn poll_compress(&mut self) -> Option<Compress<H>> {
        self.sender.poll_compress()
    }

    /// The next thing to tell the application.
    pub fn poll_event(&mut self) -> Option<Event<H>> {
        self.sender.poll_event().or_else(|| self.events.pop_front())
    }

    /// The next frame to write. This is where requests are made, so that batches stay open for as
    /// long as nothing can be done with them.
    pub fn poll_transmit<Q: Queues<H>>(
        &mut self,
        queues: &mut Q,
        now: Instant,
    ) -> Option<Transmit<H>> {
        if self.sender.take_needs_metadata() {
            self.refresh.need();
        }
        self.pursue_metadata(now);
        self.pursue_identity(queues, now);
        if let Some(transmit) = self.transmits.pop_front() {
            return Some(transmit);
        }
        let busy: Vec<i32> = self.sender.busy_nodes().collect();
        for node in busy {
            let Some(id) = self.reach_node(node, now) else { continue };
            let mut cx = Context { cluster: &self.cluster, queues, rng: &mut self.rng, now };
            let Some(link) = self.links.get_mut(id) else { continue };
            if let Drained::Transmit(transmit) = self.sender.drain(node, link, &mut cx) {
                return Some(transmit);
            }
        }
        // The last epoch of a producer id may just have ended: another id is asked for at once.
        self.pursue_identity(queues, now);
        self.pursue_settings(now);
        self.transmits.pop_front()
    }

    /// A ready connection to a broker; otherwise one is begun, if it may be.
    fn reach_node(&mut self, node: i32, now: Instant) -> Option<ConnectionId> {
        let target = Target::Node(node);
        match self.links.reach(target, now) {
            Reach::Ready(id) => Some(id),
            Reach::Pending | Reach::NotBefore(_) => None,
            Reach::Open => {
                match self.cluster.node(node) {
                    Some(known) => {
                        let connect = self.links.open(target, &known.server, now);
                        self.connects.push_back(connect);
                    }
                    None => self.refresh.need(),
                }
                None
            }
        }
    }

    /// The sender and what it needs to decide: the parts of `self` it does not own.
    fn split<'a, Q>(
        &'a mut self,
        queues: &'a mut Q,
        now: Instant,
    ) -> (&'a mut Sender<H>, Context<'a, Q>) {
        let cx = Context { cluster: &self.cluster, queues, rng: &mut self.rng, now };
        (&mut self.sender, cx)
    }

    fn take_changes<Q: Queues<H>>(&mut self, changes: Vec<Change>, queues: &mut Q, now: Instant) {
        self.sender.grow(self.cluster.partition_count());
        for change in changes {
            match change {
                Change::TopicReady(index) => {
                    self.events.push_back(Event::TopicReady(self.cluster.view(index)));
                }
                Change::TopicFailed(index, failure) => {
                    let topic = self.cluster.topic(index).name.clone();
                    self.events.push_back(Event::TopicFailed { topic, failure });
                }
                Change::TopicRecreated(index) => {
                    let keys = self.cluster.topic(index).partitions.clone();
                    let (sender, mut cx) = self.split(queues, now);
                    for key in keys {
                        sender.topic_recreated(key, &mut cx);
                    }
                }
                Change::LeaderChanged(key) => {
                    let (sender, mut cx) = self.split(queues, now);
                    sender.leader_changed(key, &mut cx);
                }
                Change::NodeMoved(node) => {
                    let old = self.links.iter().find(|link| link.target == Target::Node(node));
                    let old = old.map(|link| link.id);
                    if let Some(id) = old {
                        self.disconnects.push_back(id);
                        self.connection_gone(
                            id,
                            "the broker has another address now",
                            End::Quiet,
                            queues,
                            now,
                        );
                    }
                }
            }
        }
    }

    fn reconnect_backoff(&self) -> (Duration, Duration) {
        (self.config.reconnect_backoff, self.config.reconnect_backoff_max)
    }

    fn retry_backoff(&self) -> (Duration, Duration) {
        (self.config.retry_backoff, self.config.retry_backoff_max)
    }

    fn control_frame(&mut self, connection: ConnectionId, header: Vec<u8>) {
        let frame = Frame { header, payloads: Vec::new(), is_secret: false };
        self.transmits.push_back(Transmit { connection, frame, written_token: None });
    }

    /// As [`Self::control_frame`], for one that holds credentials.
    fn secret_frame(&mut self, connection: ConnectionId, header: Vec<u8>) {
        let frame = Frame { header, payloads: Vec::new(), is_secret: true };
        self.transmits.push_back(Transmit { connection, frame, written_token: None });
    }

    /// How errors name what a connection leads to.
    fn label(&self, target: Target, server: &str) -> Arc<str> {
        match target {
            Target::Node(id) => match self.cluster.node(id) {
                Some(node) => node.label.clone(),
                None => alloc::format!("{id} at {server}").into(),
            },
            Target::Bootstrap(_) => server.into(),
        }
    }

    fn unreachable(&mut self, server: &str, why: &str, end: End) {
        let (server, why) = (String::from(server), String::from(why));
        self.events.push_back(Event::ServerUnreachable { server, why, trouble: end.trouble() });
    }
}
