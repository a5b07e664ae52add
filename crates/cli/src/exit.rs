//! How a command ends: the exit codes, and the failure that stops one.

use std::fmt;
use std::process::ExitCode;

/// What the shell is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything asked for was done; for `produce`, every record was delivered.
    Done,
    /// Some records failed. They were named, and kept in `--failed-out` when it was given.
    /// Or the cluster could not do what it was asked for, or the output could not be written.
    SomeFailed,
    /// The command line, the configuration or a named thing (a file, a topic) is wrong.
    Usage,
    /// No server of the cluster could be reached or spoken to in time.
    Unreachable,
    /// Ctrl-C or SIGTERM ended the command before its work was done.
    Interrupted,
}

impl Exit {
    /// The number the process ends with.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::SomeFailed => 1,
            Self::Usage => 2,
            Self::Unreachable => 3,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command cannot go on: the cause, and the cure where one is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The code to end with.
    pub(crate) exit: Exit,
    cause: String,
    cure: Option<String>,
}

impl Failure {
    /// A failure with the given exit code.
    pub(crate) fn new(exit: Exit, cause: impl Into<String>) -> Self {
        Self { exit, cause: cause.into(), cure: None }
    }

    /// Wrong usage or configuration.
    pub(crate) fn usage(cause: impl Into<String>) -> Self {
        Self::new(Exit::Usage, cause)
    }

    /// Says before the cause where it lies.
    pub(crate) fn at(mut self, place: Option<&str>) -> Self {
        if let Some(place) = place {
            self.cause = format!("{place}: {}", self.cause);
        }
        self
    }

    /// Adds what the user can do about it.
    pub(crate) fn cure(mut self, cure: impl Into<String>) -> Self {
        self.cure = Some(cure.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause)?;
        match &self.cure {
            Some(cure) => write!(f, "\n  {cure}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_its_cause_and_then_its_cure() {
        let failure = Failure::usage("no topic").cure("give one with -t");
        assert_eq!(failure.to_string(), "no topic\n  give one with -t");
        assert_eq!(failure.exit.code(), 2);
    }
}
