//! The rules gate: the operator's own rules.
//!
//! A rule matches when each of its lists does, and a list when one of its items does. `deny` refuses
//! and beats `allow`; `observe` records what would have been refused; `allow` only records that the
//! rule matched, since no rule overrides what another gate refuses.

use std::sync::Arc;

use life_agent_domain::governance::command::{Command, Field, Subject};
use life_agent_domain::governance::gate::{
    Effect, Finding, Gate, GateInputs, Reason, Refusal, Verdict,
};
use life_agent_policy::bounded::BoundedRegex;
use life_agent_policy::document::RuleEffect;
use life_agent_policy::globs;
use life_agent_policy::snapshot::{CompiledRule, Snapshot};

use crate::paths;

/// What an observed rule adds to the score: it is the operator's curiosity, not a sign of an attack.
const OBSERVED_WEIGHT: f64 = 0.1;

/// Refuses, or records, what the rules of a policy are about.
#[derive(Debug)]
pub struct RulesGate {
    snapshot: Arc<Snapshot>,
}

impl RulesGate {
    /// The rules of one policy.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self { snapshot }
    }
}

impl Gate for RulesGate {
    fn name(&self) -> &'static str {
        "rules"
    }

    fn check(&self, subject: &Subject<'_>, facts: &GateInputs) -> Verdict {
        if self.snapshot.rules.is_empty() {
            return Verdict::pass();
        }
        let asked = Asked::of(subject.command, facts);
        let matched: Vec<_> =
            self.snapshot.rules.iter().filter(|rule| asked.matches(rule)).collect();
        let observed = matched.iter().filter(|rule| rule.effect == RuleEffect::Observe);
        let denied = matched.iter().find(|rule| rule.effect == RuleEffect::Deny);
        Verdict {
            findings: observed.map(|rule| asked.finding(rule)).collect(),
            applied: matched.iter().map(|rule| rule.id.clone()).collect(),
            refusal: denied.map(|rule| refusal(rule)),
        }
    }
}

/// The parts of a request that rules can be about.
struct Asked<'a> {
    command: Command<'a>,
    intent: Option<&'a str>,
    action: Option<&'a str>,
    targets: Vec<String>,
    inputs: Vec<(Field, &'a str)>,
}

impl<'a> Asked<'a> {
    fn of(command: Command<'a>, facts: &'a GateInputs) -> Self {
        let is_input = |field: &Field| {
            matches!(field, Field::Input | Field::Context | Field::Message(_) | Field::Payload(_))
        };
        let target = |raw: &String| {
            let path = paths::normalise(raw).unwrap_or_else(|_| raw.clone());
            globs::canonical(&path).into_owned()
        };
        Self {
            command,
            intent: match command {
                Command::Plan(plan) => Some(&plan.intent),
                Command::Turn(_) => facts.intent.as_deref(),
                Command::Act(_) | Command::Chat(_) | Command::Tool(_) => None,
            },
            action: match command {
                Command::Act(act) => Some(act.action.as_str()),
                _ => None,
            },
            targets: command.targets().iter().map(target).collect(),
            inputs: command.texts().into_iter().filter(|(field, _)| is_input(field)).collect(),
        }
    }

    fn matches(&self, rule: &CompiledRule) -> bool {
        let any = |list: &[BoundedRegex], text: &str| list.iter().any(|regex| regex.is_found(text));
        let one = |list: &[BoundedRegex], text: Option<&str>| {
            list.is_empty() || text.is_some_and(|text| any(list, text))
        };
        (rule.kinds.is_empty() || rule.kinds.contains(&self.command.kind()))
            && one(&rule.intents, self.intent)
            && one(&rule.actions, self.action)
            && (rule.targets.is_empty()
                || self.targets.iter().any(|path| rule.targets.is_match(path)))
            && (rule.inputs.is_empty()
                || self.inputs.iter().any(|(_, text)| any(&rule.inputs, text)))
    }

    /// The whole of the text that the rule is about; the first of the request if it is about none.
    fn finding(&self, rule: &CompiledRule) -> Finding {
        let is_hit = |text: &str| rule.inputs.iter().any(|regex| regex.is_found(text));
        let hit = self.inputs.iter().find(|(_, text)| is_hit(text)).or(self.inputs.first());
        Finding {
            category: "rule",
            rule: rule.id.clone(),
            effect: Effect::Observe,
            field: hit.map(|(field, _)| self.command.field_name(*field)).unwrap_or_default(),
            start: 0,
            end: hit.map_or(0, |(_, text)| text.chars().count()),
            weight: OBSERVED_WEIGHT,
        }
    }
}

fn refusal(rule: &CompiledRule) -> Refusal {
    Refusal {
        reason: Reason::RuleDeny,
        rule: Some(rule.id.clone()),
        message: format!(
            "rule `{}` of the policy refuses this; `GET /policy` shows what it is about",
            rule.id
        ),
        retry_after: None,
    }
}

#[cfg(test)]
mod tests;
