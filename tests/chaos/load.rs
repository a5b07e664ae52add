//! The records: several producers, each a thread with settings of its own, at a steady pace.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ottla::{BlockingProducer, Delivery, Outcome, Producer, Record};

use crate::history::{History, Promise, Records, Told};
use crate::payload::{Payload, Route, Stream};

/// One that falls behind catches up so much, and forgets the rest.
const CATCH_UP: Duration = Duration::from_secs(2);

/// A producer of the load.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    /// What differs from the defaults.
    pub(crate) settings: Vec<(&'static str, &'static str)>,
    /// Its topics, by their numbers.
    pub(crate) topics: Vec<u16>,
    /// Records per second.
    pub(crate) rate: f64,
    /// Gives up what it has once in so many records.
    pub(crate) purges_every: Option<u32>,
    pub(crate) idempotent: bool,
}

/// A topic of the load.
#[derive(Clone, Debug)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) partitions: i32,
}

/// What all senders share: counts for those who look on.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) sent: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) not_persisted: AtomicU64,
    pub(crate) maybe: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) purges: AtomicU64,
    /// The longest that a record waited until it was delivered.
    pub(crate) slowest_ms: AtomicU64,
}

impl Counts {
    pub(crate) fn of(count: &AtomicU64) -> u64 {
        count.load(Ordering::Relaxed)
    }

    /// Records that have no outcome yet.
    pub(crate) fn pending(&self) -> u64 {
        let told = [&self.delivered, &self.not_persisted, &self.maybe, &self.refused];
        Self::of(&self.sent).saturating_sub(told.into_iter().map(Self::of).sum())
    }
}

type SharedRecords = Arc<Mutex<Records>>;

/// Records on their way.
pub(crate) struct Load {
    pub(crate) counts: Arc<Counts>,
    topics: Vec<Topic>,
    streams: BTreeMap<Stream, SharedRecords>,
    stop: Arc<AtomicBool>,
    producers: Vec<BlockingProducer>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts all senders.
    pub(crate) fn start(
        servers: &str,
        topics: Vec<Topic>,
        senders: &[Sender],
    ) -> Result<Self, String> {
        let mut load = Self {
            counts: Arc::default(),
            topics,
            streams: BTreeMap::new(),
            stop: Arc::default(),
            producers: Vec::new(),
            threads: Vec::new(),
        };
        for (number, sender) in (0..).zip(senders) {
            let builder = Producer::builder().set("bootstrap.servers", servers);
            let settings = sender.settings.iter();
            let builder = settings.fold(builder, |builder, (key, value)| builder.set(key, value));
            let producer = builder.build().map_err(|error| error.to_string())?.blocking();
            let promise = Promise { idempotent: sender.idempotent, ..Promise::FULL };
            let mut streams = Vec::new();
            for topic in &sender.topics {
                let stream = Stream { producer: number, topic: *topic };
                let records = Arc::new(Mutex::new(Records::new(promise)));
                load.streams.insert(stream, Arc::clone(&records));
                let topic = load.topics[usize::from(*topic)].clone();
                streams.push(Course { stream, topic, records });
            }
            load.producers.push(producer.clone());
            let work = Work {
                sender: sender.clone(),
                producer,
                streams,
                counts: Arc::clone(&load.counts),
                stop: Arc::clone(&load.stop),
            };
            let thread = std::thread::Builder::new().name(format!("sender-{number}"));
            let thread = thread.spawn(move || work.run());
            load.threads.push(thread.map_err(|error| format!("no thread to send: {error}"))?);
        }
        Ok(load)
    }

    /// What was acknowledged for this topic before now is forgiven: it was deleted.
    pub(crate) fn topic_is_new(&self, topic: u16) {
        for (_, records) in self.streams.iter().filter(|(stream, _)| stream.topic == topic) {
            let mut records = lock(records);
            records.promise.kept_from = records.sent.len() as u32;
        }
    }

    /// Sends no more.
    pub(crate) fn stop(&mut self) -> Result<(), String> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().map_err(|_| "a sender panicked".to_owned())?;
        }
        Ok(())
    }

    /// Waits for all outcomes, and gives what was done and told.
    ///
    /// # Errors
    /// A producer does not give back all its memory, or counts otherwise than we do (law L10).
    pub(crate) fn finish(mut self, within: Duration) -> Result<History, String> {
        self.stop()?;
        for producer in &self.producers {
            // Those who are late are found by the check.
            let _ = producer.flush(within);
        }
        for (number, producer) in self.producers.iter().enumerate() {
            let metrics = producer.metrics();
            let told = metrics.records_delivered + metrics.records_failed;
            let accepted: usize = self
                .streams
                .iter()
                .filter(|(stream, _)| usize::from(stream.producer) == number)
                .map(|(_, records)| {
                    lock(records).sent.iter().filter(|it| is_accepted(it.told)).count()
                })
                .sum();
            if told != accepted as u64 {
                return Err(format!(
                    "producer {number} counts {told} outcomes of {accepted} (L10)"
                ));
            }
            let (free, all) = (metrics.buffer_available_bytes, metrics.buffer_total_bytes);
            if free != all {
                return Err(format!("producer {number} has {free} of {all} bytes back (L10)"));
            }
        }
        let topics = self.topics.iter().map(|topic| topic.name.clone()).collect();
        let records = |records: &SharedRecords| lock(records).clone();
        let streams = self.streams.iter().map(|(stream, it)| (*stream, records(it))).collect();
        Ok(History { topics, streams })
    }

    /// Sends no more, and waits for nobody: the process is about to end.
    pub(crate) fn abandon(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.clear();
    }
}

fn is_accepted(told: Told) -> bool {
    !matches!(told, Told::Refused)
}

fn lock(records: &SharedRecords) -> MutexGuard<'_, Records> {
    records.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Course {
    stream: Stream,
    topic: Topic,
    records: SharedRecords,
}

struct Work {
    sender: Sender,
    producer: BlockingProducer,
    streams: Vec<Course>,
    counts: Arc<Counts>,
    stop: Arc<AtomicBool>,
}

impl Work {
    fn run(&self) {
        let between = Duration::from_secs_f64(1.0 / self.sender.rate.max(0.01));
        let mut due = Instant::now();
        let mut sent = 0_u32;
        while !self.stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            if now < due {
                std::thread::sleep((due - now).max(Duration::from_millis(1)));
                continue;
            }
            due = due.max(now.checked_sub(CATCH_UP).unwrap_or(now)) + between;
            self.send(&self.streams[sent as usize % self.streams.len()]);
            sent = sent.wrapping_add(1);
            if self.sender.purges_every.is_some_and(|every| sent.is_multiple_of(every)) {
                self.producer.purge(true, true);
                self.counts.purges.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn send(&self, course: &Course) {
        let number = lock(&course.records).begin();
        let payload = Payload::new(&course.topic.name, course.stream, number);
        let mut record = Record::new(&course.topic.name).value(&payload.value);
        match &payload.route {
            Route::Key(key) => record = record.key(key),
            Route::Partition(number) => {
                record = record.partition((*number % course.topic.partitions as usize) as i32);
            }
            Route::Any => {}
        }
        self.counts.sent.fetch_add(1, Ordering::Relaxed);
        match self.producer.send(record) {
            Ok(delivery) => self.accepted(course, number, delivery),
            Err(_) => {
                self.counts.refused.fetch_add(1, Ordering::Relaxed);
                lock(&course.records).told(number, Told::Refused);
            }
        }
    }

    fn accepted(&self, course: &Course, number: u32, delivery: Delivery) {
        lock(&course.records).accepted(number, delivery.partition());
        let (records, counts) = (Arc::clone(&course.records), Arc::clone(&self.counts));
        let begin = Instant::now();
        delivery.on_delivery(move |outcome| {
            let (count, told) = match outcome {
                Ok(metadata) => {
                    let took = begin.elapsed().as_millis() as u64;
                    counts.slowest_ms.fetch_max(took, Ordering::Relaxed);
                    (&counts.delivered, Told::Delivered(metadata.offset))
                }
                Err(error) => match error.outcome() {
                    Outcome::NotPersisted => (&counts.not_persisted, Told::NotPersisted),
                    Outcome::MaybePersisted => (&counts.maybe, Told::MaybePersisted),
                },
            };
            count.fetch_add(1, Ordering::Relaxed);
            lock(&records).told(number, told);
        });
    }
}
