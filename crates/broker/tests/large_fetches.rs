//! Answers whose records go from their files to the socket by themselves.

mod common;

use common::Batch;
use common::client::{Client, PATIENCE, fetch_request};
use ottla_broker::{ApiKey, Cluster, ErrorCode, Fault, SeenRequest};
use ottla_protocol::messages::delete_topics::DeleteTopicsRequest;
use ottla_protocol::messages::fetch::{FetchPartition, FetchRequest, FetchResponse};
use ottla_protocol::record::validate_batch;

const PARTITIONS: i32 = 3;
const MIB: usize = 1024 * 1024;
/// Of one record in a batch of its own.
const VALUE_BYTES: usize = 100_000;

/// A cluster whose partitions have so many large batches each.
fn cluster_with(batches: usize) -> (Cluster, Client) {
    let cluster = Cluster::builder().topic("t", PARTITIONS).start().expect("starts");
    let mut client = Client::connect(&cluster);
    for partition in 0..PARTITIONS {
        for index in 0..batches {
            let value = vec![(partition as usize * 50 + index) as u8; VALUE_BYTES];
            let answer = client.produce("t", partition, &Batch::of([value]));
            assert_eq!(answer.error_code, 0);
        }
    }
    (cluster, client)
}

/// Asks for all partitions from an offset on.
fn ask_for_all(offset: i64, partition_max_bytes: usize, max_bytes: usize) -> FetchRequest {
    let mut request = fetch_request("t", 0, offset, 0);
    request.max_bytes = max_bytes as i32;
    let partition = |partition| FetchPartition {
        partition,
        fetch_offset: offset,
        partition_max_bytes: partition_max_bytes as i32,
        ..FetchPartition::default()
    };
    request.topics[0].partitions = (0..PARTITIONS).map(partition).collect();
    request
}

/// The base offsets of the batches of each partition; all of them must be whole, and nothing else
/// may come.
fn offsets(answer: &FetchResponse) -> Vec<Vec<i64>> {
    let of = |bytes: &[u8]| {
        let (mut offsets, mut rest) = (Vec::new(), bytes);
        while !rest.is_empty() {
            let header = validate_batch(rest).expect("a whole batch");
            offsets.push(header.base_offset);
            rest = &rest[header.size_bytes().unwrap()..];
        }
        offsets
    };
    let partitions = &answer.responses[0].partitions;
    partitions.iter().map(|partition| of(partition.records.as_deref().unwrap())).collect()
}

#[test]
fn whole_batches_come_of_several_partitions_as_far_as_the_limits_allow() {
    let (_cluster, mut client) = cluster_with(5);
    let mut fetch = |offset, partition_max, max| {
        offsets(&client.call(11, &ask_for_all(offset, partition_max, max)))
    };
    assert_eq!(fetch(0, MIB, 10 * MIB), vec![vec![0, 1, 2, 3, 4]; 3]);
    assert_eq!(fetch(3, MIB, 10 * MIB), vec![vec![3, 4]; 3]);
    // Two and a half batches, two of a limit for all, and the one that comes in any case.
    assert_eq!(fetch(0, 250_000, 10 * MIB), vec![vec![0, 1]; 3]);
    assert_eq!(fetch(2, MIB, 750_000), [vec![2, 3, 4], vec![2, 3, 4], vec![2]]);
    assert_eq!(fetch(1, 1000, 10 * MIB), [vec![1], vec![], vec![]]);
    assert_eq!(fetch(5, MIB, 10 * MIB), vec![Vec::<i64>::new(); 3]);
}

#[test]
fn readers_that_follow_each_other_see_the_same_however_the_log_grows_between() {
    let (_cluster, mut client) = cluster_with(1);
    for end in 1..20 {
        for from in 0..end {
            let answer = client.call(11, &ask_for_all(from, 10 * MIB, 40 * MIB));
            assert_eq!(offsets(&answer)[0], (from..end).collect::<Vec<_>>(), "{from}..{end}");
        }
        client.produce("t", 0, &Batch::of([vec![end as u8; VALUE_BYTES]]));
    }
}

#[test]
fn answers_to_requests_that_come_together_keep_their_order() {
    let (_cluster, mut client) = cluster_with(5);
    let ids: Vec<i32> =
        [0, 4, 5, 2].map(|offset| client.send(11, &ask_for_all(offset, MIB, 10 * MIB))).to_vec();
    let first = [0, 4, 5, 2].map(|offset| (offset..5).collect::<Vec<i64>>());
    for (id, expected) in ids.into_iter().zip(first) {
        let answer = client.receive::<FetchRequest>(11, id);
        assert_eq!(offsets(&answer), vec![expected; 3]);
    }
}

/// What is on its way has been promised: the file stays until it has left.
#[test]
fn records_that_are_on_their_way_come_whole_though_their_topic_is_deleted() {
    // More than sockets hold.
    let (cluster, mut client) = cluster_with(200);
    let id = client.send(11, &ask_for_all(0, 50 * MIB, 50 * MIB));
    let mut other = Client::connect(&cluster);
    let is_asked = |seen: &[SeenRequest]| seen.iter().any(|request| request.api == ApiKey::FETCH);
    assert!(cluster.wait_for_requests(PATIENCE, is_asked));
    let delete = DeleteTopicsRequest {
        topic_names: vec!["t".to_owned()],
        timeout_ms: 10_000,
        ..DeleteTopicsRequest::default()
    };
    assert_eq!(other.call(5, &delete).responses[0].error_code, 0);
    let answer = client.receive::<FetchRequest>(11, id);
    assert_eq!(offsets(&answer)[..2], vec![(0..200).collect::<Vec<i64>>(); 2]);
    let gone = other.fetch("t", 0, 0, 0).responses[0].partitions[0].error_code;
    assert_eq!(gone, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0);
}

#[test]
fn a_fault_that_spoils_answers_spoils_records_as_well() {
    let (cluster, mut client) = cluster_with(3);
    let whole = client.call(11, &ask_for_all(0, MIB, 10 * MIB));
    cluster.inject(Fault::on(ApiKey::FETCH).flip_bits(5));
    let id = client.send(11, &ask_for_all(0, MIB, 10 * MIB));
    let spoilt = client.frame().expect("an answer");
    let again = client.send(11, &ask_for_all(0, MIB, 10 * MIB));
    let right = client.frame().expect("an answer");
    assert_eq!(spoilt.len(), right.len());
    let flipped = |at: usize| (spoilt[at] ^ right[at]).count_ones();
    // The id of the request differs by itself.
    let bits: u32 = (4..right.len()).map(flipped).sum();
    assert!((1..=5).contains(&bits), "{bits} bits differ for requests {id} and {again}");
    assert_eq!(offsets(&whole), vec![vec![0, 1, 2]; 3]);
}
