//! An answer as a tree of fields, made from what `Debug` writes of it, and where two trees differ.

use std::fmt::Debug;

/// The fields that tell the elements of a list apart, by which it is put in order: Kafka's order
/// is mostly that of a hash map.
const KEYS: [&str; 12] = [
    "name",
    "topic",
    "topic_name",
    "transactional_id",
    "group_id",
    "resource_name",
    "key",
    "api_key",
    "partition_index",
    "partition",
    "index",
    "member_id",
];

/// A value of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tree {
    /// Fields with their names.
    Struct(Vec<(String, Self)>),
    /// Elements in order.
    List(Vec<Self>),
    /// Anything without parts, as text.
    Value(String),
}

/// A place at which two trees differ.
pub struct Spot {
    pub path: String,
    pub kafka: String,
    pub ours: String,
}

impl Tree {
    /// The tree of a message.
    pub fn of(message: &impl Debug) -> Self {
        let text = format!("{message:#?}");
        let mut lines = text.lines().map(str::trim);
        let first = lines.next().unwrap_or_default();
        Self::parse(first, &mut lines)
    }

    /// Reads the value that begins with `first`, and its further lines.
    fn parse<'a>(first: &'a str, lines: &mut impl Iterator<Item = &'a str>) -> Self {
        let is_end = |line: &str| matches!(line.trim_end_matches(','), "}" | "]" | ")");
        let first = first.trim_end_matches(',');
        if first.ends_with(" {") {
            let mut fields = Vec::new();
            while let Some(line) = lines.next().filter(|line| !is_end(line)) {
                let (name, value) = line.split_once(": ").expect("a field has a name");
                fields.push((name.to_owned(), Self::parse(value, lines)));
            }
            return Self::Struct(fields);
        }
        if first == "[" {
            let mut elements = Vec::new();
            while let Some(line) = lines.next().filter(|line| !is_end(line)) {
                elements.push(Self::parse(line, lines));
            }
            return Self::List(elements);
        }
        if first == "Some(" {
            let line = lines.next().expect("something is in Some");
            let inner = Self::parse(line, lines);
            lines.next();
            return inner;
        }
        if first == "[]" { Self::List(Vec::new()) } else { Self::Value(first.to_owned()) }
    }

    /// Gives every value to `change`, with the name of its field.
    pub fn for_each(&mut self, name: &str, change: &mut impl FnMut(&str, &mut String)) {
        match self {
            Self::Struct(fields) => {
                fields.iter_mut().for_each(|(name, value)| value.for_each(name, change));
            }
            Self::List(elements) => {
                elements.iter_mut().for_each(|element| element.for_each(name, change));
            }
            Self::Value(text) => change(name, text),
        }
    }

    /// Puts every list into the order of what tells its elements apart.
    pub fn sort(&mut self) {
        match self {
            Self::Struct(fields) => fields.iter_mut().for_each(|(_, value)| value.sort()),
            Self::List(elements) => {
                elements.iter_mut().for_each(Self::sort);
                elements.sort_by_key(Self::key);
            }
            Self::Value(_) => {}
        }
    }

    /// The elements of the list of this name, at the top.
    pub fn list_mut(&mut self, name: &str) -> Option<&mut Vec<Self>> {
        let Self::Struct(fields) = self else { return None };
        match fields.iter_mut().find(|field| field.0 == name) {
            Some((_, Self::List(elements))) => Some(elements),
            _ => None,
        }
    }

    /// What tells an element from the others of its list.
    pub fn key(&self) -> String {
        let Self::Struct(fields) = self else { return String::new() };
        let parts = KEYS.iter().filter_map(|key| {
            let value = fields.iter().find(|field| field.0 == *key)?;
            match &value.1 {
                Self::Value(text) if text != "\"\"" && text != "None" => Some(text.clone()),
                _ => None,
            }
        });
        parts.collect::<Vec<_>>().join(" ")
    }

    /// Where this, Kafka's, is another than ours.
    pub fn compare(&self, ours: &Self, path: &str, found: &mut Vec<Spot>) {
        match (self, ours) {
            (Self::Struct(kafka), Self::Struct(ours)) if kafka.len() == ours.len() => {
                for ((name, kafka), (_, ours)) in kafka.iter().zip(ours) {
                    let dot = if path.is_empty() { "" } else { "." };
                    kafka.compare(ours, &format!("{path}{dot}{name}"), found);
                }
            }
            (Self::List(kafka), Self::List(ours)) => compare_lists(kafka, ours, path, found),
            (kafka, ours) if kafka == ours => {}
            (kafka, ours) => {
                found.push(Spot { path: path.to_owned(), kafka: kafka.show(), ours: ours.show() });
            }
        }
    }

    /// The tree on one line.
    pub fn show(&self) -> String {
        match self {
            Self::Value(text) => text.clone(),
            Self::List(elements) => {
                let shown: Vec<_> = elements.iter().map(Self::show).collect();
                format!("[{}]", shown.join(", "))
            }
            Self::Struct(fields) => {
                let shown: Vec<_> =
                    fields.iter().map(|(name, value)| format!("{name}={}", value.show())).collect();
                format!("{{{}}}", shown.join(", "))
            }
        }
    }
}

/// Elements with the same key belong together; those without belong together by place.
fn compare_lists(kafka: &[Tree], ours: &[Tree], path: &str, found: &mut Vec<Spot>) {
    let mut left: Vec<Option<&Tree>> = ours.iter().map(Some).collect();
    for element in kafka {
        let key = element.key();
        let at = left.iter().position(|it| it.is_some_and(|it| it.key() == key));
        let place = format!("{path}[{key}]");
        match at.and_then(|at| left[at].take()) {
            Some(other) => element.compare(other, &place, found),
            None => found.push(Spot { path: place, kafka: element.show(), ours: "-".to_owned() }),
        }
    }
    for element in left.into_iter().flatten() {
        let path = format!("{path}[{}]", element.key());
        found.push(Spot { path, kafka: "-".to_owned(), ours: element.show() });
    }
}

#[test]
fn what_debug_writes_of_an_answer_becomes_a_tree_and_differences_have_a_path() {
    use ottla_protocol::messages::metadata::{
        MetadataResponse, MetadataResponsePartition, MetadataResponseTopic,
    };
    let answer = |leader_id, names: &[&str]| {
        let partition = MetadataResponsePartition {
            leader_id,
            replica_nodes: vec![1, 2],
            ..MetadataResponsePartition::default()
        };
        let topic = |name: &&str| MetadataResponseTopic {
            name: Some((*name).to_owned()),
            partitions: vec![partition.clone()],
            ..MetadataResponseTopic::default()
        };
        let topics = names.iter().map(topic).collect();
        let mut tree = Tree::of(&MetadataResponse { topics, ..MetadataResponse::default() });
        tree.sort();
        tree
    };
    let mut found = Vec::new();
    answer(1, &["a: b,", "c"]).compare(&answer(1, &["c", "a: b,"]), "", &mut found);
    assert!(found.is_empty());
    answer(1, &["a"]).compare(&answer(2, &["a", "b"]), "", &mut found);
    let told: Vec<_> = found.iter().map(|spot| (&spot.path[..], &spot.kafka[..])).collect();
    let leader = r#"topics["a"].partitions[0].leader_id"#;
    assert_eq!(told, [(leader, "1"), (r#"topics["b"]"#, "-")]);
}
