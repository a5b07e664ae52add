//! How fast one thread can hand records over and see them delivered:
//! `cargo run --release --example throughput -- SERVERS TOPIC COUNT BYTES [key=value]…`.
//!
//! Besides the producer's settings there is `record.keys=N`: records get one of N keys, in turn.

use std::time::{Duration, Instant};

use ottla::{Producer, Record, TrySendError};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [servers, topic, count, bytes, settings @ ..] = &args[..] else {
        return Err("usage: throughput SERVERS TOPIC COUNT BYTES [key=value]…".into());
    };
    let (count, bytes): (u64, usize) = (count.parse()?, bytes.parse()?);
    let mut builder = Producer::builder().set("bootstrap.servers", servers);
    let mut keys: Vec<String> = Vec::new();
    for (key, value) in settings.iter().filter_map(|setting| setting.split_once('=')) {
        if key == "record.keys" {
            keys = (0..value.parse()?).map(|n: u32| format!("user-{n:05}")).collect();
        } else {
            builder = builder.set(key, value);
        }
    }
    let producer = builder.build()?;
    let blocking = producer.blocking();
    blocking.partitions(topic)?;
    let values: Vec<String> = (0..1000).map(|n| event(n, bytes)).collect();

    let start = Instant::now();
    for n in 0..count {
        let mut record = Record::new(topic).value(&values[n as usize % values.len()]);
        if !keys.is_empty() {
            record = record.key(&keys[n as usize % keys.len()]);
        }
        match producer.try_send(record) {
            Ok(delivery) => drop(delivery),
            Err(TrySendError::Full | TrySendError::TopicPending) => drop(blocking.send(record)?),
            Err(refused) => return Err(refused.into()),
        }
    }
    let report = blocking.close(Duration::from_secs(120));
    let seconds = start.elapsed().as_secs_f64();
    println!("{report:?}: {:.0} records/s", report.delivered as f64 / seconds);
    println!("{:?}", producer.metrics());
    Ok(())
}

/// An event whose bytes do not repeat from one record to the next.
fn event(n: u64, bytes: usize) -> String {
    let mut text = String::new();
    let mut x = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while text.len() < bytes {
        x = x.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let (user, amount) = (x >> 50, x >> 40 & 0xfffff);
        text.push_str(&format!(
            "{{\"user\":\"user_{user}\",\"action\":\"view\",\"amount\":{amount}}},"
        ));
    }
    text.truncate(bytes);
    text
}
