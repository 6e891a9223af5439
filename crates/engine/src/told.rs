//! What a turn answers, whole and in pieces.

use life_agent_domain::agent::rules::TurnStep;
use life_agent_groq::Usage;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::answers::{GateNotes, Source};
use crate::error::EngineError;

/// A turn that is on the record.
#[derive(Debug, Clone)]
pub struct Turned {
    /// The step; its response is what the caller is answered, whoever told it.
    pub step: TurnStep,
    /// The number of its row.
    pub event_id: u64,
    /// The state's version after the turn and all that was done in it.
    pub state_version: u64,
    /// The state's hash after that.
    pub state_hash: String,
    /// What the gates noted about the input.
    pub notes: GateNotes,
    /// Who told it.
    pub source: Source,
    /// What the model cost, all of its calls together, where the provider tells.
    pub usage: Option<Usage>,
    /// Why the model's text is not the answer, if it was asked for one.
    pub withheld: Option<Withheld>,
    /// What the model did on the way, in this order.
    pub steps: Vec<ToolStep>,
}

/// Why the rules' sentence stands where the model's text should.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Withheld {
    /// The gate that refused the text; `turn` where there was no text to judge.
    pub gate: String,
    /// The rule or pattern that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The error code that a chat would have got.
    pub code: String,
    /// Why, in a sentence.
    pub message: String,
}

/// One call of a tool by the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ToolStep {
    /// The tool; `unknown` if there is none of the name.
    pub tool: String,
    /// What it was called with, without credentials; a text where that is no JSON.
    pub arguments: Value,
    /// What became of it.
    pub decision: Decision,
    /// The error code, where it was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What the model was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// The row that records it; none while its turn is not on the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<u64>,
}

/// What became of a tool's call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ToolDecision))]
pub enum Decision {
    /// It passed the gates and was done.
    Allow,
    /// A gate refused it.
    Deny,
    /// It could not be read, or could not be done as asked.
    Error,
}

/// One event of a turn that is told while it happens.
#[derive(Debug)]
pub enum TurnEvent {
    /// More of the text, redacted.
    Delta(String),
    /// The model called a tool.
    Tool(Box<ToolStep>),
    /// All of it, on the record.
    Done(Box<Turned>),
    /// It ends here; nothing comes after this.
    Failed(EngineError),
}
