//! `ottla verifiable-producer` beside the tool that it stands in for: the same options, the same
//! lines.

use std::collections::BTreeMap;
use std::process::Command;

use ottla_tests::record::values;
use ottla_tests::tools::{ended, find};
use ottla_tests::{Engine, engine, java, needs};
use serde_json::{Map, Value};

type Line = Map<String, Value>;

/// What a program says, a line for each object.
fn said(command: &mut Command) -> Vec<Line> {
    let told = ended(command, b"");
    let text = String::from_utf8(told.stdout).expect("text");
    let line = |line: &str| serde_json::from_str(line).expect("an object of JSON");
    // Kafka's tool also has a word about an option that is old.
    text.lines().filter(|line| line.starts_with('{')).map(line).collect()
}

/// What both must say alike: the names of the fields in their order, and all values but those of
/// chance. Lines of one kind come in the order of the values that were sent.
fn alike(lines: &[Line], own: &[&str]) -> BTreeMap<(String, String), Vec<Line>> {
    let mut alike: BTreeMap<_, Vec<Line>> = BTreeMap::new();
    for line in lines {
        let text = |name: &str| line.get(name).map(Value::to_string).unwrap_or_default();
        let mut line: Line =
            line.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        // Clocks, words, and where a sticky partitioner happens to stick.
        for name in ["timestamp", "avg_throughput", "exception", "message", "partition", "offset"] {
            if let Some(value) = line.get_mut(name) {
                *value = Value::String(kind(value).to_owned());
            }
        }
        own.iter().for_each(|name| drop(line.shift_remove(*name)));
        alike.entry((text("name"), text("value"))).or_default().push(line);
    }
    alike
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Runs both with these options, each on a topic of its own, and asserts that they say the same.
fn compare(engine: &Engine, there: bool, options: &[&str]) -> Result<(), String> {
    let mut heard = Vec::new();
    let mut written = Vec::new();
    for ours in [false, true] {
        let mut command = if ours {
            let mut command = Command::new(find("OTTLA_BIN", "ottla")?);
            command.arg("verifiable-producer");
            command
        } else {
            java::class("org.apache.kafka.tools.VerifiableProducer")?
        };
        let topic = if there { engine.topic("verifiable", 2) } else { engine::unique("missing") };
        command.args(["--bootstrap-server", engine.servers(), "--topic", &topic]).args(options);
        let mut lines = said(&mut command);
        for line in &mut lines {
            if let Some(name) = line.get_mut("topic") {
                assert_eq!(*name, topic);
                *name = "the topic".into();
            }
        }
        let names: Vec<&Value> = lines.iter().map(|line| &line["name"]).collect();
        assert_eq!(names[0], "startup_complete", "{names:?}");
        assert_eq!(names[names.len() - 2..], ["shutdown_complete", "tool_data"], "{names:?}");
        // An outcome is more than Kafka's tool has to say.
        heard.push(alike(&lines, &["outcome"]));
        let seen = if there { engine.read(&topic) } else { Vec::new() };
        let mut seen: Vec<String> =
            [0, 1].iter().flat_map(|partition| values(&seen, *partition)).collect();
        seen.sort();
        written.push(seen);
    }
    assert_eq!(heard[0], heard[1], "{options:?}");
    assert_eq!(written[0], written[1], "{options:?}");
    Ok(())
}

#[test]
fn it_says_the_same_as_kafkas_tool_field_by_field() {
    let engine = Engine::embedded();
    for options in [
        &["--max-messages", "20"][..],
        &["--max-messages", "0"],
        &["--max-messages", "7", "--value-prefix", "3", "--repeating-keys", "3", "--acks", "1"],
        &["--max-messages", "3", "--throughput", "50", "--acks", "0", "--repeating-keys", "0"],
    ] {
        needs!(compare(&engine, true, options));
    }
}

#[test]
fn it_tells_of_records_that_fail_as_kafkas_tool_does() {
    let engine = Engine::embedded();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("settings");
    std::fs::write(&file, "max.block.ms=500\n").expect("written");
    let file = file.to_str().expect("text");
    for option in ["--command-config", "--producer.config"] {
        needs!(compare(&engine, false, &["--max-messages", "2", option, file]));
    }
}
