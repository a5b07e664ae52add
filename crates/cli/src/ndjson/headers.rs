//! The headers of a record, in the shapes that tools write them.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::HeaderPair;
use super::raw::{self, Text};

const EXPECTED: &str = "expected an object {\"name\": \"value\"} or a list of pairs \
                        [[\"name\", \"value\"]]";

/// Reads headers from an object, a list of pairs, kcat's flat list of names and values, or a list
/// of `{"key": …, "value": …}`. Order and repeated names are kept.
pub(super) fn parse(raw: &RawValue) -> Result<Vec<HeaderPair<'_>>, String> {
    match raw.get().as_bytes().first() {
        Some(b'n') => Ok(Vec::new()),
        Some(b'{') => object(raw)?.0.into_iter().map(pair_of_member).collect(),
        Some(b'[') => list(raw),
        _ => Err(format!("{EXPECTED}, found {}", raw::kind(raw))),
    }
}

fn list(raw: &RawValue) -> Result<Vec<HeaderPair<'_>>, String> {
    let items: Vec<&RawValue> = elements(raw)?;
    match items.first().map(|item| item.get().as_bytes().first()) {
        None => Ok(Vec::new()),
        Some(Some(b'[')) => items.into_iter().map(pair_of_list).collect(),
        Some(Some(b'{')) => items.into_iter().map(pair_of_object).collect(),
        Some(_) if items.len() % 2 == 1 => {
            Err(format!("a flat list needs a value after each name, found {} items", items.len()))
        }
        Some(_) => items.chunks_exact(2).map(|two| pair(two[0], two[1])).collect(),
    }
}

fn pair_of_list(item: &RawValue) -> Result<HeaderPair<'_>, String> {
    match item.get().starts_with('[').then(|| elements(item)).transpose()?.as_deref() {
        Some(&[name, value]) => pair(name, value),
        _ => Err("each item of the list must be a pair [\"name\", value]".to_owned()),
    }
}

fn pair_of_object(item: &RawValue) -> Result<HeaderPair<'_>, String> {
    let members = match item.get().starts_with('{') {
        true => object(item)?.0,
        false => Vec::new(),
    };
    let member =
        |wanted: &str| members.iter().find(|(name, _)| name == wanted).map(|(_, value)| *value);
    match (member("key"), member("value"), members.len()) {
        (Some(name), Some(value), 2) => pair(name, value),
        _ => Err("each item of the list must be {\"key\": \"name\", \"value\": …}".to_owned()),
    }
}

fn pair_of_member<'a>(
    (name, value): (Cow<'a, str>, &'a RawValue),
) -> Result<HeaderPair<'a>, String> {
    let value = header_value(&name, value)?;
    Ok((name, value))
}

fn pair<'a>(name: &'a RawValue, value: &'a RawValue) -> Result<HeaderPair<'a>, String> {
    let text = raw::string(name)
        .ok_or_else(|| format!("a header's name must be a string, found {}", raw::kind(name)))??;
    pair_of_member((text, value))
}

/// A header's value: text, null, the text of a number or a boolean, or `{"base64": "…"}`.
fn header_value<'a>(name: &str, value: &'a RawValue) -> Result<Option<Cow<'a, [u8]>>, String> {
    let wrong = || {
        format!(
            "the value of {name:?} must be a string, null or {{\"base64\": \"…\"}}, found {}",
            raw::kind(value)
        )
    };
    match value.get().as_bytes().first() {
        Some(b'[') => Err(wrong()),
        Some(b'{') => match object(value)?.0.as_slice() {
            [(member, bytes)] if member == "base64" => {
                raw::base64(bytes).map_err(|reason| format!("the value of {name:?}: {reason}"))
            }
            _ => Err(wrong()),
        },
        _ => raw::payload(value).map_err(|reason| format!("the value of {name:?}: {reason}")),
    }
}

fn elements(raw: &RawValue) -> Result<Vec<&RawValue>, String> {
    serde_json::from_str(raw.get()).map_err(|error| raw::without_place(&error))
}

fn object(raw: &RawValue) -> Result<Members<'_>, String> {
    serde_json::from_str(raw.get()).map_err(|error| raw::without_place(&error))
}

/// The members of an object in the order they are written, repeated names included.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((Text(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Owned = Vec<(String, Option<Vec<u8>>)>;

    fn headers(text: &str) -> Result<Owned, String> {
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        let owned = |(name, value): HeaderPair<'_>| (name.into_owned(), value.map(Cow::into_owned));
        Ok(parse(raw)?.into_iter().map(owned).collect())
    }

    fn expected(pairs: &[(&str, Option<&[u8]>)]) -> Owned {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), v.map(<[u8]>::to_vec))).collect()
    }

    #[test]
    fn every_shape_keeps_order_and_repeats() {
        let want = expected(&[("a", Some(b"1")), ("b", None), ("a", Some(b"2"))]);
        assert_eq!(headers(r#"{"a":"1","b":null,"a":"2"}"#), Ok(want.clone()));
        assert_eq!(headers(r#"[["a","1"],["b",null],["a","2"]]"#), Ok(want.clone()));
        assert_eq!(headers(r#"["a","1","b",null,"a","2"]"#), Ok(want.clone()));
        let listed =
            r#"[{"key":"a","value":"1"},{"value":null,"key":"b"},{"key":"a","value":"2"}]"#;
        assert_eq!(headers(listed), Ok(want));
    }

    #[test]
    fn values_may_be_binary_or_numbers() {
        let want = expected(&[("a", Some(b"\xff\0")), ("n", Some(b"1.50")), ("t", Some(b"true"))]);
        assert_eq!(headers(r#"{"a":{"base64":"/wA="},"n":1.50,"t":true}"#), Ok(want));
    }

    #[test]
    fn no_headers_are_written_in_several_ways() {
        for none in ["null", "{}", "[]"] {
            assert_eq!(headers(none), Ok(Vec::new()));
        }
    }

    #[test]
    fn wrong_shapes_are_named() {
        for (text, word) in [
            ("\"a=b\"", "found a string"),
            ("7", "found a number"),
            (r#"["a"]"#, "flat list"),
            (r#"["a","b","c"]"#, "3 items"),
            (r#"[["a"]]"#, "pair"),
            (r#"[["a","b"],"c"]"#, "pair"),
            (r#"[[1,"b"]]"#, "name must be a string"),
            (r#"{"a":{"x":1}}"#, "\"a\""),
            (r#"{"a":[1]}"#, "found an array"),
            (r#"{"a":{"base64":"*"}}"#, "base64"),
            (r#"[{"key":"a"}]"#, "\"value\""),
            (r#"[1,2]"#, "name must be a string"),
        ] {
            let error = headers(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
