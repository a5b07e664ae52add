//! Several nodes: replication, failover, what is lost and what is not.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::Batch;
use common::client::{Client, PATIENCE, produce_request};
use common::three::{
    TOPIC, client_of, code, follower, leader, produce, three, values, wait_for_other_leader,
};
use ottla_broker::Cluster;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use ottla_protocol::messages::describe_cluster::DescribeClusterRequest;
use ottla_protocol::messages::fetch::FetchRequest;
use ottla_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use ottla_protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use ottla_protocol::messages::produce::ProduceRequest;

fn metadata(client: &mut Client) -> MetadataResponse {
    let topic = MetadataRequestTopic { name: Some(TOPIC.to_owned()), ..Default::default() };
    client.call(12, &MetadataRequest { topics: Some(vec![topic]), ..Default::default() })
}

#[test]
fn nodes_that_listen_on_a_name_are_told_to_clients_by_it() {
    let cluster = Cluster::builder().nodes(2).listen("localhost:0").start().unwrap();
    let ports: Vec<u16> = cluster.addresses().iter().map(SocketAddr::port).collect();
    let servers = format!("localhost:{},localhost:{}", ports[0], ports[1]);
    assert_eq!(cluster.bootstrap_servers(), servers);
    let brokers = metadata(&mut client_of(&cluster, 2)).brokers.into_iter();
    let told: Vec<String> = brokers.map(|node| format!("{}:{}", node.host, node.port)).collect();
    assert_eq!(told.join(","), servers);
}

#[test]
fn acks_all_is_answered_once_every_replica_has_the_batch() {
    let cluster = three().start().unwrap();
    let mut client = client_of(&cluster, leader(&cluster));
    for index in 0..5 {
        let answer = produce(&mut client, -1, &Batch::numbered(3));
        assert_eq!((code(&answer), answer.base_offset), (ErrorCode::NONE, index * 3));
        for node in cluster.node_ids() {
            assert_eq!(cluster.log_end_offset_on(node, TOPIC, 0), Some((index + 1) * 3));
        }
    }
}

#[test]
fn acks_all_waits_for_a_follower_and_acks_1_does_not() {
    let cluster = three().start().unwrap();
    let slow = follower(&cluster);
    cluster.hold_replication(slow, true).unwrap();
    let mut client = client_of(&cluster, leader(&cluster));
    let answer = produce(&mut client, 1, &Batch::numbered(1));
    assert_eq!((code(&answer), answer.base_offset), (ErrorCode::NONE, 0));

    let mut request = produce_request(-1, TOPIC, 0, Batch::numbered(1).encode());
    request.timeout_ms = 50;
    let late = client.call(12, &request).responses[0].partition_responses[0].clone();
    assert_eq!((code(&late), late.base_offset), (ErrorCode::REQUEST_TIMED_OUT, -1));

    let request = produce_request(-1, TOPIC, 0, Batch::numbered(1).encode());
    let id = client.send(12, &request);
    cluster.hold_replication(slow, false).unwrap();
    let answer = client.receive::<ProduceRequest>(12, id);
    assert_eq!(answer.responses[0].partition_responses[0].base_offset, 2);
}

#[test]
fn nothing_is_read_before_every_in_sync_replica_has_it() {
    let cluster = three().start().unwrap();
    let slow = follower(&cluster);
    let mut client = client_of(&cluster, leader(&cluster));
    produce(&mut client, -1, &Batch::numbered(2));
    cluster.hold_replication(slow, true).unwrap();
    produce(&mut client, 1, &Batch::numbered(2));
    assert_eq!(values(&cluster, leader(&cluster)), [0, 1]);
    let mut reader = client_of(&cluster, leader(&cluster));
    let id = reader.send(11, &common::client::fetch_request(TOPIC, 0, 2, 20_000));
    cluster.hold_replication(slow, false).unwrap();
    let fetched = reader.receive::<FetchRequest>(11, id);
    assert_eq!(fetched.responses[0].partitions[0].high_watermark, 4);
    assert!(!fetched.responses[0].partitions[0].records.as_ref().unwrap().is_empty());
}

#[test]
fn a_record_acknowledged_with_acks_all_outlives_its_leader() {
    let cluster = three().start().unwrap();
    let old = leader(&cluster);
    let mut client = client_of(&cluster, old);
    assert_eq!(code(&produce(&mut client, -1, &Batch::numbered(4))), ErrorCode::NONE);
    cluster.kill_node(old).unwrap();
    assert!(client.is_closed_by_broker());
    let new = wait_for_other_leader(&cluster, old);
    assert_eq!(values(&cluster, new), [0, 1, 2, 3]);
    let mut client = client_of(&cluster, new);
    assert_eq!(produce(&mut client, -1, &Batch::numbered(1)).base_offset, 4);
}

#[test]
fn a_record_acknowledged_with_acks_1_is_lost_with_a_leader_that_alone_had_it() {
    let cluster = three().start().unwrap();
    let old = leader(&cluster);
    let mut client = client_of(&cluster, old);
    produce(&mut client, -1, &Batch::numbered(1));
    for node in cluster.node_ids() {
        cluster.hold_replication(node, true).unwrap();
    }
    let answer = produce(&mut client, 1, &Batch::numbered(2));
    assert_eq!((code(&answer), answer.base_offset), (ErrorCode::NONE, 1));
    cluster.kill_node(old).unwrap();
    for node in cluster.node_ids() {
        cluster.hold_replication(node, false).unwrap();
    }
    let new = wait_for_other_leader(&cluster, old);
    let mut client = client_of(&cluster, new);
    // Their offsets go to others.
    assert_eq!(produce(&mut client, -1, &Batch::numbered(1)).base_offset, 1);

    cluster.start_node(old).unwrap();
    assert!(cluster.wait_until_in_sync(PATIENCE));
    for node in cluster.node_ids() {
        assert_eq!(cluster.log_end_offset_on(node, TOPIC, 0), Some(2));
    }
}

#[test]
fn a_returning_follower_cuts_its_log_where_its_leaders_parted() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = three().data_dir(dir.path()).start().unwrap();
    let old = leader(&cluster);
    let mut client = client_of(&cluster, old);
    produce(&mut client, -1, &Batch::numbered(3));
    cluster.isolate_node(old).unwrap();
    // It does not know that it leads no more.
    assert_eq!(produce(&mut client, 1, &Batch::of(["lost", "as well"])).base_offset, 3);
    let new = wait_for_other_leader(&cluster, old);
    let mut other = client_of(&cluster, new);
    assert_eq!(produce(&mut other, -1, &Batch::of(["kept"])).base_offset, 3);
    cluster.heal();
    assert!(cluster.wait_until_in_sync(PATIENCE));
    let state = cluster.partition(TOPIC, 0).unwrap();
    assert_eq!((state.high_watermark, state.log_end), (4, 4));
    cluster.stop();

    let log = |node: i32| {
        let base =
            if node == 1 { dir.path().into() } else { dir.path().join(format!("nodes/{node}")) };
        std::fs::read(base.join("t-0/00000000000000000000.log")).unwrap()
    };
    assert!(log(1) == log(2) && log(2) == log(3), "the logs differ");
}

#[test]
fn an_isolated_leader_never_acknowledges_acks_all() {
    let cluster = three().start().unwrap();
    let old = leader(&cluster);
    let mut client = client_of(&cluster, old);
    cluster.isolate_node(old).unwrap();
    let mut request = produce_request(-1, TOPIC, 0, Batch::numbered(1).encode());
    request.timeout_ms = 50;
    let answer = client.call(12, &request);
    let answer = &answer.responses[0].partition_responses[0];
    assert_eq!(code(answer), ErrorCode::REQUEST_TIMED_OUT);
    let id = client.send(12, &produce_request(-1, TOPIC, 0, Batch::numbered(1).encode()));
    wait_for_other_leader(&cluster, old);
    cluster.heal();
    let answer = client.receive::<ProduceRequest>(12, id);
    let answer = &answer.responses[0].partition_responses[0];
    assert_eq!(code(answer), ErrorCode::NOT_LEADER_OR_FOLLOWER);
}

#[test]
fn too_few_in_sync_replicas_refuse_acks_all_and_take_acks_1() {
    let cluster = three().min_insync_replicas(2).start().unwrap();
    let stays = leader(&cluster);
    for node in cluster.node_ids().into_iter().filter(|node| *node != stays) {
        cluster.kill_node(node).unwrap();
    }
    let alone = |state: &ottla_broker::PartitionState| state.in_sync == [stays];
    assert!(cluster.wait_for_partition(TOPIC, 0, PATIENCE, alone));
    let mut client = client_of(&cluster, stays);
    let answer = produce(&mut client, -1, &Batch::numbered(1));
    assert_eq!(code(&answer), ErrorCode::NOT_ENOUGH_REPLICAS);
    assert_eq!(cluster.log_end_offset(TOPIC, 0), Some(0));
    assert_eq!(code(&produce(&mut client, 1, &Batch::numbered(1))), ErrorCode::NONE);
    // Not read, as long as too few have it (KIP-966).
    assert!(values(&cluster, stays).is_empty());
    for node in cluster.node_ids().into_iter().filter(|node| *node != stays) {
        cluster.start_node(node).unwrap();
    }
    assert!(cluster.wait_until_in_sync(PATIENCE));
    assert_eq!(values(&cluster, stays), [0]);
    assert_eq!(code(&produce(&mut client, -1, &Batch::numbered(1))), ErrorCode::NONE);
}

#[test]
fn a_duplicate_is_known_after_a_change_of_leader() {
    let cluster = three().start().unwrap();
    let old = leader(&cluster);
    let mut client = client_of(&cluster, old);
    let batches: Vec<Batch> =
        (0..4).map(|index| Batch::numbered(2).idempotent(7, 0, index * 2)).collect();
    for batch in &batches {
        assert_eq!(code(&produce(&mut client, -1, batch)), ErrorCode::NONE);
    }
    cluster.kill_node(old).unwrap();
    let new = wait_for_other_leader(&cluster, old);
    let mut client = client_of(&cluster, new);
    for (index, batch) in batches.iter().enumerate() {
        let answer = produce(&mut client, -1, batch);
        assert_eq!((code(&answer), answer.base_offset), (ErrorCode::NONE, index as i64 * 2));
    }
    assert_eq!(cluster.log_end_offset(TOPIC, 0), Some(8));
    let answer = produce(&mut client, -1, &Batch::numbered(1).idempotent(7, 0, 9));
    assert_eq!(code(&answer), ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
}

#[test]
fn the_last_in_sync_replica_is_waited_for_unless_unclean_elections_are_allowed() {
    for unclean in [false, true] {
        let cluster = three().unclean_leader_election(unclean).start().unwrap();
        let last = leader(&cluster);
        let mut client = client_of(&cluster, last);
        produce(&mut client, -1, &Batch::numbered(1));
        let others: Vec<i32> =
            cluster.node_ids().into_iter().filter(|node| *node != last).collect();
        for node in &others {
            cluster.kill_node(*node).unwrap();
        }
        let alone = |state: &ottla_broker::PartitionState| state.in_sync == [last];
        assert!(cluster.wait_for_partition(TOPIC, 0, PATIENCE, alone));
        assert_eq!(produce(&mut client, -1, &Batch::numbered(1)).base_offset, 1);
        cluster.kill_node(last).unwrap();
        let gone = |state: &ottla_broker::PartitionState| state.leader.is_none();
        assert!(cluster.wait_for_partition(TOPIC, 0, PATIENCE, gone));
        cluster.start_node(others[0]).unwrap();
        let state = cluster.partition(TOPIC, 0).unwrap();
        if unclean {
            assert_eq!((state.leader, state.in_sync), (Some(others[0]), vec![others[0]]));
            assert_eq!(values(&cluster, others[0]), [0]);
        } else {
            assert_eq!((state.leader, state.in_sync), (None, vec![last]));
            let mut client = client_of(&cluster, others[0]);
            let seen = metadata(&mut client);
            let partition = &seen.topics[0].partitions[0];
            assert_eq!(partition.error_code, ErrorCode::LEADER_NOT_AVAILABLE.0);
            assert_eq!(partition.offline_replicas.len(), 2);
            cluster.start_node(last).unwrap();
            assert_eq!(values(&cluster, last), [0, 1]);
        }
        cluster.start_node(others[1]).unwrap();
        if unclean {
            cluster.start_node(last).unwrap();
        }
        assert!(cluster.wait_until_in_sync(PATIENCE));
    }
}

#[test]
fn a_follower_that_lags_leaves_the_in_sync_replicas_and_comes_back() {
    let cluster = three().replica_lag_time_max(Duration::from_millis(40)).start().unwrap();
    let slow = follower(&cluster);
    cluster.hold_replication(slow, true).unwrap();
    let mut client = client_of(&cluster, leader(&cluster));
    let answer = produce(&mut client, -1, &Batch::numbered(1));
    // It was answered since the one that lags no longer counts.
    assert_eq!(code(&answer), ErrorCode::NONE);
    assert!(!cluster.partition(TOPIC, 0).unwrap().in_sync.contains(&slow));
    cluster.hold_replication(slow, false).unwrap();
    assert!(cluster.wait_until_in_sync(PATIENCE));
}

#[test]
fn a_follower_is_refused_and_names_the_leader() {
    let cluster = three().start().unwrap();
    let (leader, follower) = (leader(&cluster), follower(&cluster));
    let mut client = client_of(&cluster, follower);
    let request = produce_request(1, TOPIC, 0, Batch::numbered(1).encode());
    let response = client.call(12, &request);
    let answer = &response.responses[0].partition_responses[0];
    assert_eq!(code(answer), ErrorCode::NOT_LEADER_OR_FOLLOWER);
    assert_eq!(answer.current_leader.leader_id, leader);
    let endpoint = &response.node_endpoints[0];
    let address = cluster.addresses()[leader as usize - 1];
    assert_eq!((endpoint.node_id, endpoint.port), (leader, i32::from(address.port())));
    // The last version of those who do not know that followers can be read.
    let fetched = client.call(10, &common::client::fetch_request(TOPIC, 0, 0, 1000));
    let partition = &fetched.responses[0].partitions[0];
    assert_eq!(partition.error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER.0);
}

#[test]
fn metadata_tells_each_node_with_its_own_port() {
    let cluster = three().start().unwrap();
    let ports: Vec<i32> = cluster.addresses().iter().map(|a| i32::from(a.port())).collect();
    for node in cluster.node_ids() {
        let mut client = client_of(&cluster, node);
        let seen = metadata(&mut client);
        let told: Vec<(i32, i32)> = seen.brokers.iter().map(|b| (b.node_id, b.port)).collect();
        assert_eq!(told, [(1, ports[0]), (2, ports[1]), (3, ports[2])]);
        let partition = &seen.topics[0].partitions[0];
        assert_eq!(partition.leader_id, leader(&cluster));
        assert_eq!(partition.replica_nodes.len(), 3);
        let request = DescribeClusterRequest { endpoint_type: 1, ..Default::default() };
        assert_eq!(client.call(1, &request).brokers.len(), 3);
    }
    assert_eq!(cluster.bootstrap_servers().split(',').count(), 3);
}

#[test]
fn a_whole_cluster_comes_back_with_its_records_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = three().data_dir(dir.path()).start().unwrap();
    let mut client = client_of(&cluster, leader(&cluster));
    for _ in 0..10 {
        assert_eq!(code(&produce(&mut client, -1, &Batch::numbered(5))), ErrorCode::NONE);
    }
    let epoch = cluster.partition(TOPIC, 0).unwrap().leader_epoch;
    cluster.kill();
    let cluster = three().data_dir(dir.path()).start().unwrap();
    assert!(cluster.wait_until_in_sync(PATIENCE));
    let state = cluster.partition(TOPIC, 0).unwrap();
    assert_eq!(state.high_watermark, 50);
    assert!(state.leader_epoch > epoch);
    assert_eq!(values(&cluster, leader(&cluster)).len(), 50);
}

fn delete_records(client: &mut Client, offset: i64) {
    let request = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: TOPIC.to_owned(),
            partitions: vec![DeleteRecordsPartition { partition_index: 0, offset }],
        }],
        timeout_ms: 1000,
    };
    assert_eq!(client.call(2, &request).topics[0].partitions[0].error_code, 0);
}

#[test]
fn a_follower_catches_up_with_a_log_that_begins_inside_of_a_batch() {
    let cluster = three().start().unwrap();
    let late = follower(&cluster);
    cluster.kill_node(late).unwrap();
    let gone = |state: &ottla_broker::PartitionState| !state.in_sync.contains(&late);
    assert!(cluster.wait_for_partition(TOPIC, 0, PATIENCE, gone));
    let mut client = client_of(&cluster, leader(&cluster));
    assert_eq!(code(&produce(&mut client, -1, &Batch::numbered(10))), ErrorCode::NONE);
    delete_records(&mut client, 5);
    cluster.start_node(late).unwrap();
    assert!(cluster.wait_until_in_sync(PATIENCE));
    assert_eq!(cluster.log_end_offset_on(late, TOPIC, 0), Some(10));
    cluster.move_leader(TOPIC, 0, late).unwrap();
    let fetched = client_of(&cluster, late).fetch(TOPIC, 0, 5, 0);
    assert_eq!(fetched.responses[0].partitions[0].log_start_offset, 5);
}

#[test]
fn who_waits_for_records_hears_of_those_that_a_new_leader_shows() {
    let cluster = three().start().unwrap();
    let old = leader(&cluster);
    let new = follower(&cluster);
    let mut client = client_of(&cluster, old);
    produce(&mut client, -1, &Batch::numbered(1));
    // The other follower lags, so what comes now is in two logs and not to be seen yet.
    let lags = cluster.node_ids().into_iter().find(|id| *id != old && *id != new).unwrap();
    cluster.hold_replication(lags, true).unwrap();
    produce(&mut client, 1, &Batch::numbered(2));
    let has_it = || cluster.log_end_offset_on(new, TOPIC, 0) == Some(3);
    while !has_it() {
        std::thread::yield_now();
    }
    cluster.move_leader(TOPIC, 0, new).unwrap();
    let mut reader = client_of(&cluster, new);
    let id = reader.send(11, &common::client::fetch_request(TOPIC, 0, 1, 60_000));
    assert!(reader.hears_nothing());
    cluster.hold_replication(lags, false).unwrap();
    let fetched = reader.receive::<FetchRequest>(11, id);
    assert_eq!(fetched.responses[0].partitions[0].high_watermark, 3);
}

#[test]
fn a_leader_that_does_not_yet_know_all_that_was_told_does_not_say_where_its_log_ends() {
    let cluster = three().start().unwrap();
    let old = leader(&cluster);
    let new = follower(&cluster);
    let mut client = client_of(&cluster, old);
    produce(&mut client, -1, &Batch::numbered(1));
    let lags = cluster.node_ids().into_iter().find(|id| *id != old && *id != new).unwrap();
    cluster.hold_replication(lags, true).unwrap();
    produce(&mut client, 1, &Batch::numbered(2));
    while cluster.log_end_offset_on(new, TOPIC, 0) != Some(3) {
        std::thread::yield_now();
    }
    cluster.move_leader(TOPIC, 0, new).unwrap();
    let mut client = client_of(&cluster, new);
    let mut latest = |version| {
        let wanted = ListOffsetsPartition { timestamp: -1, ..Default::default() };
        let topic = ListOffsetsTopic { name: TOPIC.to_owned(), partitions: vec![wanted] };
        let request = ListOffsetsRequest { topics: vec![topic], ..Default::default() };
        let answer = client.call(version, &request).topics[0].partitions[0].clone();
        (ErrorCode(answer.error_code), answer.offset)
    };
    assert_eq!(latest(4), (ErrorCode::LEADER_NOT_AVAILABLE, -1));
    assert_eq!(latest(5), (ErrorCode::OFFSET_NOT_AVAILABLE, -1));
    cluster.hold_replication(lags, false).unwrap();
    let has_all = |state: &ottla_broker::PartitionState| state.high_watermark == 3;
    assert!(cluster.wait_for_partition(TOPIC, 0, PATIENCE, has_all));
    assert_eq!(latest(5), (ErrorCode::NONE, 3));
}

#[test]
fn records_are_deleted_once_every_in_sync_replica_begins_behind_them() {
    let cluster = three().start().unwrap();
    let slow = follower(&cluster);
    let mut client = client_of(&cluster, leader(&cluster));
    produce(&mut client, -1, &Batch::numbered(4));
    cluster.hold_replication(slow, true).unwrap();
    let request = |timeout_ms| DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: TOPIC.to_owned(),
            partitions: vec![DeleteRecordsPartition { partition_index: 0, offset: 3 }],
        }],
        timeout_ms,
    };
    let told = client.call(2, &request(20)).topics[0].partitions[0].clone();
    let late = ErrorCode::REQUEST_TIMED_OUT;
    assert_eq!((ErrorCode(told.error_code), told.low_watermark), (late, -1));
    let id = client.send(2, &request(60_000));
    assert!(client.hears_nothing());
    cluster.hold_replication(slow, false).unwrap();
    let told = client.receive::<DeleteRecordsRequest>(2, id).topics[0].partitions[0].clone();
    assert_eq!((told.error_code, told.low_watermark), (0, 3));
    cluster.move_leader(TOPIC, 0, slow).unwrap();
    let fetched = client_of(&cluster, slow).fetch(TOPIC, 0, 3, 0);
    assert_eq!(fetched.responses[0].partitions[0].log_start_offset, 3);
}
