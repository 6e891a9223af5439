//! What the row of a told turn keeps of its telling, and what the model's calls do to an agent. Service
//! and replay share it.

use life_agent_domain::agent::memory::{self, Note};
use life_agent_domain::agent::profile::Profile;
use life_agent_domain::agent::rules::{
    ActStep, TurnStep, apply_act, apply_turn, decide_act, decide_recall,
};
use life_agent_domain::agent::state::AgentState;
use life_agent_domain::governance::command::Act;
use life_agent_domain::governance::gate::{Permit, Reason};
use life_agent_groq::{ChatReply, FunctionCall, Usage};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::tools;
use crate::answers::GateNotes;
use crate::error::DenialReport;
use crate::told::{Decision, ToolStep, Withheld};

/// Longest that all answers of the model to one turn may be, in bytes of the JSON that is kept. The
/// longest that a policy allows to be asked for six times over has room.
pub(super) const MAX_TOLD: usize = 512 * 1024;

/// How a turn was told. With the code that told it, all of it can be told again.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Telling {
    /// The first request as it was sent, but for the tools.
    pub(crate) request: Map<String, Value>,
    /// What the model answered to it and to those that followed, in their order.
    pub(crate) exchanges: Vec<Heard>,
    /// What the model did on the way.
    pub(crate) steps: Vec<KeptStep>,
    /// Why the model's text is not the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) withheld: Option<Withheld>,
    /// What all of it cost.
    pub(crate) usage: Option<Usage>,
    /// How long it took, in milliseconds.
    pub(crate) latency_ms: u64,
}

/// One answer of the model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Heard {
    /// [`life_agent_groq::Exchange::digest`] of the request.
    pub(crate) digest: String,
    /// What was taken of the answer, without credentials.
    pub(crate) reply: Value,
}

/// One call of a tool, as a row keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct KeptStep {
    #[serde(flatten)]
    pub(crate) step: ToolStep,
    /// What a recall found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) found: Vec<u64>,
    /// Whether what became of it hung on what the row does not hold: the moment, files, a credential.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) momentary: bool,
}

/// What is kept of an answer: what the telling goes on from, and what it cost.
pub(super) fn kept(reply: &ChatReply) -> Value {
    let mut message = json!({"role": "assistant", "content": reply.content});
    if !reply.tool_calls.is_empty() {
        message["tool_calls"] = json!(reply.tool_calls);
    }
    let choice = json!({"index": 0, "message": message, "finish_reason": reply.finish_reason});
    json!({"model": reply.model, "choices": [choice], "usage": reply.usage})
}

/// Both costs together.
pub(super) fn sum(one: Option<Usage>, other: Option<Usage>) -> Option<Usage> {
    let (Some(a), Some(b)) = (one, other) else { return one.or(other) };
    Some(Usage {
        prompt_tokens: a.prompt_tokens.saturating_add(b.prompt_tokens),
        completion_tokens: a.completion_tokens.saturating_add(b.completion_tokens),
        total_tokens: a.total_tokens.saturating_add(b.total_tokens),
    })
}

impl ToolStep {
    /// A call that has had no effect yet.
    pub(super) fn called(clean: &FunctionCall) -> Self {
        let arguments = serde_json::from_str(&clean.arguments);
        Self {
            tool: tools::shown_name(clean).to_owned(),
            arguments: arguments.unwrap_or_else(|_| Value::from(clean.arguments.as_str())),
            decision: Decision::Error,
            code: None,
            result: None,
            event_id: None,
        }
    }

    /// The same, done.
    pub(super) fn done(self, result: Value) -> Self {
        Self { decision: Decision::Allow, result: Some(result), ..self }
    }

    /// The same, refused by a gate.
    pub(super) fn denied(self, code: &str, message: &str) -> Self {
        let result = json!({"status": "denied", "code": code, "message": message});
        let (decision, code) = (Decision::Deny, Some(code.to_owned()));
        Self { decision, code, result: Some(result), ..self }
    }

    /// The same, which could not be read or done.
    pub(super) fn failed(self, code: &str, message: &str) -> Self {
        let result = json!({"status": "error", "code": code, "message": message});
        let (decision, code) = (Decision::Error, Some(code.to_owned()));
        Self { decision, code, result: Some(result), ..self }
    }
}

/// Whether a denial hung on what no row holds.
pub(super) fn is_momentary(report: &DenialReport) -> bool {
    matches!(report.reason, Reason::RateLimited | Reason::KillSwitch)
        || report.findings.iter().any(|finding| finding.category == "secrets")
}

/// An agent in a turn that is not on the record yet.
pub(crate) struct Working<'p> {
    profile: &'p Profile,
    state: AgentState,
    acts: Vec<Done>,
}

/// One act of the model in that turn.
pub(crate) struct Done {
    pub(crate) step: ActStep,
    pub(crate) version: u64,
    pub(crate) hash: String,
    pub(crate) notes: GateNotes,
    /// Which of the turn's tool calls it was.
    pub(crate) call: usize,
}

impl<'p> Working<'p> {
    /// The agent after a settled turn.
    pub(crate) fn after(before: &AgentState, turn: &TurnStep, profile: &'p Profile) -> Self {
        let mut state = before.clone();
        apply_turn(&mut state, turn);
        Self { profile, state, acts: Vec::new() }
    }

    /// The facts of this turn that fit a query, by version; the journal's index has them only once the
    /// turn is on the record.
    pub(super) fn new_facts(&self, query: &str) -> Vec<u64> {
        let new = self.acts.first().map_or(u64::MAX, |first| first.version);
        let facts = self.state.facts.iter().filter(|fact| fact.version >= new);
        facts.filter(|fact| memory::fits(&fact.text, query)).map(|fact| fact.version).collect()
    }

    pub(crate) fn state(&self) -> &AgentState {
        &self.state
    }

    /// The state, and the acts that led to it.
    pub(crate) fn into_parts(self) -> (AgentState, Vec<Done>) {
        (self.state, self.acts)
    }

    /// Takes a permitted step; what the model is told of it. `found` are the facts that a recall found.
    pub(crate) fn act(
        &mut self,
        permit: &Permit<Act>,
        found: Option<&[u64]>,
        call: usize,
    ) -> Value {
        let step = match found {
            Some(found) => decide_recall(&self.state, self.profile, permit, found),
            None => decide_act(&self.state, self.profile, permit),
        };
        apply_act(&mut self.state, &step);
        let mut told = json!({"status": "done"});
        if found.is_some() {
            let recalled = |version: &u64| self.state.facts.iter().find(|f| f.version == *version);
            let shown = |fact: &Note| json!({"from_turn": fact.turn, "text": fact.text});
            let facts: Vec<_> = step.recalled.iter().filter_map(recalled).map(shown).collect();
            told["facts"] = facts.into();
        } else if let Some(text) = &step.remembered {
            told["remembered"] = text.as_str().into();
        } else {
            told["known"] = step.known.into();
            told["deltas"] = json!(step.deltas);
            told["vitals"] = json!(self.state.vitals);
        }
        let (version, hash) = (self.state.version, self.state.hash());
        self.acts.push(Done { step, version, hash, notes: GateNotes::from(permit.trace()), call });
        told
    }
}
