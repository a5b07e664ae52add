//! Faults by script, and the log of requests.

mod common;

use std::time::{Duration, Instant};

use common::Batch;
use common::client::{Client, PATIENCE, fetch_request, produce_request};
use ottla_broker::{ApiKey, Cluster, ErrorCode, Fault, RandomFaults};
use ottla_protocol::messages::api_versions::ApiVersionsRequest;
use ottla_protocol::messages::fetch::FetchRequest;
use ottla_protocol::messages::init_producer_id::InitProducerIdRequest;
use ottla_protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use ottla_protocol::messages::produce::{PartitionProduceData, ProduceRequest};
use ottla_protocol::record::CompressionType;

fn cluster() -> Cluster {
    Cluster::builder().topic("t", 2).topic("u", 1).start().expect("starts")
}

#[test]
fn an_error_hits_only_the_partition_that_it_names() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let code = ErrorCode::NOT_LEADER_OR_FOLLOWER;
    cluster.inject(Fault::on(ApiKey::PRODUCE).topic("t").partition(1).times(2).error(code));
    let mut request = produce_request(-1, "t", 0, Batch::numbered(1).encode());
    let second =
        PartitionProduceData { index: 1, records: Some(Batch::numbered(1).encode().into()) };
    request.topic_data[0].partition_data.push(second);
    for expected in [code.0, code.0, 0] {
        assert_eq!(client.produce("u", 0, &Batch::numbered(1)).error_code, 0);
        let response = client.call(9, &request);
        let partitions = &response.responses[0].partition_responses;
        assert_eq!((partitions[0].error_code, partitions[1].error_code), (0, expected));
    }
    assert_eq!(cluster.log_end_offset("t", 0), Some(3));
    assert_eq!(cluster.log_end_offset("t", 1), Some(1));
    assert_eq!(cluster.pending_faults(), 0);
}

#[test]
fn an_error_after_apply_leaves_the_batch_in_the_log() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let code = ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND;
    cluster.inject(Fault::on(ApiKey::PRODUCE).error_after_apply(code));
    let batch = Batch::numbered(2).idempotent(4, 0, 0);
    assert_eq!(client.produce("t", 0, &batch).error_code, code.0);
    assert_eq!(cluster.log_end_offset("t", 0), Some(2));
    let again = client.produce("t", 0, &batch);
    assert_eq!((again.error_code, again.base_offset), (0, 0));
    assert_eq!(cluster.log_end_offset("t", 0), Some(2));
}

#[test]
fn a_lost_request_is_not_served_and_the_connection_is_deaf() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    cluster.inject(Fault::on(ApiKey::PRODUCE).drop_request());
    client.send(9, &produce_request(-1, "t", 0, Batch::numbered(2).encode()));
    client.send(9, &produce_request(-1, "t", 0, Batch::numbered(2).encode()));
    assert!(client.hears_nothing());
    assert_eq!(cluster.log_end_offset("t", 0), Some(0));
    assert_eq!(Client::connect(&cluster).produce("t", 0, &Batch::numbered(1)).base_offset, 0);
}

#[test]
fn a_lost_answer_is_served_and_the_connection_is_mute() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    cluster.inject(Fault::on(ApiKey::PRODUCE).drop_response());
    client.send(9, &produce_request(-1, "t", 0, Batch::numbered(2).encode()));
    client.send(9, &produce_request(-1, "t", 0, Batch::numbered(2).encode()));
    assert!(client.hears_nothing());
    assert_eq!(cluster.log_end_offset("t", 0), Some(4));
}

#[test]
fn a_connection_can_close_before_or_after_serving() {
    let cluster = cluster();
    for (fault, end) in [
        (Fault::on(ApiKey::PRODUCE).disconnect(), 0),
        (Fault::on(ApiKey::PRODUCE).disconnect_after_apply(), 2),
    ] {
        cluster.inject(fault);
        let mut client = Client::connect(&cluster);
        client.send(9, &produce_request(-1, "t", 0, Batch::numbered(2).encode()));
        assert!(client.is_closed_by_broker());
        assert_eq!(cluster.log_end_offset("t", 0), Some(end));
    }
}

#[test]
fn a_delayed_answer_comes_later_and_holds_up_its_connection_only() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let delay = Duration::from_millis(150);
    cluster.inject(Fault::on(ApiKey::PRODUCE).delay(delay));
    let started = Instant::now();
    let slow = client.send(9, &produce_request(-1, "t", 0, Batch::numbered(2).encode()));
    let next = client.send(0, &ApiVersionsRequest::default());
    assert_eq!(Client::connect(&cluster).produce("t", 1, &Batch::numbered(1)).error_code, 0);
    client.receive::<ProduceRequest>(9, slow);
    assert!(started.elapsed() >= delay);
    client.receive::<ApiVersionsRequest>(0, next);
}

#[test]
fn a_throttled_answer_says_so() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    cluster.inject(Fault::on(ApiKey::PRODUCE).throttle(Duration::from_millis(40)));
    let request = produce_request(-1, "t", 0, Batch::numbered(2).encode());
    let started = Instant::now();
    assert_eq!(client.call(9, &request).throttle_time_ms, 40);
    assert_eq!(client.call(9, &request).throttle_time_ms, 0);
    assert!(started.elapsed() >= Duration::from_millis(40));
}

#[test]
fn faults_work_on_other_apis() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let code = ErrorCode::COORDINATOR_LOAD_IN_PROGRESS;
    cluster.inject(Fault::on(ApiKey::INIT_PRODUCER_ID).error(code));
    let request = InitProducerIdRequest { transactional_id: None, ..Default::default() };
    assert_eq!(client.call(4, &request).error_code, code.0);
    assert_eq!(client.call(4, &request).error_code, 0);

    let code = ErrorCode::LEADER_NOT_AVAILABLE;
    let topic = MetadataRequestTopic { name: Some("t".to_owned()), ..Default::default() };
    let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
    cluster.inject(Fault::on(ApiKey::METADATA).topic("t").error(code));
    assert_eq!(client.call(9, &request).topics[0].error_code, code.0);
    cluster.inject(Fault::on(ApiKey::METADATA).topic("t").partition(1).error(code));
    let topic = client.call(9, &request).topics[0].clone();
    let codes: Vec<i16> = topic.partitions.iter().map(|p| p.error_code).collect();
    assert_eq!((topic.error_code, codes), (0, vec![0, code.0]));

    cluster.inject(Fault::on(ApiKey::FETCH).error(ErrorCode::KAFKA_STORAGE_ERROR));
    let response = client.call(11, &fetch_request("t", 0, 0, 60_000));
    let code = response.responses[0].partitions[0].error_code;
    assert_eq!(code, ErrorCode::KAFKA_STORAGE_ERROR.0);
}

#[test]
fn a_standing_fault_can_be_taken_back() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    cluster.inject(Fault::on_any().client_id("raw").always().error(ErrorCode::REQUEST_TIMED_OUT));
    for _ in 0..3 {
        let code = client.produce("t", 0, &Batch::numbered(1)).error_code;
        assert_eq!(code, ErrorCode::REQUEST_TIMED_OUT.0);
    }
    cluster.clear_faults();
    assert_eq!(client.produce("t", 0, &Batch::numbered(1)).error_code, 0);
}

#[test]
fn the_request_log_tells_what_a_producer_sent() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    client.call(0, &ApiVersionsRequest::default());
    let batch = Batch::numbered(20).idempotent(8, 1, 0).compressed(CompressionType::Lz4);
    let size = batch.encode().len();
    cluster.inject(Fault::on(ApiKey::PRODUCE).throttle(Duration::ZERO));
    client.produce("t", 1, &batch);
    let is_there = |requests: &[ottla_broker::SeenRequest]| requests.len() == 2;
    assert!(cluster.wait_for_requests(PATIENCE, is_there));
    let requests = cluster.requests();
    assert_eq!((requests[0].api, requests[0].version), (ApiKey::API_VERSIONS, 0));
    assert!(!requests[0].met_fault && requests[1].met_fault);
    assert_eq!(requests[1].client_id.as_deref(), Some("raw"));
    let produce = requests[1].produce.as_ref().unwrap();
    assert_eq!(produce.acks, -1);
    let seen = &produce.batches[0];
    assert_eq!((seen.topic.as_str(), seen.partition, seen.size_bytes), ("t", 1, size));
    assert_eq!((seen.record_count, seen.compression), (20, Some(CompressionType::Lz4)));
    assert_eq!((seen.producer_id, seen.producer_epoch, seen.base_sequence), (8, 1, 0));
    cluster.clear_requests();
    assert!(cluster.requests().is_empty());
    let nothing = cluster.wait_for_requests(Duration::from_millis(5), is_there);
    assert!(!nothing);
}

#[test]
fn a_fault_on_a_waiting_fetch_holds_when_it_is_woken() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    cluster.inject(Fault::on(ApiKey::FETCH).delay(Duration::from_millis(30)));
    let id = client.send(11, &fetch_request("t", 0, 0, 60_000));
    let seen = |requests: &[ottla_broker::SeenRequest]| !requests.is_empty();
    assert!(cluster.wait_for_requests(PATIENCE, seen));
    let started = Instant::now();
    Client::connect(&cluster).produce("t", 0, &Batch::numbered(1));
    let response = client.receive::<FetchRequest>(11, id);
    assert!(!response.responses[0].partitions[0].records.as_ref().unwrap().is_empty());
    assert!(started.elapsed() >= Duration::from_millis(30));
}

#[test]
fn a_cut_answer_ends_its_connection_and_wrong_bits_are_as_many_as_asked_for() {
    let cluster = cluster();
    let ask = |client: &mut Client| client.send(0, &ApiVersionsRequest::default());
    let mut client = Client::connect(&cluster);
    ask(&mut client);
    let whole = client.frame().unwrap();

    cluster.inject(Fault::on(ApiKey::API_VERSIONS).flip_bits(1));
    let mut client = Client::connect(&cluster);
    ask(&mut client);
    let spoilt = client.frame().unwrap();
    let wrong = whole.iter().zip(&spoilt).map(|(one, other)| (one ^ other).count_ones());
    assert_eq!((spoilt.len(), wrong.sum::<u32>()), (whole.len(), 1));

    cluster.inject(Fault::on(ApiKey::API_VERSIONS).cut_answer(6));
    ask(&mut client);
    let mut left = Vec::new();
    std::io::Read::read_to_end(&mut client.stream, &mut left).unwrap();
    let length = (whole.len() as i32).to_be_bytes();
    assert_eq!(left, [&length[..], &[0, 0]].concat());
}

#[test]
fn a_fault_of_a_node_lets_the_others_alone() {
    let cluster = Cluster::builder().nodes(2).topic("t", 1).start().unwrap();
    cluster.inject(Fault::on(ApiKey::API_VERSIONS).node(2).always().disconnect());
    let connect = |node: usize| Client::connect_to(&cluster.addresses()[node - 1].to_string());
    assert!(connect(1).is_served());
    assert!(!connect(2).is_served());
}

#[test]
fn faults_by_chance_begin_and_end_when_told() {
    let cluster = cluster();
    cluster.inject_random(RandomFaults::new(7).one_in(1).api(ApiKey::METADATA));
    let mut client = Client::connect(&cluster);
    let request = MetadataRequest { topics: Some(Vec::new()), ..Default::default() };
    client.send(9, &request);
    let met = |requests: &[ottla_broker::SeenRequest]| requests.iter().any(|one| one.met_fault);
    assert!(cluster.wait_for_requests(PATIENCE, met));
    cluster.clear_faults();
    let mut client = Client::connect(&cluster);
    client.call(9, &request);
    assert!(!cluster.requests().last().unwrap().met_fault);
}

#[test]
fn a_cluster_can_stand_in_for_an_older_one() {
    let cluster = Cluster::builder()
        .max_version(ApiKey::PRODUCE, Some(7))
        .max_version(ApiKey::CONSUMER_GROUP_HEARTBEAT, None)
        .topic("t", 1)
        .start()
        .unwrap();
    let mut client = Client::connect(&cluster);
    let told = client.call(3, &common::client::named_api_versions()).api_keys;
    let of = |key: ApiKey| told.iter().find(|row| row.api_key == key.0);
    assert_eq!(of(ApiKey::PRODUCE).unwrap().max_version, 7);
    assert!(of(ApiKey::CONSUMER_GROUP_HEARTBEAT).is_none());
    assert!(of(ApiKey::FETCH).unwrap().max_version > 7);
    client.send(8, &produce_request(-1, "t", 0, Batch::numbered(1).encode()));
    assert!(client.is_closed_by_broker());
    let answer = Client::connect(&cluster).produce_bytes(7, "t", 0, Batch::numbered(1).encode());
    assert_eq!(answer.error_code, 0);
}
