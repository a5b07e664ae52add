//! `confluent-kafka`, which has librdkafka inside: our own tests of what it sees of a broker.

use super::{Setting, pytest};
use crate::test::CONFLUENT_KAFKA;

/// One node, and three that replicate.
const CLUSTERS: [&str; 2] = ["1", "3"];

pub(super) fn run(setting: &Setting<'_>) -> Result<bool, String> {
    let python = pytest::environment(setting, &[CONFLUENT_KAFKA])?;
    let files = setting.files()?;
    let mut all_passed = true;
    for nodes in CLUSTERS {
        println!("-- {CONFLUENT_KAFKA} on {nodes} of them");
        let mut broker = setting.broker(nodes, &["--nodes", nodes])?;
        let mut tests = pytest::command(&python, &files);
        tests.arg("--timeout=300").env("OTTLA_SERVERS", broker.servers());
        all_passed &= pytest::passes(setting, &mut tests)? && broker.is_running()?;
    }
    Ok(all_passed)
}
