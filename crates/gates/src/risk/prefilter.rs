//! One pass over a text that tells which patterns are worth a search.
//!
//! A lazy DFA of our own rather than a `RegexSet`: that one falls back to a simulation a thousand
//! times slower once its cache has been emptied a few times, which a hostile text can bring about and
//! every later text then pays for.

use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson;
use regex_automata::util::pool::Pool;
use regex_automata::util::syntax;
use regex_automata::{Input, MatchKind, PatternSet};

use super::probe::probe;

/// Room for the states that one search at a time builds up. Harmless texts need a third of it.
const CACHE_BYTES: usize = 16 << 20;

type CachePool = Pool<Cache, Box<dyn Fn() -> Cache + Send + Sync>>;

/// Finds which of several expressions may be in a text: never too few, sometimes too many.
pub(super) struct Prefilter {
    automaton: Option<(DFA, CachePool)>,
    patterns: usize,
}

impl Prefilter {
    pub(super) fn new(sources: &[String]) -> Self {
        Self { automaton: automaton(sources), patterns: sources.len() }
    }

    /// The indexes of the expressions that may match; all of them where the pass was given up.
    pub(super) fn candidates(&self, text: &[u8]) -> Vec<usize> {
        let found = self.automaton.as_ref().and_then(|(dfa, caches)| {
            let mut found = PatternSet::new(dfa.pattern_len());
            pass(dfa, &mut caches.get(), text, &mut found).ok().map(|()| found)
        });
        match found {
            Some(found) => found.iter().map(|id| id.as_usize()).collect(),
            None => (0..self.patterns).collect(),
        }
    }
}

/// The pass was given up: too many of its steps had never been taken before.
struct TooNew;

/// Reads the text once and notes every expression that ends somewhere in it.
fn pass(dfa: &DFA, cache: &mut Cache, text: &[u8], found: &mut PatternSet) -> Result<(), TooNew> {
    let start = dfa.start_state_forward(cache, &Input::new(text));
    let mut state = start.map_err(|_| TooNew)?;
    let mut new_steps = 0;
    for byte in text {
        let known = match state.is_tagged() {
            true => LazyStateID::default(),
            false => dfa.next_state_untagged(cache, state, *byte),
        };
        todo!()
    }
    Ok(())
}

fn automaton(sources: &[String]) -> Option<(DFA, CachePool)> {
    let probes: Option<Vec<String>> = sources.iter().map(|source| probe(source)).collect();
    let config = DFA::config()
        .match_kind(MatchKind::All)
        .cache_capacity(CACHE_BYTES)
        .skip_cache_capacity_check(true)
        // Never give up: a cache that starts over costs less than any fallback.
        .minimum_cache_clear_count(None);
    let dfa = DFA::builder()
        .configure(config)
        .syntax(syntax::Config::new().utf8(false))
        .thompson(thompson::Config::new().utf8(false))
        .build_many(&probes?)
        .ok()?;
    let maker = dfa.clone();
    let create: Box<dyn Fn() -> Cache + Send + Sync> = Box::new(move || maker.create_cache());
    Some((dfa, Pool::new(create)))
}
