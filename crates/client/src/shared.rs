//! What producing threads and the I/O thread share.
//!
//! The tables that every send looks at, topics and their slots, are read without a lock. Under a
//! slot's queue lock, memory and the mailbox may be locked; everything else is held alone and for a
//! moment; no lock is held while code of the application runs.

use crate::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use ottla_core::config::ProducerConfig;
use ottla_core::error::{ErrorKind, Failure};
use ottla_core::host::Host;
use ottla_core::stats::Stats;
use ottla_fork::Home;
use tokio::sync::oneshot;

use crate::builder::{ServerEvent, ServerListener};
use crate::callbacks::Callbacks;
use crate::cell::BatchCell;
use crate::clock::{Clock, RecentWall};
use crate::error::SendError;
use crate::line::{TopicAnswer, TopicLine};
use crate::mailbox::{Command, Mailbox};
use crate::memory::{Chunk, Memory};
use crate::security::Security;
use crate::sync::Mutex;
use crate::table::NameTable;
use crate::timers::Timers;
use crate::topic::{Partitioner, TopicState};

/// What this crate lends to the core.
pub(crate) enum ClientHost {}

impl Host for ClientHost {
    type Completion = Arc<BatchCell>;
    type Chunk = Chunk;
}

/// What a child is told that uses its parent's producer.
pub(crate) const FORKED: &str = "this producer was made before the process was forked, and its \
     threads stayed in the parent: make a producer in the child";

/// The shared state of one producer.
pub(crate) struct Shared {
    /// The process that has the producer's threads.
    pub(crate) home: Home,
    pub(crate) config: ProducerConfig,
    pub(crate) security: Security,
    pub(crate) partitioner: Option<Box<dyn Partitioner>>,
    listener: Option<ServerListener>,
    pub(crate) clock: Clock,
    pub(crate) recent_wall: RecentWall,
    pub(crate) memory: Arc<Memory>,
    pub(crate) callbacks: Arc<Callbacks>,
    pub(crate) timers: Timers,
    pub(crate) mailbox: Mailbox,
    pub(crate) stats: Mutex<Stats>,
    /// Those that are known, by name.
    pub(crate) topics: NameTable<Arc<TopicState>>,
    line: TopicLine,
    closed: AtomicBool,
    /// Why the cluster could not be reached, while it cannot.
    unreachable: Mutex<Option<String>>,
}

impl Shared {
    pub(crate) fn new(
        (config, security): (ProducerConfig, Security),
        (partitioner, listener): (Option<Box<dyn Partitioner>>, Option<ServerListener>),
        runtime: tokio::runtime::Handle,
    ) -> Self {
        let memory = Memory::new(config.buffer_memory_bytes);
        Self {
            home: Home::here(),
            callbacks: Callbacks::new(Arc::clone(&memory)),
            memory,
            config,
            security,
            partitioner,
            listener,
            clock: Clock::new(),
            recent_wall: RecentWall::default(),
            timers: Timers::new(runtime),
            mailbox: Mailbox::default(),
            stats: Mutex::new(Stats::default()),
            topics: NameTable::default(),
            line: TopicLine::default(),
            closed: AtomicBool::new(false),
            unreachable: Mutex::new(None),
        }
    }

    // ---- closing ---------------------------------------------------------------------------

    /// No record is accepted any more. Seen under every queue's lock, so that an append either
    /// happened before the queues are emptied for the last time, or is refused.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// The I/O thread ends. Whoever waits is done waiting after this: the timers of its runtime end
    /// last.
    pub(crate) fn end(&self) {
        self.close();
        self.mailbox.end();
        self.line.end();
        self.memory.close();
        self.timers.end();
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
        self.line.tell(&state.name, &Ok(Arc::clone(state)));
    }

    pub(crate) fn topic_failed(&self, name: &str, failure: &Arc<Failure>) {
        self.line.tell(name, &Err(Arc::clone(failure)));
    }

    /// Asks for a topic; `waiter` is told, if there is one.
    pub(crate) fn want_topic(&self, name: &str, waiter: Option<oneshot::Sender<TopicAnswer>>) {
        let name: Arc<str> = name.into();
        if self.line.stand(&name, waiter) {
            self.mailbox.command(Command::Want(name));
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
        if !self.home.is_here() || self.is_closed() {
            return Err(self.closed_error());
        }
        let (waiter, answer) = oneshot::channel();
        // It may become known before we stand in line; then this asks once more, and is told.
        self.want_topic(name, Some(waiter));
        match self.timers.until(deadline, answer).await {
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
        let why = if self.home.is_here() { "the producer is closed" } else { FORKED };
        SendError::of(ErrorKind::Closed, why)
    }

    pub(crate) fn set_unreachable(&self, why: Option<String>) {
        *self.unreachable.lock() = why;
    }

    /// Has the listener told, on the callback thread.
    pub(crate) fn tell(&self, event: impl FnOnce(&dyn Fn(&ServerEvent<'_>)) + Send + 'static) {
        if let Some(listener) = &self.listener {
            let listener = Arc::clone(listener);
            self.callbacks.tell(move || event(&*listener));
        }
    }

    pub(crate) fn unreachable(&self) -> Option<String> {
        self.unreachable.lock().clone()
    }
}
