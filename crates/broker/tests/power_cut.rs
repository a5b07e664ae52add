//! Power cuts: what was not flushed may be gone.

mod common;

use common::Batch;
use common::client::{Client, PATIENCE};
use common::three::{client_of, follower, leader, produce, three, values, wait_for_other_leader};
use ottla_broker::{Cluster, NodeError};
use ottla_protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};

const BATCHES: i64 = 100;

/// The values that are in the only partition, each of which is its offset.
fn records(cluster: &Cluster) -> i64 {
    let mut client = Client::connect(cluster);
    let mut offset = 0;
    loop {
        let fetched = client.fetch("t", 0, offset, 0);
        let partition = &fetched.responses[0].partitions[0];
        assert_eq!(partition.error_code, 0);
        if partition.records.as_ref().is_none_or(|records| records.is_empty()) {
            return offset;
        }
        offset = partition.high_watermark;
    }
}

#[test]
fn a_single_node_loses_a_tail_of_what_it_acknowledged_and_starts_without_complaint() {
    let mut left = std::collections::BTreeSet::new();
    for seed in 0..12 {
        let cluster = Cluster::builder().topic("t", 1).seed(seed).start().unwrap();
        let mut client = Client::connect(&cluster);
        for sequence in 0..BATCHES {
            let batch = Batch::numbered(1).idempotent(7, 0, sequence as i32);
            assert_eq!(client.produce("t", 0, &batch).error_code, 0);
        }
        cluster.cut_power(1).unwrap();
        assert!(matches!(cluster.cut_power(1), Err(NodeError::IsDown(1))));
        cluster.start_node(1).unwrap();
        assert!(cluster.wait_until_in_sync(PATIENCE));
        let kept = records(&cluster);
        assert!(kept <= BATCHES);
        left.insert(kept);
        // It goes on from there, and knows the producer up to there.
        let mut client = Client::connect(&cluster);
        let next = Batch::numbered(1).idempotent(7, 0, kept as i32);
        assert_eq!(client.produce("t", 0, &next).base_offset, kept);
        assert_eq!(records(&cluster), kept + 1);
    }
    assert!(left.len() > 3 && left.iter().any(|kept| *kept < BATCHES), "{left:?}");
}

#[test]
fn what_was_flushed_outlasts_a_power_cut() {
    for seed in 0..4 {
        let cluster = Cluster::builder().topic("t", 1).seed(seed).start().unwrap();
        let mut client = Client::connect(&cluster);
        for _ in 0..10 {
            assert_eq!(client.produce("t", 0, &Batch::numbered(1)).error_code, 0);
        }
        cluster.stop_node(1).unwrap();
        cluster.start_node(1).unwrap();
        cluster.cut_power(1).unwrap();
        cluster.start_node(1).unwrap();
        assert!(cluster.wait_until_in_sync(PATIENCE));
        assert_eq!(records(&cluster), 10);
    }
}

#[test]
fn a_record_acknowledged_with_acks_all_outlives_the_power_cut_of_its_leader() {
    for seed in 0..4 {
        let cluster = three().min_insync_replicas(2).seed(seed).start().unwrap();
        let first = leader(&cluster);
        let mut client = client_of(&cluster, first);
        for _ in 0..BATCHES {
            assert_eq!(produce(&mut client, -1, &Batch::numbered(1)).error_code, 0);
        }
        cluster.cut_power(first).unwrap();
        let second = wait_for_other_leader(&cluster, first);
        assert_eq!(values(&cluster, second), (0..BATCHES).collect::<Vec<_>>());
        cluster.start_node(first).unwrap();
        assert!(cluster.wait_until_in_sync(PATIENCE));
        cluster.move_leader("t", 0, first).unwrap();
        assert_eq!(values(&cluster, first), (0..BATCHES).collect::<Vec<_>>());
    }
}

/// The whole program was killed before the node without power had been given up: it led again, with
/// what its log had left, and the intact followers cut theirs to that.
#[test]
fn a_record_acknowledged_with_acks_all_outlives_a_power_cut_that_nobody_noticed() {
    let mut cut = 0;
    for seed in 0..8 {
        let dir = tempfile::tempdir().unwrap();
        let builder = || {
            let patient = three().node_session_timeout(PATIENCE);
            patient.min_insync_replicas(2).seed(seed).data_dir(dir.path())
        };
        let cluster = builder().start().unwrap();
        let first = leader(&cluster);
        let mut client = client_of(&cluster, first);
        for _ in 0..BATCHES {
            assert_eq!(produce(&mut client, -1, &Batch::numbered(1)).error_code, 0);
        }
        // One seed in two loses a follower's records, and the leader may go next.
        let lost = if seed % 2 == 0 { first } else { follower(&cluster) };
        cluster.cut_power(lost).unwrap();
        cluster.kill();

        let cluster = builder().start().unwrap();
        assert!(cluster.wait_for_partition("t", 0, PATIENCE, |it| it.high_watermark == BATCHES));
        let second = leader(&cluster);
        cut += i32::from(lost == first && second != first);
        assert_eq!(values(&cluster, second), (0..BATCHES).collect::<Vec<_>>(), "seed {seed}");
        assert!(cluster.wait_until_in_sync(PATIENCE));
        cluster.move_leader("t", 0, lost).unwrap();
        assert_eq!(values(&cluster, lost), (0..BATCHES).collect::<Vec<_>>(), "seed {seed}");
    }
    assert!(cut > 0, "no leader had lost anything");
}

/// A log whose records were all deleted has no leader epoch after a restart. It was taken for one
/// that had lost its end, and the follower that led then had the records back.
#[test]
fn records_that_were_deleted_stay_so_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    for deleted_before in [7, 10] {
        let start = || three().data_dir(dir.path()).start().unwrap();
        let cluster = start();
        let mut client = client_of(&cluster, leader(&cluster));
        for _ in 0..10 {
            assert_eq!(produce(&mut client, -1, &Batch::numbered(1)).error_code, 0);
        }
        let begin = cluster.partition("t", 0).unwrap().log_end - 10;
        let request = DeleteRecordsRequest {
            topics: vec![DeleteRecordsTopic {
                name: "t".to_owned(),
                partitions: vec![DeleteRecordsPartition {
                    partition_index: 0,
                    offset: begin + deleted_before,
                }],
            }],
            timeout_ms: 10_000,
        };
        let answer = client.call(2, &request).topics[0].partitions[0].clone();
        assert_eq!((answer.error_code, answer.low_watermark), (0, begin + deleted_before));
        cluster.kill();

        let cluster = start();
        assert!(cluster.wait_until_in_sync(PATIENCE));
        for node in cluster.node_ids() {
            cluster.move_leader("t", 0, node).unwrap();
            let fetched = client_of(&cluster, node).fetch("t", 0, begin + deleted_before, 0);
            let partition = &fetched.responses[0].partitions[0];
            assert_eq!(partition.log_start_offset, begin + deleted_before, "node {node}");
            assert_eq!(cluster.log_end_offset_on(node, "t", 0), Some(begin + 10));
        }
        cluster.stop();
    }
}
