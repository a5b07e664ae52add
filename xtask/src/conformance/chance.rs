//! A client of others on a cluster whose nodes and requests fail by chance: what the broker has
//! acknowledged is there, once and in order.

use std::process::Command;

use super::Setting;
use crate::{process, test};

/// What chance begins with, and how long it goes on in seconds.
const SEED: &str = "7";
const SECONDS: &str = "20";
/// Three nodes, two of which must have a record; about one request in 200 meets a fault.
const NODES: [&str; 12] = [
    "--nodes",
    "3",
    "--topic",
    "t:6:3",
    "--min-insync-replicas",
    "2",
    "--random-faults",
    "200",
    "--seed",
    SEED,
    "--control",
    "127.0.0.1:0",
];

pub(super) fn run(setting: &Setting<'_>) -> Result<bool, String> {
    let python = test::python()?;
    let mut broker = setting.broker("cluster", &NODES)?;
    let control = broker.control().ok_or("the broker told no control port")?;
    let mut check = Command::new(python);
    check.arg(setting.files()?.join("check.py"));
    check.args([broker.servers(), control, SEED, SECONDS]);
    let has_passed = process::run(&mut check, setting.interrupt)?.success();
    Ok(has_passed && broker.is_running()?)
}
