//! What a producer says where there is no Kafka: wrong servers, wrong settings.

use std::time::{Duration, Instant};

use ottla::{ErrorKind, Outcome, Producer, Record, SendError, TrySendError};
use ottla_tests::server::{HTTP, SSH, Says, Server, TLS, closed_port};
use ottla_tests::wait::PATIENCE;
use ottla_tests::{run, until};

fn producer(servers: &str, settings: &[(&str, &str)]) -> Producer {
    let builder = Producer::builder().set("bootstrap.servers", servers);
    settings
        .iter()
        .fold(builder, |builder, (key, value)| builder.set(key, value))
        .build()
        .expect("settings")
}

/// What `send` says when it may wait for 700 ms.
fn refused(servers: &str) -> SendError {
    let producer = producer(servers, &[("max.block.ms", "700")]);
    let begin = Instant::now();
    let error = run(producer.send(Record::new("t").value("v"))).expect_err("no Kafka there");
    assert!(begin.elapsed() < Duration::from_secs(10), "max.block.ms holds (law L9)");
    assert_eq!(error.outcome(), Outcome::NotPersisted);
    assert!(error.to_string().contains("700 ms"), "{error}");
    error
}

fn assert_says(error: &SendError, parts: &[&str]) {
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
}

#[test]
fn a_port_that_nobody_listens_on_is_said_to_refuse() {
    let server = closed_port();
    let error = refused(&server);
    assert_eq!(error.kind(), ErrorKind::Network);
    assert_says(&error, &[&server, "refused"]);
}

/// Laws: L9. Scenarios: E1.
#[test]
fn a_host_that_does_not_exist_is_named() {
    let error = refused("no-such-host.invalid:9092");
    assert_eq!(error.kind(), ErrorKind::Network);
    assert_says(&error, &["no-such-host.invalid"]);
}

/// Laws: L11. Scenarios: A4, bug-58.
#[test]
fn a_web_server_is_recognized() {
    let server = Server::start(HTTP);
    let error = refused(&server.address());
    assert_eq!(error.kind(), ErrorKind::Network);
    assert_says(&error, &[&server.address(), "HTTP"]);
}

/// Laws: L11. Scenarios: A4, bug-57.
#[test]
fn a_tls_server_is_recognized() {
    let server = Server::start(TLS);
    let error = refused(&server.address());
    assert_eq!(error.kind(), ErrorKind::Network);
    assert_says(&error, &[&server.address(), "TLS"]);
}

/// Laws: L11. Scenarios: A4.
#[test]
fn an_ssh_server_is_recognized() {
    let server = Server::start(SSH);
    let error = refused(&server.address());
    assert_says(&error, &[&server.address(), "SSH"]);
}

/// Laws: L9. Scenarios: A12.
#[test]
fn a_server_that_hangs_up_at_once_is_said_to_do_so() {
    let server = Server::start(Says::Bytes(b""));
    let error = refused(&server.address());
    assert_eq!(error.kind(), ErrorKind::Network);
    assert_says(&error, &[&server.address()]);
}

/// Laws: L9. Scenarios: #94, A11.
#[test]
fn a_server_that_says_nothing_is_waited_for_no_longer_than_allowed() {
    let server = Server::start(Says::Nothing);
    let producer = producer(
        &server.address(),
        &[("max.block.ms", "900"), ("request.timeout.ms", "200"), ("delivery.timeout.ms", "900")],
    );
    let error = run(producer.send(Record::new("t").value("v"))).expect_err("no answer");
    assert_eq!(error.outcome(), Outcome::NotPersisted);
    assert_says(&error, &[&server.address()]);
}

/// Laws: L9. Scenarios: A12.
#[test]
fn a_server_that_is_no_kafka_is_not_showered_with_connections() {
    let server = Server::start(HTTP);
    let producer = producer(&server.address(), &[("max.block.ms", "1500")]);
    run(producer.send(Record::new("t").value("v"))).expect_err("no Kafka there");
    // 50 ms, doubled each time, up to a second: about 6 attempts in a second and a half.
    let connections = server.connections();
    assert!((2..=20).contains(&connections), "{connections}");
}

/// Laws: L11. Scenarios: A1, A2, A3, bug-55.
#[test]
fn a_frame_that_announces_more_than_any_answer_closes_the_connection() {
    for size in [0x7fff_ffff_u32, 0xffff_ffff, 0x8000_0000, 0, 3, 100_000_001] {
        let words: &'static [u8] = Box::leak(Box::new(size.to_be_bytes()));
        let server = Server::start(Says::Bytes(words));
        let error = refused(&server.address());
        assert_eq!(error.kind(), ErrorKind::Network, "{size:#x}: {error}");
    }
}

/// Laws: L9. Scenarios: bug-32.
#[test]
fn closing_with_an_unreachable_cluster_ends_in_time() {
    let producer = producer(&closed_port(), &[]);
    assert_eq!(
        producer.try_send(Record::new("t").value("v")).err(),
        Some(TrySendError::TopicPending)
    );
    let report = run(producer.close(Duration::from_millis(100)));
    assert_eq!((report.delivered, report.failed), (0, 0));
    // And a sender that waits for its topic is told so.
    let refused = run(producer.send(Record::new("t").value("v"))).expect_err("closed");
    assert_eq!(refused.kind(), ErrorKind::Closed);
}

/// The runtime of a producer that is closed ends, and a timer of an ended runtime panics: whoever
/// asks for a topic after that must be told without one.
/// Laws: L9. Scenarios: #109, H5.
#[test]
fn a_topic_that_is_asked_for_after_close_is_refused_however_late() {
    let server = Server::start(Says::Nothing);
    let producer = producer(&server.address(), &[]);
    run(producer.close(Duration::ZERO));
    until("end of all connections", || (server.ended() == server.connections()).then_some(()));
    for _ in 0..1000 {
        let refused = run(producer.topic("t")).err().expect("closed");
        assert_eq!(refused.kind(), ErrorKind::Closed);
        std::thread::yield_now();
    }
}

/// Laws: L9. Scenarios: #109.
#[test]
fn a_sender_that_waits_for_its_topic_is_told_when_the_producer_is_closed() {
    let server = Server::start(Says::Nothing);
    let producer = producer(&server.address(), &[]).blocking();
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| producer.send(Record::new("t").value("v")).map(drop));
        until("connection", || (server.connections() > 0).then_some(()));
        producer.close(Duration::ZERO);
        let refused = sender.join().expect("no panic").expect_err("closed");
        assert_eq!(refused.kind(), ErrorKind::Closed);
    });
}

/// Laws: L9. Scenarios: H4.
#[test]
fn a_producer_that_is_dropped_lets_go_of_its_connections() {
    let server = Server::start(Says::Nothing);
    let producer = producer(&server.address(), &[]);
    let sent = producer.try_send(Record::new("t").value("v"));
    assert_eq!(sent.err(), Some(TrySendError::TopicPending));
    until("connection", || (server.connections() > 0).then_some(()));
    assert_eq!(server.ended(), 0);
    drop(producer);
    until("end of all connections", || (server.ended() == server.connections()).then_some(()));
}

fn refused_setting(settings: &[(&str, &str)]) -> String {
    let built = Producer::from_properties(settings.iter().copied());
    built.map(|_| ()).expect_err("refused").to_string()
}

#[test]
fn an_unknown_setting_is_refused_with_the_nearest_name() {
    let told = refused_setting(&[("bootstrap.servers", "h:1"), ("linger.sm", "5")]);
    assert!(told.contains("linger.sm") && told.contains("linger.ms"), "{told}");
}

#[test]
fn settings_that_contradict_each_other_are_refused_with_the_reason() {
    let servers = ("bootstrap.servers", "h:1");
    let idempotent = ("enable.idempotence", "true");
    for (setting, word) in
        [(("acks", "1"), "acks=all"), (("retries", "0"), "retries"), (("max.in.flight", "6"), "5")]
    {
        let told = refused_setting(&[servers, idempotent, setting]);
        assert!(told.contains(word) && told.contains("idempotence"), "{told}");
    }
    let told = refused_setting(&[
        servers,
        ("delivery.timeout.ms", "1000"),
        ("request.timeout.ms", "2000"),
    ]);
    assert!(told.contains("linger.ms + request.timeout.ms"), "{told}");
}

#[test]
fn a_value_out_of_range_is_refused_with_the_range() {
    let servers = ("bootstrap.servers", "h:1");
    for (setting, word) in [
        (("acks", "2"), "0, 1 or all"),
        (("compression.type", "brotli"), "zstd"),
        (("batch.size", "-1"), "whole number from 1"),
        (("linger.ms", "soon"), "milliseconds"),
        (("partitioner", "best"), "murmur2"),
    ] {
        let told = refused_setting(&[servers, setting]);
        assert!(told.contains(setting.0) && told.contains(word), "{told}");
    }
    let told =
        refused_setting(&[servers, ("compression.type", "gzip"), ("compression.level", "12")]);
    assert!(told.contains("gzip has levels"), "{told}");
}

#[test]
fn servers_that_are_none_are_refused() {
    for (servers, word) in
        [("", "expected"), ("localhost", "port"), ("h:99999", "port"), (":9092", "host")]
    {
        let told = refused_setting(&[("bootstrap.servers", servers)]);
        assert!(told.contains("bootstrap.servers") && told.contains(word), "{told}");
    }
    assert!(refused_setting(&[]).contains("bootstrap.servers"));
}

#[test]
fn metrics_of_a_new_producer_are_all_nothing_but_its_memory() {
    let producer = producer(&closed_port(), &[("buffer.memory", "1000000")]);
    let metrics = producer.metrics();
    assert_eq!(
        (metrics.records_delivered, metrics.records_failed, metrics.requests_sent),
        (0, 0, 0)
    );
    assert_eq!(
        (metrics.buffer_total_bytes, metrics.buffer_available_bytes),
        (1_000_000, 1_000_000)
    );
    assert!(run(producer.close(PATIENCE)).is_clean());
}

/// Laws: L1, L9. Scenarios: #57, #107, #110, bug-30.
#[test]
fn a_send_that_waits_for_its_topic_is_no_matter_of_purge_and_flush_and_can_be_cancelled() {
    let server = Server::start(Says::Nothing);
    let producer = producer(&server.address(), &[("max.block.ms", "50000")]);
    run(async {
        let mut waiting = Box::pin(producer.send(Record::new("t").value("v")));
        for _ in 0..20 {
            let looked = tokio::time::timeout(Duration::from_millis(1), &mut waiting).await;
            assert!(looked.is_err(), "it waits");
            producer.purge(true, true).await;
            producer.flush(PATIENCE).await.expect("nothing was accepted");
        }
        drop(waiting);
        producer.flush(PATIENCE).await.expect("nothing was accepted");
        let report = producer.close(PATIENCE).await;
        assert_eq!((report.delivered, report.failed), (0, 0));
    });
}
