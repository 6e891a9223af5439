//! The risk gate: searches every text of a request for patterns in five categories.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use life_agent_domain::governance::command::{Command, Field, Kind, Subject};
use life_agent_domain::governance::gate::{
    Effect, Finding, Gate, GateInputs, Reason, Refusal, Verdict,
};
use life_agent_policy::snapshot::Snapshot;

use self::joined::{Joined, Seam};
use self::prefilter::Budget;
use self::scanner::{RawFinding, Scanner, credentials};
use self::tool::Named;
use crate::rules::exempt::Exemptions;
use crate::tool::Matchers;

pub(crate) mod built_in;
pub(crate) mod decode;
mod embedded;
mod joined;
pub mod patterns;
mod prefilter;
mod probe;
pub mod provenance;
pub mod scanner;
mod shell;
mod tool;
mod view;
mod views;

/// Refuses, or records, texts in which a risk pattern is found, as the policy says for its category.
#[derive(Debug)]
pub struct RiskGate {
    snapshot: Arc<Snapshot>,
    matchers: Matchers,
    scanner: Scanner,
}

impl RiskGate {
    /// The built-in patterns and those of one policy, with the effects of that policy.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            scanner: Scanner::new(Arc::clone(&snapshot)),
            matchers: Matchers::of(&snapshot),
            snapshot,
        }
    }

    fn finding(
        &self,
        command: Command<'_>,
        field: String,
        text: &str,
        raw: &RawFinding,
    ) -> Option<Finding> {
        let severe = patterns::is_severe(&raw.rule);
        let mut effect = self.snapshot.policy.risk.effect(command.kind(), raw.category, severe)?;
        // The password of a test in a file that a tool read. Redaction removes it; a refusal would end the conversation,
        // because its history comes with every later request.
        if patterns::is_by_context(&raw.rule) && is_tool_result(command, &field) {
            effect = Effect::Observe;
        }
        let chars = |end: usize| text.get(..end).unwrap_or(text).chars().count();
        let limit = if raw.limit_reached { " (limit)" } else { "" };
        Some(Finding {
            gate: "",
            category: raw.category.as_str(),
            rule: format!("{}{limit}", raw.rule),
            effect,
            field,
            start: chars(raw.start),
            end: chars(raw.end),
            weight: raw.weight,
        })
    }
}

impl Gate for RiskGate {
    fn name(&self) -> &'static str {
        "risk"
    }

    fn check(&self, subject: &Subject<'_>, facts: &GateInputs) -> Verdict {
        let command = subject.command;
        let found = match command {
            Command::Tool(_) => self.in_tool(subject),
            _ => self.in_command(command),
        };
        let exempt = Exemptions::of(&self.snapshot, &self.matchers, subject, facts);
        let mut seen = BTreeSet::new();
        let findings: Vec<Finding> = found
            .iter()
            .filter(|(field, _, raw)| !exempt.covers(raw.category, pointer(field), None))
            .filter_map(|(field, text, raw)| self.finding(command, field.clone(), text, raw))
            .filter(|finding| {
                seen.insert((finding.rule.clone(), finding.field.clone(), finding.start))
            })
            .collect();
        let refusal = findings.iter().find(|finding| finding.effect == Effect::Deny).map(refusal);
        Verdict { findings, applied: Vec::new(), refusal }
    }
}

/// Whether a field is a message with the result of a tool.
fn is_tool_result(command: Command<'_>, field: &str) -> bool {
    let number = field.strip_prefix("messages/").and_then(|rest| rest.split('/').next());
    let number: Option<usize> = number.and_then(|number| number.parse().ok());
    match (command, number) {
        (Command::Chat(chat), Some(n)) => chat.messages.get(n).is_some_and(|message| {
            let role = message.role.as_str();
            // The APIs call it `tool`, `function` or, for example, `function_call_output`.
            matches!(role, "tool" | "function") || role.ends_with("_output")
        }),
        _ => false,
    }
}

/// The JSON pointer behind the root of a field's name.
fn pointer(field: &str) -> Option<&str> {
    ["payload", "arguments"].iter().find_map(|root| field.strip_prefix(root))
}

impl RiskGate {
    /// Findings in the texts of a request, with the names of their fields.
    fn in_command<'t>(&self, command: Command<'t>) -> Vec<Named<'t>> {
        let is_name = |field: &Field| matches!(field, Field::Agent | Field::Action);
        let (names, texts): (Vec<_>, Vec<_>) =
            command.texts().into_iter().partition(|(field, _)| is_name(field));
        // Names cannot hold more than letters and a few signs: nothing there but a pasted key. Paths
        // are judged as paths.
        let targets = command.targets().iter().enumerate();
        let targets = targets.map(|(n, path)| (Field::Target(n), path.as_str()));
        let keys_in =
            |(field, text)| credentials(text).into_iter().map(move |raw| (field, text, raw));
        let mut found: Vec<_> = names.into_iter().chain(targets).flat_map(keys_in).collect();
        found.extend(self.in_texts(command.kind(), &texts));
        let named = |(field, text, raw)| (command.field_name(field), Cow::Borrowed(text), raw);
        found.into_iter().map(named).collect()
    }

    /// What is in the texts, also when it is spread over several of them.
    fn in_texts<'t>(
        &self,
        kind: Kind,
        texts: &[(Field, &'t str)],
    ) -> Vec<(Field, &'t str, RawFinding)> {
        match texts {
            [] => Vec::new(),
            [(field, text)] => self
                .scanner
                .scan_as(kind, text)
                .into_iter()
                .map(|raw| (*field, *text, raw))
                .collect(),
            several => {
                let own = several.iter().flat_map(|(field, text)| {
                    self.scanner.custom(text).into_iter().map(move |raw| (*field, *text, raw))
                });
                let mut found: Vec<_> = own.collect();
                let mut budget = Budget::default();
                for seam in Seam::of(several) {
                    let joined = Joined::new(several, seam);
                    let raw = self.scanner.built_in(kind, joined.text(), &mut budget).into_iter();
                    let custom = self.scanner.custom(joined.text()).into_iter();
                    found.extend(raw.chain(custom).filter_map(|raw| joined.place(raw)));
                }
                found
            }
        }
    }
}

/// Names the category and the pattern, and never the text.
fn refusal(finding: &Finding) -> Refusal {
    let allowed = match finding.category {
        "command_exec" => "describe in words what is wanted, without a command to run",
        "secrets" => "leave the credential out and refer to it by name",
        "url" => "name a public host over http or https, without credentials or redirects",
        "path_traversal" => "name files by their path relative to the workspace",
        _ => "say what is wanted without instructions to the model behind",
    };
    Refusal {
        reason: Reason::RiskPattern,
        rule: Some(finding.rule.clone()),
        message: format!(
            "`{}` holds what the pattern `{}` ({}) looks for; {allowed}",
            finding.field, finding.rule, finding.category
        ),
        retry_after: None,
    }
}

#[cfg(test)]
mod tests;
