//! Groups without members, and groups whose disk takes nothing for a while.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::Uuid;

use super::{
    Committed, ErrorCode, Group, Groups, Heartbeat, HeartbeatAnswer, Partitions, Refusal,
    SWEEP_INTERVAL, Topics,
};
use crate::config::BrokerConfig;
use crate::disk::NodeDisk;
use crate::log::DiskStorage;
use crate::resource_settings::ResourceSettings;
use crate::time::Now;

const NOW: Now = Now { monotonic: Duration::ZERO, unix_ms: 0 };

const SESSION: Duration = Duration::from_secs(45);

struct NoTopics;

impl Topics for NoTopics {
    fn topic(&self, _: &str) -> Option<(Uuid, i32)> {
        None
    }

    fn matching(&self, _: &str, _: &dyn Fn(&str) -> bool) -> BTreeSet<String> {
        BTreeSet::new()
    }
}

/// What outlives the groups.
struct Disk {
    dir: tempfile::TempDir,
    disk: NodeDisk,
}

impl Disk {
    fn new() -> Self {
        let disk = NodeDisk::new(Arc::new(DiskStorage { is_durable: false }));
        Self { dir: tempfile::tempdir().unwrap(), disk }
    }

    fn open(&self) -> Groups {
        let (dir, storage) = (self.dir.path(), self.disk.storage());
        let settings = ResourceSettings::open(dir.join("settings"), storage.clone()).unwrap();
        Groups::open(dir, &storage, &BrokerConfig::default(), &settings, NOW).unwrap()
    }
}

fn at(monotonic: Duration) -> Now {
    Now { monotonic, ..NOW }
}

fn beat(groups: &mut Groups, member_epoch: i32) -> Result<HeartbeatAnswer, Refusal> {
    let request = Heartbeat {
        member_id: "a".to_owned(),
        member_epoch,
        instance_id: None,
        rack_id: None,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        principal: "User:a".into(),
        rebalance_timeout: Some(Duration::from_secs(60)),
        topic_names: Some(vec!["t".to_owned()]),
        topic_regex: None,
        assignor: None,
        owned: Some(Partitions::new()),
    };
    groups.consumer_heartbeat("g", request, SESSION, || "b".to_owned(), &NoTopics, NOW)
}

#[test]
fn an_empty_group_stays_for_a_while_and_over_a_restart() {
    let disk = Disk::new();
    let mut groups = disk.open();
    beat(&mut groups, 0).unwrap();
    beat(&mut groups, -1).unwrap();
    groups.handle_timeout(at(SWEEP_INTERVAL - Duration::from_millis(1)));
    assert_eq!(groups.get("g").map(Group::state_name), Some("Empty"));
    let mut groups = disk.open();
    assert_eq!(groups.get("g").map(Group::state_name), Some("Empty"));

    assert_eq!(groups.next_timeout(), Some(SWEEP_INTERVAL));
    groups.handle_timeout(at(SWEEP_INTERVAL));
    assert!(groups.get("g").is_none() && disk.open().get("g").is_none());
    assert_eq!(groups.next_timeout(), None, "nothing is left to look for");
}

#[test]
fn a_group_with_offsets_does_not_go() {
    let disk = Disk::new();
    let mut groups = disk.open();
    beat(&mut groups, 0).unwrap();
    let committed = Committed::new(5, -1, None).unwrap();
    groups.offsets.commit("g", vec![("t".to_owned(), 0, committed)]).unwrap();
    beat(&mut groups, -1).unwrap();
    groups.handle_timeout(at(SWEEP_INTERVAL));
    assert!(groups.get("g").is_some());

    groups.delete_offsets("g", vec![("t".to_owned(), 0)]).unwrap();
    groups.handle_timeout(at(SWEEP_INTERVAL * 2));
    assert!(groups.get("g").is_none());
}

#[test]
fn a_group_that_could_not_be_forgotten_is_forgotten_when_its_disk_has_room_again() {
    let disk = Disk::new();
    let mut groups = disk.open();
    beat(&mut groups, 0).unwrap();
    beat(&mut groups, -1).unwrap();
    disk.disk.set_full(true);
    groups.handle_timeout(at(SWEEP_INTERVAL));
    assert!(groups.get("g").is_some());
    disk.disk.set_full(false);
    groups.handle_timeout(at(SWEEP_INTERVAL * 2));
    assert!(groups.get("g").is_none() && disk.open().get("g").is_none());
}

#[test]
fn a_member_whose_leaving_cannot_be_noted_is_not_told_that_it_left() {
    let disk = Disk::new();
    let mut groups = disk.open();
    beat(&mut groups, 0).unwrap();
    disk.disk.set_full(true);
    assert_eq!(beat(&mut groups, -1).unwrap_err().code, ErrorCode::COORDINATOR_NOT_AVAILABLE);
    disk.disk.set_full(false);
    // It says so again, and hears that it is out, as it is on the disk now.
    assert_eq!(beat(&mut groups, -1).unwrap_err().code, ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(disk.open().get("g").map(Group::state_name), Some("Empty"));
}
