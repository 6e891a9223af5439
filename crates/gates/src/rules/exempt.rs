//! Rules that exempt requests from categories of risk.

use life_agent_domain::governance::command::Subject;
use life_agent_domain::governance::gate::GateInputs;
use life_agent_policy::document::Category;
use life_agent_policy::snapshot::{CompiledRule, Snapshot};

use super::request::Request;
use crate::command::Invocation;
use crate::tool::{Matcher, Matchers};

/// The exempting rules that match one request.
pub(crate) struct Exemptions<'a>(Vec<(&'a CompiledRule, &'a [Matcher])>);

impl<'a> Exemptions<'a> {
    pub(crate) fn of(
        snapshot: &'a Snapshot,
        matchers: &'a Matchers,
        subject: &Subject<'_>,
        facts: &GateInputs,
    ) -> Exemptions<'a> {
        if snapshot.rules.iter().all(|rule| rule.exempt.is_empty()) {
            return Self(Vec::new());
        }
        let request = Request::of(subject, facts, snapshot);
        let rules = snapshot.rules.iter().zip(&matchers.rules);
        let exempting = rules
            .filter(|(rule, commands)| !rule.exempt.is_empty() && request.matches(rule, commands));
        Self(exempting.map(|(rule, commands)| (rule, commands.as_slice())).collect())
    }

    /// Whether a finding of this category is exempt: in the field with this JSON pointer, and about this
    /// invocation. A rule with `fields` exempts only those fields, and a rule with `commands` only those
    /// invocations, so that a harmless command cannot carry another one through.
    pub(crate) fn covers(
        &self,
        category: Category,
        pointer: Option<&str>,
        part: Option<&Invocation>,
    ) -> bool {
        self.0.iter().any(|(rule, commands)| {
            let in_fields = rule.fields.is_empty()
                || pointer.is_some_and(|at| rule.fields.iter().any(|own| own.covers(at)));
            let of_commands = commands.is_empty()
                || part.is_some_and(|part| commands.iter().any(|own| own.matches(part)));
            rule.exempt.contains(&category) && in_fields && of_commands
        })
    }
}
