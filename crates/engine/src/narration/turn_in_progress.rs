//! A turn in progress: the effects of the model's acts, and the recorded form of its calls. Shared by the
//! service and the replay.

use life_agent_domain::agent::memory::{self, Note};
use life_agent_domain::agent::profile::Profile;
use life_agent_domain::agent::rules::{TurnStep, apply_act, apply_turn, decide_act, decide_recall};
use life_agent_domain::agent::state::AgentState;
use life_agent_domain::governance::command::Act;
use life_agent_domain::governance::event::{TokenUsage, ToolDecision, ToolStep, Withheld};
use life_agent_domain::governance::gate::{GateNotes, Permit};
use life_agent_groq::{ChatReply, FunctionCall};
use serde_json::{Value, json};

use super::tools;
use crate::agents::ModelAct;
use crate::error::DenialReport;

/// The most bytes of recorded replies in one turn: six replies of the longest that a policy allows.
pub(crate) const MAX_REPLIES: usize = 512 * 1024;

/// The recorded part of a reply: the input of the conversation, and the cost.
pub(crate) fn kept(reply: &ChatReply) -> Value {
    let mut message = json!({"role": "assistant", "content": reply.content});
    if !reply.tool_calls.is_empty() {
        message["tool_calls"] = json!(reply.tool_calls);
    }
    let choice = json!({"index": 0, "message": message, "finish_reason": reply.finish_reason});
    json!({"model": reply.model, "choices": [choice], "usage": reply.usage})
}

/// The sum of two costs.
pub(crate) fn sum(one: Option<TokenUsage>, other: Option<TokenUsage>) -> Option<TokenUsage> {
    let (Some(a), Some(b)) = (one, other) else { return one.or(other) };
    Some(TokenUsage {
        prompt_tokens: a.prompt_tokens.saturating_add(b.prompt_tokens),
        completion_tokens: a.completion_tokens.saturating_add(b.completion_tokens),
        total_tokens: a.total_tokens.saturating_add(b.total_tokens),
    })
}

/// A tool call before it has an outcome.
pub(crate) fn called(clean: &FunctionCall) -> ToolStep {
    let arguments = serde_json::from_str(&clean.arguments);
    ToolStep {
        tool: tools::shown_name(clean).to_owned(),
        arguments: arguments.unwrap_or_else(|_| Value::from(clean.arguments.as_str())),
        decision: ToolDecision::Error,
        code: None,
        result: None,
        event_id: None,
    }
}

/// A call that was carried out.
pub(crate) fn done(step: ToolStep, result: Value) -> ToolStep {
    ToolStep { decision: ToolDecision::Allow, result: Some(result), ..step }
}

/// A call that a gate refused.
pub(crate) fn denied(step: ToolStep, code: &str, message: &str) -> ToolStep {
    let result = json!({"status": "denied", "code": code, "message": message});
    let (decision, code) = (ToolDecision::Deny, Some(code.to_owned()));
    ToolStep { decision, code, result: Some(result), ..step }
}

/// A call that could not be parsed or carried out.
pub(crate) fn failed(step: ToolStep, code: &str, message: &str) -> ToolStep {
    let result = json!({"status": "error", "code": code, "message": message});
    let (decision, code) = (ToolDecision::Error, Some(code.to_owned()));
    ToolStep { decision, code, result: Some(result), ..step }
}

/// Whether a denial depends on something that no row contains.
pub(crate) fn is_momentary(report: &DenialReport) -> bool {
    report.reason.is_transient()
        || report.findings.iter().any(|finding| finding.category == "secrets")
}

/// The model returned no narration.
pub(crate) fn stuck(why: &str) -> Withheld {
    let (gate, code) = ("turn".to_owned(), "llm_failed".to_owned());
    Withheld { gate, rule: None, code, message: why.to_owned() }
}

/// The state of an agent during a turn that is not durable yet.
pub(crate) struct TurnInProgress<'p> {
    profile: &'p Profile,
    state: AgentState,
    acts: Vec<ModelAct>,
}

impl<'p> TurnInProgress<'p> {
    /// The state after the decided turn.
    pub(crate) fn after(before: &AgentState, turn: &TurnStep, profile: &'p Profile) -> Self {
        let mut state = before.clone();
        apply_turn(&mut state, turn);
        Self { profile, state, acts: Vec::new() }
    }

    /// The versions of this turn's facts that match a query. The journal's index does not have them yet.
    pub(crate) fn new_facts(&self, query: &str) -> Vec<u64> {
        let new = self.acts.first().map_or(u64::MAX, |first| first.version);
        let facts = self.state.facts.iter().filter(|fact| fact.version >= new);
        facts.filter(|fact| memory::fits(&fact.text, query)).map(|fact| fact.version).collect()
    }

    pub(crate) fn state(&self) -> &AgentState {
        &self.state
    }

    /// The state and the acts before it.
    pub(crate) fn into_parts(self) -> (AgentState, Vec<ModelAct>) {
        (self.state, self.acts)
    }

    /// Applies a permitted act and returns its result for the model. `found` are the facts that a recall
    /// found.
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
        let mut result = json!({"status": "done"});
        if found.is_some() {
            let recalled = |version: &u64| self.state.facts.iter().find(|f| f.version == *version);
            let shown = |fact: &Note| json!({"from_turn": fact.turn, "text": fact.text});
            let facts: Vec<_> = step.recalled.iter().filter_map(recalled).map(shown).collect();
            result["facts"] = facts.into();
        } else if let Some(text) = &step.remembered {
            result["remembered"] = text.as_str().into();
        } else {
            result["known"] = step.known.into();
            result["deltas"] = json!(step.deltas);
            result["vitals"] = json!(self.state.vitals);
        }
        let (version, hash) = (self.state.version, self.state.hash());
        self.acts.push(ModelAct {
            step,
            version,
            hash,
            notes: GateNotes::from(permit.trace()),
            call,
        });
        result
    }
}
