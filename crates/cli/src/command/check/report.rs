//! What was seen, step by step, and what the command ends with for it.

use serde::Serialize;
use serde_json::{Value, json};

use crate::events::printable;
use crate::exit::Exit;

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Ok,
    /// It works, and there is something to know of it.
    Warning,
    /// A producer with these settings fails here, or loses records.
    Failed,
    /// Not looked at, or not to be had.
    Skipped,
}

impl Status {
    /// The word for it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// One step.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Step {
    /// Which one; a fixed name.
    pub(super) step: &'static str,
    /// The server, broker or topic.
    pub(super) about: String,
    pub(super) status: Status,
    /// A sentence.
    pub(super) seen: String,
    /// What can be done, where something is to be done.
    pub(super) cure: Option<String>,
    /// The same in fields; their names are fixed for each step.
    pub(super) data: Value,
    /// What the command ends with if the step failed.
    #[serde(skip)]
    exit: Exit,
}

impl Step {
    fn new(step: &'static str, about: &str, status: Status, seen: String, exit: Exit) -> Self {
        let (about, seen) = (printable(about), printable(&seen));
        Self { step, about, status, seen, cure: None, data: json!({}), exit }
    }

    pub(super) fn ok(step: &'static str, about: &str, seen: impl Into<String>) -> Self {
        Self::new(step, about, Status::Ok, seen.into(), Exit::Done)
    }

    pub(super) fn warning(step: &'static str, about: &str, seen: impl Into<String>) -> Self {
        Self::new(step, about, Status::Warning, seen.into(), Exit::SomeFailed)
    }

    pub(super) fn failed(
        step: &'static str,
        about: &str,
        seen: impl Into<String>,
        exit: Exit,
    ) -> Self {
        Self::new(step, about, Status::Failed, seen.into(), exit)
    }

    pub(super) fn skipped(step: &'static str, about: &str, why: impl Into<String>) -> Self {
        Self::new(step, about, Status::Skipped, why.into(), Exit::Done)
    }

    /// Says what can be done.
    pub(super) fn cure(mut self, cure: impl Into<String>) -> Self {
        self.cure = Some(printable(&cure.into()));
        self
    }

    pub(super) fn data(mut self, data: Value) -> Self {
        self.data = data;
        self
    }

    /// A failure that others make up for is a warning.
    pub(super) fn soften(&mut self) {
        if self.status == Status::Failed {
            self.status = Status::Warning;
        }
    }

    /// What the command would end with for this step.
    pub(super) fn exit(&self) -> Exit {
        match self.status {
            Status::Failed => self.exit,
            _ => Exit::Done,
        }
    }
}

/// All steps, and the settings that they were taken with.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) servers: Vec<String>,
    pub(super) security_protocol: &'static str,
    pub(super) acks: &'static str,
    pub(super) steps: Vec<Step>,
}

impl Report {
    /// How many steps went so.
    pub(super) fn count(&self, status: Status) -> usize {
        self.steps.iter().filter(|step| step.status == status).count()
    }

    /// The first failure decides: what fails after it may fail because of it.
    pub(super) fn exit(&self, strict: bool) -> Exit {
        let failure = self.steps.iter().map(Step::exit).find(|exit| *exit != Exit::Done);
        match failure {
            Some(exit) => exit,
            None if strict && self.count(Status::Warning) > 0 => Exit::SomeFailed,
            None => Exit::Done,
        }
    }

    /// One object.
    pub(super) fn json(&self, strict: bool) -> Value {
        let exit = self.exit(strict);
        json!({
            "ok": exit == Exit::Done,
            "exit_code": exit.code(),
            "bootstrap_servers": self.servers,
            "security_protocol": self.security_protocol,
            "acks": self.acks,
            "counts": {
                "ok": self.count(Status::Ok),
                "warning": self.count(Status::Warning),
                "failed": self.count(Status::Failed),
                "skipped": self.count(Status::Skipped),
            },
            "steps": self.steps,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(steps: Vec<Step>) -> Report {
        Report { steps, ..Report::default() }
    }

    #[test]
    fn the_first_failure_decides_the_exit_code() {
        let refused = Step::failed("tls", "a:1", "expired", Exit::Usage);
        let missing = Step::failed("topic", "t", "none", Exit::SomeFailed);
        let warning = Step::warning("tls", "a:1", "soon");
        assert_eq!(report(vec![warning.clone(), refused, missing]).exit(false), Exit::Usage);
        assert_eq!(report(vec![warning.clone()]).exit(false), Exit::Done);
        assert_eq!(report(vec![warning]).exit(true), Exit::SomeFailed);
        assert_eq!(report(vec![Step::skipped("tls", "", "no")]).exit(true), Exit::Done);
    }

    #[test]
    fn a_servers_words_cannot_move_the_cursor() {
        let step = Step::ok("cluster", "a:1", "id \u{1b}[2J").cure("\u{7}");
        assert!(!step.seen.contains('\u{1b}'));
        assert_eq!(step.cure.as_deref(), Some("\\u{7}"));
    }
}
