//! The tools gate: tools that the policy denies or asks about, whatever their arguments.

use std::sync::Arc;

use life_agent_domain::governance::command::{Command, Subject};
use life_agent_domain::governance::gate::{
    Effect, Finding, Gate, GateInputs, Reason, Refusal, Verdict,
};
use life_agent_policy::snapshot::Snapshot;

use super::{ToolView, finding_effect, refusal_reason};

/// The policy's own interest, not the sign of an attack.
const WEIGHT: f64 = 0.1;

/// Applies the effects that a policy sets for tools.
#[derive(Debug)]
pub struct ToolsGate {
    snapshot: Arc<Snapshot>,
}

impl ToolsGate {
    /// The tools of one policy.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self { snapshot }
    }
}

impl Gate for ToolsGate {
    fn name(&self) -> &'static str {
        "tools"
    }

    fn check(&self, subject: &Subject<'_>, _facts: &GateInputs) -> Verdict {
        let Command::Tool(tool) = subject.command else { return Verdict::pass() };
        let view = ToolView::shared(subject, &self.snapshot);
        if view.is_none_or(|view| view.too_many) {
            return Verdict::refuse(Refusal {
                reason: Reason::ToolDenied,
                rule: Some("too_many_fields".to_owned()),
                message:
                    "the call has more commands, paths or addresses than can be judged; split \
                          it into several calls"
                        .to_owned(),
                retry_after: None,
            });
        }
        let set = view.and_then(|view| view.effect);
        let effect = set.and_then(|(index, effect)| Some((index, finding_effect(effect)?)));
        let Some((index, effect)) = effect else { return Verdict::pass() };
        let rule = format!("tools.{index}");
        let name = tool.tool.as_str();
        let refusal = refusal_reason(effect, Reason::ToolDenied).map(|reason| Refusal {
            reason,
            rule: Some(rule.clone()),
            message: match effect {
                Effect::Deny => format!(
                    "the policy denies the tool `{name}`; use another tool or leave this to a person"
                ),
                _ => format!("the policy requires an approval for the tool `{name}`"),
            },
            retry_after: None,
        });
        let finding = Finding {
            gate: "",
            category: "tool",
            rule,
            effect,
            field: "tool".to_owned(),
            start: 0,
            end: name.chars().count(),
            weight: WEIGHT,
        };
        Verdict { findings: vec![finding], applied: Vec::new(), refusal }
    }
}
