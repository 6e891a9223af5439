//! The search itself: one pass over a text tells which patterns are in it, and only those are then
//! looked for one by one, in the text and in what it decodes to.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock, OnceLock};

use life_agent_policy::bounded::Found;
use life_agent_policy::document::Category;
use life_agent_policy::snapshot::{CompiledPattern, Snapshot};
use regex::bytes::{Regex, RegexBuilder};

use super::patterns::{self, Hit, Pattern};
use super::prefilter::Prefilter;
use super::view::View;
use super::{decode, shell};

/// Hits of one pattern in one view that are reported; more of the same say nothing new.
const MAX_HITS: usize = 8;
/// Room for the automata that are built while searching. Too little makes them start over, which is
/// what a hostile text would aim at.
const DFA_BYTES: usize = 16 << 20;
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
    /// A scanner for one policy. The built-in patterns are compiled once per process.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        LazyLock::force(&BUILT_IN);
        Self { snapshot }
    }

    /// Everything found in a text, in the order of the patterns; overlapping finds of one pattern in
    /// several readings of the text are one.
    pub fn scan(&self, text: &str) -> Vec<RawFinding> {
        let views = Views::of(text);
        let mut findings = BUILT_IN.find_all(&views);
        findings.extend(self.custom_in(&views));
        findings
    }

    /// What the policy's own patterns find.
    pub(crate) fn custom(&self, text: &str) -> Vec<RawFinding> {
        if self.snapshot.patterns.is_empty() {
            Vec::new()
        } else {
            self.custom_in(&Views::of(text))
        }
    }

    /// The first find of each of the policy's own patterns: a search of theirs may be slow, and one
    /// find decides.
    fn custom_in(&self, views: &Views<'_>) -> Vec<RawFinding> {
        let first = |pattern: &CompiledPattern| {
            views.all().find_map(|view| match pattern.regex.find(view.text()) {
                Found::No => None,
                Found::At { start, end } => Some((view.original_span(start, end), false)),
                Found::LimitReached => Some(((0, views.original.text().len()), true)),
            })
        };
        let finding = |pattern: &CompiledPattern| {
            let ((start, end), limit_reached) = first(pattern)?;
            let rule = Cow::Owned(pattern.id.clone());
            let (category, weight) = (pattern.category, CUSTOM_WEIGHT);
            Some(RawFinding { category, rule, start, end, weight, limit_reached })
        };
        self.snapshot.patterns.iter().filter_map(finding).collect()
    }

    /// The credentials alone.
    pub(crate) fn secrets(text: &str) -> Vec<RawFinding> {
        SECRETS.find_all(&Views::plain(text))
    }
}

/// The readings of one text.
struct Views<'t> {
    original: View<'t>,
    decoded: Option<View<'static>>,
    unquoted: Option<View<'static>>,
}

impl<'t> Views<'t> {
    fn of(text: &'t str) -> Self {
        let plain = Self::plain(text);
        let unquoted = shell::unquoted(plain.decoded.as_ref().unwrap_or(&plain.original));
        Self { unquoted, ..plain }
    }

    /// Without the reading as a shell, which would take credentials apart.
    fn plain(text: &'t str) -> Self {
        Self { original: View::original(text), decoded: decode::decoded(text), unquoted: None }
    }

    fn is_shell(&self, view: &View<'_>) -> bool {
        self.unquoted.as_ref().is_some_and(|shell| std::ptr::eq(shell, view))
    }

    fn all(&self) -> impl Iterator<Item = &View<'_>> {
        let rewritten = [&self.decoded, &self.unquoted];
        std::iter::once(&self.original as &View<'_>)
            .chain(rewritten.into_iter().flatten().map(|view| view as &View<'_>))
    }
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

static BUILT_IN: LazyLock<Compiled> = LazyLock::new(|| {
    let all = patterns::all().into_iter();
    Compiled::new(
        all.flat_map(|(category, list)| list.into_iter().map(move |p| (category, p))).collect(),
    )
});

static SECRETS: LazyLock<Compiled> = LazyLock::new(|| {
    Compiled::new(patterns::secrets().into_iter().map(|p| (Category::Secrets, p)).collect())
});

struct Compiled {
    prefilter: Prefilter,
    patterns: Vec<(Category, &'static Pattern, OnceLock<Option<Regex>>)>,
}

impl Compiled {
    fn new(patterns: Vec<(Category, &'static Pattern)>) -> Self {
        let sources: Vec<_> =
            patterns.iter().map(|(_, pattern)| patterns::source(pattern)).collect();
        let lazily = |(category, pattern)| (category, pattern, OnceLock::new());
        Self {
            prefilter: Prefilter::new(&sources),
            patterns: patterns.into_iter().map(lazily).collect(),
        }
    }

    fn find_all(&self, views: &Views<'_>) -> Vec<RawFinding> {
        let mut spans: Vec<Spans> = Vec::new();
        for view in views.all() {
            for index in self.prefilter.candidates(view.text().as_bytes()) {
                let (category, pattern, regex) = &self.patterns[index];
                if views.is_shell(view) && !is_for_shells(*category) {
                    continue;
                }
                spans.resize_with(self.patterns.len(), Spans::default);
                match regex.get_or_init(|| compile(pattern)) {
                    Some(regex) => {
                        let hits = hits(regex, pattern, view, views.original.text());
                        // Redaction needs every credential; of the rest, a few tell enough.
                        let most =
                            if *category == Category::Secrets { usize::MAX } else { MAX_HITS };
                        spans[index].0.extend(hits.take(most));
                    }
                    // A pattern that cannot be searched for is no excuse to let the text through.
                    None => spans[index].0.push((0, views.original.text().len())),
                }
            }
        }
        let found = spans.into_iter().zip(&self.patterns);
        found
            .flat_map(|(spans, (category, pattern, _))| spans.findings(*category, pattern))
            .collect()
    }
}

/// A shell's reading takes credentials apart and says nothing about prose.
fn is_for_shells(category: Category) -> bool {
    !matches!(category, Category::Secrets | Category::PromptInjection)
}

/// Where a pattern is in a view, as spans of the original text.
fn hits<'a>(
    regex: &'a Regex,
    pattern: &'static Pattern,
    view: &'a View<'_>,
    original: &'a str,
) -> impl Iterator<Item = (usize, usize)> + 'a {
    let text = view.text().as_bytes();
    let accepted = move |hit: &Hit<'_>| pattern.accept.is_none_or(|accept| accept(hit));
    let disguised = move |hit: &Hit<'_>, (from, to): (usize, usize)| {
        !pattern.disguised || original.as_bytes().get(from..to) != Some(hit.value())
    };
    let whole =
        pattern.accept.is_none().then(|| regex.find_iter(text).map(|m| (m.start(), m.end())));
    let grouped = pattern.accept.is_some().then(|| {
        regex.captures_iter(text).filter_map(|groups| {
            let found = groups.iter().skip(1).flatten().next().or(groups.get(0))?;
            Some((found.start(), found.end()))
        })
    });
    whole.into_iter().flatten().chain(grouped.into_iter().flatten()).filter_map(
        move |(start, end)| {
            let hit = Hit { text, start, end };
            let span = view.original_span(start, end);
            (accepted(&hit) && disguised(&hit, span)).then_some(span)
        },
    )
}

fn compile(pattern: &Pattern) -> Option<Regex> {
    RegexBuilder::new(&patterns::source(pattern)).dfa_size_limit(DFA_BYTES).build().ok()
}

/// Whether one pattern is in a text, in any of its readings.
#[cfg(test)]
pub(crate) fn find_in(pattern: &'static Pattern, text: &str) -> bool {
    let regex = compile(pattern).unwrap_or_else(|| panic!("{} does not compile", pattern.id));
    Views::of(text).all().any(|view| hits(&regex, pattern, view, text).next().is_some())
}

#[doc(hidden)]
#[allow(missing_docs, clippy::all, clippy::disallowed_methods)]
pub fn probes() -> Vec<(&'static str, &'static str, String)> {
    patterns::all()
        .into_iter()
        .flat_map(|(c, l)| {
            l.into_iter().map(move |p| {
                (c.as_str(), p.id, super::probe::probe(&patterns::source(p)).unwrap())
            })
        })
        .collect()
}
#[doc(hidden)]
#[allow(missing_docs, clippy::all, clippy::disallowed_methods)]
pub fn profile(text: &str) -> String {
    use std::fmt::Write;
    use std::time::Instant;
    let mut out = String::new();
    let t = Instant::now();
    let views = Views::of(text);
    write!(out, "views {:?}", t.elapsed());
    for view in views.all() {
        let t = Instant::now();
        let cands = BUILT_IN.prefilter.candidates(view.text().as_bytes());
        write!(out, " set {:?} {} candidates", t.elapsed(), cands.len());
        let mut times = vec![];
        for i in cands {
            let (_, p, re) = &BUILT_IN.patterns[i];
            let re = re.get_or_init(|| compile(p)).as_ref().unwrap();
            let t = Instant::now();
            let n = hits(re, p, view, text).count();
            times.push((t.elapsed(), p.id, n));
        }
        times.sort();
        times.reverse();
        write!(out, " {:?}", &times[..times.len().min(3)]);
    }
    out
}
