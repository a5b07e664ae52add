//! `ottla broker` as a program of its own, for the tasks that need one.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::{process, workspace};

/// A broker, or several in one program, on free ports of this machine unless its arguments say
/// otherwise; ends with this value.
pub(crate) struct Broker {
    child: Child,
    servers: String,
    /// Its data, which goes when it goes.
    data: Option<PathBuf>,
}

impl Broker {
    /// Starts one that keeps no records; `args` are further options of `ottla broker`.
    pub(crate) fn start_discarding(ottla: &Path, args: &[&str]) -> Result<Self, String> {
        let mut command = command(ottla, args);
        command.arg("--discard").stderr(Stdio::null());
        let (child, servers) = start(&mut command)?;
        Ok(Self { child, servers, data: None })
    }

    /// Starts one with an empty data folder. What it says is in the file `NAME.log` beside it.
    pub(crate) fn start(ottla: &Path, name: &str, args: &[&str]) -> Result<Self, String> {
        let home = workspace::scratch()?.join("brokers");
        let data = home.join(name);
        let _ = std::fs::remove_dir_all(&data);
        workspace::create_folder(&home)?;
        let log = home.join(format!("{name}.log"));
        let said = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let mut command = command(ottla, args);
        command.arg("--data").arg(&data).stderr(said);
        let (child, servers) =
            start(&mut command).map_err(|why| format!("{why}; see {}", log.display()))?;
        Ok(Self { child, servers, data: Some(data) })
    }

    /// Where it listens: `HOST:PORT,…`, one for each node.
    pub(crate) fn servers(&self) -> &str {
        &self.servers
    }

    /// The id of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs: a suite may pass in spite of a broker that fell over.
    pub(crate) fn is_running(&mut self) -> Result<bool, String> {
        Ok(process::ended(&mut self.child)?.is_none())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(data) = &self.data {
            let _ = std::fs::remove_dir_all(data);
        }
    }
}

fn command(ottla: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(ottla);
    command.arg("broker").args(args);
    if !args.contains(&"--listen") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    command
}

/// Starts the program and waits until it says where clients may come.
fn start(command: &mut Command) -> Result<(Child, String), String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("cannot run ottla: {error}"))?;
    let mut line = String::new();
    if let Some(out) = child.stdout.take() {
        // An end without a line is told below.
        let _ = BufReader::new(out).read_line(&mut line);
    }
    if let Some(servers) = line.trim().strip_prefix("ready ") {
        return Ok((child, servers.to_owned()));
    }
    let _ = child.kill();
    let _ = child.wait();
    Err(format!("`ottla broker` is not ready: it says `{}`", line.trim()))
}
