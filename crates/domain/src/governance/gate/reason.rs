//! Why a request was refused.

use serde::{Deserialize, Serialize};

use crate::governance::command::Kind;
use crate::governance::redaction::{Redact, redact_owned};

/// The cause of a refusal: the label that metrics count and the basis of the error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A risk pattern of an enforced category matched.
    RiskPattern,
    /// A target lies outside the paths that the policy allows.
    PathForbidden,
    /// The OPA gate did not return a clear `true`.
    OpaDeny,
    /// A rule with the effect `deny` matched.
    RuleDeny,
    /// The caller exceeds its rate limit.
    RateLimited,
    /// A model call does not fit into a budget.
    BudgetExceeded,
    /// The kill switch is on.
    KillSwitch,
    /// The agent or the principal is stopped.
    Stopped,
    /// A plan exceeds a limit of the policy.
    PlanLimit,
    /// The policy denies this tool call.
    ToolDenied,
    /// The policy requires the approval of a person.
    ApprovalRequired,
    /// The definition of the tool is not the pinned one.
    ToolChanged,
    /// A gate did not run, or lacked an input that it needs.
    GateUnavailable,
}

/// The error code of a request whose response the gates refused: the request itself was permitted.
pub const RESPONSE_WITHHELD: &str = "response_withheld";

impl Reason {
    /// All reasons, so that counters exist before the first denial.
    pub const ALL: [Reason; 13] = [
        Reason::RiskPattern,
        Reason::PathForbidden,
        Reason::OpaDeny,
        Reason::RuleDeny,
        Reason::RateLimited,
        Reason::BudgetExceeded,
        Reason::KillSwitch,
        Reason::Stopped,
        Reason::PlanLimit,
        Reason::ToolDenied,
        Reason::ApprovalRequired,
        Reason::ToolChanged,
        Reason::GateUnavailable,
    ];

    /// The label of `policy_denied_total{reason}`.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::RiskPattern => "risk_pattern",
            Reason::PathForbidden => "path_forbidden",
            Reason::OpaDeny => "opa_deny",
            Reason::RuleDeny => "rule_deny",
            Reason::RateLimited => "rate_limited",
            Reason::BudgetExceeded => "budget_exceeded",
            Reason::KillSwitch => "kill_switch",
            Reason::Stopped => "stopped",
            Reason::PlanLimit => "plan_limit",
            Reason::ToolDenied => "tool_denied",
            Reason::ApprovalRequired => "approval_required",
            Reason::ToolChanged => "tool_changed",
            Reason::GateUnavailable => "gate_unavailable",
        }
    }

    /// The error code for a request of this kind. Every judgment of a tool call has the code
    /// `tool_denied`; the label still names the kind of judgment.
    pub fn code_for(self, kind: Kind) -> &'static str {
        let judged = matches!(
            self,
            Reason::RiskPattern | Reason::PathForbidden | Reason::OpaDeny | Reason::RuleDeny
        );
        if kind == Kind::Tool && judged { Reason::ToolDenied.code() } else { self.code() }
    }

    /// The error code for requests other than tool calls.
    pub fn code(self) -> &'static str {
        match self {
            Reason::RiskPattern => "prompt_risky",
            Reason::PlanLimit => "plan_invalid",
            other => other.as_str(),
        }
    }

    /// Whether the refusal depends on the moment of the request (rate, budget, switch, state of a gate, files
    /// of the workspace) and not only on its content and the policy. A replay cannot repeat such a
    /// refusal, and a client may retry the same request later.
    pub fn is_transient(self) -> bool {
        match self {
            Reason::RateLimited
            | Reason::BudgetExceeded
            | Reason::KillSwitch
            | Reason::Stopped
            | Reason::PlanLimit
            | Reason::ToolChanged
            | Reason::GateUnavailable => true,
            Reason::RiskPattern
            | Reason::PathForbidden
            | Reason::OpaDeny
            | Reason::RuleDeny
            | Reason::ToolDenied
            | Reason::ApprovalRequired => false,
        }
    }
}

/// A gate's refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The cause.
    pub reason: Reason,
    /// The rule, pattern or glob that decided, if any.
    pub rule: Option<String>,
    /// What the caller may do instead; never repeats a secret.
    pub message: String,
    /// Seconds after which a retry may pass.
    pub retry_after: Option<u64>,
}

impl Refusal {
    /// A refusal that no single rule decided.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, rule: None, message: message.into(), retry_after: None }
    }

    /// Gates repeat no secret, but may name a field or a path that contains one.
    pub(super) fn redacted(self, redactor: &dyn Redact) -> Self {
        Self {
            rule: self.rule.map(|rule| redact_owned(rule, redactor)),
            message: redact_owned(self.message, redactor),
            ..self
        }
    }
}
