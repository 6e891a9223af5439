//! Errors. The server maps each to a code and a status.

use std::path::Path;

use life_agent_domain::governance::event::CallOutcome;
use life_agent_domain::governance::fault::Fault;
use life_agent_domain::governance::gate::{Denial, GateNotes, RESPONSE_WITHHELD, Reason};
use life_agent_observer::{JournalError, Rejection};
use life_agent_plans::fault::PlanFault;
use serde::Serialize;

use crate::approvals::PendingApproval;

/// The request was not carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A gate refused the request. The denial is durable.
    #[error("{}", .0.message)]
    Denied(Box<DenialReport>),
    /// A policy or profile document has errors. The active policy stays.
    #[error("the policy has {}; `details` lists them, and the active policy stays", counted(.0.len()))]
    PolicyInvalid(Vec<Fault>),
    /// The plan is not valid.
    #[error("{} {}; `details` lists them", whose(*.rounds), counted(.faults.len()))]
    PlanInvalid {
        /// `path_forbidden` if one of them is a path that is off limits, else `plan_invalid`.
        code: &'static str,
        /// The number of drafts of a model; 0 if the caller sent the edits.
        rounds: usize,
        /// All faults of the plan.
        faults: Vec<PlanFault>,
    },
    /// The agent or the principal was stopped during the request.
    #[error("{0}")]
    Stopped(String),
    /// The request names a path that it must not name.
    #[error("{0}")]
    PathForbidden(String),
    /// The caller made the request that it wants to decide about.
    #[error("{0}")]
    OwnRequest(String),
    /// The object does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The request conflicts with the current state.
    #[error("{0}")]
    Conflict(String),
    /// Another turn of the agent took longer than this step waits.
    #[error("a turn of this agent is still in progress; try again when it has ended")]
    AgentBusy,
    /// What the request was decided on has changed at another instance.
    #[error(
        "the kill switch, a stop or the policy has just changed; nothing was changed, try again"
    )]
    Outdated,
    /// No model provider is configured.
    #[error("no model is configured; set `GROQ_API_KEY` and start again")]
    LlmUnconfigured,
    /// The model provider failed or sent an unusable reply.
    #[error("{message}")]
    LlmFailed {
        /// The cause. Texts of the provider are redacted.
        message: String,
    },
    /// The model provider rejects the form of the request; another form may pass.
    #[error("{message}")]
    LlmUnsuited {
        /// The cause. Texts of the provider are redacted.
        message: String,
    },
    /// The model provider took too long.
    #[error("{message}")]
    LlmTimeout {
        /// The cause.
        message: String,
    },
    /// The model is not available now.
    #[error("{message}")]
    LlmBusy {
        /// The exhausted limit.
        message: String,
        /// Seconds after which a retry may pass.
        retry_after: u64,
    },
    /// The service stops, so it does not wait for the model any longer.
    #[error("the service is stopping; try again in a moment")]
    Stopping,
    /// No provider would accept the request; nothing was sent.
    #[error("{message}")]
    LlmRefused {
        /// The required change.
        message: String,
    },
    /// The journal's queue is full.
    #[error("the journal's queue is full; try again in a moment")]
    Overloaded,
    /// Too many validations of policies wait.
    #[error("other policies are being validated; try again in a moment")]
    Busy,
    /// The queue of turns is full.
    #[error("the queue of turns is full; try again when some of them are done")]
    QueueFull,
    /// The key of a queued turn was removed, has expired or may no longer act for the agent.
    #[error(
        "the key that queued the turn may no longer act for this agent; nothing was changed, queue it again with another key"
    )]
    KeyRemoved,
    /// The service stopped during a queued turn.
    #[error(
        "the service stopped while the turn was being taken; nothing was changed, queue it again"
    )]
    Interrupted,
    /// The journal has reached `JOURNAL_MAX_BYTES`. Reads go on.
    #[error(
        "the journal has reached JOURNAL_MAX_BYTES; nothing was changed, the operator must archive it or raise the limit"
    )]
    JournalFull,
    /// The counters that the instances share do not respond. Nothing was changed.
    #[error(
        "the limits cannot be counted right now, because Redis does not respond; nothing was changed, try again in a moment"
    )]
    LimitsUnavailable,
    /// The caller starts more new agents than it may. The service denies the request for it.
    #[error("too many new agents; try again in {retry_after} s")]
    NewAgentLimit {
        /// Seconds after which a retry may pass.
        retry_after: u64,
    },
    /// The journal cannot be written or read; nothing was changed.
    #[error("the journal cannot be used right now; nothing was changed, try again later")]
    Unavailable,
    /// The response to a commit was lost, and the journal cannot be asked.
    #[error(
        "the journal does not respond, and whether the request took effect is unknown; send it again with the same \
         Idempotency-Key, or look for it in the journal"
    )]
    OutcomeUnknown,
    /// The artifact of a plan cannot be written. Nothing was changed.
    #[error(
        "the plan cannot be stored, and nothing was changed; check the space and the permissions of the plans folder"
    )]
    PlansUnavailable,
}

impl EngineError {
    /// The label of a failure of the model, without which a turn or a plan can go on; `None` for other
    /// errors. Stops, denials and the caller's own limits are no failures of the model.
    pub(crate) fn model_failure(&self) -> Option<&'static str> {
        match self {
            EngineError::LlmFailed { .. }
            | EngineError::LlmUnsuited { .. }
            | EngineError::LlmRefused { .. } => Some("llm_failed"),
            EngineError::LlmTimeout { .. } => Some("timeout"),
            // Without the counters, no call fits into a budget.
            EngineError::LlmBusy { .. } | EngineError::LimitsUnavailable => Some("overloaded"),
            _ => None,
        }
    }
}

/// A denial, as the caller sees it.
#[derive(Debug, Clone, Serialize)]
pub struct DenialReport {
    /// The cause.
    #[serde(skip)]
    pub reason: Reason,
    /// The gate that refused.
    pub gate: &'static str,
    /// The rule, pattern or glob that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What the caller may do instead.
    #[serde(skip)]
    pub message: String,
    /// Seconds after which a retry may pass.
    #[serde(skip)]
    pub retry_after: Option<u64>,
    /// The rate limit that the request exceeds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<LimitReport>,
    /// When the limit of a budget starts again: RFC 3339, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<String>,
    /// Whether the model's response was refused, and not the request.
    #[serde(skip)]
    pub withheld: bool,
    /// The row that records it.
    pub event_id: u64,
    /// 0 to 1, computed from the findings.
    pub score: f64,
    /// The findings: places, never texts.
    pub findings: Vec<life_agent_domain::governance::gate::Finding>,
    /// The policy rules that matched.
    pub applied_policies: Vec<String>,
    /// The approval that the request waits for.
    #[serde(flatten)]
    pub approval: Option<PendingApproval>,
}

impl DenialReport {
    /// The error code for the caller. A refusal that depends on the moment (the kill switch, a gate that
    /// did not run) has the same code whether it concerns the request or the response.
    pub fn code(&self) -> &'static str {
        if self.withheld && !self.reason.is_transient() {
            RESPONSE_WITHHELD
        } else {
            self.reason.code()
        }
    }

    /// The outcome of the model call whose response was refused; `None` if the request was.
    pub(crate) fn withheld_call(&self) -> Option<CallOutcome<'_>> {
        self.withheld.then(|| CallOutcome::Withheld {
            denied_by: self.event_id,
            gate: self.gate.into(),
            rule: self.rule.as_deref().map(Into::into),
        })
    }

    /// The report of a denial with its row.
    pub(crate) fn of<C>(denial: &Denial<C>, event_id: u64, notes: GateNotes) -> Self {
        let refusal = &denial.refusal;
        Self {
            reason: refusal.reason,
            gate: denial.gate,
            rule: refusal.rule.clone(),
            message: refusal.message.clone(),
            retry_after: refusal.retry_after,
            limit: None,
            resets_at: None,
            withheld: false,
            event_id,
            score: notes.score,
            findings: notes.findings,
            applied_policies: notes.applied_policies,
            approval: None,
        }
    }
}

/// The limit of a refused request, for the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LimitReport {
    /// Its name in response headers.
    pub name: &'static str,
    /// Whose requests it counts together.
    pub scope: &'static str,
    /// The setting that configures it.
    pub setting: &'static str,
    /// Requests per window.
    pub quota: u64,
    /// The window.
    pub window_seconds: u64,
}

impl From<JournalError> for EngineError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Overloaded => EngineError::Overloaded,
            JournalError::Rejected(Rejection::AgentChanged(_)) => EngineError::AgentBusy,
            JournalError::Rejected(Rejection::Outdated | Rejection::ControlChanged { .. }) => {
                EngineError::Outdated
            }
            JournalError::Rejected(Rejection::LeaseLost { .. }) => EngineError::Interrupted,
            JournalError::Rejected(
                changed @ (Rejection::PlanChanged { .. } | Rejection::KeyClaimed { .. }),
            ) => EngineError::Conflict(changed.to_string()),
            unknown @ JournalError::Unknown(_) => {
                tracing::error!(error = %unknown, "the outcome of a commit is unknown");
                EngineError::OutcomeUnknown
            }
            other => {
                tracing::error!(error = %other, "the journal failed");
                EngineError::Unavailable
            }
        }
    }
}

/// The OPA server cannot be asked with these settings.
#[derive(Debug, thiserror::Error)]
pub enum BadOpaUrl {
    /// The URL is not usable.
    #[error("`OPA_URL` must be an absolute http or https URL without a user and a query")]
    Url,
    /// The token is no header.
    #[error("`OPA_TOKEN` must be visible ASCII characters")]
    Token,
    /// The network would see the token.
    #[error("`OPA_TOKEN` needs an `OPA_URL` with https, or one of this machine")]
    Exposed,
}

/// The engine could not be opened. The message is for the operator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The journal cannot be opened.
    #[error("{0}")]
    Journal(#[from] JournalError),
    /// The OPA server cannot be used.
    #[error("{0}")]
    Opa(#[from] BadOpaUrl),
    /// The model provider cannot be used with these settings.
    #[error("{0}")]
    Llm(String),
    /// A required document has errors.
    #[error("`{path}` is not valid:{}", list(.faults))]
    Document {
        /// The file.
        path: String,
        /// All errors of the document.
        faults: Vec<Fault>,
    },
    /// A file or folder cannot be read or created.
    #[error("cannot use `{path}`: {error}")]
    Path {
        /// The file or folder.
        path: String,
        /// The system's error.
        #[source]
        error: std::io::Error,
    },
}

impl OpenError {
    /// Converts the system's error for a file or folder.
    pub(crate) fn at(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.display().to_string();
        move |error| OpenError::Path { path, error }
    }
}

fn whose(rounds: usize) -> String {
    match rounds {
        0 => "the plan has".to_owned(),
        1 => "the model's draft has".to_owned(),
        _ => format!("the model was asked {rounds} times, and its last draft has"),
    }
}

pub(crate) fn counted(faults: usize) -> String {
    if faults == 1 { "1 fault".to_owned() } else { format!("{faults} faults") }
}

fn list(faults: &[Fault]) -> String {
    faults.iter().map(|fault| format!("\n  {fault}")).collect()
}
