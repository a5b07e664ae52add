//! The I/O thread: it carries what happens to the core, and what the core wants done to the world.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ottla_core::PartitionKey;
use ottla_core::accumulator::{PartitionQueue, Queues};
use ottla_core::error::Outcome;
use ottla_core::output::{ConnectionId, Event, Purge, TopicView};
use ottla_core::time::Instant;
use tokio::sync::mpsc;

use crate::alarm::Alarm;
use crate::builder::ServerEvent;
use crate::cell::BatchCell;
use crate::compression::Compression;
use crate::flush::CloseReport;
use crate::net::{Incoming, Wire};
use crate::shared::{ClientHost, Command, Shared};
use crate::topic::{Slot, TopicState};

/// The queues, by the core's names for their partitions.
#[derive(Default)]
struct Slots(Vec<Option<Arc<Slot>>>);

impl Queues<ClientHost> for Slots {
    fn with<R>(
        &mut self,
        partition: PartitionKey,
        f: impl FnOnce(&mut PartitionQueue<ClientHost>) -> R,
    ) -> R {
        match self.0.get(partition.0 as usize) {
            Some(Some(slot)) => f(&mut slot.queue.lock()),
            // A partition that no thread has been told of yet: nothing can be in it.
            _ => f(&mut PartitionQueue::new(1)),
        }
    }
}

/// Who wakes so long after the time that was asked for has slept deeply: the process was stopped,
/// or the whole machine.
const OVERSLEPT: Duration = Duration::from_millis(50);

/// How far the end has come.
enum Ending {
    No,
    /// No handle is left: these batches are still to be delivered.
    Detached(Vec<Arc<BatchCell>>),
    Now,
}

/// The I/O thread's state.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    core: ottla_core::Producer<ClientHost>,
    slots: Slots,
    wires: HashMap<ConnectionId, Wire>,
    incoming: mpsc::UnboundedReceiver<Incoming>,
    sender: mpsc::UnboundedSender<Incoming>,
    compression: Compression,
    alarm: Alarm,
    ending: Ending,
    /// Somebody waits for memory, or did when we last looked.
    pressed: bool,
    /// Filled while the last records are given up.
    report: CloseReport,
    seed: u64,
}

impl Driver {
    pub(crate) fn new(shared: Arc<Shared>, seed: u64) -> Self {
        let (sender, incoming) = mpsc::unbounded_channel();
        let memory = Arc::clone(&shared.memory);
        let compression = Compression::new(&shared.config, memory, sender.clone());
        Self {
            core: ottla_core::Producer::new(shared.config.clone(), seed),
            slots: Slots::default(),
            wires: HashMap::new(),
            incoming,
            sender,
            compression,
            alarm: Alarm::new(shared.clock),
            ending: Ending::No,
            pressed: false,
            report: CloseReport::default(),
            seed,
            shared,
        }
    }

    /// Runs until the producer is closed.
    pub(crate) async fn run(mut self) {
        let mut due = None;
        loop {
            self.shared.recent_wall.note();
            self.take_mail();
            self.take_what_came();
            self.relieve_pressure();
            if due.is_some_and(|due| due + OVERSLEPT <= self.shared.clock.now()) {
                self.catch_up().await;
            }
            self.core.handle_timeout(&mut self.slots, self.shared.clock.now());
            let drained_at = self.drain().await;
            if self.is_over() {
                break;
            }
            // What was not due when the core was drained is due later: asking with a newer time
            // would miss what became due in between.
            due = self.core.poll_timeout(drained_at);
            self.sleep(due).await;
        }
        self.wires.clear();
        self.shared.end();
    }

    fn is_over(&self) -> bool {
        match &self.ending {
            Ending::No => false,
            Ending::Detached(batches) => batches.iter().all(|batch| batch.is_settled()),
            Ending::Now => true,
        }
    }

    /// Waits for mail, for the network or for the core's next timeout.
    async fn sleep(&mut self, timeout: Option<Instant>) {
        if !self.shared.fall_asleep() {
            return;
        }
        let incoming = tokio::select! {
            biased;
            incoming = self.incoming.recv() => incoming,
            () = self.shared.bell() => None,
            () = self.alarm.wait(timeout) => None,
        };
        self.shared.awake();
        if let Some(incoming) = incoming {
            self.take_incoming(incoming);
        }
    }

    /// Answers that came during a deep sleep came in time: they are read before time is judged.
    async fn catch_up(&mut self) {
        loop {
            // The tasks of the connections run meanwhile.
            tokio::task::yield_now().await;
            if !self.take_what_came() {
                return;
            }
        }
    }

    // ---- inputs ----------------------------------------------------------------------------

    fn take_mail(&mut self) {
        let mail = self.shared.take_mail();
        let now = self.shared.clock.now();
        for key in mail.notes {
            self.core.note(key, &mut self.slots, now);
        }
        for command in mail.commands {
            match command {
                Command::Connect => self.core.connect(),
                Command::Want(topic) => self.core.want_topic(&topic),
                Command::Flush(answer) => {
                    let _ = answer.send(self.core.flush(&mut self.slots, now));
                }
                Command::Purge { queued, in_flight, done } => {
                    let purge = Purge { queued, in_flight, partitions: None };
                    self.core.purge(&purge, &mut self.slots, now);
                    self.take_events();
                    let _ = done.send(());
                }
                Command::Detach => {
                    self.ending = Ending::Detached(self.core.flush(&mut self.slots, now));
                }
                Command::Abort(answer) => {
                    self.abort();
                    let _ = answer.send(self.report);
                }
                Command::MarkCallbacks(done) => {
                    self.take_events();
                    self.shared.callbacks.mark(done);
                }
                Command::End => self.ending = Ending::Now,
            }
        }
    }

    /// Takes all that connections have told; false when that is nothing.
    fn take_what_came(&mut self) -> bool {
        let mut any = false;
        while let Ok(incoming) = self.incoming.try_recv() {
            self.take_incoming(incoming);
            any = true;
        }
        any
    }

    fn take_incoming(&mut self, incoming: Incoming) {
        let now = self.shared.clock.now();
        match incoming {
            Incoming::Connected(id) => self.core.handle_connected(id, now),
            Incoming::Bytes(id, bytes) => self.core.handle_bytes(id, &bytes, &mut self.slots, now),
            Incoming::Written(token) => self.core.handle_written(token, &mut self.slots, now),
            Incoming::Compressed(token, compressed) => {
                self.core.handle_compressed(token, compressed, &mut self.slots, now);
            }
            Incoming::Gone(id, why) => {
                self.wires.remove(&id);
                self.core.handle_disconnected(id, &why, &mut self.slots, now);
            }
        }
    }

    /// Somebody waits for memory. While requests are under way their answers will free some; when
    /// none is, what open batches hold must go first, however long the linger.
    fn relieve_pressure(&mut self) {
        self.pressed |= self.shared.take_pressed();
        if self.pressed && self.core.requests_in_flight() == 0 {
            self.pressed = false;
            self.core.flush(&mut self.slots, self.shared.clock.now());
        }
    }

    fn abort(&mut self) {
        self.take_events();
        let now = self.shared.clock.now();
        let reason = "the producer was closed before the record was done";
        self.core.abort(reason, &mut self.slots, now);
        let stats = self.core.stats();
        *self.shared.stats.lock() = stats;
        while let Some(event) = self.core.poll_event() {
            if let Event::Settled { records, result: Err(failure), .. } = &event {
                let count = u64::from(records.end - records.start);
                match failure.outcome {
                    Outcome::NotPersisted => self.report.unsent += count,
                    Outcome::MaybePersisted => self.report.in_doubt += count,
                }
            }
            self.take_event(event);
        }
        self.report.delivered = stats.records_delivered;
        self.report.failed = stats.records_failed;
    }

    // ---- outputs ---------------------------------------------------------------------------

    /// Does what the core wants done, until it wants nothing more. Gives the time at which that
    /// was.
    async fn drain(&mut self) -> Instant {
        let drained_at = loop {
            let mut busy = false;
            let now = self.shared.clock.now();
            while let Some(id) = self.core.poll_disconnect() {
                self.wires.remove(&id);
            }
            self.take_events();
            while let Some(transmit) = self.core.poll_transmit(&mut self.slots, now) {
                if let Some(wire) = self.wires.get(&transmit.connection) {
                    wire.send(transmit);
                }
                busy = true;
            }
            while let Some(connect) = self.core.poll_connect() {
                let (id, timeout) =
                    (connect.connection, self.shared.config.connection_setup_timeout);
                let wire = Wire::open(id, connect.server, timeout, self.sender.clone());
                self.wires.insert(id, wire);
                busy = true;
            }
            if busy {
                // Let the writers begin before the next batches are compressed.
                tokio::task::yield_now().await;
            }
            while let Some(job) = self.core.poll_compress() {
                if let Some((token, compressed)) = self.compression.run(job) {
                    let now = self.shared.clock.now();
                    self.core.handle_compressed(token, compressed, &mut self.slots, now);
                }
                busy = true;
            }
            while let Some(job) = self.core.poll_split() {
                let (token, parts) = self.compression.split(job);
                self.core.handle_split(token, parts, &mut self.slots, now);
                busy = true;
            }
            if !busy {
                break now;
            }
        };
        *self.shared.stats.lock() = self.core.stats();
        drained_at
    }

    fn take_events(&mut self) {
        // First, so that whoever learns an outcome finds it counted.
        *self.shared.stats.lock() = self.core.stats();
        while let Some(event) = self.core.poll_event() {
            self.take_event(event);
        }
    }

    fn take_event(&mut self, event: Event<ClientHost>) {
        match event {
            Event::Settled { completion, records, record_count, result } => {
                let due = completion.settle(records, record_count, result);
                self.shared.callbacks.run(due);
            }
            Event::TopicReady(view) => self.topic_ready(&view),
            Event::TopicFailed { topic, failure } => self.shared.topic_failed(&topic, &failure),
            Event::ServerUnreachable { server, why } => {
                tracing::warn!(server, why, "a broker is out of reach");
                self.shared.tell(&ServerEvent::Unreachable { server: &server, why: &why });
                self.shared.set_unreachable(Some(unreachable(&server, &why)));
            }
            Event::Throttled { node, broker, time } => {
                tracing::debug!(%broker, ?time, "throttled");
                self.shared.tell(&ServerEvent::Throttled { node, broker: &broker, time });
            }
            Event::ServerReachable { server } => {
                tracing::debug!(server, "connected");
                self.shared.tell(&ServerEvent::Reachable { server: &server });
                self.shared.set_unreachable(None);
            }
        }
    }

    /// Gives a topic's partitions to the producing threads.
    fn topic_ready(&mut self, view: &TopicView) {
        if view.partitions.is_empty() {
            return;
        }
        let mut slots = Vec::with_capacity(view.partitions.len());
        for (index, partition) in (0..).zip(&view.partitions) {
            let place = partition.key.0 as usize;
            if self.slots.0.len() <= place {
                self.slots.0.resize(place + 1, None);
            }
            let slot = self.slots.0[place].get_or_insert_with(|| {
                Arc::new(Slot::new(view.name.clone(), index, partition.key, &self.shared))
            });
            slot.set_available(partition.leader.is_some());
            slots.push(Arc::clone(slot));
        }
        let state = match self.shared.find_topic(&view.name) {
            Some(state) => {
                state.slots.replace_len(slots);
                state
            }
            None => Arc::new(TopicState::new(view.name.clone(), slots, self.seed)),
        };
        self.shared.topic_ready(&state);
    }
}

/// The sentence, without naming the server twice.
fn unreachable(server: &str, why: &str) -> String {
    if why.contains(server) { why.to_string() } else { format!("{server}: {why}") }
}
