//! Callbacks: `ThreadedProducer`, whose own thread polls.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bench_workload::{Latencies, Meter, Pace, Source, Whose, Workload};
use rdkafka::producer::{BaseRecord, DeliveryResult, ProducerContext, ThreadedProducer};
use rdkafka::statistics::Statistics;
use rdkafka::{ClientConfig, ClientContext};

use crate::{FULL_PAUSE, Failure, Run, SETTLED_WITHIN, client, is_full};

/// At a fixed rate, requests are counted by librdkafka's statistics, which come this often.
const STATISTICS_MS: &str = "250";
const STATISTICS_WITHIN: Duration = Duration::from_secs(10);

/// What callbacks count.
struct Counts {
    start: Instant,
    latencies: Latencies,
    acknowledged: AtomicU64,
    failed: AtomicU64,
    /// How often statistics came, and the Produce requests in the last of them.
    statistics: AtomicU64,
    requests: AtomicU64,
}

#[derive(Clone)]
struct Context(Arc<Counts>);

impl ClientContext for Context {
    fn stats(&self, statistics: Statistics) {
        let produce = |broker: &rdkafka::statistics::Broker| broker.req.get("Produce").copied();
        let requests: i64 = statistics.brokers.values().filter_map(produce).sum();
        self.0.requests.store(requests.unsigned_abs(), Ordering::Relaxed);
        self.0.statistics.fetch_add(1, Ordering::Release);
    }
}

impl ProducerContext for Context {
    /// Nanoseconds from the start to the moment at which the record was due; 0 is not measured.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, due_ns: usize) {
        let count = if result.is_ok() { &self.0.acknowledged } else { &self.0.failed };
        count.fetch_add(1, Ordering::Relaxed);
        if due_ns > 0 {
            self.0.latencies.record(self.0.start + Duration::from_nanos(due_ns as u64));
        }
    }
}

pub(crate) fn run(run: Run) -> Result<(), Failure> {
    let counts = Arc::new(Counts {
        start: Instant::now(),
        latencies: run.latencies.clone(),
        acknowledged: AtomicU64::new(0),
        failed: AtomicU64::new(0),
        statistics: AtomicU64::new(0),
        requests: AtomicU64::new(0),
    });
    let mut config: ClientConfig = run.config;
    if run.workload.rate > 0 {
        config.set("statistics.interval.ms", STATISTICS_MS);
    }
    let context = Context(Arc::clone(&counts));
    let producer: ThreadedProducer<Context> = config.create_with_context(context)?;
    let sender = Sender { producer, counts, workload: run.workload, source: run.source };
    sender.send(sender.workload.warmup, 0)?;
    let before = sender.requests()?;
    let meter = Meter::begin(Whose::Process)?;
    sender.send(sender.workload.records, sender.workload.rate)?;
    let outcome = meter.end(&client("callbacks"), &sender.workload)?;
    let requests = match (before, sender.requests()?) {
        (Some(before), Some(after)) => Some(after - before),
        _ => None,
    };
    let acknowledged = sender.counts.acknowledged.load(Ordering::Relaxed);
    let failed = sender.counts.failed.load(Ordering::Relaxed);
    outcome.print(acknowledged, failed, &run.latencies, requests)?;
    Ok(())
}

struct Sender {
    producer: ThreadedProducer<Context>,
    counts: Arc<Counts>,
    workload: Arc<Workload>,
    source: Arc<Source>,
}

impl Sender {
    /// Sends that many records and waits for the outcome of the last of them. (`flush` looks every
    /// 100 ms only, which would count as librdkafka's time; with a linger nothing waits for it.)
    fn send(&self, records: u64, rate: u64) -> Result<(), Failure> {
        let all = self.settled() + records;
        let workload = &self.workload;
        thread::scope(|scope| {
            let one = |thread| move || self.send_share(workload.share(records, thread), rate);
            let others: Vec<_> =
                (1..workload.threads).map(|thread| scope.spawn(one(thread))).collect();
            let mut result = one(0)();
            for other in others {
                let ended = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                result = result.and(ended);
            }
            result
        })?;
        let deadline = Instant::now() + SETTLED_WITHIN;
        while self.settled() < all {
            if Instant::now() > deadline {
                return Err("librdkafka does not say what came of the last records".into());
            }
            thread::sleep(FULL_PAUSE);
        }
        Ok(())
    }

    fn settled(&self) -> u64 {
        let counts = &self.counts;
        counts.acknowledged.load(Ordering::Relaxed) + counts.failed.load(Ordering::Relaxed)
    }

    fn send_share(&self, records: u64, rate: u64) -> Result<(), Failure> {
        let pace = Pace::new(rate, self.workload.threads);
        for number in 0..records {
            let due = pace.wait(number).saturating_duration_since(self.counts.start);
            let due_ns = if rate > 0 { due.as_nanos() as usize } else { 0 };
            let item = self.source.item(number);
            let mut record = BaseRecord::with_opaque_to(item.topic, due_ns).payload(item.value);
            record.key = item.key;
            while let Err((error, same)) = self.producer.send(record) {
                if !is_full(&error) {
                    return Err(error.into());
                }
                thread::sleep(FULL_PAUSE);
                record = same;
            }
        }
        Ok(())
    }

    /// The Produce requests so far, where statistics are on: as the next ones tell.
    fn requests(&self) -> Result<Option<u64>, Failure> {
        if self.workload.rate == 0 {
            return Ok(None);
        }
        let seen = self.counts.statistics.load(Ordering::Acquire);
        let deadline = Instant::now() + STATISTICS_WITHIN;
        while self.counts.statistics.load(Ordering::Acquire) == seen {
            if Instant::now() > deadline {
                return Err("librdkafka gives no statistics".into());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(Some(self.counts.requests.load(Ordering::Relaxed)))
    }
}
