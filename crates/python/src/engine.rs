//! One producer as the classes of this module share it: the library's producer, the books of who is
//! to be told of what, and the topics that are not known yet.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ottla::{Delivery, ProduceError, Producer, Record, RecordMetadata, Topic, TrySendError};
use ottla_fork::Home;
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyString;
use tokio::sync::Notify;

use crate::columns::Columns;
use crate::convert::utf8;
use crate::deferred::{Deferred, Known, OwnedRecord, PendingTopic};
use crate::pending::{Entry, PendingBatch, Report};
use crate::ready::{Due, Ready, Refusal};

/// Batches that somebody is to be told of, by their ids.
#[derive(Default)]
struct Books {
    open: HashMap<usize, Arc<PendingBatch>>,
    /// The last one that was looked for: mostly the next one, too.
    last: Option<Arc<PendingBatch>>,
}

/// Topics by name.
#[derive(Default)]
struct TopicBook {
    known: HashMap<String, Known>,
}

/// The last topic that was sent to, by the very string. It keeps the string alive, so that no other
/// string can have its address.
type LastTopic = Option<(Py<PyString>, Arc<Topic>)>;

/// How much may be on its way.
pub(crate) struct Limits {
    pub(crate) records: usize,
    /// How long a record may wait for its topic to become known; for as long as the library looks
    /// for the topic, if nothing is said.
    pub(crate) topic_wait: Option<Duration>,
}

/// The shared state of one producer.
pub(crate) struct Engine {
    pub(crate) producer: Producer,
    pub(crate) ready: Arc<Ready>,
    pub(crate) home: Home,
    pub(crate) limits: Limits,
    books: Mutex<Books>,
    topics: Mutex<TopicBook>,
    /// Held while a record goes to that topic: a partitioner of Python's may come back here
    /// meanwhile, and takes the long way round by `topics` then.
    last_topic: Mutex<LastTopic>,
    /// Set when records for the last topic have to wait in turn.
    last_is_over: AtomicBool,
    deferred: Deferred,
    /// Records that the library was given.
    accepted: AtomicU64,
    /// Records with a report that was not told yet.
    reports_due: AtomicUsize,
    /// Records that wait here for their topic, or for memory.
    waiting: AtomicUsize,
    nothing_waits: Notify,
    /// How many records had their outcome when that was last asked: asking takes a lock.
    settled_seen: AtomicU64,
}

/// Why a record was not taken.
pub(crate) enum Rejected {
    /// As many records as may be, or as many bytes.
    QueueFull,
    Refused(ProduceError),
}

/// What is told of one record.
pub(crate) enum Told {
    Outcome(Result<RecordMetadata, ProduceError>, i32),
    Purged,
    /// It waited in vain for its topic.
    TopicNotKnown,
}

impl Engine {
    pub(crate) fn new(producer: Producer, ready: Arc<Ready>, limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            producer,
            ready,
            home: Home::here(),
            limits,
            books: Mutex::default(),
            topics: Mutex::default(),
            last_topic: Mutex::default(),
            last_is_over: AtomicBool::new(false),
            deferred: Deferred::default(),
            accepted: AtomicU64::new(0),
            reports_due: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            nothing_waits: Notify::new(),
            settled_seen: AtomicU64::new(0),
        })
    }

    // ---- in --------------------------------------------------------------------------------

    /// Takes a record without waiting. `patient` has it wait here, in turn, when memory is spent.
    pub(crate) fn send(
        self: &Arc<Self>,
        topic: &Bound<'_, PyString>,
        record: &Record<'_>,
        report: Option<Report>,
        patient: bool,
    ) -> PyResult<Result<(), Rejected>> {
        if self.is_full() {
            return Ok(Err(Rejected::QueueFull));
        }
        let mut report = report;
        if let Some(last) = self.last_topic.try_lock()
            && !self.last_is_over.load(Ordering::Relaxed)
            && let Some((string, handle)) = &*last
            && string.as_ptr() == topic.as_ptr()
        {
            match self.send_to(handle, record, report) {
                Err((Rejected::QueueFull, kept)) if patient => report = kept,
                sent => return Ok(sent.map_err(|(why, _)| why)),
            }
        }
        loop {
            let kept = match self.find(topic)? {
                Known::Ready(handle) => match self.send_to(&handle, record, report) {
                    Err((Rejected::QueueFull, kept)) if patient => {
                        self.wait_for_memory(utf8(topic)?, handle, record, kept)
                    }
                    sent => return Ok(sent.map_err(|(why, _)| why)),
                },
                Known::Pending(pending) => self.defer(&pending, record, report),
            };
            match kept {
                Ok(()) => return Ok(Ok(())),
                // What it was to wait for came meanwhile.
                Err(kept) => report = kept,
            }
        }
    }

    /// Gives the library a record; what was to be told comes back if it does not take it.
    #[inline]
    pub(crate) fn send_to(
        self: &Arc<Self>,
        topic: &Topic,
        record: &Record<'_>,
        report: Option<Report>,
    ) -> Result<(), (Rejected, Option<Report>)> {
        // Counted first: it may be settled before we look again.
        self.accepted.fetch_add(1, Ordering::Relaxed);
        match topic.try_send(*record) {
            Ok(delivery) => {
                if let Some(report) = report {
                    self.follow(&delivery, report);
                }
                Ok(())
            }
            Err(why) => {
                self.accepted.fetch_sub(1, Ordering::Relaxed);
                let why = match why {
                    TrySendError::Refused(why) => Rejected::Refused(why.into()),
                    _ => Rejected::QueueFull,
                };
                Err((why, report))
            }
        }
    }

    /// The library took a record by another way.
    pub(crate) fn took(self: &Arc<Self>, delivery: &Delivery, report: Option<Report>) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        if let Some(report) = report {
            self.follow(delivery, report);
            // It was among those that are due since it was deferred.
            self.reports_due.fetch_sub(1, Ordering::Relaxed);
        }
        self.one_waits_less();
    }

    /// A record that waited here was not taken in the end.
    pub(crate) fn refused(&self, report: Option<Report>, why: Refusal) {
        if let Some(report) = report {
            self.ready.push(Due::Refused(report, why));
        }
        self.one_waits_less();
        self.ready.ring();
    }

    fn one_waits_less(&self) {
        if self.waiting.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.nothing_waits.notify_waiters();
        }
    }

    /// Done when no record waits here.
    pub(crate) async fn nothing_waits(&self) {
        loop {
            let told = self.nothing_waits.notified();
            if self.waiting.load(Ordering::Acquire) == 0 {
                return;
            }
            told.await;
        }
    }

    /// Sends the first of these records, without a report, to a topic that is known: how many. It
    /// ends before a record that needs more than this: has headers, or finds no room.
    pub(crate) fn send_columns(
        self: &Arc<Self>,
        topic: &Bound<'_, PyString>,
        partition: i32,
        columns: &Columns<'_>,
    ) -> PyResult<usize> {
        let Known::Ready(handle) = self.find(topic)? else { return Ok(0) };
        if columns.have_headers() || partition < -1 {
            return Ok(0);
        }
        let room = self.limits.records.saturating_sub(self.len());
        let most = columns.len().min(room);
        // Counted first, as with single records.
        self.accepted.fetch_add(most as u64, Ordering::Relaxed);
        let mut sent = 0;
        let mut raised = None;
        while sent < most {
            match columns.send(sent, partition, &handle) {
                Ok(true) => sent += 1,
                Ok(false) => break,
                Err(why) => {
                    raised = Some(why);
                    break;
                }
            }
        }
        self.accepted.fetch_sub((most - sent) as u64, Ordering::Relaxed);
        raised.map_or(Ok(sent), Err)
    }

    fn follow(&self, delivery: &Delivery, report: Report) {
        self.reports_due.fetch_add(1, Ordering::Relaxed);
        let batch = delivery.batch();
        let (index, timestamp_ms) = (delivery.index(), delivery.timestamp_ms());
        let mut entry = Entry { index, timestamp_ms, report };
        let mut books = self.books.lock();
        if let Some(last) = &books.last
            && last.batch == *batch
        {
            match last.push(entry) {
                Ok(()) => return,
                Err(late) => entry = late,
            }
        }
        if let Some(known) = books.open.get(&batch.id()).cloned() {
            match known.push(entry) {
                Ok(()) => {
                    books.last = Some(known);
                    return;
                }
                Err(late) => entry = late,
            }
        }
        let pending = PendingBatch::new(batch.clone(), entry, Arc::clone(&self.ready));
        books.open.insert(batch.id(), Arc::clone(&pending));
        books.last = Some(Arc::clone(&pending));
        drop(books);
        pending.watch();
    }

    /// Has a record wait; what was to be told comes back if there is nothing to wait for any more.
    fn defer(
        &self,
        pending: &PendingTopic,
        record: &Record<'_>,
        report: Option<Report>,
    ) -> Result<(), Option<Report>> {
        let is_reported = report.is_some();
        self.one_waits_more(is_reported);
        pending.push(OwnedRecord::new(record), report).inspect_err(|_| {
            if is_reported {
                self.reports_due.fetch_sub(1, Ordering::Relaxed);
            }
            self.one_waits_less();
        })
    }

    fn one_waits_more(&self, is_reported: bool) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if is_reported {
            self.reports_due.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn is_full(&self) -> bool {
        let waiting = self.waiting.load(Ordering::Relaxed);
        let accepted = self.accepted.load(Ordering::Relaxed);
        let seen = self.settled_seen.load(Ordering::Relaxed);
        let due = self.reports_due.load(Ordering::Relaxed);
        let most = self.limits.records;
        due >= most
            || (accepted.saturating_sub(seen) as usize + waiting >= most && self.len() >= most)
    }

    // ---- topics ----------------------------------------------------------------------------

    #[inline]
    fn find(self: &Arc<Self>, topic: &Bound<'_, PyString>) -> PyResult<Known> {
        let mut book = self.topics.lock();
        let name = utf8(topic)?;
        let known = match book.known.get(name) {
            Some(Known::Pending(pending)) => match pending.now_known() {
                Some(handle) => Known::Ready(handle),
                None => return Ok(Known::Pending(Arc::clone(pending))),
            },
            Some(Known::Ready(handle)) => Known::Ready(Arc::clone(handle)),
            None => self.deferred.look_up(self, name),
        };
        if !matches!(book.known.get(name), Some(Known::Ready(_))) {
            book.known.insert(name.to_owned(), known.clone());
        }
        drop(book);
        if let Known::Ready(handle) = &known
            && let Some(mut last) = self.last_topic.try_lock()
        {
            let before = last.replace((topic.clone().unbind(), Arc::clone(handle)));
            self.last_is_over.store(false, Ordering::Relaxed);
            drop(last);
            drop(before);
        }
        Ok(known)
    }

    /// From now on records for the topic wait in turn, until those before them were taken. This one
    /// is the first, or what was to be told of it comes back.
    fn wait_for_memory(
        self: &Arc<Self>,
        name: &str,
        handle: Arc<Topic>,
        record: &Record<'_>,
        report: Option<Report>,
    ) -> Result<(), Option<Report>> {
        let mut book = self.topics.lock();
        if let Some(Known::Pending(pending)) = book.known.get(name)
            && pending.now_known().is_none()
        {
            let pending = Arc::clone(pending);
            drop(book);
            return self.defer(&pending, record, report);
        }
        self.one_waits_more(report.is_some());
        let first = (OwnedRecord::new(record), report);
        let pending = self.deferred.resume(self, name, handle, first);
        book.known.insert(name.to_owned(), Known::Pending(pending));
        drop(book);
        // From now on records take their turn. Whoever holds the last topic may be below us: their
        // partitioner sent this record.
        self.last_is_over.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The topics that records were sent to, by name.
    pub(crate) fn topic_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.topics.lock().known.keys().cloned().collect();
        names.sort();
        names
    }

    /// A topic that could not be had is asked for again when it is next wanted.
    pub(crate) fn forget(&self, name: &str) {
        self.topics.lock().known.remove(name);
    }

    // ---- out -------------------------------------------------------------------------------

    /// Records without an outcome, or whose report was not told.
    pub(crate) fn len(&self) -> usize {
        let waiting = self.waiting.load(Ordering::Acquire);
        let due = self.reports_due.load(Ordering::Acquire);
        let accepted = self.accepted.load(Ordering::Acquire);
        let metrics = self.producer.metrics();
        let settled = metrics.records_delivered + metrics.records_failed;
        self.settled_seen.store(settled, Ordering::Relaxed);
        (accepted.saturating_sub(settled) as usize + waiting).max(due)
    }

    /// Tells what is ready. `tell` is called for one record after the other; when it raises, the
    /// rest stays for the next time.
    pub(crate) fn serve(
        &self,
        mut tell: impl FnMut(Report, Told, Instant) -> PyResult<()>,
        mut other: impl FnMut(Due) -> PyResult<()>,
    ) -> PyResult<usize> {
        let mut served = 0;
        let due = self.ready.len();
        if due == 0 {
            return Ok(0);
        }
        // Once for all: what is told now was ready at this time.
        let now = Instant::now();
        for _ in 0..due {
            let (batch, mut rest) = match self.ready.pop() {
                None => break,
                Some(Due::Batch(pending)) => {
                    let entries = pending.take();
                    self.close_book(&pending);
                    (pending.batch.clone(), entries.into_iter())
                }
                Some(Due::Rest(batch, rest)) => (batch, rest),
                Some(Due::Refused(report, why)) => {
                    served += 1;
                    self.reports_due.fetch_sub(1, Ordering::Release);
                    tell(report, Told::from(why), now)?;
                    continue;
                }
                Some(due) => {
                    served += 1;
                    other(due)?;
                    continue;
                }
            };
            while let Some(entry) = rest.next() {
                let Some(outcome) = batch.outcome(entry.index, entry.timestamp_ms) else {
                    continue;
                };
                served += 1;
                self.reports_due.fetch_sub(1, Ordering::Release);
                let told = Told::Outcome(outcome, batch.partition());
                if let Err(raised) = tell(entry.report, told, now) {
                    if rest.len() > 0 {
                        self.ready.push_front(Due::Rest(batch, rest));
                    }
                    return Err(raised);
                }
            }
        }
        Ok(served)
    }

    fn close_book(&self, pending: &Arc<PendingBatch>) {
        let mut books = self.books.lock();
        let id = pending.batch.id();
        if books.open.get(&id).is_some_and(|open| Arc::ptr_eq(open, pending)) {
            books.open.remove(&id);
        }
        if books.last.as_ref().is_some_and(|last| Arc::ptr_eq(last, pending)) {
            books.last = None;
        }
    }

    /// Gives up records. To be called without the GIL.
    pub(crate) fn purge(&self, queued: bool, in_flight: bool) {
        if queued {
            let pending: Vec<Arc<PendingTopic>> = {
                let book = self.topics.lock();
                let pending = book.known.values().filter_map(|known| match known {
                    Known::Pending(pending) => Some(Arc::clone(pending)),
                    Known::Ready(_) => None,
                });
                pending.collect()
            };
            for report in pending.iter().flat_map(|pending| pending.take_all()) {
                self.refused(report, Refusal::Purged);
            }
        }
        self.producer.blocking().purge(queued, in_flight);
    }

    /// Has a future of asyncio's told when all that was sent before has its outcome; closes the
    /// producer before that, if `close`.
    pub(crate) fn flush_later(self: &Arc<Self>, future: Py<PyAny>, close: bool) {
        self.deferred.flush(self, future, close);
    }
}

impl From<Refusal> for Told {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Failed(error) => Self::Outcome(Err(error), -1),
            Refusal::Purged => Self::Purged,
            Refusal::TopicNotKnown => Self::TopicNotKnown,
        }
    }
}
