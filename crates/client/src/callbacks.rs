//! The thread that calls delivery callbacks: started by the first, ended with the producer.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::cell::DueCallback;

enum Job {
    Call(Vec<DueCallback>),
    /// Everything before this has been called.
    Mark(oneshot::Sender<()>),
}

/// The way to the callback thread.
pub(crate) struct Callbacks {
    /// Tells this producer's callback thread from that of another.
    id: u64,
    sender: Mutex<Option<mpsc::Sender<Job>>>,
    used: AtomicBool,
}

thread_local! {
    /// Whose callbacks this thread calls; 0 when nobody's.
    static CALLS_FOR: Cell<u64> = const { Cell::new(0) };
}

impl Default for Callbacks {
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            sender: Mutex::new(None),
            used: AtomicBool::new(false),
        }
    }
}

impl Callbacks {
    /// Has these callbacks called, in this order, after those given before.
    pub(crate) fn run(&self, due: Vec<DueCallback>) {
        if due.is_empty() {
            return;
        }
        let way = self.sender.lock().get_or_insert_with(|| start(self.id)).clone();
        if let Err(mpsc::SendError(Job::Call(due))) = way.send(Job::Call(due)) {
            // No thread could be started: better called here than not at all.
            due.into_iter().for_each(call);
        }
    }

    /// Tells `done` once every callback given so far has been called.
    pub(crate) fn mark(&self, done: oneshot::Sender<()>) {
        let way = self.sender.lock().clone();
        let unsent = match way {
            Some(way) => way.send(Job::Mark(done)).err().map(|mpsc::SendError(job)| job),
            None => Some(Job::Mark(done)),
        };
        if let Some(Job::Mark(done)) = unsent {
            // No thread, so nothing is under way.
            let _ = done.send(());
        }
    }

    /// There will be a callback to call.
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
        CALLS_FOR.get() == self.id
    }
}

fn start(id: u64) -> mpsc::Sender<Job> {
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::Builder::new().name("ottla-callbacks".into());
    let spawned = thread.spawn(move || {
        CALLS_FOR.set(id);
        for job in receiver {
            match job {
                Job::Call(due) => due.into_iter().for_each(call),
                Job::Mark(done) => {
                    let _ = done.send(());
                }
            }
        }
    });
    if let Err(error) = spawned {
        tracing::error!(%error, "cannot start the callback thread");
    }
    sender
}

/// A callback that panics must not keep the others from being called.
fn call(due: DueCallback) {
    let DueCallback { callback, result } = due;
    if catch_unwind(AssertUnwindSafe(move || callback(result))).is_err() {
        tracing::error!("a delivery callback panicked");
    }
}
