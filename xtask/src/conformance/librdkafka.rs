//! librdkafka's own test runner, built from the source that the crate `rdkafka-sys` carries.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::Setting;
use crate::broker::Broker;
use crate::install::succeed;
use crate::{process, workspace};

/// The crate, and the release of librdkafka in it.
const CRATE: &str = "rdkafka-sys";
const VERSION: &str = "4.10.0+2.12.1";
/// Up to which release of Kafka they may try what it can.
const KAFKA_VERSION: &str = "4.1.0";
/// The tests of a number may take so long.
const LIMIT_SECONDS: &str = "300";
/// As the project's own scenarios are set up.
const NODES: [&str; 4] = ["--nodes", "3", "--default-partitions", "4"];

/// Tests by their numbers; of those that want no broker, or librdkafka's own, none is run.
const TESTS: &[&str] = &[
    "0001", "0002", "0003", "0005", "0007", "0008", "0011", "0012", "0013", "0014", "0015", "0016",
    "0017", "0019", "0020", "0021", "0022", "0026", "0029", "0030", "0031", "0033", "0034", "0035",
    "0036", "0038", "0039", "0040", "0041", "0042", "0044", "0048", "0051", "0054", "0055", "0056",
    "0057", "0059", "0060", "0061", "0063", "0064", "0065", "0067", "0069", "0070", "0073", "0083",
    "0084", "0085", "0086", "0090", "0091", "0092", "0093", "0099", "0103", "0110", "0112", "0113",
    "0114", "0122", "0123", "0125", "0127", "0129", "0130", "0135", "0137", "0140", "0153",
];
/// Tests that have nothing left in the quick mode.
const NOT_QUICK: &[&str] = &["0018", "0045", "0050", "0089", "0132"];
/// Tests that want no topic to be there before it is created.
const WITHOUT_AUTO_CREATE: &[&str] = &["0107", "0111"];
/// The parts of 0081, which is about administration, that are run.
const ADMIN: &[&str] = &[
    "do_test_AlterConsumerGroupOffsets",
    "do_test_CreateAcls",
    "do_test_CreatePartitions",
    "do_test_CreateTopics",
    "do_test_DeleteAcls",
    "do_test_DeleteConsumerGroupOffsets",
    "do_test_DeleteGroups",
    "do_test_DeleteRecords",
    "do_test_DeleteTopics",
    "do_test_DescribeAcls",
    "do_test_DescribeCluster",
    "do_test_DescribeConfigs",
    "do_test_DescribeConsumerGroups",
    "do_test_DescribeTopics",
    "do_test_ListConsumerGroupOffsets",
    "do_test_ListConsumerGroups",
    "do_test_ListOffsets",
    "do_test_UserScramCredentials",
    "do_test_unclean_destroy",
];

const LEFT_OUT: &[(&str, &str)] = &[
    ("0028, 0047", "known to fail by librdkafka"),
    ("0049, 0068, 0075, 0076, 0088, 0094", "they want an emulator of sockets"),
    ("0045 without auto-create, 0052, 0077, 0109, 0115, 0119", "they call Kafka's scripts"),
    ("0053, 0098, 0101", "they want RapidJSON"),
    ("0081 AlterConfigs, IncrementalAlterConfigs", "a broker is to take a setting of Kerberos"),
    ("0082", "skips itself in the quick mode"),
    ("0097, 0126, 0142", "they want TLS, or SASL, that is not built in"),
    ("0102, 0118", "they count on the 3 s in which Kafka's new group waits for more members"),
    ("0139, 0150", "they are of librdkafka's own broker"),
];

/// How the runner is called.
#[derive(Clone, Copy)]
struct Run<'a> {
    number: &'a str,
    scenario: &'a str,
    /// The one part of it that is run, if not all.
    part: Option<&'a str>,
    is_quick: bool,
}

pub(super) fn run(setting: &Setting<'_>) -> Result<bool, String> {
    let tests = build(setting)?;
    let mut outcome = Outcome::default();
    let quick = |number| Run { number, scenario: "default", part: None, is_quick: true };
    let runs = TESTS.iter().map(|number| quick(number));
    let runs = runs.chain(NOT_QUICK.iter().map(|number| Run { is_quick: false, ..quick(number) }));
    let admin = |part: &&'static str| Run { part: Some(*part), ..quick("0081") };
    let mut broker = setting.broker("default", &NODES)?;
    for run in runs.chain(ADMIN.iter().map(admin)) {
        run_one(run, &broker, &tests, setting, &mut outcome)?;
    }
    let mut all_well = broker.is_running()?;
    let args: Vec<&str> = NODES.into_iter().chain(["--no-auto-create"]).collect();
    let mut broker = setting.broker("noautocreate", &args)?;
    for number in WITHOUT_AUTO_CREATE {
        let run = Run { scenario: "noautocreate", ..quick(number) };
        run_one(run, &broker, &tests, setting, &mut outcome)?;
    }
    all_well &= broker.is_running()?;
    for (numbers, why) in LEFT_OUT {
        println!("left out: {numbers}: {why}");
    }
    let count = |word: &str| outcome.by_word.get(word).copied().unwrap_or_default();
    let [passed, failed, skipped] = ["PASSED", "FAILED", "SKIPPED"].map(count);
    let ended_badly = outcome.failed.join(", ");
    println!("librdkafka {VERSION}: {passed} passed, {failed} failed, {skipped} skipped");
    if !ended_badly.is_empty() {
        println!("failed: {ended_badly}");
    }
    Ok(all_well && outcome.failed.is_empty() && passed > 0)
}

/// What came of all tests.
#[derive(Default)]
struct Outcome {
    /// How many have which word in the runner's summary.
    by_word: BTreeMap<String, usize>,
    /// Numbers whose runner did not end well, with where to read why.
    failed: Vec<String>,
}

fn run_one(
    run: Run<'_>,
    broker: &Broker,
    tests: &Path,
    setting: &Setting<'_>,
    outcome: &mut Outcome,
) -> Result<(), String> {
    let Run { number, scenario, part, is_quick } = run;
    let name = part.unwrap_or(number);
    let home = setting.scratch()?;
    let settings = home.join("test.conf");
    let servers = broker.servers();
    workspace::write(&settings, format!("bootstrap.servers={servers}\ntest.topic.random=true\n"))?;
    let log = home.join(format!("{scenario}-{name}.log"));
    let said = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    let also_said = said.try_clone().map_err(|error| format!("{}: {error}", log.display()))?;
    let mut runner = Command::new("timeout");
    runner.args(["-k", "5", LIMIT_SECONDS, "./test-runner", "-p1", "-E", "-L"]);
    runner.args(is_quick.then_some("-Q"));
    runner.current_dir(tests).stdout(said).stderr(also_said);
    if let Some(part) = part {
        runner.env("SUBTESTS", part);
    }
    runner.env("TESTS", number).env("TEST_SCENARIO", scenario);
    runner.env("TEST_KAFKA_VERSION", KAFKA_VERSION);
    runner.env("RDKAFKA_TEST_CONF", &settings).env("LD_LIBRARY_PATH", "../src:../src-cpp");
    let is_well = process::run(&mut runner, setting.interrupt)?.success();
    let told = std::fs::read(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    for (test, word) in summary(&String::from_utf8_lossy(&told)) {
        println!("{word:>7}: {test}");
        *outcome.by_word.entry(word).or_default() += 1;
    }
    if !is_well {
        outcome.failed.push(format!("{name} (see {})", log.display()));
    }
    Ok(())
}

/// The tests in the table at the end of what the runner says, and what came of each.
fn summary(told: &str) -> Vec<(String, String)> {
    let rows = told.lines().filter_map(|line| {
        let mut cells = line.strip_prefix('|')?.split('|');
        let mut last_word = || Some(cells.next()?.split_whitespace().next_back()?.to_owned());
        Some((last_word()?, last_word()?))
    });
    rows.filter(|(test, _)| test != "<MAIN>").collect()
}

/// Builds the library and its tests, once; gives back the folder of the tests.
fn build(setting: &Setting<'_>) -> Result<PathBuf, String> {
    let home = setting.scratch()?.join(VERSION);
    let tests = home.join("tests");
    if tests.join("test-runner").is_file() {
        return Ok(tests);
    }
    let source = fetch(setting)?.join("librdkafka");
    let _ = std::fs::remove_dir_all(&home);
    succeed(Command::new("cp").arg("-r").arg(&source).arg(&home))?;
    eprintln!("building librdkafka and its tests; this takes minutes");
    let without = ["--disable-curl", "--disable-sasl", "--disable-gssapi", "--disable-ssl"];
    succeed(Command::new("./configure").args(without).current_dir(&home))?;
    for part in [["libs"].as_slice(), &["-C", "tests", "build"]] {
        succeed(Command::new("make").args(part).current_dir(&home))?;
    }
    Ok(tests)
}

/// The crate's folder, as cargo has unpacked it.
fn fetch(setting: &Setting<'_>) -> Result<PathBuf, String> {
    let home = setting.scratch()?.join("fetch");
    workspace::create_folder(&home.join("src"))?;
    workspace::write(&home.join("src/lib.rs"), "")?;
    let exact = VERSION.split('+').next().unwrap_or_default();
    let manifest = format!(
        "[package]\nname = \"fetch\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
         {CRATE} = \"={exact}\"\n"
    );
    workspace::write(&home.join("Cargo.toml"), manifest)?;
    succeed(Command::new(workspace::cargo()).arg("generate-lockfile").current_dir(&home))?;
    let metadata: Value = workspace::metadata(&home)?;
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found = packages.iter().find(|package| package["name"] == CRATE);
    let manifest = found.and_then(|package| package["manifest_path"].as_str());
    let folder = manifest.and_then(|path| Path::new(path).parent());
    folder.map(Path::to_owned).ok_or_else(|| format!("cargo cannot fetch {CRATE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_tells_what_came_of_each_test() {
        let told = "#=======#\n|\x1b[32m <MAIN>  |     PASSED |   5.561s \x1b[0m|\n\
                    |\x1b[32m 0090_idempotence |     PASSED |   5.454s \x1b[0m|\n\
                    |\x1b[33m 0053_stats |    SKIPPED |   0.000s \x1b[0m| no JSON\n";
        let expected = [("0090_idempotence", "PASSED"), ("0053_stats", "SKIPPED")];
        let expected = expected.map(|(test, word)| (test.to_owned(), word.to_owned()));
        assert_eq!(summary(told), expected);
    }
}
