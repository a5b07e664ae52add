//! A topic whose leader alone may confirm a record is warned of, once, by a question of its own.
//!
//! One test alone in its process: what is told by others would be in its way.

use std::time::Duration;

use ottla::{Producer, Record};
use ottla_broker::ApiKey;
use ottla_protocol::messages::metadata::MetadataResponse;
use ottla_tests::hostile::{Act, Hostile};
use ottla_tests::listener;
use ottla_tests::wait::until_true;

#[test]
fn several_replicas_of_which_one_is_enough_are_warned_of_once() {
    listener::begin();
    let broker = Hostile::start();
    broker.script(|answer| {
        (answer.api == ApiKey::METADATA).then(|| {
            let replicated = answer.changed(|told: &mut MetadataResponse| {
                for partition in told.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                    partition.replica_nodes = vec![1, 2, 3];
                }
            });
            vec![Act::Write(replicated)]
        })
    });
    let producer = Producer::builder()
        .set("bootstrap.servers", &broker.address())
        .set("metadata.max.age.ms", "100")
        .build()
        .expect("settings")
        .blocking();
    let warnings = || {
        let heard = listener::heard();
        heard.lines().filter(|line| line.contains("min.insync.replicas=1")).count()
    };
    let send = || {
        let delivery = producer.send(Record::new("t").value("v")).expect("accepted");
        assert!(delivery.wait().is_ok());
    };
    send();
    until_true("the warning", || warnings() > 0);
    // The layout is told again and again, and the warning is not.
    let told = broker.asked(ApiKey::METADATA);
    until_true("more of the layout", || broker.asked(ApiKey::METADATA) > told + 1);
    send();
    assert_eq!((warnings(), broker.asked(ApiKey::DESCRIBE_CONFIGS)), (1, 1));
    assert!(listener::heard().contains("topic=\"t\" replicas=3"), "{}", listener::heard());
    producer.close(Duration::from_secs(60));
}
