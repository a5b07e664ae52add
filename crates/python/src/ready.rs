//! What is ready to be told to the application, and the bell of whoever waits for it.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Wake;
use std::time::Duration;

use ottla::{Batch, ProduceError};
use parking_lot::{Condvar, Mutex};
use pyo3::prelude::*;

use crate::pending::{Entry, PendingBatch, Report};

/// Something to tell.
pub(crate) enum Due {
    /// Every record of it has its outcome.
    Batch(Arc<PendingBatch>),
    /// What is left of a batch after a callback raised an exception.
    Rest(Batch, std::vec::IntoIter<Entry>),
    /// A record that never came into a batch.
    Refused(Report, Refusal),
    /// A server cannot be reached (with the reason and its code), or can be again.
    Server(String, Option<(String, i32)>),
    /// A broker asked for silence: node id, name, seconds.
    Throttled(i32, String, f64),
    /// A future of asyncio's that has nothing to say but that it is done.
    Done(Py<PyAny>),
}

/// Why a record never came into a batch.
pub(crate) enum Refusal {
    Failed(ProduceError),
    /// The application purged it.
    Purged,
    /// Its time passed before its topic became known.
    TopicNotKnown,
}

/// The queue of what is ready.
pub(crate) struct Ready {
    queue: Mutex<VecDeque<Due>>,
    /// The queue's length, to be looked at without its lock.
    len: AtomicUsize,
    bell: Condvar,
    rung: AtomicBool,
    /// The writing end of a pipe that an event loop listens to.
    signal: Option<OwnedFd>,
}

impl Ready {
    pub(crate) fn new(signal: Option<OwnedFd>) -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::default(),
            len: AtomicUsize::new(0),
            bell: Condvar::new(),
            rung: AtomicBool::new(false),
            signal,
        })
    }

    pub(crate) fn push(&self, due: Due) {
        let was_empty = {
            let mut queue = self.queue.lock();
            queue.push_back(due);
            self.len.store(queue.len(), Ordering::Relaxed);
            queue.len() == 1
        };
        if was_empty {
            self.ring();
        }
    }

    /// Puts back what could not be told to its end.
    pub(crate) fn push_front(&self, due: Due) {
        {
            let mut queue = self.queue.lock();
            queue.push_front(due);
            self.len.store(queue.len(), Ordering::Relaxed);
        }
        self.ring();
    }

    pub(crate) fn pop(&self) -> Option<Due> {
        let mut queue = self.queue.lock();
        let due = queue.pop_front();
        self.len.store(queue.len(), Ordering::Relaxed);
        due
    }

    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Wakes whoever waits, though there may be nothing.
    pub(crate) fn ring(&self) {
        if let Some(signal) = &self.signal {
            // A full pipe is as good as a byte more in it.
            let _ = rustix::io::write(signal.as_fd(), &[1]);
        }
        // Under the lock, so that the bell is not rung between somebody's look and their sleep.
        let _queue = self.queue.lock();
        self.rung.store(true, Ordering::Relaxed);
        self.bell.notify_all();
    }

    /// Waits until something is ready, the bell is rung, or time is up. To be called without the
    /// GIL.
    pub(crate) fn wait(&self, at_most: Duration) {
        let mut queue = self.queue.lock();
        if queue.is_empty() && !self.rung.swap(false, Ordering::Relaxed) {
            self.bell.wait_for(&mut queue, at_most);
        }
    }
}

/// Rings for a future that a thread polls between two looks at what is ready.
impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
}
