//! A producer that is stopped, as a machine that sleeps stops it, while its records are under way.

#![cfg(unix)]

mod support;

use std::io::Write;
use std::process::Stdio;
use std::thread::yield_now;
use std::time::{Duration, Instant};

use ottla_broker::{ApiKey, Cluster, Fault};
use rustix::process::Signal;
use support::{Lines, ottla, send_signal, wait};

/// Longer than a record lives.
const SLEEP: Duration = Duration::from_millis(1500);

/// What was acknowledged during the sleep is read on waking, before anything expires.
/// Laws: L1, L9. Scenarios: E9.
#[test]
fn a_record_that_is_acknowledged_while_its_producer_sleeps_past_its_deadline_is_delivered() {
    let cluster = Cluster::builder().topic("t", 1).start().unwrap();
    let servers = cluster.bootstrap_servers();
    let lives = ["-X", "delivery.timeout.ms=1000", "-X", "request.timeout.ms=900"];
    let mut command = ottla(["produce", "-v", "-b", &servers, "-t", "t"].iter().chain(&lives));
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let talk = Lines::of(child.stderr.take().unwrap());
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"one\n").unwrap();
    talk.wait_for("offset 0,");
    cluster.clear_requests();
    cluster.inject(Fault::on(ApiKey::PRODUCE).delay(Duration::from_millis(500)));
    stdin.write_all(b"two\n").unwrap();
    assert!(cluster.wait_for_requests(Duration::from_secs(60), |requests| {
        requests.iter().any(|request| request.api == ApiKey::PRODUCE)
    }));
    send_signal(&child, Signal::STOP);
    let begin = Instant::now();
    while begin.elapsed() < SLEEP {
        yield_now();
    }
    send_signal(&child, Signal::CONT);
    drop(stdin);
    talk.wait_for("2 records delivered");
    assert!(wait(&mut child).success());
}
