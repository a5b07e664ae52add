//! Layouts of a cluster that cannot be. Metadata is advice (law L8): it may delay records.

use std::sync::atomic::Ordering;

use ottla_protocol::Uuid;
use ottla_protocol::messages::metadata::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
};
use ottla_tests::server::closed_port;

use super::*;

type Change = fn(&mut MetadataResponse);

fn partition(told: &mut MetadataResponse) -> &mut MetadataResponsePartition {
    &mut told.topics[0].partitions[0]
}

fn impossible() -> Vec<(&'static str, Change)> {
    vec![
        ("no brokers", |told| told.brokers.clear()),
        ("no topics", |told| told.topics.clear()),
        ("no partitions, and no error", |told| told.topics[0].partitions.clear()),
        ("an unknown error", |told| told.topics[0].error_code = 999),
        ("an unknown error and no partitions", |told| {
            told.topics[0].error_code = -32_768;
            told.topics[0].partitions.clear();
        }),
        ("a negative broker", |told| told.brokers[0].node_id = -5),
        ("a broker without a host", |told| told.brokers[0].host.clear()),
        ("port 0", |told| told.brokers[0].port = 0),
        ("port -1", |told| told.brokers[0].port = -1),
        ("port 70000", |told| told.brokers[0].port = 70_000),
        ("a leader that is no broker", |told| partition(told).leader_id = 4711),
        ("a negative leader", |told| partition(told).leader_id = i32::MIN),
        ("every partition negative", |told| {
            told.topics[0].partitions.iter_mut().for_each(|p| p.partition_index = -1);
        }),
        ("every partition out of range", |told| {
            told.topics[0].partitions.iter_mut().for_each(|p| p.partition_index = i32::MAX);
        }),
        ("one partition twice", |told| {
            let twice = partition(told).clone();
            told.topics[0].partitions = vec![twice.clone(), twice];
        }),
        ("a topic without a name", |told| {
            told.topics[0].name = None;
            told.topics[0].topic_id = Uuid([9; 16]);
        }),
        ("another topic", |told| told.topics[0].name = Some("not-asked-for".into())),
        ("the greatest leader epoch", |told| partition(told).leader_epoch = i32::MAX),
        ("the least leader epoch", |told| partition(told).leader_epoch = i32::MIN),
        ("no id", |told| told.topics[0].topic_id = Uuid::ZERO),
        ("the topic twice, with two ids", |told| {
            let mut again = told.topics[0].clone();
            again.topic_id = Uuid([9; 16]);
            told.topics.push(again);
        }),
        ("the greatest silence", |told| told.throttle_time_ms = i32::MAX),
    ]
}

/// Laws: L1, L8. Scenarios: B-8, B-9, F6, bug-16, #67.
#[test]
fn a_layout_that_cannot_be_is_waited_out_and_never_taken_for_success() {
    for (name, change) in impossible() {
        let scene = Scene::new(&[]);
        let spoilt = scene.spoil(ApiKey::METADATA, move |nth, answer| {
            (nth < 4).then(|| vec![Act::Write(answer.changed(change))])
        });
        println!("{name}");
        scene.delivers("first");
        scene.delivers("second");
        assert!(spoilt.load(Ordering::SeqCst) > 0, "{name}");
        assert!(scene.hostile.asked(ApiKey::METADATA) < 40, "{name}");
        scene.ends_clean();
    }
}

/// Laws: L8. Scenarios: B-8, B-9, F6.
#[test]
fn a_layout_that_cannot_be_takes_nothing_from_what_was_known() {
    for (name, change) in impossible() {
        let scene = Scene::new(&[("metadata.max.age.ms", "100")]);
        println!("{name}");
        scene.delivers("first");
        let spoilt = scene.spoil(ApiKey::METADATA, move |nth, answer| {
            (nth < 4).then(|| vec![Act::Write(answer.changed(change))])
        });
        until_true("layout", || spoilt.load(Ordering::SeqCst) > 1);
        scene.delivers("second");
        scene.hostile.become_honest();
        scene.delivers("third");
        scene.ends_clean();
    }
}

/// Laws: L8, L9. Scenarios: B-8.
#[test]
fn a_broker_with_two_addresses_is_found_again() {
    // The second of them leads nowhere, or the first.
    for other_first in [false, true] {
        let scene = Scene::new(&[]);
        let nowhere = closed_port();
        let spoilt = scene.spoil(ApiKey::METADATA, move |nth, answer| {
            let port = nowhere.rsplit(':').next().and_then(|port| port.parse().ok())?;
            let changed = answer.changed(|told: &mut MetadataResponse| {
                let other = MetadataResponseBroker { port, ..told.brokers[0].clone() };
                told.brokers.insert(usize::from(!other_first), other);
            });
            (nth < 3).then(|| vec![Act::Write(changed)])
        });
        let delivery = scene.send("x");
        assert_eq!(delivery.wait().expect("delivered").offset, Some(0));
        assert!(spoilt.load(Ordering::SeqCst) > 0);
        assert!(scene.hostile.connections() < 40);
    }
}

/// Laws: L2, L8. Scenarios: B-9.
#[test]
fn records_of_a_topic_never_go_under_the_id_of_another() {
    let scene = Scene::new(&[("metadata.max.age.ms", "100")]);
    scene.delivers("first of t");
    let stolen = Arc::new(Mutex::new(Uuid::ZERO));
    scene.spoil(ApiKey::METADATA, move |_, answer| {
        let changed = answer.changed(|told: &mut MetadataResponse| {
            let mut known = stolen.lock().expect("no panic");
            for topic in &mut told.topics {
                match topic.name.as_deref() {
                    Some("t") => *known = topic.topic_id,
                    _ => topic.topic_id = *known,
                }
            }
        });
        Some(vec![Act::Write(changed)])
    });
    let record = || Record::new("u").value("of u");
    for n in 0..3 {
        let told = scene.producer.blocking().send(record()).expect("accepted").wait();
        assert_eq!(told.expect("delivered").offset, Some(n));
        scene.delivers("of t");
    }
    let cluster = scene.hostile.cluster();
    assert_eq!(
        (cluster.log_end_offset("t", 0), cluster.log_end_offset("t", 1)),
        (Some(4), Some(0))
    );
    assert_eq!(cluster.log_end_offset("u", 0), Some(3));
    scene.ends_clean();
}

/// Laws: L9, L11. Scenarios: B-8.
#[test]
fn a_million_partitions_and_a_hundred_thousand_brokers_are_taken_in() {
    let scene = Scene::new(&[]);
    let spoilt = scene.spoil(ApiKey::METADATA, |nth, answer| {
        let changed = answer.changed(|told: &mut MetadataResponse| {
            let host = told.brokers[0].clone();
            told.brokers.extend(
                (1000..101_000).map(|node_id| MetadataResponseBroker { node_id, ..host.clone() }),
            );
            let leader_id = partition(told).leader_id;
            told.topics[0].partitions.extend((2..1_000_000).map(|partition_index| {
                MetadataResponsePartition { partition_index, leader_id, ..Default::default() }
            }));
        });
        (nth == 0).then(|| vec![Act::Write(changed)])
    });
    scene.delivers("x");
    assert_eq!(spoilt.load(Ordering::SeqCst), 1);
    scene.ends_clean();
}

/// Its records stay until their time is up. They used to take all memory, and with it the others'.
/// Laws: L9, L10. Scenarios: #83, F5.
#[test]
fn a_broker_that_takes_nothing_leaves_memory_to_the_others() {
    let scene = Scene::new(&[("buffer.memory", "4194304"), ("max.block.ms", "60000")]);
    let dead = closed_port();
    let port = dead.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    scene.hostile.script(move |answer| {
        let with_dead = |told: &mut MetadataResponse| {
            let host = "127.0.0.1".to_owned();
            let dead = MetadataResponseBroker { node_id: 77, host, port, ..Default::default() };
            told.brokers.push(dead);
            let led = MetadataResponsePartition {
                partition_index: 1,
                leader_id: 77,
                ..partition(told).clone()
            };
            told.topics[0].partitions.push(led);
        };
        (answer.api == ApiKey::METADATA).then(|| vec![Act::Write(answer.changed(with_dead))])
    });
    let value = vec![7; 10_000];
    let to = |partition| Record::new("t").partition(partition).value(&value);
    let producer = scene.producer.blocking();
    drop(producer.send(to(1)).expect("accepted"));
    let stuck = std::iter::from_fn(|| scene.producer.try_send(to(1)).ok()).count();
    assert!((100..300).contains(&stuck), "half of the memory: {stuck} records of 10 kB");
    let deliveries: Vec<_> = (0..1000).map(|_| producer.send(to(0)).expect("accepted")).collect();
    for delivery in deliveries {
        delivery.wait().expect("delivered");
    }
    // There is still no room for the dead one's, but perhaps for one record in a smaller piece.
    let mut refusals = (0..10).filter_map(|_| scene.producer.try_send(to(1)).err());
    assert_eq!(refusals.next(), Some(ottla::TrySendError::Full));
}
