//! Transactions, as raw clients see them: versions 1 and 2, fencing, timeouts, readers, restarts.

mod common;

use std::path::Path;

use common::Batch;
use common::client::{Client, fetch_request, produce_request};
use common::transactional::{
    ID, MINUTE_MS, One, Producer, TOPIC, Two, cluster, code, committed_request, group_offset, init,
    last_offset, offsets, only, read,
};
use ottla_broker::{Acl, Cluster, ErrorCode, Operation};
use ottla_protocol::messages::add_partitions_to_txn::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use ottla_protocol::messages::api_versions::ApiVersionsRequest;
use ottla_protocol::messages::end_txn::EndTxnRequest;
use ottla_protocol::messages::fetch::FetchRequest;
use ottla_protocol::messages::find_coordinator::FindCoordinatorRequest;
use ottla_protocol::messages::init_producer_id::InitProducerIdRequest;

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
