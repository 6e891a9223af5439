//! Patterns without look-around and back-references: time in proportion to the text, kept small.

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use regex_automata::hybrid::{dfa, regex as hybrid};
use regex_automata::nfa::thompson;
use regex_automata::util::pool::Pool;
use regex_automata::util::prefilter::Prefilter;
use regex_automata::{Input, MatchKind};
use regex_syntax::ast::ErrorKind;
use regex_syntax::hir::{Class, Hir, HirKind};

use super::{BadPattern, Found};

/// Up to here `regex` may fall back to simulating the pattern step by step, at some 20 ns for each
/// character of text and of weight; see [`weight`].
pub(super) const MAX_WEIGHT: usize = 20;
/// Largest compiled pattern, in bytes.
const MAX_COMPILED: usize = 1 << 22;
/// What a lazy DFA may keep, in bytes. Once it has thrown that away it gives up, unless each state that
/// it made has served [`MIN_BYTES_PER_STATE`].
const MAX_CACHE: usize = 1 << 19;
const MIN_BYTES_PER_STATE: usize = 64;

/// A compiled pattern.
pub(super) enum Linear {
    Plain(regex::Regex),
    GivesUp(Box<GivesUp>),
}

/// A lazy DFA and its caches. Threads share the first and take one of the second.
pub(super) struct GivesUp {
    regex: Arc<hybrid::Regex>,
    caches: Pool<hybrid::Cache, CacheMaker>,
}

type CacheMaker = Box<dyn Fn() -> hybrid::Cache + Send + Sync + UnwindSafe + RefUnwindSafe>;

/// Parses a pattern; none if it is one for `fancy-regex`.
pub(super) fn parse(pattern: &str) -> Result<Option<Hir>, BadPattern> {
    let error = match regex_syntax::Parser::new().parse(pattern) {
        Ok(hir) => return Ok(Some(hir)),
        Err(error) => error,
    };
    // The errors' own texts draw the pattern over several lines.
    match error {
        regex_syntax::Error::Parse(error) => match error.kind() {
            ErrorKind::UnsupportedLookAround | ErrorKind::UnsupportedBackreference => Ok(None),
            kind => Err(BadPattern::Unreadable(kind.to_string())),
        },
        regex_syntax::Error::Translate(error) => {
            Err(BadPattern::Unreadable(error.kind().to_string()))
        }
        _ => Err(BadPattern::Unreadable("it does not parse".to_owned())),
    }
}

impl Linear {
    pub(super) fn new(pattern: &str, hir: &Hir) -> Result<Self, BadPattern> {
        if weight(hir, false) <= MAX_WEIGHT {
            let built = regex::RegexBuilder::new(pattern).size_limit(MAX_COMPILED).build();
            return built.map(Linear::Plain).map_err(|_| BadPattern::TooLarge);
        }
        let look = hir.properties().look_set();
        if look.contains_word_unicode() {
            return Err(BadPattern::BoundaryBesideCounts);
        }
        let config = dfa::Config::new()
            .prefilter(Prefilter::from_hir_prefix(MatchKind::LeftmostFirst, hir))
            .cache_capacity(MAX_CACHE)
            .skip_cache_capacity_check(false)
            .minimum_cache_clear_count(Some(1))
            .minimum_bytes_per_state(Some(MIN_BYTES_PER_STATE));
        let built = hybrid::Builder::new()
            .dfa(config)
            .thompson(thompson::Config::new().nfa_size_limit(Some(MAX_COMPILED)))
            .build(pattern);
        let regex = Arc::new(built.map_err(|_| BadPattern::TooLarge)?);
        let maker = Arc::clone(&regex);
        let caches = Pool::new(Box::new(move || maker.create_cache()) as CacheMaker);
        Ok(Linear::GivesUp(Box::new(GivesUp { regex, caches })))
    }

    pub(super) fn find_from(&self, text: &str, at: usize) -> Found {
        match self {
            Linear::Plain(regex) => regex
                .find_at(text, at)
                .map_or(Found::No, |found| Found::At { start: found.start(), end: found.end() }),
            Linear::GivesUp(lazy) => {
                let input = Input::new(text).range(at..);
                // Whether it gives up depends on what the cache holds, and must depend on the text only.
                let mut cache = lazy.caches.get();
                cache.reset(&lazy.regex);
                match lazy.regex.try_search(&mut cache, &input) {
                    Ok(None) => Found::No,
                    Ok(Some(found)) => Found::At { start: found.start(), end: found.end() },
                    Err(_) => Found::LimitReached,
                }
            }
        }
    }
}

/// Bytes of the pattern's automaton.
pub(super) fn compiled_size(hir: &Hir) -> Result<usize, BadPattern> {
    let config = thompson::Config::new().nfa_size_limit(Some(MAX_COMPILED));
    let nfa = thompson::Compiler::new().configure(config).build_from_hir(hir);
    nfa.map(|nfa| nfa.memory_usage()).map_err(|_| BadPattern::TooLarge)
}

/// How many places of the pattern can be at work at once: its character classes, written out as often
/// as counted repetitions ask for. Letters do not count (nor does a letter in both cases), for two of
/// them seldom fit the same character, unless they are repeated.
fn weight(hir: &Hir, repeated: bool) -> usize {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 0,
        HirKind::Literal(literal) => literal.0.len() * usize::from(repeated),
        HirKind::Class(class) => usize::from(repeated || !is_letter(class)),
        HirKind::Capture(capture) => weight(&capture.sub, repeated),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().fold(0, |sum, part| sum.saturating_add(weight(part, repeated)))
        }
        HirKind::Repetition(repetition) => {
            let copies = repetition.max.unwrap_or(repetition.min.max(1)) as usize;
            weight(&repetition.sub, repeated || copies > 1).saturating_mul(copies)
        }
    }
}

/// Whether a class is a letter in its cases (`k`, `K` and the Kelvin sign).
fn is_letter(class: &Class) -> bool {
    match class {
        Class::Unicode(class) => class.iter().map(|range| range.len()).sum::<usize>() <= 3,
        Class::Bytes(class) => class.iter().map(|range| range.len()).sum::<usize>() <= 3,
    }
}
