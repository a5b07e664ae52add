//! Records whose outcome somebody is to be told, batch by batch.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use ottla::{Batch, Settled};
use parking_lot::Mutex;
use pyo3::prelude::*;

use crate::ready::{Due, Ready};

/// Whom to tell of a record, and what to show of it then.
pub(crate) struct Report {
    /// A callback, or a future of asyncio's.
    pub(crate) to: Py<PyAny>,
    pub(crate) topic: Py<PyAny>,
    pub(crate) key: Option<Py<PyAny>>,
    pub(crate) value: Option<Py<PyAny>>,
    pub(crate) headers: Option<Py<PyAny>>,
    pub(crate) produced_at: Instant,
}

/// A report, and which record of its batch it is about.
pub(crate) struct Entry {
    pub(crate) index: u32,
    pub(crate) timestamp_ms: i64,
    pub(crate) report: Report,
}

/// A batch with records that are to be reported. It is its own waker: once its batch has its
/// outcome it goes to those that are ready.
pub(crate) struct PendingBatch {
    pub(crate) batch: Batch,
    /// `None` once they were taken to be told: what comes later needs a new value.
    entries: Mutex<Option<Vec<Entry>>>,
    /// Held for its place among those who are woken.
    watch: Mutex<Option<Settled>>,
    ready: Arc<Ready>,
}

impl PendingBatch {
    pub(crate) fn new(batch: Batch, first: Entry, ready: Arc<Ready>) -> Arc<Self> {
        let entries = Mutex::new(Some(vec![first]));
        Arc::new(Self { batch, entries, watch: Mutex::new(None), ready })
    }

    /// Adds a record; gives it back when it is too late.
    pub(crate) fn push(&self, entry: Entry) -> Result<(), Entry> {
        match &mut *self.entries.lock() {
            Some(entries) => {
                entries.push(entry);
                Ok(())
            }
            None => Err(entry),
        }
    }

    /// Takes the records to tell of them.
    pub(crate) fn take(&self) -> Vec<Entry> {
        self.entries.lock().take().unwrap_or_default()
    }

    /// Goes to those that are ready as soon as every record of the batch has its outcome.
    pub(crate) fn watch(self: &Arc<Self>) {
        let waker = Waker::from(Arc::clone(self));
        let mut settled = self.watch.lock().take().unwrap_or_else(|| self.batch.settled());
        match pin!(&mut settled).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(()) => self.ready.push(Due::Batch(Arc::clone(self))),
            Poll::Pending => *self.watch.lock() = Some(settled),
        }
    }
}

impl Wake for PendingBatch {
    fn wake(self: Arc<Self>) {
        if self.batch.is_settled() {
            self.ready.push(Due::Batch(Arc::clone(&self)));
        } else {
            // A part of its records has the outcome.
            self.watch();
        }
    }
}
