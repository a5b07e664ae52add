//! What producing threads and the I/O thread share.
//!
//! The tables that every send looks at, topics and their slots, are read without a lock. Under a
//! slot's queue lock, memory and the mailbox may be locked; everything else is held alone and for a
//! moment; no lock is held while code of the application runs.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ottla_core::PartitionKey;
use ottla_core::config::ProducerConfig;
use ottla_core::error::{ErrorKind, Failure};
use ottla_core::host::Host;
use ottla_core::stats::Stats;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::builder::{ServerEvent, ServerListener};
use crate::callbacks::Callbacks;
use crate::cell::BatchCell;
use crate::clock::{Clock, RecentWall};
use crate::error::SendError;
use crate::flush::CloseReport;
use crate::memory::{Chunk, Memory};
use crate::table::NameTable;
use crate::topic::{Partitioner, TopicState};

/// What this crate lends to the core.
pub(crate) enum ClientHost {}

impl Host for ClientHost {
    type Completion = Arc<BatchCell>;
    type Chunk = Chunk;
}

/// What a handle asks of the I/O thread.
pub(crate) enum Command {
    /// Connect, though there is nothing to send yet.
    Connect,
    /// Ask the cluster for a topic.
    Want(Arc<str>),
    /// Send what is there; answer with the batches to wait for.
    Flush(oneshot::Sender<Vec<Arc<BatchCell>>>),
    /// Give up what waits, what is in flight, or both; tell when that is done.
    Purge { queued: bool, in_flight: bool, done: oneshot::Sender<()> },
    /// Give up what is left.
    Abort(oneshot::Sender<CloseReport>),
    /// Tell when the callbacks of all that is settled were called.
    MarkCallbacks(oneshot::Sender<()>),
    /// Nothing is left: end.
    End,
    /// No handle is left: end when everything is done.
    Detach,
}

type TopicWaiter = oneshot::Sender<Result<Arc<TopicState>, Arc<Failure>>>;

/// The shared state of one producer.
pub(crate) struct Shared {
    pub(crate) config: ProducerConfig,
    pub(crate) partitioner: Option<Box<dyn Partitioner>>,
    listener: Option<ServerListener>,
    pub(crate) clock: Clock,
    pub(crate) recent_wall: RecentWall,
    pub(crate) memory: Arc<Memory>,
    pub(crate) callbacks: Arc<Callbacks>,
    /// The I/O thread's runtime: its timers serve futures on any executor.
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) stats: Mutex<Stats>,
    /// Those that are known, by name.
    pub(crate) topics: NameTable<Arc<TopicState>>,
    waiting: Mutex<HashMap<Arc<str>, Vec<TopicWaiter>>>,
    closed: AtomicBool,
    /// Why the cluster could not be reached, while it cannot.
    unreachable: Mutex<Option<String>>,
    mailbox: Mutex<Mailbox>,
    pressed: AtomicBool,
    asleep: AtomicBool,
    bell: Notify,
}

/// What waits for the I/O thread's attention.
#[derive(Default)]
pub(crate) struct Mailbox {
    pub(crate) notes: Vec<PartitionKey>,
    pub(crate) commands: Vec<Command>,
    /// The I/O thread has ended: whoever asks is told so at once, by the drop of the command.
    ended: bool,
}

impl Mailbox {
    fn is_empty(&self) -> bool {
        self.notes.is_empty() && self.commands.is_empty()
    }
}

impl Shared {
    pub(crate) fn new(
        config: ProducerConfig,
        (partitioner, listener): (Option<Box<dyn Partitioner>>, Option<ServerListener>),
        runtime: tokio::runtime::Handle,
    ) -> Self {
        Self {
            memory: Memory::new(config.buffer_memory_bytes),
            config,
            partitioner,
            listener,
            clock: Clock::new(),
            recent_wall: RecentWall::default(),
            callbacks: Arc::default(),
            runtime,
            stats: Mutex::new(Stats::default()),
            topics: NameTable::default(),
            waiting: Mutex::new(HashMap::new()),
            closed: AtomicBool::new(false),
            unreachable: Mutex::new(None),
            mailbox: Mutex::new(Mailbox::default()),
            pressed: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            bell: Notify::new(),
        }
    }

    // ---- the I/O thread's bell -------------------------------------------------------------

    /// Tells the I/O thread that a partition's queue is worth a look.
    pub(crate) fn note(&self, key: PartitionKey) {
        self.mailbox.lock().notes.push(key);
        self.ring();
    }

    /// Gives the I/O thread something to do; false when it has ended.
    pub(crate) fn command(&self, command: Command) -> bool {
        let mut mailbox = self.mailbox.lock();
        if mailbox.ended {
            return false;
        }
        mailbox.commands.push(command);
        drop(mailbox);
        self.ring();
        true
    }

    /// The I/O thread ends: nobody will read the mailbox any more.
    pub(crate) fn end(&self) {
        self.close();
        *self.mailbox.lock() = Mailbox { ended: true, ..Mailbox::default() };
        // Whoever waits must be done waiting before the runtime ends: a timer of an ended runtime
        // panics when it is looked at.
        self.waiting.lock().clear();
        self.memory.close();
    }

    /// Wakes the I/O thread if it sleeps: a system call, so not made when it is awake anyway.
    fn ring(&self) {
        if self.asleep.swap(false, Ordering::SeqCst) {
            self.bell.notify_one();
        }
    }

    /// Everything in the mailbox.
    pub(crate) fn take_mail(&self) -> Mailbox {
        std::mem::take(&mut *self.mailbox.lock())
    }

    /// The I/O thread is about to sleep; false when there is mail, so that it must not.
    pub(crate) fn fall_asleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        // Whoever wrote after our last look either sees us asleep, or left mail that we see now.
        let quiet = self.mailbox.lock().is_empty() && !self.pressed.load(Ordering::SeqCst);
        if !quiet {
            self.asleep.store(false, Ordering::SeqCst);
        }
        quiet
    }

    pub(crate) async fn bell(&self) {
        self.bell.notified().await;
    }

    pub(crate) fn awake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// Somebody waits for memory: the I/O thread must not leave it in open batches.
    pub(crate) fn press(&self) {
        self.pressed.store(true, Ordering::SeqCst);
        self.ring();
    }

    /// Whether somebody has waited for memory since the last call.
    pub(crate) fn take_pressed(&self) -> bool {
        self.pressed.swap(false, Ordering::SeqCst)
    }

    // ---- closing ---------------------------------------------------------------------------

    /// No record is accepted any more. Seen under every queue's lock, so that an append either
    /// happened before the queues are emptied for the last time, or is refused.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    // ---- topics ----------------------------------------------------------------------------

    pub(crate) fn find_topic(&self, name: &str) -> Option<Arc<TopicState>> {
        self.topics.find(name).cloned()
    }

    /// A topic that became known.
    pub(crate) fn topic_ready(&self, state: &Arc<TopicState>) {
        self.topics.add(Arc::clone(state));
        let waiters = self.waiting.lock().remove(&state.name).unwrap_or_default();
        for waiter in waiters {
            let _ = waiter.send(Ok(Arc::clone(state)));
        }
    }

    pub(crate) fn topic_failed(&self, name: &str, failure: &Arc<Failure>) {
        let waiters = self.waiting.lock().remove(name).unwrap_or_default();
        for waiter in waiters {
            let _ = waiter.send(Err(Arc::clone(failure)));
        }
    }

    /// Asks for a topic; `waiter` is told, if there is one.
    pub(crate) fn want_topic(&self, name: &str, waiter: Option<TopicWaiter>) {
        let name: Arc<str> = name.into();
        let asked = {
            let mut waiting = self.waiting.lock();
            let asked = waiting.contains_key(&name);
            waiting.entry(name.clone()).or_default().extend(waiter);
            asked
        };
        if !asked && !self.command(Command::Want(name)) {
            // Those that came before the end were told then; nobody would tell this one.
            self.waiting.lock().clear();
        }
    }

    /// The topic, as soon as the cluster tells of it.
    pub(crate) async fn wait_topic(
        &self,
        name: &str,
        deadline: tokio::time::Instant,
    ) -> Result<Arc<TopicState>, SendError> {
        if let Some(state) = self.find_topic(name) {
            return Ok(state);
        }
        let (waiter, answer) = oneshot::channel();
        // It may become known before we stand in line; then this asks once more, and is told.
        self.want_topic(name, Some(waiter));
        match self.until(deadline, answer).await {
            Some(Ok(answer)) => answer.map_err(SendError::new),
            Some(Err(_)) => Err(self.closed_error()),
            None => Err(self.topic_timeout(name)),
        }
    }

    fn topic_timeout(&self, name: &str) -> SendError {
        let limit_ms = self.config.max_block.as_millis();
        let message = match &*self.unreachable.lock() {
            Some(why) => format!("no broker could be reached within {limit_ms} ms: {why}"),
            None => format!(
                "topic {name} got no partitions with a leader within {limit_ms} ms (max.block.ms)"
            ),
        };
        let reachable = self.unreachable.lock().is_none();
        SendError::of(if reachable { ErrorKind::Timeout } else { ErrorKind::Network }, message)
    }

    pub(crate) fn closed_error(&self) -> SendError {
        SendError::of(ErrorKind::Closed, "the producer is closed")
    }

    pub(crate) fn set_unreachable(&self, why: Option<String>) {
        *self.unreachable.lock() = why;
    }

    pub(crate) fn tell(&self, event: &ServerEvent<'_>) {
        if let Some(listener) = &self.listener {
            listener(event);
        }
    }

    pub(crate) fn unreachable(&self) -> Option<String> {
        self.unreachable.lock().clone()
    }

    // ---- time ------------------------------------------------------------------------------

    pub(crate) fn deadline(&self, wait: Duration) -> tokio::time::Instant {
        tokio::time::Instant::now() + wait.min(Duration::from_secs(365 * 86_400))
    }

    /// The future's output, or nothing at the deadline. Works on any executor.
    pub(crate) async fn until<F: Future>(
        &self,
        deadline: tokio::time::Instant,
        future: F,
    ) -> Option<F::Output> {
        let timeout = {
            let _timers = self.runtime.enter();
            tokio::time::timeout_at(deadline, future)
        };
        timeout.await.ok()
    }
}
