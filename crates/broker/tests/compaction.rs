//! Compacted topics as clients see them: one node and several, restarts, and followers that come
//! late.

mod common;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use common::client::{Client, PATIENCE};
use common::compacted::{batches, records};
use common::configs::{BROKER, set};
use common::{Batch, NOW_MS};
use ottla_broker::{Cluster, ClusterBuilder, ErrorCode};
use ottla_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};

const TOPIC: &str = "state";
/// The timestamp that asks for the beginning of the log.
const EARLIEST: i64 = -2;
/// Keys that are written again and again.
const KEYS: usize = 5;

/// Segments of a few batches, which are cleaned as soon as they are closed.
const SETTINGS: [(&str, &str); 4] = [
    ("cleanup.policy", "compact"),
    ("segment.bytes", "600"),
    ("min.cleanable.dirty.ratio", "0.01"),
    ("index.interval.bytes", "200"),
];

fn builder() -> ClusterBuilder {
    Cluster::builder()
        .cleaner_backoff(Duration::from_millis(10))
        .node_session_timeout(Duration::from_millis(50))
        .topic_with(TOPIC, 1, SETTINGS)
}

fn leader(cluster: &Cluster) -> i32 {
    cluster.partition(TOPIC, 0).and_then(|state| state.leader).expect("a leader")
}

fn client_of(cluster: &Cluster, node: i32) -> Client {
    Client::connect_to(&cluster.addresses()[node as usize - 1].to_string())
}

/// Writes each key once more, with this value.
fn write(client: &mut Client, value: usize) {
    let text = |text: String| Some(text.into_bytes());
    let record = |key: usize| (text(format!("key {key}")), text(format!("value {value}")));
    let batch = Batch { records: (0..KEYS).map(record).collect(), ..Batch::numbered(0) };
    let answer = client.produce(TOPIC, 0, &batch);
    assert_eq!(ErrorCode(answer.error_code), ErrorCode::NONE, "{answer:?}");
}

/// Every record that a consumer gets from the beginning on: offset, key, value.
fn read(client: &mut Client) -> Vec<(i64, String, String)> {
    let mut all = Vec::new();
    let mut offset = 0;
    loop {
        let fetched = client.fetch(TOPIC, 0, offset, 0);
        let partition = &fetched.responses[0].partitions[0];
        assert_eq!(ErrorCode(partition.error_code), ErrorCode::NONE);
        let bytes = partition.records.clone().unwrap_or_default();
        if bytes.is_empty() {
            assert_eq!(offset, partition.high_watermark, "there is more to come");
            return all;
        }
        for (header, plain) in batches(&bytes) {
            let seen = records(&header, &plain).into_iter();
            all.extend(seen.map(|it| (it.offset, it.key, it.value.unwrap_or_default())));
            offset = header.last_offset() + 1;
        }
    }
}

/// The first offset with this timestamp, or with one of the special meanings.
fn offset_at(client: &mut Client, topic: &str, timestamp: i64) -> i64 {
    let partition =
        ListOffsetsPartition { partition_index: 0, current_leader_epoch: -1, timestamp };
    let topic = ListOffsetsTopic { name: topic.to_owned(), partitions: vec![partition] };
    let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
    client.call(5, &request).topics[0].partitions[0].offset
}

/// Waits until a consumer gets no more than `count` records.
fn wait_for_few(client: &mut Client, count: usize) -> Vec<(i64, String, String)> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = read(client);
        if found.len() <= count {
            return found;
        }
        assert!(Instant::now() < deadline, "{} records are left", found.len());
    }
}

/// The last value of each key, with its offset.
fn values(found: &[(i64, String, String)]) -> BTreeMap<String, (i64, String)> {
    found.iter().map(|(offset, key, value)| (key.clone(), (*offset, value.clone()))).collect()
}

/// What each key has after so many rounds of [`write`].
fn expected(rounds: usize) -> BTreeMap<String, (i64, String)> {
    let last = rounds - 1;
    let of_key = |key: usize| {
        let offset = (last * KEYS + key) as i64;
        (format!("key {key}"), (offset, format!("value {last}")))
    };
    (0..KEYS).map(of_key).collect()
}

/// The last segments may hold so many records that are not cleaned yet.
const NOT_CLEANED: usize = 30;

#[test]
fn a_consumer_of_a_compacted_topic_gets_the_last_value_of_each_key_at_its_offset() {
    let cluster = builder().start().unwrap();
    let mut client = client_of(&cluster, 1);
    (0..60).for_each(|round| write(&mut client, round));
    let found = wait_for_few(&mut client, NOT_CLEANED);
    assert_eq!(values(&found), expected(60));
    assert_eq!(cluster.log_end_offset(TOPIC, 0), Some(300));
    // What lies before the first record that is left is found by its time.
    assert_eq!(offset_at(&mut client, TOPIC, NOW_MS), found[0].0);
}

#[test]
fn how_long_the_cleaner_rests_can_change_while_it_rests() {
    let cluster = builder().cleaner_backoff(Duration::from_secs(3600)).start().unwrap();
    let mut client = Client::connect(&cluster);
    assert_eq!(set(&mut client, (BROKER, "1"), "log.cleaner.backoff.ms", "5"), ErrorCode::NONE);
    (0..20).for_each(|round| write(&mut client, round));
    wait_for_few(&mut client, NOT_CLEANED);
}

/// librdkafka takes a run of answers without any record for a sign that a batch is too large for
/// it, and tells its program so.
#[test]
fn no_answer_is_of_nothing_but_batches_that_compaction_has_emptied() {
    let cluster = builder().start().unwrap();
    let mut client = client_of(&cluster, 1);
    (0..60).for_each(|round| write(&mut client, round));
    let found = wait_for_few(&mut client, NOT_CLEANED);
    let first = found[0].0;
    assert!(first > 200, "{first}");
    for offset in 0..300 {
        let fetched = client.fetch(TOPIC, 0, offset, 0);
        let bytes = fetched.responses[0].partitions[0].records.clone().unwrap();
        let (header, plain) = batches(&bytes).swap_remove(0);
        assert!(!records(&header, &plain).is_empty(), "at {offset}");
    }
}

#[test]
fn every_replica_cleans_its_own_log_and_whoever_leads_has_the_last_value_of_each_key() {
    let cluster = builder().nodes(3).topic_replicated("other", 1, 3).start().unwrap();
    let mut client = client_of(&cluster, leader(&cluster));
    (0..60).for_each(|round| write(&mut client, round));
    wait_for_few(&mut client, NOT_CLEANED);
    for node in cluster.node_ids() {
        cluster.move_leader(TOPIC, 0, node).unwrap();
        let found = wait_for_few(&mut client_of(&cluster, node), NOT_CLEANED);
        assert_eq!(values(&found), expected(60), "node {node}");
    }
}

#[test]
fn a_follower_that_was_away_copies_a_log_with_gaps() {
    let cluster = builder().nodes(3).start().unwrap();
    let old = leader(&cluster);
    let late = cluster.node_ids().into_iter().find(|node| *node != old).unwrap();
    let mut client = client_of(&cluster, old);
    (0..7).for_each(|round| write(&mut client, round));
    cluster.kill_node(late).unwrap();
    (7..60).for_each(|round| write(&mut client, round));
    wait_for_few(&mut client, NOT_CLEANED);
    cluster.start_node(late).unwrap();
    assert!(cluster.wait_until_in_sync(PATIENCE));
    assert_eq!(cluster.log_end_offset_on(late, TOPIC, 0), Some(300));
    cluster.move_leader(TOPIC, 0, late).unwrap();
    let mut client = client_of(&cluster, late);
    let found = wait_for_few(&mut client, NOT_CLEANED);
    assert_eq!(values(&found), expected(60));
    write(&mut client, 60);
    assert_eq!(values(&read(&mut client)), expected(61));
}

#[test]
fn a_compacted_log_is_as_it_was_after_a_restart_and_a_kill_and_its_checkpoint_is_kafkas() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = builder().data_dir(dir.path()).start().unwrap();
    let mut client = client_of(&cluster, 1);
    (0..60).for_each(|round| write(&mut client, round));
    let before = wait_for_few(&mut client, NOT_CLEANED);
    cluster.stop();
    let text = std::fs::read_to_string(dir.path().join("cleaner-offset-checkpoint")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let (place, offset) = lines[2].rsplit_once(' ').unwrap();
    assert_eq!((lines[0], lines[1], place), ("0", "1", "state 0"));
    // It is written once a cleaning is done, and readers see parts of one before.
    assert!((1..=300).contains(&offset.parse::<i64>().unwrap()), "{text}");

    let cluster = builder().data_dir(dir.path()).start().unwrap();
    assert_eq!(read(&mut client_of(&cluster, 1)), before);
    cluster.kill_node(1).unwrap();
    cluster.start_node(1).unwrap();
    let mut client = client_of(&cluster, 1);
    assert_eq!(values(&read(&mut client)), expected(60));
    write(&mut client, 60);
    assert_eq!(values(&read(&mut client)), expected(61));
}

#[test]
fn a_topic_that_is_compacted_and_deleted_loses_old_segments_as_well() {
    let settings = SETTINGS.into_iter().chain([("retention.bytes", "1500")]);
    let settings = settings.map(|(name, value)| match name {
        "cleanup.policy" => (name, "compact, delete"),
        _ => (name, value),
    });
    let cluster = Cluster::builder()
        .cleaner_backoff(Duration::from_millis(10))
        .retention_check_interval(Duration::from_millis(10))
        .topic_with("both", 1, settings)
        .start()
        .unwrap();
    let mut client = client_of(&cluster, 1);
    let deadline = Instant::now() + PATIENCE;
    for number in 0.. {
        let key = format!("key {number}");
        client.produce("both", 0, &Batch::numbered(4).keyed(&key));
        if offset_at(&mut client, "both", EARLIEST) > 40 {
            break;
        }
        assert!(Instant::now() < deadline, "nothing was removed");
    }
}
