//! The functional tests of sarama.
//!
//! They want five nodes on ports of their choice, each behind a proxy that breaks lines. They talk
//! to the nodes themselves all the same: here is just enough of the proxy's interface that they
//! begin.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

use super::Setting;
use super::go::{LeftOut, Package};

const CLIENT: &str = "github.com/IBM/sarama";
const LEFT_OUT: &[LeftOut] = &[
    ("TestFuncAdminListConsumerGroupOffsets", STOPS_A_NODE),
    ("TestConsumerFetchFollowerFailover", STOPS_A_NODE),
    ("TestFuncTxnProduceWithBrokerFailure", STOPS_A_NODE),
    ("TestFuncConnectionFailure", BREAKS_LINES),
    ("TestFuncAdminNetworkErrorClosesControllerConnection", BREAKS_LINES),
    ("TestFuncProducingIdempotentWithBrokerFailure", BREAKS_LINES),
    ("TestAsyncProducerRemoteBrokerClosed", BREAKS_LINES),
    ("TestFuncProducing", WANTS_DELAY),
    ("TestFuncProducingGzip", WANTS_DELAY),
    ("TestFuncProducingSnappy", WANTS_DELAY),
    ("TestFuncProducingZstd", WANTS_DELAY),
    ("TestFuncProducingNoResponse", WANTS_DELAY),
    ("TestFuncProducingFlushing", WANTS_DELAY),
    ("TestFuncIdempotentBufferedSequence", "it reads the log of a node by docker"),
];
const STOPS_A_NODE: &str = "it stops a node by docker";
const BREAKS_LINES: &str = "it has the proxy break a line";
const WANTS_DELAY: &str = "it has the proxy delay what is said, and measures the delay";

/// As the project's own cluster is set up; the ports are in the tests.
const NODES: [&str; 9] = [
    "--listen",
    "127.0.0.1:29091",
    "--nodes",
    "5",
    "--default-replication",
    "2",
    "--default-partitions",
    "1",
    "--no-auto-create",
];
/// Up to which release of Kafka they may try what it can.
const KAFKA_VERSION: &str = "4.1.0";

pub(super) fn run(setting: &Setting<'_>) -> Result<bool, String> {
    let mut broker = setting.broker("nodes", &NODES)?;
    let address = stand_in()?;
    let variables = [("TOXIPROXY_ADDR", address.as_str()), ("KAFKA_VERSION", KAFKA_VERSION)];
    let args = ["-tags", "functional", "-run", "."];
    let tests = Package { path: CLIENT, args: &args, left_out: LEFT_OUT, variables: &variables };
    Ok(tests.test("functional", setting)? && broker.is_running()?)
}

/// Stands in for the proxy's interface until this program ends.
fn stand_in() -> Result<String, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| format!("bind: {error}"))?;
    let address = listener.local_addr().map_err(|error| format!("bind: {error}"))?;
    std::thread::spawn(move || listener.incoming().flatten().for_each(answer));
    Ok(format!("http://{address}"))
}

/// Who goes away early gets no answer.
fn answer(mut stream: TcpStream) {
    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let (status, body) = reply(&request);
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all((head + &body).as_bytes());
}

/// The proxies are there and whole; nothing else is on offer.
fn reply(request: &str) -> (&'static str, String) {
    if let Some(rest) = request.strip_prefix("GET /proxies/") {
        let name = rest.split(' ').next().unwrap_or_default();
        return ("200 OK", format!("{{\"name\":\"{name}\",\"enabled\":true}}"));
    }
    if request.starts_with("POST /reset ") {
        return ("204 No Content", String::new());
    }
    ("501 Not Implemented", "no lines are broken here".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_there_and_break_nothing() {
        let (status, body) = reply("GET /proxies/kafka3 HTTP/1.1");
        assert_eq!((status, body.contains("\"kafka3\"")), ("200 OK", true));
        assert_eq!(reply("POST /reset HTTP/1.1").0, "204 No Content");
        assert!(reply("POST /proxies/kafka3/toxics HTTP/1.1").0.starts_with("501"));
    }
}
