//! Each way in which input, settings and servers can be wrong: said, kept, and never a panic.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::path::PathBuf;
use std::thread;

use serde_json::json;
use support::{Broker, Said, run, run_with};

/// A folder with a place for `--failed-out`.
struct Kept {
    folder: tempfile::TempDir,
}

impl Kept {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("failed")
    }

    fn arg(&self) -> String {
        self.path().to_str().unwrap().to_owned()
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.path()).unwrap()
    }
}

#[test]
fn a_malformed_line_is_named_and_kept_and_the_rest_is_sent() {
    let broker = Broker::start(&["--topic", "t:1"]);
    let kept = Kept::new();
    let input = "{\"value\":\"first\"}\n\
                 {\"vlaue\":\"x\"}\n\
                 {\"value\":\"second\"}\n\
                 {\"value\":  \"cut short\n\
                 {\"value\":1,\"partition\":\"two\"}\n\
                 plain words\n\
                 {\"value\":\"third\"}\n";
    let options = ["-t", "t", "--format", "ndjson", "--failed-out", &kept.arg()];
    broker
        .produce(&options, input.as_bytes())
        .exits(1)
        .says("stdin, line 2: unknown field \"vlaue\"; did you mean \"value\"?")
        .says("line 4: the line ends inside the object")
        .says("line 5: field \"partition\": expected a number 0, 1, 2 …, found \"two\"")
        .says("line 6: expected an object")
        .says("3 records delivered")
        .says("4 records failed, none of them is in the log");
    assert_eq!(broker.values("t"), ["first", "second", "third"]);
    let bad: Vec<&str> = input
        .lines()
        .enumerate()
        .filter(|(n, _)| [1, 3, 4, 5].contains(n))
        .map(|(_, l)| l)
        .collect();
    assert_eq!(String::from_utf8(kept.bytes()).unwrap(), bad.join("\n") + "\n");
}

#[test]
fn strict_stops_at_the_first_malformed_line() {
    let broker = Broker::start(&["--topic", "t:1"]);
    let input = b"{\"value\":\"first\"}\nbad\n{\"value\":\"never\"}\n";
    broker
        .produce(&["-t", "t", "--format", "ndjson", "--strict"], input)
        .exits(1)
        .says("line 2")
        .says("nothing after stdin, line 2 was sent");
    assert_eq!(broker.values("t"), ["first"]);
}

#[test]
fn a_value_or_key_over_the_limit_is_named_and_kept_and_the_rest_is_sent() {
    let broker = Broker::start(&["--topic", "t:1"]);
    let kept = Kept::new();
    let big = "v".repeat(1_100_000);
    let input = format!("a:1\nb:{big}\n{big}:2\nc:3\n");
    let said =
        broker.produce(&["-t", "t", "-K", ":", "--failed-out", &kept.arg()], input.as_bytes());
    said.exits(1).says("max.request.size=1048576").says("line 2").says("line 3").says("raise");
    assert_eq!(broker.values("t"), ["1", "3"]);
    assert_eq!(kept.bytes(), format!("b:{big}\n{big}:2\n").into_bytes());
}

#[test]
fn a_line_of_100_mb_is_kept_in_bounded_memory_and_the_rest_is_sent() {
    let broker = Broker::start(&["--topic", "t:1"]);
    let kept = Kept::new();
    let mut input = b"before\n".to_vec();
    input.resize(input.len() + 100_000_000, b'x');
    input.extend_from_slice(b"\nafter\n");
    broker
        .produce(&["-t", "t", "--failed-out", &kept.arg()], &input)
        .exits(1)
        .says("line 2: the line has 100000000 bytes")
        .says("-X max.request.size");
    assert_eq!(broker.values("t"), ["before", "after"]);
    assert!(kept.bytes() == input[7..100_000_008], "the line is kept unchanged");
}

#[test]
fn a_long_line_that_the_limit_allows_is_sent() {
    let broker = Broker::start(&["--topic", "t:1"]);
    let line = "y".repeat(900_000);
    broker.produce(&["-t", "t"], line.as_bytes()).exits(0);
    assert_eq!(broker.values("t"), [line]);
}

#[test]
fn a_topic_that_is_not_there_fails_its_records_and_no_others() {
    let broker = Broker::start(&["--no-auto-create", "--topic", "there:1"]);
    let kept = Kept::new();
    let input = "{\"topic\":\"missing\",\"value\":1}\n{\"topic\":\"there\",\"value\":\"x\"}\n\
                 {\"topic\":\"missing\",\"value\":2}\n";
    let options = ["--format", "ndjson", "--timeout", "1", "--failed-out", &kept.arg()];
    broker
        .produce(&options, input.as_bytes())
        .exits(1)
        .says("line 1: topic missing")
        .says("line 3");
    assert_eq!(broker.values("there"), ["x"]);
    assert_eq!(
        kept.bytes(),
        b"{\"topic\":\"missing\",\"value\":1}\n{\"topic\":\"missing\",\"value\":2}\n"
    );
}

#[test]
fn a_partition_that_is_not_there_fails_its_record() {
    let broker = Broker::start(&["--topic", "t:2"]);
    broker
        .produce(&["-t", "t", "-p", "9"], b"a\n")
        .exits(1)
        .says("topic t has no partition 9: it has 2, 0 to 1");
}

#[test]
fn settings_that_are_unknown_or_contradict_each_other_are_refused_before_anything_else() {
    let refused = |settings: &[&str]| {
        let words = ["produce", "-b", "127.0.0.1:1", "-t", "t"].iter().chain(settings);
        run_with(words, b"a\n").exits(2)
    };
    refused(&["-X", "lingr.ms=5"]).says("lingr.ms").says("did you mean linger.ms?");
    refused(&["-X", "acks=1", "-X", "enable.idempotence=true"]).says("acks=all");
    refused(&["-X", "linger.ms=soon"]).says("linger.ms");
    refused(&["-z", "zip"]).says("zstd");
    refused(&["-X", "nothing"]).says("NAME=VALUE");
    refused(&["-F", "no-such-file.properties"]).says("no-such-file.properties");
}

#[test]
fn a_wrong_setting_in_a_file_is_named_with_its_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("client.properties");
    let file = path.to_str().unwrap();
    let refused = |text: &str, options: &[&str]| {
        std::fs::write(&path, text).unwrap();
        let words = ["produce", "-t", "t", "-F", file];
        run(words.iter().chain(options)).exits(2)
    };
    let server = ["-b", "127.0.0.1:1"];
    let line = |number: usize| format!("{file}, line {number}: ");
    refused("acks=all\n# next\nlingr.ms=5\n", &server).says(&line(3)).says("linger.ms?");
    refused("linger.ms=soon\n", &server).says(&line(1));
    refused("\nbootstrap.servers=a:b\n", &[]).says(&line(2)).says("a:b");
    refused("acks=all\n", &["-b", "a", "-X", "linger.ms=soon"]).does_not_say(file);
}

#[test]
fn negative_numbers_get_the_range_they_are_not_in() {
    let server = ["-b", "127.0.0.1:1"];
    let refused = |words: &[&str]| run(words.iter().chain(&server)).exits(2);
    let says = |words: &[&str], range: &str| {
        refused(words).says(range).does_not_say("-- -1");
    };
    says(&["topic", "list", "--timeout", "-1"], "more than 0 seconds");
    says(&["topic", "list", "--timeout", "-0.5"], "more than 0 seconds");
    says(&["topic", "create", "t", "--partitions", "-1"], "-1 is not in 1..");
    says(&["topic", "create", "t", "--replication", "-1"], "-1 is not in 1..");
    says(&["produce", "-t", "t", "-c", "-1"], "invalid digit");
    run(["broker", "--default-partitions", "-1"]).exits(2).says("-1 is not in 1..");
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let broker = Broker::start(&["--topic", "t:1"]);
    let to_full = |words: &[&str], input: &[u8]| {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = support::ottla(words.iter().chain(&["-b", &broker.address]));
        command.stdin(std::process::Stdio::piped()).stdout(full);
        command.stderr(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let said = Said::from(child.wait_with_output().unwrap());
        said.exits(1).says("ottla: cannot write the output: ")
    };
    to_full(&["produce", "-t", "t", "--json"], b"a\n").says("1 record delivered");
    to_full(&["read", "-t", "t", "-e"], b"");
    to_full(&["topic", "list"], b"");
    to_full(&["topic", "describe", "t"], b"");
}

#[test]
fn what_is_wrong_with_the_command_line_is_named() {
    run(["produce", "-t", "t"]).exits(2).says("-b HOST:PORT").says("--embedded");
    run(["produce", "-b", "a"]).exits(2).says("-t TOPIC");
    run(["produce", "-b", "host:port", "-t", "t"]).exits(2).says("host:port");
    run(["produce", "-b", "a", "-t", "no/slash"]).exits(2).says("'/'");
    run(["produce", "-b", "a", "-t", "t", "nowhere.txt"]).exits(2).says("nowhere.txt");
    run(["read", "-b", "a"]).exits(2).says("--topic");
    run(["consume"]).exits(2);
}

#[test]
fn the_file_that_is_read_is_not_the_one_for_failed_records() {
    let kept = Kept::new();
    std::fs::write(kept.path(), "precious\n").unwrap();
    run(["produce", "-b", "a", "-t", "t", "--failed-out", &kept.arg(), &kept.arg()]).exits(2);
    assert_eq!(kept.bytes(), b"precious\n");
}

#[test]
fn a_server_that_is_not_there_is_said_within_the_timeout() {
    // Bound and closed again: nobody listens there.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for command in [&["produce"][..], &["read", "-e"], &["topic", "list"]] {
        let topic: &[&str] = if command[0] == "topic" { &[] } else { &["-t", "t"] };
        let server = ["-b", &address, "--timeout", "0.5"];
        run(command.iter().chain(topic).chain(&server)).exits(3).says(&address).says("refused");
    }
}

#[test]
fn a_name_that_does_not_resolve_is_said() {
    let said = run(["topic", "list", "-b", "no-such-host.invalid:1", "--timeout", "0.5"]);
    said.exits(3).says("no-such-host.invalid:1").says("resolve");
}

/// Serves each connection with a closure, until the test ends; gives the address.
fn server(serve: impl Fn(std::net::TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || listener.incoming().flatten().for_each(&serve));
    address
}

fn produce_to(address: &str) -> Said {
    run_with(["produce", "-b", address, "-t", "t", "--timeout", "2"], b"a\n").exits(3).says(address)
}

#[test]
fn an_http_server_on_the_port_is_said_to_be_one() {
    let address = server(|mut stream| {
        // As real ones do: wait for the end of a line, then complain about it.
        let mut seen = Vec::new();
        let mut byte = [0];
        while !seen.ends_with(b"\r\n") && stream.read_exact(&mut byte).is_ok() {
            seen.push(byte[0]);
        }
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    });
    produce_to(&address).says("speaks HTTP, not Kafka");
}

#[test]
fn a_tls_server_on_the_port_is_said_to_be_one() {
    let address = server(|mut stream| {
        // As real ones do: an alert for a broken handshake, nothing at all for anything else.
        let mut first = [0; 1];
        if stream.read_exact(&mut first).is_ok() && first[0] == 0x16 {
            let _ = stream.write_all(&[0x15, 3, 1, 0, 2, 2, 50]);
        }
        let _ = stream.shutdown(Shutdown::Both);
    });
    produce_to(&address).says("speaks TLS");
}

#[test]
fn a_server_that_never_answers_is_said_within_the_timeout() {
    let (keep, _kept) = std::sync::mpsc::channel();
    let address = server(move |stream| keep.send(stream).unwrap());
    produce_to(&address).says("did not answer");
}

#[test]
fn a_server_that_answers_nonsense_is_said_to() {
    let address = server(|mut stream| {
        let _ = stream.write_all(&[0xff; 64]);
        let _ = stream.read(&mut [0; 64]);
    });
    produce_to(&address).says("does not speak Kafka");
}

#[test]
fn invalid_utf8_is_data_in_lines_and_an_error_in_ndjson() {
    let broker = Broker::start(&["--topic", "t:1"]);
    let kept = Kept::new();
    broker.produce(&["-t", "t"], b"\xc3\x28\n").exits(0);
    let options = ["-t", "t", "--format", "ndjson", "--failed-out", &kept.arg()];
    let said = broker.produce(&options, b"{\"value\":\"\xc3\x28\"}\n{\"value\":\"fine\"}\n");
    said.exits(1).says("line 1: expected UTF-8").says("column 11");
    assert_eq!(kept.bytes(), b"{\"value\":\"\xc3\x28\"}\n");
    let records = broker.records("t");
    assert_eq!(records[0]["value_base64"], json!("wyg="));
    assert_eq!(records[1]["value"], json!("fine"));
}

#[test]
fn empty_input_is_no_error() {
    let broker = Broker::start(&["--topic", "t:1"]);
    broker.produce(&["-t", "t"], b"").exits(0).says("0 records delivered");
    broker.produce(&["-t", "t"], b"\n\n").exits(0).says("2 empty lines skipped");
}

#[test]
fn what_an_earlier_run_kept_stays() {
    let broker = Broker::start(&["--topic", "t:1"]);
    let kept = Kept::new();
    let options = ["-t", "t", "--format", "ndjson", "--failed-out", &kept.arg()];
    broker.produce(&options, b"bad 1\n").exits(1);
    broker.produce(&options, b"bad 2\n").exits(1).says("holds 6 B already");
    assert_eq!(kept.bytes(), b"bad 1\nbad 2\n");
}

#[test]
fn only_the_first_failures_are_named_unless_all_are_asked_for() {
    let broker = Broker::start(&["--topic", "t:1"]);
    let input = "bad\n".repeat(50);
    let options = ["-t", "t", "--format", "ndjson"];
    let said = broker.produce(&options, input.as_bytes()).exits(1);
    said.says("line 10:").does_not_say("line 11:").says("50 records failed");
    let options = ["-t", "t", "--format", "ndjson", "-v"];
    broker.produce(&options, input.as_bytes()).exits(1).says("line 50:");
}

#[test]
fn reading_what_is_not_there_is_said() {
    let broker = Broker::start(&["--topic", "t:2"]);
    broker.produce(&["-t", "t", "-p", "0"], b"a\nb\n").exits(0);
    broker.read("missing", &[]).exits(2).says("missing");
    broker.read("t", &["-p", "7"]).exits(2).says("no partition 7");
    broker.read("t", &["-p", "0", "-o", "100"]).exits(2).says("holds 0 to 1");
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_error() {
    use std::process::Stdio;
    let broker = Broker::start(&["--topic", "t:1"]);
    broker.produce(&["-t", "t"], "some value or other\n".repeat(20_000).as_bytes()).exits(0);
    let mut command = support::ottla(["read", "-b", &broker.address, "-t", "t", "-e"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 10]).unwrap();
    drop(stdout);
    Said::from(child.wait_with_output().unwrap()).exits(0).does_not_say("panic");
    let mut command = support::ottla(["topic", "describe", "t", "-b", &broker.address]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    Said::from(child.wait_with_output().unwrap()).exits(0).does_not_say("write");
    // And when nobody listens to the talk.
    let mut command = support::ottla(["produce", "-b", &broker.address, "-t", "t", "-v"]);
    command.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stderr.take());
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&b"more\n".repeat(100)).unwrap();
    drop(stdin);
    assert_eq!(support::wait(&mut child).code(), Some(0));
}
