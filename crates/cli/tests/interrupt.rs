//! Ctrl-C, and lines that somebody types.

#![cfg(unix)]

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStdin, Stdio};

use rustix::process::Signal;
use support::{Broker, Lines, ottla, send_signal, wait};

fn produce(broker: &Broker, options: &[&str], stdin: Stdio) -> (Child, Lines) {
    let mut command = ottla(["produce", "-b", &broker.address, "-t", "t"].iter().chain(options));
    let mut child = command.stdin(stdin).stderr(Stdio::piped()).spawn().unwrap();
    let lines = Lines::of(child.stderr.take().unwrap());
    (child, lines)
}

#[test]
fn ctrl_c_says_what_was_sent_and_what_not() {
    let broker = Broker::start(&["--topic", "t:1"]);
    let (mut child, talk) = produce(&broker, &["-v"], Stdio::piped());
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"one\ntwo\nhalf a li").unwrap();
    talk.wait_for("offset 1,");
    send_signal(&child, Signal::INT);
    talk.wait_for("2 records delivered");
    let last = talk.wait_for("interrupted: nothing after stdin, line 2 was sent");
    assert!(last.ends_with("; a last line without its end (9 B) was not sent"), "{last}");
    assert_eq!(wait(&mut child).code(), Some(130));
    assert_eq!(broker.values("t"), ["one", "two"]);
}

/// More than fits into all the pipes between here and the producer: once it is written, the
/// producer has records that wait for their acknowledgment.
fn many_lines() -> Vec<u8> {
    (0..20_000).flat_map(|n| format!("{n:0>99}\n").into_bytes()).collect()
}

/// A command that has had one record acknowledged, and has many more on their way to a broker that
/// has fallen silent.
fn stuck(broker: &Broker, options: &[&str]) -> (Child, ChildStdin, Lines) {
    let (mut child, talk) = produce(broker, options, Stdio::piped());
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"one\n").unwrap();
    talk.wait_for("offset 0,");
    broker.signal(Signal::STOP);
    stdin.write_all(&many_lines()).unwrap();
    (child, stdin, talk)
}

#[test]
fn ctrl_c_while_the_cluster_is_silent_accounts_for_every_line_taken() {
    let broker = Broker::start(&["--topic", "t:1"]);
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    let (mut child, stdin, talk) = stuck(&broker, &["-v", "--failed-out", kept.to_str().unwrap()]);
    send_signal(&child, Signal::INT);
    talk.wait_for("1 record delivered");
    let failed = talk.wait_for("records failed, ");
    let last = talk.wait_for("interrupted: nothing after stdin, line ");
    assert_eq!(wait(&mut child).code(), Some(130));
    drop(stdin);
    let last = last.split("line ").nth(1).unwrap().split(' ').next().unwrap();
    let taken = last.parse::<usize>().unwrap() - 1;
    assert!(failed.contains("may be in the log all the same"), "{failed}");
    assert_eq!(std::fs::read(&kept).unwrap(), many_lines()[..100 * taken]);
}

#[test]
fn a_line_that_waits_for_its_topic_counts_as_not_sent() {
    let broker = Broker::start(&["--no-auto-create", "--topic", "t:1"]);
    let options = ["--format", "ndjson", "-v", "--timeout", "60"];
    let waits_long = ["-X", "topic.metadata.propagation.max.ms=60000"];
    let options: Vec<&str> = options.into_iter().chain(waits_long).collect();
    let (mut child, talk) = produce(&broker, &options, Stdio::piped());
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"{\"value\":1}\n").unwrap();
    talk.wait_for("offset 0,");
    stdin.write_all(b"{\"value\":2,\"topic\":\"missing\"}\n").unwrap();
    send_signal(&child, Signal::INT);
    talk.wait_for("interrupted: nothing after stdin, line 1 was sent");
    assert_eq!(wait(&mut child).code(), Some(130));
    drop(stdin);
}

#[test]
fn a_second_ctrl_c_quits_at_once() {
    let broker = Broker::start(&["--topic", "t:1"]);
    let (mut child, stdin, talk) = stuck(&broker, &["-v"]);
    send_signal(&child, Signal::INT);
    talk.wait_for("interrupted; waiting");
    send_signal(&child, Signal::INT);
    talk.wait_for("quit; records on their way may or may not arrive");
    assert_eq!(wait(&mut child).code(), Some(130));
    drop(stdin);
}

/// A terminal: the end that a person has, and the end that a program reads from.
fn terminal() -> (File, OwnedFd) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&person).unwrap();
    unlockpt(&person).unwrap();
    let name = ptsname(&person, Vec::new()).unwrap();
    let program = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    (File::from(person), OwnedFd::from(program))
}

#[test]
fn each_line_typed_is_sent_at_once_and_its_place_is_shown() {
    let broker = Broker::start(&["--topic", "t:1"]);
    let (mut person, program) = terminal();
    let (mut child, talk) = produce(&broker, &[], Stdio::from(program));
    for (number, word) in ["hello", "world"].iter().enumerate() {
        person.write_all(format!("{word}\n").as_bytes()).unwrap();
        let shown = talk.wait_for(&format!("t [0] offset {number},"));
        assert!(shown.ends_with(" ms"), "{shown}");
        assert_eq!(broker.values("t").len(), number + 1);
    }
    person.write_all(b"\x04").unwrap();
    talk.wait_for("2 records delivered");
    assert_eq!(wait(&mut child).code(), Some(0));
    drop(person);
}

#[test]
fn ctrl_c_ends_reading() {
    let broker = Broker::start(&["--topic", "t:1"]);
    broker.produce(&["-t", "t"], b"a\n").exits(0);
    let mut command = ottla(["read", "-b", &broker.address, "-t", "t"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut line = [0; 2];
    stdout.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"a\n");
    send_signal(&child, Signal::INT);
    assert_eq!(wait(&mut child).code(), Some(130));
}
