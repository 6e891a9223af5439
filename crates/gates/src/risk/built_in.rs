//! The built-in patterns at work: a pass over a text tells which of a group may be in it, and only those are
//! then looked for one by one.
//!
//! Three groups, not one: an automaton's states are the product of what its patterns wait for, and all of them
//! together outgrow a processor's cache. Seven, one for each list, have the smallest automata and read the text
//! seven times. The states of three take half as much again as those of seven.

use std::borrow::Cow;
use std::sync::{LazyLock, OnceLock};

use life_agent_domain::governance::gate::Effect;
use life_agent_policy::document::Category;
use regex::bytes::{Regex, RegexBuilder};

use super::patterns::{self, Hit, Pattern};
use super::prefilter::{Budget, Prefilter};
use super::probe::parsed;
use super::scanner::RawFinding;
use super::view::View;
use super::views::Views;

/// Hits of one pattern in one view that are reported; more of the same say nothing new. Redaction looks for
/// every credential by itself.
pub(super) const MAX_HITS: usize = 8;
/// Refusing finds after which a text is not searched further: it is refused as it stands.
const ENOUGH: usize = 32;
/// Bytes beyond which a single one is enough, so that texts made of attacks stay cheap.
const LONG: usize = 8 * 1024;
/// Room for the automaton of one pattern and thread. Most take a tenth of it.
const DFA_BYTES: usize = 2 << 20;

static ALL: LazyLock<Compiled> = LazyLock::new(|| Compiled::new(&patterns::all()));

/// Every built-in pattern.
pub(super) fn all() -> &'static Compiled {
    &ALL
}

/// Compiles the built-in patterns, once per process, which takes some 30 ms; whoever searches
/// earlier waits for it.
pub fn warm_up() {
    LazyLock::force(&ALL);
}

/// Patterns, ready to search with.
pub(super) struct Compiled {
    groups: [Group; GROUPS],
    shortest_secret: usize,
}

/// Patterns that are looked for in one pass.
struct Group {
    prefilter: Prefilter,
    patterns: Vec<Searched>,
    /// Whether there is a point in looking for them in what a shell reads.
    is_for_shells: bool,
}

const GROUPS: usize = 3;
const SHELLS: usize = 1;
/// The group of the patterns for credentials.
const SECRETS: usize = 0;

/// Which group the patterns of a category are in: those that are looked for in the same readings. A shell's
/// reading takes credentials apart and says nothing about prose.
fn group_of(category: Category) -> usize {
    match category {
        Category::Secrets => SECRETS,
        Category::CommandExec | Category::Url | Category::PathTraversal => SHELLS,
        Category::PromptInjection => 2,
    }
}

/// The effect of finding the pattern with this id; `None` if it is not searched for.
type EffectOf<'f> = &'f dyn Fn(Category, &'static str) -> Option<Effect>;

/// A pattern of a category, compiled when it is first searched for.
struct Searched {
    category: Category,
    pattern: &'static Pattern,
    regex: OnceLock<Option<Regex>>,
}

impl Group {
    fn new(nth: usize, lists: &[(Category, &'static [Pattern])]) -> Self {
        let patterns: Vec<_> = lists
            .iter()
            .filter(|(category, _)| group_of(*category) == nth)
            .flat_map(|(category, patterns)| patterns.iter().map(|pattern| (*category, pattern)))
            .map(|(category, pattern)| Searched { category, pattern, regex: OnceLock::new() })
            .collect();
        let sources = patterns.iter().map(|searched| patterns::source(searched.pattern));
        let prefilter = Prefilter::new(sources);
        Self { prefilter, patterns, is_for_shells: nth == SHELLS }
    }

    /// Whether there is a point in looking for them in this view.
    fn concerns(&self, view: &View<'_>, views: &Views<'_>) -> bool {
        self.is_for_shells || !views.is_shell(view)
    }

    /// Whether anything comes of finding one of them.
    fn is_on(&self, effect: EffectOf<'_>) -> bool {
        self.patterns
            .iter()
            .any(|searched| effect(searched.category, searched.pattern.id).is_some())
    }
}

impl Compiled {
    pub(super) fn new(lists: &[(Category, &'static [Pattern])]) -> Self {
        let secrets = lists.iter().filter(|(category, _)| *category == Category::Secrets);
        let shortest = secrets.flat_map(|(_, patterns)| *patterns).map(shortest).min();
        let groups = std::array::from_fn(|nth| Group::new(nth, lists));
        Self { groups, shortest_secret: shortest.unwrap_or_default() }
    }

    /// Bytes that a text must have for any credential to be in it.
    pub(super) fn shortest_secret(&self) -> usize {
        self.shortest_secret
    }

    /// What is found in the views and whose category has an effect, at most `most` times per pattern and view.
    pub(super) fn find(
        &self,
        views: &Views<'_>,
        effect: EffectOf<'_>,
        most: usize,
        budget: &mut Budget,
    ) -> Vec<RawFinding> {
        let original = views.original.text();
        let enough = if original.len() > LONG { 1 } else { ENOUGH };
        let mut spans: [Vec<Spans>; GROUPS] = Default::default();
        let mut refusing = 0;
        let passes = views.all().flat_map(|view| (0..GROUPS).map(move |nth| (view, nth)));
        for (view, nth) in passes {
            let (group, spans) = (&self.groups[nth], &mut spans[nth]);
            if nth != SECRETS && views.is_joined(view) {
                continue;
            }
            if refusing >= enough || !group.concerns(view, views) || !group.is_on(effect) {
                continue;
            }
            // What is embedded is a text of its own, as plain in it as the original is.
            let is_plain = view.is_original() || views.is_embedded(view);
            for index in group.prefilter.candidates(view.text().as_bytes(), budget) {
                let searched = &group.patterns[index];
                let Some(effect) = effect(searched.category, searched.pattern.id) else { continue };
                if refusing >= enough || is_plain && searched.pattern.disguised {
                    continue;
                }
                spans.resize_with(group.patterns.len(), Spans::default);
                let found = searched.search(view, original, most, &mut spans[index]);
                refusing += if effect == Effect::Deny { found } else { 0 };
            }
        }
        let found = spans.into_iter().zip(&self.groups).flat_map(|(spans, group)| {
            let each = spans.into_iter().zip(&group.patterns);
            each.flat_map(|(spans, searched)| spans.findings(searched.category, searched.pattern))
        });
        found.collect()
    }
}

impl Searched {
    /// Adds where it is in the view; how often that is.
    fn search(
        &self,
        view: &View<'_>,
        original: &str,
        most: usize,
        Spans(spans): &mut Spans,
    ) -> usize {
        let before = spans.len();
        match self.regex.get_or_init(|| compile(self.pattern)) {
            Some(regex) => spans.extend(hits(regex, self.pattern, view, original).take(most)),
            // A pattern that cannot be searched for is no excuse to let the text through.
            None => spans.push((0, original.len())),
        }
        spans.len() - before
    }
}

/// Bytes of the shortest text that the pattern can match; 0 if that is not known.
fn shortest(pattern: &Pattern) -> usize {
    let parsed = parsed(&patterns::source(pattern));
    parsed.and_then(|parsed| parsed.properties().minimum_len()).unwrap_or_default()
}

fn compile(pattern: &Pattern) -> Option<Regex> {
    RegexBuilder::new(&patterns::source(pattern)).dfa_size_limit(DFA_BYTES).build().ok()
}

/// Where a pattern is in a view, as spans of the original text.
fn hits<'a>(
    regex: &'a Regex,
    pattern: &'static Pattern,
    view: &'a View<'_>,
    original: &'a str,
) -> impl Iterator<Item = (usize, usize)> + 'a {
    let text = view.text().as_bytes();
    // Groups cost more, and only a pattern with a word of its own looks at them.
    let (plain, grouped) = match pattern.accept {
        None => (Some(regex.find_iter(text)), None),
        Some(accept) => (None, Some((regex.captures_iter(text), accept))),
    };
    let plain = plain.into_iter().flatten().map(|found| (found.start(), found.end()));
    let is_plain = move |start: usize, end: usize| {
        let (from, to) = view.original_span(start, end);
        original.as_bytes().get(from..to) == text.get(start..end)
    };
    let grouped = grouped.into_iter().flat_map(move |(found, accept)| {
        found.filter_map(move |groups| {
            let found = groups.iter().skip(1).flatten().next().or(groups.get(0))?;
            let (start, end) = (found.start(), found.end());
            let hit = Hit { text, start, end, is_plain: is_plain(start, end) };
            accept(&hit).then_some((hit.start, hit.end))
        })
    });
    plain.chain(grouped).filter_map(move |(start, end)| {
        let is_found = !pattern.disguised || !is_plain(start, end);
        is_found.then(|| view.original_span(start, end))
    })
}

/// Spans of the original text.
#[derive(Default)]
struct Spans(Vec<(usize, usize)>);

impl Spans {
    fn findings(
        self,
        category: Category,
        pattern: &'static Pattern,
    ) -> impl Iterator<Item = RawFinding> {
        self.merged().into_iter().map(move |(start, end)| RawFinding {
            category,
            rule: Cow::Borrowed(pattern.id),
            start,
            end,
            weight: pattern.weight,
            limit_reached: false,
        })
    }

    /// In order, those that overlap as one.
    fn merged(mut self) -> Vec<(usize, usize)> {
        self.0.sort_unstable();
        self.0.dedup_by(|later, kept| {
            let overlaps = later.0 < kept.1 || later.0 == kept.0;
            if overlaps {
                kept.1 = kept.1.max(later.1);
            }
            overlaps
        });
        self.0
    }
}

/// Whether one pattern is in a text, in any of its readings.
#[cfg(test)]
pub(super) fn find_in(pattern: &'static Pattern, text: &str) -> bool {
    let regex = compile(pattern).unwrap_or_else(|| panic!("{} does not compile", pattern.id));
    Views::of(text).all().any(|view| hits(&regex, pattern, view, text).next().is_some())
}

#[cfg(test)]
mod tests;
