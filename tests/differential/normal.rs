//! What is made alike before answers are compared: the one place that says what may differ without
//! being a difference.
//!
//! - Ids that a cluster chooses (topics, producers, members, sessions) become their number in the
//!   order in which a case has met them. No id stays no id.
//! - So do epochs of groups of the consumer protocol: Kafka's begin at 2.
//! - Host, port, cluster id, throttle time and the epoch of the features do not count.
//! - Whether there is a message counts, its words do not.
//! - The names of this run lose what makes them its own; what others have on the same Kafka is left
//!   out of lists.
//! - A time within minutes of now is `now`. Records of the cases have other times.
//! - Batches are compared by their headers, without the checksum, which covers ids and times; the
//!   records that they carry must be the same bytes.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use ottla_protocol::record::BatchHeader;

use super::tree::Tree;

/// Fields that do not count.
const ANY: [&str; 6] =
    ["host", "port", "cluster_id", "throttle_time_ms", "client_host", "finalized_features_epoch"];
/// Fields that are there or not.
const WORDS: [&str; 3] = ["error_message", "batch_index_error_message", "documentation"];
/// Fields with ids that a cluster chooses.
const CHOSEN: [&str; 9] = [
    "topic_id",
    "producer_id",
    "member_id",
    "leader",
    "session_id",
    "coordinator_id",
    "member_epoch",
    "group_epoch",
    "assignment_epoch",
];
/// Ids that mean none.
const NONE: [&str; 6] = ["\"\"", "None", "0", "-1", "AAAAAAAAAAAAAAAAAAAAAA", "-"];
/// Lists in which others' things may be, with the field that names them.
const SHARED: [(&str, &str); 3] =
    [("topics", "name"), ("groups", "group_id"), ("config_resources", "resource_name")];
/// What is now, in milliseconds.
const NOW_MS: u128 = 15 * 60_000;

/// The ids of one side that a case has met.
#[derive(Default)]
pub struct Names {
    met: BTreeMap<(&'static str, String), usize>,
}

impl Names {
    /// Makes an answer like what the other side should have answered.
    pub fn normalise(&mut self, tree: &mut Tree, prefix: &str) {
        drop_strangers(tree, prefix);
        open_batches(tree);
        tree.for_each("", &mut |_, text| *text = anonymous(text, prefix));
        tree.sort();
        tree.for_each("", &mut |name, text| self.value(name, text));
    }

    fn value(&mut self, name: &str, text: &mut String) {
        if ANY.contains(&name) {
            "any".clone_into(text);
        } else if WORDS.contains(&name) {
            let there = match text.as_str() {
                "None" => "none",
                "\"\"" => "empty",
                _ => "words",
            };
            there.clone_into(text);
        } else if let Some(kind) = CHOSEN.iter().find(|kind| **kind == name) {
            if !NONE.contains(&text.as_str()) && text.parse::<i8>() != Ok(-2) {
                let kind = match *kind {
                    // The leader of a group is a member.
                    "leader" => "member_id",
                    "group_epoch" | "assignment_epoch" => "member_epoch",
                    other => other,
                };
                let next = self.met.keys().filter(|key| key.0 == kind).count();
                let number = *self.met.entry((kind, text.clone())).or_insert(next);
                *text = format!("{kind} {number}");
            }
        } else if is_now(text) {
            "now".clone_into(text);
        }
    }
}

/// The text without what makes its names those of this run and of one version.
fn anonymous(text: &str, prefix: &str) -> String {
    let mut parts = text.split(prefix);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let version = part.strip_prefix('v').unwrap_or(part);
        out += "~";
        out += version.trim_start_matches(|letter: char| letter.is_ascii_digit());
    }
    out
}

fn is_now(text: &str) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    text.parse::<u128>().is_ok_and(|time| time.abs_diff(now) < NOW_MS)
}

/// Leaves out what this run has not made, but for what has no name.
fn drop_strangers(tree: &mut Tree, prefix: &str) {
    for (list, field) in SHARED {
        let Some(elements) = tree.list_mut(list) else { continue };
        elements.retain(|element| {
            let Tree::Struct(fields) = element else { return true };
            let name = fields.iter().find(|it| it.0 == field).map(|it| it.1.show());
            let error = fields.iter().find(|it| it.0 == "error_code").map(|it| it.1.show());
            let is_error = error.is_some_and(|error| error != "0");
            is_error || name.is_none_or(|name| name.contains(prefix))
        });
    }
}

/// Puts the headers of batches in the place of their bytes.
fn open_batches(tree: &mut Tree) {
    match tree {
        Tree::List(elements) => elements.iter_mut().for_each(open_batches),
        Tree::Value(_) => {}
        Tree::Struct(fields) => {
            for (name, value) in fields {
                match value {
                    Tree::Value(text) if name == "records" && text.starts_with("b\"") => {
                        *value = batches(&unescape(text));
                    }
                    _ => open_batches(value),
                }
            }
        }
    }
}

fn batches(mut bytes: &[u8]) -> Tree {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let Ok(header) = BatchHeader::read(bytes) else {
            found.push(Tree::Value(format!("{} bytes that are no batch", bytes.len())));
            break;
        };
        let end = BatchHeader::LENGTH_END + usize::try_from(header.batch_length).unwrap_or(0);
        let Some(batch) = bytes.get(..end) else {
            found.push(Tree::Value("a batch that is cut off".to_owned()));
            break;
        };
        let mut tree = Tree::of(&header);
        if let Tree::Struct(fields) = &mut tree {
            fields.retain(|field| field.0 != "crc");
            let records = format!("{:?}", &batch[BatchHeader::SIZE..]).replace(", ", " ");
            fields.push(("bytes".to_owned(), Tree::Value(records)));
        }
        found.push(tree);
        bytes = &bytes[end..];
    }
    Tree::List(found)
}

/// The bytes that `Debug` has written as `b"…"`.
fn unescape(text: &str) -> Vec<u8> {
    let inner = text.strip_prefix("b\"").and_then(|text| text.strip_suffix('"'));
    let inner = inner.unwrap_or_default();
    let mut out = Vec::new();
    let mut letters = inner.bytes();
    while let Some(letter) = letters.next() {
        if letter != b'\\' {
            out.push(letter);
            continue;
        }
        match letters.next() {
            Some(b'n') => out.push(b'\n'),
            Some(b'r') => out.push(b'\r'),
            Some(b't') => out.push(b'\t'),
            Some(b'0') => out.push(0),
            Some(b'x') => {
                let digits = [letters.next().unwrap_or(b'0'), letters.next().unwrap_or(b'0')];
                let digits = std::str::from_utf8(&digits).unwrap_or("0");
                out.push(u8::from_str_radix(digits, 16).unwrap_or_default());
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}
