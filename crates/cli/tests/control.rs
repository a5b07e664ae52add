//! `ottla broker --control` and `ottla control`: things go wrong when they are told to.

#![cfg(unix)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};
use support::{Broker, Said, run};

fn start(options: &[&str]) -> Broker {
    Broker::start(&[&["--control", "127.0.0.1:0"], options].concat())
}

/// Runs `ottla control` against a broker.
fn control(broker: &Broker, order: &[&str]) -> Said {
    let address = broker.control.as_deref().expect("a control port");
    run(["control", "--at", address].iter().chain(order))
}

fn told(broker: &Broker, order: &[&str]) -> Value {
    serde_json::from_str(control(broker, order).exits(0).text()).expect("JSON")
}

/// Status and body of a plain HTTP exchange.
fn http(broker: &Broker, head: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(broker.control.as_deref().unwrap()).unwrap();
    let length = body.len();
    let head = format!("{head}Host: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

#[test]
fn a_leader_that_is_killed_is_followed_by_another_and_comes_back_in_sync() {
    let broker = start(&["--nodes", "3", "--topic", "t:1:3", "--min-insync-replicas", "2"]);
    broker.produce(&["-t", "t"], b"a\n").exits(0);
    let leader = told(&broker, &["partition", "t", "0"])["leader"].as_i64().unwrap();
    let id = leader.to_string();
    told(&broker, &["node", &id, "kill"]);
    let down = told(&broker, &["nodes"]);
    assert_eq!(down[leader as usize - 1]["state"], "down", "{down}");
    control(&broker, &["node", &id, "kill"]).exits(1).says("is down");

    let body = json!({ "topic": "t", "partition": 0, "not_leader": leader }).to_string();
    let head = "POST /wait HTTP/1.1\r\nContent-Type: application/json\r\n";
    let (status, moved) = http(&broker, head, &body);
    let moved: Value = serde_json::from_str(&moved).unwrap();
    assert_eq!((status, &moved["met"]), (200, &json!(true)), "{moved}");
    assert_ne!(moved["partition"]["leader"], leader);
    broker.produce(&["-t", "t"], b"b\n").exits(0);

    told(&broker, &["node", &id, "start"]);
    told(&broker, &["wait", "--in-sync"]);
    told(&broker, &["lead", "t", "0", "--node", &id]);
    assert_eq!(told(&broker, &["partition", "t", "0"])["leader"], leader);
    assert_eq!(broker.values("t"), ["a", "b"]);
}

#[test]
fn a_fault_is_met_and_the_requests_tell_of_it() {
    let broker = start(&["--topic", "t:1"]);
    told(&broker, &["fault", "api=Produce", "topic=t", "error=NOT_LEADER_OR_FOLLOWER", "times=2"]);
    assert_eq!(told(&broker, &["faults"])["pending"], 1);
    broker.produce(&["-t", "t"], b"a\n").exits(0);
    assert_eq!(told(&broker, &["wait", "--produces", "3"])["met"], true);
    let seen = told(&broker, &["requests", "--api", "Produce"]);
    let met: Vec<&Value> = seen.as_array().unwrap().iter().map(|one| &one["met_fault"]).collect();
    assert_eq!(met, [true, true, false]);
    assert_eq!(seen[0]["produce"]["batches"][0]["topic"], "t");
    assert_eq!(told(&broker, &["faults"])["pending"], 0);
    told(&broker, &["requests", "--clear"]);
    assert_eq!(told(&broker, &["requests"]), json!([]));
    control(&broker, &["wait", "--produces", "1", "--timeout", "0.01"]).exits(1);
}

#[test]
fn records_arrive_once_through_faults_and_outages_by_chance() {
    let broker = start(&["--nodes", "3", "--topic", "t:3:3"]);
    // Not those by which the command looks whether anybody is there: it asks but once.
    told(&broker, &["random", "--seed", "7", "--one-in", "10", "--api", "Produce"]);
    let lines: String = (0..200).map(|index| format!("{index}\n")).collect();
    for _ in 0..3 {
        told(&broker, &["outage", "--seed", "3"]);
        let quick = ["-t", "t", "-X", "request.timeout.ms=500", "-X", "batch.size=200"];
        broker.produce(&quick, lines.as_bytes()).exits(0);
    }
    told(&broker, &["outage", "--end"]);
    told(&broker, &["clear"]);
    let mut values: Vec<u32> = broker.values("t").iter().map(|v| v.parse().unwrap()).collect();
    values.sort_unstable();
    let wanted: Vec<u32> = (0..200).flat_map(|index| [index; 3]).collect();
    assert_eq!(values, wanted);
}

#[test]
fn networks_fail_when_they_are_told_to() {
    let broker = start(&["--nodes", "3", "--topic", "t:1:3"]);
    told(&broker, &["link", "1", "--round-trip-ms", "5", "--bytes-per-second", "1000000"]);
    let leader = told(&broker, &["partition", "t", "0"])["leader"].as_i64().unwrap();
    told(&broker, &["cut", &leader.to_string(), "0", "--one-way"]);
    let body = json!({ "topic": "t", "partition": 0, "not_leader": leader }).to_string();
    let head = "POST /wait HTTP/1.1\r\nContent-Type: application/json\r\n";
    let (status, moved) = http(&broker, head, &body);
    assert!(status == 200 && moved.contains("\"met\":true"), "{moved}");
    told(&broker, &["heal"]);
    told(&broker, &["wait", "--in-sync"]);
    broker.produce(&["-t", "t"], b"a\n").exits(0);
    told(&broker, &["link", "1"]);
    told(&broker, &["first-epoch", "32766"]);
    told(&broker, &["address", "2", "nowhere.example:1"]);
    control(&broker, &["cut", "1", "9", "--one-way"]).exits(2).says("there is no node 9");
    control(&broker, &["link", "9"]).exits(2).says("there is no node 9");
    control(&broker, &["address", "9", "h:1"]).exits(2).says("there is no node 9");
    control(&broker, &["address", "2", "two words:1"]).exits(2).says("without blanks");
    control(&broker, &["cut", "1", "1"]).exits(2).says("from itself");
    control(&broker, &["fault", "node=9", "drop=request"]).exits(2).says("there is no node 9");
    told(&broker, &["cut", "0", "1"]);
    told(&broker, &["heal"]);
}

#[test]
fn faults_may_be_given_at_the_start() {
    let fault = "api=Produce error=TOPIC_AUTHORIZATION_FAILED";
    let broker = start(&["--topic", "t:1", "--fault", fault]);
    broker.produce(&["-t", "t"], b"a\n").exits(1).says("TOPIC_AUTHORIZATION_FAILED");
    broker.produce(&["-t", "t"], b"b\n").exits(0);
    run(["broker", "--fault", "api=Produce"]).exits(2).says("nothing would happen");
    run(["broker", "--fault", "error=NO_SUCH"]).exits(2).says("no such error");
    run(["broker", "--control", "here"]).exits(2).says("HOST:PORT");
    let taken = broker.control.as_deref().unwrap();
    run(["broker", "--listen", "127.0.0.1:0", "--control", taken]).exits(2).says("cannot be had");
}

#[test]
fn what_cannot_be_done_is_said_and_harms_nothing() {
    let broker = start(&["--topic", "t:1"]);
    control(&broker, &["node", "9", "kill"]).exits(2).says("there is no node 9");
    control(&broker, &["node", "1", "start"]).exits(1).says("runs already");
    control(&broker, &["partition", "u", "0"]).exits(2).says("no u-0");
    control(&broker, &["lead", "t", "0", "--node", "2"]).exits(1).says("ELIGIBLE_LEADERS");
    control(&broker, &["fault", "api=Nothing", "drop=request"]).exits(2).says("no such API");
    control(&broker, &["requests", "--api", "Nothing"]).exits(2).says("no such API");
    let json = "Content-Type: application/json\r\n";
    for (head, body, status) in [
        ("GET /nothing HTTP/1.1\r\n".to_owned(), "", 404),
        ("PUT /nodes HTTP/1.1\r\n".to_owned(), "", 404),
        (format!("POST /cut HTTP/1.1\r\n{json}"), "{\"nodes\": [1]}", 422),
        (format!("POST /cut HTTP/1.1\r\n{json}"), "{", 400),
        ("POST /cut HTTP/1.1\r\n".to_owned(), "{\"nodes\": [1, 2]}", 415),
        (format!("POST /wait HTTP/1.1\r\n{json}"), "{}", 400),
        (format!("POST /faults HTTP/1.1\r\n{json}"), "{\"error\": [1]}", 400),
        ("POST /nodes/one/kill HTTP/1.1\r\n".to_owned(), "", 400),
        ("POST /nodes/1/kill HTTP/1.1\r\nOrigin: http://evil.example\r\n".to_owned(), "", 403),
        ("no HTTP at all\r\n".to_owned(), "", 400),
    ] {
        let (told, answer) = http(&broker, &head, body);
        assert_eq!(told, status, "{head}{body}: {answer}");
    }
    assert_eq!(told(&broker, &["nodes"])[0]["state"], "running");
    broker.produce(&["-t", "t"], b"a\n").exits(0);
}

#[test]
fn a_port_that_is_no_control_port_is_said() {
    let broker = Broker::start(&[]);
    for address in [&broker.address[..], "127.0.0.1:1"] {
        let said = run(["control", "--at", address, "nodes"]);
        said.exits(3).says(address).says("ottla broker --control");
    }
    run(["control", "--at", "here", "nodes"]).exits(2).says("HOST:PORT");
}

#[test]
fn a_broker_ends_in_order_while_somebody_waits_at_its_control_port() {
    let mut broker = start(&["--topic", "t:1"]);
    let address = broker.control.clone().unwrap();
    let waiting = std::thread::spawn(move || {
        run(["control", "--at", &address, "wait", "--produces", "1", "--timeout", "300"])
    });
    told(&broker, &["nodes"]);
    assert_eq!(broker.end(rustix::process::Signal::TERM).code(), Some(0));
    assert!(waiting.join().unwrap().code.is_some_and(|code| code != 0));
    assert!(broker.data.path().join(".kafka_cleanshutdown").exists());
}
