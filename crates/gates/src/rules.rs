//! The rules gate: the operator's own rules.
//!
//! A rule matches when each of its lists does, and a list when one of its items does. The severest effect
//! of the rules that match holds, whatever their order: `deny`, then `ask`. `observe` records that the
//! rule would have refused the request; `allow` records that the rule matched.

use std::sync::Arc;

use life_agent_domain::governance::command::Subject;
use life_agent_domain::governance::gate::{
    Effect, Finding, Gate, GateInputs, Reason, Refusal, Verdict,
};
use life_agent_policy::document::RuleEffect;
use life_agent_policy::snapshot::{CompiledRule, Snapshot};

pub(crate) mod exempt;
pub(crate) mod request;

use request::Request;

use crate::tool::Matchers;

/// A rule's share of the score: it is the operator's own interest, not the sign of an attack.
const RULE_WEIGHT: f64 = 0.1;

/// Applies the rules of a policy.
#[derive(Debug)]
pub struct RulesGate {
    snapshot: Arc<Snapshot>,
    matchers: Matchers,
}

impl RulesGate {
    /// The rules of one policy.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self { matchers: Matchers::of(&snapshot), snapshot }
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
        let request = Request::of(subject, facts, &self.snapshot);
        let rules = self.snapshot.rules.iter().zip(&self.matchers.rules);
        let matched: Vec<_> = rules
            .filter(|(rule, commands)| request.matches(rule, commands))
            .map(|(rule, _)| rule)
            .collect();
        let with = |effect| matched.iter().find(move |rule| rule.effect == effect);
        let refusal = match (with(RuleEffect::Deny), with(RuleEffect::Ask)) {
            (Some(rule), _) => Some(refusal(rule, Reason::RuleDeny)),
            (None, Some(rule)) => Some(refusal(rule, Reason::ApprovalRequired)),
            (None, None) => None,
        };
        Verdict {
            findings: matched.iter().filter_map(|rule| finding(&request, rule)).collect(),
            applied: matched.iter().map(|rule| rule.id.clone()).collect(),
            refusal,
        }
    }
}

/// Only what is observed: a refusal names its rule itself.
fn finding(request: &Request<'_>, rule: &CompiledRule) -> Option<Finding> {
    let effect = match rule.effect {
        RuleEffect::Observe => Effect::Observe,
        RuleEffect::Ask => Effect::Ask,
        RuleEffect::Deny | RuleEffect::Allow => return None,
    };
    let (field, end) = request.hit(rule).unwrap_or_default();
    let (gate, category, rule) = ("", "rule", rule.id.clone());
    Some(Finding { gate, category, rule, effect, field, start: 0, end, weight: RULE_WEIGHT })
}

fn refusal(rule: &CompiledRule, reason: Reason) -> Refusal {
    let verb =
        if reason == Reason::ApprovalRequired { "requires an approval" } else { "denies this" };
    Refusal {
        reason,
        rule: Some(rule.id.clone()),
        message: format!(
            "rule `{}` of the policy {verb}; `GET /policy` shows its conditions",
            rule.id
        ),
        retry_after: None,
    }
}

#[cfg(test)]
mod tests;
