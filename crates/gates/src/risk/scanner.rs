//! Searches texts for the built-in patterns and for those of one policy.

use std::borrow::Cow;
use std::sync::Arc;

use life_agent_domain::governance::command::Kind;
use life_agent_domain::governance::gate::Effect;
use life_agent_policy::bounded::Found;
use life_agent_policy::document::Category;
use life_agent_policy::snapshot::{CompiledPattern, Snapshot};

use super::built_in;
use super::patterns;
use super::prefilter::Budget;
use super::views::Views;

/// What a hit of a policy's own pattern adds to the score.
const CUSTOM_WEIGHT: f64 = 0.6;

/// Something found in a text.
#[derive(Debug, Clone, PartialEq)]
pub struct RawFinding {
    /// The category of the pattern.
    pub category: Category,
    /// The id of the pattern.
    pub rule: Cow<'static, str>,
    /// Where it starts in the text as it came, in bytes.
    pub start: usize,
    /// Where it ends, exclusive.
    pub end: usize,
    /// What it adds to the score, 0 to 1.
    pub weight: f64,
    /// The search was given up, which counts as found; the span is then the whole text.
    pub limit_reached: bool,
}

/// Searches texts for the built-in patterns and for those of one policy.
#[derive(Debug, Clone)]
pub struct Scanner {
    snapshot: Arc<Snapshot>,
}

impl Scanner {
    /// A scanner for one policy.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self { snapshot }
    }

    /// Everything found in the text of a turn, in the order of the patterns. Overlapping finds of one
    /// pattern, in several readings of the text, are one.
    pub fn scan(&self, text: &str) -> Vec<RawFinding> {
        self.scan_as(Kind::Turn, text)
    }

    /// The same for a text of another kind of request, whose effects may differ.
    pub(super) fn scan_as(&self, kind: Kind, text: &str) -> Vec<RawFinding> {
        let mut findings = self.built_in(kind, text, &mut Budget::default());
        findings.extend(self.custom(text));
        findings
    }

    /// Findings of the built-in patterns in all categories that are on for this kind of request.
    pub(super) fn built_in(&self, kind: Kind, text: &str, budget: &mut Budget) -> Vec<RawFinding> {
        let risk = &self.snapshot.policy.risk;
        let effect = |category, id: &str| match risk.is_off(id) {
            true => None,
            // Does not count as a refusal, which could end the search: it is none in the result of a tool.
            false if kind == Kind::Chat && patterns::is_by_context(id) => {
                risk.effect(kind, category, false).map(|_| Effect::Observe)
            }
            false => risk.effect(kind, category, patterns::is_severe(id)),
        };
        built_in::all().find(&Views::of(text), &effect, built_in::MAX_HITS, budget)
    }

    /// The first find of each of the policy's own patterns: a search of theirs may be slow, and one
    /// find decides.
    pub(super) fn custom(&self, text: &str) -> Vec<RawFinding> {
        if self.snapshot.patterns.is_empty() {
            return Vec::new();
        }
        let views = Views::of(text);
        let first = |pattern: &CompiledPattern| {
            views.all().find_map(|view| match pattern.regex.find(view.text()) {
                Found::No => None,
                Found::At { start, end } => Some((view.original_span(start, end), false)),
                Found::LimitReached => Some(((0, text.len()), true)),
            })
        };
        let finding = |pattern: &CompiledPattern| {
            let ((start, end), limit_reached) = first(pattern)?;
            let rule = Cow::Owned(pattern.id.clone());
            let (category, weight) = (pattern.category, CUSTOM_WEIGHT);
            Some(RawFinding { category, rule, start, end, weight, limit_reached })
        };
        let risk = &self.snapshot.policy.risk;
        let is_on = |pattern: &&CompiledPattern| !risk.is_off(&pattern.id);
        self.snapshot.patterns.iter().filter(is_on).filter_map(finding).collect()
    }

    /// The same, of one category.
    pub(super) fn custom_of(&self, category: Category, text: &str) -> Vec<RawFinding> {
        if self.snapshot.patterns.iter().all(|pattern| pattern.category != category) {
            return Vec::new();
        }
        self.custom(text).into_iter().filter(|found| found.category == category).collect()
    }
}

/// The credentials in a text, every one of them, whatever any policy says.
pub(crate) fn credentials(text: &str) -> Vec<RawFinding> {
    some_credentials(text, usize::MAX)
}

/// The first credentials of each pattern: enough for a verdict.
pub(super) fn first_credentials(text: &str) -> Vec<RawFinding> {
    some_credentials(text, built_in::MAX_HITS)
}

fn some_credentials(text: &str, most: usize) -> Vec<RawFinding> {
    // Most names of fields and many values are too short to be looked at. What is not ASCII may become longer
    // as it is decoded.
    if text.len() < built_in::all().shortest_secret() && text.is_ascii() {
        return Vec::new();
    }
    let effect = |category, _: &str| (category == Category::Secrets).then_some(Effect::Observe);
    built_in::all().find(&Views::plain(text), &effect, most, &mut Budget::default())
}

/// Most finds of one pattern; what follows the last of them counts as found too.
const MAX_CUSTOM_FINDS: usize = 1_000;

/// Every find of the policy's own patterns of category `secrets`, whether they are switched off or not.
pub(crate) fn custom_secrets(snapshot: &Snapshot, text: &str) -> Vec<RawFinding> {
    let own = snapshot.patterns.iter().filter(|own| own.category == Category::Secrets);
    let own: Vec<_> = own.collect();
    if own.is_empty() {
        return Vec::new();
    }
    let views = Views::of(text);
    let mut found = Vec::new();
    for pattern in own {
        let rule = Cow::<'static, str>::Owned(pattern.id.clone());
        let mut note = |(start, end): (usize, usize), limit_reached| {
            let (category, weight, rule) = (pattern.category, CUSTOM_WEIGHT, rule.clone());
            found.push(RawFinding { category, rule, start, end, weight, limit_reached });
        };
        for view in views.all() {
            let mut at = 0;
            for count in 0.. {
                match pattern.regex.find_from(view.text(), at) {
                    Found::No => break,
                    Found::At { start, .. } if count == MAX_CUSTOM_FINDS => {
                        note((view.original_span(start, start).0, text.len()), true);
                        break;
                    }
                    Found::At { start, end } => {
                        if start < end {
                            note(view.original_span(start, end), false);
                        }
                        at = end.max(start + 1);
                    }
                    Found::LimitReached => {
                        note((0, text.len()), true);
                        break;
                    }
                }
            }
        }
    }
    found
}
