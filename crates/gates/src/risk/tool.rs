//! Tool calls in the risk gate: credentials in every text, addresses by the URL rules.

use std::borrow::Cow;

use life_agent_domain::governance::command::{Kind, Subject};
use life_agent_policy::document::Category;

use super::prefilter::Budget;
use super::scanner::{RawFinding, first_credentials};
use super::views::Views;
use super::{MAX_FINDINGS, RiskGate, built_in, patterns};
use crate::tool::ToolView;

/// A finding with the name of its field and its text.
pub(super) type Named<'t> = (String, Cow<'t, str>, RawFinding);

impl RiskGate {
    /// Findings in a tool call. A text is data unless its tool says otherwise, and data is searched for
    /// credentials only; the policy's own patterns are searched for in the fields of their category.
    pub(super) fn in_tool<'t>(&self, subject: &'t Subject<'_>) -> Vec<Named<'t>> {
        let command = subject.command;
        let mut found = Vec::new();
        for (field, text) in command.texts() {
            let own = self.scanner.custom_of(Category::Secrets, text);
            for raw in first_credentials(text).into_iter().chain(own) {
                found.push((command.field_name(field), Cow::Borrowed(text), raw));
            }
            if found.len() >= MAX_FINDINGS {
                break;
            }
        }
        let cut = self.in_cut_values(command);
        found.extend(
            cut.into_iter()
                .map(|(field, text, raw)| (command.field_name(field), Cow::Borrowed(text), raw)),
        );
        let Some(view) = ToolView::shared(subject, &self.snapshot) else { return found };
        for field in &view.commands {
            let text = field.text.as_str();
            for word in field.assessment.words().filter(|word| !text.contains(word)) {
                // A position in a word that the shell puts together is none in the text.
                let whole = |raw| RawFinding { start: 0, end: text.len(), ..raw };
                let joined = first_credentials(word).into_iter().map(whole);
                found.extend(
                    joined.map(|raw| {
                        (format!("arguments{}", field.pointer), Cow::Borrowed(text), raw)
                    }),
                );
            }
        }
        let commands = view.commands.iter();
        let commands = commands.map(|field| (Category::CommandExec, &field.pointer, &field.text));
        let paths = view.paths.iter().map(|(at, text)| (Category::PathTraversal, at, text));
        let urls = view.urls.iter().map(|(at, text)| (Category::Url, at, text));
        for (category, pointer, text) in commands.chain(paths).chain(urls) {
            let own = self.scanner.custom_of(category, text);
            let built_in = match category {
                Category::Url => self.addresses(text),
                _ => Vec::new(),
            };
            for raw in built_in.into_iter().chain(own) {
                found.push((format!("arguments{pointer}"), Cow::Borrowed(text.as_str()), raw));
            }
        }
        found
    }

    /// Findings of the URL rules in an address that a tool fetches.
    fn addresses(&self, text: &str) -> Vec<RawFinding> {
        let risk = &self.snapshot.policy.risk;
        let effect = |category, id: &str| match category == Category::Url && !risk.is_off(id) {
            true => risk.effect(Kind::Tool, category, patterns::is_severe(id)),
            false => None,
        };
        let most = built_in::MAX_HITS;
        built_in::all().find(&Views::of(text), &effect, most, &mut Budget::default())
    }
}
