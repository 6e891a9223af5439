//! Every error that a response can carry: one table of codes, one envelope.

mod codes;
mod engine;

use std::borrow::Cow;

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpResponse, ResponseError};
use life_agent_engine::LimitReport;
use life_agent_engine::domain::governance::fault::Fault;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

pub use self::codes::Code;
use crate::auth::request_limit;

/// An error on its way to the caller. [`crate::http::middleware::envelope`] knows the request ID and wraps it.
#[derive(Debug, thiserror::Error)]
#[error("{}: {message}", code.as_str())]
pub struct ApiError {
    /// Its code.
    pub code: Code,
    message: String,
    details: Option<Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// The body of every error response.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Error)]
pub struct Envelope<'a> {
    error: Inner<'a>,
}

/// A failed request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ErrorInner)]
struct Inner<'a> {
    /// The error code, for programs.
    code: &'static str,
    /// What happened and what to do next, for people.
    message: &'a str,
    /// Validation faults as a list of `{path, message}`; for a denial, its gate, rule and findings. Unless it is a
    /// list, it has the `trace_id` of the request if the service exports traces.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value, required = false)]
    details: Option<Cow<'a, Value>>,
    /// The request ID, as in the log and the journal.
    request_id: &'a str,
}

impl Envelope<'_> {
    /// The body with the trace of the request among the details, unless they are a list of faults.
    pub fn with_trace(mut self, trace_id: Option<&str>) -> Self {
        let Some(trace_id) = trace_id else { return self };
        let details =
            self.error.details.get_or_insert_with(|| Cow::Owned(Value::Object(Map::new())));
        if details.is_object() {
            details.to_mut()["trace_id"] = trace_id.into();
        }
        self
    }
}

impl ApiError {
    /// An error with this code and message.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: None, headers: Vec::new() }
    }

    /// An error of which only the code is known.
    pub fn bare(code: Code) -> Self {
        Self::new(code, code.meaning())
    }

    /// Invalid fields.
    pub fn validation(faults: Vec<Fault>) -> Self {
        let message = match faults.as_slice() {
            [one] if one.path.is_empty() => one.message.clone(),
            [one] => format!("`{}`: {}", one.path, one.message),
            many => format!("{} fields are invalid; `details` names each", many.len()),
        };
        Self::new(Code::ValidationError, message).with_details(&faults)
    }

    /// A method that the path does not support; `allowed` lists those it supports.
    pub fn method_not_allowed(allowed: &[Method]) -> Self {
        let names = allowed.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        let error = Self::bare(Code::MethodNotAllowed);
        match HeaderValue::from_str(&names) {
            Ok(names) => error.with_header(header::ALLOW, names),
            Err(_) => error,
        }
    }

    /// Adds details.
    pub fn with_details(mut self, details: &impl Serialize) -> Self {
        self.details = serde_json::to_value(details).ok();
        self
    }

    /// Adds a header.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Adds `Retry-After`.
    pub fn retry_after(self, seconds: u64) -> Self {
        self.with_header(header::RETRY_AFTER, seconds.into())
    }

    /// Adds `Retry-After` and the headers of a limit that the request exceeds.
    pub fn over_limit(self, limit: &LimitReport, retry_after: u64) -> Self {
        let headers = request_limit::exceeded(limit, retry_after);
        headers.into_iter().fold(
            self.retry_after(retry_after),
            |error, (name, value)| match value {
                Some(value) => error.with_header(name, value),
                None => error,
            },
        )
    }

    /// Redacts every text: messages may repeat the caller's input, in the name of a field for instance.
    pub fn redacted(&self, redact: &dyn Fn(&str) -> String) -> Self {
        let mut details = self.details.clone();
        if let Some(details) = &mut details {
            redact_texts(details, redact);
        }
        let headers = self.headers.clone();
        Self { code: self.code, message: redact(&self.message), details, headers }
    }

    /// A text in the details.
    pub fn detail(&self, name: &str) -> Option<&str> {
        self.details.as_ref()?.get(name)?.as_str()
    }

    /// What happened.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether a gate denied the request and would deny it again.
    pub fn is_decision(&self) -> bool {
        matches!(
            self.code,
            Code::PromptRisky | Code::PathForbidden | Code::OpaDeny | Code::RuleDeny
        )
    }

    /// The part that is stored with a queued turn: the body without the request ID.
    pub fn stored(&self) -> Value {
        let mut stored = serde_json::json!({ "code": self.code.as_str(), "message": self.message });
        if let (Some(details), Some(stored)) = (&self.details, stored.as_object_mut()) {
            stored.insert("details".to_owned(), details.clone());
        }
        stored
    }

    /// The body.
    pub fn envelope<'a>(&'a self, request_id: &'a str) -> Envelope<'a> {
        Envelope {
            error: Inner {
                code: self.code.as_str(),
                message: &self.message,
                details: self.details.as_ref().map(Cow::Borrowed),
                request_id,
            },
        }
    }
}

fn redact_texts(value: &mut Value, redact: &dyn Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = redact(text),
        Value::Array(items) => items.iter_mut().for_each(|item| redact_texts(item, redact)),
        Value::Object(fields) => fields.values_mut().for_each(|value| redact_texts(value, redact)),
        _ => {}
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        for (name, value) in &self.headers {
            response.append_header((name.clone(), value.clone()));
        }
        response.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_is_as_specified() {
        let error = ApiError::validation(vec![Fault::new("agent_id", "missing field")]);
        let body = serde_json::to_value(error.envelope("r-1")).unwrap();
        let expected = serde_json::json!({"error": {
            "code": "validation_error",
            "message": "`agent_id`: missing field",
            "details": [{"path": "agent_id", "message": "missing field"}],
            "request_id": "r-1",
        }});
        assert_eq!(body, expected);
        let traced = serde_json::to_value(error.envelope("r-1").with_trace(Some("t"))).unwrap();
        assert_eq!(traced, expected, "the details are a list");
        let error = ApiError::bare(Code::NotFound);
        let traced = serde_json::to_value(error.envelope("r-1").with_trace(Some("t"))).unwrap();
        assert_eq!(traced["error"]["details"], serde_json::json!({"trace_id": "t"}));
    }
}
