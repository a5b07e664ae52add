//! Why a question to the cluster has no answer.

use std::fmt;

use ottla_core::words::{SHOWN_MAX_CHARS, shown};
use ottla_protocol::ErrorCode;

/// What went wrong, for a program to decide by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestErrorKind {
    /// No connection could be made, or no answer came in time.
    Unreachable,
    /// Something answers, but it does not speak Kafka's protocol here.
    WrongService,
    /// One side did not accept the other: a certificate, a password, a token.
    Authentication,
    /// The broker is too old or too new for what was asked.
    Unsupported,
    /// The answer cannot be understood.
    Garbled,
    /// The cluster has no such topic.
    UnknownTopic,
    /// The topic has no such partition.
    UnknownPartition,
    /// The partition does not hold the offset.
    OffsetOutOfRange,
    /// The broker understood and refused; the code says why.
    Refused,
}

/// Why a question to the cluster has no answer. Its text names the server, the cause and, where
/// one is known, the cure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestError {
    kind: RequestErrorKind,
    code: Option<ErrorCode>,
    message: String,
}

impl RequestError {
    pub(crate) fn new(kind: RequestErrorKind, message: impl Into<String>) -> Self {
        Self { kind, code: None, message: message.into() }
    }

    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Self::new(RequestErrorKind::Unreachable, message)
    }

    /// What a broker's error code means for `what`, which is a clause such as
    /// `topic clicks cannot be created`. The broker's own words come before the table's.
    pub(crate) fn refused(what: &str, code: ErrorCode, words: Option<&str>) -> Self {
        let kind = match code {
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION | ErrorCode::UNKNOWN_TOPIC_ID => {
                RequestErrorKind::UnknownTopic
            }
            ErrorCode::OFFSET_OUT_OF_RANGE => RequestErrorKind::OffsetOutOfRange,
            ErrorCode::UNSUPPORTED_VERSION => RequestErrorKind::Unsupported,
            _ => RequestErrorKind::Refused,
        };
        let words = words.map(|words| shown(words, SHOWN_MAX_CHARS));
        let words = words.as_deref().filter(|words| !words.is_empty());
        let reason = words.unwrap_or_else(|| code.message()).trim_end_matches('.');
        let message = format!("{what}: {reason} [{}]", name_of(code));
        Self { kind, code: Some(code), message }
    }

    /// The same error with the broker's code for it.
    pub(crate) fn by(mut self, code: ErrorCode) -> Self {
        self.code = Some(code);
        self
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> RequestErrorKind {
        self.kind
    }

    /// The broker's error code, when a broker refused.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        self.code
    }

    /// Whether asking again, perhaps another broker, may help.
    pub(crate) fn is_retriable(&self) -> bool {
        match self.code {
            Some(code) => code.is_retriable() || code.is_invalid_metadata(),
            None => self.kind == RequestErrorKind::Unreachable,
        }
    }

    /// The same error with more said before it.
    pub(crate) fn before(mut self, words: impl fmt::Display) -> Self {
        self.message = format!("{words}{}", self.message);
        self
    }

    /// The same error with more said after it.
    pub(crate) fn after(mut self, words: impl fmt::Display) -> Self {
        self.message = format!("{}{words}", self.message);
        self
    }
}

/// A code's name, or its number when it is newer than our table.
fn name_of(code: ErrorCode) -> String {
    if code.is_known() { code.name().to_owned() } else { format!("error {}", code.0) }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for RequestError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_brokers_words_come_before_the_tables() {
        let code = ErrorCode::TOPIC_ALREADY_EXISTS;
        let error = RequestError::refused("topic a", code, Some("Topic 'a' exists."));
        assert_eq!(error.to_string(), "topic a: Topic 'a' exists [TOPIC_ALREADY_EXISTS]");
        assert_eq!(error.kind(), RequestErrorKind::Refused);
        let error = RequestError::refused("topic a", code, Some(" "));
        assert!(error.to_string().contains(code.message()), "{error}");
    }

    #[test]
    fn a_code_that_is_newer_than_the_table_keeps_its_number() {
        let error = RequestError::refused("topic a", ErrorCode(999), None);
        assert!(error.to_string().ends_with("[error 999]"), "{error}");
    }
}
