//! The tests of franz-go's client, those of its integration with a cluster and all others.

use super::Setting;
use super::go::{LeftOut, Package};

const CLIENT: &str = "github.com/twmb/franz-go/pkg/kgo";
const LEFT_OUT: &[LeftOut] =
    &[("TestConsumeRegex", NO_OFFSETS_TOPIC), ("Test848RegexBrokerResolves", NO_OFFSETS_TOPIC)];
const NO_OFFSETS_TOPIC: &str =
    "it looks for the topic __consumer_offsets; groups are in a journal here";

/// Three nodes, each partition on all of them, and two must have a record.
const NODES: [&str; 6] =
    ["--nodes", "3", "--default-replication", "3", "--min-insync-replicas", "2"];
const USER: &str = "franz:conformance";

/// All tests once, and those that move many records once more on connections that break.
pub(super) fn run(setting: &Setting<'_>) -> Result<bool, String> {
    let scram = ["--sasl-user", USER, "--sasl-mechanism", "SCRAM-SHA-256"];
    let mut broker = setting.broker("plain", &NODES)?;
    let mut secure = setting.broker("scram", &[&NODES[..], &scram].concat())?;
    let variables = [
        ("KGO_SEEDS", broker.servers()),
        ("KGO_TEST_RF", "3"),
        ("KGO_TEST_RECORDS", "10000"),
        ("KGO_TEST_SCRAM", USER),
        ("KGO_TEST_SCRAM_SEEDS", secure.servers()),
        ("KGO_TEST_CHAOS", "0"),
    ];
    let mut tests = Package { path: CLIENT, args: &[], left_out: LEFT_OUT, variables: &variables };
    let mut has_passed = tests.test("whole", setting)?;
    let mut breaking = variables;
    breaking[5] = ("KGO_TEST_CHAOS", "1");
    tests = Package { args: &["-run", "ETL|Etl"], left_out: &[], variables: &breaking, ..tests };
    has_passed &= tests.test("broken-lines", setting)?;
    Ok(has_passed && broker.is_running()? && secure.is_running()?)
}
