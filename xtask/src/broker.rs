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
    /// Where its control port is, if it was asked for one.
    control: Option<String>,
    /// Its data, which goes when it goes.
    data: Option<PathBuf>,
}

impl Broker {
    /// Starts one that keeps no records; `args` are further options of `ottla broker`.
    pub(crate) fn start_discarding(ottla: &Path, args: &[&str]) -> Result<Self, String> {
        let mut command = command(ottla, args);
        command.arg("--discard").stderr(Stdio::null());
        let Ready { child, servers, control } = start(&mut command)?;
        Ok(Self { child, servers, control, data: None })
    }

    /// Starts one with an empty data folder. What it says is in the file `NAME.log` beside it.
    pub(crate) fn start(ottla: &Path, name: &str, args: &[&str]) -> Result<Self, String> {
        let data = workspace::scratch()?.join("brokers").join(name);
        Self::start_on(data, ottla, name, args)
    }

    /// Like [`Broker::start`], with its data in memory where the system has a folder for that.
    pub(crate) fn start_in_memory(ottla: &Path, name: &str, args: &[&str]) -> Result<Self, String> {
        let memory = Path::new("/dev/shm");
        if !memory.is_dir() {
            return Self::start(ottla, name, args);
        }
        let data = memory.join(format!("ottla-broker-{name}-{}", std::process::id()));
        Self::start_on(data, ottla, name, args)
    }

    fn start_on(data: PathBuf, ottla: &Path, name: &str, args: &[&str]) -> Result<Self, String> {
        let home = workspace::scratch()?.join("brokers");
        let _ = std::fs::remove_dir_all(&data);
        workspace::create_folder(&home)?;
        let log = home.join(format!("{name}.log"));
        let said = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let mut command = command(ottla, args);
        command.arg("--data").arg(&data).stderr(said);
        let Ready { child, servers, control } =
            start(&mut command).map_err(|why| format!("{why}; see {}", log.display()))?;
        Ok(Self { child, servers, control, data: Some(data) })
    }

    /// Where it listens: `HOST:PORT,…`, one for each node.
    pub(crate) fn servers(&self) -> &str {
        &self.servers
    }

    /// Where its control port is: `http://HOST:PORT`.
    pub(crate) fn control(&self) -> Option<&str> {
        self.control.as_deref()
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

/// A broker that has said where clients may come.
struct Ready {
    child: Child,
    servers: String,
    control: Option<String>,
}

/// Starts the program and waits until it says where clients may come.
fn start(command: &mut Command) -> Result<Ready, String> {
    let has_control = command.get_args().any(|arg| arg == "--control");
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("cannot run ottla: {error}"))?;
    let (mut line, mut second) = (String::new(), String::new());
    if let Some(out) = child.stdout.take() {
        let mut out = BufReader::new(out);
        // An end without a line is told below.
        let _ = out.read_line(&mut line);
        if has_control {
            let _ = out.read_line(&mut second);
        }
    }
    if let Some(servers) = line.trim().strip_prefix("ready ") {
        let control = second.trim().strip_prefix("control ").map(str::to_owned);
        return Ok(Ready { child, servers: servers.to_owned(), control });
    }
    let _ = child.kill();
    let _ = child.wait();
    Err(format!("`ottla broker` is not ready: it says `{}`", line.trim()))
}
