//! The risk gate: searches every text of a request for patterns in five categories.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use life_agent_domain::governance::command::{Command, Field, Kind, Subject};
use life_agent_domain::governance::gate::{
    Effect, Finding, Gate, GateInputs, Reason, Refusal, Verdict,
};
use life_agent_policy::document::Category;
use life_agent_policy::snapshot::Snapshot;

use self::joined::{Joined, Seam};
use self::positions::Positions;
use self::prefilter::Budget;
use self::scanner::{RawFinding, Scanner, first_credentials};
use self::tool::Named;
use crate::rules::exempt::Exemptions;
use crate::tool::Matchers;

pub(crate) mod built_in;
pub(crate) mod decode;
mod embedded;
pub(crate) mod joined;
pub mod patterns;
mod positions;
mod prefilter;
mod probe;
pub mod provenance;
mod requoted;
pub mod scanner;
mod shell;
mod tool;
mod view;
mod views;

/// Most findings that are reported. Of a text made of attacks, the first ones say enough.
const MAX_FINDINGS: usize = 256;

/// Refuses, or records, texts in which a risk pattern is found, as the policy says for its category.
#[derive(Debug)]
pub struct RiskGate {
    snapshot: Arc<Snapshot>,
    matchers: Matchers,
    scanner: Scanner,
    /// Whether `patterns_off` leaves every pattern for credentials on.
    credentials_are_on: bool,
}

impl RiskGate {
    /// The built-in patterns and those of one policy, with the effects of that policy.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        let own = snapshot.patterns.iter().filter(|own| own.category == Category::Secrets);
        let built_in = patterns::all().into_iter().filter(|(of, _)| *of == Category::Secrets);
        let built_in = built_in.flat_map(|(_, patterns)| patterns.iter().map(|pattern| pattern.id));
        let mut ids = own.map(|own| own.id.as_str()).chain(built_in);
        let credentials_are_on = !ids.any(|id| snapshot.policy.risk.is_off(id));
        Self {
            credentials_are_on,
            scanner: Scanner::new(Arc::clone(&snapshot)),
            matchers: Matchers::of(&snapshot),
            snapshot,
        }
    }

    fn finding(
        &self,
        command: Command<'_>,
        field: String,
        positions: &mut Positions<'_>,
        raw: &RawFinding,
    ) -> Option<Finding> {
        let severe = patterns::is_severe(&raw.rule);
        let mut effect = self.snapshot.policy.risk.effect(command.kind(), raw.category, severe)?;
        // The password of a test in a file that a tool read. Redaction removes it; a refusal would end the conversation,
        // because its history comes with every later request.
        if patterns::is_by_context(&raw.rule) && is_tool_result(command, &field) {
            effect = Effect::Observe;
        }
        let limit = if raw.limit_reached { " (limit)" } else { "" };
        Some(Finding {
            gate: "",
            category: raw.category.as_str(),
            rule: format!("{}{limit}", raw.rule),
            effect,
            field,
            start: positions.chars_before(raw.start),
            end: positions.chars_before(raw.end),
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
        if self.saw_every_credential(command.kind(), &found) {
            subject.report_free_of_credentials();
        }
        let exempt = Exemptions::of(&self.snapshot, &self.matchers, subject, facts);
        let mut seen = BTreeSet::new();
        // Most findings of a text follow one another, so that its characters are counted once.
        let mut positions = Positions::of("");
        let mut findings: Vec<Finding> = found
            .iter()
            .filter(|(field, _, raw)| !exempt.covers(raw.category, pointer(field), None))
            .filter_map(|(field, text, raw)| {
                positions.move_to(text);
                self.finding(command, field.clone(), &mut positions, raw)
            })
            .filter(|finding| {
                seen.insert((finding.rule.clone(), finding.field.clone(), finding.start))
            })
            .collect();
        let refusal = findings.iter().find(|finding| finding.effect == Effect::Deny).map(refusal);
        findings.truncate(MAX_FINDINGS);
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
    /// Whether the search found no credential and would have found any: all patterns for credentials are
    /// on, and no refusal ended the search early.
    fn saw_every_credential(&self, kind: Kind, found: &[Named<'_>]) -> bool {
        let risk = &self.snapshot.policy.risk;
        let is_searched =
            kind == Kind::Tool || risk.effect(kind, Category::Secrets, false).is_some();
        let ends_search = |raw: &RawFinding| {
            let severe = patterns::is_severe(&raw.rule);
            raw.category == Category::Secrets
                || risk.effect(kind, raw.category, severe) == Some(Effect::Deny)
        };
        self.credentials_are_on && is_searched && !found.iter().any(|(.., raw)| ends_search(raw))
    }

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
            |(field, text)| first_credentials(text).into_iter().map(move |raw| (field, text, raw));
        let in_names = names.into_iter().chain(targets).flat_map(keys_in);
        let mut found: Vec<_> = in_names.take(MAX_FINDINGS).collect();
        found.extend(self.in_texts(command.kind(), &texts));
        found.extend(self.in_cut_values(command));
        let named = |(field, text, raw)| (command.field_name(field), Cow::Borrowed(text), raw);
        found.into_iter().map(named).collect()
    }

    /// Credentials that are cut into values of a payload which follow one another, such as items of a list.
    fn in_cut_values<'t>(&self, command: Command<'t>) -> Vec<(Field, &'t str, RawFinding)> {
        let (values, field): (_, fn(usize) -> Field) = match command {
            Command::Act(act) => (act.payload.values(), Field::Payload),
            Command::Tool(tool) => (tool.arguments.values(), Field::Argument),
            Command::Turn(_) | Command::Plan(_) | Command::Chat(_) => return Vec::new(),
        };
        let cut = joined::cut_words(&values);
        if cut.is_empty() {
            return Vec::new();
        }
        let parts: Vec<_> = cut.into_iter().map(|(n, text)| (field(n), text)).collect();
        let joined = Joined::new(&parts, Seam::Nothing);
        let mut found = first_credentials(joined.text());
        found.extend(self.scanner.custom_of(Category::Secrets, joined.text()));
        found.retain(|raw| joined.crosses(raw));
        found.into_iter().filter_map(|raw| joined.place(raw)).collect()
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
