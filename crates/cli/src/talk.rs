//! What the user is told: everything that is not data goes to standard error through here.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, OnceLock};

use indicatif::ProgressBar;

/// The voice of a command on standard error.
///
/// A reader that has gone away is no reason to stop work or to panic, so write errors are dropped.
#[derive(Debug, Clone)]
pub(crate) struct Talk {
    level: i8,
    terminal: bool,
    /// All voices of a process share it: each of them must speak above the bar.
    bar: Arc<OnceLock<ProgressBar>>,
}

impl Talk {
    /// Speaks at the level that `-q` and `-v` ask for.
    pub(crate) fn new(quiet: u8, verbose: u8) -> Self {
        let level = i16::from(verbose) - i16::from(quiet);
        let level = level.clamp(-1, 2) as i8;
        Self { level, terminal: io::stderr().is_terminal(), bar: Arc::default() }
    }

    /// A voice that says only what went wrong.
    pub(crate) fn silent(&self) -> Self {
        Self { level: -1, ..self.clone() }
    }

    /// This voice and its copies speak above a progress bar from now on; a command has one bar.
    pub(crate) fn speak_above(&self, bar: ProgressBar) {
        let _ = self.bar.set(bar);
    }

    /// -1 with `-q`, else how often `-v` was given, at most 2.
    pub(crate) fn level(&self) -> i8 {
        self.level
    }

    /// Whether `-v` was given.
    pub(crate) fn is_verbose(&self) -> bool {
        self.level > 0
    }

    /// Whether `-q` was given.
    pub(crate) fn is_quiet(&self) -> bool {
        self.level < 0
    }

    /// Whether a person is likely to be looking.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Something went wrong; said even with `-q`.
    pub(crate) fn error(&self, words: impl fmt::Display) {
        self.line(format_args!("ottla: {words}"));
    }

    /// Something the user will want to know; not said with `-q`.
    pub(crate) fn note(&self, words: impl fmt::Display) {
        if self.level >= 0 {
            self.line(format_args!("ottla: {words}"));
        }
    }

    /// A line of a report, without the program's name before it; not said with `-q`.
    pub(crate) fn report(&self, words: impl fmt::Display) {
        if self.level >= 0 {
            self.line(format_args!("{words}"));
        }
    }

    /// Detail that only `-v` shows.
    pub(crate) fn detail(&self, words: impl fmt::Display) {
        if self.level > 0 {
            self.line(format_args!("ottla: {words}"));
        }
    }

    fn line(&self, words: fmt::Arguments<'_>) {
        let write = || {
            let _ = writeln!(io::stderr().lock(), "{words}");
        };
        match self.bar.get() {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

/// A count with its noun: `1 record`, `1,234 records`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number))
}

/// A number with its digits in groups of three.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A size in bytes in the unit that suits it: `812 B`, `1.5 KiB`, `100.0 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut amount = bytes as f64 / 1024.0;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    format!("{amount:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_and_agree_with_their_noun() {
        assert_eq!(count(1, "record"), "1 record");
        assert_eq!(count(0, "record"), "0 records");
        assert_eq!(count(1_234_567, "record"), "1,234,567 records");
        assert_eq!(grouped(999), "999");
    }

    #[test]
    fn sizes_take_the_unit_that_suits_them() {
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(100 * 1024 * 1024), "100.0 MiB");
    }
}
