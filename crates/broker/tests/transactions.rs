//! Transactions, as raw clients see them: versions 1 and 2, fencing, timeouts, readers, kills.

mod common;

use std::path::Path;
use std::time::{Duration, SystemTime};

use common::Batch;
use common::client::{Client, PATIENCE, fetch_request, produce_request};
use ottla_broker::{Acl, Cluster, ClusterBuilder, ErrorCode, Operation};
use ottla_protocol::messages::add_offsets_to_txn::AddOffsetsToTxnRequest;
use ottla_protocol::messages::add_partitions_to_txn::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use ottla_protocol::messages::api_versions::ApiVersionsRequest;
use ottla_protocol::messages::end_txn::EndTxnRequest;
use ottla_protocol::messages::fetch::{FetchRequest, FetchResponse, PartitionData};
use ottla_protocol::messages::find_coordinator::FindCoordinatorRequest;
use ottla_protocol::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use ottla_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use ottla_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
    OffsetFetchResponsePartitions,
};
use ottla_protocol::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use ottla_protocol::record::validate_batch;

const TOPIC: &str = "t";
const ID: &str = "tx";
const GROUP: &str = "g";
const MINUTE_MS: i32 = 60_000;

/// The version of transactions that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

use Version::{One, Two};

/// Markers have the time of the broker, and records much older than that are in other segments.
fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.expect("a time after 1970").as_millis() as i64
}

/// A producer with a transactional id, without any logic of its own.
struct Producer {
    client: Client,
    version: Version,
    id: i64,
    epoch: i16,
    /// The next sequence in each of four partitions.
    sequences: [i32; 4],
}

fn init(client: &mut Client, timeout_ms: i32, known: (i64, i16)) -> InitProducerIdResponse {
    let request = InitProducerIdRequest {
        transactional_id: Some(ID.to_owned()),
        transaction_timeout_ms: timeout_ms,
        producer_id: known.0,
        producer_epoch: known.1,
    };
    // What is left of another transaction is aborted first.
    let busy = ErrorCode::CONCURRENT_TRANSACTIONS.0;
    loop {
        let answer = client.call(5, &request);
        if answer.error_code != busy {
            return answer;
        }
    }
}

fn code(code: i16) -> ErrorCode {
    ErrorCode(code)
}

impl Producer {
    fn begin(client: Client, version: Version, timeout_ms: i32) -> Self {
        let mut client = client;
        let answer = init(&mut client, timeout_ms, (-1, -1));
        assert_eq!(code(answer.error_code), ErrorCode::NONE);
        let (id, epoch) = (answer.producer_id, answer.producer_epoch);
        Self { client, version, id, epoch, sequences: [0; 4] }
    }

    fn new(cluster: &Cluster, version: Version) -> Self {
        Self::begin(Client::connect(cluster), version, MINUTE_MS)
    }

    fn add(&mut self, partition: i32) -> ErrorCode {
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: ID.to_owned(),
            v3_and_below_producer_id: self.id,
            v3_and_below_producer_epoch: self.epoch,
            v3_and_below_topics: vec![AddPartitionsToTxnTopic {
                name: TOPIC.to_owned(),
                partitions: vec![partition],
            }],
            ..AddPartitionsToTxnRequest::default()
        };
        let answer = self.client.call(3, &request);
        let partition = &answer.results_by_topic_v3_and_below[0].results_by_partition[0];
        code(partition.partition_error_code)
    }

    fn write(&mut self, partition: i32, count: usize) -> ErrorCode {
        let version = if self.version == Two { 12 } else { 11 };
        let sequence = self.sequences[partition as usize];
        let batch = Batch {
            transactional: true,
            ..Batch::numbered(count).idempotent(self.id, self.epoch, sequence).at(unix_ms())
        };
        let mut request = produce_request(-1, TOPIC, partition, batch.encode());
        request.transactional_id = Some(ID.to_owned());
        let answer = self.client.call(version, &request);
        let answer = code(answer.responses[0].partition_responses[0].error_code);
        if answer == ErrorCode::NONE {
            self.sequences[partition as usize] += count as i32;
        }
        answer
    }

    /// Writes as a client of its version does.
    fn send(&mut self, partition: i32, count: usize) {
        if self.version == One {
            assert_eq!(self.add(partition), ErrorCode::NONE);
        }
        assert_eq!(self.write(partition, count), ErrorCode::NONE);
    }

    fn end(&mut self, committed: bool) -> ErrorCode {
        let request = EndTxnRequest {
            transactional_id: ID.to_owned(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            committed,
        };
        let answer = self.client.call(if self.version == Two { 5 } else { 4 }, &request);
        if self.version == Two && answer.error_code == 0 {
            if self.epoch != answer.producer_epoch {
                self.sequences = [0; 4];
            }
            (self.id, self.epoch) = (answer.producer_id, answer.producer_epoch);
        }
        code(answer.error_code)
    }

    fn commit(&mut self) {
        assert_eq!(self.end(true), ErrorCode::NONE);
    }

    fn abort(&mut self) {
        assert_eq!(self.end(false), ErrorCode::NONE);
    }

    fn commit_offset(&mut self, offset: i64) -> ErrorCode {
        if self.version == One {
            let request = AddOffsetsToTxnRequest {
                transactional_id: ID.to_owned(),
                producer_id: self.id,
                producer_epoch: self.epoch,
                group_id: GROUP.to_owned(),
            };
            assert_eq!(self.client.call(3, &request).error_code, 0);
        }
        self.commit_offset_only(offset)
    }

    fn commit_offset_only(&mut self, offset: i64) -> ErrorCode {
        let request = TxnOffsetCommitRequest {
            transactional_id: ID.to_owned(),
            group_id: GROUP.to_owned(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            topics: vec![TxnOffsetCommitRequestTopic {
                name: TOPIC.to_owned(),
                partitions: vec![TxnOffsetCommitRequestPartition {
                    partition_index: 0,
                    committed_offset: offset,
                    ..TxnOffsetCommitRequestPartition::default()
                }],
            }],
            ..TxnOffsetCommitRequest::default()
        };
        let answer = self.client.call(if self.version == Two { 5 } else { 3 }, &request);
        code(answer.topics[0].partitions[0].error_code)
    }
}

fn committed_request(partition: i32, offset: i64, max_wait_ms: i32) -> FetchRequest {
    FetchRequest { isolation_level: 1, ..fetch_request(TOPIC, partition, offset, max_wait_ms) }
}

fn only(response: FetchResponse) -> PartitionData {
    response.responses.into_iter().next().unwrap().partitions.into_iter().next().unwrap()
}

/// Offsets of records that are not markers.
fn offsets(data: &PartitionData) -> Vec<i64> {
    assert_eq!(code(data.error_code), ErrorCode::NONE);
    let mut rest = &data.records.as_ref().unwrap()[..];
    let mut offsets = Vec::new();
    while !rest.is_empty() {
        let header = validate_batch(rest).unwrap();
        if !header.is_control() {
            offsets.extend(header.base_offset..=header.last_offset());
        }
        rest = &rest[header.size_bytes().unwrap()..];
    }
    offsets
}

/// The offsets that a reader of committed records sees, and those of one who sees everything.
fn read(client: &mut Client, partition: i32) -> (Vec<i64>, Vec<i64>) {
    let data = only(client.call(11, &committed_request(partition, 0, 0)));
    let aborted = data.aborted_transactions.clone().unwrap();
    let mut seen = Vec::new();
    let mut rest = &data.records.as_ref().unwrap()[..];
    let mut open: Vec<i64> = Vec::new();
    while !rest.is_empty() {
        let header = validate_batch(rest).unwrap();
        let begun = aborted.iter().filter(|it| it.first_offset == header.base_offset);
        open.extend(begun.map(|it| it.producer_id));
        if header.is_control() {
            open.retain(|id| *id != header.producer_id);
        } else if !(header.is_transactional() && open.contains(&header.producer_id)) {
            seen.extend(header.base_offset..=header.last_offset());
        }
        rest = &rest[header.size_bytes().unwrap()..];
    }
    let all = only(client.call(11, &fetch_request(TOPIC, partition, 0, 0)));
    assert_eq!(all.aborted_transactions, None);
    (seen, offsets(&all))
}

fn last_offset(client: &mut Client, isolation_level: i8) -> i64 {
    let partitions =
        vec![ListOffsetsPartition { partition_index: 0, current_leader_epoch: -1, timestamp: -1 }];
    let request = ListOffsetsRequest {
        replica_id: -1,
        isolation_level,
        topics: vec![ListOffsetsTopic { name: TOPIC.to_owned(), partitions }],
        ..ListOffsetsRequest::default()
    };
    client.call(5, &request).topics[0].partitions[0].offset
}

fn group_offset(client: &mut Client, require_stable: bool) -> OffsetFetchResponsePartitions {
    let topic = OffsetFetchRequestTopics {
        name: TOPIC.to_owned(),
        partition_indexes: vec![0],
        ..OffsetFetchRequestTopics::default()
    };
    let group = OffsetFetchRequestGroup {
        group_id: GROUP.to_owned(),
        topics: Some(vec![topic]),
        ..OffsetFetchRequestGroup::default()
    };
    let request =
        OffsetFetchRequest { groups: vec![group], require_stable, ..OffsetFetchRequest::default() };
    client.call(8, &request).groups[0].topics[0].partitions[0].clone()
}

fn cluster() -> Cluster {
    Cluster::builder().topic(TOPIC, 2).start().unwrap()
}

#[test]
fn a_commit_shows_the_records_of_all_partitions_and_an_abort_hides_them() {
    for version in [One, Two] {
        let cluster = cluster();
        let mut reader = Client::connect(&cluster);
        let mut producer = Producer::new(&cluster, version);
        producer.send(0, 2);
        producer.send(1, 1);
        for partition in [0, 1] {
            assert_eq!(read(&mut reader, partition).0, Vec::<i64>::new(), "{version:?}");
        }
        assert_eq!(read(&mut reader, 0).1, [0, 1]);
        producer.commit();
        assert_eq!(read(&mut reader, 0), (vec![0, 1], vec![0, 1]));
        assert_eq!(read(&mut reader, 1), (vec![0], vec![0]));
        producer.send(0, 2);
        producer.abort();
        assert_eq!(read(&mut reader, 0), (vec![0, 1], vec![0, 1, 3, 4]));
        producer.send(0, 1);
        producer.commit();
        assert_eq!(read(&mut reader, 0), (vec![0, 1, 6], vec![0, 1, 3, 4, 6]));
    }
}

#[test]
fn an_open_transaction_holds_the_last_stable_offset() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    client.produce(TOPIC, 0, &Batch::numbered(3));
    let mut producer = Producer::new(&cluster, Two);
    producer.send(0, 1);
    client.produce(TOPIC, 0, &Batch::numbered(2));
    assert_eq!((last_offset(&mut client, 1), last_offset(&mut client, 0)), (3, 6));
    let data = only(client.call(11, &fetch_request(TOPIC, 0, 0, 0)));
    assert_eq!((data.last_stable_offset, data.high_watermark), (3, 6));
    producer.commit();
    assert_eq!((last_offset(&mut client, 1), last_offset(&mut client, 0)), (7, 7));
}

#[test]
fn who_waits_for_committed_records_is_woken_by_the_marker_and_not_before() {
    for is_commit in [true, false] {
        let cluster = cluster();
        let mut producer = Producer::new(&cluster, Two);
        let mut reader = Client::connect(&cluster);
        let id = reader.send(11, &committed_request(0, 0, 20_000));
        producer.send(0, 4);
        assert!(reader.hears_nothing());
        assert_eq!(producer.end(is_commit), ErrorCode::NONE);
        let data = only(reader.receive::<FetchRequest>(11, id));
        assert_eq!(offsets(&data), [0, 1, 2, 3]);
        let aborted: Vec<i64> =
            data.aborted_transactions.unwrap().iter().map(|it| it.first_offset).collect();
        assert_eq!(aborted, if is_commit { vec![] } else { vec![0] });
    }
}

#[test]
fn a_second_producer_fences_the_first_and_aborts_what_it_left_open() {
    for version in [One, Two] {
        let cluster = cluster();
        let mut first = Producer::new(&cluster, version);
        first.send(0, 2);
        let mut second = Producer::new(&cluster, version);
        assert_eq!(second.id, first.id);
        assert!(second.epoch > first.epoch);
        assert_eq!(first.write(0, 1), ErrorCode::INVALID_PRODUCER_EPOCH, "{version:?}");
        assert_eq!(first.end(true), ErrorCode::PRODUCER_FENCED);
        if version == One {
            assert_eq!(first.add(1), ErrorCode::PRODUCER_FENCED);
        }
        second.send(0, 1);
        second.commit();
        assert_eq!(read(&mut Client::connect(&cluster), 0).0, [3]);
        let fenced = init(&mut first.client, MINUTE_MS, (first.id, first.epoch));
        assert_eq!(code(fenced.error_code), ErrorCode::PRODUCER_FENCED);
    }
}

#[test]
fn older_clients_hear_of_fencing_by_an_older_code() {
    let cluster = cluster();
    let mut first = Producer::new(&cluster, One);
    let _second = Producer::new(&cluster, One);
    let end = EndTxnRequest {
        transactional_id: ID.to_owned(),
        producer_id: first.id,
        producer_epoch: first.epoch,
        committed: true,
    };
    let answer = first.client.call(1, &end);
    assert_eq!(code(answer.error_code), ErrorCode::INVALID_PRODUCER_EPOCH);
    let request = InitProducerIdRequest {
        transactional_id: Some(ID.to_owned()),
        transaction_timeout_ms: MINUTE_MS,
        producer_id: first.id,
        producer_epoch: first.epoch,
    };
    let answer = first.client.call(3, &request);
    assert_eq!(code(answer.error_code), ErrorCode::INVALID_PRODUCER_EPOCH);
}

#[test]
fn a_producer_that_says_who_it_is_gets_the_next_epoch_and_the_same_one_when_it_asks_again() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let first = init(&mut client, MINUTE_MS, (-1, -1));
    let next = init(&mut client, MINUTE_MS, (first.producer_id, first.producer_epoch));
    assert_eq!((next.producer_id, next.producer_epoch), (first.producer_id, 1));
    let again = init(&mut client, MINUTE_MS, (first.producer_id, first.producer_epoch));
    assert_eq!((code(again.error_code), again.producer_epoch), (ErrorCode::NONE, 1));
    let other = init(&mut client, MINUTE_MS, (first.producer_id + 1, 0));
    assert_eq!(code(other.error_code), ErrorCode::PRODUCER_FENCED);
}

#[test]
fn a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced() {
    for version in [One, Two] {
        let cluster = cluster();
        let mut producer = Producer::begin(Client::connect(&cluster), version, 50);
        producer.send(0, 2);
        let mut reader = Client::connect(&cluster);
        let data = only(reader.call(11, &committed_request(0, 0, 20_000)));
        assert_eq!(data.aborted_transactions.unwrap().len(), 1);
        assert_eq!(producer.write(0, 1), ErrorCode::INVALID_PRODUCER_EPOCH, "{version:?}");
        assert_eq!(producer.end(true), ErrorCode::PRODUCER_FENCED);
        assert_eq!(producer.end(false), ErrorCode::PRODUCER_FENCED);
    }
}

#[test]
fn a_timeout_that_is_longer_than_the_broker_allows_is_refused() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    for (timeout_ms, expected) in [
        (0, ErrorCode::INVALID_TRANSACTION_TIMEOUT),
        (15 * MINUTE_MS + 1, ErrorCode::INVALID_TRANSACTION_TIMEOUT),
        (15 * MINUTE_MS, ErrorCode::NONE),
    ] {
        assert_eq!(code(init(&mut client, timeout_ms, (-1, -1)).error_code), expected);
    }
}

#[test]
fn a_batch_needs_a_transaction_that_knows_its_partition() {
    let cluster = cluster();
    let mut producer = Producer::new(&cluster, One);
    // Produce 11 knows the word, 10 does not.
    assert_eq!(producer.write(0, 1), ErrorCode::TRANSACTION_ABORTABLE);
    assert_eq!(producer.add(0), ErrorCode::NONE);
    assert_eq!(producer.write(1, 1), ErrorCode::TRANSACTION_ABORTABLE);
    let batch =
        |id, epoch| Batch { transactional: true, ..Batch::numbered(1).idempotent(id, epoch, 0) };
    let mut send = |version, name: Option<&str>, id, epoch| {
        let mut request = produce_request(-1, TOPIC, 1, batch(id, epoch).encode());
        request.transactional_id = name.map(str::to_owned);
        let answer = producer.client.call(version, &request);
        code(answer.responses[0].partition_responses[0].error_code)
    };
    let (id, epoch) = (producer.id, producer.epoch);
    assert_eq!(send(10, Some(ID), id, epoch), ErrorCode::INVALID_TXN_STATE);
    assert_eq!(send(10, None, id, epoch), ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    for version in [10, 12] {
        let unknown = ErrorCode::INVALID_PRODUCER_ID_MAPPING;
        assert_eq!(send(version, Some(ID), id + 1, epoch), unknown);
        assert_eq!(send(version, Some("other"), id, epoch), unknown);
        let fenced = ErrorCode::INVALID_PRODUCER_EPOCH;
        assert_eq!(send(version, Some(ID), id, epoch + 1), fenced);
    }
    assert_eq!(cluster.log_end_offset(TOPIC, 1), Some(0));
    assert_eq!(producer.write(0, 1), ErrorCode::NONE);
}

#[test]
fn an_end_that_is_asked_for_again_is_answered_alike() {
    for (version, is_commit) in [(One, true), (One, false), (Two, true), (Two, false)] {
        let cluster = cluster();
        let mut producer = Producer::new(&cluster, version);
        assert_eq!(producer.end(true), ErrorCode::INVALID_TXN_STATE);
        producer.send(0, 1);
        let before = producer.epoch;
        assert_eq!(producer.end(is_commit), ErrorCode::NONE);
        let after = producer.epoch;
        assert_eq!(after - before, if version == Two { 1 } else { 0 });
        producer.epoch = before;
        assert_eq!(producer.end(is_commit), ErrorCode::NONE);
        assert_eq!(producer.epoch, after, "{version:?} {is_commit}");
        producer.epoch = before;
        assert_eq!(producer.end(!is_commit), ErrorCode::INVALID_TXN_STATE);
        assert_eq!(cluster.log_end_offset(TOPIC, 0), Some(2));
    }
}

#[test]
fn an_abort_of_nothing_still_brings_the_next_epoch() {
    let cluster = cluster();
    let mut producer = Producer::new(&cluster, Two);
    for expected in 1..4 {
        producer.abort();
        assert_eq!(producer.epoch, expected);
    }
    producer.send(0, 1);
    producer.commit();
    assert_eq!(read(&mut Client::connect(&cluster), 0).0, [0]);
}

#[test]
fn offsets_come_to_the_group_with_the_commit() {
    for version in [One, Two] {
        let cluster = cluster();
        let mut client = Client::connect(&cluster);
        let mut producer = Producer::new(&cluster, version);
        assert_eq!(producer.commit_offset(7), ErrorCode::NONE);
        assert_eq!(group_offset(&mut client, false).committed_offset, -1);
        let unstable = group_offset(&mut client, true);
        assert_eq!(code(unstable.error_code), ErrorCode::UNSTABLE_OFFSET_COMMIT);
        producer.commit();
        let stable = group_offset(&mut client, true);
        assert_eq!((stable.error_code, stable.committed_offset), (0, 7), "{version:?}");
        assert_eq!(producer.commit_offset(9), ErrorCode::NONE);
        producer.abort();
        assert_eq!(group_offset(&mut client, true).committed_offset, 7);
    }
}

#[test]
fn offsets_need_a_group_that_the_transaction_knows() {
    let cluster = cluster();
    let mut producer = Producer::new(&cluster, One);
    assert_eq!(producer.commit_offset_only(1), ErrorCode::INVALID_TXN_STATE);
    producer.epoch += 1;
    assert_eq!(producer.commit_offset_only(1), ErrorCode::INVALID_PRODUCER_EPOCH);
}

#[test]
fn who_may_not_write_to_an_id_gets_nothing_of_it() {
    let cluster = cluster();
    let mut producer = Producer::new(&cluster, One);
    producer.send(0, 1);
    cluster.deny(Acl::transactional_id(ID).operation(Operation::Write));
    let refused = ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    assert_eq!(producer.add(1), refused);
    assert_eq!(producer.write(0, 1), refused);
    assert_eq!(producer.commit_offset_only(1), refused);
    assert_eq!(producer.end(true), refused);
    let answer = init(&mut Client::connect(&cluster), MINUTE_MS, (-1, -1));
    assert_eq!(code(answer.error_code), refused);
    let key = FindCoordinatorRequest { key: ID.to_owned(), key_type: 1, ..Default::default() };
    assert_eq!(producer.client.call(3, &key).error_code, 0);
    cluster.deny(Acl::transactional_id(ID));
    assert_eq!(code(producer.client.call(3, &key).error_code), refused);
}

#[test]
fn partitions_are_added_all_or_none() {
    let cluster = cluster();
    let mut producer = Producer::new(&cluster, One);
    let topic = |name: &str| AddPartitionsToTxnTopic { name: name.to_owned(), partitions: vec![0] };
    let request = AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: ID.to_owned(),
        v3_and_below_producer_id: producer.id,
        v3_and_below_producer_epoch: producer.epoch,
        v3_and_below_topics: vec![topic(TOPIC), topic("none")],
        ..AddPartitionsToTxnRequest::default()
    };
    let answer = producer.client.call(3, &request).results_by_topic_v3_and_below;
    let codes: Vec<_> = answer
        .iter()
        .map(|topic| code(topic.results_by_partition[0].partition_error_code))
        .collect();
    let expected = [ErrorCode::OPERATION_NOT_ATTEMPTED, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION];
    assert_eq!(codes, expected);
    assert_eq!(producer.write(0, 1), ErrorCode::TRANSACTION_ABORTABLE);
}

#[test]
fn brokers_may_ask_whether_a_partition_is_part_of_a_transaction() {
    let cluster = cluster();
    let mut producer = Producer::new(&cluster, One);
    assert_eq!(producer.add(0), ErrorCode::NONE);
    let mut verify = |partition| {
        let request = AddPartitionsToTxnRequest {
            transactions: vec![AddPartitionsToTxnTransaction {
                transactional_id: ID.to_owned(),
                producer_id: producer.id,
                producer_epoch: producer.epoch,
                verify_only: true,
                topics: vec![AddPartitionsToTxnTopic {
                    name: TOPIC.to_owned(),
                    partitions: vec![partition],
                }],
            }],
            ..AddPartitionsToTxnRequest::default()
        };
        let answer = producer.client.call(5, &request);
        let topic = &answer.results_by_transaction[0].topic_results[0];
        code(topic.results_by_partition[0].partition_error_code)
    };
    assert_eq!(verify(0), ErrorCode::NONE);
    assert_eq!(verify(1), ErrorCode::TRANSACTION_ABORTABLE);
}

#[test]
fn clients_are_told_that_transactions_have_version_2() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let request = ApiVersionsRequest {
        client_software_name: "raw".into(),
        client_software_version: "1".into(),
    };
    for version in 0..=4 {
        let answer = client.call(version, &request);
        let mut finalized = answer.finalized_features.iter();
        let level = finalized.find(|feature| feature.name == "transaction.version");
        let expected = (version >= 3).then_some(2);
        assert_eq!(level.map(|feature| feature.max_version_level), expected);
        let mut supported = answer.supported_features.iter();
        assert_eq!(supported.any(|feature| feature.name == "transaction.version"), version >= 4);
    }
}

fn restart(cluster: Cluster, kill: bool, dir: &Path) -> Cluster {
    if kill {
        cluster.kill()
    } else {
        cluster.stop()
    }
    Cluster::builder().data_dir(dir).topic(TOPIC, 2).start().unwrap()
}

#[test]
fn an_open_transaction_goes_on_after_a_restart() {
    for (version, kill) in [(One, false), (One, true), (Two, false), (Two, true)] {
        let dir = tempfile::tempdir().unwrap();
        let cluster = Cluster::builder().data_dir(dir.path()).topic(TOPIC, 2).start().unwrap();
        let mut producer = Producer::new(&cluster, version);
        producer.send(0, 1);
        assert_eq!(producer.commit_offset(5), ErrorCode::NONE);
        let cluster = restart(cluster, kill, dir.path());
        let mut client = Client::connect(&cluster);
        assert_eq!(read(&mut client, 0).0, Vec::<i64>::new());
        assert_eq!(
            code(group_offset(&mut client, true).error_code),
            ErrorCode::UNSTABLE_OFFSET_COMMIT
        );
        producer.client = Client::connect(&cluster);
        producer.send(1, 1);
        producer.commit();
        assert_eq!(read(&mut client, 0).0, [0]);
        assert_eq!(read(&mut client, 1).0, [0]);
        assert_eq!(group_offset(&mut client, true).committed_offset, 5);

        let cluster = restart(cluster, kill, dir.path());
        let mut client = Client::connect(&cluster);
        assert_eq!(read(&mut client, 0).0, [0]);
        assert_eq!(cluster.log_end_offset(TOPIC, 0), Some(2));
        assert_eq!(group_offset(&mut client, true).committed_offset, 5);
        let next = Producer::new(&cluster, version);
        assert_eq!((next.id, next.epoch), (producer.id, producer.epoch + 1));
    }
}

#[test]
fn a_transaction_whose_time_is_up_while_nothing_runs_is_aborted_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::builder().data_dir(dir.path()).topic(TOPIC, 2).start().unwrap();
    let mut producer = Producer::begin(Client::connect(&cluster), Two, 200);
    producer.send(0, 1);
    let cluster = restart(cluster, true, dir.path());
    let mut reader = Client::connect(&cluster);
    let data = only(reader.call(11, &committed_request(0, 0, 20_000)));
    assert_eq!(data.aborted_transactions.unwrap().len(), 1);
}

fn three() -> ClusterBuilder {
    Cluster::builder()
        .nodes(3)
        .topic_replicated(TOPIC, 2, 3)
        .node_session_timeout(Duration::from_millis(50))
}

fn client_of(cluster: &Cluster, node: i32) -> Client {
    Client::connect_to(&cluster.addresses()[node as usize - 1].to_string())
}

fn leader(cluster: &Cluster) -> i32 {
    cluster.partition(TOPIC, 0).and_then(|state| state.leader).expect("a leader")
}

fn coordinator(cluster: &Cluster) -> i32 {
    let mut client = client_of(cluster, leader(cluster));
    let key = FindCoordinatorRequest { key: ID.to_owned(), key_type: 1, ..Default::default() };
    client.call(3, &key).node_id
}

/// Has the leader of partition 0 be another node than the coordinator, or the same.
fn lead_from(cluster: &Cluster, node: i32) {
    cluster.move_leader(TOPIC, 0, node).unwrap();
    assert!(cluster.wait_until_in_sync(PATIENCE));
}

/// What a client of three nodes does: Produce to the leader, everything else to the coordinator.
struct Spread {
    coordinated: Producer,
    leader: Client,
}

impl Spread {
    fn new(cluster: &Cluster) -> Self {
        let coordinated = Producer::begin(client_of(cluster, coordinator(cluster)), Two, MINUTE_MS);
        Self { coordinated, leader: client_of(cluster, leader(cluster)) }
    }

    fn write(&mut self) -> ErrorCode {
        std::mem::swap(&mut self.coordinated.client, &mut self.leader);
        let answer = self.coordinated.write(0, 1);
        std::mem::swap(&mut self.coordinated.client, &mut self.leader);
        answer
    }

    /// Writes, as often as it takes.
    fn send(&mut self) {
        loop {
            match self.write() {
                ErrorCode::NONE => return,
                ErrorCode::CONCURRENT_TRANSACTIONS | ErrorCode::NOT_ENOUGH_REPLICAS => {}
                other => panic!("{other}"),
            }
        }
    }
}

fn other_than(cluster: &Cluster, nodes: &[i32]) -> i32 {
    cluster.node_ids().into_iter().find(|node| !nodes.contains(node)).expect("another node")
}

/// Waits until everything in partition 0 is for readers of committed records.
fn wait_for_committed(cluster: &Cluster, offset: i64) -> PartitionData {
    let mut reader = client_of(cluster, leader(cluster));
    only(reader.call(11, &committed_request(0, offset, 20_000)))
}

#[test]
fn a_request_to_another_node_than_the_coordinator_is_sent_away() {
    let cluster = three().start().unwrap();
    let elsewhere = other_than(&cluster, &[coordinator(&cluster)]);
    let mut client = client_of(&cluster, elsewhere);
    let answer = init(&mut client, MINUTE_MS, (-1, -1));
    assert_eq!(code(answer.error_code), ErrorCode::NOT_COORDINATOR);
}

#[test]
fn a_marker_counts_once_it_is_replicated() {
    let cluster = three().start().unwrap();
    lead_from(&cluster, coordinator(&cluster));
    let mut producer = Spread::new(&cluster);
    producer.send();
    let follower = other_than(&cluster, &[leader(&cluster)]);
    cluster.hold_replication(follower, true).unwrap();
    producer.coordinated.commit();
    let held = only(producer.leader.call(11, &committed_request(0, 0, 0)));
    assert_eq!((offsets(&held), held.last_stable_offset), (vec![], 0));
    assert_eq!(producer.write(), ErrorCode::CONCURRENT_TRANSACTIONS);
    cluster.hold_replication(follower, false).unwrap();
    assert_eq!(offsets(&wait_for_committed(&cluster, 0)), [0]);
    producer.send();
    producer.coordinated.commit();
    assert_eq!(offsets(&wait_for_committed(&cluster, 2)), [2]);
}

#[test]
fn a_marker_that_is_lost_with_its_leader_is_written_again_by_the_next() {
    let cluster = three().start().unwrap();
    let coordinator = coordinator(&cluster);
    let old = other_than(&cluster, &[coordinator]);
    lead_from(&cluster, old);
    let mut producer = Spread::new(&cluster);
    producer.send();
    for node in cluster.node_ids() {
        cluster.hold_replication(node, true).unwrap();
    }
    producer.coordinated.commit();
    assert_eq!(cluster.log_end_offset_on(old, TOPIC, 0), Some(2));
    cluster.kill_node(old).unwrap();
    for node in cluster.node_ids() {
        cluster.hold_replication(node, false).unwrap();
    }
    let moved = |state: &ottla_broker::PartitionState| state.leader.is_some_and(|now| now != old);
    assert!(cluster.wait_for_partition(TOPIC, 0, PATIENCE, moved));
    assert_eq!(offsets(&wait_for_committed(&cluster, 0)), [0]);
    cluster.start_node(old).unwrap();
    assert!(cluster.wait_until_in_sync(PATIENCE));
    for node in cluster.node_ids() {
        assert_eq!(cluster.log_end_offset_on(node, TOPIC, 0), Some(2));
    }
    producer.leader = client_of(&cluster, leader(&cluster));
    producer.send();
    producer.coordinated.abort();
    let data = wait_for_committed(&cluster, 2);
    assert_eq!(data.aborted_transactions.unwrap().len(), 1);
}

#[test]
fn another_node_coordinates_when_one_is_killed() {
    let cluster = three().start().unwrap();
    let old = coordinator(&cluster);
    lead_from(&cluster, other_than(&cluster, &[old]));
    let mut producer = Spread::new(&cluster);
    producer.send();
    cluster.kill_node(old).unwrap();
    // Word of the new coordinator comes once the old one is fenced.
    let fenced = |state: &ottla_broker::PartitionState| !state.in_sync.contains(&old);
    assert!(cluster.wait_for_partition(TOPIC, 0, PATIENCE, fenced));
    let new = coordinator(&cluster);
    assert_ne!(new, old);
    producer.coordinated.client = client_of(&cluster, new);
    producer.coordinated.commit();
    assert_eq!(offsets(&wait_for_committed(&cluster, 0)), [0]);
}

#[test]
fn a_leader_that_does_not_hear_the_coordinator_takes_nothing_of_a_transaction() {
    let cluster = three().start().unwrap();
    let coordinator = coordinator(&cluster);
    let old = other_than(&cluster, &[coordinator]);
    lead_from(&cluster, old);
    let mut producer = Spread::new(&cluster);
    cluster.cut_nodes(old, coordinator).unwrap();
    assert_eq!(producer.write(), ErrorCode::NOT_ENOUGH_REPLICAS);
    cluster.heal();
    producer.send();
    cluster.cut_nodes(old, coordinator).unwrap();
    producer.coordinated.commit();
    let data = only(producer.leader.call(11, &fetch_request(TOPIC, 0, 0, 0)));
    assert_eq!(data.last_stable_offset, 0);
    cluster.heal();
    assert_eq!(offsets(&wait_for_committed(&cluster, 0)), [0]);
}

#[test]
fn a_decided_end_is_finished_after_a_kill_of_the_process() {
    for is_commit in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let cluster = three().data_dir(dir.path()).start().unwrap();
        lead_from(&cluster, coordinator(&cluster));
        let mut producer = Spread::new(&cluster);
        producer.send();
        for node in cluster.node_ids() {
            cluster.hold_replication(node, true).unwrap();
        }
        assert_eq!(producer.coordinated.end(is_commit), ErrorCode::NONE);
        assert_eq!(producer.write(), ErrorCode::CONCURRENT_TRANSACTIONS);
        cluster.kill();
        let cluster = three().data_dir(dir.path()).start().unwrap();
        let data = wait_for_committed(&cluster, 0);
        assert_eq!(offsets(&data), [0]);
        assert_eq!(data.aborted_transactions.unwrap().is_empty(), is_commit);
        producer.coordinated.client = client_of(&cluster, coordinator(&cluster));
        producer.leader = client_of(&cluster, leader(&cluster));
        producer.send();
        producer.coordinated.commit();
        assert!(cluster.wait_until_in_sync(PATIENCE));
    }
}
