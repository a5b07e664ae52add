//! Groups whose disk takes nothing for a while.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::Uuid;

use super::{ErrorCode, Groups, Heartbeat, HeartbeatAnswer, Partitions, Refusal, Topics};
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
fn a_group_that_could_not_be_forgotten_is_forgotten_when_its_disk_has_room_again() {
    let dir = tempfile::tempdir().unwrap();
    let disk = NodeDisk::new(Arc::new(DiskStorage { is_durable: false }));
    let settings = ResourceSettings::open(dir.path().join("settings"), disk.storage()).unwrap();
    let config = BrokerConfig::default();
    let open = || Groups::open(dir.path(), &disk.storage(), &config, &settings, NOW).unwrap();
    let mut groups = open();
    beat(&mut groups, 0).unwrap();
    disk.set_full(true);
    assert_eq!(beat(&mut groups, -1).unwrap_err().code, ErrorCode::COORDINATOR_NOT_AVAILABLE);
    disk.set_full(false);
    // It says so again, and hears that it is out, as it is on the disk now.
    assert_eq!(beat(&mut groups, -1).unwrap_err().code, ErrorCode::UNKNOWN_MEMBER_ID);
    assert!(groups.get("g").is_none() && open().get("g").is_none());
}
