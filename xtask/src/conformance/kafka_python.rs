//! The integration tests of kafka-python, from its source on PyPI.

use super::{Setting, pytest};
use crate::workspace;

const PACKAGE: &str = "kafka-python==3.0.12";
/// What its tests need to try all codecs, what its fixtures import, and what runs a test again.
const PACKAGES: [&str; 6] = [
    "crc32c>=2.7",
    "lz4>=4.4",
    "py==1.11.0",
    "pytest-rerunfailures>=15,<17",
    "python-snappy>=0.7",
    "zstandard>=0.23",
];
/// The release of Kafka that the broker is taken for.
const KAFKA_VERSION: &str = "4.3";

const FILES: [&str; 3] = [
    "test/integration/test_admin_integration.py",
    "test/integration/test_producer_integration.py",
    "test/integration/test_consumer_integration.py",
];

/// What is left out, with the reason. The tests of SASL and of TLS are left out as well: they
/// start Kafka themselves, and would find a broker with neither.
const LEFT_OUT: [(&str, &str); 4] = [
    (
        "test_describe_configs_broker_resource_returns_configs",
        "looks for advertised.listeners; clients are told the host by which they came",
    ),
    ("test_create_partitions", "gives replicas to broker 0, and brokers are counted from 1"),
    ("test_alter_replica_log_dirs", "AlterReplicaLogDirs is not offered"),
    ("test_group", "wants a session of 3 s, less than Kafka allows unless it is told to"),
];
/// What is left out on several nodes.
const LEFT_OUT_OF_CLUSTERS: [(&str, &str); 1] =
    [("test_delete_records", "expects one poll to bring what six leaders have")];

pub(super) fn run(setting: &Setting<'_>) -> Result<bool, String> {
    let packages: Vec<&str> = PACKAGES.into_iter().chain([PACKAGE]).collect();
    let python = pytest::environment(setting, &packages)?;
    let source = pytest::source(setting, &python, PACKAGE)?;
    // Its fixtures want a module that the archive lacks.
    let stand_in = setting.files()?.join("service.py");
    let content = std::fs::read_to_string(&stand_in)
        .map_err(|error| format!("{}: {error}", stand_in.display()))?;
    workspace::write(&source.join("test/service.py"), content)?;
    workspace::write(&source.join("test/__init__.py"), "")?;

    let mut all_passed = true;
    for nodes in ["1", "3"] {
        println!("-- {PACKAGE} on {nodes} of them");
        let mut broker = setting.broker(nodes, &["--nodes", nodes])?;
        let mut tests = pytest::command(&python, &source);
        tests.args(FILES).args([
            "-o",
            "addopts=",
            "--timeout=120",
            "--tb=short",
            "-p",
            "no:logging",
            // One that subscribes just as its client has its first metadata is not heard by it:
            // the client asks nobody for the topic before 300 s have passed.
            "--reruns=1",
        ]);
        let on_clusters = LEFT_OUT_OF_CLUSTERS.iter().filter(|_| nodes != "1");
        for (name, reason) in LEFT_OUT.iter().chain(on_clusters) {
            println!("left out: {name}: {reason}");
            tests.args(FILES.map(|file| format!("--deselect={file}::{name}")));
        }
        let first = broker.servers().split(',').next().unwrap_or_default();
        tests.env("KAFKA_URI", format!("kafka://{first}")).env("KAFKA_VERSION", KAFKA_VERSION);
        // A folder with Kafka that it looks for and does not use.
        tests.env("KAFKA_ROOT", &source);
        all_passed &= pytest::passes(setting, &mut tests)? && broker.is_running()?;
    }
    Ok(all_passed)
}
