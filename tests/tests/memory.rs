//! How much memory the process takes. Each measurement has a process of its own: what others
//! allocate, or have given back, would count as well.

#![cfg(target_os = "linux")]

use std::process::Command;
use std::time::Duration;

use ottla::{Delivery, Producer, Record, TrySendError};
use ottla_broker::Cluster;
use ottla_tests::proxy::{Proxy, Trouble, Way};

const BUFFER_MEMORY_BYTES: usize = 32 << 20;
const ALLOWED_BESIDES_BYTES: usize = 16 << 20;
/// More than fit, so that the list of deliveries does not grow meanwhile.
const MOST_RECORDS: usize = 2_000_000;

/// The most physical memory that this process has had so far.
fn peak_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let kib: usize = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    kib << 10
}

/// Sends records until no memory is left, and keeps their deliveries, as a patient program would.
fn fill(producer: &Producer, topic: &str, deliveries: &mut Vec<Delivery>) {
    for n in 0_u64.. {
        let value =
            format!("{{\"user\":\"user_{n}\",\"action\":\"view\",\"amount\":{}}}", n * 7919);
        match producer.try_send(Record::new(topic).value(&value)) {
            Ok(delivery) => deliveries.push(delivery),
            Err(TrySendError::Full) => break,
            Err(refused) => panic!("{refused}"),
        }
    }
}

/// Names what a process that this test starts is to measure.
const MEASURES: &str = "OTTLA_TEST_MEASURES_MEMORY_OF";

/// Laws: L10. Scenarios: A10.
#[test]
fn memory_stays_within_buffer_memory_and_16_mib_while_a_broker_takes_nothing() {
    if let Ok(compression) = std::env::var(MEASURES) {
        return measure(&compression);
    }
    let this_test = std::thread::current().name().expect("a name").to_owned();
    for compression in ["none", "lz4", "gzip"] {
        let status = Command::new(std::env::current_exe().expect("a path"))
            .args(["--exact", &this_test, "--nocapture"])
            .env(MEASURES, compression)
            .status();
        assert!(status.expect("started").success(), "{compression}");
    }
}

fn measure(compression: &str) {
    let proxy = Proxy::start();
    let address = proxy.address();
    let builder = Cluster::builder().advertise(address.ip().to_string(), address.port());
    let cluster = builder.topic("stalled", 12).start().expect("started");
    proxy.lead_to(cluster.addresses()[0]);
    let producer = Producer::builder()
        .set("bootstrap.servers", &address.to_string())
        .set("buffer.memory", &BUFFER_MEMORY_BYTES.to_string())
        .set("compression.type", compression)
        .build()
        .expect("settings");
    producer.blocking().partitions("stalled").expect("known");
    proxy.plan(Way::There, 1000, Trouble::Stall);

    let mut deliveries = Vec::with_capacity(MOST_RECORDS);
    let before_bytes = peak_bytes();
    fill(&producer, "stalled", &mut deliveries);
    // The I/O thread compresses what it can meanwhile: copies come on top of what they replace.
    let flushed = producer.blocking().flush(Duration::from_millis(500));
    assert!(flushed.is_err(), "the broker takes nothing");
    let accepted = deliveries.len();
    let held_bytes = accepted * size_of::<Delivery>();
    let grown_bytes = peak_bytes() - before_bytes - held_bytes;
    println!("{compression}: {} KiB more with {accepted} records", grown_bytes >> 10);
    assert!(accepted > 100_000, "{accepted} records are less than buffer.memory holds");
    let allowed_bytes = BUFFER_MEMORY_BYTES + ALLOWED_BESIDES_BYTES;
    assert!(grown_bytes < allowed_bytes, "{compression}: {grown_bytes} bytes more");
}
