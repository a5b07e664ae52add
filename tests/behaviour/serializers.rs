//! Typed keys and values.

use ottla::{BigEndian, ErrorKind, Header, Json, Raw, SerializeError, Utf8};
use ottla_tests::wait::PATIENCE;
use ottla_tests::{engine, run};

#[test]
fn text_numbers_and_bytes_are_written_as_javas_serializers_write_them() {
    let engine = engine!();
    let topic = engine.topic("typed", 1);
    let producer = engine.producer(&[]);
    run(async {
        let texts = producer.typed::<i32, str, _, _>(BigEndian, Utf8);
        drop(texts.send(&topic, Some(&-2), Some("grüße")).await.expect("accepted"));
        let numbers = producer.typed::<i64, f64, _, _>(BigEndian, BigEndian);
        drop(numbers.send(&topic, Some(&1), Some(&1.5)).await.expect("accepted"));
        let bytes = producer.typed::<[u8], Vec<u8>, _, _>(Raw, Raw);
        drop(bytes.send(&topic, Some(&[0, 255]), Some(&vec![7])).await.expect("accepted"));
        // Without a key, and a tombstone with headers.
        drop(texts.send(&topic, None, Some("")).await.expect("accepted"));
        let headers = [Header::new("why", Some(b"gone".as_slice()))];
        let deleted = texts.send_with_headers(&topic, Some(&5), None, &headers).await;
        drop(deleted.expect("accepted"));
        assert!(producer.close(PATIENCE).await.is_clean());
    });
    let seen = engine.read(&topic);
    let keys: Vec<Option<&[u8]>> = seen.iter().map(|seen| seen.key.as_deref()).collect();
    let expected: [Option<&[u8]>; 5] = [
        Some(&[0xff, 0xff, 0xff, 0xfe]),
        Some(&[0, 0, 0, 0, 0, 0, 0, 1]),
        Some(&[0, 255]),
        None,
        Some(&[0, 0, 0, 5]),
    ];
    assert_eq!(keys, expected);
    let values: Vec<Option<&[u8]>> = seen.iter().map(|seen| seen.value.as_deref()).collect();
    let expected: [Option<&[u8]>; 5] = [
        Some("grüße".as_bytes()),
        Some(&[0x3f, 0xf8, 0, 0, 0, 0, 0, 0]),
        Some(&[7]),
        Some(b""),
        None,
    ];
    assert_eq!(values, expected);
    assert_eq!(seen[4].headers, Some(vec![("why".to_owned(), Some(b"gone".to_vec()))]));
}

#[test]
fn a_closure_is_a_serializer_and_its_error_refuses_the_record() {
    let engine = engine!();
    let topic = engine.topic("own-serializer", 1);
    let even = |_: &str, number: &u32, out: &mut Vec<u8>| {
        if number % 2 == 1 {
            return Err(SerializeError::new("an odd number"));
        }
        out.extend_from_slice(number.to_string().as_bytes());
        Ok(())
    };
    let producer = engine.producer(&[]);
    let numbers = producer.typed::<str, u32, _, _>(Utf8, even);
    let refused = run(async {
        drop(numbers.send(&topic, None, Some(&42)).await.expect("accepted"));
        let refused = numbers.send(&topic, None, Some(&43)).await.expect_err("refused");
        assert!(producer.close(PATIENCE).await.is_clean());
        refused
    });
    assert_eq!(refused.kind(), ErrorKind::InvalidRecord);
    let text = refused.to_string();
    assert!(text.contains("value") && text.contains("an odd number"), "{text}");
    let values: Vec<String> = engine.read(&topic).iter().map(|seen| seen.text()).collect();
    assert_eq!(values, ["42"]);
}

#[test]
fn json_is_written_compact() {
    let engine = engine!();
    let topic = engine.topic("json", 1);
    let producer = engine.producer(&[]);
    let events = producer.typed::<str, serde_json::Value, _, _>(Utf8, Json);
    let event = serde_json::json!({ "user": "user_42", "event": "login", "ip": null });
    run(async {
        let sent = events.send(&topic, Some("user_42"), Some(&event)).await.expect("accepted");
        sent.await.expect("delivered");
    });
    let seen = engine.read(&topic);
    assert_eq!(seen[0].text(), event.to_string());
}
