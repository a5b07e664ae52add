//! A producer's core between a program and a cluster, all of which do what they are told.
//!
//! Held against it: each record has one outcome (L1), in time (L9); memory that was taken is given
//! back (L10); and the core is never busy with nothing (L9).

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use ottla_core::accumulator::{Note, Payload, Payloads, Queues};
use ottla_core::config::{ConfigBuilder, ProducerConfig};
use ottla_core::output::{Compress, Connect, ConnectionId, Event, Purge, Split};
use ottla_core::time::Instant;
use ottla_core::{PartitionKey, Producer};
use ottla_sim::host::{Door, Memory, Piece, SimHost, SimQueues, parts};

use crate::scripted::{Asked, Layout, TOPICS};

/// More rounds at one moment are a loop without end.
const ROUNDS_MAX: u32 = 5000;
/// The budget of batch memory.
const LIMIT_BYTES: usize = 1 << 20;

/// A batch as far as it was told of.
#[derive(Default)]
struct Batch {
    appended: u32,
    told: Vec<bool>,
}

pub(crate) struct World {
    pub(crate) producer: Producer<SimHost>,
    pub(crate) now: Instant,
    pub(crate) layout: Layout,
    /// Connections that the core wants.
    pub(crate) connects: VecDeque<Connect>,
    /// Requests that are not answered, by connection.
    pub(crate) open: BTreeMap<ConnectionId, VecDeque<Bytes>>,
    config: ProducerConfig,
    queues: SimQueues,
    memory: Rc<Memory>,
    compressions: VecDeque<Compress<SimHost>>,
    splits: VecDeque<Split<SimHost>>,
    partitions: BTreeMap<String, Vec<PartitionKey>>,
    batches: Vec<Batch>,
    batch_count: usize,
}

impl World {
    pub(crate) fn new(settings: &[(&str, &str)], seed: u64) -> Self {
        let mut builder = ConfigBuilder::default();
        for (key, value) in settings {
            builder.set(key, value).expect("a setting");
        }
        let config = builder.build().expect("settings");
        let batch_size_bytes = config.batch_size_bytes;
        let mut producer = Producer::new(config.clone(), seed);
        TOPICS.iter().for_each(|topic| producer.want_topic(topic));
        Self {
            producer,
            now: Instant::from_millis(1000),
            layout: Layout::default(),
            connects: VecDeque::new(),
            open: BTreeMap::new(),
            config,
            queues: SimQueues::new(batch_size_bytes),
            memory: Rc::default(),
            compressions: VecDeque::new(),
            splits: VecDeque::new(),
            partitions: BTreeMap::new(),
            batches: Vec::new(),
            batch_count: 0,
        }
    }

    // ---- the program -----------------------------------------------------------------------

    pub(crate) fn append(&mut self, topic: usize, partition: usize, len: usize) {
        let Some(keys) = self.partitions.get(TOPICS[topic % TOPICS.len()]) else { return };
        if keys.is_empty() {
            return;
        }
        let key = keys[partition % keys.len()];
        let value = vec![b'v'; len];
        let record =
            Payloads { key: None, value: Some(&value), headers: &[], timestamp_ms: Some(5) };
        let mut door = Door {
            now: self.now,
            batches: &mut self.batch_count,
            memory: &self.memory,
            limit_bytes: LIMIT_BYTES,
        };
        let appended = self.queues.with(key, |queue| queue.append(&record, &mut door));
        let note = match &appended {
            Ok(appended) => {
                self.batches.resize_with(self.batch_count, Batch::default);
                let batch = &mut self.batches[appended.completion];
                assert_eq!(appended.index, batch.appended, "numbered in order");
                batch.appended += 1;
                appended.note
            }
            Err(full) => full.note,
        };
        if note == Note::Tell {
            self.producer.note(key, &mut self.queues, self.now);
        }
    }

    pub(crate) fn flush(&mut self) {
        self.producer.flush(&mut self.queues, self.now);
    }

    /// Gives records up: of one partition of the first topic, or of all.
    pub(crate) fn purge(&mut self, queued: bool, in_flight: bool, of: Option<usize>) {
        let keys = self.partitions.get(TOPICS[0]);
        let key = of.zip(keys).and_then(|(of, keys)| keys.get(of % keys.len().max(1))).copied();
        let key = key.map(|key| [key]);
        let partitions = key.as_ref().map(|key| &key[..]);
        let purge = Purge { queued, in_flight, partitions };
        self.producer.purge(&purge, &mut self.queues, self.now);
    }

    pub(crate) fn abort(&mut self) {
        self.producer.abort("closed", &mut self.queues, self.now);
    }

    // ---- the network -----------------------------------------------------------------------

    pub(crate) fn connection(&self, nth: usize) -> Option<ConnectionId> {
        let count = self.open.len().max(1);
        self.open.keys().nth(nth % count).copied()
    }

    /// Opens or refuses the next connection that is wanted.
    pub(crate) fn connect(&mut self, accept: bool) {
        let Some(connect) = self.connects.pop_front() else { return };
        let id = connect.connection;
        if accept {
            self.open.insert(id, VecDeque::new());
            self.producer.handle_connected(id, self.now);
        } else {
            self.producer.handle_disconnected(id, "refused", &mut self.queues, self.now);
        }
    }

    pub(crate) fn disconnect(&mut self, id: ConnectionId) {
        self.open.remove(&id);
        self.producer.handle_disconnected(id, "closed", &mut self.queues, self.now);
    }

    pub(crate) fn bytes(&mut self, id: ConnectionId, bytes: &[u8]) {
        self.producer.handle_bytes(id, bytes, &mut self.queues, self.now);
    }

    /// The honest answer to the oldest request of a connection.
    pub(crate) fn answer(&mut self, id: ConnectionId, code: i16) -> Option<Vec<u8>> {
        let frame = self.open.get_mut(&id)?.pop_front()?;
        Some(self.layout.answer(&Asked { frame: &frame, code }))
    }

    /// Finishes a compression, with a result that is smaller or with none.
    pub(crate) fn compressed(&mut self, nth: usize, smaller: bool) {
        if self.compressions.is_empty() {
            return;
        }
        let nth = nth % self.compressions.len();
        let Some(job) = self.compressions.remove(nth) else { return };
        let bytes: Vec<u8> = job.payload.chunks().flatten().copied().collect();
        let size_bytes = bytes.len();
        let payload =
            smaller.then(|| Payload::new(vec![Piece::of(bytes, &self.memory)], size_bytes));
        self.producer.handle_compressed(job.token, payload, &mut self.queues, self.now);
    }

    /// Does a split that is wanted, or says that it cannot be done.
    pub(crate) fn split(&mut self, nth: usize, well: bool) {
        if self.splits.is_empty() {
            return;
        }
        let nth = nth % self.splits.len();
        let Some(job) = self.splits.remove(nth) else { return };
        let parts = parts(&job, &self.memory).filter(|_| well);
        self.producer.handle_split(job.token, parts, &mut self.queues, self.now);
    }

    // ---- time ------------------------------------------------------------------------------

    /// Takes what the core wants done; nothing is done about connections, answers and jobs.
    pub(crate) fn drive(&mut self) {
        for round in 0.. {
            assert!(round < ROUNDS_MAX, "the core is busy without end");
            let mut busy = false;
            while let Some(id) = self.producer.poll_disconnect() {
                self.open.remove(&id);
            }
            while let Some(event) = self.producer.poll_event() {
                self.take(event);
            }
            while let Some(transmit) = self.producer.poll_transmit(&mut self.queues, self.now) {
                busy = true;
                let bytes: Vec<u8> = transmit.frame.slices().flatten().copied().collect();
                let written = transmit.written_token;
                if let Some(requests) = self.open.get_mut(&transmit.connection)
                    && written.is_none()
                {
                    requests.push_back(Bytes::from(bytes).slice(4..));
                }
                drop(transmit);
                if let Some(token) = written {
                    self.producer.handle_written(token, &mut self.queues, self.now);
                }
            }
            while let Some(connect) = self.producer.poll_connect() {
                busy = true;
                self.connects.push_back(connect);
            }
            while let Some(job) = self.producer.poll_compress() {
                busy = true;
                self.compressions.push_back(job);
            }
            while let Some(job) = self.producer.poll_split() {
                busy = true;
                self.splits.push_back(job);
            }
            if !busy {
                return;
            }
        }
    }

    /// Lets time pass, stopping wherever the core wants to be woken.
    pub(crate) fn pass(&mut self, time: Duration, mut each: impl FnMut(&mut Self)) {
        let end = self.now + time;
        let (mut at_once, mut last) = (0, self.now);
        while let Some(at) = self.producer.poll_timeout(self.now).filter(|at| *at <= end) {
            self.now = at.max(self.now);
            at_once = if self.now == last { at_once + 1 } else { 0 };
            assert!(at_once < ROUNDS_MAX, "the core asks to be woken at once again and again");
            last = self.now;
            self.producer.handle_timeout(&mut self.queues, self.now);
            self.drive();
            each(self);
        }
        self.now = end;
    }

    fn take(&mut self, event: Event<SimHost>) {
        match event {
            Event::Settled { completion, records, record_count, .. } => {
                let batch = &mut self.batches[completion];
                assert_eq!(record_count, batch.appended, "as many records as were appended");
                batch.told.resize(record_count as usize, false);
                for told in &mut batch.told[records.start as usize..records.end as usize] {
                    assert!(!*told, "told twice (L1)");
                    *told = true;
                }
            }
            Event::TopicReady(view) => {
                let keys = view.partitions.iter().map(|partition| partition.key).collect();
                self.partitions.insert(view.name.to_string(), keys);
            }
            _ => {}
        }
    }

    // ---- the end ---------------------------------------------------------------------------

    /// From now on all is well, for as long as any record may take.
    pub(crate) fn heal(&mut self) {
        self.layout.leaders = vec![1, 1, 2];
        self.flush();
        self.serve();
        let time = self.config.delivery_timeout + Duration::from_secs(1);
        self.pass(time, Self::serve);
        assert_eq!(self.producer.requests_in_flight(), 0);
    }

    fn serve(&mut self) {
        for round in 0.. {
            assert!(round < ROUNDS_MAX, "served without end");
            self.drive();
            let mut busy = false;
            while !self.connects.is_empty() {
                busy = true;
                self.connect(true);
            }
            while !self.compressions.is_empty() {
                busy = true;
                self.compressed(0, round % 2 == 0);
            }
            while !self.splits.is_empty() {
                busy = true;
                self.split(0, true);
            }
            for id in self.open.keys().copied().collect::<Vec<_>>() {
                while let Some(answer) = self.answer(id, 0) {
                    busy = true;
                    self.bytes(id, &answer);
                }
            }
            if !busy {
                return;
            }
        }
    }

    /// Everything was told, once, and nothing is held any more.
    pub(crate) fn check(mut self) {
        self.drive();
        for (number, batch) in self.batches.iter().enumerate() {
            let told = batch.told.iter().filter(|told| **told).count();
            assert_eq!(told, batch.appended as usize, "batch {number} was not told of (L1, L9)");
        }
        self.compressions.clear();
        self.splits.clear();
        assert_eq!(self.memory.live_bytes.get(), 0, "bytes are not given back (L10)");
    }
}
