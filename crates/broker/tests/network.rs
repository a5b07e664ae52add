//! Networks that are cut in one direction, long, narrow, or led astray.

mod common;

use std::time::{Duration, Instant};

use common::Batch;
use common::client::{Client, PATIENCE};
use common::three::{client_of, follower, leader, produce, three};
use ottla_broker::{Cluster, Link, NodeError};
use ottla_protocol::messages::init_producer_id::InitProducerIdRequest;
use ottla_protocol::messages::metadata::MetadataRequest;

fn init(client: &mut Client, transactional_id: Option<&str>) -> (i64, i16) {
    let request = InitProducerIdRequest {
        transactional_id: transactional_id.map(str::to_owned),
        transaction_timeout_ms: 10_000,
        producer_id: -1,
        producer_epoch: -1,
    };
    let answer = client.call(4, &request);
    assert_eq!(answer.error_code, 0);
    (answer.producer_id, answer.producer_epoch)
}

#[test]
fn producer_ids_can_begin_with_their_last_epoch() {
    let cluster = Cluster::builder().start().unwrap();
    let mut client = Client::connect(&cluster);
    cluster.set_first_producer_epoch(i16::MAX);
    assert_eq!(init(&mut client, None).1, i16::MAX - 1);
    let (id, epoch) = init(&mut client, Some("x"));
    assert_eq!(epoch, i16::MAX - 1);
    let (next, epoch) = init(&mut client, Some("x"));
    assert!(next != id && epoch == 0, "{next} {epoch}");
    cluster.set_first_producer_epoch(0);
    assert_eq!(init(&mut client, Some("y")).1, 0);
}

#[test]
fn clients_are_told_where_a_node_shall_be() {
    let cluster = Cluster::builder().nodes(2).start().unwrap();
    let mut client = Client::connect(&cluster);
    cluster.advertise_node(2, "elsewhere.example", 7).unwrap();
    let brokers = client.call(9, &MetadataRequest::default()).brokers;
    let told: Vec<(&str, i32)> = brokers.iter().map(|it| (&*it.host, it.port)).collect();
    let own = i32::from(cluster.addresses()[0].port());
    assert_eq!(told, [("127.0.0.1", own), ("elsewhere.example", 7)]);
    assert!(matches!(cluster.advertise_node(3, "x", 1), Err(NodeError::Unknown(3))));
    // No answer could name it, or nobody could go there.
    let long = "x".repeat(256);
    for (host, port) in [("", 1), ("a b", 1), ("a\0", 1), (&*long, 1), ("x", 0)] {
        let refused = cluster.advertise_node(2, host, port);
        assert!(matches!(refused, Err(NodeError::NoAddress)), "{host:?} {port}");
    }
}

#[test]
fn over_a_link_everything_comes_whole_and_no_sooner_than_its_length_allows() {
    let cluster = Cluster::builder().topic("t", 1).start().unwrap();
    let mut near = Client::connect(&cluster);
    let round_trip = Duration::from_millis(60);
    cluster.set_link(1, Some(Link::new().round_trip(round_trip).window_bytes(50_000))).unwrap();
    let mut far = Client::connect(&cluster);
    let batch = Batch::of([vec![7; 300_000]]);
    for _ in 0..2 {
        let begin = Instant::now();
        assert_eq!(far.produce("t", 0, &batch).error_code, 0);
        assert!(begin.elapsed() >= round_trip);
    }
    let records = |client: &mut Client| {
        client.fetch("t", 0, 0, 0).responses[0].partitions[0].records.clone().unwrap()
    };
    assert_eq!(records(&mut far), records(&mut near));
    cluster.set_link(1, None).unwrap();
    assert!(matches!(cluster.set_link(2, None), Err(NodeError::Unknown(2))));
    far.close();
    assert_eq!(records(&mut Client::connect(&cluster)), records(&mut near));
}

/// A node other than the leader and `not`.
fn another(cluster: &Cluster, not: i32) -> i32 {
    let leader = leader(cluster);
    let mut others = cluster.node_ids().into_iter().filter(|id| *id != leader && *id != not);
    others.next().expect("a third node")
}

#[test]
fn a_follower_that_does_not_hear_its_leader_copies_nothing_until_it_does() {
    // Long enough that the other one is not taken for a laggard as well.
    let cluster = three().replica_lag_time_max(Duration::from_millis(500)).start().unwrap();
    let (leader, deaf) = (leader(&cluster), follower(&cluster));
    cluster.cut_one_way(leader, deaf).unwrap();
    // Once it is answered, this node is no longer waited for.
    let mut client = client_of(&cluster, leader);
    assert_eq!(produce(&mut client, -1, &Batch::numbered(3)).error_code, 0);
    assert_eq!(cluster.log_end_offset_on(deaf, "t", 0), Some(0));
    assert_eq!(cluster.log_end_offset_on(another(&cluster, deaf), "t", 0), Some(3));
    cluster.heal();
    assert!(cluster.wait_until_in_sync(PATIENCE));
    assert_eq!(cluster.log_end_offset_on(deaf, "t", 0), Some(3));
}

#[test]
fn the_controller_gives_up_whom_it_does_not_hear_and_not_whom_it_cannot_tell() {
    let cluster = three().start().unwrap();
    let leader = leader(&cluster);
    cluster.cut_one_way(Cluster::CONTROLLER, leader).unwrap();
    // Had the leader been given up, it would have been before this one.
    let unheard = follower(&cluster);
    cluster.cut_one_way(unheard, Cluster::CONTROLLER).unwrap();
    assert!(cluster.wait_for_partition("t", 0, PATIENCE, |it| !it.in_sync.contains(&unheard)));
    assert_eq!(cluster.partition("t", 0).unwrap().leader, Some(leader));
    cluster.heal();
    assert!(cluster.wait_until_in_sync(PATIENCE));
    assert!(matches!(cluster.cut_one_way(9, 1), Err(NodeError::Unknown(9))));
    assert!(matches!(cluster.cut_nodes(1, 1), Err(NodeError::Alone(1))));
}
