//! One text, one place to put it, and what the chain says.

use std::sync::Arc;

use life_agent_domain::governance::command::{Chat, Gated, Message, Plan, Turn};
use life_agent_domain::governance::gate::{
    Chain, GateInputs, KillSwitch, NoopObserver, Rate, TargetFact, evaluate,
};
use life_agent_domain::governance::ids::{AgentId, Principal};
use life_agent_gates::paths::normalize;
use life_agent_policy::snapshot::{Workspace, compile, default_text};

/// Where a text is put.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// A turn's input.
    Input,
    /// A plan's context.
    Context,
    /// A plan's target.
    Target,
    /// A plan's target, behind an allowed directory.
    AllowedTarget,
    /// Half in a plan's intent and half in its context.
    Split,
    /// A user's message in a chat.
    UserMessage,
    /// A tool's result in a chat.
    ToolMessage,
}

/// What came of it.
pub(crate) struct Outcome {
    pub(crate) denied: bool,
    /// The rule or pattern behind it.
    pub(crate) rule: String,
    /// The categories of what was found.
    pub(crate) categories: Vec<&'static str>,
    /// The rules of what was found, in the same order.
    pub(crate) rules: Vec<String>,
    /// The rules of category `prompt_injection`.
    pub(crate) injections: Vec<String>,
}

impl Outcome {
    /// The first rule of a category that was found.
    pub(crate) fn rule_of(&self, category: &str) -> &str {
        let at = self.categories.iter().position(|found| *found == category);
        at.and_then(|at| self.rules.get(at)).map(String::as_str).unwrap_or_default()
    }
}

pub(crate) struct Judge {
    chain: Chain,
    agent: AgentId,
}

struct AnyDir;

impl Workspace for AnyDir {
    fn is_dir(&self, _relative: &str) -> bool {
        true
    }
}

impl Judge {
    /// The built-in policy with one allowed directory, `allowed`.
    pub(crate) fn new() -> Result<Self, String> {
        let text = default_text(&["allowed".to_owned()]);
        let snapshot = compile(&text, &AnyDir).map_err(|faults| format!("{faults:?}"))?;
        let chain = life_agent_gates::chain(Arc::new(snapshot), Default::default());
        Ok(Self { chain, agent: AgentId::new("corpus").map_err(|e| e.to_string())? })
    }

    pub(crate) fn put(&self, text: &str, place: Place) -> Outcome {
        let plan = |intent: &str, context: &str, targets: Vec<String>| Plan {
            intent: intent.to_owned(),
            context: context.to_owned(),
            targets,
        };
        let chat = |role: &str| Chat {
            messages: vec![Message { role: role.to_owned(), content: text.to_owned() }],
        };
        match place {
            Place::UserMessage => self.judge(chat("user")),
            Place::ToolMessage => self.judge(chat("tool")),
            Place::Input => self.judge(Turn { agent: self.agent.clone(), input: text.to_owned() }),
            Place::Context => self.judge(plan("tidy up", text, vec![])),
            Place::Target => self.judge(plan("tidy up", "", vec![text.to_owned()])),
            Place::AllowedTarget => {
                self.judge(plan("tidy up", "", vec![format!("allowed/{text}")]))
            }
            Place::Split => {
                let middle = text.char_indices().nth(text.chars().count() / 2);
                let (intent, context) = text.split_at(middle.map_or(0, |(at, _)| at));
                self.judge(plan(intent, context, vec![]))
            }
        }
    }

    fn judge<C: Gated>(&self, command: C) -> Outcome {
        let targets = command.view().targets();
        // As if every target existed just where it is written.
        let fact = |raw: &String| match normalize(raw) {
            Ok(resolved) => TargetFact::Inside { resolved },
            Err(_) => TargetFact::Outside,
        };
        let facts = GateInputs {
            kill_switch: Some(KillSwitch::Off),
            rate: Some(Rate::Within),
            targets: Some(targets.iter().map(fact).collect()),
            ..GateInputs::default()
        };
        let judged =
            evaluate(&self.chain, Principal::new("measure"), command, &facts, &NoopObserver);
        let (trace, refusal) = match &judged {
            Ok(permit) => (permit.trace(), None),
            Err(denial) => (&denial.trace, Some(&denial.refusal)),
        };
        let first = trace.findings.first().map(|finding| finding.rule.clone());
        let injections = trace.findings.iter().filter(|f| f.category == "prompt_injection");
        Outcome {
            injections: injections.map(|finding| finding.rule.clone()).collect(),
            rules: trace.findings.iter().map(|finding| finding.rule.clone()).collect(),
            denied: refusal.is_some(),
            rule: refusal.and_then(|refusal| refusal.rule.clone()).or(first).unwrap_or_default(),
            categories: trace.findings.iter().map(|finding| finding.category).collect(),
        }
    }
}
