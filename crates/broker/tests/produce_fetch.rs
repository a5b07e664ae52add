//! Producing and fetching through the TCP door, in every version.

mod common;

use common::client::{Client, PATIENCE, fetch_request, produce_request};
use common::{Batch, NOW_MS};
use ottla_broker::{ApiKey, Cluster};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::fetch::FetchRequest;
use ottla_protocol::messages::init_producer_id::InitProducerIdRequest;
use ottla_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use ottla_protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use ottla_protocol::messages::produce::ProduceRequest;
use ottla_protocol::record::{BatchHeader, CompressionType, validate_batch};
use ottla_protocol::{Message, Uuid};

fn cluster() -> Cluster {
    Cluster::builder().topic("t", 3).start().expect("starts")
}

fn topic_id(client: &mut Client, name: &str) -> Uuid {
    let topic = MetadataRequestTopic { name: Some(name.to_owned()), ..Default::default() };
    let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
    client.call(12, &request).topics[0].topic_id
}

#[test]
fn every_version_of_produce_and_fetch_carries_records() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let id = topic_id(&mut client, "t");
    let mut offset = 0;
    for version in 3..=ProduceRequest::VERSIONS.max {
        let mut request = produce_request(-1, "t", 1, Batch::numbered(2).encode());
        if version >= 13 {
            request.topic_data[0].topic_id = id;
            request.topic_data[0].name = String::new();
        }
        let response = client.call(version, &request);
        let partition = &response.responses[0].partition_responses[0];
        assert_eq!(partition.error_code, 0, "version {version}");
        assert_eq!(partition.base_offset, offset, "version {version}");
        offset += 2;
    }
    for version in 4..=FetchRequest::VERSIONS.max {
        let mut request = fetch_request("t", 1, 0, 0);
        if version >= 13 {
            request.topics[0].topic_id = id;
            request.topics[0].topic = String::new();
        }
        let response = client.call(version, &request);
        let partition = &response.responses[0].partitions[0];
        assert_eq!(partition.error_code, 0, "version {version}");
        assert_eq!(partition.high_watermark, offset, "version {version}");
        let records = partition.records.as_ref().unwrap();
        assert_eq!(validate_batch(records).unwrap().record_count, 2, "version {version}");
    }
}

#[test]
fn a_topic_that_is_not_there_is_named_as_such() {
    let cluster = Cluster::builder().start().unwrap();
    let mut client = Client::connect(&cluster);
    let batch = Batch::numbered(1).encode();
    let answer = client.produce_bytes(12, "nowhere", 0, batch.clone());
    assert_eq!(answer.error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0);
    let mut request = produce_request(1, "", 0, batch);
    request.topic_data[0].topic_id = Uuid([7; 16]);
    let answer = client.call(13, &request);
    let code = answer.responses[0].partition_responses[0].error_code;
    assert_eq!(code, ErrorCode::UNKNOWN_TOPIC_ID.0);

    let fetched = client.fetch("nowhere", 0, 0, 0);
    let code = fetched.responses[0].partitions[0].error_code;
    assert_eq!(code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0);
}

#[test]
fn acks_0_gets_no_answer_and_a_closed_connection_when_it_fails() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    client.send(9, &produce_request(0, "t", 0, Batch::numbered(3).encode()));
    // The answer to the next request is the first that comes.
    let id = client.send(9, &produce_request(1, "t", 0, Batch::numbered(1).encode()));
    let response = client.receive::<ProduceRequest>(9, id);
    assert_eq!(response.responses[0].partition_responses[0].base_offset, 3);

    client.send(9, &produce_request(0, "t", 99, Batch::numbered(3).encode()));
    assert!(client.is_closed_by_broker());
}

#[test]
fn acks_that_do_not_exist_are_refused() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    for acks in [2, -2, i16::MAX] {
        let request = produce_request(acks, "t", 0, Batch::numbered(1).encode());
        let code = client.call(9, &request).responses[0].partition_responses[0].error_code;
        assert_eq!(code, ErrorCode::INVALID_REQUIRED_ACKS.0);
    }
    assert_eq!(cluster.log_end_offset("t", 0), Some(0));
}

#[test]
fn more_in_sync_replicas_than_there_are_cannot_be_wanted() {
    let cluster =
        Cluster::builder().topic_with("t", 1, [("min.insync.replicas", "2")]).start().unwrap();
    let mut client = Client::connect(&cluster);
    assert_eq!(client.produce("t", 0, &Batch::numbered(1)).error_code, 0);
    let fetched = client.fetch("t", 0, 0, 0);
    assert_eq!(fetched.responses[0].partitions[0].high_watermark, 1);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let ids: Vec<i32> = (0..50)
        .map(|_| client.send(9, &produce_request(-1, "t", 0, Batch::numbered(1).encode())))
        .collect();
    for (offset, id) in ids.into_iter().enumerate() {
        let response = client.receive::<ProduceRequest>(9, id);
        let partition = &response.responses[0].partition_responses[0];
        assert_eq!(partition.base_offset, offset as i64);
    }
}

#[test]
fn a_fetch_waits_for_records_and_is_woken_by_them() {
    let cluster = cluster();
    let mut reader = Client::connect(&cluster);
    let id = reader.send(11, &fetch_request("t", 0, 0, 60_000));
    let seen = |requests: &[ottla_broker::SeenRequest]| {
        requests.iter().any(|request| request.api == ApiKey::FETCH)
    };
    assert!(cluster.wait_for_requests(PATIENCE, seen));
    Client::connect(&cluster).produce("t", 0, &Batch::numbered(4));
    let response = reader.receive::<FetchRequest>(11, id);
    let records = response.responses[0].partitions[0].records.clone().unwrap();
    assert_eq!(validate_batch(&records).unwrap().record_count, 4);
}

#[test]
fn a_fetch_with_nothing_to_read_is_answered_when_its_time_is_up() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    for max_wait_ms in [0, 20] {
        let response = client.fetch("t", 0, 0, max_wait_ms);
        let partition = &response.responses[0].partitions[0];
        assert_eq!((partition.error_code, partition.high_watermark), (0, 0));
        assert!(partition.records.as_ref().unwrap().is_empty());
    }
}

#[test]
fn a_fetch_outside_the_log_is_out_of_range_at_once() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    for offset in [-1, 1, i64::MAX] {
        let response = client.fetch("t", 0, offset, 60_000);
        let code = response.responses[0].partitions[0].error_code;
        assert_eq!(code, ErrorCode::OFFSET_OUT_OF_RANGE.0);
    }
}

#[test]
fn a_fetch_knows_old_and_future_leader_epochs() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    for (epoch, code) in [(-1, 0), (0, 0), (5, ErrorCode::UNKNOWN_LEADER_EPOCH.0)] {
        let mut request = fetch_request("t", 0, 0, 0);
        request.topics[0].partitions[0].current_leader_epoch = epoch;
        let response = client.call(11, &request);
        assert_eq!(response.responses[0].partitions[0].error_code, code, "epoch {epoch}");
    }
}

#[test]
fn one_large_batch_comes_even_when_it_is_over_every_limit() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    client.produce("t", 0, &Batch::of([vec![7; 10_000]]));
    client.produce("t", 1, &Batch::of([vec![8; 10_000]]));
    let mut request = fetch_request("t", 0, 0, 0);
    request.max_bytes = 1;
    let mut second = request.topics[0].partitions[0].clone();
    second.partition = 1;
    request.topics[0].partitions.push(second);
    let response = client.call(11, &request);
    let sizes: Vec<usize> = response.responses[0]
        .partitions
        .iter()
        .map(|partition| partition.records.as_ref().unwrap().len())
        .collect();
    assert!(sizes[0] > 10_000 && sizes[1] == 0, "{sizes:?}");
}

#[test]
fn offsets_are_listed_by_kind_and_by_time_in_every_version() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    for index in 0..3 {
        let batch = Batch::numbered(5).at(NOW_MS + index * 100);
        client.produce("t", 0, &batch.compressed(CompressionType::Zstd));
    }
    for version in 1..=ListOffsetsRequest::VERSIONS.max {
        for (timestamp, offset) in [
            (-1, 15),
            (-2, 0),
            (-3, 14),
            (0, 0),
            (NOW_MS + 3, 3),
            (NOW_MS + 5, 5),
            (NOW_MS + 204, 14),
            (NOW_MS + 205, -1),
        ] {
            let partition =
                ListOffsetsPartition { partition_index: 0, current_leader_epoch: -1, timestamp };
            let topic = ListOffsetsTopic { name: "t".to_owned(), partitions: vec![partition] };
            let request = ListOffsetsRequest {
                replica_id: -1,
                topics: vec![topic],
                ..ListOffsetsRequest::default()
            };
            let response = client.call(version, &request);
            let found = &response.topics[0].partitions[0];
            let expected = match (version, timestamp) {
                (..7, -3) => (ErrorCode::UNSUPPORTED_VERSION.0, -1),
                _ => (0, offset),
            };
            assert_eq!((found.error_code, found.offset), expected, "{version} {timestamp}");
        }
    }
}

#[test]
fn producer_ids_are_never_given_twice() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let mut seen = std::collections::HashSet::new();
    for version in 0..=5 {
        for _ in 0..3 {
            let request = InitProducerIdRequest { transactional_id: None, ..Default::default() };
            let response = client.call(version, &request);
            assert_eq!((response.error_code, response.producer_epoch), (0, 0));
            assert!(seen.insert(response.producer_id));
        }
    }
    let request =
        InitProducerIdRequest { transactional_id: Some(String::new()), ..Default::default() };
    assert_eq!(client.call(5, &request).error_code, ErrorCode::INVALID_REQUEST.0);
}

/// Laws: L2, L4. Scenarios: #33.
#[test]
fn a_batch_sent_twice_is_stored_once_and_answered_alike() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    for sequence in [0, 5, 10] {
        client.produce("t", 0, &Batch::numbered(5).idempotent(9, 0, sequence));
    }
    for (sequence, offset) in [(0, 0), (5, 5), (10, 10)] {
        let answer = client.produce("t", 0, &Batch::numbered(5).idempotent(9, 0, sequence));
        assert_eq!((answer.error_code, answer.base_offset), (0, offset));
    }
    let gap = client.produce("t", 0, &Batch::numbered(5).idempotent(9, 0, 20));
    assert_eq!(gap.error_code, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER.0);
    assert!(gap.error_message.unwrap().contains("sequence 14"));
    let late = client.produce("t", 0, &Batch::numbered(5).idempotent(9, 1, 3));
    assert_eq!(late.error_code, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER.0);
    let fresh = client.produce("t", 0, &Batch::numbered(5).idempotent(9, 1, 0));
    assert_eq!((fresh.error_code, fresh.base_offset), (0, 15));
    let stale = client.produce("t", 0, &Batch::numbered(5).idempotent(9, 0, 15));
    assert_eq!(stale.error_code, ErrorCode::INVALID_PRODUCER_EPOCH.0);
    // What one partition knows of a producer is no business of another's.
    let elsewhere = client.produce("t", 1, &Batch::numbered(5).idempotent(9, 0, 77));
    assert_eq!((elsewhere.error_code, elsewhere.base_offset), (0, 0));
}

#[test]
fn batches_reach_the_log_as_they_were_sent() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let mut offset = 0;
    for compression in CompressionType::ALL {
        let sent = Batch::numbered(100).compressed(compression).encode();
        client.produce_bytes(9, "t", 2, sent.clone());
        let fetched = client.fetch("t", 2, offset, 0);
        let records = fetched.responses[0].partitions[0].records.clone().unwrap();
        assert_eq!(records[16..], sent[16..], "{compression}");
        let header = BatchHeader::read(&records).unwrap();
        assert_eq!((header.base_offset, header.partition_leader_epoch), (offset, 0));
        offset += 100;
    }
}

#[test]
fn a_fetch_session_tells_only_what_is_new() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    client.produce("t", 0, &Batch::numbered(2));
    let mut first = fetch_request("t", 0, 0, 0);
    let mut other = first.topics[0].partitions[0].clone();
    other.partition = 1;
    first.topics[0].partitions.push(other);
    first.session_epoch = 0;
    let begun = client.call(11, &first);
    let id = begun.session_id;
    assert!(id > 0);
    assert_eq!(begun.responses[0].partitions.len(), 2);

    // One that has been read to its end is named with its next offset; the other is remembered.
    let mut next = fetch_request("t", 0, 2, 0);
    (next.session_id, next.session_epoch) = (id, 1);
    let quiet = client.call(11, &next);
    assert_eq!((quiet.session_id, quiet.responses.len()), (id, 0));

    client.produce("t", 1, &Batch::numbered(1));
    let mut waits = fetch_request("t", 0, 2, 20_000);
    (waits.session_id, waits.session_epoch) = (id, 2);
    let told = client.call(11, &waits);
    let partitions = &told.responses[0].partitions;
    assert_eq!(partitions.len(), 1);
    assert_eq!((partitions[0].partition_index, partitions[0].high_watermark), (1, 1));

    let stale = client.call(11, &waits);
    assert_eq!(stale.error_code, ErrorCode::INVALID_FETCH_SESSION_EPOCH.0);
    waits.session_id = id + 1;
    let unknown = client.call(11, &waits);
    assert_eq!(unknown.error_code, ErrorCode::FETCH_SESSION_ID_NOT_FOUND.0);
}
