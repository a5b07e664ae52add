//! Stopping, killing and starting again; folders that are not ours.

mod common;

use std::fs;
use std::path::Path;

use common::Batch;
use common::client::{Client, PATIENCE};
use ottla_broker::{Cluster, StartError};
use ottla_protocol::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use ottla_protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use ottla_protocol::messages::delete_topics::DeleteTopicsRequest;
use ottla_protocol::messages::init_producer_id::InitProducerIdRequest;
use ottla_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::offset_fetch::OffsetFetchRequest;
use ottla_protocol::record::validate_batch;

fn start(dir: &Path) -> Cluster {
    Cluster::builder().data_dir(dir).topic("t", 2).start().expect("starts")
}

#[test]
fn everything_acknowledged_survives_a_stop_and_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut offset = 0;
    for round in 0..6 {
        let cluster = start(dir.path());
        let mut client = Client::connect(&cluster);
        assert_eq!(cluster.log_end_offset("t", 0), Some(offset));
        for sequence in 0..4 {
            let batch = Batch::numbered(5).idempotent(round, 0, sequence * 5);
            assert_eq!(client.produce("t", 0, &batch).base_offset, offset);
            offset += 5;
        }
        let fetched = client.fetch("t", 0, 0, 0).responses[0].partitions[0].clone();
        let mut rest = &fetched.records.unwrap()[..];
        let mut next = 0;
        while !rest.is_empty() {
            let header = validate_batch(rest).unwrap();
            assert_eq!(header.base_offset, next);
            next = header.last_offset() + 1;
            rest = &rest[header.size_bytes().unwrap()..];
        }
        assert_eq!(next, offset);
        if round % 2 == 0 { cluster.kill() } else { cluster.stop() }
    }
}

#[test]
fn a_duplicate_is_known_after_a_stop_and_after_a_kill() {
    for kill in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let batch = |sequence| Batch::numbered(5).idempotent(3, 0, sequence);
        let cluster = start(dir.path());
        let mut client = Client::connect(&cluster);
        for sequence in 0..6 {
            client.produce("t", 1, &batch(sequence * 5));
        }
        if kill {
            cluster.kill()
        } else {
            cluster.stop()
        }
        let cluster = start(dir.path());
        let mut client = Client::connect(&cluster);
        for sequence in 1..6 {
            let again = client.produce("t", 1, &batch(sequence * 5));
            assert_eq!((again.error_code, again.base_offset), (0, i64::from(sequence) * 5));
        }
        assert_eq!(cluster.log_end_offset("t", 1), Some(30));
    }
}

#[test]
fn topics_offsets_and_producer_ids_survive_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut ids = std::collections::HashSet::new();
    for round in 0..3 {
        let cluster = start(dir.path());
        let mut client = Client::connect(&cluster);
        for _ in 0..5 {
            let request = InitProducerIdRequest { transactional_id: None, ..Default::default() };
            assert!(ids.insert(client.call(4, &request).producer_id));
        }
        let request = OffsetFetchRequest {
            group_id: "g".to_owned(),
            topics: None,
            ..OffsetFetchRequest::default()
        };
        let topics = client.call(5, &request).topics;
        let found = topics.first().map(|topic| topic.partitions[0].committed_offset);
        assert_eq!(found, (round > 0).then_some(round));
        let partition = OffsetCommitRequestPartition {
            partition_index: 0,
            committed_offset: round + 1,
            ..OffsetCommitRequestPartition::default()
        };
        let request = OffsetCommitRequest {
            group_id: "g".to_owned(),
            topics: vec![OffsetCommitRequestTopic {
                name: "t".to_owned(),
                partitions: vec![partition],
                ..OffsetCommitRequestTopic::default()
            }],
            ..OffsetCommitRequest::default()
        };
        client.call(5, &request);
        cluster.kill();
    }
}

#[test]
fn a_kill_raises_the_leader_epoch_and_a_stop_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let mut epochs = Vec::new();
    for kill in [false, true, false] {
        let cluster = start(dir.path());
        let mut client = Client::connect(&cluster);
        let base_offset = client.produce("t", 0, &Batch::numbered(1)).base_offset;
        let fetched = client.fetch("t", 0, base_offset, 0).responses[0].partitions[0].clone();
        let header = validate_batch(&fetched.records.unwrap()).unwrap();
        epochs.push(header.partition_leader_epoch);
        if kill { cluster.kill() } else { cluster.stop() }
    }
    assert_eq!(epochs, [0, 0, 1]);
}

#[test]
fn a_folder_has_one_broker_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = start(dir.path());
    let error = Cluster::builder().data_dir(dir.path()).start().unwrap_err();
    assert!(matches!(error, StartError::DataDirInUse { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(dir.path().to_str().unwrap()), "{text}");
    assert!(text.contains(&std::process::id().to_string()), "{text}");
    cluster.stop();
    start(dir.path()).stop();
}

#[test]
fn a_folder_of_something_else_is_refused_and_left_alone() {
    let cases: [(&str, &str); 3] = [
        ("notes.txt", "my notes"),
        ("meta.properties", "version=1\nnode.id=1\ncluster.id=abc\n"),
        ("meta.properties", "version=1\nnode.id=7\ncluster.id=abc\n"),
    ];
    for (name, content) in cases {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(name), content).unwrap();
        let error = Cluster::builder().data_dir(dir.path()).start().unwrap_err();
        assert!(matches!(error, StartError::ForeignDataDir { .. }), "{error}");
        assert_eq!(fs::read_to_string(dir.path().join(name)).unwrap(), content);
    }
}

#[test]
fn damaged_files_stop_the_start_with_their_name() {
    type Spoil = fn(&Path);
    let damage: [(&str, Spoil); 7] = [
        ("meta.properties", |path| fs::write(path, "garbage").unwrap()),
        ("cluster-metadata.json", |path| fs::write(path, "{").unwrap()),
        ("recovery-point-offset-checkpoint", |path| fs::write(path, "7\n").unwrap()),
        ("t-0/partition.metadata", |path| fs::write(path, "version: 0\n").unwrap()),
        ("t-0/leader-epoch-checkpoint", |path| fs::write(path, "x").unwrap()),
        ("t-0/00000000000000000000.log", |path| fs::write(path, vec![0x41; 500]).unwrap()),
        ("t-1", |path| fs::remove_dir_all(path).unwrap()),
    ];
    for (name, spoil) in damage {
        let dir = tempfile::tempdir().unwrap();
        let cluster = start(dir.path());
        Client::connect(&cluster).produce("t", 0, &Batch::numbered(3));
        cluster.stop();
        spoil(&dir.path().join(name));
        let error = Cluster::builder().data_dir(dir.path()).start().unwrap_err();
        let file = name.rsplit('/').next().unwrap();
        assert!(error.to_string().contains(file), "{name}: {error}");
    }
}

#[test]
fn a_log_that_became_shorter_after_a_clean_stop_is_refused() {
    // Served as it is, it would give out offsets a second time that were acknowledged before.
    let dir = tempfile::tempdir().unwrap();
    let cluster = start(dir.path());
    let mut client = Client::connect(&cluster);
    for _ in 0..3 {
        client.produce("t", 0, &Batch::numbered(5));
    }
    cluster.stop();
    let log = dir.path().join("t-0").join("00000000000000000000.log");
    let whole = fs::read(&log).unwrap();
    let first = validate_batch(&whole[..whole.len() / 3]).unwrap();
    for length in [0, first.size_bytes().unwrap()] {
        fs::write(&log, &whole[..length]).unwrap();
        let refused = Cluster::builder().data_dir(dir.path()).start().unwrap_err();
        assert!(refused.to_string().contains("t-0"), "{refused}");
    }
    fs::write(&log, &whole).unwrap();
    assert_eq!(start(dir.path()).log_end_offset("t", 0), Some(15));
}

#[test]
fn an_interrupted_deletion_is_finished_and_a_stray_folder_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = start(dir.path());
    Client::connect(&cluster).produce("t", 0, &Batch::numbered(3));
    cluster.stop();
    let other = tempfile::tempdir().unwrap();
    let cluster = Cluster::builder().data_dir(other.path()).topic("stray", 2).start().unwrap();
    Client::connect(&cluster).produce("stray", 0, &Batch::numbered(3));
    cluster.stop();
    for name in ["stray-0", "stray-1"] {
        fs::rename(other.path().join(name), dir.path().join(name)).unwrap();
    }
    fs::create_dir(dir.path().join("t-0.abc-delete")).unwrap();
    // Somebody's copy, which must not become a topic's that gets its name.
    fs::create_dir(dir.path().join("copy-0")).unwrap();
    for entry in fs::read_dir(dir.path().join("t-0")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), dir.path().join("copy-0").join(entry.file_name())).unwrap();
    }
    let builder = Cluster::builder().data_dir(dir.path()).topic("stray", 2).topic("copy", 1);
    let cluster = builder.start().unwrap();
    assert_eq!(cluster.log_end_offset("copy", 0), Some(0));
    assert_eq!(cluster.log_end_offset("stray", 0), Some(0));
    assert_eq!(cluster.log_end_offset("t", 0), Some(3));
    let names: Vec<String> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.iter().filter(|name| name.ends_with("-stray")).count(), 2, "{names:?}");
    assert!(!names.iter().any(|name| name.ends_with("-delete")));
}

/// The folder had been put aside, and then its absence was told without a reason.
#[test]
fn a_folder_that_is_gone_or_anothers_is_told_along_with_the_cure() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = start(dir.path());
    Client::connect(&cluster).produce("t", 0, &Batch::numbered(3));
    cluster.stop();
    let refusal = || {
        let error = Cluster::builder().data_dir(dir.path()).start().unwrap_err();
        assert!(matches!(error, StartError::Damaged { .. }), "{error:?}");
        error.to_string()
    };
    let (folder, away) = (dir.path().join("t-0"), dir.path().join("away"));
    fs::rename(&folder, &away).unwrap();
    let told = refusal();
    assert!(told.contains("t-0") && told.contains("it is gone"), "{told}");
    fs::rename(&away, &folder).unwrap();

    let metadata = folder.join("partition.metadata");
    let before = fs::read_to_string(&metadata).unwrap();
    fs::write(&metadata, "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAg\n").unwrap();
    let told = refusal();
    assert!(told.contains("belongs to topic id AAAAAAAAAAAAAAAAAAAAAg"), "{told}");
    fs::write(&metadata, before).unwrap();
    start(dir.path()).stop();

    // The cure that the first message names.
    let catalog = dir.path().join("cluster-metadata.json");
    let mut topics: serde_json::Value =
        serde_json::from_slice(&fs::read(&catalog).unwrap()).unwrap();
    topics["topics"] = serde_json::json!([]);
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&catalog, topics.to_string()).unwrap();
    assert_eq!(start(dir.path()).log_end_offset("t", 0), Some(0));
}

#[test]
fn a_replica_that_is_gone_is_copied_anew_once_nobody_counts_on_it() {
    let dir = tempfile::tempdir().unwrap();
    let start = || Cluster::builder().nodes(3).data_dir(dir.path()).topic_replicated("t", 1, 3);
    let cluster = start().start().unwrap();
    let lost = cluster.partition("t", 0).unwrap().leader.unwrap();
    let address = cluster.addresses()[lost as usize - 1].to_string();
    let answer = Client::connect_to(&address).produce("t", 0, &Batch::numbered(3));
    assert_eq!(answer.error_code, 0);
    assert!(cluster.wait_for_partition("t", 0, PATIENCE, |it| it.high_watermark == 3));
    cluster.stop();
    let folder = match lost {
        1 => dir.path().join("t-0"),
        id => dir.path().join(format!("nodes/{id}/t-0")),
    };
    fs::remove_dir_all(folder).unwrap();
    let told = start().start().unwrap_err().to_string();
    let (_, cure) = told.split_once("have node ").unwrap();
    let leader: i32 = cure.split_once(' ').unwrap().0.parse().unwrap();
    assert!(cure.contains(&format!("take node {lost} out of its isr")), "{told}");

    let catalog = dir.path().join("cluster-metadata.json");
    let mut noted: serde_json::Value =
        serde_json::from_slice(&fs::read(&catalog).unwrap()).unwrap();
    let place = &mut noted["topics"][0]["partitions"][0];
    place["leader"] = leader.into();
    place["isr"].as_array_mut().unwrap().retain(|id| *id != lost);
    fs::write(&catalog, noted.to_string()).unwrap();
    let cluster = start().start().unwrap();
    assert!(cluster.wait_until_in_sync(PATIENCE));
    assert_eq!(cluster.log_end_offset_on(lost, "t", 0), Some(3));
}

#[test]
fn addresses_that_cannot_be_had_and_descriptions_that_make_no_sense_are_errors() {
    let first = Cluster::builder().start().unwrap();
    let taken = first.bootstrap_servers();
    for address in [taken.as_str(), "nonsense", "256.0.0.1:1", "127.0.0.1:99999"] {
        let error = Cluster::builder().listen(address).start().unwrap_err();
        assert!(matches!(error, StartError::Listen { .. }), "{error}");
        assert!(error.to_string().contains(address), "{error}");
    }
    for builder in [
        Cluster::builder().nodes(0),
        Cluster::builder().nodes(101),
        Cluster::builder().nodes(3).discard(true),
        Cluster::builder().default_partitions(0),
        Cluster::builder().topic("bad name", 1),
        Cluster::builder().topic("t", 0),
        Cluster::builder().topic_with("t", 1, [("no.such", "1")]),
    ] {
        assert!(builder.start().is_err());
    }
}

#[test]
fn a_temporary_cluster_leaves_nothing_behind_and_many_run_side_by_side() {
    let clusters: Vec<Cluster> =
        (0..30).map(|_| Cluster::builder().topic("t", 1).start().unwrap()).collect();
    for (index, cluster) in clusters.iter().enumerate() {
        let answer = Client::connect(cluster).produce("t", 0, &Batch::numbered(index + 1));
        assert_eq!(answer.error_code, 0);
    }
    for (index, cluster) in clusters.iter().enumerate() {
        assert_eq!(cluster.log_end_offset("t", 0), Some(index as i64 + 1));
    }
}

#[test]
fn more_partitions_than_a_process_may_open_files() {
    let dir = tempfile::tempdir().unwrap();
    let open_files = || fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let before = open_files();
    for round in 0..2 {
        let cluster = Cluster::builder().data_dir(dir.path()).topic("many", 1500).start().unwrap();
        let mut client = Client::connect(&cluster);
        for partition in 0..1500 {
            let answer = client.produce("many", partition, &Batch::numbered(1));
            assert_eq!((answer.error_code, answer.base_offset), (0, round));
        }
        assert!(open_files() < before + 600, "{} files", open_files() - before);
        cluster.kill();
    }
}

#[test]
fn a_topic_that_was_created_anew_keeps_its_records_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let start = || Cluster::builder().topic("t", 1).data_dir(dir.path()).start().unwrap();
    let cluster = start();
    let mut client = Client::connect(&cluster);
    assert_eq!(client.produce("t", 0, &Batch::numbered(30)).error_code, 0);
    // What was cut off the former topic is in the checkpoints.
    let cut = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: "t".to_owned(),
            partitions: vec![DeleteRecordsPartition { partition_index: 0, offset: 30 }],
        }],
        timeout_ms: 1000,
    };
    assert_eq!(client.call(2, &cut).topics[0].partitions[0].error_code, 0);
    let delete = DeleteTopicsRequest { topic_names: vec!["t".to_owned()], ..Default::default() };
    assert_eq!(client.call(4, &delete).responses[0].error_code, 0);
    let create = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: "t".to_owned(),
            num_partitions: 1,
            replication_factor: 1,
            ..Default::default()
        }],
        ..Default::default()
    };
    assert_eq!(client.call(7, &create).topics[0].error_code, 0);
    assert_eq!(client.produce("t", 0, &Batch::numbered(10)).error_code, 0);
    cluster.kill();

    let cluster = start();
    assert_eq!(cluster.log_end_offset("t", 0), Some(10));
    let fetched = Client::connect(&cluster).fetch("t", 0, 0, 0);
    let partition = &fetched.responses[0].partitions[0];
    assert_eq!((partition.error_code, partition.log_start_offset), (0, 0));
    assert!(!partition.records.as_ref().unwrap().is_empty());
}
