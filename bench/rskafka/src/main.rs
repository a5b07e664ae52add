//! Runs a workload with rskafka. It has a producer for each partition and no partitioner, no
//! idempotence and one record for each call, which waits for its batch: so many tasks call.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bench_workload::{Latencies, Meter, Source, Whose, Workload};
use chrono::DateTime;
use rskafka::client::ClientBuilder;
use rskafka::client::partition::{Compression, UnknownTopicHandling};
use rskafka::client::producer::aggregator::RecordAggregator;
use rskafka::client::producer::{BatchProducer, BatchProducerBuilder};
use rskafka::record::Record;

/// As Ottla's.
const BATCH_BYTES: usize = 128 * 1024;
const LINGER_MS: f64 = 5.0;
/// So many tasks fill the batches of a dozen partitions.
const TASKS: u64 = 50_000;
/// Any timestamp does.
const TIMESTAMP_MS: i64 = 1_700_000_000_000;

type Failure = Box<dyn Error + Send + Sync>;
type Producers = Arc<Vec<BatchProducer<RecordAggregator>>>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let workload = Workload::from_args()?;
    if workload.rate > 0 || workload.threads > 1 || workload.acks != "all" {
        return Err("this adapter goes as fast as it can, from one thread, with acks=all".into());
    }
    let producers = producers(&workload).await?;
    let source = Arc::new(Source::new(&workload));
    send(&producers, &source, workload.warmup).await?;
    let meter = Meter::begin(Whose::Process)?;
    send(&producers, &source, workload.records).await?;
    let outcome = meter.end("rskafka 0.6", &workload)?;
    // A record that fails ends the run, so that here all were acknowledged.
    outcome.print(workload.warmup + workload.records, 0, &Latencies::new()?, None)?;
    Ok(())
}

async fn producers(workload: &Workload) -> Result<Producers, Failure> {
    let codec = match workload.codec.as_str() {
        "none" => Compression::NoCompression,
        "lz4" => Compression::Lz4,
        other => return Err(format!("this adapter knows none and lz4, not {other}").into()),
    };
    let linger = Duration::from_secs_f64(workload.linger_ms.unwrap_or(LINGER_MS) / 1e3);
    let servers = workload.servers.split(',').map(str::to_owned).collect();
    let client = ClientBuilder::new(servers).build().await?;
    let [topic] = workload.topics.as_slice() else {
        return Err("this adapter writes to one topic".into());
    };
    let mut producers = Vec::new();
    for partition in 0..i32::try_from(workload.partitions)? {
        let partition =
            client.partition_client(topic.clone(), partition, UnknownTopicHandling::Retry).await?;
        let producer = BatchProducerBuilder::new(Arc::new(partition))
            .with_linger(linger)
            .with_compression(codec)
            .build(RecordAggregator::new(workload.batch_bytes.unwrap_or(BATCH_BYTES)));
        producers.push(producer);
    }
    Ok(Arc::new(producers))
}

async fn send(producers: &Producers, source: &Arc<Source>, records: u64) -> Result<(), Failure> {
    let next = Arc::new(AtomicU64::new(0));
    let task = |_| {
        let (producers, source, next) =
            (Arc::clone(producers), Arc::clone(source), Arc::clone(&next));
        tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= records {
                    return Ok::<(), Failure>(());
                }
                let item = source.item(number);
                let record = Record {
                    key: item.key.map(|key| key.as_bytes().to_vec()),
                    value: Some(item.value.to_vec()),
                    headers: Default::default(),
                    timestamp: DateTime::from_timestamp_millis(TIMESTAMP_MS).unwrap_or_default(),
                };
                producers[number as usize % producers.len()].produce(record).await?;
            }
        })
    };
    let tasks: Vec<_> = (0..TASKS.min(records)).map(task).collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}
