//! What failed: named on standard error, and kept where `--failed-out` says.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use ottla::Outcome;

use crate::args::words::Input;
use crate::exit::Failure;
use crate::talk::{Talk, count, size};

/// So many failures are named one by one unless `-v` asks for all.
const NAMED: u64 = 10;

/// Where a record stands in the input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) source: &'a str,
    pub(crate) line: u64,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}", self.source, self.line)
    }
}

/// Counts, names and keeps what failed.
#[derive(Debug)]
pub(crate) struct Failures {
    count: u64,
    maybe_persisted: u64,
    out: Option<FailedOut>,
    delimiter: Vec<u8>,
}

/// The file that input of failed records is appended to.
#[derive(Debug)]
struct FailedOut {
    path: PathBuf,
    file: BufWriter<File>,
    kept: u64,
    /// Why no more can be kept.
    broken: Option<io::Error>,
}

impl Failures {
    /// Opens the file, if there is to be one. Input keeps ending in `delimiter` there.
    pub(crate) fn new(
        path: Option<&Path>,
        inputs: &[Input],
        delimiter: &[u8],
        talk: &Talk,
    ) -> Result<Self, Failure> {
        let out = path.map(|path| FailedOut::open(path, inputs, talk)).transpose()?;
        Ok(Self { count: 0, maybe_persisted: 0, out, delimiter: delimiter.to_vec() })
    }

    /// How many records failed.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// How many of them may have been written to the log all the same.
    pub(crate) fn maybe_persisted(&self) -> u64 {
        self.maybe_persisted
    }

    /// Keeps the whole input of a record that failed, and names it.
    pub(crate) fn add(
        &mut self,
        place: Place<'_>,
        input: &[u8],
        reason: &dyn fmt::Display,
        outcome: Outcome,
        talk: &Talk,
    ) {
        self.keep_part(input, talk);
        self.end(place, reason, outcome, talk);
    }

    /// Keeps a part of the input of a record that fails.
    pub(crate) fn keep_part(&mut self, input: &[u8], talk: &Talk) {
        if let Some(out) = &mut self.out {
            out.write(input, talk);
        }
    }

    /// Ends what [`Failures::keep_part`] kept, and names the record.
    pub(crate) fn end(
        &mut self,
        place: Place<'_>,
        reason: &dyn fmt::Display,
        outcome: Outcome,
        talk: &Talk,
    ) {
        self.count += 1;
        self.maybe_persisted += u64::from(outcome == Outcome::MaybePersisted);
        if self.count <= NAMED || talk.is_verbose() {
            talk.error(format_args!("{place}: {reason}"));
        } else if self.count == NAMED + 1 {
            talk.error("more records fail; -v names them all");
        }
        if let Some(out) = &mut self.out {
            out.write(&self.delimiter, talk);
            out.kept += 1;
        }
    }

    /// Writes out what is kept, so that it is there whatever happens next.
    pub(crate) fn flush(&mut self, talk: &Talk) {
        if let Some(out) = &mut self.out {
            let flushed = out.file.flush();
            out.check(flushed, talk);
        }
    }

    /// What was kept and where, in words; nothing when nothing failed.
    pub(crate) fn kept(&mut self, talk: &Talk) -> Option<String> {
        self.flush(talk);
        let out = self.out.as_ref().filter(|out| out.kept > 0)?;
        let path = out.path.display();
        Some(match &out.broken {
            None => format!("their input was appended to {path}, unchanged"),
            Some(error) => format!("not all of their input could be kept in {path}: {error}"),
        })
    }

    /// Whether there is a file to keep failed input in.
    pub(crate) fn keeps(&self) -> bool {
        self.out.is_some()
    }
}

impl FailedOut {
    fn open(path: &Path, inputs: &[Input], talk: &Talk) -> Result<Self, Failure> {
        let shown = path.display();
        let is_input = inputs.iter().any(|input| match input {
            Input::File(input) => is_same_file(input, path),
            Input::Stdin => false,
        });
        if is_input {
            return Err(Failure::usage(format!("{shown} is read and --failed-out at once"))
                .cure("keep failed records in another file"));
        }
        // What an earlier run kept may be all that is left of those records: never cut it off.
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(|error| {
            Failure::usage(format!("cannot write --failed-out {shown}: {error}"))
        })?;
        let before = file.metadata().map_or(0, |metadata| metadata.len());
        if before > 0 {
            talk.note(format_args!(
                "--failed-out {shown} holds {} already; what fails now is added to it",
                size(before)
            ));
        }
        let file = BufWriter::new(file);
        Ok(Self { path: path.to_owned(), file, kept: 0, broken: None })
    }

    fn write(&mut self, bytes: &[u8], talk: &Talk) {
        if self.broken.is_none() {
            let written = self.file.write_all(bytes);
            self.check(written, talk);
        }
    }

    fn check(&mut self, result: io::Result<()>, talk: &Talk) {
        if let (Err(error), None) = (result, &self.broken) {
            talk.error(format_args!(
                "--failed-out {} cannot be written after {}: {error}",
                self.path.display(),
                count(self.kept, "record")
            ));
            self.broken = Some(error);
        }
    }
}

/// Whether two paths lead to the same file.
fn is_same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(path: &Path) -> Failures {
        Failures::new(Some(path), &[], b"\n", &quiet()).unwrap()
    }

    fn quiet() -> Talk {
        Talk::new(1, 0)
    }

    fn add(failures: &mut Failures, input: &[u8], outcome: Outcome) {
        let place = Place { source: "a", line: 1 };
        failures.add(place, input, &"no reason", outcome, &quiet());
    }

    #[test]
    fn input_is_kept_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("failed");
        let mut failed = failures(&path);
        add(&mut failed, b"\xff{", Outcome::NotPersisted);
        failed.keep_part(b"long ", &quiet());
        failed.keep_part(b"line", &quiet());
        let place = Place { source: "a", line: 2 };
        failed.end(place, &"too long", Outcome::MaybePersisted, &quiet());
        assert!(failed.kept(&quiet()).unwrap().contains("failed"));
        assert_eq!(std::fs::read(&path).unwrap(), b"\xff{\nlong line\n");
        assert_eq!((failed.count(), failed.maybe_persisted()), (2, 1));
    }

    #[test]
    fn what_an_earlier_run_kept_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("failed");
        for line in [b"one", b"two"] {
            let mut failed = failures(&path);
            add(&mut failed, line, Outcome::NotPersisted);
            failed.flush(&quiet());
        }
        assert_eq!(std::fs::read(&path).unwrap(), b"one\ntwo\n");
    }

    #[test]
    fn a_file_that_is_read_is_not_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in");
        std::fs::write(&path, "x").unwrap();
        let inputs = [Input::File(path.clone())];
        let error = Failures::new(Some(&path), &inputs, b"\n", &quiet()).unwrap_err();
        assert!(error.to_string().contains("at once"), "{error}");
    }

    #[test]
    fn a_file_that_cannot_be_made_is_an_error_before_anything_is_sent() {
        let error = Failures::new(Some(Path::new("/nowhere/x")), &[], b"\n", &quiet()).unwrap_err();
        assert!(error.to_string().contains("/nowhere/x"), "{error}");
    }
}
