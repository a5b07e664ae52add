//! What stands beside key and value.

use ottla::{ErrorKind, Header, Record};
use ottla_tests::{Engine, engine, run};

type Headers = Vec<(String, Option<Vec<u8>>)>;

/// Sends a record with these headers, and gives those that are read back.
fn round_trip(engine: &Engine, headers: &[Header<'_>]) -> Headers {
    let topic = engine.topic("headers", 1);
    let producer = engine.producer(&[]);
    let record = Record::new(&topic).value("v").headers(headers);
    let outcome = run(async { producer.send(record).await.expect("accepted").await });
    outcome.expect("delivered");
    let mut seen = engine.read(&topic);
    assert_eq!(seen.len(), 1);
    seen.remove(0).headers.expect("this reader tells headers")
}

fn owned(headers: &[Header<'_>]) -> Headers {
    let value = |header: &Header<'_>| header.value.map(<[u8]>::to_vec);
    headers.iter().map(|header| (header.key.to_owned(), value(header))).collect()
}

#[test]
fn headers_arrive_in_the_order_in_which_they_were_given() {
    let headers = ["b", "a", "c"].map(|key| Header::new(key, Some(key.as_bytes())));
    assert_eq!(round_trip(&engine!(), &headers), owned(&headers));
}

#[test]
fn a_header_key_may_come_twice_and_both_arrive() {
    let headers = [
        Header::new("hop", Some(b"first".as_slice())),
        Header::new("other", Some(b"between".as_slice())),
        Header::new("hop", Some(b"second".as_slice())),
        Header::new("hop", Some(b"second".as_slice())),
    ];
    assert_eq!(round_trip(&engine!(), &headers), owned(&headers));
}

/// Laws: L2. Scenarios: H8.
#[test]
fn a_null_header_value_is_not_an_empty_one() {
    let headers = [Header::new("null", None), Header::new("empty", Some(b"".as_slice()))];
    assert_eq!(round_trip(&engine!(), &headers), owned(&headers));
}

#[test]
fn header_keys_are_any_text_and_header_values_any_bytes() {
    let headers = [
        Header::new("", Some(b"a key of no length".as_slice())),
        Header::new("größe=ключ 鍵", Some([0, 0xff, b'\n', 0x80].as_slice())),
    ];
    assert_eq!(round_trip(&engine!(), &headers), owned(&headers));
}

/// Laws: L2. Scenarios: H8.
#[test]
fn a_record_carries_hundreds_of_headers() {
    let keys: Vec<String> = (0..500).map(|n| format!("key-{n}")).collect();
    let headers: Vec<Header<'_>> =
        keys.iter().map(|key| Header::new(key, Some(key.as_bytes()))).collect();
    assert_eq!(round_trip(&engine!(), &headers), owned(&headers));
}

#[test]
fn headers_count_towards_the_largest_record() {
    let engine = engine!();
    let topic = engine.topic("headers-size", 1);
    let producer = engine.producer(&[("max.request.size", "10000")]);
    let large = vec![1; 10_000];
    let headers = [Header::new("large", Some(&large))];
    let refused = run(producer.send(Record::new(&topic).value("v").headers(&headers)));
    assert_eq!(refused.expect_err("too large").kind(), ErrorKind::TooLarge);
}
