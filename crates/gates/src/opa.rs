//! The OPA gate: an embedded engine or a server evaluates `data.agent.allow`. Only a clear `true` passes.

#[cfg(not(feature = "opa"))]
mod absent;
#[cfg(feature = "opa")]
mod bounds;
#[cfg(feature = "opa")]
mod embedded;

use std::sync::Arc;

use life_agent_domain::governance::command::{Command, Kind, Subject};
use life_agent_domain::governance::gate::{Gate, GateInputs, OpaAnswer, Reason, Refusal, Verdict};
use serde_json::json;

use crate::tool::ToolView;

#[cfg(not(feature = "opa"))]
pub use absent::OpaPolicy;
#[cfg(feature = "opa")]
pub use embedded::OpaPolicy;

/// The rule that decides.
const ENTRY_POINT: &str = "data.agent.allow";

/// A Rego module as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// The name of its file, which faults show.
    pub name: String,
    /// Its text.
    pub text: String,
}

fn deny(why: &str) -> OpaAnswer {
    OpaAnswer::Deny { why: why.to_owned() }
}

/// Evaluates inputs in this process.
pub trait Decide: Send + Sync {
    /// The answer to an input.
    fn decide(&self, input: serde_json::Value) -> OpaAnswer;
}

impl Decide for OpaPolicy {
    fn decide(&self, input: serde_json::Value) -> OpaAnswer {
        OpaPolicy::decide(self, input)
    }
}

/// What evaluates the policy of the OPA gate.
#[derive(Clone)]
pub enum Opa {
    /// Compiled modules.
    Embedded(Arc<dyn Decide>),
    /// A server, whose answer is [`GateInputs::opa`].
    Remote,
    /// Modules that do not compile. Every request is denied until they do.
    Broken,
}

/// The gate.
pub(crate) struct OpaGate {
    pub(crate) opa: Opa,
    pub(crate) policy_hash: String,
}

impl Gate for OpaGate {
    fn name(&self) -> &'static str {
        "opa"
    }

    fn check(&self, subject: &Subject<'_>, facts: &GateInputs) -> Verdict {
        let answer = match &self.opa {
            Opa::Embedded(policy) => policy.decide(input(subject, facts, &self.policy_hash)),
            Opa::Remote => {
                facts.opa.clone().unwrap_or_else(|| deny("the policy server was not queried"))
            }
            Opa::Broken => deny("its modules do not compile; see the service's log"),
        };
        match answer {
            OpaAnswer::Allow => Verdict::pass(),
            OpaAnswer::Deny { why } => Verdict::refuse(refusal(subject.command.kind(), &why)),
        }
    }
}

/// The refusal of a request that the policy engine did not allow.
pub fn refusal(kind: Kind, why: &str) -> Refusal {
    Refusal {
        rule: Some(ENTRY_POINT.to_owned()),
        ..Refusal::new(
            Reason::OpaDeny,
            format!(
                "the OPA gate did not allow this {}: {why}; ask the maintainer of its modules",
                kind.as_str()
            ),
        )
    }
}

/// The input of the modules: `{kind, principal, agent_id, intent, context, targets, action, input, payload,
/// findings, policy_hash}`, each null where the kind of request has none. `findings` are those of the gates
/// before. A tool call adds `{tool, server, session_id, cwd, arguments, commands, fields}`: its parsed
/// commands, and the meaning of its fields by JSON pointer.
pub fn input(subject: &Subject<'_>, facts: &GateInputs, policy_hash: &str) -> serde_json::Value {
    let command = subject.command;
    let mut input = json!({
        "kind": command.kind().as_str(),
        "principal": subject.principal.as_str(),
        "agent_id": command.agent().map(|agent| agent.as_str()),
        "intent": null,
        "context": null,
        "targets": command.targets(),
        "action": null,
        "input": null,
        "payload": null,
        "findings": subject.trace.findings,
        "policy_hash": policy_hash,
    });
    match command {
        Command::Act(act) => {
            input["action"] = json!(act.action.as_str());
            input["payload"] = json!(act.payload.as_object());
        }
        Command::Turn(turn) => {
            input["input"] = json!(turn.input);
            input["intent"] = json!(facts.intent);
        }
        Command::Plan(plan) => {
            input["intent"] = json!(plan.intent);
            input["context"] = json!(plan.context);
        }
        Command::Chat(chat) => {
            let said: Vec<_> =
                chat.messages.iter().map(|message| message.content.as_str()).collect();
            input["input"] = json!(said.join("\n"));
        }
        Command::Tool(tool) => {
            input["tool"] = json!(tool.tool);
            input["server"] = json!(tool.server);
            input["session_id"] = json!(tool.session_id);
            input["cwd"] = json!(tool.cwd);
            input["arguments"] = json!(tool.arguments.as_object());
            if let Some(view) = subject.computed::<ToolView>() {
                input["commands"] = json!(view.commands);
                let meanings = view.meanings.iter();
                let meanings = meanings.map(|(pointer, meaning)| (pointer.clone(), json!(meaning)));
                input["fields"] = serde_json::Value::Object(meanings.collect());
            }
        }
    }
    input
}

#[cfg(feature = "opa")]
#[cfg(test)]
mod tests;
