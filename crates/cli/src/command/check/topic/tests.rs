//! Topics in every state that a cluster may tell of.

use super::super::report::Status;
use super::*;

fn topic(partitions: &[(Option<i32>, usize, usize)], configs: &[(&str, &str)]) -> Topic {
    let partition = |(number, (leader, replicas, in_sync)): (i32, &(Option<i32>, usize, usize))| {
        let nodes = |count: usize| (1..=count as i32).collect();
        Partition {
            number,
            leader: *leader,
            replicas: nodes(*replicas),
            in_sync: nodes(*in_sync),
            offline: Vec::new(),
        }
    };
    Topic {
        name: "t".to_owned(),
        partitions: (0..).zip(partitions).map(partition).collect(),
        configs: Some(configs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()),
        ..Topic::default()
    }
}

fn ours() -> ProducerConfig {
    ProducerConfig::default()
}

#[track_caller]
fn find<'a>(steps: &'a [Step], name: &str) -> &'a Step {
    steps.iter().find(|step| step.step == name).expect("the step")
}

#[test]
fn a_partition_that_nobody_leads_fails_and_is_named() {
    let topic = topic(&[(Some(1), 3, 3), (None, 3, 0)], &[("min.insync.replicas", "2")]);
    let step = partitions(&topic);
    assert_eq!(step.status, Status::Failed);
    assert!(step.seen.contains("partition 1"), "{step:?}");
    assert_eq!(step.data["leaderless"], json!([1]));
}

#[test]
fn too_few_in_sync_fails_and_fewer_than_all_warns() {
    let configs = [("min.insync.replicas", "2")];
    assert_eq!(partitions(&topic(&[(Some(1), 3, 1)], &configs)).status, Status::Failed);
    assert_eq!(partitions(&topic(&[(Some(1), 3, 2)], &configs)).status, Status::Warning);
    assert_eq!(partitions(&topic(&[(Some(1), 3, 3)], &configs)).status, Status::Ok);
    let mut offline = topic(&[(Some(1), 3, 3)], &configs);
    offline.partitions[0].offline.push(3);
    let step = partitions(&offline);
    assert_eq!(step.status, Status::Warning);
    assert!(step.seen.contains("offline"), "{step:?}");
}

#[test]
fn the_worst_partition_decides_on_durability() {
    let configs = [("min.insync.replicas", "1"), ("unclean.leader.election.enable", "true")];
    let steps = steps(&topic(&[(Some(1), 3, 3), (Some(1), 3, 1)], &configs), None, &ours());
    assert_eq!(find(&steps, "durability").status, Status::Failed);
    assert_eq!(find(&steps, "durability").data["in_sync"], json!(1));
}

#[test]
fn a_topic_that_takes_less_than_we_send_warns() {
    let small = topic(&[(Some(1), 1, 1)], &[("max.message.bytes", "1000")]);
    let step = size(&small, &ours());
    assert_eq!(step.status, Status::Warning);
    assert!(step.cure.unwrap().contains("max.request.size=1000"));
    let large = topic(&[(Some(1), 1, 1)], &[("max.message.bytes", "1048588")]);
    assert_eq!(size(&large, &ours()).status, Status::Ok);
}

#[test]
fn a_compacted_topic_is_said_to_want_keys() {
    let configs =
        [("cleanup.policy", "compact,delete"), ("message.timestamp.type", "LogAppendTime")];
    let step = rules(&topic(&[(Some(1), 1, 1)], &configs));
    assert!(step.seen.contains("without a key") && step.seen.contains("replaces ours"), "{step:?}");
}

#[test]
fn what_the_cluster_keeps_to_itself_is_skipped_with_the_permission_that_lacks() {
    let mut silent = topic(&[(Some(1), 3, 3)], &[]);
    silent.configs = None;
    let steps = steps(&silent, None, &ours());
    for name in ["size", "rules", "durability"] {
        let step = find(&steps, name);
        assert_eq!(step.status, Status::Skipped, "{step:?}");
        assert!(step.cure.as_ref().unwrap().contains("DescribeConfigs"), "{step:?}");
    }
    assert_eq!(find(&steps, "permissions").status, Status::Skipped);
}

#[test]
fn a_topic_that_would_be_created_is_judged_by_what_it_would_get() {
    let absent = Topic { name: "t".to_owned(), ..Topic::default() };
    let defaults: Configs = [
        ("auto.create.topics.enable", "true"),
        ("num.partitions", "6"),
        ("default.replication.factor", "3"),
        ("min.insync.replicas", "2"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let steps = missing(&absent, (3, Some(&defaults)), &ours());
    assert_eq!(steps[0].status, Status::Warning);
    assert!(steps[0].seen.contains("6 partitions and 3 replicas"), "{steps:?}");
    assert_eq!(find(&steps, "durability").status, Status::Ok);
    let mut never = ours();
    never.allow_auto_create_topics = false;
    assert_eq!(missing(&absent, (3, Some(&defaults)), &never)[0].status, Status::Failed);
}

#[test]
fn a_topic_that_is_not_there_or_may_not_be_seen_fails() {
    let absent = Topic { name: "t".to_owned(), ..Topic::default() };
    let step = &missing(&absent, (3, None), &ours())[0];
    assert_eq!(step.status, Status::Failed);
    assert!(step.cure.as_ref().unwrap().contains("create t --partitions N --replication 3"));
    let few = missing(&absent, (1, None), &ours()).remove(0);
    assert!(!few.cure.unwrap().contains("--replication"));
    let hidden = Topic { error: Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED), ..absent };
    let step = &missing(&hidden, (3, None), &ours())[0];
    assert!(step.seen.contains("TOPIC_AUTHORIZATION_FAILED"), "{step:?}");
    assert_eq!(step.exit(), Exit::SomeFailed);
}
