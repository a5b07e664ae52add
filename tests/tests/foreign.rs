//! Clients of others that write to the embedded broker, and Kafka's tool that looks at its files.

use std::collections::BTreeMap;
use std::path::Path;

use ottla_broker::Cluster;
use ottla_tests::record::assert_same;
use ottla_tests::wait::{PATIENCE, until_true};
use ottla_tests::{Engine, Made, Rng, Seen, foreign, java, kcat, log_files, needs, run, skip};

/// The file with which every partition begins.
const FIRST_LOG: &str = "00000000000000000000.log";
const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

/// A broker whose files outlive it.
struct Broker {
    folder: tempfile::TempDir,
    engine: Engine,
}

impl Broker {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let started = Cluster::builder().data_dir(folder.path()).auto_create_topics(false).start();
        let cluster = started.expect("started");
        let servers = cluster.bootstrap_servers();
        Self { engine: Engine::Embedded { cluster, servers }, folder }
    }

    /// Stops the broker and has Kafka look at what it leaves behind.
    fn stop_and_look(self) {
        drop(self.engine);
        no_fault(self.folder.path());
    }
}

fn no_fault(folder: &Path) {
    if let Err(why) = log_files::assert_no_fault(folder) {
        skip::skip(&format!("nobody looked at the files: {why}"));
    }
}

fn records(seed: u64, count: usize, partitions: i32) -> Vec<Made> {
    let mut rng = Rng::seeded(seed);
    let time = Some(1_700_000_000_000);
    (0..count)
        .map(|_| Made { timestamp_ms: time, ..Made::any(&mut rng, partitions, 300) })
        .collect()
}

/// All who can read find the same in the topic.
fn everybody_reads(engine: &Engine, topic: &str, records: &[Made]) {
    assert_same(records, &engine.read_ours(topic));
    assert_same(records, &engine.read(topic));
    match kcat::read(engine.servers(), topic) {
        Ok(seen) => assert_same(records, &seen),
        Err(why) => skip::skip(&why),
    }
}

#[test]
fn confluent_kafka_writes_every_codec_idempotent_or_not() {
    let broker = Broker::start();
    let engine = &broker.engine;
    let records = records(21, 500, 2);
    for codec in CODECS {
        for idempotent in ["true", "false"] {
            let topic = engine.topic(&format!("python-{codec}-{idempotent}"), 2);
            let settings = [
                ("compression.type", codec),
                ("enable.idempotence", idempotent),
                ("linger.ms", "20"),
            ];
            let places = needs!(foreign::produce(engine.servers(), &topic, &settings, &records));
            assert!(records.iter().zip(&places).all(|(made, at)| made.partition == Some(*at)));
            everybody_reads(engine, &topic, &records);
        }
    }
    broker.stop_and_look();
}

#[test]
fn confluent_kafka_writes_with_every_kind_of_acknowledgment() {
    let broker = Broker::start();
    let engine = &broker.engine;
    let records = records(22, 300, 1);
    for acks in ["0", "1", "all"] {
        let topic = engine.topic(&format!("python-acks-{acks}"), 1);
        let settings = [("acks", acks)];
        needs!(foreign::produce(engine.servers(), &topic, &settings, &records));
        let arrived = || engine.read_ours(&topic).len() == records.len();
        until_true("300 records", arrived);
        everybody_reads(engine, &topic, &records);
    }
}

#[test]
fn kcat_writes_every_codec_with_keys_headers_and_nulls() {
    let broker = Broker::start();
    let engine = &broker.engine;
    for codec in CODECS {
        let topic = engine.topic(&format!("kcat-{codec}"), 1);
        let lines: String = (0..300).map(|n| format!("key {n}\tvalue {n}\n")).collect();
        // -Z: what is empty is null.
        let arguments =
            ["-Z", "-K", "\t", "-z", codec, "-H", "a=1", "-H", "a=2", "-H", "none", "-p", "0"];
        let lines = lines + "tombstone\t\n";
        needs!(kcat::write(engine.servers(), &topic, &arguments, lines.as_bytes()));
        let headers = vec![
            ("a".to_owned(), Some(b"1".to_vec())),
            ("a".to_owned(), Some(b"2".to_vec())),
            ("none".to_owned(), None),
        ];
        let record = |key: String, value| Made {
            partition: Some(0),
            key: Some(key.into_bytes()),
            value,
            headers: headers.clone(),
            timestamp_ms: None,
        };
        let mut expected: Vec<Made> = (0..300)
            .map(|n| record(format!("key {n}"), Some(format!("value {n}").into_bytes())))
            .collect();
        expected.push(record("tombstone".to_owned(), None));
        everybody_reads(engine, &topic, &expected);
    }
    assert_eq!(needs!(kcat::brokers(engine.servers())), 1);
}

#[test]
fn the_java_client_writes_every_codec_idempotent_or_not() {
    let broker = Broker::start();
    let engine = &broker.engine;
    let records = records(23, 500, 2);
    let mut topics = Vec::new();
    for codec in CODECS {
        for idempotent in ["true", "false"] {
            let topic = engine.topic(&format!("java-{codec}-{idempotent}"), 2);
            let settings = vec![
                ("compression.type", codec),
                ("enable.idempotence", idempotent),
                ("linger.ms", "20"),
                ("batch.size", "4000"),
            ];
            topics.push((topic, settings));
        }
    }
    needs!(java::produce(engine.servers(), &topics, &records));
    for (topic, _) in &topics {
        everybody_reads(engine, topic, &records);
    }
    broker.stop_and_look();
}

#[test]
fn the_console_producer_writes_lines() {
    let broker = Broker::start();
    let engine = &broker.engine;
    let topic = engine.topic("console-producer", 1);
    let mut producer = needs!(java::class("org.apache.kafka.tools.ConsoleProducer"));
    producer.args(["--bootstrap-server", engine.servers(), "--topic", &topic]);
    producer.args(["--compression-codec", "zstd", "--reader-property", "parse.key=true"]);
    producer.args(["--reader-property", "key.separator=|"]);
    let lines: String = (0..500).map(|n| format!("key {}|value {n}\n", n % 7)).collect();
    let _ = ottla_tests::tools::output(&mut producer, lines.as_bytes());
    let expected: Vec<Made> = (0..500)
        .map(|n| Made::value(format!("value {n}")).key(format!("key {}", n % 7)).partition(0))
        .collect();
    everybody_reads(engine, &topic, &expected);
}

#[test]
fn kafka_finds_no_fault_in_many_segments_written_by_our_producer() {
    let broker = Broker::start();
    let engine = &broker.engine;
    // Small segments and dense indexes: many files, many entries.
    let config = [("segment.bytes", "1048576"), ("index.interval.bytes", "500")];
    for codec in CODECS {
        let topic = engine.topic_with(&format!("segments-{codec}"), 2, &config);
        let settings = [("compression.type", codec), ("batch.size", "5000")];
        let producer = engine.producer(&settings);
        let mut rng = Rng::seeded(24);
        run(async {
            for n in 0..4000 {
                // Nothing that a codec could make smaller: every log is large.
                let noise = rng.bytes(700);
                let record = ottla::Record::new(&topic).value(&noise).partition(n % 2);
                // Times that go back and forth, for the time index.
                let record = record.timestamp_ms(1_700_000_000_000 + i64::from(n * 7919 % 5000));
                drop(producer.send(record).await.expect("accepted"));
            }
            assert!(producer.close(PATIENCE).await.is_clean());
        });
    }
    let folder = broker.folder.path().to_owned();
    let segments = log_files::under(&folder);
    let logs = segments.iter().filter(|file| file.extension().is_some_and(|kind| kind == "log"));
    assert!(logs.count() > 15, "several segments for each partition");
    let (folder, engine) = (broker.folder, broker.engine);
    drop(engine);
    no_fault(folder.path());
    // And it would have found one.
    let log = log_files::under(folder.path()).into_iter().find(|file| file.ends_with(FIRST_LOG));
    let log = log.expect("a log");
    let mut bytes = std::fs::read(&log).expect("its bytes");
    bytes[200] ^= 1;
    std::fs::write(&log, bytes).expect("written");
    assert!(!needs!(java::faults_of_log_files(&[log])).is_empty());
}

/// The offset of the last record of each key. Others go meanwhile.
fn last_of_each_key(seen: Vec<Seen>) -> BTreeMap<Option<Vec<u8>>, i64> {
    let last: BTreeMap<_, _> = seen.into_iter().map(|it| (it.key, it.offset)).collect();
    assert!(last.len() > 400, "{} keys are left", last.len());
    last
}

/// Wherever a log was compacted, in whichever codec, with what is left of tombstones.
#[test]
fn kafka_finds_no_fault_in_compacted_logs_and_sees_when_tombstones_may_go() {
    let broker = Broker::start();
    let engine = &broker.engine;
    let config = [
        ("cleanup.policy", "compact"),
        ("segment.bytes", "20000"),
        ("index.interval.bytes", "500"),
        ("min.cleanable.dirty.ratio", "0.01"),
    ];
    let mut topics = Vec::new();
    for codec in CODECS {
        let topic = engine.topic_with(&format!("compacted-{codec}"), 1, &config);
        let settings = [("compression.type", codec), ("batch.size", "3000")];
        let producer = engine.producer(&settings);
        let mut rng = Rng::seeded(25);
        run(async {
            for n in 0..3000 {
                let (key, noise) = (format!("key {}", rng.below(500)), rng.bytes(60));
                let record = ottla::Record::new(&topic).key(&key).partition(0);
                let record = record.timestamp_ms(1_700_000_000_000 + n * 7919 % 5000);
                let is_tombstone = rng.below(10) == 0;
                let record = if is_tombstone { record } else { record.value(&noise) };
                drop(producer.send(record).await.expect("accepted"));
            }
            assert!(producer.close(PATIENCE).await.is_clean());
        });
        topics.push(topic);
    }
    for topic in &topics {
        until_true("compacted log", || engine.read_ours(topic).len() < 1500);
        assert_eq!(last_of_each_key(engine.read(topic)), last_of_each_key(engine.read_ours(topic)));
    }
    let (folder, engine) = (broker.folder, broker.engine);
    drop(engine);
    needs!(log_files::assert_no_fault_but_gaps(folder.path()));
    let dump = needs!(java::dump_of_log_files(&log_files::under(folder.path())));
    assert!(dump.contains("deleteHorizonMs: OptionalLong["), "no tombstone waits");
}
