//! Skips: printed, counted, and not allowed where everything should be there.

use std::io::Write;

/// The file that gets a line for each skip, if it is named.
const SKIPS_VARIABLE: &str = "OTTLA_TEST_SKIPS";

/// Notes that the running test, or a part of it, is left out.
///
/// # Panics
/// When `CI` is set: there nothing may be left out.
pub fn skip(reason: &str) {
    let thread = std::thread::current();
    let line = format!("SKIPPED: {}: {reason}\n", thread.name().unwrap_or("?"));
    // Written directly: the test harness keeps the output of tests that pass to itself.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(file) = std::env::var_os(SKIPS_VARIABLE) {
        let opened = std::fs::OpenOptions::new().create(true).append(true).open(file);
        if let Err(error) = opened.and_then(|mut file| file.write_all(line.as_bytes())) {
            panic!("cannot count a skip: {error}");
        }
    }
    assert!(std::env::var_os("CI").is_none(), "CI is set, so nothing may be skipped: {reason}");
}
