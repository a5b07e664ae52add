//! Kafka's own programs, and small ones of ours against Kafka's classes.

use std::path::PathBuf;
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::record::{Made, Seen};
use crate::tools;

/// The folder with Kafka's jars.
///
/// # Errors
/// It is not there, or there is no Java.
pub fn libs() -> Result<PathBuf, String> {
    let libs = std::env::var_os("OTTLA_TEST_KAFKA_LIBS").map(PathBuf::from);
    let libs = libs.ok_or("Kafka's jars are not here (set OTTLA_TEST_KAFKA_LIBS)")?;
    tools::find("OTTLA_TEST_JAVA", "java")?;
    if libs.is_dir() { Ok(libs) } else { Err(format!("{} is no folder", libs.display())) }
}

/// A class of Kafka's jars, ready to run with arguments of its own.
///
/// # Errors
/// As [`libs`].
pub fn class(name: &str) -> Result<Command, String> {
    let mut java = java()?;
    java.arg(name);
    Ok(java)
}

/// A program of one file in `java/`, compiled as it starts.
///
/// # Errors
/// As [`libs`].
pub fn source(file: &str) -> Result<Command, String> {
    let mut java = java()?;
    java.arg(tools::here().join("java").join(file));
    Ok(java)
}

fn java() -> Result<Command, String> {
    let libs = libs()?;
    let mut java = Command::new(tools::find("OTTLA_TEST_JAVA", "java")?);
    // Short runs: a quick start counts for more than fast code.
    java.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Xmx256m"]);
    java.arg("-cp").arg(libs.join("*"));
    Ok(java)
}

/// What stands between the parts of a record on the console consumer's output. Nothing that a test
/// sends has it in it.
const PART: &str = "<~part~>";
const LINE: &str = "<~line~>";
const HEADER: &str = "<~header~>";
const NULL: &str = "<~null~>";

/// What Kafka's console consumer reads of a topic, in a group of its own, until it has `count`
/// records; by partition and offset.
///
/// # Errors
/// As [`libs`].
///
/// # Panics
/// When it fails.
pub fn console_consumer(servers: &str, topic: &str, count: usize) -> Result<Vec<Seen>, String> {
    let mut java = class("org.apache.kafka.tools.consumer.ConsoleConsumer")?;
    java.args(["--bootstrap-server", servers, "--topic", topic, "--from-beginning"]);
    java.args(["--max-messages", &count.to_string(), "--timeout-ms", "30000"]);
    for what in ["timestamp", "partition", "offset", "headers", "key", "value"] {
        java.arg("--formatter-property").arg(format!("print.{what}=true"));
    }
    for (property, separator) in [
        ("key.separator", PART),
        ("line.separator", LINE),
        ("headers.separator", HEADER),
        ("null.literal", NULL),
    ] {
        java.arg("--formatter-property").arg(format!("{property}={separator}"));
    }
    let told = tools::output(&mut java, b"");
    let mut seen: Vec<Seen> =
        split(&told, LINE).filter(|line| !line.is_empty()).map(parse).collect();
    seen.sort_by_key(|record| (record.partition, record.offset));
    Ok(seen)
}

fn parse(line: &[u8]) -> Seen {
    let parts: Vec<&[u8]> = split(line, PART).collect();
    let &[time, partition, offset, headers, key, value] = &parts[..] else {
        panic!("not six parts: {}", String::from_utf8_lossy(line));
    };
    let number = |part: &[u8]| {
        let part = String::from_utf8_lossy(part).into_owned();
        part.rsplit(':').next().and_then(|number| number.parse::<i64>().ok()).expect("a number")
    };
    let bytes = |part: &[u8]| (part != NULL.as_bytes()).then(|| part.to_vec());
    let header = |part: &[u8]| {
        let colon = part.iter().position(|byte| *byte == b':').expect("key:value");
        (String::from_utf8_lossy(&part[..colon]).into_owned(), bytes(&part[colon + 1..]))
    };
    let none = headers == b"NO_HEADERS";
    Seen {
        partition: number(partition) as i32,
        offset: number(offset),
        timestamp_ms: Some(number(time)),
        is_append_time: Some(time.starts_with(b"LogAppendTime")),
        key: bytes(key),
        value: bytes(value),
        headers: Some(if none { Vec::new() } else { split(headers, HEADER).map(header).collect() }),
    }
}

fn split<'a>(bytes: &'a [u8], separator: &str) -> impl Iterator<Item = &'a [u8]> {
    let separator = separator.as_bytes().to_vec();
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let bytes = rest?;
        let at = bytes.windows(separator.len()).position(|window| window == separator);
        rest = at.map(|at| &bytes[at + separator.len()..]);
        Some(at.map_or(bytes, |at| &bytes[..at]))
    })
}

/// Produces the same records with the Java client to each of the topics, set up by the settings
/// that stand beside it, in one run.
///
/// # Errors
/// As [`libs`].
///
/// # Panics
/// When a record is not delivered.
pub fn produce(
    servers: &str,
    topics: &[(String, Vec<(&str, &str)>)],
    records: &[Made],
) -> Result<(), String> {
    let mut java = source("Produce.java")?;
    java.arg(servers);
    for (topic, settings) in topics {
        let settings: Vec<String> =
            settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
        java.arg(topic).arg(settings.join(","));
    }
    let lines: String = records.iter().map(line).collect();
    let _ = tools::output(&mut java, lines.as_bytes());
    Ok(())
}

/// Partition, timestamp, key, value, then names and values of headers.
fn line(record: &Made) -> String {
    let bytes = |bytes: Option<&[u8]>| {
        bytes.map_or_else(
            || "null".to_owned(),
            |bytes| format!("={}", BASE64_STANDARD.encode(bytes)),
        )
    };
    let number = |number: Option<i64>| number.map_or_else(|| "null".to_owned(), |n| n.to_string());
    let mut words = vec![
        number(record.partition.map(i64::from)),
        number(record.timestamp_ms),
        bytes(record.key.as_deref()),
        bytes(record.value.as_deref()),
    ];
    for (key, value) in &record.headers {
        words.extend([bytes(Some(key.as_bytes())), bytes(value.as_deref())]);
    }
    words.join(" ") + "\n"
}

/// Has Kafka look through log files and their indexes. What it finds wrong it says, line by line.
///
/// # Errors
/// As [`libs`].
///
/// # Panics
/// When it fails.
pub fn faults_of_log_files(files: &[PathBuf]) -> Result<Vec<String>, String> {
    let text = dump_of_log_files(files)?;
    let faults = text.lines().filter(|line| !is_usual(line)).map(str::to_owned).collect();
    assert!(text.contains("isvalid: true"), "it looked at nothing: {text}");
    Ok(faults)
}

/// What Kafka's `DumpLogSegments` says of log files and their indexes.
///
/// # Errors
/// As [`libs`].
pub fn dump_of_log_files(files: &[PathBuf]) -> Result<String, String> {
    let mut java = class("org.apache.kafka.tools.DumpLogSegments")?;
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    java.args(["--deep-iteration", "--max-message-size", "10000000", "--files", &names.join(",")]);
    let told = tools::ended(&mut java, b"");
    let mut text =
        String::from_utf8_lossy(&told.stdout).into_owned() + &String::from_utf8_lossy(&told.stderr);
    if !told.status.success() {
        text += &format!("DumpLogSegments ended with {}", told.status);
    }
    Ok(text)
}

/// Whether the tool says this of files with which all is well. It holds it against every segment
/// but the first that it does not begin at offset 0, of Kafka's own as well.
fn is_usual(line: &str) -> bool {
    let usual = [
        "Dumping ",
        "Log starting offset: ",
        "Snapshot end offset: ",
        "| offset: ",
        "offset: ",
        "timestamp: ",
        "producerId: ",
        "version: 0 producerId: ",
        "SLF4J: ",
        "Non-consecutive offsets in ",
        "  -1 is followed by ",
    ];
    usual.iter().any(|begin| line.starts_with(begin))
        || line.ends_with(".index is empty.")
        || (line.starts_with("baseOffset: ") && line.contains("isvalid: true"))
}
