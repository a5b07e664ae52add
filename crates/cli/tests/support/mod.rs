//! Running the real binary, and what the tests of several files share.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// No test waits longer than this for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// A command line of `ottla`.
pub(crate) fn ottla<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
    command.args(args).env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// What a finished command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Said {
    /// Standard output as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("the output is text")
    }

    /// Standard output as lines of JSON.
    pub(crate) fn json(&self) -> Vec<serde_json::Value> {
        self.text()
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line of JSON"))
            .collect()
    }

    /// Asserts the exit code, showing what was said otherwise.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "{}\n{}",
            self.stderr,
            String::from_utf8_lossy(&self.stdout)
        );
        self
    }

    /// Asserts that standard error has these words.
    #[track_caller]
    pub(crate) fn says(self, words: &str) -> Self {
        assert!(self.stderr.contains(words), "no {words:?} in:\n{}", self.stderr);
        self
    }

    /// Asserts that standard error does not have these words.
    #[track_caller]
    pub(crate) fn does_not_say(self, words: &str) -> Self {
        assert!(!self.stderr.contains(words), "{words:?} in:\n{}", self.stderr);
        self
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).expect("talk is text"),
        }
    }
}

/// Runs a command to its end, with nothing on standard input.
pub(crate) fn run<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Said {
    run_with(args, b"")
}

/// Runs a command to its end, with the given standard input.
pub(crate) fn run_with<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>, input: &[u8]) -> Said {
    feed(ottla(args), input)
}

/// Runs a prepared command to its end, with the given standard input.
pub(crate) fn feed(mut command: Command, input: &[u8]) -> Said {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("ottla starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    thread::scope(|scope| {
        // A command that refuses its arguments does not read; that is its right.
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().expect("ottla ends").into()
    })
}

/// A running `ottla broker` with a data folder of its own.
pub(crate) struct Broker {
    child: Child,
    pub(crate) address: String,
    /// Of the control port, if `--control` was given.
    pub(crate) control: Option<String>,
    pub(crate) data: TempDir,
}

impl Broker {
    /// Starts a broker with further options.
    pub(crate) fn start(options: &[&str]) -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let (child, address, control) = Self::launch(data.path(), options);
        Self { child, address, control, data }
    }

    fn launch(data: &Path, options: &[&str]) -> (Child, String, Option<String>) {
        let mut command = ottla(["broker", "--listen", "127.0.0.1:0", "--data"]);
        command.arg(data).args(options).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the broker starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        let mut stdout = BufReader::new(stdout);
        stdout.read_line(&mut line).expect("the broker says that it is ready");
        let address = line.strip_prefix("ready ").expect("the line is `ready HOST:PORT`").trim();
        let address = address.to_owned();
        let control = options.contains(&"--control").then(|| {
            let mut line = String::new();
            stdout.read_line(&mut line).expect("the broker tells its control port");
            let told = line.strip_prefix("control http://").expect("`control http://HOST:PORT`");
            told.trim().to_owned()
        });
        (child, address, control)
    }

    /// Ends the broker with a signal and gives its exit status.
    #[cfg(unix)]
    pub(crate) fn end(&mut self, signal: rustix::process::Signal) -> ExitStatus {
        self.signal(signal);
        wait(&mut self.child)
    }

    /// Sends the broker a signal.
    #[cfg(unix)]
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        send_signal(&self.child, signal);
    }

    /// Starts the broker anew on its data, at another address.
    pub(crate) fn restart(&mut self, options: &[&str]) {
        let (child, address, control) = Self::launch(self.data.path(), options);
        self.child = child;
        self.address = address;
        self.control = control;
    }

    /// Runs `ottla produce` against this broker.
    pub(crate) fn produce(&self, options: &[&str], input: &[u8]) -> Said {
        run_with(["produce", "-b", &self.address].iter().chain(options), input)
    }

    /// Runs `ottla read -e` against this broker.
    pub(crate) fn read(&self, topic: &str, options: &[&str]) -> Said {
        run(["read", "-b", &self.address, "-t", topic, "-e"].iter().chain(options))
    }

    /// What `ottla read -e --format ndjson` gives, as JSON.
    pub(crate) fn records(&self, topic: &str) -> Vec<serde_json::Value> {
        self.read(topic, &["--format", "ndjson"]).exits(0).json()
    }

    /// The values of a topic's records, each as text.
    pub(crate) fn values(&self, topic: &str) -> Vec<String> {
        let value = |record: serde_json::Value| record["value"].as_str().map(str::to_owned);
        self.records(topic).into_iter().filter_map(value).collect()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a child.
#[cfg(unix)]
pub(crate) fn send_signal(child: &Child, signal: rustix::process::Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(pid.expect("a process id"), signal).expect("the child is there");
}

/// Waits for a child to end.
pub(crate) fn wait(child: &mut Child) -> ExitStatus {
    until("the command ends", || child.try_wait().expect("the child can be waited for"))
}

/// Asks again and again until there is an answer.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "gave up waiting until {what}");
        // Not a wait for something to be done by then: only a rest between two questions.
        thread::park_timeout(Duration::from_millis(2));
    }
}

/// Reads a stream in a thread; lines can be waited for.
pub(crate) struct Lines {
    receiver: std::sync::mpsc::Receiver<String>,
}

impl Lines {
    pub(crate) fn of(stream: impl Read + Send + 'static) -> Self {
        let (sender, receiver) = std::sync::mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { receiver }
    }

    /// The next line that has these words.
    #[track_caller]
    pub(crate) fn wait_for(&self, words: &str) -> String {
        let mut passed = Vec::new();
        loop {
            match self.receiver.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(words) => return line,
                Ok(line) => passed.push(line),
                Err(_) => panic!("no {words:?} came; only:\n{}", passed.join("\n")),
            }
        }
    }
}
