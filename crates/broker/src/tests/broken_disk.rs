//! A leader whose disk breaks under one partition.

use std::time::Duration;

use ottla_protocol::ErrorCode;

use super::world::{Answer, World, batch};
use crate::config::BrokerConfig;

fn produce(world: &mut World, node: i32) -> ErrorCode {
    let sent = world.produce(node, -1, 0, &batch(None, &[1])).unwrap();
    world.pass(Duration::from_millis(10));
    match world.take_answer(sent) {
        Some(Answer::Is(answer)) => ErrorCode(answer.error_code),
        other => panic!("{other:?}"),
    }
}

#[test]
fn another_leads_once_a_leaders_disk_takes_nothing_more() {
    let mut world = World::new(1, BrokerConfig::default());
    let old = world.leader(0);
    assert_eq!(produce(&mut world, old), ErrorCode::NONE);
    let topic = world.topic;
    world.nodes.replica_mut(old, topic, 0).unwrap().log.fail();
    assert_eq!(produce(&mut world, old), ErrorCode::KAFKA_STORAGE_ERROR);
    let new = world.leader(0);
    assert_ne!(new, old);
    assert_eq!(produce(&mut world, new), ErrorCode::NONE);
    assert_eq!(produce(&mut world, old), ErrorCode::NOT_LEADER_OR_FOLLOWER);

    // It is not in sync, and so is not chosen when others go.
    let now = world.now();
    let others = world.nodes.node_ids().into_iter().filter(|id| *id != old);
    for id in others.collect::<Vec<_>>() {
        world.nodes.kill(id, now);
    }
    world.pass(Duration::from_secs(60));
    assert_eq!(world.leader(0), -1);
}
