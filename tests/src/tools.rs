//! Running programs of others.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long a program may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// A child process that does not outlive the test.
pub struct Reaped(pub Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The folder of this package.
#[must_use]
pub fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What a program prints when it is given `input`.
///
/// # Panics
/// When it does not start, does not end in time, or ends with another code than 0.
#[must_use]
pub fn output(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let name = format!("{command:?}");
    let told = ended(command, input);
    let words = String::from_utf8_lossy(&told.stderr);
    assert!(told.status.success(), "{name} ended with {}: {words}", told.status);
    told.stdout
}

/// Runs a program with this input to its end, whatever its code.
///
/// # Panics
/// When it does not start or does not end in time.
#[must_use]
pub fn ended(command: &mut Command, input: &[u8]) -> Output {
    let name = format!("{command:?}");
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = piped.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut child = Reaped(child);
    let (stdin, stdout, stderr) =
        (child.0.stdin.take(), child.0.stdout.take(), child.0.stderr.take());
    std::thread::scope(|scope| {
        // A program that ends before it has read everything is judged by its code.
        scope.spawn(move || stdin.map(|mut pipe| pipe.write_all(input)));
        let stdout = scope.spawn(move || all(stdout));
        let stderr = scope.spawn(move || all(stderr));
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = child.0.try_wait().expect("its state") {
                break status;
            }
            if begin.elapsed() > PATIENCE {
                let _ = child.0.kill();
                let words = String::from_utf8_lossy(&stderr.join().expect("no panic")).into_owned();
                panic!("{name} did not end within {PATIENCE:?}: {words}");
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let stdout = stdout.join().expect("no panic");
        Output { status, stdout, stderr: stderr.join().expect("no panic") }
    })
}

fn all(pipe: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        let _ = pipe.read_to_end(&mut bytes);
    }
    bytes
}

/// The file that `variable` names, or `name` on the path.
///
/// # Errors
/// There is no such file.
pub fn find(variable: &str, name: &str) -> Result<PathBuf, String> {
    let missing = || format!("{name} is not here (set {variable})");
    if let Some(named) = std::env::var_os(variable) {
        let named = PathBuf::from(named);
        return if named.is_file() { Ok(named) } else { Err(missing()) };
    }
    let path = std::env::var_os("PATH").ok_or_else(missing)?;
    let mut found = std::env::split_paths(&path).map(|folder| folder.join(name));
    found.find(|file| file.is_file()).ok_or_else(missing)
}
