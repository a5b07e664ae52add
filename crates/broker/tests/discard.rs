//! A broker that counts records and keeps nothing.

mod common;

use common::Batch;
use common::client::Client;
use ottla_broker::{Cluster, StartError};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};

#[test]
fn records_get_offsets_and_are_gone() {
    let cluster = Cluster::builder().discard(true).topic("t", 2).start().expect("starts");
    let mut client = Client::connect(&cluster);
    // The same batch again: nobody remembers it.
    for base_offset in [0, 5, 10] {
        let produced = client.produce("t", 1, &Batch::numbered(5).idempotent(7, 0, 0));
        assert_eq!((produced.error_code, produced.base_offset), (0, base_offset));
    }
    assert_eq!(cluster.log_end_offset("t", 1), Some(15));
    for (offset, error) in [(15, ErrorCode::NONE), (0, ErrorCode::OFFSET_OUT_OF_RANGE)] {
        let answer = client.fetch("t", 1, offset, 0).responses[0].partitions[0].clone();
        assert_eq!(ErrorCode(answer.error_code), error);
        assert!(answer.records.is_none_or(|records| records.is_empty()));
        assert_eq!(answer.high_watermark, if error == ErrorCode::NONE { 15 } else { -1 });
    }
}

#[test]
fn what_is_no_batch_is_refused_all_the_same() {
    let cluster = Cluster::builder().discard(true).topic("t", 1).start().expect("starts");
    let mut client = Client::connect(&cluster);
    let whole = Batch::numbered(3).encode();
    let mut of_no_records = whole.clone();
    of_no_records[57..61].fill(0);
    for bytes in [&whole[..whole.len() - 1], &whole[..20], &[], &of_no_records] {
        let produced = client.produce_bytes(12, "t", 0, bytes.to_vec());
        assert_ne!(produced.error_code, 0, "{bytes:?}");
    }
    assert_eq!(cluster.log_end_offset("t", 0), Some(0));
}

#[test]
fn many_thousand_partitions_need_no_folders_and_a_topic_can_be_deleted() {
    let cluster = Cluster::builder().discard(true).topic("wide", 10_000).start().expect("starts");
    let mut client = Client::connect(&cluster);
    assert_eq!(client.produce("wide", 9_999, &Batch::numbered(1)).base_offset, 0);
    let topic = DeleteTopicState { name: Some("wide".into()), ..Default::default() };
    let request = DeleteTopicsRequest { topics: vec![topic], ..Default::default() };
    assert_eq!(client.call(6, &request).responses[0].error_code, 0);
    assert_eq!(cluster.log_end_offset("wide", 9_999), None);
    cluster.stop();
}

#[test]
fn a_folder_to_keep_nothing_in_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = Cluster::builder().discard(true).data_dir(folder.path()).start();
    let Err(StartError::Config(why)) = refused else { panic!("a folder was taken") };
    assert!(why.contains("keeps nothing"), "{why}");
}
