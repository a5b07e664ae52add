//! Answers to Produce and to InitProducerId that no broker can mean.

use std::sync::atomic::Ordering;

use ottla::{ErrorKind, Outcome};
use ottla_protocol::Uuid;
use ottla_protocol::messages::init_producer_id::InitProducerIdResponse;
use ottla_protocol::messages::produce::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse,
    ProduceResponse, TopicProduceResponse,
};

use super::*;

type Change = fn(&mut ProduceResponse);

fn part(told: &mut ProduceResponse) -> &mut PartitionProduceResponse {
    &mut told.responses[0].partition_responses[0]
}

fn change(produce: Change) -> impl FnMut(usize, &Answer) -> Option<Vec<Act>> {
    move |nth, answer| (nth < 3).then(|| vec![Act::Write(answer.changed(produce))])
}

/// Laws: L1, L4. Scenarios: B-6, B-10, B-11.
#[test]
fn an_answer_that_leaves_a_batch_out_or_in_doubt_has_it_sent_again_and_written_once() {
    let doubtful: [(&str, Change); 9] = [
        ("nothing", |told| told.responses.clear()),
        ("no partitions", |told| told.responses[0].partition_responses.clear()),
        ("another partition", |told| part(told).index = 1),
        ("a negative partition", |told| part(told).index = i32::MIN),
        ("an unknown id", |told| told.responses[0].topic_id = Uuid([9; 16])),
        ("no id", |told| told.responses[0].topic_id = Uuid::ZERO),
        ("an unknown code", |told| part(told).error_code = 999),
        ("a negative code", |told| part(told).error_code = -1),
        ("the least code", |told| part(told).error_code = i16::MIN),
    ];
    for (name, produce) in doubtful {
        let scene = Scene::new(&[]);
        let spoilt = scene.spoil(ApiKey::PRODUCE, change(produce));
        println!("{name}");
        scene.delivers("first");
        assert_eq!(spoilt.load(Ordering::SeqCst), 3, "{name}");
        scene.delivers("second");
        assert_eq!(scene.troubles().len(), 0, "{name}: the connection is as good as it was");
        scene.ends_clean();
    }
}

/// Laws: L1, L3. Scenarios: B-11, B-13, B-14, #96.
#[test]
fn what_is_in_an_answer_besides_is_not_minded() {
    let harmless: [(&str, Change); 8] = [
        ("the partition twice, with an error behind", |told| {
            let again = PartitionProduceResponse { error_code: 6, ..part(told).clone() };
            told.responses[0].partition_responses.push(again);
        }),
        ("partitions that were not sent", |told| {
            let other = |index| PartitionProduceResponse { index, ..Default::default() };
            told.responses[0].partition_responses.extend((-5..0).chain(2..1000).map(other));
        }),
        ("topics that nobody knows", |told| {
            told.responses.extend((0..1000).map(|n: u32| TopicProduceResponse {
                topic_id: Uuid([(n % 250) as u8 + 3; 16]),
                partition_responses: vec![PartitionProduceResponse::default()],
                ..Default::default()
            }));
        }),
        ("errors of records that there are not", |told| {
            part(told).record_errors = [-1, 1, i32::MIN, i32::MAX]
                .into_iter()
                .chain(2..50_000)
                .map(|batch_index| BatchIndexAndErrorMessage { batch_index, ..Default::default() })
                .collect();
        }),
        ("words without an error", |told| part(told).error_message = Some("all is well".into())),
        ("a negative silence", |told| told.throttle_time_ms = i32::MIN),
        ("a leader without an address", |told| {
            let leader = LeaderIdAndEpoch { leader_id: 99, leader_epoch: i32::MAX };
            part(told).current_leader = leader;
        }),
        ("addresses that are none", |told| {
            told.node_endpoints = [("", 9092), ("h", 0), ("h", -1), ("h", 70_000)]
                .map(|(host, port)| NodeEndpoint {
                    node_id: 99,
                    host: host.into(),
                    port,
                    ..Default::default()
                })
                .to_vec();
            let leader = LeaderIdAndEpoch { leader_id: 99, leader_epoch: i32::MAX };
            part(told).current_leader = leader;
        }),
    ];
    for (name, produce) in harmless {
        let scene = Scene::new(&[]);
        let spoilt = scene.spoil(ApiKey::PRODUCE, change(produce));
        println!("{name}");
        for n in 0..4 {
            scene.delivers(&format!("{n}"));
        }
        assert!(spoilt.load(Ordering::SeqCst) >= 3, "{name}");
        scene.ends_clean();
    }
}

/// Laws: L2. Scenarios: B-12, bug-41.
#[test]
fn an_offset_that_is_none_is_success_without_an_offset() {
    for base_offset in [-1, -2, i64::MIN] {
        let scene = Scene::new(&[]);
        scene.spoil(ApiKey::PRODUCE, move |nth, answer| {
            let changed = answer.changed(|told: &mut ProduceResponse| {
                part(told).base_offset = base_offset;
            });
            (nth == 0).then(|| vec![Act::Write(changed)])
        });
        assert_eq!(scene.send("x").wait().expect("delivered").offset, None);
        scene.delivers("second");
    }
}

/// Laws: L2. Scenarios: B-12.
#[test]
fn the_greatest_offsets_and_times_are_told_without_a_panic() {
    let scene = Scene::new(&[("linger.ms", "60000"), ("linger.adaptive", "false")]);
    scene.spoil(ApiKey::PRODUCE, |nth, answer| {
        let changed = answer.changed(|told: &mut ProduceResponse| {
            part(told).base_offset = i64::MAX;
            part(told).log_append_time_ms = i64::MAX;
            part(told).log_start_offset = i64::MAX;
        });
        (nth == 0).then(|| vec![Act::Write(changed)])
    });
    let deliveries: Vec<Delivery> = (0..3).map(|n| scene.send(&format!("{n}"))).collect();
    scene.producer.blocking().flush(Duration::from_secs(30)).expect("flushed");
    assert_eq!(scene.hostile.asked(ApiKey::PRODUCE), 1, "one batch");
    for delivery in deliveries {
        delivery.wait().expect("delivered");
    }
}

/// Laws: L1, L9. Scenarios: B-14.
#[test]
fn the_greatest_silence_is_kept_no_longer_than_the_record_has_time() {
    let settings = [("request.timeout.ms", "1000"), ("delivery.timeout.ms", "3000")];
    let scene = Scene::new(&settings);
    scene.spoil(ApiKey::PRODUCE, |nth, answer| {
        let changed = answer.changed(|told: &mut ProduceResponse| told.throttle_time_ms = i32::MAX);
        (nth == 0).then(|| vec![Act::Write(changed)])
    });
    scene.delivers("first");
    let error = scene.send("second").wait().expect_err("silence");
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::NotPersisted));
    assert_eq!(scene.producer.metrics().throttles, 1);
    scene.ends_clean();
}

/// Laws: L1. Scenarios: B-13.
#[test]
fn an_error_that_names_records_that_there_are_not_fails_the_batch_as_a_whole() {
    let scene = Scene::new(&[]);
    scene.spoil(ApiKey::PRODUCE, |_, answer| {
        let changed = answer.changed(|told: &mut ProduceResponse| {
            part(told).error_code = 87;
            part(told).record_errors = [-1, 1, i32::MAX, i32::MIN]
                .map(|batch_index| BatchIndexAndErrorMessage {
                    batch_index,
                    batch_index_error_message: Some("not that one".into()),
                })
                .to_vec();
        });
        Some(vec![Act::Write(changed)])
    });
    let error = scene.send("x").wait().expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::InvalidRecord);
    assert!(!error.to_string().contains("not that one"), "{error}");
    scene.ends_clean();
}

/// Laws: L1. Scenarios: B-6.
#[test]
fn an_unknown_code_is_kept_in_the_error_when_time_runs_out() {
    let settings = [("request.timeout.ms", "1000"), ("delivery.timeout.ms", "3000")];
    let scene = Scene::new(&settings);
    scene.spoil(ApiKey::PRODUCE, |_, answer| {
        let changed = answer.changed(|told: &mut ProduceResponse| part(told).error_code = 999);
        Some(vec![Act::Write(changed)])
    });
    let error = scene.send("x").wait().expect_err("never a verdict");
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::MaybePersisted));
    let told = chain(&error);
    assert!(told.contains("999") && told.contains(&scene.hostile.address()), "{told}");
    scene.ends_clean();
}

/// Laws: L8, L9. Scenarios: B-15.
#[test]
fn a_hint_to_a_port_that_is_no_broker_holds_nothing_up_for_long() {
    for takes_node in [false, true] {
        let scene = Scene::new(&[]);
        let ssh = Hostile::start();
        ssh.greet(vec![Act::Write(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()), Act::Mute]);
        let (host, port) = ("127.0.0.1".to_owned(), ssh.port());
        scene.delivers("first");
        scene.spoil(ApiKey::PRODUCE, move |nth, answer| {
            let changed = answer.changed(|told: &mut ProduceResponse| {
                let leader_id = if takes_node { 1 } else { 99 };
                let host = host.clone();
                told.node_endpoints =
                    vec![NodeEndpoint { node_id: leader_id, host, port, ..Default::default() }];
                part(told).current_leader = LeaderIdAndEpoch { leader_id, leader_epoch: i32::MAX };
                part(told).error_code = 6;
            });
            (nth == 0).then(|| vec![Act::Write(changed)])
        });
        // It was written, and the answer said that it was not: the broker recognizes it.
        let told = scene.send("second").wait().expect("delivered");
        assert_eq!(told.offset, Some(1));
        assert!(ssh.connections() < 10, "{}", ssh.connections());
        scene.delivers("third");
    }
}

/// Laws: L4. Scenarios: B-16.
#[test]
fn a_producer_id_that_is_none_is_asked_for_again_and_never_sent() {
    type Identity = fn(&mut InitProducerIdResponse);
    let cases: [(&str, Identity); 5] = [
        ("no id", |told| told.producer_id = -1),
        ("the least id", |told| told.producer_id = i64::MIN),
        ("no epoch", |told| told.producer_epoch = -1),
        ("the least epoch", |told| told.producer_epoch = i16::MIN),
        ("an unknown code", |told| told.error_code = 999),
    ];
    for (name, identity) in cases {
        let scene = Scene::new(&[]);
        let spoilt = scene.spoil(ApiKey::INIT_PRODUCER_ID, move |nth, answer| {
            (nth < 3).then(|| vec![Act::Write(answer.changed(identity))])
        });
        println!("{name}");
        scene.delivers("x");
        assert_eq!(spoilt.load(Ordering::SeqCst), 3, "{name}");
        assert_eq!(scene.hostile.asked(ApiKey::INIT_PRODUCER_ID), 4, "{name}");
        assert_eq!(scene.hostile.asked(ApiKey::PRODUCE), 1, "{name}: not before there is an id");
        scene.ends_clean();
    }
}

/// Laws: L1, L9. Scenarios: B-16.
#[test]
fn a_producer_id_that_never_comes_fails_the_record_in_time() {
    let settings = [("request.timeout.ms", "1000"), ("delivery.timeout.ms", "3000")];
    let scene = Scene::new(&settings);
    scene.spoil(ApiKey::INIT_PRODUCER_ID, |_, answer| {
        let changed = answer.changed(|told: &mut InitProducerIdResponse| told.producer_id = -1);
        Some(vec![Act::Write(changed)])
    });
    let error = scene.send("x").wait().expect_err("no id");
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::NotPersisted));
    assert!(error.to_string().contains("producer id"), "{error}");
    scene.hostile.become_honest();
    scene.delivers("y");
    scene.ends_clean();
}

/// Laws: L5. Scenarios: B-16.
#[test]
fn the_last_epoch_and_the_greatest_id_will_do() {
    let scene = Scene::new(&[]);
    scene.spoil(ApiKey::INIT_PRODUCER_ID, |_, answer| {
        let changed = answer.changed(|told: &mut InitProducerIdResponse| {
            (told.producer_id, told.producer_epoch) = (i64::MAX, i16::MAX);
        });
        Some(vec![Act::Write(changed)])
    });
    scene.delivers("x");
    scene.delivers("y");
    scene.ends_clean();
}
