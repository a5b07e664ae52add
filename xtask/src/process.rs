//! Running other programs, and ending those that we started.

use std::process::{Child, Command, ExitStatus, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// How often something outside is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long a program that got an interrupt from the terminal as we did may take to end by itself.
const GRACE: Duration = Duration::from_secs(5);

/// Whether somebody wants this task to end: Ctrl-C, a closed terminal, or a plain `kill`.
#[derive(Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on such a wish is noted and does not end the process.
    pub(crate) fn listen() -> Result<Self, String> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in
            [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP]
        {
            signal_hook::flag::register(signal, Arc::clone(&flag))
                .map_err(|error| format!("cannot listen for signals: {error}"))?;
        }
        Ok(Self(flag))
    }

    /// An error once the wish was uttered.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.0.load(Ordering::Relaxed) { Err("interrupted".to_owned()) } else { Ok(()) }
    }
}

/// Runs a program to its end with our standard streams. When we are interrupted it is ended, and
/// the interruption is the error.
pub(crate) fn run(command: &mut Command, interrupt: &Interrupt) -> Result<ExitStatus, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().map_err(|error| format!("cannot run {name}: {error}"))?;
    loop {
        if let Some(status) = ended(&mut child)? {
            return Ok(status);
        }
        if let Err(interrupted) = interrupt.check() {
            end(&mut child, GRACE)?;
            return Err(interrupted);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Runs a program to its end and takes in what it prints.
pub(crate) fn output(command: &mut Command) -> Result<Output, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.output().map_err(|error| format!("cannot run {name}: {error}"))
}

/// Waits until `condition` gives something, at most `limit`; `None` when that time is over.
pub(crate) fn poll<T>(
    limit: Duration,
    mut condition: impl FnMut() -> Result<Option<T>, String>,
) -> Result<Option<T>, String> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = condition()? {
            return Ok(Some(found));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The status of a child that is no more.
pub(crate) fn ended(child: &mut Child) -> Result<Option<ExitStatus>, String> {
    child.try_wait().map_err(|error| format!("cannot look after a process: {error}"))
}

/// Lets a child end by itself for half of `grace`, asks it to for the other half, then kills it.
fn end(child: &mut Child, grace: Duration) -> Result<(), String> {
    if poll(grace / 2, || ended(child))?.is_some() {
        return Ok(());
    }
    signal(child.id(), Signal::TERM);
    if poll(grace / 2, || ended(child))?.is_none() {
        signal(child.id(), Signal::KILL);
        child.wait().map_err(|error| format!("cannot wait for a process: {error}"))?;
    }
    Ok(())
}

/// Kills the process with this id, which the caller knows to be one of ours.
pub(crate) fn kill(pid: u32) {
    signal(pid, Signal::KILL);
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // The only failure that can happen is that the process is gone already.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Processor time that a process has taken so far, in seconds; nothing where that cannot be read.
pub(crate) fn cpu_seconds(pid: u32) -> Option<f64> {
    /// Of every Linux that there is today (`getconf CLK_TCK`).
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name stands in brackets, and may itself have spaces and brackets.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

/// The command line of a living process, its arguments separated by blanks; `None` without one.
pub(crate) fn command_line(pid: u32) -> Option<String> {
    if let Ok(line) = std::fs::read(format!("/proc/{pid}/cmdline")) {
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        return Some(line).filter(|line| !line.is_empty());
    }
    if std::path::Path::new("/proc/self").exists() {
        return None;
    }
    let listed = output(Command::new("ps").args(["-o", "args=", "-p", &pid.to_string()])).ok()?;
    let line = String::from_utf8_lossy(&listed.stdout).trim().to_owned();
    Some(line).filter(|line| !line.is_empty())
}
