//! Batches that a broker refuses for their size, or for some of their records.

use ottla::{ErrorKind, Header, Outcome, Producer, Record, RecordMetadata};
use ottla_broker::ErrorCode;
use ottla_tests::rng::Rng;
use ottla_tests::wait::PATIENCE;
use ottla_tests::{engine, run};

/// Records gather until the flush, so that one batch holds them.
const TOGETHER: [(&str, &str); 2] = [("linger.ms", "80000"), ("linger.adaptive", "false")];

type Told = Vec<Result<RecordMetadata, ottla::ProduceError>>;

/// Sends these (key, value) to partition 0 and flushes; gives the outcomes.
fn send(producer: &Producer, topic: &str, records: &[(Option<&str>, Vec<u8>)]) -> Told {
    run(async {
        let headers = [Header::new("h", Some(b"1"))];
        let mut deliveries = Vec::new();
        for (key, value) in records {
            let record = Record::new(topic).value(value).partition(0).headers(&headers);
            let record = match key {
                Some(key) => record.key(*key),
                None => record,
            };
            deliveries.push(producer.send(record).await.expect("accepted"));
        }
        producer.flush(PATIENCE).await.expect("flushed");
        let mut told = Vec::new();
        for delivery in deliveries {
            assert!(delivery.try_outcome().is_some(), "flush waits for the halves (law L9)");
            told.push(delivery.await);
        }
        told
    })
}

/// Laws: L1, L2, L3. Scenarios: #97, #99, #100, bug-19, F12.
#[test]
fn a_batch_above_the_topics_limit_arrives_whole_in_smaller_ones_under_every_codec() {
    let engine = engine!();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = engine.topic_with("split", 1, &[("max.message.bytes", "4000")]);
        let settings = [TOGETHER[0], TOGETHER[1], ("batch.size", "100000")];
        let producer =
            engine.builder(&settings).set("compression.type", codec).build().expect("settings");
        // Not to be compressed, so that the limit is met whatever the codec.
        let mut rng = Rng::seeded(7);
        let mut records: Vec<_> = (0..200).map(|_| (Some("key"), rng.bytes(200))).collect();
        records[100].1 = rng.bytes(6000);
        let told = send(&producer, &topic, &records);
        let seen = engine.read(&topic);
        let mut next = 0;
        for (n, (told, (_, value))) in told.iter().zip(&records).enumerate() {
            if n == 100 {
                let error = told.as_ref().expect_err("too large alone");
                assert_eq!(error.kind(), ErrorKind::TooLarge, "{codec}: {error}");
                assert_eq!(error.outcome(), Outcome::NotPersisted);
                assert_eq!(error.code(), Some(ErrorCode::MESSAGE_TOO_LARGE));
                continue;
            }
            let metadata = told.as_ref().unwrap_or_else(|error| panic!("{codec} {n}: {error}"));
            assert_eq!(metadata.offset, Some(next), "{codec}: record {n}");
            assert_eq!(seen[next as usize].value.as_ref(), Some(value), "{codec}: record {n}");
            let headers = seen[next as usize].headers.as_ref().map(Vec::len);
            assert!(matches!(headers, None | Some(1)), "{headers:?}");
            next += 1;
        }
        assert_eq!(seen.len(), 199, "{codec}");
        assert!(producer.metrics().splits > 0, "{codec}");
        assert_eq!(
            producer.metrics().buffer_available_bytes,
            producer.metrics().buffer_total_bytes,
            "{codec}: all memory comes back (law L10)"
        );
    }
}

/// Laws: L1. Scenarios: #101.
#[test]
fn after_a_batch_was_too_large_the_next_ones_fit() {
    let engine = engine!();
    let topic = engine.topic_with("split-learns", 1, &[("max.message.bytes", "4000")]);
    let producer = engine.producer(&[TOGETHER[0], TOGETHER[1], ("compression.type", "none")]);
    let mut rng = Rng::seeded(8);
    for round in 0..20 {
        let records: Vec<_> = (0..100).map(|_| (None, rng.bytes(100))).collect();
        let told = send(&producer, &topic, &records);
        assert!(told.iter().all(Result::is_ok), "round {round}");
    }
    let metrics = producer.metrics();
    // The first round's batches are halved until they fit; no later one is.
    assert!(metrics.splits < 12, "{} of {} batches", metrics.splits, metrics.batches_sent);
    assert_eq!(engine.read(&topic).len(), 2000);
}

/// Laws: L1, L2, L3. Scenarios: #117, F13.
#[test]
fn only_the_records_that_the_broker_minds_fail() {
    let engine = engine!();
    let topic = engine.topic_with("minded", 1, &[("cleanup.policy", "compact")]);
    let producer = engine.producer(&TOGETHER);
    let records: Vec<_> =
        (0..50_u8).map(|n| ((n % 10 != 3).then_some("key"), vec![n; 20])).collect();
    let told = send(&producer, &topic, &records);
    let mut kept = Vec::new();
    for (n, (told, (key, value))) in told.iter().zip(&records).enumerate() {
        match (told, key) {
            (Ok(metadata), Some(_)) => {
                assert_eq!(metadata.offset, Some(kept.len() as i64), "record {n}");
                kept.push(value.clone());
            }
            (Err(error), None) => {
                assert_eq!(error.kind(), ErrorKind::InvalidRecord, "record {n}: {error}");
                assert_eq!(error.outcome(), Outcome::NotPersisted);
            }
            other => panic!("record {n}: {other:?}"),
        }
    }
    let seen: Vec<_> = engine.read(&topic).into_iter().filter_map(|seen| seen.value).collect();
    assert_eq!(seen, kept);
}
