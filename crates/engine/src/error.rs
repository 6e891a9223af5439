//! What can go wrong, as callers must be told; the server maps each to a code and a status.

use std::path::Path;

use life_agent_domain::governance::fault::Fault;
use life_agent_domain::governance::gate::Reason;
use life_agent_observer::{JournalError, Rejection};
use life_agent_plans::fault::PlanFault;
use serde::Serialize;

/// Why a call was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A gate refused; the refusal is on the record.
    #[error("{}", .0.message)]
    Denied(Box<DenialReport>),
    /// A policy or profile document has faults; the one in force stays.
    #[error("the policy has {}; `details` names each, and the one in force stays", counted(.0.len()))]
    PolicyInvalid(Vec<Fault>),
    /// A plan cannot be made as asked.
    #[error("{} {}; `details` names each", whose(*.rounds), counted(.faults.len()))]
    PlanInvalid {
        /// `path_forbidden` if one of them is a path that is off limits, else `plan_invalid`.
        code: &'static str,
        /// How many drafts of a model led to it; 0 for what the caller sent.
        rounds: usize,
        /// Everything wrong with it.
        faults: Vec<PlanFault>,
    },
    /// A path that this call may not name.
    #[error("{0}")]
    PathForbidden(String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// It contradicts how things are.
    #[error("{0}")]
    Conflict(String),
    /// Another turn of the agent took longer than this step may wait.
    #[error("a turn of this agent is still under way; ask again when it is done")]
    AgentBusy,
    /// No model provider is configured.
    #[error("no model is configured; set `GROQ_API_KEY` and start again")]
    LlmUnconfigured,
    /// The model provider failed, or what it sent is no answer.
    #[error("{message}")]
    LlmFailed {
        /// What happened; the provider's words are redacted.
        message: String,
    },
    /// The model provider refuses the request as it is; in another form it may pass.
    #[error("{message}")]
    LlmUnsuited {
        /// What happened; the provider's words are redacted.
        message: String,
    },
    /// The model provider took too long.
    #[error("{message}")]
    LlmTimeout {
        /// What was waited for.
        message: String,
    },
    /// The model cannot be asked now; later it may.
    #[error("{message}")]
    LlmBusy {
        /// What is at its limit.
        message: String,
        /// Seconds after which a retry may pass.
        retry_after: u64,
    },
    /// The request cannot work with any provider; nothing was sent.
    #[error("{message}")]
    LlmRefused {
        /// What to change.
        message: String,
    },
    /// More work is queued than the journal can take.
    #[error("more steps are waiting than the journal takes; try again in a moment")]
    Overloaded,
    /// As many turns are queued as may be.
    #[error("the queue of turns is full; try again when some of them are done")]
    QueueFull,
    /// The service ended while a queued turn was being taken.
    #[error(
        "the service stopped while the turn was being taken; nothing was changed, queue it again"
    )]
    Interrupted,
    /// The journal cannot be written or read; nothing was changed.
    #[error("the journal cannot be used right now; nothing was changed, try again later")]
    Unavailable,
}

/// A refusal as the caller sees it.
#[derive(Debug, Clone, Serialize)]
pub struct DenialReport {
    /// Why, as metrics count it.
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
    /// The row that records it.
    pub event_id: u64,
    /// 0 to 1, out of what was found.
    pub score: f64,
    /// What was found; places, never texts.
    pub findings: Vec<life_agent_domain::governance::gate::Finding>,
    /// The policy rules that matched.
    pub applied_policies: Vec<String>,
}

impl From<JournalError> for EngineError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Overloaded => EngineError::Overloaded,
            JournalError::Rejected(Rejection::AgentChanged(_)) => EngineError::AgentBusy,
            JournalError::Rejected(Rejection::LeaseLost { .. }) => EngineError::Interrupted,
            JournalError::Rejected(
                changed @ (Rejection::PlanChanged { .. } | Rejection::KeyClaimed { .. }),
            ) => EngineError::Conflict(changed.to_string()),
            other => {
                tracing::error!(error = %other, "the journal failed");
                EngineError::Unavailable
            }
        }
    }
}

/// Why an engine could not be opened: a sentence for the operator, before anything is served.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The journal cannot be opened.
    #[error("{0}")]
    Journal(#[from] JournalError),
    /// The OPA server cannot be asked.
    #[error("{0}")]
    Opa(#[from] crate::opa_server::BadOpaUrl),
    /// The model provider cannot be asked with these settings.
    #[error("{0}")]
    Llm(String),
    /// A document that the service needs has faults.
    #[error("`{path}` is not valid:{}", list(.faults))]
    Document {
        /// The file.
        path: String,
        /// Everything wrong with it.
        faults: Vec<Fault>,
    },
    /// A file or folder cannot be read or made.
    #[error("cannot use `{path}`: {error}")]
    Path {
        /// The file or folder.
        path: String,
        /// What the system says.
        error: std::io::Error,
    },
}

impl OpenError {
    /// For what the system says about a file or folder.
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
