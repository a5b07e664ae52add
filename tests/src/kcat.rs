//! kcat: librdkafka's command line, as a reader and a writer.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;

use crate::record::Seen;
use crate::tools;

/// The program.
///
/// # Errors
/// It is not installed.
pub fn find() -> Result<PathBuf, String> {
    tools::find("OTTLA_TEST_KCAT", "kcat")
}

/// What kcat reads of a topic from its beginning to its present end, by partition and offset.
/// It checks the checksum of every batch. Headers are not among what it tells faithfully.
///
/// # Errors
/// kcat is not installed.
///
/// # Panics
/// When kcat fails.
pub fn read(servers: &str, topic: &str) -> Result<Vec<Seen>, String> {
    let mut kcat = Command::new(find()?);
    kcat.args(["-C", "-q", "-e", "-b", servers, "-t", topic, "-o", "beginning"]);
    kcat.args(["-X", "check.crcs=true", "-X", "fetch.wait.max.ms=5"]);
    // Lengths first, so that bytes of any kind can follow.
    kcat.args(["-f", "%p %o %T %K %S\n%k%s"]);
    Ok(sorted(parse(&tools::output(&mut kcat, b""))))
}

/// Writes lines as records, with `arguments` of kcat's own.
///
/// # Errors
/// kcat is not installed.
///
/// # Panics
/// When kcat fails.
pub fn write(servers: &str, topic: &str, arguments: &[&str], lines: &[u8]) -> Result<(), String> {
    let mut kcat = Command::new(find()?);
    kcat.args(["-P", "-q", "-b", servers, "-t", topic]).args(arguments);
    let _ = tools::output(&mut kcat, lines);
    Ok(())
}

/// Whether kcat sees this many brokers, for a look at metadata by somebody else.
///
/// # Errors
/// kcat is not installed.
///
/// # Panics
/// When kcat fails.
pub fn brokers(servers: &str) -> Result<usize, String> {
    let mut kcat = Command::new(find()?);
    let told = tools::output(kcat.args(["-L", "-J", "-b", servers]), b"");
    let told: serde_json::Value = serde_json::from_slice(&told).expect("kcat prints JSON");
    Ok(told["brokers"].as_array().map_or(0, Vec::len))
}

fn parse(mut told: &[u8]) -> Vec<Seen> {
    let mut seen = Vec::new();
    while !told.is_empty() {
        let line_end = told.iter().position(|byte| *byte == b'\n').expect("a line");
        let line = std::str::from_utf8(&told[..line_end]).expect("numbers");
        let numbers: Vec<i64> =
            line.split(' ').map(|number| number.parse().expect("a number")).collect();
        told = &told[line_end + 1..];
        let &[partition, offset, timestamp_ms, key_len, value_len] = &numbers[..] else {
            panic!("not five numbers: {line}");
        };
        let mut take = |len: i64| {
            let len = usize::try_from(len).ok()?;
            let (bytes, rest) = told.split_at(len);
            told = rest;
            Some(bytes.to_vec())
        };
        seen.push(Seen {
            partition: partition as i32,
            offset,
            timestamp_ms: Some(timestamp_ms),
            is_append_time: None,
            key: take(key_len),
            value: take(value_len),
            headers: None,
        });
    }
    seen
}

fn sorted(mut seen: Vec<Seen>) -> Vec<Seen> {
    seen.sort_by_key(|record| (record.partition, record.offset));
    seen
}

/// Where keys went: the partition of each.
///
/// # Panics
/// When a key is in two partitions.
#[must_use]
pub fn partitions_of(seen: &[Seen]) -> HashMap<Vec<u8>, i32> {
    let mut partitions = HashMap::new();
    for record in seen {
        let key = record.key.clone().unwrap_or_default();
        let before = partitions.insert(key, record.partition);
        assert!(before.is_none_or(|before| before == record.partition), "one key, two partitions");
    }
    partitions
}
