//! `cargo xtask kafka`: fetch and run real Apache Kafka for tests.

#[path = "../../../tests/src/cast.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests")]
mod cast;
pub(crate) mod cluster;
pub(crate) mod jars;
pub(crate) mod kdc;
#[path = "../../../tests/src/pki.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests")]
mod pki;
pub(crate) mod prepared;
mod probe;
pub(crate) mod runs;
mod secure;

use std::path::Path;
use std::process::{Command, ExitCode};

use self::cluster::Cluster;
use crate::process::{self, Interrupt};

/// The variable that tells a test where real Kafka listens.
pub(crate) const SERVERS_VARIABLE: &str = "OTTLA_TEST_KAFKA";
/// The variable that tells a test which file tells of Kafka's listeners with TLS and SASL.
pub(crate) const SECURE_VARIABLE: &str = "OTTLA_TEST_KAFKA_SECURE";
/// The variable that tells a test where Kafka's jars lie.
pub(crate) const LIBS_VARIABLE: &str = "OTTLA_TEST_KAFKA_LIBS";

const USAGE: &str = "usage: cargo xtask kafka <command>

  fetch                     fetch Kafka's jars with Maven; print their folder
  start [--nodes N | --secure]
                            start a cluster on free ports of 127.0.0.1; print `ready HOST:PORT[,…]`;
                            with --secure it has listeners with TLS and SASL, and `secure FILE` is
                            printed, a file that tells of them
  status                    list the clusters that run
  stop [HOST:PORT]          stop the cluster with that address, or all that were started
  run [--nodes N | --secure] -- CMD…
                            start a cluster, run CMD with OTTLA_TEST_KAFKA (its address),
                            OTTLA_TEST_KAFKA_LIBS (the jars) and, with --secure,
                            OTTLA_TEST_KAFKA_SECURE (that file) set, stop the cluster";

/// Runs the command that `args` name.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    let (command, args) = args.split_first().ok_or(USAGE)?;
    match (command.as_str(), args) {
        ("fetch", []) => println!("{}", jars::fetch()?.libs.display()),
        ("start", args) => start(args)?,
        ("status", []) => status()?,
        ("stop", []) => stop(None)?,
        ("stop", [address]) => stop(Some(address))?,
        ("run", args) => return run_with(args),
        _ => return Err(USAGE.to_owned()),
    }
    Ok(ExitCode::SUCCESS)
}

fn start_cluster(args: &[String], interrupt: &Interrupt) -> Result<Cluster, String> {
    match args {
        [] => Cluster::start(1, interrupt),
        [flag] if flag == "--secure" => Cluster::start_secure(interrupt),
        [flag, count] if flag == "--nodes" => match count.parse() {
            Ok(count @ 1..=9) => Cluster::start(count, interrupt),
            _ => Err(format!("--nodes takes a number from 1 to 9, not `{count}`")),
        },
        _ => Err(USAGE.to_owned()),
    }
}

fn start(args: &[String]) -> Result<(), String> {
    let cluster = start_cluster(args, &Interrupt::listen()?)?;
    let servers = cluster.bootstrap_servers();
    let secure = cluster.secure().map(Path::to_owned);
    cluster.let_go()?;
    println!("ready {servers}");
    if let Some(file) = secure {
        println!("secure {}", file.display());
    }
    Ok(())
}

fn status() -> Result<(), String> {
    let mut count = 0;
    for found in runs::all()? {
        let living = found.living();
        if living.is_empty() {
            continue;
        }
        count += 1;
        let owner = match found.owner {
            Some(owner) => format!("ends with task {owner}"),
            None => "ends with `kafka stop`".to_owned(),
        };
        println!("{} processes at {}, pids {living:?}, {owner}", living.len(), found.servers);
    }
    if count == 0 {
        println!("no cluster runs");
    }
    Ok(())
}

fn stop(address: Option<&String>) -> Result<(), String> {
    let named = |servers: &str| {
        address.is_some_and(|named| servers == named || servers.split(',').any(|it| it == named))
    };
    let mut count = 0;
    for found in runs::all()? {
        // A cluster that belongs to a running task is stopped only when it is named.
        if named(&found.servers) || (address.is_none() && found.owner.is_none()) {
            found.end();
            count += 1;
        }
    }
    match address {
        Some(address) if count == 0 => Err(format!("no cluster of ours has the address {address}")),
        _ => {
            eprintln!("stopped {count}");
            Ok(())
        }
    }
}

fn run_with(args: &[String]) -> Result<ExitCode, String> {
    let split = args.iter().position(|arg| arg == "--").ok_or(USAGE)?;
    let (flags, command) = (&args[..split], &args[split + 1..]);
    let (program, args) = command.split_first().ok_or(USAGE)?;
    let interrupt = Interrupt::listen()?;
    let cluster = start_cluster(flags, &interrupt)?;
    let mut command = Command::new(program);
    command.args(args);
    cluster.tell(&mut command);
    command.env(LIBS_VARIABLE, jars::fetch()?.libs);
    let status = process::run(&mut command, &interrupt)?;
    Ok(exit_code(status))
}

/// The same exit code as that of a program that we ran; one for a program that was killed.
pub(crate) fn exit_code(status: std::process::ExitStatus) -> ExitCode {
    status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}
