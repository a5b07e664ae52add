//! `ottla produce` as a user has it: lines and NDJSON in, records in a broker, a summary.

mod support;

use serde_json::json;
use support::{Broker, feed, ottla, run};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn lines_become_values_byte_for_byte() {
    let broker = Broker::start(&["--topic", "t:1"]);
    broker.produce(&["-t", "t"], b"one\n\xff\xfe\x00\n two \r\nlast").exits(0);
    assert_eq!(broker.read("t", &[]).exits(0).stdout, b"one\n\xff\xfe\x00\n two \r\nlast\n");
}

#[test]
fn empty_lines_are_skipped_and_counted() {
    let broker = Broker::start(&["--topic", "t:1"]);
    broker.produce(&["-t", "t"], b"\na\n\n\nb\n").exits(0).says("3 empty lines skipped");
    assert_eq!(broker.values("t"), ["a", "b"]);
}

#[test]
fn a_key_delimiter_splits_at_its_first_occurrence() {
    let broker = Broker::start(&["--topic", "t:1"]);
    let input = b"k:v:w\n:empty key\nno key at all\n";
    broker.produce(&["-t", "t", "-K", ":", "-k", "fixed"], input).exits(0);
    let keys: Vec<_> = broker.records("t").into_iter().map(|r| r["key"].clone()).collect();
    assert_eq!(keys, [json!("k"), json!(""), json!("fixed")]);
    assert_eq!(broker.values("t"), ["v:w", "empty key", "no key at all"]);
}

#[test]
fn empty_values_are_tombstones_when_asked_for() {
    let broker = Broker::start(&["--topic", "t:1"]);
    broker.produce(&["-t", "t", "-K", "\\t"], b"a\t\n").exits(0);
    broker.produce(&["-t", "t", "-K", "\\t", "-Z"], b"a\t\n\tb\n").exits(0);
    let pairs: Vec<_> =
        broker.records("t").into_iter().map(|r| (r["key"].clone(), r["value"].clone())).collect();
    let expected = [(json!("a"), json!("")), (json!("a"), json!(null)), (json!(null), json!("b"))];
    assert_eq!(pairs, expected);
}

#[test]
fn headers_from_options_come_before_a_lines_own() {
    let broker = Broker::start(&["--topic", "t:1"]);
    let line = br#"{"value":1,"headers":{"own":"2"}}"#;
    let options = ["-t", "t", "--format", "ndjson", "-H", "a=1", "-H", "null", "-H", "e="];
    broker.produce(&options, line).exits(0);
    let expected = json!([["a", "1"], ["null", null], ["e", ""], ["own", "2"]]);
    assert_eq!(broker.records("t")[0]["headers"], expected);
}

#[test]
fn a_partition_can_be_chosen() {
    let broker = Broker::start(&["--topic", "t:4"]);
    broker.produce(&["-t", "t", "-p", "3"], b"a\nb\n").exits(0);
    let said =
        broker.produce(&["-t", "t", "--format", "ndjson"], br#"{"value":"c","partition":1}"#);
    said.exits(0);
    let places: Vec<_> = broker
        .records("t")
        .into_iter()
        .map(|r| (r["value"].as_str().unwrap().to_owned(), r["partition"].as_i64().unwrap()))
        .collect();
    for place in [("a", 3), ("b", 3), ("c", 1)] {
        assert!(places.contains(&(place.0.to_owned(), place.1)), "{places:?}");
    }
}

#[test]
fn every_codec_is_read_back() {
    let broker = Broker::start(&[]);
    let input: Vec<u8> =
        (0..500).flat_map(|n| format!("value number {n}\n").into_bytes()).collect();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = format!("codec-{codec}");
        broker.produce(&["-t", &topic, "-z", codec, "-p", "0"], &input).exits(0);
        assert_eq!(broker.read(&topic, &[]).exits(0).stdout, input, "{codec}");
    }
}

#[test]
fn each_line_of_ndjson_may_name_its_own_topic() {
    let broker = Broker::start(&[]);
    let folder = folder();
    let file = folder.path().join("events.jsonl");
    std::fs::write(
        &file,
        "{\"topic\":\"one\",\"key\":\"k\",\"value\":{\"b\": 1.0, \"a\": [1, 2]}}\n\
         \n\
         {\"value\":\"for the default\",\"timestamp\":\"2025-03-01T08:15:00Z\"}\n",
    )
    .unwrap();
    let said = broker.produce(&["-t", "two", file.to_str().unwrap()], b"").exits(0);
    said.says("names topic one");
    let one = broker.records("one");
    assert_eq!(one[0]["value"], json!("{\"b\":1.0,\"a\":[1,2]}"));
    assert_eq!(one[0]["key"], json!("k"));
    let two = broker.records("two");
    assert_eq!(two[0]["value"], json!("for the default"));
    assert_eq!(two[0]["timestamp"], json!(1_740_816_900_000_i64));
}

#[test]
fn fields_of_ndjson_can_be_left_out_of_account() {
    let broker = Broker::start(&["--topic", "t:1"]);
    let line = br#"{"topic":"elsewhere","partition":7,"value":"v","timestamp":5}"#;
    let options = ["-t", "t", "--format", "ndjson", "--ignore", "topic,partition,timestamp"];
    broker.produce(&options, line).exits(0);
    let records = broker.records("t");
    assert_eq!(records[0]["value"], json!("v"));
    assert_ne!(records[0]["timestamp"], json!(5));
}

#[test]
fn kcats_json_is_understood() {
    let broker = Broker::start(&["--topic", "t:1"]);
    let line = br#"{"topic":"t","partition":0,"offset":9,"tstype":"create","ts":1700000000000,
"broker":1,"headers":["a","b","a",null],"key":"k","payload":"v"}"#;
    let line: Vec<u8> = line.iter().copied().filter(|byte| *byte != b'\n').collect();
    broker.produce(&["--format", "ndjson"], &line).exits(0);
    let expected = json!({
        "topic": "t", "partition": 0, "offset": 0, "timestamp": 1_700_000_000_000_i64,
        "key": "k", "value": "v", "headers": [["a", "b"], ["a", null]],
    });
    assert_eq!(broker.records("t"), [expected]);
}

#[test]
fn the_count_stops_and_another_delimiter_ends_records() {
    let broker = Broker::start(&["--topic", "t:1"]);
    broker.produce(&["-t", "t", "-c", "2", "-D", "--"], b"a--b\nb--c--d").exits(0);
    assert_eq!(broker.values("t"), ["a", "b\nb"]);
}

#[test]
fn several_files_and_standard_input_are_read_in_order() {
    let broker = Broker::start(&["--topic", "t:1"]);
    let folder = folder();
    let file = folder.path().join("a.txt");
    std::fs::write(&file, "from the file").unwrap();
    let path = file.to_str().unwrap();
    broker.produce(&["-t", "t", path, "-", path], b"from stdin\n").exits(0);
    assert_eq!(broker.values("t"), ["from the file", "from stdin", "from the file"]);
}

#[test]
fn the_summary_counts_each_partition() {
    let broker = Broker::start(&["--topic", "t:2"]);
    broker.produce(&["-t", "t", "-p", "1"], b"a\n").exits(0);
    let said = broker.produce(&["-t", "t", "-p", "1"], b"b\nc\n").exits(0);
    let row = said.stderr.lines().find(|line| line.starts_with("t ")).expect("a row");
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["t", "1", "2", "1", "2"]);
    said.says("2 records delivered");
    let said = broker.produce(&["-t", "t", "-p", "0", "--json"], b"d\n").exits(0);
    let summary = &said.json()[0];
    assert_eq!(summary["delivered"], json!(1));
    assert_eq!(summary["failed"], json!(0));
    let row = json!({
        "topic": "t", "partition": 0, "records": 1, "first_offset": 0, "last_offset": 0,
    });
    assert_eq!(summary["partitions"], json!([row]));
}

#[test]
fn verbosity_tells_each_record_and_quiet_tells_nothing() {
    let broker = Broker::start(&["--topic", "t:1"]);
    broker.produce(&["-t", "t", "-v"], b"a\nb\n").exits(0).says("t [0] offset 1,");
    let said = broker.produce(&["-t", "t", "-q"], b"a\n").exits(0);
    assert_eq!(said.stderr, "");
}

#[test]
fn settings_come_from_a_file_and_from_options() {
    let broker = Broker::start(&["--topic", "t:1"]);
    let folder = folder();
    let file = folder.path().join("client.properties");
    let address = &broker.address;
    std::fs::write(&file, format!("metadata.broker.list={address}\nacks: all\n")).unwrap();
    let file = file.to_str().unwrap();
    let said = support::run_with(["produce", "-F", file, "-t", "t", "-X", "linger.ms=0"], b"a\n");
    said.exits(0);
    assert_eq!(broker.values("t"), ["a"]);
}

#[test]
fn acks_0_sends_and_knows_no_offset() {
    let broker = Broker::start(&["--topic", "t:1"]);
    let said = broker.produce(&["-t", "t", "-X", "acks=0", "--json"], b"a\n").exits(0);
    assert_eq!(said.json()[0]["partitions"][0]["last_offset"], json!(null));
    support::until("the record is there", || (broker.values("t") == ["a"]).then_some(()));
}

#[test]
fn what_the_embedded_broker_took_is_read_back_from_the_same_folder() {
    let folder = folder();
    let data = folder.path().to_str().unwrap();
    let embedded = ["--embedded", "--data", data];
    let said =
        support::run_with(["produce", "-t", "t", "-p", "0"].iter().chain(&embedded), b"a\nb\n");
    said.exits(0).says(data);
    let said = run(["read", "-t", "t", "-e"].iter().chain(&embedded)).exits(0);
    assert_eq!(said.text(), "a\nb\n");
    let said = run(["topic", "describe", "t", "--json"].iter().chain(&embedded)).exits(0);
    assert_eq!(said.json()[0]["partitions"][0]["latest_offset"], json!(2));
}

#[test]
fn the_embedded_brokers_folder_is_in_the_users_state_directory() {
    let state = folder();
    let mut command = ottla(["produce", "--embedded", "-t", "t"]);
    command.env("XDG_STATE_HOME", state.path());
    let expected = state.path().join("ottla");
    feed(command, b"a\n").exits(0).says(expected.to_str().unwrap());
    assert!(expected.is_dir());
}

#[test]
fn the_example_file_goes_through_the_embedded_broker() {
    let folder = folder();
    let embedded = ["--embedded", "--data", folder.path().to_str().unwrap()];
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/data/events.ndjson");
    run(["produce", file].iter().chain(&embedded)).exits(0).says("241 records delivered");
    let topic = |name: &str| {
        let words = ["read", "-t", name, "-e", "--format", "ndjson"];
        run(words.iter().chain(&embedded)).exits(0).json()
    };
    let (users, views) = (topic("user-events"), topic("page-views"));
    assert_eq!(users.len() + views.len(), 241);
    assert!(users.iter().all(|record| record["key"].is_string()));
    assert!(views.iter().all(|record| record["key"].is_null()));
    assert_eq!(users.iter().filter(|record| record["value"].is_null()).count(), 1);
}
