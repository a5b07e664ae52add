//! Fetch, ListOffsets, DeleteRecords.

use ottla_protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use ottla_protocol::messages::fetch::{FetchRequest, ForgottenTopic};
use ottla_protocol::messages::list_offsets::ListOffsetsRequest;
use ottla_protocol::record::CompressionType;
use ottla_tests::needs;

use super::data::Topic;
use super::pair::{Both, Pair};
use crate::common::{Batch, NOW_MS};

/// A topic of two partitions: in the first, four batches of five records, a second apart.
fn filled(pair: &mut Pair, hint: &str) -> Topic {
    let (name, id) = pair.topic(hint, 2, &[]);
    let topic = Topic { name, id };
    for number in 0..4 {
        let batch = Batch::numbered(5).at(NOW_MS + 1000 * number);
        let batch = match number {
            2 => batch.compressed(CompressionType::Gzip),
            _ => batch,
        };
        pair.tell(11, topic.produce_batch(11, &batch));
    }
    topic
}

fn change(request: &Both<FetchRequest>, change: impl Fn(&mut FetchRequest)) -> Both<FetchRequest> {
    request.map(|request| {
        let mut request = request.clone();
        change(&mut request);
        request
    })
}

#[test]
fn fetched_records_are_those_of_kafka() {
    let mut pair = needs!(Pair::new("fetch"));
    let topic = filled(&mut pair, "fetched");
    for version in pair.versions::<FetchRequest>() {
        pair.begin(version);
        for offset in [0, 1, 5, 12, 19, 20, 21, 1_000_000, -1, -2] {
            pair.ask(&format!("from {offset}"), version, topic.fetch(version, offset));
        }
        for epoch in [-1, 0, 1, 9] {
            let of = |partition: &mut ottla_protocol::messages::fetch::FetchPartition| {
                partition.current_leader_epoch = epoch;
            };
            pair.ask(&format!("leader epoch {epoch}"), version, topic.fetch_of(version, 0, of));
            let of = |partition: &mut ottla_protocol::messages::fetch::FetchPartition| {
                (partition.current_leader_epoch, partition.last_fetched_epoch) = (0, epoch);
                partition.fetch_offset = 7;
            };
            pair.ask(&format!("last epoch {epoch}"), version, topic.fetch_of(version, 0, of));
        }
        let start = topic.fetch(version, 0);
        pair.ask("committed", version, change(&start, |request| request.isolation_level = 1));
        pair.ask("isolation 7", version, change(&start, |request| request.isolation_level = 7));
        for bytes in [0, 1, 100, 150, -1] {
            let case = format!("{bytes} bytes at most");
            pair.ask(&case, version, change(&start, |request| request.max_bytes = bytes));
            let limited = topic.fetch_of(version, 0, |it| it.partition_max_bytes = bytes);
            pair.ask(&format!("{case} of the partition"), version, limited);
        }
        let end = topic.fetch(version, 20);
        let waiting = change(&end, |request| (request.max_wait_ms, request.min_bytes) = (50, 1));
        pair.ask("waiting at the end", version, waiting);
        let unknown = topic.fetch_of(version, 9, |_| ());
        pair.ask("unknown partition", version, unknown);
        let unknown = Topic::unknown(pair.name("nobody"));
        pair.ask("unknown topic", version, unknown.fetch(version, 0));
        let illegal = Topic::unknown("no body".to_owned());
        pair.ask("illegal topic", version, illegal.fetch(version, 0));
        let twice = change(&start, |request| {
            let partition = request.topics[0].partitions[0].clone();
            request.topics[0].partitions.push(partition);
        });
        pair.ask("a partition twice", version, twice);
        pair.ask("nothing", version, change(&start, |request| request.topics.clear()));
        pair.ask(
            "as replica 1",
            version,
            change(&start, |request| {
                if version >= 15 {
                    request.replica_state.replica_id = 1;
                } else {
                    request.replica_id = 1;
                }
            }),
        );
        sessions(&mut pair, version, &topic);
    }
    pair.finish();
}

/// Fetch sessions (KIP-227).
fn sessions(pair: &mut Pair, version: i16, topic: &Topic) {
    if version < 7 {
        return;
    }
    let start = topic.fetch(version, 15);
    let first = change(&start, |request| request.session_epoch = 0);
    let Some(first) = pair.ask("a session begins", version, first) else { return };
    let ids = first.map(|first| first.session_id);
    let next = |epoch: i32, topics: bool| {
        start.with(&ids, |start, id| {
            let mut request = start.clone();
            (request.session_id, request.session_epoch) = (*id, epoch);
            if !topics {
                request.topics.clear();
            }
            request
        })
    };
    pair.ask("a session goes on", version, next(1, false));
    pair.ask("an epoch again", version, next(1, false));
    pair.ask("an epoch ahead", version, next(9, false));
    pair.ask("a session goes on still", version, next(2, true));
    let forget = change(&next(3, false), |request| {
        let topic = start.kafka.topics[0].clone();
        request.forgotten_topics_data = vec![ForgottenTopic {
            topic: topic.topic,
            topic_id: topic.topic_id,
            partitions: vec![0],
        }];
    });
    if version < 13 {
        pair.ask("a session forgets", version, forget);
    }
    pair.ask("a session ends", version, next(-1, true));
    pair.ask("a session that has ended", version, next(1, false));
    let strange = change(&start, |request| {
        (request.session_id, request.session_epoch) = (77, 3);
    });
    pair.ask("an unknown session", version, strange);
    let odd = change(&start, |request| (request.session_id, request.session_epoch) = (0, 5));
    pair.ask("no session, an epoch", version, odd);
    pair.ask(
        "a session begins empty",
        version,
        change(&start, |request| {
            request.session_epoch = 0;
            request.topics.clear();
        }),
    );
}

#[test]
fn listed_offsets_are_those_of_kafka() {
    let mut pair = needs!(Pair::new("list offsets"));
    let topic = filled(&mut pair, "listed");
    for version in pair.versions::<ListOffsetsRequest>() {
        pair.begin(version);
        for timestamp in [
            -1,
            -2,
            -3,
            -4,
            -5,
            -6,
            -7,
            0,
            NOW_MS - 1,
            NOW_MS,
            NOW_MS + 2,
            NOW_MS + 5,
            NOW_MS + 2001,
            NOW_MS + 3004,
            NOW_MS + 3005,
            i64::MAX,
        ] {
            let case = match timestamp - NOW_MS {
                after @ -1..5000 => format!("after {after} ms"),
                _ => format!("timestamp {timestamp}"),
            };
            pair.ask(&case, version, topic.list_offsets(&[(0, timestamp)]));
            pair.ask(&format!("{case}, empty"), version, topic.list_offsets(&[(1, timestamp)]));
            let committed =
                ListOffsetsRequest { isolation_level: 1, ..topic.list_offsets(&[(0, timestamp)]) };
            pair.ask(&format!("{case}, committed"), version, committed);
        }
        for epoch in [-1, 0, 1, 9] {
            let mut request = topic.list_offsets(&[(0, -1)]);
            request.topics[0].partitions[0].current_leader_epoch = epoch;
            pair.ask(&format!("leader epoch {epoch}"), version, request);
        }
        pair.ask("a partition twice", version, topic.list_offsets(&[(0, -1), (0, -2), (1, -1)]));
        pair.ask("unknown partition", version, topic.list_offsets(&[(9, -1), (0, -1)]));
        let unknown = Topic::unknown(pair.name("nobody"));
        pair.ask("unknown topic", version, unknown.list_offsets(&[(0, -1)]));
        let illegal = Topic::unknown("no body".to_owned());
        pair.ask("illegal topic", version, illegal.list_offsets(&[(0, -1)]));
        pair.ask("no partition", version, topic.list_offsets(&[]));
        let nothing = ListOffsetsRequest { replica_id: -1, ..ListOffsetsRequest::default() };
        pair.ask("nothing", version, nothing);
    }
    pair.finish();
}

#[test]
fn deleting_records_does_what_kafka_does() {
    let mut pair = needs!(Pair::new("delete records"));
    for version in pair.versions::<DeleteRecordsRequest>() {
        pair.begin(version);
        let topic = filled(&mut pair, "shortened");
        let delete = |name: &str, rows: &[(i32, i64)]| {
            let row = |(partition_index, offset): &(i32, i64)| DeleteRecordsPartition {
                partition_index: *partition_index,
                offset: *offset,
            };
            let partitions = rows.iter().map(row).collect();
            let topics = vec![DeleteRecordsTopic { name: name.to_owned(), partitions }];
            DeleteRecordsRequest { topics, timeout_ms: 30_000 }
        };
        for offset in [0, 3, 7, 2, 21, -2, 10, -1, 20] {
            let case = format!("before {offset}");
            pair.ask(&case, version, delete(&topic.name, &[(0, offset)]));
            pair.ask(&format!("{case}, fetched"), 11, topic.fetch(11, 12));
            let begins = topic.list_offsets(&[(0, -2)]);
            pair.ask(&format!("{case}, listed"), 5, begins);
        }
        pair.ask("unknown partition", version, delete(&topic.name, &[(9, 0), (1, 0)]));
        pair.ask("unknown topic", version, delete(&pair.name("nobody"), &[(0, 0)]));
        pair.ask("no partition", version, delete(&topic.name, &[]));
        pair.tell(11, topic.produce_batch(11, &Batch::numbered(2)));
        pair.ask("produced after it all", 11, topic.fetch(11, 20));
    }
    pair.finish();
}
