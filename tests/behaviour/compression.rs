//! Compressed batches, read back by clients of others.

use ottla::Metrics;
use ottla_tests::record::assert_same;
use ottla_tests::wait::PATIENCE;
use ottla_tests::{Engine, Made, Rng, engine, kcat, needs, run};

/// Every codec, with its levels from one end to the other.
const CODECS: [(&str, &[&str]); 5] = [
    ("none", &[]),
    ("gzip", &["-1", "1", "6", "9"]),
    ("snappy", &[]),
    ("lz4", &["1", "9", "17"]),
    ("zstd", &["-7", "1", "3", "19"]),
];

/// Text that compresses, noise that does not, and records of every kind between.
fn records(seed: u64, count: usize) -> Vec<Made> {
    let mut rng = Rng::seeded(seed);
    let mut record = |n: usize| match n % 3 {
        0 => Made::value(format!("{{\"user\":\"user_{n}\",\"event\":\"login\"}}").repeat(5)),
        1 => Made::value(rng.bytes(200)),
        _ => Made { timestamp_ms: None, ..Made::any(&mut rng, 1, 400) },
    };
    (0..count).map(|n| record(n).partition(0)).collect()
}

fn deliver(engine: &Engine, topic: &str, settings: &[(&str, &str)], records: &[Made]) -> Metrics {
    let producer = engine.producer(settings);
    run(async {
        for record in records {
            let headers = record.borrowed_headers();
            drop(producer.send(record.borrow(topic, &headers)).await.expect("accepted"));
        }
        let report = producer.close(PATIENCE).await;
        assert_eq!((report.delivered, report.failed), (records.len() as u64, 0));
    });
    producer.metrics()
}

/// Settings under which as few batches leave as possible.
fn full_batches(codec: &str) -> Vec<(&str, &str)> {
    vec![("compression.type", codec), ("linger.ms", "5000"), ("linger.adaptive", "false")]
}

/// One topic with the same records at every level of the codec, one batch after the other.
fn every_level(engine: &Engine, codec: &str, levels: &[&str]) -> (String, Vec<Made>) {
    let topic = engine.topic(&format!("codec-{codec}"), 1);
    let once = records(11, 600);
    let mut all = Vec::new();
    for level in levels {
        let settings = [&full_batches(codec)[..], &[("compression.level", *level)]].concat();
        let metrics = deliver(engine, &topic, &settings, &once);
        assert!(metrics.compressed_batches > 0, "{codec} level {level}");
        all.extend_from_slice(&once);
    }
    deliver(engine, &topic, &full_batches(codec), &once);
    all.extend_from_slice(&once);
    (topic, all)
}

fn is_read_back(engine: &Engine, codec: &str) {
    let (_, levels) = CODECS.iter().find(|(name, _)| *name == codec).expect("a codec");
    let (topic, records) = every_level(engine, codec, levels);
    assert_same(&records, &engine.read(&topic));
    assert_same(&records, &engine.read_ours(&topic));
    assert_same(&records, &needs!(kcat::read(engine.servers(), &topic)));
}

#[test]
fn batches_that_several_threads_compress_at_once_stay_in_order() {
    let engine = engine!();
    let topic = engine.topic("compressed-by-threads", 1);
    let records = records(17, 20_000);
    for (codec, threads) in [("gzip", "3"), ("zstd", "1"), ("lz4", "0")] {
        let settings = [
            ("compression.type", codec),
            ("compression.threads", threads),
            // Some are worth handing over, and some are not.
            ("batch.size", "40000"),
            ("linger.ms", "1"),
        ];
        let metrics = deliver(&engine, &topic, &settings, &records);
        assert!(metrics.compressed_batches > 50, "{} batches", metrics.compressed_batches);
        assert_eq!(metrics.buffer_available_bytes, metrics.buffer_total_bytes);
    }
    let all = [&records[..]; 3].concat();
    assert_same(&all, &engine.read_ours(&topic));
}

#[test]
fn uncompressed_batches_are_read_back_by_others() {
    is_read_back(&engine!(), "none");
}

/// Laws: L2. Scenarios: #122.
#[test]
fn gzip_of_every_level_is_read_back_by_others() {
    is_read_back(&engine!(), "gzip");
}

/// Laws: L2. Scenarios: #122.
#[test]
fn snappy_is_read_back_by_others() {
    is_read_back(&engine!(), "snappy");
}

/// Laws: L2. Scenarios: #122.
#[test]
fn lz4_of_every_level_is_read_back_by_others() {
    is_read_back(&engine!(), "lz4");
}

/// Laws: L2. Scenarios: #122.
#[test]
fn zstd_of_every_level_is_read_back_by_others() {
    is_read_back(&engine!(), "zstd");
}

#[test]
fn each_codec_makes_text_smaller() {
    let engine = engine!();
    let line = "the quick brown fox jumps over the lazy dog, again and again; ".repeat(4);
    let text: Vec<Made> = (0..2000).map(|_| Made::value(line.as_str()).partition(0)).collect();
    for (codec, _) in CODECS {
        let topic = engine.topic(&format!("smaller-{codec}"), 1);
        let metrics = deliver(&engine, &topic, &full_batches(codec), &text);
        let share = metrics.batch_bytes_sent as f64 / (line.len() * text.len()) as f64;
        if codec == "none" {
            assert!(share > 1.0 && metrics.compressed_batches == 0, "{share}");
        } else {
            assert!(share < 0.1, "{codec}: {share}");
            assert_eq!(metrics.compressed_batches, metrics.batches_sent);
        }
    }
}

#[test]
fn what_would_grow_is_sent_as_it_is() {
    let engine = engine!();
    let mut rng = Rng::seeded(12);
    let noise: Vec<Made> = (0..20).map(|_| Made::value(rng.bytes(5000)).partition(0)).collect();
    for (codec, _) in CODECS {
        let topic = engine.topic(&format!("noise-{codec}"), 1);
        let metrics = deliver(&engine, &topic, &full_batches(codec), &noise);
        assert_eq!(metrics.compressed_batches, 0, "{codec}");
        assert_same(&noise, &engine.read(&topic));
    }
}

#[test]
fn a_large_batch_of_one_record_is_compressed_and_read_back() {
    let engine = engine!();
    // Larger than the blocks of snappy and lz4, and than a buffer.
    let record = Made::value("0123456789abcdef".repeat(50_000)).partition(0);
    for (codec, _) in CODECS {
        let topic = engine.topic(&format!("one-large-{codec}"), 1);
        deliver(&engine, &topic, &full_batches(codec), std::slice::from_ref(&record));
        assert_same(std::slice::from_ref(&record), &engine.read(&topic));
    }
}
