//! From a line to the record that it describes.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::raw::{self, Text};
use super::{Envelope, headers, timestamp};
use ottla::config::nearest;

/// The names a line may use: ours, kcat's for the same things, and what readers add and a producer
/// has no use for.
const NAMES: [&str; 13] = [
    "topic",
    "partition",
    "key",
    "key_base64",
    "value",
    "value_base64",
    "headers",
    "timestamp",
    "payload",
    "ts",
    "offset",
    "tstype",
    "broker",
];

/// Reads the record that a line describes.
///
/// # Errors
/// Says what was expected and what was found, without naming the line.
pub(crate) fn parse(line: &[u8]) -> Result<Envelope<'_>, String> {
    let text = std::str::from_utf8(line).map_err(|error| {
        let at = error.valid_up_to() + 1;
        format!("expected UTF-8 text, found another byte at column {at}; bytes go in value_base64")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let fields: Fields<'_> = match text.trim_start().as_bytes().first() {
        Some(b'{') => serde_json::from_str(text).map_err(|error| syntax(&error))?,
        Some(_) => {
            let found = match serde_json::from_str::<&RawValue>(text) {
                Ok(value) => raw::kind(value).to_owned(),
                Err(_) => format!("{:?}", beginning(text.trim_start())),
            };
            return Err(format!("expected an object {{\"value\": …}}, found {found}"));
        }
        None => return Err("expected an object {\"value\": …}, found an empty line".to_owned()),
    };
    fields.envelope()
}

/// The first few characters of a line.
fn beginning(text: &str) -> String {
    const SHOWN: usize = 20;
    let mut start: String = text.chars().take(SHOWN).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    start
}

/// A syntax error in words that suit a line of its own.
fn syntax(error: &serde_json::Error) -> String {
    let column = error.column();
    match raw::without_place(error).as_str() {
        "trailing characters" => {
            format!("expected the end of the line after the object, found more at column {column}")
        }
        text if error.is_eof() => {
            format!("the line ends inside the object ({text}); an object must stand on one line")
        }
        text => format!("not JSON: {text} at column {column}"),
    }
}

/// The fields of a line as they stand; the first name of each pair is the one that was used.
#[derive(Default)]
struct Fields<'a> {
    topic: Option<&'a RawValue>,
    partition: Option<&'a RawValue>,
    key: Option<(&'static str, &'a RawValue)>,
    value: Option<(&'static str, &'a RawValue)>,
    headers: Option<&'a RawValue>,
    timestamp: Option<&'a RawValue>,
    /// What is wrong with the fields' names.
    wrong: Option<String>,
}

impl<'a> Fields<'a> {
    fn set(&mut self, name: &str, raw: &'a RawValue) {
        let taken = match name {
            "topic" => self.topic.replace(raw).map(|_| "topic"),
            "partition" => self.partition.replace(raw).map(|_| "partition"),
            "headers" => self.headers.replace(raw).map(|_| "headers"),
            "timestamp" | "ts" => self.timestamp.replace(raw).map(|_| "timestamp"),
            "key" => self.key.replace(("key", raw)).map(|(name, _)| name),
            "key_base64" => self.key.replace(("key_base64", raw)).map(|(name, _)| name),
            "value" => self.value.replace(("value", raw)).map(|(name, _)| name),
            "payload" => self.value.replace(("payload", raw)).map(|(name, _)| name),
            "value_base64" => self.value.replace(("value_base64", raw)).map(|(name, _)| name),
            "offset" | "tstype" | "broker" => None,
            _ => return self.unknown(name),
        };
        if let (Some(earlier), None) = (taken, &self.wrong) {
            self.wrong = Some(if earlier == name {
                format!("field \"{name}\" occurs twice")
            } else {
                format!("fields \"{earlier}\" and \"{name}\" say the same thing; keep one")
            });
        }
    }

    fn unknown(&mut self, name: &str) {
        let hint = match nearest(name, NAMES) {
            Some(known) => format!("did you mean \"{known}\"?"),
            None => format!("known fields are {}", NAMES[..8].join(", ")),
        };
        self.wrong.get_or_insert_with(|| format!("unknown field {name:?}; {hint}"));
    }

    fn envelope(self) -> Result<Envelope<'a>, String> {
        if let Some(wrong) = self.wrong {
            return Err(wrong);
        }
        let Some(value) = self.value else {
            return Err("expected a field \"value\" (null for a tombstone), found none".to_owned());
        };
        let mut envelope = Envelope { value: payload(value)?, ..Envelope::default() };
        envelope.key = self.key.map(payload).transpose()?;
        if let Some(raw) = self.topic.filter(|raw| !raw::is_null(raw)) {
            let text = raw::string(raw).ok_or_else(|| wrong_type("topic", "a string", raw))?;
            envelope.topic = Some(text.map_err(|reason| in_field("topic", &reason))?);
        }
        if let Some(raw) = self.partition.filter(|raw| !raw::is_null(raw)) {
            let number = raw.get().parse::<i32>().ok().filter(|number| *number >= 0);
            let number =
                number.ok_or_else(|| wrong_type("partition", "a number 0, 1, 2 …", raw))?;
            envelope.partition = Some(number);
        }
        if let Some(raw) = self.timestamp {
            envelope.timestamp_ms =
                timestamp::parse(raw).map_err(|reason| in_field("timestamp", &reason))?;
        }
        if let Some(raw) = self.headers {
            envelope.headers =
                headers::parse(raw).map_err(|reason| in_field("headers", &reason))?;
        }
        Ok(envelope)
    }
}

fn payload<'a>(
    (name, raw): (&str, &'a RawValue),
) -> Result<Option<std::borrow::Cow<'a, [u8]>>, String> {
    let bytes = if name.ends_with("_base64") { raw::base64(raw) } else { raw::payload(raw) };
    bytes.map_err(|reason| in_field(name, &reason))
}

fn in_field(name: &str, reason: &str) -> String {
    format!("field \"{name}\": {reason}")
}

fn wrong_type(name: &str, expected: &str, raw: &RawValue) -> String {
    let found = match raw.get() {
        text if text.len() <= 24 => text,
        _ => raw::kind(raw),
    };
    in_field(name, &format!("expected {expected}, found {found}"))
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Fields::default();
                while let Some(Text(name)) = map.next_key()? {
                    fields.set(&name, map.next_value()?);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(line: &str) -> Option<String> {
        let envelope = parse(line.as_bytes()).unwrap();
        envelope.value.map(|bytes| String::from_utf8(bytes.into_owned()).unwrap())
    }

    #[test]
    fn a_full_envelope_is_understood() {
        let line = br#"{"topic":"t","key":"alice","value":{"event": "signed_in"},"partition":3,
            "headers":{"a":"b"},"timestamp":"2025-03-01T08:15:00Z"}"#;
        let envelope = parse(line).unwrap();
        assert_eq!(envelope.topic.as_deref(), Some("t"));
        assert_eq!(envelope.key.unwrap().as_deref(), Some(&b"alice"[..]));
        assert_eq!(envelope.value.as_deref(), Some(&br#"{"event":"signed_in"}"#[..]));
        assert_eq!(envelope.partition, Some(3));
        assert_eq!(envelope.headers.len(), 1);
        assert_eq!(envelope.timestamp_ms, Some(1_740_816_900_000));
    }

    #[test]
    fn kcats_envelope_is_understood() {
        let line = br#"{"topic":"t","partition":0,"offset":5,"tstype":"create","ts":1700000000000,
            "broker":1,"headers":["a","b","n",null],"key":null,"payload":"v"}"#;
        let envelope = parse(line).unwrap();
        assert_eq!(envelope.key, Some(None));
        assert_eq!(envelope.value.as_deref(), Some(&b"v"[..]));
        assert_eq!(envelope.timestamp_ms, Some(1_700_000_000_000));
        assert_eq!(envelope.headers[1], ("n".into(), None));
    }

    #[test]
    fn values_are_strings_null_or_any_json() {
        assert_eq!(value(r#"{"value":"a b"}"#).as_deref(), Some("a b"));
        assert_eq!(value(r#"{"value":null}"#), None);
        assert_eq!(value(r#"{"value_base64":null}"#), None);
        assert_eq!(value(r#"{"value":1.0}"#).as_deref(), Some("1.0"));
        assert_eq!(value(r#"{"value":[1, {"a": "b c"}]}"#).as_deref(), Some(r#"[1,{"a":"b c"}]"#));
        assert_eq!(value(r#"{"value_base64":"aGk="}"#).as_deref(), Some("hi"));
        assert_eq!(value("\u{feff}{\"value\":\"a\"}").as_deref(), Some("a"));
    }

    #[test]
    fn an_absent_key_is_not_a_null_key() {
        assert_eq!(parse(br#"{"value":1}"#).unwrap().key, None);
        assert_eq!(parse(br#"{"value":1,"key":null}"#).unwrap().key, Some(None));
    }

    #[test]
    fn each_mistake_says_what_was_expected() {
        for (line, words) in [
            ("", "expected an object"),
            ("hello", "\"hello\""),
            ("[1]", "an array"),
            ("7", "a number"),
            ("{", "the line ends inside the object"),
            (r#"{"value":"a"#, "the line ends inside the object"),
            (r#"{"value":1}{"value":2}"#, "found more at column 12"),
            (r#"{"value" 1}"#, "expected `:` at column 10"),
            (r#"{"value":01}"#, "column 11"),
            (r#"{"key":"a"}"#, "\"value\""),
            (r#"{"vlaue":1}"#, "did you mean \"value\"?"),
            (r#"{"value":1,"customer":2}"#, "known fields are topic,"),
            (r#"{"value":1,"value":2}"#, "occurs twice"),
            (r#"{"value":1,"payload":2}"#, "\"value\" and \"payload\""),
            (r#"{"value":1,"partition":"two"}"#, "field \"partition\""),
            (r#"{"value":1,"partition":-1}"#, "found -1"),
            (r#"{"value":1,"partition":4294967296}"#, "found 4294967296"),
            (r#"{"value":1,"topic":7}"#, "field \"topic\": expected a string, found 7"),
            (r#"{"value":1,"timestamp":"noon"}"#, "RFC 3339"),
            (r#"{"value":1,"headers":"a=b"}"#, "field \"headers\""),
            (r#"{"value_base64":"*"}"#, "field \"value_base64\": not base64"),
        ] {
            let error = parse(line.as_bytes()).unwrap_err();
            assert!(error.contains(words), "{line}: {error}");
        }
    }

    #[test]
    fn invalid_utf8_is_named_with_its_column() {
        let error = parse(b"{\"value\":\"\xff\"}").unwrap_err();
        assert!(error.contains("column 11"), "{error}");
    }

    #[test]
    fn deep_nesting_is_neither_an_overflow_nor_an_error() {
        let deep = format!("{{\"value\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(parse(deep.as_bytes()).is_ok());
    }
}
