//! What can become of a record besides delivery, with everything that is known about why.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use ottla_protocol::ErrorCode;

/// What a failed record's bytes did in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// No log has it: sending it again cannot duplicate it.
    NotPersisted,
    /// It was sent and no definite answer came: it may or may not be in the log.
    MaybePersisted,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotPersisted => "not persisted",
            Self::MaybePersisted => "maybe persisted",
        })
    }
}

/// What went wrong, for a program to decide by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// `delivery.timeout.ms` (or `max.block.ms`) passed.
    Timeout,
    /// The retries that the configuration allows are used up.
    RetriesExhausted,
    /// A connection could not be made or was lost.
    Network,
    /// The cluster does not have this topic, or its name is not a valid one.
    UnknownTopic,
    /// The topic has no such partition.
    UnknownPartition,
    /// The record or its batch is larger than allowed.
    TooLarge,
    /// The broker finds fault with the record itself.
    InvalidRecord,
    /// One side did not accept the other: a certificate, a password, a token.
    Authentication,
    /// The cluster's access rules forbid it.
    Unauthorized,
    /// The broker cannot do what is asked (too old, too new, or configured otherwise).
    Unsupported,
    /// The broker refused for another reason, which `code` names.
    Refused,
    /// The topic was deleted and created anew while the record was on its way.
    TopicRecreated,
    /// The producer was closed before the record was done.
    Closed,
    /// The program gave the record up, by `purge`.
    Purged,
}

/// Why records were not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// What went wrong.
    pub kind: ErrorKind,
    /// What that means for the log.
    pub outcome: Outcome,
    /// How often the record was sent.
    pub attempts: u32,
    /// The broker concerned, such as `1 at 127.0.0.1:9092`.
    pub broker: Option<Arc<str>>,
    /// The broker's error code.
    pub code: Option<ErrorCode>,
    /// A sentence: the broker's words where it has any.
    pub message: String,
    /// What happened before that led here.
    pub cause: Option<Arc<Self>>,
}

impl Failure {
    /// A failure of a record that was never sent.
    #[must_use]
    pub fn unsent(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            outcome: Outcome::NotPersisted,
            attempts: 0,
            broker: None,
            code: None,
            message: message.into(),
            cause: None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match self.code {
            Some(code) if code.is_known() => write!(f, " [{}]", code.name())?,
            Some(code) => write!(f, " [error {}]", code.0)?,
            None => {}
        }
        if let Some(broker) = &self.broker {
            write!(f, ", broker {broker}")?;
        }
        match self.attempts {
            0 => {}
            1 => f.write_str(", after 1 attempt")?,
            n => write!(f, ", after {n} attempts")?,
        }
        write!(f, " ({})", self.outcome)?;
        if let Some(cause) = &self.cause {
            write!(f, "; before that: {}", cause.message)?;
        }
        Ok(())
    }
}

impl core::error::Error for Failure {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}
