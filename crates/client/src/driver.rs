//! The I/O thread: it carries what happens to the core, and what the core wants done to the world.

use std::collections::{BTreeSet, HashMap};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
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
use crate::durability;
use crate::flush::CloseReport;
use crate::mailbox::Command;
use crate::net::{Incoming, Wire};
use crate::security::Logins;
use crate::shared::{ClientHost, Shared};
use crate::sync::Bug;
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
    Detached {
        batches: Vec<Arc<BatchCell>>,
        failed_before: u64,
    },
    Now,
}

/// The I/O thread's state.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    core: ottla_core::Producer<ClientHost>,
    slots: Slots,
    wires: HashMap<ConnectionId, Wire>,
    logins: Logins,
    incoming: mpsc::UnboundedReceiver<Incoming>,
    sender: mpsc::UnboundedSender<Incoming>,
    compression: Compression,
    alarm: Alarm,
    ending: Ending,
    /// Brokers that led a partition.
    leaders: BTreeSet<i32>,
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
            logins: Logins::new(shared.security.clone(), sender.clone()),
            incoming,
            sender,
            compression,
            alarm: Alarm::new(shared.clock),
            ending: Ending::No,
            leaders: BTreeSet::new(),
            pressed: false,
            report: CloseReport::default(),
            seed,
            shared,
        }
    }

    /// Runs until the producer is closed. If anything panics, all that was accepted is given up:
    /// its outcome comes, and says why.
    pub(crate) async fn run(mut self) {
        if let Err(why) = caught(self.serve()).await {
            tracing::error!(why, "the I/O thread of a producer panicked");
            self.shared.close();
            let reason = format!("the producer's I/O thread panicked: {why}");
            let gave_up = catch_unwind(AssertUnwindSafe(|| self.abort(&reason)));
            if gave_up.is_err() {
                tracing::error!("records of a producer whose I/O thread panicked have no outcome");
            }
        }
        self.say_what_was_lost();
        self.wires.clear();
        self.shared.end();
    }

    async fn serve(&mut self) {
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
    }

    fn is_over(&self) -> bool {
        match &self.ending {
            Ending::No => false,
            Ending::Detached { batches, .. } => batches.iter().all(|batch| batch.is_settled()),
            Ending::Now => true,
        }
    }

    /// Waits for mail, for the network or for the core's next timeout.
    async fn sleep(&mut self, timeout: Option<Instant>) {
        if !self.shared.mailbox.fall_asleep() {
            return;
        }
        let incoming = tokio::select! {
            biased;
            incoming = self.incoming.recv() => incoming,
            () = self.shared.mailbox.bell() => None,
            () = self.alarm.wait(timeout) => None,
        };
        self.shared.mailbox.awake();
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
        let mail = self.shared.mailbox.take();
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
                Command::Purge { queued, in_flight, partitions, done } => {
                    let partitions = partitions.as_deref();
                    let purge = Purge { queued, in_flight, partitions };
                    self.core.purge(&purge, &mut self.slots, now);
                    if !Bug::PurgeTellsFirst.is_on() {
                        self.take_events();
                    }
                    let _ = done.send(());
                }
                Command::Detach => self.detach(now),
                Command::Abort(answer) => {
                    self.abort("the producer was closed before the record was done");
                    let _ = answer.send(self.report);
                }
                Command::MarkCallbacks(done) => {
                    self.take_events();
                    self.shared.callbacks.mark(done);
                }
                #[cfg(test)]
                Command::Panic => panic!("on purpose"),
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
            Incoming::Authenticated(id, reply) => {
                self.core.handle_authenticated(id, reply, &mut self.slots, now);
            }
            Incoming::Gone(id, why) => {
                self.drop_wire(id);
                self.core.handle_disconnected(id, &why, &mut self.slots, now);
            }
            Incoming::Refused(id, why) => {
                self.drop_wire(id);
                self.core.handle_refused(id, &why, &mut self.slots, now);
            }
        }
    }

    fn drop_wire(&mut self, id: ConnectionId) {
        self.wires.remove(&id);
        self.logins.forget(id);
    }

    /// Somebody waits for memory. While requests are under way their answers will free some; when
    /// none is, what open batches hold must go first, however long the linger.
    fn relieve_pressure(&mut self) {
        self.pressed |= self.shared.mailbox.take_pressed();
        if self.pressed && self.core.requests_in_flight() == 0 {
            self.pressed = false;
            self.core.flush(&mut self.slots, self.shared.clock.now());
        }
    }

    /// No handle is left, and nobody has closed the producer: what is pending is still delivered.
    fn detach(&mut self, now: Instant) {
        let batches = self.core.flush(&mut self.slots, now);
        let pending = batches.iter().filter(|batch| !batch.is_settled()).count();
        if pending > 0 {
            tracing::warn!(
                batches = pending,
                "a producer was dropped with batches pending; close() waits for them, and says \
                 what became of them"
            );
        }
        let failed_before = self.core.stats().records_failed;
        self.ending = Ending::Detached { batches, failed_before };
    }

    /// After the last handle is gone, nobody asks for the counters any more.
    fn say_what_was_lost(&self) {
        if let Ending::Detached { failed_before, .. } = self.ending {
            let records = self.core.stats().records_failed - failed_before;
            if records > 0 {
                tracing::error!(records, "records of a producer that was dropped have failed");
            }
        }
    }

    fn abort(&mut self, reason: &str) {
        self.take_events();
        let now = self.shared.clock.now();
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
                self.drop_wire(id);
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
                let security = self.shared.security.clone();
                let wire = Wire::open(id, connect.server, timeout, security, self.sender.clone());
                self.wires.insert(id, wire);
                busy = true;
            }
            while let Some(step) = self.core.poll_authenticate() {
                self.logins.step(step);
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
            Event::TopicSettings { topic, replicas, min_in_sync_replicas } => {
                durability::warn_of_topic(&topic, replicas, min_in_sync_replicas);
            }
            Event::ServerUnreachable { server, why, trouble } => {
                tracing::warn!(server, why, "a broker is out of reach");
                self.shared.set_unreachable(Some(unreachable(&server, &why)));
                self.shared.tell(move |listen| {
                    listen(&ServerEvent::Unreachable { server: &server, why: &why, trouble });
                });
            }
            Event::Throttled { node, broker, time } => {
                tracing::debug!(%broker, ?time, "throttled");
                self.shared.tell(move |listen| {
                    listen(&ServerEvent::Throttled { node, broker: &broker, time });
                });
            }
            Event::ServerReachable { server } => {
                tracing::debug!(server, "connected");
                self.shared.set_unreachable(None);
                self.shared.tell(move |listen| {
                    listen(&ServerEvent::Reachable { server: &server });
                });
            }
        }
    }

    /// Gives a topic's partitions to the producing threads.
    fn topic_ready(&mut self, view: &TopicView) {
        if view.partitions.is_empty() {
            return;
        }
        self.leaders.extend(view.partitions.iter().filter_map(|partition| partition.leader));
        let has_shares = self.leaders.len() > 1;
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
            if let Some(leader) = partition.leader.filter(|_| has_shares) {
                slot.set_share(self.shared.memory.share_of(leader));
            }
            slots.push(Arc::clone(slot));
        }
        let state = match self.shared.find_topic(&view.name) {
            Some(state) => {
                state.slots.replace_len(slots);
                state
            }
            None => {
                if durability::wants_settings(&self.shared.config) {
                    self.core.examine_topic(&view.name, self.shared.clock.now());
                }
                Arc::new(TopicState::new(view.name.clone(), slots, self.seed))
            }
        };
        self.shared.topic_ready(&state);
    }
}

/// The future's output, or what it said when it panicked.
async fn caught<F: Future>(future: F) -> Result<F::Output, String> {
    let mut future = pin!(future);
    let caught =
        poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        });
    caught.await.map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
    })
}

/// The sentence, without naming the server twice.
fn unreachable(server: &str, why: &str) -> String {
    if why.contains(server) { why.to_string() } else { format!("{server}: {why}") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ottla_core::error::{ErrorKind, Outcome};
    use ottla_core::record::Record;

    use crate::mailbox::Command;
    use crate::producer::Producer;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Laws: L1, L9. Scenarios: H11.
    #[test]
    fn when_the_io_thread_panics_every_record_is_told_so_and_nobody_waits() {
        let cluster = ottla_broker::Cluster::builder().topic("t", 2).start().unwrap();
        let producer = Producer::builder()
            .set("bootstrap.servers", &cluster.bootstrap_servers())
            .set("linger.ms", "80000")
            .set("linger.adaptive", "false")
            .build()
            .unwrap();
        let threads = producer.blocking();
        let send = |partition| threads.send(Record::new("t").value("v").partition(partition));
        let deliveries = [send(0).unwrap(), send(1).unwrap()];
        producer.shared().mailbox.command(Command::Panic);
        for delivery in deliveries {
            let error = delivery.wait().unwrap_err();
            assert_eq!((error.kind(), error.outcome()), (ErrorKind::Closed, Outcome::NotPersisted));
            assert!(error.message().contains("panicked: on purpose"), "{error}");
        }
        threads.flush(PATIENCE).unwrap();
        threads.purge(true, true);
        assert_eq!(send(0).unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(threads.partitions("unknown").unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(threads.close(PATIENCE).failed, 2);
    }
}
