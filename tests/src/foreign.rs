//! confluent_kafka, the Python client: reads and writes everything a record can have.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::record::{Made, Seen};
use crate::tools;

/// A Python process that serves one request after the other. It ends with its input, that is,
/// with this process at the latest.
struct Helper {
    /// Kept so that the process is not forgotten while we talk to it.
    _process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// Helpers that nobody talks to: starting Python takes longer than most requests.
static IDLE: Mutex<Vec<Helper>> = Mutex::new(Vec::new());

/// Whether Python with confluent_kafka is here.
///
/// # Errors
/// It is not.
pub fn is_here() -> Result<(), String> {
    static HERE: OnceLock<Result<(), String>> = OnceLock::new();
    let look = || {
        let python = tools::find("OTTLA_TEST_PYTHON", "python3")?;
        let told = Command::new(python).args(["-c", "import confluent_kafka"]).output();
        if told.is_ok_and(|told| told.status.success()) {
            return Ok(());
        }
        Err("Python has no confluent_kafka (set OTTLA_TEST_PYTHON)".to_owned())
    };
    HERE.get_or_init(look).clone()
}

/// What confluent_kafka reads of a topic from its beginning to its present end, by partition and
/// offset. It checks the checksum of every batch.
///
/// # Errors
/// There is no Python with confluent_kafka.
///
/// # Panics
/// When reading fails.
pub fn read(servers: &str, topic: &str) -> Result<Vec<Seen>, String> {
    is_here()?;
    let records = ask(&json!({ "do": "read", "servers": servers, "topic": topic }));
    let mut seen: Vec<Seen> = list(&records).map(seen).collect();
    seen.sort_by_key(|record| (record.partition, record.offset));
    Ok(seen)
}

/// Produces records with confluent_kafka, set up by `config`; gives the partition of each.
///
/// # Errors
/// There is no Python with confluent_kafka.
///
/// # Panics
/// When a record is not delivered.
pub fn produce(
    servers: &str,
    topic: &str,
    config: &[(&str, &str)],
    records: &[Made],
) -> Result<Vec<i32>, String> {
    is_here()?;
    let config: serde_json::Map<String, Value> =
        config.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    let records: Vec<Value> = records.iter().map(made).collect();
    let reports = ask(&json!({
        "do": "produce", "servers": servers, "topic": topic, "config": config, "records": records,
    }));
    let place = |report: &Value| match report[0].as_i64() {
        Some(partition) => partition as i32,
        None => panic!("confluent_kafka did not deliver a record: {report}"),
    };
    Ok(list(&reports).map(place).collect())
}

/// Gives a topic more partitions, so that it has this many.
///
/// # Errors
/// There is no Python with confluent_kafka.
///
/// # Panics
/// When the cluster does not do it.
pub fn grow(servers: &str, topic: &str, partitions: i32) -> Result<(), String> {
    is_here()?;
    let request = json!({
        "do": "grow", "servers": servers, "topic": topic, "partitions": partitions,
    });
    ask(&request);
    Ok(())
}

/// That somebody may do something with a topic.
#[derive(Clone, Copy, Debug)]
pub struct Rule<'a> {
    /// Such as `User:limited`.
    pub principal: &'a str,
    /// Such as `WRITE`.
    pub operation: &'a str,
    /// Its name.
    pub topic: &'a str,
}

/// Makes a rule, or takes it back.
///
/// # Errors
/// There is no Python with confluent_kafka.
///
/// # Panics
/// When the cluster does not do it.
pub fn rule(servers: &str, rule: &Rule<'_>, holds: bool) -> Result<(), String> {
    is_here()?;
    ask(&json!({
        "do": "rule", "servers": servers, "holds": holds,
        "principal": rule.principal, "operation": rule.operation, "topic": rule.topic,
    }));
    Ok(())
}

fn ask(request: &Value) -> Value {
    let idle = IDLE.lock().expect("no panic").pop();
    let mut helper = idle.unwrap_or_else(Helper::start);
    writeln!(helper.requests, "{request}").expect("Python listens");
    let mut line = String::new();
    helper.answers.read_line(&mut line).expect("Python speaks UTF-8");
    let mut answer: Value = serde_json::from_str(&line).expect("Python answers with JSON");
    assert!(answer["error"].is_null(), "confluent_kafka: {}", answer["error"]);
    IDLE.lock().expect("no panic").push(helper);
    answer["answer"].take()
}

impl Helper {
    fn start() -> Self {
        let python = tools::find("OTTLA_TEST_PYTHON", "python3").expect("looked for before");
        let mut command = Command::new(python);
        command.arg(tools::here().join("python/helper.py"));
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = spawned.expect("Python starts");
        let requests = process.stdin.take().expect("piped");
        let answers = BufReader::new(process.stdout.take().expect("piped"));
        Self { _process: process, requests, answers }
    }
}

fn made(record: &Made) -> Value {
    let headers: Vec<Value> =
        record.headers.iter().map(|(key, value)| json!([key, text(value.as_deref())])).collect();
    json!({
        "partition": record.partition,
        "timestamp": record.timestamp_ms,
        "key": text(record.key.as_deref()),
        "value": text(record.value.as_deref()),
        "headers": headers,
    })
}

fn seen(record: &Value) -> Seen {
    let header =
        |pair: &Value| (pair[0].as_str().expect("a header's key").to_owned(), bytes(&pair[1]));
    Seen {
        partition: record["partition"].as_i64().expect("a partition") as i32,
        offset: record["offset"].as_i64().expect("an offset"),
        timestamp_ms: record["timestamp"].as_i64(),
        is_append_time: record["append_time"].as_bool(),
        key: bytes(&record["key"]),
        value: bytes(&record["value"]),
        headers: Some(list(&record["headers"]).map(header).collect()),
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().expect("a list").iter()
}

fn text(bytes: Option<&[u8]>) -> Option<String> {
    bytes.map(|bytes| BASE64_STANDARD.encode(bytes))
}

fn bytes(text: &Value) -> Option<Vec<u8>> {
    text.as_str().map(|text| BASE64_STANDARD.decode(text).expect("base64"))
}
