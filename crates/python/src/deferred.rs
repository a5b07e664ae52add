//! Records that cannot go into a batch yet: their topic is not known, or memory is spent. A thread
//! of its own gives them to the library as soon as it takes them, in their order.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use ottla::{ErrorKind, Header, Record, SendError, Topic};
use parking_lot::Mutex;
use pyo3::prelude::*;
use tokio::sync::{Notify, mpsc};

use crate::engine::Engine;
use crate::pending::Report;
use crate::ready::{Due, Refusal};

/// Longer than any `delivery.timeout.ms`.
const FOR_EVER: Duration = Duration::from_secs(30 * 86_400);
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// A topic, or where its records wait.
#[derive(Clone)]
pub(crate) enum Known {
    Ready(Arc<Topic>),
    Pending(Arc<PendingTopic>),
}

/// A record with bytes of its own.
pub(crate) struct OwnedRecord {
    partition: Option<i32>,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
    timestamp_ms: Option<i64>,
}

impl OwnedRecord {
    pub(crate) fn new(record: &Record<'_>) -> Self {
        let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        let header = |header: &Header<'_>| (header.key.to_owned(), owned(header.value));
        Self {
            partition: record.partition,
            key: owned(record.key),
            value: owned(record.value),
            headers: record.headers.iter().map(header).collect(),
            timestamp_ms: record.timestamp_ms,
        }
    }
}

/// A record that waits, and whom to tell of it.
struct Deferral {
    record: OwnedRecord,
    report: Option<Report>,
    since: Instant,
}

#[derive(Default)]
struct Waiting {
    records: VecDeque<Deferral>,
    /// Set when nothing waits any more: the next record goes straight into its batch.
    known: Option<Arc<Topic>>,
    /// Set when the topic could not be had: the next record asks for it anew.
    failed: bool,
}

/// The records that wait for one topic.
pub(crate) struct PendingTopic {
    name: String,
    waiting: Mutex<Waiting>,
    /// Told when a record comes to wait where none did.
    first: Notify,
}

impl PendingTopic {
    fn new(name: &str) -> Arc<Self> {
        Arc::new(Self { name: name.to_owned(), waiting: Mutex::default(), first: Notify::new() })
    }

    /// Has a record wait; gives back whom to tell of it if nothing waits here any more.
    pub(crate) fn push(
        &self,
        record: OwnedRecord,
        report: Option<Report>,
    ) -> Result<(), Option<Report>> {
        let mut waiting = self.waiting.lock();
        if waiting.known.is_some() || waiting.failed {
            return Err(report);
        }
        waiting.records.push_back(Deferral { record, report, since: Instant::now() });
        if waiting.records.len() == 1 {
            self.first.notify_one();
        }
        Ok(())
    }

    /// Waits until the first record has waited for `wait`; takes those that have.
    async fn overdue(&self, wait: Option<Duration>) -> Vec<Option<Report>> {
        let Some(wait) = wait else { return std::future::pending().await };
        loop {
            let first = self.waiting.lock().records.front().map(|first| first.since + wait);
            match first {
                None => self.first.notified().await,
                Some(due) if due > Instant::now() => tokio::time::sleep_until(due.into()).await,
                Some(_) => {
                    let now = Instant::now();
                    let mut waiting = self.waiting.lock();
                    let count =
                        waiting.records.iter().take_while(|record| record.since + wait <= now);
                    let count = count.count();
                    return waiting.records.drain(..count).map(|record| record.report).collect();
                }
            }
        }
    }

    /// The topic, once it is known and nothing waits for it any more.
    pub(crate) fn now_known(&self) -> Option<Arc<Topic>> {
        self.waiting.lock().known.clone()
    }

    fn waits(&self) -> bool {
        !self.waiting.lock().records.is_empty()
    }

    /// The topic could not be had.
    fn fail(&self) -> Vec<Option<Report>> {
        self.waiting.lock().failed = true;
        self.take_all()
    }

    /// Takes all records; gives back whom to tell of them.
    pub(crate) fn take_all(&self) -> Vec<Option<Report>> {
        let records = std::mem::take(&mut self.waiting.lock().records);
        records.into_iter().map(|deferral| deferral.report).collect()
    }

    /// The next record; without one, the topic is known from now on.
    fn next(&self, topic: &Arc<Topic>) -> Option<Deferral> {
        let mut waiting = self.waiting.lock();
        let next = waiting.records.pop_front();
        if next.is_none() {
            waiting.known = Some(Arc::clone(topic));
        }
        next
    }
}

enum Job {
    /// Look the topic up, unless it is known, and send what waits for it.
    Topic(Arc<Engine>, Arc<PendingTopic>, Option<Arc<Topic>>),
    Flush(Arc<Engine>, Py<PyAny>, bool),
}

/// The way to the thread, which is started by the first job.
#[derive(Default)]
pub(crate) struct Deferred {
    jobs: Mutex<Option<mpsc::UnboundedSender<Job>>>,
}

impl Deferred {
    /// The topic, if the library knows it; otherwise it is asked for.
    pub(crate) fn look_up(&self, engine: &Arc<Engine>, name: &str) -> Known {
        let looking = pin!(engine.producer.topic(name));
        if let Poll::Ready(Ok(topic)) = looking.poll(&mut Context::from_waker(Waker::noop())) {
            return Known::Ready(Arc::new(topic));
        }
        let pending = PendingTopic::new(name);
        self.give(Job::Topic(Arc::clone(engine), Arc::clone(&pending), None));
        Known::Pending(pending)
    }

    /// Where records for a known topic wait for memory, `first` before all others.
    pub(crate) fn resume(
        &self,
        engine: &Arc<Engine>,
        name: &str,
        topic: Arc<Topic>,
        first: (OwnedRecord, Option<Report>),
    ) -> Arc<PendingTopic> {
        let pending = PendingTopic::new(name);
        let (record, report) = first;
        let first = Deferral { record, report, since: Instant::now() };
        pending.waiting.lock().records.push_back(first);
        self.give(Job::Topic(Arc::clone(engine), Arc::clone(&pending), Some(topic)));
        pending
    }

    pub(crate) fn flush(&self, engine: &Arc<Engine>, future: Py<PyAny>, close: bool) {
        self.give(Job::Flush(Arc::clone(engine), future, close));
    }

    fn give(&self, job: Job) {
        let mut jobs = self.jobs.lock();
        let way = jobs.get_or_insert_with(start);
        if let Err(mpsc::error::SendError(job)) = way.send(job) {
            not_started(&job);
        }
    }
}

/// The system has no thread left.
fn not_started(job: &Job) {
    if let Job::Topic(_, pending, _) = job {
        eprintln!("ottla: no thread could be started for records of topic {}", pending.name);
    }
}

fn start() -> mpsc::UnboundedSender<Job> {
    let (sender, mut jobs) = mpsc::unbounded_channel();
    let thread = std::thread::Builder::new().name("ottla-deferred".into());
    let spawned = thread.spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            while let Some(job) = jobs.recv().await {
                tokio::spawn(run(job));
            }
        });
    });
    drop(spawned);
    sender
}

async fn run(job: Job) {
    match job {
        Job::Topic(engine, pending, topic) => send_waiting(&engine, &pending, topic).await,
        Job::Flush(engine, future, close) => {
            engine.nothing_waits().await;
            if close {
                engine.producer.close(FOR_EVER).await;
            } else {
                let _ = engine.producer.flush(FOR_EVER).await;
            }
            engine.ready.push(Due::Done(future));
        }
    }
}

/// Looks for the topic, and tells of those whose time passes meanwhile. It is each record's time
/// that counts, also where a look-up ends at the same moment.
async fn look_up(engine: &Arc<Engine>, pending: &PendingTopic) -> Result<Topic, SendError> {
    let limits = engine.limits.topic_wait.is_some();
    let mut looking = pin!(look_after(Duration::ZERO, engine, pending));
    loop {
        tokio::select! {
            found = &mut looking => match found {
                Err(why) if limits && may_come(&why) && pending.waits() => {
                    looking.set(look_after(BETWEEN_LOOKS, engine, pending));
                }
                found => return found,
            },
            overdue = pending.overdue(engine.limits.topic_wait) => {
                for report in overdue {
                    engine.refused(report, Refusal::TopicNotKnown);
                }
            }
        }
    }
}

async fn look_after(
    wait: Duration,
    engine: &Arc<Engine>,
    pending: &PendingTopic,
) -> Result<Topic, SendError> {
    tokio::time::sleep(wait).await;
    engine.producer.topic(&pending.name).await
}

/// The look-up's time passed, or nobody let us in until now: each may be otherwise the next time.
fn may_come(why: &SendError) -> bool {
    matches!(why.kind(), ErrorKind::Timeout | ErrorKind::Network | ErrorKind::Authentication)
}

async fn send_waiting(engine: &Arc<Engine>, pending: &PendingTopic, topic: Option<Arc<Topic>>) {
    let topic = match topic {
        Some(topic) => topic,
        None => match look_up(engine, pending).await {
            Ok(topic) => Arc::new(topic),
            Err(why) => {
                engine.forget(&pending.name);
                for report in pending.fail() {
                    engine.refused(report, Refusal::Failed(why.clone().into()));
                }
                return;
            }
        },
    };
    while let Some(Deferral { record: owned, report, .. }) = pending.next(&topic) {
        let headers: Vec<Header<'_>> =
            owned.headers.iter().map(|(key, value)| Header::new(key, value.as_deref())).collect();
        let mut record = Record::new(&pending.name).headers(&headers);
        record.partition = owned.partition;
        record.key = owned.key.as_deref();
        record.value = owned.value.as_deref();
        record.timestamp_ms = owned.timestamp_ms;
        match topic.send(record).await {
            Ok(delivery) => engine.took(&delivery, report),
            Err(why) => engine.refused(report, Refusal::Failed(why.into())),
        }
    }
}
