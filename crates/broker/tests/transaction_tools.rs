//! What tools ask about transactions that hang: who has them, since when, and where (KIP-664).

mod common;

use common::Batch;
use common::client::{Client, produce_request};
use ottla_broker::{Acl, ApiKey, Cluster, ErrorCode, Fault, Operation};
use ottla_protocol::messages::add_partitions_to_txn::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnTopic,
};
use ottla_protocol::messages::describe_producers::{
    DescribeProducersRequest, PartitionResponse, TopicRequest,
};
use ottla_protocol::messages::describe_transactions::{
    DescribeTransactionsRequest, TransactionState,
};
use ottla_protocol::messages::end_txn::EndTxnRequest;
use ottla_protocol::messages::find_coordinator::FindCoordinatorRequest;
use ottla_protocol::messages::init_producer_id::InitProducerIdRequest;
use ottla_protocol::messages::list_transactions::{
    ListTransactionsRequest, ListTransactionsResponse,
};
use ottla_protocol::messages::write_txn_markers::{
    WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest,
};

const TIMEOUT_MS: i32 = 60_000;

/// Gets a producer id and epoch for a transactional id.
fn init(client: &mut Client, id: &str) -> (i64, i16) {
    let request = InitProducerIdRequest {
        transactional_id: Some(id.to_owned()),
        transaction_timeout_ms: TIMEOUT_MS,
        ..InitProducerIdRequest::default()
    };
    let answer = client.call(4, &request);
    assert_eq!(answer.error_code, 0);
    (answer.producer_id, answer.producer_epoch)
}

/// Writes a record to a partition as part of a transaction.
fn write(client: &mut Client, id: &str, who: (i64, i16), topic: &str, index: i32) {
    add(client, id, who, topic, index);
    append(client, id, who, topic, index);
}

/// Takes a partition into a transaction.
fn add(client: &mut Client, id: &str, (producer, epoch): (i64, i16), topic: &str, index: i32) {
    let request = AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: id.to_owned(),
        v3_and_below_producer_id: producer,
        v3_and_below_producer_epoch: epoch,
        v3_and_below_topics: vec![AddPartitionsToTxnTopic {
            name: topic.to_owned(),
            partitions: vec![index],
        }],
        ..AddPartitionsToTxnRequest::default()
    };
    let added = &client.call(3, &request).results_by_topic_v3_and_below[0];
    assert_eq!(added.results_by_partition[0].partition_error_code, 0);
}

fn append(client: &mut Client, id: &str, (producer, epoch): (i64, i16), topic: &str, index: i32) {
    let batch = Batch { transactional: true, ..Batch::numbered(2).idempotent(producer, epoch, 0) };
    let mut request = produce_request(-1, topic, index, batch.encode());
    request.transactional_id = Some(id.to_owned());
    let answer = client.call(11, &request);
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
}

fn end(client: &mut Client, id: &str, (producer_id, producer_epoch): (i64, i16), committed: bool) {
    let transactional_id = id.to_owned();
    let request = EndTxnRequest { transactional_id, producer_id, producer_epoch, committed };
    assert_eq!(client.call(3, &request).error_code, 0);
}

fn list(client: &mut Client, request: &ListTransactionsRequest) -> Vec<(String, String)> {
    listed(&client.call(2, request))
}

/// Ids with their states.
fn listed(answer: &ListTransactionsResponse) -> Vec<(String, String)> {
    assert_eq!(answer.error_code, 0);
    let states = answer.transaction_states.iter();
    let pairs = states.map(|it| (it.transactional_id.clone(), it.transaction_state.clone()));
    pairs.collect()
}

fn ids(listed: Vec<(String, String)>) -> Vec<String> {
    listed.into_iter().map(|(id, _)| id).collect()
}

fn describe(client: &mut Client, id: &str) -> TransactionState {
    let request = DescribeTransactionsRequest { transactional_ids: vec![id.to_owned()] };
    client.call(0, &request).transaction_states.remove(0)
}

fn producers(client: &mut Client, topic: &str, partition: i32) -> PartitionResponse {
    let name = topic.to_owned();
    let topics = vec![TopicRequest { name, partition_indexes: vec![partition] }];
    client.call(0, &DescribeProducersRequest { topics }).topics.remove(0).partitions.remove(0)
}

/// A client of the node that looks after a transactional id.
fn coordinator_of(cluster: &Cluster, id: &str) -> Client {
    let request = FindCoordinatorRequest {
        key_type: 1,
        coordinator_keys: vec![id.to_owned()],
        ..FindCoordinatorRequest::default()
    };
    let found = Client::connect(cluster).call(4, &request).coordinators.remove(0);
    Client::connect_to(&format!("{}:{}", found.host, found.port))
}

fn cluster() -> Cluster {
    Cluster::builder().topic("t", 2).topic("u", 1).start().expect("starts")
}

/// Three ids: one that has done nothing, one with an open transaction, one that has committed.
fn three(client: &mut Client) -> [(i64, i16); 3] {
    let idle = init(client, "idle");
    let open = init(client, "open");
    write(client, "open", open, "t", 1);
    write(client, "open", open, "u", 0);
    let done = init(client, "done");
    write(client, "done", done, "t", 0);
    end(client, "done", done, true);
    while describe(client, "done").transaction_state != "CompleteCommit" {}
    [idle, open, done]
}

#[test]
fn transactions_are_listed_by_state_and_producer_and_id() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let [idle, open, _] = three(&mut client);
    let all = ListTransactionsRequest::default();
    let expected = [("done", "CompleteCommit"), ("idle", "Empty"), ("open", "Ongoing")];
    let expected = expected.map(|(id, state)| (id.to_owned(), state.to_owned()));
    for version in 0..=2 {
        assert_eq!(listed(&client.call(version, &all)), expected);
    }
    let ongoing = ListTransactionsRequest {
        state_filters: vec!["Ongoing".to_owned(), "Dead".to_owned(), "Asleep".to_owned()],
        ..all.clone()
    };
    let answer = client.call(2, &ongoing);
    assert_eq!(answer.unknown_state_filters, ["Asleep"]);
    assert_eq!(ids(listed(&answer)), ["open"]);
    assert_eq!(answer.transaction_states[0].producer_id, open.0);
    let nothing = ListTransactionsRequest { state_filters: vec!["?".to_owned()], ..all.clone() };
    assert_eq!(list(&mut client, &nothing), []);
    let of_one = ListTransactionsRequest { producer_id_filters: vec![idle.0], ..all.clone() };
    assert_eq!(ids(list(&mut client, &of_one)), ["idle"]);
    for (pattern, expected) in [
        ("o.*", vec!["open"]),
        ("o", vec![]),
        ("idle|done", vec!["done", "idle"]),
        ("", vec!["done", "idle", "open"]),
    ] {
        let transactional_id_pattern = Some(pattern.to_owned());
        let request = ListTransactionsRequest { transactional_id_pattern, ..all.clone() };
        assert_eq!(ids(list(&mut client, &request)), expected, "{pattern:?}");
    }
    for pattern in ["(", "a)|(b"] {
        let transactional_id_pattern = Some(pattern.to_owned());
        let request = ListTransactionsRequest { transactional_id_pattern, ..all.clone() };
        let answer = client.call(2, &request);
        assert_eq!(answer.error_code, ErrorCode::INVALID_REGULAR_EXPRESSION.0, "{pattern:?}");
    }
}

#[test]
fn only_transactions_older_than_asked_for_are_listed() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    three(&mut client);
    let older_than = |duration_filter| ListTransactionsRequest {
        duration_filter,
        state_filters: vec!["Ongoing".to_owned()],
        ..ListTransactionsRequest::default()
    };
    assert_eq!(list(&mut client, &older_than(3_600_000)), []);
    // A millisecond or two go by.
    while ids(list(&mut client, &older_than(1))) != ["open"] {}
    assert_eq!(ids(list(&mut client, &older_than(-1))), ["open"]);
}

#[test]
fn a_transaction_is_described_with_its_partitions_and_its_begin() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let [_, open, done] = three(&mut client);
    let it = describe(&mut client, "open");
    assert_eq!((it.error_code, it.transactional_id.as_str()), (0, "open"));
    assert_eq!((it.producer_id, it.producer_epoch), open);
    assert_eq!((it.transaction_state.as_str(), it.transaction_timeout_ms), ("Ongoing", TIMEOUT_MS));
    assert!(it.transaction_start_time_ms > 0);
    let topics = it.topics.iter().map(|topic| (topic.topic.as_str(), topic.partitions.as_slice()));
    assert_eq!(topics.collect::<Vec<_>>(), [("t", &[1][..]), ("u", &[0][..])]);

    let it = describe(&mut client, "idle");
    assert_eq!((it.transaction_state.as_str(), it.transaction_start_time_ms), ("Empty", -1));
    let it = describe(&mut client, "done");
    assert_eq!((it.producer_id, it.topics.len()), (done.0, 0));
    let code = |client: &mut Client, id| ErrorCode(describe(client, id).error_code);
    assert_eq!(code(&mut client, "nobody's"), ErrorCode::TRANSACTIONAL_ID_NOT_FOUND);
    assert_eq!(code(&mut client, ""), ErrorCode::INVALID_REQUEST);
}

#[test]
fn producers_of_a_partition_are_told_with_where_their_transactions_began() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let plain = Batch::numbered(3).idempotent(7000, 2, 0);
    assert_eq!(client.produce("t", 1, &plain).error_code, 0);
    let [_, open, done] = three(&mut client);

    let answer = producers(&mut client, "t", 1);
    let told = answer.active_producers.iter().map(|it| {
        let ids = (it.producer_id, it.producer_epoch, it.last_sequence);
        (ids, it.coordinator_epoch, it.current_txn_start_offset)
    });
    let expected = [((open.0, i32::from(open.1), 1), -1, 3), ((7000, 2, 2), -1, -1)];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    assert_eq!(answer.active_producers[1].last_timestamp, common::NOW_MS + 2);

    let answer = producers(&mut client, "t", 0);
    let [it] = answer.active_producers.as_slice() else { panic!("{answer:?}") };
    assert_eq!((it.producer_id, it.current_txn_start_offset), (done.0, -1));
    assert!(it.coordinator_epoch >= 0);

    let code = |client: &mut Client, topic, index| {
        let answer = producers(client, topic, index);
        assert_eq!(answer.error_message.is_some(), answer.error_code != 0);
        ErrorCode(answer.error_code)
    };
    assert_eq!(code(&mut client, "t", 9), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(code(&mut client, "nobodys", 0), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(code(&mut client, "no one", 0), ErrorCode::INVALID_TOPIC_EXCEPTION);
    let fault = Fault::on(ApiKey::DESCRIBE_PRODUCERS).partition(1);
    cluster.inject(fault.error(ErrorCode::NOT_LEADER_OR_FOLLOWER));
    assert_eq!(code(&mut client, "t", 1), ErrorCode::NOT_LEADER_OR_FOLLOWER);
}

#[test]
fn every_replica_tells_its_producers_and_each_coordinator_its_own_transactions() {
    let cluster = Cluster::builder().nodes(3).topic_replicated("t", 1, 3).start().unwrap();
    let mut clients: Vec<Client> = cluster
        .addresses()
        .iter()
        .map(|address| Client::connect_to(&address.to_string()))
        .collect();
    let leader = cluster.partition("t", 0).unwrap().leader.unwrap() as usize - 1;
    let answer = clients[leader].produce("t", 0, &Batch::numbered(1).idempotent(9, 0, 0));
    assert_eq!(answer.error_code, 0);
    for client in &mut clients {
        assert_eq!(producers(client, "t", 0).active_producers[0].producer_id, 9);
    }
    let mut seen = Vec::new();
    for index in 0..20 {
        let id = format!("tx{index:02}");
        let request = InitProducerIdRequest {
            transactional_id: Some(id.clone()),
            transaction_timeout_ms: TIMEOUT_MS,
            ..InitProducerIdRequest::default()
        };
        let codes = clients.iter_mut().map(|client| client.call(4, &request).error_code);
        assert_eq!(codes.filter(|code| *code == 0).count(), 1);
        let wrong = clients.iter_mut().map(|client| describe(client, &id).error_code);
        let wrong = wrong.filter(|code| *code == ErrorCode::NOT_COORDINATOR.0);
        assert_eq!(wrong.count(), 2);
        seen.push(id);
    }
    let all = ListTransactionsRequest::default();
    let mut listed: Vec<String> =
        clients.iter_mut().flat_map(|client| ids(list(client, &all))).collect();
    listed.sort();
    assert_eq!(listed, seen);
}

#[test]
fn what_may_not_be_described_is_not_told() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    three(&mut client);
    cluster.deny(Acl::topic("t").operation(Operation::Describe));
    cluster.deny(Acl::topic("t").operation(Operation::Read));
    let topics = describe(&mut client, "open").topics;
    assert_eq!(topics.iter().map(|topic| topic.topic.as_str()).collect::<Vec<_>>(), ["u"]);
    let code = producers(&mut client, "t", 1).error_code;
    assert_eq!(code, ErrorCode::TOPIC_AUTHORIZATION_FAILED.0);
    cluster.deny(Acl::transactional_id("open").operation(Operation::Describe));
    let denied = ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED.0;
    assert_eq!(describe(&mut client, "open").error_code, denied);
    let listed = ids(list(&mut client, &ListTransactionsRequest::default()));
    assert_eq!(listed, ["done", "idle"]);
}

/// Ends what a producer has open in the first partition of a topic, without its coordinator.
fn mark(client: &mut Client, version: i16, topic: &str, marker: WritableTxnMarker) -> ErrorCode {
    let (name, partition_indexes) = (topic.to_owned(), vec![0]);
    let topics = vec![WritableTxnMarkerTopic { name, partition_indexes }];
    let markers = vec![WritableTxnMarker { topics, ..marker }];
    let mut answer = client.call(version, &WriteTxnMarkersRequest { markers });
    ErrorCode(answer.markers.remove(0).topics[0].partitions[0].error_code)
}

#[test]
fn a_transaction_is_aborted_by_a_marker_from_outside_once_all_replicas_have_that() {
    let cluster = common::three::three().start().unwrap();
    let topic = common::three::TOPIC;
    let mut client = common::three::client_of(&cluster, common::three::leader(&cluster));
    let mut coordinator = coordinator_of(&cluster, "open");
    init(&mut coordinator, "open");
    let (producer_id, producer_epoch) = init(&mut coordinator, "open");
    add(&mut coordinator, "open", (producer_id, producer_epoch), topic, 0);
    append(&mut client, "open", (producer_id, producer_epoch), topic, 0);
    assert_eq!(producers(&mut client, topic, 0).active_producers[0].current_txn_start_offset, 0);

    let good = WritableTxnMarker {
        producer_id,
        producer_epoch,
        coordinator_epoch: 5,
        ..WritableTxnMarker::default()
    };
    let older = WritableTxnMarker { producer_epoch: producer_epoch - 1, ..good.clone() };
    assert_eq!(mark(&mut client, 1, topic, older), ErrorCode::INVALID_PRODUCER_EPOCH);
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    assert_eq!(mark(&mut client, 1, "nothing", good.clone()), unknown);
    let mut follower = common::three::client_of(&cluster, common::three::follower(&cluster));
    let elsewhere = ErrorCode::NOT_LEADER_OR_FOLLOWER;
    assert_eq!(mark(&mut follower, 1, topic, good.clone()), elsewhere);

    assert_eq!(mark(&mut client, 2, topic, good.clone()), ErrorCode::NONE);
    for node in cluster.node_ids() {
        assert_eq!(cluster.log_end_offset_on(node, topic, 0), Some(3));
    }
    assert_eq!(producers(&mut client, topic, 0).active_producers[0].current_txn_start_offset, -1);
    let by_former = WritableTxnMarker { coordinator_epoch: 4, ..good.clone() };
    let fenced = ErrorCode::TRANSACTION_COORDINATOR_FENCED;
    assert_eq!(mark(&mut client, 1, topic, by_former), fenced);

    cluster.deny(Acl::cluster().operation(Operation::ClusterAction));
    assert_eq!(mark(&mut client, 1, topic, good.clone()), ErrorCode::NONE);
    cluster.deny(Acl::cluster().operation(Operation::Alter));
    assert_eq!(mark(&mut client, 1, topic, good), ErrorCode::CLUSTER_AUTHORIZATION_FAILED);
}
