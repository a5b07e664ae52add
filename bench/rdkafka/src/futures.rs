//! Futures: `FutureProducer`, with a window of deliveries or one for each task.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bench_workload::{Meter, Source, Whose};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord};

use crate::{FULL_PAUSE, Failure, Run, client, is_full};

/// How many deliveries are held before the oldest is awaited.
const WINDOW: usize = 100_000;
/// How long a record may wait for a place in the queue.
const QUEUE_WITHIN: Duration = Duration::from_secs(60);

#[derive(Clone)]
struct Sender {
    producer: FutureProducer,
    source: Arc<Source>,
    acknowledged: Arc<AtomicU64>,
}

pub(crate) fn run(run: &Run) -> Result<(), Failure> {
    let workload = &run.workload;
    if workload.rate > 0 || workload.threads > 1 {
        return Err("futures are one thread that goes as fast as it can".into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _entered = runtime.enter();
    let sender = Sender {
        producer: run.config.create()?,
        source: Arc::clone(&run.source),
        acknowledged: Arc::default(),
    };
    let send = |records| match workload.surface.as_str() {
        "futures" => runtime.block_on(sender.window(records)),
        _ => runtime.block_on(sender.tasks(records, workload.tasks)),
    };
    send(workload.warmup)?;
    let meter = Meter::begin(Whose::Process)?;
    send(workload.records)?;
    let outcome = meter.end(&client(&workload.surface), workload)?;
    let acknowledged = sender.acknowledged.load(Ordering::Relaxed);
    outcome.print(acknowledged, 0, &run.latencies, None)?;
    Ok(())
}

impl Sender {
    fn record(&self, number: u64) -> FutureRecord<'_, str, [u8]> {
        let item = self.source.item(number);
        let mut record = FutureRecord::to(item.topic).payload(item.value);
        record.key = item.key;
        record
    }

    async fn window(&self, records: u64) -> Result<(), Failure> {
        let mut waiting = VecDeque::with_capacity(WINDOW);
        for number in 0..records {
            if waiting.len() == WINDOW
                && let Some(oldest) = waiting.pop_front()
            {
                self.delivered(oldest).await?;
            }
            let mut record = self.record(number);
            loop {
                match self.producer.send_result(record) {
                    Ok(delivery) => break waiting.push_back(delivery),
                    Err((error, same)) if is_full(&error) => record = same,
                    Err((error, _)) => return Err(error.into()),
                }
                tokio::time::sleep(FULL_PAUSE).await;
            }
        }
        for delivery in waiting {
            self.delivered(delivery).await?;
        }
        Ok(())
    }

    async fn delivered(&self, delivery: DeliveryFuture) -> Result<(), Failure> {
        delivery.await?.map_err(|(error, _)| error)?;
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn tasks(&self, records: u64, tasks: u64) -> Result<(), Failure> {
        let next = Arc::new(AtomicU64::new(0));
        let task = |_| {
            let (sender, next) = (self.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= records {
                        return Ok::<(), Failure>(());
                    }
                    let sent = sender.producer.send(sender.record(number), QUEUE_WITHIN).await;
                    sent.map_err(|(error, _)| error)?;
                    sender.acknowledged.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let tasks: Vec<_> = (0..tasks).map(task).collect();
        for task in tasks {
            task.await??;
        }
        Ok(())
    }
}
