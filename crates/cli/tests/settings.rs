//! Settings behind `-X` and `-F`, in every command that talks to a cluster.

mod support;

use std::io::Write;

use support::{Broker, Said, run};
use tempfile::NamedTempFile;

const SECRET: &str = "hush-hush";

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    file
}

/// Every command with a cluster, up to its settings.
fn commands(servers: &str) -> Vec<Vec<String>> {
    let lines = [
        "produce -t t",
        "read -t t -e",
        "bench -t t --num-records 10",
        "topic list",
        "topic create u",
        "topic describe t",
        "topic delete t",
        "verifiable-producer -t t --max-messages 1",
        "check -t t",
    ];
    let words = |line: &str| {
        let words = line.split(' ').map(str::to_owned);
        words.chain(["-b".to_owned(), servers.to_owned()]).collect()
    };
    lines.iter().map(|line| words(line)).collect()
}

fn run_with(command: &[String], more: &[&str]) -> Said {
    run(command.iter().map(String::as_str).chain(more.iter().copied()))
}

#[test]
fn one_file_serves_all_commands() {
    let broker = Broker::start(&["--topic", "t:1"]);
    // For a producer, and some of it of no use to anybody here.
    let file = file(
        "security.protocol=PLAINTEXT\nacks=all\nlinger.ms=1\nkey.serializer=S\nssl.protocol=TLS\n",
    );
    let path = file.path().to_str().expect("a path");
    let all = commands(&broker.address);
    let (last, others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|command| command.contains(&"delete".to_owned()));
    for command in others.iter().chain(&last) {
        run_with(command, &["-F", path]).exits(0);
    }
}

#[test]
fn an_unknown_setting_is_refused_with_the_nearest_name_and_without_its_value() {
    for command in commands("127.0.0.1:1") {
        let wrong = format!("sasl.pasword={SECRET}");
        let said = run_with(&command, &["-X", &wrong]).exits(2);
        said.says("did you mean sasl.password?").does_not_say(SECRET);
    }
}

/// Laws: none. Scenarios: S13.
#[test]
fn a_setting_that_is_malformed_is_refused_without_being_quoted() {
    let file = file(&format!("sasl.password=\\u{SECRET}\n"));
    let path = file.path().to_str().expect("a path");
    for command in commands("127.0.0.1:1") {
        let typed = format!("sasl.password:{SECRET}");
        run_with(&command, &["-X", &typed]).exits(2).says("NAME=VALUE").does_not_say(SECRET);
        run_with(&command, &["-F", path]).exits(2).says("line 1").does_not_say(SECRET);
    }
}

/// Laws: none. Scenarios: S13.
#[test]
fn settings_that_contradict_each_other_are_refused_without_secrets() {
    let text = format!("security.protocol=SASL_SSL\nsasl.password={SECRET}\nsasl.username=u\n");
    let file = file(&text);
    let path = file.path().to_str().expect("a path");
    for command in commands("127.0.0.1:1") {
        let said = run_with(&command, &["-F", path]).exits(2);
        said.says("sasl.mechanism").does_not_say(SECRET);
    }
}

#[test]
fn the_embedded_broker_is_reached_whatever_the_file_says_of_tls() {
    let data = tempfile::tempdir().expect("a folder");
    let folder = data.path().to_str().expect("a path");
    let text = format!(
        "security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nsasl.username=u\n\
         sasl.password={SECRET}\nbootstrap.servers=far.example:9093\n"
    );
    let file = file(&text);
    let path = file.path().to_str().expect("a path");
    let words = ["topic", "list", "--embedded", "--data", folder, "-F", path];
    run(words).exits(0);
}
