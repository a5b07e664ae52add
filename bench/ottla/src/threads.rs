//! The interfaces for threads: `try_send`, a topic's handle, and the blocking producer.

use std::thread;

use bench_workload::{Item, Pace};
use ottla::{BlockingProducer, Delivery, Record, SendError, Topic, TrySendError};

use crate::Run;

/// One thread's way of sending a record.
struct Sender<'a> {
    run: &'a Run,
    blocking: BlockingProducer,
    /// Handles of the topics, where those are used.
    topics: Vec<Topic>,
    waits: bool,
}

/// Has each thread send its share of the records.
pub(crate) fn run(run: &Run, records: u64, rate: u64) -> Result<(), SendError> {
    let threads = run.workload.threads;
    thread::scope(|scope| {
        let one =
            |thread| move || Sender::new(run)?.send_all(run.workload.share(records, thread), rate);
        let others: Vec<_> = (1..threads).map(|thread| scope.spawn(one(thread))).collect();
        let mut result = one(0)();
        for other in others {
            let ended = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            result = result.and(ended);
        }
        result
    })
}

impl<'a> Sender<'a> {
    fn new(run: &'a Run) -> Result<Self, SendError> {
        let surface = run.workload.surface.as_str();
        let topics = match surface {
            "topic" => run.topics()?,
            _ => Vec::new(),
        };
        let blocking = run.producer.blocking();
        Ok(Self { run, blocking, topics, waits: surface == "blocking" })
    }

    fn send_all(&self, records: u64, rate: u64) -> Result<(), SendError> {
        let pace = Pace::new(rate, self.run.workload.threads);
        for number in 0..records {
            let due = pace.wait(number);
            let delivery = self.send(number)?;
            if rate > 0 {
                let latencies = self.run.latencies.clone();
                delivery.on_delivery(move |_| latencies.record(due));
            }
        }
        Ok(())
    }

    fn send(&self, number: u64) -> Result<Delivery, SendError> {
        let item = self.run.source.item(number);
        let record = record(&item);
        if self.waits {
            return self.blocking.send(record);
        }
        let tried = match self.topics.len() {
            0 => self.run.producer.try_send(record),
            len => self.topics[number as usize % len].try_send(record),
        };
        match tried {
            Ok(delivery) => Ok(delivery),
            Err(TrySendError::Refused(why)) => Err(why),
            // Full, or a topic that is new: the thread has nothing else to do.
            Err(_) => self.blocking.send(record),
        }
    }
}

impl Run {
    fn topics(&self) -> Result<Vec<Topic>, SendError> {
        let runtime = crate::futures::runtime();
        let topic = |name: &String| runtime.block_on(self.producer.topic(name));
        self.workload.topics.iter().map(topic).collect()
    }
}

pub(crate) fn record<'a>(item: &Item<'a>) -> Record<'a> {
    let record = Record::new(item.topic).value(item.value);
    match item.key {
        Some(key) => record.key(key),
        None => record,
    }
}
