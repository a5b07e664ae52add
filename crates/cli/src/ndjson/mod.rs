//! Records as JSON, one object on each line: reading them ([`parse`]) and writing them
//! ([`write_record`]), so that what is written is read back as the same bytes.

mod headers;
mod raw;
mod read;
mod timestamp;
mod write;

use std::borrow::Cow;

pub(crate) use read::parse;
pub(crate) use write::{RecordView, write_record};

/// A record as its line describes it; what the line leaves out is `None`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Envelope<'a> {
    pub(crate) topic: Option<Cow<'a, str>>,
    pub(crate) partition: Option<i32>,
    /// `Some(None)` is a key that was said to be null.
    pub(crate) key: Option<Option<Cow<'a, [u8]>>>,
    /// `None` is a tombstone.
    pub(crate) value: Option<Cow<'a, [u8]>>,
    pub(crate) headers: Vec<HeaderPair<'a>>,
    pub(crate) timestamp_ms: Option<i64>,
}

/// A header's name, and its value unless that is null.
pub(crate) type HeaderPair<'a> = (Cow<'a, str>, Option<Cow<'a, [u8]>>);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes() -> impl Strategy<Value = Option<Vec<u8>>> {
        prop_oneof![
            Just(None),
            "\\PC{0,12}".prop_map(|text| Some(text.into_bytes())),
            "[\\x00-\\x1f\"\\\\/]{0,6}".prop_map(|text| Some(text.into_bytes())),
            prop::collection::vec(any::<u8>(), 0..24).prop_map(Some),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_byte_for_byte(
            key in bytes(),
            value in bytes(),
            names in prop::collection::vec("\\PC{0,5}", 0..5),
            values in prop::collection::vec(bytes(), 5),
            partition in 0..1000_i32,
            timestamp_ms in 0..253_402_300_799_999_i64,
        ) {
            let pairs: Vec<(&str, Option<&[u8]>)> =
                names.iter().map(String::as_str).zip(values.iter().map(Option::as_deref)).collect();
            let record = RecordView {
                topic: "a.topic",
                partition,
                offset: 7,
                timestamp_ms: Some(timestamp_ms),
                key: key.as_deref(),
                value: value.as_deref(),
            };
            let mut line = Vec::new();
            write_record(&mut line, &record, pairs.iter().copied());
            prop_assert_eq!(line.pop(), Some(b'\n'));
            prop_assert!(!line.contains(&b'\n'));
            let envelope = parse(&line).unwrap();
            prop_assert_eq!(envelope.topic.as_deref(), Some("a.topic"));
            prop_assert_eq!(envelope.partition, Some(partition));
            prop_assert_eq!(envelope.timestamp_ms, Some(timestamp_ms));
            let read_key = envelope.key.unwrap();
            prop_assert_eq!(read_key.as_deref(), key.as_deref());
            prop_assert_eq!(envelope.value.as_deref(), value.as_deref());
            let read: Vec<(&str, Option<&[u8]>)> = envelope
                .headers
                .iter()
                .map(|(name, value)| (name.as_ref(), value.as_deref()))
                .collect();
            prop_assert_eq!(read, pairs);
        }

        #[test]
        fn no_line_makes_the_parser_panic(line in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse(&line);
        }

        #[test]
        fn no_broken_envelope_makes_the_parser_panic(
            line in "\\{(\"(key|value|ts|headers|timestamp|x)\":(null|\"[a\\\\u0-9]{0,6}\"|[0-9eE.+-]{1,5}|\\[\\]|\\{\\}|\\[\"a\"\\]),?){0,4}\\}?",
        ) {
            let _ = parse(line.as_bytes());
        }
    }
}
