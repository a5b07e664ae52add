//! What the control port says when it cannot do what it is asked.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ottla_broker::{ErrorCode, NodeError, NotAFault};
use serde_json::{Value, json};

/// An answer, or why there is none.
pub(super) type Told = Result<Json<Value>, Refusal>;

/// Why something was not done.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    reason: String,
}

impl Refusal {
    fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into() }
    }

    /// What was asked makes no sense.
    pub(super) fn bad(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }

    /// It is about something that is not there.
    pub(super) fn not_found(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, reason)
    }

    /// Whoever asks may not.
    pub(super) fn forbidden(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, reason)
    }

    /// It is too late to ask.
    pub(super) fn ending() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the broker is ending")
    }

    /// It should have worked.
    pub(super) fn broken(reason: &str) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, reason)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.reason }))).into_response()
    }
}

impl From<NodeError> for Refusal {
    fn from(error: NodeError) -> Self {
        let status = match error {
            NodeError::Unknown(_) => StatusCode::NOT_FOUND,
            NodeError::IsDown(_) | NodeError::Runs(_) => StatusCode::CONFLICT,
            NodeError::Alone(_) | NodeError::NoAddress => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

/// The cluster's own reason, under Kafka's name.
impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        let status = match code {
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => StatusCode::NOT_FOUND,
            _ => StatusCode::CONFLICT,
        };
        Self::new(status, format!("{}: {}", code.name(), code.message()))
    }
}

impl From<NotAFault> for Refusal {
    fn from(error: NotAFault) -> Self {
        Self::bad(error.to_string())
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<PathRejection> for Refusal {
    fn from(rejection: PathRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<QueryRejection> for Refusal {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}
