//! The thread that calls what the application wants called: started by the first callback, ended
//! with the producer.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ottla_fork::Home;
use tokio::sync::oneshot;

use crate::cell::DueCallback;
use crate::memory::Memory;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Bug, Mutex, mpsc, thread, thread_local};

/// What a callback that is due takes of `buffer.memory` until it was called: itself, its outcome
/// and a little of what it has captured.
pub(crate) const CALLBACK_BYTES: usize = 128;

enum Job {
    Call(Vec<DueCallback>),
    /// A listener has something to hear.
    Tell(Box<dyn FnOnce() + Send>),
    /// Everything before this has been called.
    Mark(oneshot::Sender<()>),
}

/// The way to the callback thread.
pub(crate) struct Callbacks {
    /// Tells this producer's callback thread from that of another.
    id: u64,
    home: Home,
    sender: Mutex<Option<mpsc::Sender<Job>>>,
    used: AtomicBool,
    backlog: Arc<Backlog>,
}

thread_local! {
    /// Whose callbacks this thread calls; 0 when nobody's.
    static CALLS_FOR: Cell<u64> = const { Cell::new(0) };
}

impl Callbacks {
    pub(crate) fn new(memory: Arc<Memory>) -> Arc<Self> {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            home: Home::here(),
            sender: Mutex::new(None),
            used: AtomicBool::new(false),
            backlog: Arc::new(Backlog {
                memory,
                owed_bytes: AtomicUsize::new(0),
                waived: AtomicBool::new(false),
            }),
        })
    }

    /// The process that has the producer's threads.
    pub(crate) fn home(&self) -> Home {
        self.home
    }

    /// Has these callbacks called, in this order, after those given before.
    pub(crate) fn run(&self, due: Vec<DueCallback>) {
        if due.is_empty() {
            return;
        }
        if !self.home.is_here() {
            return call_all(due);
        }
        self.backlog.grow(due.len());
        self.give(Job::Call(due));
    }

    /// Has a listener called, after the callbacks given before. It is waited for as they are.
    pub(crate) fn tell(&self, listen: impl FnOnce() + Send + 'static) {
        self.expect_one();
        self.give(Job::Tell(Box::new(listen)));
    }

    fn give(&self, job: Job) {
        let begin = || start(self.id, Arc::clone(&self.backlog));
        let way = self.sender.lock().get_or_insert_with(begin).clone();
        if let Err(mpsc::SendError(job)) = way.send(job) {
            // No thread could be started: better called here than not at all.
            job.run(&self.backlog);
        }
    }

    /// Tells `done` once every callback given so far has been called.
    pub(crate) fn mark(&self, done: oneshot::Sender<()>) {
        let way = self.sender.lock().clone();
        let unsent = match way {
            Some(way) => way.send(Job::Mark(done)).err().map(|mpsc::SendError(job)| job),
            None => Some(Job::Mark(done)),
        };
        if let Some(job) = unsent {
            // No thread, so nothing is under way.
            job.run(&self.backlog);
        }
    }

    /// There will be a callback, or a listener, to call.
    pub(crate) fn expect_one(&self) {
        if !self.was_used() {
            self.used.store(true, Ordering::SeqCst);
        }
    }

    /// Whether there has ever been a callback to call. Known before its batch is settled: whoever
    /// sees it settled must not take the callback for done.
    pub(crate) fn was_used(&self) -> bool {
        self.used.load(Ordering::SeqCst)
    }

    /// Whether this is the callback thread: it must not wait for itself.
    pub(crate) fn is_this_thread(&self) -> bool {
        CALLS_FOR.with(Cell::get) == self.id
    }

    /// On the callback thread, callbacks cost no memory until the value that this gives is dropped:
    /// whoever waits for memory there would wait for itself.
    pub(crate) fn waive(&self) -> Option<Waiver<'_>> {
        self.is_this_thread().then(|| {
            self.backlog.waived.store(true, Ordering::SeqCst);
            self.backlog.shrink(usize::MAX);
            Waiver(&self.backlog)
        })
    }
}

/// Callbacks that are due and not called yet. They take memory from the budget, so that records
/// which are done faster than their callbacks return do not fill the machine (law L10).
struct Backlog {
    memory: Arc<Memory>,
    owed_bytes: AtomicUsize,
    waived: AtomicBool,
}

impl Backlog {
    fn grow(&self, callbacks: usize) {
        let bytes = callbacks * CALLBACK_BYTES;
        self.memory.take_at_once(bytes);
        self.owed_bytes.fetch_add(bytes, Ordering::SeqCst);
        // Looked at after that: who waives sees our bytes, or we see the waiver.
        if self.waived.load(Ordering::SeqCst) && !Bug::IgnoresWaiver.is_on() {
            self.shrink(callbacks);
        }
    }

    /// Gives back what so many callbacks took, unless it was given back before.
    fn shrink(&self, callbacks: usize) {
        let bytes = callbacks.saturating_mul(CALLBACK_BYTES);
        let pay = |owed: usize| Some(owed - owed.min(bytes));
        let before = self.owed_bytes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, pay);
        self.memory.give_back_bytes(before.unwrap_or(0).min(bytes));
    }
}

/// See [`Callbacks::waive`].
pub(crate) struct Waiver<'a>(&'a Backlog);

impl Drop for Waiver<'_> {
    fn drop(&mut self) {
        self.0.waived.store(false, Ordering::SeqCst);
    }
}

fn start(id: u64, backlog: Arc<Backlog>) -> mpsc::Sender<Job> {
    let (sender, receiver) = mpsc::channel();
    let builder = thread::Builder::new().name("ottla-callbacks".into());
    let spawned = builder.spawn(move || {
        CALLS_FOR.with(|calls_for| calls_for.set(id));
        for job in receiver {
            Job::run(job, &backlog);
        }
    });
    if let Err(error) = spawned {
        tracing::error!(%error, "cannot start the callback thread");
    }
    sender
}

impl Job {
    fn run(self, backlog: &Backlog) {
        match self {
            Self::Call(due) => {
                let count = due.len();
                call_all(due);
                backlog.shrink(count);
            }
            Self::Tell(listen) => call("a server listener", listen),
            Self::Mark(done) => {
                let _ = done.send(());
            }
        }
    }
}

fn call_all(due: Vec<DueCallback>) {
    for DueCallback { callback, result } in due {
        call("a delivery callback", move || callback(result));
    }
}

/// A callback that panics must not keep the others from being called.
fn call(what: &str, callback: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(callback)).is_err() {
        tracing::error!("{what} panicked");
    }
}
