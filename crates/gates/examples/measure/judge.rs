//! One text, one place to put it, and what the chain says.

use std::sync::Arc;

use life_agent_domain::command::{Gated, Plan, Turn};
use life_agent_domain::gate::{Chain, Facts, KillSwitch, Rate, TargetFact, Unwatched, evaluate};
use life_agent_domain::ids::{AgentId, Principal};
use life_agent_gates::paths::normalise;

/// Where a text is put.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
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
}

/// What came of it.
pub struct Outcome {
    pub denied: bool,
    /// Whether a find was only recorded.
    pub observed: bool,
    /// The rule or pattern behind it.
    pub rule: String,
}

pub struct Judge {
    chain: Chain,
    agent: AgentId,
}

impl Judge {
    /// The built-in policy with one allowed directory, `allowed`.
    pub fn new() -> Result<Self, String> {
        use life_agent_policy::document::*;
        let policy = Policy { version: "1".into(), allowed_dirs: vec!["allowed".into()], deny_globs: vec![], max_diff_lines: 800, llm: Llm::default(), rules: vec![], risk: Risk::default(), observer: Observer::default(), plans: Plans::default() };
        let snapshot = life_agent_policy::snapshot::Snapshot { policy, hash: String::new(), deny_globs: Default::default(), rules: vec![], patterns: vec![] };
        let chain = life_agent_gates::chain(Arc::new(snapshot), Default::default());
        Ok(Self { chain, agent: AgentId::new("corpus").map_err(|e| e.to_string())? })
    }

    pub fn put(&self, text: &str, place: Place) -> Outcome {
        let plan = |intent: &str, context: &str, targets: Vec<String>| Plan {
            intent: intent.to_owned(),
            context: context.to_owned(),
            targets,
        };
        match place {
            Place::Input => {
                self.judge(Turn { agent: self.agent.clone(), input: text.to_owned() })
            }
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
        let fact = |raw: &String| match normalise(raw) {
            Ok(resolved) => TargetFact::Inside { resolved },
            Err(_) => TargetFact::Outside,
        };
        let facts = Facts {
            kill_switch: Some(KillSwitch::Off),
            rate: Some(Rate::Within),
            targets: Some(targets.iter().map(fact).collect()),
            ..Facts::default()
        };
        match evaluate(&self.chain, Principal::new("measure"), command, &facts, &Unwatched) {
            Ok(permit) => {
                let findings = &permit.trace().findings;
                let rule = findings.first().map(|finding| finding.rule.clone());
                Outcome { denied: false, observed: rule.is_some(), rule: rule.unwrap_or_default() }
            }
            Err(denial) => {
                let rule = denial.refusal.rule.unwrap_or_default();
                Outcome { denied: true, observed: !denial.trace.findings.is_empty(), rule }
            }
        }
    }
}
