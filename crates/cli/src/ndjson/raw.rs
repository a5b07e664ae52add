//! JSON values by their text: what kind they are, and the bytes they stand for.

use std::borrow::Cow;
use std::fmt;

use base64::engine::general_purpose::GeneralPurposeConfig;
use base64::engine::{DecodePaddingMode, GeneralPurpose};
use base64::{Engine, alphabet};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde_json::value::RawValue;

/// Base64 as RFC 4648 has it, with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The kind of a JSON value, in words for an error message.
pub(super) fn kind(raw: &RawValue) -> &'static str {
    match raw.get().as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// Whether the value is `null`.
pub(super) fn is_null(raw: &RawValue) -> bool {
    raw.get() == "null"
}

/// The text of a JSON string; `None` when the value is not a string.
pub(super) fn string(raw: &RawValue) -> Option<Result<Cow<'_, str>, String>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Ok(Cow::Borrowed(inner)));
    }
    // The text is known to be valid JSON, so only what it escapes can be wrong.
    let text = serde_json::from_str::<String>(raw.get());
    Some(text.map(Cow::Owned).map_err(|_| "\\u escapes half of a surrogate pair".to_owned()))
}

/// The bytes that a key or a value stands for: nothing for null, the text of a string, and the
/// compact JSON text of anything else.
pub(super) fn payload(raw: &RawValue) -> Result<Option<Cow<'_, [u8]>>, String> {
    if is_null(raw) {
        return Ok(None);
    }
    match string(raw) {
        Some(text) => Ok(Some(text_bytes(text?))),
        None => Ok(Some(compact(raw.get()))),
    }
}

/// The bytes of a base64 string, or nothing for null.
pub(super) fn base64(raw: &RawValue) -> Result<Option<Cow<'_, [u8]>>, String> {
    if is_null(raw) {
        return Ok(None);
    }
    let text = string(raw)
        .ok_or_else(|| format!("expected a string of base64, found {}", kind(raw)))??;
    let bytes = BASE64.decode(text.as_bytes()).map_err(|error| format!("not base64: {error}"))?;
    Ok(Some(Cow::Owned(bytes)))
}

/// Writes bytes as base64.
pub(super) fn encode_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(BASE64.encode(bytes).as_bytes());
}

/// Text as bytes, without a copy.
pub(super) fn text_bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

/// Valid JSON without the blanks between its tokens. Numbers, escapes, the order of keys and
/// repeated keys stay as they are written.
fn compact(json: &str) -> Cow<'_, [u8]> {
    let bytes = json.as_bytes();
    let Some(first) = blank_outside_strings(bytes, 0) else {
        return Cow::Borrowed(bytes);
    };
    let mut out = Vec::with_capacity(bytes.len());
    let mut from = 0;
    let mut next = Some(first);
    while let Some(blank) = next {
        out.extend_from_slice(&bytes[from..blank]);
        from = blank + 1;
        next = blank_outside_strings(bytes, from);
    }
    out.extend_from_slice(&bytes[from..]);
    Cow::Owned(out)
}

/// The first blank at or after `from`, which must not be inside a string.
fn blank_outside_strings(json: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while at < json.len() {
        match json[at] {
            b' ' | b'\t' | b'\n' | b'\r' => return Some(at),
            b'"' => at = after_string(json, at),
            _ => at += 1,
        }
    }
    None
}

/// The position after the string that opens at `open`.
fn after_string(json: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    while let Some(step) = memchr::memchr2(b'"', b'\\', json.get(at..).unwrap_or_default()) {
        at += step;
        if json[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    json.len()
}

/// A serde_json error without its "at line 1 column 7": the line is ours to say.
pub(super) fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// A string of the input, borrowed when it has no escapes.
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).unwrap()
    }

    fn sent(text: &str) -> String {
        String::from_utf8(payload(raw(text)).unwrap().unwrap().into_owned()).unwrap()
    }

    #[test]
    fn numbers_keep_their_exact_text() {
        for number in ["1.0", "1E400", "-0.0", "123456789012345678901234567890", "0.1000"] {
            assert_eq!(sent(number), number);
        }
        assert_eq!(sent(r#"{ "a" : [ 1.50 , 2e0 ] }"#), r#"{"a":[1.50,2e0]}"#);
    }

    #[test]
    fn compaction_touches_no_string_and_keeps_keys_in_order() {
        let text = "{\"b c\": \"x  \\\" y\\\\\",\t\"a\":{ },\r \"b c\": [ true , null ]}";
        assert_eq!(sent(text), "{\"b c\":\"x  \\\" y\\\\\",\"a\":{},\"b c\":[true,null]}");
        assert!(matches!(payload(raw("[1,\"a b\"]")).unwrap().unwrap(), Cow::Borrowed(_)));
    }

    #[test]
    fn strings_are_unescaped() {
        assert_eq!(sent(r#""a\"b\u00e9\ud83d\ude00\n""#), "a\"bé😀\n");
        assert_eq!(sent("\"\""), "");
    }

    #[test]
    fn half_a_surrogate_pair_is_an_error() {
        assert!(payload(raw(r#""\ud800""#)).unwrap_err().contains("surrogate"));
    }

    #[test]
    fn base64_may_go_without_padding() {
        assert_eq!(base64(raw("\"AAEC/w==\"")).unwrap().unwrap().as_ref(), b"\0\x01\x02\xff");
        assert_eq!(base64(raw("\"AAEC/w\"")).unwrap().unwrap().as_ref(), b"\0\x01\x02\xff");
        assert!(base64(raw("\"AAEC/\"")).unwrap_err().contains("base64"));
        assert!(base64(raw("7")).unwrap_err().contains("found a number"));
    }
}
