//! Errors as RFC 9457 `application/problem+json`: what went wrong, in which field, and the way out.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::decode::{Reason, Rejection};
use crate::engine::Refusal;
use crate::journal::Refused;
use crate::runtime::SubmitError;

/// What went wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// A stable word; the problem's type is `urn:muster:problem:<code>`.
    pub code: String,
    /// What is wrong here, without a value of the request.
    pub detail: String,
    /// The member or parameter at fault.
    pub field: Option<String>,
    /// The way out.
    pub hint: Option<String>,
    /// Come again after this.
    pub retry_after: Option<Duration>,
}

impl Problem {
    /// A problem without a field.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), detail: detail.into(), field: None, hint: None, retry_after: None }
    }

    /// With the member or parameter at fault.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// With the way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// To come again after this.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Nothing is there.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", format!("there is no such {what}"))
    }

    /// A parameter of the query that cannot be read.
    pub fn parameter(name: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "parameter", detail).field(name)
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        crate::wire::clean(json!({
            "type": format!("urn:muster:problem:{}", self.code),
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "field": self.field,
            "hint": self.hint,
        }))
    }

    /// Whole seconds to wait, at least one.
    #[must_use]
    pub fn retry_after_s(&self) -> Option<u64> {
        self.retry_after.map(|after| after.as_secs() + u64::from(after.subsec_nanos() > 0)).map(|s| s.max(1))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = self.to_json().to_string();
        let mut response = (self.status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        if let Some(seconds) = self.retry_after_s() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<Rejection> for Problem {
    fn from(r: Rejection) -> Self {
        let status = match r.reason {
            Reason::TooLarge | Reason::TooMany => StatusCode::PAYLOAD_TOO_LARGE,
            Reason::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            _ => StatusCode::BAD_REQUEST,
        };
        let mut problem = Self::new(status, r.reason.as_str(), r.detail);
        problem.field = r.field;
        if r.hint.is_empty() { problem } else { problem.hint(r.hint) }
    }
}

/// Whoever was to decide it could not read it.
impl From<Refused> for Problem {
    fn from(r: Refused) -> Self {
        let too_large = r.reason == Reason::TooLarge.as_str();
        let status = if too_large { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::BAD_REQUEST };
        let mut problem = Self::new(status, &r.reason, r.detail);
        problem.field = r.field.map(Into::into);
        problem
    }
}

/// The engine understood, and cannot do it.
impl From<Refusal> for Problem {
    fn from(r: Refusal) -> Self {
        let status = if r.code.starts_with("unknown-") { StatusCode::NOT_FOUND } else { StatusCode::CONFLICT };
        let mut problem = Self::new(status, &r.code, r.detail);
        problem.field = r.field.map(Into::into);
        problem.hint = r.hint;
        problem
    }
}

impl From<SubmitError> for Problem {
    fn from(e: SubmitError) -> Self {
        let unavailable = |code, after| {
            Self::new(StatusCode::SERVICE_UNAVAILABLE, code, e.to_string())
                .hint("send it again after Retry-After with the same source and id; a repeat is not applied twice")
                .retry_after(after)
        };
        match &e {
            SubmitError::Busy { retry_after } => unavailable("busy", Duration::from_millis(retry_after.0)),
            SubmitError::Away { retry_after } => unavailable("away", Duration::from_millis(retry_after.0)),
            SubmitError::Stopped { .. } => unavailable("stopped", Duration::from_secs(5)),
        }
    }
}
