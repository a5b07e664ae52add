//! Failures of records as Python sees them: librdkafka's codes, or the native interface's errors.

use ottla::{ErrorCode, ErrorKind, Outcome, ProduceError, Trouble};
use pyo3::prelude::*;

use crate::classes::{self, Told};

/// librdkafka's own codes, below the broker's.
pub(crate) mod code {
    pub(crate) const DESTROY: i32 = -197;
    pub(crate) const FAIL: i32 = -196;
    pub(crate) const TRANSPORT: i32 = -195;
    pub(crate) const MSG_TIMED_OUT: i32 = -192;
    pub(crate) const AUTHENTICATION: i32 = -169;
    pub(crate) const UNKNOWN_PARTITION: i32 = -190;
    pub(crate) const UNKNOWN_TOPIC: i32 = -188;
    pub(crate) const SSL: i32 = -181;
    pub(crate) const INVALID_ARG: i32 = -186;
    pub(crate) const UNSUPPORTED_FEATURE: i32 = -165;
    pub(crate) const PURGE_QUEUE: i32 = -152;
    pub(crate) const PURGE_INFLIGHT: i32 = -151;
}

/// The code that librdkafka would give such a failure.
pub(crate) fn code_of(error: &ProduceError) -> i32 {
    let by_broker = error.code().map(|code| i32::from(code.0));
    let sent = error.outcome() == Outcome::MaybePersisted;
    match error.kind() {
        ErrorKind::Timeout => code::MSG_TIMED_OUT,
        ErrorKind::RetriesExhausted | ErrorKind::Network => by_broker.unwrap_or(code::TRANSPORT),
        ErrorKind::UnknownTopic => by_broker.unwrap_or(code::UNKNOWN_TOPIC),
        ErrorKind::UnknownPartition => code::UNKNOWN_PARTITION,
        ErrorKind::TooLarge => i32::from(ErrorCode::MESSAGE_TOO_LARGE.0),
        ErrorKind::InvalidRecord => by_broker.unwrap_or(code::INVALID_ARG),
        ErrorKind::Authentication => code::AUTHENTICATION,
        ErrorKind::Unsupported => by_broker.unwrap_or(code::UNSUPPORTED_FEATURE),
        ErrorKind::Purged if sent => code::PURGE_INFLIGHT,
        ErrorKind::Purged => code::PURGE_QUEUE,
        ErrorKind::Closed => code::DESTROY,
        _ => by_broker.unwrap_or(code::FAIL),
    }
}

/// The code that librdkafka tells error_cb when a server is out of reach.
pub(crate) fn code_of_trouble(trouble: Trouble) -> i32 {
    match trouble {
        Trouble::Tls => code::SSL,
        Trouble::Sasl => code::AUTHENTICATION,
        _ => code::TRANSPORT,
    }
}

/// What librdkafka says of its own codes, which programs look for in texts.
const fn words(code: i32) -> Option<&'static str> {
    match code {
        code::MSG_TIMED_OUT => Some("Local: Message timed out"),
        code::AUTHENTICATION => Some("Local: Authentication failure"),
        code::TRANSPORT => Some("Local: Broker transport failure"),
        code::UNKNOWN_PARTITION => Some("Local: Unknown partition"),
        code::UNKNOWN_TOPIC => Some("Local: Unknown topic"),
        code::PURGE_QUEUE => Some("Local: Purged in queue"),
        code::PURGE_INFLIGHT => Some("Local: Purged in flight"),
        _ => None,
    }
}

/// The failure as a `KafkaError`.
pub(crate) fn kafka_error<'py>(
    py: Python<'py>,
    error: &ProduceError,
) -> PyResult<Bound<'py, PyAny>> {
    let code = code_of(error);
    let text = match words(code) {
        Some(words) => format!("{words}: {error}"),
        None => error.to_string(),
    };
    let made = classes::kafka_error(py, code, &text)?;
    made.setattr("outcome", outcome_of(error))?;
    Ok(made)
}

/// The error of a record that was never sent.
pub(crate) fn unsent<'py>(py: Python<'py>, code: i32, text: &str) -> PyResult<Bound<'py, PyAny>> {
    let made = classes::kafka_error(py, code, text)?;
    made.setattr("outcome", "not_persisted")?;
    Ok(made)
}

/// The failure as the native interface raises it.
pub(crate) fn native_error<'py>(
    py: Python<'py>,
    accepted: bool,
    error: &ProduceError,
) -> PyResult<Bound<'py, PyAny>> {
    let told = Told {
        text: error.to_string(),
        kind: kind_of(error),
        outcome: outcome_of(error),
        code: error.code().map(|code| i32::from(code.0)),
        attempts: error.attempts(),
        broker: error.broker(),
    };
    classes::native_error(py, accepted, &told)
}

fn outcome_of(error: &ProduceError) -> &'static str {
    match error.outcome() {
        Outcome::NotPersisted => "not_persisted",
        Outcome::MaybePersisted => "maybe_persisted",
    }
}

fn kind_of(error: &ProduceError) -> &'static str {
    match error.kind() {
        ErrorKind::Timeout => "timeout",
        ErrorKind::RetriesExhausted => "retries_exhausted",
        ErrorKind::Network => "network",
        ErrorKind::UnknownTopic => "unknown_topic",
        ErrorKind::UnknownPartition => "unknown_partition",
        ErrorKind::TooLarge => "too_large",
        ErrorKind::InvalidRecord => "invalid_record",
        ErrorKind::Authentication => "authentication",
        ErrorKind::Unauthorized => "unauthorized",
        ErrorKind::Unsupported => "unsupported",
        ErrorKind::TopicRecreated => "topic_recreated",
        ErrorKind::Closed => "closed",
        ErrorKind::Purged => "purged",
        _ => "refused",
    }
}
