//! The errors of the public API: one type for each question a caller asks.

use std::fmt;
use std::sync::Arc;

use ottla_core::error::{ErrorKind, Failure, Outcome};
use ottla_protocol::ErrorCode;

use crate::shared::FORKED;

/// Why an accepted record was not delivered, and what that means for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProduceError(Arc<Failure>);

/// Why a record was not accepted. Nothing was sent: the outcome is always *not persisted*.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendError(Arc<Failure>);

macro_rules! about_a_failure {
    ($type:ident) => {
        impl $type {
            pub(crate) const fn new(failure: Arc<Failure>) -> Self {
                Self(failure)
            }

            /// What went wrong, to decide by.
            #[must_use]
            pub fn kind(&self) -> ErrorKind {
                self.0.kind
            }

            /// Whether the record may be in the log.
            #[must_use]
            pub fn outcome(&self) -> Outcome {
                self.0.outcome
            }

            /// How often it was sent.
            #[must_use]
            pub fn attempts(&self) -> u32 {
                self.0.attempts
            }

            /// The broker concerned, such as `1 at localhost:9092`.
            #[must_use]
            pub fn broker(&self) -> Option<&str> {
                self.0.broker.as_deref()
            }

            /// The broker's error code.
            #[must_use]
            pub fn code(&self) -> Option<ErrorCode> {
                self.0.code
            }

            /// What went wrong, in a sentence: the broker's own where it has one.
            #[must_use]
            pub fn message(&self) -> &str {
                &self.0.message
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl std::error::Error for $type {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                self.0.source()
            }
        }
    };
}

about_a_failure!(ProduceError);
about_a_failure!(SendError);

impl From<SendError> for ProduceError {
    fn from(error: SendError) -> Self {
        Self(error.0)
    }
}

impl ProduceError {
    /// Of a record that may be in the log.
    pub(crate) fn in_doubt(kind: ErrorKind, message: impl Into<String>) -> Self {
        let mut failure = Failure::unsent(kind, message);
        failure.outcome = Outcome::MaybePersisted;
        Self(Arc::new(failure))
    }
}

impl SendError {
    pub(crate) fn of(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Failure::unsent(kind, message)))
    }
}

/// Why `try_send` did not accept a record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrySendError {
    /// `buffer.memory` is spent, or others wait for it: try again later, or use `send`.
    Full,
    /// The topic is not known yet; it has been asked for. Try again later, or use `send`.
    TopicPending,
    /// Trying again will not help.
    Refused(SendError),
}

impl fmt::Display for TrySendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("buffer.memory is spent"),
            Self::TopicPending => f.write_str("the topic's metadata is not here yet"),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for TrySendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused(error) => Some(error),
            Self::Full | Self::TopicPending => None,
        }
    }
}

/// A flush whose time ran out: the records are still on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlushError {
    /// Batches that had no outcome yet.
    pub pending_batches: usize,
    /// Delivery callbacks, or a listener of server events, were still to be called.
    pub pending_callbacks: bool,
    /// The process is a child of the one that has the producer's threads: what was accepted is the
    /// parent's to send.
    pub is_in_child: bool,
}

impl FlushError {
    pub(crate) const fn pending(pending_batches: usize) -> Self {
        Self { pending_batches, pending_callbacks: true, is_in_child: false }
    }

    pub(crate) const fn in_child() -> Self {
        Self { pending_batches: 0, pending_callbacks: false, is_in_child: true }
    }
}

impl fmt::Display for FlushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pending_batches {
            _ if self.is_in_child => f.write_str(FORKED),
            0 => f.write_str("the flush ran out of time before every delivery callback was called"),
            n => write!(f, "the flush ran out of time with {n} batches on their way"),
        }
    }
}

impl std::error::Error for FlushError {}
