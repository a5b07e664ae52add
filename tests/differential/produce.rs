//! Produce: batches that are good, bad, old, large, idempotent.

use ottla_protocol::messages::init_producer_id::InitProducerIdRequest;
use ottla_protocol::messages::produce::ProduceRequest;
use ottla_protocol::record::{BatchHeader, CompressionType};
use ottla_tests::needs;

use super::data::Topic;
use super::pair::{Both, Pair};
use crate::common::{Batch, NOW_MS, seal};

const CODECS: [CompressionType; 5] = [
    CompressionType::None,
    CompressionType::Gzip,
    CompressionType::Snappy,
    CompressionType::Lz4,
    CompressionType::Zstd,
];

/// What one of the two takes and the other refuses.
const ONE_TAKES: [&str; 2] = ["bytes behind the batch", "id without epoch"];

/// A batch whose header tells something else than its records.
fn lie(records: usize, change: impl Fn(&mut BatchHeader)) -> Vec<u8> {
    let batch = Batch::numbered(records);
    let mut header = batch.header();
    change(&mut header);
    seal(header, &batch.plain_records())
}

/// A good batch with one byte changed behind its checksum's back.
fn damaged(at: usize, change: impl Fn(u8) -> u8) -> Vec<u8> {
    let mut bytes = Batch::numbered(3).encode();
    bytes[at] = change(bytes[at]);
    bytes
}

/// Bytes that are sent as records, with what they are.
fn odd_bytes() -> Vec<(&'static str, Vec<u8>)> {
    let good = Batch::numbered(3).encode();
    let two = [good.clone(), good.clone()].concat();
    let half = good[..good.len() - 1].to_vec();
    let more = [good, vec![0; 3]].concat();
    vec![
        ("no bytes", Vec::new()),
        ("garbage", vec![7; 100]),
        ("a few bytes", vec![0; 5]),
        ("two batches", two),
        ("a batch cut short", half),
        ("bytes behind the batch", more),
        ("wrong checksum", damaged(20, |byte| byte ^ 1)),
        ("changed record", damaged(70, |byte| byte ^ 1)),
        ("magic 0", damaged(16, |_| 0)),
        ("magic 1", damaged(16, |_| 1)),
        ("magic 3", damaged(16, |_| 3)),
        ("length too small", damaged(11, |_| 1)),
        ("length too large", damaged(11, |byte| byte + 1)),
        ("base offset not 0", lie(3, |header| header.base_offset = 5)),
        ("leader epoch 7", lie(3, |header| header.partition_leader_epoch = 7)),
        ("count too small", lie(3, |header| header.record_count = 2)),
        ("count too large", lie(3, |header| header.record_count = 4)),
        ("count negative", lie(3, |header| header.record_count = -1)),
        ("count and delta 0", lie(0, |header| header.last_offset_delta = 0)),
        ("no records", lie(0, |_| ())),
        ("last delta too small", lie(3, |header| header.last_offset_delta = 1)),
        ("last delta too large", lie(3, |header| header.last_offset_delta = 9)),
        (
            "count and last delta too large",
            lie(3, |header| (header.record_count, header.last_offset_delta) = (4, 3)),
        ),
        ("control batch", lie(1, |header| header.attributes |= 0x20)),
        ("unknown codec", damaged(22, |_| 6)),
        ("delete horizon", lie(1, |header| header.attributes |= 0x40)),
        ("unused attribute", lie(1, |header| header.attributes |= 0x100)),
        ("append time", lie(1, |header| header.attributes |= 8)),
        ("max timestamp a lie", lie(3, |header| header.max_timestamp = NOW_MS + 1000)),
        ("timestamp -1", lie(1, |header| (header.base_timestamp, header.max_timestamp) = (-1, -1))),
        ("timestamp -2", lie(1, |header| (header.base_timestamp, header.max_timestamp) = (-2, -2))),
        ("far future", Batch::numbered(2).at(i64::MAX / 1000).encode()),
        ("long ago", Batch::numbered(2).at(1).encode()),
        ("sequence without id", lie(1, |header| header.base_sequence = 0)),
        ("epoch without id", lie(1, |header| header.producer_epoch = 0)),
        ("id without sequence", Batch::numbered(1).idempotent(12_345, 0, -1).encode()),
        ("id without epoch", Batch::numbered(1).idempotent(12_345, -1, 0).encode()),
        ("too large", Batch::of(["x".repeat(1_100_000)]).encode()),
        ("compressed garbage", compressed_garbage()),
    ]
}

fn compressed_garbage() -> Vec<u8> {
    let mut header = Batch::numbered(3).header();
    header.attributes |= 1;
    let mut bytes = header.seal([&[9_u8; 40][..]]).expect("a batch that fits").to_vec();
    bytes.extend_from_slice(&[9; 40]);
    bytes
}

#[test]
fn produced_batches_are_answered_as_kafka_does() {
    let mut pair = needs!(Pair::new("produce"));
    for version in pair.versions::<ProduceRequest>() {
        pair.begin(version);
        let (name, id) = pair.topic("produced", 3, &[]);
        let topic = Topic { name, id };
        for acks in [-1, 1, 2, -2] {
            let bytes = Batch::numbered(2).encode();
            let request = topic.produce_as(version, acks, None, &[(0, Some(bytes))]);
            pair.ask(&format!("acks {acks}"), version, request);
        }
        let silent = Some(Batch::numbered(2).encode());
        let silent = topic.produce_as(version, 0, None, &[(0, silent)]);
        pair.send_each(version, &silent);
        pair.ask("after acks 0", version, topic.produce_batch(version, &Batch::numbered(1)));
        for codec in CODECS {
            let batch = Batch::numbered(20).compressed(codec);
            pair.ask(&format!("{codec:?}"), version, topic.produce_batch(version, &batch));
        }
        for (case, bytes) in odd_bytes() {
            // What only one of them takes would change all offsets behind it.
            let partition = if ONE_TAKES.contains(&case) { 2 } else { 0 };
            pair.ask(case, version, topic.produce(version, partition, bytes));
        }
        let good = || Some(Batch::numbered(1).encode());
        pair.ask(
            "unknown partition",
            version,
            topic.produce(version, 9, good().unwrap_or_default()),
        );
        pair.ask(
            "negative partition",
            version,
            topic.produce(version, -1, good().unwrap_or_default()),
        );
        let mixed = topic.produce_as(version, -1, None, &[(0, good()), (9, good()), (1, good())]);
        pair.ask("good and unknown partitions", version, mixed);
        let twice = topic.produce_as(version, -1, None, &[(2, good()), (2, good())]);
        pair.ask("a partition twice", version, twice);
        pair.ask("no partitions", version, topic.produce_as(version, -1, None, &[]));
        let unknown = Topic::unknown(pair.name("nobody"));
        pair.ask("unknown topic", version, unknown.produce_batch(version, &Batch::numbered(1)));
        let illegal = Topic::unknown("no body".to_owned());
        pair.ask("illegal topic", version, illegal.produce_batch(version, &Batch::numbered(1)));
        let no_topics = ProduceRequest { acks: -1, timeout_ms: 1000, ..ProduceRequest::default() };
        pair.ask("no topics", version, no_topics);
        pair.ask("what is there then", 11, topic.list_offsets_of_all());
        pair.ask("all of it", 11, topic.fetch(11, 0));
    }
    pair.finish();
}

#[test]
fn batches_meet_the_settings_of_topics_as_in_kafka() {
    let mut pair = needs!(Pair::new("produce settings"));
    for version in pair.versions::<ProduceRequest>() {
        pair.begin(version);
        let topic = |pair: &mut Pair, hint: &str, configs: &[(&str, &str)]| {
            let (name, id) = pair.topic(hint, 1, configs);
            Topic { name, id }
        };
        let append = topic(&mut pair, "append", &[("message.timestamp.type", "LogAppendTime")]);
        for codec in CODECS {
            let batch = Batch::numbered(3).compressed(codec);
            let case = format!("append time, {codec:?}");
            pair.ask(&case, version, append.produce_batch(version, &batch));
        }
        pair.ask("append time", 11, append.fetch(11, 0));
        let compact = topic(&mut pair, "compact", &[("cleanup.policy", "compact")]);
        pair.ask("compacted, no key", version, compact.produce_batch(version, &Batch::numbered(2)));
        let keyed = Batch::numbered(2).keyed("k");
        pair.ask("compacted, keyed", version, compact.produce_batch(version, &keyed));
        let mut mixed = Batch::numbered(3).keyed("k");
        mixed.records[1].0 = None;
        pair.ask("compacted, a key missing", version, compact.produce_batch(version, &mixed));
        let small = topic(&mut pair, "small", &[("max.message.bytes", "200")]);
        pair.ask("large", version, small.produce_batch(version, &Batch::of(["x".repeat(300)])));
        let small_enough = Batch::of(["x".repeat(100)]);
        pair.ask("small enough", version, small.produce_batch(version, &small_enough));
        let squeezed = Batch::of(["x".repeat(3000)]).compressed(CompressionType::Gzip);
        pair.ask("large before compression", version, small.produce_batch(version, &squeezed));
        let limits = [
            ("message.timestamp.before.max.ms", "1000"),
            ("message.timestamp.after.max.ms", "1000"),
        ];
        let recent = topic(&mut pair, "recent", &limits);
        pair.ask("too old", version, recent.produce_batch(version, &Batch::numbered(2)));
        let future = Batch::numbered(2).at(NOW_MS * 2);
        pair.ask("too new", version, recent.produce_batch(version, &future));
        let safe = topic(&mut pair, "safe", &[("min.insync.replicas", "2")]);
        pair.ask("too few in sync", version, safe.produce_batch(version, &Batch::numbered(1)));
        let bytes = Some(Batch::numbered(1).encode());
        pair.ask(
            "too few in sync, acks 1",
            version,
            safe.produce_as(version, 1, None, &[(0, bytes)]),
        );
    }
    pair.finish();
}

#[test]
fn idempotent_producers_are_answered_as_kafka_does() {
    let mut pair = needs!(Pair::new("idempotence"));
    pair.find_coordinator("nobody", 1);
    for version in pair.versions::<ProduceRequest>() {
        pair.begin(version);
        let (name, id) = pair.topic("idempotent", 1, &[]);
        let topic = Topic { name, id };
        let init = InitProducerIdRequest {
            transaction_timeout_ms: 60_000,
            producer_id: -1,
            producer_epoch: -1,
            ..InitProducerIdRequest::default()
        };
        let producer = pair.tell(4, init).map(|told| told.producer_id);
        let mut send = |case: &str, epoch: i16, sequence: i32, count: usize| {
            let batch = producer.map(|id| Batch::numbered(count).idempotent(*id, epoch, sequence));
            let request = batch.map(|batch| topic.produce_batch(version, batch));
            let request = Both { kafka: request.kafka.kafka, ours: request.ours.ours };
            pair.ask(case, version, request);
        };
        send("not from 0", 0, 5, 1);
        send("first", 0, 0, 3);
        send("first again", 0, 0, 3);
        send("second", 0, 3, 2);
        send("first once more", 0, 0, 3);
        send("a gap", 0, 7, 1);
        send("overlapping", 0, 4, 2);
        send("same begin, fewer", 0, 3, 1);
        send("same begin, more", 0, 3, 3);
        send("epoch behind", -1, 5, 1);
        send("new epoch not from 0", 1, 5, 1);
        send("new epoch", 1, 0, 1);
        send("old epoch", 0, 5, 1);
        send("new epoch again", 1, 0, 1);
        for number in 1..7 {
            send("many", 1, number, 1);
        }
        send("older than the last five", 1, 0, 1);
        send("the fifth from the end", 1, 2, 1);
        send("epoch far ahead", 9, 0, 1);
        let unknown = Batch::numbered(1).idempotent(987_654, 3, 0);
        pair.ask("unknown id", version, topic.produce_batch(version, &unknown));
        let unknown = Batch::numbered(1).idempotent(987_655, 3, 17);
        pair.ask("unknown id, not from 0", version, topic.produce_batch(version, &unknown));
        let mut transactional = Batch::numbered(1).idempotent(987_656, 0, 0);
        transactional.transactional = true;
        pair.ask("transactional, no id", version, topic.produce_batch(version, &transactional));
        let bytes = Some(transactional.encode());
        let unknown = topic.produce_as(version, -1, Some("nobody"), &[(0, bytes)]);
        pair.ask("of an unknown transactional id", version, unknown);
        let plain = Some(Batch::numbered(1).encode());
        let plain = topic.produce_as(version, -1, Some("nobody"), &[(0, plain)]);
        pair.ask("plain batch, transactional id", version, plain);
        pair.ask("what is there then", 11, topic.fetch(11, 0));
    }
    pair.finish();
}
