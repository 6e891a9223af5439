//! Every error that an answer can carry: one table of codes, one envelope.

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpResponse, ResponseError};
use life_agent_engine::EngineError;
use life_agent_engine::domain::governance::fault::Fault;
use serde::Serialize;
use serde_json::Value;

macro_rules! codes {
    ($($variant:ident = $code:literal, $status:ident, $meaning:literal;)*) => {
        /// What went wrong, as programs read it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = $meaning] $variant,)*
        }

        impl Code {
            /// All of them.
            pub const ALL: &[Code] = &[$(Code::$variant,)*];

            /// Code, status and meaning.
            fn row(self) -> (&'static str, StatusCode, &'static str) {
                match self {
                    $(Code::$variant => ($code, StatusCode::$status, $meaning),)*
                }
            }
        }
    };
}

// The one table.
codes! {
    MalformedJson = "malformed_json", BAD_REQUEST, "the body is not JSON";
    BadRequest = "bad_request", BAD_REQUEST, "the request is not one that HTTP allows here";
    MissingApiKey = "missing_api_key", UNAUTHORIZED, "no key was sent";
    InvalidApiKey = "invalid_api_key", UNAUTHORIZED, "the key is not known";
    PathForbidden = "path_forbidden", FORBIDDEN, "a path lies outside of what is allowed";
    OpaDeny = "opa_deny", FORBIDDEN, "the OPA gate did not say yes";
    RuleDeny = "rule_deny", FORBIDDEN, "a rule of the policy refuses it";
    ToolDenied = "tool_denied", FORBIDDEN, "the policy denies the tool call";
    ApprovalRequired = "approval_required", FORBIDDEN, "the policy asks a person before the request may proceed";
    NotFound = "not_found", NOT_FOUND, "there is no such thing";
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "not with this method; see `Allow`";
    RequestTimeout = "request_timeout", REQUEST_TIMEOUT, "the body did not arrive in time";
    Conflict = "conflict", CONFLICT, "it contradicts how things are";
    AgentBusy = "agent_busy", CONFLICT, "a turn of the agent is still under way; see `Retry-After`";
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE, "the body is larger than 1 MiB";
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "the body must be `application/json`";
    ValidationError = "validation_error", UNPROCESSABLE_ENTITY, "fields are wrong; `details` names each";
    PromptRisky = "prompt_risky", UNPROCESSABLE_ENTITY, "a risk pattern was found";
    IdempotencyMismatch = "idempotency_mismatch", UNPROCESSABLE_ENTITY, "the `Idempotency-Key` was sent with another body before";
    PolicyInvalid = "policy_invalid", UNPROCESSABLE_ENTITY, "the policy has faults; `details` names each";
    PlanInvalid = "plan_invalid", UNPROCESSABLE_ENTITY, "the plan has faults; `details` names each";
    RateLimited = "rate_limited", TOO_MANY_REQUESTS, "too many requests; see `Retry-After`";
    Internal = "internal", INTERNAL_SERVER_ERROR, "the server failed";
    LlmFailed = "llm_failed", BAD_GATEWAY, "the model provider failed";
    KillSwitch = "kill_switch", SERVICE_UNAVAILABLE, "the kill switch is on";
    LlmUnconfigured = "llm_unconfigured", SERVICE_UNAVAILABLE, "no model is configured";
    JournalUnavailable = "journal_unavailable", SERVICE_UNAVAILABLE, "the journal cannot be used; nothing was changed";
    Interrupted = "interrupted", SERVICE_UNAVAILABLE, "the service stopped while a queued turn was being taken";
    Overloaded = "overloaded", SERVICE_UNAVAILABLE, "too much is waiting; see `Retry-After`";
    Timeout = "timeout", GATEWAY_TIMEOUT, "the model did not answer in time";
}

impl Code {
    /// The code as text.
    pub fn as_str(self) -> &'static str {
        self.row().0
    }

    /// Its status.
    pub fn status(self) -> StatusCode {
        self.row().1
    }

    /// What it means, in a line.
    pub fn meaning(self) -> &'static str {
        self.row().2
    }

    fn named(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|candidate| candidate.as_str() == code)
    }

    /// The code for an error that the framework made, of which only the status is known.
    pub fn of_status(status: StatusCode) -> Self {
        let first = Self::ALL.iter().copied().find(|code| code.status() == status);
        match (first, status.is_server_error()) {
            _ if status == StatusCode::BAD_REQUEST => Code::BadRequest,
            (Some(code), _) => code,
            (None, true) => Code::Internal,
            (None, false) => Code::BadRequest,
        }
    }
}

/// An error on its way to the caller; the envelope is put around it by
/// [`crate::middleware::envelope`], which knows the request's id.
#[derive(Debug, thiserror::Error)]
#[error("{}: {message}", code.as_str())]
pub struct ApiError {
    /// Its code.
    pub code: Code,
    message: String,
    details: Option<Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// The body of every error answer.
#[derive(Debug, Serialize)]
pub struct Envelope<'a> {
    error: Inner<'a>,
}

#[derive(Debug, Serialize)]
struct Inner<'a> {
    code: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a Value>,
    request_id: &'a str,
}

impl ApiError {
    /// An error of this code with these words.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: None, headers: Vec::new() }
    }

    /// An error of which only the code is known.
    pub fn bare(code: Code) -> Self {
        Self::new(code, code.meaning())
    }

    /// Fields that are wrong.
    pub fn validation(faults: Vec<Fault>) -> Self {
        let message = match faults.as_slice() {
            [one] if one.path.is_empty() => one.message.clone(),
            [one] => format!("`{}`: {}", one.path, one.message),
            many => format!("{} fields are wrong; `details` names each", many.len()),
        };
        Self::new(Code::ValidationError, message).with_details(&faults)
    }

    /// A path that knows other methods than this one.
    pub fn method_not_allowed(allowed: &[Method]) -> Self {
        let names = allowed.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        let error = Self::bare(Code::MethodNotAllowed);
        match HeaderValue::from_str(&names) {
            Ok(names) => error.with_header(header::ALLOW, names),
            Err(_) => error,
        }
    }

    /// The same with details.
    pub fn with_details(mut self, details: &impl Serialize) -> Self {
        self.details = serde_json::to_value(details).ok();
        self
    }

    /// The same with a header.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same with `Retry-After`.
    pub fn retry_after(self, seconds: u64) -> Self {
        self.with_header(header::RETRY_AFTER, seconds.into())
    }

    /// The same with every text cleaned: messages may repeat what the caller wrote, in a field's name
    /// for instance.
    pub fn cleaned(&self, clean: &dyn Fn(&str) -> String) -> Self {
        let mut details = self.details.clone();
        if let Some(details) = &mut details {
            clean_texts(details, clean);
        }
        let headers = self.headers.clone();
        Self { code: self.code, message: clean(&self.message), details, headers }
    }

    /// Whether a gate refused what was asked, and would again.
    pub fn is_decision(&self) -> bool {
        matches!(
            self.code,
            Code::PromptRisky | Code::PathForbidden | Code::OpaDeny | Code::RuleDeny
        )
    }

    /// What is kept of it for whoever asks later: the body without its request.
    pub fn kept(&self) -> Value {
        let mut kept = serde_json::json!({ "code": self.code.as_str(), "message": self.message });
        if let (Some(details), Some(kept)) = (&self.details, kept.as_object_mut()) {
            kept.insert("details".to_owned(), details.clone());
        }
        kept
    }

    /// The body.
    pub fn envelope<'a>(&'a self, request_id: &'a str) -> Envelope<'a> {
        Envelope {
            error: Inner {
                code: self.code.as_str(),
                message: &self.message,
                details: self.details.as_ref(),
                request_id,
            },
        }
    }
}

fn clean_texts(value: &mut Value, clean: &dyn Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = clean(text),
        Value::Array(items) => items.iter_mut().for_each(|item| clean_texts(item, clean)),
        Value::Object(fields) => fields.values_mut().for_each(|value| clean_texts(value, clean)),
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

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        let message = error.to_string();
        match error {
            EngineError::Denied(report) => {
                let code = Code::named(report.reason.code()).unwrap_or(Code::Internal);
                let denied = Self::new(code, message).with_details(&report);
                match report.retry_after {
                    Some(seconds) => denied.retry_after(seconds),
                    None => denied,
                }
            }
            EngineError::PolicyInvalid(faults) => {
                Self::new(Code::PolicyInvalid, message).with_details(&faults)
            }
            EngineError::PlanInvalid { code, faults, .. } => {
                let code = Code::named(code).unwrap_or(Code::PlanInvalid);
                Self::new(code, message).with_details(&faults)
            }
            EngineError::PathForbidden(_) => Self::new(Code::PathForbidden, message),
            EngineError::NotFound(_) => Self::new(Code::NotFound, message),
            EngineError::Conflict(_) => Self::new(Code::Conflict, message),
            EngineError::AgentBusy => Self::new(Code::AgentBusy, message).retry_after(1),
            EngineError::LlmUnconfigured => Self::new(Code::LlmUnconfigured, message),
            EngineError::LlmFailed { .. } | EngineError::LlmUnsuited { .. } => {
                Self::new(Code::LlmFailed, message)
            }
            EngineError::LlmTimeout { .. } => Self::new(Code::Timeout, message),
            EngineError::LlmBusy { retry_after, .. } => {
                Self::new(Code::Overloaded, message).retry_after(retry_after)
            }
            EngineError::LlmRefused { .. } => Self::new(Code::ValidationError, message),
            EngineError::Overloaded => Self::new(Code::Overloaded, message).retry_after(1),
            EngineError::QueueFull => Self::new(Code::Overloaded, message).retry_after(5),
            EngineError::Interrupted => Self::new(Code::Interrupted, message),
            EngineError::Unavailable => Self::new(Code::JournalUnavailable, message),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use life_agent_engine::domain::governance::gate::Reason;

    use super::*;

    #[test]
    fn each_code_stands_for_one_thing() {
        let names: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| code.status().as_u16() >= 400));
    }

    #[test]
    fn each_reason_of_a_denial_has_its_code_and_status() {
        for (reason, status) in [
            (Reason::RiskPattern, 422),
            (Reason::PathForbidden, 403),
            (Reason::OpaDeny, 403),
            (Reason::RuleDeny, 403),
            (Reason::RateLimited, 429),
            (Reason::KillSwitch, 503),
            (Reason::PlanLimit, 422),
            (Reason::ToolDenied, 403),
            (Reason::ApprovalRequired, 403),
        ] {
            let code = Code::named(reason.code()).unwrap();
            assert_eq!(code.status(), status, "{reason:?}");
        }
    }

    #[test]
    fn errors_of_the_framework_find_a_code() {
        for (status, code) in [
            (400, "bad_request"),
            (404, "not_found"),
            (405, "method_not_allowed"),
            (413, "body_too_large"),
            (414, "bad_request"),
            (500, "internal"),
            (501, "internal"),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(Code::of_status(status).as_str(), code, "{status}");
        }
    }

    #[test]
    fn the_envelope_is_what_the_contract_says() {
        let error = ApiError::validation(vec![Fault::new("agent_id", "missing field")]);
        let body = serde_json::to_value(error.envelope("r-1")).unwrap();
        let expected = serde_json::json!({"error": {
            "code": "validation_error",
            "message": "`agent_id`: missing field",
            "details": [{"path": "agent_id", "message": "missing field"}],
            "request_id": "r-1",
        }});
        assert_eq!(body, expected);
    }
}
