//! Runs a workload with krafka: records are queued, and a window of their deliveries is awaited.

use std::collections::VecDeque;
use std::error::Error;
use std::time::Duration;

use bench_workload::{Latencies, Meter, Source, Whose, Workload};
use bytes::Bytes;
use krafka::producer::{Acks, Producer};
use krafka::{Compression, Kafka, Record};

/// How many deliveries are held before the oldest is awaited.
const WINDOW: usize = 100_000;
/// As Ottla's, since krafka's own 16 KiB would be a handicap.
const BATCH_BYTES: usize = 128 * 1024;
/// As Ottla's.
const BUFFER_BYTES: usize = 64 * 1024 * 1024;
const LINGER_MS: f64 = 5.0;

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let workload = Workload::from_args()?;
    if workload.rate > 0 || workload.threads > 1 {
        return Err("this adapter has one task that goes as fast as it can".into());
    }
    let producer = producer(&workload).await?;
    let source = Source::new(&workload);
    send(&producer, &source, workload.warmup).await?;
    let meter = Meter::begin(Whose::Process)?;
    send(&producer, &source, workload.records).await?;
    let outcome = meter.end("krafka 0.28", &workload)?;
    // A delivery that fails ends the run, so that here all were acknowledged.
    outcome.print(workload.warmup + workload.records, 0, &Latencies::new()?, None)?;
    Ok(())
}

async fn producer(workload: &Workload) -> Result<Producer, Failure> {
    let acks = match workload.acks.as_str() {
        "all" => Acks::All,
        other => return Err(format!("this adapter knows acks=all, not {other}").into()),
    };
    let codec = match workload.codec.as_str() {
        "none" => Compression::None,
        "lz4" => Compression::Lz4,
        other => return Err(format!("this adapter knows none and lz4, not {other}").into()),
    };
    let linger = Duration::from_secs_f64(workload.linger_ms.unwrap_or(LINGER_MS) / 1e3);
    let kafka = Kafka::builder(workload.servers.clone()).connect().await?;
    let producer = kafka
        .producer()
        .acks(acks)
        .idempotent(true)
        .compression(codec)
        .linger(linger)
        .batch_size(workload.batch_bytes.unwrap_or(BATCH_BYTES))
        .buffer_memory(BUFFER_BYTES);
    Ok(producer.build().await?)
}

async fn send(producer: &Producer, source: &Source, records: u64) -> Result<(), Failure> {
    let mut waiting = VecDeque::with_capacity(WINDOW);
    for number in 0..records {
        if waiting.len() == WINDOW
            && let Some(oldest) = waiting.pop_front()
        {
            let oldest: krafka::producer::DeliveryHandle = oldest;
            let _delivered = oldest.await?;
        }
        let item = source.item(number);
        let mut record = Record::new(item.topic, Bytes::copy_from_slice(item.value));
        if let Some(key) = item.key {
            record = record.key(Bytes::copy_from_slice(key.as_bytes()));
        }
        waiting.push_back(producer.enqueue(record).await?);
    }
    producer.flush().await?;
    for delivery in waiting {
        let _delivered = delivery.await?;
    }
    Ok(())
}
