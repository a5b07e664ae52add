//! What is wrong with the frames of an answer: length, number, order, or their end.

use std::sync::atomic::Ordering;

use ottla::{ErrorKind, Outcome};
use ottla_protocol::messages::metadata::MetadataResponse as Metadata;

use super::*;

const MIB: i32 = 1 << 20;

/// Laws: L11. Scenarios: A4, bug-57.
#[test]
fn another_protocol_is_named_and_its_port_is_left_when_kafka_comes_back() {
    let greetings: [(&[u8], &str); 8] = [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP"),
        (&[0x15, 3, 3, 0, 2, 2, 10], "TLS"),
        (&[0x16, 3, 3, 0, 100, 1, 0, 0, 96], "TLS"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "SSH"),
        (b"+PONG\r\n", "text"),
        (b"<html><body>no</body></html>", "HTTP"),
        (b"220 mail.example ESMTP\r\n", "text"),
        (b"* OK IMAP4rev1\r\n", "text"),
    ];
    for (greeting, name) in greetings {
        let scene = Scene::new(&[]);
        scene.hostile.greet(vec![Act::Write(greeting.to_vec()), Act::Mute]);
        let delivery = std::thread::scope(|scope| {
            let sender = scope.spawn(|| scene.send("x"));
            until_true("trouble", || !scene.troubles().is_empty());
            scene.hostile.become_honest();
            sender.join().expect("no panic")
        });
        assert_eq!(delivery.wait().expect("delivered").offset, Some(0));
        scene.assert_told(&[name]);
        scene.ends_clean();
    }
}

/// Laws: L11. Scenarios: A1, A2, A3, bug-55.
#[test]
fn a_length_that_no_answer_has_closes_the_connection_wherever_it_comes() {
    let sizes = [-1, i32::MIN, 0, 1, 3, i32::MAX, 101 * MIB];
    for api in ASKED {
        let scene = Scene::new(&[]);
        // Before a broker has shown what it is, no answer is as long as half a mebibyte.
        let also = if api == ApiKey::API_VERSIONS { vec![MIB / 2 + 1, 100 * MIB] } else { vec![] };
        let sizes = [&sizes[..], &also].concat();
        let count = sizes.len();
        let told = sizes.clone();
        let spoilt = scene.spoil(api, move |nth, answer| {
            sizes.get(nth).map(|size| vec![Act::Write(answer.sized(*size)), Act::Mute])
        });
        scene.delivers("x");
        assert_eq!(spoilt.load(Ordering::SeqCst), count, "{api}");
        let troubles = scene.troubles();
        assert_eq!(troubles.len(), count, "{api}: one connection for each: {troubles:?}");
        for (size, why) in told.iter().zip(&troubles) {
            assert!(why.contains(&format!("a frame of {size} bytes")), "{api}: {why}");
        }
        scene.ends_clean();
    }
}

/// Laws: L4, L7. Scenarios: A5.
#[test]
fn an_answer_with_another_number_closes_the_connection() {
    for api in ASKED {
        let scene = Scene::new(&[]);
        let wrong: [fn(i32) -> i32; 5] =
            [|id| id.wrapping_add(1), |id| id.wrapping_sub(1), |_| 0, |_| -1, |_| i32::MAX];
        let spoilt = scene.spoil(api, move |nth, answer| {
            let other = wrong.get(nth)?(answer.correlation_id());
            Some(vec![Act::Write(answer.numbered(other))])
        });
        scene.delivers("x");
        assert_eq!(spoilt.load(Ordering::SeqCst), 5, "{api}");
        let troubles = scene.troubles();
        assert!(troubles.iter().all(|why| why.contains("was due")), "{api}: {troubles:?}");
        assert_eq!(troubles.len(), 5, "{api}");
        scene.ends_clean();
    }
}

/// Laws: L1. Scenarios: A5.
#[test]
fn an_answer_that_comes_twice_closes_the_connection_and_counts_once() {
    for api in ASKED {
        let scene = Scene::new(&[]);
        scene.spoil(api, |nth, answer| {
            (nth < 3).then(|| vec![Act::Write([&answer.frame[..], &answer.frame].concat())])
        });
        for _ in 0..4 {
            scene.delivers("x");
        }
        let troubles = scene.troubles();
        let expected = ["nobody asked for", "was due"];
        let fits = |why: &String| expected.iter().any(|words| why.contains(words));
        assert!(!troubles.is_empty() && troubles.iter().all(fits), "{api}: {troubles:?}");
        scene.ends_clean();
    }
}

/// Laws: L7. Scenarios: A6.
#[test]
fn a_frame_that_nobody_asked_for_closes_the_connection() {
    let scene = Scene::new(&[]);
    scene.delivers("first");
    scene.spoil(ApiKey::PRODUCE, |nth, answer| {
        let more = answer.numbered(answer.correlation_id() + 1);
        (nth == 0).then(|| vec![Act::Write(answer.frame.clone()), Act::Write(more)])
    });
    scene.delivers("second");
    until_true("trouble", || !scene.troubles().is_empty());
    scene.assert_told(&["nobody asked for"]);
    scene.delivers("third");
    scene.ends_clean();
}

/// Laws: L7. Scenarios: A5, A6.
#[test]
fn an_answer_to_what_wants_none_closes_the_connection() {
    let scene = Scene::new(&[("acks", "0")]);
    scene.spoil(ApiKey::METADATA, |nth, answer| {
        let more = answer.numbered(answer.correlation_id() + 1);
        (nth == 0).then(|| vec![Act::Write([&answer.frame[..], &more].concat())])
    });
    scene.send("first").wait().expect("written");
    until_true("trouble", || !scene.troubles().is_empty());
    scene.assert_told(&["nobody asked for"]);
    scene.send("second").wait().expect("written");
    scene.ends_clean();
}

/// Has every honest answer of an API cut, one byte later each time.
fn cut_everywhere(end: &Act, words: &str) {
    for api in ASKED {
        let scene = Scene::new(&[]);
        let whole = Arc::new(AtomicUsize::new(usize::MAX));
        let (length, end) = (Arc::clone(&whole), end.clone());
        let spoilt = scene.spoil(api, move |nth, answer| {
            length.store(answer.frame.len(), Ordering::SeqCst);
            let part = answer.frame.get(..nth).filter(|_| nth < answer.frame.len())?;
            Some(vec![Act::Write(part.to_vec()), end.clone()])
        });
        scene.delivers("x");
        let cuts = spoilt.load(Ordering::SeqCst);
        assert!(cuts >= 20, "{api}: {cuts}");
        assert_eq!(cuts, whole.load(Ordering::SeqCst), "{api}: cut at every byte");
        let troubles = scene.troubles();
        assert!(troubles.iter().all(|why| why.contains(words)), "{api}: {troubles:?}");
        assert_eq!(troubles.len(), cuts, "{api}: one connection for each");
        scene.ends_clean();
    }
}

/// Laws: L1, L7. Scenarios: A7, #59.
#[test]
fn an_answer_that_ends_at_any_byte_is_asked_for_again() {
    cut_everywhere(&Act::Finish, "the server closed the connection");
}

/// Laws: L1, L7. Scenarios: A7.
#[test]
fn an_answer_that_is_reset_at_any_byte_is_asked_for_again() {
    cut_everywhere(&Act::Reset, "connection");
}

/// Laws: L9. Scenarios: A9, A11.
#[test]
fn an_answer_that_never_ends_is_given_up_after_the_request_timeout() {
    for api in ASKED {
        let scene = Scene::new(&[("request.timeout.ms", "60")]);
        let spoilt = scene.spoil(api, |nth, answer| {
            let but_the_last = &answer.frame[..answer.frame.len() - 1];
            let parts: [&[u8]; 3] = [but_the_last, &answer.frame[..5], &[]];
            parts.get(nth).map(|part| vec![Act::Write(part.to_vec()), Act::Mute])
        });
        scene.delivers("x");
        assert_eq!(spoilt.load(Ordering::SeqCst), 3, "{api}");
        scene.assert_told(&["no answer within request.timeout.ms"]);
        scene.ends_clean();
    }
}

/// Laws: L9. Scenarios: A9.
#[test]
fn a_broker_that_never_ends_its_answer_delays_no_other() {
    let scene = Scene::new(&[("request.timeout.ms", "30000")]);
    let other = scene.hostile.side_door();
    scene.hostile.script(move |answer| match answer.api {
        ApiKey::METADATA => Some(vec![Act::Write(answer.changed(|told: &mut Metadata| {
            let second = &mut told.brokers[0].clone();
            second.node_id += 1;
            second.port = i32::from(other.port());
            told.brokers.push(second.clone());
            for partition in told.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                if partition.partition_index == 1 {
                    partition.leader_id = second.node_id;
                }
            }
        }))]),
        ApiKey::PRODUCE => Some(vec![Act::Write(answer.frame[..9].to_vec()), Act::Mute]),
        _ => None,
    });
    let stuck = scene.send("to the one that hangs");
    until_true("request", || scene.hostile.asked(ApiKey::PRODUCE) > 0);
    for n in 0..50 {
        let record = Record::new("t").partition(1).value("to the other");
        let told = scene.producer.blocking().send(record).expect("accepted").wait();
        assert_eq!(told.expect("delivered").offset, Some(n));
    }
    scene.producer.blocking().close(Duration::ZERO);
    assert_eq!(stuck.wait().expect_err("no answer").outcome(), Outcome::MaybePersisted);
}

/// Laws: L6, L7, L9. Scenarios: A10.
#[test]
fn a_broker_that_reads_no_more_is_left_after_the_request_timeout() {
    let scene = Scene::new(&[
        ("request.timeout.ms", "150"),
        ("max.request.size", "16000000"),
        ("compression.type", "none"),
    ]);
    scene.delivers("first");
    scene.spoil(ApiKey::PRODUCE, |nth, answer| {
        (nth == 0).then(|| vec![Act::Write(answer.frame.clone()), Act::Deaf])
    });
    scene.delivers("second");
    // More than the buffers of both sockets hold.
    let large = vec![7; 12_000_000];
    let record = Record::new("u").value(&large);
    let stuck = scene.producer.blocking().send(record).expect("accepted");
    until_true("trouble", || !scene.troubles().is_empty());
    scene.assert_told(&["no answer within request.timeout.ms"]);
    scene.hostile.become_honest();
    let refused = stuck.wait().expect_err("larger than the topic takes");
    assert_eq!(refused.kind(), ErrorKind::TooLarge);
    scene.delivers("third");
}

/// Laws: L1, L9. Scenarios: A1.
#[test]
fn a_record_whose_time_runs_out_meanwhile_is_told_what_the_broker_did() {
    let settings = [("request.timeout.ms", "1000"), ("delivery.timeout.ms", "3000")];
    let scene = Scene::new(&settings);
    let field = "a frame of -7 bytes";
    scene.spoil(ApiKey::PRODUCE, |_, answer| Some(vec![Act::Write(answer.sized(-7))]));
    let error = scene.send("x").wait().expect_err("no answer");
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::MaybePersisted));
    let told = chain(&error);
    assert!(told.contains(field) && told.contains(&scene.hostile.address()), "{told}");
}
