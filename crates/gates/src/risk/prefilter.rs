//! One pass over a text that selects the patterns that can match.
//!
//! A lazy DFA of our own rather than a `RegexSet`: that one falls back to a simulation a thousand
//! times slower once its cache has been emptied a few times, which hostile texts can bring about and
//! every later text then pays for.

use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson;
use regex_automata::util::pool::Pool;
use regex_automata::{Input, MatchKind, PatternSet};
use regex_syntax::hir::Hir;

use super::probe::probe;

/// Room for the states that the searches of a thread have built up, for each automaton; 600 KB of documentation,
/// commit messages and requests need no more than 3.9 MB of it.
const CACHE_BYTES: usize = 6 << 20;

/// Steps that may still be worked out, at some ten microseconds each, for one request. A text that
/// needs more is unlike all before it, as texts are that are made to be slow. It is then searched for
/// each pattern by itself, which takes longer, but no text can make it take longer still.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    pub(super) new_steps: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { new_steps: 1_200 }
    }
}

/// What a pass works with: the states built up so far, and room for what it finds.
type Scratch = (Cache, PatternSet);
type ScratchPool = Pool<Scratch, Box<dyn Fn() -> Scratch + Send + Sync>>;

/// Finds which of several expressions may be in a text: never too few, sometimes too many.
pub(super) struct Prefilter {
    automaton: Option<(DFA, ScratchPool)>,
    patterns: usize,
}

impl Prefilter {
    /// A prefilter for these expressions.
    pub(super) fn new(sources: impl ExactSizeIterator<Item = String>) -> Self {
        let patterns = sources.len();
        let automaton = automaton(sources).map(|dfa| {
            let made = dfa.clone();
            let create: Box<dyn Fn() -> Scratch + Send + Sync> =
                Box::new(move || (made.create_cache(), PatternSet::new(made.pattern_len())));
            (dfa, Pool::new(create))
        });
        Self { automaton, patterns }
    }

    /// The indexes of the expressions that may match; all of them where the pass was given up.
    pub(super) fn candidates(&self, text: &[u8], budget: &mut Budget) -> Vec<usize> {
        let all = || (0..self.patterns).collect();
        let Some((dfa, pool)) = &self.automaton else { return all() };
        let mut scratch = pool.get();
        let (cache, found) = &mut *scratch;
        found.clear();
        match pass(dfa, cache, text, found, budget) {
            // Most texts: there is nothing to look through, and nothing is allocated.
            Ok(()) if found.is_empty() => Vec::new(),
            Ok(()) => found.iter().map(|id| id.as_usize()).collect(),
            Err(GivenUp) => all(),
        }
    }
}

fn automaton(sources: impl Iterator<Item = String>) -> Option<DFA> {
    let probes: Option<Vec<Hir>> = sources.map(|source| probe(&source)).collect();
    let bytes = thompson::Config::new().utf8(false);
    let nfa = thompson::Compiler::new().configure(bytes).build_many_from_hir(&probes?).ok()?;
    let config = DFA::config()
        .match_kind(MatchKind::All)
        .cache_capacity(CACHE_BYTES)
        .skip_cache_capacity_check(true)
        // Never give up by itself; the budget is what ends a pass.
        .minimum_cache_clear_count(None);
    DFA::builder().configure(config).build_from_nfa(nfa).ok()
}

/// The pass was given up.
struct GivenUp;

/// Reads the text once and notes every expression that ends somewhere in it.
fn pass(
    dfa: &DFA,
    cache: &mut Cache,
    text: &[u8],
    found: &mut PatternSet,
    budget: &mut Budget,
) -> Result<(), GivenUp> {
    let mut state = dfa.start_state_forward(cache, &Input::new(text)).map_err(|_| GivenUp)?;
    let mut rest = text;
    loop {
        (state, rest) = run(dfa, cache, state, rest);
        let Some((byte, after)) = rest.split_first() else { break };
        (state, rest) = (step(dfa, cache, state, *byte, budget)?, after);
        if state.is_tagged() {
            note(dfa, cache, state, found)?;
        }
    }
    state = dfa.next_eoi_state(cache, state).map_err(|_| GivenUp)?;
    note(dfa, cache, state, found)
}

/// As far as steps were taken before and nothing ends, which is nearly all of the way: where that leads, and what
/// is left of the text.
fn run<'t>(
    dfa: &DFA,
    cache: &Cache,
    mut state: LazyStateID,
    text: &'t [u8],
) -> (LazyStateID, &'t [u8]) {
    if state.is_tagged() {
        return (state, text);
    }
    let mut at = 0;
    while at < text.len() {
        let next = dfa.next_state_untagged(cache, state, text[at]);
        // A step that is not known is tagged as such.
        if next.is_tagged() {
            return (state, &text[at..]);
        }
        state = next;
        at += 1;
    }
    (state, &[])
}

/// One step, wherever it leads, worked out if it was never taken before.
fn step(
    dfa: &DFA,
    cache: &mut Cache,
    state: LazyStateID,
    byte: u8,
    budget: &mut Budget,
) -> Result<LazyStateID, GivenUp> {
    if !state.is_tagged() {
        let next = dfa.next_state_untagged(cache, state, byte);
        if !next.is_unknown() {
            return Ok(next);
        }
    }
    let size = cache.memory_usage();
    let next = dfa.next_state(cache, state, byte).map_err(|_| GivenUp)?;
    // A step out of a matching state looks new from outside; it is if the cache has grown.
    if !state.is_tagged() || cache.memory_usage() != size {
        budget.new_steps = budget.new_steps.checked_sub(1).ok_or(GivenUp)?;
    }
    Ok(next)
}

fn note(
    dfa: &DFA,
    cache: &Cache,
    state: LazyStateID,
    found: &mut PatternSet,
) -> Result<(), GivenUp> {
    if state.is_quit() {
        return Err(GivenUp);
    }
    let matches = if state.is_match() { dfa.match_len(cache, state) } else { 0 };
    for index in 0..matches {
        // The set has room for every pattern of the automaton.
        let _ = found.try_insert(dfa.match_pattern(cache, state, index));
    }
    Ok(())
}
