//! What arrives at the broker, as the broker sees it.

use std::collections::HashMap;

use ottla::{CompressionType, Producer};
use ottla_broker::{ApiKey, Fault, SeenBatch, SeenProduce};

use super::Scene;

/// What the broker saw of `count` records.
fn produced(scene: &Scene, producer: &Producer, count: usize) -> Vec<SeenProduce> {
    scene.cluster().clear_requests();
    assert!(scene.send(producer, count).iter().all(Result::is_ok));
    scene.cluster().requests().into_iter().filter_map(|request| request.produce).collect()
}

fn batches(produced: Vec<SeenProduce>) -> Vec<SeenBatch> {
    produced.into_iter().flat_map(|produce| produce.batches).collect()
}

#[test]
fn no_batch_is_larger_than_batch_size_and_its_header() {
    let scene = Scene::new(1);
    let producer = scene.producer(&[("batch.size", "1000"), ("compression.type", "none")]);
    let batches = batches(produced(&scene, &producer, 2000));
    assert!(batches.iter().all(|batch| batch.size_bytes <= 1000 + 61));
    assert_eq!(batches.iter().map(|batch| batch.record_count).sum::<i32>(), 2000);
}

#[test]
fn batches_are_compressed_as_they_say() {
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let scene = Scene::new(1);
        let held = [("linger.ms", "100"), ("linger.adaptive", "false"), ("batch.size", "100000")];
        let producer = scene.producer(&[&held[..], &[("compression.type", codec)]].concat());
        let batches = batches(produced(&scene, &producer, 1000));
        let expected: CompressionType = codec.parse().expect("a codec");
        assert_eq!(batches.len(), 1);
        assert_eq!(batches[0].compression, Some(expected));
    }
}

#[test]
fn acks_are_asked_for_as_configured() {
    for (acks, expected) in [("1", 1), ("all", -1)] {
        let scene = Scene::new(1);
        let producer = scene.producer(&[("acks", acks), ("request.timeout.ms", "12345")]);
        let seen = produced(&scene, &producer, 10);
        assert!(seen.iter().all(|produce| (produce.acks, produce.timeout_ms) == (expected, 12345)));
    }
}

#[test]
fn sequence_numbers_count_the_records_of_each_partition_without_a_gap() {
    let scene = Scene::new(3);
    let producer = scene.producer(&[]);
    let values: Vec<String> = (0..900).map(|n| n.to_string()).collect();
    let records = values.iter().enumerate();
    let records = records.map(|(n, value)| scene.record(value).partition((n % 3) as i32));
    assert!(ottla_tests::run(producer.send_all(records)).iter().all(Result::is_ok));
    let requests = scene.cluster().requests();
    let batches = requests.into_iter().filter_map(|request| request.produce);
    let mut next: HashMap<i32, i32> = HashMap::new();
    let mut ids = Vec::new();
    for batch in batches.flat_map(|produce| produce.batches) {
        let next = next.entry(batch.partition).or_default();
        assert_eq!(batch.base_sequence, *next);
        *next += batch.record_count;
        ids.push((batch.producer_id, batch.producer_epoch));
    }
    ids.dedup();
    assert!(ids.len() == 1 && ids[0].0 >= 0, "one identity: {ids:?}");
    assert!(next.values().all(|next| *next == 300));
}

#[test]
fn without_idempotence_batches_carry_no_identity() {
    let scene = Scene::new(1);
    let producer = scene.producer(&[("enable.idempotence", "false")]);
    let seen = batches(produced(&scene, &producer, 100));
    assert!(seen.iter().all(|batch| (batch.producer_id, batch.base_sequence) == (-1, -1)));
    let requests = scene.cluster().requests();
    assert!(requests.iter().all(|request| request.api != ApiKey::INIT_PRODUCER_ID));
}

#[test]
fn every_request_tells_the_name_of_the_client() {
    let scene = Scene::new(1);
    scene.cluster().clear_requests();
    let producer = scene.producer(&[("client.id", "clickstream-7 ü")]);
    assert!(scene.send(&producer, 10).iter().all(Result::is_ok));
    let requests = scene.cluster().requests();
    assert!(requests.len() >= 4, "versions, metadata, identity, records");
    assert!(requests.iter().all(|r| r.client_id.as_deref() == Some("clickstream-7 ü")));
}

#[test]
fn no_more_requests_are_under_way_than_allowed() {
    // While the first is not answered, the broker sees no more than this many.
    for (allowed, limit) in [("1", 1), ("3", 3), ("5", 5)] {
        let scene = Scene::new(1);
        let producer = scene.producer(&[("max.in.flight", allowed), ("request.timeout.ms", "500")]);
        scene.warm_up(&producer);
        scene.cluster().clear_requests();
        scene.cluster().inject(super::on_produce().drop_request());
        let outcomes = scene.send(&producer, 500);
        super::assert_exactly_once(&scene, &outcomes);
        let requests = scene.cluster().requests();
        let first = requests.iter().find(|request| request.produce.is_some()).expect("one");
        let on_it = requests
            .iter()
            .filter(|request| request.connection == first.connection && request.produce.is_some());
        assert!(on_it.count() <= limit, "{allowed} in flight");
    }
}

#[test]
fn the_newest_version_that_both_know_is_spoken() {
    let scene = Scene::new(1);
    let producer = scene.producer(&[]);
    scene.warm_up(&producer);
    let requests = scene.cluster().requests();
    let version_of = |api| {
        let request = requests.iter().rev().find(|request| request.api == api);
        request.expect("asked").version
    };
    assert_eq!(version_of(ApiKey::PRODUCE), 13);
    assert!(version_of(ApiKey::METADATA) >= 12);
}

#[test]
fn a_request_takes_no_further_batch_beyond_max_request_size() {
    let scene = Scene::new(50);
    let settings = [
        ("max.request.size", "40000"),
        ("batch.size", "16000"),
        ("linger.ms", "500"),
        ("linger.adaptive", "false"),
        ("compression.type", "none"),
    ];
    let producer = scene.producer(&settings);
    let value = "x".repeat(1000);
    let records = (0..700).map(|n| scene.record(&value).partition(n % 50));
    assert!(ottla_tests::run(producer.send_all(records)).iter().all(Result::is_ok));
    let requests = scene.cluster().requests();
    let produce = requests.iter().filter(|request| request.produce.is_some());
    let largest = produce.map(|request| request.size_bytes).max().expect("some");
    assert!(largest <= 40_000, "{largest}");
}

/// Laws: L1. Scenarios: E10, #92.
#[test]
fn a_connection_that_breaks_while_nothing_is_sent_is_made_anew_unnoticed() {
    let scene = Scene::new(1);
    let producer = scene.producer(&[("metadata.max.age.ms", "100")]);
    scene.warm_up(&producer);
    for n in 0..5 {
        // The client asks for the layout now and then: that is when it happens.
        scene.cluster().inject(Fault::on(ApiKey::METADATA).disconnect());
        let broken = || scene.cluster().pending_faults() == 0;
        ottla_tests::wait::until_true("broken connection", broken);
        let outcomes = scene.send(&producer, 1);
        assert_eq!(outcomes[0].as_ref().expect("delivered").offset, Some(n + 1));
    }
    assert_eq!(producer.metrics().records_failed, 0);
}
