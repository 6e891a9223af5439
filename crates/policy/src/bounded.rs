//! Regular expressions that cannot hold a request: whatever the text, a search ends soon.
//!
//! A pattern takes one of three ways, by what it is:
//!
//! * A plain one (no look-around, no back-reference) with few counted repetitions goes to `regex`,
//!   which takes time in proportion to the text, times the places of the pattern that can be at work
//!   at once. `linear` bounds those.
//! * A plain one with more of them goes to a lazy DFA that gives up rather than fall back to a slow
//!   simulation.
//! * One with look-around or back-references goes to `fancy-regex`. Its limit counts backtracks
//!   only, and each may read on for as long as a repetition goes, so that 10,000 of them took 600 ms
//!   on 64 KiB: `backtracking` bounds the length of repetitions too, and spends a budget on each
//!   stretch of text.
//!
//! Of 32 patterns at these bounds, the slowest took 25 ms on the worst of ten hostile texts of 64 KiB
//! (two cores, 2026), twice that on a machine that was busy otherwise; harmless texts take 0.1 ms.
//! `cargo run --release -p life-agent-policy --example pattern_cost` measures again.

use std::fmt;

mod backtracking;
mod linear;

use backtracking::Backtracking;
use linear::Linear;

/// Longest pattern, in characters.
pub const MAX_PATTERN_CHARS: usize = 1_000;

/// A regular expression whose search takes a bounded time, whatever the text.
pub struct BoundedRegex {
    pattern: String,
    engine: Engine,
}

enum Engine {
    Linear(Linear),
    Backtracking(Box<Backtracking>),
}

/// What a search found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The text does not match.
    No,
    /// The first match, as byte offsets.
    At {
        /// Where it starts.
        start: usize,
        /// Where it ends, exclusive.
        end: usize,
    },
    /// The search was given up. Counts as found: a text that exhausts a search is not harmless.
    LimitReached,
}

/// Why a pattern is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// More than [`MAX_PATTERN_CHARS`].
    #[error("must be at most {MAX_PATTERN_CHARS} characters long, this has {0}")]
    TooLong(usize),
    /// Not a regular expression.
    #[error("is not a regular expression: {0}")]
    Unreadable(String),
    /// Its counted repetitions multiply to too much.
    #[error(
        "is too large when its counted repetitions are written out; use `+`, smaller counts, or \
         `[0-9A-Za-z_]` for `\\w`"
    )]
    TooLarge,
    /// Many counted repetitions beside a word boundary, which the lazy DFA cannot do.
    #[error(
        "has a word boundary beside counted repetitions of more than {max} characters in all; \
         use `(?-u:\\b)`, or smaller counts",
        max = linear::MAX_WEIGHT
    )]
    BoundaryBesideCounts,
    /// A repetition without an upper bound beside look-around or a back-reference.
    #[error(
        "has look-around or a back-reference, so that every repetition needs an upper bound, as in \
         `{{1,20}}` for `+`"
    )]
    Unbounded,
    /// Bounded, but too long beside look-around or a back-reference.
    #[error(
        "has look-around or a back-reference, so that it may read at most {max} characters at a time \
         (a look-around counts as {look} and its own); this reads {0}",
        max = backtracking::MAX_REACH,
        look = backtracking::LOOK
    )]
    TooFar(usize),
    /// Something that `regex` does not know and that is neither look-around nor a back-reference.
    #[error(
        "uses a feature that is not supported beside look-around and back-references (such as an \
         atomic group, a condition, or look-around inside look-around)"
    )]
    Unsupported,
}

impl BoundedRegex {
    /// Compiles a pattern, unless its search could not be bounded. The syntax is that of the crate
    /// `regex`, and `(?=…)`, `(?!…)`, `(?<=…)`, `(?<!…)`, `\1` besides.
    pub fn new(pattern: &str) -> Result<Self, BadPattern> {
        let chars = pattern.chars().count();
        if chars > MAX_PATTERN_CHARS {
            return Err(BadPattern::TooLong(chars));
        }
        let engine = match linear::parse(pattern)? {
            Some(hir) => Engine::Linear(Linear::new(pattern, &hir)?),
            None => Engine::Backtracking(Box::new(Backtracking::new(pattern)?)),
        };
        Ok(Self { pattern: pattern.to_owned(), engine })
    }

    /// The first match in `text`.
    pub fn find(&self, text: &str) -> Found {
        self.find_from(text, 0)
    }

    /// The first match that starts at byte `at` or later; look-behind sees what comes before.
    pub fn find_from(&self, text: &str, at: usize) -> Found {
        if at > text.len() {
            return Found::No;
        }
        let at = text.ceil_char_boundary(at);
        match &self.engine {
            Engine::Linear(linear) => linear.find_from(text, at),
            Engine::Backtracking(backtracking) => backtracking.find_from(text, at),
        }
    }

    /// Whether the text matches, or exhausts the search.
    pub fn is_found(&self, text: &str) -> bool {
        !matches!(self.find(text), Found::No)
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.pattern
    }
}

impl fmt::Debug for BoundedRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BoundedRegex").field(&self.pattern).finish()
    }
}

#[cfg(test)]
mod tests;
