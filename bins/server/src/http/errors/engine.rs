//! The one mapping from engine errors and denial reasons to codes.

use life_agent_engine::domain::governance::gate::{RESPONSE_WITHHELD, Reason};
use life_agent_engine::plans::fault::PlanFault;
use life_agent_engine::{DenialReport, EngineError};

use super::{ApiError, Code};

impl From<Reason> for Code {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::RiskPattern => Code::PromptRisky,
            Reason::PathForbidden => Code::PathForbidden,
            Reason::OpaDeny => Code::OpaDeny,
            Reason::RuleDeny => Code::RuleDeny,
            Reason::RateLimited => Code::RateLimited,
            Reason::BudgetExceeded => Code::BudgetExceeded,
            Reason::KillSwitch => Code::KillSwitch,
            Reason::Stopped => Code::Stopped,
            Reason::PlanLimit => Code::PlanInvalid,
            Reason::ToolDenied => Code::ToolDenied,
            Reason::ApprovalRequired => Code::ApprovalRequired,
            Reason::ToolChanged => Code::ToolChanged,
            Reason::GateUnavailable => Code::GateUnavailable,
        }
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        let message = error.to_string();
        match error {
            EngineError::Denied(report) => {
                let denied = Self::new(code_of(&report), message).with_details(&report);
                match (report.retry_after, &report.limit) {
                    (Some(seconds), Some(limit)) => denied.over_limit(limit, seconds),
                    (Some(seconds), None) => denied.retry_after(seconds),
                    (None, _) => denied,
                }
            }
            EngineError::PolicyInvalid(faults) => {
                Self::new(Code::PolicyInvalid, message).with_details(&faults)
            }
            EngineError::PlanInvalid { rounds, faults, .. } => {
                Self::new(plan_code(rounds, &faults), message).with_details(&faults)
            }
            EngineError::PathForbidden(_) => Self::new(Code::PathForbidden, message),
            EngineError::Stopped(_) => Self::new(Code::Stopped, message),
            EngineError::OwnRequest(_) => Self::new(Code::OwnRequest, message),
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
            EngineError::Overloaded | EngineError::Stopping | EngineError::Outdated => {
                Self::new(Code::Overloaded, message).retry_after(1)
            }
            EngineError::Busy => Self::new(Code::Overloaded, message).retry_after(5),
            EngineError::QueueFull => Self::new(Code::Overloaded, message).retry_after(5),
            EngineError::KeyRemoved => Self::new(Code::KeyRemoved, message),
            EngineError::Interrupted => Self::new(Code::Interrupted, message),
            EngineError::JournalFull => Self::new(Code::JournalFull, message),
            EngineError::LimitsUnavailable => {
                Self::new(Code::LimitsUnavailable, message).retry_after(1)
            }
            EngineError::Unavailable => Self::new(Code::JournalUnavailable, message),
            EngineError::OutcomeUnknown => Self::new(Code::OutcomeUnknown, message),
            EngineError::PlansUnavailable => Self::new(Code::PlansUnavailable, message),
            _ => Self::new(Code::Internal, message),
        }
    }
}

/// A refused response has a code of its own: the caller's request was permitted.
fn code_of(report: &DenialReport) -> Code {
    if report.code() == RESPONSE_WITHHELD { Code::ResponseWithheld } else { report.reason.into() }
}

/// A forbidden path outranks other faults, unless a model chose it: then the caller did nothing forbidden.
fn plan_code(rounds: usize, faults: &[PlanFault]) -> Code {
    let forbidden = |fault: &PlanFault| fault.code.reason() == Some(Reason::PathForbidden);
    if rounds == 0 && faults.iter().any(forbidden) {
        Code::PathForbidden
    } else {
        Code::PlanInvalid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_the_code_that_rows_and_checks_show() {
        for reason in Reason::ALL {
            assert_eq!(Code::from(reason).as_str(), reason.code(), "{reason:?}");
        }
    }

    #[test]
    fn each_reason_has_its_status() {
        for (reason, status) in [
            (Reason::RiskPattern, 422),
            (Reason::PathForbidden, 403),
            (Reason::OpaDeny, 403),
            (Reason::RuleDeny, 403),
            (Reason::RateLimited, 429),
            (Reason::BudgetExceeded, 429),
            (Reason::KillSwitch, 503),
            (Reason::Stopped, 503),
            (Reason::PlanLimit, 422),
            (Reason::ToolDenied, 403),
            (Reason::ApprovalRequired, 403),
            (Reason::ToolChanged, 403),
            (Reason::GateUnavailable, 503),
        ] {
            assert_eq!(Code::from(reason).status(), status, "{reason:?}");
        }
    }
}
