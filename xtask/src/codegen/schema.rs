//! Kafka's schema files, read as they stand.

use serde_json::{Map, Value};

/// An inclusive range of versions; an upper end of `i16::MAX` is an open one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Versions {
    pub(crate) min: i16,
    pub(crate) max: i16,
}

impl Versions {
    /// The range without versions.
    pub(crate) const NONE: Self = Self { min: 0, max: -1 };

    pub(crate) fn is_empty(self) -> bool {
        self.min > self.max
    }

    pub(crate) fn contains(self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }

    pub(crate) fn intersect(self, other: Self) -> Self {
        let both = Self { min: self.min.max(other.min), max: self.max.min(other.max) };
        if both.is_empty() { Self::NONE } else { both }
    }

    /// The smallest range that holds both.
    pub(crate) fn hull(self, other: Self) -> Self {
        match (self.is_empty(), other.is_empty()) {
            (true, _) => other,
            (_, true) => self,
            _ => Self { min: self.min.min(other.min), max: self.max.max(other.max) },
        }
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = i16> {
        self.min..=self.max
    }

    /// Reads `none`, `3`, `3-13` or `3+`.
    fn parse(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            text.parse::<i16>().map_err(|_| format!("`{text}` is not a version number"))
        };
        if text == "none" {
            return Ok(Self::NONE);
        }
        if let Some(min) = text.strip_suffix('+') {
            return Ok(Self { min: number(min)?, max: i16::MAX });
        }
        match text.split_once('-') {
            Some((min, max)) => Ok(Self { min: number(min)?, max: number(max)? }),
            None => number(text).map(|only| Self { min: only, max: only }),
        }
    }
}

impl std::fmt::Display for Versions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            versions if versions.is_empty() => f.write_str("none"),
            Self { min, max } if min == max => write!(f, "{min}"),
            Self { min, max } => write!(f, "{min}-{max}"),
        }
    }
}

/// The type of a field, as the schema names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Bool,
    Int8,
    Int16,
    Uint16,
    Int32,
    Uint32,
    Int64,
    Float64,
    Uuid,
    String,
    Bytes,
    Records,
    Struct(String),
    Array(Box<Self>),
}

impl Type {
    fn parse(text: &str) -> Result<Self, String> {
        if let Some(element) = text.strip_prefix("[]") {
            return Ok(Self::Array(Box::new(Self::parse(element)?)));
        }
        Ok(match text {
            "bool" => Self::Bool,
            "int8" => Self::Int8,
            "int16" => Self::Int16,
            "uint16" => Self::Uint16,
            "int32" => Self::Int32,
            "uint32" => Self::Uint32,
            "int64" => Self::Int64,
            "float64" => Self::Float64,
            "uuid" => Self::Uuid,
            "string" => Self::String,
            "bytes" => Self::Bytes,
            "records" => Self::Records,
            name if name.starts_with(|first: char| first.is_ascii_uppercase()) => {
                Self::Struct(name.to_owned())
            }
            other => return Err(format!("unknown type `{other}`")),
        })
    }
}

/// One field of a message or struct.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) kind: Type,
    pub(crate) versions: Versions,
    pub(crate) nullable: Versions,
    pub(crate) tagged: Versions,
    pub(crate) tag: Option<u32>,
    pub(crate) ignorable: bool,
    pub(crate) default: Option<String>,
    /// The fields of the struct that this field brings along.
    pub(crate) fields: Vec<Self>,
}

/// One message.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) name: String,
    pub(crate) key: i16,
    pub(crate) versions: Versions,
    pub(crate) latest_unstable: bool,
    pub(crate) flexible: Versions,
    pub(crate) fields: Vec<Field>,
    /// Structs that several fields share: name and fields.
    pub(crate) common: Vec<(String, Vec<Field>)>,
}

/// Reads a schema that has no comments any more.
pub(crate) fn parse(text: &str) -> Result<Message, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let message = Node::new(&value)?;
    let key = message.get("apiKey").and_then(Value::as_i64).ok_or("no apiKey")?;
    let mut common = Vec::new();
    for value in message.list("commonStructs") {
        let node = Node::new(value)?;
        common.push((node.text("name")?.to_owned(), fields(&node)?));
    }
    Ok(Message {
        name: message.text("name")?.to_owned(),
        key: i16::try_from(key).map_err(|_| "apiKey out of range")?,
        versions: Versions::parse(message.text("validVersions")?)?,
        latest_unstable: message.flag("latestVersionUnstable"),
        flexible: Versions::parse(message.text("flexibleVersions")?)?,
        fields: fields(&message)?,
        common,
    })
}

fn fields(node: &Node<'_>) -> Result<Vec<Field>, String> {
    node.list("fields").iter().map(field).collect()
}

fn field(value: &Value) -> Result<Field, String> {
    let node = Node::new(value)?;
    let name = node.text("name")?.to_owned();
    let read = || {
        let versions = |key| node.optional(key).map_or(Ok(Versions::NONE), Versions::parse);
        // A field that differs in flexibility from its message would need code of its own.
        if node.get("flexibleVersions").is_some() {
            return Err("flexibleVersions on a field is not supported".to_owned());
        }
        Ok(Field {
            name: name.clone(),
            kind: Type::parse(node.text("type")?)?,
            versions: Versions::parse(node.text("versions")?)?,
            nullable: versions("nullableVersions")?,
            tagged: versions("taggedVersions")?,
            tag: node.get("tag").and_then(Value::as_u64).and_then(|tag| u32::try_from(tag).ok()),
            ignorable: node.flag("ignorable"),
            default: node.get("default").map(scalar),
            fields: fields(&node)?,
        })
    };
    read().map_err(|error: String| format!("{name}: {error}"))
}

/// A default as text: schemas write `"-1"` here and `-1` there.
fn scalar(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A JSON object with the accessors that schemas need.
struct Node<'a>(&'a Map<String, Value>);

impl<'a> Node<'a> {
    fn new(value: &'a Value) -> Result<Self, String> {
        value.as_object().map(Self).ok_or_else(|| "not an object".to_owned())
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        self.0.get(key)
    }

    fn optional(&self, key: &str) -> Option<&'a str> {
        self.get(key).and_then(Value::as_str)
    }

    fn text(&self, key: &str) -> Result<&'a str, String> {
        self.optional(key).ok_or_else(|| format!("no text under `{key}`"))
    }

    /// A flag; schemas write `true` here and `"true"` there.
    fn flag(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| scalar(value) == "true")
    }

    fn list(&self, key: &str) -> &'a [Value] {
        self.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_in_their_four_spellings() {
        let parse = |text| Versions::parse(text).unwrap();
        assert_eq!(parse("3-13"), Versions { min: 3, max: 13 });
        assert_eq!(parse("9+"), Versions { min: 9, max: i16::MAX });
        assert_eq!(parse("4"), Versions { min: 4, max: 4 });
        assert!(parse("none").is_empty());
        assert!(Versions::parse("x").is_err());
    }

    #[test]
    fn a_type_may_be_a_list_of_structs() {
        let element = Box::new(Type::Struct("Topic".to_owned()));
        assert_eq!(Type::parse("[]Topic"), Ok(Type::Array(element)));
        assert!(Type::parse("int128").is_err());
    }
}
