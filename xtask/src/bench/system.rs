//! What the system itself takes to send records from a file, with no broker between: no broker
//! can take less for a fetch.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::thread;

use rustix::time::{ClockId, clock_gettime};

/// How much is moved.
const TOTAL_BYTES: u64 = 4 << 30;
/// How much of it is in a file at a time.
const FILE_BYTES: u64 = 256 << 20;
/// How much is moved at once.
const STEP_BYTES: usize = 1 << 20;

/// Adds what a thousand bytes take to the page.
pub(super) fn tell(page: &mut String) -> Result<(), String> {
    let told = |error: io::Error| format!("the system's own cost cannot be measured: {error}");
    let fetch_us = from_file().map_err(told)?;
    let _ = write!(
        page,
        "\n## What the system takes\n\nTo send 1,000 bytes from a file to a socket (`sendfile`), with \
         no broker between, takes {fetch_us:.3} µs.\n"
    );
    Ok(())
}

/// Microseconds for a thousand bytes.
fn per_thousand_us(cpu_seconds: f64) -> f64 {
    cpu_seconds * 1e6 / (TOTAL_BYTES as f64 / 1000.0)
}

/// Processor time of this thread that `work` takes, in seconds.
fn timed(work: impl FnOnce() -> io::Result<()>) -> io::Result<f64> {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let before = now();
    work()?;
    Ok(now() - before)
}

/// Two ends of a connection on this machine.
fn connection() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let one = TcpStream::connect(listener.local_addr()?)?;
    Ok((one, listener.accept()?.0))
}

/// A file in memory where the system has a folder for that.
fn file() -> io::Result<File> {
    tempfile::tempfile_in("/dev/shm").or_else(|_| tempfile::tempfile())
}

fn from_file() -> io::Result<f64> {
    let file = file()?;
    let step = vec![7; STEP_BYTES];
    for at in (0..FILE_BYTES).step_by(STEP_BYTES) {
        file.write_all_at(&step, at)?;
    }
    let (sender, mut receiver) = connection()?;
    let reading = thread::spawn(move || {
        let mut room = vec![0; STEP_BYTES];
        while receiver.read(&mut room).is_ok_and(|count| count > 0) {}
    });
    let seconds = timed(|| {
        let mut left = TOTAL_BYTES;
        while left > 0 {
            let mut at = (TOTAL_BYTES - left) % FILE_BYTES;
            let step = (FILE_BYTES - at).min(STEP_BYTES as u64) as usize;
            left -= rustix::fs::sendfile(&sender, &file, Some(&mut at), step)? as u64;
        }
        Ok(())
    })?;
    drop(sender);
    let _ = reading.join();
    Ok(per_thousand_us(seconds))
}
