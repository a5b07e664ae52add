//! The tests of confluent-kafka-go, which has librdkafka inside.
//!
//! They read a file where they run, with the servers: they are run in a folder of the suite.

use serde_json::json;

use super::Setting;
use super::go::{LeftOut, Package};
use crate::workspace;

const CLIENT: &str = "github.com/confluentinc/confluent-kafka-go/v2/kafka";
const LEFT_OUT: &[LeftOut] = &[
    ("TestTransactionalProducer", FLUSHES),
    ("TestTransactionalSendOffsets", FLUSHES),
    ("TestParallelConsumerCloses", "of two closes at once it expects one to come later"),
];
const FLUSHES: &str = "it flushes for -1 ms, and expects that everything is delivered then";

const NODES: [&str; 4] = ["--nodes", "3", "--default-partitions", "4"];
const USER: (&str, &str) = ("confluent", "conformance");

pub(super) fn run(setting: &Setting<'_>) -> Result<bool, String> {
    let (name, password) = USER;
    let user = format!("{name}:{password}");
    let mut broker = setting.broker("plain", &NODES)?;
    let mut secure =
        setting.broker("sasl", &["--sasl-user", &user, "--sasl-mechanism", "PLAIN"])?;
    let settings = json!({
        "Brokers": broker.servers(),
        "BrokersSasl": secure.servers(),
        "SaslUsername": name,
        "SaslPassword": password,
        "SaslMechanism": "PLAIN",
    });
    let home = setting.scratch()?;
    workspace::write(&home.join("testconf.json"), settings.to_string())?;
    let there = format!("env --chdir={}", home.display());
    let args = ["-exec", &there];
    let tests = Package { path: CLIENT, args: &args, left_out: LEFT_OUT, variables: &[] };
    Ok(tests.test("whole", setting)? && broker.is_running()? && secure.is_running()?)
}
