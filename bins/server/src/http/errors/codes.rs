//! The error codes: one table of code, status and meaning.

use actix_web::http::StatusCode;

macro_rules! codes {
    ($($variant:ident = $code:literal, $status:ident, $meaning:literal;)*) => {
        /// A machine-readable error code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = $meaning] $variant,)*
        }

        impl Code {
            /// Every code.
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

codes! {
    MalformedJson = "malformed_json", BAD_REQUEST, "the body is not JSON";
    BadRequest = "bad_request", BAD_REQUEST, "the request is not valid HTTP";
    MissingApiKey = "missing_api_key", UNAUTHORIZED, "no key was sent";
    InvalidApiKey = "invalid_api_key", UNAUTHORIZED, "the key is unknown";
    PathForbidden = "path_forbidden", FORBIDDEN, "a path is outside the allowed directories";
    OpaDeny = "opa_deny", FORBIDDEN, "the OPA gate did not allow the request";
    RuleDeny = "rule_deny", FORBIDDEN, "a policy rule denies the request";
    ScopeMissing = "scope_missing", FORBIDDEN, "the key lacks the required scope";
    AgentForbidden = "agent_forbidden", FORBIDDEN, "the key may not access this agent";
    OriginForbidden = "origin_forbidden", FORBIDDEN, "the page that sent the request is of a foreign origin";
    OwnRequest = "own_request", FORBIDDEN, "the person who made the request may not decide it";
    KeyRemoved = "key_removed", FORBIDDEN, "the key that queued the turn was removed";
    ToolDenied = "tool_denied", FORBIDDEN, "the policy denies the tool call";
    ToolChanged = "tool_changed", FORBIDDEN, "the definition of the tool is not the pinned one";
    ApprovalRequired = "approval_required", FORBIDDEN, "the policy requires a person's approval";
    NotFound = "not_found", NOT_FOUND, "the resource does not exist";
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "the path does not support this method; see `Allow`";
    RequestTimeout = "request_timeout", REQUEST_TIMEOUT, "the body did not arrive in time";
    Conflict = "conflict", CONFLICT, "the request conflicts with the current state";
    AgentBusy = "agent_busy", CONFLICT, "a turn of the agent is in progress; see `Retry-After`";
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE, "the body is larger than 1 MiB";
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "the body must be `application/json`";
    ValidationError = "validation_error", UNPROCESSABLE_ENTITY, "fields are invalid; `details` names each";
    PromptRisky = "prompt_risky", UNPROCESSABLE_ENTITY, "a risk pattern matched";
    ResponseWithheld = "response_withheld", UNPROCESSABLE_ENTITY, "the gates refused the model's response";
    IdempotencyMismatch = "idempotency_mismatch", UNPROCESSABLE_ENTITY, "the `Idempotency-Key` was used before with another body";
    PolicyInvalid = "policy_invalid", UNPROCESSABLE_ENTITY, "the policy is invalid; `details` names each fault";
    PlanInvalid = "plan_invalid", UNPROCESSABLE_ENTITY, "the plan is invalid; `details` names each fault";
    RateLimited = "rate_limited", TOO_MANY_REQUESTS, "too many requests; see `Retry-After`";
    BudgetExceeded = "budget_exceeded", TOO_MANY_REQUESTS, "a budget of the policy is used up; see `Retry-After`";
    Internal = "internal", INTERNAL_SERVER_ERROR, "the server failed";
    LlmFailed = "llm_failed", BAD_GATEWAY, "the model provider failed";
    KillSwitch = "kill_switch", SERVICE_UNAVAILABLE, "the kill switch is on";
    Stopped = "stopped", SERVICE_UNAVAILABLE, "the agent or the principal is stopped";
    GateUnavailable = "gate_unavailable", SERVICE_UNAVAILABLE, "a gate did not run or lacked an input";
    LlmUnconfigured = "llm_unconfigured", SERVICE_UNAVAILABLE, "no model is configured";
    JournalUnavailable = "journal_unavailable", SERVICE_UNAVAILABLE, "the journal is unavailable; nothing was changed";
    OutcomeUnknown = "outcome_unknown", SERVICE_UNAVAILABLE, "the response of the database was lost; whether the request took effect is unknown";
    PlansUnavailable = "plans_unavailable", SERVICE_UNAVAILABLE, "the plan cannot be stored; nothing was changed";
    JournalFull = "journal_full", SERVICE_UNAVAILABLE, "the journal has reached `JOURNAL_MAX_BYTES`; nothing was changed";
    LimitsUnavailable = "limits_unavailable", SERVICE_UNAVAILABLE, "Redis, which counts the limits, does not respond; nothing was changed; see `Retry-After`";
    Interrupted = "interrupted", SERVICE_UNAVAILABLE, "the service stopped while it ran a queued turn";
    Overloaded = "overloaded", SERVICE_UNAVAILABLE, "too many requests are waiting; see `Retry-After`";
    Timeout = "timeout", GATEWAY_TIMEOUT, "the model did not respond in time";
}

impl Code {
    /// The codes of any endpoint with a body.
    pub const OF_BODIES: &[Code] = &[
        Code::MalformedJson,
        Code::RequestTimeout,
        Code::BodyTooLarge,
        Code::UnsupportedMediaType,
        Code::ValidationError,
    ];

    /// The codes of gates and journal, for any endpoint that acts.
    pub const OF_GATES: &[Code] = &[
        Code::PromptRisky,
        Code::PathForbidden,
        Code::OpaDeny,
        Code::RuleDeny,
        Code::KillSwitch,
        Code::Stopped,
        Code::JournalUnavailable,
        Code::OutcomeUnknown,
        Code::JournalFull,
        Code::Overloaded,
    ];

    /// The code as text.
    pub fn as_str(self) -> &'static str {
        self.row().0
    }

    /// Its status.
    pub fn status(self) -> StatusCode {
        self.row().1
    }

    /// Its meaning, in one line.
    pub fn meaning(self) -> &'static str {
        self.row().2
    }

    /// The code for an error of the framework, of which only the status is known.
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_have_an_error_status() {
        let names: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| code.status().as_u16() >= 400));
    }

    #[test]
    fn errors_of_the_framework_get_a_code() {
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
}
